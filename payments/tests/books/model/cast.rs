//! Who is meant: numbers become ids, and steps become commands that fit the books as they stand. Ids are made of the
//! numbers alone, so a seed gives the same run every time.

mod scenes;

use std::{collections::HashMap, sync::Arc};

use payments::{
    ledger::{
        AcceptedRate, AccountRole, Actor, Adjustment, Asset, BillDifference, BillSource, BillSums, Body,
        Command, ComparedDay, Correction, DifferenceCause, DifferenceClass, DifferenceState, ExternalRefund,
        FoundDifference, GateChange, GateScope, GoodsLine, GoodsRefund, GrantCaps, GrantClaim, Hold,
        HoldQuote, HoldState, LineRefund, LotClass, ManualPayout, NewCode, NewHold, NewOrder, Order,
        OrderKind, OrderState, PackageOffer, RefundBatchState, RefundItem, RefundItemState, RefundNews,
        Resolution, Role, SettleEnd, SettledBy, Stranded, StrangeNotice, SuspenseState, TokenLeg, Verdict,
        Weights,
    },
    prices::{Book, FxInForce, Published, Sheet, Tier},
};
use units::{
    AccountId, Fen, KeyId, Livemode, NanoCny, OrderId, Percent, RefundBatchId, RefundId, RequestId,
    Timestamp, Tokens, Usage,
};

use super::{
    steps::{About, By, Ending, LIVE, Price, Step, Wrong},
    world::World,
};
use crate::support::{
    MCHID, MODEL, START, api_key, command, extending, fen, flat, new_hold, new_order, token_kind,
};

pub const ACCOUNTS: usize = 6;
const HOLDS: usize = 60;
const ORDERS: usize = 40;
const BATCHES: usize = 40;
const ITEMS: usize = 6;
const KEYS: usize = 6;

pub const PAIR: &str = "USD/CNY";
pub const LIST: &str = "standard";
/// How old a rate may be.
pub const MAX_STALE: i64 = 12 * 3_600 * 1_000_000;
/// Dollars per million tokens, in millionths: fresh input, from the cache, into the cache, output.
pub const DOLLARS: [i64; 4] = [2_500_000, 250_000, 2_500_000, 10_000_000];
const DOCUMENTS: [&str; 4] = [
    r#"{"models": {"m": {"currency": "USD", "input": "2.50", "cached_input": "0.25", "output": "10.00"}}}"#,
    r#"{"models": {"m": {"currency": "USD", "input": "2.50", "cached_input": "0.25", "output": "10.00"}, "n": {"input": "1.00", "output": "2.00"}}}"#,
    r#"{"models": {"m": {"input": "-1.00", "output": "10.00"}}}"#,
    "no list",
];

/// An id that is nothing but its number.
macro_rules! numbered {
    ($ty:ty, $kind:literal, $n:expr) => {
        <$ty>::from_bare(&format!(concat!("0", $kind, "{:024}"), $n)).unwrap()
    };
}

/// A day of a bill; the last is none.
fn day_of(day: u8) -> String {
    if day == 3 { "2025-10-32".to_owned() } else { format!("2025-10-0{}", day + 1) }
}

/// One of three differences, put right by the comparison itself or not.
fn difference(number: u8) -> FoundDifference {
    FoundDifference {
        out_trade_no: Some(format!("T{}", number % 3)),
        bill: Some(NanoCny::from_yuan(i32::from(number % 3))),
        healed: (number >= 3).then_some(DifferenceCause::LostNotice),
        ..FoundDifference::new(DifferenceClass::MissingLocally)
    }
}

pub struct Cast {
    pub accounts: [AccountId; ACCOUNTS],
    pub now: Timestamp,
    keys: [KeyId; KEYS],
    holds: Vec<RequestId>,
    orders: Vec<OrderId>,
    batches: Vec<RefundBatchId>,
    said: Vec<Command>,
    count: usize,
}

impl Cast {
    pub fn new() -> Self {
        Self {
            accounts: std::array::from_fn(|n| numbered!(AccountId, "1", n)),
            now: START,
            keys: std::array::from_fn(|n| numbered!(KeyId, "2", n)),
            holds: (0..HOLDS).map(|n| numbered!(RequestId, "3", n)).collect(),
            orders: (0..ORDERS).map(|n| numbered!(OrderId, "4", n)).collect(),
            batches: (0..BATCHES).map(|n| numbered!(RefundBatchId, "5", n)).collect(),
            said: Vec::new(),
            count: 0,
        }
    }

