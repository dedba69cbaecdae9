//! When is an order asked for next?

use std::time::Duration;

use units::Timestamp;

use crate::ledger::{Order, PayApi};

/// An order is asked for this long after it was made known, then after twice, then four times as long, ...
const FIRST_QUERY: Duration = Duration::from_secs(5);
/// ... but never less often than this.
const SLOWEST_QUERY: Duration = Duration::from_secs(20);
/// Somebody waits before its page, or has said to have paid: it is asked for as often as this.
const URGENT_QUERY: Duration = Duration::from_secs(5);
/// API v2 refuses to close an order that is younger. Source: WeChat Pay API v2, close order.
const CLOSES_AFTER: Duration = Duration::from_secs(300);

/// When an order was asked for, and how long the pause is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Since when the pause runs: the last query, at first the order's making.
    since: Timestamp,
    was_asked: bool,
    pause: Duration,
}

impl Round {
    /// A new order is given time to be paid; one found at the start is asked for at once.
    pub(super) const fn first(created_at: Timestamp) -> Self {
        Self { since: created_at, was_asked: false, pause: FIRST_QUERY }
    }

    /// When it was asked for.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.was_asked.then_some(self.since)
    }

    /// When it is due, if it ends then; the end is looked at on time.
    pub(super) fn due(&self, urgent: bool, ends_at: Timestamp) -> Timestamp {
        let due = self.since.after(if urgent { self.pause.min(URGENT_QUERY) } else { self.pause });
        if ends_at > self.since { due.min(ends_at) } else { due }
    }

    /// After it was asked for at `now`.
    pub(super) fn asked(self, now: Timestamp) -> Self {
        Self { since: now, was_asked: true, pause: (self.pause * 2).min(SLOWEST_QUERY) }
    }
}

/// When an order is closed that nobody has paid: at its end, or once its customer no longer wants it and it may be closed.
pub(in crate::topup) fn ends_at(order: &Order) -> Timestamp {
    if !order.is_unwanted() {
        return order.expires_at;
    }
    match order.pay_by.api {
        PayApi::V2 => order.expires_at.min(order.created_at.after(CLOSES_AFTER)),
        PayApi::V3 => order.created_at,
    }
}
