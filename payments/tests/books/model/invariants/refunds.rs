//! Refunds: 11, 12, 15, 17.

use payments::ledger::{Asset, Body, Book, Command, Entry, EntryKind, Lot, LotClass, RefundItem, Rows};
use units::{AccountId, OrderId};

use super::{holds, in_burn_order, nano, prefix, sum};
use crate::model::world::World;

const YEAR: i64 = 365 * 86_400 * 1_000_000;

/// MONEY.md 5.4: what of each payment could go back, in fen.
fn caps(rows: &Rows, account: AccountId, asset: &Asset, command: &Command) -> Vec<(OrderId, i128)> {
    let ordered = in_burn_order(rows.lots_of(account, asset));
    let pledged = prefix(&ordered, rows.wallet(account, asset).held);
    let cap = |(lot, pledge): (&Lot, i64)| {
        let free = i128::from(lot.rem) - i128::from(pledge);
        let (paid, back) = (i128::from(lot.paid_fen.get()), i128::from(lot.refunded_fen.get()));
        let worth = match lot.class {
            LotClass::Paid => free / 10_000_000,
            LotClass::Tokens => paid * free / i128::from(lot.orig),
            _ => return None,
        };
        // So much of the payment earns what was used of its bonus; a bonus that is used up is no live lot.
        let bonus = lot.order.and_then(|order| rows.lot(&format!("bonus:{}", order.bare())));
        let earning = bonus.map_or(0, |bonus| {
            let (used, given) = (i128::from(bonus.consumed), i128::from(bonus.orig));
            (used * paid + given - 1) / given
        });
        let young = command.at.0 - lot.created_at.0 < YEAR && lot.refunds < 50;
        let cap = worth.min(paid - back - earning);
        Some((lot.order?, cap)).filter(|_| young && cap > 0)
    };
    ordered.into_iter().zip(pledged).filter_map(cap).collect()
}

/// The parts of a refund sum to it, none is more than its payment has, each is within a fen of its share, and all is all.
pub fn n11_a_refund_is_split_in_proportion(world: &World) -> Result<(), String> {
    let Some(Body::RequestRefund { batch, account, asset, amount, granted, order, .. }) = world.done() else {
        return Ok(());
    };
    let caps = caps(&world.before, *account, asset, &world.last().command);
    let caps: Vec<_> = caps.into_iter().filter(|(of, _)| order.is_none_or(|order| order == *of)).collect();
    let whole: i128 = caps.iter().map(|(_, cap)| cap).sum();
    let items: Vec<&RefundItem> = world.rows.items_of(*batch).collect();
    let given: i128 = items.iter().map(|item| i128::from(item.amount.get())).sum();
    let row = world.rows.batches().find(|row| row.id == *batch).ok_or("a refund without its row")?;
    let wished =
        amount.map_or(if *granted == i64::MAX { whole } else { given }, |amount| i128::from(amount.get()));
    let exact = given == wished && given == i128::from(row.amount.get()) && given > 0;
    holds(exact, || format!("{given} fen are given of {wished} wished, {whole} there are: {row:?}"))?;
    for (of, cap) in &caps {
        let got = items.iter().find(|item| item.order == *of).map_or(0, |item| i128::from(item.amount.get()));
        let off = (got * whole - given * cap).abs();
        holds(got <= *cap && off < whole, || {
            format!("{got} fen of {cap} in a refund of {given} of {whole}: {of}")
        })?;
    }
    holds(items.iter().all(|item| caps.iter().any(|(of, _)| *of == item.order)), || format!("{items:?}"))
}

/// What leaves with a refund is what nobody was promised.
pub fn n12_a_refund_leaves_the_pledges(world: &World) -> Result<(), String> {
    let (account, asset) = match world.done() {
        Some(Body::RequestRefund { account, asset, .. }) => (*account, asset),
        Some(Body::ManualPayout(paid)) => (paid.account, &paid.asset),
        Some(Body::ExtRefund(found)) => (found.account, &found.asset),
        _ => return Ok(()),
    };
    let (before, after) = (world.before.wallet(account, asset), world.rows.wallet(account, asset));
    holds(after.held == before.held && after.posted >= after.held, || format!("{before:?} became {after:?}"))
}

