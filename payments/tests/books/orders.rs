//! Orders against a far side that answers late, twice, wrongly or not at all.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::support::{Answer, MODEL, Op, Running, World, fen, trade_of};
use payments::{
    channel::TradeState,
    ledger::{Asset, Body, CreditSource, Order, OrderKind, OrderState, PayWay, Prepay, Refusal},
    store::SubmitError,
    topup::{Buy, CreateError, NewsError, PaidNews, PayWish, QueryReport, TopUpRequest},
};
use serde_json::json;
use units::{AccountId, Clock, Livemode, NanoCny, OrderId, Timestamp};

pub(crate) fn wish(account: AccountId, amount: i64, key: Option<&str>) -> TopUpRequest {
    TopUpRequest {
        account,
        livemode: Livemode::Demo,
        actor: "key".to_owned(),
        amount: fen(amount),
        buy: Buy::Wallet,
        pay: PayWish::default(),
        idempotency_key: key.map(str::to_owned),
    }
}

fn tokens(rate: i64, expected: Option<i64>) -> Buy {
    Buy::Tokens {
        model: MODEL.to_owned(),
        rates: crate::support::flat(rate),
        price_version: format!("p-{rate}"),
        fx_id: None,
        expected,
    }
}

async fn row(world: &World, order: &Order) -> Order {
    world.store.order(order.id).await.unwrap().unwrap()
}

// ---- making orders ----

#[tokio::test]
async fn the_same_key_gives_the_same_order_and_another_wish_under_it_is_refused() {
    let world = World::new();
    let account = world.account().await;
    let first = world.topups.create(wish(account, 500, Some("k"))).await.unwrap();
    assert_eq!((first.state, first.amount), (OrderState::Pending, fen(500)));
    assert!(world.far.knows_order(&first.out_trade_no()));
    world.clock.advance(Duration::from_secs(60));
    assert_eq!(world.topups.create(wish(account, 500, Some("k"))).await.unwrap(), first);
    assert_eq!(world.far.asked(Op::Create).len(), 1, "it is known there already");
    let other = world.topups.create(wish(account, 501, Some("k"))).await.unwrap_err();
    assert!(matches!(other, CreateError::Store(SubmitError::Refused(Refusal::KeyReused))), "{other}");
    let keyless = world.topups.create(wish(account, 500, None)).await.unwrap();
    assert_ne!(keyless.id, first.id);
    let somebody_else = world.account().await;
    assert_ne!(world.topups.create(wish(somebody_else, 500, Some("k"))).await.unwrap().id, first.id);
    assert_eq!(world.store.orders_of(account).await.unwrap().len(), 2);
}

#[tokio::test]
async fn older_orders_are_reached_page_by_page() {
    let world = World::new();
    let (account, other) = (world.account().await, world.account().await);
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(world.topups.create(wish(account, 500, None)).await.unwrap().id);
        world.topups.create(wish(other, 500, None)).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
    }
    made.reverse();
    let (mut read, mut after) = (Vec::new(), None);
    for rows in [2, 2, 1] {
        let (page, more) = world.store.orders_page(account, after, 2).await.unwrap();
        read.extend(page.iter().map(|order| order.id));
        after = read.last().copied();
        assert_eq!((page.len(), more), (rows, read.len() < 5));
    }
    assert_eq!(read, made, "newest first, each of them once, and nobody else's");
    assert_eq!(world.store.orders_page(account, after, 2).await.unwrap(), (Vec::new(), false));
}

#[tokio::test]
async fn after_an_unclear_answer_the_same_key_tries_again_with_the_same_number() {
    let world = World::new();
    let account = world.account().await;
    world.far.next(Op::Create, [Answer::Lost, Answer::DoneThenLost, Answer::Error(500, "SYSTEM_ERROR")]);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        let error = world.topups.create(wish(account, 500, Some("k"))).await.unwrap_err();
        let CreateError::Unclear { order, .. } = error else { panic!("{error}") };
        numbers.push(order);
    }
    let order = world.topups.create(wish(account, 500, Some("k"))).await.unwrap();
    assert_eq!((order.state, numbers), (OrderState::Pending, vec![order.id; 3]));
    let asked = world.far.asked(Op::Create);
    assert!(asked.iter().all(|call| call.body == asked[0].body), "identical each time");
    assert_eq!(asked.len(), 4);
}

