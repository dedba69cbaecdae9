//! Random commands, the reference store beside SQLite: the same answers, and books that hold after every step.

use std::collections::{BTreeMap, HashMap};

use crate::support::{
    APPID, MCHID, MODEL, START, api_key, command, extending, fen, flat, new_hold, new_order,
    postgres_settings, settings, settling, token_kind, usage,
};
use payments::{
    admission::Admission,
    ledger::{
        AccountRole, Asset, Body, Book, Command, CreditSource, EntryKind, Hold, HoldState, LotClass, NewHold,
        OrderKind, OrderState, RefundNews, Reply, Rows, SettleEnd, burn_order, refundable,
    },
    store::{Applied, Outcome, Store, memory::MemoryStore},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::FileFailurePersistence};
use units::{AccountId, KeyId, Livemode, NanoCny, OrderId, RefundBatchId, RefundId, RequestId, Timestamp};

const ACCOUNTS: usize = 3;
const HOLDS: usize = 20;
const ORDERS: usize = 10;
const BATCHES: usize = 6;
const ITEMS: usize = 6;

/// A step, in small numbers; [`Cast`] says whom they mean.
#[derive(Debug, Clone)]
enum Step {
    Promo {
        account: usize,
        amount: i64,
        key: u8,
    },
    AddKey {
        account: usize,
        key: usize,
        digest: u8,
    },
    RevokeKey {
        account: usize,
        key: usize,
    },
    Hold {
        hold: usize,
        account: usize,
        money: i64,
        tokens: i64,
        rate: i64,
    },
    Extend {
        hold: usize,
        account: usize,
        to: i64,
    },
    Charge {
        hold: usize,
        account: usize,
        model: bool,
        input: u64,
        output: u64,
        extra: i64,
    },
    Release {
        hold: usize,
        account: usize,
    },
    Create {
        order: usize,
        account: usize,
        amount: i64,
        tokens: bool,
    },
    Prepaid {
        order: usize,
    },
    Failed {
        order: usize,
    },
    Closed {
        order: usize,
    },
    Noted {
        order: usize,
    },
    Paid {
        order: usize,
        account: usize,
        amount: Option<i64>,
        transaction: usize,
        event: Option<u8>,
    },
    Refund {
        batch: usize,
        account: usize,
        tokens: bool,
        amount: Option<i64>,
        order: Option<usize>,
        key: u8,
    },
    Sending {
        batch: usize,
        item: usize,
    },
    Report {
        batch: usize,
        item: usize,
        news: RefundNews,
        event: Option<u8>,
    },
    /// The same command as so many steps ago.
    Again(usize),
    /// A long time passes.
    Wait(i64),
}

fn nano() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 1..300_000_000_i64,
        2 => Just(0),
        1 => Just(1),
        1 => Just(-1),
        2 => (1..500_i64).prop_map(|fen| fen * 10_000_000),
        1 => Just(i64::MAX),
    ]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..2_000_u64, 2 => Just(0), 2 => 0..10_000_000_u64, 1 => Just(u64::MAX), 1 => Just(1 << 62)]
}

/// Mostly the first of a batch: many have only one.
fn item() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 2 => Just(1), 1 => 0..ITEMS]
}

