//! What is shown of readings of the file. The names are those that Prometheus gives its own configuration.

use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use units::Timestamp;

use super::Outcome;

/// The families of the configuration.
#[derive(Debug, Clone)]
pub struct ConfigMetrics {
    successful: IntGauge,
    success_timestamp: IntGauge,
    reloads: IntCounterVec,
}

impl ConfigMetrics {
    /// Creates and registers the families; the reading at the start has succeeded, or nobody would ask.
    ///
    /// # Errors
    /// If `registry` has one of them already.
    pub fn new(registry: &Registry, at: Timestamp) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let successful = gauge(
            "tollgate_config_last_reload_successful",
            "1 unless the last reading of the configuration was refused.",
        )?;
        let success_timestamp = gauge(
            "tollgate_config_last_reload_success_timestamp_seconds",
            "When the configuration was last read and found right.",
        )?;
        let help = "Readings of the configuration after the start, by what came of them.";
        let reloads = IntCounterVec::new(Opts::new("tollgate_config_reloads_total", help), &["outcome"])?;
        registry.register(Box::new(reloads.clone()))?;
        for outcome in ["applied", "unchanged", "refused"] {
            reloads.with_label_values(&[outcome]);
        }
        successful.set(1);
        success_timestamp.set(at.secs());
        Ok(Self { successful, success_timestamp, reloads })
    }

    pub(super) fn count(&self, outcome: &Outcome, at: Timestamp) {
        self.reloads.with_label_values(&[outcome.as_str()]).inc();
        let refused = matches!(outcome, Outcome::Refused(_));
        self.successful.set(i64::from(!refused));
        if !refused {
            self.success_timestamp.set(at.secs());
        }
    }
}