    /// Four customers, the house and a place for one more. Two of the customers and the house have paid two orders and
    /// some tokens; the other two have nothing, so that what is lent to them is used.
    pub fn opening(&self) -> Vec<Command> {
        let mut commands = vec![self.by(By::Two, "package:1", Body::DefinePackage(package(1)))];
        for (n, &id) in self.accounts[..ACCOUNTS - 1].iter().enumerate() {
            let role = if n == 3 { AccountRole::House } else { AccountRole::Customer };
            let body = Body::OpenAccount { id, livemode: Livemode::Demo, name: "test".to_owned(), role };
            commands.push(command(format!("open:{n}"), START, body));
            let key = api_key(self.keys[n % KEYS], id, &format!("d{n}"));
            commands.push(command(format!("key:{n}"), START, Body::AddKey(key)));
            if n == 2 || n == 4 {
                continue;
            }
            for (m, kind) in
                [OrderKind::Wallet, OrderKind::Wallet, token_kind(10_000, 1_000_000)].into_iter().enumerate()
            {
                let order = numbered!(OrderId, "6", n * 10 + m);
                let amount = if m == 2 { fen(1_000) } else { fen(30) };
                let new = NewOrder {
                    bonus: NanoCny::new(i64::from(m == 1) * 30_000_000),
                    ..new_order(order, id, amount, kind)
                };
                let paid = paid(order, &Payable { account: id, asset: new.kind.asset(), amount });
                commands.push(command(format!("first:{n}:{m}"), START, Body::CreateOrder(new)));
                commands.push(command("pay", Timestamp(START.0 + m as i64), paid));
            }
        }
        commands
    }

    fn by(&self, by: By, key: impl Into<String>, body: Body) -> Command {
        let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
        let (actor, reason, approver) = match by {
            By::Two => (operator("ann"), Some("why"), Some(operator("bea"))),
            By::Alone => (operator("ann"), None, None),
            By::Customer => (Actor { id: "key".to_owned(), role: Role::Customer }, Some("why"), None),
        };
        Command { actor, reason: reason.map(str::to_owned), approver, ..command(key, self.now, body) }
    }

    /// Mostly those who share what happens, so that it happens to the same money.
    fn account(&self, n: usize) -> AccountId {
        self.accounts[[0, 1, 0, 2, 1, 4, 3, 5, 4][n % 9]]
    }

    /// Those who are given something.
    fn rich(&self, n: usize) -> AccountId {
        self.accounts[[0, 1, 0, 1, 0, 1, 3, 5, 2][n % 9]]
    }

    fn hold(&self, world: &World, n: usize, fits: impl Fn(&Hold) -> bool) -> RequestId {
        let mut live: Vec<_> = world.rows.holds().filter(|hold| fits(hold)).map(|hold| hold.id).collect();
        live.sort();
        if n < LIVE && !live.is_empty() { live[n % live.len()] } else { self.holds[n % HOLDS] }
    }

    fn order(&self, world: &World, n: usize, fits: impl Fn(&Order) -> bool) -> OrderId {
        let mut live: Vec<_> =
            world.rows.orders().filter(|order| fits(order)).map(|order| order.id).collect();
        live.sort();
        if n < LIVE && !live.is_empty() { live[n % live.len()] } else { self.orders[n % ORDERS] }
    }

    fn item(&self, world: &World, n: usize, fits: impl Fn(&RefundItem) -> bool) -> Option<RefundItem> {
        let known: Vec<_> = world.rows.items().collect();
        let live: Vec<_> = known.iter().copied().filter(|item| fits(item)).collect();
        let from = if n < LIVE && !live.is_empty() { live } else { known };
        (!from.is_empty()).then(|| from[n % from.len()].clone())
    }

    fn fresh_batch(&self, world: &World, n: usize) -> RefundBatchId {
        let taken = |id: &RefundBatchId| world.rows.batches().any(|batch| batch.id == *id);
        let fresh = self.batches.iter().find(|id| !taken(id)).filter(|_| n < LIVE);
        *fresh.unwrap_or(&self.batches[n % BATCHES])
    }

    fn item_ids(batch: RefundBatchId) -> Vec<RefundId> {
        let number: usize = batch.bare()[2..].parse().unwrap();
        (0..ITEMS).map(|n| numbered!(RefundId, "7", number * ITEMS + n)).collect()
    }

    /// The command a step means; none where time passes or nothing is there.
    pub fn command(&mut self, by: By, step: &Step, world: &World) -> Option<Command> {
        self.now = Timestamp(self.now.0 + 1_000_000);
        self.count += 1;
        if let Step::Wait(micros) = step {
            self.now = Timestamp((self.now.0 + micros).max(START.0));
            return None;
        }
        if let Step::Again(ago) = step {
            let index = self.said.len().checked_sub(*ago)?;
            return Some(Command { at: self.now, ..self.said[index].clone() });
        }
        let (key, body) = self.asked(by, step, world)?;
        let command = self.by(by, key, body);
        self.said.push(command.clone());
        Some(command)
    }

