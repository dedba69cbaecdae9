//! What goes wrong next, where, and how often?
//!
//! A fault waits in the queue until something comes by that it fits; one request or delivery meets one fault. Counted
//! faults go first, in the order in which they were asked for; those that stand until cleared come after them.
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How many faults may wait at once.
const QUEUED_MAX: usize = 1_000;

/// Who is to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Scope {
    #[serde(rename = "openai")]
    OpenAi,
    #[serde(rename = "deepseek")]
    DeepSeek,
    #[serde(rename = "qwen")]
    Qwen,
    #[serde(rename = "mistral")]
    Mistral,
    #[serde(rename = "wechat")]
    WeChat,
    #[serde(rename = "fx")]
    Fx,
    #[serde(rename = "*")]
    Any,
}

/// A call of the WeChat Pay API, as faults name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Create,
    Query,
    Close,
    Refund,
    RefundQuery,
    Certificates,
}

/// How a refund ends, or that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum RefundStatus {
    Processing,
    Success,
    Closed,
    Abnormal,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// Answers with this status; without a body, in the words the one who answers would use.
    Status {
        status: u16,
        /// Of model providers and rates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
        /// Seconds; of model providers.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        /// WeChat Pay's error code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
        /// WeChat Pay does what was asked and then answers with the error nevertheless.
        #[serde(default)]
        executed: bool,
    },
    /// Never answers; ends when the client leaves.
    Timeout {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
        /// WeChat Pay does what was asked, and its answer is lost.
        #[serde(default)]
        executed: bool,
    },

    // Model providers.
    SlowFirstByte {
        ms: u64,
        /// The status line comes at once, only the body is late.
        #[serde(default)]
        after_headers: bool,
    },
    StallAfter {
        chunks: usize,
    },
    CutAfter {
        chunks: usize,
    },
    #[serde(rename = "error_in_200")]
    ErrorIn200 {},
    Html {},
    Empty {},
    NoUsage {},
    /// Replaces the usage object by anything.
    Usage {
        usage: Value,
    },
    NoDone {},
    BadJson {},
    OutOfFunds {},
    Crlf {},
    Bom {},

    // WeChat Pay's notifications; each fault spoils one delivery, the ladder goes on.
    DropNotification {
        /// Every delivery of this event is lost, not only the next.
        #[serde(default)]
        all: bool,
    },
    DelayNotification {
        ms: u64,
    },
    DuplicateNotification {
        copies: usize,
    },
    /// With an `op`, the answer to that call instead of a notification.
    BadSignature {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
    /// With an `op`, the answer to that call instead of a notification.
    SignatureProbe {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
    WrongAmount {
        total: i64,
    },
    WrongMchid {},
    StaleNotification {},
    UnknownOrder {},

    // WeChat Pay's refunds.
    RefundResult {
        status: RefundStatus,
    },
    NotEnough {},
    /// Meets refunds unless `op` says otherwise.
    FrequencyLimited {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        op: Option<Op>,
    },
}

/// Where a fault could strike now.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Site<'a> {
    Provider(Scope, &'a str),
    Api(Op),
    /// The signature on the answer to a call that went well.
    Signature(Op),
    Notification,
    RefundResult,
    Fx,
}

impl Site<'_> {
    fn scope(self) -> Scope {
        match self {
            Self::Provider(scope, _) => scope,
            Self::Api(_) | Self::Signature(_) | Self::Notification | Self::RefundResult => Scope::WeChat,
            Self::Fx => Scope::Fx,
        }
    }
}

