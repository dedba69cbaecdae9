//! With which merchant account, and how is it spoken to for this order?
//!
//! An order is put, asked after, closed and refunded by the API, and under the app and signature, that are frozen in it, whatever
//! is configured for new ones by then.

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::civil::Date;
use tokio_util::sync::CancellationToken;
use units::{Clock, Livemode, Timestamp};

use crate::{
    channel::{
        Accepted, ChannelError, NewOrder, NewRefund, Prepaid, RefundReport, Trade, Way,
        wechat::{
            BillRows, CallUp, FundAccount, NonceSeen,
            v2::{self, SignType, Terms},
            v3::{self, BillKind, BillWish, Downloaded},
        },
    },
    ledger::{Body, Order, PayApi, PayBy, PaySign, PayWay, Prepay},
};

/// How often it is looked whether certificates have to be asked for again.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// One WeChat Pay merchant account.
#[derive(Debug)]
pub struct Merchant {
    /// Its name in the configuration, and in its callback addresses.
    pub name: String,
    /// Whether its money is real.
    pub livemode: Livemode,
    /// Its number.
    pub mchid: String,
    /// The app of pages and codes.
    pub appid: String,
    /// The app of its Mini Program; it has none where absent.
    pub mini_program_appid: Option<String>,
    /// The page of that Mini Program which pays an order, without a query.
    pub mini_program_page: Option<String>,
    /// By which API new orders are made.
    pub api: PayApi,
    /// How API v3 is spoken; it is not where absent.
    pub v3: Option<OverV3>,
    /// How API v2 is spoken; it is not where absent.
    pub v2: Option<OverV2>,
    /// Why no new orders are made: what is missing or wrong of the keys for them, in words for the operator and without any
    /// value. Orders of an API without keys wait until there are some.
    pub off: Option<String>,
}

/// Where WeChat Pay reports to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callbacks {
    /// Payments.
    pub notify_url: String,
    /// Refunds.
    pub refund_notify_url: String,
}

/// API v3 of a merchant.
#[derive(Debug)]
pub struct OverV3 {
    /// How it is spoken to.
    pub channel: v3::Channel,
    /// Where it reports to.
    pub callbacks: Callbacks,
}

/// API v2 of a merchant.
#[derive(Debug)]
pub struct OverV2 {
    /// How it is spoken to.
    pub channel: v2::Channel,
    /// How the messages of new orders are signed.
    pub sign_type: PaySign,
    /// Where it reports to.
    pub callbacks: Callbacks,
}

