//! API v2: XML, signed with a shared key; some calls over mutual TLS as well.
//!
//! [`Channel`] is the client. Every answer that can be believed is signed with the key, in the way the order was made
//! with; what a failure says unsigned only steers when to ask again. The functions underneath are public, so that
//! recorded messages can be laid against each of them.

mod bill; // which bill we ask for
mod error; // what a failure allows
mod key; // what is shared
mod notice; // what we are told unasked
mod order; // what we ask a payer for
pub mod refund_hint; // which refund to ask about
mod sign; // the signature over a message's fields
mod wire; // amounts and times
pub mod xml; // the messages

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, header};
use jiff::civil::Date;
use units::Clock;

pub use self::{
    bill::{FundAccount, TradeBill},
    key::{ApiV2Key, ApiV2KeyError},
    notice::{NoticeRefused, SUCCESS_REPLY, Signed, failure},
    order::{CallUp, Created, H5Scene, Terms, TradeKind, UnifiedOrder},
    refund_hint::{HintError, RefundHint},
    sign::{SignType, sign, verify},
    xml::{Fields, XmlError},
};
use self::{error::Operation, notice::ROOT};
use super::v3::request_sign::nonce;
use crate::{
    channel::{ChannelError, NewRefund, RefundReport, RefundState, Trade, TradeState, VerifyError},
    transport::Transport,
};

