//! Tools and the choice among them: which may be given at all, and how a chat completion says them.
//!
//! Tools that the upstream runs itself (searches, containers, pictures) are billed by the piece and bring text of unknown
//! size into the prompt. Neither has a price here, so they are refused, whoever serves the model; tools that the client
//! runs are welcome.

use std::{borrow::Cow, collections::BTreeSet};

use serde_json::value::RawValue;

use super::{
    Cannot,
    object::{Object, list},
};
use crate::{
    dialect::decode::{DecodeError, ENTRIES_MAX, bad_at, wrong_at},
    json::{ListWriter, ObjectWriter, quoted},
};

/// Tools that the client runs. <https://platform.openai.com/docs/api-reference/responses/create>
const CLIENT_RUN: [&str; 8] = [
    "function",
    "custom",
    "namespace",
    "local_shell",
    "apply_patch",
    "tool_search",
    "computer",
    "computer_use_preview",
];
/// Members of a function that say how it may be called and have no word in a chat completion.
const WORDLESS: [&str; 3] = ["defer_loading", "allowed_callers", "output_schema"];

/// Refuses tools at `path` that cost more than tokens.
pub(super) fn check(tools: &RawValue, path: &str) -> Result<(), DecodeError> {
    let tools = list(tools, path)?;
    if tools.len() > ENTRIES_MAX {
        return Err(bad_at(path, format!("expected at most {ENTRIES_MAX} entries")));
    }
    for (i, raw) in tools.into_iter().enumerate() {
        let tool = Object::read(raw, format!("{path}[{i}]"))?;
        let kind = tool.need_word("type")?;
        if let Some(inner) = tool.find("tools")? {
            check(inner, &tool.at("tools"))?;
        }
        let local_shell = || -> Result<bool, DecodeError> {
            let Some(environment) = tool.find("environment")? else { return Ok(false) };
            Ok(Object::read(environment, tool.at("environment"))?.word("type")?.as_deref() == Some("local"))
        };
        if CLIENT_RUN.contains(&kind.as_ref()) || (kind == "shell" && local_shell()?) {
            continue;
        }
        return Err(DecodeError::Unsupported {
            param: tool.at("type").into(),
            why: format!(
                "`{kind}` is a tool that providers run and bill by the piece, which has no price here; use tools of \
                 type `function`"
            )
            .into(),
        });
    }
    Ok(())
}

/// The tools of a call and the choice among them, as a chat completion says them.
#[derive(Debug, Default)]
pub(super) struct ChatTools {
    /// `tools`, if there are any.
    pub(super) tools: Option<Vec<u8>>,
    /// `tool_choice`, if one was made.
    pub(super) choice: Option<Vec<u8>>,
}

/// One function, by name and as a chat completion says it.
struct Function<'a> {
    name: Cow<'a, str>,
    said: Vec<u8>,
}

/// Translates both.
pub(super) fn as_chat(
    tools: Option<&RawValue>,
    choice: Option<&RawValue>,
    cannot: &mut Cannot,
) -> Result<ChatTools, DecodeError> {
    let mut functions = Vec::new();
    for (i, raw) in tools.map(|tools| list(tools, "tools")).transpose()?.into_iter().flatten().enumerate() {
        let tool = Object::read(raw, format!("tools[{i}]"))?;
        let kind = tool.need_word("type")?;
        if kind == "function" {
            functions.push(function(&tool, cannot)?);
        } else {
            cannot.say(tool.at("type"), format!("`{kind}` is no tool of a chat completion"));
        }
    }
    let choice = choice.map(|choice| read_choice(choice, cannot)).transpose()?;
    if cannot.is_said() {
        return Ok(ChatTools::default());
    }
    let known: BTreeSet<_> = functions.iter().map(|function| function.name.clone()).collect();
    let has = |name: &str| known.contains(name);
    let missing = |name: &str| bad_at("tool_choice", format!("`{name}` is none of the `tools`"));
    let choice = match choice {
        None => None,
        Some(Choice::Mode(mode)) if functions.is_empty() => match mode.as_ref() {
            "required" => return Err(bad_at("tool_choice", "`required` wants `tools`")),
            _ => None, // without tools there is nothing to choose
        },
        Some(Choice::Mode(mode)) => Some(quoted(&mode)),
        Some(Choice::Named(name)) => {
            if !has(&name) {
                return Err(missing(&name));
            }
            let mut inner = ObjectWriter::new(name.len() + 16);
            inner.text("name", &name);
            let mut out = ObjectWriter::new(name.len() + 48);
            out.text("type", "function").raw("function", &inner.finish());
            Some(out.finish())
        }
        // Only those allowed are offered: chat models without a word for it keep to it all the same.
        Some(Choice::Allowed { mode, names }) => {
            if let Some(name) = names.iter().find(|name| !has(name)) {
                return Err(missing(name));
            }
            functions.retain(|function| names.contains(&function.name));
            (!functions.is_empty()).then(|| quoted(&mode))
        }
    };
    let mut said = ListWriter::new(256);
    for function in &functions {
        said.raw(&function.said);
    }
    Ok(ChatTools { tools: (!functions.is_empty()).then(|| said.finish()), choice })
}

