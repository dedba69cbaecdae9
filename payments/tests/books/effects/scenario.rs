//! What a process does in its life, step by step, and what the books must come to after each step by the reference
//! store.

use std::time::Duration;

use payments::{
    journal::Mark,
    ledger::{
        AcceptedRate, AccountRole, Actor, Adjustment, Asset, Body, BudgetPeriod, Command, Correction,
        CreditSource, GrantCaps, GrantClaim, NewCode, NewHold, NewOrder, OrderKind, PackageOffer, RefundItem,
        RefundNews, Reply, Role, SettleEnd, SettledBy, TokenLeg, Weights,
    },
    store::{Outcome, Receipt, StateHash, memory::MemoryStore},
};
use units::{
    AccountId, KeyId, Livemode, NanoCny, OrderId, RefundBatchId, RefundId, RequestId, Timestamp, Tokens,
};

use crate::support::{
    APPID, MCHID, MODEL, RATE, START, api_key, command, fen, flat, new_hold, new_order, receipt, token_kind,
    usage, yuan,
};

/// The run of the process that begins the scenario: one before it made the files.
const FIRST_EPOCH: i64 = 2;

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// A command of the store.
    Ask {
        command: Box<Command>,
        receipt: Option<Receipt>,
        /// The call that it is a step of.
        call: Option<RequestId>,
    },
    /// A word in the journal.
    Note(RequestId, Mark),
    /// The process ends in good order, and the next one begins.
    Restart,
}

/// The steps and what they come to.
pub(super) struct Scenario {
    pub(super) acts: Vec<Act>,
    /// What is answered to each; none where nothing is asked.
    pub(super) outcomes: Vec<Option<Outcome>>,
    /// The books before the first step and after each.
    pub(super) hashes: Vec<StateHash>,
    pub(super) memory: MemoryStore,
    pub(super) account: AccountId,
    epoch: i64,
    now: Timestamp,
}

impl Scenario {
    fn new() -> Self {
        let memory = MemoryStore::default();
        Self {
            acts: Vec::new(),
            outcomes: Vec::new(),
            hashes: vec![memory.state_hash()],
            memory,
            account: AccountId::new(START),
            epoch: FIRST_EPOCH,
            now: START,
        }
    }

    fn push(&mut self, act: Act) -> Option<Outcome> {
        let outcome = match &act {
            Act::Ask { command, .. } => {
                let mut command = command.clone();
                in_epoch(&mut command, self.epoch);
                Some(self.memory.submit(&command).outcome)
            }
            Act::Note(..) => None,
            Act::Restart => {
                self.epoch += 1;
                None
            }
        };
        self.acts.push(act);
        self.outcomes.push(outcome.clone());
        self.hashes.push(self.memory.state_hash());
        outcome
    }

    fn asked(&mut self, key: &str, body: Body, by_two: bool, call: Option<RequestId>) -> Outcome {
        self.now = self.now.after(Duration::from_secs(1));
        let mut command = command(key, self.now, body);
        if by_two {
            let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
            command.actor = operator("ann");
            command.reason = Some("a ticket".to_owned());
            command.approver = Some(operator("bob"));
        }
        let settles = matches!(command.body, Body::Settle { .. });
        let receipt = call.filter(|_| settles).map(|call| receipt(call, self.account));
        self.push(Act::Ask { command: Box::new(command), receipt, call }).unwrap()
    }

    #[track_caller]
    fn ask(&mut self, key: &str, body: Body) -> Reply {
        self.asked(key, body, false, None).unwrap_or_else(|refusal| panic!("{key}: {refusal}"))
    }

    #[track_caller]
    fn by_two(&mut self, key: &str, body: Body) -> Reply {
        self.asked(key, body, true, None).unwrap_or_else(|refusal| panic!("{key}: {refusal}"))
    }

