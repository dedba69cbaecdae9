//! Days beside WeChat Pay's bill, from the command line: compared, explained, signed off, shown.

use std::{io::Write, path::PathBuf, time::Duration};

use anyhow::Context;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ConfigFile, Exit, Failed, check,
    desk::Desk,
    hands::{Signed, Who},
    output::Format,
    progress::{Bar, Style},
    table::List,
};

/// How often it is asked how far the work is.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The columns of a report in CSV: one line a difference.
const COLUMNS: [&str; 15] = [
    "date",
    "merchant",
    "id",
    "class",
    "status",
    "out_trade_no",
    "out_refund_no",
    "transaction_id",
    "order",
    "bill",
    "ours",
    "booked",
    "unmatched",
    "detail",
    "opened_at",
];
/// What follows in each line, of the resolution.
const RESOLVED: [&str; 5] = ["class", "by", "reason", "evidence", "at"];

/// What a table shows of days, and below it of what did not agree on them.
const DAYS: &[List] = &[
    List {
        at: "data",
        columns: &[
            "date",
            "merchant",
            "status",
            "payments",
            "paid",
            "refunds",
            "refunded",
            "fees",
            "open",
            "unlisted",
            "unmatched",
            "signed_off.by",
            "signed_off.approver",
        ],
    },
    List {
        at: "data.differences",
        columns: &[
            "date",
            "merchant",
            "id",
            "class",
            "status",
            "out_trade_no",
            "out_refund_no",
            "bill",
            "ours",
            "unmatched",
            "detail",
            "resolution.class",
            "resolution.by",
        ],
    },
];

#[derive(Debug, Subcommand)]
pub(super) enum ReconcileVerb {
    /// Compare a day with WeChat Pay's bill of it, fetched or brought. Doing it again changes nothing that was explained.
    Wechat(WechatArgs),
    /// Say why something did not agree.
    Resolve(ResolveArgs),
    /// Say that a day is settled, once nothing of it is open.
    SignOff(SignOffArgs),
    /// Show what days came to and what did not agree.
    Report(ReportArgs),
}

#[derive(Debug, Args)]
pub(super) struct WechatArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The day in Beijing, such as 2025-10-08.
    #[arg(long)]
    date: String,
    /// A merchant's name or number; every one where absent.
    #[arg(long)]
    merchant: Option<String>,
    /// A bill from the merchant console: the trade bill, and again for the fund flow bill. Fetched where absent.
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// How to say on standard error how far it is.
    #[arg(long, value_enum, default_value = "auto")]
    progress: Style,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Which difference: `diff_...`
    id: String,
    /// What the reason is, in a word: lost_notice, console_refund, other_system, other_day, bill_wrong, ours_wrong, fraud,
    /// terms or other.
    #[arg(long)]
    class: String,
    /// What shows it: a ticket, a document.
    #[arg(long)]
    evidence: Option<String>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct SignOffArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The day in Beijing.
    #[arg(long)]
    date: String,
    /// A merchant's name or number; every one where absent.
    #[arg(long)]
    merchant: Option<String>,
    /// What there is to say.
    #[arg(long)]
    reason: Option<String>,
    /// The second person, where the first explained a difference of the day.
    #[arg(long, value_name = "NAME")]
    approver: Option<String>,
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The day in Beijing.
    #[arg(long, required_unless_present = "from")]
    date: Option<String>,
    /// The first of several days.
    #[arg(long, conflicts_with = "date", requires = "to")]
    from: Option<String>,
    /// The last of them.
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// A merchant's name or number; every one where absent.
    #[arg(long)]
    merchant: Option<String>,
    /// How to show it; by default a table on a terminal, JSON otherwise. CSV has one line a difference.
    #[arg(long, value_enum, conflicts_with = "output")]
    format: Option<ReportForm>,
    #[command(flatten)]
    shown: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReportForm {
    /// A line a day, and below it a line a difference.
    Table,
    /// Indented JSON.
    Json,
    /// One line a difference.
    Csv,
}

/// `reconcile ...`
pub(super) async fn run(verb: ReconcileVerb) -> Result<Exit, Failed> {
    match verb {
        ReconcileVerb::Wechat(args) => wechat(args).await,
        ReconcileVerb::Resolve(args) => {
            let body = json!({"by": args.signed.by()?, "class": args.class, "evidence": args.evidence});
            let id = percent_encoded(&args.id);
            let path = format!("/admin/v1/reconciliation/differences/{id}/resolve");
            let shown = once(&args.config, Method::POST, &path, Some(body)).await?;
            args.format.show(&shown)?;
            Ok(Exit::Ok)
        }
        ReconcileVerb::SignOff(args) => {
            let by = args.who.by(args.reason, args.approver)?;
            let body = json!({"by": by, "merchant": args.merchant});
            let path = format!("/admin/v1/reconciliation/days/{}/sign-off", percent_encoded(&args.date));
            let shown = once(&args.config, Method::POST, &path, Some(body)).await?;
            args.format.with(DAYS).show(&shown)?;
            Ok(Exit::Ok)
        }
        ReconcileVerb::Report(args) => report(args).await,
    }
}

