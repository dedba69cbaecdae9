//! What does a simulated model say? The same for the same seed and prompt, and never quite the same as a real one.
use std::borrow::Cow;

use serde_json::{Value, json};

use super::ask::{Ask, Format, ToolChoice};
use super::fill::fill;
use crate::faults::Fault;
use crate::random::Dice;

/// Longest piece of the question that comes back, characters.
const ECHO_MAX: usize = 40;
/// How many braces of a prompt are looked at for the beginning of a schema.
const BRACES_MAX: usize = 50;

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
    pub(super) calls: Vec<Call>,
    /// In OpenAI's words, unless a fault has put others there.
    pub(super) finish: Cow<'static, str>,
    /// The stop sequence that ended it.
    pub(super) stopped_by: Option<String>,
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
        self.reasoning.len()
            + self.words.len()
            + self.calls.iter().map(|call| call.pieces.len()).sum::<usize>()
    }

    /// The answer's text.
    pub(super) fn text(&self) -> String {
        self.words.concat()
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

    /// Says something before a tool is called, as some models do.
    pub(super) fn announce_calls(&mut self) {
        for choice in &mut self.choices {
            if choice.finish == "tool_calls" {
                choice.words = tokens("好，我查一下。");
            }
        }
    }

    /// What a fault does to what is said, before it is put into any wire's words.
    pub(super) fn spoil(&mut self, fault: Option<&Fault>) {
        match fault {
            Some(Fault::HugeChunk { bytes }) => {
                for choice in &mut self.choices {
                    choice.words.insert(0, "x".repeat(*bytes));
                }
            }
            Some(Fault::Finish { reason, after }) => {
                for choice in &mut self.choices {
                    if let Some(after) = after {
                        shorten(choice, *after);
                    }
                    choice.finish = reason.clone().into();
                }
            }
            _ => {}
        }
    }

    /// Answers `ask`. `thinks`: with reasoning in front; `repeats`: what was begun already is said again; `tool_id` makes ids
    /// as the provider writes them.
    pub(super) fn compose(
        seed: u64,
        ask: &Ask,
        thinks: bool,
        repeats: bool,
        tool_id: fn(&mut Dice) -> String,
    ) -> Self {
        let choices = (0..ask.choices)
            .map(|index| {
                let mut dice = Dice::of(seed.wrapping_add(index as u64), &ask.text);
                let mut choice = choose(ask, thinks, tool_id, &mut dice);
                if let Some(begun) = &ask.begun {
                    go_on(&mut choice, begun, repeats);
                }
                stop(&mut choice, &ask.stops);
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
    let calls = calls(ask, tool_id, dice);
    if !calls.is_empty() {
        return Choice { reasoning, words: Vec::new(), calls, finish: "tool_calls".into(), stopped_by: None };
    }
    let text = match &ask.format {
        Format::Text => prose(ask, &echo, dice),
        // A model that is only told to write JSON follows a schema that stands in its prompt.
        Format::Json => match schema_in(&ask.text) {
            Some(schema) => fill(&schema, &echo).to_string(),
            None => {
                json!({"answer": format!("你好 👋 {echo}"), "score": 7, "sure": true, "tags": ["模拟", "sim"]})
                    .to_string()
            }
        },
        Format::Schema(schema) => fill(schema, &echo).to_string(),
    };
    Choice { reasoning, words: tokens(&text), calls: Vec::new(), finish: "stop".into(), stopped_by: None }
}

/// Goes on where the answer was left. A text that it would not have begun so is taken for one of its own.
fn go_on(choice: &mut Choice, begun: &str, repeats: bool) {
    let text = choice.text();
    let rest = text.strip_prefix(begun).unwrap_or(&text);
    choice.reasoning.clear();
    choice.words = if repeats { tokens(&format!("{begun}{rest}")) } else { tokens(rest) };
}

/// The first JSON schema of an object that a text quotes.
fn schema_in(text: &str) -> Option<Value> {
    let begun = text.match_indices('{').take(BRACES_MAX);
    let values = begun.filter_map(|(at, _)| {
        serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>().next()?.ok()
    });
    values.into_iter().find(|value| value["properties"].is_object())
}

fn prose(ask: &Ask, echo: &str, dice: &mut Dice) -> String {
    let hello = dice.choose(&["你好", "您好", "嗨", "Hello，你好"]);
    let face = dice.choose(&["👋", "😀", "🎉", "🐼"]);
    let mut text = format!("{hello}！{face} 这是模拟回答：你说的是「{echo}」。");
    if ask.manner.smart {
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

/// A tool is called when it is asked for, or when the user asks about the weather; "both" (分别) makes it two calls.
fn calls(ask: &Ask, tool_id: fn(&mut Dice) -> String, dice: &mut Dice) -> Vec<Call> {
    let said = ask.last_user.to_ascii_lowercase();
    let about_weather = ask.last_role == "user" && (said.contains("天气") || said.contains("weather"));
    let tool = match &ask.tool_choice {
        ToolChoice::None => None,
        ToolChoice::Named(name) => ask.tools.iter().find(|tool| tool.name == *name),
        ToolChoice::Required => ask.tools.first(),
        ToolChoice::Auto => ask.tools.first().filter(|_| about_weather),
    };
    let Some(tool) = tool else { return Vec::new() };
    let arguments = match &tool.parameters {
        Value::Object(schema) if !schema.is_empty() => fill(&tool.parameters, &echo(&ask.last_user)),
        _ => json!({}),
    };
    let both = ask.parallel && (said.contains("both") || said.contains("分别"));
    (0..=usize::from(both))
        .map(|_| Call { id: tool_id(dice), name: tool.name.clone(), pieces: pieces(&arguments.to_string()) })
        .collect()
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

/// Ends a text before the first of the sequences that stop it.
fn stop(choice: &mut Choice, stops: &[String]) {
    let text = choice.text();
    let found = stops.iter().filter_map(|stop| Some((text.find(stop.as_str())?, stop)));
    if let Some((at, stop)) = found.min_by_key(|(at, _)| *at) {
        choice.words = tokens(&text[..at]);
        choice.stopped_by = Some(stop.clone());
    }
}

/// Cuts a choice off where the client's limit is.
fn shorten(choice: &mut Choice, tokens_max: usize) {
    if choice.tokens() <= tokens_max {
        return;
    }
    choice.finish = "length".into();
    choice.stopped_by = None;
    choice.reasoning.truncate(tokens_max);
    let mut left = tokens_max - choice.reasoning.len();
    choice.words.truncate(left);
    left -= choice.words.len();
    for call in &mut choice.calls {
        call.pieces.truncate(left);
        left -= call.pieces.len();
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
    fn an_answer_goes_on_where_it_was_left() {
        let whole = || Choice {
            reasoning: tokens("hm"),
            words: tokens("one two"),
            calls: Vec::new(),
            finish: "stop".into(),
            stopped_by: None,
        };
        for (begun, repeats, said) in
            [("one", false, " two"), ("one", true, "one two"), ("zero", false, "one two")]
        {
            let mut choice = whole();
            go_on(&mut choice, begun, repeats);
            assert_eq!((choice.text().as_str(), choice.reasoning.len()), (said, 0), "{begun}");
        }
    }

    #[test]
    fn a_schema_is_found_in_a_prompt() {
        let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
        let text = format!("systemAnswer as {{this}} says: {schema}. No more.");
        assert_eq!(schema_in(&text), Some(schema));
        assert_eq!(schema_in("{ {} {\"a\": 1}"), None);
    }

    #[test]
    fn a_text_ends_before_the_first_of_its_stops() {
        let mut choice = Choice {
            reasoning: Vec::new(),
            words: tokens("one two three"),
            calls: Vec::new(),
            finish: "stop".into(),
            stopped_by: None,
        };
        stop(&mut choice, &["three".into(), "two".into()]);
        assert_eq!((choice.text().as_str(), choice.stopped_by.as_deref()), ("one ", Some("two")));
    }
}
