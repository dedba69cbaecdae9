//! WeChat Pay for a direct merchant in mainland China.

pub(crate) mod beijing; // the time of messages that name no zone
mod bills; // which bill, how large, and is it whole
mod call_up; // what a page in WeChat needs to let its reader pay
mod codes; // what an error code allows, whichever API it comes from
mod hosts; // which host is asked
mod nonces; // which nonces were used, for whoever looks into a dispute
pub mod v2; // orders made under the older protocol
pub mod v3; // everything new

pub use bills::{BILL_BYTES_MAX, BillRows, FundAccount};
pub use call_up::CallUp;
pub use hosts::Hosts;
pub use nonces::{NonceSeen, Nonces};
