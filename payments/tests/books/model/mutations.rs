//! No check is blind: for each invariant a mistake that it must notice, made between the core's decision and the rows.

use payments::{
    ledger::{
        Body, Book, Command, Entry, EntryKind, HoldState, LotClass, RefundItem, RefundItemState, Reply,
        RowOp, Rows, Wallet,
    },
    store::Applied,
};
use units::{Fen, NanoCny};

/// A mistake, named after the number of the invariant that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// 1: one of a decision's lines is lost.
    DropsLine,
    /// 2: a lot has used more than it gave.
    LotGrows,
    /// 3: a balance is one more than its lots.
    BalanceDrifts,
    /// 4: less than nothing is held.
    HeldBelowZero,
    /// 5: the end of a call leaves something held.
    HoldLeaks,
    /// 6: an overrun is charged where it is not payable.
    OverrunCharged,
    /// 7: what comes first in burn order is used last.
    BurnsBackwards,
    /// 8: a call is spread over two payments.
    SpreadsUse,
    /// 9: a second notification credits again.
    CreditsTwice,
    /// 10: more is credited than was paid.
    CreditsMore,
    /// 11: a refund's parts are more than the whole.
    RefundUneven,
    /// 12: a refund takes what calls are promised.
    SkipsPledge,
    /// 13: a refund is booked with less than it takes.
    CashLost,
    /// 14: a refund pays out what was used.
    RefundsUsed,
    /// 15: a refund's amount changes when it is sent.
    PayloadChanges,
    /// 16: more is lent than the order comes to.
    LendsMore,
    /// 17: a bonus outlives its payment.
    KeepsBonus,
    /// 17: what was used of a bonus beyond its share is not owed.
    ForgivesBonus,
    /// 18: a cost is rounded up.
    CostRounded,
    /// 19: what a closed account leaves is booked twice.
    DustTwice,
    /// 20: a price in dollars forgets its rate.
    RateForgotten,
    /// 21: keys are not remembered.
    ForgetsKeys,
    /// 22: a refusal leaves a row.
    RefusalWrites,
    /// 25: a balance is written that nobody looked up.
    WritesUnseen,
    /// 26: a line of the journal is numbered twice.
    NumbersTwice,
    /// 27: a balance is cut to 32 bits.
    Wraps,
    /// 28: an end is not one.
    EndMoves,
    /// 29: a fee of the bill is not booked.
    FeeLost,
    /// 30: a call is admitted on more than there is.
    AdmitsMore,
}

/// The first entry that `fits`, to be changed.
fn entry(ops: &mut [RowOp], fits: impl Fn(&Entry) -> bool) -> Option<&mut Entry> {
    ops.iter_mut().find_map(|op| match op {
        RowOp::Entry(entry) if fits(entry) => Some(entry),
        _ => None,
    })
}

macro_rules! row {
    ($ops:expr, $kind:ident, $fits:expr) => {
        $ops.iter_mut().find_map(|op| match op {
            RowOp::$kind(row) if ($fits)(&*row) => Some(row),
            _ => None,
        })
    };
}

/// The first balance, whether or not a row of it is written.
fn balance(ops: &mut [RowOp]) -> Option<&mut Wallet> {
    ops.iter_mut().find_map(|op| match op {
        RowOp::Wallet(row) | RowOp::Held(row) => Some(row),
        _ => None,
    })
}

/// Makes the mistake where there is an occasion; true if there was one.
pub fn tamper(mutation: Mutation, before: &Rows, command: &Command, applied: &mut Applied) -> bool {
    tampered(mutation, before, command, applied).is_some()
}