/// How an order is spoken about.
enum Over<'a> {
    V3(&'a v3::Channel),
    V2(&'a v2::Channel, Terms),
}

impl Merchant {
    /// The app that orders of this way are made under; `None` where it does not take them.
    pub fn appid(&self, way: PayWay) -> Option<&str> {
        match way {
            PayWay::Native | PayWay::Jsapi | PayWay::H5 => Some(&self.appid),
            PayWay::MiniProgram => self.mini_program_appid.as_deref(),
        }
    }

    /// Where new orders are reported, and how their messages are signed; nothing where the API of new orders is not spoken.
    pub(super) fn of_new_orders(&self) -> Option<(&Callbacks, Option<PaySign>)> {
        match self.api {
            PayApi::V3 => self.v3.as_ref().map(|v3| (&v3.callbacks, None)),
            PayApi::V2 => self.v2.as_ref().map(|v2| (&v2.callbacks, Some(v2.sign_type))),
        }
    }

    fn callbacks(&self, api: PayApi) -> Option<&Callbacks> {
        match api {
            PayApi::V3 => self.v3.as_ref().map(|v3| &v3.callbacks),
            PayApi::V2 => self.v2.as_ref().map(|v2| &v2.callbacks),
        }
    }

    /// Where the refunds of an order are reported.
    pub(crate) fn refund_notify_url(&self, order: &Order) -> &str {
        self.callbacks(order.pay_by.api).map_or("", |callbacks| &callbacks.refund_notify_url)
    }

    /// Puts an order to WeChat Pay, in the very words that are frozen in it; `description` and this merchant's address are for
    /// orders that say nothing of them. What came of it, as the ledger is told.
    pub(super) async fn create(&self, order: &Order, description: &str) -> Result<Body, ChannelError> {
        let over = self.over(order)?;
        let PayBy { api, description: said, notify_url, .. } = &order.pay_by;
        let configured = self.callbacks(*api).map_or("", |callbacks| &callbacks.notify_url);
        let unless_said =
            |said: &String, other: &str| if said.is_empty() { other.to_owned() } else { said.clone() };
        let (description, notify_url) = (unless_said(said, description), unless_said(notify_url, configured));
        let PayBy { way, openid, client_ip, device_id, .. } = order.pay_by.clone();
        let asked = NewOrder {
            appid: order.appid.clone(),
            out_trade_no: order.out_trade_no(),
            description,
            total: order.amount,
            notify_url,
            expires_at: order.expires_at,
            way: match way {
                PayWay::Native => Way::Native,
                PayWay::Jsapi | PayWay::MiniProgram => Way::InApp { openid: openid.unwrap_or_default() },
                PayWay::H5 => Way::H5,
            },
            // API v2 asks for one of every order: of one that nobody said, the gateway's own.
            client_ip: client_ip
                .or_else(|| matches!(over, Over::V2(..)).then(|| Ipv4Addr::LOCALHOST.to_string())),
            device_id,
        };
        let Accepted { prepaid, request_id } = match over {
            Over::V3(channel) => channel.create(&asked).await?,
            Over::V2(channel, terms) => channel.create(terms.sign_type, &asked).await?,
        };
        let prepay = match prepaid {
            Prepaid::Code(code) => Prepay::Code(code),
            Prepaid::Session(prepay_id) => Prepay::Session { prepay_id },
            Prepaid::Page(h5_url) => Prepay::Page { h5_url },
        };
        Ok(Body::OrderPrepaid { order: order.id, prepay, request_id })
    }

    /// What became of an order.
    pub(super) async fn query(&self, order: &Order) -> Result<Trade, ChannelError> {
        let number = order.out_trade_no();
        match self.over(order)? {
            Over::V3(channel) => channel.query(&number).await,
            Over::V2(channel, terms) => channel.query(&terms, &number).await,
        }
    }

    /// Closes an unpaid order; no proof that nobody paid.
    pub(super) async fn close(&self, order: &Order) -> Result<(), ChannelError> {
        let number = order.out_trade_no();
        match self.over(order)? {
            Over::V3(channel) => channel.close(&number).await,
            Over::V2(channel, terms) => channel.close(&terms, &number).await,
        }
    }

    /// What a page or a Mini Program in WeChat calls the payment of an order up with, made anew; nothing where the order is
    /// paid in another way, or cannot be paid here.
    pub fn call_up(&self, order: &Order) -> Option<CallUp> {
        let Some(Prepay::Session { prepay_id }) = &order.prepay else { return None };
        match self.over(order).ok()? {
            Over::V3(channel) => channel.call_up(&order.appid, prepay_id).ok(),
            Over::V2(channel, terms) => channel.call_up(&terms, prepay_id).ok(),
        }
    }

    /// Asks for a refund of an order's payment.
    pub(crate) async fn refund(
        &self,
        order: &Order,
        refund: &NewRefund,
    ) -> Result<RefundReport, ChannelError> {
        match self.over(order)? {
            Over::V3(channel) => channel.refund(refund).await,
            Over::V2(channel, terms) => channel.refund(&terms, refund).await,
        }
    }

    /// What became of a refund of an order's payment.
    pub(crate) async fn query_refund(
        &self,
        order: &Order,
        out_refund_no: &str,
    ) -> Result<RefundReport, ChannelError> {
        match self.over(order)? {
            Over::V3(channel) => channel.query_refund(out_refund_no).await,
            Over::V2(channel, terms) => channel.query_refund(&terms, out_refund_no).await,
        }
    }

    /// A day's bill of the merchant number, as its text: whichever API asks, it is the same. [`ChannelError::NotFound`] says
    /// that nothing happened on the day, [`ChannelError::Busy`] that the bill is still being made.
    pub(crate) async fn bill(&self, day: Date, kind: BillKind) -> Result<Bytes, ChannelError> {
        if let Some(v3) = &self.v3 {
            return v3.channel.bill(&BillWish { day, kind, gzip: true }).await;
        }
        let Some(v2) = &self.v2 else {
            return Err(ChannelError::Misconfigured {
                code: "API_NOT_SPOKEN".to_owned(),
                message: format!("merchant `{}` has no keys", self.name),
                request_id: None,
            });
        };
        let terms = Terms { appid: self.appid.clone(), sign_type: sign_type(v2.sign_type) };
        match kind {
            BillKind::Trade(rows) => v2.channel.trade_bill(&terms, day, rows.unwrap_or(BillRows::All)).await,
            BillKind::FundFlow(account) => {
                v2.channel.fund_flow_bill(&terms, day, account.unwrap_or(FundAccount::Basic)).await
            }
        }
    }

    /// The client that an order was put with. Numbers of another merchant mean nothing to it.
    fn over(&self, order: &Order) -> Result<Over<'_>, ChannelError> {
        let misconfigured = |code: &str, message: String| ChannelError::Misconfigured {
            code: code.to_owned(),
            message,
            request_id: None,
        };
        if order.mchid != self.mchid {
            let message = format!(
                "merchant `{}` was {} when this was ordered, and is {} now",
                self.name, order.mchid, self.mchid
            );
            return Err(misconfigured("MERCHANT_CHANGED", message));
        }
        let api = order.pay_by.api;
        let over = match api {
            PayApi::V3 => self.v3.as_ref().map(|v3| Over::V3(&v3.channel)),
            PayApi::V2 => self.v2.as_ref().map(|v2| {
                let sign_type = sign_type(order.pay_by.sign_type.unwrap_or(v2.sign_type));
                Over::V2(&v2.channel, Terms { appid: order.appid.clone(), sign_type })
            }),
        };
        over.ok_or_else(|| {
            misconfigured("API_NOT_SPOKEN", format!("merchant `{}` has no keys of API {api}", self.name))
        })
    }
}

