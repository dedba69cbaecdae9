//! The simulated WeChat Pay, seen by merchants who sign and verify by code of their own.
#![allow(missing_docs, unreachable_pub, dead_code)]
mod bills;
mod certificates;
#[path = "../far/mod.rs"]
mod far;
mod faults;
mod merchants;
mod old;
mod tls;
mod v2;
mod v2_notices;
mod v3;
mod ways;
