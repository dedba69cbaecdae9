//! How does the merchant hear of it, and how often do we try? One ladder for both APIs; each says it in its own way and
//! listens for its own reply.
use std::sync::Arc;

use futures_util::future::join_all;
use http::header;
use serde::Serialize;
use serde_json::{Value, json};

use super::handshake;
use super::merchant::Merchant;
use super::orders::Order;
use super::refunds::Refund;
use super::v2::xml::Fields;
use super::v2::{self, SignType};
use super::v3;
use crate::clock::{beijing, beijing_digits, rfc3339};
use crate::faults::{Api, At, Fault, Notice, RefundStatus, Site};
use crate::random;
use crate::state::World;

/// Waits between deliveries, seconds: fifteen repeats over a day and four minutes.
const LADDER_S: [i64; 15] =
    [15, 15, 30, 180, 600, 1_200, 1_800, 1_800, 1_800, 3_600, 10_800, 10_800, 10_800, 21_600, 21_600];
/// How old a stale notification claims to be, seconds.
const STALE_S: i64 = 600;
/// How long a notification lets others go first, seconds.
const REORDER_S: i64 = 15;
/// How much of a reply is remembered, characters.
const REPLY_MAX: usize = 300;

/// Something a merchant is to be told.
#[derive(Debug, Clone)]
pub(super) struct Event {
    id: String,
    /// v3's name of it; v2 has none.
    kind: &'static str,
    notice: Notice,
    /// Where deliveries are written down.
    out_trade_no: String,
    url: String,
    created: i64,
    letter: Letter,
}

/// What it says, before it is sealed or signed.
#[derive(Debug, Clone)]
enum Letter {
    V3 { original_type: &'static str, summary: &'static str, content: Value },
    V2Payment { content: Fields, sign_type: SignType },
    V2Refund { content: Fields, appid: String },
}

/// One attempt to tell, as the controls show it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Delivery {
    at: String,
    api: Api,
    event_id: String,
    event_type: &'static str,
    /// From 1; 0 for a copy that was asked for.
    attempt: usize,
    /// What the merchant answered, if it did.
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    /// Whether that counts as taken.
    taken: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", flatten)]
    fault: Option<Fault>,
}

/// What a merchant has replied.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    body: Vec<u8>,
}

type Told = Result<Reply, String>;

impl Event {
    fn new(
        kind: &'static str,
        notice: Notice,
        out_trade_no: &str,
        url: &str,
        now: i64,
        letter: Letter,
    ) -> Self {
        let id = format!("EV-{}{}", beijing_digits(now), random::digits(14));
        Self { id, kind, notice, out_trade_no: out_trade_no.into(), url: url.into(), created: now, letter }
    }

    /// That an order was paid, in the words of the API that made it.
    pub(super) fn of_payment(order: &Order, mchid: &str, now: i64) -> Self {
        let letter = match order.api() {
            Api::V3 => Letter::V3 {
                original_type: "transaction",
                summary: "支付成功",
                content: v3::transaction(order, mchid),
            },
            Api::V2 => Letter::V2Payment {
                content: v2::notices::payment(order, mchid),
                sign_type: order.sign_type(),
            },
        };
        let (number, url) = (order.out_trade_no(), order.notify_url());
        Self::new("TRANSACTION.SUCCESS", Notice::Payment, number, url, now, letter)
    }

    /// That a refund has ended, in the words of the API that asked for it. `None`: nobody wants to know.
    pub(super) fn of_refund(refund: &Refund, mchid: &str, now: i64) -> Option<Self> {
        let url = refund.notify_url()?;
        let (kind, summary) = match refund.status {
            RefundStatus::Processing => return None,
            RefundStatus::Success => ("REFUND.SUCCESS", "退款成功"),
            RefundStatus::Closed => ("REFUND.CLOSED", "退款关闭"),
            RefundStatus::Abnormal => ("REFUND.ABNORMAL", "退款异常"),
        };
        let letter = match refund.api() {
            Api::V3 => {
                let content = v3::refund_notice(refund, mchid);
                Letter::V3 { original_type: "refund", summary, content }
            }
            Api::V2 => Letter::V2Refund {
                content: v2::notices::refund(refund),
                appid: refund.appid().unwrap_or_default().to_owned(),
            },
        };
        Some(Self::new(kind, Notice::Refund, &refund.out_trade_no, url, now, letter))
    }

