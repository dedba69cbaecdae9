//! The client's body, edited for one upstream.

use std::borrow::Cow;

use bytes::Bytes;
use router_config::{ForcedToolChoice, Prefill, Quirks};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use units::Tokens;

use super::messages::{Edits, edited};
use crate::{
    chat::{Form, Inexpressible},
    json::{self, ObjectWriter},
};

/// For whom a chat completion is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The upstream's name of the model.
    pub(super) model: &'a str,
    pub(super) quirks: &'a Quirks,
    /// Whether the upstream is asked for a stream, which may be where the client is not.
    pub(super) stream: bool,
    /// The maximum of output that we set because the client has not.
    pub(super) cap: Option<Tokens>,
    /// Whether a `thinking` in it is Anthropic's, of a client of Messages, and not the upstream's own member.
    pub(super) anthropic_thinking: bool,
    /// The beginning of the answer, where another has said it.
    pub(super) begun: Option<Begun<'a>>,
}

/// An answer that was begun elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun<'a> {
    /// How the model is told.
    pub(super) prefill: &'a Prefill,
    /// What was said.
    pub(super) text: &'a str,
}

/// A body, and which of the client's wishes it says otherwise.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) body: Bytes,
    /// Members that were changed so that the upstream takes them, beyond another name for the same.
    pub(super) adjusted: Vec<&'static str>,
}

/// What is sent as a chat completion: the client's members in the client's order, with the model, the usage request and,
/// where the client named none, the output cap put in.
///
/// # Errors
/// [`Inexpressible`], if the client wants something that this upstream does not do.
pub(super) fn chat(form: &Form, reader: Reader<'_>) -> Result<Written, Inexpressible> {
    let Reader { model, quirks, stream, cap, anthropic_thinking, begun } = reader;
    within_bounds(form, quirks)?;
    let given = |name: &str| form.members.iter().any(|m| &*m.name == name && form.raw(m) != b"null");
    let thinking_off = form.member("thinking").is_some_and(|m| is_disabled(form.raw(m)));
    let edits = Edits { quirks, text_only: quirks.text_content_only(model), thinking_off };
    let schema = form.member("response_format").map(|member| form.raw(member));
    let schema =
        schema.filter(|raw| !quirks.json_schema && is_of_type(raw, "json_schema")).and_then(schema_of);
    let mut adjusted = Vec::new();
    // Whoever goes on with a text is not to begin with thoughts.
    let not_to_think =
        quirks.tells_not_to_think(model).filter(|_| begun.is_some() || (thinking_off && anthropic_thinking));
    if thinking_off && anthropic_thinking && not_to_think.is_none() {
        adjusted.push("thinking");
    }
    let mut streams = false;
    let mut out = ObjectWriter::new(form.body.len() + 128);
    for member in form.members.iter() {
        let raw = form.raw(member);
        let renamed = quirks.renames.get(&*member.name);
        let name = renamed.map_or(&*member.name, String::as_str);
        let displaced =
            renamed.is_none() && quirks.renames.iter().any(|(from, to)| to == name && given(from));
        let unwelcome = quirks.allowed.as_ref().is_some_and(|allowed| !allowed.contains(name))
            || quirks.refused.contains(name);
        let capped = cap.is_some() && (name == "max_tokens" || name == "max_completion_tokens");
        let nothing = raw == b"null" || (name == "tools" && raw == b"[]");
        // How much thought goes into what is not thought about has no meaning, and some would take it for a wish to think.
        let said_otherwise = match name {
            "thinking" => anthropic_thinking || (begun.is_some() && not_to_think.is_some()),
            "reasoning_effort" => not_to_think.is_some(),
            _ => false,
        };
        if displaced || unwelcome || capped || said_otherwise || (nothing && !quirks.keeps_nulls) {
            continue;
        }
        match name {
            "model" => out.text("model", model),
            "stream_options" if stream => continue,
            "stream" => {
                streams = true;
                out.raw("stream", if stream { b"true" } else { b"false" })
            }
            "messages" => match (schema, begun) {
                (Some(schema), _) => out.raw("messages", &with_schema(&edited(raw, edits), schema)),
                (None, Some(begun)) => out.raw("messages", &with_beginning(&edited(raw, edits), begun)),
                (None, None) => out.raw("messages", &edited(raw, edits)),
            },
            "tools" if !quirks.tool_strict => out.raw("tools", &without_strict(raw)),
            "tool_choice" => {
                let choice = tool_choice(raw, quirks.forced_tool_choice);
                if let (Cow::Owned(_), ForcedToolChoice::Auto) = (&choice, quirks.forced_tool_choice) {
                    adjusted.push("tool_choice");
                }
                out.raw("tool_choice", &choice)
            }
            "response_format" if !quirks.json_schema && is_of_type(raw, "json_schema") => {
                adjusted.push("response_format");
                out.raw("response_format", br#"{"type":"json_object"}"#)
            }
            name => out.raw(name, raw),
        };
    }
    if stream && !streams {
        out.raw("stream", b"true");
    }
    if stream && quirks.stream_options {
        let options = form.member("stream_options").filter(|_| given("stream_options"));
        out.raw("stream_options", &with_usage(options.map_or(b"{}", |m| form.raw(m))));
    }
    for (name, value) in not_to_think.into_iter().flatten() {
        // What the client itself has written for this upstream counts.
        let ours = matches!(name.as_str(), "thinking" | "reasoning_effort");
        if ours || form.member(name).is_none() {
            out.raw(name, value.to_string().as_bytes());
        }
    }
    for (name, value) in begun.into_iter().flat_map(|begun| &begun.prefill.body) {
        out.raw(name, value.to_string().as_bytes());
    }
    if let Some(cap) = cap {
        out.count(&quirks.output_max, cap.0);
    }
    Ok(Written { body: out.finish().into(), adjusted })
}

/// The schema of a `response_format`, as it stands there.
fn schema_of(format: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    struct Format<'a> {
        #[serde(borrow)]
        json_schema: Schema<'a>,
    }
    #[derive(Deserialize)]
    struct Schema<'a> {
        #[serde(borrow)]
        schema: &'a RawValue,
    }
    serde_json::from_slice::<Format<'_>>(format).ok().map(|format| format.json_schema.schema.get())
}

