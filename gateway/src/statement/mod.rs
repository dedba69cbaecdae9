//! Statement: how do balances and journal lines look to whoever asks for them, a page at a time or streamed whole?
//!
//! Amounts are decimal strings with the currency beside them; times RFC 3339 in UTC, to the microsecond. Knows `payments`
//! and the cashier's refusals.

mod form; // a line as CSV, as JSON
mod page; // a page with its opening and closing balance
mod query; // what was asked
mod stream; // all of it, a page a reading

pub use self::{
    form::{Form, entry},
    page::{shown, sums_shown},
    query::{Asked, instant},
    stream::Lines,
};
