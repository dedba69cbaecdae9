//! How does API v2 write amounts and times?

use jiff::{civil::DateTime, tz::TimeZone};
use units::{Fen, Timestamp};

use super::Fields;
use crate::channel::{RefundReport, RefundState, Trade, TradeState};

/// Beijing, where WeChat Pay's clocks stand: API v2 names no zone, and there is no summer time.
const BEIJING_HOURS_EAST: i8 = 8;
/// Digits an amount may have. Source: `^[1-9][0-9]{0,17}$`, which fits 64 bits.
const FEN_DIGITS_MAX: usize = 18;
/// A moment in most messages: `20251009165318`.
const PLAIN: &str = "%Y%m%d%H%M%S";
/// A moment in refunds: `2025-10-09 16:53:18`.
const WITH_MARKS: &str = "%Y-%m-%d %H:%M:%S";

/// An amount as it must be written: decimal digits, at least 1, without sign, spaces or leading zeros. Anything else is
/// refused rather than read as its writer may have meant it.
pub(super) fn fen(text: &str) -> Option<Fen> {
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    let fits = (1..=FEN_DIGITS_MAX).contains(&text.len());
    if digits && fits { Fen::new(text.parse().ok()?).ok() } else { None }
}

/// A moment as API v2 writes it; whole seconds, rounded down. `None` if the calendar does not reach that far.
pub(super) fn moment(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_second(at.secs()).ok()?;
    Some(at.to_zoned(beijing()).strftime(PLAIN).to_string())
}

/// Reads what [`moment`] writes.
pub(super) fn read_moment(text: &str) -> Option<Timestamp> {
    read(PLAIN, text)
}

/// Reads a moment of a refund.
pub(super) fn read_refund_moment(text: &str) -> Option<Timestamp> {
    read(WITH_MARKS, text)
}

fn read(format: &str, text: &str) -> Option<Timestamp> {
    let at = DateTime::strptime(format, text).ok()?;
    // Numbers may be read from fewer digits than they are written with.
    if at.strftime(format).to_string() != text {
        return None;
    }
    Some(Timestamp(at.to_zoned(beijing()).ok()?.timestamp().as_microsecond()))
}

fn beijing() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(BEIJING_HOURS_EAST))
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
    let time_end = fields.get("time_end").map(|text| read_moment(text).ok_or("time_end is no time"));
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
        .map(|text| read_refund_moment(&text).ok_or_else(|| format!("refund_success_time_{n} is no time")));
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_beijing_and_have_one_spelling() {
        let at = Timestamp::from_secs(1_759_999_998);
        assert_eq!(moment(at).as_deref(), Some("20251009165318"));
        assert_eq!(read_moment("20251009165318"), Some(at));
        assert_eq!(read_refund_moment("2025-10-09 16:53:18"), Some(at));
        for wrong in ["", "2025100916531", "20251309165318", "2025-10-09 16:53:18", " 20251009165318"] {
            assert_eq!(read_moment(wrong), None, "{wrong}");
        }
        assert_eq!(read_refund_moment("2025-10-9 16:53:18"), None);
    }
}
