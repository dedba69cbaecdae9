//! OpenAI's chat completions, as every SDK speaks them.

mod read;
mod voice;

pub use read::read;
pub(super) use voice::ChatVoice;
