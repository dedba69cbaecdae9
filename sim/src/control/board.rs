//! Where does a person find the switches? A page of plain forms: what may go wrong, the clock, orders and refunds.
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::beijing;
use crate::faults::RefundStatus;
use crate::html::{HEAD, encoded, escaped, yuan};
use crate::state::World;
use crate::wechat::{self, Paying, TradeState};

/// Orders on the page.
const ORDERS_MAX: usize = 20;

/// What can be made to go wrong with one tap; everything else is typed.
const TAPS: [(&str, &str); 26] = [
    ("通知丢失 Lose a notification", r#"{"fault":"drop_notification"}"#),
    ("通知全部丢失 Lose all of the next event", r#"{"fault":"drop_notification","all":true}"#),
    ("通知延迟一分钟 Delay by a minute", r#"{"fault":"delay_notification","ms":60000}"#),
    ("通知重复五次 Send it five times", r#"{"fault":"duplicate_notification","copies":5}"#),
    ("通知乱序 Let another go first", r#"{"fault":"reorder_notification"}"#),
    ("签名错误 Bad signature", r#"{"fault":"bad_signature"}"#),
    ("签名探测 Signature probe", r#"{"fault":"signature_probe"}"#),
    ("金额不符 Wrong amount", r#"{"fault":"wrong_amount","total":1}"#),
    ("商户号不符 Wrong merchant", r#"{"fault":"wrong_mchid"}"#),
    ("未知订单 Unknown order", r#"{"fault":"unknown_order"}"#),
    ("v2 签名降级 Other algorithm", r#"{"fault":"wrong_sign_type"}"#),
    ("v2 外部实体 DOCTYPE", r#"{"fault":"doctype"}"#),
    ("关单后付款 Pay after close", r#"{"fault":"pay_after_close"}"#),
    ("退款异常 Refund ABNORMAL", r#"{"fault":"refund_result","status":"ABNORMAL"}"#),
    ("退款关闭 Refund CLOSED", r#"{"fault":"refund_result","status":"CLOSED"}"#),
    ("余额不足 Not enough", r#"{"fault":"not_enough"}"#),
    ("频率超限 429", r#"{"fault":"status","status":429}"#),
    ("系统错误 500", r#"{"fault":"status","status":500}"#),
    ("网关错误 502, done", r#"{"fault":"status","status":502,"executed":true}"#),
    ("不应答 Never answer", r#"{"fault":"timeout"}"#),
    ("慢 Five seconds late", r#"{"fault":"slow","ms":5000}"#),
    ("证书被拒 Certificate refused", r#"{"fault":"certificate_refused"}"#),
    ("沙箱密钥错误 No sandbox key", r#"{"fault":"status","status":500,"op":"sandbox_key"}"#),
    ("账单缺行 Bill row missing", r#"{"fault":"bill_row_missing"}"#),
    ("账单多行 Bill row extra", r#"{"fault":"bill_row_extra","total":100}"#),
    ("账单不同 Bill row different", r#"{"fault":"bill_row_different","total":1}"#),
];

/// How far the clock goes with one tap.
const STEPS: [(&str, i64); 5] = [
    ("15 s", 15_000),
    ("5 min", 300_000),
    ("1 h", 3_600_000),
    ("1 天 day", 86_400_000),
    ("30 天 days", 2_592_000_000),
];

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new().route("/_sim", get(page)).route("/_sim/board", post(tap))
}

#[derive(Debug, Deserialize)]
struct Shown {
    /// What came of the last tap, if it was not what was wanted.
    note: Option<String>,
}

async fn page(State(world): State<Arc<World>>, Query(shown): Query<Shown>) -> Html<String> {
    let mut html = format!("{HEAD}<h1>模拟开关 · Switches of the simulator</h1>");
    if let Some(note) = &shown.note {
        let _ = write!(html, "<p class=\"note\" role=\"status\">{}</p>", escaped(note));
    }
    let _ = write!(html, "<h2>时钟 Clock</h2><p class=\"small\">{}</p>", beijing(world.now()));
    html.push_str("<div class=\"row\">");
    for (label, ms) in STEPS {
        button(&mut html, "advance", &ms.to_string(), &format!("+ {label}"));
    }
    html.push_str("</div>");
    html.push_str("<h2>微信支付故障 What goes wrong at WeChat Pay</h2>");
    for queued in world.faults.list() {
        let text = serde_json::to_value(&queued).map(|queued| in_words(&queued)).unwrap_or_default();
        let _ = write!(html, "<div class=\"note row\"><span>{}</span>", escaped(&text));
        button(&mut html, "clear", &queued.id.to_string(), "清除 Clear this one");
        html.push_str("</div><p></p>");
    }
    html.push_str("<div class=\"row\">");
    for (label, fault) in TAPS {
        button(&mut html, "fault", fault, label);
    }
    button(&mut html, "clear", "all", "全部清除 Clear all");
    html.push_str("</div><p></p>");
    html.push_str(
        "<form method=\"post\" action=\"/_sim/board\"><textarea name=\"fault\" rows=\"3\" aria-label=\"JSON\">\
         {\"fault\":\"timeout\",\"op\":\"create\",\"api\":\"v2\",\"times\":1}</textarea>\
         <button>加入 Add</button></form>",
    );
    let switches = world.wechat.switches();
    html.push_str("<h2>开关 Switches</h2><div class=\"row\">");
    for (name, on) in [
        ("head_handshake", switches.head_handshake),
        ("require_client_certificate", switches.require_client_certificate),
    ] {
        button(
            &mut html,
            name,
            if on { "off" } else { "on" },
            &format!("{name}: {}", if on { "on" } else { "off" }),
        );
    }
    button(&mut html, "forget_handshakes", "all", "忘记握手 Forget handshakes and the blacklist");
    html.push_str("</div>");
    for (address, failures) in world.wechat.handshakes().failed() {
        let _ = write!(html, "<p class=\"small\">HEAD {}: {failures}</p>", escaped(&address));
    }
    cards(&mut html, &world);
    html.push_str("</main></body></html>\n");
    Html(html)
}

/// Orders and their refunds, newest first, with what can be done to them.
fn cards(html: &mut String, world: &World) {
    html.push_str("<h2>订单 Orders</h2><div class=\"cards\">");
    for merchant in world.wechat.merchants() {
        let mchid = merchant.mchid();
        for order in merchant.books().newest().take(ORDERS_MAX) {
            let number = order.out_trade_no();
            let named = format!("{mchid}/{number}");
            let _ = write!(
                html,
                "<section class=\"card\">{} {} {}<p class=\"small\">{} {}</p>",
                yuan(order.total()),
                order.trade_type().name(),
                escaped(order.description()),
                escaped(mchid),
                escaped(number),
            );
            match order.state {
                TradeState::NotPay => button(html, "pay", &named, "付款 Pay"),
                TradeState::Closed => button(html, "pay_late", &named, "关单后付款 Pay although closed"),
                TradeState::Success | TradeState::Refund => {
                    button(html, "redeliver", &named, "再次通知 Tell again");
                }
            }
            for refund in &order.refunds {
                let named = format!("{mchid}/{}", refund.out_refund_no());
                let _ = write!(
                    html,
                    "<p class=\"small\">{} {:?}</p>",
                    escaped(refund.out_refund_no()),
                    refund.status
                );
                if matches!(refund.status, RefundStatus::Processing | RefundStatus::Abnormal) {
                    button(html, "refund_success", &named, "退款成功 SUCCESS");
                    button(html, "refund_abnormal", &named, "退款异常 ABNORMAL");
                    button(html, "refund_closed", &named, "退款关闭 CLOSED");
                }
            }
            html.push_str("</section>");
        }
    }
    html.push_str("</div>");
}

/// A fault that waits, as a person reads it: its name, and what else is said of it.
fn in_words(queued: &Value) -> String {
    let mut words = String::new();
    let mut say = |name: &str, value: &Value| match (name, value) {
        ("fault", Value::String(fault)) => words.insert_str(0, &format!("{fault} ")),
        (_, Value::Null) => {}
        (_, Value::String(text)) => {
            let _ = write!(words, "{name}={text} ");
        }
        (_, other) => {
            let _ = write!(words, "{name}={other} ");
        }
    };
    for (name, value) in queued.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => inner.iter().for_each(|(name, value)| say(name, value)),
            None => say(name, value),
        }
    }
    words.trim_end().to_owned()
}

fn button(html: &mut String, name: &str, value: &str, label: &str) {
    let (value, label) = (escaped(value), escaped(label));
    let _ = write!(
        html,
        "<form method=\"post\" action=\"/_sim/board\"><button class=\"plain\" name=\"{name}\" value=\"{value}\">\
         {label}</button></form>",
    );
}

async fn tap(State(world): State<Arc<World>>, body: Bytes) -> Redirect {
    let asked = url::form_urlencoded::parse(&body).into_owned().next();
    let done = match asked {
        Some((name, value)) => act(&world, &name, &value).await,
        None => Err("nothing was asked".to_owned()),
    };
    match done {
        Ok(()) => Redirect::to("/_sim"),
        Err(why) => Redirect::to(&format!("/_sim?note={}", encoded(&why))),
    }
}

async fn act(world: &Arc<World>, name: &str, value: &str) -> Result<(), String> {
    let named = value.split_once('/').unwrap_or_default();
    let merchant = || world.wechat.merchant(named.0).ok_or_else(|| "no such merchant".to_owned());
    let on = match value {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    };
    match name {
        "advance" => {
            let ms: i64 = value.parse().map_err(|_| "milliseconds".to_owned())?;
            if !(0..=super::ADVANCE_MS_MAX).contains(&ms) {
                return Err("too far".into());
            }
            world.clock.advance(ms * 1_000);
        }
        "clear" if value == "all" => {
            world.faults.clear();
        }
        "clear" => {
            let cleared = value.parse().ok().and_then(|id| world.faults.remove(id));
            cleared.ok_or_else(|| "no such fault waits".to_owned())?;
        }
        "forget_handshakes" => world.wechat.handshakes().forget(),
        "fault" => {
            let mut fault: Map<String, Value> =
                serde_json::from_str(value).map_err(|error| error.to_string())?;
            fault.entry("scope").or_insert_with(|| "wechat".into());
            world.faults.add(fault)?;
        }
        "head_handshake" => world.wechat.switch(wechat::Changes { head_handshake: on, ..Default::default() }),
        "require_client_certificate" => {
            world.wechat.switch(wechat::Changes { require_client_certificate: on, ..Default::default() });
        }
        "pay" | "pay_late" => {
            let paying = Paying { payer: None, late: name == "pay_late" };
            let paid = wechat::pay(world, &merchant()?, named.1, paying);
            paid.map_err(|why| why.described().to_owned())?;
        }
        "redeliver" => {
            let merchant = merchant()?;
            let sent = wechat::redeliver(world, &merchant, named.1, 1, false).await;
            sent.ok_or_else(|| "the order is not paid".to_owned())?;
        }
        "refund_success" => end(world, &merchant()?, named.1, RefundStatus::Success)?,
        "refund_abnormal" => end(world, &merchant()?, named.1, RefundStatus::Abnormal)?,
        "refund_closed" => end(world, &merchant()?, named.1, RefundStatus::Closed)?,
        _ => return Err("no such switch".into()),
    }
    Ok(())
}

fn end(
    world: &Arc<World>,
    merchant: &Arc<wechat::Merchant>,
    out_refund_no: &str,
    status: RefundStatus,
) -> Result<(), String> {
    wechat::resolve(world, merchant, out_refund_no, status).map_err(|why| match why {
        None => "no such refund".to_owned(),
        Some(ended) => format!("the refund has ended: {ended:?}"),
    })
}
