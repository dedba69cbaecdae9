//! When are two calls the same?
//!
//! Where whoever pays, endpoint, model, targets and body are. The body is read as JSON: white space, the order of members and the
//! spelling of texts do not matter, members that no answer depends on are left out, and numbers count as they are written.

use std::{borrow::Cow, fmt, sync::Arc};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::value::RawValue;
use sha2::Sha256;

use super::seal::Seal;
use crate::{json, plan::Planned};

/// Members that say who asks, what for, or in how many pieces, and nothing that an answer depends on. `model` and `models` are
/// decided by now.
const LEFT_OUT: [&str; 10] = [
    "model",
    "models",
    "stream",
    "user",
    "metadata",
    "store",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "keep_alive",
];
/// A larger body is not looked up: reading it twice costs more than it saves.
const BODY_MAX_BYTES: usize = 1_048_576;
/// The decoder has turned away what is nested deeper.
const DEPTH_MAX: usize = 128;

/// A call, by all that matters of it. Nothing can be told from it without the secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey(pub [u8; 32]);

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

/// What keys are made with, so that nobody who sees one can try which prompt it is; and what answers are sealed with that
/// leave this process.
#[derive(Clone)]
pub struct CacheSecret {
    keys: Arc<[u8]>,
    answers: Arc<[u8]>,
}

impl fmt::Debug for CacheSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheSecret(…)")
    }
}

impl CacheSecret {
    /// Made of the server's secret, for these purposes.
    pub fn of(server: &[u8]) -> Self {
        let made = |purpose: &[u8]| -> Arc<[u8]> {
            let mut secret = mac(server);
            secret.update(purpose);
            secret.finalize().into_bytes().as_slice().into()
        };
        Self { keys: made(b"tollgate exact cache 1"), answers: made(b"tollgate exact cache answers 1") }
    }

    /// What seals answers.
    pub(super) fn seal(&self) -> Seal {
        Seal::new(Arc::clone(&self.answers))
    }

    /// The key of a planned call; none where it is too large to be looked up.
    pub(super) fn key(&self, planned: &Planned) -> Option<CacheKey> {
        let call = &planned.call;
        if call.native.body.len() > BODY_MAX_BYTES {
            return None;
        }
        let mut mac = mac(&self.keys);
        let mut part = |bytes: &[u8]| {
            mac.update(&(bytes.len() as u64).to_be_bytes());
            mac.update(bytes);
        };
        part(call.caller.account.to_string().as_bytes());
        part(call.endpoint.as_str().as_bytes());
        part(if call.stream { b"stream" } else { b"whole" });
        part(planned.route.model.id.as_bytes());
        // An answer of others than the route asks now is none of its.
        for target in &planned.route.targets {
            part(target.provider.id.as_bytes());
            part(target.upstream_model.as_bytes());
        }
        part(b"");
        // Targets may be for some callers only: who is not like another is not given what was answered to that one.
        if planned.route.targets.iter().any(|target| !target.when.is_empty()) {
            let wishes = &call.wishes;
            part(call.caller.key.to_string().as_bytes());
            part(planned.region.as_deref().unwrap_or_default().as_bytes());
            part(wishes.task.as_deref().unwrap_or_default().as_bytes());
            wishes.tags.iter().for_each(|tag| part(tag.as_bytes()));
        }
        part(b"");
        // What the upstream is told beside the body.
        part(planned.output_cap.map_or(0, |cap| cap.0).to_string().as_bytes());
        let mut headers: Vec<(&str, &[u8])> =
            call.forward.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        headers.sort_unstable();
        for (name, value) in headers {
            part(name.as_bytes());
            part(value);
        }
        part(b"");
        let members = json::members(&call.native.body).ok()?;
        let members = members.into_iter().filter(|(name, _)| !LEFT_OUT.contains(&name.as_ref())).collect();
        let mut body = Vec::with_capacity(call.native.body.len());
        object(members, &mut body, 1)?;
        part(&body);
        Some(CacheKey(mac.finalize().into_bytes().into()))
    }
}

pub(super) fn mac(secret: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so that the second one is never needed.
    Hmac::new_from_slice(secret).unwrap_or_else(|_| Hmac::new(&Default::default()))
}

/// An object with its members by name; those of one name stay in their order.
fn object(mut members: json::Members<'_>, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    out.push(b'{');
    for (name, value) in members {
        text(&name, out)?;
        out.push(b':');
        self::value(value, out, depth)?;
        out.push(b',');
    }
    out.push(b'}');
    Some(())
}

fn value(raw: &RawValue, out: &mut Vec<u8>, depth: usize) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    let json = raw.get();
    match json.as_bytes().first()? {
        b'{' => object(json::members(json.as_bytes()).ok()?, out, depth + 1)?,
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
            out.push(b'[');
            for item in items {
                value(item, out, depth + 1)?;
                out.push(b',');
            }
            out.push(b']');
        }
        b'"' => {
            let plain: Cow<'_, str> = json::word(raw)?;
            text(&plain, out)?;
        }
        // A number as it is written: what is 1.0 to one reader is 1 to another.
        _ => out.extend_from_slice(json.as_bytes()),
    }
    Some(())
}

fn text(plain: &str, out: &mut Vec<u8>) -> Option<()> {
    serde_json::to_writer(out, plain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(body: &str) -> String {
        let mut out = Vec::new();
        object(json::members(body.as_bytes()).unwrap(), &mut out, 1).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_means_the_same_reads_the_same() {
        let one = canonical(r#"{"b": [1, {"y": null, "x": "\u00e9\/"}], "a": true}"#);
        assert_eq!(one, canonical("{\"a\":true,\n\"b\":[1,{\"x\":\"é/\",\"y\":null}]}"));
    }

    #[test]
    fn what_may_mean_something_else_reads_otherwise() {
        let different = [
            r#"{"a":1}"#,
            r#"{"a":1.0}"#,
            r#"{"a":"1"}"#,
            r#"{"a":[1]}"#,
            r#"{"a":18446744073709551617}"#,
            r#"{"a":18446744073709551618}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":2,"a":1}"#,
            r#"{"a":[[],[1]]}"#,
            r#"{"a":[[1],[]]}"#,
            r#"{"a":"b\",\"c\":\"d"}"#,
            r#"{"a":"b","c":"d"}"#,
        ];
        let read: std::collections::BTreeSet<String> = different.iter().map(|body| canonical(body)).collect();
        assert_eq!(read.len(), different.len(), "{read:#?}");
    }
}
