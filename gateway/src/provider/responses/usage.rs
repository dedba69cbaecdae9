//! What a Response says about usage, believed only after every check.

use bytes::Bytes;
use router_config::UsageConvention;
use serde_json::{Map, Value, json, value::RawValue};
use units::{Tokens, Usage};

use crate::{
    chat::UsageSeen,
    provider::usage::{Refused, count, detail},
};

/// Reads one usage object, of an upstream that counts by `convention`.
pub(super) fn read(raw: &RawValue, convention: UsageConvention) -> UsageSeen {
    let members = match serde_json::from_str::<Value>(raw.get()) {
        Ok(Value::Null) => return UsageSeen::Absent,
        Ok(Value::Object(members)) => members,
        _ => return UsageSeen::Refused,
    };
    match counts(&members, convention) {
        Ok(Some((usage, true))) => {
            UsageSeen::Counted { usage, raw: Bytes::copy_from_slice(raw.get().as_bytes()) }
        }
        Ok(Some((usage, false))) => UsageSeen::Counted { usage, raw: in_openais_words(&usage) },
        Ok(None) => UsageSeen::Absent,
        Err(Refused) => UsageSeen::Refused,
    }
}

/// Disjoint counts, and whether the object they were read from counts as OpenAI does: input with what was cached, output
/// with its reasoning.
fn counts(
    members: &Map<String, Value>,
    convention: UsageConvention,
) -> Result<Option<(Usage, bool)>, Refused> {
    let (input, output) = match (count(members, "input_tokens")?, count(members, "output_tokens")?) {
        (None, None) => return Ok(None),
        (Some(input), Some(output)) => (input, output),
        _ => return Err(Refused),
    };
    let total = count(members, "total_tokens")?;
    let cached = detail(members, "input_tokens_details", "cached_tokens")?.unwrap_or(0);
    let written = detail(members, "input_tokens_details", "cache_write_tokens")?.unwrap_or(0);
    let reasoning = detail(members, "output_tokens_details", "reasoning_tokens")?.unwrap_or(0);
    let fresh =
        if convention.cached_in_prompt { input.checked_sub(cached + written).ok_or(Refused)? } else { input };
    // The total tells, where there is one, whatever is said of the provider.
    let beside =
        total.map_or(!convention.reasoning_in_completion, |total| total == input + output + reasoning);
    let left_out = reasoning > 0 && beside;
    let output = if left_out { output + reasoning } else { output };
    if reasoning > output {
        return Err(Refused);
    }
    let usage = Usage {
        input: Tokens(fresh),
        cached_input: Tokens(cached),
        cache_write: Tokens(written),
        output: Tokens(output),
        reasoning: Tokens(reasoning),
        ..Usage::default()
    };
    Ok(Some((usage, !left_out && (convention.cached_in_prompt || cached + written == 0))))
}

fn in_openais_words(usage: &Usage) -> Bytes {
    let said = json!({
        "input_tokens": usage.prompt().0,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input.0, "cache_write_tokens": usage.cache_write.0,
        },
        "output_tokens": usage.output.0,
        "output_tokens_details": { "reasoning_tokens": usage.reasoning.0 },
        "total_tokens": usage.total().0,
    });
    said.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> UsageSeen {
        read(serde_json::from_str(text).unwrap(), UsageConvention::default())
    }

    #[test]
    fn counts_are_disjoint_and_only_believed_where_they_can_be() {
        let believed = |text: &str| match seen(text) {
            UsageSeen::Counted { usage: u, .. } => {
                [u.input.0, u.cached_input.0, u.cache_write.0, u.output.0, u.reasoning.0]
            }
            other => panic!("{text}: {other:?}"),
        };
        let openai = r#"{"input_tokens":10,"input_tokens_details":{"cached_tokens":4,"cache_write_tokens":1},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":15}"#;
        assert_eq!(believed(openai), [5, 4, 1, 5, 2]);
        let beside = r#"{"input_tokens":10,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":7},"total_tokens":22}"#;
        assert_eq!(believed(beside), [10, 0, 0, 12, 7]);
        let UsageSeen::Counted { raw, .. } = seen(beside) else { panic!() };
        assert!(raw.starts_with(b"{\"input_tokens\":10"), "said as OpenAI counts");
        assert_eq!(serde_json::from_slice::<Value>(&raw).unwrap()["output_tokens"], 12);
        assert_eq!((seen("null"), seen("{}")), (UsageSeen::Absent, UsageSeen::Absent));
        for hostile in [
            r#"{"input_tokens":-1,"output_tokens":5}"#,
            r#"{"input_tokens":1.5,"output_tokens":5}"#,
            r#"{"input_tokens":10}"#,
            r#"{"input_tokens":10,"output_tokens":100000001}"#,
            r#"{"input_tokens":10,"output_tokens":5,"input_tokens_details":{"cached_tokens":11}}"#,
            r#"{"input_tokens":10,"output_tokens":5,"output_tokens_details":{"reasoning_tokens":6}}"#,
            r#"{"input_tokens":10,"output_tokens":5,"output_tokens_details":7}"#,
            "[]",
        ] {
            assert_eq!(seen(hostile), UsageSeen::Refused, "{hostile}");
        }
    }
}
