//! What does each call of v2 do?
use std::sync::Arc;

use super::errors::Failure;
use super::params::Params;
use super::sign::SignType;
use super::xml::Fields;
use super::{Call, Done, bare, bills, orders, refunds};
use crate::faults::Api;
use crate::state::World;
use crate::wechat::Asked;
use crate::wechat::merchant::Merchant;
use crate::wechat::orders::{Books, Order};
use crate::wechat::refunds::Refund;
use crate::wechat::refusal::Refusal;

pub(super) fn execute(
    world: &Arc<World>,
    merchant: &Arc<Merchant>,
    call: Call,
    params: Params,
    sign_type: SignType,
    asked: &Asked<'_>,
) -> Result<Done, Failure> {
    let credentials = &merchant.platform.credentials;
    match call {
        Call::Create => {
            let wish = orders::read(params, sign_type, credentials)?;
            let mut books = merchant.books();
            let order = books.create(wish, world.now())?;
            Ok(Done::Fields(orders::made(order, &asked.base)))
        }
        Call::Query => {
            let books = merchant.books();
            Ok(Done::Fields(orders::shown(queried(&books, params, merchant)?)))
        }
        Call::Close => {
            let number = closing(params, merchant)?;
            // v2 says so where there was nothing to close any more.
            match crate::wechat::close(world, merchant, &number, Api::V2)? {
                true => Ok(Done::Fields(vec![("result_msg".into(), "OK".into())])),
                false => Err(Refusal::OrderClosed.into()),
            }
        }
        Call::Refund => {
            let wish = refunds::read(params, credentials)?;
            Ok(Done::Fields(crate::wechat::refund(world, merchant, wish, refunds::accepted)?))
        }
        Call::QueryRefund => query_refund(&merchant.books(), params, merchant).map(Done::Fields),
        Call::TradeBill => bills::trade(world, merchant, params),
        Call::FundFlow => bills::flow(world, merchant, params, sign_type),
        Call::SandboxKey => {
            let rest =
                [("mch_id", merchant.mchid().to_owned()), ("sandbox_signkey", merchant.sandbox_key.clone())];
            Ok(Done::Bare(bare("SUCCESS", "ok", &rest)))
        }
    }
}

fn bound(appid: &str, merchant: &Merchant) -> Result<(), Failure> {
    if merchant.platform.credentials.bound(appid) {
        Ok(())
    } else {
        Err(Failure::business("APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配"))
    }
}

/// By either number; the transaction wins.
fn queried<'a>(books: &'a Books, mut params: Params, merchant: &Merchant) -> Result<&'a Order, Failure> {
    bound(&params.common()?, merchant)?;
    let transaction_id = params.text("transaction_id", 32)?;
    let out_trade_no = params.text("out_trade_no", 32)?;
    params.end()?;
    let number = match (transaction_id, out_trade_no) {
        (Some(id), _) => books.transaction_order(&id).map(str::to_owned),
        (None, Some(number)) => Some(number),
        (None, None) => return Err(Failure::missing("out_trade_no")),
    };
    Ok(number.and_then(|number| books.order(&number)).ok_or(Refusal::OrderUnknown)?)
}

fn closing(mut params: Params, merchant: &Merchant) -> Result<String, Failure> {
    bound(&params.common()?, merchant)?;
    let number = params.must("out_trade_no", 32)?;
    params.end()?;
    Ok(number)
}

/// By one of four numbers, the most exact first.
fn query_refund(books: &Books, mut params: Params, merchant: &Merchant) -> Result<Fields, Failure> {
    bound(&params.common()?, merchant)?;
    let refund_id = params.text("refund_id", 32)?;
    let out_refund_no = params.text("out_refund_no", 64)?;
    let transaction_id = params.text("transaction_id", 32)?;
    let out_trade_no = params.text("out_trade_no", 32)?;
    let offset = params.text("offset", 8)?;
    params.end()?;
    let offset: usize = match offset {
        None => 0,
        Some(text) => text.parse().map_err(|_| Failure::param("offset", "应为整数"))?,
    };
    let unknown = Refusal::RefundUnknown;
    let (order, only): (&Order, Option<&str>) =
        match (&refund_id, &out_refund_no, &transaction_id, &out_trade_no) {
            (Some(id), ..) => (books.refund_order(id).ok_or(unknown)?, Some(id)),
            (None, Some(number), ..) => {
                let refund = books.find_refund(number).ok_or(unknown)?;
                (books.order(&refund.out_trade_no).ok_or(unknown)?, Some(number))
            }
            (None, None, Some(id), _) => {
                let number = books.transaction_order(id).ok_or(unknown)?;
                (books.order(number).ok_or(unknown)?, None)
            }
            (None, None, None, Some(number)) => (books.order(number).ok_or(unknown)?, None),
            (None, None, None, None) => return Err(Failure::missing("out_refund_no")),
        };
    let asked_for =
        |refund: &&Refund| only.is_none_or(|only| refund.refund_id == only || refund.out_refund_no() == only);
    let found: Vec<&Refund> = order.refunds.iter().filter(asked_for).collect();
    if found.is_empty() {
        return Err(unknown.into());
    }
    Ok(refunds::listed(order, &found, offset))
}