fn step() -> impl Strategy<Value = Step> {
    // The account a step names is mostly the one it belongs to: see `Cast::account`.
    let account = || prop_oneof![9 => Just(ACCOUNTS), 1 => 0..ACCOUNTS];
    let event = || prop::option::of(0..6_u8);
    prop_oneof![
        3 => (0..ACCOUNTS, nano(), 0..12_u8).prop_map(|(account, amount, key)| {
            Step::Promo { account, amount: amount.min(i64::MAX / 1_000), key }
        }),
        1 => (0..ACCOUNTS, 0..3_usize, 0..3_u8).prop_map(|(account, key, digest)| Step::AddKey { account, key, digest }),
        1 => (0..ACCOUNTS, 0..3_usize).prop_map(|(account, key)| Step::RevokeKey { account, key }),
        10 => (0..HOLDS, account(), nano(), prop_oneof![Just(0), 0..900_000_i64], prop_oneof![4 => 0..300_i64, 1 => 0..3_000_000_i64])
            .prop_map(|(hold, account, money, tokens, rate)| Step::Hold { hold, account, money, tokens, rate }),
        3 => (0..HOLDS, account(), nano()).prop_map(|(hold, account, to)| Step::Extend { hold, account, to }),
        8 => (0..HOLDS, account(), prop::bool::weighted(0.95), count(), count(), nano()).prop_map(
            |(hold, account, model, input, output, extra)| Step::Charge { hold, account, model, input, output, extra }
        ),
        2 => (0..HOLDS, account()).prop_map(|(hold, account)| Step::Release { hold, account }),
        6 => (0..ORDERS, account(), prop_oneof![1..400_i64, Just(0), Just(1)], any::<bool>())
            .prop_map(|(order, account, amount, tokens)| Step::Create { order, account, amount, tokens }),
        2 => (0..ORDERS).prop_map(|order| Step::Prepaid { order }),
        1 => (0..ORDERS).prop_map(|order| Step::Failed { order }),
        2 => (0..ORDERS).prop_map(|order| Step::Closed { order }),
        1 => (0..ORDERS).prop_map(|order| Step::Noted { order }),
        12 => (0..ORDERS, account(), prop::option::weighted(0.05, 0..400_i64), prop_oneof![9 => Just(ORDERS), 1 => 0..ORDERS], event())
            .prop_map(|(order, account, amount, transaction, event)| Step::Paid { order, account, amount, transaction, event }),
        10 => (0..BATCHES, 0..ACCOUNTS, any::<bool>(), prop::option::weighted(0.5, 0..300_i64), prop::option::weighted(0.3, 0..ORDERS), 0..60_u8)
            .prop_map(|(batch, account, tokens, amount, order, key)| Step::Refund { batch, account, tokens, amount, order, key }),
        14 => (0..BATCHES, item()).prop_map(|(batch, item)| Step::Sending { batch, item }),
        16 => (0..BATCHES, item(), 0..RefundNews::ALL.len(), event()).prop_map(|(batch, item, news, event)| {
            Step::Report { batch, item, news: RefundNews::ALL[news], event }
        }),
        10 => (1..20_usize).prop_map(Step::Again),
        1 => prop_oneof![Just(3_600), Just(200 * 24 * 3_600)].prop_map(Step::Wait),
    ]
}

/// Who the numbers mean.
struct Cast {
    accounts: [AccountId; ACCOUNTS],
    keys: [KeyId; 3],
    holds: [RequestId; HOLDS],
    orders: [OrderId; ORDERS],
    batches: [RefundBatchId; BATCHES],
    items: [[RefundId; ITEMS]; BATCHES],
    now: Timestamp,
    said: Vec<Command>,
}

impl Cast {
    fn new() -> Self {
        Self {
            accounts: std::array::from_fn(|_| AccountId::new(START)),
            keys: std::array::from_fn(|_| KeyId::new(START)),
            holds: std::array::from_fn(|_| RequestId::new(START)),
            orders: std::array::from_fn(|_| OrderId::new(START)),
            batches: std::array::from_fn(|_| RefundBatchId::new(START)),
            items: std::array::from_fn(|_| std::array::from_fn(|_| RefundId::new(START))),
            now: START,
            said: Vec::new(),
        }
    }

