//! How the health of targets and keys is shown: as metrics, whenever somebody reads them.

use super::{Parking, Standing, TargetHealth};
use crate::telemetry::Metrics;

impl TargetHealth {
    /// Sets the gauges to what is known now; what is not there any more is not shown.
    pub fn show(&self, metrics: &Metrics) {
        metrics.upstream_state.reset();
        for target in self.targets() {
            let state = match (target.standing, target.rests_until) {
                (Standing::Closed, None) => 0,
                (Standing::HalfOpen, None) => 1,
                (Standing::Open(_), _) | (_, Some(_)) => 2,
            };
            metrics.upstream_state.with_label_values(&[&target.provider, &target.model]).set(state);
        }
        metrics.upstream_key_up.reset();
        metrics.upstream_out_of_funds.reset();
        for (provider, keys) in self.keys() {
            for key in &keys {
                let up = i64::from(key.parked.is_none());
                metrics.upstream_key_up.with_label_values(&[&provider, &key.name]).set(up);
            }
            let empty = |why: Option<Parking>| why == Some(Parking::OutOfFunds);
            let parked = |all: bool| {
                let mut whys = keys.iter().map(|key| key.parked.map(|(why, ..)| why));
                if all { whys.all(|why| why.is_some()) } else { whys.any(empty) }
            };
            let out = i64::from(parked(true) && parked(false));
            metrics.upstream_out_of_funds.with_label_values(&[&provider]).set(out);
        }
    }
}
