//! Payments of orders: 9 and 10. That their news may come in any order is shown in `any_order`.

use std::collections::HashMap;

use payments::ledger::{Body, EntryKind, OrderState, OrderStep, Reply, SuspenseState};
use units::OrderId;

use super::{holds, nano};
use crate::model::world::World;

/// An order has one credit, a payment is credited to one order, and what was put aside is credited nowhere else.
pub fn n09_a_payment_is_credited_once(world: &World) -> Result<(), String> {
    let mut credits: HashMap<OrderId, usize> = HashMap::new();
    for line in world.journal.iter().filter(|line| line.kind == EntryKind::PayCredit) {
        *credits.entry(line.order.ok_or_else(|| format!("a credit of no order: {line:?}"))?).or_default() +=
            1;
    }
    let mut owners = HashMap::new();
    for order in world.rows.orders() {
        let paid =
            matches!(order.state, OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded);
        let times = credits.get(&order.id).copied().unwrap_or(0);
        holds(times == usize::from(paid), || format!("{times} credits of {order:?}"))?;
        let Some(number) = &order.transaction_id else { continue };
        let other = owners.insert(number, order.id);
        holds(other.is_none(), || format!("{number} pays {} and {other:?}", order.id))?;
        let aside = world.rows.suspense(number);
        let fine =
            aside.is_none_or(|payment| payment.state == SuspenseState::Credited && payment.order == order.id);
        holds(fine, || format!("credited to {} and put aside: {aside:?}", order.id))?;
    }
    Ok(())
}

/// What is credited is what was ordered, and what the news said was paid.
pub fn n10_what_is_credited_was_ordered_and_paid(world: &World) -> Result<(), String> {
    let credited = match &world.last().outcome {
        Ok(Reply::Order { order, step: OrderStep::Credited }) if !world.said_before() => order.id,
        _ => return Ok(()),
    };
    let order = world.rows.order(credited).ok_or("an order that is not there was credited")?;
    let lines: Vec<_> = world.lines().iter().filter(|line| line.kind == EntryKind::PayCredit).collect();
    let [line] = lines[..] else { return Err(format!("{} credits at once", lines.len())) };
    // News in another currency tells of nothing that could be booked.
    let told = world.log.iter().find_map(|said| match &said.command.body {
        Body::OrderPaid { transaction_id, total, order, currency, .. }
            if *order == credited
                && currency.as_deref().is_none_or(|currency| currency == "CNY")
                && Some(transaction_id) == world.rows.order(credited)?.transaction_id.as_ref() =>
        {
            Some(nano(*total)).filter(|_| said.outcome.is_ok())
        }
        _ => None,
    });
    let figures = (i128::from(line.amount), nano(order.amount), told);
    let fine = figures.0 == figures.1 && told == Some(figures.0) && line.order == Some(credited);
    holds(fine, || format!("credited, ordered, told: {figures:?}"))
}
