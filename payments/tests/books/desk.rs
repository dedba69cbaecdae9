//! Everything that can be asked beside calls, at random: the rules hold after every step, and the store on disk gives
//! the same answers and the same rows.

use std::collections::BTreeMap;

use payments::{
    ledger::{
        Actor, Adjustment, Asset, Body, Command, DebtSource, ExternalRefund, GoodsLine, GoodsRefund,
        LineRefund, ManualPayout, NewCode, NewOrder, OrderKind, PackageOffer, RefundNews, Reply, Resolution,
        Role, SuspenseState, Verdict, Weights,
    },
    store::Store,
};
use proptest::{prelude::*, strategy::ValueTree};
use units::{Fen, Livemode, NanoCny, OrderId, RefundBatchId, RefundId, RequestId, Timestamp};

use crate::{
    ledger::Books,
    support::{MODEL, START, command, fen, new_order, postgres_settings, settings},
};

#[derive(Debug, Clone)]
enum Step {
    Order {
        kind: u8,
        amount: i64,
        bonus: i64,
    },
    /// The order's own payment, or another amount under another number.
    Paid {
        order: usize,
        otherwise: bool,
    },
    Resolve {
        order: usize,
        verdict: Verdict,
    },
    Hold {
        nano: i64,
    },
    Settle {
        nano: i64,
    },
    Refund {
        amount: Option<i64>,
        package: bool,
    },
    RefundGoods {
        order: usize,
        amount: i64,
    },
    Sending {
        item: usize,
    },
    Report {
        item: usize,
        news: RefundNews,
    },
    Cancel {
        item: usize,
    },
    Gift {
        nano: i64,
        lasts: i64,
    },
    Expire,
    Code {
        number: u8,
        redeem: bool,
    },
    Adjust {
        nano: i64,
    },
    Found {
        order: usize,
        amount: i64,
    },
    SettleDebt {
        from: DebtSource,
    },
    Payout {
        order: usize,
        amount: i64,
    },
    Sweep,
    Standing {
        stop: bool,
    },
    Close,
    Fee {
        nano: i64,
    },
    Wait(i64),
    /// The same command as so many steps ago.
    Again(usize),
}

const DAY: i64 = 24 * 3_600 * 1_000_000;

fn step() -> impl Strategy<Value = Step> {
    let order = || 0..5_usize;
    let item = || 0..4_usize;
    let nano = || prop_oneof![4 => 1..9_000_000_000_i64, 1 => Just(1), 1 => (1..900_i64).prop_map(|fen| fen * 10_000_000)];
    prop_oneof![
        6 => (0..4_u8, 1..1_500_i64, prop_oneof![Just(0), 1..2_000_000_000_i64])
            .prop_map(|(kind, amount, bonus)| Step::Order { kind, amount, bonus }),
        10 => (order(), prop::bool::weighted(0.2)).prop_map(|(order, otherwise)| Step::Paid { order, otherwise }),
        4 => (order(), prop::sample::select(Verdict::ALL)).prop_map(|(order, verdict)| Step::Resolve { order, verdict }),
        4 => nano().prop_map(|nano| Step::Hold { nano }),
        6 => nano().prop_map(|nano| Step::Settle { nano }),
        5 => (prop::option::weighted(0.7, 1..400_i64), prop::bool::weighted(0.2))
            .prop_map(|(amount, package)| Step::Refund { amount, package }),
        2 => (order(), 1..300_i64).prop_map(|(order, amount)| Step::RefundGoods { order, amount }),
        8 => item().prop_map(|item| Step::Sending { item }),
        10 => (item(), prop::sample::select(RefundNews::ALL)).prop_map(|(item, news)| Step::Report { item, news }),
        1 => item().prop_map(|item| Step::Cancel { item }),
        3 => (nano(), 1..40_i64).prop_map(|(nano, lasts)| Step::Gift { nano, lasts }),
        3 => Just(Step::Expire),
        2 => (0..3_u8, any::<bool>()).prop_map(|(number, redeem)| Step::Code { number, redeem }),
        2 => (-3_000_000_000..3_000_000_000_i64).prop_map(|nano| Step::Adjust { nano }),
        1 => (order(), 1..400_i64).prop_map(|(order, amount)| Step::Found { order, amount }),
        2 => prop::sample::select(DebtSource::ALL).prop_map(|from| Step::SettleDebt { from }),
        2 => (order(), 1..400_i64).prop_map(|(order, amount)| Step::Payout { order, amount }),
        1 => Just(Step::Sweep),
        1 => prop::bool::weighted(0.2).prop_map(|stop| Step::Standing { stop }),
        1 => prop::bool::weighted(0.05).prop_map(|close| if close { Step::Close } else { Step::Expire }),
        1 => (-5_000_000..5_000_000_i64).prop_map(|nano| Step::Fee { nano }),
        2 => prop_oneof![6 => Just(DAY / 24), 1 => Just(200 * DAY)].prop_map(Step::Wait),
        5 => (1..15_usize).prop_map(Step::Again),
    ]
}

