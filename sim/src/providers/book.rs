//! What has a provider been asked, and what came of it?
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, header};
use serde::Serialize;
use serde_json::{Map, Value};

/// How many requests are remembered.
const REMEMBERED_MAX: usize = 200;
/// How much of a request's body is remembered, bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// How many beginnings of prompts are remembered; then all are forgotten.
const PREFIXES_MAX: usize = 10_000;

/// One provider's counters and its latest requests.
#[derive(Debug, Default)]
pub(crate) struct Book {
    requests: AtomicU64,
    streams_completed: AtomicU64,
    streams_aborted: AtomicU64,
    tokens_generated: AtomicU64,
    flaky_calls: AtomicU64,
    latest: Mutex<VecDeque<Noted>>,
    /// Beginnings of prompts that are cheaper the next time, by hash.
    prefixes: Mutex<HashSet<u64>>,
}

/// Counters as the controls show them.
#[derive(Debug, Serialize)]
pub(crate) struct Counted {
    /// Chat requests, refused ones included.
    requests: u64,
    streams_completed: u64,
    /// Streams whose client left before their end.
    streams_aborted: u64,
    tokens_generated: u64,
}

/// A request as it was received.
#[derive(Debug)]
struct Noted {
    at_micros: i64,
    method: Method,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: Bytes,
}

impl Book {
    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn completed(&self) {
        self.streams_completed.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn aborted(&self) {
        self.streams_aborted.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn generated(&self, tokens: u64) {
        self.tokens_generated.fetch_add(tokens, Ordering::Relaxed);
    }
    /// Which call of a flaky model this is, from 1.
    pub(super) fn flaky_call(&self) -> u64 {
        self.flaky_calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn note(&self, at_micros: i64, method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) {
        let noted = Noted {
            at_micros,
            method: method.clone(),
            path: uri.path().into(),
            query: uri.query().map(Into::into),
            headers: headers.clone(),
            body: body.slice(..body.len().min(BODY_BYTES_MAX)),
        };
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == REMEMBERED_MAX {
            latest.pop_front();
        }
        latest.push_back(noted);
    }

    /// Whether a prompt has begun like this before.
    pub(super) fn remembers(&self, prefix: u64) -> bool {
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner).contains(&prefix)
    }
    pub(super) fn remember(&self, prefix: u64) {
        let mut prefixes = self.prefixes.lock().unwrap_or_else(PoisonError::into_inner);
        if prefixes.len() >= PREFIXES_MAX {
            prefixes.clear();
        }
        prefixes.insert(prefix);
    }

    pub(crate) fn counted(&self) -> Counted {
        Counted {
            requests: self.requests.load(Ordering::Relaxed),
            streams_completed: self.streams_completed.load(Ordering::Relaxed),
            streams_aborted: self.streams_aborted.load(Ordering::Relaxed),
            tokens_generated: self.tokens_generated.load(Ordering::Relaxed),
        }
    }

    /// The latest requests, oldest first, with the last four characters of each key.
    pub(crate) fn requests(&self, provider: &str) -> Vec<Value> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.iter().map(|noted| noted.shown(provider)).collect()
    }
}

impl Noted {
    fn shown(&self, provider: &str) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let text = String::from_utf8_lossy(value.as_bytes());
                let secret = name == header::AUTHORIZATION || name.as_str().ends_with("api-key");
                let shown = if secret { last_four(&text) } else { text.into_owned() };
                (name.as_str().to_owned(), shown.into())
            })
            .collect();
        let text = String::from_utf8_lossy(&self.body);
        let body: Value = serde_json::from_str(&text).unwrap_or_else(|_| text.into_owned().into());
        serde_json::json!({
            "provider": provider,
            "at": crate::clock::rfc3339(self.at_micros),
            "method": self.method.as_str(),
            "path": self.path,
            "query": self.query,
            "headers": headers,
            "body": body,
        })
    }
}

/// `…abcd`: enough to tell two keys apart.
pub(super) fn last_four(secret: &str) -> String {
    let count = secret.chars().count();
    // Of a short secret four characters would be too much.
    let tail: String = if count < 12 { String::new() } else { secret.chars().skip(count - 4).collect() };
    format!("…{tail}")
}
