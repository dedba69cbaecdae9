//! In which order, and how slowly, do the bytes of an answer leave? An answer is a script; faults edit the script.
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};

use super::answer::Answer;
use super::book::Book;
use super::dialect::{Dialect, Head, UsageAt};
use crate::faults::Fault;
use crate::state::World;

/// One thing that happens on the wire.
#[derive(Debug)]
pub(super) enum Step {
    Wait(Duration),
    /// Lets what was written leave before anything else happens.
    Flush,
    /// Bytes, and how many tokens are complete with them.
    Write(Bytes, u64),
    /// The connection breaks.
    Cut,
    /// Nothing more comes, and the connection stays open.
    Hang,
}

/// One event of a stream, and the tokens it carries.
struct Event(String, u64);

/// A stream of chunks as a script. `usage` is what the stream says was used, if it says so at all.
pub(super) fn streamed(
    dialect: &dyn Dialect,
    head: &Head<'_>,
    answer: &Answer,
    usage: Option<Value>,
    fault: Option<&Fault>,
    (first_token, gap): (Duration, Duration),
    request_id: &str,
) -> VecDeque<Step> {
    let mut events = events(dialect, head, answer, usage);
    let (mut done, mut last, mut newline) = (true, None, "\n");
    match fault {
        Some(Fault::ErrorIn200 {}) => {
            events = vec![Event(dialect.error_in_200(request_id).to_string(), 0)];
            done = false;
        }
        Some(Fault::BadJson {}) => {
            let middle = events.len() / 2;
            if let Some(Event(json, _)) = events.get_mut(middle) {
                *json = half(json).into();
            }
        }
        Some(Fault::NoDone {}) => done = false,
        Some(Fault::CutAfter { chunks }) => {
            events.truncate(*chunks);
            (done, last) = (false, Some(Step::Cut));
        }
        Some(Fault::StallAfter { chunks }) => {
            events.truncate(*chunks);
            (done, last) = (false, Some(Step::Hang));
        }
        Some(Fault::Crlf {}) => newline = "\r\n",
        _ => {}
    }

    let mut script = VecDeque::new();
    if matches!(fault, Some(Fault::Bom {})) {
        script.push_back(Step::Write(Bytes::from_static("\u{feff}".as_bytes()), 0));
    }
    if let Some(comment) = dialect.keep_alive() {
        script.push_back(Step::Write(comment.replace('\n', newline).into(), 0));
    }
    pause(&mut script, first_token);
    let mut split = 0_u32;
    for (index, Event(json, tokens)) in events.into_iter().enumerate() {
        if index > 0 && tokens > 0 {
            pause(&mut script, gap);
        }
        let bytes = Bytes::from(format!("data: {json}{newline}{newline}"));
        // Every third event with a character of several bytes leaves in two pieces, cut inside that character.
        match bytes.iter().position(|byte| *byte >= 0xc0) {
            Some(start) if split.is_multiple_of(3) => {
                script.push_back(Step::Write(bytes.slice(..=start), 0));
                script.push_back(Step::Flush);
                script.push_back(Step::Write(bytes.slice(start + 1..), tokens));
                split += 1;
            }
            found => {
                split += u32::from(found.is_some());
                script.push_back(Step::Write(bytes, tokens));
            }
        }
    }
    if done {
        script.push_back(Step::Write(format!("data: [DONE]{newline}{newline}").into(), 0));
    }
    if let Some(last) = last {
        // What was written before the end has to be on its way by then.
        script.extend([Step::Flush, last]);
    }
    script
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

fn events(dialect: &dyn Dialect, head: &Head<'_>, answer: &Answer, usage: Option<Value>) -> Vec<Event> {
    let at = dialect.usage_at(head.include_usage);
    let chunk = |choices: Vec<Value>, usage: Option<Value>| {
        let mut body = dialect.body(head, "chat.completion.chunk", choices);
        // Asked for usage, chunks that have none say so.
        if let Some(usage) = usage.or(head.include_usage.then_some(Value::Null)) {
            body.insert("usage".into(), usage);
        }
        Value::Object(body).to_string()
    };
    let piece = |index: usize, delta: Value, finish: Option<&str>| {
        let mut choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        dialect.dress_choice(&mut choice);
        choice
    };

    // Several choices come interleaved, as from a real provider: the first delta of each, the second of each, …
    let mut lanes: Vec<VecDeque<(Value, u64)>> = Vec::new();
    for choice in &answer.choices {
        let mut lane = VecDeque::from([(dialect.first_delta(choice), 0)]);
        lane.extend(choice.reasoning.iter().map(|word| (json!({"reasoning_content": word}), 1)));
        lane.extend(choice.words.iter().map(|word| (json!({"content": word}), 1)));
        lane.extend(choice.call.iter().flat_map(|call| dialect.tool_deltas(call)));
        lanes.push(lane);
    }
    let mut events = Vec::new();
    while lanes.iter().any(|lane| !lane.is_empty()) {
        for (index, lane) in lanes.iter_mut().enumerate() {
            if let Some((delta, tokens)) = lane.pop_front() {
                events.push(Event(chunk(vec![piece(index, delta, None)], None), tokens));
            }
        }
    }
    let last = answer.choices.len().saturating_sub(1);
    for (index, choice) in answer.choices.iter().enumerate() {
        let usage = usage.clone().filter(|_| at == UsageAt::Finish && index == last);
        events.push(Event(chunk(vec![piece(index, json!({}), Some(choice.finish))], usage), 0));
    }
    if let (UsageAt::Trailer, Some(usage)) = (at, usage) {
        events.push(Event(chunk(Vec::new(), Some(usage)), 0));
    }
    events
}

/// Plays a script as a response body. A client that leaves ends it, and that is counted.
pub(super) fn body(world: Arc<World>, book: usize, script: VecDeque<Step>) -> Body {
    let playing = Playing { world, book, script, ended: false };
    Body::from_stream(stream::unfold(playing, Playing::next))
}

struct Playing {
    world: Arc<World>,
    book: usize,
    script: VecDeque<Step>,
    /// Ended by us, well or badly; otherwise the client left.
    ended: bool,
}

impl Playing {
    fn book(&self) -> &Book {
        &self.world.providers[self.book]
    }

    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            match self.script.pop_front()? {
                Step::Wait(wait) => tokio::time::sleep(wait).await,
                Step::Flush => tokio::task::yield_now().await,
                Step::Write(bytes, tokens) => {
                    self.book().generated(tokens);
                    if self.script.is_empty() {
                        self.ended = true;
                        self.book().completed();
                    }
                    return Some((Ok(bytes), self));
                }
                Step::Cut => {
                    self.ended = true;
                    return Some((
                        Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut by a fault")),
                        self,
                    ));
                }
                Step::Hang => std::future::pending().await,
            }
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        if !self.ended {
            self.book().aborted();
        }
    }
}
