//! Anthropic's Messages: what its SDK and Claude Code send, and how they are answered, on any provider.
//!
//! A call is read once and said as a chat completion too: what has a word there is put in it, what only says how to do a
//! thing is passed over ([`as_chat`] has the lists), and what is neither is named in a refusal. An upstream that speaks
//! Messages gets the client's own bytes.

mod as_chat;
mod content;
mod conversation;
mod count;
mod headers;
mod native;
mod read;
mod size;
mod stream;
mod tools;
mod trouble;
mod voice;
mod whole;

pub use count::{Counted, count};
pub(super) use headers::forwarded;
pub(super) use native::NativeMessagesVoice;
pub use read::read;
pub(super) use voice::MessagesVoice;

/// What a client of Messages hears of a chat's chunks, for tests that listen to it.
#[cfg(test)]
pub(crate) fn events(chunks: &[String], bill: &crate::meter::Bill) -> bytes::Bytes {
    use crate::{chat::Chunk, chat::Form, chat::UsageSeen, dialect::voice::Voice};
    let asked = Form { body: bytes::Bytes::new(), members: std::sync::Arc::default() };
    let mut voice = MessagesVoice::new("ours", units::Tokens(1), &asked);
    let mut out = bytes::BytesMut::new();
    for chunk in chunks {
        let json = bytes::Bytes::copy_from_slice(chunk.as_bytes());
        let (event, text_size, usage) = (None, crate::chat::TextSize::default(), UsageSeen::Absent);
        let (finish, has_choices, has_usage_member) = (false, true, false);
        let chunk = Chunk { json, event, text_size, finish, has_choices, has_usage_member, usage };
        voice.chunk(chunk, &mut out);
    }
    voice.end(bill, &mut out);
    out.freeze()
}
