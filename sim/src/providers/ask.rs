//! What is asked? The part of a chat request that every simulated model understands.
use serde_json::{Map, Value};

/// The longest answer anybody gets, tokens.
pub(super) const TOKENS_MAX: usize = 4_096;
/// The most choices in one answer.
const CHOICES_MAX: u64 = 8;

/// A chat request, read.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) prompt_tokens: u64,
    /// All text of all messages: what an answer depends on.
    pub(super) text: String,
    pub(super) last_user: String,
    pub(super) last_role: String,
    pub(super) choices: usize,
    pub(super) tokens_max: usize,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: ToolChoice,
    pub(super) format: Format,
    /// Thinking switched on or off by the request; `None` leaves it to the model.
    pub(super) thinking: Option<bool>,
}

/// A function the model may call.
#[derive(Debug)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) parameters: Value,
}

/// Whether a tool is to be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// What the content is to look like.
#[derive(Debug)]
pub(super) enum Format {
    Text,
    Json,
    Schema(Value),
}

/// What is wrong with a request, and with which of its parameters.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) param: &'static str,
    pub(super) message: String,
}

impl Ask {
    /// # Errors
    /// Names the first parameter that no provider would take.
    pub(super) fn read(body: &Map<String, Value>) -> Result<Self, Unreadable> {
        let bad = |param, message: &str| Unreadable { param, message: message.into() };
        let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| bad("model", "you must provide a model parameter"))?;
        let messages = body.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty());
        let messages =
            messages.ok_or_else(|| bad("messages", "'messages' must be a list that is not empty"))?;

        let mut text = String::new();
        let mut last_user = String::new();
        let mut last_role = String::new();
        let mut bytes = 0_u64;
        for message in messages {
            let role = message.get("role").and_then(Value::as_str);
            let role = role.ok_or_else(|| bad("messages", "every message has a role"))?;
            let said = said(message.get("content"));
            bytes += said.len() as u64;
            if role == "user" {
                last_user.clone_from(&said);
            }
            role.clone_into(&mut last_role);
            text.push_str(role);
            text.push_str(&said);
        }
        let tokens_max = match body.get("max_completion_tokens").or_else(|| body.get("max_tokens")) {
            None | Some(Value::Null) => TOKENS_MAX,
            Some(max) => match max.as_u64() {
                Some(max @ 1..) => usize::try_from(max).unwrap_or(TOKENS_MAX).min(TOKENS_MAX),
                _ => return Err(bad("max_tokens", "a whole number above 0")),
            },
        };
        let choices = match body.get("n") {
            None | Some(Value::Null) => 1,
            Some(n) => match n.as_u64() {
                Some(n @ 1..=CHOICES_MAX) => usize::try_from(n).unwrap_or(1),
                _ => return Err(bad("n", "a whole number from 1 to 8")),
            },
        };
        let tools = match body.get("tools") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(tools)) => tools
                .iter()
                .map(|tool| {
                    let function = &tool["function"];
                    let name =
                        function["name"].as_str().ok_or_else(|| bad("tools", "a function has a name"))?;
                    Ok(Tool { name: name.into(), parameters: function["parameters"].clone() })
                })
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(bad("tools", "a list")),
        };
        let tool_choice = match body.get("tool_choice") {
            None | Some(Value::Null) => ToolChoice::Auto,
            Some(Value::String(choice)) => match choice.as_str() {
                "auto" => ToolChoice::Auto,
                "none" => ToolChoice::None,
                "required" | "any" => ToolChoice::Required,
                _ => return Err(bad("tool_choice", "auto, none, required or a function")),
            },
            Some(named) => match named["function"]["name"].as_str() {
                Some(name) if tools.iter().any(|tool| tool.name == name) => ToolChoice::Named(name.into()),
                _ => return Err(bad("tool_choice", "names a function that is not among the tools")),
            },
        };
        if tools.is_empty() && matches!(tool_choice, ToolChoice::Required) {
            return Err(bad("tool_choice", "needs tools"));
        }
        let format = match body.get("response_format") {
            None | Some(Value::Null) => Format::Text,
            Some(format) => match format["type"].as_str() {
                Some("text") => Format::Text,
                Some("json_object") => Format::Json,
                Some("json_schema") => match &format["json_schema"]["schema"] {
                    Value::Null => return Err(bad("response_format", "json_schema has a schema")),
                    schema => Format::Schema(schema.clone()),
                },
                _ => return Err(bad("response_format", "type: text, json_object or json_schema")),
            },
        };
        let thinking = match (body.get("enable_thinking"), body.get("thinking").map(|it| &it["type"])) {
            (Some(Value::Bool(on)), _) => Some(*on),
            (_, Some(Value::String(kind))) => Some(kind == "enabled"),
            _ => None,
        };
        Ok(Self {
            model: model.into(),
            stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: body
                .get("stream_options")
                .and_then(|options| options["include_usage"].as_bool())
                .unwrap_or(false),
            prompt_tokens: bytes.div_ceil(4) + 3 * messages.len() as u64 + 3,
            text,
            last_user,
            last_role,
            choices,
            tokens_max,
            tools,
            tool_choice,
            format,
            thinking,
        })
    }
}

/// The text of a message's content, be it a string or a list of parts.
fn said(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}
