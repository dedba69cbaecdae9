//! The books by hand: the worked examples to the fen, and every edge that must not be taken.

use std::collections::BTreeMap;

use crate::support::{
    APPID, MCHID, MODEL, START, api_key, command, extending, fen, flat, new_hold, new_order, settling,
    token_kind, usage, yuan,
};
use payments::{
    ledger::{
        AccountRole, Actor, Asset, Body, BonusShare, Command, CreditSource, HoldState, NewHold, NoticeResult,
        OrderKind, OrderState, OrderStep, RefundBatch, RefundBatchState, RefundItem, RefundItemState,
        RefundNews, Refusal, Reply, Role, SettleEnd, Wallet, refundable,
    },
    store::{Applied, Outcome, memory::MemoryStore},
};
use units::{
    AccountId, Fen, KeyId, Livemode, NanoCny, OrderId, Rates, RefundBatchId, RefundId, RequestId, Timestamp,
    Tokens, Usage,
};

/// The reference store with an account in it.
pub(crate) struct Books {
    pub(crate) store: MemoryStore,
    pub(crate) account: AccountId,
    pub(crate) now: Timestamp,
    /// What was asked, and answered.
    pub(crate) log: Vec<(Command, Outcome)>,
    keys: u32,
}

impl Books {
    pub(crate) fn new() -> Self {
        Self::of(AccountRole::Customer)
    }

    pub(crate) fn of(role: AccountRole) -> Self {
        let account = AccountId::new(START);
        let mut books = Self { store: MemoryStore::default(), account, now: START, log: Vec::new(), keys: 0 };
        books.open(account, Livemode::Demo, role).unwrap();
        books
    }

    pub(crate) fn open(
        &mut self,
        id: AccountId,
        livemode: Livemode,
        role: AccountRole,
    ) -> Result<Reply, Refusal> {
        self.act(Body::OpenAccount { id, livemode, name: "test".to_owned(), role })
    }

    /// Carries out a command under a key of its own. A refusal must leave every row as it was.
    pub(crate) fn act(&mut self, body: Body) -> Result<Reply, Refusal> {
        self.keys += 1;
        self.apply(&format!("k{}", self.keys), body).outcome
    }

    pub(crate) fn apply(&mut self, key: &str, body: Body) -> Applied {
        self.submit(command(key, START, body))
    }

    /// As an operator, for a reason, with a second one who agrees.
    pub(crate) fn by_two(&mut self, key: &str, body: Body) -> Result<Reply, Refusal> {
        let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
        let command = Command {
            actor: operator("ann"),
            reason: Some("a ticket".to_owned()),
            approver: Some(operator("bob")),
            ..command(key, START, body)
        };
        self.submit(command).outcome
    }

    /// Carries out a command now, whenever it says.
    pub(crate) fn submit(&mut self, command: Command) -> Applied {
        let (before, lines) = (self.store.rows().clone(), self.store.journal().len());
        self.now = Timestamp(self.now.0 + 1);
        let command = Command { at: self.now, ..command };
        let applied = self.store.submit(&command);
        self.log.push((command, applied.outcome.clone()));
        if applied.outcome.is_err() {
            assert_eq!(*self.store.rows(), before, "a refusal changes nothing");
            assert_eq!(self.store.journal().len(), lines);
        }
        for wallet in self.store.rows().wallets() {
            let lots: i64 = self.store.rows().lots_of(wallet.account, &wallet.asset).map(|lot| lot.rem).sum();
            assert_eq!(lots, wallet.posted, "{wallet:?}");
            assert!(0 <= wallet.held && wallet.held <= wallet.posted, "{wallet:?}");
        }
        assert!(self.store.rows().lots().all(payments::ledger::Lot::adds_up));
        applied
    }

    /// It is answered with a refusal of this kind; that nothing changed, [`Self::apply`] has seen.
    #[track_caller]
    pub(crate) fn refuses(&mut self, body: Body, expected: &Refusal) {
        assert_eq!(self.act(body).as_ref(), Err(expected));
    }

    pub(crate) fn promo(&mut self, amount: &str) {
        let (account, amount) = (self.account, yuan(amount));
        self.act(Body::GrantPromo { account, amount, expires_at: None }).unwrap();
    }

    pub(crate) fn order(&mut self, amount: i64, kind: OrderKind) -> OrderId {
        let id = OrderId::new(START);
        self.act(Body::CreateOrder(new_order(id, self.account, fen(amount), kind))).unwrap();
        self.act(Body::OrderPrepaid {
            order: id,
            prepay: payments::ledger::Prepay::Code("weixin://x".to_owned()),
            request_id: None,
        })
        .unwrap();
        id
    }

    pub(crate) fn pay(&mut self, amount: i64) -> OrderId {
        let id = self.order(amount, OrderKind::Wallet);
        let body = self.news(id, amount);
        assert_eq!(self.step(body), OrderStep::Credited);
        id
    }

