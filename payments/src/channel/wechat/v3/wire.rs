//! How does API v3 write it in JSON?
//!
//! Amounts are JSON integers in fen; a float or a string is refused, never converted. Optional members are left out of
//! what we send, because `null` is not allowed, and may be missing from what we read. Members nobody here has heard of
//! are passed over when reading; when sending, WeChat Pay refuses them.
//! Source: WeChat Pay API v3, Native orders, order query, refunds and notices.

use serde::{Deserialize, Serialize};
use units::{Fen, Timestamp};

use super::resource::Resource;
use crate::channel::{NewOrder, NewRefund, RefundReport, RefundState, RiskWarning, Trade, TradeState, Way};

/// The only currency of a mainland merchant.
const CNY: &str = "CNY";
/// Beijing, where WeChat Pay's clocks stand.
const BEIJING_HOURS_EAST: i8 = 8;

/// Body of a new order.
#[derive(Serialize)]
pub(super) struct Order<'a> {
    appid: &'a str,
    mchid: &'a str,
    description: &'a str,
    out_trade_no: &'a str,
    time_expire: String,
    notify_url: &'a str,
    amount: OrderAmount,
    #[serde(skip_serializing_if = "Option::is_none")]
    payer: Option<OrderPayer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene_info: Option<Scene<'a>>,
}

#[derive(Serialize)]
struct OrderAmount {
    total: i64,
    currency: &'static str,
}

#[derive(Serialize)]
struct OrderPayer<'a> {
    openid: &'a str,
}

/// Where the payer is. The address is required in it, whatever else there is.
#[derive(Serialize)]
struct Scene<'a> {
    payer_client_ip: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h5_info: Option<H5Info>,
}

#[derive(Serialize)]
struct H5Info {
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> Order<'a> {
    /// # Errors
    /// The JSON pointer of the member that cannot be written, and why.
    pub(super) fn new(mchid: &'a str, order: &'a NewOrder) -> Result<Self, (&'static str, &'static str)> {
        let (is_h5, client_ip) = (order.way == Way::H5, order.client_ip.as_deref());
        let scene_info = match client_ip {
            Some(payer_client_ip) if is_h5 || order.device_id.is_some() => Some(Scene {
                payer_client_ip,
                device_id: order.device_id.as_deref(),
                h5_info: is_h5.then_some(H5Info { kind: "Wap" }),
            }),
            None if is_h5 || order.device_id.is_some() => {
                return Err(("/scene_info/payer_client_ip", "it is required with a device, and for H5"));
            }
            _ => None,
        };
        Ok(Self {
            appid: &order.appid,
            mchid,
            description: &order.description,
            out_trade_no: &order.out_trade_no,
            time_expire: beijing(order.expires_at).ok_or(("/time_expire", "the expiry is not a date"))?,
            notify_url: &order.notify_url,
            amount: OrderAmount { total: order.total.get(), currency: CNY },
            payer: match &order.way {
                Way::InApp { openid } => Some(OrderPayer { openid }),
                Way::Native | Way::H5 => None,
            },
            scene_info,
        })
    }
}

/// Whole seconds, rounded down, in the form `2025-10-09T18:53:20+08:00`.
fn beijing(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_second(at.secs()).ok()?;
    Some(at.display_with_offset(jiff::tz::offset(BEIJING_HOURS_EAST)).to_string())
}

/// Body of a close.
#[derive(Serialize)]
pub(super) struct Close<'a> {
    pub(super) mchid: &'a str,
}

/// Body of a refund.
#[derive(Serialize)]
pub(super) struct RefundOrder<'a> {
    transaction_id: &'a str,
    out_refund_no: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    notify_url: &'a str,
    amount: RefundOrderAmount,
}

#[derive(Serialize)]
struct RefundOrderAmount {
    refund: i64,
    total: i64,
    currency: &'static str,
}

impl<'a> From<&'a NewRefund> for RefundOrder<'a> {
    fn from(refund: &'a NewRefund) -> Self {
        Self {
            transaction_id: &refund.transaction_id,
            out_refund_no: &refund.out_refund_no,
            reason: refund.reason.as_deref(),
            notify_url: &refund.notify_url,
            amount: RefundOrderAmount {
                refund: refund.refund.get(),
                total: refund.total.get(),
                currency: CNY,
            },
        }
    }
}

