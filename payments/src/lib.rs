//! Payments: what is owed, paid, held, used and given back?
//!
//! Bytes in, bytes out: this crate knows no HTTP server and nothing of the gateway; how bytes travel is a
//! [`transport::Transport`] it is given. `ledger` decides, `store` keeps, `channel` speaks to WeChat Pay, `topup` and
//! `refund` move orders on, `prices` and `fx` say what a token costs.

pub mod admission;
pub mod agent;
pub mod budgets;
pub mod channel;
pub mod fx;
pub mod grant;
pub mod holds;
pub mod journal;
pub mod ledger;
pub mod prices;
pub mod reconcile;
pub mod refund;
pub mod store;
pub mod topup;
pub mod transport;
