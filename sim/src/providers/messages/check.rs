//! What does Anthropic refuse? What it does not know, and what does not fit together.
use serde_json::{Map, Value};

use super::turns::{one, together};
use super::{Generation, OUTPUT_MAX};
use crate::providers::ask::{Unreadable, bad};
use crate::providers::endpoint::Endpoint;

const KNOWN: [&str; 24] = [
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "context_management",
    "mcp_servers",
    "cache_control",
    // Only where an answer is wanted:
    "max_tokens",
    "metadata",
    "stop_sequences",
    "stream",
    "temperature",
    "top_p",
    "top_k",
    "service_tier",
    "container",
    "inference_geo",
    "speed",
    "diagnostics",
    "user_profile_id",
    "workspace_id",
];
/// How many of them counting tokens takes.
const KNOWN_TO_COUNT: usize = 10;

/// Reads a request as strictly as Anthropic does.
///
/// # Errors
/// The first thing that is wrong.
pub(super) fn check(endpoint: Endpoint, body: &Map<String, Value>) -> Result<(), Unreadable> {
    let known = if endpoint == Endpoint::CountTokens { &KNOWN[..KNOWN_TO_COUNT] } else { &KNOWN[..] };
    only(body, known, "")?;
    let model = body.get("model").and_then(Value::as_str).ok_or_else(|| bad("model", "Field required"))?;
    let generation = Generation::of(model);
    if endpoint == Endpoint::Messages {
        match body.get("max_tokens").map(Value::as_u64) {
            None => return Err(bad("max_tokens", "Field required")),
            Some(Some(1..=OUTPUT_MAX)) => {}
            Some(Some(0)) => return Err(bad("max_tokens", "Input should be greater than or equal to 1")),
            Some(Some(more)) => {
                let message = format!(
                    "{more} > {OUTPUT_MAX}, which is the maximum allowed number of output tokens for {model}"
                );
                return Err(bad("max_tokens", message));
            }
            Some(None) => return Err(bad("max_tokens", "Input should be a valid integer")),
        }
    }
    system(body.get("system"))?;
    tools(body)?;
    thinking(body, generation)?;
    sampling(body, generation)?;
    output(body)?;
    let messages = body.get("messages").ok_or_else(|| bad("messages", "Field required"))?;
    let messages = messages.as_array().ok_or_else(|| bad("messages", "Input should be a valid list"))?;
    if messages.is_empty() {
        return Err(bad("messages", "at least one message is required"));
    }
    for (at, message) in messages.iter().enumerate() {
        one(at, message, generation)?;
    }
    together(messages, generation)
}

/// Refuses members that are not among `known`.
pub(super) fn only(members: &Map<String, Value>, known: &[&str], place: &str) -> Result<(), Unreadable> {
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        Some(extra) => Err(bad(format!("{place}{extra}"), "Extra inputs are not permitted")),
        None => Ok(()),
    }
}

fn system(system: Option<&Value>) -> Result<(), Unreadable> {
    match system {
        None | Some(Value::String(_)) => Ok(()),
        Some(Value::Array(blocks)) => {
            for (at, block) in blocks.iter().enumerate() {
                if block["type"] != "text" {
                    return Err(bad(format!("system.{at}.type"), "Input should be 'text'"));
                }
                if block["text"].as_str().is_none_or(str::is_empty) {
                    return Err(bad("system", "text content blocks must be non-empty"));
                }
            }
            Ok(())
        }
        Some(_) => Err(bad("system", "Input should be a valid string")),
    }
}

pub(super) fn is_name(name: &str, longest: usize) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=longest).contains(&name.len()) && name.bytes().all(fits)
}

fn tools(body: &Map<String, Value>) -> Result<(), Unreadable> {
    let tools = body.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (at, tool) in tools.iter().enumerate() {
        // Tools that Anthropic runs itself have types with a date.
        if tool["type"].as_str().is_some_and(|kind| kind != "custom") {
            continue;
        }
        let place = format!("tools.{at}.custom.");
        let own = [
            "type",
            "name",
            "description",
            "input_schema",
            "cache_control",
            "strict",
            "input_examples",
            "eager_input_streaming",
            "defer_loading",
            "allowed_callers",
        ];
        if let Value::Object(members) = tool {
            only(members, &own, &place)?;
        }
        match tool["name"].as_str() {
            None => return Err(bad(format!("{place}name"), "Field required")),
            Some(name) if !is_name(name, 128) => {
                let message = "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'";
                return Err(bad(format!("{place}name"), message));
            }
            Some(_) => {}
        }
        if !tool["input_schema"].is_object() {
            return Err(bad(format!("{place}input_schema"), "Field required"));
        }
        match tool["input_schema"].get("type") {
            Some(kind) if kind == "object" => {}
            Some(_) => return Err(bad(format!("{place}input_schema.type"), "Input should be 'object'")),
            None => return Err(bad(format!("{place}input_schema.type"), "Field required")),
        }
    }
    let Some(choice) = body.get("tool_choice") else { return Ok(()) };
    let kind = choice["type"].as_str().unwrap_or_default();
    if !["auto", "any", "tool", "none"].contains(&kind) {
        let message = format!(
            "Input tag '{kind}' found using 'type' does not match any of the expected tags: 'auto', \
                     'any', 'tool', 'none'"
        );
        return Err(bad("tool_choice", message));
    }
    if tools.is_empty() {
        return Err(bad("tool_choice", "tool_choice may only be specified while providing tools"));
    }
    let name = &choice["name"];
    if kind == "tool" && !tools.iter().any(|tool| tool["name"] == *name) {
        return Err(bad(
            "tool_choice",
            format!("Tool '{}' not found in provided tools", name.as_str().unwrap_or_default()),
        ));
    }
    Ok(())
}

