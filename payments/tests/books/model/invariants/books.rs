//! The books in themselves: 1 to 4, 13, 14, 19, 26, 27.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use payments::ledger::{Asset, Body, Book, Entry, EntryKind, LotClass, Refusal};
use units::AccountId;

use super::{holds, is_cash, nano, sum};
use crate::model::world::World;

/// The books that say what customers have, in rows as well: the rest are ours alone.
fn is_customers(book: Book) -> bool {
    matches!(
        book,
        Book::WalletPaid
            | Book::WalletPromo
            | Book::WalletBonus
            | Book::WalletTokens
            | Book::WalletTemp
            | Book::WalletRefunding
            | Book::WalletDebt
    )
}

/// Every line takes a positive amount from one book to another of the same asset, and what our own books have given in
/// all is what the customers' rows have.
pub fn n01_debits_equal_credits(world: &World) -> Result<(), String> {
    if let Err(Refusal::DoesNotAddUp(what)) = &world.last().outcome {
        return Err(what.clone());
    }
    for line in world.lines() {
        let of_tokens = |book| matches!(book, Book::WalletTokens | Book::TokenIssue);
        let of_either = |book| of_tokens(book) || matches!(book, Book::WalletRefunding | Book::Adjust);
        let fits = if is_cash(line) {
            !of_tokens(line.debit) && !of_tokens(line.credit)
        } else {
            of_either(line.debit) && of_either(line.credit)
        };
        holds(line.amount > 0 && line.debit != line.credit && fits, || format!("{line:?}"))?;
    }
    let mut given: BTreeMap<&Asset, i128> = BTreeMap::new();
    for line in &world.journal {
        let net = i128::from(!is_customers(line.debit)) - i128::from(!is_customers(line.credit));
        *given.entry(&line.asset).or_default() += net * i128::from(line.amount);
    }
    let debtors: BTreeSet<AccountId> = world.rows.wallets().map(|wallet| wallet.account).collect();
    let debtors = debtors.into_iter().filter_map(|id| world.rows.account(id));
    let owed: i128 = debtors.map(|account| i128::from(account.debt.get())).sum();
    for (asset, given) in given {
        let lots = world.rows.lots().filter(|lot| lot.asset == *asset);
        let have: i128 = lots.map(|lot| i128::from(lot.rem) + i128::from(lot.refunding)).sum();
        let have = if *asset == Asset::Cny { have - owed } else { have };
        holds(given == have, || format!("our books gave {given} of {asset}, customers have {have}"))?;
    }
    Ok(())
}

/// What came in with a lot is what is left of it and where the rest went; the journal says the same of what is left.
pub fn n02_lots_add_up(world: &World) -> Result<(), String> {
    let mut left: HashMap<(&str, &Asset), (i128, i128)> = HashMap::new();
    for line in &world.journal {
        let Some(lot) = &line.lot else { continue };
        let (rem, refunding) = left.entry((lot, &line.asset)).or_default();
        for (book, sign) in [(line.credit, 1), (line.debit, -1)] {
            let amount = sign * i128::from(line.amount);
            match book {
                Book::WalletRefunding => *refunding += amount,
                Book::WalletDebt => {}
                book if is_customers(book) => *rem += amount,
                _ => {}
            }
        }
    }
    for lot in world.rows.lots() {
        let parts = [lot.rem, lot.consumed, lot.refunding, lot.refunded, lot.expired, lot.voided];
        let whole: i128 = parts.into_iter().map(i128::from).sum();
        holds(whole == i128::from(lot.orig) && parts.iter().all(|part| *part >= 0), || format!("{lot:?}"))?;
        let said = left.get(&(lot.id.as_str(), &lot.asset)).copied().unwrap_or_default();
        let stands = (i128::from(lot.rem), i128::from(lot.refunding));
        holds(said == stands, || format!("the journal leaves {said:?} of {lot:?}"))?;
    }
    Ok(())
}

/// A balance is the sum of its lots, what is held of it the sum of the holds that have not ended.
pub fn n03_balances_are_their_lots_and_holds(world: &World) -> Result<(), String> {
    for wallet in world.rows.wallets() {
        let own = |account, asset: &Asset| account == wallet.account && *asset == wallet.asset;
        let lots: i128 =
            world.rows.lots().filter(|lot| own(lot.account, &lot.asset)).map(|lot| i128::from(lot.rem)).sum();
        let mut held = 0;
        for hold in
            world.rows.holds().filter(|hold| hold.account == wallet.account && hold.ended_at.is_none())
        {
            held += if wallet.asset == Asset::Cny { i128::from(hold.money.get()) } else { 0 };
            let legs = hold.legs.iter().filter(|leg| leg.asset == wallet.asset);
            held += legs.map(|leg| i128::from(leg.milli)).sum::<i128>();
        }
        let stands = (i128::from(wallet.posted), i128::from(wallet.held));
        holds(stands == (lots, held), || format!("{wallet:?} has lots of {lots}, holds of {held}"))?;
    }
    Ok(())
}

