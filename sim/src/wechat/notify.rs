//! How does the merchant hear of it, and how often do we try?
use std::sync::Arc;

use futures_util::future::join_all;
use http::header;
use serde::Serialize;
use serde_json::{Value, json};

use super::signing::Proof;
use crate::clock::{beijing, beijing_digits, rfc3339};
use crate::faults::{Fault, Site};
use crate::random;
use crate::state::World;

/// Waits between deliveries, seconds: fifteen repeats over a day and four minutes.
const LADDER_S: [i64; 15] =
    [15, 15, 30, 180, 600, 1_200, 1_800, 1_800, 1_800, 3_600, 10_800, 10_800, 10_800, 21_600, 21_600];
/// How old a stale notification claims to be, seconds.
const STALE_S: i64 = 600;

/// Something a merchant is to be told.
#[derive(Debug, Clone)]
pub(super) struct Event {
    id: String,
    kind: &'static str,
    /// Where deliveries are written down.
    out_trade_no: String,
    url: String,
    created: i64,
    content: Value,
}

/// One attempt to tell, as the controls show it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Delivery {
    at: String,
    event_id: String,
    event_type: &'static str,
    /// From 1; 0 for a copy that was asked for.
    attempt: usize,
    /// What the merchant answered, if it did.
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    fault: Option<Fault>,
}

impl Event {
    pub(super) fn new(kind: &'static str, out_trade_no: &str, url: String, now: i64, content: Value) -> Self {
        let id = format!("EV-{}{}", beijing_digits(now), random::digits(14));
        Self { id, kind, out_trade_no: out_trade_no.into(), url, created: now, content }
    }

    fn envelope(&self, world: &World, fault: Option<&Fault>) -> Vec<u8> {
        let mut content = self.content.clone();
        match fault {
            Some(Fault::WrongAmount { total }) => content["amount"]["total"] = (*total).into(),
            Some(Fault::WrongMchid {}) => content["mchid"] = "1900000001".into(),
            Some(Fault::UnknownOrder {}) => {
                content["out_trade_no"] = format!("UNKNOWN{}", random::digits(12)).into()
            }
            _ => {}
        }
        let (original_type, summary) = match self.kind {
            "TRANSACTION.SUCCESS" => ("transaction", "支付成功"),
            "REFUND.SUCCESS" => ("refund", "退款成功"),
            "REFUND.CLOSED" => ("refund", "退款关闭"),
            _ => ("refund", "退款异常"),
        };
        let envelope = json!({
            "id": self.id,
            "create_time": beijing(self.created),
            "resource_type": "encrypt-resource",
            "event_type": self.kind,
            "summary": summary,
            "resource": world.platform.seal(original_type, &content),
        });
        envelope.to_string().into_bytes()
    }

    /// Posts the event once, freshly signed.
    async fn post(&self, world: &World, fault: Option<&Fault>) -> Result<u16, String> {
        let body = self.envelope(world, fault);
        let now = world.now().div_euclid(1_000_000);
        let signed_at = if matches!(fault, Some(Fault::StaleNotification {})) { now - STALE_S } else { now };
        let mut proof: Proof = world.platform.sign(signed_at, &body);
        match fault {
            Some(Fault::BadSignature { .. }) => proof.spoil(),
            Some(Fault::SignatureProbe { .. }) => proof.probe(),
            _ => {}
        }
        let mut request = world.postman.post(&self.url).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in proof.headers() {
            request = request.header(name, value);
        }
        request = request.header("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048").body(body);
        tokio::select! {
            sent = request.send() => match sent {
                Ok(response) => Ok(response.status().as_u16()),
                Err(error) if error.is_timeout() => Err("no answer within 5 s".into()),
                Err(error) => Err(error.to_string()),
            },
            () = world.stop.cancelled() => Err("the simulator stops".into()),
        }
    }

    fn log(&self, world: &World, at: i64, attempt: usize, told: &Result<u16, String>, fault: Option<&Fault>) {
        let delivery = Delivery {
            at: rfc3339(at),
            event_id: self.id.clone(),
            event_type: self.kind,
            attempt,
            status: told.as_ref().ok().copied(),
            error: told.as_ref().err().cloned(),
            fault: fault.cloned(),
        };
        if let Some(order) = world.books().order_mut(&self.out_trade_no) {
            order.delivered(delivery);
        }
    }
}

fn heard(told: &Result<u16, String>) -> bool {
    matches!(told, Ok(200..=299))
}

/// Tells the merchant in the background, until it listens or the ladder ends.
pub(super) fn announce(world: &Arc<World>, event: Arc<Event>) {
    let world = Arc::clone(world);
    world.tasks.clone().spawn(async move { climb(&world, &event).await });
}

async fn climb(world: &World, event: &Event) {
    let mut lost_for_good = None;
    let mut at = world.now();
    for attempt in 1..=LADDER_S.len() + 1 {
        if attempt > 1 {
            // Counted from the beginning of the attempt before.
            if !world.sleep_until(at + LADDER_S[attempt - 2] * 1_000_000).await {
                return;
            }
            at = world.now();
        }
        let fault = lost_for_good.clone().or_else(|| world.faults.take(Site::Notification));
        let done = match &fault {
            Some(Fault::DropNotification { all }) => {
                if *all {
                    lost_for_good.clone_from(&fault);
                }
                event.log(world, at, attempt, &Err("lost on the way".into()), fault.as_ref());
                false
            }
            Some(Fault::DuplicateNotification { copies }) => {
                let sent = join_all((0..*copies).map(|_| event.post(world, None))).await;
                sent.iter().for_each(|told| event.log(world, at, attempt, told, fault.as_ref()));
                sent.iter().any(heard)
            }
            _ => {
                if let Some(Fault::DelayNotification { ms }) = &fault {
                    let delay = i64::try_from(*ms).unwrap_or(i64::MAX).saturating_mul(1_000);
                    if !world.sleep_until(at.saturating_add(delay)).await {
                        return;
                    }
                    at = world.now();
                }
                let told = event.post(world, fault.as_ref()).await;
                event.log(world, at, attempt, &told, fault.as_ref());
                // A probe is no delivery, whatever the merchant said to it: the proper one follows.
                heard(&told) && !matches!(fault, Some(Fault::SignatureProbe { .. }))
            }
        };
        if done {
            return;
        }
    }
    tracing::info!(event = %event.id, "sim: the ladder has ended, the merchant was not reached");
}

/// Sends copies of an event now, whatever came of it before; what the merchant answered to each.
pub(super) async fn repeat(
    world: &World,
    event: &Event,
    copies: usize,
    concurrent: bool,
) -> Vec<Option<u16>> {
    let one = async || {
        let at = world.now();
        let told = event.post(world, None).await;
        event.log(world, at, 0, &told, None);
        told.ok()
    };
    if concurrent {
        return join_all((0..copies).map(|_| one())).await;
    }
    let mut statuses = Vec::with_capacity(copies);
    for _ in 0..copies {
        statuses.push(one().await);
    }
    statuses
}
