//! FX: what is a foreign currency worth in yuan now, and who says so?
//!
//! Rates come from configured HTTP sources, or are pinned by a person. What is believed is written to the ledger before
//! it is used, so that a quote names a row and a restart begins with the last one. Readers never wait: they get what is
//! known, as long as it is not too old, while one caller at a time asks the sources anew. There is no default rate:
//! without one, prices in that currency are unavailable. Touches `units`, the ledger and a [`Transport`] it is given.
//!
//! [`Transport`]: crate::transport::Transport

mod old;
mod rates;
mod source;

pub use old::OldRates;
pub use rates::{Fx, FxError, FxNow, FxSettings, Pair, RateLog, Writing};
pub use source::{FxSource, parse_micro};