impl Fault {
    fn strikes(&self, site: Site<'_>) -> bool {
        let any_or = |asked: &Option<Op>, op: Op| asked.is_none_or(|asked| asked == op);
        match (self, site) {
            (Self::Status { op, .. } | Self::Timeout { op, .. }, Site::Api(called)) => any_or(op, called),
            (Self::Status { op, .. } | Self::Timeout { op, .. }, Site::Provider(..) | Site::Fx) => {
                op.is_none()
            }
            (
                Self::SlowFirstByte { .. }
                | Self::StallAfter { .. }
                | Self::CutAfter { .. }
                | Self::ErrorIn200 {}
                | Self::Html {}
                | Self::Empty {}
                | Self::NoUsage {}
                | Self::Usage { .. }
                | Self::NoDone {}
                | Self::BadJson {}
                | Self::OutOfFunds {}
                | Self::Crlf {}
                | Self::Bom {},
                Site::Provider(..),
            ) => true,
            (Self::BadSignature { op } | Self::SignatureProbe { op }, Site::Signature(called)) => {
                *op == Some(called)
            }
            (Self::BadSignature { op } | Self::SignatureProbe { op }, Site::Notification) => op.is_none(),
            (
                Self::DropNotification { .. }
                | Self::DelayNotification { .. }
                | Self::DuplicateNotification { .. }
                | Self::WrongAmount { .. }
                | Self::WrongMchid {}
                | Self::StaleNotification {}
                | Self::UnknownOrder {},
                Site::Notification,
            ) => true,
            (Self::RefundResult { .. }, Site::RefundResult) => true,
            (Self::NotEnough {}, Site::Api(called)) => called == Op::Refund,
            (Self::FrequencyLimited { op }, Site::Api(called)) => op.unwrap_or(Op::Refund) == called,
            _ => false,
        }
    }

    /// Whether this fault means anything to that scope.
    fn known_to(&self, scope: Scope) -> bool {
        let anywhere = matches!(self, Self::Status { .. } | Self::Timeout { .. });
        let of_providers = self.strikes(Site::Provider(scope, ""));
        match scope {
            Scope::Any => true,
            Scope::Fx => anywhere,
            Scope::WeChat => anywhere || !of_providers,
            Scope::OpenAi | Scope::DeepSeek | Scope::Qwen | Scope::Mistral => of_providers,
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Status { status: ..=199 | 600.., .. } => Err("status: 200 to 599".into()),
            Self::DuplicateNotification { copies: 0 | 101.. } => Err("copies: 1 to 100".into()),
            _ => Ok(()),
        }
    }
}

/// A fault in the queue.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Queued {
    id: u64,
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// As asked for; 0 stands until cleared.
    times: u64,
    left: u64,
    #[serde(flatten)]
    fault: Fault,
}

/// The queue of faults.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: Mutex<(u64, Vec<Queued>)>,
}

impl Faults {
    fn queue(&self) -> std::sync::MutexGuard<'_, (u64, Vec<Queued>)> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and queues one fault.
    ///
    /// # Errors
    /// Says in words what is wrong with the request.
    pub(crate) fn add(&self, mut asked: Map<String, Value>) -> Result<Queued, String> {
        let scope = asked.remove("scope").ok_or("scope is missing")?;
        let scope: Scope = serde_json::from_value(scope).map_err(|error| format!("scope: {error}"))?;
        let times = match asked.remove("times") {
            None => 1,
            Some(times) => times.as_u64().ok_or("times: a whole number, 0 or more")?,
        };
        let model = match asked.remove("model") {
            None => None,
            Some(Value::String(model)) => Some(model),
            Some(_) => return Err("model: a string".into()),
        };
        let fault: Fault =
            serde_json::from_value(Value::Object(asked)).map_err(|error| format!("fault: {error}"))?;
        fault.check()?;
        if !fault.known_to(scope) {
            return Err("this scope has no such fault".into());
        }
        let mut queue = self.queue();
        if queue.1.len() >= QUEUED_MAX {
            return Err(format!("{QUEUED_MAX} faults are waiting already"));
        }
        queue.0 += 1;
        let queued = Queued { id: queue.0, scope, model, times, left: times, fault };
        queue.1.push(queued.clone());
        Ok(queued)
    }

    pub(crate) fn list(&self) -> Vec<Queued> {
        self.queue().1.clone()
    }