    /// The accounts of the model, the last the house's, each with ten yuan and some tokens that were paid for.
    fn opening(&self) -> Vec<Command> {
        let mut commands = Vec::new();
        for (i, &id) in self.accounts.iter().enumerate() {
            let role = if i + 1 == ACCOUNTS { AccountRole::House } else { AccountRole::Customer };
            let body = Body::OpenAccount { id, livemode: Livemode::Demo, name: "test".to_owned(), role };
            commands.push(command(format!("open:{id}"), START, body));
            for kind in [OrderKind::Wallet, token_kind(10_000, 1_000_000)] {
                let order = OrderId::new(START);
                let paid = Body::OrderPaid {
                    order,
                    account: id,
                    asset: asset(&kind),
                    transaction_id: format!("T{order}"),
                    total: fen(1_000),
                    currency: None,
                    mchid: MCHID.to_owned(),
                    appid: APPID.to_owned(),
                    payer: None,
                    success_time: None,
                    source: CreditSource::Notify,
                    event: None,
                };
                let created = Body::CreateOrder(new_order(order, id, fen(1_000), kind));
                commands.push(command(format!("order:{order}"), START, created));
                commands.push(command("pay", START, paid));
            }
        }
        commands
    }

    /// The account named, or the one that `of` belongs to.
    fn account(&self, named: usize, of: usize) -> AccountId {
        self.accounts[if named < ACCOUNTS { named } else { of % ACCOUNTS }]
    }

    fn command(&mut self, step: &Step, rows: &Rows) -> Option<Command> {
        self.now = Timestamp(self.now.0 + 1_000_000);
        let event = |event: &Option<u8>| event.map(|number| format!("E{number}"));
        let (key, body) = match step {
            Step::Wait(secs) => {
                self.now = Timestamp(self.now.0 + secs * 1_000_000);
                return None;
            }
            Step::Again(ago) => {
                let index = self.said.len().checked_sub(*ago)?;
                return Some(Command { at: self.now, ..self.said[index].clone() });
            }
            Step::Promo { account, amount, key } => {
                let body = Body::GrantPromo {
                    account: self.accounts[*account],
                    amount: NanoCny::new(*amount),
                    expires_at: key.is_multiple_of(2).then_some(Timestamp(i64::from(*key))),
                };
                (format!("promo:{key}"), body)
            }
            Step::AddKey { account, key, digest } => {
                let row = api_key(self.keys[*key], self.accounts[*account], &format!("d{digest}"));
                (format!("add:{account}:{key}:{digest}"), Body::AddKey(row))
            }
            Step::RevokeKey { account, key } => {
                let body = Body::RevokeKey { account: self.accounts[*account], key: self.keys[*key] };
                (format!("revoke:{account}:{key}:{}", self.now.0), body)
            }
            Step::Hold { hold, account, money, tokens, rate } => {
                let milli = (*tokens != 0).then_some(*tokens);
                let new = new_hold(self.holds[*hold], self.account(*account, *hold), milli, flat(*rate));
                let body = Body::Hold(NewHold { key: self.keys[0], money: NanoCny::new(*money), ..new });
                (format!("hold:{hold}"), body)
            }
            Step::Extend { hold, account, to } => {
                let account = self.account(*account, *hold);
                ("extend".to_owned(), extending(rows, self.holds[*hold], account, NanoCny::new(*to)))
            }
            Step::Charge { hold, account, model, input, output, extra } => {
                let end = SettleEnd::Charge {
                    usage: usage(*input, *output),
                    estimated: false,
                    extra: NanoCny::new(*extra),
                };
                (format!("settle:{hold}"), self.settle(rows, *hold, *account, *model, end))
            }
            Step::Release { hold, account } => {
                (format!("settle:{hold}"), self.settle(rows, *hold, *account, true, SettleEnd::Release))
            }
            Step::Create { order, account, amount, tokens } => {
                let kind = if *tokens { token_kind(amount * 7, 10_000_000 / 7) } else { OrderKind::Wallet };
                let account = self.account(*account, *order);
                let new = new_order(self.orders[*order], account, fen(*amount), kind);
                (format!("create:{order}:{amount}"), Body::CreateOrder(new))
            }
            Step::Prepaid { order } => (
                "step".to_owned(),
                Body::OrderPrepaid { order: self.orders[*order], code_url: "c".to_owned() },
            ),
            Step::Failed { order } => {
                ("step".to_owned(), Body::OrderFailed { order: self.orders[*order], detail: "no".to_owned() })
            }
            Step::Closed { order } => (
                "step".to_owned(),
                Body::OrderClosed { order: self.orders[*order], source: "query".to_owned() },
            ),
            Step::Noted { order } => {
                let (order, event, source) = (self.orders[*order], "note".to_owned(), "test".to_owned());
                ("step".to_owned(), Body::OrderNoted { order, event, source, detail: None })
            }
            Step::Paid { order, account, amount, transaction, event: number } => {
                let id = self.orders[*order];
                let known = rows.order(id);
                let transaction = if *transaction < ORDERS { *transaction } else { *order };
                let body = Body::OrderPaid {
                    order: id,
                    account: if *account < ACCOUNTS {
                        self.accounts[*account]
                    } else {
                        known.map_or(self.accounts[0], |order| order.account)
                    },
                    asset: known.map_or(Asset::Cny, |order| asset(&order.kind)),
                    transaction_id: format!("T{transaction}"),
                    total: amount.map_or(known.map_or(fen(1), |order| order.amount), fen),
                    currency: None,
                    mchid: MCHID.to_owned(),
                    appid: APPID.to_owned(),
                    payer: None,
                    success_time: None,
                    source: CreditSource::Notify,
                    event: event(number),
                };
                (format!("pay:T{transaction}"), body)
            }
            Step::Refund { batch, account, tokens, amount, order, key } => {
                let body = Body::RequestRefund {
                    batch: self.batches[*batch],
                    account: self.accounts[*account],
                    asset: if *tokens { Asset::Tokens(MODEL.to_owned()) } else { Asset::Cny },
                    amount: amount.map(fen),
                    granted: i64::MAX,
                    order: order.map(|order| self.orders[order]),
                    reason: None,
                    item_ids: self.items[*batch].to_vec(),
                };
                (format!("refund:{key}"), body)
            }
            Step::Sending { batch, item } => {
                let item = self.items[*batch][*item];
                (format!("refund:{item}"), Body::RefundSending { item, batch: self.batches[*batch] })
            }
            Step::Report { batch, item, news, event: number } => {
                let item = self.items[*batch][*item];
                let known = rows.items().find(|row| row.id == item);
                let order = known.map_or(self.orders[0], |item| item.order);
                let body = Body::RefundReported {
                    item,
                    batch: self.batches[*batch],
                    order,
                    account: known.map_or(self.accounts[0], |item| item.account),
                    asset: rows.order(order).map_or(Asset::Cny, |order| asset(&order.kind)),
                    news: *news,
                    refund_id: None,
                    detail: None,
                    event: event(number),
                    payment: None,
                };
                (format!("refund:{item}"), body)
            }
        };
        let command = command(key, self.now, body);
        self.said.push(command.clone());
        Some(command)
    }

