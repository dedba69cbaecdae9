//! Where does a day's bill lie, and is what lies there the bill? A signed answer says where and what its sum is; the file
//! itself is signed by nobody.

use bytes::Bytes;
use http::{Method, Uri, uri::Authority};
use jiff::civil::Date;
use serde::Deserialize;

use super::{Channel, ChannelError, error, error::Operation};
use crate::channel::{
    VerifyError,
    wechat::bills::{self, BOUNDS, BillRows, FundAccount},
};

/// WeChat Pay's own hosts end so.
///
/// Source: WeChat Pay API v3, domain names of the API and of its stand-by.
const HOSTS: [&str; 2] = ["mch.weixin.qq.com", "wechatpay.cn"];

/// Which bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillKind {
    /// Payments and refunds; WeChat Pay's choice of rows, which is all of them, where absent.
    Trade(Option<BillRows>),
    /// What moved on an account; on the basic one where absent.
    FundFlow(Option<FundAccount>),
}

/// Which bill of which day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BillWish {
    /// The day in Beijing; bills reach back three months.
    pub day: Date,
    /// Which.
    pub kind: BillKind,
    /// Whether it comes packed.
    pub gzip: bool,
}

impl BillWish {
    fn path(&self) -> String {
        let Self { day, kind, gzip } = self;
        let (which, rows) = match kind {
            BillKind::Trade(rows) => ("tradebill", rows.map(|rows| ("bill_type", rows.as_str().to_owned()))),
            BillKind::FundFlow(account) => {
                let account = account.map(|account| ("account_type", account.as_str().to_ascii_uppercase()));
                ("fundflowbill", account)
            }
        };
        let rows = rows.map(|(name, value)| format!("&{name}={value}")).unwrap_or_default();
        let packed = if *gzip { "&tar_type=GZIP" } else { "" };
        format!("/v3/bill/{which}?bill_date={}{rows}{packed}", day.strftime("%Y-%m-%d"))
    }
}

/// Where a bill lies, for half a minute at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillLink {
    /// Its address: a host of WeChat Pay's, or the one this channel asks.
    pub url: Uri,
    /// SHA-1 of the file before it was packed, in hexadecimal.
    pub sha1: String,
}

#[derive(Deserialize)]
struct Link {
    hash_type: String,
    hash_value: String,
    download_url: String,
}

impl Channel {
    /// Fetches a bill as its text, and makes sure that it is whole. [`ChannelError::NotFound`] says that nothing happened
    /// on the day, [`ChannelError::Busy`] that the bill is still being made.
    ///
    /// Source: WeChat Pay API v3, trade bill, fund flow bill, and download of bills.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn bill(&self, wish: &BillWish) -> Result<Bytes, ChannelError> {
        let link = self.bill_link(wish).await?;
        match self.download(&link).await {
            Ok(bill) => Ok(bill),
            // A link lives for half a minute, and a line may break: once more from the beginning.
            Err(error) => {
                tracing::info!(%error, "a bill did not come as it should: it is fetched again");
                self.download(&self.bill_link(wish).await?).await
            }
        }
    }

    /// Asks where a bill lies.
    ///
    /// # Errors
    /// [`ChannelError`], as of [`Channel::bill`]; malformed if the address is nobody's we know: our signature does not go
    /// there.
    pub async fn bill_link(&self, wish: &BillWish) -> Result<BillLink, ChannelError> {
        let answer = self.exchange(Operation::BillLink, Method::GET, &wish.path(), Bytes::new()).await?;
        let Link { hash_type, hash_value, download_url } = answer.parse()?;
        if !hash_type.eq_ignore_ascii_case("SHA1") {
            return Err(answer.malformed(format!("hash_type is {hash_type}, not SHA1")));
        }
        let url: Uri = download_url.parse().map_err(|_| answer.malformed("download_url is not a URL"))?;
        if !self.is_known_host(&url) {
            let host = url.host().unwrap_or("nowhere");
            return Err(answer.malformed(format!("download_url leads to {host}, which is not WeChat Pay's")));
        }
        Ok(BillLink { url, sha1: hash_value })
    }

    /// Whether our signature may go there: over TLS to WeChat Pay, or to whom this channel asks everything else.
    fn is_known_host(&self, url: &Uri) -> bool {
        let without_user = |authority: &&Authority| !authority.as_str().contains('@');
        let Some(authority) = url.authority().filter(without_user) else { return false };
        let base = self.hosts.uri("/");
        if base.is_some_and(|base| base.authority() == Some(authority) && base.scheme() == url.scheme()) {
            return true;
        }
        let host = authority.host().to_ascii_lowercase();
        let theirs =
            |known: &str| host.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        url.scheme_str() == Some("https") && HOSTS.into_iter().any(theirs)
    }

    /// Fetches what lies there: signed by us like any request, answered without a signature.
    async fn download(&self, link: &BillLink) -> Result<Bytes, ChannelError> {
        let mut request = self.signed_to(Method::GET, link.url.clone(), Bytes::new())?;
        request.extensions_mut().insert(BOUNDS);
        let (head, body) = self.transport.send(request).await?.into_parts();
        let request_id = head.headers.get("Request-ID").and_then(|id| id.to_str().ok()).map(str::to_owned);
        if !head.status.is_success() {
            return Err(error::classify(Operation::BillDownload, head.status, request_id, &body));
        }
        let sha1 = link.sha1.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let whole = bills::unpacked(body)?;
            Ok::<_, String>(bills::has_sha1(&sha1, &whole).then_some(whole))
        });
        let malformed = |what: String| ChannelError::Malformed { what, request_id };
        match checked.await {
            Ok(Ok(Some(bill))) => Ok(bill),
            Ok(Ok(None)) => Err(VerifyError::BadSignature { probe: false }.into()),
            Ok(Err(what)) => Err(malformed(what)),
            Err(error) => Err(malformed(error.to_string())),
        }
    }
}