/// The name that orders have for it, as API v2 has it.
pub const fn sign_type(sign: PaySign) -> SignType {
    match sign {
        PaySign::HmacSha256 => SignType::HmacSha256,
        PaySign::Md5 => SignType::Md5,
    }
}

/// The signature's name as orders have it.
pub const fn pay_sign(sign_type: SignType) -> PaySign {
    match sign_type {
        SignType::HmacSha256 => PaySign::HmacSha256,
        SignType::Md5 => PaySign::Md5,
    }
}

/// The merchants, by name. Their keys may be replaced while they are at work: whoever began with one ends with it.
#[derive(Debug, Default)]
pub struct Merchants(ArcSwap<BTreeMap<String, Arc<Merchant>>>);

impl Merchants {
    /// From what is configured.
    pub fn new(merchants: impl IntoIterator<Item = Merchant>) -> Self {
        let these = Self::default();
        these.replace(merchants.into_iter().map(Arc::new));
        these
    }

    /// Puts these in the place of those that were there.
    pub fn replace(&self, merchants: impl IntoIterator<Item = Arc<Merchant>>) {
        let merchants = merchants.into_iter().map(|merchant| (merchant.name.clone(), merchant));
        self.0.store(Arc::new(merchants.collect()));
    }

    /// True where none is configured.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// By name.
    pub fn get(&self, name: &str) -> Option<Arc<Merchant>> {
        self.0.load().get(name).cloned()
    }

    /// What is known of a nonce, and whose it is.
    pub fn nonce(&self, nonce: &str, now: Timestamp) -> Option<(Arc<Merchant>, PayApi, NonceSeen)> {
        self.all().into_iter().find_map(|merchant| {
            let v3 = merchant.v3.as_ref().and_then(|v3| v3.channel.nonces().find(nonce, now));
            let v2 = || merchant.v2.as_ref().and_then(|v2| v2.channel.nonces().find(nonce, now));
            let found = v3.map(|seen| (PayApi::V3, seen)).or_else(|| Some((PayApi::V2, v2()?)));
            found.map(|(api, seen)| (merchant, api, seen))
        })
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> Vec<Arc<Merchant>> {
        self.0.load().values().cloned().collect()
    }

    /// The first that is not off and whose money is of this kind; one that is off where there is no other.
    pub fn for_livemode(&self, livemode: Livemode) -> Option<Arc<Merchant>> {
        let merchants = self.0.load();
        let of_this = || merchants.values().filter(|merchant| merchant.livemode == livemode);
        of_this().find(|merchant| merchant.off.is_none()).or_else(|| of_this().next()).cloned()
    }

    /// Keeps the platform's certificates of everybody who downloads them fresh. Ends when `stop` is cancelled.
    pub async fn renew_certificates(&self, clock: Arc<dyn Clock>, stop: CancellationToken) {
        loop {
            for merchant in self.all() {
                let Some(v3) = &merchant.v3 else { continue };
                match v3.channel.renew_certificates().await {
                    Ok(None) => {}
                    Ok(Some(Downloaded::Certificates(serials))) => {
                        tracing::info!(
                            merchant = merchant.name,
                            ?serials,
                            "WeChat Pay's certificates are at hand"
                        );
                    }
                    Ok(Some(Downloaded::PublicKeyOnly)) => {
                        tracing::debug!(merchant = merchant.name, "WeChat Pay has no certificates for it");
                    }
                    Err(error) => {
                        tracing::warn!(merchant = merchant.name, %error, "WeChat Pay's certificates cannot be had");
                    }
                }
            }
            let next = clock.now().after(LOOK_EVERY);
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep_until(next) => {}
            }
        }
    }
}