    fn asked(&self, by: By, step: &Step, world: &World) -> Option<(String, Body)> {
        let rows = &world.rows;
        let once = |what: &str| format!("{what}:{}", self.count);
        Some(match step {
            Step::Promo { account, amount, lasts, key } => {
                let expires_at = lasts.map(|lasts| Timestamp(self.now.0 + lasts));
                let (account, amount) = (self.rich(*account), NanoCny::new(*amount));
                (format!("promo:{key}"), Body::GrantPromo { account, amount, expires_at })
            }
            Step::Expire { account, lot } => {
                let account = self.account(*account);
                let live: Vec<_> = rows.lots_of(account, &Asset::Cny).filter(|lot| lot.rem > 0).collect();
                let ending: Vec<_> = live
                    .iter()
                    .copied()
                    .filter(|lot| lot.class == LotClass::Promo && lot.expires_at.is_some())
                    .collect();
                let from = if *lot < LIVE && !ending.is_empty() { ending } else { live };
                let row = (!from.is_empty()).then(|| from[lot % from.len()])?;
                (
                    "expire".to_owned(),
                    Body::ExpireLot { account, asset: Asset::Cny, lot: row.id.clone(), expired: row.expired },
                )
            }
            Step::MakeCode { code, amount, lasts } => {
                let new = NewCode {
                    digest: digest(*code),
                    hint: "XYZ".to_owned(),
                    amount: NanoCny::new(*amount),
                    lifetime_s: Some(*lasts),
                    valid_until: Some(Timestamp(START.0 + 86_400_000_000)),
                    uses: 2,
                    campaign: format!("c{}", code % 2),
                    livemode: Livemode::Demo,
                };
                (once("code"), Body::CreateCode(new))
            }
            Step::Redeem { account, code } => {
                let (account, campaign) = (self.rich(*account), format!("c{}", code % 2));
                (once("redeem"), Body::RedeemCode { account, digest: digest(*code), campaign })
            }
            Step::VoidCode { code } => (once("void"), Body::VoidCode { digest: digest(*code) }),
            Step::Account { account, what } => (once("account"), self.about(world, *account, *what)),
            Step::Adjust { account, amount, tokens, ticket } => {
                let account = self.rich(*account);
                let asset = if *tokens { Asset::Tokens(MODEL.to_owned()) } else { Asset::Cny };
                let change = Adjustment { account, asset, amount: *amount, ticket: format!("t{ticket}") };
                (format!("adj:t{ticket}"), Body::Adjust(change))
            }
            Step::AddKey { account, key, digest } => {
                let row = api_key(self.keys[key % KEYS], self.account(*account), &format!("d{digest}"));
                let row = payments::ledger::ApiKey {
                    id: if *key < KEYS {
                        row.id
                    } else {
                        numbered!(KeyId, "8", *key * 10 + usize::from(*digest))
                    },
                    ..row
                };
                (once("add"), Body::AddKey(row))
            }
            Step::RevokeKey { account, key } => {
                let id =
                    if *key < KEYS { self.keys[*key] } else { numbered!(KeyId, "8", *key * 10 + *account) };
                let account =
                    rows.key(id).filter(|_| *account > 0).map_or(self.account(*account), |key| key.account);
                (once("revoke"), Body::RevokeKey { account, key: id })
            }
            Step::Budget { account, key, period, limit } => {
                let key = key.map(|key| self.keys[key % KEYS]);
                let own = key.and_then(|key| rows.key(key)).map(|key| key.account);
                let account = own.filter(|_| *account > 0).unwrap_or(self.account(*account));
                let limit = limit.map(NanoCny::new);
                (once("budget"), Body::SetBudget { account, key, period: *period, limit })
            }
            Step::Hold { .. } => ("hold".to_owned(), Body::Hold(self.new_hold(step, world)?)),
            Step::Dispatch { hold } => {
                let id = self.hold(world, *hold, |hold| hold.state == HoldState::Open && !hold.dispatched);
                ("dispatch".to_owned(), Body::Dispatch { id, account: self.payer(world, id) })
            }
            Step::Extend { hold, by } => {
                let id = self.hold(world, *hold, |hold| hold.state == HoldState::Open);
                let money = rows.hold(id).map_or(0, |hold| hold.money.get());
                let to = NanoCny::new(money.saturating_add(*by));
                ("extend".to_owned(), extending(rows, id, self.payer(world, id), to))
            }
            Step::Orphan { hold, overdue } => {
                let id = self.hold(world, *hold, |hold| hold.state == HoldState::Open);
                let why = if *overdue { Stranded::Overdue } else { Stranded::EpochOver { epoch: 1 } };
                ("orphan".to_owned(), Body::Orphan { id, account: self.payer(world, id), why })
            }
            Step::End { hold, recovery, epoch, end } => {
                let state = if *recovery { HoldState::Orphan } else { HoldState::Open };
                let id = self.hold(world, *hold, |hold| hold.state == state);
                let row = rows.hold(id);
                let by = if *recovery { SettledBy::Recovery } else { SettledBy::Owner { epoch: *epoch } };
                let body = Body::Settle {
                    id,
                    account: self.payer(world, id),
                    key: row.map_or(self.keys[0], |hold| hold.key),
                    tokens: row.map(Hold::token_assets).unwrap_or_default(),
                    by,
                    end: ending(*end),
                };
                ("settle".to_owned(), body)
            }
            Step::Correct { hold, part } => {
                let id = self.hold(world, *hold, |hold| !hold.used.is_empty());
                let row = rows.hold(id);
                let asset =
                    row.and_then(|hold| hold.used.first()).map_or(Asset::Cny, |part| part.asset.clone());
                let what = part.map_or(Correction::Whole, |amount| Correction::Part { asset, amount });
                let body = Body::CorrectCharge {
                    id,
                    account: self.payer(world, id),
                    key: row.map_or(self.keys[0], |hold| hold.key),
                    used: row.map(|hold| hold.used.clone()).unwrap_or_default(),
                    what,
                };
                (once("correct"), body)
            }
            Step::Create { order, account, kind, amount, bonus } => {
                let fresh =
                    self.orders.iter().find(|id| rows.order(**id).is_none()).filter(|_| *order < LIVE);
                let id = *fresh.unwrap_or(&self.orders[order % ORDERS]);
                let (amount, kind) = bought(*kind, *amount);
                let bonus = if kind == OrderKind::Wallet { *bonus } else { 0 };
                let expires_at = Timestamp(self.now.0 + 900_000_000);
                let new = NewOrder {
                    bonus: NanoCny::new(bonus),
                    expires_at,
                    open_max: Some(6),
                    ..new_order(id, self.account(*account), amount, kind)
                };
                (format!("create:{id}:{amount}"), Body::CreateOrder(new))
            }
            Step::Prepaid { order } => {
                let order = self.order(world, *order, |order| order.state == OrderState::Created);
                (
                    "step".to_owned(),
                    Body::OrderPrepaid {
                        order,
                        prepay: payments::ledger::Prepay::Code("c".to_owned()),
                        request_id: None,
                    },
                )
            }
            Step::Failed { order } => {
                let order = self.order(world, *order, |order| order.state == OrderState::Created);
                ("step".to_owned(), Body::OrderFailed { order, detail: "no".to_owned() })
            }
            Step::Closed { order } => {
                let order = self.order(world, *order, |order| order.state == OrderState::Pending);
                ("step".to_owned(), Body::OrderClosed { order, source: "query".to_owned() })
            }
            Step::Noted { order } => {
                let (order, event, source) =
                    (self.order(world, *order, |_| true), "note".to_owned(), "test".to_owned());
                ("step".to_owned(), Body::OrderNoted { order, event, source, detail: None })
            }
            Step::Paid { .. } => ("pay".to_owned(), self.news(step, world)),
            Step::Review { order, credit, named } => {
                let id = self.order(world, *order, |order| {
                    order.state == OrderState::Review
                        || rows
                            .suspended()
                            .any(|payment| payment.order == order.id && payment.state == SuspenseState::Open)
                });
                let row = rows.order(id);
                let open = rows
                    .suspended()
                    .find(|payment| payment.order == id && payment.state == SuspenseState::Open);
                let about = Resolution {
                    order: id,
                    account: row.map_or(self.accounts[0], |order| order.account),
                    asset: row.map_or(Asset::Cny, |order| order.kind.asset()),
                    transaction_id: open.map(|payment| payment.transaction_id.clone()).filter(|_| *named),
                    verdict: if *credit { Verdict::Credit } else { Verdict::Void },
                    batch: self.fresh_batch(world, 0),
                    item: Self::item_ids(self.fresh_batch(world, 0))[0],
                };
                (once("resolve"), Body::ResolveReview(about))
            }
            Step::OpenGrant { order, claimed } => {
                let order = self.order(world, *order, |order| {
                    order.state == OrderState::Pending && rows.grant(order.id).is_none()
                });
                let account = rows.order(order).map_or(self.accounts[0], |order| order.account);
                let claim = if *claimed { GrantClaim::Payer } else { GrantClaim::Policy };
                ("grant".to_owned(), Body::OpenGrant { order, account, claim, caps: GrantCaps::default() })
            }
            Step::SweepGrant { order, granted } => {
                let order = self.order(world, *order, |order| {
                    rows.grant(order.id).is_some_and(|grant| grant.resolved_at.is_none())
                });
                let account = rows.order(order).map_or(self.accounts[0], |order| order.account);
                (once("sweep"), Body::SweepGrant { order, account, granted: granted.unwrap_or(i64::MAX) })
            }
            Step::Refund { account, batch, tokens, amount, order, granted, key } => {
                let (account, batch) = (self.account(*account), self.fresh_batch(world, *batch));
                let mut assets: Vec<_> = rows
                    .wallets()
                    .filter(|wallet| wallet.account == account)
                    .map(|wallet| wallet.asset.clone())
                    .collect();
                assets.sort();
                let body = Body::RequestRefund {
                    batch,
                    account,
                    // Mostly yuan, which sort first.
                    asset: assets.get(tokens.saturating_sub(1)).cloned().unwrap_or(Asset::Cny),
                    amount: amount.map(fen),
                    granted: granted.unwrap_or(i64::MAX),
                    // Of every other request, more than a few fen takes a second person.
                    approve_above: key.is_multiple_of(2).then(|| fen(5)),
                    order: order.map(|order| {
                        self.order(world, order, |order| order.state.is_paid() && order.account == account)
                    }),
                    reason: None,
                    item_ids: Self::item_ids(batch),
                };
                (format!("refund:{key}"), body)
            }
            Step::RefundGoods { batch, order, line, amount } => {
                let batch = self.fresh_batch(world, *batch);
                let order = self.order(world, *order, |order| {
                    order.state.is_paid() && matches!(order.kind, OrderKind::Goods { .. })
                });
                let wish = GoodsRefund {
                    batch,
                    item: Self::item_ids(batch)[0],
                    account: rows.order(order).map_or(self.accounts[0], |order| order.account),
                    order,
                    lines: vec![LineRefund { line: *line, amount: fen(*amount) }],
                    reason: None,
                };
                (once("goods"), Body::RefundGoods(wish))
            }
            Step::Sending { item } => {
                let ready = |item: &RefundItem| {
                    matches!(
                        item.state,
                        RefundItemState::Queued | RefundItemState::Unknown | RefundItemState::Wait
                    )
                };
                let item = self.item(world, *item, ready)?;
                ("sending".to_owned(), Body::RefundSending { item: item.id, batch: item.batch })
            }
            Step::Report { item, news, event } => {
                let item = self.item(world, *item, |item| {
                    !item.state.is_end() && item.state != RefundItemState::Queued
                })?;
                (
                    "report".to_owned(),
                    self.reporting(world, &item, *news, event.map(|number| format!("E{number}"))),
                )
            }
            Step::Cancel { item } => {
                let item = self.item(world, *item, |item| item.state == RefundItemState::Queued)?;
                let body = Body::CancelRefund {
                    batch: item.batch,
                    account: item.account,
                    asset: self.asset_of(world, &item),
                    orders: rows.items_of(item.batch).map(|item| item.order).collect(),
                    payments: rows.items_of(item.batch).filter_map(|item| item.payment.clone()).collect(),
                };
                ("cancel".to_owned(), body)
            }
            Step::Gate { account, state } => {
                let id = self.account(*account).to_string();
                let change = GateChange {
                    scope: GateScope::Account,
                    id,
                    state: *state,
                    why: "why".to_owned(),
                    event: None,
                };
                (once("gate"), Body::SetGate(change))
            }
            Step::Approve { item } => {
                let waits = |item: &RefundItem| {
                    let waiting = RefundBatchState::Waiting;
                    rows.batches().any(|batch| batch.id == item.batch && batch.state == waiting)
                };
                let item = self.item(world, *item, waits)?;
                ("approve".to_owned(), Body::ApproveRefund { batch: item.batch, account: item.account })
            }
            Step::SweepBonus { order } => {
                let order = self.order(world, *order, |order| order.state.is_paid() && order.bonus.get() > 0);
                let account = rows.order(order).map_or(self.accounts[0], |order| order.account);
                ("bonus".to_owned(), Body::SweepBonus { account, order })
            }
            Step::Strange { number } => {
                // The events of everything else, too, and now and then one without an id.
                let id = if number % 10 == 0 { String::new() } else { format!("EV-{number}") };
                let strange = StrangeNotice {
                    id,
                    merchant: "main".to_owned(),
                    subject: "nothing of ours".to_owned(),
                    detail: "no such order".to_owned(),
                };
                (format!("notice:{number}"), Body::FileNotice(strange))
            }
            Step::Elsewhere { order, amount, number } => {
                let id = self.order(world, *order, |order| order.state.is_paid());
                let row = rows.order(id);
                let found = ExternalRefund {
                    refund_id: format!("x{number}"),
                    order: id,
                    account: row.map_or(self.accounts[0], |order| order.account),
                    asset: row.map_or(Asset::Cny, |order| order.kind.asset()),
                    // Mostly no more than was paid.
                    amount: row
                        .filter(|_| amount % 5 != 0)
                        .map_or(fen(*amount), |order| fen(*amount).min(order.amount)),
                };
                (format!("xr:x{number}"), Body::ExtRefund(found))
            }
            Step::Payout { order, amount, ticket } => {
                let old = |order: &Order| {
                    order.state.is_paid()
                        && order.paid_at.is_some_and(|paid| self.now.0 - paid.0 > 365 * 86_400_000_000)
                };
                let id = self.order(world, *order, old);
                let row = rows.order(id);
                let paid = ManualPayout {
                    order: id,
                    account: row.map_or(self.accounts[0], |order| order.account),
                    asset: row.map_or(Asset::Cny, |order| order.kind.asset()),
                    amount: fen(*amount),
                    ticket: format!("p{ticket}"),
                    evidence: "bank 1".to_owned(),
                };
                (format!("payout:p{ticket}"), Body::ManualPayout(paid))
            }
            Step::Fee { row, amount } => {
                let body = Body::PostFee { bill_row: format!("r{row}"), amount: NanoCny::new(*amount) };
                (format!("fee:r{row}"), body)
            }
            Step::Bill { day, found } => {
                let compared = ComparedDay {
                    mchid: MCHID.to_owned(),
                    day: day_of(*day),
                    source: BillSource::Fetched,
                    sha256: None,
                    sums: BillSums::default(),
                    differences: found.iter().map(|number| difference(*number)).collect(),
                    unlisted: 0,
                };
                (once("bill"), Body::RecordBillDay(Box::new(compared)))
            }
            Step::TakeBill { day, late } => {
                let until = Timestamp(self.now.0 + if *late { 60_000_000 } else { 0 });
                let body = Body::TakeBillDay { mchid: MCHID.to_owned(), day: day_of(*day), until };
                ("take".to_owned(), body)
            }
            Step::Explain { day, difference } => {
                let day = day_of(*day);
                let open = |row: &&BillDifference| row.state == DifferenceState::Open;
                let of_day: Vec<_> = rows.differences_of(MCHID, &day).collect();
                let open: Vec<_> = of_day.iter().copied().filter(open).collect();
                let from = if *difference < LIVE && !open.is_empty() { open } else { of_day };
                let named = (!from.is_empty()).then(|| from[difference % from.len()].id.clone());
                let body = Body::ResolveDifference {
                    difference: named.unwrap_or_else(|| "diff_none".to_owned()),
                    mchid: MCHID.to_owned(),
                    day,
                    cause: DifferenceCause::OtherSystem,
                    evidence: None,
                };
                (once("explain"), body)
            }
            Step::SignBill { day } => {
                (once("sign"), Body::SignOffBillDay { mchid: MCHID.to_owned(), day: day_of(*day) })
            }
            Step::Package { version, retire: true } => {
                (once("retire"), Body::RetirePackage { id: "pk".to_owned(), version: *version })
            }
            Step::Package { version, .. } => (once("package"), Body::DefinePackage(package(*version))),
            Step::Draft { document } => {
                let (list, document) = (LIST.to_owned(), DOCUMENTS[*document].to_owned());
                (once("draft"), Body::SavePriceDraft { list, document })
            }
            Step::DropDraft => (once("drop"), Body::DeletePriceDraft { list: LIST.to_owned() }),
            Step::Publish { same, later } => {
                let draft = rows.price_list(LIST).and_then(|list| list.draft.as_ref());
                let source_hash =
                    draft.filter(|_| *same).map_or("another".to_owned(), |draft| draft.source_hash.clone());
                let valid_from = (*later != 0).then(|| Timestamp(self.now.0 + later));
                let body = Body::PublishPrices {
                    list: LIST.to_owned(),
                    source_hash,
                    valid_from,
                    pairs: vec![PAIR.to_owned()],
                };
                (once("publish"), body)
            }
            Step::Rate { micro, age, confirmed } => {
                let rate = AcceptedRate {
                    pair: PAIR.to_owned(),
                    rate_micro: *micro,
                    source: "bank".to_owned(),
                    observed_at: None,
                    fetched_at: Timestamp(self.now.0 - age),
                    confirmed_by: confirmed.then(|| "other".to_owned()),
                };
                ("rate".to_owned(), Body::AcceptRate(rate))
            }
            Step::Pin { micro, lasts } => {
                let until = lasts.map(|lasts| Timestamp(self.now.0 + lasts));
                (once("pin"), Body::PinRate { pair: PAIR.to_owned(), rate_micro: *micro, until })
            }
            Step::Unpin => (once("unpin"), Body::UnpinRate { pair: PAIR.to_owned() }),
            Step::Prune { but, each } => {
                let row = rows.fx_pair(PAIR);
                let (rates, pruned) = row.map_or((0, 0), |row| (row.rates, row.pruned));
                let gone = (pruned + 1..=rates - but).filter(|number| number % each == 0).collect();
                ("prune".to_owned(), Body::PruneRates { pair: PAIR.to_owned(), to: rates - but, gone })
            }
            Step::Leave { account } => return self.leave(self.account(*account), by, world),
            Step::Lend { account } => return self.lend(self.accounts[2 + 2 * (account % 2)], world),
            Step::Spend { account, then } => return self.spend(self.accounts[account % 2], *then, world),
            Step::Again(_) | Step::Wait(_) => return None,
        })
    }

