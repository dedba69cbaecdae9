//! How does a merchant of v2 get at a bill? It is the answer itself, and not signed.
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::Done;
use super::errors::Failure;
use super::params::Params;
use super::sign::{SignType, upper_hex};
use crate::clock::{beijing_day, parse_beijing};
use crate::state::World;
use crate::wechat::bills::{self, NoBill, Rows, Style, Which};
use crate::wechat::merchant::Merchant;

/// `POST /pay/downloadbill`
pub(super) fn trade(world: &World, merchant: &Merchant, mut params: Params) -> Result<Done, Failure> {
    params.common()?;
    let day = day(&params.must("bill_date", 8)?);
    let rows = match params.text("bill_type", 32)? {
        None => Rows::All,
        Some(name) => Rows::of_trade(&name).ok_or_else(|| Failure::transport("invalid bill_type"))?,
    };
    let gzip = gzip(&mut params)?;
    params.end()?;
    let file = bills::file(world, merchant, &Which { day, rows }, Style::V2).map_err(|why| {
        let (message, code) = match why {
            NoBill::NotThere => ("No Bill Exist", "20002"),
            NoBill::NotYet => ("Bill Creating", "20003"),
            NoBill::BadDay => ("data format error", "20001"),
        };
        Failure::Bill { message: message.to_owned(), code }
    })?;
    Ok(Done::File { bytes: if gzip { bills::gzipped(&file) } else { file }, digest: None })
}

/// `POST /pay/downloadfundflow`
pub(super) fn flow(
    world: &World,
    merchant: &Merchant,
    mut params: Params,
    sign_type: SignType,
) -> Result<Done, Failure> {
    if sign_type != SignType::HmacSha256 {
        return Err(Failure::param("sign_type", "仅支持 HMAC-SHA256"));
    }
    params.common()?;
    let day = day(&params.must("bill_date", 8)?);
    let rows = match params.must("account_type", 16)?.as_str() {
        name @ ("Basic" | "Operation" | "Fees") => Rows::of_account(name),
        _ => return Err(Failure::param("account_type", "应为 Basic、Operation 或 Fees")),
    };
    let gzip = gzip(&mut params)?;
    params.end()?;
    let file = bills::file(world, merchant, &Which { day, rows }, Style::V2).map_err(|why| match why {
        NoBill::NotThere => Failure::business("NO_BILL_EXIST", "账单不存在"),
        NoBill::NotYet => Failure::business("BILL_CREATING", "账单生成中"),
        NoBill::BadDay => Failure::param("bill_date", "应为三个月内的日期"),
    })?;
    let hash = upper_hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &file).as_ref()).to_ascii_lowercase();
    let bytes = if gzip { bills::gzipped(&file) } else { file };
    Ok(Done::File { bytes, digest: Some(format!("SHA={hash}")) })
}

/// `yyyyMMdd` in the other way of writing; what is no day becomes one that there never was.
fn day(compact: &str) -> String {
    parse_beijing("%Y%m%d", compact).map(beijing_day).unwrap_or_default()
}

fn gzip(params: &mut Params) -> Result<bool, Failure> {
    match params.text("tar_type", 8)?.as_deref() {
        None => Ok(false),
        Some("GZIP") => Ok(true),
        Some(_) => Err(Failure::param("tar_type", "只支持 GZIP")),
    }
}
