//! A day, from the bill to the books: fetched or brought, read, compared, put right where the channel confirms it, written
//! down. Doing it again changes nothing that was explained and posts nothing twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use sha2::{Digest, Sha256};
use units::{AccountId, Clock, Fen, NanoCny, OrderId, Overflow, RequestId, Timestamp};

use super::{
    bill::{self, Bill, BillError, FundFlow, RowKind, TradeBill, TradeRow},
    date::BillDate,
    fees::{self, FeeTiers},
    flows,
    matching::{self, Difference},
    ours::{self, Day},
};
use crate::{
    channel::{
        ChannelError, RefundState,
        wechat::{BillRows, FundAccount, v3::BillKind},
    },
    ledger::{
        Actor, BillDay, BillDifference, BillSource, BillSums, Body, Command, ComparedDay, DIFFERENCES_MAX,
        DifferenceCause, DifferenceClass, DifferenceState, ExternalRefund, FoundDifference, Order, OrderKind,
        Refusal, Reply,
    },
    store::{OurSide, Store, SubmitError},
    topup::{Confirmed, Merchant, TopUps},
};

/// Fees that are on their way to the store at once.
const FEES_AT_ONCE: usize = 64;
/// Payments and refunds that are asked after in one run: whoever has more has a larger trouble, and the next run goes on.
const ASKED_MAX: usize = 2_000;

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

/// The bills of a day.
struct Bills {
    trade: TradeBill,
    flow: Option<FundFlow>,
    source: BillSource,
    sha256: Option<String>,
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
        let ours = self.store.our_side(day.names(&bills.trade)).await?;
        let known = self.store.bill_differences(day.mchid.clone(), day.date.to_string()).await?;
        let mut found = self.compared(&day, &bills, &ours).await?;
        self.ask(&day, &ours, &known, &mut found.differences, &at).await?;
        self.post_fees(&day, &bills.trade, &ours, wish, (&mut found.differences, &at)).await?;
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
        let compared_before = match day.date.before(1) {
            Some(date) => {
                let before = self.store.bill_day(day.mchid.clone(), date.to_string()).await?;
                before.is_some_and(|before| before.runs > 0)
            }
            None => false,
        };
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
            let moved = flows::compare(trade, flow, day.ends);
            add_flows(&mut differences, moved);
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

    // ---- what the channel confirms ----

    /// Asks the channel about what does not agree, and puts right what it confirms.
    async fn ask(
        &self,
        day: &Day,
        ours: &OurSide,
        known: &[BillDifference],
        differences: &mut [FoundDifference],
        at: &(dyn Fn(Phase, usize, usize) + Send + Sync),
    ) -> Result<(), RunError> {
        use DifferenceClass as C;
        let explained: BTreeSet<&str> = known
            .iter()
            .filter(|known| known.state == DifferenceState::Resolved)
            .map(|known| known.id.as_str())
            .collect();
        let date = day.date.to_string();
        let asked: Vec<_> = differences
            .iter_mut()
            .filter(|found| {
                matches!(
                    found.class,
                    C::PaidInBillPendingLocally | C::RefundMissingLocally | C::MissingInBill
                ) && !explained.contains(found.id(&day.mchid, &date).as_str())
            })
            .take(ASKED_MAX)
            .collect();
        let of = asked.len();
        for (done, difference) in asked.into_iter().enumerate() {
            at(Phase::Asking, done, of);
            let Some(order) = difference.order.and_then(|id| ours.orders.get(&id)) else { continue };
            match difference.class {
                C::PaidInBillPendingLocally => self.credit(order, difference).await,
                C::RefundMissingLocally => self.book_refund(order, difference).await?,
                _ => self.doubt(order, difference).await?,
            }
        }
        Ok(())
    }

