//! When does something apply? What is asked of a call, and whether a call fits it: pure, and it says what does not fit.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::Deserialize;
use units::Timestamp;

use crate::{KeyPath, Modality, Problems, hours::Hours};

/// When something applies. Every key that is there has to fit, one of its values at least; nothing at all fits any call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawCondition {
    /// Ids of API keys.
    pub keys: Vec<String>,
    /// Names of price lists: an account is of the tier whose list it buys at.
    pub tiers: Vec<String>,
    /// Of the caller's `x-tollgate-tags`.
    pub tags: Vec<String>,
    /// The caller's `x-tollgate-task`.
    pub tasks: Vec<String>,
    /// What the call holds or wants: `text`, `image`, `audio`, `video`, `pdf`, `vector`.
    pub modalities: Vec<Modality>,
    /// Regions of callers: their `x-tollgate-region`, or `server.region` where they name none.
    pub regions: Vec<String>,
    /// The prompt has so many tokens at least, reckoned from its bytes.
    pub input_tokens_min: Option<u64>,
    /// The prompt has so many tokens at most, reckoned from its bytes.
    pub input_tokens_max: Option<u64>,
    /// When: `"mon-fri 08:00-18:00"`, `"22:00-24:00"`.
    pub hours: Vec<String>,
    /// Of which clock `hours` are: hours and minutes ahead of UTC. Beijing's `+08:00` where absent.
    pub utc_offset: Option<String>,
}

/// A checked [`RawCondition`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    keys: Vec<String>,
    tiers: Vec<String>,
    tags: Vec<String>,
    tasks: Vec<String>,
    modalities: Vec<Modality>,
    regions: Vec<String>,
    input_tokens_min: u64,
    input_tokens_max: Option<u64>,
    hours: Option<Hours>,
}

/// What conditions look at in a call.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The id of the API key.
    pub key: &'a str,
    /// The price list the account buys at.
    pub tier: &'a str,
    /// What the caller calls the call.
    pub tags: &'a [String],
    /// What it is for.
    pub task: Option<&'a str>,
    /// What it holds, and what it wants.
    pub modalities: &'a BTreeSet<Modality>,
    /// Where the caller is.
    pub region: Option<&'a str>,
    /// About so many tokens of prompt.
    pub input_tokens: u64,
    /// When.
    pub now: Timestamp,
}

/// The first clause of a condition that a call does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Of other keys.
    Key,
    /// Of other price lists.
    Tier,
    /// Other tags.
    Tag,
    /// Other tasks.
    Task,
    /// Other kinds of content.
    Modality,
    /// From elsewhere.
    Region,
    /// Shorter or longer prompts.
    InputTokens,
    /// At other times.
    Hours,
}

impl Unfit {
    /// The clause's key in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "keys",
            Self::Tier => "tiers",
            Self::Tag => "tags",
            Self::Task => "tasks",
            Self::Modality => "modalities",
            Self::Region => "regions",
            Self::InputTokens => "input_tokens",
            Self::Hours => "hours",
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl RawCondition {
    /// Checks it by itself.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn checked(&self) -> Result<Condition, Problems> {
        let mut problems = Problems::default();
        let condition = self.check(&KeyPath::default(), &mut problems);
        if problems.is_empty() { Ok(condition) } else { Err(problems) }
    }

    /// Checks it; what is wrong is noted below `path`.
    pub(crate) fn check(&self, path: &KeyPath, problems: &mut Problems) -> Condition {
        for (name, words) in [
            ("keys", &self.keys),
            ("tiers", &self.tiers),
            ("tags", &self.tags),
            ("tasks", &self.tasks),
            ("regions", &self.regions),
        ] {
            for (i, _) in words.iter().enumerate().filter(|(_, word)| !is_word(word)) {
                let what = "a word of 1 to 64 letters, digits, `-`, `_`, `.` or `:` stands here";
                problems.add(path.key(name).index(i), what);
            }
        }
        if self.input_tokens_max.is_some_and(|max| max < self.input_tokens_min.unwrap_or(0)) {
            problems.add(
                path.key("input_tokens_max"),
                "no prompt is both longer and shorter: it is below the minimum",
            );
        }
        if self.utc_offset.is_some() && self.hours.is_empty() {
            problems.add(path.key("utc_offset"), "there are no `hours` to be read by it");
        }
        let hours = (!self.hours.is_empty())
            .then(|| Hours::check(&self.hours, self.utc_offset.as_deref(), path, problems))
            .flatten();
        Condition {
            keys: self.keys.clone(),
            tiers: self.tiers.clone(),
            tags: self.tags.clone(),
            tasks: self.tasks.clone(),
            modalities: self.modalities.clone(),
            regions: self.regions.clone(),
            input_tokens_min: self.input_tokens_min.unwrap_or(0),
            input_tokens_max: self.input_tokens_max,
            hours,
        }
    }
}

