//! Random calls on one account, with budgets, grants, orphans and corrections between them: the books hold after every
//! command, and every command said twice is one.

use std::{collections::BTreeSet, time::Duration};

use payments::{
    grant::GrantCaps,
    ledger::{
        Actor, Asset, Body, BudgetPeriod, Command, Correction, GrantClaim, LotUse, NewHold, Role, RowOp,
        Rows, SettleEnd, SettledBy, Stranded, TokenLeg, TokenTerms, Weights, burn_order,
    },
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use units::{KeyId, NanoCny, OrderId, RequestId, Tokens, Usage};

use crate::support::{Desk, MODEL, START, api_key, command, package, quote};

const HOLDS: usize = 40;
const ORDERS: usize = 4;
const KEYS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    Promo(i64),
    Order,
    Pay(usize),
    Close(usize),
    Open(usize),
    Sweep(usize, i64),
    Budget(Option<usize>, usize, Option<i64>),
    Hold { hold: usize, key: usize, money: i64, legs: [i64; 2], rates: [i64; 2] },
    Dispatch(usize),
    Extend(usize, i64),
    Charge { hold: usize, by: usize, usage: [u64; 4], extra: i64 },
    Free { hold: usize, by: usize, sent: bool },
    Orphan(usize, bool),
    Correct(usize, Option<i64>),
    Wait(u64),
}

fn nano() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0..900_000_000_i64, 1 => Just(i64::MAX), 1 => Just(-1)]
}

fn step() -> impl Strategy<Value = Step> {
    let tokens = || prop_oneof![2 => Just(0), 3 => 1..60_000_i64];
    let count = || prop_oneof![8 => 0..60_u64, 1 => Just(u64::MAX)];
    prop_oneof![
        1 => (1..100_000_000_i64).prop_map(Step::Promo),
        2 => Just(Step::Order),
        2 => (0..ORDERS).prop_map(Step::Pay),
        5 => (0..ORDERS).prop_map(Step::Close),
        4 => (0..ORDERS).prop_map(Step::Open),
        6 => (0..ORDERS, prop_oneof![3 => Just(i64::MAX), 1 => nano()]).prop_map(|(o, granted)| Step::Sweep(o, granted)),
        3 => (prop::option::of(0..KEYS), 0..3_usize, prop::option::weighted(0.5, prop_oneof![4 => 0..8_000_000_000_i64, 1 => nano()]))
            .prop_map(|(key, period, limit)| Step::Budget(key, period, limit)),
        12 => (0..HOLDS, 0..KEYS, nano(), [tokens(), tokens()], [0..40_000_000_i64, 0..40_000_000_i64])
            .prop_map(|(hold, key, money, legs, rates)| Step::Hold { hold, key, money, legs, rates }),
        1 => (0..HOLDS).prop_map(Step::Dispatch),
        4 => (0..HOLDS, nano()).prop_map(|(hold, to)| Step::Extend(hold, to)),
        12 => (0..HOLDS, 0..8_usize, [count(), count(), count(), count()], nano())
            .prop_map(|(hold, by, usage, extra)| Step::Charge { hold, by, usage, extra }),
        3 => (0..HOLDS, 0..8_usize, any::<bool>()).prop_map(|(hold, by, sent)| Step::Free { hold, by, sent }),
        2 => (0..HOLDS, any::<bool>()).prop_map(|(hold, epoch)| Step::Orphan(hold, epoch)),
        3 => (0..HOLDS, prop::option::of(nano())).prop_map(|(hold, part)| Step::Correct(hold, part)),
        2 => prop_oneof![Just(200), Just(20_000), Just(40 * 24 * 3_600)].prop_map(Step::Wait),
    ]
}

/// Whom the numbers mean.
struct Cast {
    desk: Desk,
    terms: [TokenTerms; 2],
    keys: [KeyId; KEYS],
    holds: [RequestId; HOLDS],
    orders: Vec<OrderId>,
    said: u32,
}

