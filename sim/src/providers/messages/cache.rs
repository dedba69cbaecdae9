//! How much of a prompt is remembered? Up to each block marked with `cache_control`, if that is long enough.
use serde_json::{Value, json};

use crate::providers::answer::Count;
use crate::providers::ask::Ask;
use crate::providers::book::Book;
use crate::random::Dice;

/// Shorter beginnings are not worth remembering, tokens.
const PREFIX_TOKENS_MIN: u64 = 1_024;

/// A beginning of a prompt that is marked to be remembered.
struct Mark {
    tokens: u64,
    hash: u64,
    hour: bool,
}

/// Usage as messages show it: three counts of input that do not overlap.
pub(in crate::providers) fn usage(ask: &Ask, count: Count, book: &Book) -> Value {
    let marks = marks(ask);
    // All are looked up before any is remembered.
    let known: Vec<bool> = marks.iter().map(|mark| book.remembers(mark.hash)).collect();
    let read =
        marks.iter().zip(&known).filter(|(_, known)| **known).map(|(mark, _)| mark.tokens).max().unwrap_or(0);
    let end = marks.last().map_or(0, |mark| mark.tokens);
    let written = end.saturating_sub(read);
    let hour = marks.last().is_some_and(|mark| mark.hour);
    for mark in &marks {
        book.remember(mark.hash);
    }
    json!({
        "input_tokens": count.prompt.saturating_sub(read + written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": if hour { 0 } else { written },
            "ephemeral_1h_input_tokens": if hour { written } else { 0 },
        },
        "output_tokens": count.completion,
        "output_tokens_details": {"thinking_tokens": count.reasoning},
        "service_tier": "standard",
    })
}

fn marks(ask: &Ask) -> Vec<Mark> {
    let system = ask.body.get("system").and_then(Value::as_array).into_iter().flatten();
    let messages = ask.body.get("messages").and_then(Value::as_array).into_iter().flatten();
    let blocks =
        system.chain(messages.flat_map(|message| message["content"].as_array().into_iter().flatten()));
    let mut so_far = String::new();
    let mut marks = Vec::new();
    for block in blocks {
        so_far.push_str(block["text"].as_str().unwrap_or_default());
        let Some(mark) = block.get("cache_control").filter(|mark| mark.is_object()) else { continue };
        let tokens = so_far.len() as u64 / 4;
        if tokens >= PREFIX_TOKENS_MIN {
            let hash = Dice::of(0, &format!("{}\n{so_far}", ask.model)).next();
            marks.push(Mark { tokens, hash, hour: mark["ttl"] == "1h" });
        }
    }
    marks
}
