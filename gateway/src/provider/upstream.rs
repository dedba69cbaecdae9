//! One upstream account, ready to be asked.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use router_config::{Provider, RouteTable};
use tokio::time::{Instant, timeout, timeout_at};
use units::Clock;

use super::{Events, Quirks, Whole, client, client::Client, fault::Fault, quirks, request};
use crate::{
    chat::{AttemptResult, Trail},
    plan::Planned,
};

/// Of an error's body no more is read, nor longer waited for.
const ERROR_MAX_BYTES: usize = 65_536;
const ERROR_READ_MAX: Duration = Duration::from_secs(5);

/// All upstreams of a table.
#[derive(Debug, Clone, Default)]
pub struct Upstreams(BTreeMap<String, Arc<Upstream>>);

/// An upstream that cannot be spoken to as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUpstream {
    /// The address does not parse.
    #[error("provider `{0}`: its base_url is not an absolute URL")]
    Url(String),
    /// The key holds characters no header may hold.
    #[error("provider `{0}`: its API key holds characters that no header can carry, such as a line break")]
    Key(String),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

impl Upstreams {
    /// Makes ready every provider of `table`, with the keys by provider id. A provider without a key is asked without.
    ///
    /// # Errors
    /// [`BadUpstream`], naming the first provider that cannot be spoken to.
    pub fn new<K: AsRef<str>>(
        table: &RouteTable,
        keys: &BTreeMap<String, K>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BadUpstream> {
        let tls = client::tls().map_err(|e| BadUpstream::Tls(e.to_string()))?;
        let upstream = |(id, provider): (&String, &Arc<Provider>)| {
            let key = keys.get(id).map(AsRef::as_ref);
            let client = Client::new(tls.clone(), provider.connect_max);
            let upstream = Upstream::new(Arc::clone(provider), key, client, Arc::clone(clock))?;
            Ok((id.clone(), Arc::new(upstream)))
        };
        table.providers.iter().map(upstream).collect::<Result<_, _>>().map(Self)
    }

    /// The upstream with this id.
    pub fn get(&self, provider: &str) -> Option<&Arc<Upstream>> {
        self.0.get(provider)
    }
}

/// One upstream.
pub struct Upstream {
    provider: Arc<Provider>,
    quirks: &'static Quirks,
    uri: Uri,
    authorization: Option<HeaderValue>,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("provider", &self.provider.id).field("uri", &self.uri).finish()
    }
}

/// An answer that was found to be one.
#[derive(Debug)]
pub enum Answered {
    /// All of it.
    Whole(Whole),
    /// Its beginning, and more to come.
    Stream(Box<Events>),
}

impl Upstream {
    fn new(
        provider: Arc<Provider>,
        key: Option<&str>,
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BadUpstream> {
        let url = format!("{}/chat/completions", provider.base_url.trim_end_matches('/'));
        let bad_url = || BadUpstream::Url(provider.id.clone());
        let uri: Uri = url.parse().map_err(|_| bad_url())?;
        if uri.host().is_none() || uri.scheme().is_none() {
            return Err(bad_url());
        }
        let authorization = key.map(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
                .map_err(|_| BadUpstream::Key(provider.id.clone()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let quirks = quirks::of(&provider.kind);
        Ok(Self { quirks, uri, authorization: authorization.transpose()?, client, clock, provider })
    }

    /// How it differs from others.
    pub const fn quirks(&self) -> &'static Quirks {
        self.quirks
    }

    /// Sends the call as `upstream_model` and waits until there is an answer that can be shown to a client.
    ///
    /// A stream has to begin within the provider's `first_byte_max`; a whole answer comes when all of it is made, so
    /// only `total_max` bounds it.
    ///
    /// # Errors
    /// [`Fault`]; nothing was shown to anybody.
    pub async fn ask(
        &self,
        planned: &Planned,
        upstream_model: &str,
        trail: &Trail,
    ) -> Result<Answered, Fault> {
        let stream = planned.call.stream;
        let first = if stream { self.provider.first_byte_max } else { self.provider.total_max };
        let begun = Instant::now();
        let silent = || {
            let ms = begun.elapsed().as_millis();
            Fault::of(AttemptResult::TimedOut, None, format!("nothing came within {ms} ms"))
        };
        let body = request::body(&planned.call, upstream_model, self.quirks, planned.output_cap);
        let sending = self.client.send(self.head(stream), body, trail);
        let answer = timeout_at(begun + first, sending).await.map_err(|_| silent())??;
        if answer.status() != http::StatusCode::OK {
            return Err(self.read_fault(answer).await);
        }
        let (head, body) = answer.into_parts();
        let is_stream = has_type(&head.headers, "text/event-stream");
        match (stream, is_stream) {
            (true, true) => {
                let ends = begun + self.provider.total_max;
                let events = Events::new(body, &self.provider, ends);
                let opening = events.open(&head.headers, self.quirks, self.clock.as_ref());
                let events = timeout_at(begun + first, opening).await.map_err(|_| silent())??;
                Ok(Answered::Stream(Box::new(events)))
            }
            (false, false) => {
                let reading = Whole::read(body, &head.headers, self.quirks, self.clock.as_ref());
                let whole = timeout_at(begun + first, reading).await.map_err(|_| silent())??;
                Ok(Answered::Whole(whole))
            }
            (true, false) => Err(self.read_non_stream(head.headers, body).await),
            (false, true) => {
                let message = "the upstream streamed though it was not asked to";
                Err(Fault::of(AttemptResult::Malformed, Some(200), message))
            }
        }
    }

    fn head(&self, stream: bool) -> Request<()> {
        let mut head = Request::new(());
        *head.method_mut() = http::Method::POST;
        *head.uri_mut() = self.uri.clone();
        let headers = head.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = if stream { "text/event-stream" } else { "application/json" };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        head
    }

    async fn read_fault(&self, answer: Response<Incoming>) -> Fault {
        let (head, body) = answer.into_parts();
        let body = read_some(body).await;
        Fault::classify(head.status.as_u16(), &head.headers, &body, self.quirks, self.clock.as_ref())
    }

    /// A stream was asked for and something else came: an error in a 200, most often.
    async fn read_non_stream(&self, headers: HeaderMap, body: Incoming) -> Fault {
        let body = read_some(body).await;
        match super::chunk::hear(body, false) {
            super::chunk::Heard::Error(said) => {
                Fault::inside(&headers, said, self.quirks, self.clock.as_ref())
            }
            _ => Fault::of(AttemptResult::Malformed, Some(200), "a stream was asked for and none came"),
        }
    }
}

async fn read_some(body: Incoming) -> Bytes {
    let reading = Box::pin(Limited::new(body, ERROR_MAX_BYTES).collect());
    match timeout(ERROR_READ_MAX, reading).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(),
    }
}

fn has_type(headers: &HeaderMap, media: &str) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    given.split(';').next().is_some_and(|given| given.trim().eq_ignore_ascii_case(media))
}
