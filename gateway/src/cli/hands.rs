//! What operators do by hand, from the command line: who does it, why, who agrees, under which key.

use std::os::unix::fs::MetadataExt;

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};
use units::{AccountId, Clock, KeyId, OrderId, RequestId};

use super::{ConfigFile, Exit, Failed, check, desk::Desk, output::Format, table::List};
use crate::clock::ProcessClock;

/// Who does it, and which doing of it this is.
#[derive(Debug, Clone, Args)]
pub(super) struct Who {
    /// Who does it; whoever is logged in where absent.
    #[arg(long, value_name = "NAME")]
    operator: Option<String>,
    /// A name for this one deed: said again with the same key, it is done once. Made up where absent.
    #[arg(long)]
    key: Option<String>,
}

/// What a table shows of payments that wait for a person.
const REVIEWS: &[List] = &[List {
    at: "data",
    columns: &["order", "account", "status", "ordered", "paid", "difference", "payment", "paid_at"],
}];

/// What is done to somebody's money says why, and where the ledger wants it, who agrees.
#[derive(Debug, Clone, Args)]
pub(super) struct Signed {
    /// Why.
    #[arg(long)]
    reason: String,
    /// The second person, where one is needed; not the first.
    #[arg(long, value_name = "NAME")]
    approver: Option<String>,
    #[command(flatten)]
    who: Who,
}

impl Who {
    pub(super) fn by(self, reason: Option<String>, approver: Option<String>) -> Result<Value, Failed> {
        let operator = match self.operator {
            Some(name) => name,
            None => logged_in().ok_or_else(|| Failed {
                exit: Exit::Usage,
                error: anyhow::anyhow!("this machine does not say who you are: add --operator NAME"),
            })?,
        };
        let key = self.key.unwrap_or_else(|| {
            let key = RequestId::new(ProcessClock::default().now()).bare();
            // Before it is done: whoever gets no answer asks again with it.
            eprintln!("key: {key}");
            key
        });
        Ok(json!({"operator": operator, "approver": approver, "reason": reason, "key": key}))
    }
}

impl Signed {
    pub(super) fn by(self) -> Result<Value, Failed> {
        self.who.by(Some(self.reason), self.approver)
    }
}

/// The user this process runs as, by name where there is one.
fn logged_in() -> Option<String> {
    let id = std::fs::metadata("/proc/self").ok()?.uid().to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut rows = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let name = rows.find(|row| row.get(2) == Some(&id.as_str())).map(|row| row[0].to_owned());
    Some(name.unwrap_or_else(|| format!("uid-{id}")))
}

/// One request, and its answer on standard output.
pub(super) async fn ask(
    config: &ConfigFile,
    method: Method,
    path: &str,
    body: Option<Value>,
    format: Format,
) -> Result<Exit, Failed> {
    let settings = check::load(&config.config)?;
    let shown = Desk::once(&settings, method, path, body.as_ref()).await?;
    format.show(&shown)?;
    Ok(Exit::Ok)
}

#[derive(Debug, Args)]
pub(super) struct AdjustArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Whose balance.
    #[arg(long)]
    account: AccountId,
    /// How much more, or with a minus less: yuan, or tokens.
    #[arg(long, allow_hyphen_values = true)]
    amount: String,
    /// Which balance: `CNY`, or `TOK:` and its name.
    #[arg(long, default_value = "CNY")]
    asset: String,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

/// `accounts adjust`
pub(super) async fn adjust(args: AdjustArgs) -> Result<Exit, Failed> {
    let body = json!({"by": args.signed.by()?, "amount": args.amount, "asset": args.asset});
    let path = format!("/admin/v1/accounts/{}/adjust", args.account);
    ask(&args.config, Method::POST, &path, Some(body), args.format).await
}

#[derive(Debug, Args)]
pub(super) struct StandingArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Which account.
    #[arg(long)]
    account: AccountId,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

/// `accounts stop|resume|close`
pub(super) async fn standing(verb: &str, args: StandingArgs) -> Result<Exit, Failed> {
    let body = json!({"by": args.signed.by()?});
    let path = format!("/admin/v1/accounts/{}/{verb}", args.account);
    ask(&args.config, Method::POST, &path, Some(body), args.format).await
}

#[derive(Debug, Subcommand)]
pub(super) enum OrdersVerb {
    /// Payments that agree with no order.
    #[command(subcommand)]
    Review(ReviewVerb),
}

