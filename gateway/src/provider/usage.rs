//! What an upstream says about usage, believed only after every check.
//!
//! All providers here count as OpenAI does: the prompt includes what was cached, the completion includes reasoning; where
//! the total shows that reasoning was left out of the completion, it is put back.

use bytes::Bytes;
use serde_json::{Map, Value, value::RawValue};
use units::{Tokens, Usage};

use crate::chat::UsageSeen;

/// No call uses more of anything.
const COUNT_MAX: u64 = 100_000_000;

/// Not a usage.
struct Refused;

/// Reads one usage object.
pub(super) fn read(raw: &RawValue) -> UsageSeen {
    let Ok(value) = serde_json::from_str::<Value>(raw.get()) else { return UsageSeen::Refused };
    let usage = match value {
        Value::Null => return UsageSeen::Absent,
        Value::Object(members) => counts(&members),
        _ => return UsageSeen::Refused,
    };
    match usage {
        Ok(Some(usage)) => UsageSeen::Counted { usage, raw: Bytes::copy_from_slice(raw.get().as_bytes()) },
        Ok(None) => UsageSeen::Absent,
        Err(Refused) => UsageSeen::Refused,
    }
}

fn count(members: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refused> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().filter(|n| *n <= COUNT_MAX).map(Some).ok_or(Refused),
    }
}

fn detail(members: &Map<String, Value>, group: &str, name: &str) -> Result<Option<u64>, Refused> {
    match members.get(group) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(details)) => count(details, name),
        Some(_) => Err(Refused),
    }
}

fn counts(members: &Map<String, Value>) -> Result<Option<Usage>, Refused> {
    let (prompt, completion) = (count(members, "prompt_tokens")?, count(members, "completion_tokens")?);
    let (prompt, completion) = match (prompt, completion) {
        (None, None) => return Ok(None),
        (Some(prompt), Some(completion)) => (prompt, completion),
        _ => return Err(Refused),
    };
    let total = count(members, "total_tokens")?;
    let cached = match detail(members, "prompt_tokens_details", "cached_tokens")? {
        Some(cached) => Some(cached),
        None => count(members, "prompt_cache_hit_tokens")?.or(count(members, "cached_tokens")?),
    };
    let written = match detail(members, "prompt_tokens_details", "cache_write_tokens")? {
        Some(written) => Some(written),
        None => match detail(members, "prompt_tokens_details", "cache_creation_input_tokens")? {
            Some(written) => Some(written),
            None => count(members, "cache_creation_input_tokens")?,
        },
    };
    let reasoning = detail(members, "completion_tokens_details", "reasoning_tokens")?.unwrap_or(0);
    let (cached, written) = (cached.unwrap_or(0), written.unwrap_or(0));
    let fresh = prompt.checked_sub(cached + written).ok_or(Refused)?;
    let left_out = reasoning > 0 && total == Some(prompt + completion + reasoning);
    let output = if left_out { completion + reasoning } else { completion };
    if reasoning > output {
        return Err(Refused);
    }
    Ok(Some(Usage {
        input: Tokens(fresh),
        cached_input: Tokens(cached),
        cache_write: Tokens(written),
        output: Tokens(output),
        reasoning: Tokens(reasoning),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> UsageSeen {
        read(serde_json::from_str::<&RawValue>(text).unwrap())
    }

    fn believed(text: &str) -> [u64; 5] {
        match seen(text) {
            UsageSeen::Counted { usage: u, .. } => {
                [u.input.0, u.cached_input.0, u.cache_write.0, u.output.0, u.reasoning.0]
            }
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn reads_every_providers_spelling_into_disjoint_counts() {
        let openai = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}"#;
        assert_eq!(believed(openai), [6, 4, 0, 5, 2]);
        let deepseek = r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_cache_hit_tokens":8,"prompt_cache_miss_tokens":2}"#;
        assert_eq!(believed(deepseek), [2, 8, 0, 5, 0]);
        let qwen = r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":1,"cache_creation_input_tokens":3}}"#;
        assert_eq!(believed(qwen), [6, 1, 3, 5, 0]);
        let xai = r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":22,"completion_tokens_details":{"reasoning_tokens":7}}"#;
        assert_eq!(believed(xai), [10, 0, 0, 12, 7]);
        assert_eq!(believed(r#"{"prompt_tokens":0,"completion_tokens":0}"#), [0; 5]);
        assert_eq!(seen("null"), UsageSeen::Absent);
        assert_eq!(seen("{}"), UsageSeen::Absent);
    }

    #[test]
    fn a_usage_that_cannot_be_is_no_usage() {
        for hostile in [
            r#"{"prompt_tokens":-1,"completion_tokens":5}"#,
            r#"{"prompt_tokens":1.5,"completion_tokens":5}"#,
            r#"{"prompt_tokens":"10","completion_tokens":5}"#,
            r#"{"prompt_tokens":10}"#,
            r#"{"prompt_tokens":10,"completion_tokens":100000001}"#,
            r#"{"prompt_tokens":99999999999999999999999,"completion_tokens":1}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":11}}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":7}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"reasoning_tokens":6}}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":-15}"#,
            "[]",
            "17",
        ] {
            assert_eq!(seen(hostile), UsageSeen::Refused, "{hostile}");
        }
    }
}
