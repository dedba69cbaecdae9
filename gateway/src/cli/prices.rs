//! Price lists, from the command line.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use payments::prices::{DEFAULT_LIST, Document};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ConfigFile, Exit, Failed, check, consent::agreed, desk::Desk, draft, output::Format};
use crate::settings::Settings;

#[derive(Debug, Subcommand)]
pub(super) enum PricesVerb {
    /// Every price list, and which version of it is in force.
    Lists {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        format: Format,
    },
    /// The prices of a version: the one in force unless another is named.
    Show {
        #[command(flatten)]
        config: ConfigFile,
        /// Which list.
        #[arg(default_value = DEFAULT_LIST)]
        list: String,
        /// Which version: a number, or `draft`.
        #[arg(long)]
        number: Option<String>,
        /// Print the document instead, to be edited and saved as a draft.
        #[arg(long)]
        document: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Save what may be published next, in the place of a draft that is there.
    Draft {
        #[command(flatten)]
        config: ConfigFile,
        /// Which list; a new name begins a new list.
        #[arg(default_value = DEFAULT_LIST)]
        list: String,
        /// The document, in TOML or JSON (`-` for standard input).
        #[arg(long, value_name = "FILE", required_unless_present_any = ["from_config", "from_catalog", "delete"])]
        file: Option<PathBuf>,
        /// Take the prices of the configuration file.
        #[arg(long, conflicts_with = "file")]
        from_config: bool,
        /// Take what the configured models cost us by the catalog; other models stay as in the version in force.
        #[arg(long, conflicts_with_all = ["file", "from_config"])]
        from_catalog: bool,
        /// What the costs are multiplied by: 1.25 puts a quarter on top.
        #[arg(long, value_name = "FACTOR", requires = "from_catalog", default_value = "1", value_parser = markup)]
        markup: Markup,
        /// Only these of the configured models; `*` stands for any characters.
        #[arg(long, value_name = "PATTERN,…", value_delimiter = ',', requires = "from_catalog")]
        models: Vec<String>,
        /// Throw the draft away.
        #[arg(long, conflicts_with_all = ["file", "from_config", "from_catalog"])]
        delete: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Lay the draft against the version in force; exits with 8 if they differ.
    Diff {
        #[command(flatten)]
        config: ConfigFile,
        /// Which list.
        #[arg(default_value = DEFAULT_LIST)]
        list: String,
        #[command(flatten)]
        format: Format,
    },
    /// Make the draft a version. New quotes are made by it; calls under way keep theirs.
    Publish {
        #[command(flatten)]
        config: ConfigFile,
        /// Which list.
        #[arg(default_value = DEFAULT_LIST)]
        list: String,
        /// From when on it counts, such as 2026-12-01T00:00:00+08:00; now where absent.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Show what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Say by which list an account buys.
    Assign {
        #[command(flatten)]
        config: ConfigFile,
        /// Which account.
        #[arg(long)]
        account: units::AccountId,
        /// Which list.
        #[arg(long, required_unless_present = "default")]
        list: Option<String>,
        /// Back to the list of everybody else.
        #[arg(long, conflicts_with = "list")]
        default: bool,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        format: Format,
    },
    /// The prices that rounding has moved by more than one per cent.
    Rounding {
        #[command(flatten)]
        config: ConfigFile,
        /// Which list.
        #[arg(default_value = DEFAULT_LIST)]
        list: String,
        /// Which version: a number, or `draft`; the one in force where absent.
        #[arg(long)]
        number: Option<String>,
        #[command(flatten)]
        format: Format,
    },
}

/// `prices ...`
pub(super) async fn run(verb: PricesVerb) -> Result<Exit, Failed> {
    match verb {
        PricesVerb::Lists { config, format } => get(&config, "/admin/v1/price-lists", format).await,
        PricesVerb::Show { config, list, number, document, format } => {
            let path = format!("{}{}", path_of(&list), if document { "/document" } else { "" });
            if document {
                let settings = check::load(&config.config)?;
                let document = Desk::once(&settings, Method::GET, &with_version(path, number), None).await?;
                println!("{document:#}");
                return Ok(Exit::Ok);
            }
            get(&config, &with_version(path, number), format).await
        }
        PricesVerb::Rounding { config, list, number, format } => {
            get(&config, &with_version(format!("{}/rounding", path_of(&list)), number), format).await
        }
        PricesVerb::Draft {
            config,
            list,
            file,
            from_config,
            from_catalog,
            markup,
            models,
            delete,
            format,
        } => {
            let settings = check::load(&config.config)?;
            let path = format!("{}/draft", path_of(&list));
            let saved = match file {
                _ if from_catalog => save_costs(&settings, &list, &markup, &models).await?,
                _ if delete => Desk::once(&settings, Method::DELETE, &path, None).await?,
                Some(file) => Desk::once(&settings, Method::PUT, &path, Some(&read_document(&file)?)).await?,
                None => {
                    debug_assert!(from_config, "clap asks for one of the four");
                    let document = serde_json::to_value(crate::reload::document(&settings.table))?;
                    Desk::once(&settings, Method::PUT, &path, Some(&document)).await?
                }
            };
            format.show(&saved)?;
            Ok(Exit::Ok)
        }
        PricesVerb::Diff { config, list, format } => {
            let settings = check::load(&config.config)?;
            let path = format!("{}/diff", path_of(&list));
            let diff = Desk::once(&settings, Method::GET, &path, None).await?;
            format.show(&diff)?;
            Ok(if diff["changed"] == true { Exit::Differences } else { Exit::Ok })
        }
        PricesVerb::Publish { config, list, at, reason, dry_run, yes, format } => {
            publish(&config.config, &list, at, reason, Consent { dry_run, yes }, format).await
        }
        PricesVerb::Assign { config, account, list, default: _, reason, format } => {
            let settings = check::load(&config.config)?;
            let path = format!("/admin/v1/accounts/{account}/price-list");
            let body = json!({"list": list, "reason": reason});
            let assigned = Desk::once(&settings, Method::PUT, &path, Some(&body)).await?;
            format.show(&assigned)?;
            Ok(Exit::Ok)
        }
    }
}

/// What is put on top of a cost, in per cent.
#[derive(Debug, Clone)]
pub(super) struct Markup(Option<String>);

fn markup(factor: &str) -> Result<Markup, String> {
    draft::markup(factor).map(Markup)
}

/// Saves the catalog's costs as a draft, over the version in force.
async fn save_costs(
    settings: &Settings,
    list: &str,
    markup: &Markup,
    models: &[String],
) -> Result<Value, Failed> {
    let desk = Desk::open(settings).await?;
    let saved = async {
        let document = desk.call(Method::GET, &format!("{}/document", path_of(list)), None).await;
        let base = match document {
            Ok(document) => serde_json::from_value(document)?,
            Err(failed) if failed.exit == Exit::NotFound => Document { scale: 2, ..Document::default() },
            Err(failed) => return Err(failed),
        };
        let drafted = draft::from_catalog(&settings.table, base, markup.0.as_deref(), models);
        let mut view = drafted.view();
        if drafted.is_empty() {
            let error = anyhow::anyhow!("no configured model has a cost that can be carried over: {view:#}");
            return Err(Failed { exit: Exit::NotFound, error });
        }
        let document = serde_json::to_value(&drafted.document)?;
        let saved = desk.call(Method::PUT, &format!("{}/draft", path_of(list)), Some(&document)).await?;
        for (name, value) in saved.as_object().into_iter().flatten() {
            view[name.as_str()] = value.clone();
        }
        Ok(view)
    };
    let saved: Result<Value, Failed> = saved.await;
    desk.close().await;
    saved
}

/// Whether something may be changed.
struct Consent {
    dry_run: bool,
    yes: bool,
}

async fn publish(
    config: &Path,
    list: &str,
    at: Option<String>,
    reason: String,
    consent: Consent,
    format: Format,
) -> Result<Exit, Failed> {
    let settings = check::load(config)?;
    let path = path_of(list);
    let desk = Desk::open(&settings).await?;
    let published = async {
        let mut diff = desk.call(Method::GET, &format!("{path}/diff"), None).await?;
        if consent.dry_run {
            diff["dry_run"] = true.into();
            diff["valid_from"] = json!(at);
            return Ok(diff);
        }
        let off = diff["off_by_rounding"].as_u64().unwrap_or(0);
        if off > 0 {
            eprintln!(
                "{off} prices are off by more than 1 % for rounding: see `tollgate prices rounding {list} --number draft`"
            );
        }
        if !consent.yes {
            agreed(&diff, "Publish this?", "prices diff", "not published")?;
        }
        // The hash names the draft that was looked at: another one that was saved meanwhile is refused.
        let body = json!({"source_hash": diff["source_hash"], "valid_from": at, "reason": reason});
        desk.call(Method::POST, &format!("{path}/publish"), Some(&body)).await
    };
    let published: Result<Value, Failed> = published.await;
    desk.close().await;
    format.show(&published?)?;
    Ok(Exit::Ok)
}

async fn get(config: &ConfigFile, path: &str, format: Format) -> Result<Exit, Failed> {
    let settings = check::load(&config.config)?;
    let shown = Desk::once(&settings, Method::GET, path, None).await?;
    format.show(&shown)?;
    Ok(Exit::Ok)
}

pub(super) fn path_of(list: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(list.as_bytes()).collect();
    format!("/admin/v1/price-lists/{}", escaped.replace('+', "%20"))
}

fn with_version(path: String, version: Option<String>) -> String {
    match version {
        Some(version) => {
            let query: String = url::form_urlencoded::byte_serialize(version.as_bytes()).collect();
            format!("{path}?version={query}")
        }
        None => path,
    }
}

/// A document in TOML or JSON, as JSON.
fn read_document(path: &Path) -> Result<Value, Failed> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| Failed {
            exit: Exit::NotFound,
            error: anyhow::anyhow!("{}: {error}", path.display()),
        })?
    };
    let wrong =
        |error: String| Failed { exit: Exit::Invalid, error: anyhow::anyhow!("{}: {error}", path.display()) };
    let document: Document = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| wrong(error.to_string()))?
    };
    Ok(serde_json::to_value(document)?)
}