async fn once(config: &ConfigFile, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failed> {
    let desk = Desk::reconciling(&check::load(&config.config)?).await?;
    let answer = desk.call(method, path, body.as_ref()).await;
    desk.close().await;
    answer
}

async fn wechat(args: WechatArgs) -> Result<Exit, Failed> {
    let settings = check::load(&args.config.config)?;
    let mut files = Vec::with_capacity(args.file.len());
    for path in &args.file {
        let read = std::fs::read(path).with_context(|| path.display().to_string());
        let bytes = read.map_err(|error| Failed { exit: Exit::NotFound, error })?;
        files.push(json!({"name": path.display().to_string(), "base64": STANDARD.encode(bytes)}));
    }
    let by = args.who.by(None, None)?;
    let body = json!({"by": by, "date": args.date, "merchant": args.merchant, "files": files});
    let desk = Desk::reconciling(&settings).await?;
    let answer = watched(&desk, &body, args.progress).await;
    desk.close().await;
    let answer = answer?;
    args.format.with(DAYS).show(&answer)?;
    Ok(of_days(&answer))
}

/// Asks for the comparison, and now and then how far it is.
async fn watched(desk: &Desk, body: &Value, style: Style) -> Result<Value, Failed> {
    let mut bar = Bar::new(style);
    let mut asked = std::pin::pin!(desk.call(Method::POST, "/admin/v1/reconciliation/runs", Some(body)));
    let answer = loop {
        tokio::select! {
            answer = &mut asked => break answer,
            () = tokio::time::sleep(LOOK_EVERY) => {
                // How far it is is no more than a courtesy.
                if let Ok(seen) = desk.call(Method::GET, "/admin/v1/reconciliation/progress", None).await {
                    bar.shown(&seen["running"]);
                }
            }
        }
    };
    bar.end();
    answer
}

/// Something is open as long as one difference is, on any of the days.
fn of_days(answer: &Value) -> Exit {
    let days = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let open = |day: &Value| day["open"].as_i64() != Some(0) || day["unlisted"].as_i64() != Some(0);
    if days.iter().any(open) { Exit::Differences } else { Exit::Ok }
}

async fn report(args: ReportArgs) -> Result<Exit, Failed> {
    let (from, to) = match (args.date, args.from.zip(args.to)) {
        (Some(date), _) => (date.clone(), date),
        (None, Some(days)) => days,
        (None, None) => (String::new(), String::new()),
    };
    let merchant = args.merchant.map(|name| format!("&merchant={}", percent_encoded(&name)));
    let path = format!(
        "/admin/v1/reconciliation/days?from={}&to={}{}",
        percent_encoded(&from),
        percent_encoded(&to),
        merchant.unwrap_or_default()
    );
    let answer = once(&args.config, Method::GET, &path, None).await?;
    let days = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if days.is_empty() {
        let words = if from == to { from } else { format!("{from} to {to}") };
        let error =
            anyhow::anyhow!("nothing of {words} was compared: `tollgate reconcile wechat --date ...`");
        return Err(Failed { exit: Exit::NotFound, error });
    }
    match args.format {
        None => args.shown.with(DAYS).show(&answer)?,
        Some(ReportForm::Table) => Format::TABLE.with(DAYS).show(&answer)?,
        Some(ReportForm::Json) => Format::JSON.show(&answer)?,
        Some(ReportForm::Csv) => std::io::stdout().lock().write_all(csv(days).as_bytes())?,
    }
    Ok(of_days(&answer))
}

/// One line a difference, as RFC 4180 has it.
fn csv(days: &[Value]) -> String {
    let mut text = String::new();
    let names = COLUMNS.iter().map(|name| (*name).to_owned());
    let resolved = RESOLVED.iter().map(|name| format!("resolution_{name}"));
    push_line(&mut text, names.chain(resolved));
    for day in days {
        for row in day["differences"].as_array().into_iter().flatten() {
            let cells = COLUMNS.iter().map(|name| cell(&row[*name]));
            let resolved = RESOLVED.iter().map(|name| cell(&row["resolution"][*name]));
            push_line(&mut text, cells.chain(resolved));
        }
    }
    text
}

fn push_line(text: &mut String, cells: impl Iterator<Item = String>) {
    text.push_str(&cells.collect::<Vec<_>>().join(","));
    text.push_str("\r\n");
}

/// A value as it stands in CSV. What a spreadsheet would take for a formula gets an apostrophe: texts on a bill are other
/// people's.
fn cell(value: &Value) -> String {
    let plain = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let formula = plain.starts_with(['=', '+', '-', '@', '\t']) && plain.parse::<units::NanoCny>().is_err();
    let plain = if formula { format!("'{plain}") } else { plain };
    if plain.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", plain.replace('"', "\"\"")) } else { plain }
}

/// What stands in a path or a query.
fn percent_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_in_csv_has_a_line_a_difference_and_no_formulas() {
        let row = json!({
            "date": "2025-10-08", "id": "diff_1", "class": "missing_locally", "detail": "=1+1, \"x\"", "bill": "-1.00",
            "resolution": {"class": "other", "by": "ann", "reason": "@home"},
        });
        let text = csv(&[json!({"differences": [row]}), json!({"differences": []})]);
        let lines: Vec<_> = text.split("\r\n").collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines[0].starts_with("date,merchant,id,class") && lines[0].ends_with("resolution_at"),
            "{text}"
        );
        assert!(lines[1].contains(",-1.00,"), "{text}");
        assert!(lines[1].contains(r#""'=1+1, ""x""""#) && lines[1].contains("'@home"), "{text}");
    }

    #[test]
    fn the_exit_code_says_whether_something_is_open() {
        let day = |open: i64| json!({"data": [{"open": 0, "unlisted": 0}, {"open": open, "unlisted": 0}]});
        assert_eq!((of_days(&day(0)), of_days(&day(1))), (Exit::Ok, Exit::Differences));
        assert_eq!(of_days(&json!({"data": []})), Exit::Ok);
    }
}
