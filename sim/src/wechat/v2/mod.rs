//! How does API v2 answer? XML, signed on both sides with a key that both know; HTTP 200 whatever came of it.
mod bills;
mod calls;
mod errors;
pub(super) mod notices;
mod orders;
mod params;
mod refunds;
mod sign;
pub(super) mod xml;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use self::errors::{Certificate, Failure};
use self::params::Params;
use super::merchant::Merchant;
use super::{Asked, Struck};
use crate::faults::{Api, At, Fault, Op, Site};
use crate::random;
use crate::state::{World, silence};
use sign::sign;
pub(super) use sign::{SignType, genuine};
use xml::Fields;

/// What an answer is made of.
enum Done {
    /// Fields of a business result that went well; signed.
    Fields(Fields),
    /// Fields that stand for themselves and are not signed.
    Bare(Fields),
    /// A bill, not signed; its SHA-1 in the header `Digest` where one is asked for.
    File { bytes: Vec<u8>, digest: Option<String> },
}

/// A call, recognised by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Create,
    Query,
    Close,
    Refund,
    QueryRefund,
    TradeBill,
    FundFlow,
    SandboxKey,
}

impl Call {
    fn of(path: &str) -> Option<Self> {
        Some(match path {
            "pay/unifiedorder" => Self::Create,
            "pay/orderquery" => Self::Query,
            "pay/closeorder" => Self::Close,
            "secapi/pay/refund" => Self::Refund,
            "pay/refundquery" => Self::QueryRefund,
            "pay/downloadbill" => Self::TradeBill,
            "pay/downloadfundflow" => Self::FundFlow,
            "xdc/apiv2getsignkey/sign/getsignkey" => Self::SandboxKey,
            _ => return None,
        })
    }

    fn op(self) -> Op {
        match self {
            Self::Create => Op::Create,
            Self::Query => Op::Query,
            Self::Close => Op::Close,
            Self::Refund => Op::Refund,
            Self::QueryRefund => Op::RefundQuery,
            Self::TradeBill => Op::TradeBill,
            Self::FundFlow => Op::FundFlowBill,
            Self::SandboxKey => Op::SandboxKey,
        }
    }

    /// Whether the merchant has to show its certificate.
    fn certified(self) -> bool {
        matches!(self, Self::Refund | Self::FundFlow)
    }
}

/// What stands before the paths of the sandbox, which signs with a key of its own.
const SANDBOX: &str = "xdc/apiv2sandbox/";

/// How an answer is signed.
struct Voice<'a> {
    appid: String,
    mchid: &'a str,
    sign_type: SignType,
    key: &'a str,
}

/// Whatever is asked under `/wechat`, other than v3.
pub(super) async fn answer(world: &Arc<World>, asked: &Asked<'_>) -> Response {
    match handle(world, asked).await {
        Ok(response) => response,
        Err(Failure::Transport(message)) => xml_response(&bare("FAIL", &message, &[])),
        Err(Failure::Bill { message, code }) => {
            xml_response(&bare("FAIL", &message, &[("error_code", code.into())]))
        }
        Err(Failure::Http(status)) => page(status, &status.to_string()),
        Err(Failure::Certificate(what)) => page(400, &format!("400 {}", what.words())),
        // Said before anybody knows whose key would sign it.
        Err(Failure::Business { code, message }) => {
            xml_response(&bare("FAIL", &message, &[("err_code", code)]))
        }
    }
}