impl Cast {
    fn new() -> Self {
        let mut desk = Desk::new();
        desk.promo("0.1");
        desk.pay(20);
        let weights = Weights { cached_input: 0, cache_write: 1_250, output: 3_000, ..Weights::PLAIN };
        let terms = [package("bundle", &[MODEL, "other"], weights), package("m~x", &[MODEL], Weights::PLAIN)];
        for (terms, paid) in terms.iter().zip([77, 500]) {
            desk.tokens(terms, 400, paid);
        }
        let keys = [(); KEYS].map(|()| KeyId::new(START));
        for (n, key) in keys.iter().enumerate() {
            desk.rows.put(&RowOp::Key(api_key(*key, desk.account, &format!("d{n}"))));
        }
        let holds = std::array::from_fn(|_| RequestId::new(START));
        Self { desk, terms, keys, holds, orders: Vec::new(), said: 0 }
    }

    /// Says a command, and says it again: the second time nothing changes and the answer is as good as the first.
    fn say(&mut self, command: Command) -> bool {
        let before = self.desk.rows.clone();
        let first = self.desk.submit(&command);
        self.burns_in_order(&before, &command);
        let after = self.desk.rows.clone();
        let again = self.desk.submit(&command);
        assert!(self.desk.rows == after, "said twice: {command:?}");
        assert_eq!(first.is_ok(), again.is_ok(), "{command:?}: {first:?}, then {again:?}");
        first.is_ok()
    }

    /// What a settlement takes is a prefix of the burn order as it stood.
    fn burns_in_order(&self, before: &Rows, command: &Command) {
        let Body::Settle { account, .. } = &command.body else { return };
        let tokens = self.terms.iter().map(TokenTerms::asset);
        for asset in tokens.chain([Asset::Cny]) {
            let mut done = false;
            for old in burn_order(before.lots_of(*account, &asset)) {
                let new = self.desk.lot(&old.id);
                let used = new.consumed - old.consumed;
                assert!(!done || used == 0, "out of turn: {old:?}");
                done |= old.rem > used;
            }
        }
    }

    fn command(&mut self, body: Body) -> Command {
        self.said += 1;
        command(format!("c{}", self.said), self.desk.now, body)
    }

    fn by(&self, number: usize) -> SettledBy {
        match number {
            0..4 => SettledBy::Owner { epoch: 1 },
            4..7 => SettledBy::Recovery,
            _ => SettledBy::Owner { epoch: 2 },
        }
    }

    /// Mostly a call that runs; now and then one that ended, or that never was.
    fn running(&self, n: usize) -> RequestId {
        let open: Vec<RequestId> = self
            .holds
            .iter()
            .copied()
            .filter(|id| self.desk.rows.hold(*id).is_some_and(|hold| hold.state.is_held()))
            .collect();
        if open.is_empty() || n.is_multiple_of(5) { self.holds[n] } else { open[n % open.len()] }
    }

    /// Mostly a call that is new.
    fn fresh(&self, n: usize) -> RequestId {
        let unused = self.holds.iter().find(|id| self.desk.rows.hold(**id).is_none());
        unused.copied().filter(|_| !n.is_multiple_of(5)).unwrap_or(self.holds[n])
    }

