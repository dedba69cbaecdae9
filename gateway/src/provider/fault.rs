//! What went wrong at an upstream, and whose matter it is.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use units::Clock;

use router_config::{ErrorClass, FailureClass, Quirks};

use super::{Allowances, retry_after};
use crate::{
    chat::{AttemptResult, Inexpressible},
    plan::failure_class,
};

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
    pub refused: Option<Box<Refused>>,
    /// Set where what is refused is a matter of this upstream's alone: the next may do it.
    pub may_do_elsewhere: bool,
    /// Set when an operator must act.
    pub alarm: Option<&'static str>,
    /// What is left of our limits there.
    pub left: Allowances,
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
        let (retry_after, refused, alarm, left) = (None, None, None, Allowances::default());
        Self { result, status, message, retry_after, refused, may_do_elsewhere: false, alarm, left }
    }

    /// How a route speaks of it; `None` where the request itself is at fault, as every target would find.
    pub fn class(&self) -> Option<FailureClass> {
        match (self.result, &self.refused) {
            (AttemptResult::Refused, None) => Some(FailureClass::ModelMissing),
            (AttemptResult::Refused, Some(refused)) => match refused.code.as_deref() {
                Some("content_filter") => Some(FailureClass::ContentFilter),
                Some("context_length_exceeded") => Some(FailureClass::ContextWindow),
                _ => None,
            },
            (result, _) => failure_class(result),
        }
    }

    /// The call asks for something that this upstream's wire has no word for. `plan` leaves such upstreams out where it
    /// can tell.
    pub(super) fn inexpressible(what: &Inexpressible) -> Self {
        let refused = Refused {
            status: 400,
            code: Some("unsupported_parameter".to_owned()),
            param: Some(what.param.clone()),
            message: format!("{what}."),
        };
        let fault = Self::of(AttemptResult::Refused, None, what.to_string());
        Self { refused: Some(Box::new(refused)), may_do_elsewhere: true, ..fault }
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
        let fault = Self::from_said(status, headers, Said::read(body), quirks, clock);
        if status == 429 && fault.retry_after.is_none() && quirks.silent_429_means_cap {
            return Self { result: AttemptResult::OutOfFunds, alarm: Some("out_of_funds"), ..fault };
        }
        fault
    }

    /// From an error in an answer with status 200: its words say what the status should have been.
    pub(super) fn inside(headers: &HeaderMap, said: Said, quirks: &Quirks, clock: &dyn Clock) -> Self {
        let status = said.implied_status();
        Self { status: Some(200), ..Self::from_said(status, headers, said, quirks, clock) }
    }

    /// How an attempt went that ended with this error.
    pub(super) fn result_of(said: &Said, quirks: &Quirks) -> AttemptResult {
        judge(said.implied_status(), said, quirks).0
    }

    fn from_said(status: u16, headers: &HeaderMap, said: Said, quirks: &Quirks, clock: &dyn Clock) -> Self {
        let retry_after = retry_after::read(headers, &said.message, clock);
        let (result, refused, alarm) = judge(status, &said, quirks);
        let (status, may_do_elsewhere) = (Some(status), false);
        let left = Allowances::read(headers, clock);
        Self { result, status, message: said.message, retry_after, refused, may_do_elsewhere, alarm, left }
    }
}

