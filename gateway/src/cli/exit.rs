//! How does a process say how it went?

use std::process::ExitCode;

/// Exit codes; stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something nobody thought of.
    Unexpected = 1,
    /// The command line is not understood.
    Usage = 2,
    /// What was named does not exist.
    NotFound = 3,
    /// Not authenticated, or not allowed.
    NotAllowed = 4,
    /// In conflict with what was done before.
    Conflict = 5,
    /// The configuration, or other input, is not valid.
    Invalid = 6,
    /// The network, or somebody on it, failed.
    Upstream = 7,
    /// Differences were found.
    Differences = 8,
    /// For the moment; try again later.
    Temporary = 75,
    /// The measurement says nothing, because the machine that made it was too busy.
    BenchInvalid = 98,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
