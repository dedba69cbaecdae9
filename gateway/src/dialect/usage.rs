//! What was used, in the words of the clients' wires, with what it cost.

use bytes::Bytes;
use units::Usage;

use crate::{
    json::{self, ObjectWriter},
    meter::Bill,
};

/// As a chat completion says it: the upstream's own object where it sent one that was charged, else one in its likeness.
pub(super) fn chat_usage(usage: &Usage, bill: &Bill) -> Vec<u8> {
    let own = bill.raw.as_deref().and_then(|raw| json::members(raw).ok());
    let own = own.filter(|members| members.iter().any(|(name, _)| name == "prompt_tokens"));
    let mut out = ObjectWriter::new(256);
    match own {
        Some(members) => {
            for (name, value) in members.iter().filter(|(name, _)| !is_price(name)) {
                out.raw(name, value.get().as_bytes());
            }
        }
        None => {
            let cached = format!(r#"{{"cached_tokens":{}}}"#, usage.cached_input);
            let reasoning = format!(r#"{{"reasoning_tokens":{}}}"#, usage.reasoning);
            out.count("prompt_tokens", usage.prompt().0)
                .count("completion_tokens", usage.output.0)
                .count("total_tokens", usage.total().0)
                .raw("prompt_tokens_details", cached.as_bytes())
                .raw("completion_tokens_details", reasoning.as_bytes());
        }
    }
    price(&mut out, bill);
    out.finish()
}

/// As a Response says it, likewise.
pub(super) fn responses_usage(usage: &Usage, bill: &Bill) -> Vec<u8> {
    let own = bill.raw.as_deref().and_then(|raw| json::members(raw).ok());
    let own = own.filter(|members| members.iter().any(|(name, _)| name == "input_tokens"));
    let mut out = ObjectWriter::new(256);
    match own {
        Some(members) => {
            for (name, value) in members.iter().filter(|(name, _)| !is_price(name)) {
                out.raw(name, value.get().as_bytes());
            }
        }
        None => {
            let input = format!(
                r#"{{"cached_tokens":{},"cache_write_tokens":{}}}"#,
                usage.cached_input, usage.cache_write
            );
            let output = format!(r#"{{"reasoning_tokens":{}}}"#, usage.reasoning);
            out.count("input_tokens", usage.prompt().0)
                .raw("input_tokens_details", input.as_bytes())
                .count("output_tokens", usage.output.0)
                .raw("output_tokens_details", output.as_bytes())
                .count("total_tokens", usage.total().0);
        }
    }
    price(&mut out, bill);
    out.finish()
}

/// As Messages say it: the upstream's own object where it sent one in these words that was charged, else one in its
/// likeness. Input that was read from a cache or written to one stands beside the rest, not in it.
pub(super) fn messages_usage(bill: &Bill) -> Vec<u8> {
    let own = bill.raw.as_deref().and_then(|raw| json::members(raw).ok());
    let own = own.filter(|members| members.iter().any(|(name, _)| name == "input_tokens"));
    let mut out = ObjectWriter::new(256);
    match own {
        Some(members) => {
            for (name, value) in members.iter().filter(|(name, _)| !is_price(name)) {
                out.raw(name, value.get().as_bytes());
            }
        }
        None => {
            let usage = bill.usage.unwrap_or_default();
            out.count("input_tokens", usage.input.0)
                .count("cache_creation_input_tokens", usage.cache_write.0)
                .count("cache_read_input_tokens", usage.cached_input.0)
                .count("output_tokens", usage.output.0);
            if usage.reasoning.0 > 0 {
                let details = format!(r#"{{"thinking_tokens":{}}}"#, usage.reasoning);
                out.raw("output_tokens_details", details.as_bytes());
            }
        }
    }
    price(&mut out, bill);
    out.finish()
}

/// An answer in one piece with what was charged for as its `usage`. As it came, byte by byte, where that is what it says.
pub(super) fn with_usage(json: Bytes, bill: &Bill, said: impl FnOnce() -> Vec<u8>) -> Bytes {
    let Ok(members) = json::members(&json) else { return json };
    let own = members.iter().find(|(name, _)| name == "usage").map(|(_, value)| value.get().as_bytes());
    if bill.usage.is_none() || (!bill.estimated && own == bill.raw.as_deref()) {
        return json;
    }
    let mut out = ObjectWriter::new(json.len() + 256);
    for (name, value) in members.iter().filter(|(name, _)| name != "usage") {
        out.raw(name, value.get().as_bytes());
    }
    out.raw("usage", &said());
    out.finish().into()
}

/// Members that are ours to say: what an upstream charges us is nobody else's business.
fn is_price(name: &str) -> bool {
    matches!(name, "cost" | "cost_currency" | "estimated")
}

/// Adds the price, and whether the counts are ours.
pub(super) fn price(out: &mut ObjectWriter, bill: &Bill) {
    if bill.estimated {
        out.raw("estimated", b"true");
    }
    out.text("cost", &bill.settled.cost.to_string()).text("cost_currency", "CNY");
}