/// The messages, led by one that says the schema: an upstream that only knows JSON is asked for this JSON. The word itself
/// has to be in the prompt at those that have a JSON mode.
fn with_schema(messages: &[u8], schema: &str) -> Vec<u8> {
    let asks =
        format!("Answer with one JSON object that fits this JSON schema, and with nothing else:\n{schema}");
    let mut first = ObjectWriter::new(asks.len() + 64);
    first.text("role", "system").text("content", &asks);
    let mut out = vec![b'['];
    out.extend_from_slice(&first.finish());
    let rest = messages.strip_prefix(b"[").unwrap_or(messages);
    if !rest.trim_ascii().starts_with(b"]") {
        out.push(b',');
    }
    out.extend_from_slice(rest);
    out
}

/// The messages, and last what was said of the answer.
fn with_beginning(messages: &[u8], begun: Begun<'_>) -> Vec<u8> {
    let mut last = ObjectWriter::new(begun.text.len() + 64);
    last.text("role", "assistant").text("content", begun.text);
    for (name, value) in &begun.prefill.message {
        last.raw(name, value.to_string().as_bytes());
    }
    let mut out = messages.trim_ascii_end().strip_suffix(b"]").unwrap_or(messages).to_vec();
    out.push(b',');
    out.extend_from_slice(&last.finish());
    out.push(b']');
    out
}