#[derive(Debug, Subcommand)]
pub(super) enum ReviewVerb {
    /// What waits for a decision.
    List {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        format: Format,
    },
    /// Decide: the payment counts, or goes back whole.
    Resolve {
        #[command(flatten)]
        config: ConfigFile,
        /// Which order.
        order: OrderId,
        /// `credit` or `void`.
        #[arg(long, value_enum)]
        verdict: VerdictArg,
        /// WeChat Pay's number of the payment, where several named the order.
        #[arg(long)]
        payment: Option<String>,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum VerdictArg {
    /// What was paid is credited.
    Credit,
    /// What was paid goes back whole.
    Void,
}

/// `orders review ...`
pub(super) async fn orders(OrdersVerb::Review(verb): OrdersVerb) -> Result<Exit, Failed> {
    match verb {
        ReviewVerb::List { config, format } => {
            ask(&config, Method::GET, "/admin/v1/reviews", None, format.with(REVIEWS)).await
        }
        ReviewVerb::Resolve { config, order, verdict, payment, signed, format } => {
            let verdict = match verdict {
                VerdictArg::Credit => "credit",
                VerdictArg::Void => "void",
            };
            let body = json!({"by": signed.by()?, "verdict": verdict, "payment": payment});
            ask(&config, Method::POST, &format!("/admin/v1/reviews/{order}"), Some(body), format).await
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct BudgetOf {
    #[command(flatten)]
    config: ConfigFile,
    /// Whose money.
    #[arg(long)]
    account: AccountId,
    /// Only calls with this key count; every call of the account where absent.
    #[arg(long, value_name = "KEY")]
    api_key: Option<KeyId>,
    /// For how long: a day or a month of Beijing's, or in all.
    #[arg(long, value_enum)]
    period: PeriodArg,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PeriodArg {
    /// A day.
    Day,
    /// A calendar month.
    Month,
    /// As long as there is the key or the account.
    Total,
}

#[derive(Debug, Subcommand)]
pub(super) enum BudgetsVerb {
    /// Set or change one. What was counted so far stays.
    Set {
        /// At most this much, in yuan.
        #[arg(long)]
        limit: String,
        #[command(flatten)]
        of: BudgetOf,
    },
    /// Lift one: it only counts from now on.
    Clear {
        #[command(flatten)]
        of: BudgetOf,
    },
}

/// `budgets ...`
pub(super) async fn budgets(verb: BudgetsVerb) -> Result<Exit, Failed> {
    let (limit, of) = match verb {
        BudgetsVerb::Set { limit, of } => (Some(limit), of),
        BudgetsVerb::Clear { of } => (None, of),
    };
    let period = match of.period {
        PeriodArg::Day => "day",
        PeriodArg::Month => "month",
        PeriodArg::Total => "total",
    };
    let body = json!({"by": of.signed.by()?, "api_key": of.api_key, "period": period, "limit": limit});
    let path = format!("/admin/v1/accounts/{}/budgets", of.account);
    ask(&of.config, Method::PUT, &path, Some(body), of.format).await
}

#[derive(Debug, Subcommand)]
pub(super) enum CallsVerb {
    /// Give a wrong charge back to where it was taken from.
    Correct(CorrectArgs),
}

#[derive(Debug, Args)]
pub(super) struct CorrectArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Which call: its `x-request-id`.
    call: RequestId,
    /// This much of it: yuan, or tokens.
    #[arg(long, value_name = "AMOUNT", required_unless_present = "whole")]
    part: Option<String>,
    /// Which balance the part goes back to: `CNY`, or `TOK:` and its name.
    #[arg(long, conflicts_with = "whole")]
    asset: Option<String>,
    /// All that has not gone back yet.
    #[arg(long, conflicts_with = "part")]
    whole: bool,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

/// `calls correct`
pub(super) async fn correct(CallsVerb::Correct(args): CallsVerb) -> Result<Exit, Failed> {
    let by = args.signed.by()?;
    let body = json!({"by": by, "amount": args.part, "asset": args.asset, "whole": args.whole});
    let path = format!("/admin/v1/calls/{}/correct", args.call);
    ask(&args.config, Method::POST, &path, Some(body), args.format).await
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Which call: its `x-request-id`.
    call: RequestId,
    #[command(flatten)]
    format: Format,
}

/// `explain`
pub(super) async fn explain(args: ExplainArgs) -> Result<Exit, Failed> {
    let path = format!("/admin/v1/calls/{}", args.call);
    ask(&args.config, Method::GET, &path, None, args.format).await
}
