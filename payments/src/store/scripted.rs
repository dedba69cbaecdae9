//! For tests: an account with some money, and calls on it, as commands.

use units::{AccountId, KeyId, Livemode, NanoCny, Rate, Rates, RequestId, Timestamp, Tokens, Usage};

use crate::ledger::{AccountRole, Actor, Body, Command, HoldQuote, NewHold, SettleEnd, SettledBy};

/// What is set aside for each call, in nano-yuan; it uses half of it.
pub(super) const MONEY: i64 = 20_000;
const RATE: i64 = 2_000;

/// Somebody who calls.
pub(super) struct Caller {
    pub(super) account: AccountId,
    key: KeyId,
}

fn command(key: String, body: Body) -> Command {
    let (actor, reason, approver, at) = (Actor::system("test"), None, None, Timestamp(2));
    Command { key, actor, reason, approver, at, body }
}

impl Caller {
    pub(super) fn new() -> Self {
        Self { account: AccountId::new(Timestamp(1)), key: KeyId::new(Timestamp(1)) }
    }

    /// The account and a thousand yuan in one lot.
    pub(super) fn opening(&self) -> [Command; 2] {
        let (account, livemode, role) = (self.account, Livemode::Demo, AccountRole::Customer);
        let open = Body::OpenAccount { id: account, livemode, name: "hot".to_owned(), role };
        let promo = Body::GrantPromo { account, amount: NanoCny::from_yuan(1_000), expires_at: None };
        [command(format!("open:{account}"), open), command(format!("promo:{account}"), promo)]
    }

    /// A call: what opens it, and what ends it.
    pub(super) fn call(&self) -> [Command; 2] {
        let (id, account, key) = (RequestId::new(Timestamp(2)), self.account, self.key);
        let rate = Rate::new(RATE).unwrap();
        let quote = HoldQuote {
            price_version: "p".to_owned(),
            fx_id: None,
            rates: Rates { input: rate, cached_input: rate, cache_write: rate, output: rate },
            input_estimate: Tokens(1),
            window: None,
            tiers: Vec::new(),
            price_percent: None,
        };
        let hold = NewHold {
            id,
            account,
            key,
            model: "m".to_owned(),
            money: NanoCny::new(MONEY),
            legs: Vec::new(),
            quote,
            epoch: 1,
            dispatched: true,
            deadline: Timestamp(1_000_000),
        };
        let usage = Usage { input: Tokens(5), ..Usage::default() };
        let end = SettleEnd::Charge { usage, estimated: false, extra: NanoCny::ZERO };
        let by = SettledBy::Owner { epoch: 1 };
        let settle = Body::Settle { id, account, key, tokens: Vec::new(), by, end };
        [command(format!("hold:{id}"), Body::Hold(hold)), command(format!("settle:{id}"), settle)]
    }

    /// The account with so many calls that ended.
    pub(super) fn history(&self, calls: usize) -> Vec<Command> {
        let calls = (0..calls).flat_map(|_| self.call());
        self.opening().into_iter().chain(calls).collect()
    }
}
