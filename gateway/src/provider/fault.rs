//! What went wrong at an upstream, and whose matter it is.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use units::Clock;

use super::{Quirks, retry_after};
use crate::chat::AttemptResult;

/// An upstream's words are cut to this many characters before a client sees them.
const MESSAGE_MAX: usize = 2_000;

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// How the attempt went.
    pub result: AttemptResult,
    /// The upstream's status, if it answered.
    pub status: Option<u16>,
    /// What it said, or what was missing.
    pub message: String,
    /// When it says to come back.
    pub retry_after: Option<Duration>,
    /// Set when the request itself is at fault, so that no other provider is asked.
    pub refused: Option<Refused>,
    /// Set when an operator must act.
    pub alarm: Option<&'static str>,
}

/// What the client is told when its request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// 400, 413 or 422.
    pub status: u16,
    /// The stable code.
    pub code: Option<String>,
    /// The field at fault.
    pub param: Option<String>,
    /// The upstream's words.
    pub message: String,
}

impl Fault {
    /// A fault of the line or of the answer's form: another provider may do better.
    pub(super) fn of(result: AttemptResult, status: Option<u16>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { result, status, message, retry_after: None, refused: None, alarm: None }
    }

    /// The table names a provider that was not made ready: a snapshot in the middle of being replaced.
    pub fn unknown_provider() -> Self {
        Self::of(AttemptResult::Unreachable, None, "the provider is not ready")
    }

    /// From an answer whose status says it is none.
    pub(super) fn classify(
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
        quirks: &Quirks,
        clock: &dyn Clock,
    ) -> Self {
        Self::from_said(status, headers, Said::read(body), quirks, clock)
    }

    /// From an error in an answer with status 200: its words say what the status should have been.
    pub(super) fn inside(headers: &HeaderMap, said: Said, quirks: &Quirks, clock: &dyn Clock) -> Self {
        let status = said.implied_status();
        Self { status: Some(200), ..Self::from_said(status, headers, said, quirks, clock) }
    }

    fn from_said(status: u16, headers: &HeaderMap, said: Said, quirks: &Quirks, clock: &dyn Clock) -> Self {
        let retry_after = retry_after::read(headers, &said.message, clock);
        let (result, refused, alarm) = judge(status, &said, quirks);
        Self { result, status: Some(status), message: said.message, retry_after, refused, alarm }
    }
}

fn judge(
    status: u16,
    said: &Said,
    quirks: &Quirks,
) -> (AttemptResult, Option<Refused>, Option<&'static str>) {
    let refused = |code: Option<&str>, param: Option<&str>| {
        let status = if matches!(status, 413 | 422) && code.is_none() { status } else { 400 };
        let refused = Refused {
            status,
            code: code.map(str::to_owned).or_else(|| said.code.clone()),
            param: param.map(str::to_owned).or_else(|| said.param.clone()),
            message: said.message.clone(),
        };
        (AttemptResult::Refused, Some(refused), None)
    };
    if said.is_out_of_funds(status, quirks) {
        return (AttemptResult::OutOfFunds, None, Some("out_of_funds"));
    }
    if matches!(status, 400 | 403 | 413 | 422 | 500) && said.is_too_long() {
        return refused(Some("context_length_exceeded"), Some("messages"));
    }
    if matches!(status, 400 | 403 | 422 | 451 | 500) && said.is_content_filter() {
        return refused(Some("content_filter"), None);
    }
    match status {
        429 => (AttemptResult::RateLimited, None, None),
        401 | 403 => (AttemptResult::AuthFailed, None, Some("key_refused")),
        404 => (AttemptResult::Refused, None, Some("model_missing")),
        400 if said.is_model_missing() => (AttemptResult::Refused, None, Some("model_missing")),
        400 | 413 | 422 => refused(None, None),
        408 | 504 => (AttemptResult::TimedOut, None, None),
        409 | 425 | 498 | 500..=599 => (AttemptResult::ServerError, None, None),
        _ => (AttemptResult::Malformed, None, None),
    }
}

/// An upstream's error in its own words, whatever their shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) message: String,
    code: Option<String>,
    kind: Option<String>,
    param: Option<String>,
}

impl Said {
    /// Words of our own about what an upstream did.
    pub(super) fn words(message: String) -> Self {
        Self { message, ..Self::default() }
    }

