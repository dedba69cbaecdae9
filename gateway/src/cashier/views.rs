//! What customers are shown: JSON of balances, orders, refunds and receipts. Amounts are decimal strings with the
//! currency beside them; times RFC 3339.

use std::collections::HashMap;

use payments::{
    grant::Lent,
    holds::Charged,
    ledger::{
        Asset, Budget, LotClass, Order, OrderKind, OrderState, Package, Prepay, RefundBatch,
        RefundBatchState, RefundItem, RefundItemState, TokenTerms,
    },
    prices::{PriceError, Quote},
    refund::RefundPreview,
    store::Balance,
    topup::{Bought, Mix, Part, sum},
};
use serde_json::{Value, json};
use units::{AccountId, Fen, NanoCny, Timestamp, Tokens};

use super::{Cashier, payable};
use crate::{chat::Outcome, meter::HoldAsk};

/// RFC 3339 in UTC, with milliseconds.
pub(crate) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).map_or_else(|_| at.0.to_string(), |at| format!("{at:.3}"))
}

fn cny(nano: i64) -> String {
    NanoCny::new(nano).to_string()
}

/// Whole tokens of thousandths, rounded down: what the customer can count on.
fn whole_tokens(milli: i64) -> String {
    (milli / 1_000).to_string()
}

/// A token balance's own name: a model, or the terms its tokens were sold under.
pub(super) fn balance_name(asset: &Asset) -> String {
    match asset {
        Asset::Cny => "CNY".to_owned(),
        Asset::Tokens(name) => name.clone(),
    }
}

/// Everything an account has; `terms` are those of its token balances.
pub(super) fn credits(
    account: &str,
    livemode: &str,
    balances: &[Balance],
    terms: &HashMap<String, TokenTerms>,
) -> Value {
    let money = balances.iter().find(|balance| balance.wallet.asset == Asset::Cny);
    let (posted, held) = money.map_or((0, 0), |balance| (balance.wallet.posted, balance.wallet.held));
    let lots = || money.iter().flat_map(|balance| &balance.lots);
    let of_class = |class: LotClass| cny(lots().filter(|lot| lot.class == class).map(|lot| lot.rem).sum());
    let sum_of = |part: fn(&payments::ledger::Lot) -> i64| lots().map(part).sum::<i64>();
    let tokens: Vec<Value> = balances
        .iter()
        .filter_map(|balance| {
            let Asset::Tokens(name) = &balance.wallet.asset else { return None };
            let terms = terms.get(name);
            let models = terms.map_or_else(|| vec![name.clone()], |terms| terms.models.clone());
            Some(json!({
                "balance": name,
                "title": terms.map_or(name, |terms| &terms.title),
                "model": models.first().filter(|_| models.len() == 1),
                "models": models,
                "tokens": whole_tokens(balance.wallet.posted),
                "available": whole_tokens(balance.wallet.available()),
                "held": whole_tokens(balance.wallet.held),
            }))
        })
        .collect();
    json!({
        "object": "credits",
        "account": account,
        "livemode": livemode,
        "currency": "CNY",
        "balance": cny(posted),
        "available": cny(posted - held),
        "held": cny(held),
        "promo": of_class(LotClass::Promo),
        "bonus": of_class(LotClass::Bonus),
        "paid": of_class(LotClass::Paid),
        "temporary": of_class(LotClass::Temp),
        "spent": cny(sum_of(|lot| lot.consumed)),
        "refunding": cny(sum_of(|lot| lot.refunding)),
        "refunded": cny(sum_of(|lot| lot.refunded)),
        "expired": cny(sum_of(|lot| lot.expired)),
        "withdrawn": cny(sum_of(|lot| lot.voided)),
        "tokens": tokens,
        "data": {
            "total_credits": cny(sum_of(|lot| lot.orig)),
            "total_usage": cny(sum_of(|lot| lot.consumed)),
        },
    })
}

/// A top-up, with what it is paid by and what its payer is lent.
pub(super) fn topup_with(cashier: &Cashier, order: &Order, lent: &Lent) -> Value {
    let mut shown = topup(order);
    payable::put(cashier, order, &mut shown);
    shown["grant"] = match lent {
        Lent::Nothing => Value::Null,
        Lent::Offered(amount) => json!({
            "state": "offered", "amount": amount.to_string(), "currency": "CNY", "expires_at": null,
        }),
        Lent::Granted(grant) => json!({
            "state": grant.state.as_str(),
            "amount": grant.amount.to_string(),
            "currency": "CNY",
            "expires_at": time(grant.expires_at),
        }),
    };
    shown
}

