//! Server-sent events out of bytes, however the network cut them.
//!
//! Lenient where upstreams are sloppy: any line ends, a byte order mark, a bare JSON line, several JSON texts without a
//! blank line between them, a last event without one. Comments and `event: ping` are no events.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memchr2;
use serde::de::IgnoredAny;

/// A larger event is not waited for.
const EVENT_MAX_BYTES: usize = 8 * 1024 * 1024;

/// One event with data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its data; lines joined by line feeds.
    pub data: Bytes,
    /// Whether it was called `error`.
    pub is_error: bool,
}

/// An event that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {EVENT_MAX_BYTES} bytes")]
pub struct EventTooLarge;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Name {
    #[default]
    Plain,
    Ping,
    Error,
}

/// Takes bytes, gives events.
#[derive(Debug, Default)]
pub struct Scanner {
    buffer: BytesMut,
    /// How much of the buffer holds no line end.
    scanned: usize,
    begun: bool,
    skip_lf: bool,
    data: Option<Bytes>,
    name: Name,
    ready: VecDeque<Event>,
}

impl Scanner {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`EventTooLarge`]; nothing more can be read then.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        self.buffer.extend_from_slice(bytes);
        if !self.begun {
            const BOM: &[u8] = b"\xef\xbb\xbf";
            if self.buffer.len() < BOM.len() && BOM.starts_with(&self.buffer) {
                return Ok(());
            }
            if self.buffer.starts_with(BOM) {
                self.buffer.advance(BOM.len());
            }
            self.begun = true;
        }
        self.lines();
        let pending = self.buffer.len() + self.data.as_ref().map_or(0, Bytes::len);
        if pending > EVENT_MAX_BYTES { Err(EventTooLarge) } else { Ok(()) }
    }

    /// Whether an event is complete.
    pub fn has_event(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The next complete event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    /// The bytes are over: what stands there without a line end counts all the same.
    pub fn finish(&mut self) {
        self.begun = true;
        self.lines();
        let rest = self.buffer.split().freeze();
        if !rest.is_empty() {
            self.line(rest);
        }
        self.dispatch();
    }

    fn lines(&mut self) {
        loop {
            if self.skip_lf && !self.buffer.is_empty() {
                if self.buffer.first() == Some(&b'\n') {
                    self.buffer.advance(1);
                }
                self.skip_lf = false;
                self.scanned = 0;
            }
            let unseen = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(at) = memchr2(b'\n', b'\r', unseen) else {
                self.scanned = self.buffer.len();
                return;
            };
            let line = self.buffer.split_to(self.scanned + at).freeze();
            // A CR ends the line at once; whether an LF follows it is seen when it comes.
            self.skip_lf = self.buffer.first() == Some(&b'\r');
            self.buffer.advance(1);
            self.scanned = 0;
            self.line(line);
        }
    }

    fn line(&mut self, line: Bytes) {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = match line.iter().position(|&b| b == b':') {
            Some(0) => return,
            // A bare JSON line is an event of its own at some relays.
            _ if line.first() == Some(&b'{') => {
                self.add_data(line);
                return self.dispatch();
            }
            Some(colon) => {
                let after = line.get(colon + 1..).unwrap_or_default();
                let skip = colon + 1 + usize::from(after.first() == Some(&b' '));
                (line.slice(..colon), line.slice(skip..))
            }
            None => (line.clone(), Bytes::new()),
        };
        match field.as_ref() {
            b"data" => self.add_data(value),
            b"event" => {
                self.name = match value.as_ref() {
                    b"ping" => Name::Ping,
                    b"error" => Name::Error,
                    _ => Name::Plain,
                }
            }
            _ => {}
        }
    }

    fn add_data(&mut self, line: Bytes) {
        let Some(before) = self.data.take().filter(|data| !data.is_empty()) else {
            self.data = Some(line);
            return;
        };
        if is_whole(&before) && starts_anew(&line) {
            self.data = Some(before);
            let name = self.name;
            self.dispatch();
            self.name = name;
            self.data = Some(line);
            return;
        }
        let mut joined = BytesMut::with_capacity(before.len() + 1 + line.len());
        joined.extend_from_slice(&before);
        joined.extend_from_slice(b"\n");
        joined.extend_from_slice(&line);
        self.data = Some(joined.freeze());
    }

    fn dispatch(&mut self) {
        let name = std::mem::take(&mut self.name);
        let Some(data) = self.data.take() else { return };
        if name == Name::Ping || data.trim_ascii().is_empty() {
            return;
        }
        self.ready.push_back(Event { data, is_error: name == Name::Error });
    }
}

