//! With which merchant account?

use std::collections::BTreeMap;

use units::Livemode;

use crate::channel::wechat::v3;

/// One WeChat Pay merchant account.
#[derive(Debug)]
pub struct Merchant {
    /// Its name in the configuration, and in its callback address.
    pub name: String,
    /// Whether its money is real.
    pub livemode: Livemode,
    /// How it is spoken to.
    pub channel: v3::Channel,
    /// Where WeChat Pay reports payments.
    pub notify_url: String,
    /// Where WeChat Pay reports refunds.
    pub refund_notify_url: String,
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