/// Answer to a new Native order.
#[derive(Deserialize)]
pub(super) struct NativeCreated {
    pub(super) code_url: String,
}

/// Answer to a new order of a page or a Mini Program in WeChat.
#[derive(Deserialize)]
pub(super) struct InAppCreated {
    pub(super) prepay_id: String,
}

/// Answer to a new H5 order.
#[derive(Deserialize)]
pub(super) struct H5Created {
    pub(super) h5_url: String,
}

/// A transaction: the answer to an order query, and the plaintext of a payment notice.
#[derive(Deserialize)]
pub(super) struct Transaction {
    mchid: String,
    appid: String,
    out_trade_no: String,
    transaction_id: Option<String>,
    trade_state: String,
    amount: Option<TransactionAmount>,
    success_time: Option<String>,
    payer: Option<Payer>,
}

#[derive(Deserialize)]
struct TransactionAmount {
    total: Option<i64>,
    currency: Option<String>,
}

#[derive(Deserialize)]
struct Payer {
    openid: Option<String>,
}

impl Transaction {
    /// The error names the member that holds no usable value.
    pub(super) fn into_trade(self) -> Result<Trade, String> {
        let (total, currency) = self.amount.map_or((None, None), |amount| (amount.total, amount.currency));
        Ok(Trade {
            mchid: self.mchid,
            appid: self.appid,
            out_trade_no: self.out_trade_no,
            transaction_id: present(self.transaction_id),
            state: TradeState::from_name(&self.trade_state),
            total: fen("amount.total", total)?,
            currency: present(currency),
            success_time: instant("success_time", self.success_time)?,
            payer: self.payer.and_then(|payer| present(payer.openid)),
        })
    }
}

/// A warning of the risk control, decrypted.
#[derive(Deserialize)]
pub(super) struct Risk {
    pub(super) mchid: String,
    #[serde(flatten)]
    pub(super) warning: RiskWarning,
}

/// A refund: the answer to a refund and to its query, and the plaintext of a refund notice. The notice names the
/// merchant, and has another name for the state.
#[derive(Deserialize)]
pub(super) struct Refund {
    mchid: Option<String>,
    out_refund_no: String,
    refund_id: Option<String>,
    transaction_id: Option<String>,
    out_trade_no: Option<String>,
    #[serde(alias = "refund_status")]
    status: String,
    success_time: Option<String>,
    amount: Option<RefundAmount>,
}

#[derive(Deserialize)]
struct RefundAmount {
    refund: Option<i64>,
    total: Option<i64>,
}

impl Refund {
    /// The error names the member that holds no usable value.
    pub(super) fn into_report(self) -> Result<RefundReport, String> {
        let (refund, total) = self.amount.map_or((None, None), |amount| (amount.refund, amount.total));
        Ok(RefundReport {
            out_refund_no: self.out_refund_no,
            refund_id: present(self.refund_id),
            transaction_id: present(self.transaction_id),
            out_trade_no: present(self.out_trade_no),
            state: RefundState::from_name(&self.status),
            refund: fen("amount.refund", refund)?,
            total: fen("amount.total", total)?,
            success_time: instant("success_time", self.success_time)?,
            request_id: None,
        })
    }

    /// Whose refund, and the refund. The error names the member that holds no usable value.
    pub(super) fn into_event(mut self) -> Result<(String, RefundReport), String> {
        let mchid = present(self.mchid.take()).ok_or("mchid is missing")?;
        Ok((mchid, self.into_report()?))
    }
}

/// A notice before it is decrypted.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) event_type: String,
    pub(super) resource: Resource,
}

/// Optional members arrive missing or empty.
fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn fen(member: &str, amount: Option<i64>) -> Result<Option<Fen>, String> {
    amount.map(Fen::new).transpose().map_err(|_| format!("{member} is out of range"))
}

/// RFC 3339 with any offset.
fn instant(member: &str, text: Option<String>) -> Result<Option<Timestamp>, String> {
    let Some(text) = present(text) else { return Ok(None) };
    let at: jiff::Timestamp = text.parse().map_err(|_| format!("{member} is not an RFC 3339 time"))?;
    Ok(Some(Timestamp(at.as_microsecond())))
}