    /// The news that `order` is paid, agreeing in everything.
    pub(crate) fn news(&self, order: OrderId, amount: i64) -> Body {
        let row = self.store.rows().order(order);
        Body::OrderPaid {
            order,
            account: row.map_or(self.account, |row| row.account),
            asset: row.map_or(Asset::Cny, |row| row.kind.asset()),
            transaction_id: format!("T{order}"),
            total: fen(amount),
            currency: None,
            mchid: MCHID.to_owned(),
            appid: APPID.to_owned(),
            payer: None,
            success_time: None,
            source: CreditSource::Notify,
            event: None,
        }
    }

    pub(crate) fn step(&mut self, body: Body) -> OrderStep {
        match self.act(body) {
            Ok(Reply::Order { step, .. }) => step,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn state(&self, order: OrderId) -> OrderState {
        self.store.rows().order(order).unwrap().state
    }

    fn hold_of(&self, id: RequestId, money: &str, tokens_milli: i64, rates: Rates) -> Body {
        let tokens = (tokens_milli > 0).then_some(tokens_milli);
        Body::Hold(NewHold { money: yuan(money), ..new_hold(id, self.account, tokens, rates) })
    }

    /// A hold that is charged at one nano-yuan a token.
    pub(crate) fn hold_for(&self, id: RequestId, money: &str) -> Body {
        self.hold_of(id, money, 0, flat(1))
    }

    pub(crate) fn hold(&mut self, money: &str) -> RequestId {
        let id = RequestId::new(START);
        let body = self.hold_of(id, money, 0, flat(1));
        assert_eq!(self.act(body), Ok(Reply::Done));
        id
    }

    fn ending(&self, id: RequestId, end: SettleEnd) -> Body {
        settling(self.store.rows(), id, self.account, end)
    }

    /// Settles at one nano-yuan a token.
    pub(crate) fn charge(&mut self, id: RequestId, nano: i64, extra: i64) -> payments::ledger::Hold {
        let usage = usage(u64::try_from(nano).unwrap(), 0);
        let end = SettleEnd::Charge { usage, estimated: false, extra: NanoCny::new(extra) };
        let body = self.ending(id, end);
        match self.act(body).unwrap() {
            Reply::Hold(hold) => *hold,
            other => panic!("{other:?}"),
        }
    }

    /// A call that costs exactly this.
    pub(crate) fn use_up(&mut self, amount: &str) {
        let id = self.hold(amount);
        assert_eq!(self.charge(id, yuan(amount).get(), 0).cost, yuan(amount));
    }

    pub(crate) fn refund_of(&self, asset: Asset, amount: Option<i64>, order: Option<OrderId>) -> Body {
        Body::RequestRefund {
            batch: RefundBatchId::new(START),
            account: self.account,
            asset,
            amount: amount.map(fen),
            granted: i64::MAX,
            approve_above: None,
            order,
            reason: None,
            item_ids: (0..8).map(|_| RefundId::new(START)).collect(),
        }
    }

    pub(crate) fn refund(&mut self, amount: Option<i64>) -> (RefundBatch, Vec<RefundItem>) {
        let body = self.refund_of(Asset::Cny, amount, None);
        match self.act(body).unwrap() {
            Reply::Refund { batch, items } => (*batch, items),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn send(&mut self, item: &RefundItem) {
        self.act(Body::RefundSending { item: item.id, batch: item.batch }).unwrap();
    }

    pub(crate) fn reporting(&self, item: &RefundItem, news: RefundNews) -> Body {
        Body::RefundReported {
            item: item.id,
            batch: item.batch,
            order: item.order,
            account: item.account,
            asset: match &item.lot {
                Some(lot) => self.store.rows().lot(lot).unwrap().asset.clone(),
                None => Asset::Cny,
            },
            news,
            refund_id: Some("R1".to_owned()),
            detail: None,
            event: None,
            payment: item.payment.clone(),
        }
    }

    pub(crate) fn report(&mut self, item: &RefundItem, news: RefundNews) -> RefundItemState {
        let body = self.reporting(item, news);
        match self.act(body).unwrap() {
            Reply::Item(item) => item.state,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn wallet(&self, asset: &Asset) -> Wallet {
        self.store.rows().wallet(self.account, asset)
    }

    pub(crate) fn available(&self) -> NanoCny {
        NanoCny::new(self.wallet(&Asset::Cny).available())
    }

    pub(crate) fn by_order(&self, items: &[RefundItem]) -> BTreeMap<OrderId, Fen> {
        items.iter().map(|item| (item.order, item.amount)).collect()
    }
}

/// The worked example: promo 5.00; payments of 100.00, 50.00 and 30.00; 112.345678 used; 2.00 held.
fn the_example() -> (Books, [OrderId; 3]) {
    let mut books = Books::new();
    books.promo("5");
    let orders = [books.pay(10_000), books.pay(5_000), books.pay(3_000)];
    books.use_up("112.345678");
    books.hold("2");
    (books, orders)
}

#[test]
fn refunding_everything_gives_each_payment_exactly_what_is_unused_and_not_pledged() {
    let (mut books, [_, b, c]) = the_example();
    let (batch, items) = books.refund(None);
    assert_eq!(batch.amount, fen(7_065));
    assert_eq!(books.by_order(&items), BTreeMap::from([(b, fen(4_065)), (c, fen(3_000))]));
    assert_eq!(books.available(), yuan("0.004322"), "dust of less than a fen stays spendable");
    assert_eq!(books.wallet(&Asset::Cny).held, yuan("2").get());
}

#[test]
fn a_part_is_split_in_proportion_and_the_spare_fen_goes_to_the_largest_remainder() {
    let (mut books, [_, b, c]) = the_example();
    let (_, items) = books.refund(Some(2_000));
    assert_eq!(books.by_order(&items), BTreeMap::from([(b, fen(1_151)), (c, fen(849))]));
}

#[test]
fn a_bonus_shrinks_with_its_payment() {
    let share = BonusShare { bonus: yuan("3").get(), paid: fen(3_000), refunded: fen(849) };
    assert_eq!(share.kept(), yuan("2.151").get());
    assert_eq!(BonusShare { refunded: fen(3_000), ..share }.kept(), 0);
}

#[test]
fn one_fen_too_many_is_refused_and_the_last_fen_is_not() {
    let (mut books, _) = the_example();
    let too_much = books.refund_of(Asset::Cny, Some(7_066), None);
    books.refuses(too_much, &Refusal::RefundTooMuch { requested: fen(7_066), refundable: fen(7_065) });
    let nothing = books.refund_of(Asset::Cny, Some(0), None);
    books.refuses(nothing, &Refusal::NotPositive);
    assert_eq!(books.refund(Some(7_065)).0.amount, fen(7_065));
    let more = books.refund_of(Asset::Cny, Some(1), None);
    assert!(matches!(books.act(more), Err(Refusal::NothingRefundable(_))));
}

#[test]
fn a_refund_of_one_order_takes_nothing_of_another() {
    let (mut books, [a, b, _]) = the_example();
    let of_b = books.refund_of(Asset::Cny, None, Some(b));
    let Ok(Reply::Refund { items, .. }) = books.act(of_b) else { panic!() };
    assert_eq!(books.by_order(&items), BTreeMap::from([(b, fen(4_065))]));
    let of_a = books.refund_of(Asset::Cny, None, Some(a));
    assert!(matches!(books.act(of_a), Err(Refusal::NothingRefundable(_))), "all of it is used");
}

#[test]
fn a_payment_is_refundable_for_a_year_and_not_a_moment_longer() {
    let mut books = Books::new();
    books.pay(100);
    let paid_at = books.now.0;
    let year = 365 * 24 * 3_600 * 1_000_000;
    let of = |books: &Books, at: i64| refundable(books.store.rows().lots(), 0, Timestamp(at)).len();
    assert_eq!((of(&books, paid_at + year - 1), of(&books, paid_at + year)), (1, 0));
}

#[test]
fn the_fifty_first_refund_of_a_payment_is_not_asked_for() {
    let mut books = Books::new();
    books.pay(100);
    for _ in 0..50 {
        let (_, items) = books.refund(Some(1));
        books.send(&items[0]);
        books.report(&items[0], RefundNews::Success);
    }
    let one_more = books.refund_of(Asset::Cny, Some(1), None);
    assert!(matches!(books.act(one_more), Err(Refusal::NothingRefundable(_))));
}

fn token_books() -> (Books, OrderId, Asset) {
    let mut books = Books::new();
    let order = books.order(5_000, token_kind(1_000_000, 50_000));
    let asset = Asset::Tokens(MODEL.to_owned());
    let Body::OrderPaid { order: id, account, transaction_id, total, mchid, appid, source, .. } =
        books.news(order, 5_000)
    else {
        panic!()
    };
    let news = Body::OrderPaid {
        order: id,
        account,
        asset: asset.clone(),
        transaction_id,
        total,
        currency: Some("CNY".to_owned()),
        mchid,
        appid,
        payer: None,
        success_time: None,
        source,
        event: None,
    };
    assert_eq!(books.step(news), OrderStep::Credited);
    (books, order, asset)
}

#[test]
fn tokens_bought_pay_first_and_what_is_left_of_them_goes_back_pro_rata() {
    let (mut books, order, asset) = token_books();
    books.promo("1");
    let id = RequestId::new(START);
    let hold = books.hold_of(id, "0", 400_000_000, flat(50_000));
    books.act(hold).unwrap();
    let end = SettleEnd::Charge { usage: usage(376_000, 543), estimated: false, extra: NanoCny::ZERO };
    let end = books.ending(id, end);
    let Ok(Reply::Hold(hold)) = books.act(end) else { panic!() };
    assert_eq!((hold.cost, hold.cost_tokens_milli), (NanoCny::ZERO, 376_543_000));
    assert_eq!(books.available(), yuan("1"), "the money was not touched");

    let refund = books.refund_of(asset.clone(), None, Some(order));
    let Ok(Reply::Refund { batch, items }) = books.act(refund) else { panic!() };
    assert_eq!(batch.amount, fen(3_117), "floor(5000 * 623457 / 1000000)");
    assert_eq!(books.wallet(&asset).posted, 0, "all the cash takes all the tokens");
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    assert_eq!(books.state(order), OrderState::PartiallyRefunded);
    let earned: i64 = books
        .store
        .journal()
        .iter()
        .filter(|entry| entry.kind.as_str() == "token_revenue")
        .map(|e| e.amount)
        .sum();
    assert_eq!(earned, yuan("18.82715").get(), "revenue is the used share of the price");
}

#[test]
fn what_tokens_cannot_cover_is_paid_in_money() {
    let (mut books, _, asset) = token_books();
    books.promo("1");
    let id = RequestId::new(START);
    let hold = books.hold_of(id, "0.5", 1_000, flat(50_000));
    books.act(hold).unwrap();
    let end = SettleEnd::Charge { usage: usage(3, 0), estimated: false, extra: NanoCny::ZERO };
    let end = books.ending(id, end);
    let Ok(Reply::Hold(hold)) = books.act(end) else { panic!() };
    assert_eq!((hold.cost.get(), hold.cost_tokens_milli), (100_000, 1_000));
    assert_eq!(books.wallet(&asset).held, 0);
}

#[test]
fn promotions_burn_first_the_one_that_ends_first_before_the_others() {
    let mut books = Books::new();
    books.pay(100);
    books.promo("1");
    let (account, amount) = (books.account, yuan("1"));
    books.act(Body::GrantPromo { account, amount, expires_at: Some(Timestamp(i64::MAX - 1)) }).unwrap();
    books.use_up("1.5");
    let left: Vec<_> = books
        .store
        .rows()
        .lots()
        .map(|lot| (lot.class.as_str(), lot.expires_at.is_some(), lot.rem))
        .collect();
    assert!(
        left.contains(&("promo", true, 0)) && left.contains(&("promo", false, yuan("0.5").get())),
        "{left:?}"
    );
    assert!(left.contains(&("paid", false, yuan("1").get())), "{left:?}");
    assert_eq!(books.refund(None).0.amount, fen(100), "a promotion never leaves as cash");
}

#[test]
fn a_hold_needs_what_it_sets_aside_and_gives_back_what_it_does_not_use() {
    let mut books = Books::new();
    books.pay(100);
    let (first, second) = (books.hold("0.6"), RequestId::new(START));
    let too_much = books.hold_of(second, "0.400000001", 0, flat(1));
    let (available, required) = (400_000_000, 400_000_001);
    books.refuses(too_much, &Refusal::Insufficient { asset: Asset::Cny, available, required });
    assert_eq!(books.charge(first, 250_000_000, 0).cost, yuan("0.25"));
    assert_eq!(books.available(), yuan("0.75"));
    let negative = books.hold_of(second, "-0.1", 0, flat(1));
    books.refuses(negative, &Refusal::NotPositive);
    let unknown = Body::Hold(new_hold(second, AccountId::new(START), None, flat(1)));
    assert!(matches!(books.act(unknown), Err(Refusal::UnknownAccount(_))));
}

#[test]
fn a_hold_is_taken_once_and_ends_once() {
    let mut books = Books::new();
    books.pay(100);
    let id = RequestId::new(START);
    let body = books.hold_of(id, "0.6", 0, flat(1));
    assert_eq!(books.act(body.clone()), Ok(Reply::Done));
    assert_eq!(books.act(body.clone()), Ok(Reply::Already));
    let other = books.hold_of(id, "0.7", 0, flat(1));
    books.refuses(other, &Refusal::HoldExists(id));
    let first = books.charge(id, 100, 0);
    let before = books.store.rows().clone();
    assert_eq!(books.charge(id, 999, 0), first, "the first end counts");
    let release = books.ending(id, SettleEnd::Release);
    assert_eq!(books.act(release), Ok(Reply::Hold(Box::new(first))));
    assert_eq!(books.act(body), Ok(Reply::Already), "also after its end");
    assert_eq!(*books.store.rows(), before);
    let (account, to) = (books.account, yuan("0.9"));
    let extend = extending(books.store.rows(), id, account, to);
    books.refuses(extend, &Refusal::HoldEnded(id));
}

#[test]
fn a_release_gives_both_legs_back() {
    let (mut books, _, asset) = token_books();
    books.pay(100);
    let id = RequestId::new(START);
    let hold = books.hold_of(id, "0.6", 5_000, flat(1));
    books.act(hold).unwrap();
    assert_eq!(books.wallet(&asset).held, 5_000);
    let release = books.ending(id, SettleEnd::Release);
    books.act(release).unwrap();
    assert_eq!((books.wallet(&asset).held, books.wallet(&Asset::Cny).held), (0, 0));
    assert_eq!(books.store.rows().hold(id).unwrap().state, HoldState::Released);
}

#[test]
fn an_extension_names_its_end_so_that_a_repeat_is_harmless() {
    let mut books = Books::new();
    books.pay(100);
    let id = books.hold("0.2");
    let account = books.account;
    let key = books.store.rows().hold(id).unwrap().key;
    let extend = |to: &str| Body::Extend { id, account, key, to: yuan(to) };
    assert_eq!(books.act(extend("0.5")), Ok(Reply::Done));
    assert_eq!(books.act(extend("0.5")), Ok(Reply::Already));
    assert_eq!(books.act(extend("0.3")), Ok(Reply::Already), "never down");
    assert_eq!(books.wallet(&Asset::Cny).held, yuan("0.5").get());
    let (available, required) = (yuan("0.5").get(), yuan("0.500000001").get());
    books.refuses(extend("1.000000001"), &Refusal::Insufficient { asset: Asset::Cny, available, required });
    let unknown = RequestId::new(START);
    let extend = extending(books.store.rows(), unknown, account, yuan("1"));
    books.refuses(extend, &Refusal::UnknownHold(unknown));
}

#[test]
fn use_beyond_the_hold_takes_the_named_extra_never_what_others_hold_and_the_rest_is_our_loss() {
    let mut books = Books::new();
    books.pay(100);
    let (first, other) = (books.hold("0.2"), books.hold("0.7"));
    let hold = books.charge(first, 500_000_000, yuan("0.05").get());
    assert_eq!((hold.cost, hold.overrun), (yuan("0.25"), yuan("0.25")), "the extra is the most");
    let hold = {
        let third = books.hold("0.05");
        books.charge(third, 900_000_000, i64::MAX)
    };
    assert_eq!((hold.cost, hold.overrun), (yuan("0.05"), yuan("0.85")), "0.7 is promised to another call");
    assert_eq!(books.charge(other, 700_000_000, 0).cost, yuan("0.7"), "which can pay");
    assert_eq!(books.wallet(&Asset::Cny).posted, 0);
    let loss: i64 =
        books.store.journal().iter().filter(|e| e.debit.as_str() == "overrun_loss").map(|e| e.amount).sum();
    assert_eq!(loss, yuan("1.1").get());
}

#[test]
fn an_extra_below_zero_takes_nothing_off_the_charge() {
    let mut books = Books::new();
    books.pay(100);
    let id = books.hold("0.2");
    assert_eq!(books.charge(id, 200_000_000, i64::MIN).cost, yuan("0.2"));
}

#[test]
fn a_usage_beyond_the_ledgers_range_is_refused_and_never_wraps() {
    let mut books = Books::new();
    books.pay(100);
    let id = RequestId::new(START);
    let hold = books.hold_of(id, "0.2", 0, flat(i64::MAX));
    books.act(hold).unwrap();
    for usage in
        [usage(2, 0), usage(u64::MAX, u64::MAX), Usage { cached_input: Tokens(u64::MAX), ..usage(0, 0) }]
    {
        let end = books.ending(id, SettleEnd::Charge { usage, estimated: false, extra: NanoCny::ZERO });
        books.refuses(end, &Refusal::OutOfRange);
    }
    let release = books.ending(id, SettleEnd::Release);
    books.act(release).unwrap();
}

#[test]
fn a_command_that_names_anothers_balance_is_refused() {
    let (mut books, order, asset) = token_books();
    let (mine, other) = (books.account, AccountId::new(START));
    books.open(other, Livemode::Demo, AccountRole::Customer).unwrap();
    let id = RequestId::new(START);
    let hold = books.hold_of(id, "0", 5_000, flat(1));
    books.act(hold).unwrap();
    let end = SettleEnd::Release;
    let of_other = settling(books.store.rows(), id, other, end.clone());
    books.refuses(of_other, &Refusal::UnknownHold(id));
    let Body::Settle { key, by, .. } = settling(books.store.rows(), id, mine, end.clone()) else { panic!() };
    let tokens = vec![Asset::Tokens("n".to_owned())];
    let of_other_tokens = Body::Settle { id, account: mine, key, tokens, by, end: end.clone() };
    books.refuses(of_other_tokens, &Refusal::UnknownHold(id));
    let of_other_key =
        Body::Settle { id, account: mine, key: KeyId::new(START), tokens: vec![asset.clone()], by, end };
    books.refuses(of_other_key, &Refusal::UnknownHold(id));
    let extend = extending(books.store.rows(), id, other, yuan("1"));
    books.refuses(extend, &Refusal::UnknownHold(id));

    let refund = books.refund_of(asset.clone(), Some(1), Some(order));
    let Ok(Reply::Refund { items, .. }) = books.act(refund) else { panic!() };
    let item = items[0].clone();
    let batch = RefundBatchId::new(START);
    books.refuses(Body::RefundSending { item: item.id, batch }, &Refusal::UnknownItem(item.id));
    books.send(&item);
    let Body::RefundReported { news, refund_id, .. } = books.reporting(&item, RefundNews::Success) else {
        panic!()
    };
    let wrong = |account, asset, batch, order| Body::RefundReported {
        item: item.id,
        batch,
        order,
        account,
        asset,
        news,
        refund_id: refund_id.clone(),
        detail: None,
        event: None,
        payment: None,
    };
    books.refuses(wrong(other, asset.clone(), item.batch, order), &Refusal::UnknownItem(item.id));
    books.refuses(wrong(mine, Asset::Cny, item.batch, order), &Refusal::UnknownItem(item.id));
    books.refuses(wrong(mine, asset.clone(), batch, order), &Refusal::UnknownItem(item.id));
    let another = books.pay(5);
    books.refuses(wrong(mine, asset, item.batch, another), &Refusal::UnknownItem(item.id));
}

#[test]
fn our_own_calls_are_never_refused_and_are_booked_as_our_cost() {
    let mut books = Books::of(AccountRole::House);
    let id = RequestId::new(START);
    let body = books.hold_of(id, "7", 0, flat(1));
    assert_eq!(books.act(body.clone()), Ok(Reply::Done));
    assert_eq!(books.act(body), Ok(Reply::Already));
    assert_eq!(books.store.rows().hold(id).unwrap().money, NanoCny::ZERO);
    let hold = books.charge(id, 1_234, 0);
    assert_eq!((hold.cost.get(), hold.overrun.get()), (1_234, 0));
    let line = books.store.journal().last().unwrap();
    assert_eq!((line.debit.as_str(), line.credit.as_str(), line.amount), ("house_usage", "revenue", 1_234));
}

#[test]
fn demo_money_and_live_money_never_mix() {
    let mut books = Books::new();
    let live = AccountId::new(START);
    books.open(live, Livemode::Live, AccountRole::Customer).unwrap();
    let order = new_order(OrderId::new(START), live, fen(1), OrderKind::Wallet);
    books.refuses(Body::CreateOrder(order), &Refusal::LivemodeMismatch);
    books.refuses(Body::AddKey(api_key(KeyId::new(START), live, "d")), &Refusal::LivemodeMismatch);
}

#[test]
fn two_keys_of_one_digest_are_refused_and_a_key_is_revoked_by_its_owner_once() {
    let mut books = Books::new();
    let (account, id) = (books.account, KeyId::new(START));
    books.act(Body::AddKey(api_key(id, account, "d"))).unwrap();
    books.refuses(Body::AddKey(api_key(KeyId::new(START), account, "d")), &Refusal::KeyExists);
    books.refuses(Body::AddKey(api_key(id, account, "e")), &Refusal::KeyExists);
    let other = AccountId::new(START);
    books.refuses(Body::RevokeKey { account: other, key: id }, &Refusal::UnknownKey(id));
    assert_eq!(books.act(Body::RevokeKey { account, key: id }), Ok(Reply::Done));
    assert_eq!(books.act(Body::RevokeKey { account, key: id }), Ok(Reply::Already));
    books.refuses(Body::AddKey(api_key(KeyId::new(START), other, "f")), &Refusal::UnknownAccount(other));
}

#[test]
fn the_same_key_is_answered_the_same_and_another_wish_under_it_is_refused() {
    let mut books = Books::new();
    let account = books.account;
    let grant = |amount: &str| Body::GrantPromo { account, amount: yuan(amount), expires_at: None };
    books.apply("promo", grant("1")).outcome.unwrap();
    assert_eq!(books.apply("promo", grant("1")).outcome, Ok(Reply::Done));
    assert_eq!(books.apply("promo", grant("2")).outcome, Err(Refusal::KeyReused));
    assert_eq!(books.available(), yuan("1"));
    assert_eq!(books.apply("zero", grant("0")).outcome, Err(Refusal::NotPositive));
    assert_eq!(
        books.apply("zero", grant("0")).outcome,
        Err(Refusal::NotPositive),
        "a refusal is remembered too"
    );
    let order = |id| Body::CreateOrder(new_order(id, account, fen(5), OrderKind::Wallet));
    let first = OrderId::new(START);
    books.apply("order", order(first)).outcome.unwrap();
    let again = books.apply("order", order(OrderId::new(START)));
    let Ok(Reply::Order { order, .. }) = again.outcome else { panic!() };
    assert_eq!((order.id, again.ops.len()), (first, 0), "ids are chosen anew; the wish is the same");
}

#[test]
fn an_order_of_nothing_or_of_more_tokens_than_can_be_counted_is_never_made() {
    let mut books = Books::new();
    let account = books.account;
    let mut order = |amount, kind| {
        books.act(Body::CreateOrder(new_order(OrderId::new(START), account, fen(amount), kind)))
    };
    assert_eq!(order(0, OrderKind::Wallet), Err(Refusal::NotPositive));
    assert_eq!(order(1, token_kind(0, 1)), Err(Refusal::NotPositive));
    assert_eq!(order(1, token_kind(-1, 1)), Err(Refusal::NotPositive));
    assert_eq!(order(1, token_kind(i64::MAX, 1)), Err(Refusal::OutOfRange));
}

#[test]
fn a_payment_is_credited_once_however_often_and_from_wherever_it_is_told() {
    let mut books = Books::new();
    let order = books.order(1_000, OrderKind::Wallet);
    let told = |books: &Books, source, event: Option<&str>| {
        let mut news = books.news(order, 1_000);
        if let Body::OrderPaid { source: s, event: e, .. } = &mut news {
            (*s, *e) = (source, event.map(str::to_owned));
        }
        news
    };
    let news = told(&books, CreditSource::Notify, Some("E1"));
    assert_eq!(books.step(news.clone()), OrderStep::Credited);
    let before = books.store.rows().clone();
    assert_eq!(books.step(news), OrderStep::Unchanged);
    let query = told(&books, CreditSource::Query, None);
    assert_eq!(books.step(query), OrderStep::Unchanged);
    assert_eq!(*books.store.rows(), before);
    let another = told(&books, CreditSource::Notify, Some("E2"));
    assert_eq!(books.step(another), OrderStep::Unchanged);
    assert_eq!(books.store.rows().notice("E1").unwrap().result, NoticeResult::Applied);
    assert_eq!(books.store.rows().notice("E2").unwrap().result, NoticeResult::Duplicate);
    assert_eq!(books.available(), yuan("10"));
}

#[test]
fn a_payment_that_differs_in_anything_is_put_aside_and_nothing_is_credited() {
    type Change = fn(&mut Fen, &mut Option<String>, &mut String, &mut String);
    let changes: [(&str, Change); 5] = [
        ("amount", |total, _, _, _| *total = fen(999)),
        ("no amount", |total, _, _, _| *total = Fen::ZERO),
        ("currency", |_, currency, _, _| *currency = Some("USD".to_owned())),
        ("merchant", |_, _, mchid, _| *mchid = "1".to_owned()),
        ("app", |_, _, _, appid| *appid = "wx1".to_owned()),
    ];
    for (what, change) in changes {
        let mut books = Books::new();
        let order = books.order(1_000, OrderKind::Wallet);
        let mut news = books.news(order, 1_000);
        if let Body::OrderPaid { total, currency, mchid, appid, event, .. } = &mut news {
            change(total, currency, mchid, appid);
            *event = Some("E1".to_owned());
        }
        assert_eq!(books.step(news.clone()), OrderStep::Quarantined, "{what}");
        assert_eq!((books.state(order), books.available()), (OrderState::Review, NanoCny::ZERO), "{what}");
        assert_eq!(books.store.rows().notice("E1").unwrap().result, NoticeResult::Rejected);
        let before = books.store.rows().clone();
        assert_eq!(books.step(news), OrderStep::StillQuarantined, "{what}");
        assert_eq!(*books.store.rows(), before, "said again it adds nothing");
        let agreeing = books.news(order, 1_000);
        // The same payment was told of; only without an amount nothing says which one it was.
        let told = what != "no amount";
        let step = if told { OrderStep::StillQuarantined } else { OrderStep::Quarantined };
        assert_eq!(books.step(agreeing), step, "{what}: a person decides, not the next message");
        assert_eq!(books.available(), NanoCny::ZERO);
        // It waits in suspense, booked once: as soon as what was paid is known in yuan.
        assert_eq!(books.store.journal().len(), 1, "{what}");
    }
}

#[test]
fn a_second_payment_of_an_order_and_a_payment_of_two_orders_are_put_aside() {
    let mut books = Books::new();
    let (first, second) = (books.pay(1_000), books.order(1_000, OrderKind::Wallet));
    let mut again = books.news(first, 1_000);
    if let Body::OrderPaid { transaction_id, .. } = &mut again {
        *transaction_id = "another".to_owned();
    }
    assert_eq!(books.step(again), OrderStep::Quarantined);
    assert_eq!(books.state(first), OrderState::Paid, "it has its payment; the other one is for a person");
    let mut same = books.news(second, 1_000);
    if let Body::OrderPaid { transaction_id, .. } = &mut same {
        *transaction_id = format!("T{first}");
    }
    assert_eq!(books.step(same), OrderStep::Quarantined);
    assert_eq!(books.state(second), OrderState::Review);
    assert_eq!(books.available(), yuan("10"));
}

#[test]
fn an_order_nobody_knows_moves_nowhere() {
    let mut books = Books::new();
    let order = OrderId::new(START);
    let news = books.news(order, 5);
    for body in [
        news,
        Body::OrderPrepaid {
            order,
            prepay: payments::ledger::Prepay::Code("c".to_owned()),
            request_id: None,
        },
        Body::OrderFailed { order, detail: "no".to_owned() },
        Body::OrderClosed { order, source: "close".to_owned() },
        Body::OrderNoted { order, event: "note".to_owned(), source: "test".to_owned(), detail: None },
    ] {
        books.refuses(body, &Refusal::UnknownOrder(order));
    }
    let known = books.order(5, OrderKind::Wallet);
    let twice = new_order(known, books.account, fen(6), OrderKind::Wallet);
    books.refuses(Body::CreateOrder(twice), &Refusal::OrderExists(known));
}

#[test]
fn a_timeline_keeps_its_ends_and_a_bound() {
    let mut books = Books::new();
    let order = books.order(5, OrderKind::Wallet);
    for n in 0..200 {
        let event = format!("note {n}");
        books.act(Body::OrderNoted { order, event, source: "test".to_owned(), detail: None }).unwrap();
    }
    let timeline = &books.store.rows().order(order).unwrap().timeline;
    assert_eq!((timeline.len(), timeline[0].event.as_str()), (60, "created"));
    assert_eq!(timeline.last().unwrap().event, "note 199");
}

#[test]
fn a_batch_is_done_when_every_item_arrived_and_partial_when_one_did_not() {
    for (last, state) in
        [(RefundNews::Success, RefundBatchState::Done), (RefundNews::Refused, RefundBatchState::Partial)]
    {
        let mut books = Books::new();
        let orders = [books.pay(1_000), books.pay(1_000)];
        let (batch, items) = books.refund(None);
        assert_eq!(items.len(), 2);
        let state_of = |applied: &Applied| {
            applied.ops.iter().find_map(|op| match op {
                payments::ledger::RowOp::Batch(row) if row.id == batch.id => Some(row.state),
                _ => None,
            })
        };
        items.iter().for_each(|item| books.send(item));
        let first = books.reporting(&items[0], RefundNews::Success);
        assert_eq!(state_of(&books.apply("first", first)), None, "one is still under way");
        let second = books.reporting(&items[1], last);
        assert_eq!(state_of(&books.apply("second", second)), Some(state));
        assert!(orders.contains(&items[0].order));
        assert_eq!(books.state(items[0].order), OrderState::Refunded);
    }
}

#[test]
fn what_came_back_from_a_refund_can_be_refunded_again_under_another_number() {
    let mut books = Books::new();
    let order = books.pay(1_000);
    let (_, items) = books.refund(None);
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Closed);
    let (_, again) = books.refund(None);
    assert_eq!((again[0].amount, again[0].order), (fen(1_000), order));
    assert_ne!(again[0].id, items[0].id);
    books.send(&again[0]);
    books.report(&again[0], RefundNews::Success);
    assert_eq!(books.state(order), OrderState::Refunded);
    assert_eq!(
        books.report(&items[0], RefundNews::Success),
        RefundItemState::Closed,
        "a closed one stays closed"
    );
}

#[test]
fn a_refund_needs_as_many_numbers_as_it_has_items_and_a_batch_of_its_own() {
    let mut books = Books::new();
    books.pay(1_000);
    books.pay(1_000);
    let mut body = books.refund_of(Asset::Cny, None, None);
    if let Body::RequestRefund { item_ids, .. } = &mut body {
        item_ids.truncate(1);
    }
    books.refuses(body, &Refusal::OutOfRange);
    let body = books.refund_of(Asset::Cny, Some(2), None);
    books.act(body.clone()).unwrap();
    books.refuses(body, &Refusal::KeyReused);
}

#[test]
fn a_large_promotion_never_overflows_a_balance() {
    let mut books = Books::new();
    let account = books.account;
    let grant = || Body::GrantPromo { account, amount: NanoCny::new(i64::MAX), expires_at: None };
    books.act(grant()).unwrap();
    books.refuses(grant(), &Refusal::OutOfRange);
}

#[test]
fn a_refund_takes_no_more_than_was_set_aside_for_it() {
    let mut books = Books::new();
    books.pay(1_000);
    let granted = |books: &Books, amount, granted| {
        let mut body = books.refund_of(Asset::Cny, amount, None);
        if let Body::RequestRefund { granted: limit, .. } = &mut body {
            *limit = granted;
        }
        body
    };
    // Calls that are still on their way to the ledger were admitted on the rest.
    let named = granted(&books, Some(700), 5_000_000_000);
    assert_eq!(books.act(named), Err(Refusal::RefundTooMuch { requested: fen(700), refundable: fen(500) }));
    let nothing = granted(&books, None, 9_999_999);
    assert!(matches!(books.act(nothing), Err(Refusal::NothingRefundable(_))));
    let all = granted(&books, None, 5_001_000_000);
    let Ok(Reply::Refund { batch, .. }) = books.act(all) else { panic!("refused") };
    assert_eq!(batch.amount, fen(500));
}