fn offer() -> PackageOffer {
    PackageOffer {
        id: "p".to_owned(),
        version: 1,
        title: "A package".to_owned(),
        price: fen(700),
        tokens: 12_345,
        models: vec![MODEL.to_owned()],
        weights: Weights::PLAIN,
    }
}

fn code(number: u8) -> NewCode {
    NewCode {
        digest: format!("{number:064x}"),
        hint: String::new(),
        amount: NanoCny::new(500_000_001),
        lifetime_s: Some(3_600),
        valid_until: None,
        uses: i64::from(number),
        campaign: format!("c{}", number / 2),
        livemode: Livemode::Demo,
    }
}

struct Run {
    books: Books,
    orders: Vec<OrderId>,
    items: Vec<payments::ledger::RefundItem>,
    holds: Vec<RequestId>,
    tickets: u32,
}

impl Run {
    fn new() -> Self {
        let mut books = Books::new();
        books.act(Body::DefinePackage(offer())).unwrap();
        let mut run = Self { books, orders: Vec::new(), items: Vec::new(), holds: Vec::new(), tickets: 0 };
        run.take(&Step::Order { kind: 0, amount: 1_000, bonus: 333_333_333 });
        run.take(&Step::Paid { order: 0, otherwise: false });
        run
    }

    fn ticket(&mut self) -> String {
        self.tickets += 1;
        format!("t{}", self.tickets)
    }

    fn asset(&self, order: OrderId) -> Asset {
        self.books.store.rows().order(order).map_or(Asset::Cny, |order| order.kind.asset())
    }

    fn kind(kind: u8, amount: i64) -> (OrderKind, i64) {
        match kind {
            0 | 1 => (OrderKind::Wallet, amount),
            2 => (OrderKind::Package { offer: offer() }, offer().price.get()),
            _ => {
                let line = |title: &str, quantity: i64, unit: i64| GoodsLine {
                    sku: None,
                    title: title.to_owned(),
                    quantity,
                    unit: fen(unit),
                    amount: fen(quantity * unit),
                    refunded: Fen::ZERO,
                };
                let lines = vec![line("Tea", 2, amount), line("Cake", 1, 30)];
                (OrderKind::Goods { lines, buyer: None, group: None, refunds: 0 }, 2 * amount + 30)
            }
        }
    }

