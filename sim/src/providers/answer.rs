//! What does a simulated model say? The same for the same seed and prompt, and never quite the same as a real one.
use serde_json::{Map, Value, json};

use super::ask::{Ask, Format, ToolChoice};
use crate::random::Dice;

/// Schemas nested deeper than this are answered with null.
const DEPTH_MAX: usize = 16;
/// Longest piece of the question that comes back, characters.
const ECHO_MAX: usize = 40;

/// How a model of some name behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// Answers at length, and thinks first where the provider shows it.
    pub(super) smart: bool,
    /// Gaps between tokens are this many times as long.
    pub(super) slowness: u64,
    /// Every second call fails.
    pub(super) flaky: bool,
}

impl Manner {
    /// A name nobody knows behaves like `sim-fast`.
    pub(super) fn of(model: &str) -> Self {
        Self {
            smart: matches!(model, "sim-smart" | "sim-luxury"),
            slowness: if model == "sim-slow" { 10 } else { 1 },
            flaky: model == "sim-flaky",
        }
    }
}

/// A whole answer, in tokens.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) choices: Vec<Choice>,
    pub(super) prompt_tokens: u64,
}

/// One choice of an answer.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) reasoning: Vec<String>,
    pub(super) words: Vec<String>,
    pub(super) call: Option<Call>,
    pub(super) finish: &'static str,
}

/// A call of a tool; its arguments come in pieces.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) pieces: Vec<String>,
}

/// What an answer used, tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    pub(super) prompt: u64,
    pub(super) completion: u64,
    /// The part of `completion` that was thinking.
    pub(super) reasoning: u64,
}

impl Choice {
    pub(super) fn tokens(&self) -> usize {
        self.reasoning.len() + self.words.len() + self.call.as_ref().map_or(0, |call| call.pieces.len())
    }
}

impl Answer {
    pub(super) fn count(&self) -> Count {
        Count {
            prompt: self.prompt_tokens,
            completion: self.choices.iter().map(|choice| choice.tokens() as u64).sum(),
            reasoning: self.choices.iter().map(|choice| choice.reasoning.len() as u64).sum(),
        }
    }

    /// Answers `ask`. `thinks`: with reasoning in front; `tool_id` makes ids as the provider writes them.
    pub(super) fn compose(seed: u64, ask: &Ask, thinks: bool, tool_id: fn(&mut Dice) -> String) -> Self {
        let choices = (0..ask.choices)
            .map(|index| {
                let mut dice = Dice::of(seed.wrapping_add(index as u64), &ask.text);
                let mut choice = choose(ask, thinks, tool_id, &mut dice);
                shorten(&mut choice, ask.tokens_max);
                choice
            })
            .collect();
        Self { choices, prompt_tokens: ask.prompt_tokens }
    }
}

fn choose(ask: &Ask, thinks: bool, tool_id: fn(&mut Dice) -> String, dice: &mut Dice) -> Choice {
    let echo = echo(&ask.last_user);
    let reasoning = if thinks {
        tokens(&format!("用户说的是「{echo}」。先想一想 🤔 the answer is simulated, so it can be short."))
    } else {
        Vec::new()
    };
    if let Some(call) = call(ask, tool_id, dice) {
        return Choice { reasoning, words: Vec::new(), call: Some(call), finish: "tool_calls" };
    }
    let text = match &ask.format {
        Format::Text => prose(ask, &echo, dice),
        Format::Json => {
            json!({"answer": format!("你好 👋 {echo}"), "score": 7, "sure": true, "tags": ["模拟", "sim"]})
                .to_string()
        }
        Format::Schema(schema) => fill(schema, &echo).to_string(),
    };
    Choice { reasoning, words: tokens(&text), call: None, finish: "stop" }
}

fn prose(ask: &Ask, echo: &str, dice: &mut Dice) -> String {
    let hello = dice.choose(&["你好", "您好", "嗨", "Hello，你好"]);
    let face = dice.choose(&["👋", "😀", "🎉", "🐼"]);
    let mut text = format!("{hello}！{face} 这是模拟回答：你说的是「{echo}」。");
    if Manner::of(&ask.model).smart {
        text.push_str(" 下面说得详细一些。First, nothing here was computed by a model; ");
        text.push_str("second, 每个字都由种子和问题决定，同样的问题得到同样的回答。");
        for _ in 0..3 {
            text.push_str(dice.choose(&[
                "再者，流式传输会把一个汉字拆成两半。",
                "Besides, a token here is a word or a single character. ",
                "最后，用量在结尾给出 📊。",
                "Whoever reads this has paid for it. ",
            ]));
        }
    }
    text
}

/// The beginning of what the user said, on one line.
fn echo(said: &str) -> String {
    let line: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    line.trim().chars().take(ECHO_MAX).collect()
}

