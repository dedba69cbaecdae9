//! How does API v3 answer? JSON, signed with RSA on both sides.
//!
//! A call is verified before anything else; then a waiting fault may strike; then the books decide. Answers that went
//! well are signed, refusals are not, and neither are the bills themselves.
mod bills;
mod errors;
mod fields;
mod orders;
mod refunds;
mod verify;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use self::errors::ApiError;
use super::merchant::Merchant;
use super::orders::TradeType;
use super::platform::Signer;
use super::{Asked, Struck};
use crate::faults::{Api, At, Fault, Op, Site};
use crate::random;
use crate::state::{World, silence};
pub(super) use bills::Link;
pub(super) use orders::transaction;
pub(super) use refunds::notice as refund_notice;

/// A call, recognised by method and path.
#[derive(Debug)]
enum Call {
    Create(TradeType),
    Query(String),
    QueryTransaction(String),
    Close(String),
    Refund,
    QueryRefund(String),
    Certificates,
    TradeBill,
    FundFlowBill,
    Download,
}

impl Call {
    /// `path` is what follows `/wechat/`.
    fn of(method: &Method, path: &str) -> Option<Self> {
        let segments: Vec<String> = path.split('/').map(unescaped).collect::<Option<_>>()?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let get = method == Method::GET;
        let post = method == Method::POST;
        Some(match segments.as_slice() {
            ["v3", "pay", "transactions", "native"] if post => Self::Create(TradeType::Native),
            ["v3", "pay", "transactions", "jsapi"] if post => Self::Create(TradeType::Jsapi),
            ["v3", "pay", "transactions", "h5"] if post => Self::Create(TradeType::Mweb),
            ["v3", "pay", "transactions", "out-trade-no", number] if get => Self::Query((*number).into()),
            ["v3", "pay", "transactions", "id", id] if get => Self::QueryTransaction((*id).into()),
            ["v3", "pay", "transactions", "out-trade-no", number, "close"] if post => {
                Self::Close((*number).into())
            }
            ["v3", "refund", "domestic", "refunds"] if post => Self::Refund,
            ["v3", "refund", "domestic", "refunds", number] if get => Self::QueryRefund((*number).into()),
            ["v3", "certificates"] if get => Self::Certificates,
            ["v3", "bill", "tradebill"] if get => Self::TradeBill,
            ["v3", "bill", "fundflowbill"] if get => Self::FundFlowBill,
            ["v3", "billdownload", "file"] if get => Self::Download,
            _ => return None,
        })
    }

    fn op(&self) -> Op {
        match self {
            Self::Create(_) => Op::Create,
            Self::Query(_) | Self::QueryTransaction(_) => Op::Query,
            Self::Close(_) => Op::Close,
            Self::Refund => Op::Refund,
            Self::QueryRefund(_) => Op::RefundQuery,
            Self::Certificates => Op::Certificates,
            Self::TradeBill => Op::TradeBill,
            Self::FundFlowBill => Op::FundFlowBill,
            Self::Download => Op::BillDownload,
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

/// An answer that went well.
enum Done {
    Json(Value),
    /// A 204.
    Nothing,
    /// A bill, which nobody signs.
    File(Vec<u8>),
}

/// Whatever is asked under `/wechat/v3`.
pub(super) async fn answer(world: &Arc<World>, asked: &Asked<'_>) -> Response {
    let mut response = handle(world, asked).await.unwrap_or_else(|error| refusal(&error));
    let request_id = format!("08{}-{}", random::hex_upper(30), random::digits(9));
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), value);
    }
    response
}

