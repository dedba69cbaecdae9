//! What would cost another price than the list says, whichever client asks for it?
//!
//! A price list has one rate for what is written to a cache and one for each kind of token; it knows nothing of tiers of
//! service nor of caches that last an hour. What would be billed to us by other rates is refused by name.

use serde_json::value::RawValue;

use super::decode::{DecodeError, Fields};
use crate::json::{self, Object, is_text, items, word};

/// The tiers of service that cost what the list says, in OpenAI's and in Anthropic's words. The others are cheaper and
/// slower (`flex`), or dearer and faster (`priority`, `scale`, `fast`).
/// <https://platform.openai.com/docs/api-reference/chat/create>, <https://platform.claude.com/docs/en/api/service-tiers>
const TIERS: [&str; 4] = ["auto", "default", "standard", "standard_only"];
/// How long a cache lasts that costs what the list says; also what is meant where nothing is said. One of an hour costs
/// 1.6 times as much to write. <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>
const CACHE_TTL: &str = "5m";
/// The members of a message, block or tool that hold others which may be cached.
const HOLDS_BLOCKS: [&str; 3] = ["content", "source", "function"];
/// Blocks in results of tools in messages, and nothing deeper.
const DEPTH_MAX: usize = 5;

/// Refuses a tier of service that has another price.
pub(super) fn refuse_tiers(fields: &Fields<'_>) -> Result<(), DecodeError> {
    let tier: Option<String> = fields.typed("service_tier", "a string")?;
    match tier {
        Some(tier) if !TIERS.contains(&tier.as_str()) => Err(DecodeError::Unsupported {
            param: "service_tier".into(),
            why: "asks for a tier of service that no price list has a rate for; `auto`, `default`, `standard` and \
                  `standard_only` have one"
                .into(),
        }),
        _ => Ok(()),
    }
}

/// Refuses caches that last longer than the price list's, wherever `cache_control` may stand: at the top, and in what the
/// members `holders` hold.
pub(super) fn refuse_long_caches(
    fields: &Fields<'_>,
    holders: &[&'static str],
    body: &[u8],
) -> Result<(), DecodeError> {
    // Most bodies do not hold the word, however it is spelled, and are not looked through.
    let suspicious = |word: &[u8]| memchr::memmem::find(body, word).is_some();
    if !suspicious(b"ttl") && !suspicious(b"\\u00") {
        return Ok(());
    }
    for (name, value) in fields.members() {
        if name == "cache_control" {
            lasts(value, name)?;
        } else if holders.contains(&name.as_ref()) {
            look(value, name, 0)?;
        }
    }
    Ok(())
}

/// Looks into a list of blocks, or one; what is neither is another's to refuse.
fn look(value: &RawValue, path: &str, depth: usize) -> Result<(), DecodeError> {
    if depth >= DEPTH_MAX || is_text(value) {
        return Ok(());
    }
    if value.get().starts_with('[') {
        let items = items(value, path).unwrap_or_default();
        return items.into_iter().try_for_each(|(path, item)| look(item, &path, depth + 1));
    }
    for (name, value) in json::members(value.get().as_bytes()).unwrap_or_default() {
        if name == "cache_control" {
            lasts(value, &format!("{path}.cache_control"))?;
        } else if HOLDS_BLOCKS.contains(&name.as_ref()) {
            look(value, &format!("{path}.{name}"), depth)?;
        }
    }
    Ok(())
}

/// How long does this `cache_control` ask a cache to last? Said twice, both count.
fn lasts(control: &RawValue, path: &str) -> Result<(), DecodeError> {
    let Ok(control) = Object::read(control, path.to_owned()) else { return Ok(()) };
    let param = control.at("ttl");
    if control.left().any(|(name, value)| name == "ttl" && word(value).is_none_or(|ttl| ttl != CACHE_TTL)) {
        return Err(DecodeError::Unsupported {
            param: param.into(),
            why: "asks for a cache that lasts longer than five minutes, which no price list has a rate for"
                .into(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn refused(rest: &str) -> Option<String> {
        let body = Bytes::from(format!(r#"{{"model":"m"{rest}}}"#));
        let fields = Fields::read(&body).unwrap();
        let long = refuse_long_caches(&fields, &["system", "messages", "tools"], &body);
        match refuse_tiers(&fields).and(long) {
            Ok(()) => None,
            Err(DecodeError::Unsupported { param, .. }) => Some(param.into_owned()),
            Err(other) => panic!("{rest}: {other:?}"),
        }
    }

    #[test]
    fn a_cache_of_an_hour_is_found_wherever_it_is_asked_for() {
        for (rest, param) in [
            (r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#, "cache_control.ttl"),
            (r#","system":[{"text":"a"},{"cache_control":{"ttl":"1h"}}]"#, "system[1].cache_control.ttl"),
            (r#","tools":[{"cache_control":{"ttl":"1\u0068"}}]"#, "tools[0].cache_control.ttl"),
            (
                r#","tools":[{"function":{"cache_control":{"\u0074tl":"1h"}}}]"#,
                "tools[0].function.cache_control.ttl",
            ),
            (r#","messages":[{"cache_control":{"ttl":"1h"}}]"#, "messages[0].cache_control.ttl"),
            (
                r#","messages":[{"content":"a"},{"content":[{"cache_control":{"ttl":"5m","ttl":"1h"}}]}]"#,
                "messages[1].content[0].cache_control.ttl",
            ),
            (
                r#","messages":[{"content":[{"content":[{"cache_control":{"ttl":"24h"}}]}]}]"#,
                "messages[0].content[0].content[0].cache_control.ttl",
            ),
            (
                r#","messages":[{"content":[{"content":[{"source":{"content":[{"cache_control":{"ttl":3600}}]}}]}]}]"#,
                "messages[0].content[0].content[0].source.content[0].cache_control.ttl",
            ),
        ] {
            assert_eq!(refused(rest).as_deref(), Some(param), "{rest}");
        }
    }

    #[test]
    fn what_costs_what_the_list_says_passes() {
        for rest in [
            r#","cache_control":{"type":"ephemeral","ttl":"5m"},"service_tier":null"#,
            r#","system":[{"cache_control":{"type":"ephemeral","ttl":null}}],"service_tier":"auto""#,
            r#","messages":[{"content":"{\"cache_control\":{\"ttl\":\"1h\"}}"}],"service_tier":"default""#,
            // What a tool is called with is nobody's instruction.
            r#","messages":[{"content":[{"input":{"cache_control":{"ttl":"1h"}}}]}],"service_tier":"standard""#,
            r#","metadata":{"cache_control":{"ttl":"1h"}},"service_tier":"standard_only""#,
        ] {
            assert_eq!(refused(rest), None, "{rest}");
        }
        for tier in ["flex", "priority", "scale", "fast", "on_demand", "Default", ""] {
            assert_eq!(refused(&format!(r#","service_tier":"{tier}""#)).as_deref(), Some("service_tier"));
        }
    }
}
