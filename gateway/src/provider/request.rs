//! The client's body, edited for one upstream.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;
use units::Tokens;

use super::Quirks;
use crate::{
    chat::Call,
    json::{self, ObjectWriter},
};

/// What is sent: the client's members in the client's order, with the model, the usage request and, where the client
/// named none, the output cap put in.
pub(super) fn body(call: &Call, upstream_model: &str, quirks: &Quirks, cap: Option<Tokens>) -> Bytes {
    let given = |name: &str| call.members.iter().any(|m| &*m.name == name && call.raw(m) != b"null");
    let mut out = ObjectWriter::new(call.body.len() + 128);
    for member in call.members.iter() {
        let raw = call.raw(member);
        let renamed = quirks.renames.iter().find(|(from, _)| *from == &*member.name);
        let name = renamed.map_or(&*member.name, |(_, to)| to);
        let displaced =
            renamed.is_none() && quirks.renames.iter().any(|(from, to)| *to == name && given(from));
        let unwelcome =
            quirks.allowed.is_some_and(|allowed| !allowed.contains(&name)) || quirks.refused.contains(&name);
        let capped = cap.is_some() && (name == "max_tokens" || name == "max_completion_tokens");
        if displaced || unwelcome || capped || (raw == b"null" && !quirks.keeps_nulls) {
            continue;
        }
        match name {
            "model" => out.text("model", upstream_model),
            "stream_options" if call.stream => continue,
            "messages" if !quirks.developer_role => out.raw("messages", &system_for_developer(raw)),
            name => out.raw(name, raw),
        };
    }
    if call.stream && quirks.stream_options {
        let options = call.members.iter().find(|m| &*m.name == "stream_options");
        out.raw("stream_options", &with_usage(options.map_or(b"{}", |m| call.raw(m))));
    }
    if let Some(cap) = cap {
        out.count(quirks.output_max, cap.0);
    }
    out.finish().into()
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

/// Messages whose role `developer` is called `system`, everything else as it was.
fn system_for_developer(messages: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(messages, b"\"developer\"").is_none() {
        return Cow::Borrowed(messages);
    }
    let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(messages) else { return Cow::Borrowed(messages) };
    let mut out = Vec::with_capacity(messages.len());
    out.push(b'[');
    for message in list {
        if out.len() > 1 {
            out.push(b',');
        }
        let text = message.get().as_bytes();
        match json::members(text) {
            Ok(members)
                if members.iter().any(|(name, value)| name == "role" && value.get() == "\"developer\"") =>
            {
                let mut edited = ObjectWriter::new(text.len());
                for (name, value) in members {
                    let system = name == "role" && value.get() == "\"developer\"";
                    edited.raw(&name, if system { b"\"system\"" } else { value.get().as_bytes() });
                }
                out.extend_from_slice(&edited.finish());
            }
            _ => out.extend_from_slice(text),
        }
    }
    out.push(b']');
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use units::{AccountId, KeyId, Livemode, RequestId, Timestamp};

    use super::*;
    use crate::{
        chat::{Caller, KeyLimits},
        dialect::openai::read,
        provider::{deepseek, mistral, openai},
    };

    fn call(text: &str) -> Call {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let wanted = read(&body).unwrap();
        let at = Timestamp::from_secs(1);
        Call {
            id: RequestId::new(at),
            received: Instant::now(),
            caller: Caller {
                account: AccountId::new(at),
                key: KeyId::new(at),
                livemode: Livemode::Demo,
                limits: KeyLimits::default(),
                money_only: false,
            },
            model: wanted.model,
            stream: wanted.stream,
            wants_usage: wanted.wants_usage,
            output_max: wanted.output_max,
            n: wanted.n,
            input_bound: wanted.input.bound,
            input_estimate: wanted.input.estimate,
            body,
            members: wanted.members,
            seen: Default::default(),
        }
    }

    fn sent(text: &str, quirks: &Quirks, cap: Option<u64>) -> String {
        String::from_utf8(body(&call(text), "up", quirks, cap.map(Tokens)).to_vec()).unwrap()
    }

    #[test]
    fn only_what_must_change_changes() {
        let text = r#"{"temperature":1e-7,"model":"m","x":{"b":1.0,"a":9007199254740993},"messages":[{"role":"developer","content":"\u4f60"}],"stop":null}"#;
        assert_eq!(
            sent(text, &openai::QUIRKS, None),
            r#"{"temperature":1e-7,"model":"up","x":{"b":1.0,"a":9007199254740993},"messages":[{"role":"developer","content":"\u4f60"}],"stop":null}"#
        );
        assert_eq!(
            sent(text, &deepseek::QUIRKS, Some(9)),
            r#"{"temperature":1e-7,"model":"up","x":{"b":1.0,"a":9007199254740993},"messages":[{"role":"system","content":"\u4f60"}],"max_tokens":9}"#
        );
    }

    #[test]
    fn usage_is_always_asked_for_in_a_stream() {
        let text =
            r#"{"model":"m","messages":[1],"stream":true,"stream_options":{"include_usage":false,"x":1}}"#;
        assert_eq!(
            sent(text, &openai::QUIRKS, None),
            r#"{"model":"up","messages":[1],"stream":true,"stream_options":{"x":1,"include_usage":true}}"#
        );
        assert_eq!(sent(text, &mistral::QUIRKS, None), r#"{"model":"up","messages":[1],"stream":true}"#);
    }

    #[test]
    fn mistral_gets_the_members_it_knows_under_its_names() {
        let text =
            r#"{"model":"m","messages":[1],"max_tokens":1,"max_completion_tokens":5,"seed":7,"store":true}"#;
        assert_eq!(
            sent(text, &mistral::QUIRKS, None),
            r#"{"model":"up","messages":[1],"max_tokens":5,"random_seed":7}"#
        );
        let null = r#"{"model":"m","messages":[1],"max_completion_tokens":null,"max_tokens":4}"#;
        assert_eq!(sent(null, &mistral::QUIRKS, None), r#"{"model":"up","messages":[1],"max_tokens":4}"#);
    }

    #[test]
    fn a_cap_replaces_an_explicit_null() {
        let text = r#"{"model":"m","max_tokens":null,"messages":[1]}"#;
        assert_eq!(
            sent(text, &openai::QUIRKS, Some(4096)),
            r#"{"model":"up","messages":[1],"max_completion_tokens":4096}"#
        );
    }
}