    /// Empties the queue and says how many were in it.
    pub(crate) fn clear(&self) -> usize {
        std::mem::take(&mut self.queue().1).len()
    }

    /// The fault that strikes here and now, if any; it is used up by one.
    pub(crate) fn take(&self, site: Site<'_>) -> Option<Fault> {
        let mut queue = self.queue();
        let fits = |queued: &Queued| {
            (queued.scope == site.scope() || queued.scope == Scope::Any)
                && match (&queued.model, site) {
                    (None, _) => true,
                    (Some(wanted), Site::Provider(_, model)) => wanted == model,
                    (Some(_), _) => false,
                }
                && queued.fault.strikes(site)
        };
        let counted = queue.1.iter().position(|queued| queued.times > 0 && fits(queued));
        let at = counted.or_else(|| queue.1.iter().position(fits))?;
        let fault = queue.1[at].fault.clone();
        if queue.1[at].times > 0 {
            queue.1[at].left -= 1;
            if queue.1[at].left == 0 {
                queue.1.remove(at);
            }
        }
        Some(fault)
    }

    /// Whether `wanted` is waiting for this scope, whatever the model; nothing is used up.
    pub(crate) fn waiting(&self, scope: Scope, wanted: &Fault) -> bool {
        self.queue()
            .1
            .iter()
            .any(|queued| (queued.scope == scope || queued.scope == Scope::Any) && queued.fault == *wanted)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn add(faults: &Faults, asked: Value) -> Result<Queued, String> {
        faults.add(asked.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_counted_fault_goes_before_one_that_stands_until_cleared() {
        let faults = Faults::default();
        add(&faults, json!({"scope": "openai", "fault": "crlf", "times": 0})).unwrap();
        add(&faults, json!({"scope": "*", "fault": "error_in_200"})).unwrap();
        let here = Site::Provider(Scope::OpenAi, "sim-fast");
        assert_eq!(faults.take(here), Some(Fault::ErrorIn200 {}));
        assert_eq!(faults.take(here), Some(Fault::Crlf {}));
        assert_eq!(faults.take(here), Some(Fault::Crlf {}));
        assert_eq!(faults.take(Site::Provider(Scope::Qwen, "sim-fast")), None);
        assert_eq!(faults.clear(), 1);
    }

    #[test]
    fn a_fault_waits_for_its_model_and_its_call() {
        let faults = Faults::default();
        add(&faults, json!({"scope": "qwen", "fault": "bom", "model": "sim-smart"})).unwrap();
        add(&faults, json!({"scope": "wechat", "fault": "timeout", "op": "refund_query"})).unwrap();
        assert_eq!(faults.take(Site::Provider(Scope::Qwen, "sim-fast")), None);
        assert_eq!(faults.take(Site::Provider(Scope::Qwen, "sim-smart")), Some(Fault::Bom {}));
        assert_eq!(faults.take(Site::Api(Op::Query)), None);
        assert!(faults.take(Site::Api(Op::RefundQuery)).is_some());
    }

    #[test]
    fn a_fault_that_makes_no_sense_is_refused_in_words() {
        let faults = Faults::default();
        for (asked, word) in [
            (json!({"fault": "html"}), "scope"),
            (json!({"scope": "mars", "fault": "html"}), "scope"),
            (json!({"scope": "openai", "fault": "melts"}), "melts"),
            (json!({"scope": "openai", "fault": "html", "colour": 1}), "colour"),
            (json!({"scope": "openai", "fault": "drop_notification"}), "no such fault"),
            (json!({"scope": "wechat", "fault": "html"}), "no such fault"),
            (json!({"scope": "openai", "fault": "status", "status": 99}), "200 to 599"),
            (json!({"scope": "openai", "fault": "html", "times": -1}), "times"),
        ] {
            let problem = add(&faults, asked).unwrap_err();
            assert!(problem.contains(word), "{problem} should mention {word}");
        }
    }
}
