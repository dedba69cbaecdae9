//! Dialect: how does this client's wire say it?
//!
//! Reads a request's bytes into a [`Call`](crate::chat::Call) and writes a metered reply back as the client's SDK expects
//! it. Chooses no status for an error; writes it down when `rescue` has. One module for each endpoint's wire; each reads
//! a body (`read`) and has a [`Voice`](voice::Voice) for its answers, one where an upstream spoke the client's own wire
//! and one where it spoke chat completions.

mod bound;
pub mod chat;
pub mod completions;
mod decode;
pub mod embeddings;
mod error;
mod head;
mod layer;
pub mod messages;
pub mod responses;
mod stream;
mod unpriced;
mod usage;
mod voice;
mod wishes;

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use units::{RequestId, Tokens};

pub use bound::{InputSize, input_size};
pub use decode::{DecodeError, Wanted};
pub use error::ErrorBody;
pub use head::{go_duration, limit_headers};
pub use layer::{Decode, DecodeLayer, call_of, whole_body};
use voice::Voice;

use crate::chat::{Call, Endpoint, Form, Spoken};

/// Reads a body that came to `endpoint`.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn read(endpoint: Endpoint, body: &Bytes) -> Result<Wanted, DecodeError> {
    match endpoint {
        Endpoint::Chat => chat::read(body),
        Endpoint::Completions => completions::read(body),
        Endpoint::Embeddings => embeddings::read(body),
        Endpoint::Messages => messages::read(body),
        Endpoint::Responses => responses::read(body),
    }
}

/// Those of a client's headers that an upstream of its own wire is to see.
fn forwarded(endpoint: Endpoint, headers: &HeaderMap) -> HeaderMap {
    match endpoint {
        Endpoint::Messages => messages::forwarded(headers),
        Endpoint::Chat | Endpoint::Responses | Endpoint::Completions | Endpoint::Embeddings => {
            HeaderMap::new()
        }
    }
}

/// What of a call its answer depends on.
#[derive(Debug)]
struct Voices {
    endpoint: Endpoint,
    wants_usage: bool,
    /// What the client sent: some wires repeat it in the answer.
    asked: Form,
    /// The call, and when it came in.
    request: RequestId,
    received: Instant,
    /// What the prompt probably comes to: some wires begin with it.
    input_estimate: Tokens,
}

impl Voices {
    fn of(call: &Call) -> Self {
        Self {
            endpoint: call.endpoint,
            wants_usage: call.wants_usage,
            asked: call.native.clone(),
            request: call.id,
            received: call.received,
            input_estimate: call.input_estimate,
        }
    }

    /// Who says an answer that is `spoken` so, by our `model`.
    fn voice(self, spoken: Spoken, model: &str) -> Box<dyn Voice> {
        match (self.endpoint, spoken) {
            (Endpoint::Completions, Spoken::Chat) => {
                Box::new(completions::CompletionsVoice::new(self.wants_usage))
            }
            (Endpoint::Embeddings, _) => Box::new(embeddings::EmbeddingsVoice),
            // A completion's own chunks have the same frame as a chat's.
            (Endpoint::Completions, Spoken::Native) | (Endpoint::Chat, _) => {
                Box::new(chat::ChatVoice::new(self.wants_usage))
            }
            (Endpoint::Messages, Spoken::Native) => Box::new(messages::NativeMessagesVoice::default()),
            (Endpoint::Messages, Spoken::Chat) => {
                Box::new(messages::MessagesVoice::new(model, self.input_estimate, &self.asked))
            }
            (Endpoint::Responses, Spoken::Native) => Box::new(responses::NativeResponsesVoice::default()),
            (Endpoint::Responses, Spoken::Chat) => Box::new(responses::ResponsesVoice::new(
                responses::Asked::new(self.request, self.received, model.to_owned(), self.asked),
            )),
        }
    }
}
