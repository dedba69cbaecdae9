//! Tools, and which of them must be used, in a chat's words.

use super::trouble::{Trouble, all_said};
use crate::json::{ListWriter, Object, ObjectWriter, Odd};
use serde_json::value::RawValue;

/// Members of a tool that may be lost: when it is loaded, how its input is streamed, what it looks like by example.
const HINTS: [&str; 4] = ["cache_control", "defer_loading", "eager_input_streaming", "input_examples"];

/// All tools.
pub(super) fn tools(list: Vec<(String, &RawValue)>) -> Result<Vec<u8>, Trouble> {
    let mut out = ListWriter::new(1_024);
    for (path, raw) in list {
        let mut tool = Object::read(raw, path)?;
        if let Some(kind) = tool.word("type")?.filter(|kind| kind != "custom") {
            let why = format!("`{kind}` is a tool that only Anthropic's models know");
            return Err(Trouble::wordless(tool.at("type"), &why));
        }
        out.raw(&function(tool)?);
    }
    Ok(out.finish())
}

fn function(mut tool: Object<'_>) -> Result<Vec<u8>, Trouble> {
    let name = tool.need_text("name")?;
    let description = tool.text("description")?;
    let schema_at = tool.at("input_schema");
    let schema = tool.need("input_schema")?;
    if !schema.get().starts_with('{') {
        return Err(Odd::expected(schema_at, "an object").into());
    }
    let strict = tool.flag("strict")?;
    let callers = tool.at("allowed_callers");
    let may_be_called = tool.list("allowed_callers")?;
    if may_be_called.is_some_and(|callers| !callers.iter().any(|(_, caller)| caller.get() == "\"direct\"")) {
        return Err(Trouble::wordless(callers, "leaves the call to code that only Anthropic runs"));
    }
    tool.pass_over(&HINTS);
    all_said(tool)?;
    let mut function = ObjectWriter::new(schema.get().len() + 256);
    function.raw("name", name.get().as_bytes());
    if let Some(description) = description {
        function.raw("description", description.get().as_bytes());
    }
    function.raw("parameters", schema.get().as_bytes());
    if let Some(strict) = strict {
        function.raw("strict", if strict { b"true" } else { b"false" });
    }
    let mut out = ObjectWriter::new(schema.get().len() + 320);
    out.raw("type", b"\"function\"").raw("function", &function.finish());
    Ok(out.finish())
}

/// `tool_choice`, and `parallel_tool_calls` where there may only be one call.
pub(super) fn tool_choice(mut choice: Object<'_>, out: &mut ObjectWriter) -> Result<(), Trouble> {
    let missing = choice.at("type");
    let kind = choice.word("type")?.ok_or_else(|| Odd::missing(missing.clone()))?;
    match kind.as_ref() {
        "auto" | "none" => out.text("tool_choice", &kind),
        "any" => out.text("tool_choice", "required"),
        "tool" => {
            let mut function = ObjectWriter::new(64);
            function.raw("name", choice.need_text("name")?.get().as_bytes());
            let mut named = ObjectWriter::new(96);
            named.raw("type", b"\"function\"").raw("function", &function.finish());
            out.raw("tool_choice", &named.finish())
        }
        _ => return Err(Trouble::bad_value(missing, "expected `auto`, `any`, `tool` or `none`")),
    };
    if choice.flag("disable_parallel_tool_use")? == Some(true) {
        out.raw("parallel_tool_calls", b"false");
    }
    all_said(choice)
}