async fn handle(world: &Arc<World>, asked: &Asked<'_>) -> Result<Response, ApiError> {
    let call = Call::of(&asked.method, asked.path);
    let claimed = verify::claimed(asked)?;
    let merchant = world.wechat.merchant(claimed).ok_or_else(|| ApiError::sign("商户号不存在"))?;
    let none_yet = matches!(call, Some(Call::Certificates)) && merchant.platform.certificates().is_none();
    let signer = match verify::verify(&merchant.platform, asked, world.now().div_euclid(1_000_000)) {
        // Who verifies with certificates finds out here that there are none.
        Err(error) if none_yet && error.status == StatusCode::BAD_REQUEST => return Err(no_certificates()),
        verified => verified?,
    };
    let call = call.ok_or_else(|| ApiError::nothing_there("接口不存在"))?;
    let run = || execute(world, &merchant, &call, asked);
    let done = match super::struck(world, &merchant, Api::V3, call.op()).await {
        // No call of v3 wants a certificate.
        Struck::Not | Struck::Certificate => run()?,
        Struck::Status { status, code, executed } => {
            if executed {
                let _ = run();
            }
            return Err(ApiError::of_status(status, code.as_deref()));
        }
        Struck::Silence { executed } => {
            if executed {
                let _ = run();
            }
            silence(world).await;
            return Err(ApiError::of_status(500, None));
        }
        Struck::NotEnough => return Err(ApiError::not_enough()),
        Struck::Frequency => return Err(ApiError::frequency()),
    };
    Ok(match done {
        Done::Json(shown) => signed(world, &merchant, &signer, call.op(), shown.to_string()),
        Done::Nothing => signed(world, &merchant, &signer, call.op(), String::new()),
        Done::File(bytes) => {
            let mut response = Response::new(Body::from(bytes));
            let kind = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
    })
}

fn execute(
    world: &Arc<World>,
    merchant: &Arc<Merchant>,
    call: &Call,
    asked: &Asked<'_>,
) -> Result<Done, ApiError> {
    let credentials = &merchant.platform.credentials;
    let now = world.now();
    match call {
        Call::Create(trade_type) => {
            let wish = orders::read(asked.body, *trade_type, credentials)?;
            let mut books = merchant.books();
            let order = books.create(wish, now).map_err(ApiError::order)?;
            Ok(Done::Json(orders::made(order, &asked.base)))
        }
        Call::Query(number) => {
            check_mchid(asked, &credentials.mchid)?;
            transaction_of(merchant, number)
        }
        Call::QueryTransaction(id) => {
            check_mchid(asked, &credentials.mchid)?;
            let number = merchant.books().transaction_order(id).unwrap_or_default().to_owned();
            transaction_of(merchant, &number)
        }
        Call::Close(number) => {
            let mut fields = fields::Fields::of_body(asked.body)?;
            let mchid = fields.must_text("mchid", 1, 32)?;
            fields.end()?;
            if mchid != credentials.mchid {
                return Err(ApiError::param("/mchid", "与签名的商户号不一致"));
            }
            super::close(world, merchant, number, Api::V3).map_err(ApiError::order)?;
            Ok(Done::Nothing)
        }
        Call::Refund => {
            let wish = refunds::read(asked.body)?;
            let shown = super::refund(world, merchant, wish, refunds::shown).map_err(ApiError::refund)?;
            Ok(Done::Json(shown))
        }
        Call::QueryRefund(number) => {
            let books = merchant.books();
            let refund = books.find_refund(number);
            let refund = refund.ok_or_else(|| ApiError::nothing_there("退款单不存在"))?;
            Ok(Done::Json(refunds::shown(refund)))
        }
        Call::Certificates => {
            let kind = asked.query("algorithm_type");
            if kind.is_some_and(|kind| !matches!(kind.as_str(), "RSA" | "ALL")) {
                return Err(ApiError::param("algorithm_type", "只支持 RSA"));
            }
            Ok(Done::Json(merchant.platform.certificates().ok_or_else(no_certificates)?))
        }
        Call::TradeBill => {
            bills::link(world, merchant, asked, crate::faults::BillKind::Trade).map(Done::Json)
        }
        Call::FundFlowBill => {
            bills::link(world, merchant, asked, crate::faults::BillKind::FundFlow).map(Done::Json)
        }
        Call::Download => bills::download(world, merchant, asked).map(Done::File),
    }
}

fn no_certificates() -> ApiError {
    ApiError::nothing_there("无可用的平台证书，请使用微信支付公钥验签")
}

fn transaction_of(merchant: &Merchant, number: &str) -> Result<Done, ApiError> {
    let books = merchant.books();
    let order = books.order(number).ok_or(super::refusal::Refusal::OrderUnknown).map_err(ApiError::order)?;
    Ok(Done::Json(transaction(order, &merchant.platform.credentials.mchid)))
}

fn check_mchid(asked: &Asked<'_>, mchid: &str) -> Result<(), ApiError> {
    match asked.query("mchid") {
        Some(named) if named == mchid => Ok(()),
        Some(_) => Err(ApiError::param("mchid", "与签名的商户号不一致")),
        None => Err(ApiError::param("mchid", "缺少必填参数")),
    }
}

/// A body, or a 204 where there is none.
fn signed(world: &World, merchant: &Merchant, signer: &Signer, op: Op, body: String) -> Response {
    let mut proof = signer.sign(world.now().div_euclid(1_000_000), body.as_bytes());
    let site = Site::WeChat(&merchant.platform.credentials.mchid, At::Signature(Api::V3, op));
    match world.faults.take(site) {
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
