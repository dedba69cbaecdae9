//! How does API v3 write it in JSON?
//!
//! Amounts are JSON integers in fen; a float or a string is refused, never converted. Optional members are left out of
//! what we send, because `null` is not allowed, and may be missing from what we read. Members nobody here has heard of
//! are passed over when reading; when sending, WeChat Pay refuses them.
//! Source: WeChat Pay API v3, Native orders, order query, refunds and notices.

use serde::{Deserialize, Serialize};
use units::{Fen, Timestamp};

use super::resource::Resource;
use crate::channel::{NewOrder, NewRefund, RefundReport, RefundState, Trade, TradeState};

/// The only currency of a mainland merchant.
const CNY: &str = "CNY";
/// Beijing, where WeChat Pay's clocks stand.
const BEIJING_HOURS_EAST: i8 = 8;

/// Body of a new Native order.
#[derive(Serialize)]
pub(super) struct NativeOrder<'a> {
    appid: &'a str,
    mchid: &'a str,
    description: &'a str,
    out_trade_no: &'a str,
    time_expire: String,
    notify_url: &'a str,
    amount: OrderAmount,
    #[serde(skip_serializing_if = "Option::is_none")]
    scene_info: Option<Scene<'a>>,
}

#[derive(Serialize)]
struct OrderAmount {
    total: i64,
    currency: &'static str,
}

#[derive(Serialize)]
struct Scene<'a> {
    device_id: &'a str,
}

impl<'a> NativeOrder<'a> {
    /// `None` if the order expires at a time that cannot be written as a date.
    pub(super) fn new(mchid: &'a str, appid: &'a str, order: &'a NewOrder) -> Option<Self> {
        Some(Self {
            appid,
            mchid,
            description: &order.description,
            out_trade_no: &order.out_trade_no,
            time_expire: beijing(order.expires_at)?,
            notify_url: &order.notify_url,
            amount: OrderAmount { total: order.total.get(), currency: CNY },
            scene_info: order.device_id.as_deref().map(|device_id| Scene { device_id }),
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
