//! A day, from the bill to the books: fetched or brought, read, compared, put right where the channel confirms it, written
//! down. Doing it again changes nothing that was explained and posts nothing twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use units::{AccountId, Clock, Fen, NanoCny, OrderId, RequestId};

use super::{
    bill::{BillError, RowKind, TradeBill, TradeRow},
    brought::{Bills, brought, fetched},
    date::BillDate,
    fees::{self, FeeTiers},
    flows,
    found::{add_flows, found, of_row, sums},
    matching,
    ours::{self, Day},
};
use crate::{
    channel::ChannelError,
    ledger::{
        Actor, BillDay, BillDifference, BillSums, Body, Command, ComparedDay, DIFFERENCES_MAX,
        DifferenceClass, FoundDifference, Order, Refusal, Reply,
    },
    store::{OurSide, Store, SubmitError},
    topup::{Merchant, TopUps},
};

/// Fees that are on their way to the store at once.
const FEES_AT_ONCE: usize = 64;
/// Which day of whom.
#[derive(Debug, Clone)]
pub struct RunWish {
    /// Merchant number.
    pub mchid: String,
    /// The day.
    pub date: BillDate,
    /// The bills that a person brought, with their names; fetched where there are none.
    pub files: Vec<(String, Bytes)>,
    /// Who asks.
    pub by: Actor,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// At what it is.
    pub phase: Phase,
    /// How much of that is done.
    pub done: usize,
    /// Of how much; 0 where that is not known.
    pub of: usize,
}

/// What a run does, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Gets the bills.
    Fetching,
    /// Lays them beside orders and ledger.
    Comparing,
    /// Asks the channel about what does not agree.
    Asking,
    /// Posts the fees.
    Posting,
    /// Writes down what it found.
    Recording,
}

impl Phase {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Comparing => "comparing",
            Self::Asking => "asking",
            Self::Posting => "posting",
            Self::Recording => "recording",
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayReport {
    /// The day as it stands now.
    pub day: BillDay,
    /// Everything that did not agree on it, whatever became of it.
    pub differences: Vec<BillDifference>,
}

/// Why nothing was compared, and nothing posted.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No configured merchant has this number.
    #[error("no merchant with the number {0} is configured")]
    UnknownMerchant(String),
    /// The day is not over, or its bill is not made yet.
    #[error("the bill of {0} is not ready: it can be had from 10:00 Beijing time of the day after")]
    NotReady(BillDate),
    /// The channel gave none.
    #[error("the bill cannot be fetched: {0}")]
    Channel(#[from] ChannelError),
    /// A file is no bill, or not a whole one.
    #[error("`{name}` is not taken: {error}")]
    File {
        /// Which.
        name: String,
        /// Why.
        error: BillError,
    },
    /// A file has other rows than those of the whole day.
    #[error("`{name}` has only {rows} rows: bring the bill of all of them")]
    Partial {
        /// Which.
        name: String,
        /// Which rows it has.
        rows: &'static str,
    },
    /// A file is of another merchant.
    #[error("`{name}` is of merchant {mchid}")]
    OtherMerchant {
        /// Which.
        name: String,
        /// Of whom.
        mchid: String,
    },
    /// A file is of another day.
    #[error("`{name}` is of {date}")]
    OtherDay {
        /// Which.
        name: String,
        /// Of when.
        date: String,
    },
    /// Two files of a kind, or none of the one that must be there.
    #[error("bring one trade bill, and at most one fund flow bill")]
    WhichFiles,
    /// The calendar does not reach that far.
    #[error("{0} is no day of ours")]
    NoDay(BillDate),
    /// The books cannot be read or written.
    #[error(transparent)]
    Store(#[from] SubmitError),
}

impl RunError {
    /// Whether trying again later may help without anybody doing anything.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotReady(_) | Self::Store(_) => true,
            Self::Channel(error) => !matches!(error, ChannelError::Misconfigured { .. }),
            _ => false,
        }
    }
}

/// Who is told what a run found, for metrics and alarms.
pub trait Watcher: Send + Sync + std::fmt::Debug {
    /// A day was compared.
    fn compared(&self, report: &DayReport);
    /// It was not.
    fn failed(&self, mchid: &str, date: BillDate, error: &RunError);
    /// A payment was credited whose notice was lost.
    fn credited(&self, order: &Order);
    /// An account may not spend as before: what it paid the channel knows nothing of.
    fn stopped(&self, account: AccountId);
}

