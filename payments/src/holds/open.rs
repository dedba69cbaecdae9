//! A hold while its call runs, and how it ends.

use units::{AccountId, KeyId, NanoCny, RequestId, Usage};

use super::{Bound, Exposed, Holds, bound::money_of};
use crate::{
    journal::Mark,
    ledger::{
        Actor, Asset, Body, BudgetShare, Command, HoldQuote, SettleEnd, SettledBy, Split, TokenLeg,
        split_charge,
    },
    store::{Receipt, Slot, Submission, SubmitError, Waiting},
};

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// Money charged.
    pub cost: NanoCny,
    /// Tokens charged, in thousandths, by the balance they were taken from.
    pub tokens: Vec<(Asset, i64)>,
    /// What the account could still set aside afterwards, as far as memory knows.
    pub available: NanoCny,
}

impl Charged {
    /// Tokens charged in all, in thousandths.
    pub fn tokens_milli(&self) -> i64 {
        self.tokens.iter().map(|(_, milli)| milli).sum()
    }
}

/// Money set aside for one call that runs.
#[derive(Debug)]
pub struct OpenHold {
    pub(super) id: RequestId,
    pub(super) account: AccountId,
    pub(super) key: KeyId,
    pub(super) quote: HoldQuote,
    pub(super) epoch: i64,
    pub(super) house: bool,
    pub(super) money: NanoCny,
    pub(super) legs: Vec<TokenLeg>,
    pub(super) budgets: Vec<BudgetShare>,
    /// By how much the call may come to more than is set aside.
    pub(super) exposed: Option<Exposed>,
    pub(super) waiting: Option<Waiting>,
    pub(super) lost: Option<SubmitError>,
    pub(super) end_slot: Slot,
    pub(super) holds: Holds,
}

impl OpenHold {
    /// Money set aside.
    pub const fn money(&self) -> NanoCny {
        self.money
    }

    /// Tokens set aside, in the order in which they are burnt.
    pub fn legs(&self) -> &[TokenLeg] {
        &self.legs
    }

    /// Resolves when the hold is on disk; at once if that is known. A wait that was given up may be taken up again.
    ///
    /// # Errors
    /// [`SubmitError`] if the ledger refused what memory admitted, or stopped: the call must be cancelled.
    pub async fn durable(&mut self) -> Result<(), SubmitError> {
        if let Some(waiting) = &mut self.waiting {
            self.lost = waiting.outcome().await.err();
            self.waiting = None;
            if matches!(self.lost, Some(SubmitError::Refused(_))) {
                // Nothing is set aside, and the call may be dropped without another word.
                let budgets = std::mem::take(&mut self.budgets);
                self.holds.admission.budgets().end(self.account, &budgets, self.money, NanoCny::ZERO);
            }
        }
        self.lost.clone().map_or(Ok(()), Err)
    }

    /// Raises the ceiling so that `bound` is covered, if balance and budgets allow; otherwise nothing changes.
    pub fn extend(&mut self, bound: &Usage) -> bool {
        let Some(needed) = money_of(&Bound::of(bound), &self.quote, &self.legs) else { return false };
        let Ok(more) = needed.minus(self.money) else { return false };
        if self.house || more.get() <= 0 {
            return true;
        }
        let holds = &self.holds;
        let (admission, budgets) = (&holds.admission, holds.admission.budgets());
        let Ok(slot) = holds.store.reserve() else { return false };
        if !budgets.extend(self.account, &self.budgets, more) {
            return false;
        }
        let taken = admission.take_at_once(self.account, &Asset::Cny, more.get());
        if taken < more.get() {
            admission.give_back(self.account, &Asset::Cny, taken);
            budgets.give_back(self.account, &self.budgets, more);
            return false;
        }
        self.money = needed;
        if let Some(exposed) = &mut self.exposed {
            exposed.shrink(more.get());
        }
        let (id, account, key) = (self.id, self.account, self.key);
        let command = self.command("ext", Body::Extend { id, account, key, to: needed });
        // Not awaited: memory has it, and the ledger carries it out before the settlement behind it in the queue.
        drop(slot.send(Submission {
            command,
            taken: vec![(self.account, Asset::Cny, more.get())],
            receipt: None,
        }));
        true
    }

