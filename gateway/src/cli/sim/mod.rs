//! The far side: running it, and asking one that runs.

mod controls;
mod running;

use std::{
    io::ErrorKind,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::{Exit, Failed, ready, signals};
use crate::app;

/// `sim` with a verb asks a simulator that runs; without one it runs one.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SimArgs {
    #[command(subcommand)]
    verb: Option<controls::SimVerb>,
    #[command(flatten)]
    serving: ServingArgs,
}

/// What `sim` is told that runs.
#[derive(Debug, Args)]
struct ServingArgs {
    /// Where it listens.
    #[arg(long, default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// Where merchants reach WeChat Pay over TLS too, with the certificates they were issued. Without it nowhere.
    #[arg(long, value_name = "ADDR")]
    tls_listen: Option<SocketAddr>,
    /// Where it keeps the credentials it issued to its merchant, and its certificate authority.
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

/// Where a simulator that listens at `url` is WeChat Pay: what a sandbox's `base_url` has to say.
pub(super) fn wechat(url: &str) -> String {
    format!("{url}/wechat")
}

/// `sim`
pub(super) async fn run(args: SimArgs) -> Result<Exit, Failed> {
    match args.verb {
        Some(verb) => Box::pin(controls::run(verb)).await,
        None => serve(args.serving).await,
    }
}

async fn serve(args: ServingArgs) -> Result<Exit, Failed> {
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
    eprintln!(
        "the simulated providers and WeChat Pay listen on {url}; base_url of a merchant: {}",
        wechat(&url)
    );
    let ca = args.dir.join("ca.pem");
    let tls_url = match args.tls_listen {
        None => None,
        Some(addr) => {
            let listener = app::bind(addr, "--tls-listen").await?;
            let tls_url = running.serve_tls(listener, &authority(&ca, &args.dir.join("ca_key.pem"))?)?;
            eprintln!("WeChat Pay listens on {} too, trusted by {}", wechat(&tls_url), ca.display());
            Some(tls_url)
        }
    };
    if let Some(path) = &args.ready_file {
        let says = json!({
            "sim_url": url,
            "wechat_url": wechat(&url),
            "tls_url": tls_url,
            "wechat_tls_url": tls_url.as_deref().map(wechat),
            "ca": tls_url.is_some().then_some(&ca),
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
pub(super) fn issued(dir: &Path) -> anyhow::Result<sim::wechat::Credentials> {
    std::fs::create_dir_all(dir).with_context(|| format!("the folder {}", dir.display()))?;
    let path = dir.join("wechat.json");
    let known: Option<sim::wechat::Credentials> = match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).with_context(|| path.display().to_string())?),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
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

/// Whom the simulator's TLS is trusted by: made once, so that configurations may go on naming the file.
fn authority(certificate: &Path, key: &Path) -> anyhow::Result<sim::Authority> {
    let read = |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    if certificate.exists() {
        return Ok(sim::Authority { certificate_pem: read(certificate)?, private_key_pem: read(key)? });
    }
    let made = sim::Authority::generate()?;
    std::fs::write(key, &made.private_key_pem).with_context(|| key.display().to_string())?;
    std::fs::write(certificate, &made.certificate_pem).with_context(|| certificate.display().to_string())?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_is_made_once_and_one_half_of_it_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("ca.pem"), folder.path().join("ca_key.pem"));
        let made = authority(&certificate, &key).unwrap();
        assert_eq!(authority(&certificate, &key).unwrap(), made);
        std::fs::remove_file(&key).unwrap();
        let refused = authority(&certificate, &key).unwrap_err();
        assert!(refused.to_string().contains("ca_key.pem"), "{refused:#}");
    }
}
