//! Requests.

use units::Tokens;

use super::{made, read, wanted};
use crate::dialect::DecodeError;

/// The chat form of a call to `m` with these members, without its model.
fn chat(rest: &str) -> Result<String, String> {
    let form = made(wanted(&format!(r#"{{"model":"m",{rest}}}"#)).chat)?;
    let text = String::from_utf8(form.body.to_vec()).unwrap();
    Ok(text.strip_prefix(r#"{"model":"m","#).expect("the model first").strip_suffix('}').unwrap().to_owned())
}

fn messages(items: &str) -> Result<String, String> {
    let said = chat(&format!(r#""input":[{items}]"#))?;
    Ok(said.strip_prefix(r#""messages":["#).unwrap().strip_suffix(']').unwrap().to_owned())
}

#[test]
fn what_prices_a_call_is_read_and_the_rest_is_left_in_place() {
    let body = r#"{"model":"m","input":"hi","stream":true,"max_output_tokens":7,"x":9007199254740993}"#;
    let wanted = wanted(body);
    assert_eq!((wanted.model.as_str(), wanted.stream, wanted.n), ("m", true, 1));
    assert_eq!(wanted.output_max, Some(Tokens(7)));
    assert_eq!(wanted.native.body, body);
    assert_eq!(
        made(wanted.chat).unwrap().body,
        r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"max_completion_tokens":7,"x":9007199254740993}"#
    );
}

#[test]
fn members_are_said_in_chats_words_and_values_keep_their_spelling() {
    for (rest, said) in [
        (
            r#""instructions":"be \u4f60","input":"hi","temperature":1e-1,"user":null"#,
            r#""messages":[{"role":"system","content":"be \u4f60"},{"role":"user","content":"hi"}],"temperature":1e-1"#,
        ),
        (
            r#""input":"hi","text":{"format":{"type":"json_schema","name":"n","strict":true,"schema":{"b":1.0,"a":1e-7}},"verbosity":"low"}"#,
            r#""messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"b":1.0,"a":1e-7}}},"verbosity":"low""#,
        ),
        (
            r#""input":"hi","text":{"format":{"type":"json_object"}}"#,
            r#""messages":[{"role":"user","content":"hi"}],"response_format":{"type":"json_object"}"#,
        ),
        (
            r#""input":"hi","text":{"format":{"type":"text"}},"reasoning":{"effort":"low","summary":"auto"}"#,
            r#""messages":[{"role":"user","content":"hi"}],"reasoning_effort":"low""#,
        ),
        (
            r#""input":"hi","tools":[{"type":"function","name":"f","description":"d","parameters":{"z":1.0,"a":2},"strict":false,"x":1}],"tool_choice":{"type":"function","name":"f"},"parallel_tool_calls":false"#,
            r#""messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"z":1.0,"a":2},"strict":false,"x":1}}],"tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false"#,
        ),
        (
            r#""input":"hi","tools":[{"type":"function","name":"f","parameters":null},{"type":"function","name":"g"}],"tool_choice":{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"g"}]}"#,
            r#""messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"g"}}],"tool_choice":"required""#,
        ),
        (
            r#""input":"hi","tools":[],"tool_choice":"auto","parallel_tool_calls":true"#,
            r#""messages":[{"role":"user","content":"hi"}]"#,
        ),
        (
            r#""input":"hi","include":["message.output_text.logprobs","reasoning.encrypted_content"],"top_logprobs":3"#,
            r#""messages":[{"role":"user","content":"hi"}],"top_logprobs":3,"logprobs":true"#,
        ),
        (
            r#""input":"hi","store":true,"metadata":{"a":"b"},"truncation":"disabled","max_tool_calls":3,"background":false,"context_management":[],"top_logprobs":0"#,
            r#""messages":[{"role":"user","content":"hi"}]"#,
        ),
        (
            r#""input":"hi","stream":true,"stream_options":{"include_obfuscation":false},"top_k":5,"service_tier":"auto","safety_identifier":"s","prompt_cache_key":"k","enable_thinking":true"#,
            r#""messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_obfuscation":false},"top_k":5,"service_tier":"auto","safety_identifier":"s","prompt_cache_key":"k","enable_thinking":true"#,
        ),
    ] {
        assert_eq!(chat(rest).unwrap(), said, "{rest}");
    }
}

#[test]
fn items_are_messages_and_what_an_assistant_said_in_a_row_is_one() {
    for (items, said) in [
        (r#"{"role":"developer","content":"a"}"#, r#"{"role":"developer","content":"a"}"#),
        (
            r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"a\n"}],"name":"n"}"#,
            r#"{"role":"user","content":"a\n","name":"n"}"#,
        ),
        (
            r#"{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"https://x/y.png","detail":"auto"},{"type":"input_file","file_data":"data:,x","filename":"f.pdf"}]}"#,
            r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x/y.png","detail":"auto"}},{"type":"file","file":{"file_data":"data:,x","filename":"f.pdf"}}]}"#,
        ),
        (
            r#"{"type":"message","id":"msg_1","status":"completed","phase":"final_answer","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[],"logprobs":[]}]},{"role":"user","content":"b"}"#,
            r#"{"role":"assistant","content":"a"},{"role":"user","content":"b"}"#,
        ),
        (
            r#"{"role":"assistant","content":[{"type":"output_text","text":"a"},{"type":"refusal","refusal":"no"}]}"#,
            r#"{"role":"assistant","content":[{"type":"text","text":"a"},{"type":"refusal","refusal":"no"}]}"#,
        ),
        // Reasoning, a message and two calls are one turn; what the tools gave back are two messages.
        (
            r#"{"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"hm\t"}]},{"role":"assistant","content":"a"},{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"x\": 1.0}","status":"completed"},{"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},{"type":"function_call_output","call_id":"c2","output":"2"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"1"}]}"#,
            r#"{"role":"assistant","content":"a","reasoning_content":"hm\t","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\": 1.0}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c2","content":"2"},{"role":"tool","tool_call_id":"c1","content":"1"}"#,
        ),
        (
            r#"{"role":"assistant","content":"a"},{"role":"assistant","content":"b"},{"type":"reasoning","summary":[{"type":"summary_text","text":"x"},{"type":"summary_text","text":"y"}]},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":""}"#,
            r#"{"role":"assistant","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":null,"reasoning_content":"x\n\ny","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":""}"#,
        ),
        // What only its maker can read says nothing to anybody else.
        (
            r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"x"},{"role":"user","content":"b"}"#,
            r#"{"role":"user","content":"b"}"#,
        ),
    ] {
        assert_eq!(messages(items).unwrap(), said, "{items}");
    }
}

#[test]
fn what_a_chat_cannot_say_is_named_by_its_place() {
    let call = r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}""#;
    for (rest, param) in [
        (r#""input":"a","truncation":"auto""#, "truncation"),
        (r#""input":"a","tools":[{"type":"custom","name":"c"}]"#, "tools[0].type"),
        (r#""input":"a","tools":[{"type":"function","name":"f"},{"type":"local_shell"}]"#, "tools[1].type"),
        (
            r#""input":"a","tools":[{"type":"function","name":"f","defer_loading":true}]"#,
            "tools[0].defer_loading",
        ),
        (r#""input":"a","tool_choice":{"type":"mcp"}"#, "tool_choice.type"),
        (r#""input":"a","include":["web_search_call.action.sources"]"#, "include[0]"),
        (r#""input":"a","text":{"format":{"type":"grammar"}}"#, "text.format.type"),
        (r#""input":"a","text":{"tone":"dry"}"#, "text.tone"),
        (r#""input":"a","reasoning":{"mode":"pro"}"#, "reasoning.mode"),
        (r#""input":"a","context_management":[{"type":"compaction"}]"#, "context_management"),
        (r#""input":[{"type":"web_search_call","id":"ws_1"}]"#, "input[0].type"),
        (
            r#""input":[{"role":"user","content":"a"},{"type":"custom_tool_call","call_id":"c"}]"#,
            "input[1].type",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_file","file_url":"https://x/y.pdf"}]}]"#,
            "input[0].content[0].file_url",
        ),
        (
            r#""input":[{"type":"function_call_output","call_id":"c","output":[{"type":"input_image","image_url":"x"}]}]"#,
            "input[0].output",
        ),
        (&format!(r#""input":[{call},"namespace":"n"}}]"#), "input[0].namespace"),
        (
            r#""input":[{"type":"reasoning","summary":[{"text":"x"}]},{"role":"user","content":"a"}]"#,
            "input[0]",
        ),
    ] {
        assert_eq!(chat(rest).unwrap_err(), param, "{rest}");
    }
}

#[test]
fn what_would_have_to_be_kept_or_has_no_price_is_refused_whoever_serves_it() {
    for (rest, at) in [
        (r#""input":"a","previous_response_id":"resp_1""#, "previous_response_id"),
        (r#""input":"a","conversation":"conv_1""#, "conversation"),
        (r#""prompt":{"id":"pmpt_1"}"#, "prompt"),
        (r#""input":"a","background":true"#, "background"),
        (r#""input":"a","messages":[]"#, "messages"),
        (r#""input":"a","max_tokens":5"#, "max_tokens"),
        (r#""input":"a","n":2"#, "n"),
        (r#""input":"a","response_format":{"type":"text"}"#, "response_format"),
        (r#""input":[{"type":"item_reference","id":"msg_1"}]"#, "input[0]"),
        (r#""input":[{"role":"user","content":"a"},{"id":"msg_1"}]"#, "input[1]"),
        (
            r#""input":[{"role":"user","content":[{"type":"input_image","file_id":"f"}]}]"#,
            "input[0].content[0].file_id",
        ),
        (
            r#""input":[{"type":"computer_call_output","call_id":"c","output":{"type":"computer_screenshot","file_id":"f"}}]"#,
            "input[0].output.file_id",
        ),
        (
            r#""input":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"x"}}]}]"#,
            "input[0].content[0]",
        ),
        (
            r#""input":[{"type":"custom_tool_call_output","output":["a",{"type":"input_audio"}]}]"#,
            "input[0].output[1]",
        ),
        (r#""input":"a","modalities":["audio"]"#, "modalities"),
        (r#""input":"a","tools":[{"type":"web_search"}]"#, "tools[0].type"),
        (r#""input":"a","tools":[{"type":"mcp","server_label":"x"}]"#, "tools[0].type"),
        (r#""input":"a","tools":[{"type":"shell"}]"#, "tools[0].type"),
        (
            r#""input":"a","tools":[{"type":"namespace","name":"n","tools":[{"type":"file_search"}]}]"#,
            "tools[0].tools[0].type",
        ),
        (
            r#""input":[{"type":"additional_tools","tools":[{"type":"code_interpreter"}]}]"#,
            "input[0].tools[0].type",
        ),
    ] {
        match read(&format!(r#"{{"model":"m",{rest}}}"#).into()) {
            Err(DecodeError::Unsupported { param, .. }) => assert_eq!(param, at, "{rest}"),
            other => panic!("{rest}: {other:?}"),
        }
    }
    let local = r#"{"model":"m","input":"a","tools":[{"type":"shell","environment":{"type":"local"}}]}"#;
    assert_eq!(made(wanted(local).chat).unwrap_err(), "tools[0].type", "run by the client: welcome natively");
}

#[test]
fn what_is_malformed_or_contradictory_is_named_by_its_place() {
    enum Is {
        Missing,
        Type,
        Value,
        Twice,
    }
    use Is::{Missing, Twice, Type, Value};
    let schema =
        |format: &str| format!(r#""input":"a","text":{{"format":{{"type":"json_schema",{format}}}}}"#);
    let item = |item: &str| format!(r#""input":[{item}]"#);
    let tool = |tool: &str| format!(r#""input":"a","tools":[{tool}]"#);
    let cases = [
        (r#""x":1"#.to_owned(), Missing, "input"),
        (r#""input":null"#.to_owned(), Missing, "input"),
        (r#""input":7"#.to_owned(), Type, "input"),
        (r#""input":[]"#.to_owned(), Value, "input"),
        (r#""input":["a"]"#.to_owned(), Type, "input[0]"),
        (r#""input":"a","input":"b""#.to_owned(), Twice, "input"),
        (r#""input":"a","tools":[],"tools":[]"#.to_owned(), Twice, "tools"),
        (r#""input":"a","instructions":["x"]"#.to_owned(), Type, "instructions"),
        (r#""input":"a","max_output_tokens":0"#.to_owned(), Value, "max_output_tokens"),
        (r#""input":"a","max_output_tokens":"5""#.to_owned(), Type, "max_output_tokens"),
        (r#""input":"a","stream":"yes""#.to_owned(), Type, "stream"),
        (r#""input":"a","stream_options":{}"#.to_owned(), Value, "stream_options"),
        (r#""input":"a","temperature":3"#.to_owned(), Value, "temperature"),
        (r#""input":"a","top_p":"1""#.to_owned(), Type, "top_p"),
        (r#""input":"a","top_logprobs":21"#.to_owned(), Value, "top_logprobs"),
        (r#""input":"a","truncation":"maybe""#.to_owned(), Value, "truncation"),
        (r#""input":"a","store":1"#.to_owned(), Type, "store"),
        (r#""input":"a","background":"x""#.to_owned(), Type, "background"),
        (r#""input":"a","include":"x""#.to_owned(), Type, "include"),
        (r#""input":"a","include":[1]"#.to_owned(), Type, "include[0]"),
        (r#""input":"a","metadata":[]"#.to_owned(), Type, "metadata"),
        (r#""input":"a","metadata":{"k":1}"#.to_owned(), Type, "metadata.k"),
        (format!(r#""input":"a","metadata":{{"k":"{}"}}"#, "x".repeat(513)), Value, "metadata.k"),
        (r#""input":"a","reasoning":"high""#.to_owned(), Type, "reasoning"),
        (r#""input":"a","reasoning":{"summary":"long"}"#.to_owned(), Value, "reasoning.summary"),
        (r#""input":"a","text":{"format":{}}"#.to_owned(), Missing, "text.format.type"),
        (schema(r#""schema":{}"#), Missing, "text.format.name"),
        (schema(r#""name":"n""#), Missing, "text.format.schema"),
        (schema(r#""name":"n","schema":[]"#), Type, "text.format.schema"),
        (tool("5"), Type, "tools[0]"),
        (tool(r#"{"name":"f"}"#), Missing, "tools[0].type"),
        (tool(r#"{"type":"function","function":{"name":"f"}}"#), Missing, "tools[0].name"),
        (tool(r#"{"type":"function","name":"f","parameters":[]}"#), Type, "tools[0].parameters"),
        (tool(r#"{"type":"function","name":"f","strict":"x"}"#), Type, "tools[0].strict"),
        (tool(r#"{"type":"function","type":"web_search","name":"f"}"#), Twice, "tools[0].type"),
        (r#""input":"a","tool_choice":"any""#.to_owned(), Value, "tool_choice"),
        (r#""input":"a","tool_choice":7"#.to_owned(), Type, "tool_choice"),
        (r#""input":"a","tool_choice":"required""#.to_owned(), Value, "tool_choice"),
        (r#""input":"a","tool_choice":{"type":"function","name":"f"}"#.to_owned(), Value, "tool_choice"),
        (item("{}"), Missing, "input[0].type"),
        (item(r#"{"role":"user"}"#), Missing, "input[0].content"),
        (item(r#"{"role":"tool","content":"a"}"#), Value, "input[0].role"),
        (item(r#"{"role":5,"content":"a"}"#), Type, "input[0].role"),
        (item(r#"{"role":"user","content":5}"#), Type, "input[0].content"),
        (item(r#"{"role":"user","content":["a"]}"#), Type, "input[0].content[0]"),
        (item(r#"{"role":"user","content":[{"text":"a"}]}"#), Missing, "input[0].content[0].type"),
        (
            item(r#"{"role":"user","content":[{"type":"text","text":"a"}]}"#),
            Value,
            "input[0].content[0].type",
        ),
        (item(r#"{"role":"user","content":[{"type":"input_text"}]}"#), Missing, "input[0].content[0].text"),
        (
            item(
                r#"{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":{"url":"x"}}]}"#,
            ),
            Type,
            "input[0].content[1].image_url",
        ),
        (
            item(r#"{"role":"user","content":[{"type":"input_image"}]}"#),
            Missing,
            "input[0].content[0].image_url",
        ),
        (
            item(r#"{"role":"user","content":[{"type":"input_file"}]}"#),
            Missing,
            "input[0].content[0].file_data",
        ),
        (item(r#"{"type":"function_call","name":"f","arguments":"{}"}"#), Missing, "input[0].call_id"),
        (
            item(r#"{"type":"function_call","call_id":"c","name":"f","arguments":{}}"#),
            Type,
            "input[0].arguments",
        ),
        (item(r#"{"type":"function_call_output","call_id":"c"}"#), Missing, "input[0].output"),
        (item(r#"{"type":"function_call_output","call_id":"c","output":{}}"#), Type, "input[0].output"),
        // A call and what came of it belong together.
        (item(r#"{"type":"function_call_output","call_id":"c","output":"x"}"#), Value, "input[0].call_id"),
        (
            item(
                r#"{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#,
            ),
            Value,
            "input[1].call_id",
        ),
        (item(r#"{"type":"reasoning","summary":[{}]}"#), Missing, "input[0].summary[0].text"),
    ];
    for (rest, is, at) in cases {
        let error = read(&format!(r#"{{"model":"m",{rest}}}"#).into()).expect_err(&rest);
        let param = match (&error, is) {
            (DecodeError::Missing(param), Missing) | (DecodeError::Duplicate(param), Twice) => param,
            (DecodeError::WrongType { param, .. }, Type) | (DecodeError::BadValue { param, .. }, Value) => {
                param
            }
            _ => panic!("{rest}: {error:?}"),
        };
        assert_eq!(param, at, "{rest}");
    }
}