#[tokio::test]
async fn an_order_that_turns_out_paid_when_it_is_made_known_again_is_credited() {
    let world = World::new();
    let account = world.account().await;
    world.far.next(Op::Create, [Answer::DoneThenLost]);
    let error = world.topups.create(wish(account, 500, Some("k"))).await.unwrap_err();
    let CreateError::Unclear { order, .. } = error else { panic!("{error}") };
    world.far.pay(&order.bare());
    let order = world.topups.create(wish(account, 500, Some("k"))).await.unwrap();
    assert_eq!(order.state, OrderState::Paid);
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(500)).get());
}

#[tokio::test]
async fn a_refused_order_has_failed_and_stays_so() {
    let world = World::new();
    let account = world.account().await;
    world.far.next(Op::Create, [Answer::Error(400, "PARAM_ERROR")]);
    let refused = world.topups.create(wish(account, 500, Some("k"))).await.unwrap_err();
    assert!(matches!(refused, CreateError::Refused(_)), "{refused}");
    assert_eq!(world.topups.create(wish(account, 500, Some("k"))).await.unwrap().state, OrderState::Failed);
    assert_eq!(world.far.asked(Op::Create).len(), 1);
}

#[tokio::test]
async fn an_order_whose_query_was_lost_has_not_failed() {
    let world = World::new();
    let account = world.account().await;
    // It arrives, the answer is lost; the repeat is refused, and so is the look at what became of it.
    world.far.next(Op::Create, [Answer::DoneThenLost, Answer::Error(400, "PARAM_ERROR")]);
    world.far.next(Op::Query, [Answer::Lost]);
    for _ in 0..2 {
        let error = world.topups.create(wish(account, 500, Some("k"))).await.unwrap_err();
        assert!(matches!(error, CreateError::Unclear { .. }), "{error}");
    }
    let order = world.store.orders_of(account).await.unwrap().remove(0);
    assert_eq!(order.state, OrderState::Created, "what may be known there may be paid");
    let order = world.topups.create(wish(account, 500, Some("k"))).await.unwrap();
    assert_eq!(order.state, OrderState::Pending);
}

#[tokio::test]
async fn whoever_asks_twice_at_once_is_shown_the_one_code_that_lives() {
    let world = World::new();
    let account = world.account().await;
    let ask = || world.topups.create(wish(account, 500, Some("k")));
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    let codes = [one, two, three].map(|order| order.unwrap().prepay.unwrap().code().unwrap().to_owned());
    assert_eq!(world.far.asked(Op::Create).len(), 1, "each code is the end of the one before");
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    // Two nodes may tell WeChat Pay twice: the last code lives.
    let order = world.store.orders_of(account).await.unwrap().remove(0);
    let body = Body::OrderPrepaid {
        order: order.id,
        prepay: Prepay::Code("weixin://newer".to_owned()),
        request_id: None,
    };
    world.submit("step:newer", body).await.unwrap();
    let now = world.store.order(order.id).await.unwrap().unwrap();
    assert_eq!(now.prepay, Some(Prepay::Code("weixin://newer".to_owned())));
    let told = |order: &Order| order.timeline.iter().map(|step| step.event.clone()).collect::<Vec<_>>();
    assert_eq!(told(&now), [told(&order), vec![payments::ledger::PREPAID_ANEW.to_owned()]].concat());
}

