//! Where does a person pay? A page in the place of the payer's phone: plain HTML, no script, nothing from elsewhere.
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::clock::beijing;
use crate::faults::RefundStatus;
use crate::state::World;
use crate::wechat::{self, Order, TradeState, Unpayable};

/// Cards of each kind on the page.
const CARDS_MAX: usize = 50;

const HEAD: &str = "<!DOCTYPE html>
<html lang=\"zh-CN\"><head><meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">
<meta http-equiv=\"refresh\" content=\"2\">
<title>模拟手机 · Simulated phone</title>
<style>
body{margin:0 auto;max-width:26rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;background:#ededed;color:#191919}
h1{font-size:1.1rem;margin:.2rem 0 .8rem}h2{font-size:.95rem;margin:1.4rem 0 .5rem;color:#595959}
.card{background:#fff;border-radius:.6rem;padding:1rem;margin:0 0 .8rem}
.sum{font-size:2rem;font-weight:600}.small{color:#595959;font-size:.85rem;overflow-wrap:anywhere}
.note{background:#fff3cd;border-radius:.6rem;padding:.6rem 1rem}.done{color:#06752f;font-weight:600}
button{width:100%;padding:.8rem;border:0;border-radius:.5rem;background:#07833f;color:#fff;font:inherit;font-weight:600}
button:focus-visible{outline:3px solid #1a73e8;outline-offset:2px}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}.card{background:#222}h2,.small{color:#aaa}
.note{background:#554400}.done{color:#5fd38d}}
</style></head><body><main>
<h1>模拟手机 · Simulated phone</h1>
<p class=\"small\">这里没有真钱。No real money here.</p>
";

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/phone", get(page)).route("/phone/pay/{out_trade_no}", post(pay))
}

/// What the page is asked to show.
#[derive(Debug, Deserialize)]
pub(crate) struct Shown {
    /// A scanned code: only its order is shown.
    code: Option<String>,
    /// Why the last tap did not pay.
    note: Option<String>,
}

async fn page(State(world): State<Arc<World>>, Query(shown): Query<Shown>) -> Html<String> {
    let now = world.now();
    let mut html = String::from(HEAD);
    if let Some(note) = shown.note.as_deref().and_then(note) {
        // Read once, the note goes away with the next refresh.
        let next = format!("content=\"4;url={}\"", escaped(&address(shown.code.as_deref())));
        html = html.replacen("content=\"2\"", &next, 1);
        let _ = write!(html, "<p class=\"note\" role=\"status\">{note}</p>");
    }
    let merchant = &world.platform.credentials.mchid;
    let books = world.books();
    let wanted = |order: &&Order| shown.code.as_deref().is_none_or(|code| order.shown_by(code, now));
    let (mut open, mut paid) = (0, 0);
    let mut below = String::new();
    for order in books.newest().filter(wanted) {
        if order.payable(now).is_ok() && open < CARDS_MAX {
            open += 1;
            open_card(&mut html, order, merchant, shown.code.as_deref());
        } else if order.payment.is_some() && paid < CARDS_MAX {
            paid += 1;
            paid_card(&mut below, order);
        }
    }
    if open == 0 && (paid == 0 || shown.code.is_none()) {
        let told = if shown.code.is_some() {
            "这个二维码已失效。This code is not valid, or not any more."
        } else {
            "没有待付款的订单。No orders to pay."
        };
        let _ = write!(html, "<p class=\"card\">{told}</p>");
    }
    if paid > 0 {
        let _ = write!(html, "<h2>已付款 · Paid</h2>{below}");
    }
    html.push_str("</main></body></html>\n");
    Html(html)
}

fn open_card(html: &mut String, order: &Order, merchant: &str, code: Option<&str>) {
    let action = match code {
        Some(code) => format!("/phone/pay/{}?code={}", encoded(&order.out_trade_no), encoded(code)),
        None => format!("/phone/pay/{}", encoded(&order.out_trade_no)),
    };
    let _ = writeln!(
        html,
        "<section class=\"card\"><div class=\"sum\">{sum}</div><div>{description}</div>\
         <p class=\"small\">商户 Merchant {merchant}<br>订单 Order {number}<br>有效期至 Until {until}</p>\
         <form method=\"post\" action=\"{action}\"><button>付款 Pay {sum}</button></form></section>",
        sum = yuan(order.total),
        description = escaped(&order.description),
        merchant = escaped(merchant),
        number = escaped(&order.out_trade_no),
        until = beijing(order.expires),
        action = escaped(&action),
    );
}

fn paid_card(html: &mut String, order: &Order) {
    let refunds = order.refunds.iter().fold(String::new(), |mut text, refund| {
        let state = match refund.status {
            RefundStatus::Processing => "退款处理中 Refund under way",
            RefundStatus::Success => "已退款 Refunded",
            RefundStatus::Closed => "退款关闭 Refund closed",
            RefundStatus::Abnormal => "退款异常 Refund failed",
        };
        let _ = write!(text, "<br>{state} {}", yuan(refund.refund));
        text
    });
    let state = if order.state == TradeState::Refund { "↩ 有退款 Refund" } else { "✓ 已付款 Paid" };
    let _ = writeln!(
        html,
        "<section class=\"card\"><span class=\"done\">{state}</span> {sum} {description}\
         <p class=\"small\">订单 Order {number}{refunds}</p></section>",
        sum = yuan(order.total),
        description = escaped(&order.description),
        number = escaped(&order.out_trade_no),
    );
}

async fn pay(
    State(world): State<Arc<World>>,
    Path(out_trade_no): Path<String>,
    Query(shown): Query<Shown>,
) -> Redirect {
    let mut back = address(shown.code.as_deref());
    if let Err(why) = wechat::pay(&world, &out_trade_no, None) {
        let note = match why {
            Unpayable::Unknown => "unknown",
            Unpayable::Paid => "paid",
            Unpayable::Closed => "closed",
            Unpayable::Expired => "expired",
        };
        back.push(if back.contains('?') { '&' } else { '?' });
        back.push_str("note=");
        back.push_str(note);
    }
    Redirect::to(&back)
}

/// The page, with the code that led there.
fn address(code: Option<&str>) -> String {
    match code {
        Some(code) => format!("/phone?code={}", encoded(code)),
        None => "/phone".to_owned(),
    }
}

fn note(word: &str) -> Option<&'static str> {
    Some(match word {
        "unknown" => "没有这个订单。There is no such order.",
        "paid" => "该订单已支付。This order is already paid.",
        "closed" => "该订单已关闭。This order is closed.",
        "expired" => "该订单已过期。This order has expired.",
        _ => return None,
    })
}

/// Fen as yuan, `¥12.34`.
fn yuan(fen: i64) -> String {
    format!("¥{}.{:02}", fen / 100, fen % 100)
}

/// For text and for attribute values.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// For a path segment or a query value.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::{encoded, escaped, yuan};

    #[test]
    fn what_a_merchant_typed_cannot_become_markup() {
        assert_eq!(escaped("<b a='\"&\">"), "&lt;b a=&#39;&quot;&amp;&quot;&gt;");
        assert_eq!(encoded("a|b*c"), "a%7Cb%2Ac");
        assert_eq!((yuan(1234), yuan(5)), ("¥12.34".to_owned(), "¥0.05".to_owned()));
    }
}
