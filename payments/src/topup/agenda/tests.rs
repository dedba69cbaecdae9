use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;
use crate::ledger::{OrderKind, OrderState, PayBy};

const BEGIN: Timestamp = Timestamp::from_secs(1_000_000);
const MCHID: &str = "1900000109";

fn ms(ms: i64) -> Timestamp {
    Timestamp(BEGIN.0 + ms * 1_000)
}

fn order(created_at: Timestamp) -> Order {
    Order {
        id: OrderId::new(created_at),
        account: units::AccountId::new(created_at),
        kind: OrderKind::Wallet,
        amount: units::Fen::ZERO,
        bonus: units::NanoCny::ZERO,
        merchant: "main".to_owned(),
        mchid: MCHID.to_owned(),
        appid: "wx".to_owned(),
        livemode: units::Livemode::Demo,
        pay_by: PayBy::default(),
        prepay: None,
        state: OrderState::Pending,
        transaction_id: None,
        payer: None,
        lot: None,
        refunded: units::Fen::ZERO,
        created_at,
        expires_at: created_at.after(Duration::from_secs(900)),
        paid_at: None,
        timeline: Vec::new(),
    }
}

/// What happens in the world of a simulated watch, by the millisecond.
struct Town {
    agenda: Agenda,
    chance: fastrand::Rng,
    now: i64,
    answers: BinaryHeap<Reverse<(i64, OrderId, i64)>>,
    paid: HashMap<OrderId, i64>,
    credited: HashMap<OrderId, i64>,
    asked: Vec<(i64, OrderId)>,
    behind: Duration,
}

impl Town {
    fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self {
            agenda: Agenda::default(),
            chance: fastrand::Rng::with_seed(seed),
            now: 0,
            answers: BinaryHeap::new(),
            paid: HashMap::new(),
            credited: HashMap::new(),
            asked: Vec::new(),
            behind: Duration::ZERO,
        }
    }

    fn orders(&mut self, count: usize, within_ms: i64) -> Vec<Order> {
        let orders: Vec<Order> = (0..count).map(|_| order(ms(self.chance.i64(-within_ms..=0)))).collect();
        orders.iter().for_each(|order| self.agenda.learn(order, ms(self.now)));
        orders
    }

    /// Goes on until `end`; an answer takes 20 to 800 ms, and one in a hundred hangs for 15 s and says nothing.
    fn run(&mut self, end: i64, live: &[Order]) {
        while self.now < end {
            if self.now % 3_000 == 0 {
                for order in live.iter().filter(|order| !self.credited.contains_key(&order.id)) {
                    self.agenda.seen(order, ms(self.now));
                }
            }
            while let Some(Reverse((at, id, asked))) = self.answers.peek().copied()
                && at <= self.now
            {
                self.answers.pop();
                let hung = at - asked >= 15_000;
                let found = !hung && self.paid.get(&id).is_some_and(|paid| *paid <= asked);
                if found {
                    self.credited.insert(id, at);
                }
                self.agenda.answered(id, found, ms(self.now));
            }
            let turns = self.agenda.turns(ms(self.now));
            self.behind = self.behind.max(turns.behind);
            for id in turns.orders {
                let takes = if self.chance.u8(..100) == 0 { 15_000 } else { self.chance.i64(20..800) };
                self.asked.push((self.now, id));
                self.answers.push(Reverse((self.now + takes, id, self.now)));
            }
            // To the next thing that can happen, as the watch sleeps.
            let next = turns.next.map_or(i64::MAX, |at| (at.0 - BEGIN.0).div_euclid(1_000) + 1);
            let answer = self.answers.peek().map_or(i64::MAX, |Reverse((at, ..))| *at);
            let page = (self.now / 3_000 + 1) * 3_000;
            self.now = next.min(answer).min(page).max(self.now + 1);
        }
    }

    /// From payment to credit in milliseconds, by what share of the payments took longer.
    fn took(&self, per_cent: usize) -> i64 {
        let mut took: Vec<i64> = self
            .paid
            .iter()
            .map(|(id, at)| self.credited.get(id).map_or(i64::MAX, |then| then - at))
            .collect();
        took.sort_unstable();
        took[(took.len() * (100 - per_cent)).div_ceil(100) - 1]
    }

    fn busiest_minute(&self) -> usize {
        let from = |n: usize| self.asked[n..].partition_point(|(at, _)| *at < self.asked[n].0 + 60_000);
        (0..self.asked.len()).map(from).max().unwrap_or(0)
    }
}

#[test]
fn four_hundred_who_look_at_their_pages_are_credited_within_half_a_minute_though_every_notice_is_lost() {
    for _ in 0..8 {
        let mut town = Town::new(fastrand::u64(..));
        // Beside them a thousand that nobody looks at, all of them found at a start.
        let others = town.orders(1_000, 800_000);
        let live = town.orders(400, 60_000);
        for order in &live {
            let at = town.chance.i64(1_000..180_000);
            town.paid.insert(order.id, at);
        }
        town.run(260_000, &live);
        assert!(town.took(1) <= 30_000, "{} ms", town.took(1));
        assert!(town.busiest_minute() <= 6_000, "{}", town.busiest_minute());
        // And nobody is forgotten over them.
        for order in others {
            assert!(town.asked.iter().any(|(at, id)| *id == order.id && *at > 200_000), "{}", order.id);
        }
    }
}