/// `{type,name,description,parameters,strict}` with all but the type inside `function`.
fn function<'a>(tool: &Object<'a>, cannot: &mut Cannot) -> Result<Function<'a>, DecodeError> {
    let name = tool.need_word("name")?;
    tool.string("description")?;
    if let Some(parameters) = tool.find("parameters")? {
        Object::read(parameters, tool.at("parameters"))?;
    }
    if let Some(strict) = tool.find("strict")?
        && !matches!(strict.get(), "true" | "false")
    {
        return Err(wrong_at(tool.at("strict"), "a boolean"));
    }
    for (member, value) in tool.others(&[]).filter(|(name, _)| WORDLESS.contains(name)) {
        if value.get() != "false" {
            cannot.say(tool.at(member), "has no word in a chat completion");
        }
    }
    let mut inner = ObjectWriter::new(256);
    let outside = ["type", WORDLESS[0], WORDLESS[1], WORDLESS[2]];
    for (member, value) in tool.others(&outside) {
        inner.raw(member, value.get().as_bytes());
    }
    let mut out = ObjectWriter::new(288);
    out.text("type", "function").raw("function", &inner.finish());
    Ok(Function { name, said: out.finish() })
}

enum Choice<'a> {
    Mode(Cow<'a, str>),
    Named(Cow<'a, str>),
    Allowed { mode: Cow<'a, str>, names: BTreeSet<Cow<'a, str>> },
}

fn read_choice<'a>(raw: &'a RawValue, cannot: &mut Cannot) -> Result<Choice<'a>, DecodeError> {
    const MODES: &str = "expected `none`, `auto` or `required`";
    if raw.get().starts_with('"') {
        let mode = super::object::text(raw).unwrap_or_default();
        return match mode.as_ref() {
            "none" | "auto" | "required" => Ok(Choice::Mode(mode)),
            _ => Err(bad_at("tool_choice", MODES)),
        };
    }
    if !raw.get().starts_with('{') {
        return Err(wrong_at("tool_choice", "a string or an object"));
    }
    let choice = Object::read(raw, "tool_choice")?;
    let kind = choice.need_word("type")?;
    match kind.as_ref() {
        "function" => {
            let name = choice.need_word("name")?;
            for (member, _) in choice.others(&["type", "name"]) {
                cannot.say(choice.at(member), "has no word in a chat completion");
            }
            Ok(Choice::Named(name))
        }
        "allowed_tools" => {
            let mode = choice.need_word("mode")?;
            if !matches!(mode.as_ref(), "auto" | "required") {
                return Err(bad_at("tool_choice.mode", "expected `auto` or `required`"));
            }
            let tools = choice.list("tools")?.ok_or_else(|| choice.missing("tools"))?;
            let mut names = BTreeSet::new();
            for (i, raw) in tools.into_iter().enumerate() {
                let tool = Object::read(raw, format!("tool_choice.tools[{i}]"))?;
                let kind = tool.need_word("type")?;
                if kind == "function" {
                    names.insert(tool.need_word("name")?);
                } else {
                    cannot.say(tool.at("type"), format!("`{kind}` is no tool of a chat completion"));
                }
            }
            Ok(Choice::Allowed { mode, names })
        }
        kind => {
            cannot.say("tool_choice.type".to_owned(), format!("`{kind}` is no choice in a chat completion"));
            Ok(Choice::Mode("auto".into()))
        }
    }
}