fn tampered(mutation: Mutation, before: &Rows, command: &Command, applied: &mut Applied) -> Option<()> {
    let Applied { outcome, ops, .. } = applied;
    let settles = matches!(command.body, Body::Settle { .. });
    let refunds = matches!(command.body, Body::RequestRefund { .. });
    match mutation {
        Mutation::DropsLine => {
            let place = ops
                .iter()
                .position(|op| matches!(op, RowOp::Entry(entry) if entry.kind == EntryKind::Settle))?;
            ops.remove(place);
        }
        Mutation::LotGrows => row!(ops, Lot, |lot: &payments::ledger::Lot| lot.consumed > 0)?.consumed += 1,
        Mutation::BalanceDrifts => row!(ops, Wallet, |_: &_| true)?.posted += 1,
        Mutation::HeldBelowZero => balance(ops).filter(|_| settles)?.held = -1,
        Mutation::HoldLeaks => balance(ops).filter(|_| settles)?.held += 1,
        Mutation::OverrunCharged => {
            let hold = row!(ops, Hold, |hold: &payments::ledger::Hold| hold.overrun.get() > 0)?;
            hold.cost = hold.cost.plus(hold.overrun).ok()?;
        }
        Mutation::BurnsBackwards => {
            row!(ops, Hold, |hold: &payments::ledger::Hold| settles && hold.used.len() > 1)?.used.reverse()
        }
        Mutation::SpreadsUse => {
            let lot = row!(ops, Lot, |lot: &payments::ledger::Lot| {
                settles && lot.class == LotClass::Paid && lot.consumed > 1 && lot.rem > 0
            })?;
            let other = before.lots_of(lot.account, &lot.asset).find(|other| {
                other.class == LotClass::Paid && other.id != lot.id && other.rem > 1 && other.consumed == 0
            })?;
            let mut other = other.clone();
            (lot.consumed, lot.rem) = (lot.consumed - 1, lot.rem + 1);
            (other.consumed, other.rem) = (1, other.rem - 1);
            ops.push(RowOp::Lot(other));
        }
        Mutation::CreditsTwice => {
            let Body::OrderPaid { order, account, .. } = &command.body else { return None };
            let (order, true) = (before.order(*order)?, ops.is_empty()) else { return None };
            order.state.is_paid().then_some(())?;
            let line = Entry {
                tx: command.key.clone(),
                kind: EntryKind::PayCredit,
                debit: Book::WechatClearing,
                credit: Book::WalletPaid,
                asset: payments::ledger::Asset::Cny,
                amount: NanoCny::from(order.amount).get(),
                account: Some(*account),
                lot: order.lot.clone(),
                hold: None,
                order: Some(order.id),
                at: command.at,
                n: 0,
                balance: 0,
            };
            ops.push(RowOp::Entry(line));
        }
        Mutation::CreditsMore => entry(ops, |line| line.kind == EntryKind::PayCredit)?.amount += 10_000_000,
        Mutation::RefundUneven => {
            let item = row!(ops, Item, |_: &_| refunds)?;
            item.amount = item.amount.plus(Fen::new(1).ok()?).ok()?;
        }
        Mutation::SkipsPledge => {
            let wallet = row!(ops, Wallet, |wallet: &Wallet| refunds && wallet.held > 0)?;
            wallet.posted = wallet.held - 1;
        }
        Mutation::CashLost => {
            entry(ops, |line| line.kind == EntryKind::RefundDone && line.debit == Book::WalletRefunding)?
                .amount -= 1;
        }
        Mutation::RefundsUsed => {
            let line = entry(ops, |line| line.kind == EntryKind::RefundDone && line.lot.is_some())?;
            line.amount = line.amount.checked_mul(1_000)?;
        }
        Mutation::PayloadChanges => {
            let item = row!(ops, Item, |item: &RefundItem| item.state == RefundItemState::Sent)?;
            item.amount = item.amount.plus(Fen::new(1).ok()?).ok()?;
        }
        Mutation::LendsMore => {
            let grant = row!(ops, Grant, |_: &_| matches!(command.body, Body::OpenGrant { .. }))?;
            grant.amount = grant.amount.plus(NanoCny::from_yuan(6)).ok()?;
        }
        Mutation::KeepsBonus => {
            let frozen = |op: &RowOp| matches!(op, RowOp::Lot(lot) if lot.class == LotClass::Bonus);
            let place = ops.iter().position(frozen).filter(|_| refunds)?;
            ops.remove(place);
        }
        Mutation::ForgivesBonus => {
            let owed = |op: &RowOp| matches!(op, RowOp::Entry(line) if line.kind == EntryKind::BonusOwed);
            let place = ops.iter().position(owed)?;
            ops.remove(place);
            let bonus = row!(ops, Lot, |lot: &payments::ledger::Lot| lot.class == LotClass::Bonus)?;
            *bonus = before.lot(&bonus.id)?.clone();
        }
        Mutation::CostRounded => {
            let hold = row!(ops, Hold, |hold: &payments::ledger::Hold| settles && hold.usage.is_some())?;
            hold.cost = hold.cost.plus(NanoCny::new(1)).ok()?;
        }
        Mutation::DustTwice => {
            let dust = entry(ops, |line| line.kind == EntryKind::CloseOut && line.debit == Book::WalletPaid)?
                .clone();
            ops.push(RowOp::Entry(dust));
        }
        Mutation::RateForgotten => {
            let new = matches!(command.body, Body::Hold(_));
            row!(ops, Hold, |hold: &payments::ledger::Hold| new && hold.quote.fx_id.is_some())?.quote.fx_id =
                None;
        }
        // The runner's own.
        Mutation::ForgetsKeys => return None,
        Mutation::RefusalWrites => {
            outcome.as_ref().err()?;
            let mut wallets: Vec<_> = before.wallets().collect();
            wallets.sort_by_key(|wallet| (wallet.account, wallet.asset.clone()));
            let wallet = (*wallets.first()?).clone();
            ops.push(RowOp::Wallet(Wallet { lines: wallet.lines + 1, ..wallet }));
        }
        Mutation::WritesUnseen => {
            let mut needs = payments::ledger::Needs::default();
            command.needs(&mut needs);
            let mut wallets: Vec<_> = before.wallets().collect();
            wallets.sort_by_key(|wallet| (wallet.account, wallet.asset.clone()));
            wallets.retain(|wallet| !needs.wallets.contains_key(&(wallet.account, wallet.asset.clone())));
            ops.push(RowOp::Wallet((*wallets.first()?).clone()));
        }
        Mutation::NumbersTwice => entry(ops, |line| line.account.is_some() && line.n > 1)?.n -= 1,
        Mutation::Wraps => {
            let wallet = row!(ops, Wallet, |wallet: &Wallet| wallet.posted > i64::from(u32::MAX))?;
            wallet.posted &= i64::from(u32::MAX);
        }
        Mutation::EndMoves => {
            let Ok(Reply::Item(item)) = &*outcome else { return None };
            (ops.is_empty() && item.state.is_end()).then_some(())?;
            let state = RefundItemState::Processing;
            ops.push(RowOp::Item(RefundItem { state, ..(**item).clone() }));
        }
        Mutation::FeeLost => {
            let place =
                ops.iter().position(|op| matches!(op, RowOp::Entry(line) if line.kind == EntryKind::Fee))?;
            ops.remove(place);
        }
        Mutation::AdmitsMore => {
            let hold = row!(ops, Hold, |hold: &payments::ledger::Hold| {
                matches!(command.body, Body::Hold(_)) && hold.state == HoldState::Open && hold.money.get() > 0
            })?;
            hold.money = hold.money.plus(NanoCny::from_yuan(1_000)).ok()?;
        }
    }
    Some(())
}
