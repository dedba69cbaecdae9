//! What is wrong with the file, as a person sees it: `tollgate.toml:12:5: unknown key …`.

use std::fmt;

use router_config::Problem;

/// A position in the file, both counted from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, if it is about a part of the file.
    pub place: Option<Place>,
    /// What is wrong. Never quotes a secret.
    pub message: String,
    /// What may be done about it.
    pub help: Option<String>,
}

/// Everything that is wrong with the file, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    origin: String,
    errors: Vec<ConfigError>,
}

impl ConfigErrors {
    pub(super) fn new(origin: &str) -> Self {
        Self { origin: origin.to_owned(), errors: Vec::new() }
    }

    pub(super) fn unreadable(origin: &str, error: &std::io::Error) -> Self {
        let mut errors = Self::new(origin);
        errors.add(None, format!("the file cannot be read: {error}"), None);
        errors
    }

    pub(super) fn add(&mut self, place: Option<Place>, message: impl Into<String>, help: Option<String>) {
        self.errors.push(ConfigError { place, message: message.into(), help });
    }

    pub(super) fn sorted(mut self) -> Self {
        self.errors.sort_by_key(|error| error.place);
        self
    }

    /// Whether nothing is.
    pub const fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// What the file was called.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What is wrong, from the file's top to its end.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.errors.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            let line_break = if i == 0 { "" } else { "\n" };
            write!(f, "{line_break}{}:", self.origin)?;
            if let Some(Place { line, column }) = error.place {
                write!(f, "{line}:{column}:")?;
            }
            write!(f, " {}", error.message)?;
            if let Some(help) = &error.help {
                write!(f, " — {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// The problem's words behind the key they are about.
pub(super) fn with_path(problem: &Problem) -> String {
    if problem.path.parts().is_empty() {
        problem.message.clone()
    } else {
        format!("{}: {}", problem.path, problem.message)
    }
}
