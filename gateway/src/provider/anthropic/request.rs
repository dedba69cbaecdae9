//! A chat completion as a Messages request.
//!
//! Every member is taken: it is said, it is one of those named here which may be lost, or it is named in the refusal.

use std::collections::BTreeSet;

use router_config::Capability;
use serde_json::value::RawValue;
use units::Tokens;

use super::{
    messages::Conversation,
    thinking::Thinking,
    tools::{Choice, tools},
};
use crate::{
    chat::{Form, Inexpressible},
    json::{self, Object, ObjectWriter, Odd, What, is_text, items, quoted, word},
    provider::request::Written,
};

/// What may be lost: what is kept of an answer elsewhere, how caches are found, what makes it come faster.
const HINTS: [&str; 7] = [
    "stream_options",
    "store",
    "metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
];
/// Dials that Anthropic does not have. That they were not turned is said in the answer's head.
const DIALS: [&str; 8] = [
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "verbosity",
    "moderation",
    "enable_thinking",
    "repetition_penalty",
    "min_p",
];
/// What is said to a model that is to answer in JSON without a schema, for which Anthropic has no word.
const JSON_ONLY: &str = "Answer with one JSON object and nothing else.";

/// What a chat asks for and Anthropic has no word for.
#[derive(Debug)]
pub(super) struct Unsaid(Inexpressible);

impl Unsaid {
    pub(super) fn new(param: impl Into<String>, why: &str) -> Self {
        Self(Inexpressible { param: param.into(), why: why.to_owned() })
    }

    /// Nothing may be left of an object.
    pub(super) fn unless_all_is_said(object: Object<'_>) -> Result<(), Self> {
        match object.left_over() {
            None => Ok(()),
            Some(param) => Err(Self::new(param, "is not known to the provider of this model")),
        }
    }
}

impl From<Odd> for Unsaid {
    fn from(Odd { path, what }: Odd) -> Self {
        match what {
            What::Missing => Self::new(path, "is missing"),
            What::Twice => Self::new(path, "is given more than once"),
            What::Expected(expected) => Self::new(path, &format!("should be {expected}")),
        }
    }
}

/// What a model is able to, as far as the catalog says.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::provider) struct Able<'a>(pub(in crate::provider) Option<&'a BTreeSet<Capability>>);

impl Able<'_> {
    pub(super) fn is(self, what: Capability) -> bool {
        self.0.is_some_and(|caps| caps.contains(&what))
    }

    /// Whether it can think; where nothing is known of it, it is taken to.
    pub(super) fn thinks(self) -> bool {
        self.0.is_none_or(|caps| caps.contains(&Capability::Reasoning))
    }
}

/// Says it. `output_max` is what the answer may come to: Anthropic wants to be told.
///
/// # Errors
/// [`Inexpressible`], if it asks for something that has no word there.
pub(in crate::provider) fn request(
    form: &Form,
    upstream_model: &str,
    stream: bool,
    output_max: Tokens,
    able: Able<'_>,
) -> Result<Written, Inexpressible> {
    said(form, upstream_model, stream, output_max, able).map_err(|Unsaid(what)| what)
}

