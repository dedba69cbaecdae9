//! Packages of tokens and credit codes, from the command line.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use units::Livemode;

use super::{
    ConfigFile, Exit, Failed, books::default_livemode, check, desk::Desk, hands::Who, output::Format,
};

#[derive(Debug, Subcommand)]
pub(super) enum PackagesVerb {
    /// Offer a package, or its next version: the one before is sold no longer, and stays good where it was sold.
    Set {
        #[command(flatten)]
        config: ConfigFile,
        /// What it offers, in TOML or JSON.
        file: PathBuf,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        format: Format,
    },
    /// What is on sale.
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// Every version of this one instead.
        #[arg(long)]
        id: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Take a package from sale.
    Retire {
        #[command(flatten)]
        config: ConfigFile,
        /// Which.
        id: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        format: Format,
    },
}

/// A package's file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageFile {
    id: String,
    title: String,
    price: String,
    tokens: i64,
    models: Vec<String>,
    weights: Option<WeightsFile>,
}

/// Thousandths of a token of the package that one token of each class burns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsFile {
    input: i64,
    cached_input: i64,
    cache_write: i64,
    output: i64,
}

fn path_of(id: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("/admin/v1/packages/{}", escaped.replace('+', "%20"))
}

fn read_package(path: &Path) -> Result<PackageFile, Failed> {
    let failed = |exit, error: String| Failed { exit, error: anyhow::anyhow!("{}: {error}", path.display()) };
    let text = std::fs::read_to_string(path).map_err(|error| failed(Exit::NotFound, error.to_string()))?;
    if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| failed(Exit::Invalid, error.to_string()))
    } else {
        toml::from_str(&text).map_err(|error| failed(Exit::Invalid, error.to_string()))
    }
}

/// `packages ...`
pub(super) async fn packages(verb: PackagesVerb) -> Result<Exit, Failed> {
    let (config, format, method, path, body) = match verb {
        PackagesVerb::Set { config, file, who, format } => {
            let read = read_package(&file)?;
            let mut body = json!({
                "by": who.by(None, None)?,
                "title": read.title,
                "price": read.price,
                "tokens": read.tokens,
                "models": read.models,
            });
            if let Some(burns) = read.weights {
                body["weights"] = json!({
                    "input": burns.input,
                    "cached_input": burns.cached_input,
                    "cache_write": burns.cache_write,
                    "output": burns.output,
                });
            }
            (config, format, Method::PUT, path_of(&read.id), Some(body))
        }
        PackagesVerb::List { config, id, format } => {
            let id: Option<String> =
                id.map(|id| url::form_urlencoded::byte_serialize(id.as_bytes()).collect());
            let query = id.map(|id| format!("?id={id}")).unwrap_or_default();
            (config, format, Method::GET, format!("/admin/v1/packages{query}"), None)
        }
        PackagesVerb::Retire { config, id, who, format } => {
            let body = json!({"by": who.by(None, None)?});
            (config, format, Method::POST, format!("{}/retire", path_of(&id)), Some(body))
        }
    };
    let settings = check::load(&config.config)?;
    let shown = Desk::once(&settings, method, &path, body.as_ref()).await?;
    format.show(&shown)?;
    Ok(Exit::Ok)
}

#[derive(Debug, Subcommand)]
pub(super) enum CodesVerb {
    /// Make credit codes. They are shown this once: only their digests are kept.
    Issue(IssueArgs),
    /// A campaign's codes and what became of them, without the codes.
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// Which campaign.
        #[arg(long)]
        campaign: String,
        #[command(flatten)]
        format: Format,
    },
    /// Withdraw a code. What it gave stays given.
    Void {
        #[command(flatten)]
        config: ConfigFile,
        /// Its digest, as `codes list` shows it.
        digest: String,
        #[command(flatten)]
        who: Who,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// What each gives, in yuan.
    #[arg(long)]
    amount: String,
    /// How many.
    #[arg(long)]
    count: u32,
    /// What they are part of: an account redeems one code of a campaign.
    #[arg(long)]
    campaign: String,
    /// Until when they can be redeemed, such as 2026-12-01T00:00:00+08:00.
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// For how many days what they give lasts; without end where absent.
    #[arg(long, value_name = "DAYS")]
    lasts_days: Option<u32>,
    /// Which kind of account may redeem them: `live` or `demo`. By default what the configured providers are.
    #[arg(long)]
    livemode: Option<Livemode>,
    #[command(flatten)]
    who: Who,
    /// How to show them.
    #[arg(long, value_enum, default_value = "json")]
    format: CodesForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CodesForm {
    /// One object with all of them.
    Json,
    /// A head, and a line for each.
    Csv,
}

/// `codes ...`
pub(super) async fn codes(verb: CodesVerb) -> Result<Exit, Failed> {
    match verb {
        CodesVerb::Issue(args) => issue(args).await,
        CodesVerb::List { config, campaign, format } => {
            let campaign: String = url::form_urlencoded::byte_serialize(campaign.as_bytes()).collect();
            let settings = check::load(&config.config)?;
            let path = format!("/admin/v1/codes?campaign={campaign}");
            format.show(&Desk::once(&settings, Method::GET, &path, None).await?)?;
            Ok(Exit::Ok)
        }
        CodesVerb::Void { config, digest, who, format } => {
            let settings = check::load(&config.config)?;
            let digest: String = url::form_urlencoded::byte_serialize(digest.as_bytes()).collect();
            let (path, body) = (format!("/admin/v1/codes/{digest}/void"), json!({"by": who.by(None, None)?}));
            format.show(&Desk::once(&settings, Method::POST, &path, Some(&body)).await?)?;
            Ok(Exit::Ok)
        }
    }
}

async fn issue(args: IssueArgs) -> Result<Exit, Failed> {
    let settings = check::load(&args.config.config)?;
    let livemode = args.livemode.unwrap_or_else(|| default_livemode(&settings));
    let body = json!({
        "by": args.who.by(None, None)?,
        "amount": args.amount,
        "count": args.count,
        "campaign": args.campaign,
        "livemode": livemode.as_str(),
        "expires": args.expires,
        "lasts_days": args.lasts_days,
    });
    let made = Desk::once(&settings, Method::POST, "/admin/v1/codes", Some(&body)).await?;
    match args.format {
        CodesForm::Json => println!("{made:#}"),
        CodesForm::Csv => print!("{}", csv(&made)),
    }
    Ok(Exit::Ok)
}

/// None of these texts needs quoting: codes, decimals, plain names and times.
fn csv(made: &Value) -> String {
    let text = |member: &str| made[member].as_str().unwrap_or_default();
    let mut lines = String::from("code,amount,campaign,expires\r\n");
    for code in made["codes"].as_array().into_iter().flatten() {
        let code = code.as_str().unwrap_or_default();
        lines += &format!("{code},{},{},{}\r\n", text("amount"), text("campaign"), text("expires"));
    }
    lines
}
