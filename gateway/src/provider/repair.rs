//! What upstreams say sloppily, said strictly: so that the strictest of the clients' libraries understands it.
//!
//! An answer that needs nothing is passed as it came. What is mended, each because some SDK or framework was seen to break
//! on it: a role on every chunk, tool calls without an index or with their name said again, a text that is a list, a finish
//! reason that is nobody's word, reasoning under another name.

use std::{borrow::Cow, sync::Arc};

use router_config::Quirks;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::chunk::{RawChoice, RawChunk, RawMessage};
use crate::json::{self, ObjectWriter};

/// Where reasoning is shown, whatever the upstream calls it.
const REASONING: &str = "reasoning_content";

/// What of an answer was said already, and so need not be said again.
#[derive(Debug)]
pub(super) struct Repair {
    quirks: Arc<Quirks>,
    choices: Vec<Said>,
}

/// What was said of one choice.
#[derive(Debug, Default, Clone)]
struct Said {
    role: bool,
    tools: Vec<Tool>,
    /// Whether its latest finish reason was an empty text.
    blank_end: bool,
}

/// A tool call that was begun. Its place in the list is the index clients see.
#[derive(Debug, Clone)]
struct Tool {
    /// The upstream's index, where it gives one.
    index: Option<u64>,
    id: String,
    name: String,
    /// One of free text: what is called stands in `custom`, as it came, in place of `function`.
    custom: bool,
}

#[derive(Deserialize)]
struct RawTool<'a> {
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    function: Option<RawFunction<'a>>,
}

#[derive(Deserialize)]
struct RawFunction<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// What becomes of a choice's message (or delta) and of its finish reason.
#[derive(Debug, Default)]
struct Mended {
    dirty: bool,
    role: Option<&'static str>,
    drops_role: bool,
    content: Option<String>,
    reasoning: Option<Vec<u8>>,
    tools: Option<Vec<u8>>,
    finish: Option<Option<&'static str>>,
}

impl Repair {
    pub(super) const fn new(quirks: Arc<Quirks>) -> Self {
        Self { quirks, choices: Vec::new() }
    }

    /// A chunk as it should be; `None` if it is so already.
    pub(super) fn chunk(&mut self, json: &[u8], raw: &RawChunk<'_>) -> Option<Vec<u8>> {
        let choices = raw.choices.as_deref().unwrap_or_default();
        let mended: Vec<Mended> = choices.iter().map(|choice| self.mend(choice, true)).collect();
        let dirty = raw.choices.is_none() || mended.iter().any(|choice| choice.dirty);
        dirty.then(|| rebuilt(json, &mended, "delta", self.reasoning_in(), &[])).flatten()
    }

    /// An answer in one piece as it should be; `None` if it is so already.
    pub(super) fn whole(&mut self, json: &[u8], raw: &RawChunk<'_>) -> Option<Vec<u8>> {
        let choices = raw.choices.as_deref().unwrap_or_default();
        let mended: Vec<Mended> = choices.iter().map(|choice| self.mend(choice, false)).collect();
        let missing = raw.missing();
        let dirty = !missing.is_empty() || mended.iter().any(|choice| choice.dirty);
        dirty.then(|| rebuilt(json, &mended, "message", self.reasoning_in(), &missing)).flatten()
    }

