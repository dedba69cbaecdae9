//! What state is an order in, and what may be done with it?
use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::credentials::Credentials;
use super::errors::ApiError;
use super::fields::Fields;
use super::notify::{Delivery, Event};
use super::refunds::Refund;
use crate::clock::{beijing, beijing_digits, parse_rfc3339, rfc3339};
use crate::random;

/// Orders this simulator keeps; it never forgets one.
const ORDERS_MAX: usize = 200_000;
/// Deliveries remembered for each order.
const DELIVERIES_MAX: usize = 500;

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// A code works this long; the order may live longer.
const CODE_LIFE: i64 = 120 * MINUTE;

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
    fn described(self) -> &'static str {
        match self {
            Self::NotPay => "订单未支付",
            Self::Success => "支付成功",
            Self::Refund => "订单发生过退款",
            Self::Closed => "订单已关闭",
        }
    }
}

/// One order.
#[derive(Debug)]
pub(crate) struct Order {
    /// The request as it came: a repeat has to be identical.
    asked: Value,
    pub(crate) out_trade_no: String,
    pub(crate) description: String,
    attach: Option<String>,
    notify_url: String,
    /// Fen.
    pub(crate) total: i64,
    pub(crate) created: i64,
    pub(crate) expires: i64,
    code: String,
    code_made: i64,
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
}

/// Why nobody can pay this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unpayable {
    Unknown,
    Paid,
    Closed,
    Expired,
}

impl Unpayable {
    pub(crate) fn described(self) -> &'static str {
        match self {
            Self::Unknown => "no such order",
            Self::Paid => "the order is paid",
            Self::Closed => "the order is closed",
            Self::Expired => "the order has expired",
        }
    }
}

/// All orders and refunds.
#[derive(Debug, Default)]
pub(crate) struct Books {
    orders: HashMap<String, Order>,
    /// Order numbers, oldest first.
    sequence: Vec<String>,
    by_transaction: HashMap<String, String>,
    /// Refund number to order number.
    pub(super) by_refund: HashMap<String, String>,
    /// Goes up with every payment and refund: the tail of their numbers.
    counter: u64,
}

impl Order {
    pub(crate) fn code_url(&self) -> String {
        format!("weixin://wxpay/bizpayurl?pr={}", self.code)
    }

    /// Whether a QR code shows this order: only its latest code does, and only for two hours.
    pub(crate) fn shown_by(&self, code_url: &str, now: i64) -> bool {
        self.code_url() == code_url && now < self.code_made + CODE_LIFE
    }

    pub(crate) fn payable(&self, now: i64) -> Result<(), Unpayable> {
        match self.state {
            TradeState::Success | TradeState::Refund => Err(Unpayable::Paid),
            TradeState::Closed => Err(Unpayable::Closed),
            TradeState::NotPay if now > self.expires => Err(Unpayable::Expired),
            TradeState::NotPay => Ok(()),
        }
    }

    /// The transaction object of query answers and notifications.
    fn transaction(&self, credentials: &Credentials) -> Value {
        let mut shown = json!({
            "appid": credentials.appid,
            "mchid": credentials.mchid,
            "out_trade_no": self.out_trade_no,
            "trade_state": self.state,
            "trade_state_desc": self.state.described(),
            "amount": {"total": self.total, "currency": "CNY"},
        });
        if let Some(attach) = &self.attach {
            shown["attach"] = attach.as_str().into();
        }
        if let Some(payment) = &self.payment {
            shown["transaction_id"] = payment.transaction_id.as_str().into();
            shown["trade_type"] = "NATIVE".into();
            shown["bank_type"] = "OTHERS".into();
            shown["success_time"] = beijing(payment.at).into();
            shown["payer"] = json!({"openid": payment.openid});
            shown["amount"] = json!({
                "total": self.total, "payer_total": self.total, "currency": "CNY", "payer_currency": "CNY",
            });
        }
        shown
    }

    pub(super) fn delivered(&mut self, delivery: Delivery) {
        if self.deliveries.len() < DELIVERIES_MAX {
            self.deliveries.push(delivery);
        }
    }

    /// For the controls.
    pub(crate) fn shown(&self) -> Value {
        json!({
            "out_trade_no": self.out_trade_no,
            "description": self.description,
            "attach": self.attach,
            "total": self.total,
            "currency": "CNY",
            "notify_url": self.notify_url,
            "code_url": self.code_url(),
            "trade_state": self.state,
            "created_at": rfc3339(self.created),
            "expires_at": rfc3339(self.expires),
            "transaction_id": self.payment.as_ref().map(|payment| &payment.transaction_id),
            "payer": self.payment.as_ref().map(|payment| &payment.openid),
            "paid_at": self.payment.as_ref().map(|payment| rfc3339(payment.at)),
            "deliveries": self.deliveries,
            "refunds": self.refunds.iter().map(Refund::controls).collect::<Vec<_>>(),
        })
    }
}