    fn settle(&self, rows: &Rows, hold: usize, account: usize, model: bool, end: SettleEnd) -> Body {
        let mut body = settling(rows, self.holds[hold], self.account(account, hold), end);
        if let Body::Settle { tokens, .. } = &mut body
            && !model
        {
            *tokens = vec![Asset::Tokens("another".to_owned())];
        }
        body
    }
}

fn asset(kind: &OrderKind) -> Asset {
    kind.asset()
}

/// What must hold after every step.
fn check(before: &Rows, store: &MemoryStore, command: &Command, applied: &Applied) {
    let rows = store.rows();
    if applied.outcome.is_err() {
        assert_eq!(rows, before, "a refusal changes nothing");
    }
    balances_hold(rows);
    payments_hold(store);
    only_legal_steps(before, rows);
    burns_in_order(before, rows, command);
    if let (Ok(Reply::Refund { batch, items }), false) = (&applied.outcome, applied.ops.is_empty()) {
        let Body::RequestRefund { account, asset, amount, order, .. } = &command.body else { panic!() };
        let held = before.wallet(*account, asset).held;
        let open: Vec<_> = refundable(before.lots_of(*account, asset), held, command.at)
            .into_iter()
            .filter(|lot| order.is_none_or(|order| order == lot.order))
            .collect();
        let whole: i128 = open.iter().map(|lot| i128::from(lot.cap.get())).sum();
        assert_eq!(items.iter().map(|item| item.amount.get()).sum::<i64>(), batch.amount.get());
        assert!(amount.is_none_or(|amount| amount == batch.amount));
        for lot in &open {
            let got = items.iter().find(|item| item.order == lot.order).map_or(0, |item| item.amount.get());
            let off = i128::from(got) * whole - i128::from(batch.amount.get()) * i128::from(lot.cap.get());
            assert!(off.abs() < whole && got <= lot.cap.get(), "within a fen of its share: {lot:?}");
        }
    }
}

