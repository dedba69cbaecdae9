//! A Messages body as a chat completion's.
//!
//! Every member is taken: it lands in the chat form, it is one of the hints named here, which may be lost, or it is named
//! in the refusal. Members that are nobody's pass as they are, as they do for a chat client.

use serde_json::value::RawValue;

use super::{
    conversation::{conversation, messages},
    tools::{tool_choice, tools},
    trouble::{Trouble, all_said},
};
use crate::json::{Object, ObjectWriter, Odd, is_text};

/// What may be lost: where caches may be cut, what is reported back, how long conversations are shortened by a feature in
/// the making.
const HINTS: [&str; 6] =
    ["cache_control", "context_management", "diagnostics", "betas", "speed", "inference_geo"];
/// What only Anthropic has.
const ANTHROPICS: [&str; 2] = ["container", "mcp_servers"];
/// What a chat would take for its own, and perhaps for a reason to cost more.
const CHATS: [&str; 23] = [
    "n",
    "stop",
    "user",
    "store",
    "audio",
    "modalities",
    "prediction",
    "functions",
    "function_call",
    "stream_options",
    "max_completion_tokens",
    "response_format",
    "reasoning_effort",
    "parallel_tool_calls",
    "web_search_options",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "best_of",
    "prompt",
];
/// Up to which thinking budget, in tokens, a level of effort is meant. Anthropic's least is 1,024.
const EFFORTS: [(u64, &str); 2] = [(4_096, "low"), (16_384, "medium")];

/// Says it.
pub(super) fn as_chat(mut call: Object<'_>) -> Result<Vec<u8>, Trouble> {
    let mut out = ObjectWriter::new(4_096);
    out.raw("model", call.need_text("model")?.get().as_bytes());
    let system = call.take("system")?;
    out.raw("messages", &conversation(system, &messages(call.need("messages")?)?)?);
    if let Some(max) = call.take("max_tokens")? {
        out.raw("max_completion_tokens", max.get().as_bytes());
    }
    if call.flag("stream")? == Some(true) {
        out.raw("stream", b"true");
    }
    if let Some(list) = call.list("tools")?.filter(|list| !list.is_empty()) {
        out.raw("tools", &tools(list)?);
    }
    if let Some(choice) = call.object("tool_choice")? {
        tool_choice(choice, &mut out)?;
    }
    if let Some(raw) = stops(&mut call)? {
        out.raw("stop", raw.get().as_bytes());
    }
    for name in ["temperature", "top_p", "top_k"] {
        if let Some(raw) = number(&mut call, name)? {
            out.raw(name, raw.get().as_bytes());
        }
    }
    if let Some(mut metadata) = call.object("metadata")? {
        if let Some(user) = metadata.text("user_id")? {
            out.raw("user", user.get().as_bytes());
        }
        all_said(metadata)?;
    }
    // Standard is what a chat gets where it asks for nothing.
    if call.word("service_tier")?.as_deref() == Some("standard_only") {
        out.raw("service_tier", b"\"default\"");
    }
    output(&mut call, &mut out)?;
    call.pass_over(&HINTS);
    for (name, raw) in call.left() {
        if ANTHROPICS.contains(&name.as_ref()) {
            return Err(Trouble::wordless(name, "is something that only Anthropic has"));
        }
        if CHATS.contains(&name.as_ref()) {
            return Err(Trouble::wordless(name, "is no member of a Messages request"));
        }
        out.raw(&name, raw.get().as_bytes());
    }
    Ok(out.finish())
}

fn stops<'a>(call: &mut Object<'a>) -> Result<Option<&'a RawValue>, Trouble> {
    let path = call.at("stop_sequences");
    let Some(raw) = call.take("stop_sequences")? else { return Ok(None) };
    let list = crate::json::items(raw, &path)?;
    if let Some((path, _)) = list.iter().find(|(_, stop)| !is_text(stop)) {
        return Err(Odd::expected(path.clone(), "a string").into());
    }
    Ok((!list.is_empty()).then_some(raw))
}

