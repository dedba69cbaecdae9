//! With which merchant account, and how is it spoken to for this order?

use std::collections::BTreeMap;

use units::Livemode;

use crate::{
    channel::{ChannelError, NewOrder, NewRefund, Prepaid, RefundReport, Trade, Way, wechat::v3},
    ledger::{Order, PayApi, PayBy, PayWay, Prepay},
};

/// One WeChat Pay merchant account.
#[derive(Debug)]
pub struct Merchant {
    /// Its name in the configuration, and in its callback address.
    pub name: String,
    /// Whether its money is real.
    pub livemode: Livemode,
    /// How it is spoken to.
    pub channel: v3::Channel,
    /// The app of its Mini Program; it has none where absent.
    pub mini_program_appid: Option<String>,
    /// The page of that Mini Program which pays an order, without a query.
    pub mini_program_page: Option<String>,
    /// Where WeChat Pay reports payments.
    pub notify_url: String,
    /// Where WeChat Pay reports refunds.
    pub refund_notify_url: String,
}

impl Merchant {
    /// Its number.
    pub fn mchid(&self) -> &str {
        self.channel.mchid()
    }

    /// The app that orders of this way are made under; `None` where it does not take them.
    pub fn appid(&self, way: PayWay) -> Option<&str> {
        match way {
            PayWay::Native | PayWay::Jsapi | PayWay::H5 => Some(self.channel.appid()),
            PayWay::MiniProgram => self.mini_program_appid.as_deref(),
        }
    }

    /// Puts an order to WeChat Pay, in the very words that are frozen in it; `description` and this merchant's address are for
    /// orders that say nothing of them.
    pub(super) async fn create(&self, order: &Order, description: &str) -> Result<Prepay, ChannelError> {
        let channel = self.of(order)?;
        let PayBy { way, description: said, notify_url, openid, client_ip, device_id, .. } =
            order.pay_by.clone();
        let unless_said = |said: String, else_: &str| if said.is_empty() { else_.to_owned() } else { said };
        let asked = NewOrder {
            appid: order.appid.clone(),
            out_trade_no: order.out_trade_no(),
            description: unless_said(said, description),
            total: order.amount,
            notify_url: unless_said(notify_url, &self.notify_url),
            expires_at: order.expires_at,
            way: match way {
                PayWay::Native => Way::Native,
                PayWay::Jsapi | PayWay::MiniProgram => Way::InApp { openid: openid.unwrap_or_default() },
                PayWay::H5 => Way::H5,
            },
            client_ip,
            device_id,
        };
        Ok(match channel.create(&asked).await? {
            Prepaid::Code(code) => Prepay::Code(code),
            Prepaid::Session(prepay_id) => Prepay::Session { prepay_id },
            Prepaid::Page(h5_url) => Prepay::Page { h5_url },
        })
    }

    /// What became of an order.
    pub(super) async fn query(&self, order: &Order) -> Result<Trade, ChannelError> {
        self.of(order)?.query(&order.out_trade_no()).await
    }

    /// Closes an unpaid order; no proof that nobody paid.
    pub(super) async fn close(&self, order: &Order) -> Result<(), ChannelError> {
        self.of(order)?.close(&order.out_trade_no()).await
    }

    /// What a page or a Mini Program in WeChat calls the payment of an order up with, made anew; nothing where the order is
    /// paid in another way, or cannot be paid here.
    pub fn call_up(&self, order: &Order) -> Option<v3::CallUp> {
        let Some(Prepay::Session { prepay_id }) = &order.prepay else { return None };
        self.of(order).ok()?.call_up(&order.appid, prepay_id).ok()
    }

    /// Asks for a refund of an order's payment.
    pub(crate) async fn refund(
        &self,
        order: &Order,
        refund: &NewRefund,
    ) -> Result<RefundReport, ChannelError> {
        self.of(order)?.refund(refund).await
    }

    /// What became of a refund of an order's payment.
    pub(crate) async fn query_refund(
        &self,
        order: &Order,
        out_refund_no: &str,
    ) -> Result<RefundReport, ChannelError> {
        self.of(order)?.query_refund(out_refund_no).await
    }

    /// The client that an order was put with. Numbers of another merchant mean nothing to it.
    fn of(&self, order: &Order) -> Result<&v3::Channel, ChannelError> {
        if order.mchid != self.mchid() {
            return Err(ChannelError::Misconfigured {
                code: "MERCHANT_CHANGED".to_owned(),
                message: format!(
                    "merchant `{}` was {} when this was ordered, and is {} now",
                    self.name,
                    order.mchid,
                    self.mchid()
                ),
                request_id: None,
            });
        }
        match order.pay_by.api {
            PayApi::V3 => Ok(&self.channel),
        }
    }
}

/// The merchants, by name.
#[derive(Debug, Default)]
pub struct Merchants(BTreeMap<String, Merchant>);

impl Merchants {
    /// From what is configured.
    pub fn new(merchants: impl IntoIterator<Item = Merchant>) -> Self {
        Self(merchants.into_iter().map(|merchant| (merchant.name.clone(), merchant)).collect())
    }

    /// By name.
    pub fn get(&self, name: &str) -> Option<&Merchant> {
        self.0.get(name)
    }

    /// The first whose money is of this kind.
    pub fn for_livemode(&self, livemode: Livemode) -> Option<&Merchant> {
        self.0.values().find(|merchant| merchant.livemode == livemode)
    }
}
