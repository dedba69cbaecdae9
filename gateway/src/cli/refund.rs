//! Money back, by an operator: looked at first, then asked for, agreed to, or taken back.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use units::{AccountId, OrderId, RefundBatchId};

use super::{
    ConfigFile, Exit, Failed, check,
    consent::agreed,
    desk::Desk,
    hands::{Signed, ask},
    output::Format,
    table::List,
};

#[derive(Debug, Subcommand)]
pub(super) enum RefundVerb {
    /// What would go back, of which payments, and what cannot.
    Preview {
        #[command(flatten)]
        wish: Wish,
    },
    /// Give unused money back, after a look at what it comes to. Above `payments.refunds.approve_above` it takes two people.
    Create {
        #[command(flatten)]
        wish: Wish,
        /// What the payer reads in WeChat: up to 80 bytes.
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        signed: Signed,
    },
    /// Refunds of an account or of one payment; without either, all that are not at an end.
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// An account or an order.
        of: Option<Target>,
        #[command(flatten)]
        format: Format,
    },
    /// One refund, with its parts, who asked for it and why.
    Show {
        #[command(flatten)]
        config: ConfigFile,
        /// Which.
        refund: RefundBatchId,
        #[command(flatten)]
        format: Format,
    },
    /// Agree to a refund that a customer asked for and that waits.
    Approve(Decide),
    /// Take a refund back of which nothing was sent yet: the money is the customer's to spend again.
    Cancel(Decide),
}

/// An account or an order, by its id.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Account(AccountId),
    Order(OrderId),
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let account = || text.parse().map(Self::Account);
        let order = || text.parse().map(Self::Order);
        account().ok().or_else(|| order().ok()).ok_or_else(|| "neither an account nor an order".to_owned())
    }
}

/// Whose money, and how much.
#[derive(Debug, Args)]
pub(super) struct Wish {
    #[command(flatten)]
    config: ConfigFile,
    /// An account, or one order of it; a payment for tokens must be named.
    of: Target,
    /// How much, in yuan; all that can go back where absent.
    #[arg(long)]
    amount: Option<String>,
    #[command(flatten)]
    format: Format,
}

impl Wish {
    fn body(&self) -> Value {
        match &self.of {
            Target::Account(id) => json!({"account": id, "amount": self.amount}),
            Target::Order(id) => json!({"order": id, "amount": self.amount}),
        }
    }
}

/// Which refund, by whom, and why.
#[derive(Debug, Args)]
pub(super) struct Decide {
    #[command(flatten)]
    config: ConfigFile,
    /// Which.
    refund: RefundBatchId,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

/// What a table shows of many refunds.
const REFUNDS: &[List] = &[List {
    at: "data",
    columns: &["id", "status", "amount", "account", "items", "created_at", "asked_by", "approver", "reason"],
}];
/// Of one.
const REFUND: &[List] =
    &[List { at: "items", columns: &["id", "order", "amount", "status", "ended_at", "detail"] }];
/// And of what could go back.
const PREVIEW: &[List] = &[
    List { at: "items", columns: &["order", "amount", "takes", "bonus"] },
    List { at: "stays", columns: &["why", "amount", "order"] },
];

/// `refund ...`
pub(super) async fn run(verb: RefundVerb) -> Result<Exit, Failed> {
    match verb {
        RefundVerb::Preview { wish } => {
            let path = "/admin/v1/refunds/preview";
            ask(&wish.config, Method::POST, path, Some(wish.body()), wish.format.with(PREVIEW)).await
        }
        RefundVerb::Create { wish, note, yes, signed } => create(wish, note, yes, signed).await,
        RefundVerb::List { config, of, format } => {
            let which = match of {
                None => String::new(),
                Some(Target::Account(id)) => format!("?account={id}"),
                Some(Target::Order(id)) => format!("?order={id}"),
            };
            ask(&config, Method::GET, &format!("/admin/v1/refunds{which}"), None, format.with(REFUNDS)).await
        }
        RefundVerb::Show { config, refund, format } => {
            ask(&config, Method::GET, &format!("/admin/v1/refunds/{refund}"), None, format.with(REFUND)).await
        }
        RefundVerb::Approve(args) => decide("approve", args).await,
        RefundVerb::Cancel(args) => decide("cancel", args).await,
    }
}

async fn decide(verb: &str, args: Decide) -> Result<Exit, Failed> {
    let body = json!({"by": args.signed.by()?});
    let path = format!("/admin/v1/refunds/{}/{verb}", args.refund);
    ask(&args.config, Method::POST, &path, Some(body), args.format.with(REFUND)).await
}

async fn create(wish: Wish, note: Option<String>, yes: bool, signed: Signed) -> Result<Exit, Failed> {
    let settings = check::load(&wish.config.config)?;
    let desk = Desk::open(&settings).await?;
    let created = async {
        let mut body = wish.body();
        if !yes {
            let preview = desk.call(Method::POST, "/admin/v1/refunds/preview", Some(&body)).await?;
            agreed(&preview, "Give this back?", "refund preview", "nothing goes back")?;
            // What was seen, not more that could go back meanwhile.
            body["amount"] = preview["amount"].clone();
        }
        body["by"] = signed.by()?;
        body["note"] = json!(note);
        desk.call(Method::POST, "/admin/v1/refunds", Some(&body)).await
    };
    let created: Result<Value, Failed> = created.await;
    desk.close().await;
    wish.format.with(REFUND).show(&created?)?;
    Ok(Exit::Ok)
}
