//! What is asked in items?
use serde_json::{Map, Value};

use super::{format, set};
use crate::providers::ask::{Ask, TOKENS_MAX, Tool, ToolChoice, Unreadable, bad, limit, said};
use crate::providers::endpoint::Endpoint;

/// The least that an answer may be limited to, tokens.
const TOKENS_MIN: u64 = 16;
/// Parameters it documents.
const KNOWN: [&str; 31] = [
    "model",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "text",
    "reasoning",
    "include",
    "store",
    "previous_response_id",
    "conversation",
    "background",
    "stream",
    "stream_options",
    "truncation",
    "temperature",
    "top_p",
    "top_logprobs",
    "metadata",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "safety_identifier",
    "service_tier",
    "user",
    "context_management",
    "moderation",
];

/// A request for a response.
///
/// # Errors
/// Names the first parameter that OpenAI would not take.
pub(in crate::providers) fn read(body: &Map<String, Value>) -> Result<Ask, Unreadable> {
    if let Some(stranger) = body.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(bad(stranger, format!("Unknown parameter: '{stranger}'.")));
    }
    if let Some(id) = set(body, "previous_response_id") {
        let message = format!("Previous response with id {id} not found.");
        return Err(bad("previous_response_id", message));
    }
    let mut turns = Vec::new();
    if let Some(instructions) = set(body, "instructions").and_then(Value::as_str) {
        turns.push(("system", instructions.to_owned()));
    }
    match body.get("input") {
        Some(Value::String(text)) => turns.push(("user", text.clone())),
        Some(Value::Array(items)) if !items.is_empty() => {
            paired(items)?;
            for (at, item) in items.iter().enumerate() {
                turns.push(turn(at, item)?);
            }
        }
        _ => return Err(bad("input", "Missing required parameter: 'input'.")),
    }
    let mut ask = Ask::of_turns(Endpoint::Responses, body, turns)?;
    if set(body, "max_output_tokens").and_then(Value::as_u64).is_some_and(|max| max < TOKENS_MIN) {
        let message = format!("Expected a value >= {TOKENS_MIN}");
        return Err(bad("max_output_tokens", message));
    }
    ask.tokens_max = limit(body, &["max_output_tokens"], TOKENS_MAX)?;
    ask.parallel = body.get("parallel_tool_calls") != Some(&Value::Bool(false));
    ask.tools = tools(set(body, "tools"))?;
    ask.tool_choice = match set(body, "tool_choice") {
        None => ToolChoice::Auto,
        Some(Value::String(word)) => ToolChoice::word(word)?,
        Some(named) => ToolChoice::named(&named["name"], &ask.tools)?,
    };
    ask.format = format(set(body, "text")).map_err(|message| bad("text.format", message))?;
    ask.thinking = set(body, "reasoning").map(|reasoning| reasoning["effort"] != "none");
    if ask.manner.reasons && set(body, "temperature").is_some() {
        let message = "Unsupported parameter: 'temperature' is not supported with this model.";
        return Err(bad("temperature", message));
    }
    Ok(ask)
}

/// The role and the text of one item.
fn turn(at: usize, item: &Value) -> Result<(&str, String), Unreadable> {
    let wrong = |what: &str| bad(format!("input[{at}]"), what);
    match item["type"].as_str() {
        None | Some("message") => {
            let role = item["role"].as_str().ok_or_else(|| wrong("Missing required parameter: 'role'."))?;
            if !["user", "assistant", "system", "developer"].contains(&role) {
                return Err(bad(format!("input[{at}].role"), format!("Invalid value: '{role}'.")));
            }
            for part in item["content"].as_array().into_iter().flatten() {
                let kind = part["type"].as_str().unwrap_or_default();
                let own: &[&str] = if role == "assistant" {
                    &["output_text", "refusal"]
                } else {
                    &["input_text", "input_image", "input_file", "input_audio"]
                };
                if !own.contains(&kind) {
                    let message = format!("Invalid value: '{kind}'. Supported values are: {own:?}.");
                    return Err(bad(format!("input[{at}].content"), message));
                }
            }
            Ok((role, said(item.get("content"))))
        }
        Some("function_call") => {
            let arguments = item["arguments"].as_str().ok_or_else(|| wrong("arguments: a string"))?;
            Ok(("assistant", arguments.into()))
        }
        Some("function_call_output") => Ok(("tool", said(item.get("output")))),
        Some("reasoning") => Ok(("assistant", said(item.get("summary")))),
        Some("item_reference") => Err(wrong("Item with this id not found.")),
        Some(other) => Err(wrong(&format!("Invalid value: '{other}'."))),
    }
}

/// Every call has its output, and every output its call.
fn paired(items: &[Value]) -> Result<(), Unreadable> {
    let ids = |kind: &str| -> Vec<&str> {
        items.iter().filter(|it| it["type"] == kind).filter_map(|it| it["call_id"].as_str()).collect()
    };
    let (calls, outputs) = (ids("function_call"), ids("function_call_output"));
    if let Some(call) = calls.iter().find(|call| !outputs.contains(call)) {
        return Err(bad("input", format!("No tool output found for function call {call}.")));
    }
    if let Some(output) = outputs.iter().find(|output| !calls.contains(output)) {
        let message = format!("No tool call found for function call output with call_id {output}.");
        return Err(bad("input", message));
    }
    Ok(())
}

/// The functions among the tools; those that OpenAI runs itself are taken and never used.
fn tools(tools: Option<&Value>) -> Result<Vec<Tool>, Unreadable> {
    let mut functions = Vec::new();
    for (at, tool) in tools.and_then(Value::as_array).into_iter().flatten().enumerate() {
        if tool["type"] == "function" {
            let missing = || bad(format!("tools[{at}].name"), "Missing required parameter: 'tools[0].name'.");
            let name = tool["name"].as_str().ok_or_else(missing)?;
            functions.push(Tool { name: name.into(), parameters: tool["parameters"].clone() });
        } else if !tool["type"].is_string() {
            return Err(bad(format!("tools[{at}].type"), "Missing required parameter: 'tools[0].type'."));
        }
    }
    Ok(functions)
}