    /// Chunks that end the choices whose last word was an empty finish reason, in the frame of `latest`.
    pub(super) fn blank_ends(&mut self, latest: &[u8]) -> Vec<Vec<u8>> {
        let members = json::members(latest).unwrap_or_default();
        let mut ends = Vec::new();
        for (index, said) in self.choices.iter_mut().enumerate().filter(|(_, said)| said.blank_end) {
            said.blank_end = false;
            let reason = if said.tools.is_empty() { "stop" } else { "tool_calls" };
            let choice = format!(r#"[{{"index":{index},"delta":{{}},"finish_reason":"{reason}"}}]"#);
            let mut out = ObjectWriter::new(latest.len() + choice.len());
            for (name, value) in members.iter().filter(|(name, _)| name != "choices" && name != "usage") {
                out.raw(name, value.get().as_bytes());
            }
            out.raw("choices", choice.as_bytes());
            ends.push(out.finish());
        }
        ends
    }

    fn reasoning_in(&self) -> &[String] {
        &self.quirks.reasoning_in
    }

    fn mend(&mut self, choice: &RawChoice<'_>, streaming: bool) -> Mended {
        let place = usize::try_from(choice.index.unwrap_or(0).min(127)).unwrap_or(0);
        if self.choices.len() <= place {
            self.choices.resize(place + 1, Said::default());
        }
        let mut mended = Mended::default();
        let said = &mut self.choices[place];
        let message = if streaming { choice.delta.as_ref() } else { choice.message.as_ref() };
        match message {
            Some(message) => {
                mend_role(message, said, streaming, &mut mended);
                mend_text(message, &self.quirks.reasoning_in, &mut mended);
                mend_tools(message, said, streaming, &mut mended);
            }
            // A chunk without a delta, or one that repeats the whole message, adds nothing.
            None => mended.dirty = true,
        }
        mended.dirty |= streaming && choice.message.is_some();
        said.blank_end = choice.finish_reason.as_deref() == Some("");
        if let Some(reason) = choice.finish_reason.as_deref() {
            let better = finish_reason(reason, !said.tools.is_empty(), streaming);
            if better != Some(reason) {
                mended.finish = Some(better.and_then(known_reason));
                mended.dirty = true;
            }
        }
        mended
    }
}

fn mend_role(message: &RawMessage<'_>, said: &mut Said, streaming: bool, mended: &mut Mended) {
    match message.role.as_deref() {
        Some(_) if streaming && said.role => (mended.drops_role, mended.dirty) = (true, true),
        Some(_) => said.role = true,
        None if !streaming => (mended.role, mended.dirty) = (Some("assistant"), true),
        None => {}
    }
}

fn mend_text(message: &RawMessage<'_>, reasoning_in: &[String], mended: &mut Mended) {
    let is_list = |raw: &&RawValue| raw.get().starts_with('[');
    if let Some(parts) = message.content.filter(is_list) {
        let (text, thoughts) = flattened(parts);
        mended.content = Some(text);
        if !thoughts.is_empty() {
            mended.reasoning = serde_json::to_vec(&thoughts).ok();
        }
        mended.dirty = true;
    }
    let own = message.reasoning_content.filter(|raw| raw.get() != "null");
    let other = message.reasoning.filter(|raw| raw.get().starts_with('"'));
    if let (None, Some(other)) = (own, other)
        && reasoning_in.iter().any(|name| name == "reasoning")
    {
        mended.reasoning = Some(other.get().as_bytes().to_vec());
        mended.dirty = true;
    }
}

/// The text of a list of parts, and what was thought.
fn flattened(parts: &RawValue) -> (String, String) {
    #[derive(Deserialize)]
    struct Part<'a> {
        #[serde(borrow, default)]
        text: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        thinking: Option<&'a RawValue>,
    }
    let (mut text, mut thoughts) = (String::new(), String::new());
    for part in serde_json::from_str::<Vec<Part<'_>>>(parts.get()).unwrap_or_default() {
        text.push_str(part.text.as_deref().unwrap_or_default());
        if let Some(thinking) = part.thinking {
            match serde_json::from_str::<String>(thinking.get()) {
                Ok(thought) => thoughts.push_str(&thought),
                Err(_) => thoughts.push_str(&flattened(thinking).0),
            }
        }
    }
    (text, thoughts)
}

