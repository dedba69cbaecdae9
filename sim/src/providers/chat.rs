//! What does an answer look like as a chat completion, and as its chunks?
use std::collections::VecDeque;

use serde_json::{Map, Value, json};

use super::answer::{Answer, Choice};
use super::dialect::{Dialect, Head, UsageAt};
use super::written::{Event, Written};

/// Writes an answer. `usage` is what was used, as it is to be shown, if at all; `at` is where a stream shows it.
pub(super) fn write(
    dialect: &dyn Dialect,
    head: &Head<'_>,
    answer: &Answer,
    usage: Option<Value>,
    at: UsageAt,
    request_id: &str,
) -> Written {
    let error = dialect.error_in_200(request_id);
    let writer = Writer { dialect, head, answer };
    Written {
        whole: writer.whole(usage.clone()),
        events: writer.events(usage, at),
        done: true,
        error_event: Event::nameless(&error, 0),
        done_after_error: dialect.done_after_error(),
        error,
    }
}

struct Writer<'a> {
    dialect: &'a dyn Dialect,
    head: &'a Head<'a>,
    answer: &'a Answer,
}

impl Writer<'_> {
    fn body(&self, object: &str, choices: Vec<Value>) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("id".into(), self.head.id.clone().into());
        body.insert("object".into(), object.into());
        body.insert("created".into(), self.head.created.into());
        body.insert("model".into(), self.dialect.answering(self.head.model).into());
        body.insert("choices".into(), choices.into());
        self.dialect.dress(&mut body);
        body
    }

    fn whole(&self, usage: Option<Value>) -> Value {
        let choices = (0..).zip(&self.answer.choices).map(|(index, choice): (usize, _)| {
            let message = self.dialect.message(choice);
            let finish = self.dialect.finish(choice, false);
            let mut shown = json!({"index": index, "message": message, "finish_reason": finish});
            self.dialect.dress_choice(&mut shown);
            shown
        });
        let mut body = self.body("chat.completion", choices.collect());
        if let Some(usage) = usage {
            body.insert("usage".into(), usage);
        }
        Value::Object(body)
    }

    fn chunk(&self, choices: Vec<Value>, usage: Option<Value>) -> Value {
        let mut body = self.body("chat.completion.chunk", choices);
        // Asked for usage, chunks that have none say so.
        if let Some(usage) = usage.or(self.head.include_usage.then_some(Value::Null)) {
            body.insert("usage".into(), usage);
        }
        Value::Object(body)
    }

    fn piece(&self, index: usize, delta: Value, finish: Option<&str>) -> Value {
        let mut choice = json!({"index": index, "delta": delta, "finish_reason": finish});
        self.dialect.dress_choice(&mut choice);
        choice
    }

    /// One choice in deltas, each with the tokens it stands for.
    fn lane(&self, choice: &Choice) -> VecDeque<(Value, u64)> {
        let mut lane = VecDeque::from([(self.dialect.first_delta(choice), 0)]);
        let thoughts = (0..choice.reasoning.len()).filter_map(|at| self.dialect.thought_delta(choice, at));
        lane.extend(thoughts.map(|delta| (delta, 1)));
        lane.extend((0..choice.words.len()).map(|at| (self.dialect.word_delta(choice, at), 1)));
        lane.extend((0..).zip(&choice.calls).flat_map(|(index, call)| self.dialect.tool_deltas(index, call)));
        lane
    }

    fn events(&self, usage: Option<Value>, at: UsageAt) -> Vec<Event> {
        // Several choices come interleaved, as from a real provider: the first delta of each, the second of each, …
        let mut lanes: Vec<_> = self.answer.choices.iter().map(|choice| self.lane(choice)).collect();
        let mut events: Vec<Event> =
            self.dialect.prelude().iter().map(|chunk| Event::nameless(chunk, 0)).collect();
        let mut so_far = self.answer.count();
        so_far.completion = 0;
        so_far.reasoning = 0;
        while lanes.iter().any(|lane| !lane.is_empty()) {
            for (index, lane) in lanes.iter_mut().enumerate() {
                if let Some((delta, tokens)) = lane.pop_front() {
                    so_far.completion += tokens;
                    let partly =
                        (at == UsageAt::Every && usage.is_some()).then(|| self.dialect.usage(so_far));
                    let chunk = self.chunk(vec![self.piece(index, delta, None)], partly);
                    events.push(Event::nameless(&chunk, tokens));
                }
            }
        }
        let last = self.answer.choices.len().saturating_sub(1);
        for (index, choice) in self.answer.choices.iter().enumerate() {
            let shown =
                usage.clone().filter(|_| matches!(at, UsageAt::Finish | UsageAt::Every) && index == last);
            let finish = self.dialect.finish(choice, true);
            let mut chunk = self.chunk(vec![self.piece(index, json!({}), Some(&finish))], shown);
            if index == last {
                self.dialect.dress_last(&mut chunk, choice, usage.as_ref());
            }
            events.push(Event::nameless(&chunk, 0));
        }
        if let (UsageAt::Trailer, Some(usage)) = (at, usage) {
            events.push(Event::nameless(&self.chunk(Vec::new(), Some(usage)), 0));
        }
        events
    }
}
