//! In which order, and how slowly, do the bytes of a stream leave? An answer's events become a script; faults edit it.
use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::play::Step;
use super::written::{Event, Written};
use crate::faults::Fault;

/// When the tokens of a stream come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) first_token: Duration,
    pub(super) gap: Duration,
}

/// An answer as a stream. `keep_alive` is what the provider sends while it has nothing to say.
pub(super) fn streamed(
    written: Written,
    keep_alive: Option<&str>,
    fault: Option<&Fault>,
    pace: Pace,
) -> VecDeque<Step> {
    let Written { mut events, mut done, error_event, done_after_error, .. } = written;
    let mut last = None;
    match fault {
        Some(Fault::ErrorIn200 { after }) => {
            events.truncate(after.unwrap_or(0));
            events.push(error_event);
            done = done_after_error;
        }
        Some(Fault::BadJson {}) => {
            let middle = events.len() / 2;
            if let Some(event) = events.get_mut(middle) {
                event.data = half(&event.data).into();
            }
        }
        Some(Fault::EmptyStream { done: told }) => {
            events.clear();
            done = *told;
        }
        Some(Fault::NoDone {}) => done = false,
        Some(Fault::EndAfter { chunks }) => {
            events.truncate(*chunks);
            done = false;
        }
        Some(Fault::CutAfter { chunks }) => {
            events.truncate(*chunks);
            (done, last) = (false, Some(Step::Cut));
        }
        Some(Fault::StallAfter { chunks }) => {
            events.truncate(*chunks);
            (done, last) = (false, Some(Step::Hang));
        }
        Some(Fault::Set { pointer, value }) => {
            for event in &mut events {
                edit(&mut event.data, pointer, Some(value));
            }
        }
        Some(Fault::Remove { pointer }) => {
            for event in &mut events {
                edit(&mut event.data, pointer, None);
            }
        }
        _ => {}
    }
    let mut framing = Framing { fault, newline: newline(fault), script: VecDeque::new(), split: 0 };
    framing.opening(keep_alive, pace);
    for (index, event) in events.iter().enumerate() {
        if index > 0 && event.tokens > 0 {
            pause(&mut framing.script, pace.gap);
        }
        framing.event(index, event);
    }
    if done {
        let end = framing.newline.repeat(2);
        framing.write(format!("data: [DONE]{end}").into_bytes(), 0);
    }
    let mut script = match fault {
        Some(Fault::Gzip {}) => gzipped(framing.script),
        Some(Fault::BadUtf8 {}) => spoilt(framing.script),
        _ => framing.script,
    };
    if let Some(last) = last {
        // What was written before the end has to be on its way by then.
        script.extend([Step::Flush, last]);
    }
    script
}

fn newline(fault: Option<&Fault>) -> &'static str {
    match fault {
        Some(Fault::Crlf {}) => "\r\n",
        Some(Fault::Cr {}) => "\r",
        _ => "\n",
    }
}

/// Events in bytes, as this stream frames them.
struct Framing<'a> {
    fault: Option<&'a Fault>,
    newline: &'static str,
    script: VecDeque<Step>,
    /// Events so far that had a character of several bytes.
    split: u32,
}