    fn payer(&self, world: &World, hold: RequestId) -> AccountId {
        world.rows.hold(hold).map_or(self.accounts[0], |hold| hold.account)
    }

    fn about(&self, world: &World, n: usize, what: About) -> Body {
        let owes = |id: &&AccountId| world.rows.account(**id).is_some_and(|account| account.debt.get() > 0);
        let debtor = self.accounts.iter().find(owes).filter(|_| matches!(what, About::Debt(_)));
        let account = debtor.copied().unwrap_or(self.account(n));
        match what {
            About::Open => {
                let (livemode, name, role) = (Livemode::Demo, "late".to_owned(), AccountRole::Customer);
                Body::OpenAccount { id: self.accounts[ACCOUNTS - 1 - n % 2], livemode, name, role }
            }
            About::Stop => Body::StopAccount { account },
            About::Resume => Body::ResumeAccount { account },
            About::Flag(flagged) => Body::FlagAccount { account, flagged },
            About::Close => Body::CloseAccount { account },
            About::Debt(from) => Body::SettleDebt { account, from },
            About::Assign(listed) => Body::AssignPriceList { account, list: listed.then(|| LIST.to_owned()) },
        }
    }

    fn new_hold(&self, step: &Step, world: &World) -> Option<NewHold> {
        let Step::Hold { hold, account, key, money, legs, price, sent, lasts } = step else { return None };
        let fresh = self.holds.iter().find(|id| world.rows.hold(**id).is_none()).filter(|_| *hold < LIVE);
        let id = *fresh.unwrap_or(&self.holds[hold % HOLDS]);
        let account = self.account(*account);
        let quote = self.quote(world, account, *price)?;
        let asset = |n: usize| if n == 0 { Asset::Tokens(MODEL.to_owned()) } else { package(1).asset() };
        let share = quote.price_percent.unwrap_or(Percent::ALL);
        let weights = |n: usize| {
            let whole = if n == 0 { Weights::PLAIN } else { package(1).weights };
            whole.at_percent(share)
        };
        let legs = legs.iter().enumerate().filter(|(_, milli)| **milli != 0);
        let own =
            self.keys.iter().find(|key| world.rows.key(**key).is_some_and(|row| row.account == account));
        Some(NewHold {
            key: *own.filter(|_| *key > 1).unwrap_or(&self.keys[key % KEYS]),
            money: NanoCny::new(*money),
            legs: legs
                .map(|(n, milli)| TokenLeg { asset: asset(n), milli: *milli, weights: weights(n) })
                .collect(),
            quote,
            dispatched: *sent,
            deadline: Timestamp(self.now.0 + lasts),
            ..new_hold(id, account, None, flat(1))
        })
    }

