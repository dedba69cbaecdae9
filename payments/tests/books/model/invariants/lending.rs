//! Temporary grants: 16.

use payments::ledger::{Asset, Body, Book, GrantCaps, GrantState};

use super::{holds, nano, sum};
use crate::model::world::World;

/// No more is lent than the order comes to and the policy allows; what is over is back or lost; and what we are owed is
/// what is lent, less what came back, was paid back and was written off.
pub fn n16_lending_is_bounded_and_ends(world: &World) -> Result<(), String> {
    if let Some(Body::OpenGrant { order, caps: GrantCaps { newcomer, returning, .. }, .. }) = world.done() {
        let (grant, row) = (world.rows.grant(*order), world.rows.order(*order));
        let (Some(grant), Some(row)) = (grant, row) else { return Err("lent on nothing".to_owned()) };
        let paid_before = world.before.standing(grant.account).has_paid;
        let cap = if paid_before { returning } else { newcomer };
        let most = nano(row.amount).min(i128::from(cap.get()));
        holds(i128::from(grant.amount.get()) <= most, || format!("{grant:?} of at most {most}"))?;
    }
    for grant in world.rows.grants() {
        let name = format!("temp:{}", grant.order.bare());
        let lot = world.rows.lot(&name).ok_or_else(|| format!("{grant:?} without {name}"))?;
        holds(lot.orig == grant.amount.get(), || format!("{grant:?} lies in {lot:?}"))?;
        let over = matches!(grant.state, GrantState::Converted | GrantState::WrittenOff);
        if over || grant.resolved_at.is_some() {
            holds(lot.rem == 0, || format!("{grant:?} left {lot:?}"))?;
        }
        let own = |line: &payments::ledger::Entry| line.order == Some(grant.order);
        let lent = sum(&world.journal, |line| own(line) && line.debit == Book::TempReceivable);
        let settled = sum(&world.journal, |line| own(line) && line.credit == Book::TempReceivable);
        let owed = if over { 0 } else { i128::from(lot.rem) + i128::from(lot.consumed) };
        holds(lent - settled == owed, || {
            format!("{} is owed by the books, {owed} by {lot:?}", lent - settled)
        })?;
    }
    // What no call is promised comes back when it is swept; asked under a key of before, it is answered as before.
    if world.said_before() {
        return Ok(());
    }
    if let Body::SweepGrant { order, account, granted: i64::MAX } = &world.last().command.body
        && let Some(grant) = world.rows.grant(*order).filter(|_| world.last().outcome.is_ok())
        && matches!(grant.state, GrantState::Revoked | GrantState::Expired)
    {
        let rem = world.rows.lot(&format!("temp:{}", order.bare())).map_or(0, |lot| lot.rem);
        let wallet = world.rows.wallet(*account, &Asset::Cny);
        holds(rem == 0 || wallet.posted == wallet.held, || {
            format!("{rem} of {grant:?} is left in {wallet:?}")
        })?;
    }
    Ok(())
}
