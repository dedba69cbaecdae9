//! How does WeChat Pay behave towards its merchants? Both APIs over one set of books for each merchant number: orders
//! of every kind, queries, closing, refunds, bills and notifications.
//!
//! | Room | |
//! |---|---|
//! | `credentials`, `platform`, `merchant` | who has which keys |
//! | `orders`, `refunds`, `fees`, `numbers`, `refusal` | the books, in words of neither API |
//! | `bills` | what the books say of a day |
//! | `v2`, `v3` | each API: who asks, what is allowed, how it is said |
//! | `notify`, `handshake` | how a merchant hears of it |
//! | `callup`, `risk` | the payer's WeChat; the risk control |
mod bills;
mod callup;
pub(crate) mod credentials;
mod fees;
mod form;
mod handshake;
mod merchant;
mod notify;
mod numbers;
mod orders;
mod platform;
mod refunds;
mod refusal;
mod risk;
mod switches;
mod v2;
mod v3;

use std::io;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::http_date;
use crate::faults::{Api, At, Fault, Op, RefundStatus, Site};
use crate::state::World;
use crate::tls::Secured;
pub(crate) use callup::{CallUp, call_up};
pub use credentials::Credentials;
use handshake::Handshakes;
pub(crate) use merchant::Merchant;
use notify::Event;
use numbers::Numbers;
pub(crate) use orders::{Order, Paying, TradeState, TradeType, Unpayable};
pub(crate) use platform::Turn;
use refunds::{Refund, RefundWish};
use refusal::Refusal;
pub(crate) use risk::{Risk, warn};
pub(crate) use switches::{Changes, Switches};

/// Stands in front of every path, unless the paths are asked for as at WeChat Pay's own host; a merchant of v3 signs it with
/// the rest.
const PREFIX: &str = "/wechat/";
/// Merchants at once.
const MERCHANTS_MAX: usize = 100;

/// Everything at WeChat Pay.
#[derive(Debug)]
pub(crate) struct WeChat {
    /// The first is the one of the settings.
    merchants: RwLock<Vec<Arc<Merchant>>>,
    numbers: Numbers,
    switches: Mutex<Switches>,
    handshakes: Handshakes,
    /// Goes up with every notification that was sent.
    told: watch::Sender<u64>,
}

impl WeChat {
    /// # Errors
    /// `InvalidInput` if a key cannot be read.
    pub(crate) fn new(first: Credentials) -> io::Result<Self> {
        Ok(Self {
            merchants: RwLock::new(vec![Arc::new(Merchant::new(first)?)]),
            numbers: Numbers::default(),
            switches: Mutex::default(),
            handshakes: Handshakes::default(),
            told: watch::Sender::new(0),
        })
    }

    /// All merchants, the one of the settings first.
    pub(crate) fn merchants(&self) -> Vec<Arc<Merchant>> {
        self.merchants.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn merchant(&self, mchid: &str) -> Option<Arc<Merchant>> {
        self.merchants().into_iter().find(|merchant| merchant.mchid() == mchid)
    }

    /// Takes on another merchant.
    ///
    /// # Errors
    /// In words: a number that is taken, keys that cannot be read, too many merchants.
    pub(crate) fn take_on(&self, credentials: Credentials) -> Result<(), String> {
        let merchant = Arc::new(Merchant::new(credentials).map_err(|error| error.to_string())?);
        let mut merchants = self.merchants.write().unwrap_or_else(PoisonError::into_inner);
        if merchants.iter().any(|known| known.mchid() == merchant.mchid()) {
            return Err("this merchant number is taken".into());
        }
        if merchants.len() >= MERCHANTS_MAX {
            return Err(format!("{MERCHANTS_MAX} merchants are enough"));
        }
        merchants.push(merchant);
        Ok(())
    }

    /// The merchant who has an order of this number, the first one if several have.
    pub(crate) fn owner(&self, out_trade_no: &str) -> Option<Arc<Merchant>> {
        self.merchants().into_iter().find(|merchant| merchant.books().order(out_trade_no).is_some())
    }

    pub(crate) fn switches(&self) -> Switches {
        *self.switches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn switch(&self, changes: Changes) {
        self.switches.lock().unwrap_or_else(PoisonError::into_inner).change(changes);
    }

    pub(crate) fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }
}

/// A request, as both APIs look at it.
#[derive(Debug)]
struct Asked<'a> {
    method: Method,
    uri: &'a Uri,
    /// What stands before the path: `/wechat/`, or no more than the slash.
    prefix: &'static str,
    /// What follows it.
    path: &'a str,
    headers: &'a HeaderMap,
    body: &'a [u8],
    /// Where the caller has reached us: scheme and host.
    base: String,
    /// Whether the connection is TLS, and what it has shown.
    secured: Option<Secured>,
}

