//! How many tokens does a prompt probably have? Asked at `/v1/messages/count_tokens`, where nothing is produced.

use bytes::Bytes;
use units::Tokens;

use super::{as_chat::as_chat, size::input_size, trouble::Trouble};
use crate::{
    dialect::decode::{DecodeError, Fields},
    json::Object,
};

/// A prompt, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The model it is meant for.
    pub model: String,
    /// What it probably comes to, reckoned as calls are where an upstream does not say.
    pub input: Tokens,
}

/// Reads a body, which is that of a call without `max_tokens`.
///
/// # Errors
/// [`DecodeError`], with the first thing that is wrong.
pub fn count(body: &Bytes) -> Result<Counted, DecodeError> {
    let fields = Fields::read(body)?;
    let model = fields.model()?;
    let messages = fields.list("messages", "message")?;
    // What a chat cannot say can be counted all the same.
    if let Err(Trouble::Bad(error)) = as_chat(Object::body(fields.members().clone())) {
        return Err(error);
    }
    let size = input_size(body.len(), messages, fields.find("tools")?.is_some());
    Ok(Counted { model, input: size.estimate })
}
