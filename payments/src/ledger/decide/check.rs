//! Who may ask for it, and is what they say well-formed?

use units::AccountId;

use super::{Draft, Refusal};
use crate::ledger::{Account, Role};

/// Names and texts are at most this long, in characters.
const TEXT_MAX: usize = 200;

/// A field whose value will not do.
pub(super) fn invalid(field: &str, what: &str) -> Refusal {
    Refusal::Invalid { field: field.to_owned(), what: what.to_owned() }
}

/// A text people read: something, not endless, no control characters.
pub(super) fn text(field: &str, text: &str) -> Result<(), Refusal> {
    if text.trim().is_empty() {
        return Err(invalid(field, "it is empty"));
    }
    if text.chars().count() > TEXT_MAX {
        return Err(invalid(field, &format!("it is longer than {TEXT_MAX} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "it has control characters"));
    }
    Ok(())
}

/// A name that stands in keys: letters, digits, `-`, `_` and `.`.
pub(super) fn name(field: &str, name: &str) -> Result<(), Refusal> {
    text(field, name)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.chars().all(plain) {
        Ok(())
    } else {
        Err(invalid(field, "letters, digits, `-`, `_` and `.` only"))
    }
}

impl Draft<'_> {
    /// The account, if it may spend, and be given something.
    pub(super) fn active_account(&self, id: AccountId) -> Result<&Account, Refusal> {
        let account = self.open_account_row(id)?;
        if account.is_active() {
            Ok(account)
        } else {
            Err(Refusal::InDebt { account: id, debt: account.debt })
        }
    }

    /// The account, if it is neither stopped nor closed; it may be in debt.
    pub(super) fn open_account_row(&self, id: AccountId) -> Result<&Account, Refusal> {
        let account = self.unclosed_account(id)?;
        if account.stopped { Err(Refusal::AccountStopped(id)) } else { Ok(account) }
    }

    /// The account, if it is not closed.
    pub(super) fn unclosed_account(&self, id: AccountId) -> Result<&Account, Refusal> {
        let account = self.rows.account(id).ok_or(Refusal::UnknownAccount(id))?;
        if account.closed_at.is_some() { Err(Refusal::AccountClosed(id)) } else { Ok(account) }
    }

    /// Only people who run this, and this program itself.
    pub(super) fn staff(&self) -> Result<(), Refusal> {
        match self.command.actor.role {
            Role::Operator | Role::System => Ok(()),
            Role::Customer | Role::Channel => Err(Refusal::NeedsOperator),
        }
    }

    /// Staff, and they say why: the reason.
    pub(super) fn staff_with_reason(&self) -> Result<&str, Refusal> {
        self.staff()?;
        let reason = self.command.reason.as_deref().unwrap_or_default();
        if reason.trim().is_empty() { Err(Refusal::NeedsReason) } else { Ok(reason) }
    }

    /// A person, a reason, and another person who agrees: the reason.
    pub(super) fn two_people(&self) -> Result<&str, Refusal> {
        let asks = &self.command.actor;
        if asks.role != Role::Operator {
            return Err(Refusal::NeedsOperator);
        }
        let reason = self.staff_with_reason()?;
        let agrees = self.command.approver.as_ref();
        let second = agrees.is_some_and(|second| second.role == Role::Operator && second.id != asks.id);
        if second { Ok(reason) } else { Err(Refusal::NeedsApprover) }
    }

    /// Things that happen once have a key made of what they are, so that a second telling is known for one.
    pub(super) fn keyed_as(&self, key: &str) -> Result<(), Refusal> {
        if self.command.key == key { Ok(()) } else { Err(invalid("key", &format!("it must be `{key}`"))) }
    }
}
