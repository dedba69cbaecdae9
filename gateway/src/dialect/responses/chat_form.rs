//! A Responses request as a chat completion.
//!
//! Members in the client's order, values as they were spelt. What a chat completion has no word for is named, and what it
//! does anyway is left out: `store` and `metadata` (nothing is kept; the answer repeats them), `truncation` "disabled",
//! `max_tool_calls` (of tools that the provider runs, and there are none).

use serde_json::value::RawValue;

use super::{
    Cannot, items,
    object::{Object, list, text},
    tools::{self, ChatTools},
};
use crate::{
    chat::ChatForm,
    dialect::decode::{DecodeError, Fields, bad_at, form_of},
    json::ObjectWriter,
};

/// Members that a chat completion keeps to without being told, or that concern the answer's form alone.
const KEPT_TO: [&str; 6] = ["store", "metadata", "truncation", "max_tool_calls", "include", "background"];

/// Makes it.
pub(super) fn made(fields: &Fields<'_>, input: &RawValue) -> Result<ChatForm, DecodeError> {
    let mut cannot = Cannot::default();
    let tools = tools::as_chat(fields.find("tools")?, fields.find("tool_choice")?, &mut cannot)?;
    let messages = items::as_chat(fields.find("instructions")?, input, &mut cannot)?;
    let text = TextWords::read(fields.find("text")?, &mut cannot)?;
    let effort = effort(fields.find("reasoning")?, &mut cannot)?;
    let logprobs = logprobs(fields, &mut cannot)?;
    wordless(fields, &mut cannot)?;
    if let Some(what) = cannot.0 {
        return Ok(ChatForm::Inexpressible(what));
    }
    let native = fields.form();
    let mut out = ObjectWriter::new(native.body.len() + messages.len() / 4 + 128);
    for member in native.members.iter() {
        let raw = native.raw(member);
        if raw == b"null" {
            continue;
        }
        match &*member.name {
            "input" => {
                out.raw("messages", &messages);
            }
            "max_output_tokens" => {
                out.raw("max_completion_tokens", raw);
            }
            "text" => text.write(&mut out),
            "reasoning" => {
                if let Some(effort) = effort {
                    out.raw("reasoning_effort", effort.get().as_bytes());
                }
            }
            "tools" => write(&mut out, "tools", &tools, |tools| tools.tools.as_deref()),
            "tool_choice" => write(&mut out, "tool_choice", &tools, |tools| tools.choice.as_deref()),
            // Without tools, some refuse to be told how to call them.
            "parallel_tool_calls" if tools.tools.is_none() => {}
            // None are wanted: it says nothing.
            "top_logprobs" if !logprobs => {}
            "instructions" | "context_management" => {}
            name if KEPT_TO.contains(&name) => {}
            name => {
                out.raw(name, raw);
            }
        }
    }
    if logprobs {
        out.raw("logprobs", b"true");
    }
    Ok(ChatForm::Made(form_of(out.finish())?))
}

fn write(out: &mut ObjectWriter, name: &str, tools: &ChatTools, of: impl Fn(&ChatTools) -> Option<&[u8]>) {
    if let Some(value) = of(tools) {
        out.raw(name, value);
    }
}

/// `text`, said as a chat completion says it.
#[derive(Default)]
struct TextWords<'a> {
    format: Option<Vec<u8>>,
    verbosity: Option<&'a RawValue>,
}

impl<'a> TextWords<'a> {
    fn read(raw: Option<&'a RawValue>, cannot: &mut Cannot) -> Result<Self, DecodeError> {
        let Some(raw) = raw else { return Ok(Self::default()) };
        let text = Object::read(raw, "text")?;
        for (name, _) in text.others(&["format", "verbosity"]) {
            cannot.say(text.at(name), "has no word in a chat completion");
        }
        let format = text.find("format")?.map(|format| Self::format(format, cannot)).transpose()?.flatten();
        Ok(Self { format, verbosity: text.string("verbosity")? })
    }

