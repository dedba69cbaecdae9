//! A chat's messages in Anthropic's words: a system prompt, and turns of users and assistants.

use serde_json::value::RawValue;

use super::{request::Unsaid, tools::tool_id};
use crate::json::{ListWriter, Object, ObjectWriter, Odd, inside, is_text, items, word};

/// Members of messages that may be lost: names, and what earlier answers were told beside their text.
const HINTS: [&str; 6] =
    ["name", "reasoning_content", "reasoning", "reasoning_details", "annotations", "cache_control"];
/// Members of parts that may be lost.
const PART_HINTS: [&str; 2] = ["detail", "prompt_cache_breakpoint"];

/// A conversation, said.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// The blocks of the system prompt.
    pub(super) system: Vec<Vec<u8>>,
    turns: Vec<Turn>,
}

#[derive(Debug)]
struct Turn {
    role: Role,
    blocks: Vec<Vec<u8>>,
    /// How many blocks at the beginning are results of tools.
    results: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
}

impl Conversation {
    /// Reads the messages of a chat.
    pub(super) fn read(messages: &RawValue) -> Result<Self, Unsaid> {
        let mut conversation = Self::default();
        for (path, raw) in items(messages, "messages")? {
            conversation.message(Object::read(raw, path)?)?;
        }
        // A chat may be nothing but instructions.
        if conversation.turns.is_empty()
            && let Some(last) = conversation.system.pop()
        {
            conversation.turns.push(Turn { role: Role::User, blocks: vec![last], results: 0 });
        }
        Ok(conversation)
    }

    /// The turns as `messages`.
    pub(super) fn said(&self) -> Vec<u8> {
        let mut out = ListWriter::new(4_096);
        for turn in &self.turns {
            let mut message = ObjectWriter::new(256);
            message.text("role", if turn.role == Role::User { "user" } else { "assistant" });
            message.raw("content", &list(&turn.blocks));
            out.raw(&message.finish());
        }
        out.finish()
    }

    /// Whether the model is in the middle of using tools: what it thought when it called them is not there any more.
    pub(super) fn is_among_tools(&self) -> bool {
        self.turns.last().is_some_and(|turn| turn.results > 0)
    }

    fn message(&mut self, mut message: Object<'_>) -> Result<(), Unsaid> {
        let role_at = message.at("role");
        let role = message.word("role")?.ok_or_else(|| Odd::missing(role_at.clone()))?;
        message.pass_over(&HINTS);
        match role.as_ref() {
            "system" | "developer" => {
                let texts = content(&mut message)?;
                self.system.extend(texts);
            }
            "user" => {
                let blocks = content(&mut message)?;
                self.says(Role::User, blocks);
            }
            "assistant" => {
                let blocks = assistant(&mut message)?;
                self.says(Role::Assistant, blocks);
            }
            "tool" => {
                let result = tool_result(&mut message)?;
                self.result(result);
            }
            _ => return Err(Unsaid::new(role_at, "is a role that is not known here")),
        }
        Unsaid::unless_all_is_said(message)
    }

    /// Goes on with the present turn, or begins one; `blocks` that are none begin nothing.
    fn says(&mut self, role: Role, blocks: Vec<Vec<u8>>) {
        match self.turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.blocks.extend(blocks),
            None if blocks.is_empty() => {}
            None => self.turns.push(Turn { role, blocks, results: 0 }),
        }
    }

    /// Results stand before whatever else is said in their turn.
    fn result(&mut self, block: Vec<u8>) {
        match self.turns.last_mut().filter(|turn| turn.role == Role::User) {
            Some(turn) => {
                turn.blocks.insert(turn.results.min(turn.blocks.len()), block);
                turn.results += 1;
            }
            None => self.turns.push(Turn { role: Role::User, blocks: vec![block], results: 1 }),
        }
    }
}

fn list(blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut out = ListWriter::new(blocks.iter().map(|block| block.len() + 1).sum());
    for block in blocks {
        out.raw(block);
    }
    out.finish()
}

/// `content` as blocks; an empty text is none, which Anthropic would refuse.
fn content(message: &mut Object<'_>) -> Result<Vec<Vec<u8>>, Unsaid> {
    let path = message.at("content");
    let Some(said) = message.take("content")? else { return Ok(Vec::new()) };
    if is_text(said) {
        return Ok(text(said, None).into_iter().collect());
    }
    let mut blocks = Vec::new();
    for (path, raw) in items(said, &path).map_err(|_| Odd::expected(path, "a string or an array of parts"))? {
        let mut part = Object::read(raw, path)?;
        let kind_at = part.at("type");
        let kind = part.word("type")?.ok_or_else(|| Odd::missing(kind_at.clone()))?;
        let cache = part.take("cache_control")?;
        match kind.as_ref() {
            "text" => blocks.extend(text(part.need_text("text")?, cache)),
            "refusal" => blocks.extend(text(part.need_text("refusal")?, cache)),
            "image_url" => blocks.push(image(&mut part, cache)?),
            "file" => blocks.push(file(&mut part, cache)?),
            _ => return Err(Unsaid::new(kind_at, "is a kind of content that is not taken here")),
        }
        part.pass_over(&PART_HINTS);
        Unsaid::unless_all_is_said(part)?;
    }
    Ok(blocks)
}

