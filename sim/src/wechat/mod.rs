//! How does WeChat Pay behave towards its merchant? API v3 for one merchant in public-key mode: Native orders,
//! queries, closing, refunds and notifications.
//!
//! A call is verified before anything else; then a waiting fault may strike; then the books decide. Answers that went
//! well are signed, refusals are not.
mod credentials;
mod errors;
mod fields;
mod notify;
mod orders;
mod refunds;
mod signing;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

use crate::faults::{Fault, Op, RefundStatus, Site};
use crate::random;
use crate::state::{World, silence};
pub use credentials::Credentials;
use errors::ApiError;
pub(crate) use orders::{Books, Order, TradeState, Unpayable};
pub(crate) use signing::Platform;

/// Stands in front of every path; the merchant signs it with the rest.
const PREFIX: &str = "/wechat";

/// A call, recognised by method and path.
#[derive(Debug)]
enum Call {
    Create,
    Query(String),
    QueryTransaction(String),
    Close(String),
    Refund,
    QueryRefund(String),
    Certificates,
}

impl Call {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let path = path.strip_prefix(PREFIX)?.strip_prefix('/')?;
        let segments: Vec<String> = path.split('/').map(unescaped).collect::<Option<_>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let get = method == Method::GET;
        let post = method == Method::POST;
        Some(match segments.as_slice() {
            ["v3", "pay", "transactions", "native"] if post => Self::Create,
            ["v3", "pay", "transactions", "out-trade-no", number] if get => Self::Query((*number).into()),
            ["v3", "pay", "transactions", "id", id] if get => Self::QueryTransaction((*id).into()),
            ["v3", "pay", "transactions", "out-trade-no", number, "close"] if post => {
                Self::Close((*number).into())
            }
            ["v3", "refund", "domestic", "refunds"] if post => Self::Refund,
            ["v3", "refund", "domestic", "refunds", number] if get => Self::QueryRefund((*number).into()),
            ["v3", "certificates"] if get => Self::Certificates,
            _ => return None,
        })
    }

    fn op(&self) -> Op {
        match self {
            Self::Create => Op::Create,
            Self::Query(_) | Self::QueryTransaction(_) => Op::Query,
            Self::Close(_) => Op::Close,
            Self::Refund => Op::Refund,
            Self::QueryRefund(_) => Op::RefundQuery,
            Self::Certificates => Op::Certificates,
        }
    }
}

/// Undoes percent-encoding; `None` if it is broken.
fn unescaped(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut plain = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let (high, low) = (bytes.next()?, bytes.next()?);
                let digit = |byte| char::from(byte).to_digit(16);
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(plain).ok()
}

/// An answer that went well; without a body it is a 204.
type Done = Option<Value>;

/// Everything under `/wechat`.
pub(crate) async fn answer(
    State(world): State<Arc<World>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = Call::of(&method, uri.path());
    let mut response = match handle(&world, call.as_ref(), &method, &uri, &headers, &body).await {
        Ok(done) => signed(&world, call.map(|call| call.op()), done),
        Err(error) => refusal(&error),
    };
    let request_id = format!("08{}-{}", random::hex_upper(30), random::digits(9));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), value);
    }
    response
}

