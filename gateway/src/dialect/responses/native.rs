//! A Response's own events, as they came; only the last one waits for its price.

use bytes::{Bytes, BytesMut};
use http::StatusCode;

use super::response::{sequence_number, with_members};
use crate::{
    chat::{Break, Chunk, Endpoint},
    dialect::{
        usage::{responses_usage, with_usage},
        voice::{Voice, broken_error, comment, event},
    },
    json::{self, ObjectWriter},
    meter::Bill,
};

/// Says the events of an upstream that speaks Responses.
#[derive(Debug, Default)]
pub(in crate::dialect) struct NativeResponsesVoice {
    /// The first event, which holds the response as it was begun.
    first: Option<Bytes>,
    /// The latest, which knows how many there were.
    latest: Option<Bytes>,
    /// The one that ends the answer.
    last: Option<Chunk>,
}

impl Voice for NativeResponsesVoice {
    fn whole(&mut self, json: Bytes, bill: &Bill) -> Bytes {
        let usage = bill.usage.unwrap_or_default();
        with_usage(json, bill, || responses_usage(&usage, bill))
    }

    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut) {
        if chunk.finish {
            self.last = Some(chunk);
            return;
        }
        event(chunk.event.as_deref(), &chunk.json, out);
        self.first.get_or_insert_with(|| chunk.json.clone());
        self.latest = Some(chunk.json);
    }

    fn end(&mut self, bill: &Bill, out: &mut BytesMut) {
        comment(bill, out);
        let Some(chunk) = self.last.take() else { return };
        let usage = bill.usage.map(|usage| responses_usage(&usage, bill));
        let json = match (response_of(&chunk.json), usage) {
            (Some(response), Some(usage)) => {
                let response = with_members(response, &[("usage", &usage)]);
                with_members(&chunk.json, &[("response", &response)]).into()
            }
            _ => chunk.json,
        };
        event(chunk.event.as_deref(), &json, out);
    }

    /// As where the answer was translated: an error that every SDK raises, and the response as a failed one.
    fn broken(&mut self, broke: &Break, bill: &Bill, out: &mut BytesMut) {
        comment(bill, out);
        let error = broken_error(broke);
        let number =
            self.latest.as_deref().and_then(sequence_number).map_or(0, |number| number.saturating_add(1));
        error.event(Endpoint::Responses, StatusCode::BAD_GATEWAY, &bill.request.to_string(), number, out);
        let Some(response) = self.first.as_deref().and_then(response_of) else { return };
        let usage = bill.usage.map_or_else(|| b"null".to_vec(), |usage| responses_usage(&usage, bill));
        let mut said = ObjectWriter::new(error.message.len() + 48);
        said.text("code", "server_error").text("message", &error.message);
        let response = with_members(
            response,
            &[("status", b"\"failed\""), ("error", &said.finish()), ("usage", &usage)],
        );
        let mut failed = ObjectWriter::new(response.len() + 96);
        failed
            .text("type", "response.failed")
            .count("sequence_number", number.saturating_add(1))
            .raw("response", &response);
        event(Some("response.failed"), &failed.finish(), out);
    }
}

/// The response in an event.
fn response_of(event: &[u8]) -> Option<&[u8]> {
    let members = json::members(event).ok()?;
    members.iter().find(|(name, _)| name == "response").map(|(_, value)| value.get().as_bytes())
}