fn balances_hold(rows: &Rows) {
    for wallet in rows.wallets() {
        let lots: i64 = rows.lots_of(wallet.account, &wallet.asset).map(|lot| lot.rem).sum();
        let open =
            rows.holds().filter(|hold| hold.account == wallet.account && hold.state == HoldState::Open);
        let held: i64 = open.map(|hold| hold.held_of(&wallet.asset)).sum();
        assert_eq!((wallet.posted, wallet.held), (lots, held), "{wallet:?}");
        assert!(wallet.held >= 0 && wallet.available() >= 0, "{wallet:?}");
    }
    for lot in rows.lots() {
        assert!(lot.adds_up(), "{lot:?}");
        let (paid, refunded) = (i128::from(lot.paid_fen.get()), i128::from(lot.refunded_fen.get()));
        assert!(refunded <= paid, "{lot:?}");
        match lot.class {
            // The cash identity, and nobody profits.
            LotClass::Paid => {
                let going = i128::from(lot.refunding) + i128::from(lot.refunded);
                assert_eq!(going, refunded * 10_000_000, "{lot:?}");
                assert_eq!(i128::from(lot.orig), paid * 10_000_000, "{lot:?}");
            }
            LotClass::Tokens => {
                let used = paid * i128::from(lot.consumed) / i128::from(lot.orig);
                assert!(refunded + used <= paid, "{lot:?}");
            }
            LotClass::Promo | LotClass::Bonus | LotClass::Temp => {
                assert_eq!((refunded, lot.refunding), (0, 0), "{lot:?}")
            }
        }
    }
}

fn payments_hold(store: &MemoryStore) {
    let (mut credits, mut transactions) = (HashMap::new(), HashMap::new());
    let mut costs: HashMap<RequestId, i64> = HashMap::new();
    let mut refunding: BTreeMap<&Asset, i128> = BTreeMap::new();
    for entry in store.journal() {
        assert!(entry.amount > 0, "{entry:?}");
        match (entry.kind, entry.order, entry.hold) {
            (EntryKind::PayCredit, Some(order), _) => {
                assert_eq!(credits.insert(order, entry.amount), None, "credited twice: {entry:?}");
            }
            (EntryKind::Settle, _, Some(hold)) if entry.asset == Asset::Cny => {
                *costs.entry(hold).or_default() += entry.amount;
            }
            _ => {}
        }
        let sum = refunding.entry(&entry.asset).or_default();
        *sum += if entry.credit == Book::WalletRefunding { i128::from(entry.amount) } else { 0 };
        *sum -= if entry.debit == Book::WalletRefunding { i128::from(entry.amount) } else { 0 };
    }
    for (asset, sum) in refunding {
        let rows = store.rows().lots().filter(|lot| lot.asset == *asset);
        assert_eq!(rows.map(|lot| i128::from(lot.refunding)).sum::<i128>(), sum);
    }
    for order in store.rows().orders() {
        let paid =
            matches!(order.state, OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded);
        let credit = paid.then(|| NanoCny::from(order.amount).get());
        assert_eq!(credits.get(&order.id).copied(), credit, "{order:?}");
        if let Some(number) = &order.transaction_id {
            assert_eq!(transactions.insert(number.clone(), order.id), None, "one payment, one order");
        }
    }
    for hold in store.rows().holds() {
        assert_eq!(costs.get(&hold.id).copied().unwrap_or(0), hold.cost.get(), "{hold:?}");
        let split = hold.usage.filter(|_| hold.cost_tokens_milli == 0);
        if let Some(usage) = split {
            let whole = hold.quote.rates.charge(&usage).unwrap();
            assert_eq!(
                hold.cost.plus(hold.overrun).unwrap(),
                whole,
                "the cost is recomputed from the row: {hold:?}"
            );
        }
    }
}

