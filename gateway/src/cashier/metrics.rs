//! What is counted about payments.

use std::sync::Arc;

use payments::{
    ledger::Order,
    topup::{Observer, QueryReport},
};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use units::Timestamp;

/// Every step of an order that is counted.
const EVENTS: &[&str] = &["created", "paid", "credited", "closed", "late_paid", "failed"];
/// Every way a notification can go.
const RESULTS: &[&str] = &[
    "accepted",
    "duplicate",
    "signature_probe",
    "bad_signature",
    "missing_header",
    "unsupported_type",
    "unknown_serial",
    "decrypt_failed",
    "stale",
    "malformed",
    "amount_mismatch",
    "unknown_order",
    "unknown_merchant",
    "return_code_fail",
    "missing_sign",
    "sign_type_mismatch",
    "bad_amount",
    "doctype",
    "ignored",
    "error",
];
/// From payment to credit, in seconds.
const DELAYS: &[f64] = &[
    0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 10_800.0, 21_600.0, 86_400.0,
];

/// The payment families.
#[derive(Debug, Clone)]
pub struct PaymentMetrics {
    orders: IntCounterVec,
    notifications: IntCounterVec,
    credits: IntCounterVec,
    credit_delay: HistogramVec,
    queries: IntCounterVec,
    refunds: IntCounterVec,
}

impl PaymentMetrics {
    /// Creates and registers the families.
    ///
    /// # Errors
    /// If `registry` has one of them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let family = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        };
        let opts = HistogramOpts::new("tollgate_payment_credit_delay_seconds", "From payment to credit.");
        let credit_delay = HistogramVec::new(opts.buckets(DELAYS.to_vec()), &["source"])?;
        registry.register(Box::new(credit_delay.clone()))?;
        let metrics = Self {
            orders: counter(
                "tollgate_payment_orders_total",
                "Top-up orders by what happened.",
                &["channel", "event"],
            )?,
            notifications: counter(
                "tollgate_payment_notifications_total",
                "Payment notifications by what became of them.",
                &["channel", "result"],
            )?,
            credits: counter(
                "tollgate_payment_credits_total",
                "Credited payments by how we knew.",
                &["source"],
            )?,
            credit_delay,
            queries: counter(
                "tollgate_payment_queries_total",
                "Order queries by what they found.",
                &["result"],
            )?,
            refunds: counter(
                "tollgate_refunds_total",
                "Refunds by the state they reached.",
                &["channel", "status"],
            )?,
        };
        for event in EVENTS {
            metrics.orders.with_label_values(&["wechat", event]);
        }
        for result in RESULTS {
            metrics.notifications.with_label_values(&["wechat", result]);
        }
        for source in ["notify", "query", "bill"] {
            metrics.credits.with_label_values(&[source]);
        }
        Ok(metrics)
    }

    /// A step of an order.
    pub fn order(&self, event: &str) {
        self.orders.with_label_values(&["wechat", event]).inc();
    }

    /// A notification, by what became of it.
    pub fn notification(&self, result: &str) {
        self.notifications.with_label_values(&["wechat", result]).inc();
    }

    /// A refund that reached a state.
    pub fn refund(&self, status: &str) {
        self.refunds.with_label_values(&["wechat", status]).inc();
    }

    /// A payment that was credited at `now`.
    pub fn credited(&self, order: &Order, source: &str, now: Timestamp) {
        self.order("paid");
        self.order("credited");
        if order.timeline.iter().any(|step| step.event == "late") {
            self.order("late_paid");
        }
        self.credits.with_label_values(&[source]).inc();
        if let Some(paid_at) = order.paid_at {
            self.credit_delay.with_label_values(&[source]).observe(now.since(paid_at).as_secs_f64());
        }
    }
}

/// Counts what order queries find.
#[derive(Debug)]
struct QueryCounter {
    metrics: PaymentMetrics,
    clock: Arc<dyn units::Clock>,
}

impl PaymentMetrics {
    /// An observer of the watch over unpaid orders.
    pub fn observer(&self, clock: Arc<dyn units::Clock>) -> Arc<dyn Observer> {
        Arc::new(QueryCounter { metrics: self.clone(), clock })
    }
}

impl Observer for QueryCounter {
    fn queried(&self, report: &QueryReport) {
        let result = match report {
            QueryReport::Credited(order) => {
                self.metrics.credited(order, "query", self.clock.now());
                "credited"
            }
            QueryReport::Closed(_) => {
                self.metrics.order("closed");
                "closed"
            }
            QueryReport::Quarantined(order) => {
                tracing::error!(order = %order.id, "a payment does not agree with its order; nothing was credited");
                "quarantined"
            }
            QueryReport::Nothing => "nothing",
            QueryReport::Failed => "failed",
        };
        self.metrics.queries.with_label_values(&[result]).inc();
    }
}