    /// Reads `{"error":{…}}`, `{"error":"…"}`, `{"code","message"}`, `{"detail":[…]}`, and anything else as nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<Value>(body.trim_ascii()) else {
            return Self::words("the upstream sent something that is not JSON".into());
        };
        let value = match &value {
            Value::Array(list) => list.first().cloned().unwrap_or(Value::Null),
            _ => value,
        };
        let error = match value.get("error") {
            Some(Value::String(message)) => return Self::words(cut(message)),
            Some(error @ Value::Object(_)) => error,
            _ => &value,
        };
        let text = |name: &str| match error.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(cut(text)),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let nested = error.get("message").and_then(|message| message.get("detail"));
        let detail = nested.or_else(|| error.get("detail")).map(detail);
        let message = text("message").or(detail).unwrap_or_else(|| "the upstream gave no reason".into());
        Self { message, code: text("code"), kind: text("type"), param: text("param") }
    }

    fn code_is(&self, codes: &[&str]) -> bool {
        let is = |word: &Option<String>| {
            word.as_deref().is_some_and(|word| codes.iter().any(|code| word.eq_ignore_ascii_case(code)))
        };
        is(&self.code) || is(&self.kind)
    }

    fn says(&self, words: &[&str]) -> bool {
        let message = self.message.to_lowercase();
        words.iter().any(|word| message.contains(word))
    }

    fn is_out_of_funds(&self, status: u16, quirks: &Quirks) -> bool {
        let codes = [
            "exceeded_current_quota_error",
            "arrearage",
            "accountoverdueerror",
            "credit_balance_exhausted",
            "billing_hard_limit_reached",
            "1113",
        ];
        status == 402
            || self.code_is(&codes)
            || (quirks.quota_means_funds && self.code_is(&["insufficient_quota"]))
            || self.says(&["insufficient balance", "credit balance is too low", "account is in arrears"])
    }

    fn is_too_long(&self) -> bool {
        let codes = [
            "context_length_exceeded",
            "1261",
            "3051",
            "exceed_context_size_error",
            "model_max_prompt_tokens_exceeded",
        ];
        let words = [
            "maximum context length",
            "context window",
            "prompt is too long",
            "input is too long",
            "exceed context limit",
            "range of input length",
            "exceeds the maximum number of tokens",
            "exceeded model token limit",
            "token length too long",
            "too large for model",
            "maximum prompt length",
            "reduce the length",
            "longer than the model's context",
            "available context size",
            "greater than the context length",
            "too many tokens",
            "string too long",
        ];
        let exceeds = self.says(&["context length"]) && self.says(&["exceed"]);
        let input =
            self.says(&["input token count", "input length and `max_tokens`"]) && self.says(&["exceed"]);
        self.code_is(&codes) || self.says(&words) || exceeds || input
    }

    fn is_content_filter(&self) -> bool {
        let codes = [
            "content_filter",
            "content_policy_violation",
            "responsibleaipolicyviolation",
            "data_inspection_failed",
            "datainspectionfailed",
            "sensitivecontentdetected",
            "invalid_prompt",
            "1301",
            "1026",
            "1027",
        ];
        self.code_is(&codes)
            || self.code.as_deref().is_some_and(|code| code.ends_with("RiskDetection"))
            || self.says(&["content exists risk", "may contain inappropriate content"])
    }

    fn is_model_missing(&self) -> bool {
        self.code_is(&["model_not_found", "modelnotfound", "model.notexist"])
            || self.says(&["model not exist", "model does not exist"])
    }

    fn implied_status(&self) -> u16 {
        let numeric = self.code.as_deref().and_then(|code| code.parse().ok());
        if let Some(status @ 400..=599) = numeric {
            return status;
        }
        if self.code_is(&["rate_limit_exceeded", "rate_limit_error", "limit_requests"])
            || self.code.as_deref().is_some_and(|code| code.starts_with("Throttling"))
        {
            return 429;
        }
        // By the type where there is one: DeepSeek writes `invalid_request_error` as the code of whatever goes wrong.
        let refusals =
            ["invalid_request_error", "invalid_parameter_error", "invalidparameter", "bad_request"];
        let class = self.kind.as_deref().or(self.code.as_deref()).unwrap_or_default();
        let refused = refusals.iter().any(|refusal| class.eq_ignore_ascii_case(refusal));
        if self.is_content_filter() || self.is_too_long() || refused { 400 } else { 502 }
    }
}

