//! What is asked, in small numbers: weighted to duplicates, stale words, and amounts of nothing, one and all.

use payments::ledger::{BudgetPeriod, CreditSource, DebtSource, GateState, RefundNews};
use proptest::prelude::*;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// An operator who says why, with another who agrees.
    Two,
    /// An operator who says nothing and asks nobody.
    Alone,
    /// The account itself.
    Customer,
}

/// By which price a call is reckoned.
#[derive(Debug, Clone, Copy)]
pub enum Price {
    /// One rate for all; some of them at a share of the price, as answers out of a cache are.
    Flat(i64),
    /// Another rate for a larger prompt.
    Tiered(i64),
    /// As the published list says, whose prices are in dollars.
    Listed,
    /// None.
    Missing,
}

/// How a call ends.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    Used { usage: [u64; 4], extra: i64 },
    Released,
    NotSent,
}

/// What differs between the news of a payment and its order.
#[derive(Debug, Clone, Copy)]
pub enum Wrong {
    Amount(i64),
    Currency,
    Merchant,
    Account,
}

/// What is asked about an account.
#[derive(Debug, Clone, Copy)]
pub enum About {
    Open,
    Stop,
    Resume,
    Flag(bool),
    Close,
    Debt(DebtSource),
    Assign(bool),
}

/// A step. Numbers below [`LIVE`] mean something that waits for just this, those above whatever has the number.
#[derive(Debug, Clone)]
pub enum Step {
    Promo {
        account: usize,
        amount: i64,
        lasts: Option<i64>,
        key: u8,
    },
    Expire {
        account: usize,
        lot: usize,
    },
    MakeCode {
        code: usize,
        amount: i64,
        lasts: i64,
    },
    Redeem {
        account: usize,
        code: usize,
    },
    VoidCode {
        code: usize,
    },
    Account {
        account: usize,
        what: About,
    },
    Adjust {
        account: usize,
        amount: i64,
        tokens: bool,
        ticket: u8,
    },
    AddKey {
        account: usize,
        key: usize,
        digest: u8,
    },
    RevokeKey {
        account: usize,
        key: usize,
    },
    Budget {
        account: usize,
        key: Option<usize>,
        period: BudgetPeriod,
        limit: Option<i64>,
    },
    Hold {
        hold: usize,
        account: usize,
        key: usize,
        money: i64,
        legs: [i64; 2],
        price: Price,
        sent: bool,
        lasts: i64,
    },
    Dispatch {
        hold: usize,
    },
    Extend {
        hold: usize,
        by: i64,
    },
    Orphan {
        hold: usize,
        overdue: bool,
    },
    End {
        hold: usize,
        recovery: bool,
        epoch: i64,
        end: Ending,
    },
    Correct {
        hold: usize,
        part: Option<i64>,
    },
    Create {
        order: usize,
        account: usize,
        kind: u8,
        amount: i64,
        bonus: i64,
    },
    Prepaid {
        order: usize,
    },
    Failed {
        order: usize,
    },
    Closed {
        order: usize,
    },
    Noted {
        order: usize,
    },
    Paid {
        order: usize,
        wrong: Option<Wrong>,
        of: Option<usize>,
        old: bool,
        event: Option<u8>,
        source: CreditSource,
    },
    Review {
        order: usize,
        credit: bool,
        named: bool,
    },
    OpenGrant {
        order: usize,
        claimed: bool,
    },
    SweepGrant {
        order: usize,
        granted: Option<i64>,
    },
    Refund {
        account: usize,
        batch: usize,
        tokens: usize,
        amount: Option<i64>,
        order: Option<usize>,
        granted: Option<i64>,
        key: u8,
    },
    RefundGoods {
        batch: usize,
        order: usize,
        line: usize,
        amount: i64,
    },
    Sending {
        item: usize,
    },
    Report {
        item: usize,
        news: RefundNews,
        event: Option<u8>,
    },
    Cancel {
        item: usize,
    },
    Approve {
        item: usize,
    },
    Gate {
        account: usize,
        state: GateState,
    },
    SweepBonus {
        order: usize,
    },
    Strange {
        number: u8,
    },
    Elsewhere {
        order: usize,
        amount: i64,
        number: u8,
    },
    Payout {
        order: usize,
        amount: i64,
        ticket: u8,
    },
    Fee {
        row: u8,
        amount: i64,
    },
    /// A day laid beside its bill, with these of the differences it may have.
    Bill {
        day: u8,
        found: Vec<u8>,
    },
    /// Somebody takes a day.
    TakeBill {
        day: u8,
        late: bool,
    },
    /// Somebody explains a difference.
    Explain {
        day: u8,
        difference: usize,
    },
    /// Somebody signs a day off.
    SignBill {
        day: u8,
    },
    Package {
        version: i64,
        retire: bool,
    },
    Draft {
        document: usize,
    },
    DropDraft,
    Publish {
        same: bool,
        later: i64,
    },
    Rate {
        micro: i64,
        age: i64,
        confirmed: bool,
    },
    Pin {
        micro: i64,
        lasts: Option<i64>,
    },
    Unpin,
    /// All but so many of the last rates are looked at, and each of so many goes.
    Prune {
        but: i64,
        each: i64,
    },
    /// Everything that is needed for the account to be empty, and then its end.
    Leave {
        account: usize,
    },
    /// The next few things that make a loan and lose it.
    Lend {
        account: usize,
    },
    /// The next few things that use a payment and its bonus, of which something goes back then.
    Spend {
        account: usize,
        then: Then,
    },
    /// The same command as so many steps ago.
    Again(usize),
    /// Time passes; below zero a clock goes back.
    Wait(i64),
}

