//! What the file says of merchants, top-ups and rates of exchange, as payments takes it.

use std::{collections::HashMap, sync::Arc};

use anyhow::Context;
use payments::{
    channel::wechat::v3,
    fx::{FxSettings, FxSource},
    topup::{Merchant, Merchants, TopUpSettings},
    transport::Transport,
};
use units::Clock;

use crate::{
    edge::TrustedProxies,
    settings::{MerchantSettings, Secret, Settings},
};

pub(super) fn topup_settings(settings: &Settings) -> TopUpSettings {
    let topup = &settings.payments.topup;
    TopUpSettings {
        min: topup.min,
        bonus: settings.payments.bonus.clone(),
        max: topup.max,
        expires: topup.expires,
        description: topup.description.clone(),
    }
}

pub(super) fn merchants(
    settings: &Settings,
    public_url: &str,
    transport: &Arc<dyn Transport>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Merchants> {
    let merchant = |(name, merchant): (&String, &MerchantSettings)| -> anyhow::Result<Merchant> {
        let credentials = credentials(merchant).with_context(|| format!("[payments.wechat.{name}]"))?;
        let callback = |what: &str| format!("{public_url}/pay/wechat/v3/{name}/{what}");
        Ok(Merchant {
            name: name.clone(),
            livemode: merchant.mode.livemode(),
            channel: v3::Channel::new(
                merchant.base_url.clone(),
                credentials,
                transport.clone(),
                clock.clone(),
            ),
            mini_program_appid: merchant.mini_program_appid.clone(),
            mini_program_page: merchant.mini_program_page.clone(),
            notify_url: callback("notify"),
            refund_notify_url: callback("refund-notify"),
        })
    };
    settings.payments.merchants.iter().map(merchant).collect::<anyhow::Result<Vec<_>>>().map(Merchants::new)
}

/// Whose word counts for where a caller is.
pub(super) fn trusted_proxies(settings: &Settings) -> anyhow::Result<TrustedProxies> {
    let blocks: Vec<String> = settings.server.trusted_proxies.iter().map(ToString::to_string).collect();
    TrustedProxies::parse(blocks.iter().map(String::as_str)).context("server.trusted_proxies")
}

fn credentials(merchant: &MerchantSettings) -> Result<v3::Credentials, v3::CredentialsError> {
    let public_key = merchant
        .platform_public_key
        .iter()
        .map(|key| v3::PlatformKeyPart::PublicKey { id: key.id.clone(), pem: key.pem.clone() });
    let certificates = merchant
        .platform_certificates
        .iter()
        .map(|pem| v3::PlatformKeyPart::Certificate { pem: pem.clone() });
    let text = |secret: &Secret| secret.expose().to_owned();
    v3::Credentials::new(v3::CredentialParts {
        mchid: merchant.mchid.clone(),
        appid: merchant.appid.clone(),
        merchant_serial: merchant.merchant_serial.clone(),
        merchant_private_key_pem: text(&merchant.private_key),
        api_v3_key: text(&merchant.api_v3_key),
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