#[test]
fn where_too_many_wait_the_usual_ones_are_asked_for_less_often_all_alike_and_it_is_said() {
    let mut town = Town::new(fastrand::u64(..));
    let others = town.orders(3_000, 600_000);
    let live = town.orders(400, 60_000);
    town.run(240_000, &live);
    assert!(town.busiest_minute() <= 6_000, "{}", town.busiest_minute());
    assert!(town.behind > Duration::from_secs(100), "{:?}", town.behind);
    let since = |ids: &[Order]| {
        let mut times: HashMap<OrderId, usize> = ids.iter().map(|order| (order.id, 0)).collect();
        for (_, id) in town.asked.iter().filter(|(at, _)| *at >= 120_000) {
            times.entry(*id).and_modify(|times| *times += 1);
        }
        (times.values().min().copied().unwrap(), times.values().max().copied().unwrap())
    };
    let (least, _) = since(&live);
    assert!(least >= 15, "in two minutes each page is asked for every five seconds or so: {least}");
    // 1,200 a minute are left of the quota for 3,000 orders: each has its turn every two and a half minutes.
    let (_, most) = since(&others);
    assert!(most <= 2, "{most}");
}

#[test]
fn one_order_is_asked_for_after_5_15_and_35_seconds_and_on_time_at_its_end() {
    let town = Town::new(1);
    let order = order(BEGIN);
    town.agenda.learn(&order, BEGIN);
    let mut asked = Vec::new();
    let mut now = BEGIN;
    while now <= order.expires_at {
        for id in town.agenda.turns(now).orders {
            asked.push(now.since(BEGIN).as_secs());
            town.agenda.answered(id, false, now);
        }
        now = town.agenda.turns(now).next.unwrap();
    }
    assert_eq!(asked[..5], [5, 15, 35, 55, 75]);
    assert_eq!(asked.last(), Some(&900));
}

#[test]
fn a_hanging_answer_holds_up_its_own_order_only_and_does_not_keep_the_watch_awake() {
    let mut town = Town::new(1);
    let orders = town.orders(70, 0);
    let first = town.agenda.turns(ms(5_000));
    assert_eq!(first.orders.len(), AT_ONCE_MAX);
    assert_eq!(town.agenda.turns(ms(5_000)).orders, [], "there is no room");
    town.agenda.answered(first.orders[0], false, ms(5_000));
    assert_eq!(town.agenda.turns(ms(5_000)).orders.len(), 1);
    // Long after, all of them are due, and nothing is to be done before there is an answer.
    let late = town.agenda.turns(ms(60_000));
    assert_eq!((late.orders.len(), late.next), (0, None), "{}", orders.len());
}

#[test]
fn i_have_paid_is_looked_into_at_once_and_not_as_often_as_it_is_said() {
    let town = Town::new(1);
    let order = order(BEGIN);
    town.agenda.learn(&order, BEGIN);
    assert!(town.agenda.may_ask(&order, ms(1_000)));
    assert!(!town.agenda.may_ask(&order, ms(3_000)), "it is being asked for");
    town.agenda.answered(order.id, false, ms(3_000));
    assert!(!town.agenda.may_ask(&order, ms(1_999)));
    assert!(town.agenda.may_ask(&order, ms(2_000)));
}

#[test]
fn of_several_nodes_each_asks_for_its_own_and_a_page_is_asked_for_where_it_is_looked_at() {
    let orders: Vec<Order> = (0..300).map(|n| order(ms(-n))).collect();
    let turns = |own: i64, runs: &[i64], looked_at: Option<&Order>| {
        let agenda = Agenda::default();
        if let Some(order) = looked_at {
            agenda.seen(order, ms(99_000));
        }
        agenda.learn_all(&orders, &HashSet::new(), (runs, own), ms(100_000));
        let mut all = Vec::new();
        loop {
            let turns = agenda.turns(ms(100_000));
            if turns.orders.is_empty() {
                break;
            }
            turns.orders.iter().for_each(|order| agenda.answered(*order, false, ms(100_000)));
            all.extend(turns.orders);
        }
        all
    };
    let shares: Vec<Vec<OrderId>> = [3, 7, 9].map(|own| turns(own, &[3, 7, 9], None)).into();
    let mut together: Vec<OrderId> = shares.concat();
    together.sort_unstable();
    let mut expected: Vec<OrderId> = orders.iter().map(|order| order.id).collect();
    expected.sort_unstable();
    assert_eq!(together, expected, "each once");
    assert!(
        shares.iter().all(|share| share.len() > 50),
        "{:?}",
        shares.iter().map(Vec::len).collect::<Vec<_>>()
    );
    // One node goes: only its own change hands.
    let left = turns(3, &[3, 9], None);
    assert!(shares[0].iter().all(|id| left.contains(id)));
    let elsewhere = orders.iter().find(|order| shares[1].contains(&order.id)).unwrap();
    assert!(turns(3, &[3, 7, 9], Some(elsewhere)).contains(&elsewhere.id));
}

#[test]
fn what_was_lent_on_is_asked_for_every_five_seconds() {
    let agenda = Agenda::default();
    let order = order(BEGIN);
    agenda.learn_all(std::slice::from_ref(&order), &HashSet::from([order.id]), (&[1], 1), BEGIN);
    let mut now = ms(200_000);
    let mut times = 0;
    while now <= ms(300_000) {
        for id in agenda.turns(now).orders {
            times += 1;
            agenda.answered(id, false, now);
        }
        now = agenda.turns(now).next.unwrap();
    }
    assert_eq!(times, 21);
}
