//! Where does a person pay? A page in the place of the payer's phone: all open orders, the one behind a scanned code, the
//! one behind a link of H5, or the one that a page inside WeChat has called up.
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::clock::beijing;
use crate::faults::RefundStatus;
use crate::html::{HEAD, encoded, escaped, yuan};
use crate::state::World;
use crate::wechat::{self, CallUp, Merchant, Order, Paying, TradeState, TradeType, Unpayable};

/// Cards of each kind on the page.
const CARDS_MAX: usize = 50;

const TITLE: &str = "<h1>模拟手机 · Simulated phone</h1>
<p class=\"small\">这里没有真钱。No real money here.</p>
";

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/phone", get(home))
        .route("/phone/h5", get(h5))
        .route("/phone/jsapi", get(jsapi))
        .route("/phone/pay/{out_trade_no}", post(pay))
}

/// What a page shows.
struct Page<'a> {
    /// Where the page is, to come back to it.
    address: String,
    /// Where to go once it is paid; the page itself, if nobody says.
    next: Option<&'a str>,
    /// What is said if there is nothing to show.
    nothing: &'a str,
    /// Whether only one order is meant.
    one: bool,
    /// Why the last tap did not pay.
    note: Option<&'a str>,
}

#[derive(Debug, Deserialize)]
struct Home {
    /// A scanned code: only its order is shown.
    code: Option<String>,
    note: Option<String>,
}

async fn home(State(world): State<Arc<World>>, Query(shown): Query<Home>) -> Html<String> {
    let now = world.now();
    let code = shown.code.as_deref();
    let page = Page {
        address: match code {
            Some(code) => format!("/phone?code={}", encoded(code)),
            None => "/phone".to_owned(),
        },
        next: None,
        nothing: match code {
            Some(_) => "这个二维码已失效。This code is not valid, or not any more.",
            None => "没有待付款的订单。No orders to pay.",
        },
        one: code.is_some(),
        note: shown.note.as_deref(),
    };
    let wanted = |_: &Merchant, order: &Order| code.is_none_or(|code| order.shown_by(code, now));
    page.written(&world, wanted)
}

#[derive(Debug, Deserialize)]
struct H5 {
    prepay_id: String,
    package: String,
    /// Where the merchant wants the payer back.
    redirect_url: Option<String>,
    note: Option<String>,
}

async fn h5(State(world): State<Arc<World>>, Query(shown): Query<H5>) -> Html<String> {
    let now = world.now();
    let next = shown.redirect_url.as_deref();
    let mut address =
        format!("/phone/h5?prepay_id={}&package={}", encoded(&shown.prepay_id), encoded(&shown.package));
    if let Some(next) = next {
        let _ = write!(address, "&redirect_url={}", encoded(next));
    }
    let page = Page {
        address,
        next,
        nothing: "支付链接已失效，请返回商户重新下单。This link is not valid, or not any more.",
        one: true,
        note: shown.note.as_deref(),
    };
    page.written(&world, |_, order| order.linked_by(&shown.prepay_id, &shown.package, now))
}

/// What a page inside WeChat hands over, as a query.
#[derive(Debug, Deserialize)]
struct Jsapi {
    #[serde(rename = "appId")]
    app_id: String,
    #[serde(rename = "timeStamp")]
    time_stamp: String,
    #[serde(rename = "nonceStr")]
    nonce_str: String,
    package: String,
    #[serde(rename = "signType")]
    sign_type: String,
    #[serde(rename = "paySign")]
    pay_sign: String,
    note: Option<String>,
}

async fn jsapi(State(world): State<Arc<World>>, Query(shown): Query<Jsapi>) -> Html<String> {
    let Jsapi { app_id, time_stamp, nonce_str, package, sign_type, pay_sign, note } = shown;
    let address = [
        ("appId", &app_id),
        ("timeStamp", &time_stamp),
        ("nonceStr", &nonce_str),
        ("package", &package),
        ("signType", &sign_type),
        ("paySign", &pay_sign),
    ]
    .iter()
    .fold("/phone/jsapi?".to_owned(), |address, (name, value)| {
        format!("{address}{name}={}&", encoded(value))
    });
    let asked = CallUp { app_id, time_stamp, nonce_str, package, sign_type, pay_sign };
    let called = wechat::call_up(&world, &asked);
    let page = Page {
        address: address.trim_end_matches('&').to_owned(),
        next: None,
        nothing: called.as_ref().err().copied().unwrap_or("没有这个订单。There is no such order."),
        one: true,
        note: note.as_deref(),
    };
    page.written(&world, |merchant, order| {
        called
            .as_ref()
            .is_ok_and(|(owner, number)| owner.mchid() == merchant.mchid() && number == order.out_trade_no())
    })
}

