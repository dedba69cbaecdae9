//! Days laid beside WeChat Pay's bill: compared by hand, explained, signed off, shown.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    channel::wechat::BILL_BYTES_MAX,
    ledger::{BillDay, BillDifference, Body, DifferenceCause, Reply, SignOff},
    reconcile::{BillDate, DayReport, Progress, Reconciler, RunError, RunWish},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{By, HandRoom, listed, odd_reply, parse, person};
use crate::cashier::{PayError, reply, time};

type Room = State<Arc<HandRoom>>;

/// A body with bills in it, which travel as base 64.
pub(super) const BODY_BYTES_MAX: usize = BILL_BYTES_MAX / 3 * 4 + 64 * 1024;
/// Days of one list.
const DAYS_MAX: i64 = 400;

/// Who compares, and how far a comparison that somebody asked for is.
#[derive(Debug, Clone)]
pub struct ReconcileDesk {
    /// Compares.
    pub reconciler: Reconciler,
    progress: Arc<Mutex<Option<(String, Progress)>>>,
}

impl ReconcileDesk {
    /// For this one.
    pub fn new(reconciler: Reconciler) -> Self {
        Self { reconciler, progress: Arc::default() }
    }

    fn set(&self, progress: Option<(String, Progress)>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }
}

impl HandRoom {
    fn desk(&self) -> Result<&ReconcileDesk, PayError> {
        self.reconcile.as_ref().ok_or_else(|| PayError::unavailable("no merchant can be asked from here"))
    }

    /// The merchant numbers that are meant: the named one, or all.
    fn numbers(&self, merchant: Option<&str>) -> Result<Vec<String>, PayError> {
        let reconciler = &self.desk()?.reconciler;
        match merchant {
            None => Ok(reconciler.merchant_numbers()),
            Some(name) => {
                let number = reconciler.number_of(name);
                let unknown = || PayError::not_found("merchant", format!("no merchant {name} is configured"));
                number.map(|number| vec![number]).ok_or_else(unknown)
            }
        }
    }
}

