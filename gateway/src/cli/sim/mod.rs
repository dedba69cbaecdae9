//! Running only the far side.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::{Exit, Failed, ready, signals};
use crate::app;

/// What `sim` is told.
#[derive(Debug, Args)]
pub(super) struct SimArgs {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// Where it keeps the credentials it issued to its merchant.
    #[arg(long, value_name = "PATH", default_value = "./tollgate-sim")]
    dir: PathBuf,
    /// Written once it listens.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Before the first token, in milliseconds.
    #[arg(long, default_value_t = 20)]
    first_token_ms: u64,
    /// Between two tokens, in milliseconds.
    #[arg(long, default_value_t = 5)]
    gap_ms: u64,
}

/// The key that the simulated providers accept.
pub(super) const PROVIDER_KEY: &str = "sk-sim-provider-key";

/// `sim`
pub(super) async fn run(args: SimArgs) -> Result<Exit, Failed> {
    let credentials = issued(&args.dir)?;
    let listener = app::bind(args.listen, "--listen").await?;
    let settings = sim::SimSettings {
        wechat: credentials.clone(),
        clock: sim::ManualOffsetClock::new(),
        seed: 7,
        provider_key: PROVIDER_KEY.to_owned(),
        first_token_ms: args.first_token_ms,
        gap_ms: args.gap_ms,
    };
    let running = sim::start(listener, settings).await?;
    let url = format!("http://{}", running.addr());
    eprintln!("the simulated providers and WeChat Pay listen on {url}");
    if let Some(path) = &args.ready_file {
        let says = json!({
            "sim_url": url,
            "provider_key": PROVIDER_KEY,
            "mchid": credentials.mchid,
            "appid": credentials.appid,
            "mini_program_appid": credentials.mini_program_appid,
            "merchant_serial": credentials.merchant_serial,
            "platform_key_id": credentials.platform_key_id,
            "dir": args.dir,
        });
        ready::write(path, &says)?;
    }
    signals::asked_to_stop().await?;
    running.stop().await;
    Ok(Exit::Ok)
}

/// What the simulated WeChat Pay issued to its merchant: made once, and kept as the files a merchant would have.
pub(super) fn issued(dir: &std::path::Path) -> anyhow::Result<sim::wechat::Credentials> {
    std::fs::create_dir_all(dir).with_context(|| format!("the folder {}", dir.display()))?;
    let path = dir.join("wechat.json");
    let known: Option<sim::wechat::Credentials> = match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    // What an older one has written is kept, and what it did not issue yet is added.
    let credentials = match known.clone() {
        Some(known) => known.completed().with_context(|| path.display().to_string())?,
        None => sim::wechat::Credentials::generate(),
    };
    if known.as_ref() != Some(&credentials) {
        std::fs::write(&path, serde_json::to_string_pretty(&credentials)?)?;
    }
    std::fs::write(dir.join("merchant_key.pem"), &credentials.merchant_private_key_pem)?;
    std::fs::write(dir.join("merchant_certificate.pem"), &credentials.merchant_certificate_pem)?;
    std::fs::write(dir.join("api_v3_key.txt"), &credentials.api_v3_key)?;
    std::fs::write(dir.join("api_v2_key.txt"), &credentials.api_v2_key)?;
    std::fs::write(dir.join("platform_public_key.pem"), &credentials.platform_public_key_pem)?;
    Ok(credentials)
}
