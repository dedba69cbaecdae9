//! Rates of exchange, from the command line.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::{ConfigFile, Exit, Failed, check, desk::Desk, output::Format};

#[derive(Debug, Subcommand)]
pub(super) enum FxVerb {
    /// What counts for each pair, how old it is, and who says so.
    Show {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        format: Format,
    },
    /// The rates of a pair that were accepted or pinned, the latest first.
    History {
        #[command(flatten)]
        config: ConfigFile,
        /// Which: `USD/CNY` is yuan per dollar.
        pair: String,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        format: Format,
    },
    /// Fix a rate by hand. No source is asked while it stands.
    Pin {
        #[command(flatten)]
        config: ConfigFile,
        /// Which pair.
        pair: String,
        /// Yuan per unit, such as 7.12.
        rate: String,
        /// When it ends by itself, such as 2026-12-01T00:00:00+08:00.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// Pin it also where it is more than 3 % off the last accepted rate.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        format: Format,
    },
    /// Let the sources speak again.
    Unpin {
        #[command(flatten)]
        config: ConfigFile,
        /// Which pair.
        pair: String,
        /// Why.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        format: Format,
    },
}

/// `fx ...`
pub(super) async fn run(verb: FxVerb) -> Result<Exit, Failed> {
    let (config, format, method, path, body) = match verb {
        FxVerb::Show { config, format } => (config, format, Method::GET, "/admin/v1/fx".to_owned(), None),
        FxVerb::History { config, pair, limit, format } => {
            let pair: String = url::form_urlencoded::byte_serialize(pair.as_bytes()).collect();
            (config, format, Method::GET, format!("/admin/v1/fx/history?pair={pair}&limit={limit}"), None)
        }
        FxVerb::Pin { config, pair, rate, until, reason, yes, format } => {
            let body = json!({"pair": pair, "rate": rate, "until": until, "reason": reason, "confirm": yes});
            (config, format, Method::POST, "/admin/v1/fx/pin".to_owned(), Some(body))
        }
        FxVerb::Unpin { config, pair, reason, format } => {
            let body = json!({"pair": pair, "reason": reason});
            (config, format, Method::POST, "/admin/v1/fx/unpin".to_owned(), Some(body))
        }
    };
    let settings = check::load(&config.config)?;
    let shown = Desk::once(&settings, method, &path, body.as_ref()).await?;
    format.show(&shown)?;
    Ok(Exit::Ok)
}