/// FastAPI's list of what is wrong where, in one line.
fn detail(detail: &Value) -> String {
    match detail {
        Value::String(text) => cut(text),
        Value::Array(list) => {
            let one = |item: &Value| {
                let loc = item.get("loc").and_then(Value::as_array);
                let path: Vec<String> = loc.into_iter().flatten().map(plain).collect();
                let said = item.get("msg").map(plain).unwrap_or_default();
                if path.is_empty() { said } else { format!("{}: {said}", path.join(".")) }
            };
            cut(&list.iter().map(one).collect::<Vec<_>>().join("; "))
        }
        other => cut(&other.to_string()),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use units::Timestamp;

    use super::*;
    use crate::provider::{deepseek, mistral, openai, qwen};

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_secs(0)
        }

        fn sleep_until(&self, _: Timestamp) -> units::Wake {
            Box::pin(std::future::pending())
        }
    }

    fn fault(status: u16, body: &str, quirks: &Quirks) -> Fault {
        Fault::classify(status, &HeaderMap::new(), body.as_bytes(), quirks, &Fixed)
    }

    #[test]
    fn each_provider_is_understood_in_its_own_words() {
        use AttemptResult as R;
        let cases = [
            (
                402,
                r#"{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}"#,
                &deepseek::QUIRKS,
                R::OutOfFunds,
                false,
            ),
            (
                400,
                r#"{"error":{"message":"Content Exists Risk","code":"invalid_request_error"}}"#,
                &deepseek::QUIRKS,
                R::Refused,
                true,
            ),
            (400, r#"{"error":{"message":"Model Not Exist"}}"#, &deepseek::QUIRKS, R::Refused, false),
            (
                429,
                r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}"#,
                &openai::QUIRKS,
                R::OutOfFunds,
                false,
            ),
            (
                429,
                r#"{"error":{"code":"insufficient_quota","message":"Allocated quota exceeded"}}"#,
                &qwen::QUIRKS,
                R::RateLimited,
                false,
            ),
            (400, r#"{"code":"Arrearage","message":"Access denied"}"#, &qwen::QUIRKS, R::OutOfFunds, false),
            (403, r#"{"code":"AccessDenied","message":"no"}"#, &qwen::QUIRKS, R::AuthFailed, false),
            (401, r#"{"message":"Unauthorized","request_id":"x"}"#, &mistral::QUIRKS, R::AuthFailed, false),
            (
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted"}]}"#,
                &mistral::QUIRKS,
                R::Refused,
                true,
            ),
            (404, "<html>", &mistral::QUIRKS, R::Refused, false),
            (503, "", &mistral::QUIRKS, R::ServerError, false),
            (504, "", &mistral::QUIRKS, R::TimedOut, false),
            (302, "", &mistral::QUIRKS, R::Malformed, false),
        ];
        for (status, body, quirks, result, refused) in cases {
            let fault = fault(status, body, quirks);
            assert_eq!((fault.result, fault.refused.is_some()), (result, refused), "{body}");
        }
        let extra = fault(422, cases[8].1, &mistral::QUIRKS).refused.unwrap();
        assert_eq!(
            (extra.status, extra.message.as_str()),
            (422, "body.store: Extra inputs are not permitted")
        );
    }

    #[test]
    fn a_prompt_that_is_too_long_is_recognised() {
        for text in [
            r#"{"error":{"message":"This model's maximum context length is 131072 tokens.","code":"invalid_request_error"}}"#,
            r#"{"code":"InvalidParameter","message":"<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 8192]"}"#,
            r#"{"object":"error","message":"Prompt contains 9 tokens, too large for model with 8 maximum context length","code":3051}"#,
        ] {
            let refused = fault(400, text, &qwen::QUIRKS).refused.unwrap();
            assert_eq!(refused.code.as_deref(), Some("context_length_exceeded"));
            assert_eq!(refused.param.as_deref(), Some("messages"));
        }
    }

    #[test]
    fn an_error_inside_a_success_counts_as_what_it_says() {
        let inside =
            |body: &str| Fault::inside(&HeaderMap::new(), Said::read(body.as_bytes()), &qwen::QUIRKS, &Fixed);
        let throttled = inside(r#"{"code":"Throttling.RateQuota","message":"slow"}"#);
        assert_eq!((throttled.result, throttled.status), (AttemptResult::RateLimited, Some(200)));
        assert_eq!(inside(r#"{"error":"boom"}"#).result, AttemptResult::ServerError);
        assert_eq!(inside(r#"{"error":{"code":500}}"#).result, AttemptResult::ServerError);
        let filtered = inside(
            r#"{"code":"data_inspection_failed","message":"Input text data may contain inappropriate content."}"#,
        );
        assert_eq!(filtered.refused.unwrap().code.as_deref(), Some("content_filter"));
    }
}