/// What this upstream would refuse in its own words, in ours and before it is asked.
fn within_bounds(form: &Form, quirks: &Quirks) -> Result<(), Inexpressible> {
    let raw = |name: &str| form.member(name).map(|member| form.raw(member));
    let beyond = |param: &str, max: u32| Inexpressible {
        param: param.to_owned(),
        why: format!("can be {max} at most with this model's provider"),
    };
    if let (Some(max), Some(n)) =
        (quirks.n_max, raw("n").and_then(|raw| serde_json::from_slice::<u32>(raw).ok()))
        && n > max
    {
        return Err(beyond("n", max));
    }
    let stops = raw("stop").and_then(|raw| serde_json::from_slice::<Vec<IgnoredAny>>(raw).ok());
    match (quirks.stop_max, stops) {
        (Some(max), Some(stops)) if stops.len() > usize::try_from(max).unwrap_or(usize::MAX) => {
            let why = format!("can have {max} entries at most with this model's provider");
            Err(Inexpressible { param: "stop".to_owned(), why })
        }
        _ => Ok(()),
    }
}

/// `stream_options` as the client gave them, asking for usage.
fn with_usage(options: &[u8]) -> Vec<u8> {
    let mut out = ObjectWriter::new(options.len() + 24);
    for (name, value) in json::members(options).unwrap_or_default() {
        if name != "include_usage" {
            out.raw(&name, value.get().as_bytes());
        }
    }
    out.raw("include_usage", b"true");
    out.finish()
}

/// Whether an object's `type` is this.
fn is_of_type(raw: &[u8], kind: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    serde_json::from_slice::<Typed<'_>>(raw).is_ok_and(|typed| typed.kind == kind)
}

fn is_disabled(thinking: &[u8]) -> bool {
    is_of_type(thinking, "disabled")
}

/// A choice that forces a tool, as this upstream takes it.
fn tool_choice(raw: &[u8], forced: ForcedToolChoice) -> Cow<'_, [u8]> {
    let forces = raw == b"\"required\"" || raw.starts_with(b"{");
    match forced {
        ForcedToolChoice::Any if raw == b"\"required\"" => Cow::Owned(b"\"any\"".to_vec()),
        ForcedToolChoice::Auto if forces => Cow::Owned(b"\"auto\"".to_vec()),
        ForcedToolChoice::Keeps | ForcedToolChoice::Any | ForcedToolChoice::Auto => Cow::Borrowed(raw),
    }
}

