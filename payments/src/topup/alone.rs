//! One at a time, for each order.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use units::OrderId;

/// Who is at it. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct OneAtATime(Arc<Mutex<HashMap<OrderId, Weak<Turn<()>>>>>);

impl OneAtATime {
    /// Waits until nobody else is at this order, and keeps others waiting until the guard is gone.
    pub(super) async fn lock(&self, order: OrderId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let turn = turns.get(&order).and_then(Weak::upgrade).unwrap_or_default();
            turns.insert(order, Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }
}
