//! How does a merchant of v3 get at a bill? A signed answer says where it lies and what its hash is; the file itself is
//! not signed.
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use http::StatusCode;
use serde_json::{Value, json};

use super::errors::ApiError;
use crate::faults::{At, BillKind, Fault, Site};
use crate::random;
use crate::state::World;
use crate::wechat::Asked;
use crate::wechat::bills::{self, NoBill, Rows, Which};
use crate::wechat::merchant::Merchant;

/// How long a link leads to its file, microseconds.
const LINK_LIFE: i64 = 300_000_000;
/// Links kept at once.
const LINKS_MAX: usize = 10_000;

/// Where a file lies for a while.
#[derive(Debug)]
pub(in crate::wechat) struct Link {
    token: String,
    until: i64,
    which: Which,
    gzip: bool,
}

impl From<NoBill> for ApiError {
    fn from(why: NoBill) -> Self {
        match why {
            NoBill::NotThere => Self::new(StatusCode::BAD_REQUEST, "NO_STATEMENT_EXIST", "账单文件不存在"),
            NoBill::NotYet => Self::new(StatusCode::BAD_REQUEST, "STATEMENT_CREATING", "账单生成中"),
            NoBill::BadDay => Self::param("bill_date", "应为三个月内的日期，格式 yyyy-MM-dd"),
        }
    }
}

/// `GET /v3/bill/tradebill` and `GET /v3/bill/fundflowbill`.
pub(super) fn link(
    world: &World,
    merchant: &Merchant,
    asked: &Asked<'_>,
    kind: BillKind,
) -> Result<Value, ApiError> {
    let (mut day, mut rows, mut gzip) = (None, None, false);
    for (name, value) in asked.queries() {
        match (name.as_str(), value.as_str()) {
            ("bill_date", _) => day = Some(value),
            ("tar_type", "GZIP") => gzip = true,
            ("tar_type", _) => return Err(ApiError::param("tar_type", "只支持 GZIP")),
            ("bill_type", value) if kind == BillKind::Trade => {
                rows = Some(Rows::of_trade(value).ok_or_else(|| ApiError::param("bill_type", "取值有误"))?);
            }
            ("account_type", "BASIC" | "OPERATION" | "FEES") if kind == BillKind::FundFlow => {
                rows = Some(Rows::of_account(&value));
            }
            ("account_type", _) if kind == BillKind::FundFlow => {
                return Err(ApiError::param("account_type", "取值有误"));
            }
            _ => return Err(ApiError::param(&name, "未知参数")),
        }
    }
    let day = day.ok_or_else(|| ApiError::param("bill_date", "缺少必填参数"))?;
    let rows = rows.unwrap_or(if kind == BillKind::Trade { Rows::All } else { Rows::of_account("BASIC") });
    let which = Which { day, rows };
    let file = bills::file(world, merchant, &which, bills::Style::V3)?;
    let site = Site::WeChat(&merchant.platform.credentials.mchid, At::BillLink);
    let fault = world.faults.take(site);
    let mut hash = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &file).as_ref());
    if matches!(fault, Some(Fault::BillWrongHash {})) {
        hash = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, b"another file").as_ref());
    }
    let base = if matches!(fault, Some(Fault::BillForeignHost {})) {
        "https://bills.example.test"
    } else {
        &asked.base
    };
    let token = random::alnum(48);
    let shown = json!({
        "hash_type": "SHA1",
        "hash_value": hash,
        "download_url": format!("{base}{}v3/billdownload/file?token={token}", asked.prefix),
    });
    let now = world.now();
    let mut links = merchant.links();
    links.retain(|link| now < link.until);
    if links.len() < LINKS_MAX {
        links.push(Link { token, until: now + LINK_LIFE, which, gzip });
    }
    Ok(shown)
}

/// `GET /v3/billdownload/file?token=…`.
pub(super) fn download(world: &World, merchant: &Merchant, asked: &Asked<'_>) -> Result<Vec<u8>, ApiError> {
    let token = asked.query("token").unwrap_or_default();
    let now = world.now();
    let (which, gzip) = merchant
        .links()
        .iter()
        .find(|link| link.token == token && now < link.until)
        .map(|link| (link.which.clone(), link.gzip))
        .ok_or_else(|| ApiError::nothing_there("下载链接无效或已过期"))?;
    let file = bills::file(world, merchant, &which, bills::Style::V3)?;
    Ok(if gzip { bills::gzipped(&file) } else { file })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
