//! How does one request leave, and what of the answer is believed?

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};

use super::{
    Channel, Fields, SignType, Terms,
    error::{self, Operation},
    notice::ROOT,
    sign, verify, wire, xml,
};
use crate::channel::{
    ChannelError, VerifyError,
    wechat::{bills::BOUNDS, v3::request_sign::nonce},
};

const USER_AGENT: &str = concat!("tollgate/", env!("CARGO_PKG_VERSION"));

/// A success whose signature held, from our merchant number and the order's application.
pub(super) struct Answer {
    pub(super) fields: Fields,
    pub(super) request_id: Option<String>,
}

impl Answer {
    pub(super) fn malformed(&self, what: impl Into<String>) -> ChannelError {
        ChannelError::Malformed { what: what.into(), request_id: self.request_id.clone() }
    }

    pub(super) fn required(&self, name: &'static str) -> Result<&str, ChannelError> {
        wire::required(&self.fields, name).map_err(|what| self.malformed(what))
    }

    /// A genuine answer about something else may be an older one, played back.
    pub(super) fn is_about(&self, name: &'static str, asked: &str) -> Result<(), ChannelError> {
        let same = self.required(name)? == asked;
        same.then_some(()).ok_or_else(|| self.malformed(format!("{name} is not the one asked for")))
    }
}

impl Channel {
    /// Sends a request and believes the answer only if it is signed as the request was, and ours.
    pub(super) async fn exchange(
        &self,
        operation: Operation,
        terms: &Terms,
        path: &str,
        fields: Fields,
    ) -> Result<Answer, ChannelError> {
        let answer = self.send(operation, Some(terms), path, fields).await?.opened(operation)?;
        self.check_signature(terms.sign_type, &answer.fields)
            .map_err(|why| ChannelError::Unverified { why, request_id: answer.request_id.clone() })?;
        answer.is_about("mch_id", &self.mchid)?;
        answer.is_about("appid", &terms.appid)?;
        match answer.required("result_code")? {
            "SUCCESS" => {
                if matches!(operation, Operation::Create | Operation::Refund) {
                    let request_id = &answer.request_id;
                    tracing::info!(
                        ?operation,
                        mchid = self.mchid,
                        request_id = request_id.as_deref(),
                        "WeChat Pay has taken it"
                    );
                }
                Ok(answer)
            }
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
    pub(super) async fn send(
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
        let mut request = self.request(terms, path, fields)?;
        if matches!(operation, Operation::TradeBill | Operation::FundFlowBill) {
            request.extensions_mut().insert(BOUNDS);
        }
        let (head, body) = self.hosts.send(&**transport, request).await?.into_parts();
        let request_id = head.headers.get("Request-ID").and_then(|id| id.to_str().ok()).map(str::to_owned);
        tracing::debug!(
            ?operation,
            status = head.status.as_u16(),
            request_id = request_id.as_deref(),
            "WeChat Pay answered"
        );
        if !head.status.is_success() {
            return Err(error::by_status(head.status, &body, request_id));
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
        let uri =
            self.hosts.uri(path).ok_or_else(|| misconfigured("BAD_BASE_URL", "the base URL is not a URL"))?;
        fields.set("mch_id", self.mchid.as_str());
        let nonce = nonce().map_err(|error| misconfigured("SIGNING_FAILED", error.to_string()))?;
        self.nonces.made(&nonce, format!("POST {path}"), self.clock.now());
        fields.set("nonce_str", nonce);
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
pub(super) struct Received {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    request_id: Option<String>,
}

impl Received {
    /// The elements of an answer that does not say itself that it failed. Not verified yet.
    pub(super) fn opened(&self, operation: Operation) -> Result<Answer, ChannelError> {
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
    pub(super) fn bill(&self, operation: Operation) -> Result<(), ChannelError> {
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
pub(super) fn cannot_be_written(element: impl Into<String>) -> ChannelError {
    let element = element.into();
    ChannelError::Refused {
        code: "PARAM_ERROR".to_owned(),
        message: format!("{element} is missing or cannot be written"),
        field: Some(format!("/{element}")),
        request_id: None,
    }
}