    /// A payment whose notice was lost.
    async fn credit(&self, order: &Order, difference: &mut FoundDifference) {
        let (healed, detail) = match self.topups.confirm(order).await {
            Confirmed::Credited(order) => {
                self.watcher.credited(&order);
                (Some(DifferenceCause::LostNotice), "confirmed by a query and credited".to_owned())
            }
            Confirmed::Known => (Some(DifferenceCause::LostNotice), "credited meanwhile".to_owned()),
            Confirmed::PutAside => {
                (None, "it does not agree with its order and waits for a decision".to_owned())
            }
            Confirmed::Denied(state) => (None, format!("asked, WeChat Pay says {state}")),
            Confirmed::Unclear(why) => (None, format!("WeChat Pay could not be asked: {why}")),
        };
        difference.healed = healed;
        difference.detail = Some(detail);
    }

    /// A refund from the channel's console. It is a fact once it has arrived; before, it may still be closed.
    async fn book_refund(&self, order: &Order, difference: &mut FoundDifference) -> Result<(), RunError> {
        let number = difference.out_refund_no.clone().unwrap_or_default();
        let report = match self.topups.foreign_refund(order, &number).await {
            Ok(report) => report,
            Err(error) => {
                difference.detail = Some(format!("WeChat Pay could not be asked: {error}"));
                return Ok(());
            }
        };
        let amount = report.refund.filter(|amount| Some(NanoCny::from(*amount)) == difference.bill);
        let (Some(amount), Some(refund_id)) = (amount, report.refund_id) else {
            difference.detail = Some("asked, WeChat Pay names another amount, or no number".to_owned());
            return Ok(());
        };
        if report.state != RefundState::Success {
            difference.detail = Some(format!("asked, WeChat Pay says {}", report.state));
            return Ok(());
        }
        let found = ExternalRefund {
            refund_id: refund_id.clone(),
            order: order.id,
            account: order.account,
            asset: order.kind.asset(),
            amount,
        };
        match self.submit(format!("xr:{refund_id}"), Body::ExtRefund(found)).await {
            Ok(_) => {
                difference.healed = Some(DifferenceCause::ConsoleRefund);
                difference.detail = Some("confirmed by a query and booked".to_owned());
                self.watcher.stopped(order.account);
            }
            Err(SubmitError::Refused(refusal)) => difference.detail = Some(format!("not booked: {refusal}")),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A payment that we have and the bill does not. If the channel denies it as well, somebody has made it up: its
    /// account is stopped.
    async fn doubt(&self, order: &Order, difference: &mut FoundDifference) -> Result<(), RunError> {
        let denied = match self.topups.asked_again(order).await {
            Ok(trade) if trade.state.was_paid() => {
                let paid = trade.success_time.and_then(BillDate::of).map(|date| format!(" on {date}"));
                difference.detail =
                    Some(format!("asked, WeChat Pay has it as paid{}", paid.unwrap_or_default()));
                return Ok(());
            }
            Ok(trade) => trade.state.as_str().to_owned(),
            Err(ChannelError::NotFound { code, .. }) => code,
            Err(error) => {
                difference.detail = Some(format!("WeChat Pay could not be asked: {error}"));
                return Ok(());
            }
        };
        difference.detail = Some(format!("asked, WeChat Pay says {denied}: this payment was made up"));
        tracing::error!(order = %order.id, account = %order.account, denied, "WeChat Pay knows nothing of a payment");
        if matches!(order.kind, OrderKind::Goods { .. }) {
            return Ok(());
        }
        let reason = format!("WeChat Pay knows nothing of the payment of order {}", order.id);
        let command = Command {
            reason: Some(reason),
            ..self.command(format!("recon-stop:{}", order.id), Body::StopAccount { account: order.account })
        };
        match self.store.submit(command).await {
            Ok(_) | Err(SubmitError::Refused(_)) => self.watcher.stopped(order.account),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    // ---- the fees ----

    /// Posts what the channel kept of what is ours, each once. The command's key also says, for days to come, that the
    /// number was on this bill.
    async fn post_fees(
        &self,
        day: &Day,
        trade: &TradeBill,
        ours: &OurSide,
        wish: &RunWish,
        (differences, at): (&mut Vec<FoundDifference>, &(dyn Fn(Phase, usize, usize) + Send + Sync)),
    ) -> Result<(), RunError> {
        let is_ours = |row: &TradeRow| {
            let order = ours::order_of(row).and_then(|id| ours.orders.get(&id));
            order.is_some_and(|order| order.mchid == day.mchid)
        };
        let mut rows: BTreeMap<&str, &TradeRow> = BTreeMap::new();
        for row in trade.rows.iter().filter(|row| is_ours(row)) {
            let number = match &row.kind {
                RowKind::Payment { .. } => &row.transaction_id,
                RowKind::Refund(part) => &part.refund_id,
                RowKind::Other(_) => continue,
            };
            rows.entry(number).or_insert(row);
        }
        let of = rows.len();
        at(Phase::Posting, 0, of);
        let posts: Vec<(TradeRow, Command)> = rows
            .into_iter()
            .map(|(number, row)| {
                let bill_row = day.bill_row(day.date, number);
                let command =
                    self.command(format!("fee:{bill_row}"), Body::PostFee { bill_row, amount: row.fee });
                (row.clone(), Command { actor: wish.by.clone(), ..command })
            })
            .collect();
        let store = self.store.clone();
        let posting = stream::iter(posts).map(move |(row, command)| {
            let store = store.clone();
            async move { (row, store.submit(command).await) }
        });
        let mut posted = posting.buffer_unordered(FEES_AT_ONCE);
        let mut done = 0;
        while let Some((row, outcome)) = posted.next().await {
            done += 1;
            if done % 256 == 0 {
                at(Phase::Posting, done, of);
            }
            match outcome {
                Ok(_) => {}
                Err(SubmitError::Refused(Refusal::KeyReused)) => differences.push(FoundDifference {
                    bill: Some(row.fee),
                    detail: Some("another fee was posted for this row before".to_owned()),
                    ..of_row(&row, DifferenceClass::FeeChanged)
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

    async fn submit(&self, key: String, body: Body) -> Result<Reply, SubmitError> {
        self.store.submit(self.command(key, body)).await
    }
}

/// The bills from the channel. The fund flow bill is wanted and not needed: API v2 gives it to a certificate only.
async fn fetched(merchant: &Merchant, day: &Day) -> Result<Bills, RunError> {
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
async fn brought(files: &[(String, Bytes)], day: &Day) -> Result<Bills, RunError> {
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

fn sums(trade: &TradeBill, agrees: impl Fn(&TradeRow) -> bool) -> Result<BillSums, Overflow> {
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let mut sums = BillSums { rows: count(trade.rows.len() + trade.set_aside.len()), ..BillSums::default() };
    for row in &trade.rows {
        sums.fees = NanoCny::new(sums.fees.get().checked_add(row.fee.get()).ok_or(Overflow)?);
        let agrees = agrees(row);
        match &row.kind {
            RowKind::Payment { total, .. } => {
                sums.payments += 1;
                sums.paid = sums.paid.plus(*total)?;
                if agrees {
                    sums.payments_matched += 1;
                    sums.paid_matched = sums.paid_matched.plus(*total)?;
                }
            }
            RowKind::Refund(part) => {
                sums.refunds += 1;
                sums.refunded = sums.refunded.plus(part.applied)?;
                if agrees {
                    sums.refunds_matched += 1;
                    sums.refunded_matched = sums.refunded_matched.plus(part.applied)?;
                }
            }
            RowKind::Other(_) => {}
        }
    }
    Ok(sums)
}

/// What the fund flow bill tells otherwise; of what differs already, only that it does.
fn add_flows(differences: &mut Vec<FoundDifference>, moved: Vec<FoundDifference>) {
    let numbers = |found: &FoundDifference| {
        // A refund is known by its own number: its payment may be quite in order.
        match &found.out_refund_no {
            Some(refund) => Some(("refund", refund.clone())),
            None => found.out_trade_no.clone().map(|number| ("payment", number)),
        }
    };
    let told: BTreeSet<_> = differences.iter().filter_map(numbers).collect();
    let news = moved.into_iter().filter(|found| numbers(found).is_none_or(|number| !told.contains(&number)));
    differences.extend(news.collect::<Vec<_>>());
}

fn of_row(row: &TradeRow, class: DifferenceClass) -> FoundDifference {
    FoundDifference {
        out_trade_no: Some(row.out_trade_no.clone()),
        out_refund_no: match &row.kind {
            RowKind::Refund(part) => Some(part.out_refund_no.clone()),
            _ => None,
        },
        transaction_id: Some(row.transaction_id.clone()),
        ..FoundDifference::new(class)
    }
}

/// A difference as it is written down.
fn found(difference: &Difference) -> FoundDifference {
    use Difference as D;
    use DifferenceClass as C;
    let yuan = |amount: &Fen| Some(NanoCny::from(*amount));
    let some = |text: &String| Some(text.clone());
    match difference {
        D::PaidInBillPendingLocally { out_trade_no, transaction_id, bill } => FoundDifference {
            out_trade_no: some(out_trade_no),
            transaction_id: some(transaction_id),
            bill: yuan(bill),
            ..FoundDifference::new(C::PaidInBillPendingLocally)
        },
        D::AmountMismatch { out_trade_no, bill, local } => FoundDifference {
            out_trade_no: some(out_trade_no),
            bill: yuan(bill),
            local: yuan(local),
            ..FoundDifference::new(C::AmountMismatch)
        },
        D::OtherTransaction { out_trade_no, bill, local } => FoundDifference {
            out_trade_no: some(out_trade_no),
            transaction_id: some(bill),
            detail: Some(format!("our order has {local}")),
            ..FoundDifference::new(C::OtherTransaction)
        },
        D::BookedOtherwise { out_trade_no, bill, booked } => FoundDifference {
            out_trade_no: some(out_trade_no),
            bill: yuan(bill),
            local: yuan(bill),
            booked: Some(*booked),
            ..FoundDifference::new(C::BookedOtherwise)
        },
        D::MissingLocally { out_trade_no, transaction_id, bill } => FoundDifference {
            out_trade_no: some(out_trade_no),
            transaction_id: some(transaction_id),
            bill: yuan(bill),
            ..FoundDifference::new(C::MissingLocally)
        },
        D::MissingInBill { out_trade_no, local } => FoundDifference {
            out_trade_no: some(out_trade_no),
            local: yuan(local),
            ..FoundDifference::new(C::MissingInBill)
        },
        D::RefundMissingLocally { out_refund_no, out_trade_no, transaction_id, bill } => FoundDifference {
            out_refund_no: some(out_refund_no),
            out_trade_no: some(out_trade_no),
            transaction_id: some(transaction_id),
            bill: yuan(bill),
            ..FoundDifference::new(C::RefundMissingLocally)
        },
        D::RefundAmountMismatch { out_refund_no, bill, local } => FoundDifference {
            out_refund_no: some(out_refund_no),
            bill: yuan(bill),
            local: yuan(local),
            ..FoundDifference::new(C::RefundAmountMismatch)
        },
        D::RefundBookedOtherwise { out_refund_no, bill, booked } => FoundDifference {
            out_refund_no: some(out_refund_no),
            bill: yuan(bill),
            local: yuan(bill),
            booked: Some(*booked),
            ..FoundDifference::new(C::RefundBookedOtherwise)
        },
        D::RefundMissingInBill { out_refund_no, local } => FoundDifference {
            out_refund_no: some(out_refund_no),
            local: yuan(local),
            ..FoundDifference::new(C::RefundMissingInBill)
        },
        D::Repeated { number } => {
            FoundDifference { transaction_id: some(number), ..FoundDifference::new(C::RepeatedInBill) }
        }
        D::UnknownKind { out_trade_no, kind } => FoundDifference {
            out_trade_no: some(out_trade_no),
            detail: Some(kind.clone()),
            ..FoundDifference::new(C::UnknownKind)
        },
    }
}