fn only_legal_steps(before: &Rows, after: &Rows) {
    for old in before.holds() {
        let new = after.hold(old.id).unwrap();
        assert!(old.state == HoldState::Open || old == new, "an ended hold stays as it ended");
    }
    for old in before.items() {
        let new = after.items().find(|item| item.id == old.id).unwrap();
        assert!(!old.state.is_end() || old == new, "an ended refund stays as it ended");
        assert_eq!((old.amount, old.units, old.order), (new.amount, new.units, new.order));
    }
    use OrderState as S;
    for old in before.orders() {
        let new = after.order(old.id).unwrap();
        let legal = match old.state {
            S::Created => true,
            S::Pending => !matches!(new.state, S::Created | S::Failed),
            S::Closed => matches!(new.state, S::Paid | S::Review | S::Closed),
            S::Paid | S::PartiallyRefunded => {
                matches!(new.state, S::Paid | S::PartiallyRefunded | S::Refunded)
            }
            S::Review | S::Refunded | S::Failed | S::Voided => new.state == old.state,
        };
        assert!(legal, "{} became {}", old.state, new.state);
    }
}

/// What a settlement takes is a prefix of the burn order as it stood.
fn burns_in_order(before: &Rows, after: &Rows, command: &Command) {
    let Body::Settle { account, .. } = &command.body else { return };
    for asset in [Asset::Cny, Asset::Tokens(MODEL.to_owned())] {
        let mut done = false;
        for old in burn_order(before.lots_of(*account, &asset)) {
            let new = after.lots().find(|lot| lot.id == old.id).unwrap();
            assert!(!done || new.rem == old.rem, "out of turn: {old:?}");
            done |= new.rem > 0;
        }
    }
}

fn in_memory(steps: &[Step]) -> (Vec<Command>, Vec<Outcome>, MemoryStore, Cast) {
    let (mut store, mut cast) = (MemoryStore::default(), Cast::new());
    let mut commands = cast.opening();
    let mut outcomes: Vec<Outcome> = commands.iter().map(|command| store.submit(command).outcome).collect();
    for step in steps {
        let Some(command) = cast.command(step, store.rows()) else { continue };
        let before = store.rows().clone();
        let applied = store.submit(&command);
        check(&before, &store, &command, &applied);
        commands.push(command);
        outcomes.push(applied.outcome);
    }
    (commands, outcomes, store, cast)
}

/// The same commands on disk, several to a commit; the same rows are there in the end.
async fn on_disk(
    commands: &[Command],
    expected: &[Outcome],
    memory: &MemoryStore,
    cast: &Cast,
    together: usize,
) {
    let folder = tempfile::tempdir().unwrap();
    let (settings, _) = settings(folder.path());
    let admission = settings.admission.clone();
    let store = Store::open(settings).unwrap();
    carried_out(store, &admission, commands, expected, memory, cast, together).await;
}

/// The same commands on a PostgreSQL server.
async fn on_postgres(
    commands: &[Command],
    expected: &[Outcome],
    memory: &MemoryStore,
    cast: &Cast,
    together: usize,
) {
    let database = testbed::Database::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = postgres_settings(database.url(), folder.path());
    let admission = settings.admission.clone();
    let store = Store::open_postgres(settings).await.unwrap();
    carried_out(store, &admission, commands, expected, memory, cast, together).await;
}

