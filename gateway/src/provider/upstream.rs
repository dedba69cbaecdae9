//! One upstream account, ready to be asked.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use router_config::{Auth, Provider, Quirks, RouteTable};
use tokio::time::{Instant, timeout, timeout_at};
use units::Clock;

use super::{
    Allowances, Dial, Events, Whole,
    client::{self, Client},
    collect,
    ear::{Ear, Heard},
    fault::Fault,
    wire::{self, Asked},
};
use crate::{
    chat::{AttemptResult, HOPS_HEADER, Trail},
    plan::{Candidate, Planned},
};

/// Of an error's body no more is read, nor longer waited for.
const ERROR_MAX_BYTES: usize = 65_536;
const ERROR_READ_MAX: Duration = Duration::from_secs(5);
/// What is asked in the background may take so long.
const GET_MAX: Duration = Duration::from_secs(10);

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
    /// A header of its quirks, or the one its key goes into, cannot be one.
    #[error("provider `{0}`: one of its headers is not a header")]
    Header(String),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
}

impl Upstreams {
    /// Makes ready every provider of `table`, with the keys by provider id, in the order of its `api_keys`. A provider
    /// without a key is asked without.
    ///
    /// # Errors
    /// [`BadUpstream`], naming the first provider that cannot be spoken to.
    pub fn new<K: AsRef<str>>(
        table: &RouteTable,
        keys: &BTreeMap<String, Vec<K>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BadUpstream> {
        let tls = client::tls().map_err(|e| BadUpstream::Tls(e.to_string()))?;
        Self::each(table, keys, clock, |provider| Client::new(tls.clone(), provider.connect_max))
    }

    /// Those of another table, or with other keys. Whoever is as before stays, with the connections that are open.
    ///
    /// # Errors
    /// [`BadUpstream`], naming the first provider that cannot be spoken to.
    pub fn renewed<K: AsRef<str>>(
        &self,
        table: &RouteTable,
        keys: &BTreeMap<String, Vec<K>>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BadUpstream> {
        let Self(mut upstreams) = Self::new(table, keys, clock)?;
        for (id, new) in &mut upstreams {
            if let Some(old) = self.0.get(id).filter(|old| old.is_as(new)) {
                *new = Arc::clone(old);
            }
        }
        Ok(Self(upstreams))
    }

    /// The same, reached by `dial` instead of the network.
    ///
    /// # Errors
    /// [`BadUpstream`], naming the first provider that cannot be spoken to.
    pub fn within<K: AsRef<str>>(
        table: &RouteTable,
        keys: &BTreeMap<String, Vec<K>>,
        clock: &Arc<dyn Clock>,
        dial: &Dial,
    ) -> Result<Self, BadUpstream> {
        Self::each(table, keys, clock, |_| Client::within(dial.clone()))
    }

    fn each<K: AsRef<str>>(
        table: &RouteTable,
        keys: &BTreeMap<String, Vec<K>>,
        clock: &Arc<dyn Clock>,
        client: impl Fn(&Provider) -> Client,
    ) -> Result<Self, BadUpstream> {
        let upstream = |(id, provider): (&String, &Arc<Provider>)| {
            let keys: Vec<&str> = keys.get(id).into_iter().flatten().map(AsRef::as_ref).collect();
            let client = client(provider);
            let upstream = Upstream::new(Arc::clone(provider), &keys, client, Arc::clone(clock))?;
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
    /// What every request carries, for each key; for none, where there is none.
    headers: Vec<HeaderMap>,
    client: Client,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream")
            .field("provider", &self.provider.id)
            .field("base_url", &self.provider.base_url)
            .finish()
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

/// Which of the client's wishes an upstream was told otherwise.
pub type Adjusted = Vec<&'static str>;

/// What came of asking.
#[derive(Debug)]
pub struct Reply {
    /// The answer, or its beginning.
    pub answered: Answered,
    /// Which of the client's wishes were said otherwise.
    pub adjusted: Adjusted,
    /// What is left of our limits there.
    pub left: Allowances,
}

impl Upstream {
    fn new(
        provider: Arc<Provider>,
        keys: &[&str],
        client: Client,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BadUpstream> {
        let bad_url = || BadUpstream::Url(provider.id.clone());
        let uri: Uri = provider.base_url.parse().map_err(|_| bad_url())?;
        if uri.host().is_none() || uri.scheme().is_none() {
            return Err(bad_url());
        }
        let headers = match keys {
            [] => vec![headers(&provider, None)?],
            keys => keys.iter().map(|key| headers(&provider, Some(key))).collect::<Result<_, _>>()?,
        };
        Ok(Self { headers, client, clock, provider })
    }

    /// Whether the other is the same provider, asked with the same keys.
    fn is_as(&self, other: &Self) -> bool {
        self.provider == other.provider && self.headers == other.headers
    }

    /// How it differs from others.
    pub fn quirks(&self) -> &Quirks {
        &self.provider.quirks
    }

    /// Puts the call to the candidate, which is this upstream, with the key at that place, and waits until there is an
    /// answer that can be shown to a client.
    ///
    /// A stream has to begin within the provider's `first_byte_max`; a whole answer comes when all of it is made, so
    /// only `total_max` bounds it. All of it ends at `deadline`.
    ///
    /// # Errors
    /// [`Fault`]; nothing was shown to anybody.
    pub async fn ask(
        &self,
        planned: &Planned,
        candidate: &Candidate,
        key: usize,
        trail: &Trail,
        deadline: Instant,
    ) -> Result<Reply, Fault> {
        let Asked { url, headers, body, stream, adjusted, mut ear } = wire::ask(planned, candidate)?;
        let begun = Instant::now();
        let ends = deadline.min(begun + self.provider.total_max);
        let first = if stream { ends.min(begun + self.provider.first_byte_max) } else { ends };
        let silent = || {
            let ms = begun.elapsed().as_millis();
            Fault::of(AttemptResult::TimedOut, None, format!("nothing came within {ms} ms"))
        };
        let head = self.head(&url, key, stream, headers, planned.call.hops)?;
        let sending = self.client.send(head, body, trail);
        let answer = timeout_at(first, sending).await.map_err(|_| silent())??;
        if answer.status() != http::StatusCode::OK {
            return Err(self.read_fault(answer).await);
        }
        let (head, body) = answer.into_parts();
        let left = Allowances::read(&head.headers, self.clock.as_ref());
        let is_stream = has_type(&head.headers, "text/event-stream");
        match (stream, is_stream) {
            (true, true) => {
                let mut events = Events::new(body, &self.provider, ear, ends);
                let opening = events.open(&head.headers, self.quirks(), self.clock.as_ref());
                match timeout_at(first, opening).await {
                    Ok(opened) => opened?,
                    // It has begun and thinks: how long it may is the bound between two pieces.
                    Err(_) if events.has_begun() => {}
                    Err(_) => return Err(silent()),
                }
                if planned.call.stream {
                    return Ok(Reply { answered: Answered::Stream(Box::new(events)), adjusted, left });
                }
                // The model only streams, and the client wants all of it at once; the events bound the time themselves.
                Ok(Reply { answered: Answered::Whole(collect::whole(events).await?), adjusted, left })
            }
            (false, false) => {
                let reading =
                    Whole::read(body, &head.headers, ear.as_mut(), self.quirks(), self.clock.as_ref());
                let whole = timeout_at(first, reading).await.map_err(|_| silent())??;
                Ok(Reply { answered: Answered::Whole(whole), adjusted, left })
            }
            (true, false) => Err(self.read_non_stream(head.headers, body, ear.as_mut()).await),
            (false, true) => {
                let message = "the upstream streamed though it was not asked to";
                Err(Fault::of(AttemptResult::Malformed, Some(200), message))
            }
        }
    }

    /// Asks which models there are, with the key at that place: the least that can be asked of it, to see whether it is
    /// there.
    ///
    /// # Errors
    /// [`Fault`], as for a call.
    pub async fn models(&self, key: usize) -> Result<Bytes, Fault> {
        self.get(&wire::url(&self.provider, "/models"), key).await
    }

    /// Asks for the balance of our account, with the key at that place. Its path stands beside the API's version, so that it
    /// does not matter whether the `base_url` has one.
    ///
    /// # Errors
    /// [`Fault`], as for a call; also where the provider does not tell it.
    pub async fn balance(&self, key: usize) -> Result<Bytes, Fault> {
        let path = self.quirks().balance_path.as_deref();
        let unknown = || Fault::of(AttemptResult::Malformed, None, "it does not tell the balance");
        let url = wire::url_beside_version(&self.provider, path.ok_or_else(unknown)?);
        self.get(&url, key).await
    }

    async fn get(&self, url: &str, key: usize) -> Result<Bytes, Fault> {
        let mut head = self.head(url, key, false, HeaderMap::new(), 0)?;
        *head.method_mut() = http::Method::GET;
        head.headers_mut().remove(header::CONTENT_TYPE);
        let asking = async {
            let answer = self.client.send(head, Bytes::new(), &Trail::default()).await?;
            if answer.status() != http::StatusCode::OK {
                return Err(self.read_fault(answer).await);
            }
            Ok(read_some(answer.into_body()).await)
        };
        let late = |_| Fault::of(AttemptResult::TimedOut, None, "it did not answer in time");
        timeout(GET_MAX, asking).await.map_err(late)?
    }

    fn head(
        &self,
        url: &str,
        key: usize,
        stream: bool,
        own: HeaderMap,
        hops: u32,
    ) -> Result<Request<()>, Fault> {
        let uri = url.parse().map_err(|_| {
            let message = format!("`{url}` is no URL");
            Fault::of(AttemptResult::Unreachable, None, message)
        })?;
        let mut head = Request::new(());
        *head.method_mut() = http::Method::POST;
        *head.uri_mut() = uri;
        // A pool that has just lost a key may still name its place: any of its keys will do.
        let carried = self.headers.get(key).or_else(|| self.headers.first());
        *head.headers_mut() = carried.cloned().unwrap_or_default();
        head.headers_mut().extend(own);
        let accept = if stream { "text/event-stream" } else { "application/json" };
        head.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        head.headers_mut().insert(HOPS_HEADER, hops.saturating_add(1).into());
        Ok(head)
    }

    async fn read_fault(&self, answer: Response<Incoming>) -> Fault {
        let (head, body) = answer.into_parts();
        let body = read_some(body).await;
        Fault::classify(head.status.as_u16(), &head.headers, &body, self.quirks(), self.clock.as_ref())
    }

    /// A stream was asked for and something else came: an error in a 200, most often.
    async fn read_non_stream(&self, headers: HeaderMap, body: Incoming, ear: &mut dyn Ear) -> Fault {
        let body = read_some(body).await;
        match ear.whole(body) {
            Heard::Error(said) => Fault::inside(&headers, said, self.quirks(), self.clock.as_ref()),
            _ => Fault::of(AttemptResult::Malformed, Some(200), "a stream was asked for and none came"),
        }
    }
}

/// What every request to this provider carries.
fn headers(provider: &Provider, key: Option<&str>) -> Result<HeaderMap, BadUpstream> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let agent = HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION")));
    headers.insert(header::USER_AGENT, agent);
    let bad_header = || BadUpstream::Header(provider.id.clone());
    for (name, value) in &provider.quirks.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_header())?;
        headers.insert(name, HeaderValue::from_str(value).map_err(|_| bad_header())?);
    }
    let Some(key) = key else { return Ok(headers) };
    let (name, value) = match &provider.auth {
        Auth::None => return Ok(headers),
        Auth::Bearer => (header::AUTHORIZATION, format!("Bearer {key}")),
        Auth::Header(name) => {
            (HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_header())?, key.to_owned())
        }
    };
    let mut value = HeaderValue::from_str(&value).map_err(|_| BadUpstream::Key(provider.id.clone()))?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
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

#[cfg(test)]
mod tests {
    use router_config::RawTables;

    use super::*;
    use crate::clock::StillClock;

    #[test]
    fn whoever_is_as_before_keeps_its_connections_and_whoever_is_not_is_made_anew() {
        let clock: Arc<dyn Clock> = Arc::new(StillClock::at_secs(0));
        let table = |first_byte: u64| {
            let provider = |id: &str, more: &str| {
                format!(
                    "[[providers]]\nid = \"{id}\"\nkind = \"vllm\"\nbase_url = \"http://127.0.0.1:1\"\nauth = \"bearer\"\n{more}"
                )
            };
            let text =
                provider("same", "") + &provider("slow", &format!("first_byte_ms_max = {first_byte}\n"));
            let text = text
                + &provider("keyed", "")
                + "[[models]]\nid = \"m\"\ncontext = 9\noutput_max = 9\n[[routes]]\nmodel = \"m\"\ntargets = [\"same/m\"]\n";
            toml::from_str::<RawTables>(&text).unwrap().validate().unwrap_or_else(|wrong| panic!("{wrong}"))
        };
        let keys = |key: &str| BTreeMap::from([("keyed".to_owned(), vec![key.to_owned()])]);
        let old = Upstreams::new(&table(1_000), &keys("one"), &clock).unwrap();
        let new = old.renewed(&table(2_000), &keys("two"), &clock).unwrap();
        let stays = |id: &str| Arc::ptr_eq(old.get(id).unwrap(), new.get(id).unwrap());
        assert_eq!(["same", "slow", "keyed"].map(stays), [true, false, false]);
    }
}
