//! Do a merchant's keys fit together, and does WeChat Pay take them?
//!
//! Offline it looks at what is written and at the files that are named; with `--live` it asks. Nothing is shown of a key.

use std::{fmt, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use payments::{
    channel::{
        ChannelError,
        wechat::{
            v2::Terms,
            v3::{Downloaded, MerchantCertificate},
        },
    },
    topup::{Merchant, sign_type},
};
use serde_json::json;
use units::{Clock, OrderId, Timestamp};

use super::{ConfigFile, Exit, Failed, check, output::Format};
use crate::{
    app::money::{Surroundings, credentials},
    clock::ProcessClock,
    outbound::{Outbound, Tls},
    settings::{MerchantMode, MerchantSettings, Settings},
};

/// A certificate that ends sooner is warned of: WeChat Pay's console takes some days to issue one.
const ENDS_SOON: Duration = Duration::from_secs(30 * 24 * 3600);
/// Our clock may be so far off before somebody is warned.
const SKEW_SECS_MAX: u64 = 60;
/// So far off nothing that we sign is taken.
///
/// Source: WeChat Pay API v3, building the signature: five minutes.
const REFUSED_SKEW_SECS: u64 = 300;
/// The code of a 404 that says nothing in WeChat Pay's words.
const NOTHING_THERE: &str = "HTTP_404";

/// `doctor`
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Ask WeChat Pay (or the simulator, of a sandbox) for certificates and for an order that does not exist. Nothing changes there.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    format: Format,
}

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// As it should be.
    Ok,
    /// It works, but not for ever or not in every case.
    Warn,
    /// It does not work.
    Wrong,
    /// WeChat Pay was not reached.
    Unreached,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Wrong => "wrong",
            Self::Unreached => "unreached",
        })
    }
}

/// What was found, of one merchant.
struct Findings<'a> {
    merchant: &'a str,
    found: Vec<(Level, String)>,
}

impl Findings<'_> {
    fn add(&mut self, level: Level, what: impl Into<String>) {
        self.found.push((level, what.into()));
    }
}

/// `doctor`: exits with 6 if something is wrong, with 7 if only WeChat Pay was not to be reached.
pub(super) async fn run(args: DoctorArgs) -> Result<Exit, Failed> {
    let settings = check::load(&args.config.config)?;
    let clock: Arc<dyn Clock> = Arc::new(ProcessClock::default());
    let around = Surroundings {
        public_url: settings.server.public_url.clone().unwrap_or_default(),
        transport: Arc::new(Outbound::new(&Tls::default()).context("TLS for outgoing calls")?),
        clock: clock.clone(),
    };
    let mut all = Vec::new();
    for (name, said) in &settings.payments.merchants {
        let mut findings = Findings { merchant: name, found: Vec::new() };
        offline(&settings, said, clock.now(), &mut findings);
        if args.live {
            live(&around.merchant(name, said, None), &said.base_url, &*clock, &mut findings).await;
        }
        all.push(findings);
    }
    let levels = || all.iter().flat_map(|findings| &findings.found).map(|(level, _)| *level);
    let rows = all.iter().flat_map(|Findings { merchant, found }| {
        let row = move |(level, what): &(Level, String)| json!({"merchant": merchant, "level": level.to_string(), "what": what});
        found.iter().map(row)
    });
    let rows: Vec<_> = rows.collect();
    if args.format.is_json() {
        args.format.show(&json!({"object": "list", "data": rows}))?;
    } else {
        for Findings { merchant, found } in &all {
            for (level, what) in found {
                println!("{level:9} {merchant}: {what}");
            }
        }
    }
    if all.is_empty() {
        eprintln!("tollgate: no merchant is configured");
    }
    Ok(if levels().any(|level| level == Level::Wrong) {
        Exit::Invalid
    } else if levels().any(|level| level == Level::Unreached) {
        Exit::Upstream
    } else {
        Exit::Ok
    })
}

/// What can be said without asking anybody.
fn offline(settings: &Settings, said: &MerchantSettings, now: Timestamp, findings: &mut Findings<'_>) {
    for what in &said.amiss {
        findings.add(Level::Wrong, what.as_str());
    }
    forms(settings, said, findings);
    if let Some(keys) = &said.v3 {
        match credentials(said, keys) {
            Ok(credentials) => {
                findings.add(Level::Ok, "API v3: the keys can be read");
                match &keys.certificate {
                    Some(certificate) => match credentials.fits(certificate) {
                        Ok(certificate) => dates("certificate", &certificate, now, findings),
                        Err(error) => findings.add(Level::Wrong, error.to_string()),
                    },
                    None => findings.add(
                        Level::Warn,
                        "no `certificate`: whether `merchant_serial` belongs to `private_key` only WeChat Pay can say",
                    ),
                }
                for (serial, until) in credentials.platform_certificates() {
                    if until < now {
                        findings.add(Level::Warn, format!("platform_certificates: {serial} has ended"));
                    }
                }
            }
            Err(error) => findings.add(Level::Wrong, error.to_string()),
        }
    }
    if let Some(keys) = &said.v2 {
        findings.add(Level::Ok, "API v2: the key can be one");
        match &keys.certificate {
            Some((certificate, key)) => match MerchantCertificate::of(certificate.expose(), key.expose()) {
                Ok(certificate) if said.v3.is_none() => dates("certificate", &certificate, now, findings),
                Ok(_) => {} // said above
                Err(error) => findings.add(Level::Wrong, error.to_string()),
            },
            None => findings.add(Level::Warn, "no `certificate`: API v2 gives nothing back without it"),
        }
    }
}

