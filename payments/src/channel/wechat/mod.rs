//! WeChat Pay for a direct merchant in mainland China.

pub mod v2; // orders made under the older protocol
pub mod v3; // everything new
