//! An answer as bytes, for where it is kept by others than this process.
//!
//! JSON, in which the pieces of the answer stand as the JSON that they are. What may be read is what was authenticated
//! before (`seal`), so that nothing here is a matter of trust; it never panics all the same.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use units::{Timestamp, Usage};

use super::Entry;
use crate::chat::{Chunk, Spoken, TextSize, UsageSeen};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenEntry<'a> {
    /// Microseconds since 1970.
    at: i64,
    #[serde(borrow)]
    provider: Cow<'a, str>,
    /// Spoken as a chat completion; in the client's own words otherwise.
    chat: bool,
    adjusted: Vec<Cow<'a, str>>,
    usage: Usage,
    streams: bool,
    chunks: Vec<WrittenChunk<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenChunk<'a> {
    #[serde(borrow)]
    json: &'a RawValue,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    event: Option<Cow<'a, str>>,
    text: TextSize,
    finish: bool,
    choices: bool,
    has_usage: bool,
    #[serde(borrow)]
    usage: WrittenUsage<'a>,
}

#[derive(Serialize, Deserialize)]
enum WrittenUsage<'a> {
    Absent,
    Prompt(Usage),
    Counted {
        usage: Usage,
        #[serde(borrow)]
        raw: &'a RawValue,
    },
    Refused,
}

/// The answer as bytes; none where a piece of it is no JSON.
pub(super) fn write(entry: &Entry) -> Option<Vec<u8>> {
    let chunks = entry.chunks.iter().map(chunk).collect::<Option<_>>()?;
    let written = WrittenEntry {
        at: entry.at.0,
        provider: Cow::Borrowed(&entry.provider),
        chat: entry.spoken == Spoken::Chat,
        adjusted: entry.adjusted.iter().map(|what| Cow::Borrowed(what.as_ref())).collect(),
        usage: entry.usage,
        streams: entry.streams,
        chunks,
    };
    serde_json::to_vec(&written).ok()
}

fn chunk(chunk: &Chunk) -> Option<WrittenChunk<'_>> {
    Some(WrittenChunk {
        json: serde_json::from_slice(&chunk.json).ok()?,
        event: chunk.event.as_deref().map(Cow::Borrowed),
        text: chunk.text_size,
        finish: chunk.finish,
        choices: chunk.has_choices,
        has_usage: chunk.has_usage_member,
        usage: match &chunk.usage {
            UsageSeen::Absent => WrittenUsage::Absent,
            UsageSeen::Prompt(usage) => WrittenUsage::Prompt(*usage),
            UsageSeen::Counted { usage, raw } => {
                WrittenUsage::Counted { usage: *usage, raw: serde_json::from_slice(raw).ok()? }
            }
            UsageSeen::Refused => WrittenUsage::Refused,
        },
    })
}

/// The answer that was written; none if these bytes are none.
pub(super) fn read(bytes: &[u8]) -> Option<Entry> {
    let written: WrittenEntry<'_> = serde_json::from_slice(bytes).ok()?;
    Some(Entry {
        at: Timestamp(written.at),
        provider: written.provider.into_owned(),
        spoken: if written.chat { Spoken::Chat } else { Spoken::Native },
        adjusted: written.adjusted.into_iter().map(|what| Cow::Owned(what.into_owned())).collect(),
        usage: written.usage,
        streams: written.streams,
        chunks: written.chunks.into_iter().map(read_chunk).collect(),
    })
}

fn read_chunk(chunk: WrittenChunk<'_>) -> Chunk {
    Chunk {
        json: copied(chunk.json),
        event: chunk.event.map(|event| event.into_owned().into_boxed_str()),
        text_size: chunk.text,
        finish: chunk.finish,
        has_choices: chunk.choices,
        has_usage_member: chunk.has_usage,
        usage: match chunk.usage {
            WrittenUsage::Absent => UsageSeen::Absent,
            WrittenUsage::Prompt(usage) => UsageSeen::Prompt(usage),
            WrittenUsage::Counted { usage, raw } => UsageSeen::Counted { usage, raw: copied(raw) },
            WrittenUsage::Refused => UsageSeen::Refused,
        },
    }
}

fn copied(json: &RawValue) -> Bytes {
    Bytes::copy_from_slice(json.get().as_bytes())
}

/// What bytes are read as, and what comes of writing that and reading it again: for fuzzers.
pub(crate) fn read_and_read_again(bytes: &[u8]) -> Option<(Entry, Option<Entry>)> {
    let entry = read(bytes)?;
    let again = write(&entry).as_deref().and_then(read);
    Some((entry, again))
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};
    use units::Tokens;

    use super::*;

    fn usage() -> impl Strategy<Value = Usage> {
        any::<[u64; 8]>().prop_map(|[a, b, c, d, e, f, g, h]| Usage {
            input: Tokens(a),
            cached_input: Tokens(b),
            cache_write: Tokens(c),
            output: Tokens(d),
            reasoning: Tokens(e),
            audio_input: Tokens(f),
            image_input: Tokens(g),
            audio_output: Tokens(h),
        })
    }

    /// An object as an upstream may have written it.
    fn json() -> impl Strategy<Value = Bytes> {
        (".{0,20}", any::<i32>(), "[ \\n]{0,2}").prop_map(|(text, number, space)| {
            let text = serde_json::to_string(&text).unwrap();
            Bytes::from(format!("{{{space}\"a\":{text},\"b\":[{number}.00e1,\"\\ud83d\"]{space}}}"))
        })
    }

    fn seen() -> impl Strategy<Value = UsageSeen> {
        prop_oneof![
            Just(UsageSeen::Absent),
            Just(UsageSeen::Refused),
            usage().prop_map(UsageSeen::Prompt),
            (usage(), json()).prop_map(|(usage, raw)| UsageSeen::Counted { usage, raw }),
        ]
    }

    fn chunk() -> impl Strategy<Value = Chunk> {
        let flags = any::<[bool; 3]>();
        (json(), option::of(".{0,12}"), ".{0,12}", flags, seen()).prop_map(
            |(json, event, text, [finish, has_choices, has_usage_member], usage)| Chunk {
                json,
                event: event.map(String::into_boxed_str),
                text_size: TextSize::of(text.as_bytes()),
                finish,
                has_choices,
                has_usage_member,
                usage,
            },
        )
    }

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<i64>(), ".{0,12}", any::<[bool; 2]>(), vec(".{0,9}", 0..3), usage(), vec(chunk(), 0..6))
            .prop_map(|(at, provider, [native, streams], adjusted, usage, chunks)| Entry {
                at: Timestamp(at),
                provider,
                spoken: if native { Spoken::Native } else { Spoken::Chat },
                adjusted: adjusted.into_iter().map(Cow::Owned).collect(),
                usage,
                streams,
                chunks,
            })
    }

    #[test]
    fn what_fuzzers_begin_with_is_an_answer() {
        let target = crate::fuzzing::TARGETS.iter().find(|target| target.name == "kept_answer").unwrap();
        assert_eq!(read(target.seeds[0].as_bytes()).unwrap().chunks.len(), 3);
    }

    proptest! {
        #[test]
        fn whatever_was_written_is_read_as_it_was(entry in entry()) {
            prop_assert_eq!(read(&write(&entry).unwrap()).unwrap(), entry);
        }

        #[test]
        fn half_an_answer_is_none(entry in entry(), cut in any::<prop::sample::Index>()) {
            let whole = write(&entry).unwrap();
            prop_assert_eq!(read(&whole[..cut.index(whole.len())]), None);
        }

        #[test]
        fn bytes_of_chance_are_no_answer(bytes in vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(read(&bytes), None);
        }
    }
}