    fn order(&mut self, amount: i64, bonus: &str, kind: OrderKind) -> OrderId {
        let id = OrderId::new(START);
        let new = NewOrder {
            bonus: yuan(bonus),
            expires_at: self.now.after(Duration::from_secs(3_600)),
            ..new_order(id, self.account, fen(amount), kind)
        };
        self.ask(&format!("order:{id}"), Body::CreateOrder(new));
        self.ask(
            "prepaid",
            Body::OrderPrepaid {
                order: id,
                prepay: payments::ledger::Prepay::Code("weixin://x".to_owned()),
                request_id: None,
            },
        );
        id
    }

    fn paid(&mut self, order: OrderId, event: &str) {
        let row = self.memory.rows().order(order).unwrap();
        let body = Body::OrderPaid {
            order,
            account: row.account,
            asset: row.kind.asset(),
            transaction_id: format!("T{order}"),
            total: row.amount,
            currency: None,
            mchid: MCHID.to_owned(),
            appid: APPID.to_owned(),
            payer: Some("openid".to_owned()),
            success_time: Some(self.now),
            source: CreditSource::Notify,
            event: Some(event.to_owned()),
        };
        self.ask("pay", body);
    }

    fn hold(&mut self, money: i64, legs: Vec<TokenLeg>, dispatched: bool, input: u64) -> RequestId {
        let id = RequestId::new(START);
        let mut new = NewHold { legs, dispatched, ..new_hold(id, self.account, None, flat(RATE)) };
        new.money = NanoCny::new(money);
        // What recovery charges for a call of which it knows nothing else is what the call says in the end, so that the
        // balances do not depend on when the process died.
        new.quote.input_estimate = Tokens(input);
        self.asked(&format!("hold:{id}"), Body::Hold(new), false, Some(id)).unwrap();
        id
    }

    /// Ends a call as `OpenHold::settle` does: first the journal, then the ledger.
    fn settle(&mut self, id: RequestId, end: SettleEnd) {
        self.push(Act::Note(id, Mark::End(end.clone())));
        let hold = self.memory.rows().hold(id).unwrap();
        let by = SettledBy::Owner { epoch: self.epoch };
        let (account, key, tokens) = (hold.account, hold.key, hold.token_assets());
        let body = Body::Settle { id, account, key, tokens, by, end };
        self.asked(&format!("settle:{id}"), body, false, Some(id)).unwrap();
    }

    fn charge(&mut self, id: RequestId, input: u64) {
        self.settle(id, SettleEnd::Charge { usage: usage(input, 0), estimated: false, extra: NanoCny::ZERO });
    }

    fn refund(&mut self, key: &str, amount: i64, order: OrderId) -> RefundItem {
        let body = Body::RequestRefund {
            batch: RefundBatchId::new(START),
            account: self.account,
            asset: Asset::Cny,
            amount: Some(fen(amount)),
            granted: i64::MAX,
            approve_above: None,
            order: Some(order),
            reason: None,
            item_ids: (0..60).map(|_| RefundId::new(START)).collect(),
        };
        let Reply::Refund { items, .. } = self.ask(key, body) else { panic!("{key}") };
        items[0].clone()
    }

    fn reported(&mut self, item: &RefundItem, news: RefundNews, event: Option<&str>) {
        let body = Body::RefundReported {
            item: item.id,
            batch: item.batch,
            order: item.order,
            account: item.account,
            asset: Asset::Cny,
            news,
            refund_id: Some(format!("R{}", item.id)),
            detail: None,
            event: event.map(str::to_owned),
            payment: None,
        };
        self.ask("report", body);
    }