    /// A schema's name, strictness and schema stand one level deeper in a chat.
    fn format(raw: &RawValue, cannot: &mut Cannot) -> Result<Option<Vec<u8>>, DecodeError> {
        let format = Object::read(raw, "text.format")?;
        let kind = format.need_word("type")?;
        let mut out = ObjectWriter::new(raw.get().len() + 64);
        match kind.as_ref() {
            "text" => return Ok(None), // it is what is answered when nothing is said
            "json_object" => {
                out.text("type", "json_object");
            }
            "json_schema" => {
                format.need_word("name")?;
                let schema = format.find("schema")?.ok_or_else(|| format.missing("schema"))?;
                Object::read(schema, format.at("schema"))?;
                let mut inner = ObjectWriter::new(raw.get().len());
                for (name, value) in format.others(&["type"]) {
                    inner.raw(name, value.get().as_bytes());
                }
                out.text("type", "json_schema").raw("json_schema", &inner.finish());
            }
            kind => {
                cannot.say("text.format.type", format!("`{kind}` is no format of a chat completion"));
                return Ok(None);
            }
        }
        Ok(Some(out.finish()))
    }

    fn write(&self, out: &mut ObjectWriter) {
        if let Some(format) = &self.format {
            out.raw("response_format", format);
        }
        if let Some(verbosity) = self.verbosity {
            out.raw("verbosity", verbosity.get().as_bytes());
        }
    }
}

/// How hard to think. That a summary is wanted is no matter of the request: reasoning that comes back is given in its
/// place.
fn effort<'a>(raw: Option<&'a RawValue>, cannot: &mut Cannot) -> Result<Option<&'a RawValue>, DecodeError> {
    let Some(raw) = raw else { return Ok(None) };
    let reasoning = Object::read(raw, "reasoning")?;
    for name in ["summary", "generate_summary"] {
        match reasoning.word(name)?.as_deref() {
            None | Some("auto" | "concise" | "detailed") => {}
            Some(_) => return Err(bad_at(reasoning.at(name), "expected `auto`, `concise` or `detailed`")),
        }
    }
    for (name, value) in reasoning.others(&["effort", "summary", "generate_summary"]) {
        let usual = matches!((name, value.get()), ("context", "\"auto\"") | ("mode", "\"standard\""));
        if !usual {
            cannot.say(reasoning.at(name), "has no word in a chat completion");
        }
    }
    reasoning.string("effort")
}

/// Whether probabilities are wanted. Of what else may be included, encrypted reasoning is there to be given back later:
/// reasoning that is answered in plain text can be given back as it is.
fn logprobs(fields: &Fields<'_>, cannot: &mut Cannot) -> Result<bool, DecodeError> {
    let mut wanted = fields.find("top_logprobs")?.is_some_and(|top| top.get() != "0");
    let include = fields.find("include")?.map(|include| list(include, "include")).transpose()?;
    for (i, raw) in include.into_iter().flatten().enumerate() {
        match text(raw).unwrap_or_default().as_ref() {
            "message.output_text.logprobs" => wanted = true,
            "reasoning.encrypted_content" => {}
            what => {
                cannot.say(format!("include[{i}]"), format!("`{what}` is nothing that a chat completion has"))
            }
        }
    }
    Ok(wanted)
}

/// What a chat completion has no word for at all.
fn wordless(fields: &Fields<'_>, cannot: &mut Cannot) -> Result<(), DecodeError> {
    if fields.find("truncation")?.is_some_and(|value| value.get() == "\"auto\"") {
        cannot.say("truncation", "`auto` is not possible with a chat completion");
    }
    if let Some(management) = fields.find("context_management")?
        && !list(management, "context_management")?.is_empty()
    {
        cannot.say("context_management", "is not possible with a chat completion");
    }
    if fields.find("background_options")?.is_some() {
        cannot.say("background_options", "is not possible with a chat completion");
    }
    Ok(())
}