/// Lays days beside the channel's bills. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reconciler {
    pub(super) store: Store,
    pub(super) topups: TopUps,
    tiers: FeeTiers,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watcher: Arc<dyn Watcher>,
}

/// What was found so far.
struct Found {
    differences: Vec<FoundDifference>,
    sums: BillSums,
}

impl Reconciler {
    /// Over the books and the configured merchants of `topups`.
    pub fn new(
        store: Store,
        topups: TopUps,
        tiers: FeeTiers,
        clock: Arc<dyn Clock>,
        watcher: Arc<dyn Watcher>,
    ) -> Self {
        Self { store, topups, tiers, clock, watcher }
    }

    /// The merchant numbers there are, each once: both APIs of one have one bill, and so have two merchants that share it.
    pub fn merchant_numbers(&self) -> Vec<String> {
        let all = self.topups.merchants().all();
        let numbers: BTreeSet<&str> = all.iter().map(|merchant| merchant.mchid.as_str()).collect();
        numbers.into_iter().map(str::to_owned).collect()
    }

    /// The number of a merchant, by that number or by its name in the configuration.
    pub fn number_of(&self, merchant: &str) -> Option<String> {
        let all = self.topups.merchants().all();
        all.iter().find(|row| row.name == merchant || row.mchid == merchant).map(|row| row.mchid.clone())
    }

