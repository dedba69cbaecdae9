//! The calls of an answer: said as they come, ended when the answer does.

use bytes::BytesMut;

use super::Speaker;
use crate::dialect::responses::{
    answer::ToolCall,
    output::{Item, ItemKind, Others, Status},
};

/// A call by its place in the chat's answer.
#[derive(Debug)]
pub(super) struct Slot {
    index: u64,
    id: String,
    /// Its item, once its name is known.
    item: Option<usize>,
    /// Arguments that came before the name, ...
    early: String,
    /// ... and members that nobody here knows.
    others: Others,
}

/// Keeps what else stands in a call, once.
fn note(call: &ToolCall<'_>, others: &mut Others) {
    for (name, value) in &call.others {
        if !others.iter().any(|(known, _)| known == name) {
            others.push((name.as_ref().to_owned(), value.get().as_bytes().to_vec()));
        }
    }
}

impl Speaker {
    /// A call, or a piece of one; `at` is its place where it has no number.
    pub(super) fn call(&mut self, at: usize, call: &ToolCall<'_>, out: &mut BytesMut) {
        let given = call.id.as_deref().unwrap_or_default();
        // Who numbers no calls begins each with its id.
        let known = match call.index {
            Some(index) => self.calls.iter().position(|slot| slot.index == index),
            None if given.is_empty() => self.calls.len().checked_sub(1),
            None => self.calls.iter().position(|slot| slot.id == given),
        };
        let slot = known.unwrap_or_else(|| {
            let next = self.calls.iter().map(|slot| slot.index.saturating_add(1)).max().unwrap_or(at as u64);
            let index = call.index.unwrap_or(next);
            self.calls.push(Slot {
                index,
                id: String::new(),
                item: None,
                early: String::new(),
                others: Vec::new(),
            });
            self.calls.len() - 1
        });
        let arguments = call.arguments();
        let Some(Slot { id, item, early, others, .. }) = self.calls.get_mut(slot) else { return };
        if id.is_empty() {
            given.clone_into(id);
        }
        match *item {
            Some(item) => {
                if let Some(Item { kind: ItemKind::FunctionCall { others, .. }, .. }) =
                    self.items.get_mut(item)
                {
                    note(call, others);
                }
                self.arguments(item, &arguments, out);
            }
            None => {
                note(call, others);
                early.push_str(&arguments);
                if !call.name().is_empty() {
                    self.open_call(slot, call.name(), out);
                }
            }
        }
    }

    fn open_call(&mut self, slot: usize, name: &str, out: &mut BytesMut) {
        self.close_open(Status::Completed, out);
        let made_up = self.asked.id("call", Some(slot));
        let Some(Slot { id, early, others, .. }) = self.calls.get_mut(slot) else { return };
        if id.is_empty() {
            *id = made_up;
        }
        let (call_id, early, others) = (id.clone(), std::mem::take(early), std::mem::take(others));
        let (name, arguments) = (name.to_owned(), String::new());
        let kind = ItemKind::FunctionCall { call_id, name, arguments, others };
        let item = self.add("fc", kind, out);
        if let Some(slot) = self.calls.get_mut(slot) {
            slot.item = Some(item);
        }
        self.arguments(item, &early, out);
    }

    fn arguments(&mut self, index: usize, more: &str, out: &mut BytesMut) {
        let Some(Item { kind: ItemKind::FunctionCall { arguments, .. }, .. }) = self.items.get_mut(index)
        else {
            return;
        };
        if more.is_empty() {
            return;
        }
        arguments.push_str(more);
        let place = self.place(index, 0);
        self.events.write("response.function_call_arguments.delta", out, |json| {
            place.write_item(json).text("delta", more);
        });
    }

    /// Ends all calls; the last of them as `last`.
    pub(super) fn close_calls(&mut self, last: Status, out: &mut BytesMut) {
        for slot in 0..self.calls.len() {
            if self.calls.get(slot).is_some_and(|slot| slot.item.is_none()) {
                self.open_call(slot, "", out);
            }
        }
        let items: Vec<usize> = self.calls.iter().filter_map(|slot| slot.item).collect();
        for (n, item) in items.iter().enumerate() {
            let status = if n + 1 == items.len() { last } else { Status::Completed };
            let is_empty = |item: &Item| matches!(&item.kind, ItemKind::FunctionCall { arguments, .. } if arguments.is_empty());
            // Arguments are JSON; none at all are an empty object.
            if status == Status::Completed && self.items.get(*item).is_some_and(is_empty) {
                self.arguments(*item, "{}", out);
            }
            let place = self.place(*item, 0);
            if let Some(Item { kind: ItemKind::FunctionCall { name, arguments, .. }, .. }) =
                self.items.get(*item)
            {
                self.events.write("response.function_call_arguments.done", out, |json| {
                    place.write_item(json).text("name", name).text("arguments", arguments);
                });
            }
            self.close_item(*item, status, out);
        }
    }
}
