//! A ledger in memory whose rows a test may lay out by hand, and which is looked at after every command.

use std::collections::{BTreeMap, HashMap};

use payments::{
    ledger::{
        Account, AccountRole, Asset, Body, Book, Command, Entry, EntryKind, Hold, HoldState, Lot, LotClass,
        NewHold, OrderKind, Refusal, Reply, RowOp, Rows, SettleEnd, SettledBy, TokenTerms, Wallet, Weights,
        split_charge,
    },
    store::{apply, batch::Remembered},
};
use units::{AccountId, Fen, Livemode, NanoCny, OrderId, RequestId, Timestamp};

use super::{START, command, fen, new_hold, new_order, yuan};

/// See the module.
pub struct Desk {
    pub rows: Rows,
    pub account: AccountId,
    pub now: Timestamp,
    pub journal: Vec<Entry>,
    known: HashMap<String, Remembered>,
    keys: u32,
}

impl Desk {
    /// With a customer who has nothing.
    pub fn new() -> Self {
        let account = AccountId::new(START);
        let mut rows = Rows::default();
        rows.put(&RowOp::Account(Account {
            id: account,
            livemode: Livemode::Demo,
            name: "test".to_owned(),
            role: AccountRole::Customer,
            stopped: false,
            stop_reason: None,
            flag: None,
            debt: NanoCny::ZERO,
            closed_at: None,
            created_at: START,
        }));
        Self { rows, account, now: START, journal: Vec::new(), known: HashMap::new(), keys: 0 }
    }

    /// Carries out a command under a key of its own.
    pub fn act(&mut self, body: Body) -> Result<Reply, Refusal> {
        self.keys += 1;
        self.submit(&command(format!("k{}", self.keys), self.now, body))
    }

    /// Carries out a command. A refusal must leave every row as it was.
    pub fn submit(&mut self, command: &Command) -> Result<Reply, Refusal> {
        let before = self.rows.clone();
        let mut applied = apply(&mut self.rows, &mut self.known, &[command], Timestamp(0));
        let applied = applied.remove(0);
        if applied.outcome.is_err() {
            assert!(self.rows == before, "a refusal changes nothing");
        }
        assert!(!matches!(applied.outcome, Err(Refusal::DoesNotAddUp(_))), "{:?}", applied.outcome);
        for op in applied.ops {
            if let RowOp::Entry(entry) = op {
                self.journal.push(entry);
            }
        }
        self.check(&before);
        applied.outcome
    }

    #[track_caller]
    pub fn refuses(&mut self, body: Body, expected: &Refusal) {
        assert_eq!(self.act(body).as_ref(), Err(expected));
    }

    /// A hold as it stands.
    pub fn hold(&self, id: RequestId) -> Hold {
        self.rows.hold(id).unwrap().clone()
    }

    pub fn lot(&self, id: &str) -> Lot {
        self.rows.lots().find(|lot| lot.id == id).unwrap().clone()
    }

    pub fn available(&self) -> NanoCny {
        NanoCny::new(self.rows.wallet(self.account, &Asset::Cny).available())
    }

    pub fn promo(&mut self, amount: &str) {
        let (account, amount) = (self.account, yuan(amount));
        self.act(Body::GrantPromo { account, amount, expires_at: None }).unwrap();
    }

    /// An order of so many fen that waits for its payment.
    pub fn order(&mut self, amount: i64) -> OrderId {
        let id = OrderId::new(START);
        let new = new_order(id, self.account, fen(amount), OrderKind::Wallet);
        let expires_at = self.now.after(std::time::Duration::from_secs(900));
        self.act(Body::CreateOrder(payments::ledger::NewOrder { expires_at, ..new })).unwrap();
        self.act(Body::OrderPrepaid {
            order: id,
            prepay: payments::ledger::Prepay::Code("weixin://x".to_owned()),
            request_id: None,
        })
        .unwrap();
        id
    }

    /// The news that it is paid.
    pub fn news(&self, order: OrderId) -> Body {
        let amount = self.rows.order(order).map_or(Fen::ZERO, |order| order.amount);
        Body::OrderPaid {
            order,
            account: self.account,
            asset: Asset::Cny,
            transaction_id: format!("T{order}"),
            total: amount,
            currency: None,
            mchid: super::MCHID.to_owned(),
            appid: super::APPID.to_owned(),
            payer: None,
            success_time: None,
            source: payments::ledger::CreditSource::Notify,
            event: None,
        }
    }