    /// Notes what was used so far.
    pub fn progress(&self, usage: Usage) {
        self.note(&Mark::Progress(usage));
    }

    /// Ends the hold: the end is in the journal when this returns, the ledger follows. Never waits. Without a usage
    /// nothing came of the call.
    pub fn settle(self, usage: Option<(Usage, bool)>, receipt: impl FnOnce(&Charged) -> Receipt) -> Charged {
        let (end, charged, extra) = match usage {
            None => (SettleEnd::Release, nothing(), 0),
            Some((usage, estimated)) => self.charge(usage, estimated),
        };
        self.note(&Mark::End(end.clone()));
        let available = self.holds.available(self.account).get();
        let back = self.money.get() + extra - charged.cost.get();
        let available = if self.house { available } else { available.saturating_add(back) };
        let charged = Charged { available: NanoCny::new(available), ..charged };
        let receipt = receipt(&charged);
        let body = Body::Settle {
            id: self.id,
            account: self.account,
            key: self.key,
            tokens: self.legs.iter().map(|leg| leg.asset.clone()).collect(),
            by: SettledBy::Owner { epoch: self.epoch },
            end,
        };
        let command = self.command("settle", body);
        let taken = vec![(self.account, Asset::Cny, extra)];
        drop(self.end_slot.send(Submission { command, taken, receipt: Some(receipt) }));
        // After the ledger was told: whoever sets aside what this frees, stands behind it in the queue.
        let reserved = NanoCny::new(self.money.get() + extra);
        self.holds.admission.budgets().end(self.account, &self.budgets, reserved, charged.cost);
        charged
    }

    /// What the usage comes to, exactly as the ledger will reckon it.
    fn charge(&self, usage: Usage, estimated: bool) -> (SettleEnd, Charged, i64) {
        let Ok(Split { legs, money: cost }) = split_charge(&usage, self.quote.rates_for(&usage), &self.legs)
        else {
            // Beyond the ledger's range nothing is charged: a usage like that was refused where it was read. The
            // ledger could not charge it either, and the hold must end.
            tracing::error!(hold = %self.id, ?usage, "a usage beyond the ledger's range; the hold is given back");
            return (SettleEnd::Release, nothing(), 0);
        };
        let over = (cost.get() - self.money.get()).max(0);
        let extra = if over == 0 || self.house { 0 } else { self.take_extra(over) };
        let payable = if self.house { cost.get() } else { cost.get().min(self.money.get() + extra) };
        let burnt = self.legs.iter().zip(legs).filter(|(_, milli)| *milli > 0);
        let tokens = burnt.map(|(leg, milli)| (leg.asset.clone(), milli)).collect();
        let charged = Charged { cost: NanoCny::new(payable), tokens, available: NanoCny::ZERO };
        (SettleEnd::Charge { usage, estimated, extra: NanoCny::new(extra) }, charged, extra)
    }

    /// As much of `over` as budgets and balance still allow.
    fn take_extra(&self, over: i64) -> i64 {
        let (admission, budgets) = (&self.holds.admission, self.holds.admission.budgets());
        let allowed = budgets.extend_up_to(self.account, &self.budgets, over);
        let taken = admission.take_at_once(self.account, &Asset::Cny, allowed);
        budgets.give_back(self.account, &self.budgets, NanoCny::new(allowed - taken));
        taken
    }

    fn note(&self, mark: &Mark) {
        if let Err(error) = self.holds.journal.note(self.id, mark) {
            tracing::error!(%error, hold = %self.id, "the journal cannot be written; the ledger's row still follows");
        }
    }

    fn command(&self, verb: &str, body: Body) -> Command {
        Command {
            key: format!("{verb}:{}", self.id),
            actor: Actor::system("meter"),
            reason: None,
            approver: None,
            at: self.holds.clock.now(),
            body,
        }
    }
}

const fn nothing() -> Charged {
    Charged { cost: NanoCny::ZERO, tokens: Vec::new(), available: NanoCny::ZERO }
}
