//! A call in an upstream's words: where it goes, what is sent, and who listens to the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use router_config::{Provider, Target, Wire};
use units::RequestId;

use super::{
    anthropic::{self, Able, ChunksEar, MessagesEar},
    chunk::{ChatEar, CompletionsEar},
    ear::Ear,
    embeddings::{self, EmbeddingsEar},
    fault::Fault,
    request::{self, Begun, Reader, Written},
    responses::{self, ResponsesEar},
    rest::RestEar,
};
use crate::{
    chat::{AttemptResult, Call, Endpoint, Spoken},
    plan::{Candidate, Planned},
};

/// What is put to an upstream.
pub(super) struct Asked {
    /// Where it goes.
    pub(super) url: String,
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
                url: offered(provider, provider.quirks.responses_path.as_deref(), model, call)?,
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
                url: offered(
                    provider,
                    provider.quirks.embeddings_path.as_deref(),
                    &target.upstream_model,
                    call,
                )?,
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
    let so_far = planned.so_far.as_ref();
    let begun = so_far.and_then(|so_far| Some(Begun { prefill: target.prefill()?, text: &so_far.text }));
    let reader = Reader { model, quirks, stream, cap: planned.output_cap, anthropic_thinking, begun };
    let Written { body, adjusted } =
        request::chat(form, reader).map_err(|what| Fault::inexpressible(&what))?;
    let beside = begun.and_then(|begun| begun.prefill.path.as_deref());
    let url = match beside {
        Some(beside) => url_beside_version(&target.provider, &path(beside, model)),
        None => url(&target.provider, &path(&quirks.chat_path, model)),
    };
    let ear = ChatEar::new(quirks);
    let ear: Box<dyn Ear> = match (so_far, begun) {
        (Some(so_far), Some(begun)) => {
            Box::new(RestEar::new(ear, Arc::clone(so_far), begun.prefill.repeated))
        }
        _ => Box::new(ear),
    };
    Ok(Asked { url, headers: HeaderMap::new(), body, stream, adjusted, ear })
}

fn completions(planned: &Planned, candidate: &Candidate) -> Result<Asked, Fault> {
    let (call, target) = (&planned.call, &candidate.target);
    let quirks = &target.provider.quirks;
    let (model, stream) = (target.upstream_model.as_str(), call.stream);
    let reader =
        Reader { model, quirks, stream, cap: planned.output_cap, anthropic_thinking: false, begun: None };
    let Written { body, adjusted } =
        request::chat(&call.native, reader).map_err(|what| Fault::inexpressible(&what))?;
    Ok(Asked {
        url: offered(&target.provider, quirks.completions_path.as_deref(), model, call)?,
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
        url: messages_url(target, call)?,
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
        url: messages_url(target, call)?,
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

fn messages_url(target: &Target, call: &Call) -> Result<String, Fault> {
    let template = target.provider.quirks.messages_path.as_deref();
    offered(&target.provider, template, &target.upstream_model, call)
}

fn offered(
    provider: &Provider,
    template: Option<&str>,
    upstream_model: &str,
    call: &Call,
) -> Result<String, Fault> {
    let template = template.ok_or_else(|| {
        let message = format!("the provider has no {}", call.endpoint.plural());
        Fault::of(AttemptResult::Malformed, None, message)
    })?;
    Ok(url(provider, &path(template, upstream_model)))
}

/// A path with the model put in where it says so.
fn path(template: &str, upstream_model: &str) -> String {
    template.replace("{model}", upstream_model)
}

/// A path of a provider's API.
pub(super) fn url(provider: &Provider, path: &str) -> String {
    format!("{}{path}", provider.base_url)
}

/// A path beside the API's version, so that it does not matter whether the `base_url` has one.
pub(super) fn url_beside_version(provider: &Provider, path: &str) -> String {
    format!("{}{path}", provider.base_url.trim_end_matches("/v1"))
}
