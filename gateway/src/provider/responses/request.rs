//! The client's body, edited for one upstream.

use router_config::Quirks;
use serde::Deserialize;
use serde_json::value::RawValue;
use units::Tokens;

use crate::{
    chat::Form,
    json::{ListWriter, ObjectWriter},
    provider::request::Written,
};

/// What is sent: the client's members in the client's order, with the model and, where the client named no maximum of
/// output, `cap` put in.
///
/// Unless the operator has said otherwise nothing is stored: whoever asks next may be led to another account, where it
/// would not be found, and customers share the account where it would. Reasoning that the upstream would look up in its
/// store is left out then; what the client holds itself, encrypted, stays.
pub(in crate::provider) fn body(
    form: &Form,
    upstream_model: &str,
    quirks: &Quirks,
    cap: Option<Tokens>,
) -> Written {
    let stores = quirks.stores_responses;
    let mut adjusted = Vec::new();
    let mut out = ObjectWriter::new(form.body.len() + 64);
    for member in form.members.iter() {
        let raw = form.raw(member);
        let unwelcome = quirks.refused.contains(&*member.name) || (raw == b"null" && !quirks.keeps_nulls);
        match &*member.name {
            "model" => out.text("model", upstream_model),
            "store" if !stores => {
                if raw == b"true" {
                    adjusted.push("store");
                }
                continue;
            }
            "max_output_tokens" if cap.is_some() => continue,
            _ if unwelcome => continue,
            "input" if !stores => match without_stored_reasoning(raw) {
                Some(input) => {
                    adjusted.push("input");
                    out.raw("input", &input)
                }
                None => out.raw("input", raw),
            },
            name => out.raw(name, raw),
        };
    }
    if !stores {
        out.raw("store", b"false");
    }
    if let Some(cap) = cap {
        out.count("max_output_tokens", cap.0);
    }
    Written { body: out.finish().into(), adjusted }
}

#[derive(Deserialize)]
struct RawItem<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encrypted_content: Option<&'a RawValue>,
    #[serde(default)]
    content: Option<Vec<serde::de::IgnoredAny>>,
}

/// The input without reasoning that is only named by its id; `None` where there is none of that kind.
fn without_stored_reasoning(input: &[u8]) -> Option<Vec<u8>> {
    memchr::memmem::find(input, b"\"reasoning\"")?;
    let items: Vec<&RawValue> = serde_json::from_slice(input).ok()?;
    let is_stored = |item: &&RawValue| {
        serde_json::from_str::<RawItem<'_>>(item.get()).is_ok_and(|item| {
            item.kind.is_some_and(|kind| kind.get() == "\"reasoning\"")
                && item.encrypted_content.is_none_or(|content| content.get() == "null")
                && item.content.is_none_or(|content| content.is_empty())
        })
    };
    if !items.iter().any(is_stored) {
        return None;
    }
    let mut out = ListWriter::new(input.len());
    for item in items.iter().filter(|item| !is_stored(item)) {
        out.raw(item.get().as_bytes());
    }
    Some(out.finish())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::dialect::responses::read;

    fn sent(text: &str, stores: bool, cap: Option<u64>) -> String {
        let wanted = read(&Bytes::copy_from_slice(text.as_bytes())).unwrap();
        let openai = router_config::catalog().provider("openai").unwrap();
        let quirks = Quirks { stores_responses: stores, ..(*openai.quirks).clone() };
        String::from_utf8(body(&wanted.native, "up", &quirks, cap.map(Tokens)).body.to_vec()).unwrap()
    }

    #[test]
    fn only_model_store_and_cap_change() {
        let text = r#"{"temperature":1e-7,"model":"m","x":{"b":1.0,"a":9007199254740993},"input":"\u4f60","store":true,"user":null,"max_output_tokens":null}"#;
        assert_eq!(
            sent(text, false, None),
            r#"{"temperature":1e-7,"model":"up","x":{"b":1.0,"a":9007199254740993},"input":"\u4f60","user":null,"max_output_tokens":null,"store":false}"#
        );
        assert_eq!(
            sent(text, true, Some(9)),
            r#"{"temperature":1e-7,"model":"up","x":{"b":1.0,"a":9007199254740993},"input":"\u4f60","store":true,"user":null,"max_output_tokens":9}"#
        );
    }

    #[test]
    fn reasoning_that_would_have_to_be_looked_up_is_left_out() {
        let text = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"reasoning","id":"rs_1","summary":[]},{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"x"},{"role":"assistant","content":"reasoning"}]}"#;
        let kept = r#"{"model":"up","input":[{"role":"user","content":"a"},{"type":"reasoning","id":"rs_2","summary":[],"encrypted_content":"x"},{"role":"assistant","content":"reasoning"}],"store":false}"#;
        assert_eq!(sent(text, false, None), kept);
        assert!(sent(text, true, None).contains("rs_1"));
    }
}
