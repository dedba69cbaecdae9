//! What a chat says, said on as the events of a Response, item by item.

mod calls;

use bytes::BytesMut;

use calls::Slot;

use super::{
    answer::{Answer, Choice, flat_annotation},
    events::Events,
    output::{Item, ItemKind, Part, Status, array, reasoning_part},
    response::{Asked, Stage},
};
use crate::json::ObjectWriter;

/// The last event repeats all that was said, so it is kept: of an answer that goes on and on, so much.
const TEXT_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Hears a chat's chunks and says them on.
#[derive(Debug)]
pub(super) struct Speaker {
    asked: Asked,
    as_summary: bool,
    pub(super) events: Events,
    begun: bool,
    text_bytes: u64,
    items: Vec<Item>,
    /// The reasoning or the message that is being said.
    open: Option<usize>,
    /// Calls may come in turns, so all of them stay open until the end.
    calls: Vec<Slot>,
    ended: Option<Stage>,
}

/// What every event about a part names.
struct Place {
    item_id: String,
    output_index: usize,
    content_index: usize,
}

impl Speaker {
    /// For what was asked.
    pub(super) fn new(asked: Asked) -> Self {
        Self {
            as_summary: asked.wants_summary(),
            asked,
            events: Events::default(),
            begun: false,
            text_bytes: 0,
            items: Vec::new(),
            open: None,
            calls: Vec::new(),
            ended: None,
        }
    }

