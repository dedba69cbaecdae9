//! When has whoever writes a file finished?
//!
//! A file is read when nothing has happened for a while, and not while somebody who writes it has it open: half a file may
//! well be a right one, with half of the routes.

use std::time::Duration;

use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, timeout_at},
};

/// So long nothing may have happened.
const QUIET: Duration = Duration::from_millis(200);
/// Whoever changes files all the time does not keep us from reading for longer.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// Nor does one who never closes a file that was written.
const OPEN_MAX: Duration = Duration::from_secs(60);

/// What happened to a file that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// Somebody has written, and may go on.
    Written,
    /// Whoever wrote has closed it, or another file stands in its place.
    Done,
}

/// Waits for a touch, and then until everything is settled. `None` when nobody is left to tell.
pub(super) async fn settled(touches: &mut Receiver<Touch>) -> Option<()> {
    let mut unrest = Unrest::begun(Instant::now(), touches.recv().await?);
    loop {
        match timeout_at(unrest.over, touches.recv()).await {
            Ok(Some(touch)) => unrest.goes_on(Instant::now(), touch),
            Ok(None) => return None,
            Err(_) => return Some(()),
        }
    }
}

/// Changes one after another.
struct Unrest {
    begun: Instant,
    /// When it is over, if nothing more happens.
    over: Instant,
}

impl Unrest {
    fn begun(now: Instant, touch: Touch) -> Self {
        let mut unrest = Self { begun: now, over: now };
        unrest.goes_on(now, touch);
        unrest
    }

    fn goes_on(&mut self, now: Instant, touch: Touch) {
        self.over = match touch {
            Touch::Written => self.begun + OPEN_MAX,
            Touch::Done => (now + QUIET).min(self.begun + BUSY_MAX.max(now - self.begun)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it is over, in milliseconds from the first of `touches`, each of which comes at its own.
    fn over(touches: &[(u64, Touch)]) -> u64 {
        let begun = Instant::now();
        let mut unrest = Unrest::begun(begun, touches[0].1);
        for (at, touch) in &touches[1..] {
            unrest.goes_on(begun + Duration::from_millis(*at), *touch);
        }
        u64::try_from((unrest.over - begun).as_millis()).unwrap()
    }

    #[test]
    fn a_file_is_not_read_while_it_is_being_written() {
        use Touch::{Done, Written};
        assert_eq!(over(&[(0, Done)]), 200);
        assert_eq!(over(&[(0, Done), (10, Written)]), 60_000, "somebody has it open");
        assert_eq!(over(&[(0, Done), (10, Written), (3_000, Done)]), 3_200);
        assert_eq!(
            over(&[(0, Written), (30_000, Written), (50_000, Done)]),
            50_000,
            "and has had it for long"
        );
    }

    #[test]
    fn many_changes_at_once_are_one_and_whoever_never_rests_is_read_all_the_same() {
        let often: Vec<(u64, Touch)> = (0..49).map(|n| (n * 100, Touch::Done)).collect();
        assert_eq!(over(&often[..3]), 400);
        assert_eq!(over(&often), 5_000);
    }
}
