//! What is asked? What every simulated model understands, whichever wire it came by; and a chat request, read.
use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::model::Manner;

/// The longest answer anybody gets, tokens.
pub(super) const TOKENS_MAX: usize = 4_096;
/// The most choices in one answer.
const CHOICES_MAX: u64 = 8;

/// A request, read.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) endpoint: Endpoint,
    pub(super) model: String,
    pub(super) manner: Manner,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) prompt_tokens: u64,
    /// All text of all messages: what an answer depends on.
    pub(super) text: String,
    pub(super) last_user: String,
    pub(super) last_role: String,
    pub(super) choices: usize,
    pub(super) tokens_max: usize,
    pub(super) stops: Vec<String>,
    pub(super) tools: Vec<Tool>,
    pub(super) tool_choice: ToolChoice,
    /// More than one tool may be called at once.
    pub(super) parallel: bool,
    pub(super) format: Format,
    /// Thinking switched on or off by the request; `None` leaves it to the model.
    pub(super) thinking: Option<bool>,
    /// The beginning of the answer, where the request has it: the last message, marked `prefix` or `partial`.
    pub(super) begun: Option<String>,
    /// What was asked, in full, for what only one wire knows.
    pub(super) body: Map<String, Value>,
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
    pub(super) param: String,
    pub(super) message: String,
}

pub(super) fn bad(param: impl Into<String>, message: impl Into<String>) -> Unreadable {
    Unreadable { param: param.into(), message: message.into() }
}

impl Ask {
    /// A question of these turns, `(role, text)`, and nothing else.
    ///
    /// # Errors
    /// If the model is missing.
    pub(super) fn of_turns<'t>(
        endpoint: Endpoint,
        body: &Map<String, Value>,
        turns: impl IntoIterator<Item = (&'t str, String)>,
    ) -> Result<Self, Unreadable> {
        let model = body.get("model").and_then(Value::as_str).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| bad("model", "you must provide a model parameter"))?;
        let mut ask = Self {
            endpoint,
            model: model.into(),
            manner: Manner::of(model),
            stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: body
                .get("stream_options")
                .and_then(|options| options["include_usage"].as_bool())
                .unwrap_or(false),
            prompt_tokens: 3,
            text: String::new(),
            last_user: String::new(),
            last_role: String::new(),
            choices: 1,
            tokens_max: TOKENS_MAX,
            stops: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            parallel: true,
            format: Format::Text,
            thinking: None,
            begun: None,
            body: body.clone(),
        };
        let mut bytes = 0;
        for (role, said) in turns {
            bytes += said.len() as u64;
            ask.prompt_tokens += 3;
            ask.text.push_str(role);
            ask.text.push_str(&said);
            role.clone_into(&mut ask.last_role);
            if role == "user" {
                ask.last_user = said;
            }
        }
        ask.prompt_tokens += bytes.div_ceil(4);
        Ok(ask)
    }

    /// A chat request.
    ///
    /// # Errors
    /// Names the first parameter that no provider would take.
    pub(super) fn chat(body: &Map<String, Value>) -> Result<Self, Unreadable> {
        let messages = body.get("messages").and_then(Value::as_array).filter(|list| !list.is_empty());
        let model_first = || bad("model", "you must provide a model parameter");
        body.get("model").and_then(Value::as_str).ok_or_else(model_first)?;
        let messages =
            messages.ok_or_else(|| bad("messages", "'messages' must be a list that is not empty"))?;
        let (begun, messages) = match messages.split_last() {
            Some((last, before))
                if last["role"] == "assistant" && (last["prefix"] == true || last["partial"] == true) =>
            {
                (Some(said(last.get("content"))), before)
            }
            _ => (None, messages.as_slice()),
        };
        let mut turns = Vec::new();
        for message in messages {
            let role = message.get("role").and_then(Value::as_str);
            turns.push((
                role.ok_or_else(|| bad("messages", "every message has a role"))?,
                said(message.get("content")),
            ));
        }
        let mut ask = Self::of_turns(Endpoint::Chat, body, turns)?;
        ask.prompt_tokens += begun.as_ref().map_or(0, |text| 3 + (text.len() as u64).div_ceil(4));
        ask.begun = begun;
        ask.tokens_max = limit(body, &["max_completion_tokens", "max_tokens"], TOKENS_MAX)?;
        ask.choices = choices(body)?;
        ask.stops = stops(body.get("stop"));
        ask.tools = match body.get("tools") {
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
        ask.tool_choice = match body.get("tool_choice") {
            None | Some(Value::Null) => ToolChoice::Auto,
            Some(Value::String(choice)) => ToolChoice::word(choice)?,
            Some(named) => ToolChoice::named(&named["function"]["name"], &ask.tools)?,
        };
        if ask.tools.is_empty() && matches!(ask.tool_choice, ToolChoice::Required) {
            return Err(bad("tool_choice", "needs tools"));
        }
        ask.parallel = body.get("parallel_tool_calls") != Some(&Value::Bool(false));
        ask.format = match body.get("response_format") {
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
        ask.thinking = match (body.get("enable_thinking"), body.get("thinking").map(|it| &it["type"])) {
            (Some(Value::Bool(on)), _) => Some(*on),
            (_, Some(Value::String(kind))) => Some(kind != "disabled"),
            _ => None,
        };
        Ok(ask)
    }
}

impl ToolChoice {
    /// # Errors
    /// For a word that means nothing here.
    pub(super) fn word(choice: &str) -> Result<Self, Unreadable> {
        match choice {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            "required" | "any" => Ok(Self::Required),
            _ => Err(bad("tool_choice", "auto, none, required or a function")),
        }
    }

    /// # Errors
    /// If there is no such tool.
    pub(super) fn named(name: &Value, tools: &[Tool]) -> Result<Self, Unreadable> {
        match name.as_str() {
            Some(name) if tools.iter().any(|tool| tool.name == name) => Ok(Self::Named(name.into())),
            _ => Err(bad("tool_choice", "names a function that is not among the tools")),
        }
    }
}

/// A cap on the answer, tokens: the first of these members that is set.
pub(super) fn limit(
    body: &Map<String, Value>,
    names: &[&str],
    otherwise: usize,
) -> Result<usize, Unreadable> {
    for name in names {
        match body.get(*name) {
            None | Some(Value::Null) => {}
            Some(max) => match max.as_u64() {
                Some(max @ 1..) => {
                    return Ok(usize::try_from(max).unwrap_or(TOKENS_MAX).min(TOKENS_MAX));
                }
                _ => return Err(bad(*name, "a whole number above 0")),
            },
        }
    }
    Ok(otherwise)
}

pub(super) fn choices(body: &Map<String, Value>) -> Result<usize, Unreadable> {
    match body.get("n") {
        None | Some(Value::Null) => Ok(1),
        Some(n) => match n.as_u64() {
            Some(n @ 1..=CHOICES_MAX) => Ok(usize::try_from(n).unwrap_or(1)),
            _ => Err(bad("n", "a whole number from 1 to 8")),
        },
    }
}

/// Where an answer is to stop, a string or a list of them.
pub(super) fn stops(stop: Option<&Value>) -> Vec<String> {
    let stops = match stop {
        Some(Value::String(stop)) => vec![stop.clone()],
        Some(Value::Array(stops)) => {
            stops.iter().filter_map(|stop| Some(stop.as_str()?.to_owned())).collect()
        }
        _ => Vec::new(),
    };
    stops.into_iter().filter(|stop| !stop.is_empty()).collect()
}

/// The text of a message's content, be it a string or a list of parts.
pub(super) fn said(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    }
}