    /// One chunk, or all of an answer, with so much text in it.
    pub(super) fn hear(&mut self, json: &[u8], text_bytes: u64, out: &mut BytesMut) {
        let answer = serde_json::from_slice::<Answer<'_>>(json).ok();
        if let Some(tier) = answer.as_ref().and_then(|answer| answer.service_tier) {
            self.asked.service_tier = Some(tier.get().as_bytes().to_vec());
        }
        self.begin(out);
        let choices = answer.and_then(|answer| answer.choices).unwrap_or_default();
        for choice in choices.iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            if self.ended.is_none() {
                self.choice(choice, out);
            }
        }
        self.text_bytes = self.text_bytes.saturating_add(text_bytes);
        if self.text_bytes > TEXT_MAX_BYTES && self.ended.is_none() {
            self.finish(Stage::Incomplete("max_output_tokens"), out);
        }
    }

    /// The response is there, and nothing of it was said yet.
    pub(super) fn begin(&mut self, out: &mut BytesMut) {
        if !std::mem::replace(&mut self.begun, true) {
            let response = self.asked.response(&Stage::InProgress, &[], None);
            for kind in ["response.created", "response.in_progress"] {
                self.events.write(kind, out, |json| {
                    json.raw("response", &response);
                });
            }
        }
    }

    fn choice(&mut self, choice: &Choice<'_>, out: &mut BytesMut) {
        if let Some(said) = choice.said() {
            let reasoning = said.reasoning();
            if !reasoning.is_empty() {
                self.reasoning(&reasoning, out);
            }
            let logprobs = choice.logprobs.as_ref().and_then(|logprobs| logprobs.content.as_ref());
            let logprobs = logprobs.into_iter().flatten().map(|raw| raw.get().as_bytes().to_vec()).collect();
            self.text(&said.text(), logprobs, out);
            let refusal = said.refusal();
            if !refusal.is_empty() {
                self.refusal(&refusal, out);
            }
            for annotation in said.annotations.iter().flatten() {
                self.annotation(flat_annotation(annotation), out);
            }
            for (at, call) in said.tool_calls().enumerate() {
                self.call(at, &call, out);
            }
        }
        let stage = match choice.finish_reason.as_deref() {
            None | Some("") => return,
            Some("length") => Stage::Incomplete("max_output_tokens"),
            Some("content_filter") => Stage::Incomplete("content_filter"),
            Some(_) => Stage::Completed,
        };
        self.finish(stage, out);
    }

    fn add(&mut self, prefix: &str, kind: ItemKind, out: &mut BytesMut) -> usize {
        let index = self.items.len();
        let item = Item { id: self.asked.id(prefix, Some(index)), status: Status::InProgress, kind };
        self.events.write("response.output_item.added", out, |json| {
            json.count("output_index", index as u64).raw("item", &item.json());
        });
        self.items.push(item);
        index
    }

    fn place(&self, output_index: usize, content_index: usize) -> Place {
        let item_id = self.items.get(output_index).map(|item| item.id.clone()).unwrap_or_default();
        Place { item_id, output_index, content_index }
    }

    fn reasoning(&mut self, more: &str, out: &mut BytesMut) {
        let as_summary = self.as_summary;
        let is_reasoning = |item: &Item| matches!(item.kind, ItemKind::Reasoning { .. });
        let index = match self.open.filter(|open| self.items.get(*open).is_some_and(is_reasoning)) {
            Some(open) => open,
            None => {
                self.close_open(Status::Completed, out);
                let kind = ItemKind::Reasoning { text: String::new(), as_summary };
                let index = self.add("rs", kind, out);
                self.open = Some(index);
                let place = self.place(index, 0);
                let (kind, of) = reasoning_words(as_summary, "added");
                self.events.write(&kind, out, |json| {
                    place.write(json, of).raw("part", &reasoning_part("", as_summary));
                });
                index
            }
        };
        if let Some(Item { kind: ItemKind::Reasoning { text, .. }, .. }) = self.items.get_mut(index) {
            text.push_str(more);
        }
        let place = self.place(index, 0);
        let (kind, of) = if as_summary {
            ("response.reasoning_summary_text.delta", "summary_index")
        } else {
            ("response.reasoning_text.delta", "content_index")
        };
        self.events.write(kind, out, |json| {
            place.write(json, of).text("delta", more);
        });
    }

    /// The message that is being said and the part that is: a new one of each where what is said is of another kind.
    fn part(&mut self, new: Part, out: &mut BytesMut) -> Place {
        let is_message = |item: &Item| matches!(item.kind, ItemKind::Message { .. });
        let index = match self.open.filter(|open| self.items.get(*open).is_some_and(is_message)) {
            Some(open) => open,
            None => {
                self.close_open(Status::Completed, out);
                let index = self.add("msg", ItemKind::Message { parts: Vec::new() }, out);
                self.open = Some(index);
                index
            }
        };
        let same = |part: &Part| std::mem::discriminant(part) == std::mem::discriminant(&new);
        let count = match self.items.get(index).map(|item| &item.kind) {
            Some(ItemKind::Message { parts }) if parts.last().is_some_and(same) => {
                return self.place(index, parts.len() - 1);
            }
            Some(ItemKind::Message { parts }) => parts.len(),
            _ => 0,
        };
        self.close_part(index, out);
        let place = self.place(index, count);
        self.events.write("response.content_part.added", out, |json| {
            place.write(json, "content_index").raw("part", &new.json());
        });
        if let Some(Item { kind: ItemKind::Message { parts }, .. }) = self.items.get_mut(index) {
            parts.push(new);
        }
        place
    }

    fn last_part(&mut self, index: usize) -> Option<&mut Part> {
        match self.items.get_mut(index) {
            Some(Item { kind: ItemKind::Message { parts }, .. }) => parts.last_mut(),
            _ => None,
        }
    }

    fn text(&mut self, more: &str, more_logprobs: Vec<Vec<u8>>, out: &mut BytesMut) {
        if more.is_empty() && more_logprobs.is_empty() {
            return;
        }
        let place = self.part(Part::text(), out);
        self.events.write("response.output_text.delta", out, |json| {
            place.write(json, "content_index").text("delta", more).raw("logprobs", &array(&more_logprobs));
        });
        if let Some(Part::Text { text, logprobs, .. }) = self.last_part(place.output_index) {
            text.push_str(more);
            logprobs.extend(more_logprobs);
        }
    }

    fn refusal(&mut self, more: &str, out: &mut BytesMut) {
        let place = self.part(Part::Refusal(String::new()), out);
        self.events.write("response.refusal.delta", out, |json| {
            place.write(json, "content_index").text("delta", more);
        });
        if let Some(Part::Refusal(refusal)) = self.last_part(place.output_index) {
            refusal.push_str(more);
        }
    }

    fn annotation(&mut self, annotation: Vec<u8>, out: &mut BytesMut) {
        let place = self.part(Part::text(), out);
        let Some(Part::Text { annotations, .. }) = self.last_part(place.output_index) else { return };
        let index = annotations.len();
        annotations.push(annotation.clone());
        self.events.write("response.output_text.annotation.added", out, |json| {
            place.write(json, "content_index").count("annotation_index", index as u64);
            json.raw("annotation", &annotation);
        });
    }

    /// Ends the part that a message ends with, if it has one.
    fn close_part(&mut self, index: usize, out: &mut BytesMut) {
        let Some(Item { id, kind: ItemKind::Message { parts }, .. }) = self.items.get(index) else { return };
        let Some(part) = parts.last() else { return };
        let place = Place { item_id: id.clone(), output_index: index, content_index: parts.len() - 1 };
        let json_of = part.json();
        match part {
            Part::Text { text, logprobs, .. } => {
                self.events.write("response.output_text.done", out, |json| {
                    place.write(json, "content_index").text("text", text).raw("logprobs", &array(logprobs));
                });
            }
            Part::Refusal(refusal) => self.events.write("response.refusal.done", out, |json| {
                place.write(json, "content_index").text("refusal", refusal);
            }),
        }
        self.events.write("response.content_part.done", out, |json| {
            place.write(json, "content_index").raw("part", &json_of);
        });
    }

    /// Ends the reasoning or the message that is being said.
    fn close_open(&mut self, status: Status, out: &mut BytesMut) {
        let Some(index) = self.open.take() else { return };
        self.close_part(index, out);
        let place = self.place(index, 0);
        if let Some(Item { kind: ItemKind::Reasoning { text, as_summary }, .. }) = self.items.get(index) {
            let (text_done, of) = if *as_summary {
                ("response.reasoning_summary_text.done", "summary_index")
            } else {
                ("response.reasoning_text.done", "content_index")
            };
            self.events.write(text_done, out, |json| {
                place.write(json, of).text("text", text);
            });
            let (part_done, _) = reasoning_words(*as_summary, "done");
            let part = reasoning_part(text, *as_summary);
            self.events.write(&part_done, out, |json| {
                place.write(json, of).raw("part", &part);
            });
        }
        self.close_item(index, status, out);
    }

    fn close_item(&mut self, index: usize, status: Status, out: &mut BytesMut) {
        let Some(item) = self.items.get_mut(index) else { return };
        item.status = status;
        let said = item.json();
        self.events.write("response.output_item.done", out, |json| {
            json.count("output_index", index as u64).raw("item", &said);
        });
    }

    /// Ends all that is open; what a limit has cut is the last that was said.
    fn finish(&mut self, stage: Stage, out: &mut BytesMut) {
        let last = if stage == Stage::Completed { Status::Completed } else { Status::Incomplete };
        if self.items.is_empty() && self.calls.is_empty() && stage == Stage::Completed {
            self.part(Part::text(), out); // an answer without a word is a message without one
        }
        let calls_last = if self.open.is_some() { Status::Completed } else { last };
        self.close_open(last, out);
        self.close_calls(calls_last, out);
        self.ended = Some(stage);
    }

    /// Ends the answer, if it has not said itself that it ended, and how it did.
    pub(super) fn ended(&mut self, out: &mut BytesMut) -> Stage {
        self.begin(out);
        if self.ended.is_none() {
            self.finish(Stage::Completed, out);
        }
        self.ended.clone().unwrap_or(Stage::Completed)
    }

    /// What is open was cut off, and stays as it is.
    pub(super) fn cut(&mut self) {
        for item in self.items.iter_mut().filter(|item| item.status == Status::InProgress) {
            item.status = Status::Incomplete;
        }
    }

    /// The Response object at this stage.
    pub(super) fn response(&self, stage: &Stage, usage: Option<&[u8]>) -> Vec<u8> {
        self.asked.response(stage, &self.items, usage)
    }
}

impl Place {
    fn write_item<'j>(&self, json: &'j mut ObjectWriter) -> &'j mut ObjectWriter {
        json.text("item_id", &self.item_id).count("output_index", self.output_index as u64)
    }

    fn write<'j>(&self, json: &'j mut ObjectWriter, of: &str) -> &'j mut ObjectWriter {
        self.write_item(json).count(of, self.content_index as u64)
    }
}

/// What the event about a part of reasoning is called, and which member numbers the part.
fn reasoning_words(as_summary: bool, what: &str) -> (String, &'static str) {
    if as_summary {
        (format!("response.reasoning_summary_part.{what}"), "summary_index")
    } else {
        (format!("response.content_part.{what}"), "content_index")
    }
}