fn date_of(text: &str) -> Result<BillDate, PayError> {
    BillDate::read(text).ok_or_else(|| PayError::invalid("date", "date is a day like 2025-10-08"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    by: By,
    date: String,
    merchant: Option<String>,
    #[serde(default)]
    files: Vec<RunFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunFile {
    name: String,
    base64: String,
}

/// `POST /admin/v1/reconciliation/runs`: compares a day now, with the bills that are brought or fetched.
pub(super) async fn run(State(room): Room, body: Bytes) -> Result<Response, PayError> {
    let asked: Run = parse(&body)?;
    drop(body);
    asked.by.check()?;
    let date = date_of(&asked.date)?;
    let numbers = room.numbers(asked.merchant.as_deref())?;
    if !asked.files.is_empty() && numbers.len() > 1 {
        return Err(PayError::missing(
            "merchant",
            "there are several merchant numbers: say whose bill it is",
        ));
    }
    let mut files = Vec::with_capacity(asked.files.len());
    for file in asked.files {
        let bytes = STANDARD.decode(file.base64.as_bytes());
        let bytes = bytes.map_err(|_| PayError::invalid("files", "a file travels as base 64"))?;
        files.push((file.name, Bytes::from(bytes)));
    }
    let desk = room.desk()?;
    let mut rows = Vec::with_capacity(numbers.len());
    let mut failed = None;
    for mchid in numbers {
        let by = person(asked.by.operator.clone());
        let wish = RunWish { mchid: mchid.clone(), date, files: files.clone(), by };
        let tell = |progress| desk.set(Some((mchid.clone(), progress)));
        match desk.reconciler.run(&wish, &tell).await {
            Ok(DayReport { day, differences }) => rows.push(shown(&day, &differences)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    desk.set(None);
    match failed {
        Some(error) => Err(refused(error)),
        None => Ok(reply(StatusCode::OK, &listed(rows))),
    }
}

/// Why nothing was compared.
fn refused(error: RunError) -> PayError {
    let words = error.to_string();
    match error {
        RunError::UnknownMerchant(_) => PayError::not_found("merchant", words),
        RunError::NotReady(_) => PayError::not_ready(words),
        RunError::Channel(_) => PayError::channel(words),
        RunError::File { .. }
        | RunError::Partial { .. }
        | RunError::OtherMerchant { .. }
        | RunError::OtherDay { .. }
        | RunError::WhichFiles => PayError::invalid("files", words),
        RunError::NoDay(_) => PayError::invalid("date", words),
        RunError::Store(error) => error.into(),
    }
}

/// `GET /admin/v1/reconciliation/progress`: how far the comparison is that somebody asked for.
pub(super) async fn progress(State(room): Room) -> Result<Response, PayError> {
    let progress = room.desk()?.progress.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let shown = progress.map(|(mchid, progress)| {
        json!({"merchant": mchid, "phase": progress.phase.as_str(), "done": progress.done, "of": progress.of})
    });
    Ok(reply(StatusCode::OK, &json!({"running": shown})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Days {
    from: String,
    to: String,
    merchant: Option<String>,
}

/// `GET /admin/v1/reconciliation/days?from=&to=`: what each day came to, with what did not agree.
pub(super) async fn days(State(room): Room, Query(asked): Query<Days>) -> Result<Response, PayError> {
    let (from, to) = (date_of(&asked.from)?, date_of(&asked.to)?);
    if to < from || to.before(DAYS_MAX).is_none_or(|earliest| from < earliest) {
        return Err(PayError::invalid("from", format!("from and to are days, {DAYS_MAX} apart at most")));
    }
    let number = match asked.merchant.as_deref() {
        Some(name) => room.numbers(Some(name))?.pop(),
        None => None,
    };
    let mut rows = Vec::new();
    for day in room.store.bill_days(from.to_string(), to.to_string()).await? {
        if number.as_ref().is_none_or(|number| *number == day.mchid) {
            let differences = room.store.bill_differences(day.mchid.clone(), day.day.clone()).await?;
            rows.push(shown(&day, &differences));
        }
    }
    Ok(reply(StatusCode::OK, &listed(rows)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolve {
    by: By,
    class: String,
    evidence: Option<String>,
}

/// `POST /admin/v1/reconciliation/differences/{id}/resolve`: why something did not agree.
pub(super) async fn resolve(
    State(room): Room,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let asked: Resolve = parse(&body)?;
    let cause = asked.class.parse::<DifferenceCause>().map_err(|_| {
        let known: Vec<_> = DifferenceCause::ALL.iter().map(|cause| cause.as_str()).collect();
        PayError::invalid("class", format!("class is one of {}", known.join(", ")))
    })?;
    let unknown = || PayError::not_found("difference", format!("no difference {id}"));
    let row = room.store.bill_difference(id.clone()).await?.ok_or_else(unknown)?;
    let body = Body::ResolveDifference {
        difference: row.id,
        mchid: row.mchid,
        day: row.day,
        cause,
        evidence: asked.evidence,
    };
    match room.submit("resolve", asked.by, body).await? {
        Reply::BillDay(_) => {}
        other => return Err(odd_reply(&other)),
    }
    let row = room.store.bill_difference(id.clone()).await?.ok_or_else(unknown)?;
    Ok(reply(StatusCode::OK, &difference(&row)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    by: By,
    merchant: Option<String>,
}

/// `POST /admin/v1/reconciliation/days/{date}/sign-off`: a person says that the day is settled, of every merchant number
/// where none is named.
pub(super) async fn sign_off(
    State(room): Room,
    Path(date): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let asked: Sign = parse(&body)?;
    let date = date_of(&date)?;
    let mut rows = Vec::new();
    for mchid in room.numbers(asked.merchant.as_deref())? {
        let body = Body::SignOffBillDay { mchid: mchid.clone(), day: date.to_string() };
        let done = room.submit(&format!("sign:{mchid}"), asked.by.clone(), body).await?;
        let Reply::BillDay(day) = done else { return Err(odd_reply(&done)) };
        let differences = room.store.bill_differences(mchid, date.to_string()).await?;
        rows.push(shown(&day, &differences));
    }
    Ok(reply(StatusCode::OK, &listed(rows)))
}

fn shown(day: &BillDay, differences: &[BillDifference]) -> Value {
    let sums = &day.sums;
    json!({
        "merchant": day.mchid,
        "date": day.day,
        "status": day.state.as_str(),
        "source": day.source.map(payments::ledger::BillSource::as_str),
        "sha256": day.sha256,
        "rows": sums.rows,
        "payments": sums.payments,
        "payments_matched": sums.payments_matched,
        "paid": sums.paid.to_string(),
        "paid_matched": sums.paid_matched.to_string(),
        "refunds": sums.refunds,
        "refunds_matched": sums.refunds_matched,
        "refunded": sums.refunded.to_string(),
        "refunded_matched": sums.refunded_matched.to_string(),
        "fees": sums.fees.to_string(),
        "fees_expected": sums.fees_expected.to_string(),
        "movements": sums.movements,
        "currency": "CNY",
        "found": day.found.iter().map(|(class, count)| (class.as_str().to_owned(), json!(count))).collect::<serde_json::Map<_, _>>(),
        "unlisted": day.unlisted,
        "open": day.open,
        "unmatched": day.unmatched.to_string(),
        "runs": day.runs,
        "compared_by": day.by.id,
        "compared_at": time(day.at),
        "signed_off": day.signed.iter().map(sign_off_shown).collect::<Vec<_>>(),
        "differences": differences.iter().map(difference).collect::<Vec<_>>(),
    })
}

fn sign_off_shown(signed: &SignOff) -> Value {
    json!({
        "by": signed.by.id,
        "approver": signed.approver.as_ref().map(|second| &second.id),
        "at": time(signed.at),
        "reason": signed.reason,
    })
}

fn difference(row: &BillDifference) -> Value {
    let found = &row.found;
    let yuan = |amount: Option<units::NanoCny>| amount.map(|amount| amount.to_string());
    json!({
        "id": row.id,
        "merchant": row.mchid,
        "date": row.day,
        "class": found.class.as_str(),
        "status": row.state.as_str(),
        "out_trade_no": found.out_trade_no,
        "out_refund_no": found.out_refund_no,
        "transaction_id": found.transaction_id,
        "order": found.order.map(|order| order.to_string()),
        "bill": yuan(found.bill),
        "ours": yuan(found.local),
        "booked": yuan(found.booked),
        "unmatched": found.unmatched().to_string(),
        "detail": found.detail,
        "opened_at": time(row.opened_at),
        "resolution": row.resolution.as_ref().map(|resolution| json!({
            "class": resolution.cause.as_str(),
            "by": resolution.by.id,
            "reason": resolution.reason,
            "evidence": resolution.evidence,
            "at": time(resolution.at),
        })),
    })
}
