//! What are money, rates, tokens, ids and time? The vocabulary every room shares.
//!
//! Amounts are integers with their unit in the type: [`NanoCny`] inside the ledger, [`Fen`] where WeChat Pay is
//! spoken to, [`Rate`] for what one token costs. An exact conversion is `From`; a lossy one is a method whose name
//! says which way it rounds. This crate touches nothing: no I/O, no runtime.

mod clock;
pub mod decimal;
mod id;
mod livemode;
mod money;
mod percent;
mod rate;
mod usage;

pub use clock::{Clock, Timestamp, Wake};
pub use decimal::DecimalError;
pub use id::{AccountId, BadId, KeyId, OrderId, RefundBatchId, RefundId, RequestId};
pub use livemode::{Livemode, UnknownLivemode};
pub use money::{Fen, NanoCny, Overflow, ZeroFen};
pub use percent::{NoPercent, Percent};
pub use rate::{Rate, Tokens};
pub use usage::{Rates, Usage};
