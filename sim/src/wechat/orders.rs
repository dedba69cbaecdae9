//! What state is an order in, and what may be done with it? One set of books for a merchant number, whichever API asks.
use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::bills::Spoilt;
use super::fees::{Terms, share};
use super::notify::{Delivery, Event};
use super::refunds::Refund;
use super::refusal::Refusal;
use super::v2::SignType;
use crate::clock::{beijing_day, beijing_digits, rfc3339};
use crate::faults::Api;
use crate::random;

/// Orders this simulator keeps; it never forgets one.
const ORDERS_MAX: usize = 200_000;
/// Deliveries remembered for each order.
const DELIVERIES_MAX: usize = 500;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// A code or a `prepay_id` works this long; the order may live longer.
const PREPAY_LIFE: i64 = 120 * MINUTE;
/// A link of H5 works this long.
const H5_LIFE: i64 = 5 * MINUTE;
/// v2 closes no order that is younger.
const V2_CLOSE_AGE_MIN: i64 = 5 * MINUTE;

/// How far an order has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum TradeState {
    #[serde(rename = "NOTPAY")]
    NotPay,
    #[serde(rename = "SUCCESS")]
    Success,
    #[serde(rename = "REFUND")]
    Refund,
    #[serde(rename = "CLOSED")]
    Closed,
}

impl TradeState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NotPay => "NOTPAY",
            Self::Success => "SUCCESS",
            Self::Refund => "REFUND",
            Self::Closed => "CLOSED",
        }
    }

    pub(super) fn described(self) -> &'static str {
        match self {
            Self::NotPay => "订单未支付",
            Self::Success => "支付成功",
            Self::Refund => "订单发生过退款",
            Self::Closed => "订单已关闭",
        }
    }
}

/// Where the payer is while paying.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum TradeType {
    /// Scans a code.
    #[serde(rename = "NATIVE")]
    Native,
    /// On a page inside WeChat, or in a Mini Program.
    #[serde(rename = "JSAPI")]
    Jsapi,
    /// In a phone's browser: H5.
    #[serde(rename = "MWEB")]
    Mweb,
}

impl TradeType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Native => "NATIVE",
            Self::Jsapi => "JSAPI",
            Self::Mweb => "MWEB",
        }
    }
}

/// What a create call asks for, checked.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) api: Api,
    /// v2's algorithm, which also signs the notification.
    pub(super) sign_type: Option<SignType>,
    pub(super) trade_type: TradeType,
    pub(super) appid: String,
    pub(super) out_trade_no: String,
    pub(super) description: String,
    pub(super) attach: Option<String>,
    pub(super) notify_url: String,
    /// Fen.
    pub(super) total: i64,
    pub(super) time_expire: Option<i64>,
    /// `device_info` or `scene_info.device_id`.
    pub(super) device: Option<String>,
    /// Who alone may pay: of JSAPI.
    pub(super) openid: Option<String>,
    /// The whole request, as far as a repeat has to be identical.
    pub(super) asked: Value,
}

/// What leads a payer to an order; a repeated create call makes a new one and the former leads nowhere.
#[derive(Debug, Clone)]
pub(super) struct Prepay {
    pub(super) id: String,
    /// In the QR code.
    code: String,
    /// In the link of H5.
    package: String,
    made: i64,
}

impl Prepay {
    fn new(now: i64) -> Self {
        Self {
            id: format!("wx{}{}", &beijing_digits(now)[6..], random::hex_upper(26).to_ascii_lowercase()),
            code: random::alnum(9),
            package: random::digits(10),
            made: now,
        }
    }
}

/// One order.
#[derive(Debug)]
pub(crate) struct Order {
    wish: Wish,
    pub(crate) created: i64,
    pub(crate) expires: i64,
    prepay: Prepay,
    pub(crate) state: TradeState,
    pub(crate) payment: Option<Payment>,
    /// What the merchant is told of the payment, as often as it takes.
    pub(super) news: Option<Arc<Event>>,
    pub(crate) refunds: Vec<Refund>,
    pub(super) deliveries: Vec<Delivery>,
}

/// That an order was paid.
#[derive(Debug)]
pub(crate) struct Payment {
    pub(crate) transaction_id: String,
    pub(super) openid: String,
    pub(crate) at: i64,
    /// What WeChat Pay keeps, fen, and its rate.
    pub(super) fee: i64,
    pub(super) basis_points: u32,
}

/// How somebody pays.
#[derive(Debug, Default)]
pub(crate) struct Paying {
    /// Who, if it matters.
    pub(crate) payer: Option<String>,
    /// Even if the order is closed or has expired: the money was on its way already.
    pub(crate) late: bool,
}

/// Why nobody can pay this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpayable {
    Unknown,
    Paid,
    Closed,
    Expired,
    /// The order is for somebody else.
    Stranger,
}