/// Tools whose functions do not say `strict`.
fn without_strict(tools: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(tools, b"strict").is_none() {
        return Cow::Borrowed(tools);
    }
    let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(tools) else { return Cow::Borrowed(tools) };
    let mut out = vec![b'['];
    for tool in list {
        if out.len() > 1 {
            out.push(b',');
        }
        let Ok(members) = json::members(tool.get().as_bytes()) else { return Cow::Borrowed(tools) };
        let mut one = ObjectWriter::new(tool.get().len());
        for (name, value) in &members {
            match json::members(value.get().as_bytes()) {
                Ok(function) if name == "function" => {
                    let mut kept = ObjectWriter::new(value.get().len());
                    for (name, value) in function.iter().filter(|(name, _)| name != "strict") {
                        kept.raw(name, value.get().as_bytes());
                    }
                    one.raw(name, &kept.finish())
                }
                _ => one.raw(name, value.get().as_bytes()),
            };
        }
        out.extend_from_slice(&one.finish());
    }
    out.push(b']');
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chat::ChatForm, dialect::chat::read};

    fn quirks(kind: &str) -> std::sync::Arc<Quirks> {
        router_config::catalog().provider(kind).unwrap().quirks.clone()
    }

    fn sent(text: &str, kind: &str, cap: Option<u64>) -> String {
        let wanted = read(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let (quirks, stream, cap) = (&quirks(kind), wanted.stream, cap.map(Tokens));
        let sent = chat(
            &wanted.native,
            Reader { model: "up", quirks, stream, cap, anthropic_thinking: false, begun: None },
        )
        .unwrap();
        String::from_utf8(sent.body.to_vec()).unwrap()
    }

    #[test]
    fn only_what_must_change_changes() {
        let text = r#"{"temperature":1e-7,"model":"m","x":{"b":1.0,"a":9007199254740993},"messages":[{"role":"developer","content":"\u4f60"}],"stop":null}"#;
        assert_eq!(
            sent(text, "openai", None),
            r#"{"temperature":1e-7,"model":"up","x":{"b":1.0,"a":9007199254740993},"messages":[{"role":"developer","content":"\u4f60"}],"stop":null}"#
        );
        assert_eq!(
            sent(text, "deepseek", Some(9)),
            r#"{"temperature":1e-7,"model":"up","x":{"b":1.0,"a":9007199254740993},"messages":[{"role":"system","content":"\u4f60"}],"max_tokens":9}"#
        );
    }

    #[test]
    fn usage_is_always_asked_for_in_a_stream() {
        let text =
            r#"{"model":"m","messages":[1],"stream":true,"stream_options":{"include_usage":false,"x":1}}"#;
        assert_eq!(
            sent(text, "openai", None),
            r#"{"model":"up","messages":[1],"stream":true,"stream_options":{"x":1,"include_usage":true}}"#
        );
        assert_eq!(sent(text, "mistral", None), r#"{"model":"up","messages":[1],"stream":true}"#);
    }

    #[test]
    fn mistral_gets_the_members_it_knows_under_its_names() {
        let text =
            r#"{"model":"m","messages":[1],"max_tokens":1,"max_completion_tokens":5,"seed":7,"store":true}"#;
        assert_eq!(
            sent(text, "mistral", None),
            r#"{"model":"up","messages":[1],"max_tokens":5,"random_seed":7}"#
        );
        let null = r#"{"model":"m","messages":[1],"max_completion_tokens":null,"max_tokens":4}"#;
        assert_eq!(sent(null, "mistral", None), r#"{"model":"up","messages":[1],"max_tokens":4}"#);
    }

    #[test]
    fn a_cap_replaces_an_explicit_null() {
        let text = r#"{"model":"m","max_tokens":null,"messages":[1]}"#;
        assert_eq!(
            sent(text, "openai", Some(4096)),
            r#"{"model":"up","messages":[1],"max_completion_tokens":4096}"#
        );
    }

    #[test]
    fn what_an_upstream_never_does_is_refused_by_name() {
        let refused = |text: &str, kind: &str| {
            let wanted = read(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
            let quirks = &quirks(kind);
            let reader = Reader {
                model: "up",
                quirks,
                stream: false,
                cap: None,
                anthropic_thinking: false,
                begun: None,
            };
            chat(&wanted.native, reader).map(|written| written.adjusted).map_err(|what| what.param)
        };
        let with = |rest: &str| format!(r#"{{"model":"m","messages":[1],{rest}}}"#);
        assert_eq!(refused(&with(r#""n":2"#), "groq").unwrap_err(), "n");
        assert_eq!(refused(&with(r#""stop":["a","b"]"#), "bigmodel").unwrap_err(), "stop");
        assert!(refused(&with(r#""stop":"a","n":1"#), "bigmodel").is_ok());
        let forced = with(r#""tool_choice":{"type":"function","function":{"name":"f"}}"#);
        assert_eq!(refused(&forced, "bigmodel").unwrap(), ["tool_choice"]);
        let schema = with(r#""response_format":{"type":"json_schema","json_schema":{}}"#);
        assert_eq!(refused(&schema, "deepseek").unwrap(), ["response_format"]);
        let shaped =
            with(r#""response_format":{"type":"json_schema","json_schema":{"schema":{"b":1,"a":[]}}}"#);
        let told = sent(&shaped, "deepseek", None);
        assert!(told.contains(r#"with nothing else:\n{\"b\":1,\"a\":[]}"},1]"#), "{told}");
        assert!(refused(&schema, "openai").unwrap().is_empty());
    }

    #[test]
    fn a_client_of_messages_that_wants_no_thinking_is_understood_everywhere() {
        let told = |kind: &str, model: &str, rest: &str| {
            let text = format!(
                r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}],"thinking":{{"type":"disabled"}}{rest}}}"#
            );
            let ChatForm::Made(form) = crate::dialect::messages::read(&text.into()).unwrap().chat else {
                panic!("no chat")
            };
            let quirks = &quirks(kind);
            let written = chat(
                &form,
                Reader { model, quirks, stream: false, cap: None, anthropic_thinking: true, begun: None },
            )
            .unwrap();
            let body: serde_json::Value = serde_json::from_slice(&written.body).unwrap();
            let mut members = body.as_object().unwrap().clone();
            for known in ["model", "messages", "max_tokens", "max_completion_tokens"] {
                members.remove(known);
            }
            (serde_json::Value::Object(members).to_string(), written.adjusted)
        };
        let disabled = r#"{"thinking":{"type":"disabled"}}"#;
        let no_effort = r#"{"reasoning_effort":"none"}"#;
        for (kind, model, said) in [
            ("deepseek", "deepseek-flash", disabled),
            ("dashscope", "qwen3.8-max", r#"{"enable_thinking":false}"#),
            ("dashscope-cn", "qwen-plus", r#"{"enable_thinking":false}"#),
            ("zai", "glm-5.3", disabled),
            ("bigmodel", "glm-4.7", disabled),
            ("volcengine", "doubao-seed-2-1-pro-260915", disabled),
            ("moonshot", "kimi-k2.6", disabled),
            ("siliconflow", "zai-org/GLM-5.2", r#"{"enable_thinking":false}"#),
            ("mistral", "mistral-small-latest", no_effort),
            ("openrouter", "any/thing", r#"{"reasoning":{"enabled":false}}"#),
            ("vllm", "local", r#"{"chat_template_kwargs":{"enable_thinking":false}}"#),
            ("ollama", "local", no_effort),
        ] {
            let effort = r#","output_config":{"effort":"high"}"#;
            for rest in ["", effort] {
                assert_eq!(told(kind, model, rest), (said.to_owned(), vec![]), "{kind} {model}{rest}");
            }
        }
        // Where no word is known nothing is said that might be refused, and the client is told.
        for (kind, model) in [
            ("openai", "gpt-5.5"),
            ("gemini", "gemini-3.8-flash"),
            ("moonshot", "kimi-k2.7-code"),
            ("mistral", "codestral-latest"),
        ] {
            assert_eq!(told(kind, model, ""), ("{}".to_owned(), vec!["thinking"]), "{kind} {model}");
        }
        let own = told("vllm", "local", r#","chat_template_kwargs":{"thinking":false}"#);
        assert_eq!(own.0, r#"{"chat_template_kwargs":{"thinking":false}}"#);
    }

    #[test]
    fn what_a_chat_client_says_of_thinking_is_between_it_and_the_upstream() {
        let text = r#"{"model":"m","messages":[1],"thinking":{"type":"disabled"},"reasoning_effort":"low"}"#;
        for kind in ["openai", "dashscope", "vllm"] {
            assert!(
                sent(text, kind, None)
                    .ends_with(r#""thinking":{"type":"disabled"},"reasoning_effort":"low"}"#)
            );
        }
    }

    #[test]
    fn tools_lose_what_the_upstream_does_not_know_and_nothing_else() {
        let text = r#"{"model":"m","messages":[1],"tools":[{"type":"function","function":{"name":"f","strict":true,"parameters":{"x":1e-7}}}],"tool_choice":"required"}"#;
        assert_eq!(
            sent(text, "xai", None),
            r#"{"model":"up","messages":[1],"tools":[{"type":"function","function":{"name":"f","parameters":{"x":1e-7}}}],"tool_choice":"required"}"#
        );
        assert!(sent(text, "mistral", None).ends_with(r#""tool_choice":"any"}"#));
        let none = r#"{"model":"m","messages":[1],"tools":[]}"#;
        assert_eq!(sent(none, "deepseek", None), r#"{"model":"up","messages":[1]}"#);
    }
}
