//! How an answer is said to the client, piece by piece.

use bytes::{BufMut, Bytes, BytesMut};

use super::ErrorBody;
use crate::{
    chat::{Break, BreakReason, Chunk},
    meter::Bill,
};

/// Writes a metered answer in a client's wire. One for each call; it may keep what it needs between pieces.
pub(super) trait Voice: Send + std::fmt::Debug {
    /// An answer in one piece.
    fn whole(&mut self, json: Bytes, bill: &Bill) -> Bytes;

    /// One piece of a stream; may write nothing, or several events.
    fn chunk(&mut self, chunk: Chunk, out: &mut BytesMut);

    /// The end of a whole answer: what was held back for the bill, and what the wire ends with.
    fn end(&mut self, bill: &Bill, out: &mut BytesMut);

    /// The end of an answer that was cut short: never one that looks like the end of a whole one.
    fn broken(&mut self, broke: &Break, bill: &Bill, out: &mut BytesMut);
}

/// Appends one event, with a name where the wire has names. `json` stands on one line.
pub(super) fn event(name: Option<&str>, json: &[u8], out: &mut BytesMut) {
    out.reserve(json.len() + name.map_or(8, |name| name.len() + 16));
    if let Some(name) = name {
        out.put_slice(b"event: ");
        out.put_slice(name.as_bytes());
        out.put_u8(b'\n');
    }
    out.put_slice(b"data: ");
    out.put_slice(json);
    out.put_slice(b"\n\n");
}

/// Appends what the call cost, as a comment that every client passes over.
pub(super) fn comment(bill: &Bill, out: &mut BytesMut) {
    let line = format!(": tollgate cost-cny={} balance-cny={}", bill.settled.cost, bill.settled.balance);
    out.put_slice(line.as_bytes());
    if let Some(provider) = &bill.continued_by {
        out.put_slice(b" continued-by=");
        out.put_slice(provider.as_bytes());
    }
    out.put_slice(b"\n\n");
}

/// What a client is told of an answer that was cut short.
pub(super) fn broken_error(broke: &Break) -> ErrorBody {
    let code = match &broke.reason {
        BreakReason::Silent(_) | BreakReason::Slow(_) | BreakReason::TooLong(_) => "upstream_timeout",
        BreakReason::Lost | BreakReason::Reported { .. } | BreakReason::Unreadable => "upstream_interrupted",
    };
    let message = format!("The answer was cut short. {broke}. What arrived so far is charged; nothing else.");
    ErrorBody::new("server_error", code, message)
}