/// No more is held than there is, and no figure of any row is below zero.
pub fn n04_nothing_is_negative(world: &World) -> Result<(), String> {
    let rows = &world.rows;
    for wallet in rows.wallets() {
        holds(wallet.held >= 0 && wallet.posted >= wallet.held, || format!("{wallet:?}"))?;
    }
    for lot in rows.lots() {
        let fine = lot.paid_fen >= lot.refunded_fen && lot.refunds >= 0;
        holds(fine, || format!("{lot:?}"))?;
    }
    for hold in rows.holds() {
        let figures = [hold.money.get(), hold.cost.get(), hold.cost_tokens_milli, hold.overrun.get()];
        let parts = hold.legs.iter().map(|leg| leg.milli).chain(hold.used.iter().map(|part| part.amount));
        holds(figures.into_iter().chain(parts).all(|figure| figure >= 0), || format!("{hold:?}"))?;
    }
    for budget in rows.budgets() {
        let tallies = [Some(&budget.now), budget.past.as_ref()].into_iter().flatten();
        let mut figures = tallies.flat_map(|tally| [tally.spent.get(), tally.reserved.get()]);
        holds(figures.all(|figure| figure >= 0), || format!("{budget:?}"))?;
    }
    for grant in rows.grants() {
        holds(grant.amount.get() > 0 && grant.used.get() >= 0, || format!("{grant:?}"))?;
    }
    for order in rows.orders() {
        let debt = rows.account(order.account).map_or(0, |account| account.debt.get());
        holds(order.refunded <= order.amount && order.bonus.get() >= 0 && debt >= 0, || {
            format!("{order:?}")
        })?;
    }
    Ok(())
}

/// What was paid for a customer's yuan and did not go back is what is left of it, on its way back, or used.
pub fn n13_cash_is_what_is_left_and_used(world: &World) -> Result<(), String> {
    use EntryKind as K;
    let mut cash: HashMap<AccountId, i128> = HashMap::new();
    for line in world.journal.iter().filter(|line| is_cash(line)) {
        let Some(account) = line.account else { continue };
        let paid = |kinds: &[EntryKind]| kinds.contains(&line.kind) && line.debit == Book::WalletPaid;
        let went = line.kind == K::RefundDone && line.debit == Book::WalletRefunding;
        let came = line.kind == K::PayCredit && line.credit == Book::WalletPaid;
        let gone = went || paid(&[K::ExtRefund, K::ManualPayout, K::Adjust, K::DebtSettled, K::CloseOut]);
        *cash.entry(account).or_default() += (i128::from(came) - i128::from(gone)) * i128::from(line.amount);
    }
    for (account, cash) in cash {
        let lots = world.rows.lots().filter(|lot| lot.account == account && lot.class == LotClass::Paid);
        let parts =
            lots.map(|lot| i128::from(lot.rem) + i128::from(lot.refunding) + i128::from(lot.consumed));
        let parts: i128 = parts.sum();
        holds(cash == parts, || {
            format!("{account} paid {cash} that is still ours, and {parts} is there or used")
        })?;
    }
    Ok(())
}

/// Of no payment more goes back and is used than was paid.
pub fn n14_nobody_profits(world: &World) -> Result<(), String> {
    #[derive(Default)]
    struct Payment {
        paid: i128,
        out: i128,
        used: i128,
    }
    // By lot; goods fill none.
    let mut payments: HashMap<String, Payment> = HashMap::new();
    for line in world.journal.iter().filter(|line| is_cash(line)) {
        let (Some(order), false) =
            (line.order, line.debit == Book::Suspense && line.kind == EntryKind::RefundDone)
        else {
            continue;
        };
        let goods = line.lot.is_none();
        let amount = i128::from(line.amount);
        let payment = payments.entry(line.lot.clone().unwrap_or_else(|| order.to_string())).or_default();
        let leaves = matches!(line.credit, Book::WechatClearing | Book::Payout);
        match line.kind {
            EntryKind::PayCredit => payment.paid += amount,
            // What the bill says of goods is a fact, whatever was asked of us before.
            EntryKind::ExtRefund if goods => {}
            EntryKind::RefundDone | EntryKind::ExtRefund | EntryKind::ManualPayout if leaves => {
                payment.out += amount
            }
            EntryKind::Settle | EntryKind::TempConvert if line.debit == Book::WalletPaid => {
                payment.used += amount
            }
            EntryKind::TokenRevenue => payment.used += amount,
            EntryKind::ChargeCorrection if matches!(line.credit, Book::WalletPaid | Book::TokenLiability) => {
                payment.used -= amount;
            }
            _ => {}
        }
    }
    for (payment, Payment { paid, out, used }) in payments {
        // A bonus and what is lent were not paid for, and nothing of them leaves.
        let fine = out + used <= paid || (paid == 0 && out == 0 && used == 0);
        holds(fine, || format!("{payment}: {paid} paid, {out} went back, {used} used"))?;
    }
    Ok(())
}

