//! Calls: 5 to 8, 18, 20, 30.

use std::collections::HashMap;

use payments::ledger::{
    AccountRole, Asset, Body, Book, EntryKind, Hold, HoldState, LotClass, NewHold, SettleEnd,
};
use units::{AccountId, Rates};

use super::{holds, in_burn_order, is_cash, prefix, sum};
use crate::model::{
    cast::{DOLLARS, LIST, MAX_STALE, PAIR},
    world::World,
};

/// The hold that the last command ended, as it was and as it is.
fn ended(world: &World) -> Option<(&Hold, &Hold)> {
    let Some(Body::Settle { id, .. }) = world.done() else { return None };
    let (before, after) = (world.before.hold(*id)?, world.rows.hold(*id)?);
    (before.ended_at.is_none() && after.ended_at.is_some()).then_some((before, after))
}

fn is_house(world: &World, account: AccountId) -> bool {
    world.rows.account(account).is_some_and(|account| account.role == AccountRole::House)
}

/// A hold ends once; then all of it is free, and what was charged is what the journal says was taken.
pub fn n05_a_hold_ends_once_and_whole(world: &World) -> Result<(), String> {
    for old in world.before.holds().filter(|hold| hold.ended_at.is_some()) {
        let new = world.rows.hold(old.id);
        // Corrections and what its owner says too late stand beside what it was.
        let same =
            |new: &Hold| Hold { corrected: old.corrected.clone(), late: old.late, ..new.clone() } == *old;
        holds(new.is_some_and(same), || format!("{old:?} became {new:?}"))?;
    }
    if let Some((before, after)) = ended(world) {
        let amounts = std::iter::once((&Asset::Cny, before.money.get()));
        for (asset, amount) in amounts.chain(before.legs.iter().map(|leg| (&leg.asset, leg.milli))) {
            let held = |rows: &payments::ledger::Rows| rows.wallet(before.account, asset).held;
            let freed = held(&world.before) - held(&world.rows);
            holds(freed == amount, || format!("{freed} of {amount} {asset} were freed by {after:?}"))?;
        }
        let taken =
            |line: &payments::ledger::Entry| line.kind == EntryKind::Settle && line.hold == Some(after.id);
        let charged = sum(&world.journal, |line| taken(line) && is_cash(line));
        let tokens = sum(&world.journal, |line| taken(line) && !is_cash(line));
        let stands = (i128::from(after.cost.get()), i128::from(after.cost_tokens_milli));
        holds((charged, tokens) == stands, || format!("{charged} and {tokens} taken for {after:?}"))?;
    }
    Ok(())
}

/// A call costs no more than its hold, unless it was said that it may; and then no more than nobody else is promised.
pub fn n06_an_overrun_takes_only_what_is_free(world: &World) -> Result<(), String> {
    let Some((before, after)) = ended(world) else { return Ok(()) };
    if is_house(world, after.account) {
        return Ok(());
    }
    let Body::Settle { end, .. } = &world.last().command.body else { return Ok(()) };
    let extra = if let SettleEnd::Charge { extra, .. } = end { extra.get().max(0) } else { 0 };
    let wallet = world.before.wallet(after.account, &Asset::Cny);
    let beyond = i128::from(after.cost.get()) - i128::from(before.money.get());
    let free = i128::from(wallet.posted) - i128::from(wallet.held);
    holds(beyond <= 0 || (beyond <= i128::from(extra) && beyond <= free), || {
        format!("{beyond} beyond the hold, {extra} allowed, {free} free: {after:?}")
    })?;
    for leg in &before.legs {
        let used: i128 = after
            .used
            .iter()
            .filter(|part| part.asset == leg.asset)
            .map(|part| i128::from(part.amount))
            .sum();
        holds(used <= i128::from(leg.milli), || format!("{used} of {leg:?}"))?;
    }
    let lost = sum(world.lines(), |line| line.debit == Book::OverrunLoss);
    holds(lost == i128::from(after.overrun.get()), || format!("{lost} booked as lost of {after:?}"))
}

