//! OpenAI's older completions: a prompt and what follows it.

mod read;
mod voice;

pub use read::read;
pub(super) use voice::CompletionsVoice;
