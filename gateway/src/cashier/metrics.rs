//! What is counted about payments.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use payments::{
    channel::ChannelError,
    ledger::{Gate, GateState, Order, RefundBatch, RefundBatchState, RefundItem, RefundItemState},
    refund::RefundObserver,
    topup::{Merchants, Observer, QueryReport},
};
use prometheus::{Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};
use units::{RefundId, Timestamp};

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
    "source_limited",
    "wrong_content_type",
    "oversized",
    "too_slow",
    "error",
];
/// What takes a person.
const ALARMS: &[&str] = &[
    "amount_mismatch",
    "unknown_order",
    "refund_abnormal",
    "refund_not_enough",
    "refund_misconfigured",
    "void_refused",
    "order_misconfigured",
    "topups_stopped",
    "topups_slowed",
];
/// Where a refund item that is not at an end may stand.
const OPEN: &[RefundItemState] = &[
    RefundItemState::Queued,
    RefundItemState::Sent,
    RefundItemState::Unknown,
    RefundItemState::Wait,
    RefundItemState::Processing,
    RefundItemState::Abnormal,
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
    alarms: IntCounterVec,
    credits: IntCounterVec,
    credit_delay: HistogramVec,
    queries: IntCounterVec,
    queries_under_way: IntGauge,
    queries_behind: Gauge,
    refunds: IntCounterVec,
    refunds_pending: IntGaugeVec,
    refund_oldest: IntGauge,
    merchants_on: IntGaugeVec,
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
        let pending = Opts::new(
            "tollgate_refunds_pending",
            "Refund items that are not at an end, by where they stand; on the node that works on them.",
        );
        let refunds_pending = IntGaugeVec::new(pending, &["status"])?;
        registry.register(Box::new(refunds_pending.clone()))?;
        let refund_oldest = IntGauge::new(
            "tollgate_refund_oldest_pending_age_seconds",
            "How long ago the oldest refund item that is not at an end was asked for.",
        )?;
        registry.register(Box::new(refund_oldest.clone()))?;
        let on = Opts::new(
            "tollgate_payment_merchant_on",
            "Whether top-ups by a configured merchant are on: 0 says that its keys do not do.",
        );
        let merchants_on = IntGaugeVec::new(on, &["merchant"])?;
        registry.register(Box::new(merchants_on.clone()))?;
        let queries_under_way =
            IntGauge::new("tollgate_payment_queries_under_way", "Orders that are being asked about.")?;
        registry.register(Box::new(queries_under_way.clone()))?;
        let queries_behind = Gauge::new(
            "tollgate_payment_queries_behind_seconds",
            "For how long an order query has been due that waits because WeChat Pay was asked as often as it may be.",
        )?;
        registry.register(Box::new(queries_behind.clone()))?;
        let metrics = Self {
            queries_under_way,
            queries_behind,
            refunds_pending,
            refund_oldest,
            merchants_on,
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
            alarms: counter(
                "tollgate_payment_alarms_total",
                "Payments and refunds that a person has to look at, each once.",
                &["reason"],
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
        for reason in ALARMS {
            metrics.alarms.with_label_values(&[reason]);
        }
        for state in OPEN {
            metrics.refunds_pending.with_label_values(&[state.as_str()]);
        }
        for source in ["notify", "query", "bill"] {
            metrics.credits.with_label_values(&[source]);
        }
        Ok(metrics)
    }

    /// Which merchants are on, now that their keys were read.
    pub fn merchants(&self, merchants: &Merchants) {
        for merchant in merchants.all() {
            self.merchants_on.with_label_values(&[&merchant.name]).set(i64::from(merchant.off.is_none()));
        }
    }

    /// A step of an order.
    pub fn order(&self, event: &str) {
        self.orders.with_label_values(&["wechat", event]).inc();
    }

    /// A notification, by what became of it.
    pub fn notification(&self, result: &str) {
        self.notifications.with_label_values(&["wechat", result]).inc();
    }

    /// Something that a person has to look at.
    pub fn alarm(&self, reason: &str) {
        self.alarms.with_label_values(&[reason]).inc();
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

    /// An observer of refunds, which counts them and calls for a person where one is needed.
    pub fn refund_observer(&self) -> Arc<dyn RefundObserver> {
        Arc::new(RefundCounter { metrics: self.clone(), short: Mutex::default() })
    }
}

/// Counts how refunds go.
#[derive(Debug)]
struct RefundCounter {
    metrics: PaymentMetrics,
    /// Those that the merchant's balance does not cover, and a person was called for.
    short: Mutex<HashSet<RefundId>>,
}

impl RefundCounter {
    /// It is tried again and again; a person is called once.
    fn is_short_anew(&self, item: &RefundItem) -> bool {
        self.short.lock().unwrap_or_else(PoisonError::into_inner).insert(item.id)
    }

    fn count(&self, status: &str) {
        self.metrics.refunds.with_label_values(&["wechat", status]).inc();
    }
}

impl RefundObserver for RefundCounter {
    fn requested(&self, batch: &RefundBatch) {
        if batch.state == RefundBatchState::Waiting {
            tracing::warn!(refund = %batch.id, amount = %batch.amount, "a refund waits for an operator to agree");
            self.count("waiting");
        } else {
            self.count("queued");
        }
    }

    fn moved(&self, item: &RefundItem) {
        self.count(item.state.public());
        match item.state {
            RefundItemState::Abnormal => {
                tracing::error!(
                    item = %item.id, order = %item.order, amount = %item.amount,
                    "a refund left us and cannot reach the payer: see to it in WeChat Pay's merchant platform"
                );
                self.metrics.alarm("refund_abnormal");
            }
            RefundItemState::Wait if self.is_short_anew(item) => {
                tracing::error!(
                    item = %item.id, order = %item.order, amount = %item.amount,
                    "the merchant's balance does not cover a refund: top it up in WeChat Pay's merchant platform"
                );
                self.metrics.alarm("refund_not_enough");
            }
            RefundItemState::Refused | RefundItemState::Closed if item.payment.is_some() => {
                tracing::error!(
                    item = %item.id, order = %item.order, amount = %item.amount, why = item.detail,
                    "a payment that was put aside did not go back: it waits for a decision again"
                );
                self.metrics.alarm("void_refused");
            }
            _ => {}
        }
        if item.state.is_end() {
            self.short.lock().unwrap_or_else(PoisonError::into_inner).remove(&item.id);
        }
    }

    fn misconfigured(&self, item: &RefundItem, error: &ChannelError) {
        tracing::error!(item = %item.id, order = %item.order, %error, "refunds cannot be asked for as this is set up");
        self.metrics.alarm("refund_misconfigured");
    }

    fn open(&self, items: &[RefundItem], now: Timestamp) {
        for state in OPEN {
            let standing = items.iter().filter(|item| item.state == *state).count();
            let gauge = self.metrics.refunds_pending.with_label_values(&[state.as_str()]);
            gauge.set(i64::try_from(standing).unwrap_or(i64::MAX));
        }
        let oldest = items.iter().map(|item| now.since(item.created_at).as_secs()).max().unwrap_or(0);
        self.metrics.refund_oldest.set(i64::try_from(oldest).unwrap_or(i64::MAX));
    }
}

impl Observer for QueryCounter {
    fn misconfigured(&self, order: &Order, error: &ChannelError) {
        tracing::error!(
            order = %order.id, merchant = order.merchant, %error,
            "orders cannot be made known to WeChat Pay as this is set up"
        );
        self.metrics.alarm("order_misconfigured");
    }

    fn gate(&self, gate: &Gate) {
        let (scope, id, why) = (gate.scope.as_str(), &gate.id, &gate.why);
        match gate.state {
            GateState::Stopped => {
                tracing::error!(scope, id, why, "top-ups are stopped until an operator opens them");
                self.metrics.alarm("topups_stopped");
            }
            GateState::Slow => {
                tracing::warn!(scope, id, why, "there is a pause between top-ups now");
                self.metrics.alarm("topups_slowed");
            }
            GateState::Open => tracing::info!(scope, id, why, "top-ups are open again"),
        }
    }

    fn asking(&self) {
        self.metrics.queries_under_way.inc();
    }

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
                self.metrics.alarm("amount_mismatch");
                "quarantined"
            }
            QueryReport::Nothing => "nothing",
            QueryReport::Over => "over",
            QueryReport::Failed => "failed",
        };
        self.metrics.queries_under_way.dec();
        self.metrics.queries.with_label_values(&[result]).inc();
    }

    fn behind(&self, by: Duration) {
        self.metrics.queries_behind.set(by.as_secs_f64());
    }
}