fn text(raw: &RawValue, cache: Option<&RawValue>) -> Option<Vec<u8>> {
    if inside(raw).is_none_or(str::is_empty) {
        return None;
    }
    let mut out = ObjectWriter::new(raw.get().len() + 64);
    out.raw("type", b"\"text\"").raw("text", raw.get().as_bytes());
    Some(cached(out, cache))
}

fn cached(mut block: ObjectWriter, cache: Option<&RawValue>) -> Vec<u8> {
    if let Some(cache) = cache {
        block.raw("cache_control", cache.get().as_bytes());
    }
    block.finish()
}

/// The parts of `"data:image/png;base64,…"`, as they are written; escapes do not occur in them.
fn data_url(url: &RawValue) -> Option<(&str, &str)> {
    let (media, data) = inside(url)?.strip_prefix("data:")?.split_once(";base64,")?;
    (!media.contains('\\')).then_some((media, data))
}

/// A source of bytes that stand in the call.
fn base64(media: &str, data: &str) -> Vec<u8> {
    let mut source = ObjectWriter::new(data.len() + 96);
    let quoted = |inside: &str| [b"\"", inside.as_bytes(), b"\""].concat();
    source.raw("type", b"\"base64\"").raw("media_type", &quoted(media)).raw("data", &quoted(data));
    source.finish()
}

fn image(part: &mut Object<'_>, cache: Option<&RawValue>) -> Result<Vec<u8>, Unsaid> {
    let path = part.at("image_url");
    let raw = part.need("image_url")?;
    let url = if is_text(raw) {
        raw
    } else {
        let mut image = Object::read(raw, path)?;
        let url = image.need_text("url")?;
        image.pass_over(&PART_HINTS);
        Unsaid::unless_all_is_said(image)?;
        url
    };
    let source = match data_url(url) {
        Some((media, data)) => base64(media, data),
        None => {
            let mut source = ObjectWriter::new(url.get().len() + 32);
            source.raw("type", b"\"url\"").raw("url", url.get().as_bytes());
            source.finish()
        }
    };
    let mut block = ObjectWriter::new(source.len() + 64);
    block.raw("type", b"\"image\"").raw("source", &source);
    Ok(cached(block, cache))
}

fn file(part: &mut Object<'_>, cache: Option<&RawValue>) -> Result<Vec<u8>, Unsaid> {
    let missing = part.at("file");
    let mut file = part.object("file")?.ok_or(Odd::missing(missing))?;
    let data_at = file.at("file_data");
    let Some(data) = file.text("file_data")? else {
        return Err(Unsaid::new(
            file.at("file_id"),
            "names a file that only the provider has which it was given to",
        ));
    };
    let title = file.text("filename")?;
    Unsaid::unless_all_is_said(file)?;
    let Some((media, data)) = data_url(data).filter(|(media, _)| *media == "application/pdf") else {
        return Err(Unsaid::new(data_at, "can only be a PDF here, as `data:application/pdf;base64,…`"));
    };
    let mut block = ObjectWriter::new(data.len() + 160);
    block.raw("type", b"\"document\"").raw("source", &base64(media, data));
    if let Some(title) = title {
        block.raw("title", title.get().as_bytes());
    }
    Ok(cached(block, cache))
}

fn assistant(message: &mut Object<'_>) -> Result<Vec<Vec<u8>>, Unsaid> {
    let mut blocks = content(message)?;
    if let Some(refusal) = message.text("refusal")? {
        blocks.extend(text(refusal, None));
    }
    for (path, raw) in message.list("tool_calls")?.unwrap_or_default() {
        blocks.push(tool_use(Object::read(raw, path)?)?);
    }
    Ok(blocks)
}

fn tool_use(mut call: Object<'_>) -> Result<Vec<u8>, Unsaid> {
    let kind_at = call.at("type");
    if call.word("type")?.is_some_and(|kind| kind != "function") {
        return Err(Unsaid::new(kind_at, "can only be `function` here"));
    }
    let id = tool_id(call.need_text("id")?);
    let missing = call.at("function");
    let mut function = call.object("function")?.ok_or(Odd::missing(missing))?;
    let name = function.need_text("name")?;
    let arguments_at = function.at("arguments");
    let arguments = function.text("arguments")?.and_then(word).unwrap_or_default();
    Unsaid::unless_all_is_said(function)?;
    call.pass_over(&["index", "extra_content"]);
    Unsaid::unless_all_is_said(call)?;
    let arguments = match arguments.trim() {
        "" => "{}",
        object if serde_json::from_str::<&RawValue>(object).is_ok() && object.starts_with('{') => object,
        _ => return Err(Unsaid::new(arguments_at, "has to spell a JSON object here")),
    };
    let mut block = ObjectWriter::new(arguments.len() + 128);
    block.raw("type", b"\"tool_use\"").raw("id", &id).raw("name", name.get().as_bytes());
    block.raw("input", arguments.as_bytes());
    Ok(block.finish())
}

fn tool_result(message: &mut Object<'_>) -> Result<Vec<u8>, Unsaid> {
    let id = tool_id(message.need_text("tool_call_id")?);
    let blocks = content(message)?;
    let mut block = ObjectWriter::new(256);
    block.raw("type", b"\"tool_result\"").raw("tool_use_id", &id);
    if !blocks.is_empty() {
        block.raw("content", &list(&blocks));
    }
    Ok(block.finish())
}