    fn quote(&self, world: &World, account: AccountId, price: Price) -> Option<HoldQuote> {
        let made = |rates| crate::support::quote(rates);
        Some(match price {
            // The share is not drawn, or every sequence of steps would become another.
            Price::Flat(rate) if rate % 5 == 3 => {
                let share = Percent::new(rate.unsigned_abs() % 101).unwrap();
                HoldQuote { price_percent: Some(share), ..made(flat(rate).at_percent(share)) }
            }
            Price::Flat(rate) => made(flat(rate)),
            Price::Tiered(rate) => {
                let tier = |above, times| Tier { above: Tokens(above), prices: flat(rate * times) };
                HoldQuote { tiers: vec![tier(500, 2), tier(1_500, 3)], ..made(flat(rate)) }
            }
            Price::Missing => HoldQuote { price_version: String::new(), ..made(flat(1)) },
            Price::Listed => {
                let quote = self.book(world).quote(account, MODEL, self.now, Tokens(1_000)).ok()?;
                HoldQuote {
                    price_version: quote.price_version,
                    fx_id: quote.fx_id,
                    window: quote.window,
                    tiers: quote.tiers,
                    ..made(quote.rates)
                }
            }
        })
    }

    /// What counts now, as `payments::fx` would hand it on.
    fn book(&self, world: &World) -> Book {
        let versions = world.versions.iter().map(|version| Published {
            list: version.list.clone(),
            number: version.number,
            valid_from: version.valid_from,
            sheet: Arc::new(Sheet::read(&version.document).unwrap()),
        });
        let rate = world.rows.fx_pair(PAIR).and_then(|pair| pair.at(self.now)).map(|rate| FxInForce {
            id: rate.id.clone(),
            rate_micro: rate.rate_micro,
            good_until: if rate.pinned { rate.until } else { Some(Timestamp(rate.fetched_at.0 + MAX_STALE)) },
        });
        let fx: HashMap<_, _> = rate.map(|rate| ("USD".to_owned(), Arc::new(rate))).into_iter().collect();
        Book::new(versions, HashMap::new(), &fx)
    }