/// What a create call asks for, checked.
struct Wanted {
    out_trade_no: String,
    description: String,
    attach: Option<String>,
    notify_url: String,
    total: i64,
    time_expire: Option<i64>,
}

impl Wanted {
    fn read(body: &[u8], credentials: &Credentials) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let appid = fields.must_text("appid", 1, 32)?;
        let mchid = fields.must_text("mchid", 1, 32)?;
        let description = fields.must_text("description", 1, 127)?;
        let out_trade_no = fields.must_text("out_trade_no", 6, 32)?;
        let time_expire = fields.text("time_expire", 1, 64)?;
        let attach = fields.text("attach", 1, 128)?;
        let notify_url = fields.must_text("notify_url", 1, 255)?;
        fields.text("goods_tag", 1, 32)?;
        fields.allow("support_fapiao", Value::is_boolean)?;
        fields.allow("limit_pay", Value::is_array)?;
        let mut amount = fields.must_object("amount")?;
        let total = amount.must_int("total", 1)?;
        let currency = amount.text("currency", 1, 16)?;
        amount.end()?;
        if let Some(mut detail) = fields.object("detail")? {
            detail.allow("cost_price", Value::is_u64)?;
            detail.text("invoice_id", 1, 32)?;
            for mut goods in detail.objects("goods_detail")? {
                goods.must_text("merchant_goods_id", 1, 32)?;
                goods.text("wechatpay_goods_id", 1, 32)?;
                goods.text("goods_name", 1, 256)?;
                goods.must_int("quantity", 1)?;
                goods.must_int("unit_price", 0)?;
                goods.end()?;
            }
            detail.end()?;
        }
        if let Some(mut scene) = fields.object("scene_info")? {
            scene.must_text("payer_client_ip", 1, 45)?;
            scene.text("device_id", 1, 32)?;
            if let Some(mut store) = scene.object("store_info")? {
                store.must_text("id", 1, 32)?;
                store.text("name", 1, 256)?;
                store.text("area_code", 1, 32)?;
                store.text("address", 1, 512)?;
                store.end()?;
            }
            scene.end()?;
        }
        if let Some(mut settle) = fields.object("settle_info")? {
            settle.allow("profit_sharing", Value::is_boolean)?;
            settle.end()?;
        }
        fields.end()?;

        if mchid != credentials.mchid {
            return Err(ApiError::param("/mchid", "与签名的商户号不一致"));
        }
        if appid != credentials.appid {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "APPID_MCHID_NOT_MATCH",
                "appid 和 mchid 不匹配",
            ));
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*".contains(&byte);
        if !out_trade_no.bytes().all(known) {
            return Err(ApiError::param("/out_trade_no", "只能是数字、字母和 _-|*"));
        }
        if currency.is_some_and(|currency| currency != "CNY") {
            return Err(ApiError::param("/amount/currency", "只支持 CNY"));
        }
        check_notify_url("/notify_url", &notify_url)?;
        let time_expire = match time_expire {
            None => None,
            Some(text) => {
                let at = parse_rfc3339(&text);
                Some(at.ok_or_else(|| ApiError::param("/time_expire", "应为 RFC 3339 格式"))?)
            }
        };
        Ok(Self { out_trade_no, description, attach, notify_url, total, time_expire })
    }
}

/// Absolute, over http or https, without a query.
pub(super) fn check_notify_url(field: &str, url: &str) -> Result<(), ApiError> {
    match url::Url::parse(url) {
        Ok(parsed)
            if matches!(parsed.scheme(), "http" | "https")
                && parsed.has_host()
                && !url.contains(['?', '#', ' '])
                && url.trim() == url =>
        {
            Ok(())
        }
        _ => Err(ApiError::param(field, "应为不带参数的 http(s) 地址")),
    }
}