impl Page<'_> {
    fn written(&self, world: &World, wanted: impl Fn(&Merchant, &Order) -> bool) -> Html<String> {
        let now = world.now();
        let mut html = HEAD.to_owned();
        let note = self.note.and_then(note);
        // Read once, a note goes away with the next refresh.
        let refresh = match note {
            Some(_) => format!("4;url={}", escaped(&self.address)),
            None => "2".to_owned(),
        };
        html = html.replacen(
            "<title>",
            &format!("<meta http-equiv=\"refresh\" content=\"{refresh}\"><title>"),
            1,
        );
        html.push_str(TITLE);
        if let Some(note) = note {
            let _ = write!(html, "<p class=\"note\" role=\"status\">{note}</p>");
        }
        let (mut open, mut paid) = (0, 0);
        let mut below = String::new();
        for merchant in world.wechat.merchants() {
            for order in merchant.books().newest().filter(|order| wanted(&merchant, order)) {
                if order.payable(now).is_ok() && open < CARDS_MAX {
                    open += 1;
                    self.open_card(&mut html, order, merchant.mchid());
                } else if order.payment.is_some() && paid < CARDS_MAX {
                    paid += 1;
                    paid_card(&mut below, order);
                }
            }
        }
        if open == 0 && (paid == 0 || !self.one) {
            let _ = write!(html, "<p class=\"card\">{}</p>", self.nothing);
        }
        if paid > 0 {
            let _ = write!(html, "<h2>已付款 · Paid</h2>{below}");
        }
        html.push_str("</main></body></html>\n");
        Html(html)
    }

    fn open_card(&self, html: &mut String, order: &Order, merchant: &str) {
        let mut action = format!(
            "/phone/pay/{}?mchid={}&back={}",
            encoded(order.out_trade_no()),
            encoded(merchant),
            encoded(&self.address)
        );
        if let Some(next) = self.next {
            let _ = write!(action, "&next={}", encoded(next));
        }
        let way = match order.trade_type() {
            TradeType::Native => "扫码 Native",
            TradeType::Jsapi => "微信内 JSAPI",
            TradeType::Mweb => "手机浏览器 H5",
        };
        let _ = writeln!(
            html,
            "<section class=\"card\"><div class=\"sum\">{sum}</div><div>{description}</div>\
             <p class=\"small\">商户 Merchant {merchant}<br>订单 Order {number}<br>{way}<br>有效期至 Until {until}</p>\
             <form method=\"post\" action=\"{action}\"><button>付款 Pay {sum}</button></form></section>",
            sum = yuan(order.total()),
            description = escaped(order.description()),
            merchant = escaped(merchant),
            number = escaped(order.out_trade_no()),
            until = beijing(order.expires),
            action = escaped(&action),
        );
    }
}

fn paid_card(html: &mut String, order: &Order) {
    let refunds = order.refunds.iter().fold(String::new(), |mut text, refund| {
        let state = match refund.status {
            RefundStatus::Processing => "退款处理中 Refund under way",
            RefundStatus::Success => "已退款 Refunded",
            RefundStatus::Closed => "退款关闭 Refund closed",
            RefundStatus::Abnormal => "退款异常 Refund failed",
        };
        let _ = write!(text, "<br>{state} {}", yuan(refund.refund()));
        text
    });
    let state = if order.state == TradeState::Refund { "↩ 有退款 Refund" } else { "✓ 已付款 Paid" };
    let _ = writeln!(
        html,
        "<section class=\"card\"><span class=\"done\">{state}</span> {sum} {description}\
         <p class=\"small\">订单 Order {number}{refunds}</p></section>",
        sum = yuan(order.total()),
        description = escaped(order.description()),
        number = escaped(order.out_trade_no()),
    );
}

/// Whose order, and where to go after a tap.
#[derive(Debug, Deserialize)]
struct Way {
    /// Needed only where several merchants have an order of this number.
    mchid: Option<String>,
    back: Option<String>,
    next: Option<String>,
}

async fn pay(
    State(world): State<Arc<World>>,
    Path(out_trade_no): Path<String>,
    Query(way): Query<Way>,
) -> Redirect {
    let mut back = way.back.filter(|back| back.starts_with("/phone")).unwrap_or_else(|| "/phone".to_owned());
    let merchant = match &way.mchid {
        Some(mchid) => world.wechat.merchant(mchid),
        None => world.wechat.owner(&out_trade_no),
    };
    let paid = match merchant {
        Some(merchant) => wechat::pay(&world, &merchant, &out_trade_no, Paying::default()),
        None => Err(Unpayable::Unknown),
    };
    match paid {
        Ok(_) => {
            let known = |next: &String| next.starts_with("http://") || next.starts_with("https://");
            Redirect::to(&way.next.filter(known).unwrap_or(back))
        }
        Err(why) => {
            back.push(if back.contains('?') { '&' } else { '?' });
            back.push_str("note=");
            back.push_str(match why {
                Unpayable::Unknown => "unknown",
                Unpayable::Paid => "paid",
                Unpayable::Closed => "closed",
                Unpayable::Expired => "expired",
                Unpayable::Stranger => "stranger",
            });
            Redirect::to(&back)
        }
    }
}

fn note(word: &str) -> Option<&'static str> {
    Some(match word {
        "unknown" => "没有这个订单。There is no such order.",
        "paid" => "该订单已支付。This order is already paid.",
        "closed" => "该订单已关闭。This order is closed.",
        "expired" => "该订单已过期。This order has expired.",
        "stranger" => "该订单属于他人。This order is for somebody else.",
        _ => return None,
    })
}
