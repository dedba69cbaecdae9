//! What keeps top-ups from being made, from the command line.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ConfigFile, Exit, Failed,
    hands::{Signed, ask},
    output::Format,
    table::List,
};

/// What a table shows of whose top-ups are slowed down or stopped.
const GATES: &[List] = &[List { at: "data", columns: &["scope", "id", "state", "since", "by", "why"] }];

#[derive(Debug, Subcommand)]
pub(super) enum GuardVerb {
    /// Whose top-ups are slowed down or stopped, since when, and why.
    Show {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        format: Format,
    },
    /// Let them be made again.
    Open(GuardArgs),
    /// Put a pause between them.
    Slow(GuardArgs),
    /// Stop them.
    Stop(GuardArgs),
}

#[derive(Debug, Args)]
pub(super) struct GuardArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Whose: `all`, `account:ID`, `agent:KEY-ID` or `merchant:NAME`.
    of: String,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

/// `guard ...`
pub(super) async fn run(verb: GuardVerb) -> Result<Exit, Failed> {
    let (state, args) = match verb {
        GuardVerb::Show { config, format } => {
            return ask(&config, Method::GET, "/admin/v1/gates", None, format.with(GATES)).await;
        }
        GuardVerb::Open(args) => ("open", args),
        GuardVerb::Slow(args) => ("slow", args),
        GuardVerb::Stop(args) => ("stopped", args),
    };
    let (scope, id) = args.of.split_once(':').unwrap_or((args.of.as_str(), ""));
    let body: Value = json!({"by": args.signed.by()?, "scope": scope, "id": id, "state": state});
    ask(&args.config, Method::POST, "/admin/v1/gates", Some(body), args.format).await
}
