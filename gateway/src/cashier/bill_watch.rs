//! What is said of reconciliation: counted for operators, logged for whoever is called, told to whoever admits calls.

use std::sync::Arc;

use payments::{
    holds::Holds,
    ledger::{BillDayState, BillDifference, CreditSource, DifferenceClass, Order},
    reconcile::{BillDate, DayReport, RunError, Watcher},
    store::{Store, SubmitError},
};
use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use units::{AccountId, Clock, Timestamp};

use super::PaymentMetrics;

/// Every way a comparison can go.
const RESULTS: [&str; 4] = ["agrees", "differs", "not_ready", "failed"];
/// Nano-yuan in a fen.
const NANO_PER_FEN: i64 = 10_000_000;
/// Days that are looked back to for the last that agreed.
const LOOK_BACK_DAYS: i64 = 92;

/// The families of reconciliation. What stands in the books is read from there when it is asked for, so it is right after a
/// restart and on every node.
#[derive(Debug, Clone)]
pub struct BillMetrics {
    runs: IntCounterVec,
    last_good: IntGauge,
    open: IntGaugeVec,
    unmatched: IntGauge,
}

impl BillMetrics {
    /// Creates and registers the families.
    ///
    /// # Errors
    /// If `registry` has one of them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let runs = Opts::new(
            "tollgate_reconcile_runs_total",
            "Days laid beside WeChat Pay's bill, by what came of it.",
        );
        let open = Opts::new("tollgate_reconcile_open_differences", "Differences that nobody has explained.");
        let metrics = Self {
            runs: IntCounterVec::new(runs, &["result"])?,
            last_good: IntGauge::new(
                "tollgate_reconcile_last_good_timestamp_seconds",
                "When a day was last compared of which nothing is open; 0 if none was.",
            )?,
            open: IntGaugeVec::new(open, &["class"])?,
            unmatched: IntGauge::new(
                "tollgate_reconcile_unmatched_fen",
                "How far the sides of the open differences are apart, together.",
            )?,
        };
        registry.register(Box::new(metrics.runs.clone()))?;
        registry.register(Box::new(metrics.last_good.clone()))?;
        registry.register(Box::new(metrics.open.clone()))?;
        registry.register(Box::new(metrics.unmatched.clone()))?;
        for result in RESULTS {
            metrics.runs.with_label_values(&[result]);
        }
        Ok(metrics)
    }

    /// Reads what stands in the books.
    ///
    /// # Errors
    /// If they cannot be read.
    pub async fn refresh(&self, store: &Store, now: Timestamp) -> Result<(), SubmitError> {
        let open = store.open_bill_differences().await?;
        for class in DifferenceClass::ALL {
            let of_class = open.iter().filter(|row| row.found.class == *class).count();
            let of_class = i64::try_from(of_class).unwrap_or(i64::MAX);
            self.open.with_label_values(&[class.as_str()]).set(of_class);
        }
        let apart = |row: &BillDifference| row.found.unmatched().get();
        self.unmatched.set(open.iter().map(apart).fold(0, i64::saturating_add) / NANO_PER_FEN);
        let Some(today) = BillDate::of(now) else { return Ok(()) };
        let Some(from) = today.before(LOOK_BACK_DAYS) else { return Ok(()) };
        let days = store.bill_days(from.to_string(), today.to_string()).await?;
        let good =
            days.iter().filter(|day| matches!(day.state, BillDayState::Agrees | BillDayState::SignedOff));
        self.last_good.set(good.map(|day| day.at.secs()).max().unwrap_or(0));
        Ok(())
    }
}

/// Told what comparing days comes to.
#[derive(Debug)]
pub struct BillWatch {
    /// What is counted, and the time; nothing where no process serves.
    pub metrics: Option<(BillMetrics, PaymentMetrics, Arc<dyn Clock>)>,
    /// Told whose standing has changed, where a process serves.
    pub holds: Option<Holds>,
}

impl BillWatch {
    fn count(&self, result: &str) {
        if let Some((metrics, ..)) = &self.metrics {
            metrics.runs.with_label_values(&[result]).inc();
        }
    }
}

impl Watcher for BillWatch {
    fn compared(&self, report: &DayReport) {
        let day = &report.day;
        let (mchid, date, open, unmatched) = (&day.mchid, &day.day, day.open, day.unmatched);
        if day.state == BillDayState::Differs {
            self.count("differs");
            tracing::error!(mchid, day = date, open, %unmatched, "WeChat Pay's bill and the books do not agree: `tollgate reconcile report`");
        } else {
            self.count("agrees");
            tracing::info!(mchid, day = date, rows = day.sums.rows, "WeChat Pay's bill and the books agree");
        }
    }

    fn failed(&self, mchid: &str, date: BillDate, error: &RunError) {
        if matches!(error, RunError::NotReady(_)) {
            self.count("not_ready");
            tracing::info!(mchid, day = %date, "WeChat Pay's bill is not ready");
            return;
        }
        self.count("failed");
        if error.is_temporary() {
            tracing::warn!(mchid, day = %date, %error, "a day was not compared with WeChat Pay's bill");
        } else {
            tracing::error!(mchid, day = %date, %error, "a day was not compared with WeChat Pay's bill, and will not be until somebody mends this");
        }
    }

    fn credited(&self, order: &Order) {
        if let Some((_, payments, clock)) = &self.metrics {
            payments.credited(order, CreditSource::Bill.as_str(), clock.now());
        }
    }

    fn stopped(&self, account: AccountId) {
        if let Some(holds) = &self.holds {
            holds.forget(account);
        }
    }
}
