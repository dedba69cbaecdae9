//! The blocks of a streamed answer, one after the other: what may be said now, and what has to wait?
//!
//! A block is begun, added to and ended before the next one begins. A chat may tell of several calls to tools at once: what
//! belongs to a later block waits until the present one is whole.

use bytes::BytesMut;
use serde_json::value::RawValue;

use crate::{
    dialect::voice::event,
    json::{inside, quoted},
};

/// What waits is not waited for beyond so many bytes: the present block is ended as it is.
const WAITING_MAX_BYTES: usize = 8 * 1024 * 1024;

/// A piece of an answer. Texts are the insides of JSON strings, as they were written.
#[derive(Debug)]
pub(super) enum Piece {
    Thinking(String),
    Text(String),
    /// Part of the call to a tool that the chat counts as the `key`th.
    Tool {
        key: u64,
        id: Option<String>,
        name: Option<String>,
        arguments: String,
    },
}

impl Piece {
    fn bytes(&self) -> usize {
        match self {
            Self::Thinking(text) | Self::Text(text) => text.len(),
            Self::Tool { arguments, .. } => arguments.len() + 64,
        }
    }
}

/// The block that is open.
#[derive(Debug)]
enum Open {
    None,
    Thinking,
    Text,
    Tool { key: u64, whole: Balance },
}

/// See the module.
#[derive(Debug)]
pub(super) struct Blocks {
    open: Open,
    /// How many blocks were begun.
    begun: u64,
    waiting: Vec<Piece>,
    waiting_bytes: usize,
    /// What ids are made of where an upstream gives none.
    id: String,
    /// Whether a tool was called.
    pub(super) called: bool,
}

impl Blocks {
    pub(super) fn new(id: &str) -> Self {
        let id = id.to_owned();
        Self { open: Open::None, begun: 0, waiting: Vec::new(), waiting_bytes: 0, id, called: false }
    }

    /// Says a piece, or keeps it until its time has come.
    pub(super) fn say(&mut self, piece: Piece, out: &mut BytesMut) {
        if self.has_to_wait(&piece) {
            self.waiting_bytes += piece.bytes();
            self.keep(piece);
            if self.waiting_bytes <= WAITING_MAX_BYTES {
                return;
            }
            self.end(out);
        } else {
            self.add(piece, out);
        }
        self.catch_up(out);
    }