    /// That the risk control has something to say; under an id of the caller's, if it has one.
    pub(super) fn of_risk(url: &str, content: Value, id: Option<String>, now: i64) -> Self {
        let letter = Letter::V3 { original_type: "risk", summary: "风险通知", content };
        let event = Self::new("RISK.ACCOUNT", Notice::Risk, "", url, now, letter);
        match id {
            Some(id) => Self { id, ..event },
            None => event,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    fn api(&self) -> Api {
        if matches!(self.letter, Letter::V3 { .. }) { Api::V3 } else { Api::V2 }
    }

    /// The fault that waits for the next delivery of this.
    fn fault(&self, world: &World, merchant: &Merchant) -> Option<Fault> {
        let at = At::Notification(self.api(), self.notice);
        world.faults.take(Site::WeChat(merchant.mchid(), at))
    }

    /// The bytes and the headers of one delivery, freshly signed.
    fn written(
        &self,
        world: &World,
        merchant: &Merchant,
        fault: Option<&Fault>,
    ) -> (Vec<u8>, Vec<(&'static str, String)>) {
        let credentials = &merchant.platform.credentials;
        match &self.letter {
            Letter::V3 { original_type, summary, content } => {
                let body = self.envelope(merchant, original_type, summary, content, fault);
                let now = world.now().div_euclid(1_000_000);
                let stale = matches!(fault, Some(Fault::StaleNotification {}));
                let signed_at = if stale { now - STALE_S } else { now };
                let mut proof = merchant.platform.of_chance().sign(signed_at, &body);
                match fault {
                    Some(Fault::BadSignature { .. }) => proof.spoil(),
                    Some(Fault::SignatureProbe { .. }) => proof.probe(),
                    _ => {}
                }
                let mut headers: Vec<(&'static str, String)> =
                    proof.headers().map(|(name, value)| (name, value.to_owned())).to_vec();
                headers.push((header::CONTENT_TYPE.as_str(), "application/json".into()));
                (body, headers)
            }
            Letter::V2Payment { content, sign_type } => {
                let body = v2::notices::payment_body(content, *sign_type, &credentials.api_v2_key, fault);
                (body, vec![(header::CONTENT_TYPE.as_str(), "text/xml".into())])
            }
            Letter::V2Refund { content, appid } => {
                let body = v2::notices::refund_body(content, appid, credentials, fault);
                (body, vec![(header::CONTENT_TYPE.as_str(), "text/xml".into())])
            }
        }
    }

    fn envelope(
        &self,
        merchant: &Merchant,
        original_type: &str,
        summary: &str,
        content: &Value,
        fault: Option<&Fault>,
    ) -> Vec<u8> {
        let mut content = content.clone();
        match fault {
            Some(Fault::WrongAmount { total }) => content["amount"]["total"] = (*total).into(),
            Some(Fault::WrongMchid {}) => content["mchid"] = "1900000001".into(),
            Some(Fault::WrongAppid {}) => content["appid"] = "wx0000000000000000".into(),
            Some(Fault::WrongCurrency {}) => content["amount"]["currency"] = "USD".into(),
            Some(Fault::UnknownOrder {}) => {
                content["out_trade_no"] = format!("UNKNOWN{}", random::digits(12)).into()
            }
            _ => {}
        }
        let envelope = json!({
            "id": self.id,
            "create_time": beijing(self.created),
            "resource_type": "encrypt-resource",
            "event_type": self.kind,
            "summary": summary,
            "resource": merchant.platform.seal(original_type, &content),
        });
        envelope.to_string().into_bytes()
    }

    /// Posts the event once.
    pub(super) async fn post(&self, world: &World, merchant: &Merchant, fault: Option<&Fault>) -> Told {
        handshake::shake(world, &self.url).await?;
        let (body, headers) = self.written(world, merchant, fault);
        let mut request = world.postman.post(&self.url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let sent = async {
            let answer = request.body(body).send().await?;
            let status = answer.status().as_u16();
            Ok(Reply { status, body: answer.bytes().await?.to_vec() })
        };
        let told = tokio::select! {
            sent = sent => sent.map_err(|error: reqwest::Error| {
                if error.is_timeout() { "no answer within 5 s".into() } else { error.to_string() }
            }),
            () = world.stop.cancelled() => Err("the simulator stops".into()),
        };
        world.wechat.told.send_modify(|told| *told += 1);
        told
    }

    /// Whether the merchant has said that it took it: v3 by the status, v2 by the word.
    fn taken(&self, told: &Told) -> bool {
        told.as_ref().is_ok_and(|reply| match self.api() {
            Api::V3 => matches!(reply.status, 200..=299),
            Api::V2 => v2::notices::taken(reply.status, &reply.body),
        })
    }

    fn log(&self, merchant: &Merchant, at: i64, attempt: usize, told: &Told, fault: Option<&Fault>) {
        let reply = told.as_ref().ok().filter(|reply| !reply.body.is_empty());
        let reply = reply.map(|reply| String::from_utf8_lossy(&reply.body).chars().take(REPLY_MAX).collect());
        let delivery = Delivery {
            at: rfc3339(at),
            api: self.api(),
            event_id: self.id.clone(),
            event_type: self.kind,
            attempt,
            status: told.as_ref().ok().map(|reply| reply.status),
            reply,
            taken: self.taken(told),
            error: told.as_ref().err().cloned(),
            fault: fault.cloned(),
        };
        if let Some(order) = merchant.books().order_mut(&self.out_trade_no) {
            order.delivered(delivery);
        }
    }
}

/// Tells the merchant in the background, until it listens or the ladder ends.
pub(super) fn announce(world: &Arc<World>, merchant: &Arc<Merchant>, event: Arc<Event>) {
    let (world, merchant) = (Arc::clone(world), Arc::clone(merchant));
    world.tasks.clone().spawn(async move { climb(&world, &merchant, &event).await });
}

async fn climb(world: &World, merchant: &Merchant, event: &Event) {
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
        let fault = lost_for_good.clone().or_else(|| event.fault(world, merchant));
        let done = match &fault {
            Some(Fault::DropNotification { all }) => {
                if *all {
                    lost_for_good.clone_from(&fault);
                }
                event.log(merchant, at, attempt, &Err("lost on the way".into()), fault.as_ref());
                false
            }
            Some(Fault::DuplicateNotification { copies }) => {
                let sent = join_all((0..*copies).map(|_| event.post(world, merchant, None))).await;
                sent.iter().for_each(|told| event.log(merchant, at, attempt, told, fault.as_ref()));
                sent.iter().any(|told| event.taken(told))
            }
            _ => {
                if !held_back(world, fault.as_ref(), at).await {
                    return;
                }
                at = world.now();
                let told = event.post(world, merchant, fault.as_ref()).await;
                event.log(merchant, at, attempt, &told, fault.as_ref());
                // A probe is no delivery, whatever the merchant said to it: the proper one follows.
                event.taken(&told) && !matches!(fault, Some(Fault::SignatureProbe { .. }))
            }
        };
        if done {
            return;
        }
    }
    tracing::info!(event = %event.id, "sim: the ladder has ended, the merchant was not reached");
}

/// Waits for as long as a fault wants a delivery to wait; `false` if the simulator stops first.
async fn held_back(world: &World, fault: Option<&Fault>, at: i64) -> bool {
    match fault {
        Some(Fault::DelayNotification { ms }) => world.sleep_until(super::after(at, *ms)).await,
        Some(Fault::ReorderNotification {}) => {
            let mut told = world.wechat.told.subscribe();
            tokio::select! {
                other = told.changed() => other.is_ok(),
                waited = world.sleep_until(at + REORDER_S * 1_000_000) => waited,
            }
        }
        _ => true,
    }
}

/// Sends copies of an event now, whatever came of it before; what the merchant answered to each.
pub(super) async fn repeat(
    world: &World,
    merchant: &Merchant,
    event: &Event,
    copies: usize,
    concurrent: bool,
) -> Vec<Option<u16>> {
    let one = async || {
        let at = world.now();
        let told = event.post(world, merchant, None).await;
        event.log(merchant, at, 0, &told, None);
        told.ok().map(|reply| reply.status)
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

/// Tells the merchant once and waits for what it says, faults and all.
pub(super) async fn once(world: &World, merchant: &Merchant, event: &Event) -> Told {
    let fault = event.fault(world, merchant);
    match &fault {
        Some(Fault::DropNotification { .. }) => Err("lost on the way".into()),
        Some(Fault::DuplicateNotification { copies }) => {
            let sent = join_all((0..*copies).map(|_| event.post(world, merchant, None))).await;
            sent.into_iter().next_back().unwrap_or_else(|| Err("nothing was sent".into()))
        }
        fault => {
            if !held_back(world, fault.as_ref(), world.now()).await {
                return Err("the simulator stops".into());
            }
            event.post(world, merchant, fault.as_ref()).await
        }
    }
}
