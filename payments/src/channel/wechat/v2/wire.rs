//! How does API v2 write amounts, payments and refunds?

use units::Fen;

use super::Fields;
use crate::channel::{RefundReport, RefundState, Trade, TradeState, wechat::beijing::Moment};

/// Digits an amount may have. Source: `^[1-9][0-9]{0,17}$`, which fits 64 bits.
const FEN_DIGITS_MAX: usize = 18;

/// An amount as it must be written: decimal digits, at least 1, without sign, spaces or leading zeros. Anything else is
/// refused rather than read as its writer may have meant it.
pub(super) fn fen(text: &str) -> Option<Fen> {
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    let fits = (1..=FEN_DIGITS_MAX).contains(&text.len());
    if digits && fits { Fen::new(text.parse().ok()?).ok() } else { None }
}

/// An element that must be there. The error names it.
pub(super) fn required<'a>(fields: &'a Fields, name: &'static str) -> Result<&'a str, String> {
    fields.get(name).ok_or_else(|| format!("{name} is missing"))
}

/// An amount that may be absent. The error names its element.
pub(super) fn optional_fen(fields: &Fields, name: &str) -> Result<Option<Fen>, String> {
    fields.get(name).map(|text| fen(text).ok_or_else(|| format!("{name} is no amount"))).transpose()
}

/// The payment in an answer or a notice, whose own state `state` is. The error names what holds no usable value.
pub(super) fn trade(fields: &Fields, state: TradeState) -> Result<Trade, String> {
    let text = |name| fields.get(name).map(str::to_owned);
    let time_end = fields.get("time_end").map(|text| Moment::Plain.read(text).ok_or("time_end is no time"));
    Ok(Trade {
        mchid: required(fields, "mch_id")?.to_owned(),
        appid: required(fields, "appid")?.to_owned(),
        out_trade_no: required(fields, "out_trade_no")?.to_owned(),
        transaction_id: text("transaction_id"),
        state,
        total: optional_fen(fields, "total_fee")?,
        currency: text("fee_type"),
        success_time: time_end.transpose()?,
        payer: text("openid"),
    })
}

/// The refund `out_refund_no` among those in an answer, whose elements are numbered from 0. The error names what holds
/// no usable value, or says that it is not there.
pub(super) fn refund(fields: &Fields, out_refund_no: &str) -> Result<RefundReport, String> {
    let n = (0..super::xml::FIELDS_MAX)
        .map_while(|n| fields.get(&format!("out_refund_no_{n}")))
        .position(|number| number == out_refund_no)
        .ok_or("out_refund_no is not among the refunds of the answer")?;
    let text = |name: &str| fields.get(name).map(str::to_owned);
    let numbered = |name: &str| text(&format!("{name}_{n}"));
    let state = numbered("refund_status").ok_or_else(|| format!("refund_status_{n} is missing"))?;
    let success_time = numbered("refund_success_time")
        .map(|text| Moment::Marked.read(&text).ok_or_else(|| format!("refund_success_time_{n} is no time")));
    Ok(RefundReport {
        out_refund_no: out_refund_no.to_owned(),
        refund_id: numbered("refund_id"),
        transaction_id: text("transaction_id"),
        out_trade_no: text("out_trade_no"),
        state: match state.as_str() {
            "REFUNDCLOSE" => RefundState::Closed,
            "CHANGE" => RefundState::Abnormal,
            same => RefundState::from_name(same),
        },
        refund: optional_fen(fields, &format!("refund_fee_{n}"))?,
        total: optional_fen(fields, "total_fee")?,
        success_time: success_time.transpose()?,
        request_id: None,
    })
}