fn said(
    form: &Form,
    upstream_model: &str,
    stream: bool,
    output_max: Tokens,
    able: Able<'_>,
) -> Result<Written, Unsaid> {
    let members = json::members(&form.body).map_err(|_| Unsaid::new("messages", "cannot be read"))?;
    let mut call = Object::body(members);
    call.pass_over(&["model", "models", "stream", "max_tokens", "max_completion_tokens"]);
    call.pass_over(&HINTS);
    refuse(&mut call)?;
    let conversation = Conversation::read(call.need("messages")?)?;
    let mut adjusted = Vec::new();
    for dial in DIALS {
        if call.take(dial)?.is_some() {
            adjusted.push(dial);
        }
    }
    let mut system = conversation.system.clone();
    let format = format(&mut call, &mut system, &mut adjusted)?;
    let tooling = Tooling::read(&mut call, able, &mut adjusted)?;
    // Anthropic wants the thoughts back that led to a tool, which a chat cannot carry, and none where a tool is forced.
    let may_think = !conversation.is_among_tools() && !tooling.forces();
    let thinking = Thinking::read(&mut call, may_think, output_max, able)?;
    if thinking.is_less {
        adjusted.push("reasoning_effort");
    }

    let mut out = ObjectWriter::new(form.body.len() + 256);
    out.text("model", upstream_model).count("max_tokens", output_max.0);
    if !system.is_empty() {
        out.raw("system", &list(&system));
    }
    out.raw("messages", &conversation.said());
    tooling.say(&mut out);
    if let Some(stops) = stops(&mut call)? {
        out.raw("stop_sequences", &stops);
    }
    let frozen = thinking.is_on() || able.is(Capability::NoSamplingParams);
    sampling(&mut call, frozen, &mut adjusted, &mut out)?;
    let user = call.text("user")?;
    if let Some(user) = call.text("safety_identifier")?.or(user) {
        let mut metadata = ObjectWriter::new(user.get().len() + 16);
        metadata.raw("user_id", user.get().as_bytes());
        out.raw("metadata", &metadata.finish());
    }
    service_tier(&mut call, &mut out)?;
    thinking.say(format.as_deref(), &mut out);
    if stream {
        out.raw("stream", b"true");
    }
    Unsaid::unless_all_is_said(call)?;
    Ok(Written { body: out.finish().into(), adjusted })
}

fn list(blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut out = json::ListWriter::new(256);
    for block in blocks {
        out.raw(block);
    }
    out.finish()
}

