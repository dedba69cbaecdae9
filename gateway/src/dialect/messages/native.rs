//! An answer in Messages' own words: passed on as it came, its end held until it is paid.

use bytes::{Bytes, BytesMut};

use super::voice::broken;
use crate::{
    chat::{Break, Chunk},
    dialect::{
        usage::{messages_usage, with_usage},
        voice::{Voice, comment, event},
    },
    json::{self, ObjectWriter},
    meter::Bill,
};

/// Says Messages to a client of Messages.
#[derive(Debug, Default)]
pub(in crate::dialect) struct NativeMessagesVoice {
    /// The `message_delta` that ends the answer: what was used is said in it.
    last: Option<Bytes>,
}

impl Voice for NativeMessagesVoice {
    fn whole(&mut self, json: Bytes, bill: &Bill) -> Bytes {
        with_usage(json, bill, || messages_usage(bill))
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut) {
        let name = chunk.event.as_deref();
        if name == Some("message_delta") {
            if let Some(earlier) = self.last.replace(chunk.json) {
                event(name, &earlier, out);
            }
        } else {
            event(name, &chunk.json, out);
        }
    }

    fn end(&mut self, bill: &Bill, out: &mut BytesMut) {
        comment(bill, out);
        let last =
            self.last.take().unwrap_or_else(|| Bytes::from_static(br#"{"type":"message_delta","delta":{}}"#));
        let mut said = ObjectWriter::new(last.len() + 128);
        for (name, value) in json::members(&last).unwrap_or_default() {
            if name != "usage" {
                said.raw(&name, value.get().as_bytes());
            }
        }
        said.raw("usage", &messages_usage(bill));
        event(Some("message_delta"), &said.finish(), out);
        event(Some("message_stop"), br#"{"type":"message_stop"}"#, out);
    }

    fn broken(&mut self, broke: &Break, bill: &Bill, out: &mut BytesMut) {
        broken(broke, bill, out);
    }
}