/// What a call takes is the first of what there is, in burn order.
pub fn n07_use_follows_the_burn_order(world: &World) -> Result<(), String> {
    let Some((_, after)) = ended(world) else { return Ok(()) };
    let mut assets: Vec<&Asset> = after.used.iter().map(|part| &part.asset).collect();
    assets.dedup();
    for asset in assets {
        let used: Vec<(&str, i64)> = after
            .used
            .iter()
            .filter(|part| part.asset == *asset)
            .map(|part| (part.lot.as_str(), part.amount))
            .collect();
        let ordered = in_burn_order(world.before.lots_of(after.account, asset));
        let whole = used.iter().map(|(_, amount)| amount).sum();
        let parts = prefix(&ordered, whole);
        let expected = ordered
            .iter()
            .zip(parts)
            .filter(|(_, part)| *part > 0)
            .map(|(lot, part)| (lot.id.as_str(), part));
        let expected: Vec<(&str, i64)> = expected.collect();
        holds(used == expected, || format!("{used:?} was used, first came {expected:?}"))?;
        for (lot, amount) in expected {
            let booked = sum(world.lines(), |line| {
                line.kind == EntryKind::Settle && line.lot.as_deref() == Some(lot) && line.asset == *asset
            });
            holds(booked == i128::from(amount), || format!("{booked} booked of {amount} out of {lot}"))?;
        }
    }
    Ok(())
}

/// As long as nothing but use touches an account's payments, and each is younger than the last, one at most is partly
/// used.
pub fn n08_one_payment_is_partly_used(world: &World) -> Result<(), String> {
    let mut youngest: HashMap<AccountId, Option<i64>> = HashMap::new();
    for line in world.journal.iter().filter(|line| is_cash(line)) {
        let Some(account) = line.account else { continue };
        let plain = youngest.entry(account).or_insert(Some(i64::MIN));
        match line.kind {
            EntryKind::PayCredit if line.credit == Book::WalletPaid => {
                let lot = line.lot.as_deref().and_then(|lot| world.rows.lot(lot));
                let paid = lot.map_or(i64::MIN, |lot| lot.created_at.0);
                *plain = plain.filter(|last| *last <= paid).map(|_| paid);
            }
            EntryKind::Settle
            | EntryKind::PayCredit
            | EntryKind::PromoGrant
            | EntryKind::BonusGrant
            | EntryKind::OverrunWriteoff
            | EntryKind::TokenRevenue
            | EntryKind::TempGrant
            | EntryKind::TempRevoke => {}
            _ => *plain = None,
        }
    }
    for (account, _) in youngest.into_iter().filter(|(_, plain)| plain.is_some()) {
        let partly: Vec<_> = world
            .rows
            .lots_of(account, &Asset::Cny)
            .filter(|lot| lot.class == LotClass::Paid && lot.rem > 0 && lot.consumed > 0)
            .collect();
        holds(partly.len() <= 1, || format!("{partly:?}"))?;
    }
    Ok(())
}

/// The cost of an ended call follows from its row alone: usage, frozen prices, weights.
pub fn n18_a_cost_is_recomputed_from_its_row(world: &World) -> Result<(), String> {
    let Some((_, hold)) = ended(world) else { return Ok(()) };
    let Some(usage) = hold.usage else {
        let nothing = hold.cost.get() == 0 && hold.overrun.get() == 0 && hold.used.is_empty();
        return holds(nothing && hold.state == HoldState::Released, || format!("{hold:?}"));
    };
    let classes = |rates: &Rates| [rates.input, rates.cached_input, rates.cache_write, rates.output];
    let mut counts =
        [usage.input, usage.cached_input, usage.cache_write, usage.output].map(|tokens| i128::from(tokens.0));
    let prompt = counts[0] + counts[1] + counts[2];
    let tier = hold
        .quote
        .tiers
        .iter()
        .filter(|tier| i128::from(tier.above.0) < prompt)
        .max_by_key(|tier| tier.above);
    let rates = classes(tier.map_or(&hold.quote.rates, |tier| &tier.prices));
    let mut burnt = 0;
    if !is_house(world, hold.account) {
        for leg in &hold.legs {
            let weights =
                [leg.weights.input, leg.weights.cached_input, leg.weights.cache_write, leg.weights.output];
            let mut left = i128::from(leg.milli);
            for (count, weight) in counts.iter_mut().zip(weights.map(i128::from)) {
                let covered = if weight == 0 { *count } else { (*count).min(left / weight) };
                *count -= covered;
                left -= covered * weight;
            }
            burnt += i128::from(leg.milli) - left;
        }
    }
    let money: i128 = counts.into_iter().zip(rates).map(|(count, rate)| count * i128::from(rate.get())).sum();
    let stands =
        (i128::from(hold.cost_tokens_milli), i128::from(hold.cost.get()) + i128::from(hold.overrun.get()));
    holds(stands == (burnt, money), || format!("{burnt} tokens and {money} by the row, charged was {hold:?}"))
}