    fn news(&self, step: &Step, world: &World) -> Body {
        let Step::Paid { order, wrong, of, old, event, source } = step else {
            unreachable!("asked for news")
        };
        let waiting = |order: &Order| {
            matches!(order.state, OrderState::Created | OrderState::Pending | OrderState::Closed)
        };
        let id = self.order(world, *order, waiting);
        let row = world.rows.order(id);
        let about = Payable {
            account: row.map_or(self.accounts[0], |order| order.account),
            asset: row.map_or(Asset::Cny, |order| order.kind.asset()),
            amount: row.map_or(fen(1), |order| order.amount),
        };
        let other = of.map(|n| self.order(world, n, waiting));
        let mut body = paid(other.unwrap_or(id), &about);
        let Body::OrderPaid {
            order,
            account,
            total,
            currency,
            mchid,
            success_time,
            event: known,
            source: from,
            ..
        } = &mut body
        else {
            return body;
        };
        *order = id;
        match wrong {
            Some(Wrong::Amount(amount)) => *total = fen(*amount),
            Some(Wrong::Currency) => *currency = Some("USD".to_owned()),
            Some(Wrong::Merchant) => *mchid = "other".to_owned(),
            Some(Wrong::Account) => *account = self.accounts[2],
            None => {}
        }
        *success_time = old.then(|| Timestamp(START.0 - 200 * 86_400_000_000));
        *known = event.map(|number| format!("E{number}"));
        *from = *source;
        body
    }

