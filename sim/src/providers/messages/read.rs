//! What is asked in messages? For what [`super::check`] has let through.
use serde_json::{Map, Value};

use crate::providers::ask::{Ask, Format, TOKENS_MAX, Tool, ToolChoice, Unreadable, limit, said, stops};
use crate::providers::endpoint::Endpoint;

/// # Errors
/// Names what cannot be read; little is left to find.
pub(in crate::providers) fn read(endpoint: Endpoint, body: &Map<String, Value>) -> Result<Ask, Unreadable> {
    let mut turns = Vec::new();
    let system = said(body.get("system"));
    if !system.is_empty() {
        turns.push(("system", system));
    }
    for message in body.get("messages").and_then(Value::as_array).into_iter().flatten() {
        let blocks = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        // What tools have found is not what the user said.
        let found = |block: &&Value| block["type"] == "tool_result";
        let role = if blocks.iter().any(|block| found(&block)) {
            "tool"
        } else {
            message["role"].as_str().unwrap_or_default()
        };
        let results: String = blocks.iter().filter(found).map(|block| said(block.get("content"))).collect();
        let inputs: String = blocks
            .iter()
            .filter(|block| block["type"] == "tool_use")
            .map(|block| block["input"].to_string())
            .collect();
        turns.push((role, format!("{results}{inputs}{}", said(message.get("content")))));
    }
    let mut ask = Ask::of_turns(endpoint, body, turns)?;
    ask.tokens_max = limit(body, &["max_tokens"], TOKENS_MAX)?;
    ask.stops = stops(body.get("stop_sequences"));
    let tools = body.get("tools").and_then(Value::as_array).into_iter().flatten();
    ask.tools = tools
        .filter(|tool| tool["input_schema"].is_object())
        .map(|tool| Tool {
            name: tool["name"].as_str().unwrap_or_default().into(),
            parameters: tool["input_schema"].clone(),
        })
        .collect();
    let choice = body.get("tool_choice").unwrap_or(&Value::Null);
    ask.tool_choice = match choice["type"].as_str() {
        None => ToolChoice::Auto,
        Some("tool") => ToolChoice::named(&choice["name"], &ask.tools)?,
        Some(word) => ToolChoice::word(word)?,
    };
    ask.parallel = choice["disable_parallel_tool_use"] != true;
    let schema = body.get("output_config").map(|config| &config["format"]["schema"]);
    if let Some(schema @ Value::Object(_)) = schema {
        ask.format = Format::Schema(schema.clone());
    }
    ask.thinking = body.get("thinking").map(|thinking| thinking["type"] != "disabled");
    Ok(ask)
}
