//! What is wrong, where, and what would mend it?

use std::fmt;

/// One step into the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathPart {
    /// Into a table, by its key.
    Key(String),
    /// Into an array, counted from zero.
    Index(usize),
}

/// The way to a value in the file, from its root; shown as `routes[0].targets[1]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<PathPart>);

impl KeyPath {
    /// The path of a key at the file's top.
    pub fn new(key: &str) -> Self {
        Self(vec![PathPart::Key(key.to_owned())])
    }

    /// One table deeper.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(PathPart::Key(key.to_owned()))
    }

    /// One array deeper.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(PathPart::Index(index))
    }

    /// The steps, outermost first: what a reader of the file follows to find line and column.
    pub fn parts(&self) -> &[PathPart] {
        &self.0
    }

    fn with(&self, part: PathPart) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |key: &str| {
            !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        for (depth, part) in self.0.iter().enumerate() {
            match part {
                PathPart::Index(index) => write!(f, "[{index}]")?,
                PathPart::Key(key) => {
                    let point = if depth == 0 { "" } else { "." };
                    if bare(key) { write!(f, "{point}{key}")? } else { write!(f, "{point}{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// One thing that is wrong with the file. Never quotes a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub path: KeyPath,
    /// What is wrong.
    pub message: String,
    /// What may be done about it.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.parts().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " — {help}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with the file, in the order in which it was met; one per line when shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem for which there is no better advice than its own words.
    pub fn add(&mut self, path: KeyPath, message: impl Into<String>) {
        self.0.push(Problem { path, message: message.into(), help: None });
    }

    /// Notes a problem and what may be done about it.
    pub fn add_with_help(&mut self, path: KeyPath, message: impl Into<String>, help: impl Into<String>) {
        self.0.push(Problem { path, message: message.into(), help: Some(help.into()) });
    }

    /// The value, or the problem this result holds, noted at `path`.
    pub fn catch<T, E: fmt::Display>(&mut self, path: KeyPath, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(path, error.to_string())).ok()
    }

    /// Takes over what another check has found, except what was noted here already.
    pub fn append(&mut self, others: Self) {
        for problem in others.0 {
            if !self.0.contains(&problem) {
                self.0.push(problem);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong, in the order in which it was met.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let line_break = if i == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_what_and_what_to_do() {
        let mut problems = Problems::default();
        let path = KeyPath::new("routes").index(0).key("targets").index(1);
        problems.add_with_help(path, "unknown provider `qwne`", "did you mean `qwen`?");
        problems.add(KeyPath::new("fx").key("pinned").key("USD/CNY"), "not a rate");
        assert_eq!(
            problems.to_string(),
            "routes[0].targets[1]: unknown provider `qwne` — did you mean `qwen`?\n\
             fx.pinned.\"USD/CNY\": not a rate"
        );
    }
}