impl Books {
    /// Creates an order, or hands out a fresh code for the one that is there; the code to be shown.
    pub(super) fn create(
        &mut self,
        body: &[u8],
        credentials: &Credentials,
        now: i64,
    ) -> Result<Value, ApiError> {
        let wanted = Wanted::read(body, credentials)?;
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let code = random::alnum(9);
        if let Some(order) = self.orders.get_mut(&wanted.out_trade_no) {
            match order.payable(now) {
                Err(Unpayable::Paid) => {
                    return Err(ApiError::new(StatusCode::BAD_REQUEST, "ORDERPAID", "该订单已支付"));
                }
                Err(Unpayable::Closed) => {
                    return Err(ApiError::new(StatusCode::BAD_REQUEST, "ORDER_CLOSED", "该订单已关闭"));
                }
                _ if order.asked != asked => {
                    return Err(ApiError::invalid("商户订单号重复，且请求参数与首次请求不一致"));
                }
                Err(_) => return Err(ApiError::invalid("订单已过期，请更换商户订单号")),
                Ok(()) => {}
            }
            // From now on only the new code leads here.
            (order.code, order.code_made) = (code, now);
            return Ok(json!({"code_url": order.code_url()}));
        }
        if self.orders.len() >= ORDERS_MAX {
            return Err(ApiError::of_status(500, None));
        }
        let expires = match wanted.time_expire {
            Some(at) => at.clamp(now + MINUTE, now + 90 * DAY),
            None => now + 7 * DAY,
        };
        let order = Order {
            asked,
            out_trade_no: wanted.out_trade_no.clone(),
            description: wanted.description,
            attach: wanted.attach,
            notify_url: wanted.notify_url,
            total: wanted.total,
            created: now,
            expires,
            code,
            code_made: now,
            state: TradeState::NotPay,
            payment: None,
            news: None,
            refunds: Vec::new(),
            deliveries: Vec::new(),
        };
        let shown = json!({"code_url": order.code_url()});
        self.sequence.push(wanted.out_trade_no.clone());
        self.orders.insert(wanted.out_trade_no, order);
        Ok(shown)
    }

    pub(super) fn query(&self, out_trade_no: &str, credentials: &Credentials) -> Result<Value, ApiError> {
        let order = self.orders.get(out_trade_no).ok_or_else(ApiError::no_order)?;
        Ok(order.transaction(credentials))
    }

    pub(super) fn query_transaction(&self, id: &str, credentials: &Credentials) -> Result<Value, ApiError> {
        let out_trade_no = self.by_transaction.get(id).ok_or_else(ApiError::no_order)?;
        self.query(out_trade_no, credentials)
    }

    /// Closes an order that is not paid; closing again does no harm.
    pub(super) fn close(
        &mut self,
        out_trade_no: &str,
        body: &[u8],
        credentials: &Credentials,
    ) -> Result<(), ApiError> {
        let mut fields = Fields::of_body(body)?;
        let mchid = fields.must_text("mchid", 1, 32)?;
        fields.end()?;
        if mchid != credentials.mchid {
            return Err(ApiError::param("/mchid", "与签名的商户号不一致"));
        }
        let order = self.orders.get_mut(out_trade_no).ok_or_else(ApiError::no_order)?;
        match order.state {
            TradeState::NotPay | TradeState::Closed => {
                order.state = TradeState::Closed;
                Ok(())
            }
            TradeState::Success | TradeState::Refund => {
                Err(ApiError::new(StatusCode::BAD_REQUEST, "ORDERPAID", "该订单已支付"))
            }
        }
    }

    /// Somebody pays. What the merchant is to be told about it.
    pub(super) fn pay(
        &mut self,
        out_trade_no: &str,
        payer: Option<String>,
        credentials: &Credentials,
        now: i64,
    ) -> Result<(String, Arc<Event>), Unpayable> {
        self.orders.get(out_trade_no).ok_or(Unpayable::Unknown)?.payable(now)?;
        let id = self.number("4200002815", now, 10);
        let order = self.orders.get_mut(out_trade_no).ok_or(Unpayable::Unknown)?;
        order.state = TradeState::Success;
        let openid = payer.unwrap_or_else(|| format!("o{}", random::alnum(27)));
        let url = order.notify_url.clone();
        order.payment = Some(Payment { transaction_id: id.clone(), openid, at: now });
        let event = Event::new("TRANSACTION.SUCCESS", out_trade_no, url, now, order.transaction(credentials));
        let news = Arc::clone(order.news.insert(Arc::new(event)));
        self.by_transaction.insert(id.clone(), out_trade_no.to_owned());
        Ok((id, news))
    }

    /// A number of ours: a prefix, the day, and a tail that goes up.
    pub(super) fn number(&mut self, prefix: &str, now: i64, tail: usize) -> String {
        self.counter += 1;
        let day = &beijing_digits(now)[..8];
        format!("{prefix}{day}{:0tail$}", self.counter)
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

    /// All orders, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Order> {
        self.sequence.iter().rev().filter_map(|number| self.orders.get(number))
    }
}