/// What would be another answer than the one that was asked for.
fn refuse(call: &mut Object<'_>) -> Result<(), Unsaid> {
    let asks = |call: &mut Object<'_>, name: &str, nothing: &[&str]| -> Result<bool, Unsaid> {
        Ok(call.take(name)?.is_some_and(|value| !nothing.contains(&value.get())))
    };
    let never = "is not possible with the provider of this model";
    for (name, nothing) in [
        ("n", ["1"].as_slice()),
        ("logprobs", &["false"]),
        ("top_logprobs", &["0"]),
        ("logit_bias", &["{}"]),
        ("audio", &[]),
        ("modalities", &[r#"["text"]"#, "[]"]),
        ("web_search_options", &[]),
        ("functions", &["[]"]),
        ("function_call", &["\"auto\"", "\"none\""]),
    ] {
        if asks(call, name, nothing)? {
            return Err(Unsaid::new(name, never));
        }
    }
    Ok(())
}

/// The schema that the answer has to follow.
fn format(
    call: &mut Object<'_>,
    system: &mut Vec<Vec<u8>>,
    adjusted: &mut Vec<&'static str>,
) -> Result<Option<Vec<u8>>, Unsaid> {
    let Some(mut format) = call.object("response_format")? else { return Ok(None) };
    let kind_at = format.at("type");
    let said = match format.word("type")?.as_deref() {
        Some("text") => None,
        Some("json_object") => {
            let mut text = ObjectWriter::new(96);
            text.raw("type", b"\"text\"").text("text", JSON_ONLY);
            system.push(text.finish());
            adjusted.push("response_format");
            None
        }
        Some("json_schema") => {
            let missing = format.at("json_schema");
            let mut inner = format.object("json_schema")?.ok_or(Odd::missing(missing))?;
            let schema = inner.need("schema")?;
            inner.pass_over(&["name", "description", "strict"]);
            Unsaid::unless_all_is_said(inner)?;
            let mut out = ObjectWriter::new(schema.get().len() + 48);
            out.raw("type", b"\"json_schema\"").raw("schema", schema.get().as_bytes());
            Some(out.finish())
        }
        _ => return Err(Unsaid::new(kind_at, "is a format that is not known here")),
    };
    Unsaid::unless_all_is_said(format)?;
    Ok(said)
}

/// What is said about tools.
struct Tooling {
    tools: Option<Vec<u8>>,
    choice: Option<Choice>,
    one_at_a_time: bool,
}

impl Tooling {
    fn read(call: &mut Object<'_>, able: Able<'_>, adjusted: &mut Vec<&'static str>) -> Result<Self, Unsaid> {
        let list = call.list("tools")?.filter(|list| !list.is_empty());
        let tools = list.map(tools).transpose()?;
        let choice = call.take("tool_choice")?.map(Choice::read).transpose()?;
        // Models that refuse to be forced are asked.
        let choice = choice.map(|choice| {
            if choice.forces() && able.is(Capability::NoForcedToolChoice) {
                adjusted.push("tool_choice");
                Choice::Auto
            } else {
                choice
            }
        });
        Ok(Self { tools, choice, one_at_a_time: call.flag("parallel_tool_calls")? == Some(false) })
    }

    fn forces(&self) -> bool {
        self.tools.is_some() && self.choice.as_ref().is_some_and(Choice::forces)
    }

    /// A choice without tools is none.
    fn say(&self, out: &mut ObjectWriter) {
        let Some(tools) = &self.tools else { return };
        out.raw("tools", tools);
        match &self.choice {
            Some(choice) => out.raw("tool_choice", &choice.said(self.one_at_a_time)),
            None if self.one_at_a_time => out.raw("tool_choice", &Choice::Auto.said(true)),
            None => out,
        };
    }
}

fn stops(call: &mut Object<'_>) -> Result<Option<Vec<u8>>, Unsaid> {
    let Some(raw) = call.take("stop")? else { return Ok(None) };
    let stops = if is_text(raw) { vec![("stop".to_owned(), raw)] } else { items(raw, "stop")? };
    for (path, stop) in &stops {
        match word(stop) {
            Some(stop) if stop.trim().is_empty() => {
                return Err(Unsaid::new(path.clone(), "may not be nothing but white space here"));
            }
            Some(_) => {}
            None => return Err(Odd::expected(path.clone(), "a string").into()),
        }
    }
    let stops: Vec<Vec<u8>> = stops.iter().map(|(_, stop)| stop.get().as_bytes().to_vec()).collect();
    Ok((!stops.is_empty()).then(|| list(&stops)))
}

/// `temperature` up to 1, or else `top_p`; neither where the model's are `frozen`, as newer ones' are, and those of all that
/// think.
fn sampling(
    call: &mut Object<'_>,
    frozen: bool,
    adjusted: &mut Vec<&'static str>,
    out: &mut ObjectWriter,
) -> Result<(), Unsaid> {
    let number = |raw: Option<&RawValue>, name: &str| -> Result<Option<(f64, String)>, Unsaid> {
        let Some(raw) = raw else { return Ok(None) };
        let value = raw.get().parse::<f64>();
        let value = value.map_err(|_| Unsaid::from(Odd::expected(name.to_owned(), "a number")))?;
        Ok(Some((value, raw.get().to_owned())))
    };
    let temperature = number(call.take("temperature")?, "temperature")?;
    let top_p = number(call.take("top_p")?, "top_p")?;
    let top_k = number(call.take("top_k")?, "top_k")?;
    if frozen {
        let asked = [("temperature", &temperature), ("top_p", &top_p), ("top_k", &top_k)];
        adjusted.extend(asked.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| *name));
        return Ok(());
    }
    if temperature.is_some() && top_p.is_some() {
        adjusted.push("top_p");
    }
    match (temperature, top_p) {
        (Some((hot, _)), _) if hot > 1.0 => {
            adjusted.push("temperature");
            out.raw("temperature", b"1")
        }
        (Some((_, raw)), _) => out.raw("temperature", raw.as_bytes()),
        (None, Some((_, raw))) => out.raw("top_p", raw.as_bytes()),
        (None, None) => out,
    };
    if let Some((_, raw)) = top_k {
        out.raw("top_k", raw.as_bytes());
    }
    Ok(())
}