    pub fn pay(&mut self, amount: i64) -> OrderId {
        let id = self.order(amount);
        let news = self.news(id);
        self.act(news).unwrap();
        id
    }

    /// Lays out tokens under terms, paid for with so many fen.
    pub fn tokens(&mut self, terms: &TokenTerms, tokens: i64, paid: i64) -> Asset {
        let (asset, milli) = (terms.asset(), tokens * 1_000);
        let id = format!("lot:{}", terms.id);
        let lot = Lot {
            id: id.clone(),
            account: self.account,
            asset: asset.clone(),
            class: LotClass::Tokens,
            order: None,
            orig: milli,
            rem: milli,
            consumed: 0,
            refunding: 0,
            refunded: 0,
            expired: 0,
            voided: 0,
            paid_fen: fen(paid),
            refunded_fen: Fen::ZERO,
            refunds: 0,
            created_at: self.now,
            expires_at: None,
        };
        let wallet = Wallet { posted: milli, ..Wallet::empty(self.account, asset.clone()) };
        for op in [RowOp::Terms(terms.clone()), RowOp::Lot(lot), RowOp::Wallet(wallet)] {
            self.rows.put(&op);
        }
        asset
    }

    /// A hold of money at one nano-yuan a token.
    pub fn open(&mut self, money: &str) -> RequestId {
        let new = self.calling(yuan(money));
        let id = new.id;
        assert_eq!(self.act(Body::Hold(new)), Ok(Reply::Done));
        id
    }

    pub fn calling(&self, money: NanoCny) -> NewHold {
        NewHold { money, ..new_hold(RequestId::new(START), self.account, None, super::flat(1)) }
    }

    /// The end of a hold.
    pub fn end(&self, id: RequestId, by: SettledBy, end: SettleEnd) -> Body {
        let Body::Settle { account, key, tokens, .. } =
            super::settling(&self.rows, id, self.account, end.clone())
        else {
            panic!()
        };
        Body::Settle { id, account, key, tokens, by, end }
    }

    /// Ends a hold with a usage of so much, at one nano-yuan a token.
    pub fn charge(&mut self, id: RequestId, nano: i64) -> Hold {
        let usage = super::usage(u64::try_from(nano).unwrap(), 0);
        let end = SettleEnd::Charge { usage, estimated: false, extra: NanoCny::ZERO };
        let body = self.end(id, SettledBy::Owner { epoch: 1 }, end);
        let Ok(Reply::Hold(hold)) = self.act(body) else { panic!("refused") };
        *hold
    }

    /// The sum of a book, debits less credits, in money.
    pub fn book(&self, book: Book) -> i64 {
        let money = self.journal.iter().filter(|entry| entry.asset == Asset::Cny);
        money
            .map(|entry| {
                i64::from(entry.debit == book) * entry.amount - i64::from(entry.credit == book) * entry.amount
            })
            .sum()
    }

    /// What must hold after every command.
    fn check(&self, before: &Rows) {
        for wallet in self.rows.wallets() {
            let lots: i64 = self.rows.lots_of(wallet.account, &wallet.asset).map(|lot| lot.rem).sum();
            let open =
                self.rows.holds().filter(|hold| hold.account == wallet.account && hold.state.is_held());
            let held: i64 = open.map(|hold| hold.held_of(&wallet.asset)).sum();
            assert_eq!((wallet.posted, wallet.held), (lots, held), "{wallet:?}");
            assert!(0 <= wallet.held && wallet.held <= wallet.posted, "{wallet:?}");
        }
        assert!(self.rows.lots().all(Lot::adds_up));
        self.check_holds(before);
        self.check_budgets();
        self.check_grants();
    }

