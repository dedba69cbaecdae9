//! Listens to Messages for a client of Messages: everything passes, what matters is noted.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{count::Count, said::Spoken};
use crate::{
    chat::{Chunk, TextSize, UsageSeen},
    provider::{
        Event,
        chunk::{as_it_came, one_line},
        ear::{Ear, Heard},
        fault::Said,
    },
};

/// See the module.
#[derive(Debug, Default)]
pub(in crate::provider) struct MessagesEar {
    count: Count,
    begun: Begun,
}

/// The beginning of a stream, held until something follows: an error that does comes early enough for another provider.
#[derive(Debug, Default)]
pub(super) struct Begun(Option<Heard>);

impl Begun {
    /// Holds it.
    pub(super) fn hold(&mut self, beginning: Heard) {
        self.0 = Some(beginning);
    }

    /// Lets it go before what follows in `heard` at `from`, unless that is an error.
    pub(super) fn before(&mut self, heard: &mut VecDeque<Heard>, from: usize) {
        if from < heard.len()
            && let Some(beginning) = self.0.take()
            && !matches!(heard.get(from), Some(Heard::Error(_)))
        {
            heard.insert(from, beginning);
        }
    }
}

impl MessagesEar {
    fn read(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        let json = one_line(event.data);
        if event.is_error {
            out.push_back(Heard::Error(Said::read(&json)));
            return;
        }
        let Some(spoken) = Spoken::read(&json).filter(|spoken| !spoken.kind.is_empty()) else {
            out.push_back(unreadable(&json));
            return;
        };
        if let Some(said) = spoken.fault(&json) {
            out.push_back(Heard::Error(said));
            return;
        }
        let (mut usage, mut named, mut ended) = (UsageSeen::Absent, 0, 0);
        match spoken.kind.as_ref() {
            "ping" => return,
            "message_stop" => {
                out.push_back(Heard::Done);
                return;
            }
            "message_start" => {
                if let Some(raw) = spoken.message.as_ref().and_then(|message| message.usage) {
                    self.count.add(raw);
                }
                named = 1;
                usage = self.count.prompt();
            }
            "message_delta" => {
                if let Some(raw) = spoken.usage {
                    self.count.add(raw);
                    usage = self.count.seen();
                }
                named = 1;
                let stopped = spoken.delta.as_ref().and_then(|delta| delta.stop_reason.as_deref());
                ended = u128::from(stopped.is_some_and(|reason| !reason.is_empty()));
            }
            _ => {}
        }
        let (text_size, has_usage_member) = (spoken.text_size(), spoken.usage.is_some());
        let event: Option<Box<str>> = Some(spoken.kind.as_ref().into());
        drop(spoken);
        let begins = event.as_deref() == Some("message_start");
        let chunk =
            Chunk { json, event, text_size, finish: ended != 0, has_choices: true, has_usage_member, usage };
        let heard = Heard::Chunk { chunk, named, ended };
        if begins {
            self.begun.hold(heard);
        } else {
            out.push_back(heard);
        }
    }
}

impl Ear for MessagesEar {
    fn hear(&mut self, event: Event, out: &mut VecDeque<Heard>) {
        let from = out.len();
        self.read(event, out);
        self.begun.before(out, from);
    }

    fn whole(&mut self, body: Bytes) -> Heard {
        let (text_size, has_content) = match whole(&body, &mut self.count) {
            Ok(message) => message,
            Err(heard) => return *heard,
        };
        let chunk = Chunk {
            json: as_it_came(body),
            event: None,
            text_size,
            finish: true,
            has_choices: has_content,
            has_usage_member: true,
            usage: self.count.seen(),
        };
        Heard::Chunk { chunk, named: 1, ended: 1 }
    }
}

/// Bytes of text in a whole message, and whether it has content; its usage is added to `count`.
fn whole(body: &[u8], count: &mut Count) -> Result<(TextSize, bool), Box<Heard>> {
    let spoken = Spoken::read(body).ok_or_else(|| Box::new(unreadable(body)))?;
    if let Some(said) = spoken.fault(body) {
        return Err(Box::new(Heard::Error(said)));
    }
    if spoken.kind != "message" {
        return Err(Box::new(unreadable(body)));
    }
    let message: super::said::Message<'_> =
        serde_json::from_slice(body).map_err(|_| Box::new(Heard::Unreadable))?;
    if let Some(raw) = message.usage {
        count.add(raw);
    }
    let text_size = message.content.iter().flatten().map(super::said::Block::text_size).sum();
    Ok((text_size, message.content.is_some()))
}

/// What is no message may be an error in somebody else's words.
pub(super) fn unreadable(json: &[u8]) -> Heard {
    let object = crate::json::members(json).unwrap_or_default();
    if object.iter().any(|(name, _)| matches!(name.as_ref(), "error" | "code" | "detail")) {
        return Heard::Error(Said::read(json));
    }
    Heard::Unreadable
}