/// What is asked of WeChat Pay under one number never changes. (That one of a wallet is under way at a time and that
/// they keep their distance is the worker's: see `orders`.)
pub fn n15_a_refund_number_has_one_payload(world: &World) -> Result<(), String> {
    for old in world.before.items() {
        let new = world.rows.items().find(|item| item.id == old.id).ok_or("a refund item is gone")?;
        let payload = |item: &RefundItem| {
            (
                item.batch,
                item.account,
                item.order,
                item.amount,
                item.units,
                item.lot.clone(),
                item.lines.clone(),
                item.payment.clone(),
            )
        };
        holds(payload(old) == payload(new), || format!("{old:?} became {new:?}"))?;
    }
    // Sent again only where it is known not to have arrived.
    if let Some(Body::RefundSending { item, .. }) = world.done() {
        let ready = world
            .before
            .items()
            .find(|row| row.id == *item)
            .is_some_and(|row| matches!(row.state.as_str(), "queued" | "wait" | "unknown"));
        holds(ready, || format!("{item} was sent twice"))?;
    }
    Ok(())
}

/// No gift is paid out, and of a bonus no more is left and used than its payment earns, refunds under way counted; what
/// was used beyond that, before the bill told of a refund, is owed once the refund is a fact.
pub fn n17_gifts_never_leave_as_cash(world: &World) -> Result<(), String> {
    for line in world.lines().iter().filter(|line| matches!(line.credit, Book::WechatClearing | Book::Payout))
    {
        let gift =
            matches!(line.debit, Book::WalletPromo | Book::WalletBonus | Book::WalletTemp | Book::PromoCost);
        let lot = line.lot.as_deref().and_then(|lot| world.rows.lot(lot));
        let bought = lot.is_none_or(|lot| matches!(lot.class, LotClass::Paid | LotClass::Tokens));
        holds(!gift && bought, || format!("a gift leaves as cash: {line:?}"))?;
    }
    for bonus in world.rows.lots().filter(|lot| lot.class == LotClass::Bonus) {
        let payment = |rows: &'_ Rows| {
            bonus.order.and_then(|order| rows.lot(&format!("pay:{}", order.bare()))).cloned()
        };
        let (Some(now), before) = (payment(&world.rows), payment(&world.before)) else { continue };
        // Each is brought in line when its payment changes; what open holds were promised, the sweep sees to after them.
        let asked = match world.done() {
            Some(Body::SweepBonus { order, .. }) => Some(*order) == bonus.order,
            _ => before.is_some_and(|before| before.refunded_fen != now.refunded_fen),
        };
        if asked {
            within_its_share(world, bonus, &now)?;
        }
    }
    Ok(())
}

fn within_its_share(world: &World, bonus: &Lot, payment: &Lot) -> Result<(), String> {
    let own = |line: &&Entry| line.lot.as_deref() == Some(bonus.id.as_str());
    let lines = || world.journal.iter().filter(own);
    let spent = sum(lines(), |line| line.kind == EntryKind::Settle)
        - sum(lines(), |line| line.kind == EntryKind::ChargeCorrection && line.credit == Book::WalletBonus);
    let owed_back = sum(lines(), |line| line.kind == EntryKind::BonusOwed && line.debit == Book::WalletDebt);
    let (used, kept) = (spent - owed_back, i128::from(bonus.rem));
    let (paid, back) = (nano(payment.paid_fen), nano(payment.refunded_fen));
    let share = |back: i128| i128::from(bonus.orig) * (paid - back) / paid;
    let (under_way, arrived) = (share(back), share(back - i128::from(payment.refunding)));
    let ours = matches!(world.done(), Some(Body::RequestRefund { .. } | Body::ManualPayout(_)));
    let wallet = world.rows.wallet(bonus.account, &bonus.asset);
    let promised = !ours && wallet.posted == wallet.held;
    // What a refund under way has overtaken is not owed while it may still not happen.
    let fine = used == i128::from(bonus.consumed)
        && used <= arrived
        && (used + kept <= under_way || (!ours && kept == 0) || promised);
    holds(fine, || {
        format!(
            "{spent} spent, {owed_back} of it owed, {kept} kept of a share of {under_way}, {arrived} by what arrived: {bonus:?} of {payment:?}, {wallet:?}"
        )
    })
}
