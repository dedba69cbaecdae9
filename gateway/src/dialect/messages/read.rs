//! A Messages body: what we need to know of it, and what may not be in it.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{as_chat::as_chat, size::input_size, trouble::Trouble};
use crate::{
    chat::ChatForm,
    dialect::{
        decode::{DecodeError, Fields, Wanted, form_of, wrong},
        unpriced::{refuse_long_caches, refuse_tiers},
    },
    json::{Object, items},
};

/// The members that authorise or price a call: each may stand there once.
const ONCE: [&str; 8] =
    ["model", "messages", "system", "stream", "max_tokens", "tools", "speed", "inference_geo"];

/// Tools that Anthropic runs itself and bills by the use, by how their types begin. No price list has such prices.
/// <https://platform.claude.com/docs/en/about-claude/pricing>
const BILLED_BY_USE: [&str; 2] = ["web_search_", "code_execution_"];

/// Reads a body.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn read(body: &Bytes) -> Result<Wanted, DecodeError> {
    let fields = Fields::read(body)?;
    fields.once(&ONCE)?;
    let model = fields.model()?;
    let output_max = fields.output_max("max_tokens")?.ok_or(DecodeError::Missing("max_tokens".into()))?;
    let messages = fields.list("messages", "message")?;
    let stream = fields.stream()?;
    priced(&fields)?;
    refuse_tiers(&fields)?;
    refuse_long_caches(&fields, &["system", "messages", "tools"], body)?;
    let chat = match as_chat(Object::body(fields.members().clone())) {
        Ok(body) => ChatForm::Made(form_of(body)?),
        Err(Trouble::Bad(error)) => return Err(error),
        Err(Trouble::Wordless(what)) => ChatForm::Inexpressible(what),
    };
    Ok(Wanted {
        instead: fields.instead(&model)?,
        model,
        stream,
        wants_usage: true,
        output_max: Some(output_max),
        n: 1,
        input: input_size(body.len(), messages, fields.find("tools")?.is_some()),
        native: fields.form(),
        chat,
    })
}

/// What costs extra is refused: it is not in the price that the customer was told.
fn priced(fields: &Fields<'_>) -> Result<(), DecodeError> {
    let unpriced = |param: String, why: &'static str| {
        Err(DecodeError::Unsupported { param: param.into(), why: why.into() })
    };
    let word = |name| fields.typed::<String>(name, "a string");
    if word("speed")?.is_some_and(|speed| speed != "standard") {
        return unpriced("speed".to_owned(), "is only priced here as `standard`");
    }
    if word("inference_geo")?.is_some_and(|geo| geo != "global") {
        return unpriced("inference_geo".to_owned(), "is only priced here as `global`");
    }
    let Some(tools) = fields.tools()? else { return Ok(()) };
    let tools = items(tools, "tools").map_err(|_| wrong("tools", "an array of tools"))?;
    for (path, tool) in tools {
        let kind = kind(tool);
        if BILLED_BY_USE.iter().any(|billed| kind.starts_with(billed)) {
            return unpriced(
                format!("{path}.type"),
                "is a tool that is billed by the use, which no price list has a rate for",
            );
        }
    }
    Ok(())
}

fn kind(tool: &RawValue) -> String {
    let kind = Object::read(tool, String::new()).and_then(|mut tool| tool.word("type"));
    kind.ok().flatten().unwrap_or_default().into_owned()
}

#[cfg(test)]
mod tests {
    use units::Tokens;

    use super::*;

