//! The rest of an answer that another has begun: it goes on under the name of the first, and says nothing twice.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::{
    Event,
    chunk::ChatEar,
    ear::{Ear, Heard},
};
use crate::{
    chat::{Chunk, SoFar, TextSize, UsageSeen},
    json::{self, ListWriter, ObjectWriter},
};

/// Members that tell which answer a chunk belongs to.
const NAMES: [&str; 4] = ["id", "created", "model", "system_fingerprint"];

/// Listens to a chat completion that goes on with what was said so far.
#[derive(Debug)]
pub(super) struct RestEar {
    inner: ChatEar,
    so_far: Arc<SoFar>,
    /// Bytes of what was said so far that have been heard again; nothing where none are expected any more.
    heard_again: Option<usize>,
    /// Whether what it was given is said again, and may be counted as its output.
    repeats: bool,
}

impl RestEar {
    /// `repeats` says whether the answer begins with what was said so far.
    pub(super) fn new(inner: ChatEar, so_far: Arc<SoFar>, repeats: bool) -> Self {
        Self { inner, so_far, heard_again: repeats.then_some(0), repeats }
    }

    /// The chunk as part of the first answer; nothing where nothing is left of it.
    fn as_rest(&mut self, chunk: Chunk) -> Option<Chunk> {
        let Ok(members) = json::members(&chunk.json) else { return Some(chunk) };
        let so_far = Arc::clone(&self.so_far);
        let head = json::members(&so_far.head).unwrap_or_default();
        let first = |name: &str| head.iter().find(|(known, _)| known == name).map(|(_, value)| value.get());
        let mut out = ObjectWriter::new(chunk.json.len() + 64);
        let mut said = None;
        for (name, value) in &members {
            match name.as_ref() {
                name if NAMES.contains(&name) => match first(name) {
                    Some(value) => out.raw(name, value.as_bytes()),
                    None => continue,
                },
                // What it took is told once, at the end, of both parts.
                "usage" if chunk.has_choices => continue,
                "choices" if chunk.has_choices => {
                    let (choices, text) = self.choices(value, chunk.finish);
                    said = text;
                    out.raw("choices", &choices)
                }
                name => out.raw(name, value.get().as_bytes()),
            };
        }
        let json = Bytes::from(out.finish());
        let text_size = said.map_or(chunk.text_size, |text| TextSize::of(text.as_bytes()));
        let usage = match chunk.usage {
            // Whether the text that it was given is counted, nobody says: what it adds is reckoned.
            UsageSeen::Counted { .. } if self.repeats => UsageSeen::Absent,
            usage => usage,
        };
        let has_usage_member = chunk.has_usage_member && !chunk.has_choices;
        let chunk = Chunk { json, text_size, usage, has_usage_member, ..chunk };
        let is_empty = chunk.has_choices
            && !chunk.finish
            && chunk.text_size.is_empty()
            && chunk.usage == UsageSeen::Absent;
        (!is_empty).then_some(chunk)
    }

    /// The choices without a role and without what is said again, and the text where that is not as it came.
    fn choices(&mut self, raw: &RawValue, finish: bool) -> (Vec<u8>, Option<String>) {
        let Ok(choices) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            return (raw.get().as_bytes().to_vec(), None);
        };
        let (mut out, mut said) = (ListWriter::new(raw.get().len()), None);
        for choice in choices {
            let Ok(members) = json::members(choice.get().as_bytes()) else {
                out.raw(choice.get().as_bytes());
                continue;
            };
            let mut written = ObjectWriter::new(choice.get().len());
            for (name, value) in &members {
                match name.as_ref() {
                    "delta" => {
                        let (delta, text) = self.delta(value, finish);
                        said = text.or(said);
                        written.raw("delta", &delta)
                    }
                    name => written.raw(name, value.get().as_bytes()),
                };
            }
            out.raw(&written.finish());
        }
        (out.finish(), said)
    }

    fn delta(&mut self, raw: &RawValue, finish: bool) -> (Vec<u8>, Option<String>) {
        let Ok(members) = json::members(raw.get().as_bytes()) else {
            return (raw.get().as_bytes().to_vec(), None);
        };
        let (mut out, mut said) = (ObjectWriter::new(raw.get().len()), None);
        let content = members.iter().find(|(name, _)| name == "content").map(|(_, value)| *value);
        let content = content.and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        if self.heard_again.is_some() && (content.is_some() || finish) {
            let text = self.unheard(content.as_deref().unwrap_or_default(), finish);
            out.text("content", &text);
            said = Some(text);
        }
        for (name, value) in &members {
            if name != "role" && !(name == "content" && said.is_some()) {
                out.raw(name, value.get().as_bytes());
            }
        }
        (out.finish(), said)
    }

    /// What of `text` was not said so far. Whatever turns out to be no repetition is said after all.
    fn unheard(&mut self, text: &str, finish: bool) -> String {
        let Some(heard) = mem::take(&mut self.heard_again) else { return text.to_owned() };
        let (again, missing) = self.so_far.text.split_at_checked(heard).unwrap_or_default();
        if let Some(new) = text.strip_prefix(missing) {
            return new.to_owned();
        }
        if missing.starts_with(text) && !finish {
            self.heard_again = Some(heard + text.len());
            return String::new();
        }
        // White space at the end of a prefix is lost at some.
        if heard > 0 && missing.trim().is_empty() { text.to_owned() } else { format!("{again}{text}") }
    }
}

impl Ear for RestEar {
    fn hear(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        let mut heard = VecDeque::new();
        self.inner.hear(event, &mut heard);
        for heard in heard {
            match heard {
                Heard::Chunk { chunk, named, ended } => {
                    out.extend(self.as_rest(chunk).map(|chunk| Heard::Chunk { chunk, named, ended }));
                }
                other => out.push_back(other),
            }
        }
    }

    fn whole(&mut self, body: Bytes) -> Heard {
        self.inner.whole(body)
    }
}