async fn carried_out(
    store: Store,
    admission: &Admission,
    commands: &[Command],
    expected: &[Outcome],
    memory: &MemoryStore,
    cast: &Cast,
    together: usize,
) {
    let assets = [Asset::Cny, Asset::Tokens(MODEL.to_owned())];
    for account in cast.accounts {
        for asset in &assets {
            store.load_balance(account, asset.clone()).await.unwrap();
        }
    }
    let mut outcomes = expected.iter();
    for chunk in commands.chunks(together) {
        let mut waiting = Vec::new();
        for command in chunk {
            waiting.push(store.slot().await.unwrap().send(command.clone().into()));
        }
        for (waiting, command) in waiting.into_iter().zip(chunk) {
            let outcome = waiting.committed().await;
            let expected = outcomes.next().unwrap().clone().map_err(Into::into);
            assert_eq!(outcome, expected, "{command:?}");
        }
    }
    for account in cast.accounts {
        for balance in store.balances(account).await.unwrap() {
            let asset = balance.wallet.asset.clone();
            assert_eq!(balance.wallet, memory.rows().wallet(account, &asset));
            let mut lots: Vec<_> = memory.rows().lots_of(account, &asset).cloned().collect();
            lots.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
            assert_eq!(balance.lots, lots);
            assert_eq!(admission.available(account, &asset), Some(balance.wallet.available()));
        }
    }
    for hold in cast.holds {
        let kept: Option<Hold> = store.hold(hold).await.unwrap();
        assert_eq!(kept.as_ref(), memory.rows().hold(hold));
    }
    for order in cast.orders {
        assert_eq!(store.order(order).await.unwrap().as_ref(), memory.rows().order(order));
    }
    for item in cast.items.iter().flatten() {
        assert_eq!(
            store.refund_item(*item).await.unwrap().as_ref(),
            memory.rows().items().find(|row| row.id == *item)
        );
    }
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    assert_eq!(store.state_hash().await.unwrap(), memory.state_hash());
    store.close().await;
}

pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        max_shrink_iters: 4_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn the_books_hold_after_every_step(steps in prop::collection::vec(step(), 1..240)) {
        in_memory(&steps);
    }
}

proptest! {
    #![proptest_config(config(80))]

    #[test]
    fn memory_and_disk_say_the_same(steps in prop::collection::vec(step(), 1..240), together in 1..40_usize) {
        let (commands, outcomes, memory, cast) = in_memory(&steps);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_disk(&commands, &outcomes, &memory, &cast, together));
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn memory_and_postgres_say_the_same(steps in prop::collection::vec(step(), 1..240), together in 1..40_usize) {
        let (commands, outcomes, memory, cast) = in_memory(&steps);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_postgres(&commands, &outcomes, &memory, &cast, together));
    }
}

/// A model in which everything is refused would find nothing: this says what the random steps reach.
#[test]
fn the_random_steps_reach_every_kind_of_change() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..60 {
        let steps = prop::collection::vec(step(), 220).new_tree(&mut runner).unwrap().current();
        let (_, _, store, _) = in_memory(&steps);
        for entry in store.journal() {
            *seen.entry(entry.kind.as_str()).or_default() += 1;
        }
        for state in store.rows().orders().map(|order| order.state.as_str()) {
            *seen.entry(state).or_default() += 1;
        }
        for state in store.rows().items().map(|item| item.state.as_str()) {
            *seen.entry(state).or_default() += 1;
        }
    }
    for kind in [
        "pay_credit",
        "promo_grant",
        "token_grant",
        "settle",
        "overrun_writeoff",
        "token_revenue",
        "refund_reserve",
        "refund_done",
        "refund_undo",
        "review",
        "partially_refunded",
        "refunded",
        "success",
        "closed",
        "abnormal",
        "refused",
        "sent",
        "unknown",
        "wait",
        "processing",
        "queued",
    ] {
        assert!(seen.contains_key(kind), "no {kind} in {seen:?}");
    }
}
