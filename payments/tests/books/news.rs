//! News of payments in any order, twice, or never: each payment is credited once, and nothing else is.

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use payments::{
    ledger::{Asset, CreditSource, Order, OrderState},
    topup::{NewsError, QueryReport},
};
use units::Clock;

use crate::orders::wish;
use crate::support::{Answer, Op, World, fen, trade_of};

/// What can happen about an order.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// Its payer pays.
    Pay,
    /// WeChat Pay says so, in the notice of this number.
    Notice(u8),
    /// It is asked for.
    Query,
    /// Its payer says to have paid.
    Claim,
    /// Its customer does not want it any more.
    Cancel,
    /// Its time is over.
    Close,
}

/// What comes of the answer to a question.
fn fate(chance: &mut fastrand::Rng) -> Answer {
    match chance.u8(..10) {
        0 => Answer::Lost,
        1 => Answer::DoneThenLost,
        2 => Answer::Error(500, "SYSTEM_ERROR"),
        3 => Answer::Error(429, "FREQUENCY_LIMITED"),
        _ => Answer::Usual,
    }
}

/// The life of one order: paid or not, with news and questions around it in any order.
fn life(chance: &mut fastrand::Rng) -> Vec<Event> {
    let mut events: Vec<Event> = (0..chance.usize(2..10))
        .map(|_| match chance.u8(..10) {
            0..4 => Event::Notice(chance.u8(..3)),
            4..7 => Event::Query,
            7 => Event::Claim,
            8 => Event::Cancel,
            _ => Event::Close,
        })
        .collect();
    if chance.u8(..5) > 0 {
        events.insert(chance.usize(..events.len()), Event::Pay);
    }
    events
}

async fn happens(world: &World, order: &Order, event: Event) {
    let number = order.out_trade_no();
    let row = async || world.store.order(order.id).await.unwrap().unwrap();
    match event {
        Event::Pay => world.far.pay_if_it_can_be(&number),
        Event::Notice(_) if !world.far.was_paid(&number) => {}
        Event::Notice(n) => {
            let trade = trade_of(order, &format!("T{number}"), world.clock.now());
            let event = Some(format!("EV-{number}-{n}"));
            let news = world.topups.paid(world.merchant(), trade, CreditSource::Notify, event).await;
            assert!(!matches!(news, Err(NewsError::UnknownOrder(_))), "{news:?}");
        }
        Event::Query => drop(world.topups.check(&row().await).await),
        Event::Claim => drop(world.topups.claimed(&row().await).await),
        Event::Cancel => drop(world.topups.cancel(&row().await).await),
        Event::Close => drop(world.topups.close(&row().await).await),
    }
}

#[tokio::test]
async fn whatever_is_lost_doubled_or_out_of_order_each_payment_is_credited_once_and_nothing_else_is() {
    #[expect(clippy::disallowed_methods, reason = "tests have no settings")]
    let said = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = said.unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let world = World::new();
    let account = world.account().await;
    let mut orders = BTreeMap::new();
    let mut schedule = Vec::new();
    for n in 0..300 {
        let order = world.topups.create(wish(account, 1 + n, None)).await.unwrap();
        let events = life(&mut chance);
        // Each order's own events follow each other; those of others come between.
        let mut at: Vec<u32> = events.iter().map(|_| chance.u32(..)).collect();
        at.sort_unstable();
        schedule.extend(at.into_iter().zip(events).map(|(at, event)| (at, order.id, event)));
        orders.insert(order.id, order);
    }
    schedule.sort_by_key(|(at, ..)| *at);
    for batch in schedule.chunks(7) {
        for op in [Op::Query, Op::Close] {
            world.far.next(op, batch.iter().map(|_| fate(&mut chance)));
        }
        join_all(batch.iter().map(|(_, id, event)| happens(&world, &orders[id], *event))).await;
        world.far.forget_answers();
        world.clock.advance(Duration::from_millis(chance.u64(..300)));
    }
    // Everybody answers again, and whoever is still awaited is asked for, as the watch does in the end.
    for id in orders.keys() {
        let order = world.store.order(*id).await.unwrap().unwrap();
        if matches!(order.state, OrderState::Created | OrderState::Pending) {
            let report = world.topups.check(&order).await;
            assert!(
                !matches!(report, QueryReport::Failed | QueryReport::Quarantined(_)),
                "{order:?}: {report:?}"
            );
        }
    }
    let mut paid = 0;
    for (id, made) in &orders {
        let order = world.store.order(*id).await.unwrap().unwrap();
        let credited = order.timeline.iter().filter(|step| step.event == "credited").count();
        let was_paid = world.far.was_paid(&made.out_trade_no());
        // What WeChat Pay has closed cannot be paid, and nothing is closed here that it has not closed.
        let expected = if was_paid { (1, true) } else { (0, false) };
        assert_eq!((credited, order.state == OrderState::Paid), expected, "{order:#?}");
        paid += if was_paid { made.amount.get() } else { 0 };
    }
    let balance = world.wallet(account, &Asset::Cny).await.posted;
    assert_eq!(balance, units::NanoCny::from(fen(paid)).get());
    world.assert_sound().await;
}
