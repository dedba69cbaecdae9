//! What somebody who counts and alarms is told of refunds.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use units::{RefundId, Timestamp};

use crate::{
    channel::ChannelError,
    ledger::{RefundBatch, RefundItem, RefundItemState},
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

/// Where items were last told to stand, so that a notice and a query that come at once are told as one.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<HashMap<RefundId, RefundItemState>>);

/// Items that are remembered; then it begins anew.
const TOLD_MAX: usize = 10_000;

impl Told {
    /// True where this process has not told it yet.
    pub(super) fn is_new(&self, item: &RefundItem) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_MAX && !told.contains_key(&item.id) {
            told.clear();
        }
        told.insert(item.id, item.state) != Some(item.state)
    }
}

/// Nobody.
#[derive(Debug)]
pub(super) struct Unobserved;

impl RefundObserver for Unobserved {}
