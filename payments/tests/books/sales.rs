//! What orders sell beside yuan: tokens of a model, packages, goods.

use payments::{
    ledger::{
        AccountRole, Asset, Body, GoodsLine, GoodsRefund, GrantCaps, GrantClaim, LineRefund, OrderKind,
        OrderState, OrderStep, PackageOffer, RefundItem, RefundNews, Refusal, Reply, TokenTerms, Weights,
    },
    refund::GoodsRefundRequest,
    store::SubmitError,
};
use units::{AccountId, Fen, Livemode, OrderId, Rate, Rates, RefundBatchId, RefundId, Timestamp};

use crate::{
    ledger::Books,
    support::{MODEL, START, World, fen, new_order, token_kind, trade_of, yuan},
};

fn field(refused: &Result<Reply, Refusal>, name: &str) {
    assert!(matches!(refused, Err(Refusal::Invalid { field, .. }) if field == name), "{name}: {refused:?}");
}

impl Books {
    fn create(&mut self, amount: i64, kind: OrderKind) -> Result<Reply, Refusal> {
        self.act(Body::CreateOrder(new_order(OrderId::new(START), self.account, fen(amount), kind)))
    }

    fn buy(&mut self, amount: i64, kind: OrderKind) -> OrderId {
        let order = self.order(amount, kind);
        let news = self.news(order, amount);
        assert_eq!(self.step(news), OrderStep::Credited);
        order
    }
}

// ---- tokens ----

#[test]
fn tokens_are_what_the_amount_buys_and_pay_for_what_they_did_on_the_day_of_the_sale() {
    let rate = |nano| Rate::new(nano).unwrap();
    let rates =
        Rates { input: rate(3_000), cached_input: rate(300), cache_write: rate(3_000), output: rate(12_000) };
    let terms = TokenTerms::of_model("qwen", &rates, START);
    let kind = |tokens| OrderKind::Tokens {
        model: "qwen".to_owned(),
        tokens,
        rate: 3_000,
        price_version: "p-1".to_owned(),
        fx_id: Some("fx-1".to_owned()),
        terms: terms.clone(),
    };
    let mut books = Books::new();
    // 10 yuan at 3 yuan a million: 3,333,333 whole tokens, and a third of one that is not sold.
    field(&books.create(1_000, kind(3_333_334)), "tokens");
    field(&books.create(1_000, kind(3_333_332)), "tokens");
    assert_eq!(books.create(1_000, kind(0)), Err(Refusal::NotPositive));
    books.buy(1_000, kind(3_333_333));
    assert_eq!(books.wallet(&terms.asset()).posted, 3_333_333_000);
    let kept = books.store.rows().terms(&terms.id).unwrap();
    assert_eq!((&kept.models, kept.weights.output), (&vec!["qwen".to_owned()], 4_000));
    // Another day's price makes another balance; the first keeps what it buys.
    let dearer = Rates { output: rate(24_000), ..rates };
    let later = TokenTerms::of_model("qwen", &dearer, Timestamp(START.0 + 1));
    assert_ne!(later.asset(), terms.asset());
    let forged = TokenTerms { weights: Weights::PLAIN, ..terms.clone() };
    let OrderKind::Tokens { price_version, fx_id, .. } = kind(1) else { panic!() };
    let kind = OrderKind::Tokens {
        model: "qwen".to_owned(),
        tokens: 3_333_333,
        rate: 3_000,
        price_version,
        fx_id,
        terms: forged,
    };
    field(&books.create(1_000, kind.clone()), "terms");
    let OrderKind::Tokens { tokens, rate, price_version, fx_id, terms, .. } = kind else { panic!() };
    let other = OrderKind::Tokens { model: "other".to_owned(), tokens, rate, price_version, fx_id, terms };
    field(&books.create(1_000, other), "terms");
}

// ---- packages ----

fn offer(version: i64) -> PackageOffer {
    PackageOffer {
        id: "starter".to_owned(),
        version,
        title: "Starter, a million tokens".to_owned(),
        price: fen(5_000),
        tokens: 1_000_000,
        models: vec![MODEL.to_owned(), "n".to_owned()],
        weights: Weights { input: 1_000, cached_input: 100, cache_write: 1_000, output: 3_000 },
    }
}