/// What an order buys: its kind, and what the payment will be credited as.
pub(super) fn buys(kind: &OrderKind, amount: Fen) -> (&'static str, Value) {
    match kind {
        OrderKind::Wallet => ("wallet", json!({"cny": amount.to_string()})),
        OrderKind::Package { offer } => (
            "package",
            json!({
                "package": offer.id,
                "version": offer.version,
                "title": offer.title,
                "tokens": offer.tokens.to_string(),
                "models": offer.models,
                "weights_milli": offer.weights,
            }),
        ),
        OrderKind::Goods { lines, group, .. } => {
            let lines: Vec<Value> = lines
                .iter()
                .map(|line| {
                    json!({
                        "sku": line.sku,
                        "title": line.title,
                        "quantity": line.quantity,
                        "unit": line.unit.to_string(),
                        "amount": line.amount.to_string(),
                        "refunded": line.refunded.to_string(),
                    })
                })
                .collect();
            ("goods", json!({"lines": lines, "group": group}))
        }
        OrderKind::Tokens { model, tokens, rate, price_version, fx_id, terms } => (
            "tokens",
            json!({
                "tokens": tokens.to_string(),
                "model": model,
                "price_cny_per_million": units::Rate::new(*rate).unwrap_or_default().to_string(),
                "price_version": price_version,
                "fx_id": fx_id,
                "weights_milli": terms.weights,
            }),
        ),
    }
}

/// A package, as it is offered. Tokens that were bought do not end.
pub(crate) fn package(package: &Package) -> Value {
    let offer = &package.offer;
    json!({
        "object": "package",
        "id": offer.id,
        "version": offer.version,
        "title": offer.title,
        "price": offer.price.to_string(),
        "currency": "CNY",
        "tokens": offer.tokens.to_string(),
        "models": offer.models,
        "weights_milli": offer.weights,
        "valid_for_days": null,
        "created_at": time(package.created_at),
        "retired_at": package.retired_at.map(time),
    })
}

/// How many tokens of a mix of a model the balances buy.
pub(super) fn in_tokens(model: &str, mix: &Mix, parts: &[Part], quote: Result<&Quote, &PriceError>) -> Value {
    let why = quote.err().map(ToString::to_string);
    let shown = |bought: &Bought| match bought {
        Bought::Tokens(tokens) => (json!(tokens.to_string()), Value::Null),
        Bought::Endless => (Value::Null, json!("the mix takes nothing of it")),
        Bought::NoPrice => (Value::Null, json!(why)),
    };
    let balances: Vec<Value> = parts
        .iter()
        .map(|part| {
            let (tokens, reason) = shown(&part.bought);
            json!({"balance": part.balance.as_deref().unwrap_or("CNY"), "tokens": tokens, "reason": reason})
        })
        .collect();
    let (tokens, reason) = shown(&sum(parts));
    let mix: serde_json::Map<String, Value> = Mix::CLASSES
        .iter()
        .zip(mix.shares())
        .map(|(class, share)| ((*class).to_owned(), json!(share)))
        .collect();
    json!({
        "model": model,
        "mix": mix,
        "tokens": tokens,
        "reason": reason,
        "balances": balances,
        "price_version": quote.ok().map(|quote| &quote.price_version),
        "price_window": quote.ok().and_then(|quote| quote.window.as_ref()),
        "fx_id": quote.ok().and_then(|quote| quote.fx_id.as_ref()),
    })
}

