//! Budgets: decided with the hold, so that no number of calls at once passes one.

use units::{AccountId, KeyId, NanoCny};

use super::{Draft, Refusal, Reply};
use crate::ledger::{Budget, BudgetPeriod, BudgetShare, Hold, Role, RowOp};

impl Draft<'_> {
    pub(super) fn set_budget(
        &mut self,
        account: AccountId,
        key: Option<KeyId>,
        period: BudgetPeriod,
        limit: Option<NanoCny>,
    ) -> Result<Reply, Refusal> {
        self.rows.account(account).ok_or(Refusal::UnknownAccount(account))?;
        if let Some(key) = key {
            self.rows.key(key).filter(|row| row.account == account).ok_or(Refusal::UnknownKey(key))?;
        }
        if limit.is_some_and(NanoCny::is_negative) {
            return Err(Refusal::NotPositive);
        }
        let at = self.command.at;
        let found = self.rows.budgets_of(account, key).find(|budget| budget.period == period);
        self.may_set(key, found, limit)?;
        let budget = match found {
            Some(budget) => Budget { limit, set_at: at, ..budget.at(at) },
            None => Budget::new(account, key, period, limit, at),
        };
        self.ops.push(RowOp::Budget(Box::new(budget.clone())));
        Ok(Reply::Budget(Box::new(budget)))
    }

    /// An operator sets any budget; an account only those of its keys, and only lower.
    fn may_set(
        &self,
        key: Option<KeyId>,
        found: Option<&Budget>,
        limit: Option<NanoCny>,
    ) -> Result<(), Refusal> {
        let refused = |what: &str| Err(Refusal::NotAllowed(what.to_owned()));
        match self.command.actor.role {
            Role::Operator | Role::System => Ok(()),
            Role::Channel => refused("a payment channel sets no budget"),
            Role::Customer if key.is_none() => refused("the account's own budget is the operator's to set"),
            Role::Customer => match (found.and_then(|budget| budget.limit), limit) {
                (_, None) => refused("only an operator lifts a budget"),
                (Some(before), Some(limit)) if limit > before => refused("only an operator raises a budget"),
                _ => Ok(()),
            },
        }
    }

    /// Sets `amount` aside in every budget that a call with this key counts against.
    pub(super) fn reserve_budgets(
        &mut self,
        account: AccountId,
        key: KeyId,
        amount: NanoCny,
    ) -> Result<Vec<BudgetShare>, Refusal> {
        let rows = self.rows;
        let mut shares = Vec::new();
        for budget in rows.budgets_of(account, None).chain(rows.budgets_of(account, Some(key))) {
            let mut budget = budget.at(self.command.at);
            let share = budget.share();
            budget.reserve(share.window, amount).map_err(Refusal::OverBudget)?;
            shares.push(share);
            self.ops.push(RowOp::Budget(Box::new(budget)));
        }
        Ok(shares)
    }

    /// Sets more aside for a hold, in the windows it was opened in.
    pub(super) fn extend_budgets(&mut self, hold: &Hold, more: NanoCny) -> Result<(), Refusal> {
        for (mut budget, window) in self.budgets_of(hold) {
            budget.reserve(window, more).map_err(Refusal::OverBudget)?;
            self.ops.push(RowOp::Budget(Box::new(budget)));
        }
        Ok(())
    }

    /// What a hold's budgets allow it to cost beyond what it set aside.
    pub(super) fn budget_room(&self, hold: &Hold) -> i64 {
        let rooms = self.budgets_of(hold).into_iter().map(|(budget, window)| budget.room(window));
        rooms.min().unwrap_or(i64::MAX)
    }

    /// The hold has ended: what it set aside is free, what it cost is spent.
    pub(super) fn end_budgets(&mut self, hold: &Hold) {
        for (mut budget, window) in self.budgets_of(hold) {
            budget.end(window, hold.money, hold.cost);
            self.ops.push(RowOp::Budget(Box::new(budget)));
        }
    }

    /// Part of what a call cost went back.
    pub(super) fn unspend_budgets(&mut self, hold: &Hold, back: i64) {
        for (mut budget, window) in self.budgets_of(hold) {
            budget.end(window, NanoCny::ZERO, NanoCny::new(back.saturating_neg()));
            self.ops.push(RowOp::Budget(Box::new(budget)));
        }
    }

    fn budgets_of(&self, hold: &Hold) -> Vec<(Budget, i64)> {
        let row = |share: &BudgetShare| {
            let budget = self.rows.budgets_of(hold.account, share.key).find(|budget| budget.is_of(share))?;
            Some((budget.at(self.command.at), share.window))
        };
        hold.budgets.iter().filter_map(row).collect()
    }
}
