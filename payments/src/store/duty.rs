//! Whose turn is it? Work that only one of the nodes of a database may do at a time.

use tokio::sync::oneshot;

use super::{Store, SubmitError, handle::stopped, lane::Job};

/// Work of which there may be one worker among all the nodes that write the same books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Sending refunds and asking after them: never two of one wallet under way, and calls at a distance from each other.
    Refunds,
}

impl Duty {
    /// Its name in the database.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Refunds => "duty:refunds",
        }
    }
}

impl Store {
    /// True where this run is the one that does it: it was, or nobody with a lease that still runs is. A run that has it
    /// keeps it for as long as it lives, so whatever it finds half done while it has it, nobody else is at work on.
    ///
    /// The lease is renewed as it is asked, and what is written down after it stands only if the lease still ran then: see
    /// ARCHITECTURE.md on PostgreSQL. A store that one process has open is always its own.
    ///
    /// # Errors
    /// [`SubmitError::Stopped`].
    pub async fn has_duty(&self, duty: Duty) -> Result<bool, SubmitError> {
        if !self.is_shared() {
            return Ok(true);
        }
        let (done, answer) = oneshot::channel();
        self.queue.send(Job::Duty { duty, done }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}
