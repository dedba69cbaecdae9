//! What happened on a day, as the books have it the next morning? One bill for a merchant number, whichever API asks.
//!
//! A bill is a view of the books as of 09:00 of the day after and never changes: what goes wrong with it is made up when
//! the first bill of that day is asked for.
mod flow;
mod spoilt;
mod text;
mod trade;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::clock::{beijing_day, parse_beijing};
use crate::state::World;
use crate::wechat::merchant::Merchant;
pub(super) use spoilt::Spoilt;

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
/// After midnight: when the books are read, and when the bills can be had.
const MADE: i64 = 9 * HOUR;
const READY: i64 = 10 * HOUR;
/// Three months, at their longest.
const KEPT: i64 = 93 * DAY;

/// Which rows a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Payments and refunds.
    All,
    /// Payments.
    Success,
    /// Refunds, with their times.
    Refund,
    /// The fund flow of the basic account.
    Basic,
    /// Of what this merchant does not have.
    Nothing,
}

impl Rows {
    /// By `bill_type`.
    pub(super) fn of_trade(name: &str) -> Option<Self> {
        Some(match name {
            "ALL" => Self::All,
            "SUCCESS" => Self::Success,
            "REFUND" => Self::Refund,
            "RECHARGE_REFUND" => Self::Nothing,
            _ => return None,
        })
    }

    /// By `account_type`, in either API's spelling.
    pub(super) fn of_account(name: &str) -> Self {
        if name.eq_ignore_ascii_case("basic") { Self::Basic } else { Self::Nothing }
    }
}

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Which {
    /// `yyyy-MM-dd`.
    pub(super) day: String,
    pub(super) rows: Rows,
}

/// Whose way of writing counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    V2,
    V3,
}

/// Why there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoBill {
    /// Nothing happened on that day.
    NotThere,
    /// The day is not over, or its bill is not made yet.
    NotYet,
    /// No day, or one too long ago or still to come.
    BadDay,
}

/// The first and the first no longer instant of a day.
fn bounds(day: &str, now: i64) -> Result<(i64, i64), NoBill> {
    let from = parse_beijing("%Y-%m-%d", day).ok_or(NoBill::BadDay)?;
    let until = from + DAY;
    if from > now || now - until > KEPT {
        Err(NoBill::BadDay)
    } else if now < until + READY {
        Err(NoBill::NotYet)
    } else {
        Ok((from, until))
    }
}

/// The file, uncompressed.
pub(super) fn file(
    world: &World,
    merchant: &Merchant,
    which: &Which,
    style: Style,
) -> Result<Vec<u8>, NoBill> {
    let (from, until) = bounds(&which.day, world.now())?;
    let mut books = merchant.books();
    let mut trade = trade::rows(&books, from, until, until + MADE);
    let mut flow = flow::rows(&books, from, until);
    let spoilt = books
        .bill_faults
        .entry(which.day.clone())
        .or_insert_with(|| spoilt::made_up(world, merchant.mchid(), &trade, from));
    for spoilt in spoilt.iter() {
        spoilt.spoil(&mut trade, &mut flow);
    }
    let mchid = merchant.mchid();
    let text = match which.rows {
        Rows::All | Rows::Success | Rows::Refund => text::trade(mchid, &trade, which.rows, style),
        Rows::Basic => text::flow(mchid, &beijing_day(from), &flow, style),
        Rows::Nothing => None,
    };
    text.map(String::into_bytes).ok_or(NoBill::NotThere)
}

/// As `tar_type=GZIP` has it.
pub(super) fn gzipped(file: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = packed.write_all(file);
    packed.finish().unwrap_or_default()
}
