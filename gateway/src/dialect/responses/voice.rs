//! A chat's answer as a Response, whole or in its events.

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::{
    response::{Asked, Stage},
    speaker::Speaker,
};
use crate::{
    chat::{Break, Chunk, Endpoint},
    dialect::{
        usage::responses_usage,
        voice::{Voice, broken_error, comment},
    },
    meter::Bill,
};

/// Says chat chunks to a client of Responses.
#[derive(Debug)]
pub(in crate::dialect) struct ResponsesVoice(Speaker);

impl ResponsesVoice {
    /// For what was asked.
    pub(in crate::dialect) fn new(asked: Asked) -> Self {
        Self(Speaker::new(asked))
    }
}

fn usage(bill: &Bill) -> Option<Vec<u8>> {
    bill.usage.map(|usage| responses_usage(&usage, bill))
}

impl Voice for ResponsesVoice {
    fn whole(&mut self, json: Bytes, bill: &Bill) -> Bytes {
        let mut unsaid = BytesMut::new();
        self.0.hear(&json, 0, &mut unsaid);
        let stage = self.0.ended(&mut unsaid);
        self.0.response(&stage, usage(bill).as_deref()).into()
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut) {
        self.0.hear(&chunk.json, chunk.text_size.bytes(), out);
    }

    fn end(&mut self, bill: &Bill, out: &mut BytesMut) {
        let stage = self.0.ended(out);
        let kind = if stage == Stage::Completed { "response.completed" } else { "response.incomplete" };
        let response = self.0.response(&stage, usage(bill).as_deref());
        comment(bill, out);
        self.0.events.write(kind, out, |json| {
            json.raw("response", &response);
        });
    }

    /// An error that every SDK raises, and after it, for who reads on, what had been said until then.
    fn broken(&mut self, broke: &Break, bill: &Bill, out: &mut BytesMut) {
        self.0.begin(out);
        self.0.cut();
        comment(bill, out);
        let error = broken_error(broke);
        let number = self.0.events.take();
        error.event(Endpoint::Responses, StatusCode::BAD_GATEWAY, &bill.request.to_string(), number, out);
        let response = self.0.response(&Stage::Failed(error.message), usage(bill).as_deref());
        self.0.events.write("response.failed", out, |json| {
            json.raw("response", &response);
        });
    }
}
