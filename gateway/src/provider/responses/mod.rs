//! OpenAI's Responses at an upstream that speaks them: what is sent, and what is heard.

mod ear;
mod request;
mod usage;

pub(super) use ear::ResponsesEar;
pub(super) use request::body;