fn mend_tools(message: &RawMessage<'_>, said: &mut Said, streaming: bool, mended: &mut Mended) {
    let Some(raw) = message.tool_calls.filter(|raw| raw.get() != "null") else { return };
    let Ok(calls) = serde_json::from_str::<Vec<RawTool<'_>>>(raw.get()) else { return };
    let Ok(raws) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else { return };
    let mut dirty = false;
    let mut out = Vec::with_capacity(raw.get().len() + 32);
    for (call, raw) in calls.iter().zip(raws) {
        let named =
            |text: &Option<Cow<'_, str>>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
        let id = named(&call.id);
        let name = call.function.as_ref().and_then(|function| named(&function.name));
        let known = said.place_of(call.index, id.as_deref(), name.as_deref(), streaming);
        let (place, is_new) = known.map_or((said.tools.len(), true), |place| (place, false));
        dirty |= streaming && call.index != Some(place as u64);
        let arguments = call.function.as_ref().and_then(|function| function.arguments);
        let arguments_are_text =
            arguments.is_none_or(|raw| raw.get().starts_with('"') || raw.get() == "null");
        dirty |= !arguments_are_text;
        let custom = call.kind.as_deref() == Some("custom");
        if is_new {
            dirty |= call.kind.as_deref() != Some("function") && !custom;
            dirty |= id.is_none();
            let made = || format!("call_{place}");
            let (id, name) = (id.unwrap_or_else(made), name.unwrap_or_default());
            said.tools.push(Tool { index: call.index, id, name, custom });
        } else {
            dirty |= call.id.is_some() || call.kind.is_some();
            dirty |= call.function.as_ref().is_some_and(|function| function.name.is_some());
        }
        out.push(if out.is_empty() { b'[' } else { b',' });
        write_tool(&said.tools[place], streaming.then_some(place), is_new, arguments, raw, &mut out);
    }
    if dirty {
        out.push(b']');
        mended.tools = Some(out);
        mended.dirty = true;
    }
}

impl Said {
    /// Which of the calls that were begun this piece belongs to.
    fn place_of(
        &self,
        index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
        streaming: bool,
    ) -> Option<usize> {
        if !streaming {
            return None;
        }
        // A new id is a new call, whatever its index says: some give every call the same.
        let by_id = id.and_then(|id| self.tools.iter().position(|tool| tool.id == id));
        if by_id.is_some() {
            return by_id;
        }
        if let Some(index) = index {
            let at = self.tools.iter().rposition(|tool| tool.index == Some(index))?;
            let another = id.is_some() && name.is_some() && self.tools[at].id != *id.unwrap_or_default();
            return (!another).then_some(at);
        }
        match (id, name) {
            (Some(_), _) | (None, Some(_)) => None,
            (None, None) => self.tools.len().checked_sub(1),
        }
    }
}

fn write_tool(
    tool: &Tool,
    index: Option<usize>,
    is_new: bool,
    arguments: Option<&RawValue>,
    raw: &RawValue,
    out: &mut Vec<u8>,
) {
    let mut function = ObjectWriter::new(64);
    if is_new {
        function.text("name", &tool.name);
    }
    match arguments.map(RawValue::get) {
        None | Some("null") if is_new => function.raw("arguments", b"\"\""),
        None | Some("null") => &mut function,
        Some(text) if text.starts_with('"') => function.raw("arguments", text.as_bytes()),
        // An object where the wire has a text that holds one.
        Some(object) => function.text("arguments", object),
    };
    let mut call = ObjectWriter::new(128);
    if let Some(index) = index {
        call.count("index", index as u64);
    }
    if is_new {
        call.text("id", &tool.id).text("type", if tool.custom { "custom" } else { "function" });
    }
    if !tool.custom {
        call.raw("function", &function.finish());
    }
    // Whatever else a call holds, its provider may want back: Gemini signs calls in `extra_content`.
    for (name, value) in json::members(raw.get().as_bytes()).unwrap_or_default() {
        if !matches!(name.as_ref(), "index" | "id" | "type" | "function") {
            call.raw(&name, value.get().as_bytes());
        }
    }
    out.extend_from_slice(&call.finish());
}

/// The reason in the words of OpenAI's wire; `None` is null. A stream that calls tools and then says `stop` means the tools.
fn finish_reason(reason: &str, tools: bool, streaming: bool) -> Option<&str> {
    match reason {
        "stop" if tools => Some("tool_calls"),
        "stop" | "length" | "tool_calls" | "content_filter" | "function_call" => Some(reason),
        "eos" | "end_turn" | "stop_sequence" | "STOP" | "COMPLETE" if tools => Some("tool_calls"),
        "eos" | "end_turn" | "stop_sequence" | "STOP" | "COMPLETE" => Some("stop"),
        "max_tokens" | "MAX_TOKENS" | "model_length" | "model_context_window_exceeded" => Some("length"),
        "tool_use" => Some("tool_calls"),
        "sensitive" | "refusal" | "SAFETY" | "RECITATION" | "BLOCKLIST" | "PROHIBITED_CONTENT" | "SPII" => {
            Some("content_filter")
        }
        "" if streaming => None,
        _ if tools => Some("tool_calls"),
        _ => Some("stop"),
    }
}

