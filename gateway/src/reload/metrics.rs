//! What is shown of rates of exchange.

use payments::ledger::FxPair;
use prometheus::{GaugeVec, IntGaugeVec, Opts, Registry};
use units::Timestamp;

/// The families of FX.
#[derive(Debug, Clone)]
pub struct FxMetrics {
    rate: GaugeVec,
    timestamp: IntGaugeVec,
    pinned: IntGaugeVec,
}

impl FxMetrics {
    /// Creates and registers the families.
    ///
    /// # Errors
    /// If `registry` has one of them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let rate = GaugeVec::new(Opts::new("tollgate_fx_rate", "Yuan per unit, as sold at."), &["pair"])?;
        registry.register(Box::new(rate.clone()))?;
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGaugeVec> {
            let family = IntGaugeVec::new(Opts::new(name, help), &["pair"])?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let timestamp =
            gauge("tollgate_fx_rate_timestamp_seconds", "When the last accepted rate was asked for.")?;
        let pinned = gauge("tollgate_fx_pinned", "1 while a person has fixed the rate.")?;
        Ok(Self { rate, timestamp, pinned })
    }

    /// Shows what counts for a pair.
    pub fn show(&self, pair: &FxPair, at: Timestamp) {
        let label = &[pair.pair.as_str()];
        if let Some(rate) = pair.at(at) {
            self.rate.with_label_values(label).set(rate.rate_micro as f64 / 1e6);
        }
        if let Some(accepted) = &pair.accepted {
            self.timestamp.with_label_values(label).set(accepted.fetched_at.secs());
        }
        self.pinned.with_label_values(label).set(i64::from(pair.pinned_at(at).is_some()));
    }
}