/// What comes of a payment whose bonus is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Stays,
    /// A call that may use it stays open.
    Held,
    /// The bill tells that so many fen of it went back.
    Found(i64),
    /// Its last charge was wrong.
    Corrected,
}

/// See [`Step`].
pub const LIVE: usize = 56;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

fn nano() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => 1..300_000_000_i64,
        4 => (1..500_i64).prop_map(|fen| fen * 10_000_000),
        1 => Just(0),
        1 => Just(1),
        1 => Just(-1),
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
    ]
}

fn few_fen() -> impl Strategy<Value = i64> {
    prop_oneof![10 => 1..400_i64, 1 => Just(0), 1 => Just(1), 1 => Just(i64::MAX / 20_000_000)]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..2_000_u64, 3 => Just(0), 2 => 0..400_000_u64, 1 => Just(u64::MAX), 1 => Just(1 << 62)]
}

fn any_of() -> impl Strategy<Value = usize> {
    0..64_usize
}

fn whose() -> impl Strategy<Value = usize> {
    0..9_usize
}

fn calls() -> impl Strategy<Value = Step> {
    let milli = || prop_oneof![3 => Just(0), 3 => 1..700_000_i64, 1 => Just(-1)];
    let price = prop_oneof![
        5 => (0..300_i64).prop_map(Price::Flat),
        1 => (0..3_000_000_i64).prop_map(Price::Flat),
        2 => (1..300_i64).prop_map(Price::Tiered),
        3 => Just(Price::Listed),
        1 => Just(Price::Missing),
    ];
    let lasts = prop_oneof![8 => Just(HOUR), 1 => Just(0), 2 => Just(20 * SECOND)];
    let few = || prop_oneof![Just(0), 0..900_u64];
    let used = (count(), few(), few(), count())
        .prop_map(|(input, cached, write, output)| [input, cached, write, output]);
    let end = prop_oneof![
        8 => (used, nano()).prop_map(|(usage, extra)| Ending::Used { usage, extra }),
        2 => Just(Ending::Released),
        2 => Just(Ending::NotSent),
    ];
    prop_oneof![
        12 => (any_of(), whose(), 0..8_usize, nano(), [milli(), milli()], price, any::<bool>(), lasts).prop_map(
            |(hold, account, key, money, legs, price, sent, lasts)| Step::Hold { hold, account, key, money, legs, price, sent, lasts }
        ),
        2 => any_of().prop_map(|hold| Step::Dispatch { hold }),
        4 => (any_of(), nano()).prop_map(|(hold, by)| Step::Extend { hold, by }),
        3 => (any_of(), any::<bool>()).prop_map(|(hold, overdue)| Step::Orphan { hold, overdue }),
        11 => (any_of(), prop::bool::weighted(0.3), prop_oneof![9 => Just(1), 1 => Just(2)], end)
            .prop_map(|(hold, recovery, epoch, end)| Step::End { hold, recovery, epoch, end }),
        3 => (any_of(), prop::option::of(nano())).prop_map(|(hold, part)| Step::Correct { hold, part }),
    ]
}

