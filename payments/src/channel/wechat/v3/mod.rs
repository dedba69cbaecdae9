//! API v3: JSON, signed with RSA both ways; notices encrypted on top.
//!
//! [`Channel`] is the client. What it sends is serialised once, and the same bytes are signed and sent; what it gets
//! is believed only if the signature over the very bytes received holds. The functions underneath are public, so that
//! recorded messages can be laid against each of them.

mod bills; // where a day's bill lies
mod certificates; // what the platform hands out to be believed by
mod credentials; // who we are, and whom we believe
mod error; // what an error answer allows
mod notice; // what we are told unasked
pub mod request_sign; // the Authorization header
pub mod resource; // what is encrypted
pub mod verify; // who wrote these bytes
mod wire; // the JSON
mod x509; // what a certificate says

use std::{fmt::Write as _, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header, response};
use serde::{Serialize, de::DeserializeOwned};
use units::Clock;

pub use self::{
    bills::{BillKind, BillLink, BillWish},
    certificates::{Downloaded, ListError},
    credentials::{CredentialParts, Credentials, CredentialsError, MerchantCertificate, PlatformKeyPart},
    notice::NoticeRefused,
};
use self::{certificates::Certificates, error::Operation, request_sign::SignError};
pub use super::CallUp;
use super::{Hosts, Nonces};
use crate::{
    channel::{
        Accepted, ChannelError, NewOrder, NewRefund, Notice, Prepaid, RefundReport, Trade, VerifyError, Way,
    },
    transport::Transport,
};

const USER_AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// One merchant's account with WeChat Pay. Sends each request once; whether to repeat it is for the caller, whom
/// [`ChannelError`] tells what is allowed.
#[derive(Debug)]
pub struct Channel {
    hosts: Hosts,
    credentials: Credentials,
    certificates: Arc<Certificates>,
    nonces: Nonces,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
}

/// A success whose signature held.
struct Answer {
    body: Bytes,
    request_id: Option<String>,
}

/// Whatever came back.
struct Came {
    head: response::Parts,
    body: Bytes,
    request_id: Option<String>,
}

impl Answer {
    fn malformed(&self, what: impl Into<String>) -> ChannelError {
        ChannelError::Malformed { what: what.into(), request_id: self.request_id.clone() }
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, ChannelError> {
        serde_json::from_slice(&self.body).map_err(|error| self.malformed(error.to_string()))
    }

    /// A genuine answer about something else may be an older one, played back.
    fn is_about(&self, member: &str, asked: &str, answered: &str) -> Result<(), ChannelError> {
        let same = asked == answered;
        same.then_some(()).ok_or_else(|| self.malformed(format!("{member} is not the one asked for")))
    }
}

impl Channel {
    /// A client of `hosts`. A path in the first one's address becomes part of every request and of what is signed; a base
    /// URL that is none makes every request fail as misconfigured.
    pub fn new(
        hosts: impl Into<Hosts>,
        credentials: Credentials,
        transport: Arc<dyn Transport>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (certificates, nonces) = (Arc::default(), Nonces::default());
        Self { hosts: hosts.into(), credentials, certificates, nonces, transport, clock }
    }

    /// This client with other hosts and other credentials of the same merchant, and all that was downloaded for it.
    #[must_use]
    pub fn renewed(&self, hosts: impl Into<Hosts>, credentials: Credentials) -> Self {
        let certificates = match credentials.mchid() == self.mchid() {
            true => Arc::clone(&self.certificates),
            false => Arc::default(),
        };
        let (transport, clock) = (Arc::clone(&self.transport), Arc::clone(&self.clock));
        let nonces = self.nonces.clone();
        Self { hosts: hosts.into(), credentials, certificates, nonces, transport, clock }
    }

    /// Merchant number.
    pub fn mchid(&self) -> &str {
        self.credentials.mchid()
    }

    /// Application the orders are made for.
    pub fn appid(&self) -> &str {
        self.credentials.appid()
    }