    fn accounts_and_credits(&mut self) -> OrderId {
        let (account, asset) = (self.account, Asset::Cny);
        for (id, role) in [(account, AccountRole::Customer), (AccountId::new(START), AccountRole::House)] {
            let body = Body::OpenAccount { id, livemode: Livemode::Demo, name: "test".to_owned(), role };
            self.ask(&format!("open:{id}"), body);
        }
        self.ask("key", Body::AddKey(api_key(KeyId::new(START), account, "d")));
        let limit = Some(yuan("100"));
        let budget = Body::SetBudget { account, key: None, period: BudgetPeriod::Day, limit };
        self.by_two("budget", budget);
        let promo = |amount, expires_at| Body::GrantPromo { account, amount: yuan(amount), expires_at };
        self.ask("p1", promo("1", Some(self.now.after(Duration::from_secs(3)))));
        self.ask("p2", promo("0.001", None));
        assert!(self.asked("p3", promo("0", None), false, None).is_err(), "a refusal leaves nothing either");
        let expire = Body::ExpireLot { account, asset, lot: "promo:p1".to_owned(), expired: 0 };
        self.now = self.now.after(Duration::from_secs(5));
        self.ask("exp", expire);
        let first = self.order(1_000, "1", OrderKind::Wallet);
        self.paid(first, "E1");
        self.paid(first, "E2");
        let tokens = self.order(200, "0", token_kind(100_000, 20_000));
        self.paid(tokens, "E3");
        let offer = PackageOffer {
            id: "starter".to_owned(),
            version: 1,
            title: "Starter".to_owned(),
            price: fen(5_000),
            tokens: 1_000_000,
            models: vec![MODEL.to_owned()],
            weights: Weights::PLAIN,
        };
        self.by_two("define", Body::DefinePackage(offer.clone()));
        let package = self.order(5_000, "0", OrderKind::Package { offer });
        self.paid(package, "E4");
        first
    }

    fn calls(&mut self) -> RequestId {
        let (account, key) = (self.account, KeyId::new(START));
        // Not dispatched at first, then extended.
        let first = self.hold(10_000 * RATE, Vec::new(), false, 900);
        let key = self.memory.rows().hold(first).map_or(key, |hold| hold.key);
        let step = |scenario: &mut Self, body| scenario.asked("step", body, false, Some(first)).unwrap();
        step(self, Body::Dispatch { id: first, account });
        step(self, Body::Extend { id: first, account, key, to: NanoCny::new(20_000 * RATE) });
        self.charge(first, 900);
        // Two token balances and money.
        let leg = |asset: &str, milli| TokenLeg {
            asset: Asset::Tokens(asset.to_owned()),
            milli,
            weights: Weights::PLAIN,
        };
        let legs = vec![leg(MODEL, 1_000_000), leg("starter@1", 2_000_000)];
        let second = self.hold(5_000 * RATE, legs, true, 4_000);
        self.push(Act::Note(second, Mark::Progress(usage(4_000, 0))));
        self.charge(second, 4_000);
        // Nothing came of it.
        let third = self.hold(500 * RATE, Vec::new(), true, 0);
        self.settle(third, SettleEnd::Release);
        second
    }

    fn refunds(&mut self, order: OrderId) {
        let sending = |item: &RefundItem| Body::RefundSending { item: item.id, batch: item.batch };
        let item = self.refund("refund-1", 300, order);
        self.ask("send", sending(&item));
        self.reported(&item, RefundNews::Processing, None);
        self.reported(&item, RefundNews::Success, Some("E5"));
        let item = self.refund("refund-2", 100, order);
        self.ask("send", sending(&item));
        self.reported(&item, RefundNews::Refused, None);
    }

    fn gifts_and_hands(&mut self, corrected: RequestId) {
        let account = self.account;
        let code = NewCode {
            digest: "ab".repeat(32),
            hint: "-7F".to_owned(),
            amount: yuan("0.5"),
            lifetime_s: None,
            valid_until: None,
            uses: 2,
            campaign: "spring".to_owned(),
            livemode: Livemode::Demo,
        };
        self.by_two("code", Body::CreateCode(code.clone()));
        let (digest, campaign) = (code.digest, code.campaign);
        self.ask("redeem", Body::RedeemCode { account, digest, campaign });
        let change =
            Adjustment { account, asset: Asset::Cny, amount: yuan("0.2").get(), ticket: "t1".to_owned() };
        self.by_two("adj:t1", Body::Adjust(change));
        let hold = self.memory.rows().hold(corrected).unwrap();
        let (key, used, what) = (hold.key, hold.used.clone(), Correction::Whole);
        self.by_two("correct", Body::CorrectCharge { id: corrected, account, key, used, what });
        let rate = AcceptedRate {
            pair: "USD/CNY".to_owned(),
            rate_micro: 7_100_000,
            source: "a".to_owned(),
            observed_at: None,
            fetched_at: self.now,
            confirmed_by: None,
        };
        self.ask("rate", Body::AcceptRate(rate));
        let pin = Body::PinRate { pair: "USD/CNY".to_owned(), rate_micro: 7_000_000, until: None };
        self.by_two("pin", pin);
    }