fn call(ask: &Ask, tool_id: fn(&mut Dice) -> String, dice: &mut Dice) -> Option<Call> {
    let about_weather = ask.last_role == "user"
        && (ask.last_user.contains("天气") || ask.last_user.to_ascii_lowercase().contains("weather"));
    let tool = match &ask.tool_choice {
        ToolChoice::None => None,
        ToolChoice::Named(name) => ask.tools.iter().find(|tool| tool.name == *name),
        ToolChoice::Required => ask.tools.first(),
        ToolChoice::Auto => ask.tools.first().filter(|_| about_weather),
    }?;
    let arguments = match &tool.parameters {
        Value::Object(schema) if !schema.is_empty() => fill(&tool.parameters, &echo(&ask.last_user)),
        _ => json!({}),
    };
    Some(Call { id: tool_id(dice), name: tool.name.clone(), pieces: pieces(&arguments.to_string()) })
}

/// Makes values that fit a JSON schema.
struct Filler<'a> {
    /// Where `$ref` points into.
    root: &'a Value,
    echo: &'a str,
    /// How many more values may be made; a schema can ask for more than anybody wants.
    left: usize,
}

fn fill(schema: &Value, echo: &str) -> Value {
    Filler { root: schema, echo, left: 2_000 }.value(schema, "", 0)
}

impl Filler<'_> {
    /// A value for the property `name`.
    fn value(&mut self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > DEPTH_MAX || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(target) = schema["$ref"].as_str() {
            let target = target.strip_prefix('#').and_then(|path| self.root.pointer(path));
            return target.map_or(Value::Null, |target| self.value(target, name, depth + 1));
        }
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(first) = schema["enum"].get(0) {
            return first.clone();
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = schema[several].get(0) {
                return self.value(first, name, depth + 1);
            }
        }
        let kind = match &schema["type"] {
            Value::String(kind) => kind.as_str(),
            Value::Array(kinds) => {
                kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
            }
            _ if schema["properties"].is_object() => "object",
            _ => "string",
        };
        match kind {
            "object" => {
                let properties = schema["properties"].as_object();
                let filled = properties
                    .into_iter()
                    .flatten()
                    .map(|(name, property)| (name.clone(), self.value(property, name, depth + 1)));
                Value::Object(filled.collect::<Map<_, _>>())
            }
            "array" => {
                // Lists of lists end somewhere.
                let usual = u64::from(depth <= DEPTH_MAX / 2);
                let len = schema["minItems"].as_u64().unwrap_or(usual).min(16);
                (0..len).map(|_| self.value(&schema["items"], name, depth + 1)).collect()
            }
            "integer" => schema["minimum"].as_i64().or(schema["maximum"].as_i64()).unwrap_or(7).into(),
            "number" => schema["minimum"].as_f64().or(schema["maximum"].as_f64()).unwrap_or(7.5).into(),
            "boolean" => true.into(),
            "null" => Value::Null,
            _ => match (schema["format"].as_str(), name) {
                (Some("date"), _) => "2026-01-31".into(),
                (Some("date-time"), _) => "2026-01-31T08:00:00+08:00".into(),
                (Some("email"), _) => "sim@example.test".into(),
                (Some("uri"), _) => "https://example.test/".into(),
                (_, "city" | "location" | "place") => "北京".into(),
                (_, "unit") => "celsius".into(),
                _ => format!("模拟 {} 😀", self.echo).into(),
            },
        }
    }
}

/// Splits a text into what counts as a token here: a word of up to 12 ASCII letters with the blank before it, or any
/// other single character.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut open = false;
    for c in text.chars() {
        let letter = c.is_ascii_alphanumeric();
        match tokens.last_mut() {
            Some(word) if open && letter && word.len() < 13 => word.push(c),
            _ => tokens.push(c.into()),
        }
        open = letter || c == ' ';
    }
    tokens
}

/// Splits arguments without regard to words, every eight characters.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(8).map(|piece| piece.iter().collect()).collect()
}

/// Cuts a choice off where the client's limit is.
fn shorten(choice: &mut Choice, tokens_max: usize) {
    if choice.tokens() <= tokens_max {
        return;
    }
    choice.finish = "length";
    choice.reasoning.truncate(tokens_max);
    let left = tokens_max - choice.reasoning.len();
    choice.words.truncate(left);
    if let Some(call) = &mut choice.call {
        call.pieces.truncate(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_put_together_are_the_text_again() {
        let text = "Hello，你好！👋 a rather-long incomprehensibilities word  two blanks\nend";
        assert_eq!(tokens(text).concat(), text);
        assert_eq!(tokens("one two 三"), ["one", " two", " ", "三"]);
    }

    #[test]
    fn a_schema_is_filled_in_every_kind_of_property() {
        let schema = json!({"type": "object", "$defs": {"mood": {"enum": ["good", "bad"]}}, "properties": {
            "city": {"type": "string"}, "count": {"type": "integer", "minimum": 3}, "share": {"type": "number"},
            "sure": {"type": "boolean"}, "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "mood": {"$ref": "#/$defs/mood"}, "maybe": {"type": ["null", "integer"]},
            "self": {"$ref": "#"}
        }});
        let filled = fill(&schema, "hi");
        assert_eq!(filled["city"], "北京");
        assert_eq!(filled["count"], 3);
        assert_eq!(filled["share"], 7.5);
        assert_eq!(filled["sure"], true);
        assert_eq!(filled["tags"].as_array().map(Vec::len), Some(2));
        assert_eq!(filled["mood"], "good");
        assert_eq!(filled["maybe"], 7);
    }
}
