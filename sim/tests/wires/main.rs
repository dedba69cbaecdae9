//! What else the simulated providers speak beside chat completions, who has which habits, and what can go wrong.
#![allow(missing_docs, unreachable_pub, dead_code)]
mod family;
#[path = "../far/mod.rs"]
mod far;
mod faults;
mod messages;
mod responses;
mod strict;
mod texts;