fn service_tier(call: &mut Object<'_>, out: &mut ObjectWriter) -> Result<(), Unsaid> {
    let path = call.at("service_tier");
    match call.word("service_tier")?.as_deref() {
        None | Some("auto") => {}
        Some("default" | "standard" | "standard_only") => {
            out.raw("service_tier", &quoted("standard_only"));
        }
        Some(_) => return Err(Unsaid::new(path, "can be `auto` or `default` here")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dialect::chat::read;

    fn sent_by(rest: &str, caps: &[Capability]) -> Result<String, Inexpressible> {
        let body = Bytes::from(format!(r#"{{"model":"m",{rest}}}"#));
        let caps = caps.iter().copied().collect();
        let sent = request(&read(&body).unwrap().native, "up", false, Tokens(5_000), Able(Some(&caps)))?;
        Ok(String::from_utf8(sent.body.to_vec()).unwrap())
    }

    fn sent(rest: &str) -> String {
        sent_by(rest, &[Capability::Reasoning]).unwrap_or_else(|what| panic!("{rest}: {what}"))
    }

    fn conversation(messages: &str) -> String {
        let sent = sent(&format!(r#""messages":[{messages}]"#));
        let inner = sent.strip_prefix(r#"{"model":"up","max_tokens":5000,"#).unwrap();
        inner.strip_suffix('}').unwrap().to_owned()
    }

    const HI: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

    fn rest_of(rest: &str, caps: &[Capability]) -> String {
        let sent = sent_by(&format!("{HI},{rest}"), caps).unwrap_or_else(|what| panic!("{rest}: {what}"));
        let before = r#"{"model":"up","max_tokens":5000,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]"#;
        sent.strip_prefix(before)
            .unwrap_or_else(|| panic!("{sent}"))
            .trim_start_matches(',')
            .strip_suffix('}')
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_conversation_is_a_system_prompt_and_turns() {
        assert_eq!(
            conversation(
                r#"{"role":"system","content":"a"},{"role":"developer","content":[{"type":"text","text":"b"}]},
                {"role":"user","content":"\u4f60","name":"x"},{"role":"user","content":[{"type":"text","text":""},{"type":"text","text":"c","cache_control":{"type":"ephemeral"}}]},
                {"role":"assistant","content":"d","reasoning_content":"hm"},{"role":"system","content":"e"},{"role":"user","content":"f"}"#
            ),
            r#""system":[{"type":"text","text":"a"},{"type":"text","text":"b"},{"type":"text","text":"e"}],"messages":[{"role":"user","content":[{"type":"text","text":"\u4f60"},{"type":"text","text":"c","cache_control":{"type":"ephemeral"}}]},{"role":"assistant","content":[{"type":"text","text":"d"}]},{"role":"user","content":[{"type":"text","text":"f"}]}]"#
        );
        assert_eq!(
            conversation(r#"{"role":"system","content":"only"}"#),
            r#""messages":[{"role":"user","content":[{"type":"text","text":"only"}]}]"#
        );
    }

    #[test]
    fn results_of_tools_are_one_turn_and_come_first() {
        assert_eq!(
            conversation(
                r#"{"role":"user","content":"go"},{"role":"assistant","content":null,"tool_calls":[
                {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\": 1.0}"}},
                {"id":"functions.g:1","type":"function","function":{"name":"g","arguments":""}}]},
                {"role":"tool","tool_call_id":"call_1","content":"1"},
                {"role":"tool","tool_call_id":"functions.g:1","content":[{"type":"text","text":"2"}]},
                {"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD","detail":"low"}},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}"#
            ),
            [
                r#""messages":[{"role":"user","content":[{"type":"text","text":"go"}]},"#,
                r#"{"role":"assistant","content":[{"type":"tool_use","id":"call_1","name":"f","input":{"a": 1.0}},{"type":"tool_use","id":"functions_g_1","name":"g","input":{}}]},"#,
                r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":[{"type":"text","text":"1"}]},"#,
                r#"{"type":"tool_result","tool_use_id":"functions_g_1","content":[{"type":"text","text":"2"}]},"#,
                r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},{"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}]"#,
            ]
            .concat()
        );
    }

    #[test]
    fn what_is_asked_for_is_asked_in_anthropics_words() {
        use Capability::{NoForcedToolChoice, NoSamplingParams, Prefill, Reasoning, ThinkingAlwaysOn};
        let tools = r#""tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","minimum":1e400},"strict":true}}]"#;
        let told = r#""tools":[{"name":"f","description":"d","input_schema":{"type":"object","minimum":1e400},"strict":true}]"#;
        let cases: [(&str, &[Capability], &str); 24] = [
            (r#""temperature":0.5,"top_p":0.9"#, &[], r#""temperature":0.5"#),
            (r#""temperature":1.5,"top_k":3"#, &[], r#""temperature":1,"top_k":3"#),
            (r#""top_p":0.90"#, &[], r#""top_p":0.90"#),
            (r#""temperature":0.5,"top_p":0.9"#, &[NoSamplingParams], ""),
            (
                r#""seed":1,"presence_penalty":1,"store":true,"n":1,"logprobs":false,"modalities":["text"]"#,
                &[],
                "",
            ),
            (r#""stop":"x""#, &[], r#""stop_sequences":["x"]"#),
            (r#""stop":["x","\n\nHuman:"]"#, &[], r#""stop_sequences":["x","\n\nHuman:"]"#),
            (r#""user":"u""#, &[], r#""metadata":{"user_id":"u"}"#),
            (r#""service_tier":"default""#, &[], r#""service_tier":"standard_only""#),
            (r#""response_format":{"type":"text"}"#, &[], ""),
            (
                r#""response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"b":1.0,"a":2}}}"#,
                &[],
                r#""output_config":{"format":{"type":"json_schema","schema":{"b":1.0,"a":2}}}"#,
            ),
            (
                r#""reasoning_effort":"high""#,
                &[Reasoning],
                r#""thinking":{"type":"adaptive"},"output_config":{"effort":"high"}"#,
            ),
            (
                r#""reasoning_effort":"minimal","temperature":0"#,
                &[Reasoning],
                r#""thinking":{"type":"adaptive"},"output_config":{"effort":"low"}"#,
            ),
            (
                r#""reasoning_effort":"high""#,
                &[Reasoning, Prefill],
                r#""thinking":{"type":"enabled","budget_tokens":4999}"#,
            ),
            (r#""reasoning_effort":"none""#, &[Reasoning], r#""thinking":{"type":"disabled"}"#),
            (r#""reasoning_effort":"none""#, &[Reasoning, ThinkingAlwaysOn], ""),
            (r#""reasoning_effort":"high""#, &[], ""),
            (
                r#""thinking":{"type":"enabled","budget_tokens":2000}"#,
                &[],
                r#""thinking":{"type":"enabled","budget_tokens":2000}"#,
            ),
            (r#""tools":[],"tool_choice":"auto""#, &[], ""),
            ("TOOLS", &[], "TOLD"),
            (
                r#"TOOLS,"tool_choice":"required","parallel_tool_calls":false"#,
                &[],
                r#"TOLD,"tool_choice":{"type":"any","disable_parallel_tool_use":true}"#,
            ),
            (
                r#"TOOLS,"parallel_tool_calls":false"#,
                &[],
                r#"TOLD,"tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#,
            ),
            (
                r#"TOOLS,"tool_choice":{"type":"function","function":{"name":"f"}},"reasoning_effort":"low""#,
                &[Reasoning],
                r#"TOLD,"tool_choice":{"type":"tool","name":"f"},"output_config":{"effort":"low"}"#,
            ),
            (
                r#"TOOLS,"tool_choice":"required""#,
                &[NoForcedToolChoice],
                r#"TOLD,"tool_choice":{"type":"auto"}"#,
            ),
        ];
        for (rest, caps, said) in cases {
            let (rest, said) = (rest.replace("TOOLS", tools), said.replace("TOLD", told));
            assert_eq!(rest_of(&rest, caps), said, "{rest}");
        }
    }

    #[test]
    fn what_is_asked_otherwise_is_told() {
        use Capability::{NoForcedToolChoice, NoSamplingParams, Reasoning, ThinkingAlwaysOn};
        let told = |rest: &str, caps: &[Capability]| {
            let body = Bytes::from(format!(r#"{{"model":"m",{HI},{rest}}}"#));
            let caps = caps.iter().copied().collect();
            request(&read(&body).unwrap().native, "up", false, Tokens(9), Able(Some(&caps))).unwrap().adjusted
        };
        let cases: [(&str, &[Capability], &[&str]); 9] = [
            (r#""temperature":1,"store":true,"metadata":{}"#, &[], &[]),
            (r#""temperature":1.2,"top_p":0.5,"seed":7"#, &[], &["seed", "top_p", "temperature"]),
            (r#""temperature":1,"top_k":5"#, &[NoSamplingParams], &["temperature", "top_k"]),
            (
                r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required""#,
                &[NoForcedToolChoice],
                &["tool_choice"],
            ),
            (r#""response_format":{"type":"json_object"}"#, &[], &["response_format"]),
            (r#""reasoning_effort":"low""#, &[Reasoning], &[]),
            (r#""reasoning_effort":"low""#, &[], &["reasoning_effort"]),
            (r#""reasoning_effort":"none""#, &[], &[]),
            (r#""reasoning_effort":"none""#, &[Reasoning, ThinkingAlwaysOn], &["reasoning_effort"]),
        ];
        for (rest, caps, expected) in cases {
            assert_eq!(told(rest, caps), expected, "{rest}");
        }
    }

    #[test]
    fn an_answer_in_json_is_asked_for_in_words() {
        let sent = sent(&format!(r#"{HI},"response_format":{{"type":"json_object"}}"#));
        assert!(sent.contains(
            r#""system":[{"type":"text","text":"Answer with one JSON object and nothing else."}]"#
        ));
    }

    #[test]
    fn nobody_is_asked_to_think_among_tools_whose_thoughts_are_lost() {
        let sent = sent(
            r#""messages":[{"role":"user","content":"go"},{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},
            {"role":"tool","tool_call_id":"a","content":""}],"reasoning_effort":"high""#,
        );
        assert!(
            !sent.contains("thinking") && sent.contains(r#"{"type":"tool_result","tool_use_id":"a"}"#),
            "{sent}"
        );
    }

    #[test]
    fn what_anthropic_cannot_say_is_named() {
        for (rest, param) in [
            (r#""n":2"#, "n"),
            (r#""logprobs":true"#, "logprobs"),
            (r#""top_logprobs":3"#, "top_logprobs"),
            (r#""logit_bias":{"1":-100}"#, "logit_bias"),
            (r#""web_search_options":{}"#, "web_search_options"),
            (r#""functions":[{"name":"f"}]"#, "functions"),
            (r#""stop":["\n"]"#, "stop[0]"),
            (r#""stop":7"#, "stop"),
            (r#""temperature":"hot""#, "temperature"),
            (r#""reasoning_effort":"heroic""#, "reasoning_effort"),
            (r#""response_format":{"type":"grammar"}"#, "response_format.type"),
            (r#""response_format":{"type":"json_schema"}"#, "response_format.json_schema"),
            (r#""tools":[{"type":"custom","custom":{"name":"x"}}]"#, "tools[0].type"),
            (r#""tools":[{"type":"function","function":{}}]"#, "tools[0].function.name"),
            (r#""tool_choice":{"type":"allowed_tools"}"#, "tool_choice.type"),
            (r#""chat_template_kwargs":{}"#, "chat_template_kwargs"),
        ] {
            let unsaid = sent_by(&format!("{HI},{rest}"), &[Capability::Reasoning]).expect_err(rest);
            assert_eq!(unsaid.param, param, "{rest}");
        }
        for (message, param) in [
            ("7", ""),
            (r#"{"content":"x"}"#, ".role"),
            (r#"{"role":"function","name":"f","content":"x"}"#, ".role"),
            (r#"{"role":"user","content":7}"#, ".content"),
            (r#"{"role":"user","content":[{"type":"video","video":{}}]}"#, ".content[0].type"),
            (
                r#"{"role":"user","content":[{"type":"file","file":{"file_id":"f"}}]}"#,
                ".content[0].file.file_id",
            ),
            (
                r#"{"role":"user","content":[{"type":"file","file":{"file_data":"data:text/plain;base64,QQ=="}}]}"#,
                ".content[0].file.file_data",
            ),
            (r#"{"role":"user","content":"x","tone":"kind"}"#, ".tone"),
            (r#"{"role":"assistant","audio":{"id":"a"}}"#, ".audio"),
            (r#"{"role":"assistant","function_call":{"name":"f","arguments":"{}"}}"#, ".function_call"),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"[1]"}}]}"#,
                ".tool_calls[0].function.arguments",
            ),
            (
                r#"{"role":"assistant","tool_calls":[{"id":"a","type":"custom","custom":{}}]}"#,
                ".tool_calls[0].type",
            ),
            (r#"{"role":"tool","content":"x"}"#, ".tool_call_id"),
        ] {
            let unsaid = sent_by(&format!(r#""messages":[{message}]"#), &[]).expect_err(message);
            assert_eq!(unsaid.param, format!("messages[0]{param}"), "{message}");
        }
    }
}