fn orders() -> impl Strategy<Value = Step> {
    let wrong = prop_oneof![
        3 => (0..400_i64).prop_map(Wrong::Amount),
        1 => Just(Wrong::Currency),
        1 => Just(Wrong::Merchant),
        1 => Just(Wrong::Account),
    ];
    let source = prop_oneof![Just(CreditSource::Notify), Just(CreditSource::Query)];
    prop_oneof![
        8 => (any_of(), whose(), 0..6_u8, few_fen(), prop_oneof![2 => Just(0), 2 => nano()]).prop_map(
            |(order, account, kind, amount, bonus)| Step::Create { order, account, kind, amount, bonus }
        ),
        6 => any_of().prop_map(|order| Step::Prepaid { order }),
        1 => any_of().prop_map(|order| Step::Failed { order }),
        3 => any_of().prop_map(|order| Step::Closed { order }),
        1 => any_of().prop_map(|order| Step::Noted { order }),
        10 => (any_of(), prop::option::weighted(0.15, wrong), prop::option::weighted(0.08, any_of()), prop::bool::weighted(0.05), prop::option::of(0..6_u8), source)
            .prop_map(|(order, wrong, of, old, event, source)| Step::Paid { order, wrong, of, old, event, source }),
        3 => (any_of(), any::<bool>(), prop::bool::weighted(0.9))
            .prop_map(|(order, credit, named)| Step::Review { order, credit, named }),
        8 => (any_of(), prop::bool::weighted(0.9)).prop_map(|(order, claimed)| Step::OpenGrant { order, claimed }),
        6 => (any_of(), prop::option::weighted(0.2, nano())).prop_map(|(order, granted)| Step::SweepGrant { order, granted }),
    ]
}

fn refunds() -> impl Strategy<Value = Step> {
    let event = || prop::option::of(0..6_u8);
    prop_oneof![
        8 => (whose(), any_of(), 0..4_usize, prop::option::weighted(0.6, few_fen()), prop::option::weighted(0.3, any_of()), prop::option::weighted(0.1, nano()), 0..60_u8)
            .prop_map(|(account, batch, tokens, amount, order, granted, key)| Step::Refund { account, batch, tokens, amount, order, granted, key }),
        3 => (any_of(), any_of(), 0..3_usize, few_fen())
            .prop_map(|(batch, order, line, amount)| Step::RefundGoods { batch, order, line, amount }),
        12 => any_of().prop_map(|item| Step::Sending { item }),
        15 => (any_of(), prop::sample::select(RefundNews::ALL), event())
            .prop_map(|(item, news, event)| Step::Report { item, news, event }),
        3 => any_of().prop_map(|item| Step::Cancel { item }),
        3 => any_of().prop_map(|item| Step::Approve { item }),
        1 => (whose(), prop::sample::select(GateState::ALL)).prop_map(|(account, state)| Step::Gate { account, state }),
        2 => any_of().prop_map(|order| Step::SweepBonus { order }),
        1 => (0..30_u8).prop_map(|number| Step::Strange { number }),
        4 => (any_of(), few_fen(), 0..30_u8).prop_map(|(order, amount, number)| Step::Elsewhere { order, amount, number }),
        2 => (any_of(), few_fen(), 0..30_u8).prop_map(|(order, amount, ticket)| Step::Payout { order, amount, ticket }),
        1 => (0..30_u8, nano()).prop_map(|(row, amount)| Step::Fee { row, amount }),
        4 => (bill_day(), prop::collection::vec(0..6_u8, 0..3)).prop_map(|(day, found)| Step::Bill { day, found }),
        1 => (bill_day(), any::<bool>()).prop_map(|(day, late)| Step::TakeBill { day, late }),
        2 => (bill_day(), any_of()).prop_map(|(day, difference)| Step::Explain { day, difference }),
        1 => bill_day().prop_map(|day| Step::SignBill { day }),
    ]
}

/// Mostly one and the same; the last is none.
fn bill_day() -> impl Strategy<Value = u8> {
    prop_oneof![8 => Just(0), 1 => Just(1), 1 => Just(2), 1 => Just(3)]
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        2 => Just(Then::Stays),
        2 => Just(Then::Held),
        3 => (1..21_i64).prop_map(Then::Found),
        2 => Just(Then::Corrected),
    ]
}