const USER_AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// Which of its two numbers an order is asked for by. One that was never paid has only ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderNumber<'a> {
    /// Ours, `out_trade_no`.
    Merchant(&'a str),
    /// The channel's, `transaction_id`.
    Transaction(&'a str),
}

/// How requests leave.
#[derive(Debug, Clone)]
pub struct Transports {
    /// For most of them.
    pub plain: Arc<dyn Transport>,
    /// For refunds and fund flow bills: shows the merchant's certificate. Without it those are refused here.
    pub with_certificate: Option<Arc<dyn Transport>>,
}

/// One merchant's account with WeChat Pay. Sends each request once; whether to repeat it is for the caller, whom
/// [`ChannelError`] tells what is allowed.
#[derive(Debug)]
pub struct Channel {
    base_url: String,
    mchid: String,
    key: ApiV2Key,
    transports: Transports,
    clock: Arc<dyn Clock>,
}

/// A success whose signature held, from our merchant number and the order's application.
struct Answer {
    fields: Fields,
    request_id: Option<String>,
}

impl Answer {
    fn malformed(&self, what: impl Into<String>) -> ChannelError {
        ChannelError::Malformed { what: what.into(), request_id: self.request_id.clone() }
    }

    fn required(&self, name: &'static str) -> Result<&str, ChannelError> {
        wire::required(&self.fields, name).map_err(|what| self.malformed(what))
    }

    /// A genuine answer about something else may be an older one, played back.
    fn is_about(&self, name: &'static str, asked: &str) -> Result<(), ChannelError> {
        let same = self.required(name)? == asked;
        same.then_some(()).ok_or_else(|| self.malformed(format!("{name} is not the one asked for")))
    }
}

impl Channel {
    /// A client of the host at `base_url`, e.g. `https://api.mch.weixin.qq.com`, whose path, if any, becomes part of
    /// every request. A `base_url` that is none makes every request fail as misconfigured.
    pub fn new(
        base_url: &str,
        mchid: String,
        key: ApiV2Key,
        transports: Transports,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { base_url: base_url.trim_end_matches('/').to_owned(), mchid, key, transports, clock }
    }

    /// Merchant number.
    pub fn mchid(&self) -> &str {
        &self.mchid
    }

    /// Makes an order and returns the way to pay it; repeat the call with the same order for a fresh one.
    ///
    /// Source: WeChat Pay API v2, unified order.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn create(&self, terms: &Terms, order: &UnifiedOrder) -> Result<Created, ChannelError> {
        let fields = order.fields().map_err(cannot_be_written)?;
        let answer = self.exchange(Operation::Create, terms, "/pay/unifiedorder", fields).await?;
        answer.is_about("trade_type", order.trade.as_str())?;
        Ok(match order.trade {
            TradeKind::Native { .. } => Created::Native { code_url: answer.required("code_url")?.to_owned() },
            TradeKind::Jsapi { .. } => Created::Jsapi { prepay_id: answer.required("prepay_id")?.to_owned() },
            TradeKind::H5(_) => Created::H5 { mweb_url: answer.required("mweb_url")?.to_owned() },
        })
    }

    /// What the payer's page calls WeChat up with, signed just now. Make a fresh one for each showing.
    ///
    /// # Errors
    /// [`ChannelError::Misconfigured`] if the system has no random bytes.
    pub fn call_up(&self, terms: &Terms, prepay_id: &str) -> Result<CallUp, ChannelError> {
        let nonce = nonce().map_err(|error| misconfigured("SIGNING_FAILED", error.to_string()))?;
        Ok(CallUp::new(terms, prepay_id, self.clock.now().secs(), nonce, &self.key))
    }

    /// Asks what became of an order.
    ///
    /// Source: WeChat Pay API v2, order query.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query(&self, terms: &Terms, number: OrderNumber<'_>) -> Result<Trade, ChannelError> {
        let (name, number) = match number {
            OrderNumber::Merchant(number) => ("out_trade_no", number),
            OrderNumber::Transaction(number) => ("transaction_id", number),
        };
        let fields = Fields::from_iter([(name, number)]);
        let answer = self.exchange(Operation::Query, terms, "/pay/orderquery", fields).await?;
        answer.is_about(name, number)?;
        let state = TradeState::from_name(answer.required("trade_state")?);
        wire::trade(&answer.fields, state).map_err(|what| answer.malformed(what))
    }

    /// Closes an unpaid order; one that is closed already counts as success. Either way it is no proof that nobody
    /// paid: query afterwards. WeChat Pay refuses it in the first five minutes after the order was made.
    ///
    /// Source: WeChat Pay API v2, close order.
    ///
    /// # Errors
    /// [`ChannelError`]; [`ChannelError::AlreadyPaid`] if the payment won the race.
    pub async fn close(&self, terms: &Terms, out_trade_no: &str) -> Result<(), ChannelError> {
        let fields = Fields::from_iter([("out_trade_no", out_trade_no)]);
        match self.exchange(Operation::Close, terms, "/pay/closeorder", fields).await {
            Ok(_) | Err(ChannelError::AlreadyClosed { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks for a refund, under the merchant's certificate. Success means accepted, not arrived.
    ///
    /// Source: WeChat Pay API v2, refund application.
    ///
    /// # Errors
    /// [`ChannelError`]. After an unclear one only the same `out_refund_no` may be used again.
    pub async fn refund(&self, terms: &Terms, refund: &NewRefund) -> Result<RefundReport, ChannelError> {
        let mut fields = Fields::from_iter([
            ("transaction_id", &refund.transaction_id),
            ("out_refund_no", &refund.out_refund_no),
            ("notify_url", &refund.notify_url),
        ]);
        fields.set("refund_fee_type", "CNY");
        fields.set("total_fee", refund.total.get().to_string());
        fields.set("refund_fee", refund.refund.get().to_string());
        fields.set_some("refund_desc", refund.reason.as_deref());
        let answer = self.exchange(Operation::Refund, terms, "/secapi/pay/refund", fields).await?;
        answer.is_about("out_refund_no", &refund.out_refund_no)?;
        let text = |name| answer.fields.get(name).map(str::to_owned);
        let fen = |name| wire::optional_fen(&answer.fields, name).map_err(|what| answer.malformed(what));
        Ok(RefundReport {
            out_refund_no: refund.out_refund_no.clone(),
            refund_id: text("refund_id"),
            transaction_id: text("transaction_id"),
            out_trade_no: text("out_trade_no"),
            state: RefundState::Processing,
            refund: fen("refund_fee")?,
            total: fen("total_fee")?,
            success_time: None,
        })
    }

    /// Asks what became of a refund.
    ///
    /// Source: WeChat Pay API v2, refund query.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn query_refund(
        &self,
        terms: &Terms,
        out_refund_no: &str,
    ) -> Result<RefundReport, ChannelError> {
        let fields = Fields::from_iter([("out_refund_no", out_refund_no)]);
        let answer = self.exchange(Operation::QueryRefund, terms, "/pay/refundquery", fields).await?;
        wire::refund(&answer.fields, out_refund_no).map_err(|what| answer.malformed(what))
    }

    /// Fetches a day's trade bill as its text: nobody signs it. [`ChannelError::NotFound`] says that the day had no
    /// trade, [`ChannelError::Busy`] that the bill is still being made.
    ///
    /// Source: WeChat Pay API v2, download of the trade bill.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn trade_bill(&self, terms: &Terms, day: Date, rows: TradeBill) -> Result<Bytes, ChannelError> {
        let mut fields = Fields::from_iter([("bill_type", rows.as_str())]);
        fields.set("bill_date", day.strftime("%Y%m%d").to_string());
        let received = self.send(Operation::TradeBill, Some(terms), "/pay/downloadbill", fields).await?;
        received.bill(Operation::TradeBill)?;
        Ok(received.body)
    }

    /// Fetches a day's fund flow bill as its text, under the merchant's certificate and whatever the terms always with
    /// HMAC-SHA256; the answer's digest must be the text's. See [`Channel::trade_bill`] for days without one.
    ///
    /// Source: WeChat Pay API v2, download of the fund flow bill.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn fund_flow_bill(
        &self,
        terms: &Terms,
        day: Date,
        account: FundAccount,
    ) -> Result<Bytes, ChannelError> {
        let terms = Terms { sign_type: SignType::HmacSha256, ..terms.clone() };
        let mut fields = Fields::from_iter([("account_type", account.as_str())]);
        fields.set("bill_date", day.strftime("%Y%m%d").to_string());
        let operation = Operation::FundFlowBill;
        let received = self.send(operation, Some(&terms), "/pay/downloadfundflow", fields).await?;
        received.bill(operation)?;
        bill::check_digest(&received.headers, &received.body)?;
        Ok(received.body)
    }

    /// The key that stands in for the merchant's in WeChat Pay's own sandbox. Nobody signs the answer.
    ///
    /// Source: WeChat Pay API v2, sandbox, obtaining the key.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn sandbox_key(&self) -> Result<ApiV2Key, ChannelError> {
        let path = "/xdc/apiv2getsignkey/sign/getsignkey";
        let received = self.send(Operation::SandboxKey, None, path, Fields::default()).await?;
        let answer = received.opened(Operation::SandboxKey)?;
        let key = answer.required("sandbox_signkey")?.to_owned();
        ApiV2Key::new(key).map_err(|error| answer.malformed(format!("sandbox_signkey {error}")))
    }

    /// Verifies and reads a payment notice from its body as received.
    ///
    /// Which order, application and amount it names is for the caller to compare, and also that the order was made with
    /// [`Signed::sign_type`]. Source: WeChat Pay API v2, payment notice.
    ///
    /// # Errors
    /// [`NoticeRefused`].
    pub fn read_notice(&self, body: &[u8]) -> Result<Signed, NoticeRefused> {
        notice::read(&self.key, body)
    }

    /// Opens a refund notice from its body as received. It vouches for nothing: ask for the refund it names.
    ///
    /// # Errors
    /// [`NoticeRefused`].
    pub fn read_refund_notice(&self, body: &[u8]) -> Result<RefundHint, NoticeRefused> {
        refund_hint::read(&self.key, body)
    }

    /// Sends a request and believes the answer only if it is signed as the request was, and ours.
    async fn exchange(
        &self,
        operation: Operation,
        terms: &Terms,
        path: &str,
        fields: Fields,
    ) -> Result<Answer, ChannelError> {
        let answer = self.send(operation, Some(terms), path, fields).await?.opened(operation)?;
        self.check_signature(terms.sign_type, &answer.fields)?;
        answer.is_about("mch_id", &self.mchid)?;
        answer.is_about("appid", &terms.appid)?;
        match answer.required("result_code")? {
            "SUCCESS" => Ok(answer),
            "FAIL" => Err(error::classify(operation, &answer.fields, answer.request_id)),
            _ => Err(answer.malformed("result_code is neither SUCCESS nor FAIL")),
        }
    }

    fn check_signature(&self, sign_type: SignType, fields: &Fields) -> Result<(), VerifyError> {
        let signature = fields.get("sign").ok_or(VerifyError::MissingHeader("sign"))?;
        if fields.get("sign_type").is_some_and(|named| named != sign_type.as_str()) {
            return Err(VerifyError::UnsupportedType);
        }
        let holds = verify(sign_type, fields, &self.key, signature);
        if holds { Ok(()) } else { Err(VerifyError::BadSignature { probe: false }) }
    }

    /// Signs and sends, and takes whatever comes back with a status of success.
    async fn send(
        &self,
        operation: Operation,
        terms: Option<&Terms>,
        path: &str,
        fields: Fields,
    ) -> Result<Received, ChannelError> {
        let transport = match operation {
            Operation::Refund | Operation::FundFlowBill => {
                self.transports.with_certificate.as_ref().ok_or_else(|| {
                    misconfigured("NO_CERTIFICATE", "the merchant's certificate is not configured")
                })?
            }
            _ => &self.transports.plain,
        };
        let request = self.request(terms, path, fields)?;
        let (head, body) = transport.send(request).await?.into_parts();
        let request_id = head.headers.get("Request-ID").and_then(|id| id.to_str().ok()).map(str::to_owned);
        tracing::debug!(?operation, status = head.status.as_u16(), ?request_id, "WeChat Pay answered");
        if !head.status.is_success() {
            return Err(error::undecided(
                format!("HTTP_{}", head.status.as_u16()),
                String::new(),
                request_id,
            ));
        }
        Ok(Received { headers: head.headers, body, request_id })
    }

    /// The request as it is sent: the elements of every request added, and signed.
    fn request(
        &self,
        terms: Option<&Terms>,
        path: &str,
        mut fields: Fields,
    ) -> Result<Request<Bytes>, ChannelError> {
        let uri: Uri = format!("{}{path}", self.base_url)
            .parse()
            .map_err(|_| misconfigured("BAD_BASE_URL", "the base URL is not a URL"))?;
        fields.set("mch_id", self.mchid.as_str());
        fields.set("nonce_str", nonce().map_err(|error| misconfigured("SIGNING_FAILED", error.to_string()))?);
        let mut sign_type = SignType::Md5;
        if let Some(terms) = terms {
            sign_type = terms.sign_type;
            fields.set("appid", terms.appid.as_str());
            fields.set("sign_type", sign_type.as_str());
        }
        let signature = sign(sign_type, &fields, &self.key);
        fields.set("sign", signature);
        let body = xml::write(&fields, ROOT).map_err(cannot_be_written)?;
        Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/xml; charset=utf-8")
            .header(header::USER_AGENT, USER_AGENT)
            .body(body.into())
            .map_err(|_| misconfigured("BAD_REQUEST", "the request cannot be written"))
    }
}