    fn check_holds(&self, before: &Rows) {
        let mut taken: BTreeMap<RequestId, i64> = BTreeMap::new();
        for entry in &self.journal {
            assert!(entry.amount > 0, "{entry:?}");
            if entry.kind == EntryKind::Settle && entry.asset == Asset::Cny {
                *taken.entry(entry.hold.unwrap()).or_default() += entry.amount;
            }
        }
        for hold in self.rows.holds() {
            assert_eq!(taken.get(&hold.id).copied().unwrap_or(0), hold.cost.get(), "{hold:?}");
            let used = |money: bool| -> i64 {
                let parts = hold.used.iter().filter(|part| (part.asset == Asset::Cny) == money);
                parts.map(|part| part.amount).sum()
            };
            assert_eq!((used(true), used(false)), (hold.cost.get(), hold.cost_tokens_milli), "{hold:?}");
            assert!(hold.used.iter().all(|part| (0..=part.amount).contains(&hold.uncorrected(part))));
            if hold.state == HoldState::Settled {
                // The cost is recomputed from the row alone.
                let split = split_charge(&hold.usage.unwrap(), &hold.quote.rates, &hold.legs).unwrap();
                assert_eq!(hold.cost.plus(hold.overrun), Ok(split.money), "{hold:?}");
                assert_eq!(hold.cost_tokens_milli, split.tokens_milli());
            }
            let Some(old) = before.hold(hold.id).filter(|old| !old.state.is_held()) else { continue };
            let same = Hold { corrected: old.corrected.clone(), late: old.late, ..hold.clone() };
            assert_eq!(*old, same, "an ended hold stays as it ended");
        }
        // What was used is what was earned by calls, less what went back.
        let consumed: i64 = self.rows.lots_of(self.account, &Asset::Cny).map(|lot| lot.consumed).sum();
        let holds = self.rows.holds().filter(|hold| hold.account == self.account);
        let kept: i64 = holds
            .flat_map(|hold| hold.used.iter().map(move |part| (hold, part)))
            .filter(|(_, part)| part.asset == Asset::Cny)
            .map(|(hold, part)| hold.uncorrected(part))
            .sum();
        assert_eq!(consumed, kept);
    }

    fn check_budgets(&self) {
        for budget in self.rows.budgets() {
            let tallies = [Some(budget.now), budget.past];
            for tally in tallies.into_iter().flatten() {
                let counts = |hold: &&Hold| {
                    hold.account == budget.account
                        && hold
                            .budgets
                            .iter()
                            .any(|share| budget.is_of(share) && share.window == tally.window)
                };
                let reserved: i64 = self
                    .rows
                    .holds()
                    .filter(counts)
                    .filter(|hold| hold.state.is_held())
                    .map(|hold| hold.money.get())
                    .sum();
                assert_eq!(tally.reserved.get(), reserved, "{budget:?}");
                let back = |hold: &Hold| -> i64 {
                    let money = hold.corrected.iter().filter(|part| part.asset == Asset::Cny);
                    money.map(|part| part.amount).sum()
                };
                let spent: i64 = self
                    .rows
                    .holds()
                    .filter(counts)
                    .filter(|hold| hold.state == HoldState::Settled)
                    .map(|hold| hold.cost.get() - back(hold))
                    .sum();
                assert_eq!(tally.spent.get(), spent, "{budget:?}");
            }
        }
    }

    /// What is owed to us is what was lent, used or not, and neither paid back, taken back nor written off.
    fn check_grants(&self) {
        let (mut owed, mut lost) = (0, 0);
        for grant in self.rows.grants() {
            let lot = self.lot(&payments::ledger::Grant::lot(grant.order));
            let order = self.rows.order(grant.order).unwrap();
            assert!(grant.amount <= NanoCny::from(order.amount), "{grant:?}");
            use payments::ledger::GrantState as S;
            match grant.state {
                S::Active | S::Revoked | S::Expired => owed += lot.rem + lot.consumed,
                S::Converted => assert_eq!((lot.rem, lot.consumed), (0, 0), "{lot:?}"),
                S::WrittenOff => {
                    assert_eq!((lot.rem, lot.consumed), (0, grant.used.get()), "{lot:?}");
                    lost += lot.consumed;
                }
            }
            let live = self.rows.standing(grant.account).live == Some(grant.order);
            assert_eq!(live, grant.resolved_at.is_none(), "{grant:?}");
        }
        assert_eq!(self.book(Book::TempReceivable), owed);
        assert_eq!(self.book(Book::BadDebt), lost);
    }
}

/// A package for `models` at these weights.
pub fn package(id: &str, models: &[&str], weights: Weights) -> TokenTerms {
    let models = models.iter().map(|&model| model.to_owned()).collect();
    TokenTerms { id: id.to_owned(), title: id.to_owned(), models, weights, created_at: START }
}
