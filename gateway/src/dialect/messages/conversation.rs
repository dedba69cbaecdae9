//! The system prompt and the messages as a chat's messages.

use serde_json::value::RawValue;

use super::{
    content::{Block, Part, as_text, blocks, content, parts, string, text, wordless},
    trouble::{Trouble, all_said},
};
use crate::json::{ListWriter, Object, ObjectWriter, Odd, inside, is_text, items};

/// Members of a call to a tool that may be lost.
const TOOL_USE_HINTS: [&str; 3] = ["cache_control", "caller", "toolset_name"];
/// Members of a tool's result that may be lost.
const TOOL_RESULT_HINTS: [&str; 2] = ["cache_control", "toolset_name"];
/// Members of thoughts that may be lost: what proves to Anthropic that they are its own.
const THINKING_HINTS: [&str; 2] = ["signature", "cache_control"];
/// What stands in a result whose pictures follow in a message of their own.
const SEE_BELOW: &str = "(see the next message)";

/// All messages of a chat.
pub(super) fn conversation(
    system: Option<&RawValue>,
    messages: &[(String, &RawValue)],
) -> Result<Vec<u8>, Trouble> {
    let mut out = ListWriter::new(1_024);
    if let Some(system) = system {
        message("system", &system_content(system, "system")?, &mut out);
    }
    for (path, raw) in messages {
        let mut object = Object::read(raw, path.clone())?;
        let role_at = object.at("role");
        let role = object.word("role")?.ok_or_else(|| Odd::missing(role_at.clone()))?;
        let (said, path) = (object.need("content")?, object.at("content"));
        match role.as_ref() {
            "user" => user(said, &path, &mut out)?,
            "assistant" => assistant(said, &path, &mut out)?,
            "system" => message("system", &system_content(said, &path)?, &mut out),
            _ => return Err(Trouble::bad_value(role_at, "expected `user` or `assistant`")),
        }
        all_said(object)?;
    }
    Ok(out.finish())
}

fn message(role: &str, content: &[u8], out: &mut ListWriter) {
    let mut message = ObjectWriter::new(content.len() + 48);
    message.text("role", role).raw("content", content);
    out.raw(&message.finish());
}

/// What is said, where it is said in one string; blocks otherwise.
fn plain_or_blocks<'a>(said: &'a RawValue, path: &str) -> Result<Result<&'a str, Vec<Block<'a>>>, Trouble> {
    if let Some(text) = inside(said) {
        return Ok(Ok(text));
    }
    if said.get().starts_with('[') {
        return Ok(Err(blocks(said, path)?));
    }
    Err(Odd::expected(path.to_owned(), "a string or an array of content blocks").into())
}

fn system_content(said: &RawValue, path: &str) -> Result<Vec<u8>, Trouble> {
    match plain_or_blocks(said, path)? {
        Ok(plain) => Ok(string(plain)),
        Err(blocks) => {
            let texts = blocks.into_iter().map(|block| match block.kind.as_str() {
                "text" => Ok(Part::Text(text(block.object)?)),
                _ => Err(Trouble::bad_value(block.object.at("type"), "expected `text`")),
            });
            Ok(content(&texts.collect::<Result<Vec<_>, _>>()?))
        }
    }
}

/// A chat wants results right behind the calls they belong to, each in a message of its own, and only text in them: what
/// else there is follows as what the user says.
fn user(said: &RawValue, path: &str, out: &mut ListWriter) -> Result<(), Trouble> {
    let blocks = match plain_or_blocks(said, path)? {
        Ok(plain) => {
            message("user", &string(plain), out);
            return Ok(());
        }
        Err(blocks) => blocks,
    };
    if blocks.is_empty() {
        return Err(Trouble::bad_value(path, "expected at least one content block"));
    }
    let mut rest = Vec::new();
    for block in blocks {
        match block.kind.as_str() {
            "tool_result" => tool_result(block.object, &mut rest, out)?,
            "tool_use" | "thinking" | "redacted_thinking" => {
                let expected = format!("`{}` is not what a user says", block.kind);
                return Err(Trouble::bad_value(block.object.at("type"), expected));
            }
            _ => rest.extend(parts(block)?),
        }
    }
    if !rest.is_empty() {
        message("user", &content(&rest), out);
    }
    Ok(())
}

