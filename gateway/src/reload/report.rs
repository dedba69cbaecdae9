//! What is in force, and what came of the last reading?

use std::{fmt, sync::Arc};

use payments::store::SubmitError;
use units::Timestamp;

use crate::{
    provider::BadUpstream,
    settings::{Changes, ConfigErrors},
};

/// Who asked for a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// A file has changed.
    File,
    /// SIGHUP.
    Signal,
    /// An operator, at the admin listener.
    Api,
}

impl Trigger {
    /// Its word in logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Signal => "signal",
            Self::Api => "api",
        }
    }
}

/// Why what was read does not count.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// The file is not right.
    #[error("{0}")]
    File(ConfigErrors),
    /// A provider cannot be spoken to as it is written.
    #[error("{0}")]
    Upstream(#[from] BadUpstream),
    /// The books do not take its prices or rates.
    #[error("the books do not take it: {0}")]
    Books(Arc<SubmitError>),
    /// Something else that it needs is not to be had.
    #[error("{0}")]
    Needs(Arc<str>),
}

impl From<SubmitError> for Refused {
    fn from(error: SubmitError) -> Self {
        Self::Books(Arc::new(error))
    }
}

/// What came of a reading.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It counts from now on.
    Applied,
    /// Nothing differs that a running process can change.
    Unchanged,
    /// What was in force stays in force.
    Refused(Refused),
}

impl Outcome {
    /// Its word in logs, metrics and answers.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Refused(_) => "refused",
        }
    }
}

/// One reading, and what came of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// When.
    pub at: Timestamp,
    /// Who asked for it.
    pub trigger: Trigger,
    /// What came of it.
    pub outcome: Outcome,
    /// What it says otherwise than the reading before that counted; none where it was refused.
    pub changes: Changes,
}

/// What is in force.
#[derive(Debug, Clone)]
pub struct InForce {
    /// SHA-256 of the file's text.
    pub digest: String,
    /// How many readings were taken up, the first included.
    pub generation: u64,
    /// Since when this one counts.
    pub since: Timestamp,
    /// Keys whose present value counts only after a restart.
    pub restart_required: Vec<String>,
    /// The last reading, if there was one after the start.
    pub last: Option<Report>,
}

/// The most names that a line of the log holds of each sort.
const NAMES_MAX: usize = 40;

/// Names in a line of the log.
pub(super) struct Names<'a>(pub(super) &'a [String]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.0.iter().take(NAMES_MAX).enumerate() {
            write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(NAMES_MAX) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}