/// A top-up, as lists show it.
pub(crate) fn topup(order: &Order) -> Value {
    let credited =
        matches!(order.state, OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded);
    let (kind, buys) = buys(&order.kind, order.amount);
    let payable = order.state == OrderState::Pending;
    let code = order.prepay.as_ref().and_then(Prepay::code).filter(|_| payable);
    let qr = code.and_then(qr_svg);
    let timeline: Vec<Value> = order
        .timeline
        .iter()
        .map(|step| json!({"at": time(step.at), "event": step.event, "source": step.source, "detail": step.detail}))
        .collect();
    json!({
        "object": "topup",
        "id": order.id.to_string(),
        "out_trade_no": order.out_trade_no(),
        "kind": kind,
        "livemode": order.livemode.as_str(),
        "amount": order.amount.to_string(),
        "currency": "CNY",
        "bonus": order.bonus.to_string(),
        "status": order.public_state(),
        "buys": buys,
        "credited": if credited { buys.clone() } else { Value::Null },
        "refunded": order.went_back().to_string(),
        "channel": order.pay_by.way.as_str(),
        "code_url": code,
        "qr_svg": qr,
        "transaction_id": order.transaction_id,
        "grant": Value::Null,
        "created_at": time(order.created_at),
        "expires_at": time(order.expires_at),
        "paid_at": order.paid_at.map(time),
        "credited_after_secs": credited_after(order),
        "timeline": timeline,
    })
}

/// Whole seconds from the payment, as WeChat Pay dates it, to its credit.
fn credited_after(order: &Order) -> Option<u64> {
    let credited = order.timeline.iter().find(|step| step.event == "credited")?;
    Some(credited.at.since(order.paid_at?).as_secs())
}

/// A budget and what was counted against it.
pub(crate) fn budget(budget: &Budget) -> Value {
    json!({
        "of": if budget.key.is_some() { "key" } else { "account" },
        "window": budget.period.as_str(),
        "limit": budget.limit.map(|limit| limit.to_string()),
        "spent": budget.now.spent.to_string(),
        "reserved": budget.now.reserved.to_string(),
        "currency": "CNY",
        "resets_at": budget.period.ends(budget.now.window).map(time),
    })
}

/// The code as a picture made here, so that the pay link never leaves us.
fn qr_svg(content: &str) -> Option<String> {
    let code = qrcode::QrCode::with_error_correction_level(content, qrcode::EcLevel::M).ok()?;
    Some(code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(220, 220).quiet_zone(true).build())
}

/// A request to refund.
pub(super) fn refund(batch: &RefundBatch, items: &[RefundItem]) -> Value {
    let items_shown: Vec<Value> = items
        .iter()
        .map(|item| {
            json!({
                "id": item.id.to_string(),
                "out_refund_no": item.id.bare(),
                "order": item.order.to_string(),
                "amount": item.amount.to_string(),
                "currency": "CNY",
                "status": item.state.public(),
                // What keeps it back is the merchant's business.
                "detail": item.detail.as_ref().filter(|_| !item.state.is_in_flight()),
                "created_at": time(item.created_at),
                "ended_at": item.ended_at.map(time),
            })
        })
        .collect();
    json!({
        "object": "refund",
        "id": batch.id.to_string(),
        "status": batch_status(batch, items),
        "amount": batch.amount.to_string(),
        "currency": "CNY",
        "reason": batch.reason,
        "created_at": time(batch.created_at),
        "items": items_shown,
    })
}

/// The same, with what is only for us: whose, who asked, why, and who agreed.
pub(crate) fn refund_for_operators(batch: &RefundBatch, items: &[RefundItem]) -> Value {
    let mut shown = refund(batch, items);
    for (place, item) in items.iter().enumerate() {
        shown["items"][place]["detail"] = json!(item.detail);
    }
    shown["account"] = batch.account.to_string().into();
    shown["asked_by"] = json!(batch.by.as_ref().map(|by| &by.id));
    shown["why"] = json!(batch.why);
    shown["approver"] = json!(batch.approver.as_ref().map(|approver| &approver.id));
    shown
}

/// What a refund would be made of; `approval` where it takes a second person.
pub(crate) fn refund_preview(account: AccountId, preview: &RefundPreview, approval: bool) -> Value {
    let asset = &preview.asset;
    let items: Vec<Value> = preview
        .items
        .iter()
        .map(|item| {
            json!({
                "order": item.order.to_string(),
                "amount": item.amount.to_string(),
                "takes": asset.text(item.units),
                "bonus": item.bonus.to_string(),
            })
        })
        .collect();
    let stays: Vec<Value> = preview
        .staying
        .iter()
        .map(|part| {
            json!({
                "order": part.order.map(|order| order.to_string()),
                "amount": asset.text(part.units),
                "why": part.why.as_str(),
            })
        })
        .collect();
    json!({
        "object": "refund_preview",
        "account": account.to_string(),
        "balance": asset.to_string(),
        "amount": preview.amount.to_string(),
        "refundable": preview.refundable.to_string(),
        "currency": "CNY",
        "needs_approval": approval,
        "items": items,
        "stays": stays,
    })
}

