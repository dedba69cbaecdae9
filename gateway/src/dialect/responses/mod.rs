//! OpenAI's Responses: items in, items and their events out.
//!
//! Nothing is kept here: whatever refers to an earlier response, an uploaded file or a stored prompt is refused, and
//! `store` is answered as false. A provider that speaks Responses gets the client's own words; for every other one they
//! are said as a chat completion, or it is said which of them cannot be.

mod answer;
mod chat_form;
mod content;
mod events;
mod items;
mod native;
mod object;
mod output;
mod read;
mod response;
mod size;
mod speaker;
mod stored;
mod tools;
mod voice;

#[cfg(test)]
mod tests;

pub(super) use native::NativeResponsesVoice;
pub use read::read;
pub(super) use response::Asked;
pub use stored::{NotKept, not_kept};
pub(super) use voice::ResponsesVoice;

use crate::chat::Inexpressible;

/// The first thing that a chat completion has no word for, if there is one.
#[derive(Debug, Default)]
struct Cannot(Option<Inexpressible>);

impl Cannot {
    /// `why` is read after the member's name; the first one stands.
    fn say(&mut self, param: impl Into<String>, why: impl Into<String>) {
        self.0.get_or_insert_with(|| Inexpressible { param: param.into(), why: why.into() });
    }

    const fn is_said(&self) -> bool {
        self.0.is_some()
    }
}