    /// Makes an order. What comes back is good for two hours (a page for five minutes) whatever the order's own expiry;
    /// repeat the call with the same order for a fresh one, which is the end of the one before.
    ///
    /// Source: WeChat Pay API v3, Native, JSAPI (also of Mini Programs) and H5 orders.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn create(&self, order: &NewOrder) -> Result<Accepted, ChannelError> {
        let body =
            wire::Order::new(self.mchid(), order).map_err(|(field, message)| ChannelError::Refused {
                code: "PARAM_ERROR".to_owned(),
                message: message.to_owned(),
                field: Some(field.to_owned()),
                request_id: None,
            })?;
        let way = match order.way {
            Way::Native => "native",
            Way::InApp { .. } => "jsapi",
            Way::H5 => "h5",
        };
        let answer = self.post(Operation::Create, &format!("/v3/pay/transactions/{way}"), &body).await?;
        let given = |text: String, member: &str| match text.is_empty() {
            true => Err(answer.malformed(format!("{member} is empty"))),
            false => Ok(text),
        };
        let prepaid = match order.way {
            Way::Native => {
                let wire::NativeCreated { code_url } = answer.parse()?;
                given(code_url, "code_url").map(Prepaid::Code)
            }
            Way::InApp { .. } => {
                let wire::InAppCreated { prepay_id } = answer.parse()?;
                given(prepay_id, "prepay_id").map(Prepaid::Session)
            }
            Way::H5 => {
                let wire::H5Created { h5_url } = answer.parse()?;
                given(h5_url, "h5_url").map(Prepaid::Page)
            }
        }?;
        Ok(Accepted { prepaid, request_id: answer.request_id })
    }

    /// What a page (`wx.chooseWXPay`) or a Mini Program (`wx.requestPayment`) calls a payment up with. Made anew whenever it
    /// is shown: it is signed with the time.
    ///
    /// Source: WeChat Pay API v3, JSAPI and Mini Program, calling up the payment.
    ///
    /// # Errors
    /// [`SignError`] if the crypto library fails.
    pub fn call_up(&self, appid: &str, prepay_id: &str) -> Result<CallUp, SignError> {
        let (timestamp, nonce) = (self.clock.now().secs().to_string(), request_sign::nonce()?);
        let package = format!("prepay_id={prepay_id}");
        self.nonces.made(&nonce, format!("paySign of {package}"), self.clock.now());
        let pay_sign = request_sign::call_up(&self.credentials, appid, &timestamp, &nonce, &package)?;
        Ok(CallUp { timestamp, nonce, package, sign_type: "RSA", pay_sign })
    }