#[tokio::test]
async fn a_repeat_says_the_very_same_whatever_is_configured_by_then() {
    let world = World::new();
    let account = world.account().await;
    let pay = |client_ip: &str| PayWish {
        way: PayWay::MiniProgram,
        openid: Some("oUpF8".to_owned()),
        device_id: Some("till-7".to_owned()),
        return_url: None,
        client_ip: Some(client_ip.to_owned()),
    };
    let asked = |client_ip: &str| TopUpRequest { pay: pay(client_ip), ..wish(account, 500, Some("k")) };
    world.far.next(Op::Create, [Answer::DoneThenLost]);
    world.topups.create(asked("203.0.113.7")).await.unwrap_err();
    // Another text and address are configured, and the payer has moved.
    let order = world
        .reconfigured("Another text", "https://elsewhere.invalid/pay")
        .create(asked("203.0.113.8"))
        .await;
    let order = order.unwrap();
    assert_eq!(order.prepay, Some(Prepay::Session { prepay_id: format!("wx{}-2", order.out_trade_no()) }));
    assert_eq!(order.appid, "wx00000000000000aa", "a Mini Program's payers have an id under its own app");
    let bodies: Vec<_> = world.far.asked(Op::Create).into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
    assert_eq!(bodies[0]["scene_info"], json!({"payer_client_ip": "203.0.113.7", "device_id": "till-7"}));
    // Another device is another wish.
    let other = TopUpRequest {
        pay: PayWish { device_id: Some("till-8".to_owned()), ..pay("203.0.113.7") },
        ..wish(account, 500, Some("k"))
    };
    let refused = world.topups.create(other).await.unwrap_err();
    assert!(matches!(refused, CreateError::Store(SubmitError::Refused(Refusal::KeyReused))), "{refused}");
}

#[tokio::test]
async fn an_order_is_never_asked_after_at_a_merchant_who_has_another_number_now() {
    let world = World::new();
    let account = world.account().await;
    let mut order = world.topups.create(wish(account, 500, None)).await.unwrap();
    order.mchid = "1900000001".to_owned();
    assert_eq!(world.topups.check(&order).await, QueryReport::Failed);
    assert_eq!(world.topups.close(&order).await, QueryReport::Failed);
    assert!(world.far.asked(Op::Query).is_empty() && world.far.asked(Op::Close).is_empty());
}

#[tokio::test]
async fn a_merchant_without_keys_makes_no_orders_until_it_has_some() {
    let world = World::new();
    let account = world.account().await;
    let with_keys = || crate::support::merchant(&world.far, &world.clock, Livemode::Demo);
    let off = payments::topup::Merchant {
        v3: None,
        off: Some("payments.wechat.main.api_v3_key: the file is not there".to_owned()),
        ..with_keys()
    };
    world.merchants.replace([Arc::new(off)]);
    assert!(!world.topups.is_open(Livemode::Demo));
    let refused = world.topups.create(wish(account, 500, None)).await.unwrap_err();
    assert!(matches!(&refused, CreateError::Off(name) if name == "main"), "{refused}");
    assert!(!refused.to_string().contains("api_v3_key"), "a customer need not know: {refused}");
    assert!(world.far.asked(Op::Create).is_empty());

    world.merchants.replace([Arc::new(with_keys())]);
    assert!(world.topups.is_open(Livemode::Demo));
    let order = world.topups.create(wish(account, 500, None)).await.unwrap();
    assert_eq!(order.state, OrderState::Pending);
}

