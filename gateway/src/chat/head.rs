//! How large is the head of a call?

use http::HeaderMap;

/// Largest head of a call, in bytes: as OpenAI advises its clients. What is larger is refused in words, what is more than
/// twice as large is not even read.
pub const HEAD_MAX_BYTES: u32 = 65_536;
/// What stands around a name and a value: `: ` and the end of the line.
const AROUND_BYTES: usize = 4;

/// How many bytes these headers take.
pub fn head_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND_BYTES).sum()
}
