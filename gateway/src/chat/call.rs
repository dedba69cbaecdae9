//! One call as the client made it.

use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::HeaderMap;
use units::{RequestId, Tokens};

use super::{Caller, Endpoint, Wishes};

/// A decoded call. The body stays as it was sent: what only passes through is passed as bytes.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which endpoint it came to: whose wire the client speaks.
    pub endpoint: Endpoint,
    /// Ours, always; names the hold and the receipt.
    pub id: RequestId,
    /// When its head arrived: what our own overhead is measured from.
    pub received: Instant,
    /// How many gateways it has passed before this one.
    pub hops: u32,
    /// Who asks.
    pub caller: Caller,
    /// The model asked for.
    pub model: String,
    /// Models that may serve it instead, in this order (`models` in the body).
    pub instead: Vec<String>,
    /// Whether the answer is to come as server-sent events.
    pub stream: bool,
    /// Whether the client asked for usage in the stream (`stream_options.include_usage`).
    pub wants_usage: bool,
    /// `max_completion_tokens` or `max_tokens`, if the client set one; the larger where it set both.
    pub output_max: Option<Tokens>,
    /// How many answers are asked for.
    pub n: u32,
    /// An upper bound of the prompt's tokens, reckoned from its bytes.
    pub input_bound: Tokens,
    /// What the prompt probably is: charged where an upstream never said.
    pub input_estimate: Tokens,
    /// Whether there are pictures in it.
    pub has_pictures: bool,
    /// What the caller says of the call beside its body.
    pub wishes: Wishes,
    /// Headers of the client's that an upstream of its own wire is to see.
    pub forward: HeaderMap,
    /// The body as received, in the endpoint's own wire.
    pub native: Form,
    /// The same call as a chat completion, for upstreams that speak nothing else.
    pub chat: ChatForm,
    /// Where `plan` notes the model, for whoever has to speak of a call that failed.
    pub seen: Seen,
}

/// One top-level member of a JSON body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, unescaped.
    pub name: Box<str>,
    /// Where its value stands in the body.
    pub value: Range<usize>,
}

/// A request body that can be edited without being rebuilt.
#[derive(Debug, Clone)]
pub struct Form {
    /// One JSON object.
    pub body: Bytes,
    /// Where its top-level members stand, in their order.
    pub members: Arc<[Member]>,
}

impl Form {
    /// The raw JSON of a member's value.
    pub fn raw(&self, member: &Member) -> &[u8] {
        self.body.get(member.value.clone()).unwrap_or(b"null")
    }

    /// The member of this name, if it is there.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| &*member.name == name)
    }
}

/// How a call looks as a chat completion.
#[derive(Debug, Clone)]
pub enum ChatForm {
    /// It is one: the native form is meant.
    Same,
    /// As the dialect has said it in chat's words.
    Made(Form),
    /// It cannot be said so: what this member asks for has no word there.
    Inexpressible(Inexpressible),
    /// Calls to this endpoint are nothing like a chat: embeddings.
    Never,
}

/// What cannot be said as a chat completion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{param}` {why}")]
pub struct Inexpressible {
    /// The member, by its path in the client's body: `tools[2].type`.
    pub param: String,
    /// Why it cannot, to be read after the member's name.
    pub why: String,
}

impl Call {
    /// The call as a chat completion.
    ///
    /// # Errors
    /// [`Inexpressible`], if the client asked for something that has no word there.
    pub fn as_chat(&self) -> Result<&Form, Inexpressible> {
        match &self.chat {
            ChatForm::Same => Ok(&self.native),
            ChatForm::Made(form) => Ok(form),
            ChatForm::Inexpressible(what) => Err(what.clone()),
            ChatForm::Never => Err(Inexpressible {
                param: "model".to_owned(),
                why: format!("is served where {} are not", self.endpoint.plural()),
            }),
        }
    }
}

/// What is known of a call so far, for whoever has to answer if it fails.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<SeenState>);

#[derive(Debug, Default)]
struct SeenState {
    model: OnceLock<String>,
    streams: AtomicBool,
    counted: AtomicBool,
}

impl Seen {
    /// Notes the model, once it is known to be one of ours; the first note stands.
    pub fn note(&self, model: &str) {
        let _ = self.0.model.set(model.to_owned());
    }

    /// The model as a metric's label: `other` as long as no known model was noted.
    pub fn label(&self) -> &str {
        self.0.model.get().map_or("other", String::as_str)
    }

    /// Notes that the answer is to come in pieces.
    pub fn streams(&self) {
        self.0.streams.store(true, Ordering::Release);
    }

    /// Notes that the limits have been asked about it.
    pub fn counted(&self) {
        self.0.counted.store(true, Ordering::Release);
    }

    /// Whether the limits have been asked about it.
    pub fn is_counted(&self) -> bool {
        self.0.counted.load(Ordering::Acquire)
    }

    /// Whether the answer is to come in pieces.
    pub fn is_stream(&self) -> bool {
        self.0.streams.load(Ordering::Acquire)
    }
}