fn package(version: i64) -> OrderKind {
    OrderKind::Package { offer: offer(version) }
}

#[test]
fn a_package_is_sold_as_it_was_offered_and_what_is_left_of_it_goes_back_pro_rata() {
    let mut books = Books::new();
    books.act(Body::DefinePackage(offer(1))).unwrap();
    let order = books.buy(5_000, package(1));
    let asset = offer(1).asset();
    assert_eq!(asset, Asset::Tokens("starter@1".to_owned()));
    assert_eq!(books.wallet(&asset).posted, 1_000_000_000);
    assert_eq!(books.store.rows().terms("starter@1").unwrap().weights.output, 3_000);
    let used = payments::ledger::Adjustment {
        account: books.account,
        asset: asset.clone(),
        amount: -376_543_000,
        ticket: "used".to_owned(),
    };
    books.by_two("adj:used", Body::Adjust(used)).unwrap();
    let Ok(Reply::Refund { batch, items }) = books.act(books.refund_of(asset.clone(), None, Some(order)))
    else {
        panic!()
    };
    assert_eq!(batch.amount, fen(3_117), "floor(5000 * 623457 / 1000000)");
    assert_eq!(books.wallet(&asset).posted, 0);
    books.send(&items[0]);
    books.report(&items[0], RefundNews::Success);
    assert_eq!(books.state(order), OrderState::PartiallyRefunded);
}

#[test]
fn a_part_of_a_package_takes_its_share_of_tokens_rounded_up() {
    let mut books = Books::new();
    books.act(Body::DefinePackage(PackageOffer { price: fen(300), tokens: 1_000, ..offer(1) })).unwrap();
    let kind = OrderKind::Package { offer: PackageOffer { price: fen(300), tokens: 1_000, ..offer(1) } };
    let order = books.buy(300, kind);
    let asset = offer(1).asset();
    let Ok(Reply::Refund { items, .. }) = books.act(books.refund_of(asset.clone(), Some(100), Some(order)))
    else {
        panic!()
    };
    assert_eq!((items[0].amount, items[0].units), (fen(100), 333_334));
    let Ok(Reply::Refund { batch, .. }) = books.act(books.refund_of(asset, None, Some(order))) else {
        panic!()
    };
    assert_eq!(batch.amount, fen(199), "666.666 tokens are worth 1.99998 yuan");
}

#[test]
fn versions_of_a_package_never_change_and_only_the_last_is_sold() {
    let mut books = Books::new();
    let unknown = Refusal::UnknownPackage { id: "starter".to_owned(), version: 1 };
    assert_eq!(books.create(5_000, package(1)), Err(unknown.clone()));
    field(&books.act(Body::DefinePackage(offer(2))), "version");
    assert_eq!(books.act(Body::DefinePackage(offer(1))), Ok(Reply::Done));
    assert_eq!(books.act(Body::DefinePackage(offer(1))), Ok(Reply::Already));
    let cheaper = PackageOffer { price: fen(4_000), ..offer(1) };
    let exists = Refusal::PackageExists { id: "starter".to_owned(), version: 1 };
    books.refuses(Body::DefinePackage(cheaper.clone()), &exists);
    assert_eq!(
        books.create(4_000, OrderKind::Package { offer: cheaper }),
        Err(unknown),
        "our offer, not theirs"
    );
    field(&books.create(4_999, package(1)), "amount");
    let early = books.order(5_000, package(1));
    books.act(Body::DefinePackage(offer(2))).unwrap();
    let retired = |version| Refusal::PackageRetired { id: "starter".to_owned(), version };
    assert_eq!(books.create(5_000, package(1)), Err(retired(1)));
    books.create(5_000, package(2)).unwrap();
    let retire = Body::RetirePackage { id: "starter".to_owned(), version: 2 };
    assert_eq!(books.act(retire.clone()), Ok(Reply::Done));
    assert_eq!(books.act(retire), Ok(Reply::Already));
    assert_eq!(books.create(5_000, package(2)), Err(retired(2)));
    let news = books.news(early, 5_000);
    assert_eq!(books.step(news), OrderStep::Credited, "what was ordered is delivered");
}