/// A price in dollars is reckoned with a rate that was written down, was not too old, and came from somebody.
pub fn n20_a_foreign_price_names_its_rate(world: &World) -> Result<(), String> {
    let Some(Body::Hold(new)) = world.done() else { return Ok(()) };
    let Some(hold) = world.rows.hold(new.id).filter(|hold| hold.quote.price_version.starts_with(LIST)) else {
        return Ok(());
    };
    let id = hold.quote.fx_id.as_ref().ok_or_else(|| format!("no rate in {:?}", hold.quote))?;
    let rate = world.rates.iter().find(|rate| rate.id == *id && rate.pair == PAIR);
    let rate = rate.ok_or_else(|| format!("nobody wrote down {id}"))?;
    // Somebody said so: no rate is ours by default.
    let said = world.log.iter().filter(|said| said.outcome.is_ok()).any(|said| match &said.command.body {
        Body::AcceptRate(given) => {
            !rate.pinned && given.rate_micro == rate.rate_micro && given.fetched_at == rate.fetched_at
        }
        Body::PinRate { rate_micro, until, .. } => {
            rate.pinned && *rate_micro == rate.rate_micro && *until == rate.until
        }
        _ => false,
    });
    holds(said, || format!("nobody gave {rate:?}"))?;
    let at = hold.opened_at.0;
    let fresh = if rate.pinned {
        rate.until.is_none_or(|until| at <= until.0)
    } else {
        at - rate.fetched_at.0 <= MAX_STALE
    };
    holds(fresh, || format!("{rate:?} was too old at {at}"))?;
    let rates = hold.quote.rates;
    for (dollars, rate_of) in
        DOLLARS.into_iter().zip([rates.input, rates.cached_input, rates.cache_write, rates.output])
    {
        // Fen per million, half up, then ten nano-yuan a token for each.
        let exact = i128::from(dollars) * i128::from(rate.rate_micro);
        let fen = (exact + 5_000_000_000) / 10_000_000_000;
        holds(i128::from(rate_of.get()) == fen.max(1) * 10, || {
            format!("{dollars} at {} is {fen} fen per million, quoted was {rate_of:?}", rate.rate_micro)
        })?;
    }
    Ok(())
}

/// What is set aside was there, and within every budget.
pub fn n30_no_more_is_admitted_than_there_is(world: &World) -> Result<(), String> {
    let id = match world.done() {
        Some(Body::Hold(NewHold { id, .. }) | Body::Extend { id, .. }) => *id,
        _ => return Ok(()),
    };
    let (old, Some(new)) = (world.before.hold(id), world.rows.hold(id)) else { return Ok(()) };
    let more = i128::from(new.money.get()) - old.map_or(0, |old| i128::from(old.money.get()));
    let legs = new.legs.iter().filter(|_| old.is_none()).map(|leg| (&leg.asset, i128::from(leg.milli)));
    for (asset, amount) in std::iter::once((&Asset::Cny, more)).chain(legs) {
        let wallet = world.before.wallet(new.account, asset);
        let free = i128::from(wallet.posted) - i128::from(wallet.held);
        holds(amount <= free.max(0), || format!("{amount} of {free} {asset} by {new:?}"))?;
    }
    for share in &new.budgets {
        let budget =
            world.rows.budgets_of(new.account, share.key).find(|budget| budget.period == share.period);
        let Some(budget) = budget else { return Err(format!("no budget for {share:?}")) };
        let tallies = [Some(&budget.now), budget.past.as_ref()].into_iter().flatten();
        let Some(tally) = tallies.into_iter().find(|tally| tally.window == share.window) else { continue };
        let counted = i128::from(tally.spent.get()) + i128::from(tally.reserved.get());
        let fine = more == 0 || budget.limit.is_none_or(|limit| counted <= i128::from(limit.get()));
        holds(fine, || format!("{counted} counted against {budget:?}"))?;
    }
    Ok(())
}
