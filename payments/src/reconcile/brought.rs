//! The bills of a day: fetched from the channel or brought as files, read, and theirs of whom and when they should be.

use bytes::Bytes;
use sha2::{Digest, Sha256};
use units::Timestamp;

use super::{
    RunError,
    bill::{self, Bill, FundFlow, TradeBill},
    date::BillDate,
    ours::Day,
};
use crate::{
    channel::{
        ChannelError,
        wechat::{BillRows, FundAccount, v3::BillKind},
    },
    ledger::BillSource,
    store::SubmitError,
    topup::Merchant,
};

/// The bills of a day.
pub(super) struct Bills {
    pub(super) trade: TradeBill,
    pub(super) flow: Option<FundFlow>,
    pub(super) source: BillSource,
    pub(super) sha256: Option<String>,
}

/// The bills from the channel. The fund flow bill is wanted and not needed: API v2 gives it to a certificate only.
pub(super) async fn fetched(merchant: &Merchant, day: &Day) -> Result<Bills, RunError> {
    let date = day.date.date();
    let trade = match merchant.bill(date, BillKind::Trade(Some(BillRows::All))).await {
        Ok(file) => Some(file),
        Err(ChannelError::NotFound { .. }) => None,
        Err(ChannelError::Busy { .. }) => return Err(RunError::NotReady(day.date)),
        Err(error) => return Err(error.into()),
    };
    let flow = match merchant.bill(date, BillKind::FundFlow(Some(FundAccount::Basic))).await {
        Ok(file) => Some(file),
        Err(ChannelError::NotFound { .. }) => None,
        Err(ChannelError::Busy { .. }) => return Err(RunError::NotReady(day.date)),
        Err(error @ ChannelError::Misconfigured { .. }) => {
            tracing::warn!(%error, "the fund flow bill is not compared");
            None
        }
        Err(error) => return Err(error.into()),
    };
    let Some(trade) = trade else {
        // Without a trade bill what moved is not explained by any: an empty one explains nothing.
        let flow = read_flow(flow, day).await?;
        let trade = TradeBill::empty();
        return Ok(Bills { trade, flow, source: BillSource::NoTrade, sha256: None });
    };
    let mut files = vec![("the trade bill".to_owned(), trade)];
    files.extend(flow.map(|flow| ("the fund flow bill".to_owned(), flow)));
    let bills = brought(&files, day).await?;
    Ok(Bills { source: BillSource::Fetched, ..bills })
}

async fn read_flow(flow: Option<Bytes>, day: &Day) -> Result<Option<FundFlow>, RunError> {
    let Some(file) = flow else { return Ok(None) };
    let name = "the fund flow bill";
    match read(name, file).await?.0 {
        Bill::FundFlow(flow) => {
            check_flow(name, &flow, day)?;
            Ok(Some(flow))
        }
        Bill::Trade(_) => Err(RunError::WhichFiles),
    }
}

/// Reads the bills, and makes sure that they are those of the day.
pub(super) async fn brought(files: &[(String, Bytes)], day: &Day) -> Result<Bills, RunError> {
    let (mut trade, mut flow) = (None, None);
    for (name, file) in files {
        let (bill, sha256) = read(name, file.clone()).await?;
        match bill {
            Bill::Trade(bill) if trade.is_none() => {
                check_trade(name, &bill, day)?;
                trade = Some((bill, sha256));
            }
            Bill::FundFlow(bill) if flow.is_none() => {
                check_flow(name, &bill, day)?;
                flow = Some(bill);
            }
            Bill::Trade(_) | Bill::FundFlow(_) => return Err(RunError::WhichFiles),
        }
    }
    let (trade, sha256) = trade.ok_or(RunError::WhichFiles)?;
    Ok(Bills { trade, flow, source: BillSource::File, sha256: Some(sha256) })
}

/// Reads a file off the threads that calls are served on: a large one takes a second.
async fn read(name: &str, file: Bytes) -> Result<(Bill, String), RunError> {
    let reading = tokio::task::spawn_blocking(move || {
        let sha256 = base16ct::lower::encode_string(&Sha256::digest(&file));
        bill::read(&file).map(|bill| (bill, sha256))
    });
    let read = reading.await.map_err(|error| SubmitError::Stopped(error.to_string()))?;
    read.map_err(|error| RunError::File { name: name.to_owned(), error })
}

fn check_trade(name: &str, bill: &TradeBill, day: &Day) -> Result<(), RunError> {
    let name = || name.to_owned();
    match bill.covers {
        BillRows::All => {}
        part => return Err(RunError::Partial { name: name(), rows: part.as_str() }),
    }
    if let Some(row) = bill.rows.iter().find(|row| row.mchid != day.mchid) {
        return Err(RunError::OtherMerchant { name: name(), mchid: row.mchid.clone() });
    }
    match bill.rows.iter().find(|row| !day.has(row.time)) {
        Some(row) => Err(other_day(name(), row.time)),
        None => Ok(()),
    }
}

fn check_flow(name: &str, bill: &FundFlow, day: &Day) -> Result<(), RunError> {
    match bill.rows.iter().find(|row| !day.has(row.time)) {
        Some(row) => Err(other_day(name.to_owned(), row.time)),
        None => Ok(()),
    }
}

fn other_day(name: String, at: Timestamp) -> RunError {
    let date = BillDate::of(at).map_or_else(|| "another day".to_owned(), |date| date.to_string());
    RunError::OtherDay { name, date }
}
