//! What is asked, and answered, as an old text completion?
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::ask::{Ask, TOKENS_MAX, Unreadable, bad, choices, limit, stops};
use super::dialect::{Dialect, Head, UsageAt};
use super::endpoint::Endpoint;
use super::written::{Event, Written};

/// How long an answer is unless something else was asked, tokens.
const TOKENS_USUAL: usize = 16;

/// # Errors
/// Names the first parameter that no provider would take.
pub(super) fn read(body: &Map<String, Value>) -> Result<Ask, Unreadable> {
    let prompts = prompts(body.get("prompt"))?;
    let many = prompts.len();
    // A prompt is a text without turns; one "turn" costs what it costs in a chat.
    let mut ask = Ask::of_turns(Endpoint::Completions, body, [("user", prompts.concat())])?;
    ask.choices = (choices(body)? * many).min(TOKENS_MAX);
    ask.tokens_max = limit(body, &["max_tokens"], TOKENS_USUAL)?;
    ask.stops = stops(body.get("stop"));
    if let Some(best_of) = body.get("best_of").and_then(Value::as_u64)
        && ask.stream
        && best_of > 1
    {
        return Err(bad("best_of", "best_of is not compatible with streaming"));
    }
    Ok(ask)
}

/// A string, strings, tokens, or lists of tokens.
fn prompts(prompt: Option<&Value>) -> Result<Vec<String>, Unreadable> {
    match prompt {
        None | Some(Value::Null) => Ok(vec![String::new()]),
        Some(Value::String(text)) => Ok(vec![text.clone()]),
        Some(Value::Array(items)) if items.iter().all(Value::is_u64) => {
            Ok(vec![Value::Array(items.clone()).to_string()])
        }
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Ok(text.clone()),
                Value::Array(tokens) if tokens.iter().all(Value::is_u64) => Ok(item.to_string()),
                _ => Err(bad("prompt", "strings or tokens")),
            })
            .collect(),
        Some(_) => Err(bad("prompt", "a string, strings or tokens")),
    }
}

/// Writes an answer; see [`super::chat::write`].
pub(super) fn write(
    dialect: &dyn Dialect,
    head: &Head<'_>,
    ask: &Ask,
    answer: &Answer,
    usage: Option<Value>,
    at: UsageAt,
    request_id: &str,
) -> Written {
    let body = |choices: Vec<Value>, usage: Option<Value>| {
        let mut body = json!({
            "id": head.id.replace("chatcmpl-", "cmpl-"),
            "object": "text_completion",
            "created": head.created,
            "model": dialect.answering(head.model),
            "choices": choices,
        });
        if let Some(usage) = usage {
            body["usage"] = usage;
        }
        body
    };
    let choice = |index: usize, text: &str, finish: Option<&str>| json!({"text": text, "index": index, "logprobs": null, "finish_reason": finish});
    let echo = match ask.body.get("echo") {
        Some(Value::Bool(true)) => ask.last_user.as_str(),
        _ => "",
    };
    let mut events = Vec::new();
    let mut whole = Vec::new();
    for (index, said) in answer.choices.iter().enumerate() {
        whole.push(choice(index, &format!("{echo}{}", said.text()), Some(&said.finish)));
        if !echo.is_empty() {
            events.push(Event::nameless(&body(vec![choice(index, echo, None)], None), 0));
        }
        for word in &said.words {
            events.push(Event::nameless(&body(vec![choice(index, word, None)], None), 1));
        }
        let last = index + 1 == answer.choices.len();
        let shown = usage.clone().filter(|_| last && matches!(at, UsageAt::Finish | UsageAt::Every));
        events.push(Event::nameless(&body(vec![choice(index, "", Some(&said.finish))], shown), 0));
    }
    if let (UsageAt::Trailer, Some(usage)) = (at, &usage) {
        events.push(Event::nameless(&body(Vec::new(), Some(usage.clone())), 0));
    }
    let error = dialect.error_in_200(request_id);
    Written {
        whole: body(whole, usage),
        events,
        done: true,
        error_event: Event::nameless(&error, 0),
        done_after_error: dialect.done_after_error(),
        error,
    }
}