    /// Compares a day, and says how far it is.
    ///
    /// # Errors
    /// [`RunError`]; nothing was posted then, or what was is posted once when it is run again.
    pub async fn run(
        &self,
        wish: &RunWish,
        tell: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<DayReport, RunError> {
        let report = self.carried_out(wish, tell).await;
        match &report {
            Ok(report) => self.watcher.compared(report),
            Err(error) => self.watcher.failed(&wish.mchid, wish.date, error),
        }
        report
    }

    async fn carried_out(
        &self,
        wish: &RunWish,
        tell: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<DayReport, RunError> {
        let at = |phase, done, of| tell(Progress { phase, done, of });
        let day = Day::new(&wish.mchid, wish.date).ok_or(RunError::NoDay(wish.date))?;
        at(Phase::Fetching, 0, 0);
        let bills = self.bills(wish, &day).await?;
        at(Phase::Comparing, 0, bills.trade.rows.len());
        let ours = self.store.our_side(day.names(&bills)).await?;
        let known = self.store.bill_differences(day.mchid.clone(), day.date.to_string()).await?;
        let mut found = self.compared(&day, &bills, &ours).await?;
        self.ask(&day, &ours, &known, &mut found.differences, &at).await?;
        self.post_fees(&day, &bills, &ours, wish, (&mut found.differences, &at)).await?;
        at(Phase::Recording, 0, 0);
        self.record(&day, wish, bills, found).await
    }

    // ---- the bills ----

    /// A merchant of this number, one that speaks API v3 first: there the bill comes without a certificate.
    fn merchant(&self, mchid: &str) -> Option<Arc<Merchant>> {
        let all = self.topups.merchants().all();
        let of_number = || all.iter().filter(|merchant| merchant.mchid == mchid);
        of_number().find(|merchant| merchant.v3.is_some()).or_else(|| of_number().next()).cloned()
    }

    async fn bills(&self, wish: &RunWish, day: &Day) -> Result<Bills, RunError> {
        let merchant =
            self.merchant(&day.mchid).ok_or_else(|| RunError::UnknownMerchant(day.mchid.clone()))?;
        if day.ends > self.clock.now() {
            return Err(RunError::NotReady(day.date));
        }
        if wish.files.is_empty() { fetched(&merchant, day).await } else { brought(&wish.files, day).await }
    }

    // ---- what does not agree ----

    async fn compared(&self, day: &Day, bills: &Bills, ours: &OurSide) -> Result<Found, RunError> {
        let on_earlier = self.store.answered_keys(ours::earlier(day, ours)).await?;
        let before = match day.date.before(1) {
            Some(date) => self.store.bill_day(day.mchid.clone(), date.to_string()).await?,
            None => None,
        };
        let before = before.filter(|before| before.runs > 0);
        let compared_before = before.is_some();
        let trade = &bills.trade;
        // What a person has decided about lies in the books as what it is.
        let (decided, rows): (Vec<_>, Vec<_>) =
            trade.rows.iter().cloned().partition(|row| ours::is_decided(ours, row));
        let undecided = TradeBill { rows, set_aside: Vec::new(), covers: trade.covers };
        let mut orders = ours::orders(day, ours, &on_earlier, compared_before);
        for row in &decided {
            for order in orders.iter_mut().filter(|order| order.out_trade_no == row.out_trade_no) {
                order.due &= order.transaction_id.as_deref() != Some(row.transaction_id.as_str());
            }
        }
        let refunds = ours::refunds(day, ours, &on_earlier, compared_before);
        let compared = matching::compare(&undecided, &orders, &refunds);
        let mut differences: Vec<_> = compared.differences.iter().map(found).collect();
        for difference in &mut differences {
            let number =
                difference.out_trade_no.as_deref().and_then(|number| OrderId::from_bare(number).ok());
            let of_refund = difference.out_refund_no.as_deref();
            let item = of_refund.and_then(|number| units::RefundId::from_bare(number).ok());
            let item = item.and_then(|id| ours.items.get(&id));
            let order = number.or(item.map(|item| item.order));
            difference.order = order.filter(|id| ours.orders.contains_key(id));
        }
        differences.extend(trade.set_aside.iter().map(|row| FoundDifference {
            detail: Some(format!("line {}: {}", row.line, row.fault)),
            ..FoundDifference::new(DifferenceClass::UnreadableRow)
        }));
        let (payments, given_back): (BTreeSet<&str>, BTreeSet<&str>) = (
            compared.payments.iter().map(String::as_str).collect(),
            compared.refunds.iter().map(String::as_str).collect(),
        );
        let agrees = |row: &TradeRow| match &row.kind {
            RowKind::Payment { .. } => {
                payments.contains(row.out_trade_no.as_str()) || ours::is_decided(ours, row)
            }
            RowKind::Refund(part) => given_back.contains(part.out_refund_no.as_str()),
            RowKind::Other(_) => false,
        };
        let mut sums = sums(trade, agrees).map_err(|_| RunError::NoDay(day.date))?;
        let matched = || trade.rows.iter().filter(|row| agrees(row));
        let seen = fees::look(&self.tiers, self.paid_before(day).await?, matched());
        sums.fees_expected = seen.expected;
        if let Some(first) = seen.otherwise.first() {
            differences.push(FoundDifference {
                out_trade_no: Some(first.clone()),
                bill: Some(seen.said),
                local: Some(seen.wanted),
                detail: Some(format!("{} payments, of which this is the first", seen.otherwise.len())),
                ..FoundDifference::new(DifferenceClass::FeeOtherwise)
            });
        }
        if let Some(flow) = &bills.flow {
            sums.movements = i64::try_from(flow.rows.len()).ok();
            let before = before.as_ref().filter(|before| before.sums.movements.is_some());
            let before = before.map(|before| before.sums.carried.as_slice());
            let is_late = |found: &_| ours::is_looked_for_tomorrow(day, ours, found);
            let flows = flows::compare(trade, flow, day.ends, before, is_late);
            sums.carried = add_flows(&mut differences, flows);
            differences.extend(flow.set_aside.iter().map(|row| FoundDifference {
                detail: Some(format!("fund flow bill, line {}: {}", row.line, row.fault)),
                ..FoundDifference::new(DifferenceClass::UnreadableRow)
            }));
        }
        Ok(Found { differences, sums })
    }

    /// What was paid in the month before the day, as the bills had it; unknown where one of its days was not compared.
    async fn paid_before(&self, day: &Day) -> Result<Option<Fen>, RunError> {
        let first = day.date.month();
        if first == day.date {
            return Ok(Some(Fen::ZERO));
        }
        let Some(yesterday) = day.date.before(1) else { return Ok(None) };
        let days = self.store.bill_days(first.to_string(), yesterday.to_string()).await?;
        let mut compared = days.iter().filter(|row| row.mchid == day.mchid && row.runs > 0);
        let mut date = first;
        let mut paid = Fen::ZERO;
        while date < day.date {
            let Some(row) = compared.next().filter(|row| row.day == date.to_string()) else {
                return Ok(None);
            };
            let Ok(sum) = paid.plus(row.sums.paid) else { return Ok(None) };
            paid = sum;
            let Some(next) = date.next() else { return Ok(None) };
            date = next;
        }
        Ok(Some(paid))
    }

    // ---- the fees ----

    /// Posts what the channel kept of what is ours, each once. The command's key also says, for days to come, that the
    /// number was on this bill.
    async fn post_fees(
        &self,
        day: &Day,
        bills: &Bills,
        ours: &OurSide,
        wish: &RunWish,
        (differences, at): (&mut Vec<FoundDifference>, &(dyn Fn(Phase, usize, usize) + Send + Sync)),
    ) -> Result<(), RunError> {
        let is_ours = |row: &TradeRow| {
            let order = ours::order_of(row).and_then(|id| ours.orders.get(&id));
            order.is_some_and(|order| order.mchid == day.mchid)
        };
        let mut rows: BTreeMap<&str, &TradeRow> = BTreeMap::new();
        for row in bills.trade.rows.iter().filter(|row| is_ours(row)) {
            let number = match &row.kind {
                RowKind::Payment { .. } => &row.transaction_id,
                RowKind::Refund(part) => &part.refund_id,
                RowKind::Other(_) => continue,
            };
            rows.entry(number).or_insert(row);
        }
        let of_bill = |row: &TradeRow| FoundDifference {
            bill: Some(row.fee),
            ..of_row(row, DifferenceClass::FeeChanged)
        };
        let of_trade = rows.into_iter().map(|(number, row)| (number.to_owned(), row.fee, of_bill(row)));
        let is_of_merchant = |id: &OrderId| ours.orders.get(id).is_some_and(|order| order.mchid == day.mchid);
        let again = bills.flow.iter().flat_map(flows::kept_again).filter_map(|kept| {
            let item = ours.items.get(&kept.refund).filter(|item| is_of_merchant(&item.order))?;
            let fee = NanoCny::from(kept.fee);
            let changed = FoundDifference {
                out_refund_no: Some(item.id.bare()),
                bill: Some(fee),
                ..FoundDifference::new(DifferenceClass::FeeChanged)
            };
            Some((format!("{}:closed", kept.number), fee, changed))
        });
        let posts: Vec<(FoundDifference, Command)> = of_trade
            .chain(again)
            .map(|(number, amount, changed)| {
                let bill_row = day.bill_row(day.date, &number);
                let command = self.command(format!("fee:{bill_row}"), Body::PostFee { bill_row, amount });
                (changed, Command { actor: wish.by.clone(), ..command })
            })
            .collect();
        let of = posts.len();
        at(Phase::Posting, 0, of);
        let store = self.store.clone();
        let posting = stream::iter(posts).map(move |(changed, command)| {
            let store = store.clone();
            async move { (changed, store.submit(command).await) }
        });
        let mut posted = posting.buffer_unordered(FEES_AT_ONCE);
        let mut done = 0;
        while let Some((changed, outcome)) = posted.next().await {
            done += 1;
            if done % 256 == 0 {
                at(Phase::Posting, done, of);
            }
            match outcome {
                Ok(_) => {}
                Err(SubmitError::Refused(Refusal::KeyReused)) => differences.push(FoundDifference {
                    detail: Some("another fee was posted for this row before".to_owned()),
                    ..changed
                }),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    // ---- the books ----

    async fn record(
        &self,
        day: &Day,
        wish: &RunWish,
        bills: Bills,
        Found { mut differences, sums }: Found,
    ) -> Result<DayReport, RunError> {
        // What is listed must not depend on the order of the fees.
        differences.sort_by_key(|found| found.class);
        let unlisted = i64::try_from(differences.len().saturating_sub(DIFFERENCES_MAX)).unwrap_or(i64::MAX);
        differences.truncate(DIFFERENCES_MAX);
        let (mchid, date) = (day.mchid.clone(), day.date.to_string());
        let compared = ComparedDay {
            mchid: mchid.clone(),
            day: date.clone(),
            source: bills.source,
            sha256: bills.sha256,
            sums,
            differences,
            unlisted,
        };
        let key = format!("bill:{mchid}:{date}:{}", RequestId::new(self.clock.now()).bare());
        let command =
            Command { actor: wish.by.clone(), ..self.command(key, Body::RecordBillDay(Box::new(compared))) };
        let Reply::BillDay(day) = self.store.submit(command).await? else {
            let odd = "the ledger gave an unexpected answer".to_owned();
            return Err(SubmitError::Stopped(odd).into());
        };
        let differences = self.store.bill_differences(mchid, date).await?;
        Ok(DayReport { day: *day, differences })
    }

    pub(super) fn command(&self, key: String, body: Body) -> Command {
        let at = self.clock.now();
        Command { key, actor: Actor::system("reconcile"), reason: None, approver: None, at, body }
    }

    pub(super) async fn submit(&self, key: String, body: Body) -> Result<Reply, SubmitError> {
        self.store.submit(self.command(key, body)).await
    }
}