async fn handle(world: &Arc<World>, asked: &Asked<'_>) -> Result<Response, Failure> {
    let (path, sandbox) = match asked.path.strip_prefix(SANDBOX) {
        Some(path) => (path, true),
        None => (asked.path, false),
    };
    let call = Call::of(path).ok_or(Failure::Http(404))?;
    if asked.method != Method::POST {
        return Err(Failure::transport("请使用post方法"));
    }
    // Clients of other people's (`wechatpy`, `tenpay`) name no type at all, and are heard.
    let named = asked.header(header::CONTENT_TYPE.as_str());
    if !named.is_empty() && !named.contains("xml") {
        return Err(Failure::transport("Content-Type 应为 application/xml"));
    }
    if asked.body.is_empty() {
        return Err(Failure::transport("post数据为空"));
    }
    let fields =
        xml::read(asked.body, "xml").map_err(|why| Failure::Transport(format!("XML格式错误: {why}")))?;
    let params = Params::of(&fields);
    let merchant = world
        .wechat
        .merchant(params.peek("mch_id"))
        .ok_or_else(|| Failure::transport("商户号mch_id与appid不匹配"))?;
    let key = if sandbox { &merchant.sandbox_key } else { &merchant.platform.credentials.api_v2_key };
    let sign_type = sign::verified(&fields, key)?;
    if call.certified() {
        certified(world, &merchant, asked)?;
    }
    let voice = Voice { appid: params.peek("appid").to_owned(), mchid: merchant.mchid(), sign_type, key };
    let run = |params: Params| calls::execute(world, &merchant, call, params, sign_type, asked);
    let done = match super::struck(world, &merchant, Api::V2, call.op()).await {
        Struck::Not => run(params),
        Struck::Status { status, code, executed } => {
            if executed {
                let _ = run(params);
            }
            Err(Failure::of_status(status, code))
        }
        Struck::Silence { executed } => {
            if executed {
                let _ = run(params);
            }
            silence(world).await;
            Err(Failure::Http(500))
        }
        Struck::NotEnough => Err(Failure::business("NOTENOUGH", "基本账户余额不足，请充值后重新发起")),
        Struck::Certificate => Err(Failure::Certificate(Certificate::Another)),
        Struck::Frequency => Err(Failure::business("FREQUENCY_LIMITED", "频率限制，请1分钟后重试")),
    };
    said(world, &merchant, call, &voice, done)
}

/// Puts a result into the words of the wire.
fn said(
    world: &World,
    merchant: &Merchant,
    call: Call,
    voice: &Voice<'_>,
    done: Result<Done, Failure>,
) -> Result<Response, Failure> {
    let mut fields = match done {
        Ok(Done::Fields(fields)) => voice.opened("SUCCESS", fields),
        Ok(Done::Bare(fields)) => return Ok(xml_response(&fields)),
        Ok(Done::File { bytes, digest }) => return Ok(file(bytes, digest.as_deref())),
        // Bills tell their failures without a signature.
        Err(Failure::Business { message, .. }) if call == Call::TradeBill => {
            return Err(Failure::Transport(message));
        }
        Err(Failure::Business { code, message }) => {
            voice.opened("FAIL", vec![("err_code".into(), code), ("err_code_des".into(), message)])
        }
        Err(other) => return Err(other),
    };
    let mut signature = sign(&fields, voice.key, voice.sign_type);
    let site = Site::WeChat(merchant.mchid(), At::Signature(Api::V2, call.op()));
    if matches!(world.faults.take(site), Some(Fault::BadSignature { .. })) {
        sign::spoil(&mut signature);
    }
    fields.push(("sign".into(), signature));
    Ok(xml_response(&fields))
}

impl Voice<'_> {
    /// The fields that stand before every business result.
    fn opened(&self, result: &str, rest: Fields) -> Fields {
        let mut fields: Fields = vec![
            ("return_code".into(), "SUCCESS".into()),
            ("return_msg".into(), "OK".into()),
            ("appid".into(), self.appid.clone()),
            ("mch_id".into(), self.mchid.into()),
            ("nonce_str".into(), random::alnum(16)),
            ("result_code".into(), result.into()),
        ];
        fields.extend(rest);
        fields
    }
}

/// `return_code`, `return_msg` and what follows.
fn bare(code: &str, message: &str, rest: &[(&str, String)]) -> Fields {
    let mut fields = vec![("return_code".into(), code.into()), ("return_msg".into(), message.into())];
    fields.extend(rest.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    fields
}

fn xml_response(fields: &Fields) -> Response {
    let mut response = Response::new(Body::from(xml::written("xml", fields)));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn file(bytes: Vec<u8>, digest: Option<&str>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    if let Some(Ok(value)) = digest.map(HeaderValue::from_str) {
        response.headers_mut().insert(HeaderName::from_static("digest"), value);
    }
    response
}

/// What a proxy in between says.
/// Over TLS a call wants the certificate that this merchant was issued; without TLS there is nobody to show it to, and it
/// is wanted where a switch says so.
fn certified(world: &World, merchant: &Merchant, asked: &Asked<'_>) -> Result<(), Failure> {
    let shown = match &asked.secured {
        None if world.wechat.switches().require_client_certificate => None,
        None => return Ok(()),
        Some(secured) => secured.certificate.as_deref(),
    };
    let Some(shown) = shown else { return Err(Failure::Certificate(Certificate::Missing)) };
    let own = merchant.certificate.as_ref().is_some_and(|issued| issued.as_ref() == shown);
    if own { Ok(()) } else { Err(Failure::Certificate(Certificate::Another)) }
}

fn page(status: u16, title: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let html = format!("<html><head><title>{title}</title></head><body>{status}</body></html>");
    let mut response = Response::new(Body::from(html));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/html");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