#[test]
fn a_package_that_makes_no_sense_is_not_offered() {
    let mut books = Books::new();
    let wrong = [
        ("id", PackageOffer { id: "a~b".to_owned(), ..offer(1) }),
        ("title", PackageOffer { title: " ".to_owned(), ..offer(1) }),
        ("title", PackageOffer { title: "a\0b".to_owned(), ..offer(1) }),
        ("version", offer(0)),
        ("version", offer(i64::MIN)),
        ("price", PackageOffer { price: Fen::ZERO, ..offer(1) }),
        ("tokens", PackageOffer { tokens: 0, ..offer(1) }),
        ("tokens", PackageOffer { tokens: i64::MAX, ..offer(1) }),
        ("models", PackageOffer { models: vec![], ..offer(1) }),
        ("models[1]", PackageOffer { models: vec!["n".to_owned(), "n".to_owned()], ..offer(1) }),
        ("weights.output", PackageOffer { weights: Weights { output: 0, ..Weights::PLAIN }, ..offer(1) }),
    ];
    for (name, offer) in wrong {
        field(&books.act(Body::DefinePackage(offer)), name);
    }
}

// ---- goods ----

fn line(title: &str, quantity: i64, unit: i64) -> GoodsLine {
    GoodsLine {
        sku: None,
        title: title.to_owned(),
        quantity,
        unit: fen(unit),
        amount: Fen::new(quantity.saturating_mul(unit).max(0)).unwrap_or(Fen::MAX),
        refunded: Fen::ZERO,
    }
}

fn goods(lines: Vec<GoodsLine>) -> OrderKind {
    OrderKind::Goods { lines, buyer: None, group: Some("table 4".to_owned()), refunds: 0 }
}

fn dinner() -> OrderKind {
    goods(vec![line("Dumplings", 2, 1_500), line("Tea", 1, 800)])
}

impl Books {
    fn back(&self, order: OrderId, lines: &[(usize, i64)]) -> Body {
        let lines = lines.iter().map(|&(line, amount)| LineRefund { line, amount: fen(amount) }).collect();
        Body::RefundGoods(GoodsRefund {
            batch: RefundBatchId::new(START),
            item: RefundId::new(START),
            account: self.account,
            order,
            lines,
            reason: None,
        })
    }

    fn give_back(&mut self, order: OrderId, lines: &[(usize, i64)]) -> RefundItem {
        let body = self.back(order, lines);
        match self.act(body).unwrap() {
            Reply::Refund { mut items, .. } => items.remove(0),
            other => panic!("{other:?}"),
        }
    }

