//! Dialect: how does this client's wire say it?
//!
//! Reads a request's bytes into a [`Call`](crate::chat::Call) and writes a metered reply back as the client's SDK expects
//! it. Chooses no status for an error; writes it down when `rescue` has.

pub mod openai;
