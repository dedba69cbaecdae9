//! What the file says of merchants, top-ups and rates of exchange, as payments takes it.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use payments::{
    channel::wechat::{Hosts, v2, v3},
    fx::{FxSettings, FxSource},
    ledger::{PayApi, PaySign},
    topup::{Callbacks, Merchant, Merchants, OverV2, OverV3, TopUpSettings},
    transport::Transport,
};
use units::Clock;

use crate::{
    edge::TrustedProxies,
    outbound::{Outbound, Tls},
    settings::{MerchantSettings, Secret, Settings, V2Settings, V2SignType, V3Settings, WechatApi},
};

pub(super) fn topup_settings(settings: &Settings) -> TopUpSettings {
    let topup = &settings.payments.topup;
    TopUpSettings {
        min: topup.min,
        bonus: settings.payments.bonus.clone(),
        max: topup.max,
        expires: topup.expires,
        description: topup.description.clone(),
        open_max: topup.open_orders_max,
        needs_device: topup.needs_device,
    }
}

/// What is the same for every merchant.
pub(crate) struct Surroundings {
    /// Where WeChat Pay reaches us, without a trailing slash.
    pub(crate) public_url: String,
    /// How it is reached.
    pub(crate) transport: Arc<dyn Transport>,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Surroundings {
    /// Everybody who is configured. One whose keys do not do is off, and keeps nobody else from serving.
    pub(super) fn merchants(&self, settings: &Settings) -> Merchants {
        let merchants = settings.payments.merchants.iter();
        let merchants = Merchants::new(merchants.map(|(name, said)| self.merchant(name, said, None)));
        merchants.all().iter().for_each(|merchant| say_if_off(merchant));
        merchants
    }

    /// What the running `merchants` become with the keys that `new` says; nothing is changed before the result is called.
    /// Whoever is to be somebody else than in `began` stays as it is until the process is started again.
    ///
    /// # Errors
    /// If somebody who is at work would be off.
    pub(super) fn rekeyed(
        &self,
        merchants: &Arc<Merchants>,
        began: &Settings,
        new: &Settings,
    ) -> anyhow::Result<impl FnOnce() + Send + use<>> {
        let (began, new) = (&began.payments.merchants, &new.payments.merchants);
        let mut next = Vec::new();
        for merchant in merchants.all() {
            let name = &merchant.name;
            let said = began.get(name).zip(new.get(name));
            let said = said.filter(|(began, new)| began.without_keys() == new.without_keys());
            next.push(match said {
                None => merchant,
                Some((_, new)) => {
                    let rekeyed = self.merchant(name, new, Some(&merchant));
                    let lost = (merchant.v3.is_some() && rekeyed.v3.is_none() && new.v3.is_some())
                        || (merchant.v2.is_some() && rekeyed.v2.is_none() && new.v2.is_some());
                    if let Some(why) = rekeyed.off.as_ref().filter(|_| merchant.off.is_none()) {
                        anyhow::bail!("merchant `{name}` would be off: {why}");
                    }
                    if lost || !new.amiss.is_empty() && merchant.off.is_none() {
                        anyhow::bail!("merchant `{name}` has keys that do not do: {}", new.amiss.join("; "));
                    }
                    Arc::new(rekeyed)
                }
            });
        }
        let merchants = Arc::clone(merchants);
        Ok(move || {
            next.iter().for_each(|merchant| say_if_off(merchant));
            merchants.replace(next);
        })
    }

    /// `running` is the same one as it is at work: what was downloaded for it stays.
    pub(crate) fn merchant(
        &self,
        name: &str,
        said: &MerchantSettings,
        running: Option<&Merchant>,
    ) -> Merchant {
        let mut amiss = said.amiss.clone();
        let mut or_amiss = |error: anyhow::Error| amiss.push(format!("payments.wechat.{name}: {error:#}"));
        let running_v3 = running.and_then(|merchant| merchant.v3.as_ref());
        let v3 = said.v3.as_ref().map(|keys| self.over_v3(name, said, keys, running_v3));
        let v3 = v3.transpose().map_err(&mut or_amiss).ok().flatten();
        let v2 = said.v2.as_ref().map(|keys| self.over_v2(name, said, keys));
        let v2 = v2.transpose().map_err(&mut or_amiss).ok().flatten();
        let (api, is_on) = match said.api {
            WechatApi::V3 => (PayApi::V3, v3.is_some()),
            WechatApi::V2 => (PayApi::V2, v2.is_some()),
        };
        if is_on {
            amiss.iter().for_each(|why| tracing::warn!(merchant = name, why, "an API is not spoken"));
        }
        Merchant {
            name: name.to_owned(),
            livemode: said.mode.livemode(),
            mchid: said.mchid.clone(),
            appid: said.appid.clone(),
            mini_program_appid: said.mini_program_appid.clone(),
            mini_program_page: said.mini_program_page.clone(),
            api,
            v3,
            v2,
            off: (!is_on).then(|| amiss.join("; ")),
        }
    }

    /// How a merchant's WeChat Pay is reached: whoever is trusted for this merchant is trusted for nobody else.
    fn transport_to(&self, said: &MerchantSettings) -> anyhow::Result<Arc<dyn Transport>> {
        match said.ca.as_deref() {
            None => Ok(self.transport.clone()),
            ca => Ok(Arc::new(Outbound::new(&Tls { ca, identity: None }).context("ca")?)),
        }
    }

    fn callbacks(&self, name: &str, api: PayApi) -> Callbacks {
        let callback = |what: &str| format!("{}/pay/wechat/{api}/{name}/{what}", self.public_url);
        Callbacks { notify_url: callback("notify"), refund_notify_url: callback("refund-notify") }
    }

    fn over_v3(
        &self,
        name: &str,
        said: &MerchantSettings,
        keys: &V3Settings,
        running: Option<&OverV3>,
    ) -> anyhow::Result<OverV3> {
        let credentials = credentials(said, keys)?;
        if let Some(certificate) = &keys.certificate {
            credentials.fits(certificate).context("certificate")?;
        }
        let hosts = hosts(said);
        let channel = match running {
            Some(OverV3 { channel, .. }) => channel.renewed(hosts, credentials),
            None => v3::Channel::new(hosts, credentials, self.transport_to(said)?, self.clock.clone()),
        };
        Ok(OverV3 { channel, callbacks: self.callbacks(name, PayApi::V3) })
    }

    fn over_v2(&self, name: &str, said: &MerchantSettings, keys: &V2Settings) -> anyhow::Result<OverV2> {
        let key = v2::ApiV2Key::new(keys.key.expose().to_owned()).context("api_v2_key")?;
        let with_certificate = keys.certificate.as_ref().map(|(certificate, key)| {
            let identity = Some((certificate.expose(), key.expose()));
            let outbound = Outbound::new(&Tls { ca: said.ca.as_deref(), identity });
            anyhow::Ok(Arc::new(outbound.context("certificate")?) as Arc<dyn Transport>)
        });
        let transport = self.transport_to(said)?;
        // A simulator is reached without TLS, where there is nobody to show a certificate to.
        let plain = || (!said.base_url.starts_with("https://")).then(|| transport.clone());
        let transports = v2::Transports {
            plain: transport.clone(),
            with_certificate: with_certificate.transpose()?.or_else(plain),
        };
        let channel = v2::Channel::new(hosts(said), said.mchid.clone(), key, transports, self.clock.clone());
        let sign_type = match keys.sign_type {
            V2SignType::HmacSha256 => PaySign::HmacSha256,
            V2SignType::Md5 => PaySign::Md5,
        };
        Ok(OverV2 { channel, sign_type, callbacks: self.callbacks(name, PayApi::V2) })
    }
}

fn say_if_off(merchant: &Merchant) {
    if let Some(why) = &merchant.off {
        tracing::error!(merchant = merchant.name, why, "top-ups by this merchant are off");
    }
}

fn hosts(said: &MerchantSettings) -> Hosts {
    Hosts::new(&said.base_url, said.backup_url.as_deref())
}

/// Whose word counts for where a caller is.
pub(super) fn trusted_proxies(settings: &Settings) -> anyhow::Result<TrustedProxies> {
    let blocks: Vec<String> = settings.server.trusted_proxies.iter().map(ToString::to_string).collect();
    TrustedProxies::parse(blocks.iter().map(String::as_str)).context("server.trusted_proxies")
}

/// What a merchant signs, decrypts and verifies with.
pub(crate) fn credentials(
    merchant: &MerchantSettings,
    keys: &V3Settings,
) -> Result<v3::Credentials, v3::CredentialsError> {
    let public_keys = keys
        .platform_public_keys
        .iter()
        .map(|key| v3::PlatformKeyPart::PublicKey { id: key.id.clone(), pem: key.pem.clone() });
    let certificates =
        keys.platform_certificates.iter().map(|pem| v3::PlatformKeyPart::Certificate { pem: pem.clone() });
    let text = |secret: &Secret| secret.expose().to_owned();
    v3::Credentials::new(v3::CredentialParts {
        mchid: merchant.mchid.clone(),
        appid: merchant.appid.clone(),
        merchant_serial: keys.merchant_serial.clone(),
        merchant_private_key_pem: text(&keys.private_key),
        api_v3_key: text(&keys.api_v3_key),
        previous_api_v3_key: keys.previous_api_v3_key.as_ref().map(text),
        platform_keys: public_keys.chain(certificates).collect(),
        download_certificates: keys.download_certificates,
    })
}

pub(super) fn fx_settings(settings: &Settings) -> FxSettings {
    let mut sources: HashMap<String, Vec<FxSource>> = HashMap::new();
    for source in &settings.fx.sources {
        sources.entry(source.pair.to_string()).or_default().push(FxSource {
            name: source.name.clone(),
            url: source.url.clone(),
            pointer: source.pointer.clone(),
            observed: source.observed.clone(),
        });
    }
    FxSettings {
        sources,
        cache: settings.fx.cache,
        max_stale: settings.fx.max_stale,
        patience: settings.fx.patience,
    }
}