    fn lines_back(&self, order: OrderId) -> Vec<i64> {
        match &self.store.rows().order(order).unwrap().kind {
            OrderKind::Goods { lines, .. } => lines.iter().map(|line| line.refunded.get()).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn sales(&self) -> i64 {
        let journal = self.store.journal().iter();
        journal.fold(0, |sum, line| {
            sum + if line.credit.as_str() == "sales" { line.amount } else { 0 }
                - if line.debit.as_str() == "sales" { line.amount } else { 0 }
        })
    }
}

#[test]
fn goods_are_sold_for_a_merchant_and_fill_no_balance() {
    let mut books = Books::new();
    let order = books.buy(3_800, dinner());
    assert_eq!((books.sales(), books.available().get()), (yuan("38").get(), 0));
    assert_eq!(books.state(order), OrderState::Paid);
    let sale = books.store.journal().last().unwrap();
    assert_eq!(sale.account, Some(books.account), "whose sale it is");
}

#[test]
fn goods_go_back_line_by_line_and_never_more_than_was_paid_for_a_line() {
    let mut books = Books::new();
    let order = books.buy(3_800, dinner());
    let first = books.give_back(order, &[(0, 1_500), (1, 300)]);
    assert_eq!((first.amount, books.lines_back(order)), (fen(1_800), vec![1_500, 300]));
    assert_eq!(books.sales(), yuan("38").get(), "nothing has moved yet");
    let too_much = books.back(order, &[(0, 1), (1, 501)]);
    let left = Refusal::RefundTooMuch { requested: fen(501), refundable: fen(500) };
    books.refuses(too_much, &left);
    let twice = books.back(order, &[(1, 300), (1, 201)]);
    books.refuses(twice, &Refusal::RefundTooMuch { requested: fen(201), refundable: fen(200) });
    books.send(&first);
    books.report(&first, RefundNews::Success);
    assert_eq!((books.sales(), books.state(order)), (yuan("20").get(), OrderState::PartiallyRefunded));
    let second = books.give_back(order, &[(0, 1_500), (1, 500)]);
    books.send(&second);
    books.report(&second, RefundNews::Closed);
    assert_eq!(books.lines_back(order), [1_500, 300], "it can be asked for again");
    let third = books.give_back(order, &[(0, 1_500), (1, 500)]);
    books.send(&third);
    books.report(&third, RefundNews::Success);
    assert_eq!((books.sales(), books.state(order)), (0, OrderState::Refunded));
    let more = books.back(order, &[(1, 1)]);
    books.refuses(more, &Refusal::OrderState { order, state: OrderState::Refunded });
}

#[test]
fn a_refund_of_goods_names_lines_of_a_paid_order_of_the_merchant() {
    let mut books = Books::new();
    let (order, open, wallet) = (books.buy(3_800, dinner()), books.order(3_800, dinner()), books.pay(5));
    for (body, name) in [
        (books.back(order, &[]), "lines"),
        (books.back(order, &[(2, 1)]), "line"),
        (books.back(wallet, &[(0, 1)]), "order"),
    ] {
        field(&books.act(body), name);
    }
    let nothing = books.back(order, &[(0, 0)]);
    books.refuses(nothing, &Refusal::NotPositive);
    let unpaid = books.back(open, &[(0, 1)]);
    books.refuses(unpaid, &Refusal::OrderState { order: open, state: OrderState::Pending });
    let somebody = AccountId::new(START);
    books.open(somebody, Livemode::Demo, AccountRole::Customer).unwrap();
    let mut theirs = books.back(order, &[(0, 1)]);
    if let Body::RefundGoods(wish) = &mut theirs {
        wish.account = somebody;
    }
    books.refuses(theirs, &Refusal::UnknownOrder(order));
    books.now = Timestamp(books.now.0 + 365 * 24 * 3_600 * 1_000_000);
    let late = books.back(order, &[(0, 1)]);
    assert!(matches!(books.act(late), Err(Refusal::NothingRefundable(_))));
}

#[tokio::test]
async fn goods_stay_sold_while_their_merchant_owes_what_was_lent() {
    let world = World::new();
    let account = world.account().await;
    let sold = world.pay_for(account, 3_800, dinner()).await;
    let lent_on = world.order(account, fen(1_000), OrderKind::Wallet).await.id;
    let caps = GrantCaps::default();
    let open = Body::OpenGrant { order: lent_on, account, claim: GrantClaim::Payer, caps };
    world.submit("grant", open).await.unwrap();
    // From the disk, which loads what the command names and no more.
    let world = world.reopened().await;
    let back = Body::RefundGoods(GoodsRefund {
        batch: RefundBatchId::new(START),
        item: RefundId::new(START),
        account,
        order: sold.id,
        lines: vec![LineRefund { line: 0, amount: fen(1) }],
        reason: None,
    });
    let refused = world.submit("back", back).await;
    assert!(
        matches!(refused, Err(SubmitError::Refused(Refusal::GrantLive(order))) if order == lent_on),
        "{refused:?}"
    );
}

#[test]
fn an_order_for_goods_adds_up_line_by_line_or_is_not_made() {
    let mut books = Books::new();
    let good = || line("Tea", 2, 400);
    let wrong: Vec<(&str, i64, OrderKind)> = vec![
        ("lines", 800, goods(vec![])),
        ("lines", 101, goods(vec![line("Tea", 1, 1); 101])),
        ("amount", 801, goods(vec![good()])),
        ("lines[0].title", 800, goods(vec![GoodsLine { title: String::new(), ..good() }])),
        ("lines[1].quantity", 800, goods(vec![good(), line("Air", 0, 400)])),
        ("lines[0].quantity", 800, goods(vec![GoodsLine { quantity: -2, ..good() }])),
        ("lines[0].amount", 799, goods(vec![GoodsLine { amount: fen(799), ..good() }])),
        ("lines[0].amount", 800, goods(vec![GoodsLine { quantity: i64::MAX, ..good() }])),
        ("lines[0].refunded", 800, goods(vec![GoodsLine { refunded: fen(1), ..good() }])),
        ("refunds", 800, OrderKind::Goods { lines: vec![good()], buyer: None, group: None, refunds: 1 }),
    ];
    for (name, amount, kind) in wrong {
        field(&books.create(amount, kind), name);
    }
    let nobody = AccountId::new(START);
    let kind = OrderKind::Goods { lines: vec![good()], buyer: Some(nobody), group: None, refunds: 0 };
    assert_eq!(books.create(800, kind), Err(Refusal::UnknownAccount(nobody)));
}

// ---- on disk ----

#[tokio::test]
async fn a_split_bill_is_paid_by_people_without_an_account_and_its_refund_can_be_taken_back() {
    let world = World::new();
    let merchant = world.account().await;
    let mut orders = Vec::new();
    for share in [1_500, 2_300] {
        orders.push(world.pay_for(merchant, share, goods(vec![line("A share", 1, share)])).await);
    }
    let paid = world.topups.paid(
        world.merchant(),
        trade_of(&orders[0], &format!("T{}", orders[0].id.bare()), START),
        payments::ledger::CreditSource::Notify,
        None,
    );
    assert!(matches!(paid.await.unwrap(), payments::topup::PaidNews::Duplicate(_)));
    let wish = GoodsRefundRequest {
        account: merchant,
        actor: payments::ledger::Actor::system("test"),
        order: orders[1].id,
        lines: vec![LineRefund { line: 0, amount: fen(300) }],
        reason: Some("cold".to_owned()),
        idempotency_key: Some("k".to_owned()),
    };
    let (batch, _) = world.refunds.request_goods(wish.clone()).await.unwrap();
    assert_eq!(
        world.refunds.request_goods(wish).await.unwrap().0.id,
        batch.id,
        "the same wish, the same refund"
    );
    let cancelled = world
        .refunds
        .cancel(Some(merchant), payments::ledger::Actor::system("test"), None, batch.id)
        .await
        .unwrap();
    assert_eq!(cancelled.0.state.as_str(), "cancelled");
    let row = world.store.order(orders[1].id).await.unwrap().unwrap();
    let OrderKind::Goods { lines, .. } = &row.kind else { panic!() };
    assert_eq!(lines[0].refunded, Fen::ZERO);
    world.assert_sound().await;
}

#[tokio::test]
async fn packages_are_found_on_disk() {
    let world = World::new();
    let account = world.account().await;
    world.submit("p1", Body::DefinePackage(offer(1))).await.unwrap();
    world.submit("p2", Body::DefinePackage(offer(2))).await.unwrap();
    let on_sale = world.store.packages_on_sale().await.unwrap();
    assert_eq!(on_sale.iter().map(|row| row.offer.version).collect::<Vec<_>>(), [2]);
    assert_eq!(world.store.package_versions("starter".to_owned()).await.unwrap().len(), 2);
    world.pay_for(account, 5_000, package(2)).await;
    assert_eq!(world.wallet(account, &offer(2).asset()).await.posted, 1_000_000_000);
    let world = world.reopened().await;
    let before = world.wallet(account, &offer(2).asset()).await;
    assert_eq!(before.posted, 1_000_000_000);
    world.pay_for(account, 5_000, token_kind(1_000_000, 50_000)).await;
    world.assert_sound().await;
}