/// Numbers and addresses.
fn forms(settings: &Settings, said: &MerchantSettings, findings: &mut Findings<'_>) {
    if said.mchid.len() != 10 {
        findings.add(Level::Warn, "mchid: merchant numbers have ten digits");
    }
    let of_an_app = |appid: &str| {
        appid.len() == 18
            && appid.strip_prefix("wx").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let apps = [("appid", Some(&said.appid)), ("mini_program_appid", said.mini_program_appid.as_ref())];
    for (key, _) in apps.into_iter().filter(|(_, appid)| appid.is_some_and(|appid| !of_an_app(appid))) {
        findings.add(Level::Warn, format!("{key}: app ids are `wx` and 16 hex digits"));
    }
    if said.mode == MerchantMode::Live {
        match settings.server.public_url.as_deref() {
            Some(url) if url.starts_with("https://") => {
                findings.add(Level::Ok, format!("WeChat Pay reports to {url}"));
            }
            Some(url) => findings.add(Level::Wrong, format!("server.public_url: {url} is not https")),
            None => findings.add(Level::Wrong, "server.public_url: WeChat Pay cannot report to nowhere"),
        }
    }
}

fn dates(key: &str, certificate: &MerchantCertificate, now: Timestamp, findings: &mut Findings<'_>) {
    let MerchantCertificate { serial, from, until } = certificate;
    let day = |at: Timestamp| crate::cashier::time(at).to_string();
    if *until < now {
        findings.add(Level::Wrong, format!("{key}: {serial} has ended, on {}", day(*until)));
    } else if now < *from {
        findings.add(Level::Wrong, format!("{key}: {serial} begins only on {}", day(*from)));
    } else if *until < now.after(ENDS_SOON) {
        findings.add(Level::Warn, format!("{key}: {serial} ends on {}", day(*until)));
    } else {
        findings.add(Level::Ok, format!("{key}: {serial} belongs to the private key, until {}", day(*until)));
    }
}

/// What WeChat Pay says.
async fn live(merchant: &Merchant, base_url: &str, clock: &dyn Clock, findings: &mut Findings<'_>) {
    // A number that nobody has.
    let nobodys = OrderId::new(clock.now()).bare();
    let mut asked = Vec::new();
    if let Some(v3) = &merchant.v3
        && in_time(v3.channel.clock_skew().await, findings)
    {
        match v3.channel.download_certificates().await {
            Ok(Downloaded::Certificates(serials)) => {
                findings.add(Level::Ok, format!("API v3: platform certificates {}", serials.join(", ")));
            }
            Ok(Downloaded::PublicKeyOnly) => {
                findings
                    .add(Level::Ok, "API v3: WeChat Pay signs with its public key and has no certificates");
            }
            Err(error) => asked.push(("API v3: platform certificates", error)),
        }
        asked.extend(unknown_order("API v3", v3.channel.query(&nobodys).await.map(|_| ()), findings));
    }
    if let Some(v2) = &merchant.v2 {
        let terms = Terms { appid: merchant.appid.clone(), sign_type: sign_type(v2.sign_type) };
        asked.extend(unknown_order("API v2", v2.channel.query(&terms, &nobodys).await.map(|_| ()), findings));
    }
    if !asked.is_empty() && asked.iter().all(|(_, error)| error.code() == NOTHING_THERE) {
        let what = format!(
            "base_url: nothing stands at {base_url} but 404: a simulator's address ends with `/wechat`, and WeChat \
             Pay's has no path"
        );
        return findings.add(Level::Wrong, what);
    }
    for (of, error) in asked {
        findings.add(failed(&error), format!("{of}: {error}"));
    }
}

/// Whether our clock is near enough to WeChat Pay's for it to look at a signature at all.
fn in_time(skew: Result<Option<i64>, ChannelError>, findings: &mut Findings<'_>) -> bool {
    let secs = match skew {
        Ok(Some(secs)) => secs,
        Ok(None) => {
            findings.add(Level::Warn, "WeChat Pay's answer does not say what time it is there");
            return true;
        }
        Err(error) => {
            findings.add(failed(&error), format!("API v3: {error}"));
            return true;
        }
    };
    let off = secs.unsigned_abs();
    let side = if secs < 0 { "behind" } else { "ahead of" };
    let refused = off >= REFUSED_SKEW_SECS;
    let level = if off > SKEW_SECS_MAX { Level::Wrong } else { Level::Ok };
    let then = if refused {
        ": nothing is taken that we sign, so whether our keys are right was not asked"
    } else {
        ""
    };
    findings.add(level, format!("our clock is {off} s {side} WeChat Pay's{then}"));
    !refused
}

/// Who is told that there is no such order has been understood; any other error is given back.
fn unknown_order(
    api: &'static str,
    asked: Result<(), ChannelError>,
    findings: &mut Findings<'_>,
) -> Option<(&'static str, ChannelError)> {
    match asked {
        Err(ChannelError::NotFound { .. }) => {
            findings.add(Level::Ok, format!("{api}: WeChat Pay takes our signature"));
        }
        Ok(()) => findings.add(Level::Warn, format!("{api}: an order that nobody made is said to exist")),
        Err(error) => return Some((api, error)),
    }
    None
}

const fn failed(error: &ChannelError) -> Level {
    match error {
        ChannelError::NoAnswer(_) | ChannelError::Unclear { .. } | ChannelError::Busy { .. } => {
            Level::Unreached
        }
        _ => Level::Wrong,
    }
}
