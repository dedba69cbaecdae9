//! How is a simulator reached that runs elsewhere?

use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::Value;

use super::super::{Exit, Failed, desk::exit_of};

/// The longest that it may take: a delivery waits five seconds for its merchant, and there may be many of them.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// A simulator, by its address.
#[derive(Debug)]
pub(super) struct Running {
    client: reqwest::Client,
    url: Url,
}

impl Running {
    /// Whether it is there shows when it is asked.
    pub(super) fn at(url: &str) -> Result<Self, Failed> {
        let bad =
            |why: String| Failed { exit: Exit::Usage, error: anyhow::anyhow!("--sim-url {url}: {why}") };
        let parsed: Url = url.parse().map_err(|error: url::ParseError| bad(error.to_string()))?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.cannot_be_a_base() {
            return Err(bad("write it as http://127.0.0.1:8082".to_owned()));
        }
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER_MAX).build()?;
        Ok(Self { client, url: parsed })
    }

    /// Asks one of its controls, by the parts of the path behind `/_sim/v1`.
    ///
    /// # Errors
    /// [`Exit::Upstream`] if no simulator answers; otherwise its own words, by its status.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &[&str],
        mchid: Option<String>,
        body: Option<Value>,
    ) -> Result<Value, Failed> {
        let mut url = self.url.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["_sim", "v1"]).extend(path);
        }
        if let Some(mchid) = mchid {
            url.query_pairs_mut().append_pair("mchid", &mchid);
        }
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(&without_nulls(body));
        }
        let answer = request.send().await.map_err(|error| self.absent(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| self.absent(&error))?;
        let says: Option<Value> = serde_json::from_str(&text).ok();
        match says {
            Some(says) if status.is_success() => Ok(says),
            Some(Value::Object(says)) if says.get("error").is_some_and(Value::is_string) => {
                let words = says.get("error").and_then(Value::as_str).unwrap_or_default().to_owned();
                Err(Failed { exit: exit_of(status), error: anyhow::anyhow!(words) })
            }
            // axum's own words about a path or a query it cannot read.
            None if status.is_client_error() && !text.is_empty() && !text.starts_with('<') => {
                Err(Failed { exit: exit_of(status), error: anyhow::anyhow!(text) })
            }
            _ => Err(Failed {
                exit: Exit::Upstream,
                error: anyhow::anyhow!("what listens at {} is no simulator: it answers {status}", self.url),
            }),
        }
    }

    fn absent(&self, error: &reqwest::Error) -> Failed {
        let url = &self.url;
        let what = if error.is_connect() {
            format!(
                "no simulator listens at {url}: start one with `tollgate demo` or `tollgate sim`, or say where it is with --sim-url"
            )
        } else {
            format!("the simulator at {url} does not answer: {error}")
        };
        Failed { exit: Exit::Upstream, error: anyhow::anyhow!(what) }
    }
}

/// What was not said is left out.
fn without_nulls(body: Value) -> Value {
    match body {
        Value::Object(members) => members.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}
