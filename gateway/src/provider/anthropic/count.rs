//! What Anthropic says about usage, believed only after every check.
//!
//! A stream begins with what the prompt came to and ends with what was produced, cumulative; what the end says again of the
//! prompt counts. Fresh input, input read from a cache and input written to one are three disjoint counts.

use bytes::Bytes;
use serde_json::value::RawValue;
use units::{Tokens, Usage};

use crate::{
    chat::UsageSeen,
    json::{Object, ObjectWriter},
    provider::usage::{COUNT_MAX, in_openais_words},
};

/// What was said so far.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// By member, the last word of each.
    said: Vec<(String, Box<RawValue>)>,
    hostile: bool,
}

/// Not a count.
struct Hostile;

impl Count {
    /// Takes one usage object; what it does not say again stays.
    pub(super) fn add(&mut self, raw: &RawValue) {
        if raw.get() == "null" {
            return;
        }
        let Ok(object) = Object::read(raw, String::new()) else {
            self.hostile = true;
            return;
        };
        for (name, value) in object.left() {
            match self.said.iter_mut().find(|(known, _)| *known == name) {
                Some((_, known)) => *known = value.to_owned(),
                None => self.said.push((name.into_owned(), value.to_owned())),
            }
        }
    }

    fn get(&self, name: &str) -> Result<Option<Tokens>, Hostile> {
        let Some((_, value)) = self.said.iter().find(|(known, _)| known == name) else { return Ok(None) };
        count(value.get()).map(Some)
    }

    fn usage(&self) -> Result<Option<Usage>, Hostile> {
        if self.hostile {
            return Err(Hostile);
        }
        let (input, output) = match (self.get("input_tokens")?, self.get("output_tokens")?) {
            (None, None) => return Ok(None),
            (Some(input), Some(output)) => (input, output),
            _ => return Err(Hostile),
        };
        let thought = self.said.iter().find(|(known, _)| known == "output_tokens_details");
        let thought = thought.and_then(|(_, details)| Object::read(details, String::new()).ok());
        let thought = thought.and_then(|mut details| details.take("thinking_tokens").ok().flatten());
        let reasoning = thought.map_or(Ok(Tokens(0)), |thought| count(thought.get()))?;
        if reasoning > output {
            return Err(Hostile);
        }
        Ok(Some(Usage {
            input,
            cached_input: self.get("cache_read_input_tokens")?.unwrap_or(Tokens(0)),
            cache_write: self.get("cache_creation_input_tokens")?.unwrap_or(Tokens(0)),
            output,
            reasoning,
            ..Usage::default()
        }))
    }

    /// What the prompt came to, before the end.
    pub(super) fn prompt(&self) -> UsageSeen {
        match self.usage() {
            Ok(Some(usage)) => UsageSeen::Prompt(Usage { output: Tokens(0), reasoning: Tokens(0), ..usage }),
            Ok(None) => UsageSeen::Absent,
            Err(Hostile) => UsageSeen::Refused,
        }
    }

    /// What all of it came to, in Anthropic's words.
    pub(super) fn seen(&self) -> UsageSeen {
        self.seen_as(|_| {
            let mut raw = ObjectWriter::new(256);
            for (name, value) in &self.said {
                raw.raw(name, value.get().as_bytes());
            }
            raw.finish().into()
        })
    }

    /// What all of it came to, in the words of a chat.
    pub(super) fn seen_as_chat(&self) -> UsageSeen {
        self.seen_as(in_openais_words)
    }

    fn seen_as(&self, words: impl Fn(&Usage) -> Bytes) -> UsageSeen {
        match self.usage() {
            Ok(Some(usage)) => UsageSeen::Counted { usage, raw: words(&usage) },
            Ok(None) => UsageSeen::Absent,
            Err(Hostile) => UsageSeen::Refused,
        }
    }
}

fn count(text: &str) -> Result<Tokens, Hostile> {
    text.parse().ok().filter(|count| *count <= COUNT_MAX).map(Tokens).ok_or(Hostile)
}

#[cfg(test)]
mod tests {
    use router_config::UsageConvention;

    use super::*;

    fn counted(objects: &[&str]) -> UsageSeen {
        let mut count = Count::default();
        for object in objects {
            count.add(serde_json::from_str(object).unwrap());
        }
        count.seen_as_chat()
    }

    #[test]
    fn the_end_corrects_the_beginning_and_the_counts_are_disjoint() {
        let begun = r#"{"input_tokens":10,"cache_creation_input_tokens":7,"cache_read_input_tokens":100,"output_tokens":1,"service_tier":"standard"}"#;
        let ended =
            r#"{"output_tokens":50,"input_tokens":11,"output_tokens_details":{"thinking_tokens":20}}"#;
        let UsageSeen::Counted { usage, raw } = counted(&[begun, ended]) else { panic!() };
        let counts = [usage.input, usage.cached_input, usage.cache_write, usage.output, usage.reasoning];
        assert_eq!(counts, [11, 100, 7, 50, 20].map(Tokens));
        // What we make of it is believed where a chat's usage is.
        let own = serde_json::from_slice::<&RawValue>(&raw).unwrap();
        assert!(
            matches!(crate::provider::usage::read(own, UsageConvention::default()), UsageSeen::Counted { usage: read, .. } if read == usage)
        );
    }

    #[test]
    fn a_usage_that_cannot_be_is_no_usage() {
        assert_eq!(counted(&[]), UsageSeen::Absent);
        assert_eq!(counted(&["null", r#"{"service_tier":"standard"}"#]), UsageSeen::Absent);
        for hostile in [
            r#"{"input_tokens":-1,"output_tokens":1}"#,
            r#"{"input_tokens":1.5,"output_tokens":1}"#,
            r#"{"input_tokens":"1","output_tokens":1}"#,
            r#"{"input_tokens":1}"#,
            r#"{"output_tokens":1}"#,
            r#"{"input_tokens":1,"output_tokens":100000001}"#,
            r#"{"input_tokens":1,"output_tokens":1,"cache_read_input_tokens":-5}"#,
            r#"{"input_tokens":1,"output_tokens":1,"output_tokens_details":{"thinking_tokens":2}}"#,
            "[]",
        ] {
            assert_eq!(counted(&[hostile]), UsageSeen::Refused, "{hostile}");
        }
    }
}