impl Asked<'_> {
    /// A header's value, empty if there is none.
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The parameters behind the question mark.
    fn queries(&self) -> Vec<(String, String)> {
        let query = self.uri.query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    fn query(&self, name: &str) -> Option<String> {
        self.queries().into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

/// Everything that is asked of WeChat Pay.
pub(crate) async fn answer(
    State(world): State<Arc<World>>,
    secured: Option<Extension<Secured>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let scheme = if secured.is_some() { "https" } else { "http" };
    let (prefix, path) = match uri.path().strip_prefix(PREFIX) {
        Some(path) => (PREFIX, path),
        None => ("/", uri.path().trim_start_matches('/')),
    };
    let asked = Asked {
        method,
        uri: &uri,
        prefix,
        path,
        headers: &headers,
        body: &body,
        base: format!("{scheme}://{host}"),
        secured: secured.map(|Extension(secured)| secured),
    };
    let old = ["pay/", "secapi/", "xdc/"].iter().any(|start| asked.path.starts_with(start));
    let mut answer = if old { v2::answer(&world, &asked).await } else { v3::answer(&world, &asked).await };
    // Without one the server would say the machine's time, by which a merchant finds its own clock right that is not.
    if let Ok(date) = HeaderValue::try_from(http_date(world.now())) {
        answer.headers_mut().insert(header::DATE, date);
    }
    answer
}

/// What a waiting fault does to a call.
enum Struck {
    Not,
    Status {
        status: u16,
        code: Option<String>,
        executed: bool,
    },
    /// No answer comes.
    Silence {
        executed: bool,
    },
    NotEnough,
    Frequency,
    /// The merchant's certificate does not count.
    Certificate,
}

/// Lets a waiting fault strike a call; one that only makes it slow is over when this returns.
async fn struck(world: &World, merchant: &Merchant, api: Api, op: Op) -> Struck {
    match world.faults.take(Site::WeChat(merchant.mchid(), At::Call(api, op))) {
        Some(Fault::Status { status, code, executed, .. }) => Struck::Status { status, code, executed },
        Some(Fault::Timeout { executed, .. }) => Struck::Silence { executed },
        Some(Fault::NotEnough {}) => Struck::NotEnough,
        Some(Fault::FrequencyLimited { .. }) => Struck::Frequency,
        Some(Fault::CertificateRefused {}) => Struck::Certificate,
        Some(Fault::Slow { ms, .. }) => {
            // If the simulator stops meanwhile, the connection ends with it.
            world.sleep_until(after(world.now(), ms)).await;
            Struck::Not
        }
        _ => Struck::Not,
    }
}

/// So many milliseconds later.
fn after(now: i64, ms: u64) -> i64 {
    now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000))
}

/// Closes an order; a fault may have it paid all the same. `false` if it was closed before.
fn close(
    world: &Arc<World>,
    merchant: &Arc<Merchant>,
    out_trade_no: &str,
    api: Api,
) -> Result<bool, Refusal> {
    let now = world.now();
    let new = merchant.books().close(out_trade_no, api, now)?;
    if new
        && let Some(Fault::PayAfterClose { after_ms }) =
            world.faults.take(Site::WeChat(merchant.mchid(), At::Closed))
    {
        let (world, merchant, number) = (Arc::clone(world), Arc::clone(merchant), out_trade_no.to_owned());
        world.tasks.clone().spawn(async move {
            if world.sleep_until(after(now, after_ms)).await {
                let paying = Paying { payer: None, late: true };
                // Somebody may have paid by hand meanwhile.
                let _ = pay(&world, &merchant, &number, paying);
            }
        });
    }
    Ok(new)
}

