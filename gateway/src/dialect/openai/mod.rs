//! OpenAI's chat completions, as every SDK speaks them.

mod bound;
mod error;
mod head;
mod layer;
mod read;
mod stream;

pub use bound::{InputSize, input_size};
pub use error::ErrorBody;
pub use head::{go_duration, limit_headers};
pub use layer::{Decode, DecodeLayer};
pub use read::{DecodeError, Wanted, read};