fn judge(
    status: u16,
    said: &Said,
    quirks: &Quirks,
) -> (AttemptResult, Option<Box<Refused>>, Option<&'static str>) {
    let refused = |code: Option<&str>, param: Option<&str>| {
        let status = if matches!(status, 413 | 422) && code.is_none() { status } else { 400 };
        // Frameworks look for the code in the text: some SDKs show them nothing else.
        let message = match code {
            Some(code @ "context_length_exceeded") => {
                format!("The prompt is too long for this model ({code}). {}", said.message)
            }
            _ => said.message.clone(),
        };
        let refused = Refused {
            status,
            code: code.map(str::to_owned).or_else(|| said.code.clone()),
            param: param.map(str::to_owned).or_else(|| said.param.clone()),
            message,
        };
        (AttemptResult::Refused, Some(Box::new(refused)), None)
    };
    match said.class(quirks) {
        Some(ErrorClass::OutOfFunds) => return (AttemptResult::OutOfFunds, None, Some("out_of_funds")),
        Some(ErrorClass::RateLimited) => return (AttemptResult::RateLimited, None, None),
        Some(ErrorClass::KeyRefused) => return (AttemptResult::AuthFailed, None, Some("key_refused")),
        Some(ErrorClass::ModelMissing) => return (AttemptResult::Refused, None, Some("model_missing")),
        Some(ErrorClass::ContentFilter) => return refused(Some("content_filter"), None),
        Some(ErrorClass::TooLong) => return refused(Some("context_length_exceeded"), Some("messages")),
        Some(ErrorClass::Overloaded) => return (AttemptResult::ServerError, None, None),
        None => {}
    }
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
        // Fireworks': the account is suspended. Nobody else says it of anything.
        412 => (AttemptResult::OutOfFunds, None, Some("out_of_funds")),
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

    /// A code and words, both the upstream's.
    pub(super) fn coded(code: String, message: String) -> Self {
        Self { message, code: Some(code), ..Self::default() }
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

    /// What the upstream's own code means, where the catalog knows it.
    fn class(&self, quirks: &Quirks) -> Option<ErrorClass> {
        [&self.code, &self.kind].into_iter().flatten().find_map(|word| quirks.error_class(word))
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
            || self.says(&[
                "insufficient balance",
                "credit balance is too low",
                "account is in arrears",
                "specified api usage limits",
            ])
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
    use super::*;
    use crate::clock::StillClock;

    fn quirks(kind: &str) -> &'static Quirks {
        &router_config::catalog().provider(kind).unwrap().quirks
    }

    fn fault(status: u16, body: &str, quirks: &Quirks) -> Fault {
        Fault::classify(status, &HeaderMap::new(), body.as_bytes(), quirks, &StillClock::at_secs(0))
    }

    #[test]
    fn each_provider_is_understood_in_its_own_words() {
        use AttemptResult as R;
        let cases = [
            (
                402,
                r#"{"error":{"message":"Insufficient Balance","code":"invalid_request_error"}}"#,
                quirks("deepseek"),
                R::OutOfFunds,
                false,
            ),
            (
                400,
                r#"{"error":{"message":"Content Exists Risk","code":"invalid_request_error"}}"#,
                quirks("deepseek"),
                R::Refused,
                true,
            ),
            (400, r#"{"error":{"message":"Model Not Exist"}}"#, quirks("deepseek"), R::Refused, false),
            (
                429,
                r#"{"error":{"code":"insufficient_quota","message":"You exceeded your current quota"}}"#,
                quirks("openai"),
                R::OutOfFunds,
                false,
            ),
            (
                429,
                r#"{"error":{"code":"insufficient_quota","message":"Allocated quota exceeded"}}"#,
                quirks("qwen"),
                R::RateLimited,
                false,
            ),
            (400, r#"{"code":"Arrearage","message":"Access denied"}"#, quirks("qwen"), R::OutOfFunds, false),
            (403, r#"{"code":"AccessDenied","message":"no"}"#, quirks("qwen"), R::AuthFailed, false),
            (401, r#"{"message":"Unauthorized","request_id":"x"}"#, quirks("mistral"), R::AuthFailed, false),
            (
                422,
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted"}]}"#,
                quirks("mistral"),
                R::Refused,
                true,
            ),
            (404, "<html>", quirks("mistral"), R::Refused, false),
            (503, "", quirks("mistral"), R::ServerError, false),
            (504, "", quirks("mistral"), R::TimedOut, false),
            (302, "", quirks("mistral"), R::Malformed, false),
        ];
        for (status, body, quirks, result, refused) in cases {
            let fault = fault(status, body, quirks);
            assert_eq!((fault.result, fault.refused.is_some()), (result, refused), "{body}");
        }
        let extra = fault(422, cases[8].1, quirks("mistral")).refused.unwrap();
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
            let refused = fault(400, text, quirks("qwen")).refused.unwrap();
            assert_eq!(refused.code.as_deref(), Some("context_length_exceeded"));
            assert_eq!(refused.param.as_deref(), Some("messages"));
        }
    }

    #[test]
    fn anthropic_is_understood_in_its_own_words() {
        use AttemptResult as R;
        let said = |kind: &str, message: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#
            )
        };
        let anthropic = quirks("anthropic");
        for (status, kind, message, result) in [
            (529, "overloaded_error", "Overloaded", R::ServerError),
            (500, "api_error", "Internal server error", R::ServerError),
            (504, "timeout_error", "timed out", R::TimedOut),
            (401, "authentication_error", "invalid x-api-key", R::AuthFailed),
            (403, "permission_error", "no", R::AuthFailed),
            (402, "billing_error", "pay", R::OutOfFunds),
            (
                400,
                "invalid_request_error",
                "Your credit balance is too low to access the API.",
                R::OutOfFunds,
            ),
            (
                400,
                "invalid_request_error",
                "You have reached your specified API usage limits.",
                R::OutOfFunds,
            ),
            (404, "not_found_error", "model: claude-x", R::Refused),
            (400, "invalid_request_error", "tools.0.name: String should match pattern", R::Refused),
        ] {
            assert_eq!(fault(status, &said(kind, message), anthropic).result, result, "{kind}: {message}");
        }
        let long = said("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum");
        assert_eq!(
            fault(400, &long, anthropic).refused.unwrap().code.as_deref(),
            Some("context_length_exceeded")
        );
        // A limit says when to come back; a cap on what may be spent does not.
        let mut headers = HeaderMap::new();
        let limited = said("rate_limit_error", "slow down");
        assert_eq!(fault(429, &limited, anthropic).alarm, Some("out_of_funds"));
        headers.insert("retry-after", "7".parse().unwrap());
        let fault = Fault::classify(429, &headers, limited.as_bytes(), anthropic, &StillClock::at_secs(0));
        assert_eq!((fault.result, fault.retry_after), (R::RateLimited, Some(Duration::from_secs(7))));
        let inside = |kind: &str| {
            let said = Said::read(said(kind, "x").as_bytes());
            Fault::inside(&HeaderMap::new(), said, anthropic, &StillClock::at_secs(0)).result
        };
        assert_eq!(inside("overloaded_error"), R::ServerError);
        assert_eq!(inside("rate_limit_error"), R::RateLimited);
    }

    #[test]
    fn an_error_inside_a_success_counts_as_what_it_says() {
        let inside = |body: &str| {
            Fault::inside(
                &HeaderMap::new(),
                Said::read(body.as_bytes()),
                quirks("qwen"),
                &StillClock::at_secs(0),
            )
        };
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