async fn handle(
    world: &Arc<World>,
    call: Option<&Call>,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Done, ApiError> {
    let path_and_query = uri.path_and_query().map_or(uri.path(), |it| it.as_str());
    let now = world.now();
    world.platform.verify(method, path_and_query, headers, body, now.div_euclid(1_000_000))?;
    let call = call.ok_or_else(|| ApiError::nothing_there("接口不存在"))?;
    match world.faults.take(Site::Api(call.op())) {
        Some(Fault::Status { status, code, executed, .. }) => {
            if executed {
                let _ = execute(world, call, uri, body, now);
            }
            return Err(ApiError::of_status(status, code.as_deref()));
        }
        Some(Fault::Timeout { executed, .. }) => {
            if executed {
                let _ = execute(world, call, uri, body, now);
            }
            silence(world).await;
        }
        Some(Fault::NotEnough {}) => return Err(ApiError::not_enough()),
        Some(Fault::FrequencyLimited { .. }) => return Err(ApiError::frequency()),
        _ => {}
    }
    execute(world, call, uri, body, now)
}

fn execute(world: &Arc<World>, call: &Call, uri: &Uri, body: &[u8], now: i64) -> Result<Done, ApiError> {
    let credentials = &world.platform.credentials;
    match call {
        Call::Create => world.books().create(body, credentials, now).map(Some),
        Call::Query(number) => {
            check_mchid(uri, credentials)?;
            world.books().query(number, credentials).map(Some)
        }
        Call::QueryTransaction(id) => {
            check_mchid(uri, credentials)?;
            world.books().query_transaction(id, credentials).map(Some)
        }
        Call::Close(number) => world.books().close(number, body, credentials).map(|()| None),
        Call::Refund => {
            let (shown, new, out_refund_no) = world.books().refund(body, now)?;
            if new {
                end_in_time(world, out_refund_no, now);
            }
            Ok(Some(shown))
        }
        Call::QueryRefund(number) => world.books().query_refund(number).map(Some),
        // There are no platform certificates: this merchant verifies with the public key.
        Call::Certificates => Err(ApiError::nothing_there("无可用的平台证书，请使用微信支付公钥验签")),
    }
}

fn check_mchid(uri: &Uri, credentials: &Credentials) -> Result<(), ApiError> {
    let query = uri.query().unwrap_or_default();
    match url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "mchid") {
        Some((_, mchid)) if mchid == credentials.mchid => Ok(()),
        Some(_) => Err(ApiError::param("mchid", "与签名的商户号不一致")),
        None => Err(ApiError::param("mchid", "缺少必填参数")),
    }
}

/// Ends a refund after a while, as a fault has it or well.
fn end_in_time(world: &Arc<World>, out_refund_no: String, now: i64) {
    let status = match world.faults.take(Site::RefundResult) {
        Some(Fault::RefundResult { status }) => status,
        _ => RefundStatus::Success,
    };
    if status == RefundStatus::Processing {
        return;
    }
    let delay = i64::try_from(world.pace.refund_delay_ms()).unwrap_or(i64::MAX).saturating_mul(1_000);
    let world = Arc::clone(world);
    world.tasks.clone().spawn(async move {
        if world.sleep_until(now.saturating_add(delay)).await && world.books().processing(&out_refund_no) {
            let _ = resolve(&world, &out_refund_no, status);
        }
    });
}

fn signed(world: &World, op: Option<Op>, done: Done) -> Response {
    let body = done.map(|done| done.to_string()).unwrap_or_default();
    let mut proof = world.platform.sign(world.now().div_euclid(1_000_000), body.as_bytes());
    match op.and_then(|op| world.faults.take(Site::Signature(op))) {
        Some(Fault::BadSignature { .. }) => proof.spoil(),
        Some(Fault::SignatureProbe { .. }) => proof.probe(),
        _ => {}
    }
    let empty = body.is_empty();
    let mut response = Response::new(Body::from(body));
    for (name, value) in proof.headers() {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    if empty {
        *response.status_mut() = StatusCode::NO_CONTENT;
    } else {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
    }
    response
}

fn refusal(error: &ApiError) -> Response {
    let body = json!({"code": error.code, "message": error.message, "detail": error.detail});
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = error.status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Somebody pays an order; the merchant is told in the background. The transaction's number.
pub(crate) fn pay(
    world: &Arc<World>,
    out_trade_no: &str,
    payer: Option<String>,
) -> Result<String, Unpayable> {
    let paid = world.books().pay(out_trade_no, payer, &world.platform.credentials, world.now());
    let (transaction_id, event) = paid?;
    notify::announce(world, event);
    Ok(transaction_id)
}

/// Sends the news of a payment again, so many times. `None`: the order is unknown or not paid.
pub(crate) async fn redeliver(
    world: &World,
    out_trade_no: &str,
    copies: usize,
    concurrent: bool,
) -> Option<Vec<Option<u16>>> {
    let event = world.books().order(out_trade_no)?.news.clone()?;
    Some(notify::repeat(world, &event, copies, concurrent).await)
}

/// Ends a refund and tells the merchant.
///
/// # Errors
/// `None`: there is no such refund. Otherwise the state in which it has ended before.
pub(crate) fn resolve(
    world: &Arc<World>,
    out_refund_no: &str,
    status: RefundStatus,
) -> Result<(), Option<RefundStatus>> {
    let mchid = &world.platform.credentials.mchid;
    let resolved = world.books().resolve(out_refund_no, status, mchid, world.now());
    if let Some(event) = resolved? {
        notify::announce(world, Arc::new(event));
    }
    Ok(())
}
