//! OpenAI's embeddings.

mod read;
mod voice;

pub use read::read;
pub(super) use voice::EmbeddingsVoice;
