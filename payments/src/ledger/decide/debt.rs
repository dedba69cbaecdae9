//! What an account owes: refunds that the bill tells of, of what was used before; and how that ends.

use units::{AccountId, NanoCny};

use super::{Draft, Lot, Posting, Refusal, Reply};
use crate::ledger::{Account, Asset, Book, DebtSource, EntryKind, LotClass, RowOp};

impl Draft<'_> {
    /// The account as this decision has left it so far.
    fn debtor(&self, id: AccountId) -> Result<Account, Refusal> {
        let changed = self.ops.iter().rev().find_map(|op| match op {
            RowOp::Account(account) if account.id == id => Some(account),
            _ => None,
        });
        changed.or_else(|| self.rows.account(id)).cloned().ok_or(Refusal::UnknownAccount(id))
    }

    /// Writes down that the account owes `amount` nano-yuan more. The line of the journal is the caller's.
    pub(super) fn owe(&mut self, id: AccountId, amount: i64) -> Result<(), Refusal> {
        if amount > 0 {
            let account = self.debtor(id)?;
            let debt = account.debt.plus(NanoCny::new(amount))?;
            self.ops.push(RowOp::Account(Account { debt, ..account }));
        }
        Ok(())
    }

    /// Takes up to `amount` off what the account owes; how much that was. The line of the journal is the caller's.
    pub(super) fn owe_less(&mut self, id: AccountId, amount: i64) -> Result<i64, Refusal> {
        let account = self.debtor(id)?;
        let less = amount.min(account.debt.get()).max(0);
        if less > 0 {
            let debt = account.debt.minus(NanoCny::new(less))?;
            self.ops.push(RowOp::Account(Account { debt, ..account }));
        }
        Ok(less)
    }

    /// Settles what an account owes: with what it paid since, as far as that goes, or by letting it go.
    pub(super) fn settle_debt(&mut self, id: AccountId, from: DebtSource) -> Result<Reply, Refusal> {
        match from {
            DebtSource::Balance => self.staff()?,
            DebtSource::Adjustment => drop(self.two_people()?),
        }
        let account = self.rows.account(id).ok_or(Refusal::UnknownAccount(id))?.clone();
        let owed = account.debt.get();
        if owed <= 0 {
            return Err(Refusal::NoDebt(id));
        }
        let settled = match from {
            DebtSource::Adjustment => {
                self.post(debt_line(id, Book::Adjust, None, owed));
                owed
            }
            DebtSource::Balance => self.settle_from_balance(id, owed)?,
        };
        let debt = account.debt.minus(NanoCny::new(settled))?;
        Ok(self.put_account(Account { debt, ..account }))
    }

    fn settle_from_balance(&mut self, id: AccountId, owed: i64) -> Result<i64, Refusal> {
        let mut wallet = self.rows.wallet(id, &Asset::Cny);
        let available = wallet.available();
        let taken = self.void_free(&mut wallet, owed, |lot| lot.class == LotClass::Paid);
        if taken.is_empty() {
            return Err(Refusal::Insufficient { asset: Asset::Cny, available, required: owed });
        }
        let mut settled = 0;
        for (lot, part) in taken {
            settled += part;
            self.post(debt_line(id, Book::WalletPaid, Some(&lot), part));
            self.ops.push(RowOp::Lot(lot));
        }
        self.put_wallet(wallet);
        Ok(settled)
    }
}

fn debt_line(account: AccountId, debit: Book, lot: Option<&Lot>, amount: i64) -> Posting<'_> {
    Posting {
        kind: EntryKind::DebtSettled,
        debit,
        credit: Book::WalletDebt,
        asset: &Asset::Cny,
        amount,
        account: Some(account),
        lot: lot.map(|lot| lot.id.as_str()),
        hold: None,
        order: lot.and_then(|lot| lot.order),
    }
}