fn tool_result(mut block: Object<'_>, rest: &mut Vec<Part>, out: &mut ListWriter) -> Result<(), Trouble> {
    let id = block.need_text("tool_use_id")?;
    let failed = block.flag("is_error")?.unwrap_or(false);
    let path = block.at("content");
    let said = block.take("content")?;
    block.pass_over(&TOOL_RESULT_HINTS);
    all_said(block)?;
    let mut texts = Vec::new();
    let mut moved = false;
    if let Some(said) = said {
        match plain_or_blocks(said, &path)? {
            Ok(plain) => texts.push(Part::Text(plain.to_owned())),
            Err(blocks) => {
                for part in blocks.into_iter().map(parts) {
                    for part in part? {
                        match part {
                            Part::Text(_) => texts.push(part),
                            Part::Other(_) => {
                                moved = true;
                                rest.push(part);
                            }
                        }
                    }
                }
            }
        }
    }
    if texts.is_empty() && moved {
        texts.push(Part::Text(SEE_BELOW.to_owned()));
    }
    if failed {
        // A chat has no word for it, and the model has to know.
        match texts.first_mut() {
            Some(Part::Text(text)) => text.insert_str(0, "Error: "),
            _ => texts.push(Part::Text("Error".to_owned())),
        }
    }
    let content = content(&texts);
    let mut message = ObjectWriter::new(content.len() + 96);
    message.raw("role", b"\"tool\"").raw("tool_call_id", id.get().as_bytes()).raw("content", &content);
    out.raw(&message.finish());
    Ok(())
}

fn assistant(said: &RawValue, path: &str, out: &mut ListWriter) -> Result<(), Trouble> {
    let blocks = match plain_or_blocks(said, path)? {
        Ok(plain) => {
            message("assistant", &string(plain), out);
            return Ok(());
        }
        Err(blocks) => blocks,
    };
    let (mut said, mut thought) = (None::<String>, None::<String>);
    let mut calls = ListWriter::new(256);
    for block in blocks {
        match block.kind.as_str() {
            "text" => said.get_or_insert_default().push_str(&text(block.object)?),
            "thinking" => {
                let mut block = block.object;
                let thinking = block.need_text("thinking")?;
                block.pass_over(&THINKING_HINTS);
                all_said(block)?;
                thought.get_or_insert_default().push_str(inside(thinking).unwrap_or_default());
            }
            // Nobody but Anthropic can read it.
            "redacted_thinking" => {}
            "tool_use" => {
                calls.raw(&tool_call(block.object)?);
            }
            "tool_result" => {
                let expected = "`tool_result` is what a user says";
                return Err(Trouble::bad_value(block.object.at("type"), expected));
            }
            _ => return Err(wordless(&block)),
        }
    }
    let mut message = ObjectWriter::new(1_024);
    message.raw("role", b"\"assistant\"");
    match said {
        Some(said) => message.raw("content", &string(&said)),
        None if calls.is_empty() => message.raw("content", b"\"\""),
        None => message.raw("content", b"null"),
    };
    if let Some(thought) = thought.filter(|thought| !thought.is_empty()) {
        message.raw("reasoning_content", &string(&thought));
    }
    if !calls.is_empty() {
        message.raw("tool_calls", &calls.finish());
    }
    out.raw(&message.finish());
    Ok(())
}

fn tool_call(mut block: Object<'_>) -> Result<Vec<u8>, Trouble> {
    let (id, name) = (block.need_text("id")?, block.need_text("name")?);
    let input = block.need("input")?;
    if !input.get().starts_with('{') {
        return Err(Odd::expected(block.at("input"), "an object").into());
    }
    block.pass_over(&TOOL_USE_HINTS);
    all_said(block)?;
    let mut function = ObjectWriter::new(input.get().len() + 64);
    function.raw("name", name.get().as_bytes()).raw("arguments", &as_text(input));
    let mut call = ObjectWriter::new(input.get().len() + 128);
    call.raw("id", id.get().as_bytes()).raw("type", b"\"function\"").raw("function", &function.finish());
    Ok(call.finish())
}

/// The messages of a body with their paths.
pub(super) fn messages(raw: &RawValue) -> Result<Vec<(String, &RawValue)>, Trouble> {
    debug_assert!(!is_text(raw), "the body's reader has looked at it");
    Ok(items(raw, "messages")?)
}
