//! Prices: what does a token cost in yuan, at this instant and for a prompt of this size?
//!
//! A price list is a document of rows by model ([`Document`], as written; [`Sheet`], as checked). It becomes a version
//! when it is published, and a published version never changes. A row's figures are exact nano-yuan per token, or are
//! converted from another currency and rounded once ([`convert`]): the rounded price *is* the price, shown, held and
//! charged. [`Book`] is what routing reads: the versions in force and to come, with the rates of exchange of the moment.
//!
//! Tiers and off-peak windows combine so: the instant chooses a card, the row's own or that of the window it falls into;
//! the prompt's size chooses a tier of that card. A window brings a card with the same tiers, so that no size of prompt is
//! left without a price meant for it. Windows of one row may not overlap.
//!
//! Pure: touches `units` only, knows no clock and no store.

mod book;
mod card;
mod convert;
mod diff;
mod document;
mod rounding;
mod schedule;
mod sheet;

pub use book::{Book, FxInForce, Offer, PriceError, Published, Quote};
pub use card::{Card, Tier, tier_for};
pub use convert::{Figures, Rounded, convert};
pub use diff::{Change, Diff, ModelDiff, diff};
pub use document::{Document, Figure, RawModel, RawOffPeak, RawTier, RawWindow};
pub use rounding::{RoundingRow, rounding};
pub use schedule::{BadWindow, DayTime, Days, Schedule, Window};
pub use sheet::{Row, Sheet, SheetProblems};

/// The list of an account that was assigned none.
pub const DEFAULT_LIST: &str = "standard";

/// The currency everything is sold in.
pub const CNY: &str = "CNY";

/// The pair that a price in `currency` is converted with: yuan per unit.
pub fn pair_of(currency: &str) -> String {
    format!("{currency}/{CNY}")
}

/// Which version of which list, as quotes and receipts name it.
pub fn version_name(list: &str, number: i64) -> String {
    format!("{list}:{number}")
}