/// What came back with a status of success; API v2 has no other.
struct Received {
    headers: HeaderMap,
    body: Bytes,
    request_id: Option<String>,
}

impl Received {
    /// The elements of an answer that does not say itself that it failed. Not verified yet.
    fn opened(&self, operation: Operation) -> Result<Answer, ChannelError> {
        let request_id = self.request_id.clone();
        let fields = match xml::read(&self.body, ROOT) {
            Ok(fields) => fields,
            Err(error) => {
                return Err(error::undecided("NOT_AN_ANSWER".to_owned(), error.to_string(), request_id));
            }
        };
        match fields.get("return_code") {
            Some("SUCCESS") => Ok(Answer { fields, request_id }),
            _ => Err(error::unsigned(operation, &fields, request_id)),
        }
    }

    /// A bill is text; what begins like a message says why there is none. Such a message steers no more than when to
    /// ask again, so its signature does not matter.
    fn bill(&self, operation: Operation) -> Result<(), ChannelError> {
        if !self.body.starts_with(b"<") {
            return Ok(());
        }
        let answer = self.opened(operation)?;
        Err(error::classify(operation, &answer.fields, answer.request_id))
    }
}

fn misconfigured(code: &str, message: impl Into<String>) -> ChannelError {
    ChannelError::Misconfigured { code: code.to_owned(), message: message.into(), request_id: None }
}

/// Something we were given does not fit into a request, so nothing was sent.
fn cannot_be_written(element: impl Into<String>) -> ChannelError {
    let element = element.into();
    ChannelError::Refused {
        code: "PARAM_ERROR".to_owned(),
        message: format!("{element} cannot be written"),
        field: Some(format!("/{element}")),
        request_id: None,
    }
}
