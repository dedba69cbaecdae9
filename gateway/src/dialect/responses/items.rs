//! The input as chat messages.
//!
//! What an assistant said in a row (reasoning, a message, calls) is one message of a chat; what a tool gave back is one
//! of its own.

use std::{borrow::Cow, collections::BTreeMap};

use serde_json::value::RawValue;

use super::{
    Cannot, content,
    object::{Object, list, text},
    tools,
};
use crate::{
    dialect::decode::{DecodeError, ENTRIES_MAX, bad_at, wrong_at},
    json::{ListWriter, ObjectWriter, quoted},
};

/// Members that only describe an item: nothing in them was said to the model or by it.
const DESCRIBING: [&str; 4] = ["type", "id", "status", "phase"];

/// Reads `input`, with the instructions before it, as `messages`.
pub(super) fn as_chat(
    instructions: Option<&RawValue>,
    input: &RawValue,
    cannot: &mut Cannot,
) -> Result<Vec<u8>, DecodeError> {
    let mut messages = Messages {
        out: ListWriter::new(input.get().len() + 256),
        turn: Turn::default(),
        made: BTreeMap::new(),
        given: BTreeMap::new(),
        cannot,
    };
    if let Some(instructions) = instructions.filter(|instructions| instructions.get() != "\"\"") {
        messages.say("system", instructions.get().as_bytes(), []);
    }
    match input.get().as_bytes().first() {
        Some(b'"') => messages.say("user", input.get().as_bytes(), []),
        Some(b'[') => {
            let items = list(input, "input")?;
            if items.is_empty() {
                return Err(bad_at("input", "expected at least one item"));
            }
            if items.len() > ENTRIES_MAX {
                return Err(bad_at("input", format!("expected at most {ENTRIES_MAX} entries")));
            }
            for (i, raw) in items.into_iter().enumerate() {
                messages.item(i, &Object::read(raw, format!("input[{i}]"))?)?;
            }
        }
        _ => return Err(wrong_at("input", "a string or an array")),
    }
    messages.finish()
}

struct Messages<'a, 'c> {
    out: ListWriter,
    turn: Turn<'a>,
    /// Calls by their ids, and where they stand.
    made: BTreeMap<Cow<'a, str>, usize>,
    /// What was given back for them, likewise.
    given: BTreeMap<Cow<'a, str>, usize>,
    cannot: &'c mut Cannot,
}

/// What an assistant said in a row.
#[derive(Default)]
struct Turn<'a> {
    /// The item that began it.
    begun: Option<usize>,
    reasoning: Vec<&'a RawValue>,
    content: Option<Vec<u8>>,
    others: Vec<(String, &'a RawValue)>,
    calls: Vec<Vec<u8>>,
}

