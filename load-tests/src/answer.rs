//! What did the far side say, and what did it cost? Read once the clock has stopped.

use serde_json::Value;

use crate::money;

/// What a whole answer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Tokens asked with.
    pub(crate) prompt_tokens: u64,
    /// Tokens answered with.
    pub(crate) completion_tokens: u64,
    /// What it cost in nano-yuan; who sells nothing says nothing.
    pub(crate) cost: Option<i64>,
}

/// Why an answer does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Not JSON, or without the members an answer has.
    Unreadable,
    /// A stream that ends without `[DONE]`.
    CutShort,
    /// A stream without a usage chunk, or an answer without usage.
    NoUsage,
    /// A cost that is no amount.
    BadCost,
}

impl Unusable {
    /// The name it is counted under.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::CutShort => "cut short",
            Self::NoUsage => "no usage",
            Self::BadCost => "bad cost",
        }
    }
}

/// Reads an answer that came in one piece; its cost stands in a header.
///
/// # Errors
/// [`Unusable`]
pub(crate) fn whole(body: &[u8], cost: Option<&str>) -> Result<Answer, Unusable> {
    let json: Value = serde_json::from_slice(body).map_err(|_| Unusable::Unreadable)?;
    if !json["choices"][0]["message"].is_object() {
        return Err(Unusable::Unreadable);
    }
    used(&json["usage"], cost)
}

/// Reads a stream of server-sent events; its cost stands in the usage of its last chunk.
///
/// # Errors
/// [`Unusable`]
pub(crate) fn stream(body: &[u8]) -> Result<Answer, Unusable> {
    let text = std::str::from_utf8(body).map_err(|_| Unusable::Unreadable)?;
    let mut events = text.lines().rev().filter_map(|line| line.strip_prefix("data: "));
    if events.next() != Some("[DONE]") {
        return Err(Unusable::CutShort);
    }
    let last = events.next().ok_or(Unusable::NoUsage)?;
    let json: Value = serde_json::from_str(last).map_err(|_| Unusable::Unreadable)?;
    let usage = &json["usage"];
    let cost = match &usage["cost"] {
        Value::Null => None,
        cost => Some(cost.as_str().ok_or(Unusable::BadCost)?),
    };
    used(usage, cost)
}

fn used(usage: &Value, cost: Option<&str>) -> Result<Answer, Unusable> {
    let count = |name: &str| usage[name].as_u64().ok_or(Unusable::NoUsage);
    Ok(Answer {
        prompt_tokens: count("prompt_tokens")?,
        completion_tokens: count("completion_tokens")?,
        cost: cost.map(|cost| money::nano(cost).ok_or(Unusable::BadCost)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str =
        r#"{"choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":2}}"#;

    #[test]
    fn a_whole_answer_has_usage_and_its_cost_in_a_header() {
        let answer = whole(WHOLE.as_bytes(), Some("0.000013")).unwrap();
        assert_eq!(answer, Answer { prompt_tokens: 9, completion_tokens: 2, cost: Some(13_000) });
        assert_eq!(whole(WHOLE.as_bytes(), None).unwrap().cost, None);
        assert_eq!(whole(WHOLE.as_bytes(), Some("free")), Err(Unusable::BadCost));
        assert_eq!(whole(br#"{"error":{}}"#, None), Err(Unusable::Unreadable));
        assert_eq!(whole(br#"{"choices":[{"message":{}}]}"#, None), Err(Unusable::NoUsage));
    }

    #[test]
    fn a_stream_has_its_cost_in_the_last_chunk() {
        let sent = "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\n\
            data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\"cost\":\"0.000013\"}}\n\n\
            : tollgate cost-cny=0.000013 balance-cny=1.00\n\ndata: [DONE]\n\n";
        let answer = stream(sent.as_bytes()).unwrap();
        assert_eq!(answer, Answer { prompt_tokens: 9, completion_tokens: 2, cost: Some(13_000) });
    }

    #[test]
    fn a_stream_that_was_cut_does_not_count() {
        assert_eq!(stream(b"data: {\"choices\":[]}\n\n"), Err(Unusable::CutShort));
        assert_eq!(stream(b""), Err(Unusable::CutShort));
        assert_eq!(stream(b"data: [DONE]\n\n"), Err(Unusable::NoUsage));
        assert_eq!(stream(b"data: {\"usage\":null}\n\ndata: [DONE]\n\n"), Err(Unusable::NoUsage));
        let number = b"data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1,\"cost\":0.1}}\n\ndata: [DONE]\n\n";
        assert_eq!(stream(number), Err(Unusable::BadCost), "money is never a number");
    }
}