fn thinking(body: &Map<String, Value>, generation: Generation) -> Result<(), Unreadable> {
    let on = match body.get("thinking").map(|it| (it["type"].as_str().unwrap_or_default(), it)) {
        None => generation.always_thinks,
        Some(("disabled", _)) if generation.always_thinks => {
            return Err(bad("thinking", "Thinking cannot be disabled for this model"));
        }
        Some(("disabled", _)) => false,
        Some(("adaptive" | "between_tools", _)) if generation.old => {
            return Err(bad("thinking", "adaptive thinking is not supported on this model"));
        }
        Some(("adaptive" | "between_tools", _)) => true,
        Some(("enabled", _)) if !generation.old => {
            let message = "\"thinking.type.enabled\" is not supported for this model. Use \
                           \"thinking.type.adaptive\" and \"output_config.effort\" to control thinking behavior.";
            return Err(bad("", message));
        }
        Some(("enabled", thinking)) => {
            let max = body.get("max_tokens").and_then(Value::as_u64).unwrap_or(u64::MAX);
            match thinking["budget_tokens"].as_u64() {
                None => return Err(bad("thinking.enabled.budget_tokens", "Field required")),
                Some(..1_024) => {
                    let message = "Input should be greater than or equal to 1024";
                    return Err(bad("thinking.enabled.budget_tokens", message));
                }
                Some(budget) if budget >= max => {
                    let message = "`max_tokens` must be greater than `thinking.budget_tokens`.";
                    return Err(bad("", message));
                }
                Some(_) => true,
            }
        }
        Some((other, _)) => {
            let message = format!(
                "Input tag '{other}' found using 'type' does not match any of the expected tags: 'adaptive', \
                 'disabled', 'enabled'"
            );
            return Err(bad("thinking", message));
        }
    };
    let forced = body.get("tool_choice").is_some_and(|it| it["type"] == "any" || it["type"] == "tool");
    if on && forced {
        return Err(bad("", "Thinking may not be enabled when tool_choice forces tool use."));
    }
    Ok(())
}

fn sampling(body: &Map<String, Value>, generation: Generation) -> Result<(), Unreadable> {
    for name in ["temperature", "top_p", "top_k"] {
        if body.contains_key(name) && !generation.old {
            return Err(bad("", format!("`{name}` is deprecated for this model.")));
        }
    }
    if body.contains_key("temperature") && body.contains_key("top_p") {
        let message =
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one.";
        return Err(bad("", message));
    }
    if body.get("temperature").and_then(Value::as_f64).is_some_and(|it| !(0.0..=1.0).contains(&it)) {
        return Err(bad("temperature", "range: 0..1"));
    }
    let stops = body.get("stop_sequences").and_then(Value::as_array).into_iter().flatten();
    if stops.into_iter().any(|stop| stop.as_str().is_none_or(|stop| stop.trim().is_empty())) {
        return Err(bad("stop_sequences", "each stop sequence must contain non-whitespace"));
    }
    if let Some(Value::Object(metadata)) = body.get("metadata") {
        only(metadata, &["user_id"], "metadata.")?;
    }
    match body.get("service_tier").map(|tier| tier.as_str().unwrap_or_default()) {
        None | Some("auto" | "standard_only") => Ok(()),
        Some(_) => Err(bad("service_tier", "Input should be 'auto' or 'standard_only'")),
    }
}

fn output(body: &Map<String, Value>) -> Result<(), Unreadable> {
    let Some(config) = body.get("output_config").and_then(Value::as_object) else { return Ok(()) };
    only(config, &["effort", "format", "task_budget"], "output_config.")?;
    if let Some(effort) = config.get("effort").filter(|it| !it.is_null())
        && !["low", "medium", "high", "xhigh", "max"].iter().any(|known| effort == known)
    {
        let message = "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'";
        return Err(bad("output_config.effort", message));
    }
    let Some(format) = config.get("format").filter(|it| !it.is_null()) else { return Ok(()) };
    if let Value::Object(members) = format {
        only(members, &["type", "schema"], "output_config.format.")?;
    }
    if format["type"] != "json_schema" || !format["schema"].is_object() {
        return Err(bad("output_config.format", "Input should be a JSON schema"));
    }
    if open(&format["schema"]) {
        let message = "For 'object' type, 'additionalProperties' must be explicitly set to false";
        return Err(bad("output_config.format.schema", message));
    }
    Ok(())
}

/// Whether a schema has an object to which anything might be added. Depth is what the JSON parser allows.
fn open(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            let object = schema["type"] == "object" && schema["additionalProperties"] != false;
            object || members.values().any(open)
        }
        Value::Array(items) => items.iter().any(open),
        _ => false,
    }
}
