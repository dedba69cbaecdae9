//! What somebody who counts and alarms is told of refunds.

use units::Timestamp;

use crate::{
    channel::ChannelError,
    ledger::{RefundBatch, RefundItem},
};

/// Told how refunds go, by the node that works on them and by whoever takes a notice in. Must not wait.
pub trait RefundObserver: std::fmt::Debug + Send + Sync {
    /// A request was reserved; also said again where it is asked for again.
    fn requested(&self, _batch: &RefundBatch) {}

    /// An item came to another state: arrived, was closed, could not be delivered, waits for the merchant's money.
    fn moved(&self, _item: &RefundItem) {}

    /// WeChat Pay does not even look at what we ask about it: keys, numbers or permissions have to be mended. The money stays
    /// reserved.
    fn misconfigured(&self, _item: &RefundItem, _error: &ChannelError) {}

    /// These are not at an end, as this node sees it at `now`; nothing where another node works on them.
    fn open(&self, _items: &[RefundItem], _now: Timestamp) {}
}

/// Nobody.
#[derive(Debug)]
pub(super) struct Unobserved;

impl RefundObserver for Unobserved {}