    fn take(&mut self, step: &Step) {
        let account = self.books.account;
        let named = |order: usize| self.orders.get(order).copied();
        match step {
            Step::Order { kind, amount, bonus } => {
                if self.orders.len() >= 5 {
                    return;
                }
                let (kind, amount) = Self::kind(*kind, *amount);
                let bonus = if kind == OrderKind::Wallet { *bonus } else { 0 };
                let id = OrderId::new(START);
                let new = new_order(id, account, fen(amount), kind);
                let new = NewOrder { bonus: NanoCny::new(bonus), ..new };
                if self.books.act(Body::CreateOrder(new)).is_ok() {
                    self.orders.push(id);
                }
            }
            Step::Paid { order, otherwise } => {
                let Some(order) = named(*order) else { return };
                let amount = self.books.store.rows().order(order).unwrap().amount.get();
                let mut news = self.books.news(order, if *otherwise { amount + 1 } else { amount });
                if let (Body::OrderPaid { transaction_id, .. }, true) = (&mut news, *otherwise) {
                    transaction_id.push('x');
                }
                self.books.act(news).unwrap();
            }
            Step::Resolve { order, verdict } => {
                let Some(order) = named(*order) else { return };
                let about = Resolution {
                    order,
                    account,
                    asset: self.asset(order),
                    transaction_id: Some(format!("T{order}x")),
                    verdict: *verdict,
                    batch: RefundBatchId::new(START),
                    item: RefundId::new(START),
                };
                let key = self.ticket();
                if let Ok(Reply::Refund { items, .. }) = self.books.by_two(&key, Body::ResolveReview(about)) {
                    self.items.extend(items);
                }
            }
            Step::Hold { nano } => {
                let id = RequestId::new(START);
                let hold = self.books.hold_for(id, &NanoCny::new(*nano).to_string());
                if self.books.act(hold).is_ok() {
                    self.holds.push(id);
                }
            }
            Step::Settle { nano } => {
                let Some(id) = self.holds.pop() else { return };
                let hold = self.books.charge(id, *nano, 0);
                assert_eq!(hold.cost.get(), (*nano).min(hold.money.get()), "an accepted hold is payable");
            }
            Step::Refund { amount, package } => {
                let asset = if *package { offer().asset() } else { Asset::Cny };
                let wish = self.books.refund_of(asset, *amount, None);
                if let Ok(Reply::Refund { items, .. }) = self.books.act(wish) {
                    self.items.extend(items);
                }
            }
            Step::RefundGoods { order, amount } => {
                let Some(order) = named(*order) else { return };
                let (batch, item) = (RefundBatchId::new(START), RefundId::new(START));
                let lines = vec![
                    LineRefund { line: 0, amount: fen(*amount) },
                    LineRefund { line: 1, amount: fen(1) },
                ];
                let wish = GoodsRefund { batch, item, account, order, lines, reason: None };
                if let Ok(Reply::Refund { items, .. }) = self.books.act(Body::RefundGoods(wish)) {
                    self.items.extend(items);
                }
            }
            Step::Sending { item } => {
                let Some(item) = self.items.iter().rev().nth(*item).cloned() else { return };
                let _ = self.books.act(Body::RefundSending { item: item.id, batch: item.batch });
            }
            Step::Report { item, news } => {
                let Some(item) = self.items.iter().rev().nth(*item).cloned() else { return };
                let _ = self.books.act(self.books.reporting(&item, *news));
            }
            Step::Cancel { item } => {
                let Some(item) = self.items.iter().rev().nth(*item).cloned() else { return };
                let asset = if item.lot.is_some() { self.asset(item.order) } else { Asset::Cny };
                let orders = self.orders.clone();
                let (batch, payments) = (item.batch, item.payment.into_iter().collect());
                let _ = self.books.act(Body::CancelRefund { batch, account, asset, orders, payments });
            }
            Step::Gift { nano, lasts } => {
                let expires_at = Some(Timestamp(self.books.now.0 + lasts));
                let _ = self.books.act(Body::GrantPromo { account, amount: NanoCny::new(*nano), expires_at });
            }
            Step::Expire => {
                let due: Vec<_> = self
                    .books
                    .store
                    .rows()
                    .lots()
                    .filter(|lot| lot.rem > 0 && lot.expires_at.is_some_and(|at| at <= self.books.now))
                    .map(|lot| (lot.id.clone(), lot.expired))
                    .collect();
                for (lot, expired) in due {
                    let body = Body::ExpireLot { account, asset: Asset::Cny, lot, expired };
                    self.books.act(body).unwrap();
                }
            }
            Step::Code { number, redeem } => {
                let code = code(*number);
                let (digest, campaign) = (code.digest.clone(), code.campaign.clone());
                let _ = match redeem {
                    true => self.books.act(Body::RedeemCode { account, digest, campaign }),
                    false => self.books.act(Body::CreateCode(code)),
                };
            }
            Step::Adjust { nano } => {
                let ticket = self.ticket();
                let key = format!("adj:{ticket}");
                let change = Adjustment { account, asset: Asset::Cny, amount: *nano, ticket };
                let _ = self.books.by_two(&key, Body::Adjust(change));
            }
            Step::Found { order, amount } => {
                let Some(order) = named(*order) else { return };
                let refund_id = self.ticket();
                let key = format!("xr:{refund_id}");
                let (asset, amount) = (self.asset(order), fen(*amount));
                let found = ExternalRefund { refund_id, order, account, asset, amount };
                let _ = self.books.apply(&key, Body::ExtRefund(found));
            }
            Step::SettleDebt { from } => {
                let key = self.ticket();
                let _ = self.books.by_two(&key, Body::SettleDebt { account, from: *from });
            }
            Step::Payout { order, amount } => {
                let Some(order) = named(*order) else { return };
                let ticket = self.ticket();
                let key = format!("payout:{ticket}");
                let (asset, amount, evidence) = (self.asset(order), fen(*amount), "slip".to_owned());
                let paid = ManualPayout { order, account, asset, amount, ticket, evidence };
                let _ = self.books.by_two(&key, Body::ManualPayout(paid));
            }
            Step::Sweep => {
                for order in self.orders.clone() {
                    let _ = self.books.act(Body::SweepBonus { account, order });
                }
            }
            Step::Standing { stop } => {
                let body =
                    if *stop { Body::StopAccount { account } } else { Body::ResumeAccount { account } };
                let key = self.ticket();
                let _ = self.books.by_two(&key, body);
            }
            Step::Close => {
                let key = self.ticket();
                let _ = self.books.by_two(&key, Body::CloseAccount { account });
            }
            Step::Fee { nano } => {
                let bill_row = self.ticket();
                let key = format!("fee:{bill_row}");
                self.books
                    .apply(&key, Body::PostFee { bill_row, amount: NanoCny::new(*nano) })
                    .outcome
                    .unwrap();
            }
            Step::Wait(micros) => self.books.now = Timestamp(self.books.now.0 + micros),
            Step::Again(ago) => {
                let Some(index) = self.books.log.len().checked_sub(*ago) else { return };
                let (command, earlier) = self.books.log[index].clone();
                let keyed = !command.remembered_by_its_row();
                let again = self.books.submit(command).outcome;
                let settled = earlier.as_ref().err().is_none_or(payments::ledger::Refusal::settles_the_key);
                assert!(!keyed || !settled || again == earlier, "a repeat is answered the same");
            }
        }
    }