impl Unpayable {
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Unknown => "no such order",
            Self::Paid => "the order is paid",
            Self::Closed => "the order is closed",
            Self::Expired => "the order has expired",
            Self::Stranger => "the order is for another payer",
        }
    }
}

/// All orders and refunds of a merchant.
#[derive(Debug)]
pub(crate) struct Books {
    pub(super) mchid: String,
    orders: HashMap<String, Order>,
    /// Order numbers, oldest first.
    sequence: Vec<String>,
    by_transaction: HashMap<String, String>,
    /// Refund number to order number.
    pub(super) by_refund: HashMap<String, String>,
    /// What was paid in a month, for the fees: `yyyy-MM` and fen.
    month: (String, i64),
    /// What goes wrong with the bills of a day, `yyyy-MM-dd`; made up when the first of them is asked for.
    pub(super) bill_faults: HashMap<String, Vec<Spoilt>>,
}

impl Order {
    pub(super) fn api(&self) -> Api {
        self.wish.api
    }
    pub(super) fn sign_type(&self) -> SignType {
        self.wish.sign_type.unwrap_or_default()
    }
    pub(crate) fn trade_type(&self) -> TradeType {
        self.wish.trade_type
    }
    pub(super) fn appid(&self) -> &str {
        &self.wish.appid
    }
    pub(crate) fn out_trade_no(&self) -> &str {
        &self.wish.out_trade_no
    }
    pub(crate) fn description(&self) -> &str {
        &self.wish.description
    }
    pub(super) fn attach(&self) -> Option<&str> {
        self.wish.attach.as_deref()
    }
    pub(super) fn device(&self) -> Option<&str> {
        self.wish.device.as_deref()
    }
    pub(super) fn notify_url(&self) -> &str {
        &self.wish.notify_url
    }
    pub(crate) fn total(&self) -> i64 {
        self.wish.total
    }
    pub(super) fn prepay_id(&self) -> &str {
        &self.prepay.id
    }

    pub(crate) fn code_url(&self) -> String {
        format!("weixin://wxpay/bizpayurl?pr={}", self.prepay.code)
    }

    /// Where a phone's browser goes to pay, on the simulator itself: there is no WeChat to take it to.
    pub(super) fn h5_url(&self, base: &str) -> String {
        format!("{base}/phone/h5?prepay_id={}&package={}", self.prepay.id, self.prepay.package)
    }

    /// Whether a QR code shows this order: only its latest code does, and only for two hours.
    pub(crate) fn shown_by(&self, code_url: &str, now: i64) -> bool {
        self.trade_type() == TradeType::Native
            && self.code_url() == code_url
            && now < self.prepay.made + PREPAY_LIFE
    }

    /// Whether a link of H5 leads here: only the latest does, and only for five minutes.
    pub(crate) fn linked_by(&self, prepay_id: &str, package: &str, now: i64) -> bool {
        self.trade_type() == TradeType::Mweb
            && self.prepay.id == prepay_id
            && self.prepay.package == package
            && now < self.prepay.made + H5_LIFE
    }

    /// Whether a page inside WeChat may call up this order with it.
    pub(super) fn called_by(&self, prepay_id: &str, now: i64) -> bool {
        self.trade_type() == TradeType::Jsapi
            && self.prepay.id == prepay_id
            && now < self.prepay.made + PREPAY_LIFE
    }

    pub(crate) fn payable(&self, now: i64) -> Result<(), Unpayable> {
        match self.state {
            TradeState::Success | TradeState::Refund => Err(Unpayable::Paid),
            TradeState::Closed => Err(Unpayable::Closed),
            TradeState::NotPay if now > self.expires => Err(Unpayable::Expired),
            TradeState::NotPay => Ok(()),
        }
    }

    pub(super) fn delivered(&mut self, delivery: Delivery) {
        if self.deliveries.len() < DELIVERIES_MAX {
            self.deliveries.push(delivery);
        }
    }

    /// For the controls.
    pub(crate) fn shown(&self, mchid: &str) -> Value {
        let native = self.trade_type() == TradeType::Native;
        json!({
            "mchid": mchid,
            "appid": self.appid(),
            "api": self.api(),
            "trade_type": self.trade_type(),
            "out_trade_no": self.out_trade_no(),
            "description": self.description(),
            "attach": self.attach(),
            "device": self.device(),
            "total": self.total(),
            "currency": "CNY",
            "notify_url": self.notify_url(),
            "prepay_id": self.prepay.id,
            "code_url": native.then(|| self.code_url()),
            "trade_state": self.state,
            "created_at": rfc3339(self.created),
            "expires_at": rfc3339(self.expires),
            "transaction_id": self.payment.as_ref().map(|payment| &payment.transaction_id),
            "payer": self.payment.as_ref().map(|payment| &payment.openid).or(self.wish.openid.as_ref()),
            "paid_at": self.payment.as_ref().map(|payment| rfc3339(payment.at)),
            "fee": self.payment.as_ref().map(|payment| payment.fee),
            "deliveries": self.deliveries,
            "refunds": self.refunds.iter().map(Refund::controls).collect::<Vec<_>>(),
        })
    }
}