fn house() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        2 => Just(About::Open),
        1 => Just(About::Stop),
        4 => Just(About::Resume),
        1 => any::<bool>().prop_map(About::Flag),
        1 => Just(About::Close),
        3 => prop::sample::select(DebtSource::ALL).prop_map(About::Debt),
        1 => any::<bool>().prop_map(About::Assign),
    ];
    let lasts = || prop::option::of(prop_oneof![Just(60 * SECOND), Just(30 * DAY), Just(-SECOND)]);
    let micro =
        || prop_oneof![8 => 7_000_000..7_200_000_i64, 1 => Just(9_000_000), 1 => Just(0), 1 => Just(-1)];
    prop_oneof![
        4 => (whose(), nano(), lasts(), 0..30_u8)
            .prop_map(|(account, amount, lasts, key)| Step::Promo { account, amount: amount.min(i64::MAX / 1_000), lasts, key }),
        3 => (whose(), any_of()).prop_map(|(account, lot)| Step::Expire { account, lot }),
        2 => (0..4_usize, nano(), prop_oneof![Just(60), Just(0), Just(90 * 86_400)])
            .prop_map(|(code, amount, lasts)| Step::MakeCode { code, amount, lasts }),
        3 => (whose(), 0..4_usize).prop_map(|(account, code)| Step::Redeem { account, code }),
        1 => (0..6_usize).prop_map(|code| Step::VoidCode { code }),
        5 => (whose(), what).prop_map(|(account, what)| Step::Account { account, what }),
        2 => (whose(), prop_oneof![nano(), (1..90_000_000_i64).prop_map(|n| -n)], prop::bool::weighted(0.3), 0..30_u8)
            .prop_map(|(account, amount, tokens, ticket)| Step::Adjust { account, amount, tokens, ticket }),
        1 => (whose(), 0..8_usize, 0..8_u8).prop_map(|(account, key, digest)| Step::AddKey { account, key, digest }),
        1 => (whose(), 0..8_usize).prop_map(|(account, key)| Step::RevokeKey { account, key }),
        2 => (whose(), prop::option::of(0..8_usize), prop::sample::select(BudgetPeriod::ALL), prop::option::weighted(0.7, prop_oneof![3 => 100_000_000..3_000_000_000_i64, 1 => nano()]))
            .prop_map(|(account, key, period, limit)| Step::Budget { account, key, period, limit }),
        2 => (0..4_i64, prop::bool::weighted(0.25)).prop_map(|(version, retire)| Step::Package { version, retire }),
        2 => (0..4_usize).prop_map(|document| Step::Draft { document }),
        1 => Just(Step::DropDraft),
        2 => (prop::bool::weighted(0.9), prop_oneof![4 => Just(0), 1 => Just(HOUR), 1 => Just(-HOUR)])
            .prop_map(|(same, later)| Step::Publish { same, later }),
        4 => (micro(), prop_oneof![6 => 0..10 * SECOND, 1 => Just(-SECOND), 1 => Just(2 * DAY)], any::<bool>())
            .prop_map(|(micro, age, confirmed)| Step::Rate { micro, age, confirmed }),
        1 => (micro(), prop::option::of(prop_oneof![Just(HOUR), Just(-HOUR)])).prop_map(|(micro, lasts)| Step::Pin { micro, lasts }),
        1 => Just(Step::Unpin),
        1 => (0..4_i64, 1..3_i64).prop_map(|(but, each)| Step::Prune { but, each }),
    ]
}

/// What is asked, and who asks.
pub fn step() -> impl Strategy<Value = (By, Step)> {
    let by = prop_oneof![18 => Just(By::Two), 1 => Just(By::Alone), 1 => Just(By::Customer)];
    let wait = prop_oneof![
        4 => Just(70 * SECOND), 4 => Just(400 * SECOND), 2 => Just(HOUR), 2 => Just(DAY), 1 => Just(40 * DAY),
        1 => Just(366 * DAY), 2 => Just(-HOUR),
    ];
    let step = prop_oneof![
        30 => calls(),
        28 => orders(),
        30 => refunds(),
        20 => house(),
        1 => whose().prop_map(|account| Step::Leave { account }),
        2 => whose().prop_map(|account| Step::Lend { account }),
        3 => (whose(), then()).prop_map(|(account, then)| Step::Spend { account, then }),
        7 => (1..20_usize).prop_map(Step::Again),
        4 => wait.prop_map(Step::Wait),
    ];
    (by, step)
}

/// So many steps.
pub fn steps(most: usize) -> impl Strategy<Value = Vec<(By, Step)>> {
    prop::collection::vec(step(), 1..most)
}