impl<'a> Messages<'a, '_> {
    fn item(&mut self, i: usize, item: &Object<'a>) -> Result<(), DecodeError> {
        let kind = match item.word("type")? {
            Some(kind) => kind,
            None if item.find("role")?.is_some() => "message".into(),
            None if item.find("id")?.is_some() => "item_reference".into(),
            None => return Err(item.missing("type")),
        };
        match kind.as_ref() {
            "message" => self.message(i, item),
            "function_call" => self.call(i, item),
            "function_call_output" => self.output(i, item),
            "reasoning" => self.reasoning(i, item),
            "item_reference" => Err(DecodeError::Unsupported {
                param: item.path().to_owned().into(),
                why: "refers to an item of an earlier response, and none are kept here; send the item itself (in the \
                      Vercel AI SDK: `providerOptions.openai.store` false)"
                    .into(),
            }),
            kind => {
                if let Some(inner) = item.find("tools")? {
                    tools::check(inner, &item.at("tools"))?;
                }
                if let Some(output) = item.find("output")? {
                    content::check(output, &item.at("output"))?;
                }
                self.cannot.say(item.at("type"), format!("`{kind}` has no word in a chat completion"));
                Ok(())
            }
        }
    }

    fn message(&mut self, i: usize, item: &Object<'a>) -> Result<(), DecodeError> {
        let role = item.need_word("role")?;
        let raw = item.find("content")?.ok_or_else(|| item.missing("content"))?;
        let content = content::as_chat(raw, &item.at("content"), self.cannot)?;
        let known = [DESCRIBING[0], DESCRIBING[1], DESCRIBING[2], DESCRIBING[3], "role", "content"];
        match role.as_ref() {
            "user" | "system" | "developer" => {
                self.end_turn();
                let others = item.others(&known);
                self.say(&role, &content, others);
            }
            "assistant" => {
                if self.turn.content.is_some() || !self.turn.calls.is_empty() {
                    self.end_turn();
                }
                self.turn.begun.get_or_insert(i);
                self.turn.content = Some(content);
                let others = item.others(&known).map(|(name, value)| (name.to_owned(), value));
                self.turn.others.extend(others);
            }
            _ => {
                let expected = "expected `user`, `assistant`, `system` or `developer`";
                return Err(bad_at(item.at("role"), expected));
            }
        }
        Ok(())
    }

    fn call(&mut self, i: usize, item: &Object<'a>) -> Result<(), DecodeError> {
        let (id, name) = (item.need_string("call_id")?, item.need_string("name")?);
        let arguments = item.need_string("arguments")?;
        if item.find("namespace")?.is_some() {
            self.cannot.say(item.at("namespace"), "has no word in a chat completion");
        }
        self.caller(item)?;
        let mut function = ObjectWriter::new(arguments.get().len() + 96);
        function.raw("name", name.get().as_bytes()).raw("arguments", arguments.get().as_bytes());
        let mut said = ObjectWriter::new(arguments.get().len() + 192);
        said.raw("id", id.get().as_bytes()).text("type", "function").raw("function", &function.finish());
        let known = ["type", "id", "status", "call_id", "name", "arguments", "namespace", "caller", "async"];
        for (name, value) in item.others(&known) {
            said.raw(name, value.get().as_bytes());
        }
        if item.find("async")?.is_some_and(|value| value.get() != "false") {
            self.cannot.say(item.at("async"), "has no word in a chat completion");
        }
        self.made.insert(text(id).unwrap_or_default(), i);
        self.turn.begun.get_or_insert(i);
        self.turn.calls.push(said.finish());
        Ok(())
    }

    fn output(&mut self, i: usize, item: &Object<'a>) -> Result<(), DecodeError> {
        let id = item.need_string("call_id")?;
        let output = item.find("output")?.ok_or_else(|| item.missing("output"))?;
        let said = content::as_chat(output, &item.at("output"), self.cannot)?;
        if !content::is_text(output) {
            self.cannot.say(item.at("output"), "can only be text in a chat completion");
        }
        if item.find("namespace")?.is_some() {
            self.cannot.say(item.at("namespace"), "has no word in a chat completion");
        }
        self.caller(item)?;
        self.end_turn();
        let mut message = ObjectWriter::new(said.len() + 128);
        message.text("role", "tool").raw("tool_call_id", id.get().as_bytes()).raw("content", &said);
        let known = ["type", "id", "status", "call_id", "output", "namespace", "caller"];
        for (name, value) in item.others(&known) {
            message.raw(name, value.get().as_bytes());
        }
        self.out.raw(&message.finish());
        self.given.insert(text(id).unwrap_or_default(), i);
        Ok(())
    }

    /// A call that the model made itself is what every call of a chat is.
    fn caller(&mut self, item: &Object<'a>) -> Result<(), DecodeError> {
        let Some(caller) = item.find("caller")? else { return Ok(()) };
        if Object::read(caller, item.at("caller"))?.word("type")?.as_deref() != Some("direct") {
            self.cannot.say(item.at("caller"), "has no word in a chat completion");
        }
        Ok(())
    }

    /// Reasoning whose text is there is given back with what it led to; what only its maker can read (ids and encrypted
    /// content) says nothing to anybody else.
    fn reasoning(&mut self, i: usize, item: &Object<'a>) -> Result<(), DecodeError> {
        let texts = |name: &str| -> Result<Vec<&'a RawValue>, DecodeError> {
            let parts = item.list(name)?.unwrap_or_default();
            let read = |(j, part): (usize, &'a RawValue)| {
                Object::read(part, format!("{}[{j}]", item.at(name)))?.need_string("text")
            };
            parts.into_iter().enumerate().map(read).collect()
        };
        let (content, summary) = (texts("content")?, texts("summary")?);
        let said = if content.is_empty() { summary } else { content };
        if said.is_empty() {
            return Ok(());
        }
        if self.turn.content.is_some() || !self.turn.calls.is_empty() {
            self.end_turn();
        }
        self.turn.begun.get_or_insert(i);
        self.turn.reasoning.extend(said);
        Ok(())
    }

    fn say<'m>(
        &mut self,
        role: &str,
        content: &[u8],
        others: impl IntoIterator<Item = (&'m str, &'m RawValue)>,
    ) {
        let mut message = ObjectWriter::new(content.len() + 64);
        message.text("role", role).raw("content", content);
        for (name, value) in others {
            message.raw(name, value.get().as_bytes());
        }
        self.out.raw(&message.finish());
    }

    fn end_turn(&mut self) {
        let Turn { begun, reasoning, content, others, calls } = std::mem::take(&mut self.turn);
        let Some(begun) = begun else { return };
        if content.is_none() && calls.is_empty() {
            let why = "is reasoning without the message or the call that it led to, which a chat completion cannot hold";
            self.cannot.say(format!("input[{begun}]"), why);
            return;
        }
        let mut message = ObjectWriter::new(256);
        message.text("role", "assistant").raw("content", content.as_deref().unwrap_or(b"null"));
        match reasoning.as_slice() {
            [] => {}
            [one] => {
                message.raw("reasoning_content", one.get().as_bytes());
            }
            many => {
                let texts: Vec<_> = many.iter().filter_map(|raw| text(raw)).collect();
                message.raw("reasoning_content", &quoted(&texts.join("\n\n")));
            }
        }
        if !calls.is_empty() {
            let mut list = ListWriter::new(256);
            for call in &calls {
                list.raw(call);
            }
            message.raw("tool_calls", &list.finish());
        }
        for (name, value) in others {
            message.raw(&name, value.get().as_bytes());
        }
        self.out.raw(&message.finish());
    }

    /// Every call needs what was given back for it, and the other way round, as at OpenAI.
    fn finish(mut self) -> Result<Vec<u8>, DecodeError> {
        self.end_turn();
        if !self.cannot.is_said() {
            let unmade = self.given.iter().find(|(id, _)| !self.made.contains_key(*id));
            if let Some((id, i)) = unmade {
                let expected = format!("no `function_call` has the `call_id` `{id}`");
                return Err(bad_at(format!("input[{i}].call_id"), expected));
            }
            let ungiven = self.made.iter().find(|(id, _)| !self.given.contains_key(*id));
            if let Some((id, i)) = ungiven {
                let expected = format!("no `function_call_output` has the `call_id` `{id}`");
                return Err(bad_at(format!("input[{i}].call_id"), expected));
            }
        }
        Ok(self.out.finish())
    }
}