impl Books {
    pub(super) fn of(mchid: &str) -> Self {
        Self {
            mchid: mchid.to_owned(),
            orders: HashMap::new(),
            sequence: Vec::new(),
            by_transaction: HashMap::new(),
            by_refund: HashMap::new(),
            month: (String::new(), 0),
            bill_faults: HashMap::new(),
        }
    }

    /// Creates an order, or opens a fresh way to the one that is there.
    pub(super) fn create(&mut self, wish: Wish, now: i64) -> Result<&Order, Refusal> {
        let number = wish.out_trade_no.clone();
        if let Some(order) = self.orders.get_mut(&number) {
            match order.payable(now) {
                Err(Unpayable::Paid) => return Err(Refusal::OrderPaid),
                Err(Unpayable::Closed) => return Err(Refusal::OrderClosed),
                _ if order.wish.asked != wish.asked || order.api() != wish.api => {
                    return Err(Refusal::OrderDiffers);
                }
                Err(_) => return Err(Refusal::OrderExpired),
                Ok(()) => order.prepay = Prepay::new(now),
            }
        } else {
            if self.orders.len() >= ORDERS_MAX {
                return Err(Refusal::Full);
            }
            let expires = match wish.time_expire {
                Some(at) => at.clamp(now + MINUTE, now + 90 * DAY),
                None => now + 7 * DAY,
            };
            let order = Order {
                wish,
                created: now,
                expires,
                prepay: Prepay::new(now),
                state: TradeState::NotPay,
                payment: None,
                news: None,
                refunds: Vec::new(),
                deliveries: Vec::new(),
            };
            self.sequence.push(number.clone());
            self.orders.insert(number.clone(), order);
        }
        self.orders.get(&number).ok_or(Refusal::OrderUnknown)
    }

    /// Closes an order that is not paid; closing again does no harm. `false` if it was closed already.
    pub(super) fn close(&mut self, out_trade_no: &str, api: Api, now: i64) -> Result<bool, Refusal> {
        let order = self.orders.get_mut(out_trade_no).ok_or(Refusal::OrderUnknown)?;
        match order.state {
            TradeState::Success | TradeState::Refund => Err(Refusal::OrderPaid),
            TradeState::Closed => Ok(false),
            TradeState::NotPay if api == Api::V2 && now - order.created < V2_CLOSE_AGE_MIN => {
                Err(Refusal::CloseTooEarly)
            }
            TradeState::NotPay => {
                order.state = TradeState::Closed;
                Ok(true)
            }
        }
    }

    /// Somebody pays; `transaction_id` is the number that the payment gets.
    pub(super) fn pay(
        &mut self,
        out_trade_no: &str,
        paying: Paying,
        transaction_id: String,
        terms: Terms,
        now: i64,
    ) -> Result<&mut Order, Unpayable> {
        let order = self.orders.get_mut(out_trade_no).ok_or(Unpayable::Unknown)?;
        match order.payable(now) {
            Err(Unpayable::Closed | Unpayable::Expired) if paying.late => {}
            payable => payable?,
        }
        let openid = match (&order.wish.openid, paying.payer) {
            (Some(only), Some(payer)) if *only != payer => return Err(Unpayable::Stranger),
            (Some(only), _) => only.clone(),
            (None, payer) => payer.unwrap_or_else(|| format!("o{}", random::alnum(27))),
        };
        let month = beijing_day(now)[..7].to_owned();
        if self.month.0 != month {
            self.month = (month, 0);
        }
        let basis_points = terms.rate(self.month.1);
        self.month.1 = self.month.1.saturating_add(order.wish.total);
        let fee = share(order.wish.total, basis_points);
        self.by_transaction.insert(transaction_id.clone(), out_trade_no.to_owned());
        order.payment = Some(Payment { transaction_id, openid, at: now, fee, basis_points });
        order.state = TradeState::Success;
        Ok(order)
    }

    pub(crate) fn order(&self, out_trade_no: &str) -> Option<&Order> {
        self.orders.get(out_trade_no)
    }

    pub(super) fn order_mut(&mut self, out_trade_no: &str) -> Option<&mut Order> {
        self.orders.get_mut(out_trade_no)
    }

    pub(super) fn transaction_order(&self, transaction_id: &str) -> Option<&str> {
        self.by_transaction.get(transaction_id).map(String::as_str)
    }

    /// The order that may be called up with a `prepay_id`.
    pub(super) fn called_up(&self, prepay_id: &str, now: i64) -> Option<&Order> {
        self.orders.values().find(|order| order.called_by(prepay_id, now))
    }

    /// All orders, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Order> {
        self.sequence.iter().rev().filter_map(|number| self.orders.get(number))
    }
}