/// Accepts a refund and has it end in its time; how it looks then.
fn refund<T>(
    world: &Arc<World>,
    merchant: &Arc<Merchant>,
    wish: RefundWish,
    shown: fn(&Refund) -> T,
) -> Result<T, Refusal> {
    let now = world.now();
    let number = wish.out_refund_no.clone();
    let mut books = merchant.books();
    let (refund, new) = books.refund(wish, world.wechat.numbers.refund(now), now)?;
    let shown = shown(refund);
    drop(books);
    if new {
        end_in_time(world, merchant, number, now);
    }
    Ok(shown)
}

/// Ends a refund after a while, as a fault has it or well.
fn end_in_time(world: &Arc<World>, merchant: &Arc<Merchant>, out_refund_no: String, now: i64) {
    let status = match world.faults.take(Site::WeChat(merchant.mchid(), At::RefundResult)) {
        Some(Fault::RefundResult { status }) => status,
        _ => RefundStatus::Success,
    };
    if status == RefundStatus::Processing {
        return;
    }
    let at = after(now, world.pace.refund_delay_ms());
    let (world, merchant) = (Arc::clone(world), Arc::clone(merchant));
    world.tasks.clone().spawn(async move {
        if world.sleep_until(at).await && merchant.books().processing(&out_refund_no) {
            let _ = resolve(&world, &merchant, &out_refund_no, status);
        }
    });
}

/// Somebody pays an order; the merchant is told in the background. The transaction's number.
pub(crate) fn pay(
    world: &Arc<World>,
    merchant: &Arc<Merchant>,
    out_trade_no: &str,
    paying: Paying,
) -> Result<String, Unpayable> {
    let now = world.now();
    let number = world.wechat.numbers.transaction(now);
    let terms = world.wechat.switches().terms;
    let mut books = merchant.books();
    let order = books.pay(out_trade_no, paying, number.clone(), terms, now)?;
    let event = Arc::new(Event::of_payment(order, merchant.mchid(), now));
    order.news = Some(Arc::clone(&event));
    drop(books);
    notify::announce(world, merchant, event);
    Ok(number)
}

/// Sends the news of a payment again, so many times. `None`: the order is unknown or not paid.
pub(crate) async fn redeliver(
    world: &World,
    merchant: &Merchant,
    out_trade_no: &str,
    copies: usize,
    concurrent: bool,
) -> Option<Vec<Option<u16>>> {
    let event = merchant.books().order(out_trade_no)?.news.clone()?;
    Some(notify::repeat(world, merchant, &event, copies, concurrent).await)
}

/// Ends a refund and tells the merchant, if it wants to be told.
///
/// # Errors
/// `None`: there is no such refund. Otherwise the state in which it has ended before.
pub(crate) fn resolve(
    world: &Arc<World>,
    merchant: &Arc<Merchant>,
    out_refund_no: &str,
    status: RefundStatus,
) -> Result<(), Option<RefundStatus>> {
    let now = world.now();
    let mut books = merchant.books();
    let refund = books.resolve(out_refund_no, status, now)?;
    let event = Event::of_refund(refund, merchant.mchid(), now);
    drop(books);
    if let Some(event) = event {
        notify::announce(world, merchant, Arc::new(event));
    }
    Ok(())
}

/// The merchant who has a refund of this number.
pub(crate) fn refunder(world: &World, out_refund_no: &str) -> Option<Arc<Merchant>> {
    world
        .wechat
        .merchants()
        .into_iter()
        .find(|merchant| merchant.books().find_refund(out_refund_no).is_some())
}

/// What was made up for the bills of a day.
pub(crate) fn spoilt(merchant: &Merchant, day: &str) -> Value {
    serde_json::json!(merchant.books().bill_faults.get(day))
}
