//! What a store must have looked up: 25.

use payments::ledger::{Needs, RowOp};

use super::holds;
use crate::model::world::World;

/// A store has the rows that a command names, and others perhaps from before: memory has all of them. So what a command
/// changes it must have named, or the books would come out otherwise where nothing was kept.
pub fn n25_what_is_changed_was_named(world: &World) -> Result<(), String> {
    let mut needs = Needs::default();
    world.last().command.needs(&mut needs);
    let unnamed = world.last().ops.iter().find(|op| !is_named(&needs, world, op));
    holds(unnamed.is_none(), || format!("it was not looked up: {unnamed:?}"))
}

fn is_named(needs: &Needs, world: &World, op: &RowOp) -> bool {
    let whole = |account| needs.whole.contains(account);
    match op {
        RowOp::Account(row) => needs.accounts.contains(&row.id),
        RowOp::Key(row) => needs.keys.contains(&row.id),
        RowOp::Wallet(row) | RowOp::Held(row) => {
            needs.wallets.contains_key(&(row.account, row.asset.clone())) || whole(&row.account)
        }
        RowOp::Lot(row) => {
            let of_refund =
                |batch| world.before.items_of(batch).any(|item| item.lot.as_ref() == Some(&row.id));
            let live = needs.wallets.get(&(row.account, row.asset.clone())) == Some(&true);
            let was = world.before.lot(&row.id);
            // One that is new cannot be there, by its name.
            was.is_none_or(|was| live && was.rem > 0)
                || needs.lots.contains(&row.id)
                || whole(&row.account)
                || needs.batches.iter().any(|batch| of_refund(*batch))
        }
        RowOp::Hold(row) => needs.holds.contains(&row.id),
        RowOp::Order(row) => needs.orders.contains(&row.id),
        RowOp::Notice(row) => needs.notices.contains(&row.id),
        RowOp::Gate(row) => needs.gates.contains(&payments::ledger::Gate::name(row.scope, &row.id)),
        RowOp::Batch(row) => needs.batches.contains(&row.id),
        RowOp::Item(row) => needs.batches.contains(&row.batch),
        RowOp::Terms(row) => needs.terms.contains(&row.id),
        RowOp::Budget(row) => needs.budgets.contains(&(row.account, row.key)),
        RowOp::Grant(row) => needs.orders.contains(&row.order),
        RowOp::Standing(row) => needs.standings.contains(&row.account),
        RowOp::Code(row) => needs.codes.contains(&row.terms.digest),
        RowOp::Package(row) => needs.packages.contains(&(row.offer.id.clone(), row.offer.version)),
        RowOp::Suspense(row) => needs.suspense.contains(&row.transaction_id),
        RowOp::PriceList(row) => needs.price_lists.contains(&row.name),
        RowOp::PriceAssignment(row) => needs.price_assignments.contains(&row.account),
        RowOp::FxPair(row) => needs.fx_pairs.contains(&row.pair),
        RowOp::BillDay(row) => needs.bill_days.contains(&(row.mchid.clone(), row.day.clone())),
        RowOp::Difference(row) => needs.bill_days.contains(&(row.mchid.clone(), row.day.clone())),
        // Only ever one more, or one less that the pair's row knows of.
        RowOp::PriceVersion(_) | RowOp::FxRate(_) | RowOp::FxGone { .. } | RowOp::Entry(_) => true,
    }
}