fn known_reason(reason: &str) -> Option<&'static str> {
    ["stop", "length", "tool_calls", "content_filter", "function_call"]
        .into_iter()
        .find(|known| *known == reason)
}

/// The object with what was mended put in its place. `None` if it is no object, which then stays as it is.
fn rebuilt(
    json: &[u8],
    mended: &[Mended],
    message_name: &str,
    reasoning_in: &[String],
    missing: &[(&'static str, Vec<u8>)],
) -> Option<Vec<u8>> {
    let members = json::members(json).ok()?;
    let mut out = ObjectWriter::new(json.len() + 64);
    let mut has_choices = false;
    let absent = |name: &str| missing.iter().any(|(missing, _)| *missing == name);
    for (name, value) in members.iter().filter(|(name, _)| !absent(name)) {
        if name == "choices" {
            has_choices = true;
            out.raw("choices", &choices(value, mended, message_name, reasoning_in)?);
        } else {
            out.raw(name, value.get().as_bytes());
        }
    }
    for (name, value) in missing {
        out.raw(name, value);
    }
    if !has_choices {
        out.raw("choices", b"[]");
    }
    Some(out.finish())
}

fn choices(
    raw: &RawValue,
    mended: &[Mended],
    message_name: &str,
    reasoning_in: &[String],
) -> Option<Vec<u8>> {
    if raw.get() == "null" {
        return Some(b"[]".to_vec());
    }
    let list: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    let mut out = vec![b'['];
    for (choice, mended) in list.iter().zip(mended) {
        if out.len() > 1 {
            out.push(b',');
        }
        let members = json::members(choice.get().as_bytes()).ok()?;
        let mut one = ObjectWriter::new(choice.get().len() + 64);
        let mut has_message = false;
        let mut has_index = false;
        for (name, value) in &members {
            match name.as_ref() {
                name if name == message_name => {
                    has_message = true;
                    one.raw(name, &message(value, mended, reasoning_in)?);
                }
                // A stream's chunks hold deltas; a message beside them only repeats what was said.
                "message" => {}
                "finish_reason" if mended.finish.is_some() => {
                    let reason = mended.finish.flatten();
                    one.raw(
                        "finish_reason",
                        reason.map_or("null".to_owned(), |r| format!("\"{r}\"")).as_bytes(),
                    );
                }
                name => {
                    has_index |= name == "index";
                    one.raw(name, value.get().as_bytes());
                }
            }
        }
        if !has_message {
            one.raw(message_name, b"{}");
        }
        if !has_index {
            one.count("index", 0);
        }
        out.extend_from_slice(&one.finish());
    }
    out.push(b']');
    Some(out)
}

fn message(raw: &RawValue, mended: &Mended, reasoning_in: &[String]) -> Option<Vec<u8>> {
    if raw.get() == "null" {
        return Some(b"{}".to_vec());
    }
    let members = json::members(raw.get().as_bytes()).ok()?;
    let mut out = ObjectWriter::new(raw.get().len() + 64);
    if let Some(role) = mended.role {
        out.text("role", role);
    }
    for (name, value) in &members {
        let renamed =
            mended.reasoning.is_some() && (name == REASONING || reasoning_in.iter().any(|from| from == name));
        match name.as_ref() {
            "role" if mended.drops_role || mended.role.is_some() => {}
            "content" if mended.content.is_some() => {
                out.text("content", mended.content.as_deref().unwrap_or_default());
            }
            "tool_calls" if mended.tools.is_some() => {
                out.raw("tool_calls", mended.tools.as_deref().unwrap_or(b"[]"));
            }
            _ if renamed => {}
            name => {
                out.raw(name, value.get().as_bytes());
            }
        }
    }
    if let Some(reasoning) = &mended.reasoning {
        out.raw(REASONING, reasoning);
    }
    Some(out.finish())
}
