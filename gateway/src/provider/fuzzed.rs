//! What fuzzers may reach of this room, and nothing else may.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use http::HeaderMap;
use router_config::{Quirks, UsageConvention, catalog};
use serde_json::value::RawValue;
use units::{Clock, Timestamp, Wake};

use super::{
    Event, Fault,
    anthropic::{ChunksEar, MessagesEar},
    chunk::ChatEar,
    ear::{Ear, Heard},
    responses::ResponsesEar,
    usage,
};
use crate::chat::{Chunk, UsageSeen};

/// In whose words an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// A chat completion's.
    Chat,
    /// Anthropic's, told as a chat completion.
    Anthropic,
    /// Anthropic's own.
    Messages,
    /// A response's own.
    Responses,
}

/// Of every kind of provider, since each has quirks of its own.
fn ears(words: Words) -> Vec<Box<dyn Ear>> {
    let all = catalog().providers().map(|facts| &facts.quirks);
    match words {
        Words::Chat => {
            all.map(|quirks: &Arc<Quirks>| Box::new(ChatEar::new(quirks)) as Box<dyn Ear>).collect()
        }
        Words::Anthropic => vec![Box::new(ChunksEar::new(1))],
        Words::Messages => vec![Box::new(MessagesEar::default())],
        Words::Responses => vec![Box::new(ResponsesEar(UsageConvention::default()))],
    }
}

fn chunks(heard: impl IntoIterator<Item = Heard>) -> Vec<Chunk> {
    let chunk = |heard| match heard {
        Heard::Chunk { chunk, .. } => Some(chunk),
        Heard::Done | Heard::Error(_) | Heard::Unreadable => None,
    };
    heard.into_iter().filter_map(chunk).collect()
}

/// What is heard of a stream, by one ear of each kind.
pub(crate) fn stream(words: Words, events: VecDeque<Event>) -> Vec<Chunk> {
    let heard = ears(words).into_iter().flat_map(|mut ear| {
        let mut out = VecDeque::new();
        events.iter().for_each(|event| ear.hear(event.clone(), &mut out));
        out
    });
    chunks(heard.collect::<Vec<_>>())
}

/// What is heard of an answer in one piece.
pub(crate) fn whole(words: Words, body: &[u8]) -> Vec<Chunk> {
    chunks(ears(words).into_iter().map(|mut ear| ear.whole(Bytes::copy_from_slice(body))))
}

/// What is believed of an object of counts, by each convention.
pub(crate) fn usages(text: &[u8]) -> Vec<UsageSeen> {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(text) else { return Vec::new() };
    let conventions = [(true, true), (true, false), (false, true), (false, false)];
    let read = |(cached_in_prompt, reasoning_in_completion)| {
        usage::read(raw, UsageConvention { cached_in_prompt, reasoning_in_completion })
    };
    conventions.into_iter().map(read).chain([usage::read_prompt(raw)]).collect()
}

/// An error of an upstream, with any status.
pub(crate) fn fault(body: &[u8]) {
    #[derive(Debug)]
    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(1)
        }

        fn sleep_until(&self, _: Timestamp) -> Wake {
            Box::pin(std::future::pending())
        }
    }
    for facts in catalog().providers() {
        for status in [200, 400, 401, 402, 403, 404, 413, 422, 429, 500, 503, 529] {
            let fault = Fault::classify(status, &HeaderMap::new(), body, &facts.quirks, &Still);
            assert!(fault.message.chars().count() <= 2_000, "what a client may be shown is bounded");
        }
    }
}