fn number<'a>(call: &mut Object<'a>, name: &str) -> Result<Option<&'a RawValue>, Trouble> {
    let path = call.at(name);
    let Some(raw) = call.take(name)? else { return Ok(None) };
    let is_number = raw.get().starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if is_number { Ok(Some(raw)) } else { Err(Odd::expected(path, "a number").into()) }
}

/// How the answer is to look, and how much thought goes into it.
fn output(call: &mut Object<'_>, out: &mut ObjectWriter) -> Result<(), Trouble> {
    // By its name before it became a part of `output_config`.
    let mut format = call.object("output_format")?;
    let mut effort = None;
    if let Some(mut config) = call.object("output_config")? {
        effort = config.word("effort")?;
        format = config.object("format")?.or(format);
        all_said(config)?;
    }
    if let Some(mut format) = format {
        let kind_at = format.at("type");
        if format.word("type")?.as_deref() != Some("json_schema") {
            return Err(Trouble::bad_value(kind_at, "expected `json_schema`"));
        }
        let schema = format.need("schema")?;
        let named = format.text("name")?;
        all_said(format)?;
        let mut inner = ObjectWriter::new(schema.get().len() + 64);
        inner.raw("name", named.map_or(b"\"answer\"".as_slice(), |name| name.get().as_bytes()));
        inner.raw("strict", b"true").raw("schema", schema.get().as_bytes());
        let mut outer = ObjectWriter::new(schema.get().len() + 128);
        outer.raw("type", b"\"json_schema\"").raw("json_schema", &inner.finish());
        out.raw("response_format", &outer.finish());
    }
    let thinking = call.object("thinking")?.map(thinking).transpose()?.unwrap_or_default();
    if thinking.is_off {
        // In Anthropic's words still: whoever asks an upstream knows how to say it there.
        out.raw("thinking", br#"{"type":"disabled"}"#);
    }
    if let Some(effort) = effort.as_deref().or(thinking.effort) {
        out.text("reasoning_effort", effort);
    }
    Ok(())
}

/// What is wanted of thinking.
#[derive(Debug, Default)]
struct Thinking {
    /// The effort that a budget stands for. Where it is left to the model, nothing is asked for.
    effort: Option<&'static str>,
    is_off: bool,
}

fn thinking(mut thinking: Object<'_>) -> Result<Thinking, Trouble> {
    let kind_at = thinking.at("type");
    let kind = thinking.word("type")?.ok_or_else(|| Odd::missing(kind_at.clone()))?;
    let effort = match kind.as_ref() {
        "enabled" => {
            let path = thinking.at("budget_tokens");
            let budget = thinking.need("budget_tokens")?.get().parse::<u64>();
            let budget = budget.map_err(|_| Odd::expected(path, "an integer"))?;
            let level = EFFORTS.iter().find(|(most, _)| budget <= *most);
            Some(level.map_or("high", |(_, level)| level))
        }
        "disabled" | "adaptive" | "between_tools" => None,
        _ => return Err(Trouble::bad_value(kind_at, "expected `enabled`, `disabled` or `adaptive`")),
    };
    thinking.pass_over(&["display", "budget_tokens"]);
    all_said(thinking)?;
    Ok(Thinking { effort, is_off: kind == "disabled" })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::read;
    use crate::chat::ChatForm;

    fn chat(rest: &str) -> Result<String, String> {
        let body = format!(r#"{{"model":"m","max_tokens":9,{rest}}}"#);
        match read(&Bytes::from(body)).unwrap_or_else(|e| panic!("{rest}: {e}")).chat {
            ChatForm::Made(form) => Ok(String::from_utf8(form.body.to_vec()).unwrap()),
            ChatForm::Inexpressible(what) => Err(what.param),
            other => panic!("{other:?}"),
        }
    }

    const HI: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

    fn rest_of(rest: &str) -> String {
        let chat = chat(&format!("{HI},{rest}")).unwrap_or_else(|e| panic!("{rest}: {e}"));
        let before = r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":9"#;
        chat.strip_prefix(before).unwrap().trim_start_matches(',').strip_suffix('}').unwrap().to_owned()
    }

    fn conversation_of(rest: &str) -> String {
        let chat = chat(rest).unwrap_or_else(|e| panic!("{rest}: {e}"));
        let inner = chat.strip_prefix(r#"{"model":"m","messages":["#).unwrap();
        inner.strip_suffix(r#"],"max_completion_tokens":9}"#).unwrap().to_owned()
    }

    #[test]
    fn a_system_prompt_is_a_system_message() {
        assert_eq!(
            conversation_of(&format!(r#""system":"be \u4f60",{HI}"#)),
            r#"{"role":"system","content":"be \u4f60"},{"role":"user","content":"hi"}"#
        );
        assert_eq!(
            conversation_of(&format!(
                r#""system":[{{"type":"text","text":"a","cache_control":{{"type":"ephemeral"}}}},{{"type":"text","text":"b"}}],{HI}"#
            )),
            r#"{"role":"system","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"user","content":"hi"}"#
        );
    }

    #[test]
    fn a_tool_loop_is_told_in_a_chats_order() {
        let messages = r#""messages":[
            {"role":"user","content":[{"type":"text","text":"look"}]},
            {"role":"assistant","content":[
                {"type":"thinking","thinking":"hm\n","signature":"s"},{"type":"redacted_thinking","data":"x"},
                {"type":"text","text":"I "},{"type":"text","text":"look"},
                {"type":"tool_use","id":"toolu_1","name":"f","input":{"b":1.0,
"a":9007199254740993}},
                {"type":"tool_use","id":"toolu_2","name":"g","input":{}}]},
            {"role":"user","content":[
                {"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"seen"},
                    {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}}]},
                {"type":"tool_result","tool_use_id":"toolu_2","is_error":true,"content":"no"},
                {"type":"text","text":"so?"},
                {"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}]"#;
        let expected = [
            r#"{"role":"user","content":"look"}"#,
            r#"{"role":"assistant","content":"I look","reasoning_content":"hm\n","tool_calls":["#,
            r#"{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"b\":1.0,\n\"a\":9007199254740993}"}},"#,
            r#"{"id":"toolu_2","type":"function","function":{"name":"g","arguments":"{}"}}]}"#,
            r#"{"role":"tool","tool_call_id":"toolu_1","content":"seen"}"#,
            r#"{"role":"tool","tool_call_id":"toolu_2","content":"Error: no"}"#,
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},"#,
            r#"{"type":"text","text":"so?"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}"#,
        ];
        let joined = [
            expected[0].to_owned(),
            [expected[1], expected[2], expected[3]].concat(),
            expected[4].to_owned(),
            expected[5].to_owned(),
            [expected[6], expected[7]].concat(),
        ];
        assert_eq!(conversation_of(messages), joined.join(","));
    }

    #[test]
    fn documents_are_text_or_files() {
        let with = |document: &str| {
            conversation_of(&format!(
                r#""messages":[{{"role":"user","content":[{document},{{"type":"text","text":"?"}}]}}]"#
            ))
        };
        assert_eq!(
            with(
                r#"{"type":"document","title":"T","source":{"type":"text","media_type":"text/plain","data":"D"}}"#
            ),
            r#"{"role":"user","content":[{"type":"text","text":"T"},{"type":"text","text":"D"},{"type":"text","text":"?"}]}"#
        );
        assert_eq!(
            with(
                r#"{"type":"document","citations":{"enabled":false},"source":{"type":"base64","media_type":"application/pdf","data":"UERG"}}"#
            ),
            r#"{"role":"user","content":[{"type":"file","file":{"filename":"document.pdf","file_data":"data:application/pdf;base64,UERG"}},{"type":"text","text":"?"}]}"#
        );
    }

    #[test]
    fn what_is_asked_for_is_asked_in_a_chats_words() {
        for (rest, said) in [
            (r#""stream":true"#, r#""stream":true"#),
            (
                r#""stop_sequences":["\n\nHuman:"],"temperature":1e-7,"top_k":5"#,
                r#""stop":["\n\nHuman:"],"temperature":1e-7,"top_k":5"#,
            ),
            (r#""stop_sequences":[]"#, ""),
            (r#""metadata":{"user_id":"u"}"#, r#""user":"u""#),
            (r#""metadata":{}"#, ""),
            (r#""service_tier":"standard_only""#, r#""service_tier":"default""#),
            (
                r#""service_tier":"auto","cache_control":{"type":"ephemeral"},"context_management":{"edits":[]}"#,
                "",
            ),
            (r#""thinking":{"type":"enabled","budget_tokens":2048}"#, r#""reasoning_effort":"low""#),
            (
                r#""thinking":{"type":"enabled","budget_tokens":31999,"display":"omitted"}"#,
                r#""reasoning_effort":"high""#,
            ),
            (r#""thinking":{"type":"disabled"}"#, r#""thinking":{"type":"disabled"}"#),
            (r#""thinking":{"type":"adaptive"}"#, ""),
            (
                r#""thinking":{"type":"adaptive"},"output_config":{"effort":"xhigh"}"#,
                r#""reasoning_effort":"xhigh""#,
            ),
            (
                r#""output_config":{"format":{"type":"json_schema","schema":{"b":1.0,"a":2}}}"#,
                r#""response_format":{"type":"json_schema","json_schema":{"name":"answer","strict":true,"schema":{"b":1.0,"a":2}}}"#,
            ),
            (
                r#""tools":[{"name":"f","description":"d","input_schema":{"type":"object","minimum":1e400},"strict":true,"cache_control":null,"type":"custom"}],"tool_choice":{"type":"any","disable_parallel_tool_use":true}"#,
                r#""tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","minimum":1e400},"strict":true}}],"tool_choice":"required","parallel_tool_calls":false"#,
            ),
            (
                r#""tools":[],"tool_choice":{"type":"tool","name":"f"}"#,
                r#""tool_choice":{"type":"function","function":{"name":"f"}}"#,
            ),
            (r#""enable_thinking":false"#, r#""enable_thinking":false"#),
        ] {
            assert_eq!(rest_of(rest), said, "{rest}");
        }
    }

    #[test]
    fn what_a_chat_cannot_say_is_named() {
        for (rest, param) in [
            (r#""container":"c""#, "container"),
            (r#""mcp_servers":[{"type":"url"}]"#, "mcp_servers"),
            (r#""tools":[{"type":"bash_20250124","name":"bash"}]"#, "tools[0].type"),
            (
                r#""tools":[{"name":"f","input_schema":{},"allowed_callers":["code_execution_20260120"]}]"#,
                "tools[0].allowed_callers",
            ),
            (r#""tools":[{"name":"f","input_schema":{},"colour":"red"}]"#, "tools[0].colour"),
            (r#""metadata":{"x":1}"#, "metadata.x"),
            (r#""output_config":{"task_budget":{"total":9}}"#, "output_config.task_budget"),
            (r#""n":2"#, "n"),
            (r#""max_completion_tokens":100000"#, "max_completion_tokens"),
        ] {
            assert_eq!(chat(&format!("{HI},{rest}")).unwrap_err(), param, "{rest}");
        }
        for (block, param) in [
            (r#"{"type":"search_result","source":"s","title":"t","content":[]}"#, "type"),
            (r#"{"type":"container_upload","file_id":"f"}"#, "type"),
            (r#"{"type":"image","source":{"type":"file","file_id":"f"}}"#, "source.type"),
            (r#"{"type":"document","source":{"type":"url","url":"u"}}"#, "source.type"),
            (
                r#"{"type":"document","citations":{"enabled":true},"source":{"type":"text","data":"d"}}"#,
                "citations.enabled",
            ),
            (r#"{"type":"text","text":"t","tone":"kind"}"#, "tone"),
        ] {
            let rest = format!(r#""messages":[{{"role":"user","content":[{block}]}}]"#);
            assert_eq!(chat(&rest).unwrap_err(), format!("messages[0].content[0].{param}"), "{block}");
        }
    }
}