    fn asset_of(&self, world: &World, item: &RefundItem) -> Asset {
        let lot = item.lot.as_ref().and_then(|lot| world.rows.lot(lot));
        lot.map_or(Asset::Cny, |lot| lot.asset.clone())
    }

    fn reporting(&self, world: &World, item: &RefundItem, news: RefundNews, event: Option<String>) -> Body {
        Body::RefundReported {
            item: item.id,
            batch: item.batch,
            order: item.order,
            account: item.account,
            asset: self.asset_of(world, item),
            news,
            refund_id: None,
            detail: None,
            event,
            payment: item.payment.clone(),
        }
    }
}

/// What the news of a payment says of its order.
struct Payable {
    account: AccountId,
    asset: Asset,
    amount: Fen,
}

fn paid(order: OrderId, about: &Payable) -> Body {
    Body::OrderPaid {
        order,
        account: about.account,
        asset: about.asset.clone(),
        transaction_id: format!("T{}", order.bare()),
        total: about.amount,
        currency: None,
        mchid: crate::support::MCHID.to_owned(),
        appid: crate::support::APPID.to_owned(),
        payer: None,
        success_time: None,
        source: payments::ledger::CreditSource::Notify,
        event: None,
    }
}

fn digest(code: usize) -> String {
    format!("{code:064}")
}