#[tokio::test]
async fn what_the_operator_does_not_allow_is_not_written_down() {
    let world = World::new();
    let account = world.account().await;
    for amount in [0, 1_000_001] {
        let error = world.topups.create(wish(account, amount, None)).await.unwrap_err();
        assert!(matches!(error, CreateError::Amount { .. }), "{error}");
    }
    let live = TopUpRequest { livemode: Livemode::Live, ..wish(account, 5, None) };
    assert!(matches!(world.topups.create(live).await, Err(CreateError::NoChannel(Livemode::Live))));
    let no_tokens = TopUpRequest { buy: tokens(10_000_001, None), ..wish(account, 1, None) };
    assert!(matches!(world.topups.create(no_tokens).await, Err(CreateError::NoTokens(_))));
    let free = TopUpRequest { buy: tokens(0, None), ..wish(account, 1, None) };
    assert!(matches!(world.topups.create(free).await, Err(CreateError::NoTokens(_))));
    let moved = TopUpRequest { buy: tokens(50_000, Some(1_006_000)), ..wish(account, 5_000, None) };
    assert!(matches!(world.topups.create(moved).await, Err(CreateError::PriceMoved { ours: 1_000_000, .. })));
    assert!(world.store.orders_of(account).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_order_for_tokens_freezes_its_price_also_for_a_repeat_after_the_price_moved() {
    let world = World::new();
    let account = world.account().await;
    let at = |rate, key: &str| TopUpRequest {
        buy: tokens(rate, Some(1_000_000)),
        ..wish(account, 5_000, Some(key))
    };
    let first = world.topups.create(at(50_000, "k")).await.unwrap();
    assert!(
        matches!(&first.kind, OrderKind::Tokens { tokens: 1_000_000, rate: 50_000, .. }),
        "{:?}",
        first.kind
    );
    assert_eq!(world.topups.create(at(99_000, "k")).await.unwrap(), first);
    assert!(matches!(world.topups.create(at(99_000, "new")).await, Err(CreateError::PriceMoved { .. })));
}

// ---- news ----

#[tokio::test]
async fn news_of_nothing_of_ours_or_of_nothing_paid_credits_nothing() {
    let world = World::new();
    let account = world.account().await;
    let order = world.order(account, fen(500), OrderKind::Wallet).await;
    let trade = || trade_of(&order, "T1", world.clock.now());
    let told = async |trade| world.topups.paid(world.merchant(), trade, CreditSource::Notify, None).await;
    for number in ["", "nonsense", &units::OrderId::new(crate::support::START).bare()] {
        let unknown = told(payments::channel::Trade { out_trade_no: number.to_owned(), ..trade() }).await;
        assert!(matches!(unknown, Err(NewsError::UnknownOrder(_))), "{unknown:?}");
    }
    for state in
        [TradeState::NotPay, TradeState::Closed, TradeState::PayError, TradeState::Unknown("X".to_owned())]
    {
        let unpaid = told(payments::channel::Trade { state, ..trade() }).await;
        assert!(matches!(unpaid, Err(NewsError::NotPaid { .. })), "{unpaid:?}");
    }
    let numberless = told(payments::channel::Trade { transaction_id: None, ..trade() }).await;
    assert!(matches!(numberless, Err(NewsError::NoTransaction(_))), "{numberless:?}");
    let stranger = payments::topup::Merchant {
        name: "other".to_owned(),
        ..crate::support::merchant(&world.far, &world.clock, Livemode::Demo)
    };
    let crossed = world.topups.paid(&stranger, trade(), CreditSource::Notify, None).await;
    assert!(matches!(crossed, Err(NewsError::UnknownOrder(_))), "one merchant's news moves no other's order");
    let amountless = told(payments::channel::Trade { total: None, ..trade() }).await;
    assert!(matches!(amountless, Ok(PaidNews::Quarantined(_))), "{amountless:?}");
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_account_has_so_many_unpaid_orders_and_no_more_until_one_is_paid_closed_or_unwanted() {
    let world = World::new();
    let topups = world.allowing(2);
    let account = world.account().await;
    let make = async |key| topups.create(wish(account, 100, Some(key))).await;
    let first = make("1").await.unwrap();
    make("2").await.unwrap();
    let full = Refusal::TooManyOpenOrders { max: 2 };
    let refused =
        |outcome| matches!(outcome, Err(CreateError::Store(SubmitError::Refused(why))) if why == full);
    assert!(refused(make("3").await));
    assert_eq!(make("1").await.unwrap().id, first.id, "a repeat is none");
    let other = world.account().await;
    assert!(topups.create(wish(other, 100, None)).await.is_ok(), "another account has its own");
    world.far.knows_paid(&first, "T1");
    world.paid(trade_of(&first, "T1", world.clock.now()), None).await;
    let third = make("3").await.unwrap();
    assert!(refused(make("4").await));
    assert!(matches!(topups.cancel(&third).await, QueryReport::Closed(_)));
    make("4").await.unwrap();
    assert!(refused(make("5").await));
    world.clock.advance(Duration::from_secs(900));
    make("5").await.unwrap();
}

#[tokio::test]
async fn who_pays_again_is_shown_the_same_code_and_a_new_one_only_where_it_has_grown_old() {
    let world = World::new();
    let account = world.account().await;
    let in_browser = || {
        let client_ip = Some("203.0.113.7".to_owned());
        let pay = PayWish { way: PayWay::H5, client_ip, ..PayWish::default() };
        TopUpRequest { pay, ..wish(account, 500, Some("k")) }
    };
    let order = world.topups.create(in_browser()).await.unwrap();
    world.clock.advance(Duration::from_secs(120));
    let again = world.topups.create(in_browser()).await.unwrap();
    assert_eq!((again.id, &again.prepay), (order.id, &order.prepay));
    assert_eq!(world.far.asked(Op::Create).len(), 1, "nobody was asked");
    // A page is good for five minutes; what is shown is good for two.
    world.clock.advance(Duration::from_secs(61));
    let both = tokio::join!(world.topups.create(in_browser()), world.topups.pay_again(order.clone()));
    let (again, beside) = (both.0.unwrap(), both.1.unwrap());
    assert_eq!((again.id, beside.id), (order.id, order.id));
    assert_ne!(again.prepay, order.prepay);
    assert_eq!(again.prepay, beside.prepay);
    assert_eq!(world.far.asked(Op::Create).len(), 2, "once for both of them");
    assert!(again.timeline.iter().any(|step| step.event == payments::ledger::PREPAID_ANEW));
    // Where the payment was quicker, it is credited.
    world.clock.advance(Duration::from_secs(200));
    world.far.pay(&order.out_trade_no());
    let paid = world.topups.pay_again(again).await.unwrap();
    assert_eq!(paid.state, OrderState::Paid);
    assert_eq!(world.topups.pay_again(paid.clone()).await.unwrap(), paid);
    world.assert_sound().await;
}

// ---- watching ----

#[tokio::test]
async fn four_hundred_who_wait_are_credited_within_half_a_minute_though_no_notice_comes() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let world = World::new();
    let account = world.account().await;
    let mut orders = Vec::new();
    for _ in 0..400 {
        orders.push(world.topups.create(wish(account, 1, None)).await.unwrap());
    }
    let begun = world.clock.now();
    let mut payments: Vec<(Timestamp, usize)> =
        (0..400).map(|n| (begun.after(Duration::from_millis(chance.u64(1_000..20_000))), n)).collect();
    payments.sort_unstable();
    let paid: HashMap<OrderId, Timestamp> = payments.iter().map(|(at, n)| (orders[*n].id, *at)).collect();
    let mut payments = payments.into_iter().peekable();
    let watch = Running::watch(&world);
    let mut seen = Timestamp(0);
    world
        .clock
        .run_until(async || {
            let now = world.clock.now();
            if now.since(seen) >= Duration::from_secs(3) {
                orders.iter().for_each(|order| world.topups.seen(order));
                seen = now;
            }
            while let Some((_, n)) = payments.next_if(|(at, _)| *at <= now) {
                world.far.pay(&orders[n].out_trade_no());
            }
            world.reports.credited_count() == 400
        })
        .await;
    watch.end(&world).await;
    let credited = world.reports.credited();
    let took = |order: &Order| {
        let at = order.timeline.iter().find(|step| step.event == "credited").unwrap().at;
        at.since(paid[&order.id])
    };
    assert_eq!(credited.len(), 400);
    let longest = credited.iter().map(took).max().unwrap();
    assert!(longest <= Duration::from_secs(30), "{longest:?}");
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(400)).get());
    world.assert_sound().await;
}

