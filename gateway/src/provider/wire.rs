//! A call in an upstream's words: where it goes, what is sent, and who listens to the answer.

use bytes::Bytes;
use http::HeaderMap;
use router_config::{Provider, Wire};
use units::RequestId;

use super::{
    anthropic::{self, Able, ChunksEar, MessagesEar},
    chunk::{ChatEar, CompletionsEar},
    ear::Ear,
    embeddings::{self, EmbeddingsEar},
    fault::Fault,
    request::{self, Reader, Written},
    responses::{self, ResponsesEar},
};
use crate::{
    chat::{AttemptResult, Call, Endpoint, Spoken},
    plan::{Candidate, Planned},
};

/// What is put to an upstream.
pub(super) struct Asked {
    /// Appended to the provider's base URL.
    pub(super) path: String,
    /// Headers beside the provider's own, which count before those.
    pub(super) headers: HeaderMap,
    /// One JSON object.
    pub(super) body: Bytes,
    /// Whether events are expected.
    pub(super) stream: bool,
    /// Which of the client's wishes were said otherwise, so that this upstream takes them.
    pub(super) adjusted: Vec<&'static str>,
    /// Who listens to the answer.
    pub(super) ear: Box<dyn Ear>,
}

/// Says a planned call in the words that the plan has chosen for this candidate.
pub(super) fn ask(planned: &Planned, candidate: &Candidate) -> Result<Asked, Fault> {
    let call = &planned.call;
    let provider: &Provider = &candidate.target.provider;
    match (candidate.spoken, call.endpoint, provider.wire) {
        (Spoken::Chat, _, Wire::Openai) => chat(planned, candidate),
        (Spoken::Chat, _, Wire::Anthropic) => chat_as_messages(planned, candidate),
        (Spoken::Native, Endpoint::Messages, Wire::Anthropic) => messages(planned, candidate),
        (Spoken::Native, Endpoint::Completions, Wire::Openai) => completions(planned, candidate),
        (Spoken::Native, Endpoint::Responses, Wire::Openai) => {
            let model = candidate.target.upstream_model.as_str();
            let Written { body, adjusted } =
                responses::body(&call.native, model, &provider.quirks, planned.output_cap);
            Ok(Asked {
                path: offered(provider.quirks.responses_path.as_deref(), model, call)?,
                headers: HeaderMap::new(),
                body,
                stream: call.stream,
                adjusted,
                ear: Box::new(ResponsesEar(provider.quirks.usage)),
            })
        }
        (Spoken::Native, Endpoint::Embeddings, Wire::Openai) => {
            let (form, target) = (&call.native, &candidate.target);
            Ok(Asked {
                path: offered(provider.quirks.embeddings_path.as_deref(), &target.upstream_model, call)?,
                headers: HeaderMap::new(),
                body: embeddings::body(form, &target.upstream_model, &provider.quirks),
                stream: false,
                adjusted: Vec::new(),
                ear: Box::new(EmbeddingsEar::new(form)),
            })
        }
        (spoken, endpoint, _) => {
            let message = format!("{} are not spoken here ({spoken:?})", endpoint.plural());
            Err(Fault::of(AttemptResult::Malformed, None, message))
        }
    }
}

fn chat(planned: &Planned, candidate: &Candidate) -> Result<Asked, Fault> {
    let (call, target) = (&planned.call, &candidate.target);
    let quirks = &target.provider.quirks;
    let form = call.as_chat().map_err(|what| Fault::inexpressible(&what))?;
    let model = target.upstream_model.as_str();
    let stream = call.stream || quirks.streams_only(model);
    let anthropic_thinking = call.endpoint == Endpoint::Messages;
    let reader = Reader { model, quirks, stream, cap: planned.output_cap, anthropic_thinking };
    let Written { body, adjusted } =
        request::chat(form, reader).map_err(|what| Fault::inexpressible(&what))?;
    Ok(Asked {
        path: path(&quirks.chat_path, model),
        headers: HeaderMap::new(),
        body,
        stream,
        adjusted,
        ear: Box::new(ChatEar::new(quirks)),
    })
}

fn completions(planned: &Planned, candidate: &Candidate) -> Result<Asked, Fault> {
    let (call, target) = (&planned.call, &candidate.target);
    let quirks = &target.provider.quirks;
    let (model, stream) = (target.upstream_model.as_str(), call.stream);
    let reader = Reader { model, quirks, stream, cap: planned.output_cap, anthropic_thinking: false };
    let Written { body, adjusted } =
        request::chat(&call.native, reader).map_err(|what| Fault::inexpressible(&what))?;
    Ok(Asked {
        path: offered(quirks.completions_path.as_deref(), model, call)?,
        headers: HeaderMap::new(),
        body,
        stream,
        adjusted,
        ear: Box::new(CompletionsEar(quirks.usage)),
    })
}

/// A client's own Messages, passed on with the headers that belong to them.
fn messages(planned: &Planned, candidate: &Candidate) -> Result<Asked, Fault> {
    let (call, target) = (&planned.call, &candidate.target);
    Ok(Asked {
        path: offered(target.provider.quirks.messages_path.as_deref(), &target.upstream_model, call)?,
        headers: call.forward.clone(),
        body: anthropic::native(&call.native, &target.upstream_model, planned.output_cap),
        stream: call.stream,
        adjusted: Vec::new(),
        ear: Box::new(MessagesEar::default()),
    })
}

/// A chat, put to an upstream that speaks Messages.
fn chat_as_messages(planned: &Planned, candidate: &Candidate) -> Result<Asked, Fault> {
    let (call, target) = (&planned.call, &candidate.target);
    let form = call.as_chat().map_err(|what| Fault::inexpressible(&what))?;
    // One of the two is there: where the client sets no maximum, the plan does.
    let output_max = planned.output_cap.or(call.output_max).unwrap_or(planned.output_bound);
    let able = Able(target.facts.as_ref().map(|facts| &facts.caps));
    let written = anthropic::request(form, &target.upstream_model, call.stream, output_max, able);
    let Written { body, adjusted } = written.map_err(|what| Fault::inexpressible(&what))?;
    Ok(Asked {
        path: offered(target.provider.quirks.messages_path.as_deref(), &target.upstream_model, call)?,
        headers: HeaderMap::new(),
        body,
        stream: call.stream,
        adjusted,
        ear: Box::new(ChunksEar::new(created(&call.id))),
    })
}

/// When a call was made, in seconds since 1970: its id, a UUID of version 7, begins with the milliseconds.
fn created(id: &RequestId) -> u64 {
    let millis = id.as_bytes().iter().take(6).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    millis / 1_000
}

fn offered(template: Option<&str>, upstream_model: &str, call: &Call) -> Result<String, Fault> {
    let template = template.ok_or_else(|| {
        let message = format!("the provider has no {}", call.endpoint.plural());
        Fault::of(AttemptResult::Malformed, None, message)
    })?;
    Ok(path(template, upstream_model))
}

/// A path with the model put in where it says so.
fn path(template: &str, upstream_model: &str) -> String {
    template.replace("{model}", upstream_model)
}
