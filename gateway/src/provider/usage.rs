//! What an upstream says about usage, believed only after every check.
//!
//! Most providers count as OpenAI does: the prompt includes what was cached, the completion includes reasoning. The others
//! say so in their [`UsageConvention`]; where the total shows that reasoning was left out of the completion, it is put back.

use bytes::Bytes;
use router_config::UsageConvention;
use serde_json::{Map, Value, value::RawValue};
use units::{Tokens, Usage};

use crate::{chat::UsageSeen, json::ObjectWriter};

/// No call uses more of anything.
pub(super) const COUNT_MAX: u64 = 100_000_000;

/// Not a usage.
pub(super) struct Refused;

/// Reads one usage object.
pub(super) fn read(raw: &RawValue, convention: UsageConvention) -> UsageSeen {
    let Ok(value) = serde_json::from_str::<Value>(raw.get()) else { return UsageSeen::Refused };
    let usage = match value {
        Value::Null => return UsageSeen::Absent,
        Value::Object(members) => counts(&members, convention),
        _ => return UsageSeen::Refused,
    };
    match usage {
        Ok(Some(Counts { usage, as_openai: true })) => {
            UsageSeen::Counted { usage, raw: Bytes::copy_from_slice(raw.get().as_bytes()) }
        }
        // Clients add up what they are shown: it is said as OpenAI says it.
        Ok(Some(Counts { usage, as_openai: false })) => {
            UsageSeen::Counted { usage, raw: in_openais_words(&usage) }
        }
        Ok(None) => UsageSeen::Absent,
        Err(Refused) => UsageSeen::Refused,
    }
}

/// Reads the usage of embeddings, which have no completion.
pub(super) fn read_prompt(raw: &RawValue) -> UsageSeen {
    let Ok(Value::Object(members)) = serde_json::from_str::<Value>(raw.get()) else {
        return UsageSeen::Refused;
    };
    let total = count(&members, "total_tokens");
    match (count(&members, "prompt_tokens"), total) {
        (Ok(Some(tokens)), Ok(_)) | (Ok(None), Ok(Some(tokens))) => UsageSeen::Counted {
            usage: Usage { input: Tokens(tokens), ..Usage::default() },
            raw: Bytes::copy_from_slice(raw.get().as_bytes()),
        },
        (Ok(None), Ok(None)) => UsageSeen::Absent,
        _ => UsageSeen::Refused,
    }
}

pub(super) fn count(members: &Map<String, Value>, name: &str) -> Result<Option<u64>, Refused> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value.as_u64().filter(|n| *n <= COUNT_MAX).map(Some).ok_or(Refused),
    }
}

pub(super) fn detail(members: &Map<String, Value>, group: &str, name: &str) -> Result<Option<u64>, Refused> {
    match members.get(group) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(details)) => count(details, name),
        Some(_) => Err(Refused),
    }
}

/// Disjoint counts, and whether the object they were read from counts as OpenAI does.
struct Counts {
    usage: Usage,
    as_openai: bool,
}

/// The prompt with what was cached, the completion with its reasoning.
pub(super) fn in_openais_words(usage: &Usage) -> Bytes {
    let object = |counts: &[(&str, Tokens)]| {
        let mut out = ObjectWriter::new(96);
        for (name, count) in counts {
            out.count(name, count.0);
        }
        out.finish()
    };
    let mut out = ObjectWriter::new(256);
    out.count("prompt_tokens", usage.prompt().0)
        .count("completion_tokens", usage.output.0)
        .count("total_tokens", usage.total().0);
    let cached = [("cached_tokens", usage.cached_input), ("cache_write_tokens", usage.cache_write)];
    out.raw("prompt_tokens_details", &object(&cached));
    out.raw("completion_tokens_details", &object(&[("reasoning_tokens", usage.reasoning)]));
    out.finish().into()
}

fn counts(members: &Map<String, Value>, convention: UsageConvention) -> Result<Option<Counts>, Refused> {
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
    let fresh = if convention.cached_in_prompt {
        prompt.checked_sub(cached + written).ok_or(Refused)?
    } else {
        prompt
    };
    // The total tells, where there is one, whatever is said of the provider.
    let beside =
        total.map_or(!convention.reasoning_in_completion, |total| total == prompt + completion + reasoning);
    let left_out = reasoning > 0 && beside;
    let output = if left_out { completion + reasoning } else { completion };
    let part = |group, name| Ok(detail(members, group, name)?.unwrap_or(0));
    let audio_input = part("prompt_tokens_details", "audio_tokens")?;
    let image_input = part("prompt_tokens_details", "image_tokens")?;
    let audio_output = part("completion_tokens_details", "audio_tokens")?;
    if reasoning + audio_output > output || audio_input + image_input > prompt {
        return Err(Refused);
    }
    let usage = Usage {
        input: Tokens(fresh),
        cached_input: Tokens(cached),
        cache_write: Tokens(written),
        output: Tokens(output),
        reasoning: Tokens(reasoning),
        audio_input: Tokens(audio_input),
        image_input: Tokens(image_input),
        audio_output: Tokens(audio_output),
    };
    let as_openai = !left_out && (convention.cached_in_prompt || cached + written == 0);
    Ok(Some(Counts { usage, as_openai }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> UsageSeen {
        read(serde_json::from_str::<&RawValue>(text).unwrap(), UsageConvention::default())
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
        let seen = seen(
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":3,"image_tokens":4},"completion_tokens_details":{"audio_tokens":2}}"#,
        );
        let UsageSeen::Counted { usage, .. } = seen else { panic!("{seen:?}") };
        assert_eq!((usage.audio_input.0, usage.image_input.0, usage.audio_output.0), (3, 4, 2));
        assert_eq!(believed(r#"{"prompt_tokens":0,"completion_tokens":0}"#), [0; 5]);
        assert_eq!(self::seen("null"), UsageSeen::Absent);
        assert_eq!(self::seen("{}"), UsageSeen::Absent);
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
            r#"{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"audio_tokens":6,"image_tokens":5}}"#,
            r#"{"prompt_tokens":10,"completion_tokens":5,"completion_tokens_details":{"audio_tokens":4,"reasoning_tokens":2}}"#,
            "[]",
            "17",
        ] {
            assert_eq!(seen(hostile), UsageSeen::Refused, "{hostile}");
        }
    }
}