#[tokio::test]
async fn what_a_notice_credited_is_asked_for_no_more() {
    let world = World::new();
    let account = world.account().await;
    let order = world.topups.create(wish(account, 500, None)).await.unwrap();
    let watch = Running::watch(&world);
    world.clock.run_until(async || world.far.asked(Op::Query).len() == 1).await;
    world.far.knows_paid(&order, "T1");
    world.paid(trade_of(&order, "T1", world.clock.now()), None).await;
    let over = || world.reports.0.lock().unwrap().contains(&QueryReport::Over);
    world.clock.run_until(async || over()).await;
    assert_eq!(world.far.asked(Op::Query).len(), 1);
    watch.end(&world).await;
}

#[tokio::test]
async fn a_lost_notification_is_found_by_asking_soon_at_first_then_every_twenty_seconds() {
    let world = World::new();
    let account = world.account().await;
    let order = world.topups.create(wish(account, 500, None)).await.unwrap();
    let watch = Running::watch(&world);
    world.clock.run_until(async || world.far.asked(Op::Query).len() >= 5).await;
    let began = order.created_at;
    let after: Vec<u64> =
        world.far.asked(Op::Query).iter().map(|asked| asked.at.since(began).as_secs()).collect();
    assert_eq!(after[..5], [5, 15, 35, 55, 75]);
    world.far.pay(&order.out_trade_no());
    world.clock.run_until(async || row(&world, &order).await.state == OrderState::Paid).await;
    let credited = row(&world, &order).await;
    assert!(credited.timeline.iter().any(|step| step.event == "credited" && step.source == "query"));
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(500)).get());
    watch.end(&world).await;
    assert!(world.reports.0.lock().unwrap().iter().any(|report| matches!(report, QueryReport::Credited(_))));
}

