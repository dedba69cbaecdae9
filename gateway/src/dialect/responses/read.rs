//! A Responses request: what of it matters, and what is refused whoever serves it.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    chat_form,
    object::{Object, list, text},
    size::input_size,
    tools,
};
use crate::dialect::{
    decode::{DecodeError, Fields, Wanted, bad_at, wrong, wrong_at},
    unpriced::refuse_tiers,
};

/// The members that are read here: each may stand there once.
const ONCE: [&str; 31] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "temperature",
    "top_p",
    "top_logprobs",
    "metadata",
    "user",
    "store",
    "include",
    "service_tier",
    "truncation",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "previous_response_id",
    "conversation",
    "background",
    "background_options",
    "context_management",
];
/// Members of a chat completion, and where a response has them: let through, they would say the same thing twice, and
/// some of them decide the price.
const MOVED: [(&str, &str); 13] = [
    ("messages", "has moved to `input` in the Responses API"),
    ("max_tokens", "has moved to `max_output_tokens` in the Responses API"),
    ("max_completion_tokens", "has moved to `max_output_tokens` in the Responses API"),
    ("response_format", "has moved to `text.format` in the Responses API"),
    ("reasoning_effort", "has moved to `reasoning.effort` in the Responses API"),
    ("verbosity", "has moved to `text.verbosity` in the Responses API"),
    ("functions", "has moved to `tools` in the Responses API"),
    ("function_call", "has moved to `tool_choice` in the Responses API"),
    ("logprobs", "has moved to `include` (`message.output_text.logprobs`) in the Responses API"),
    ("n", "is not known in the Responses API: there is one answer"),
    ("modalities", "is not known in the Responses API: answers are text"),
    ("audio", "is not known in the Responses API: answers are text"),
    ("best_of", "is not known in the Responses API: there is one answer"),
];
/// What refers to something that would have to be kept.
const KEPT: [(&str, &str); 3] = [
    (
        "previous_response_id",
        "refers to an earlier response, and none are kept here; send the whole conversation as `input`",
    ),
    ("conversation", "refers to a conversation, and none are kept here; send it as `input`"),
    ("prompt", "refers to a stored prompt, and none are kept here; send `instructions` and `input`"),
];
/// As at OpenAI. <https://platform.openai.com/docs/api-reference/responses/create>
const TOP_LOGPROBS_MAX: i128 = 20;
const METADATA_MAX_PAIRS: usize = 16;
const METADATA_KEY_MAX_CHARS: usize = 64;
const METADATA_VALUE_MAX_CHARS: usize = 512;
/// More of a count makes no sense.
const TOOL_CALLS_MAX: u64 = 1_000_000;

/// Reads a body.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn read(body: &Bytes) -> Result<Wanted, DecodeError> {
    let fields = Fields::read(body)?;
    fields.once(&ONCE)?;
    refuse(&fields)?;
    let model = fields.model()?;
    let input = fields.find("input")?.ok_or(DecodeError::Missing("input".into()))?;
    let stream = fields.stream()?;
    let tools = fields.find("tools")?;
    if let Some(tools) = tools {
        tools::check(tools, "tools")?;
    }
    check(&fields, stream)?;
    refuse_tiers(&fields)?;
    let output_max = fields.output_max("max_output_tokens")?;
    let chat = chat_form::made(&fields, input)?;
    Ok(Wanted {
        instead: fields.instead(&model)?,
        model,
        stream,
        wants_usage: stream,
        output_max,
        n: 1,
        input: input_size(body.len(), input, tools.is_some()),
        native: fields.form(),
        chat,
    })
}

/// What is done nowhere.
fn refuse(fields: &Fields<'_>) -> Result<(), DecodeError> {
    for (name, why) in KEPT.into_iter().chain(MOVED) {
        if fields.find(name)?.is_some() {
            return Err(DecodeError::Unsupported { param: name.into(), why: why.into() });
        }
    }
    if fields.typed::<bool>("background", "a boolean")? == Some(true) {
        let why = "is not possible here: a response is answered while its client waits";
        return Err(DecodeError::Unsupported { param: "background".into(), why: why.into() });
    }
    Ok(())
}

/// Types and ranges of what is passed on.
fn check(fields: &Fields<'_>, stream: bool) -> Result<(), DecodeError> {
    for name in ["store", "parallel_tool_calls"] {
        fields.typed::<bool>(name, "a boolean")?;
    }
    let strings = ["instructions", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"];
    for name in strings {
        if fields.find(name)?.is_some_and(|value| !value.get().starts_with('"')) {
            return Err(wrong(name, "a string"));
        }
    }
    for (name, max) in [("temperature", 2.0), ("top_p", 1.0)] {
        if fields.typed::<f64>(name, "a number")?.is_some_and(|given| !(0.0..=max).contains(&given)) {
            return Err(bad_at(name, format!("expected a number from 0 to {max}")));
        }
    }
    fields.integer("max_tool_calls", TOOL_CALLS_MAX)?;
    let top = fields.typed::<i128>("top_logprobs", "an integer")?;
    if top.is_some_and(|top| !(0..=TOP_LOGPROBS_MAX).contains(&top)) {
        return Err(bad_at("top_logprobs", format!("expected an integer from 0 to {TOP_LOGPROBS_MAX}")));
    }
    let truncation: Option<String> = fields.typed("truncation", "a string")?;
    if !matches!(truncation.as_deref(), None | Some("auto" | "disabled")) {
        return Err(bad_at("truncation", "expected `auto` or `disabled`"));
    }
    if let Some(options) = fields.find("stream_options")? {
        Object::read(options, "stream_options")?;
        if !stream {
            return Err(bad_at("stream_options", "only allowed when `stream` is true"));
        }
    }
    if let Some(include) = fields.find("include")? {
        for (i, value) in list(include, "include")?.into_iter().enumerate() {
            if !value.get().starts_with('"') {
                return Err(wrong_at(format!("include[{i}]"), "a string"));
            }
        }
    }
    fields.find("metadata")?.map_or(Ok(()), metadata)
}

fn metadata(raw: &RawValue) -> Result<(), DecodeError> {
    let object = Object::read(raw, "metadata")?;
    let mut pairs = 0;
    for (key, value) in object.others(&[]) {
        pairs += 1;
        let value = text(value).ok_or_else(|| wrong_at(object.at(key), "a string"))?;
        if key.chars().count() > METADATA_KEY_MAX_CHARS {
            let expected = format!("expected keys of at most {METADATA_KEY_MAX_CHARS} characters");
            return Err(bad_at("metadata", expected));
        }
        if value.chars().count() > METADATA_VALUE_MAX_CHARS {
            let expected = format!("expected at most {METADATA_VALUE_MAX_CHARS} characters");
            return Err(bad_at(object.at(key), expected));
        }
    }
    if pairs > METADATA_MAX_PAIRS {
        return Err(bad_at("metadata", format!("expected at most {METADATA_MAX_PAIRS} pairs")));
    }
    Ok(())
}
