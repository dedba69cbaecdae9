//! What goes wrong next, where, and how often?
//!
//! A fault waits in the queue until something comes by that it fits; one request or delivery meets one fault. Counted
//! faults go first, in the order in which they were asked for; those that stand until cleared come after them.
mod fault;

use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::providers::{PROVIDERS, Provider};
pub(crate) use fault::{Api, At, BillKind, BillRow, Fault, Notice, Op, RefundStatus, Site};

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
    pub(crate) id: u64,
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// At WeChat Pay: only where this API is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<Api>,
    /// At WeChat Pay: only this merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    mchid: Option<String>,
    /// At WeChat Pay: only notifications of this.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<Notice>,
    /// As asked for; 0 stands until cleared.
    times: u64,
    left: u64,
    #[serde(flatten)]
    fault: Fault,
}

impl Queued {
    /// Whether what it was narrowed down to is what stands here.
    fn is_for(&self, site: Site<'_>) -> bool {
        match site {
            Site::Provider(_, model) => self.model.as_deref().is_none_or(|wanted| wanted == model),
            Site::WeChat(mchid, at) => {
                self.model.is_none()
                    && self.mchid.as_deref().is_none_or(|wanted| wanted == mchid)
                    && self.api.is_none_or(|wanted| at.api() == Some(wanted))
                    && self.notice.is_none_or(|wanted| at.notice() == Some(wanted))
            }
            Site::Fx => self.model.is_none(),
        }
    }
}

/// Takes what a fault is narrowed down to out of the request.
fn only<T: DeserializeOwned>(asked: &mut Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    let narrowed = asked.remove(name).map(serde_json::from_value).transpose();
    narrowed.map_err(|error| format!("{name}: {error}"))
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
        let model = only(&mut asked, "model")?;
        let (api, mchid, notice) =
            (only(&mut asked, "api")?, only(&mut asked, "mchid")?, only(&mut asked, "notice")?);
        if (api.is_some() || mchid.is_some() || notice.is_some()) && scope != Scope::WeChat {
            return Err("api, mchid and notice are for the scope wechat".into());
        }
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
        let queued = Queued { id: queue.0, scope, model, api, mchid, notice, times, left: times, fault };
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

    /// Takes one out that has not struck, or stands until cleared.
    pub(crate) fn remove(&self, id: u64) -> Option<Queued> {
        let mut queue = self.queue();
        let at = queue.1.iter().position(|queued| queued.id == id)?;
        Some(queue.1.remove(at))
    }

    /// The fault that strikes here and now, if any; it is used up by one.
    pub(crate) fn take(&self, site: Site<'_>) -> Option<Fault> {
        self.take_if(site, |_| true)
    }

    /// The same, passing over faults that mean something which is not here.
    pub(crate) fn take_if(&self, site: Site<'_>, meant: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut queue = self.queue();
        let fits = |queued: &Queued| {
            (queued.scope == site.scope() || queued.scope == Scope::Any)
                && queued.is_for(site)
                && queued.fault.strikes(site)
                && meant(&queued.fault)
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

    /// All that strike here and now, each as often as it was asked for; those that stand until cleared, once.
    pub(crate) fn take_all(&self, site: Site<'_>, meant: impl Fn(&Fault) -> bool) -> Vec<Fault> {
        let mut queue = self.queue();
        let mut taken = Vec::new();
        queue.1.retain(|queued| {
            let fits = queued.scope == site.scope() && queued.is_for(site);
            if !(fits && queued.fault.strikes(site) && meant(&queued.fault)) {
                return true;
            }
            let times = usize::try_from(queued.left.max(1)).unwrap_or(usize::MAX).min(QUEUED_MAX);
            taken.extend(std::iter::repeat_n(queued.fault.clone(), times));
            queued.times == 0
        });
        taken
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
        let call = |api, op| Site::WeChat("1", At::Call(api, op));
        assert_eq!(faults.take(call(Api::V3, Op::Query)), None);
        assert!(faults.take(call(Api::V3, Op::RefundQuery)).is_some());

        let slow = json!({"scope": "wechat", "fault": "slow", "ms": 1, "api": "v2", "mchid": "1"});
        add(&faults, slow).unwrap();
        assert_eq!(faults.take(call(Api::V3, Op::Query)), None);
        assert_eq!(faults.take(Site::WeChat("2", At::Call(Api::V2, Op::Query))), None);
        assert!(faults.take(call(Api::V2, Op::Query)).is_some());

        let lost = json!({"scope": "wechat", "fault": "drop_notification", "notice": "refund"});
        add(&faults, lost).unwrap();
        assert_eq!(faults.take(Site::WeChat("1", At::Notification(Api::V2, Notice::Payment))), None);
        assert!(faults.take(Site::WeChat("1", At::Notification(Api::V2, Notice::Refund))).is_some());
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
            (json!({"scope": "openai", "fault": "html", "api": "v2"}), "api"),
            (json!({"scope": "wechat", "fault": "timeout", "api": "v4"}), "api"),
            (json!({"scope": "wechat", "fault": "bill_row_extra", "total": 0}), "total"),
        ] {
            let problem = add(&faults, asked).unwrap_err();
            assert!(problem.contains(word), "{problem} should mention {word}");
        }
    }
}