    /// What must hold after every step, beside what [`Books::submit`] looks at.
    fn check(&self) {
        let rows = self.books.store.rows();
        let mut books: BTreeMap<(&Asset, &str), i128> = BTreeMap::new();
        for line in self.books.store.journal() {
            *books.entry((&line.asset, line.credit.as_str())).or_default() += i128::from(line.amount);
            *books.entry((&line.asset, line.debit.as_str())).or_default() -= i128::from(line.amount);
        }
        let book = |name| books.get(&(&Asset::Cny, name)).copied().unwrap_or(0);
        let nano = |amount: Fen| i128::from(NanoCny::from(amount).get());
        let debt = rows.account(self.books.account).unwrap().debt;
        assert_eq!(book("w:debt"), -i128::from(debt.get()));
        let aside = rows
            .suspended()
            .filter(|payment| matches!(payment.state, SuspenseState::Open | SuspenseState::Refunding));
        assert_eq!(book("suspense"), aside.map(|payment| nano(payment.amount)).sum::<i128>());
        let refunding: i128 =
            rows.lots().filter(|lot| lot.asset == Asset::Cny).map(|lot| i128::from(lot.refunding)).sum();
        assert_eq!(book("w:refunding"), refunding);
        assert!(book("token_liability") >= 0, "tokens never earn more than they cost");
        let orders = || self.orders.iter().filter_map(|order| rows.order(*order));
        // The cash identity: what WeChat Pay has for us is what came in, less what went back and what it kept.
        let came: i128 = self
            .books
            .store
            .journal()
            .iter()
            .filter(|line| {
                matches!(line.kind.as_str(), "pay_credit" | "suspense")
                    && line.debit.as_str() == "wx:clearing"
            })
            .map(|line| i128::from(line.amount))
            .sum();
        let went: i128 = self
            .books
            .store
            .journal()
            .iter()
            .filter(|line| line.credit.as_str() == "wx:clearing" && line.kind.as_str() != "fee")
            .map(|line| i128::from(line.amount))
            .sum();
        assert_eq!(-book("wx:clearing") - book("wx:fee"), came - went);
        for order in orders() {
            assert!(order.refunded <= order.amount, "{order:?}");
            if let OrderKind::Goods { lines, .. } = &order.kind {
                assert!(lines.iter().all(|line| line.refunded <= line.amount), "{order:?}");
            }
        }
        for lot in rows.lots() {
            assert!(lot.refunded_fen <= lot.paid_fen, "{lot:?}");
            let gift = lot.order.is_none() || lot.class.as_str() == "bonus";
            assert!(!gift || lot.refunded == 0, "a gift never leaves as cash: {lot:?}");
        }
    }
}

