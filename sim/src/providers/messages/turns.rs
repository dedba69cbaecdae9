//! What does Anthropic refuse in a conversation: blocks out of place, and calls and results that do not match?
use serde_json::Value;

use super::check::{is_name, only};
use super::{Generation, signature};
use crate::providers::ask::{Unreadable, bad};

/// One message by itself.
pub(super) fn one(at: usize, message: &Value, generation: Generation) -> Result<(), Unreadable> {
    let place = format!("messages.{at}.");
    if let Value::Object(members) = message {
        only(members, &["role", "content"], &place)?;
    }
    let role = match message["role"].as_str() {
        Some(role @ ("user" | "assistant")) => role,
        // Newer models take instructions in between, too.
        Some(role @ "system") if at > 0 && !generation.old => role,
        Some("system") => {
            let message = "Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \
                           \"system\" as an input message role.";
            return Err(bad("messages", message));
        }
        Some(_) => return Err(bad(format!("{place}role"), "Input should be 'user' or 'assistant'")),
        None => return Err(bad(format!("{place}role"), "Field required")),
    };
    match &message["content"] {
        Value::String(text) if text.is_empty() => {
            Err(bad("", format!("messages.{at}: user messages must have non-empty content")))
        }
        Value::String(_) => Ok(()),
        Value::Array(blocks) if blocks.is_empty() => {
            Err(bad("", format!("messages.{at}: {role} messages must have non-empty content")))
        }
        Value::Array(blocks) => {
            for (index, inner) in blocks.iter().enumerate() {
                block(&format!("{place}content.{index}"), role, inner)?;
            }
            Ok(())
        }
        _ => Err(bad(format!("{place}content"), "Input should be a valid string")),
    }
}

fn block(place: &str, role: &str, block: &Value) -> Result<(), Unreadable> {
    let kind = block["type"].as_str().unwrap_or_default();
    let own: &[&str] = match (kind, role) {
        ("text", _) => &["type", "text", "cache_control", "citations"],
        ("tool_use", "assistant") => &["type", "id", "name", "input", "cache_control", "caller"],
        ("tool_result", "user") => &["type", "tool_use_id", "content", "is_error", "cache_control"],
        ("image", "user") => &["type", "source", "cache_control"],
        ("document", "user") => &["type", "source", "cache_control", "title", "context", "citations"],
        ("thinking", "assistant") => &["type", "thinking", "signature"],
        ("redacted_thinking", "assistant") => &["type", "data"],
        _ => {
            let message =
                format!("Input tag '{kind}' found using 'type' does not match any of the expected tags");
            return Err(bad(place, message));
        }
    };
    if let Value::Object(members) = block {
        only(members, own, &format!("{place}.{kind}."))?;
    }
    match kind {
        "text" if block["text"].as_str().is_none_or(str::is_empty) => {
            Err(bad("messages", "text content blocks must be non-empty"))
        }
        "tool_use" if !block["input"].is_object() => {
            Err(bad(format!("{place}.tool_use.input"), "Input should be a valid dictionary"))
        }
        "tool_use" if !block["id"].as_str().is_some_and(|id| is_name(id, 256)) => {
            let message = "String should match pattern '^[a-zA-Z0-9_-]+$'";
            Err(bad(format!("{place}.tool_use.id"), message))
        }
        "thinking" => {
            let thought = block["thinking"].as_str().unwrap_or_default();
            if block["signature"] == signature(thought).as_str() {
                return Ok(());
            }
            Err(bad(place, "Invalid `signature` in `thinking` block"))
        }
        "image" => image(place, &block["source"]),
        _ => Ok(()),
    }
}

fn image(place: &str, source: &Value) -> Result<(), Unreadable> {
    let kinds = ["image/jpeg", "image/png", "image/gif", "image/webp"];
    match source["type"].as_str() {
        Some("base64") if !kinds.iter().any(|kind| source["media_type"] == *kind) => {
            let message = "Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'";
            Err(bad(format!("{place}.image.source.base64.media_type"), message))
        }
        Some("base64" | "url" | "file") => Ok(()),
        _ => Err(bad(format!("{place}.image.source"), "Field required")),
    }
}

/// The blocks of this type in a message.
fn of_type<'a>(message: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    message["content"].as_array().into_iter().flatten().filter(move |block| block["type"] == kind)
}

/// All messages, one after the other. Adjacent messages of one role count as one.
pub(super) fn together(messages: &[Value], generation: Generation) -> Result<(), Unreadable> {
    if messages[0]["role"] != "user" {
        return Err(bad("messages", "first message must use the \"user\" role"));
    }
    let ids = |blocks: &mut dyn Iterator<Item = &Value>, name: &str| -> Vec<String> {
        blocks.filter_map(|block| Some(block[name].as_str()?.to_owned())).collect()
    };
    let mut merged: Vec<(usize, &str, Vec<&Value>)> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap_or_default();
        match merged.last_mut() {
            Some((_, last, parts)) if *last == role => parts.push(message),
            _ => merged.push((at, role, vec![message])),
        }
    }
    let mut asked: Vec<String> = Vec::new();
    for (at, role, parts) in &merged {
        let calls = ids(&mut parts.iter().flat_map(|it| of_type(it, "tool_use")), "id");
        let results = ids(&mut parts.iter().flat_map(|it| of_type(it, "tool_result")), "tool_use_id");
        if *role == "assistant" {
            asked = calls;
            continue;
        }
        let missing: Vec<&str> =
            asked.iter().filter(|id| !results.contains(id)).map(String::as_str).collect();
        if !missing.is_empty() || (!asked.is_empty() && text_before_results(parts)) {
            let message = format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
                 `tool_use` block must have a corresponding `tool_result` block in the next message.",
                at.saturating_sub(1),
                if missing.is_empty() { asked.join(", ") } else { missing.join(", ") },
            );
            return Err(bad("", message));
        }
        if let Some(stray) = results.iter().find(|id| !asked.contains(id)) {
            let message = format!(
                "messages.{at}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {stray}. Each \
                 `tool_result` block must have a corresponding `tool_use` block in the previous message."
            );
            return Err(bad("", message));
        }
        asked.clear();
    }
    if !asked.is_empty() {
        let message = format!(
            "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}.",
            messages.len() - 1,
            asked.join(", "),
        );
        return Err(bad("", message));
    }
    if merged.last().is_some_and(|(_, role, _)| *role == "assistant") && !generation.old {
        let message = "This model does not support assistant message prefill. The conversation must end with a user \
                       message.";
        return Err(bad("", message));
    }
    Ok(())
}

/// Whether something stands before the last result of a tool that is none.
fn text_before_results(parts: &[&Value]) -> bool {
    let kinds: Vec<&str> = parts
        .iter()
        .flat_map(|message| match &message["content"] {
            Value::Array(blocks) => blocks.iter().map(|it| it["type"].as_str().unwrap_or_default()).collect(),
            _ => vec!["text"],
        })
        .collect();
    let last = kinds.iter().rposition(|kind| *kind == "tool_result").unwrap_or(0);
    kinds[..last].iter().any(|kind| *kind != "tool_result")
}