    fn grants(&mut self) {
        let (account, claim, caps) = (self.account, GrantClaim::Payer, GrantCaps::default());
        let opening = |order| Body::OpenGrant { order, account, claim, caps };
        let sweeping = |order| Body::SweepGrant { order, account, granted: i64::MAX };
        let late = self.order(700, "0", OrderKind::Wallet);
        self.ask("grant", opening(late));
        self.now = self.now.after(Duration::from_secs(301));
        self.ask("sweep-1", sweeping(late));
        let paid = self.order(600, "0", OrderKind::Wallet);
        self.ask("grant", opening(paid));
        self.paid(paid, "E6");
        self.ask("sweep-2", sweeping(paid));
        self.ask("closed", Body::OrderClosed { order: late, source: "query".to_owned() });
    }

    /// Everything the ledger does for a customer.
    pub(super) fn whole() -> Self {
        let mut scenario = Self::new();
        let order = scenario.accounts_and_credits();
        let call = scenario.calls();
        scenario.push(Act::Restart);
        scenario.refunds(order);
        scenario.gifts_and_hands(call);
        scenario.grants();
        // More was used than was set aside: the rest is our loss.
        let over = scenario.hold(100 * RATE, Vec::new(), true, 150);
        scenario.charge(over, 150);
        scenario
    }

    /// A payment, two calls and a refund.
    pub(super) fn short() -> Self {
        let mut scenario = Self::new();
        let id = scenario.account;
        let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
        scenario.ask("open", Body::OpenAccount { id, livemode, name, role });
        let order = scenario.order(1_000, "0", OrderKind::Wallet);
        scenario.paid(order, "E1");
        for input in [100, 200] {
            let call = scenario.hold(500 * RATE, Vec::new(), true, input);
            scenario.charge(call, input);
        }
        scenario.refund("refund", 100, order);
        scenario
    }

    /// When the last step was taken.
    pub(super) const fn end(&self) -> Timestamp {
        self.now
    }

    /// The place of the first step of a call, and of its last.
    pub(super) fn steps_of(&self, id: RequestId) -> Vec<usize> {
        let own = |act: &Act| match act {
            Act::Ask { call, .. } => *call == Some(id),
            Act::Note(call, _) => *call == id,
            Act::Restart => false,
        };
        (0..self.acts.len()).filter(|index| own(&self.acts[*index])).collect()
    }

    /// Every call.
    pub(super) fn all_calls(&self) -> Vec<RequestId> {
        let hold = |act: &Act| match act {
            Act::Ask { command, call, .. } if matches!(command.body, Body::Hold(_)) => *call,
            _ => None,
        };
        self.acts.iter().filter_map(hold).collect()
    }
}

/// The command as that run of the process would say it.
pub(super) fn in_epoch(command: &mut Command, run: i64) {
    match &mut command.body {
        Body::Hold(new) => new.epoch = run,
        Body::Settle { by: SettledBy::Owner { epoch }, .. } => *epoch = run,
        _ => {}
    }
}

/// The same step of another call.
pub(super) fn of_call(act: &Act, as_call: RequestId) -> Act {
    let mut act = act.clone();
    match &mut act {
        Act::Ask { command, call, receipt } => {
            match &mut command.body {
                Body::Hold(new) => new.id = as_call,
                Body::Dispatch { id, .. } | Body::Extend { id, .. } | Body::Settle { id, .. } => {
                    *id = as_call
                }
                _ => {}
            }
            *call = Some(as_call);
            receipt.iter_mut().for_each(|receipt| receipt.id = as_call);
        }
        Act::Note(call, _) => *call = as_call,
        Act::Restart => {}
    }
    act
}
