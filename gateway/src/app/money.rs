//! What the file says of merchants, top-ups and rates of exchange, as payments takes it.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use payments::{
    channel::wechat::{v2, v3},
    fx::{FxSettings, FxSource},
    ledger::{PayApi, PaySign},
    topup::{Callbacks, Merchant, Merchants, OverV2, OverV3, TopUpSettings},
    transport::Transport,
};
use units::Clock;

use crate::{
    edge::TrustedProxies,
    outbound::Outbound,
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

pub(super) fn merchants(
    settings: &Settings,
    public_url: &str,
    transport: &Arc<dyn Transport>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Merchants> {
    let merchant = |(name, merchant): (&String, &MerchantSettings)| -> anyhow::Result<Merchant> {
        let here = || format!("[payments.wechat.{name}]");
        let callbacks = |api: PayApi| {
            let callback = |what: &str| format!("{public_url}/pay/wechat/{api}/{name}/{what}");
            Callbacks { notify_url: callback("notify"), refund_notify_url: callback("refund-notify") }
        };
        let over_v3 = |keys: &V3Settings| -> anyhow::Result<OverV3> {
            let credentials = credentials(merchant, keys).with_context(here)?;
            let url = merchant.base_url.clone();
            let channel = v3::Channel::new(url, credentials, transport.clone(), clock.clone());
            Ok(OverV3 { channel, callbacks: callbacks(PayApi::V3) })
        };
        let over_v2 = |keys: &V2Settings| -> anyhow::Result<OverV2> {
            let key = v2::ApiV2Key::new(keys.key.expose().to_owned());
            let key = key.with_context(|| format!("{} api_v2_key", here()))?;
            let with_certificate = keys.certificate.as_ref().map(|(certificate, key)| {
                let outbound = Outbound::with_certificate(certificate.expose(), key.expose());
                let outbound = outbound.with_context(|| format!("{} certificate", here()))?;
                anyhow::Ok(Arc::new(outbound) as Arc<dyn Transport>)
            });
            // A simulator is reached without TLS, where there is nobody to show a certificate to.
            let plain = || (!merchant.base_url.starts_with("https://")).then(|| transport.clone());
            let transports = v2::Transports {
                plain: transport.clone(),
                with_certificate: with_certificate.transpose()?.or_else(plain),
            };
            let mchid = merchant.mchid.clone();
            let channel = v2::Channel::new(&merchant.base_url, mchid, key, transports, clock.clone());
            let sign_type = match keys.sign_type {
                V2SignType::HmacSha256 => PaySign::HmacSha256,
                V2SignType::Md5 => PaySign::Md5,
            };
            Ok(OverV2 { channel, sign_type, callbacks: callbacks(PayApi::V2) })
        };
        Ok(Merchant {
            name: name.clone(),
            livemode: merchant.mode.livemode(),
            mchid: merchant.mchid.clone(),
            appid: merchant.appid.clone(),
            mini_program_appid: merchant.mini_program_appid.clone(),
            mini_program_page: merchant.mini_program_page.clone(),
            api: match merchant.api {
                WechatApi::V3 => PayApi::V3,
                WechatApi::V2 => PayApi::V2,
            },
            v3: merchant.v3.as_ref().map(over_v3).transpose()?,
            v2: merchant.v2.as_ref().map(over_v2).transpose()?,
        })
    };
    settings.payments.merchants.iter().map(merchant).collect::<anyhow::Result<Vec<_>>>().map(Merchants::new)
}

/// Whose word counts for where a caller is.
pub(super) fn trusted_proxies(settings: &Settings) -> anyhow::Result<TrustedProxies> {
    let blocks: Vec<String> = settings.server.trusted_proxies.iter().map(ToString::to_string).collect();
    TrustedProxies::parse(blocks.iter().map(String::as_str)).context("server.trusted_proxies")
}

fn credentials(
    merchant: &MerchantSettings,
    keys: &V3Settings,
) -> Result<v3::Credentials, v3::CredentialsError> {
    let public_key = keys
        .platform_public_key
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
        previous_api_v3_key: None,
        platform_keys: public_key.chain(certificates).collect(),
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