    fn take(&mut self, step: &Step) -> bool {
        let account = self.desk.account;
        let order = |cast: &Self, n: usize| cast.orders.iter().rev().nth(n).copied();
        let body = match *step {
            Step::Wait(secs) => {
                self.desk.now = self.desk.now.after(Duration::from_secs(secs));
                return true;
            }
            Step::Order => {
                let order = self.desk.order(60);
                self.orders.push(order);
                return true;
            }
            Step::Promo(nano) => Body::GrantPromo { account, amount: NanoCny::new(nano), expires_at: None },
            Step::Pay(n) => match order(self, n) {
                Some(order) => self.desk.news(order),
                None => return false,
            },
            Step::Close(n) => match order(self, n) {
                Some(order) => Body::OrderClosed { order, source: "query".to_owned() },
                None => return false,
            },
            Step::Open(n) => {
                let Some(order) = order(self, n) else { return false };
                let caps = GrantCaps { per_day: 100, ..GrantCaps::default() };
                Body::OpenGrant { order, account, claim: GrantClaim::Payer, caps }
            }
            Step::Sweep(n, granted) => match order(self, n) {
                Some(order) => Body::SweepGrant { order, account, granted },
                None => return false,
            },
            Step::Budget(key, period, limit) => Body::SetBudget {
                account,
                key: key.map(|key| self.keys[key]),
                period: BudgetPeriod::ALL[period],
                limit: limit.map(NanoCny::new),
            },
            Step::Hold { hold, key, money, legs, rates } => {
                let legs = self.terms.iter().zip(legs).filter(|(_, milli)| *milli != 0);
                let legs = legs
                    .map(|(terms, milli)| TokenLeg { asset: terms.asset(), milli, weights: terms.weights })
                    .collect();
                let mut quote = quote(crate::support::flat(rates[0]));
                quote.rates.output = units::Rate::new(rates[1]).unwrap();
                Body::Hold(NewHold {
                    id: self.fresh(hold),
                    key: self.keys[key],
                    legs,
                    quote,
                    dispatched: hold % 2 == 0,
                    deadline: self.desk.now.after(Duration::from_secs(10_000)),
                    ..self.desk.calling(NanoCny::new(money))
                })
            }
            Step::Dispatch(hold) => Body::Dispatch { id: self.running(hold), account },
            Step::Extend(hold, to) => {
                crate::support::extending(&self.desk.rows, self.running(hold), account, NanoCny::new(to))
            }
            Step::Charge { hold, by, usage: [input, cached, written, output], extra } => {
                let usage = Usage {
                    input: Tokens(input),
                    cached_input: Tokens(cached),
                    cache_write: Tokens(written),
                    output: Tokens(output),
                    ..Usage::default()
                };
                let end = SettleEnd::Charge { usage, estimated: false, extra: NanoCny::new(extra) };
                self.desk.end(self.running(hold), self.by(by), end)
            }
            Step::Free { hold, by, sent } => {
                let end = if sent { SettleEnd::Release } else { SettleEnd::NotSent };
                self.desk.end(self.running(hold), self.by(by), end)
            }
            Step::Orphan(hold, epoch) => {
                let why = if epoch { Stranded::EpochOver { epoch: 1 } } else { Stranded::Overdue };
                Body::Orphan { id: self.running(hold), account, why }
            }
            Step::Correct(hold, part) => {
                let id = self.holds[hold];
                let Some(hold) = self.desk.rows.hold(id) else { return false };
                let what = match part {
                    Some(amount) => Correction::Part { asset: Asset::Cny, amount },
                    None => Correction::Whole,
                };
                Body::CorrectCharge { id, account, key: hold.key, used: hold.used.clone(), what }
            }
        };
        let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
        let command = Command {
            actor: operator("ann"),
            approver: Some(operator("bob")),
            reason: Some("test".to_owned()),
            ..self.command(body)
        };
        self.say(command)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_books_hold_after_every_call_grant_budget_and_correction(steps in prop::collection::vec(step(), 1..120)) {
        let mut cast = Cast::new();
        for step in &steps {
            cast.take(step);
        }
    }
}

/// A model in which everything is refused would find nothing: this says what the random steps reach.
#[test]
fn the_random_calls_reach_every_kind_of_change() {
    let mut runner = TestRunner::deterministic();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for _ in 0..60 {
        let steps = prop::collection::vec(step(), 120).new_tree(&mut runner).unwrap().current();
        let mut cast = Cast::new();
        for step in &steps {
            cast.take(step);
            let rows = &cast.desk.rows;
            seen.extend(rows.holds().map(|hold| hold.state.to_string()));
            seen.extend(rows.grants().map(|grant| grant.state.to_string()));
            seen.extend(rows.holds().filter(|hold| hold.late.is_some()).map(|_| "late".to_owned()));
            let both = |used: &[LotUse]| used.iter().any(|part| part.asset == Asset::Cny) && used.len() > 2;
            seen.extend(rows.holds().filter(|hold| both(&hold.used)).map(|_| "several parts".to_owned()));
            seen.extend(
                rows.budgets().filter(|budget| budget.past.is_some()).map(|_| "two windows".to_owned()),
            );
        }
        seen.extend(cast.desk.journal.iter().map(|entry| entry.kind.to_string()));
    }
    for kind in [
        "open",
        "orphan",
        "settled",
        "released",
        "active",
        "converted",
        "revoked",
        "expired",
        "written_off",
        "late",
        "several parts",
        "two windows",
        "overrun_writeoff",
        "token_revenue",
        "temp_grant",
        "temp_convert",
        "temp_revoke",
        "temp_writeoff",
        "charge_correction",
    ] {
        assert!(seen.contains(kind), "no {kind} in {seen:?}");
    }
}