/// An account that ends keeps less than a fen of each payment, and that is what `rounding` has.
pub fn n19_only_dust_is_swept(world: &World) -> Result<(), String> {
    for line in world.lines().iter().filter(|line| line.kind == EntryKind::CloseOut && is_cash(line)) {
        let dust = line.credit != Book::Rounding || line.amount < 10_000_000;
        holds(dust, || format!("more than dust: {line:?}"))?;
    }
    let swept = |line: &Entry| line.credit == Book::Rounding && line.debit == Book::WalletPaid;
    let booked = sum(&world.journal, swept);
    holds(booked == world.swept, || format!("{} was swept, {booked} is booked", world.swept))?;
    if let Some(Body::CloseAccount { account }) = world.done() {
        let mut left = world.rows.wallets().filter(|wallet| wallet.account == *account);
        holds(left.all(|wallet| wallet.posted == 0 && wallet.held == 0), || {
            "an ended account has something".to_owned()
        })?;
    }
    Ok(())
}

/// The lines of each balance count from one without a gap, never go back in time, and say what the balance came to.
pub fn n26_lines_are_numbered_without_a_gap(world: &World) -> Result<(), String> {
    let mut ends: HashMap<(AccountId, &Asset), (i64, i128, i64)> = HashMap::new();
    let mut latest = i64::MIN;
    for line in &world.journal {
        holds(line.at.0 >= latest, || format!("it goes back in time: {line:?}"))?;
        latest = line.at.0;
        let Some(account) = line.account else { continue };
        let (n, balance, at) = ends.entry((account, &line.asset)).or_default();
        let moved = i128::from(spendable(line.credit)) - i128::from(spendable(line.debit));
        *n += 1;
        *balance += moved * i128::from(line.amount);
        *at = line.at.0;
        let fine = line.n == *n && i128::from(line.balance) == *balance;
        holds(fine, || format!("the {n}th line, after which there is {balance}: {line:?}"))?;
    }
    for wallet in world.rows.wallets() {
        let end = ends.get(&(wallet.account, &wallet.asset)).copied().unwrap_or_default();
        holds(wallet.lines == end.0, || format!("{wallet:?} after {} lines", end.0))?;
    }
    Ok(())
}

fn spendable(book: Book) -> bool {
    is_customers(book) && !matches!(book, Book::WalletRefunding | Book::WalletDebt)
}

/// Every balance is the exact sum of its lines, and no use of a call ever brings something in.
pub fn n27_nothing_wraps(world: &World) -> Result<(), String> {
    let mut sums: HashMap<(AccountId, &Asset), i128> = HashMap::new();
    for line in &world.journal {
        let Some(account) = line.account else { continue };
        let moved = i128::from(spendable(line.credit)) - i128::from(spendable(line.debit));
        *sums.entry((account, &line.asset)).or_default() += moved * i128::from(line.amount);
    }
    for wallet in world.rows.wallets() {
        let exact = sums.get(&(wallet.account, &wallet.asset)).copied().unwrap_or_default();
        holds(i128::from(wallet.posted) == exact, || format!("{wallet:?}, exactly {exact}"))?;
        if matches!(world.last().command.body, Body::Settle { .. }) {
            let before = world.before.wallet(wallet.account, &wallet.asset).posted;
            holds(wallet.posted <= before, || format!("a call was credited: {before} became {wallet:?}"))?;
        }
    }
    Ok(())
}

/// What WeChat Pay holds for us is what was paid, less what went back and its fees, as we were told of each: the
/// ledger's side of the bill. Laying the bill's rows beside it is the reconciliation's part.
pub fn n29_the_bill_is_booked(world: &World) -> Result<(), String> {
    use payments::ledger::{RefundItemState, SuspenseState};
    let (mut paid, mut elsewhere, mut fees) = (HashMap::new(), HashMap::new(), HashMap::new());
    for said in world.log.iter().filter(|said| said.outcome.is_ok()) {
        match &said.command.body {
            Body::OrderPaid { transaction_id, total, currency: None, .. } if total.get() > 0 => {
                paid.entry(transaction_id).or_insert(nano(*total));
            }
            Body::ExtRefund(found) => {
                let _ = elsewhere.entry(&found.refund_id).or_insert(nano(found.amount));
            }
            Body::PostFee { bill_row, amount } => {
                let _ = fees.entry(bill_row).or_insert(i128::from(amount.get()));
            }
            _ => {}
        }
    }
    let back = world.rows.items().filter(|item| item.state == RefundItemState::Success);
    let back: i128 = back.map(|item| nano(item.amount)).sum();
    let told =
        paid.values().sum::<i128>() - back - elsewhere.values().sum::<i128>() - fees.values().sum::<i128>();
    let net = |book| {
        sum(&world.journal, |line| line.debit == book) - sum(&world.journal, |line| line.credit == book)
    };
    let booked = net(Book::WechatClearing);
    holds(booked == told, || format!("WeChat Pay has {told}, the books say {booked}"))?;
    let aside = world
        .rows
        .suspended()
        .filter(|payment| matches!(payment.state, SuspenseState::Open | SuspenseState::Refunding));
    let aside: i128 = aside.map(|payment| nano(payment.amount)).sum();
    holds(-net(Book::Suspense) == aside, || {
        format!("{aside} was put aside, the books say {}", -net(Book::Suspense))
    })
}