/// One word for the whole: the least advanced of its items while it runs, then how it ended.
fn batch_status(batch: &RefundBatch, items: &[RefundItem]) -> &'static str {
    match batch.state {
        RefundBatchState::Done => "success",
        RefundBatchState::Partial if items.iter().any(|item| item.state == RefundItemState::Success) => {
            "partial"
        }
        RefundBatchState::Partial => "failed",
        RefundBatchState::Cancelled => "cancelled",
        RefundBatchState::Waiting => "waiting",
        RefundBatchState::Reserved | RefundBatchState::Running => {
            let order = [
                RefundItemState::Abnormal,
                RefundItemState::Queued,
                RefundItemState::Wait,
                RefundItemState::Unknown,
                RefundItemState::Sent,
                RefundItemState::Processing,
            ];
            order
                .into_iter()
                .find(|state| items.iter().any(|item| item.state == *state))
                .unwrap_or(RefundItemState::Processing)
                .public()
        }
    }
}

/// Tokens as the OpenAI wire counts them.
pub(super) fn usage_of(usage: &units::Usage) -> Value {
    json!({
        "prompt_tokens": usage.prompt().0,
        "completion_tokens": usage.output.0,
        "total_tokens": usage.total().0,
        "cached_tokens": usage.cached_input.0,
        "cache_write_tokens": usage.cache_write.0,
        "reasoning_tokens": usage.reasoning.0,
        "audio_input_tokens": usage.audio_input.0,
        "image_input_tokens": usage.image_input.0,
        "audio_output_tokens": usage.audio_output.0,
    })
}

/// What each class of tokens costs.
pub(super) fn lines(usage: &units::Usage, rates: &units::Rates) -> Value {
    let line = |class: &str, tokens: Tokens, rate: units::Rate| {
        json!({
            "class": class,
            "tokens": tokens.0,
            "price_cny_per_million": rate.to_string(),
            "cost_cny": rate.charge(tokens).unwrap_or_default().to_string(),
        })
    };
    json!([
        line("input", usage.input, rates.input),
        line("cached_input", usage.cached_input, rates.cached_input),
        line("cache_write", usage.cache_write, rates.cache_write),
        line("output", usage.output, rates.output),
    ])
}

/// A call's receipt, as it is kept.
pub(super) fn receipt(
    ask: &HoldAsk,
    outcome: &Outcome,
    held: NanoCny,
    charged: &Charged,
    opened_at: Timestamp,
    ended_at: Timestamp,
) -> String {
    let served = outcome.attempts.last();
    let usage = outcome.usage.unwrap_or_default();
    let tier = payments::prices::tier_for(&ask.quote.tiers, usage.prompt());
    let rates = tier.map_or(&ask.quote.rates, |tier| &tier.prices);
    json!({
        "id": ask.request.to_string(),
        "account": ask.account.to_string(),
        "key": ask.key.to_string(),
        "model": ask.model,
        "provider": served.map(|attempt| attempt.provider.as_str()),
        "upstream_model": served.map(|attempt| attempt.upstream_model.as_str()),
        "ending": outcome.ending,
        "decision": outcome.decision,
        "created_at": time(opened_at),
        "ended_at": time(ended_at),
        "attempts": outcome.attempts,
        "usage": usage_of(&usage),
        "estimated": outcome.estimated,
        "price_version": ask.quote.price_version,
        "fx_id": ask.quote.fx_id,
        "cached": ask.quote.price_percent.is_some(),
        "price_percent": ask.quote.price_percent,
        "price_window": ask.quote.window,
        "price_tier_above": tier.map(|tier| tier.above.0),
        "lines": lines(&usage, rates),
        "held_cny": held.to_string(),
        "cost_cny": charged.cost.to_string(),
        "cost_tokens_milli": charged.tokens_milli(),
        "cost_tokens": charged.tokens.iter().map(|(asset, milli)| json!({
            "balance": balance_name(asset), "tokens_milli": milli,
        })).collect::<Vec<_>>(),
        "currency": "CNY",
        "balance_after_cny": charged.available.to_string(),
    })
    .to_string()
}