    /// Says whatever waits and ends the last block.
    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        self.catch_up(out);
        while !self.waiting.is_empty() {
            self.end(out);
            self.catch_up(out);
        }
        self.end(out);
    }

    /// Whether it belongs to another block than one that is not whole yet.
    fn has_to_wait(&self, piece: &Piece) -> bool {
        match (&self.open, piece) {
            (Open::Tool { key, .. }, Piece::Tool { key: other, .. }) if key == other => false,
            (Open::Tool { whole, .. }, _) => !whole.is_whole(),
            _ => false,
        }
    }

    /// Pieces of one block are kept as one.
    fn keep(&mut self, piece: Piece) {
        if let Piece::Tool { key, arguments, .. } = &piece {
            let same = |kept: &&mut Piece| matches!(kept, Piece::Tool { key: kept, .. } if kept == key);
            if let Some(Piece::Tool { arguments: kept, .. }) = self.waiting.iter_mut().find(same) {
                kept.push_str(arguments);
                return;
            }
        }
        if let (Some(Piece::Text(kept)), Piece::Text(text))
        | (Some(Piece::Thinking(kept)), Piece::Thinking(text)) = (self.waiting.last_mut(), &piece)
        {
            kept.push_str(text);
            return;
        }
        self.waiting.push(piece);
    }

    fn catch_up(&mut self, out: &mut BytesMut) {
        while let Some(at) = self.waiting.iter().position(|piece| !self.has_to_wait(piece)) {
            let piece = self.waiting.remove(at);
            self.waiting_bytes = self.waiting_bytes.saturating_sub(piece.bytes());
            self.add(piece, out);
        }
    }

    fn add(&mut self, piece: Piece, out: &mut BytesMut) {
        match piece {
            Piece::Thinking(text) => {
                if !matches!(self.open, Open::Thinking) {
                    self.begin(Open::Thinking, r#"{"type":"thinking","thinking":"","signature":""}"#, out);
                }
                self.delta(&format!(r#"{{"type":"thinking_delta","thinking":"{text}"}}"#), out);
            }
            Piece::Text(text) => {
                if !matches!(self.open, Open::Text) {
                    self.begin(Open::Text, r#"{"type":"text","text":""}"#, out);
                }
                self.delta(&format!(r#"{{"type":"text_delta","text":"{text}"}}"#), out);
            }
            Piece::Tool { key, id, name, arguments } => {
                if !matches!(self.open, Open::Tool { key: open, .. } if open == key) {
                    self.called = true;
                    let id = id.unwrap_or_else(|| format!("toolu_{}_{key}", self.id));
                    let (id, name) = (quoted(&id), quoted(name.as_deref().unwrap_or_default()));
                    let block = format!(
                        r#"{{"type":"tool_use","id":{},"name":{},"input":{{}}}}"#,
                        String::from_utf8_lossy(&id),
                        String::from_utf8_lossy(&name)
                    );
                    self.begin(Open::Tool { key, whole: Balance::default() }, &block, out);
                }
                if arguments.is_empty() {
                    return;
                }
                if let Open::Tool { whole, .. } = &mut self.open {
                    whole.read(&arguments);
                }
                self.delta(&format!(r#"{{"type":"input_json_delta","partial_json":"{arguments}"}}"#), out);
            }
        }
    }

    fn begin(&mut self, block: Open, json: &str, out: &mut BytesMut) {
        self.end(out);
        let index = self.begun;
        self.begun += 1;
        self.open = block;
        let json = format!(r#"{{"type":"content_block_start","index":{index},"content_block":{json}}}"#);
        event(Some("content_block_start"), json.as_bytes(), out);
    }

    fn delta(&self, json: &str, out: &mut BytesMut) {
        let index = self.begun.saturating_sub(1);
        let json = format!(r#"{{"type":"content_block_delta","index":{index},"delta":{json}}}"#);
        event(Some("content_block_delta"), json.as_bytes(), out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        if matches!(self.open, Open::None) {
            return;
        }
        self.open = Open::None;
        let index = self.begun.saturating_sub(1);
        let json = format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
        event(Some("content_block_stop"), json.as_bytes(), out);
    }
}

/// Whether the JSON object that is being spelled out is complete.
#[derive(Debug, Default)]
struct Balance {
    depth: usize,
    in_string: bool,
    escaped: bool,
    closed: bool,
}

impl Balance {
    const fn is_whole(&self) -> bool {
        self.closed
    }

    /// Reads the inside of a JSON string that holds the next part.
    fn read(&mut self, escaped: &str) {
        // An escape is never cut: every piece was a JSON string of its own. Of what it stands for only these matter.
        let mut chars = escaped.chars();
        while let Some(c) = chars.next() {
            let meant = if c == '\\' {
                match chars.next() {
                    Some(c @ ('"' | '\\')) => c,
                    Some('u') => {
                        let hex: String = chars.by_ref().take(4).collect();
                        u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32).unwrap_or(' ')
                    }
                    _ => ' ',
                }
            } else {
                c
            };
            self.step(meant);
        }
    }

    const fn step(&mut self, c: char) {
        if self.in_string {
            match c {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match c {
            '"' => self.in_string = true,
            '{' | '[' => self.depth += 1,
            '}' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.closed = true;
                }
            }
            _ => {}
        }
    }
}

/// The inside of a string; of anything else, the inside of a string that holds its text.
pub(super) fn written(raw: &RawValue) -> String {
    match inside(raw) {
        Some(inside) => inside.to_owned(),
        None => {
            let quoted = quoted(raw.get());
            String::from_utf8_lossy(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default())
                .into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(key: u64, name: Option<&str>, arguments: &str) -> Piece {
        let id = name.map(|name| format!("id_{name}"));
        Piece::Tool { key, id, name: name.map(str::to_owned), arguments: arguments.to_owned() }
    }

    /// Each event in short: `+f` a tool begins, `+t` a text, `-` a block ends, else what is added.
    fn told(pieces: Vec<Piece>) -> String {
        let mut blocks = Blocks::new("x");
        let mut out = BytesMut::new();
        for piece in pieces {
            blocks.say(piece, &mut out);
        }
        blocks.finish(&mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        let events = text.trim_end().split("\n\n").map(|event| {
            let (name, data) = event.split_once("\ndata: ").unwrap();
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
            match data["type"].as_str().unwrap() {
                "content_block_start" if data["content_block"]["type"] == "tool_use" => {
                    format!("+{}", data["content_block"]["name"].as_str().unwrap())
                }
                "content_block_start" => {
                    format!("+{}", &data["content_block"]["type"].as_str().unwrap()[..2])
                }
                "content_block_stop" => "-".to_owned(),
                _ => {
                    let delta = data["delta"].as_object().unwrap();
                    let said = delta.iter().find(|(name, _)| *name != "type").unwrap().1;
                    said.as_str().unwrap().to_owned()
                }
            }
        });
        events.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn blocks_follow_one_another() {
        let text = |text: &str| Piece::Text(text.to_owned());
        assert_eq!(
            told(vec![
                Piece::Thinking("hm".into()),
                text("a"),
                text("b"),
                tool(0, Some("f"), ""),
                tool(0, None, "{}"),
                tool(1, Some("g"), "{"),
                tool(1, None, r#"\"a\":\"}\"}"#),
                text("c"),
            ]),
            r#"+th hm - +te a b - +f {} - +g { "a":"}"} - +te c -"#
        );
    }

    #[test]
    fn calls_that_are_told_at_once_are_put_one_after_the_other() {
        assert_eq!(
            told(vec![
                tool(0, Some("f"), "{"),
                tool(1, Some("g"), "{"),
                tool(2, Some("h"), ""),
                tool(1, None, "}"),
                Piece::Text("x".into()),
                tool(0, None, "}"),
            ]),
            "+f { } - +g {} - +h - +te x -"
        );
    }

    #[test]
    fn no_more_waits_than_there_is_room_for() {
        let long = "y".repeat(WAITING_MAX_BYTES);
        let told = told(vec![tool(0, Some("f"), "{"), tool(1, Some("g"), &long), tool(0, None, "}")]);
        assert!(told.starts_with("+f { - +g yy"), "{}", &told[..40]);
    }
}
