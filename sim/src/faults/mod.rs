//! What goes wrong next, where, and how often?
//!
//! A fault waits in the queue until something comes by that it fits; one request or delivery meets one fault. Counted
//! faults go first, in the order in which they were asked for; those that stand until cleared come after them.
mod fault;

use std::sync::{Mutex, PoisonError};

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::providers::{PROVIDERS, Provider};
pub(crate) use fault::{Fault, Op, RefundStatus, Site};

/// How many faults may wait at once.
const QUEUED_MAX: usize = 1_000;

/// Who is to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// A model provider, by the name under which it stands in paths.
    Provider(&'static str),
    WeChat,
    Fx,
    Any,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Provider(name) => name,
            Self::WeChat => "wechat",
            Self::Fx => "fx",
            Self::Any => "*",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "wechat" => Some(Self::WeChat),
            "fx" => Some(Self::Fx),
            "*" => Some(Self::Any),
            _ => PROVIDERS.iter().map(Provider::name).find(|known| *known == name).map(Self::Provider),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
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
        let scope = scope
            .as_str()
            .and_then(Scope::named)
            .ok_or_else(|| format!("scope: nobody is called {scope}"))?;
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

    const OPENAI: Scope = Scope::Provider("openai");
    const QWEN: Scope = Scope::Provider("qwen");

    fn add(faults: &Faults, asked: Value) -> Result<Queued, String> {
        faults.add(asked.as_object().cloned().unwrap_or_default())
    }

    #[test]
    fn a_counted_fault_goes_before_one_that_stands_until_cleared() {
        let faults = Faults::default();
        add(&faults, json!({"scope": "openai", "fault": "crlf", "times": 0})).unwrap();
        add(&faults, json!({"scope": "*", "fault": "error_in_200"})).unwrap();
        let here = Site::Provider(OPENAI, "sim-fast");
        assert_eq!(faults.take(here), Some(Fault::ErrorIn200 { after: None }));
        assert_eq!(faults.take(here), Some(Fault::Crlf {}));
        assert_eq!(faults.take(here), Some(Fault::Crlf {}));
        assert_eq!(faults.take(Site::Provider(QWEN, "sim-fast")), None);
        assert_eq!(faults.clear(), 1);
    }

    #[test]
    fn a_fault_waits_for_its_model_and_its_call() {
        let faults = Faults::default();
        add(&faults, json!({"scope": "qwen", "fault": "bom", "model": "sim-smart"})).unwrap();
        add(&faults, json!({"scope": "wechat", "fault": "timeout", "op": "refund_query"})).unwrap();
        assert_eq!(faults.take(Site::Provider(QWEN, "sim-fast")), None);
        assert_eq!(faults.take(Site::Provider(QWEN, "sim-smart")), Some(Fault::Bom {}));
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
