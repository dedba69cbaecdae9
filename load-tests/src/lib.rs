//! Load tests: how much can it carry, and do the books still balance?
//!
//! Knows HTTP, the command line and `/proc`, and nothing of the product's insides: processes are started as anybody
//! would start them, and money is reckoned anew from what a client sees. `README.md` says how to run and how to read it.

mod answer; // what did the far side say, and what did it cost?
mod load; // one constant rate of calls, and what became of each
mod money; // do the books agree with what clients saw?
mod overhead; // the measurement from beginning to end
pub mod process; // what the kernel counts of a process and of the machine
mod report; // the figures, for people and for machines
mod schedule; // when is each call meant to leave?
mod tally; // figures of many calls
mod world; // the two processes under test, their folder, and a customer with money

pub use overhead::{OverheadArgs, overhead};
pub use report::Build;