/// The same commands on disk, several to a commit: the same answers, the same rows.
async fn on_disk(books: &Books, together: usize) {
    let folder = tempfile::tempdir().unwrap();
    let (settings, _) = settings(folder.path());
    carried_out(Store::open(settings).unwrap(), books, together).await;
}

/// The same on a PostgreSQL server.
async fn on_postgres(books: &Books, together: usize) {
    let database = testbed::Database::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_postgres(postgres_settings(database.url(), folder.path())).await.unwrap();
    carried_out(store, books, together).await;
}

async fn carried_out(store: Store, books: &Books, together: usize) {
    for chunk in books.log.chunks(together) {
        let mut waiting = Vec::new();
        for (command, _) in chunk {
            waiting.push(store.slot().await.unwrap().send(command.clone().into()));
        }
        for (waiting, (command, expected)) in waiting.into_iter().zip(chunk) {
            let outcome = waiting.committed().await;
            assert_eq!(outcome, expected.clone().map_err(Into::into), "{command:?}");
        }
    }
    let rows = books.store.rows();
    assert_eq!(store.account(books.account).await.unwrap().as_ref(), rows.account(books.account));
    for balance in store.balances(books.account).await.unwrap() {
        let asset = &balance.wallet.asset;
        assert_eq!(balance.wallet, rows.wallet(books.account, asset));
        let mut lots: Vec<_> = rows.lots_of(books.account, asset).cloned().collect();
        lots.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        assert_eq!(balance.lots, lots);
    }
    for order in rows.orders() {
        assert_eq!(store.order(order.id).await.unwrap().as_ref(), Some(order));
    }
    for item in rows.items() {
        assert_eq!(store.refund_item(item.id).await.unwrap().as_ref(), Some(item));
    }
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    assert_eq!(store.state_hash().await.unwrap(), books.store.state_hash());
    store.close().await;
}

fn run(steps: &[Step]) -> Run {
    let mut run = Run::new();
    for step in steps {
        run.take(step);
        run.check();
    }
    run
}

proptest! {
    #![proptest_config(crate::model::config(200))]

    #[test]
    fn the_books_hold_whatever_is_asked(steps in prop::collection::vec(step(), 1..120)) {
        run(&steps);
    }
}

proptest! {
    #![proptest_config(crate::model::config(40))]

    #[test]
    fn memory_and_disk_give_the_same_answers(steps in prop::collection::vec(step(), 1..120), together in 1..30_usize) {
        let run = run(&steps);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_disk(&run.books, together));
    }
}

proptest! {
    #![proptest_config(crate::model::config(8))]

    #[test]
    fn memory_and_postgres_give_the_same_answers(steps in prop::collection::vec(step(), 1..120), together in 1..30_usize) {
        let run = run(&steps);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_postgres(&run.books, together));
    }
}

/// Steps that are always refused would find nothing.
#[test]
fn the_random_steps_reach_every_kind_of_line() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..120 {
        let steps = prop::collection::vec(step(), 120).new_tree(&mut runner).unwrap().current();
        let run = run(&steps);
        for line in run.books.store.journal() {
            *seen.entry(line.kind.as_str()).or_default() += 1;
        }
    }
    for kind in [
        "bonus_grant",
        "bonus_freeze",
        "bonus_void",
        "bonus_unfreeze",
        "expire",
        "ext_refund",
        "debt_settled",
        "fee",
        "manual_payout",
        "adjust",
        "suspense",
        "promo_grant",
        "refund_done",
        "refund_undo",
        "token_grant",
    ] {
        assert!(seen.contains_key(kind), "no {kind} in {seen:?}");
    }
}

#[test]
fn a_command_asked_by_the_wrong_person_may_be_asked_again_by_the_right_one() {
    let mut books = Books::new();
    let account = books.account;
    let by = |role| Command {
        actor: Actor { id: "x".to_owned(), role },
        reason: Some("why".to_owned()),
        ..command("stop", START, Body::StopAccount { account })
    };
    assert!(books.submit(by(Role::Customer)).outcome.is_err());
    assert!(books.submit(by(Role::Operator)).outcome.is_ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(on_disk(&books, 1));
}