impl Framing<'_> {
    /// What comes before the first event.
    fn opening(&mut self, keep_alive: Option<&str>, pace: Pace) {
        if matches!(self.fault, Some(Fault::Bom {})) {
            self.write("\u{feff}".into(), 0);
        }
        if let Some(Fault::Busy { signs, gap_ms }) = self.fault {
            let sign = keep_alive.unwrap_or(": keep-alive\n\n").replace('\n', self.newline);
            for _ in 0..*signs {
                self.write(sign.clone().into_bytes(), 0);
                pause(&mut self.script, Duration::from_millis(*gap_ms));
            }
        } else if let Some(comment) = keep_alive {
            self.write(comment.replace('\n', self.newline).into_bytes(), 0);
        }
        pause(&mut self.script, pace.first_token);
    }

    fn event(&mut self, index: usize, event: &Event) {
        let newline = self.newline;
        let mut text = String::new();
        match self.fault {
            Some(Fault::Comments {}) => {
                text.push_str(": between events\n\n:\n\n");
            }
            Some(Fault::OddFields {}) => {
                text.push_str(&format!("id: {index}\nretry: 3000\nx-odd: yes\n"));
            }
            _ => {}
        }
        if let Some(name) = event.name {
            text.push_str(&format!("event: {name}{newline}"));
        }
        match self.fault {
            Some(Fault::MultiLine {}) => {
                let pretty = serde_json::from_str::<Value>(&event.data)
                    .and_then(|data| serde_json::to_string_pretty(&data))
                    .unwrap_or_else(|_| event.data.clone());
                for line in pretty.lines() {
                    text.push_str(&format!("data: {line}\n"));
                }
            }
            Some(Fault::Comments {}) => text.push_str(&format!(": within\ndata:{}\n: within\n", event.data)),
            _ => text.push_str(&format!("data: {}{newline}", event.data)),
        }
        if !matches!(self.fault, Some(Fault::NoBlankLine {})) {
            text.push_str(newline);
        }
        if matches!(self.fault, Some(Fault::OddFields {})) {
            text.push_str("event: ping\ndata: {}\n\nid: 7\n\n");
        }
        self.write(text.into_bytes(), event.tokens);
    }

    /// Writes what belongs together; every third time it has a character of several bytes, it leaves in two pieces,
    /// cut inside that character.
    fn write(&mut self, bytes: Vec<u8>, tokens: u64) {
        let bytes = Bytes::from(bytes);
        if let Some(Fault::Drip { bytes: at_once }) = self.fault {
            for start in (0..bytes.len()).step_by(*at_once) {
                let end = (start + at_once).min(bytes.len());
                let tokens = if end == bytes.len() { tokens } else { 0 };
                self.script.extend([Step::Flush, Step::Write(bytes.slice(start..end), tokens)]);
            }
            return;
        }
        match bytes.iter().position(|byte| *byte >= 0xc0) {
            Some(start) if tokens > 0 && self.split.is_multiple_of(3) => {
                self.script.push_back(Step::Write(bytes.slice(..=start), 0));
                self.script.push_back(Step::Flush);
                self.script.push_back(Step::Write(bytes.slice(start + 1..), tokens));
                self.split += 1;
            }
            found => {
                self.split += u32::from(found.is_some());
                self.script.push_back(Step::Write(bytes, tokens));
            }
        }
    }
}

fn pause(script: &mut VecDeque<Step>, wait: Duration) {
    if !wait.is_zero() {
        script.push_back(Step::Wait(wait));
    }
}

/// The first half of a text, cut between two characters.
pub(super) fn half(text: &str) -> &str {
    let mut middle = text.len() / 2;
    while !text.is_char_boundary(middle) {
        middle -= 1;
    }
    &text[..middle]
}

/// Puts a value where `pointer` points, if there is anything around it, or takes it away.
pub(super) fn edit(text: &mut String, pointer: &str, value: Option<&Value>) {
    let Ok(mut json) = serde_json::from_str::<Value>(text) else { return };
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    let name = name.replace("~1", "/").replace("~0", "~");
    match (json.pointer_mut(parent), value) {
        (Some(Value::Object(members)), Some(value)) => {
            members.insert(name, value.clone());
        }
        (Some(Value::Object(members)), None) => {
            members.remove(&name);
        }
        (Some(Value::Array(items)), value) => {
            if let Some(item) = name.parse().ok().and_then(|at: usize| items.get_mut(at)) {
                *item = value.cloned().unwrap_or_default();
            }
        }
        _ => return,
    }
    *text = json.to_string();
}

/// Bytes, compressed.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// All of a stream as one compressed piece.
fn gzipped(script: VecDeque<Step>) -> VecDeque<Step> {
    let (mut text, mut all) = (Vec::new(), 0);
    for step in script {
        if let Step::Write(bytes, tokens) = step {
            text.extend_from_slice(&bytes);
            all += tokens;
        }
    }
    VecDeque::from([Step::Write(gzip(&text).into(), all)])
}

/// With one byte in the middle that is never part of UTF-8.
fn spoilt(mut script: VecDeque<Step>) -> VecDeque<Step> {
    let middle = script.len() / 2;
    if let Some(Step::Write(bytes, _)) =
        script.iter_mut().skip(middle).find(|step| matches!(step, Step::Write(bytes, _) if bytes.len() > 20))
    {
        *bytes = with_bad_byte(bytes).into();
    }
    script
}

/// A copy whose last letter is a byte that no text may contain.
pub(super) fn with_bad_byte(bytes: &[u8]) -> Vec<u8> {
    let mut spoilt = bytes.to_vec();
    if let Some(letter) = spoilt.iter_mut().rev().find(|byte| byte.is_ascii_lowercase()) {
        *letter = 0xff;
    }
    spoilt
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pointer_edits_where_there_is_something_around_it() {
        let mut text = json!({"choices": [{"delta": {"role": "assistant"}}]}).to_string();
        edit(&mut text, "/choices/0/delta/role", None);
        edit(&mut text, "/choices/0/delta/content", Some(&json!(7)));
        edit(&mut text, "/choices/1/delta/content", Some(&json!(8)));
        edit(&mut text, "/usage/total", Some(&json!(9)));
        assert_eq!(text, r#"{"choices":[{"delta":{"content":7}}]}"#);
    }
}
