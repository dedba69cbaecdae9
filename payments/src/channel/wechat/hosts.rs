//! Which of WeChat Pay's hosts is asked?

use bytes::Bytes;
use http::{Request, Response, Uri, uri};

use crate::transport::{Transport, TransportError};

/// Where WeChat Pay is reached: the host that is asked, and one in another city for when there is no way to it.
///
/// The second is asked only if not a byte reached the first, and then with the very same request: same number, same
/// signature, which covers path and body but not the host. What was only slow to answer is repeated nowhere.
/// Source: WeChat Pay API v3, disaster recovery across cities.
#[derive(Debug, Clone)]
pub struct Hosts {
    first: String,
    backup: Option<String>,
}

impl Hosts {
    /// The host at `base_url`, e.g. `https://api.mch.weixin.qq.com`, whose path, if any, becomes part of every request,
    /// and the one at `backup_url`, of which only scheme, name and port count.
    pub fn new(base_url: &str, backup_url: Option<&str>) -> Self {
        let trimmed = |url: &str| url.trim_end_matches('/').to_owned();
        Self { first: trimmed(base_url), backup: backup_url.map(trimmed) }
    }

    /// The address of `path_and_query` at the first host; `None` if its base URL is none.
    pub(super) fn uri(&self, path_and_query: &str) -> Option<Uri> {
        format!("{}{path_and_query}", self.first).parse().ok()
    }

    /// Sends a request that was made for the first host, and to the other one if it could not leave.
    pub(super) async fn send(
        &self,
        transport: &dyn Transport,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, TransportError> {
        let Some(again) = self.for_backup(&request) else { return transport.send(request).await };
        match transport.send(request).await {
            Err(TransportError::NeverLeft { reason }) => {
                tracing::warn!(reason, host = again.uri().host(), "WeChat Pay's backup host is asked");
                transport.send(again).await
            }
            answered => answered,
        }
    }

    fn for_backup(&self, request: &Request<Bytes>) -> Option<Request<Bytes>> {
        let backup: Uri = self.backup.as_ref()?.parse().ok()?;
        let mut parts = uri::Parts::from(request.uri().clone());
        parts.scheme = backup.scheme().cloned();
        parts.authority = backup.authority().cloned();
        let mut again = request.clone();
        *again.uri_mut() = Uri::from_parts(parts).ok()?;
        Some(again)
    }
}

impl From<&str> for Hosts {
    /// One host only.
    fn from(base_url: &str) -> Self {
        Self::new(base_url, None)
    }
}

impl From<String> for Hosts {
    /// One host only.
    fn from(base_url: String) -> Self {
        Self::new(&base_url, None)
    }
}