#[tokio::test]
async fn an_order_nobody_pays_is_closed_when_its_time_is_over_and_asked_for_no_more() {
    let world = World::new();
    let account = world.account().await;
    let order = world.topups.create(wish(account, 500, None)).await.unwrap();
    let watch = Running::watch(&world);
    world.clock.run_until(async || row(&world, &order).await.state == OrderState::Closed).await;
    let closed = world.far.asked(Op::Close);
    assert_eq!((closed.len(), closed[0].at), (1, order.expires_at), "on time");
    assert!(world.store.unpaid_orders().await.unwrap().is_empty());
    watch.end(&world).await;
    // Its payment arrives all the same.
    world.far.knows_paid(&order, "T1");
    let news = world.paid(trade_of(&order, "T1", world.clock.now()), None).await;
    assert!(matches!(news, PaidNews::Credited(_)), "{news:?}");
    world.assert_sound().await;
}

#[tokio::test]
async fn a_payment_that_wins_the_race_against_the_close_is_credited() {
    let world = World::new();
    let account = world.account().await;
    let order = world.topups.create(wish(account, 500, None)).await.unwrap();
    world.far.pay_when_closed();
    let watch = Running::watch(&world);
    world.clock.run_until(async || row(&world, &order).await.state == OrderState::Paid).await;
    watch.end(&world).await;
    assert_eq!(world.wallet(account, &Asset::Cny).await.posted, NanoCny::from(fen(500)).get());
}

#[tokio::test]
async fn a_far_side_in_trouble_neither_closes_nor_credits_and_is_asked_again() {
    let world = World::new();
    let account = world.account().await;
    world.far.next(Op::Create, [Answer::Lost]);
    assert!(world.topups.create(wish(account, 500, Some("k"))).await.is_err());
    let order = world.store.orders_of(account).await.unwrap().remove(0);
    // It never arrived there: not found, then errors over the end, and only a clear word closes it.
    world.far.next(Op::Query, std::iter::repeat_n(Answer::Error(500, "SYSTEM_ERROR"), 60));
    let watch = Running::watch(&world);
    world.clock.run_until(async || world.far.asked(Op::Query).len() >= 55).await;
    assert!(world.clock.now() > order.expires_at);
    assert_eq!(row(&world, &order).await.state, OrderState::Created);
    world.clock.run_until(async || row(&world, &order).await.state == OrderState::Closed).await;
    assert!(world.far.asked(Op::Close).is_empty(), "there is nothing to close");
    watch.end(&world).await;
}

#[tokio::test]
async fn what_an_earlier_run_left_unpaid_is_watched_by_the_next() {
    let world = World::new();
    let account = world.account().await;
    let order = world.topups.create(wish(account, 500, None)).await.unwrap();
    let world = world.reopened().await;
    world.far.pay(&order.out_trade_no());
    world.clock.advance(Duration::from_secs(3_600));
    let watch = Running::watch(&world);
    world.far.was_asked(Op::Query, 1).await;
    world.clock.run_until(async || row(&world, &order).await.state == OrderState::Paid).await;
    watch.end(&world).await;
}