    /// Asks what became of an order.
    ///
    /// Source: WeChat Pay API v3, order query by merchant order number.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query(&self, out_trade_no: &str) -> Result<Trade, ChannelError> {
        let number = percent_encoded(out_trade_no);
        let path = format!("/v3/pay/transactions/out-trade-no/{number}?mchid={}", self.mchid());
        let (answer, trade) = self.trade(&path).await?;
        answer.is_about("out_trade_no", out_trade_no, &trade.out_trade_no)?;
        Ok(trade)
    }

    /// Asks what became of a payment, by WeChat Pay's own number: an order nobody paid has none.
    ///
    /// Source: WeChat Pay API v3, order query by WeChat Pay's order number.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query_transaction(&self, transaction_id: &str) -> Result<Trade, ChannelError> {
        let number = percent_encoded(transaction_id);
        let path = format!("/v3/pay/transactions/id/{number}?mchid={}", self.mchid());
        let (answer, trade) = self.trade(&path).await?;
        answer.is_about(
            "transaction_id",
            transaction_id,
            trade.transaction_id.as_deref().unwrap_or_default(),
        )?;
        Ok(trade)
    }

    async fn trade(&self, path: &str) -> Result<(Answer, Trade), ChannelError> {
        let answer = self.exchange(Operation::Query, Method::GET, path, Bytes::new()).await?;
        let trade =
            answer.parse::<wire::Transaction>()?.into_trade().map_err(|what| answer.malformed(what))?;
        answer.is_about("mchid", self.mchid(), &trade.mchid)?;
        Ok((answer, trade))
    }

    /// Closes an unpaid order; one that is closed already counts as success. Either way it is no proof that nobody
    /// paid: query afterwards. WeChat Pay asks to leave five minutes between making and closing an order.
    ///
    /// Source: WeChat Pay API v3, close order.
    ///
    /// # Errors
    /// [`ChannelError`]; [`ChannelError::AlreadyPaid`] if the payment won the race.
    pub async fn close(&self, out_trade_no: &str) -> Result<(), ChannelError> {
        let number = percent_encoded(out_trade_no);
        let path = format!("/v3/pay/transactions/out-trade-no/{number}/close");
        match self.post(Operation::Close, &path, &wire::Close { mchid: self.mchid() }).await {
            Ok(_) | Err(ChannelError::AlreadyClosed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks for a refund. Success means accepted, not arrived: see [`RefundReport::state`].
    ///
    /// Source: WeChat Pay API v3, refund application.
    ///
    /// # Errors
    /// [`ChannelError`]. After an unclear one only the same `out_refund_no` may be used again.
    pub async fn refund(&self, refund: &NewRefund) -> Result<RefundReport, ChannelError> {
        let body = wire::RefundOrder::from(refund);
        let answer = self.post(Operation::Refund, "/v3/refund/domestic/refunds", &body).await?;
        let report = Self::report(&answer, &refund.out_refund_no)?;
        Ok(RefundReport { request_id: answer.request_id, ..report })
    }

    /// Asks what became of a refund.
    ///
    /// Source: WeChat Pay API v3, refund query.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query_refund(&self, out_refund_no: &str) -> Result<RefundReport, ChannelError> {
        let path = format!("/v3/refund/domestic/refunds/{}", percent_encoded(out_refund_no));
        let answer = self.exchange(Operation::QueryRefund, Method::GET, &path, Bytes::new()).await?;
        Self::report(&answer, out_refund_no)
    }

    /// Verifies, decrypts and reads a notice from its headers and its body as received, byte for byte.
    ///
    /// Whose merchant number, application and amount it names is for the caller to compare with its order.
    /// Source: WeChat Pay API v3, payment notice and refund notice.
    ///
    /// # Errors
    /// [`NoticeRefused`].
    pub fn read_notice(&self, headers: &HeaderMap, body: &[u8]) -> Result<Notice, NoticeRefused> {
        notice::read(&self.credentials, &self.certificates.ring(), self.clock.now(), headers, body)
            .inspect(|notice| self.remember(headers, notice))
    }

    /// The same; one whose key nobody here has heard of makes us ask for certificates first, once a minute at most.
    ///
    /// # Errors
    /// [`NoticeRefused`].
    pub async fn take_notice(&self, headers: &HeaderMap, body: &[u8]) -> Result<Notice, NoticeRefused> {
        match self.read_notice(headers, body) {
            Err(NoticeRefused::UnknownSerial(serial)) if self.look_for(&serial).await => {
                self.read_notice(headers, body)
            }
            read => read,
        }
    }

    fn remember(&self, headers: &HeaderMap, notice: &Notice) {
        let nonce = headers.get("Wechatpay-Nonce").and_then(|nonce| nonce.to_str().ok());
        if let Some(nonce) = nonce {
            self.nonces.heard(nonce, notice.event_id(), self.clock.now());
        }
    }

    /// Which nonces were used.
    pub const fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// Asks for the platform's certificates, and keeps them if the answer can be believed. A merchant who has the public
    /// key only has none, which is no error.
    ///
    /// Source: WeChat Pay API v3, downloading platform certificates.
    ///
    /// # Errors
    /// [`ChannelError`]; nothing has changed then.
    pub async fn download_certificates(&self) -> Result<Downloaded, ChannelError> {
        let _turn = self.certificates.turn.lock().await;
        self.downloaded().await
    }

    /// How far our clock is ahead of WeChat Pay's, in seconds, by an answer of any kind; `None` where it does not say when
    /// it was made. Requests that are more than five minutes off are refused.
    ///
    /// # Errors
    /// [`ChannelError::NoAnswer`], or one that says that no request can be made.
    pub async fn clock_skew(&self) -> Result<Option<i64>, ChannelError> {
        let Came { head, .. } =
            self.came(Operation::Certificates, Method::GET, "/v3/certificates", Bytes::new()).await?;
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let signed_at = text("Wechatpay-Timestamp").and_then(|secs| secs.parse().ok());
        let dated = || {
            let date = jiff::fmt::rfc2822::parse(text("Date")?).ok()?;
            Some(date.timestamp().as_second())
        };
        let theirs: Option<i64> = signed_at.or_else(dated);
        Ok(theirs.map(|theirs| self.clock.now().secs().saturating_sub(theirs)))
    }

    /// The serials of the certificates that were downloaded.
    pub fn downloaded_serials(&self) -> Vec<String> {
        self.certificates.ring().keys().cloned().collect()
    }

    /// Downloads the certificates where it is time for it: some hours after the last time, some minutes after one that
    /// failed. `None` where it is not, or where this merchant downloads none.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn renew_certificates(&self) -> Result<Option<Downloaded>, ChannelError> {
        if !self.credentials.downloads_certificates() {
            return Ok(None);
        }
        let _turn = self.certificates.turn.lock().await;
        if !self.certificates.is_due(self.clock.now()) {
            return Ok(None);
        }
        self.downloaded().await.map(Some)
    }

    /// Asks whether there is a certificate of this serial by now. True if there is.
    async fn look_for(&self, serial: &str) -> bool {
        if !self.credentials.downloads_certificates() {
            return false;
        }
        // Whoever comes while somebody asks waits for what that comes to.
        let _turn = self.certificates.turn.lock().await;
        let is_there = || self.certificates.ring().contains_key(serial);
        if is_there() {
            return true;
        }
        if !self.certificates.may_look(self.clock.now()) {
            return false;
        }
        tracing::info!(
            mchid = self.mchid(),
            serial,
            "an unknown serial: WeChat Pay is asked for certificates"
        );
        match self.downloaded().await {
            Ok(_) => is_there(),
            Err(error) => {
                tracing::warn!(mchid = self.mchid(), %error, "WeChat Pay's certificates cannot be had");
                false
            }
        }
    }

    async fn downloaded(&self) -> Result<Downloaded, ChannelError> {
        self.certificates.asked(self.clock.now());
        let came = self.came(Operation::Certificates, Method::GET, "/v3/certificates", Bytes::new()).await?;
        let Came { head, body, request_id } = came;
        if !head.status.is_success() {
            let error = error::classify(Operation::Certificates, head.status, request_id, &body);
            return match error {
                ChannelError::NotFound { .. } => {
                    self.certificates.keep(None, self.clock.now());
                    Ok(Downloaded::PublicKeyOnly)
                }
                error => Err(error),
            };
        }
        let (held, now) = (self.certificates.ring(), self.clock.now());
        let ring = certificates::read(&self.credentials, &held, now, &head.headers, &body);
        let ring = ring.map_err(|error| match error {
            ListError::Unverified(why) => ChannelError::Unverified { why, request_id },
            other => ChannelError::Malformed { what: other.to_string(), request_id },
        })?;
        let serials = ring.keys().cloned().collect();
        self.certificates.keep(Some(ring), now);
        Ok(Downloaded::Certificates(serials))
    }

    fn report(answer: &Answer, out_refund_no: &str) -> Result<RefundReport, ChannelError> {
        let report = answer.parse::<wire::Refund>()?.into_report().map_err(|what| answer.malformed(what))?;
        answer.is_about("out_refund_no", out_refund_no, &report.out_refund_no)?;
        Ok(report)
    }

    /// Serialises `body` once, for the signature and for the wire.
    async fn post(
        &self,
        operation: Operation,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<Answer, ChannelError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| ChannelError::Malformed { what: error.to_string(), request_id: None })?;
        self.exchange(operation, Method::POST, path, body.into()).await
    }

    async fn exchange(
        &self,
        operation: Operation,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Answer, ChannelError> {
        let Came { head, body, request_id } = self.came(operation, method, path_and_query, body).await?;
        if !head.status.is_success() {
            return Err(error::classify(operation, head.status, request_id, &body));
        }
        // Also over an empty body: a 204 is signed like everything else.
        let mut checked = self.check(&head.headers, &body);
        if let Err(VerifyError::UnknownSerial(serial)) = &checked
            && self.look_for(serial).await
        {
            checked = self.check(&head.headers, &body);
        }
        if let Err(why) = checked {
            return Err(ChannelError::Unverified { why, request_id });
        }
        if matches!(operation, Operation::Create | Operation::Refund) {
            tracing::info!(
                ?operation,
                mchid = self.mchid(),
                request_id = request_id.as_deref(),
                "WeChat Pay has taken it"
            );
        }
        if head.status == StatusCode::ACCEPTED {
            // Taken in, not carried out. Source: WeChat Pay API v3, HTTP status codes.
            return Err(error::classify(operation, head.status, request_id, &body));
        }
        Ok(Answer { body, request_id })
    }

    /// Sends a request and takes whatever comes back, not verified yet.
    async fn came(
        &self,
        operation: Operation,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Came, ChannelError> {
        let request = self.signed(method, path_and_query, body)?;
        let (head, body) = self.hosts.send(&*self.transport, request).await?.into_parts();
        let request_id = head.headers.get("Request-ID").and_then(|id| id.to_str().ok()).map(str::to_owned);
        tracing::debug!(
            ?operation,
            status = head.status.as_u16(),
            request_id = request_id.as_deref(),
            "WeChat Pay answered"
        );
        Ok(Came { head, body, request_id })
    }

    /// With the keys as they are when it begins.
    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<(), VerifyError> {
        let downloaded = self.certificates.ring();
        verify::check_by(self.clock.now(), headers, body, |serial| {
            self.credentials.platform_key(serial).or_else(|| downloaded.get(serial).map(|key| &**key))
        })
    }

    fn signed(
        &self,
        method: Method,
        path_and_query: &str,
        body: Bytes,
    ) -> Result<Request<Bytes>, ChannelError> {
        let uri = self
            .hosts
            .uri(path_and_query)
            .ok_or_else(|| misconfigured("BAD_BASE_URL", "the base URL is not a URL"))?;
        self.signed_to(method, uri, body)
    }

    fn signed_to(&self, method: Method, uri: Uri, body: Bytes) -> Result<Request<Bytes>, ChannelError> {
        let sent = uri.path_and_query().map_or("/", |sent| sent.as_str());
        let timestamp = self.clock.now().secs();
        let authorization = request_sign::nonce()
            .and_then(|nonce| {
                self.nonces.made(&nonce, format!("{method} {sent}"), self.clock.now());
                request_sign::authorization(&self.credentials, &method, sent, timestamp, &nonce, &body)
            })
            .map_err(|error: SignError| misconfigured("SIGNING_FAILED", &error.to_string()))?;
        let mut request = Request::builder()
            .method(method)
            .header(header::AUTHORIZATION, authorization)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, USER_AGENT);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(serial) = self.credentials.asks_for() {
            request = request.header("Wechatpay-Serial", serial);
        }
        request.uri(uri).body(body).map_err(|_| misconfigured("BAD_REQUEST", "the request cannot be written"))
    }
}

fn misconfigured(code: &str, message: &str) -> ChannelError {
    ChannelError::Misconfigured { code: code.to_owned(), message: message.to_owned(), request_id: None }
}

/// Everything but the unreserved characters of RFC 3986 as `%` and two upper-case digits.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // writing to a String cannot fail
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_number_is_escaped_in_the_path_as_it_is_signed() {
        assert_eq!(super::percent_encoded("R-1|2*3@4"), "R-1%7C2%2A3%404");
        assert_eq!(super::percent_encoded("a/../b?c_ü"), "a%2F..%2Fb%3Fc_%C3%BC");
    }
}