    fn with(rest: &str) -> Bytes {
        format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]{rest}}}"#)
            .into()
    }

    #[test]
    fn reads_what_prices_a_call() {
        let wanted = read(&with(r#","stream":true"#)).unwrap();
        assert_eq!((wanted.model.as_str(), wanted.stream), ("m", true));
        assert_eq!((wanted.output_max, wanted.n), (Some(Tokens(9)), 1));
        assert!(matches!(wanted.chat, ChatForm::Made(_)));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let missing =
            read(&Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#));
        assert_eq!(missing.unwrap_err(), DecodeError::Missing("max_tokens".into()));
        for (rest, param) in [
            (r#","system":7"#, "system"),
            (r#","system":[{"type":"text"}]"#, "system[0].text"),
            (r#","system":[{"type":"image"}]"#, "system[0].type"),
            (r#","tools":{}"#, "tools"),
            (r#","tools":[7]"#, "tools[0]"),
            (r#","tools":[{"input_schema":{}}]"#, "tools[0].name"),
            (r#","tools":[{"name":"f"}]"#, "tools[0].input_schema"),
            (r#","tools":[{"name":"f","input_schema":"x"}]"#, "tools[0].input_schema"),
            (r#","tools":[{"type":"web_search_20260318","name":"web_search"}]"#, "tools[0].type"),
            (r#","tool_choice":"auto""#, "tool_choice"),
            (r#","tool_choice":{"type":"tool"}"#, "tool_choice.name"),
            (r#","tool_choice":{"type":"some"}"#, "tool_choice.type"),
            (r#","stop_sequences":"x""#, "stop_sequences"),
            (r#","stop_sequences":[1]"#, "stop_sequences[0]"),
            (r#","temperature":"hot""#, "temperature"),
            (r#","top_k":[]"#, "top_k"),
            (r#","thinking":true"#, "thinking"),
            (r#","thinking":{"type":"enabled"}"#, "thinking.budget_tokens"),
            (r#","thinking":{"type":"deep"}"#, "thinking.type"),
            (r#","metadata":"x""#, "metadata"),
            (r#","metadata":{"user_id":7}"#, "metadata.user_id"),
            (r#","output_config":{"format":{"type":"json_schema"}}"#, "output_config.format.schema"),
            (r#","output_config":{"effort":1}"#, "output_config.effort"),
            (r#","speed":"fast""#, "speed"),
            (r#","inference_geo":"us""#, "inference_geo"),
            (r#","max_tokens":9"#, "max_tokens"),
        ] {
            let error = read(&with(rest)).expect_err(rest).to_string();
            assert!(error.contains(&format!("`{param}`")), "{rest}: {error}");
        }
    }

    #[test]
    fn a_message_that_is_none_is_named() {
        for (message, param) in [
            ("7", "messages[0]"),
            (r#"{"content":"x"}"#, "messages[0].role"),
            (r#"{"role":"user"}"#, "messages[0].content"),
            (r#"{"role":"robot","content":"x"}"#, "messages[0].role"),
            (r#"{"role":"user","content":7}"#, "messages[0].content"),
            (r#"{"role":"user","content":[]}"#, "messages[0].content"),
            (r#"{"role":"user","content":["x"]}"#, "messages[0].content[0]"),
            (r#"{"role":"user","content":[{"text":"x"}]}"#, "messages[0].content[0].type"),
            (r#"{"role":"user","content":[{"type":"text","text":7}]}"#, "messages[0].content[0].text"),
            (r#"{"role":"user","content":[{"type":"image"}]}"#, "messages[0].content[0].source"),
            (
                r#"{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"x"}}]}"#,
                "messages[0].content[0].source.media_type",
            ),
            (r#"{"role":"user","content":[{"type":"tool_result"}]}"#, "messages[0].content[0].tool_use_id"),
            (
                r#"{"role":"user","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}"#,
                "messages[0].content[0].type",
            ),
            (
                r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f"}]}"#,
                "messages[0].content[0].input",
            ),
            (
                r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"x"}]}"#,
                "messages[0].content[0].input",
            ),
        ] {
            let body: Bytes = format!(r#"{{"model":"m","max_tokens":9,"messages":[{message}]}}"#).into();
            let error = read(&body).expect_err(message).to_string();
            assert!(error.contains(&format!("`{param}`")), "{message}: {error}");
        }
    }
}