fn package(version: i64) -> PackageOffer {
    PackageOffer {
        id: "pk".to_owned(),
        version,
        title: "package".to_owned(),
        price: fen(500),
        tokens: 1_000,
        models: vec![MODEL.to_owned()],
        weights: Weights { input: 1_000, cached_input: 100, cache_write: 1_000, output: 3_000 },
    }
}

fn bought(kind: u8, amount: i64) -> (Fen, OrderKind) {
    match kind {
        0..=2 => (fen(amount), OrderKind::Wallet),
        3 => (fen(amount), token_kind(amount.saturating_mul(7), 10_000_000 / 7)),
        4 => (
            fen(if amount % 7 == 0 { amount } else { 500 }),
            OrderKind::Package { offer: package(1 + i64::from(amount % 5 == 0)) },
        ),
        _ => {
            let line = |quantity: i64, unit: i64| GoodsLine {
                sku: None,
                title: "tea".to_owned(),
                quantity,
                unit: fen(unit),
                amount: fen(unit.saturating_mul(quantity)),
                refunded: Fen::ZERO,
            };
            let unit = amount.min(1_000_000);
            let lines = vec![line(1, unit), line(2, 3)];
            (fen(unit + 6), OrderKind::Goods { lines, buyer: None, group: None, refunds: 0 })
        }
    }
}

fn ending(end: Ending) -> SettleEnd {
    match end {
        Ending::Used { usage: [input, cached_input, cache_write, output], extra } => SettleEnd::Charge {
            usage: Usage {
                input: Tokens(input),
                cached_input: Tokens(cached_input),
                cache_write: Tokens(cache_write),
                output: Tokens(output),
                ..Usage::default()
            },
            estimated: false,
            extra: NanoCny::new(extra),
        },
        Ending::Released => SettleEnd::Release,
        Ending::NotSent => SettleEnd::NotSent,
    }
}