/// Whether the blank line that should end this event was forgotten: asked only where a second data line follows.
fn is_whole(data: &[u8]) -> bool {
    data.trim_ascii() == b"[DONE]" || serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

fn starts_anew(line: &[u8]) -> bool {
    matches!(line.trim_ascii_start().first(), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scan(pieces: &[&[u8]]) -> Vec<String> {
        let mut scanner = Scanner::default();
        for piece in pieces {
            scanner.push(piece).unwrap();
        }
        scanner.finish();
        std::iter::from_fn(|| scanner.next_event())
            .map(|event| {
                format!("{}{}", if event.is_error { "!" } else { "" }, String::from_utf8_lossy(&event.data))
            })
            .collect()
    }

    #[test]
    fn reads_what_upstreams_really_send() {
        let cases: [(&str, &[&str]); 13] = [
            ("data: {\"a\":1}\n\ndata: [DONE]\n\n", &["{\"a\":1}", "[DONE]"]),
            ("data:{}\r\n\r\ndata: {}\r\r", &["{}", "{}"]),
            ("\u{feff}data: {}\n\n", &["{}"]),
            (": keep-alive\n\n: x\ndata: 1\n\n", &["1"]),
            ("data: a\ndata: b\n\n", &["a\nb"]),
            ("data: {\ndata: }\n\n", &["{\n}"]),
            ("data: {\"a\":1}\ndata: {\"b\":2}\ndata: [DONE]\n", &["{\"a\":1}", "{\"b\":2}", "[DONE]"]),
            ("{\"code\":\"X\"}\n", &["{\"code\":\"X\"}"]),
            ("event: ping\ndata: {}\n\ndata: 1\n\n", &["1"]),
            ("event: error\ndata: {\"x\":1}\n\n", &["!{\"x\":1}"]),
            ("id: 1\nretry: 3\n\ndata\n\ndata:\n\n", &[]),
            ("data: 你好\u{2028}\n\n", &["你好\u{2028}"]),
            ("data: last", &["last"]),
        ];
        for (text, events) in cases {
            assert_eq!(scan(&[text.as_bytes()]), events, "{text:?}");
        }
    }

    #[test]
    fn an_endless_event_is_given_up() {
        let mut scanner = Scanner::default();
        let piece = vec![b'x'; 1024 * 1024];
        let refused = (0..9).find_map(|_| scanner.push(&piece).err());
        assert_eq!(refused, Some(EventTooLarge));
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("data: "),
            Just("data:"),
            Just("{\"a\":\"你\"}"),
            Just("[DONE]"),
            Just("\n"),
            Just("\r"),
            Just("\r\n"),
            Just("\n\n"),
            Just(": c"),
            Just("event: error"),
            Just("event: ping"),
            Just("\u{feff}"),
            Just("x"),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(text in pieces(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.sort_unstable();
            at.push(bytes.len());
            let mut from = 0;
            let mut split = Vec::new();
            for to in at {
                split.push(&bytes[from..to]);
                from = to;
            }
            let whole = scan(&[bytes]);
            prop_assert_eq!(scan(&split), whole.clone());
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(scan(&single), whole);
        }
    }
}