/// Whether callers may use it as the name of a task, a tag or a region: 1 to 64 letters, digits, `-`, `_`, `.`, `:`.
pub fn is_word(text: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
    (1..=64).contains(&text.len()) && text.bytes().all(good)
}

impl Condition {
    /// Whether it asks for anything at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a call fits.
    ///
    /// # Errors
    /// The first clause that it does not fit.
    pub fn fits(&self, call: &Circumstances<'_>) -> Result<(), Unfit> {
        let one_of = |wanted: &[String], is: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|word| is(word))
        };
        let length = call.input_tokens >= self.input_tokens_min
            && self.input_tokens_max.is_none_or(|max| call.input_tokens <= max);
        let clauses = [
            (one_of(&self.keys, &|key| key == call.key), Unfit::Key),
            (one_of(&self.tiers, &|tier| tier == call.tier), Unfit::Tier),
            (one_of(&self.tags, &|tag| call.tags.iter().any(|own| own == tag)), Unfit::Tag),
            (one_of(&self.tasks, &|task| call.task == Some(task)), Unfit::Task),
            (
                self.modalities.is_empty() || self.modalities.iter().any(|it| call.modalities.contains(it)),
                Unfit::Modality,
            ),
            (one_of(&self.regions, &|region| call.region == Some(region)), Unfit::Region),
            (length, Unfit::InputTokens),
            (self.hours.as_ref().is_none_or(|hours| hours.hold(call.now)), Unfit::Hours),
        ];
        clauses.into_iter().find(|(fits, _)| !fits).map_or(Ok(()), |(_, unfit)| Err(unfit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        let mut problems = Problems::default();
        let checked =
            toml::from_str::<RawCondition>(text).unwrap().check(&KeyPath::new("when"), &mut problems);
        assert!(problems.is_empty(), "{problems}");
        checked
    }

    fn wrong(text: &str) -> String {
        let mut problems = Problems::default();
        let _ = toml::from_str::<RawCondition>(text).unwrap().check(&KeyPath::new("when"), &mut problems);
        problems.to_string()
    }

    #[test]
    fn every_clause_has_to_fit_and_the_first_that_does_not_is_named() {
        let (tags, pictures) = (["beta".to_owned()], BTreeSet::from([Modality::Text, Modality::Image]));
        let call = Circumstances {
            key: "key_1",
            tier: "standard",
            tags: &tags,
            task: Some("dispute"),
            modalities: &pictures,
            region: Some("apac"),
            input_tokens: 2_000,
            now: Timestamp(0), // 1970-01-01 is a Thursday; 08:00 in Beijing
        };
        for (text, said) in [
            ("", Ok(())),
            ("keys = [\"key_0\", \"key_1\"]\ntiers = [\"standard\"]\ntags = [\"alpha\", \"beta\"]", Ok(())),
            ("tasks = [\"dispute\"]\nmodalities = [\"image\"]\nregions = [\"apac\"]", Ok(())),
            ("input_tokens_min = 2000\ninput_tokens_max = 2000\nhours = [\"thu 08:00-08:01\"]", Ok(())),
            ("keys = [\"key_2\"]", Err(Unfit::Key)),
            ("tiers = [\"vip\"]", Err(Unfit::Tier)),
            ("tags = [\"gamma\"]", Err(Unfit::Tag)),
            ("tasks = [\"payment-intent\"]", Err(Unfit::Task)),
            ("modalities = [\"audio\"]", Err(Unfit::Modality)),
            ("regions = [\"eu\"]", Err(Unfit::Region)),
            ("input_tokens_max = 1999", Err(Unfit::InputTokens)),
            ("input_tokens_min = 2001", Err(Unfit::InputTokens)),
            ("hours = [\"mon-wed 00:00-24:00\"]", Err(Unfit::Hours)),
            ("hours = [\"08:00-09:00\"]\nutc_offset = \"+00:00\"", Err(Unfit::Hours)),
            ("tasks = [\"dispute\"]\nregions = [\"eu\"]", Err(Unfit::Region)),
        ] {
            assert_eq!(condition(text).fits(&call), said, "{text}");
        }
        assert!(condition("").is_empty() && !condition("tags = [\"x\"]").is_empty());
    }

    #[test]
    fn what_no_call_could_ever_fit_is_refused() {
        for (text, what) in [
            ("tags = [\"\"]", "when.tags[0]: a word of 1 to 64"),
            ("tasks = [\"a b\"]", "when.tasks[0]: a word of 1 to 64"),
            ("input_tokens_min = 5\ninput_tokens_max = 4", "when.input_tokens_max: no prompt"),
            ("utc_offset = \"+08:00\"", "when.utc_offset: there are no `hours`"),
            ("hours = [\"now\"]", "when.hours[0]: "),
            ("hours = [\"00:00-24:00\"]\nutc_offset = \"8\"", "when.utc_offset: "),
        ] {
            assert!(wrong(text).starts_with(what), "{text}: {}", wrong(text));
        }
    }
}
