//! What may be asked of a simulator that is running? Its controls under `/_sim/v1`, one verb each.

use clap::{Args, Subcommand, ValueEnum};
use jiff::{Span, SpanRelativeTo};
use reqwest::Method;
use serde_json::{Map, Value, json};
use units::{OrderId, RefundId};

use super::{
    super::{Exit, Failed, output::Format},
    running::Running,
};

/// What the answer to a fault, an order or a refund is about as a table; the whole of it is JSON.
const ORDER_COLUMNS: [&str; 6] = ["out_trade_no", "trade_state", "total", "api", "trade_type", "mchid"];

#[derive(Debug, Subcommand)]
pub(in super::super) enum SimVerb {
    /// The orders that the simulated WeChat Pay has, newest first; or one of them, with deliveries and refunds.
    Orders {
        /// Its `out_trade_no`, or the order's id (`ord_…`).
        order: Option<String>,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        at: At,
    },
    /// Pay an order, as a person does who scans its code.
    Pay {
        /// Its `out_trade_no`, or the order's id (`ord_…`).
        order: String,
        /// Although it is closed or has expired.
        #[arg(long)]
        late: bool,
        /// Who pays: an openid. Made up where absent.
        #[arg(long, value_name = "OPENID")]
        payer: Option<String>,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        at: At,
    },
    /// Tell the merchant of a payment again.
    Redeliver {
        /// Its `out_trade_no`, or the order's id (`ord_…`).
        order: String,
        /// How often: 1 to 200.
        #[arg(long, default_value_t = 1)]
        copies: usize,
        /// All at once instead of one after the other.
        #[arg(long)]
        concurrent: bool,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        at: At,
    },
    /// End a refund, be it under way or abnormal.
    Refund {
        /// Its `out_refund_no`, or the item's id (`rfd_…`).
        refund: String,
        /// How it ends.
        #[arg(long = "as", value_enum, default_value = "success")]
        ends: RefundEnd,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        at: At,
    },
    /// What goes wrong next.
    #[command(subcommand)]
    Fault(FaultVerb),
    /// What time it is on the far side; or move its clock on. In the demo the product's clock is the same one.
    Clock {
        /// How far: `+1d`, `+2h30m`, `+90s`.
        by: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// How the simulated WeChat Pay is set up; or set one of that.
    Switch {
        /// Which: `head_handshake`, `require_client_certificate`, `fee_basis_points`, `fee_tier_above`,
        /// `fee_tier_basis_points`.
        #[arg(requires = "value")]
        name: Option<String>,
        /// To what: `on`, `off` or a number.
        value: Option<String>,
        #[command(flatten)]
        at: At,
    },
    /// Which addresses of merchants have answered a HEAD; those that failed three times are told nothing any more.
    Handshakes {
        /// Begin anew with every address.
        #[arg(long)]
        forget: bool,
        #[command(flatten)]
        at: At,
    },
    /// What WeChat Pay signs with for a merchant: its certificates and its public key; or change that.
    Keys {
        /// What is to happen to the certificates.
        #[arg(long, value_enum)]
        certificates: Option<Certificates>,
        /// How many of a hundred notifications the public key verifies.
        #[arg(long, value_name = "PERCENT")]
        public_key_percent: Option<u8>,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        at: At,
    },
    /// What was made wrong with the bills of a day.
    Bills {
        /// The day in Beijing, such as 2026-11-27.
        day: String,
        #[command(flatten)]
        whose: Whose,
        #[command(flatten)]
        at: At,
    },
    /// Send a warning of the risk control.
    Risk(RiskArgs),
}

#[derive(Debug, Subcommand)]
pub(in super::super) enum FaultVerb {
    /// What waits to go wrong, or stands until it is cleared.
    List {
        #[command(flatten)]
        at: At,
    },
    /// Have something go wrong: `fault set delay_notification ms=60000 --times 3`. What there is stands in the simulator's
    /// README; a name that is not known is refused with all that are.
    Set {
        /// Which fault.
        fault: String,
        /// What about it, such as `status=503`, `op=refund`, `api=v2`, `mchid=1900000001`, `model=sim-fast`.
        #[arg(value_name = "NAME=VALUE")]
        details: Vec<String>,
        /// Who misbehaves: `wechat`, `fx`, a provider's name, or `*` for anybody.
        #[arg(long, default_value = "wechat")]
        scope: String,
        /// How often; 0 until it is cleared.
        #[arg(long, default_value_t = 1)]
        times: u64,
        #[command(flatten)]
        at: At,
    },
    /// Have nothing go wrong any more, or not this.
    Clear {
        /// The number that `list` shows; all where absent.
        id: Option<u64>,
        #[command(flatten)]
        at: At,
    },
}

/// Where the simulator is, and how its answer is shown.
#[derive(Debug, Args)]
pub(in super::super) struct At {
    /// Where the simulator listens; by default where `demo` and `sim` have it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8082")]
    sim_url: String,
    #[command(flatten)]
    format: Format,
}

/// Which merchant's.
#[derive(Debug, Args)]
pub(in super::super) struct Whose {
    /// The merchant number, where several have the same number of an order or a refund.
    #[arg(long)]
    mchid: Option<String>,
}

#[derive(Debug, Args)]
pub(in super::super) struct RiskArgs {
    /// Where the merchant listens for it.
    url: String,
    /// What it is about.
    #[arg(long, value_enum)]
    scope: RiskScope,
    /// Which account, agent or merchant.
    #[arg(long)]
    id: String,
    /// How serious it is.
    #[arg(long, value_enum)]
    level: RiskLevel,
    /// Why.
    #[arg(long)]
    reason: String,
    /// The event's id, to send one again; a new one where absent.
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    at: At,
}

/// How a refund ends.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in super::super) enum RefundEnd {
    Success,
    Closed,
    Abnormal,
}

/// What is to happen to the certificates.
#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Certificates {
    /// Another one stands in the list and signs nothing yet.
    Issue,
    /// The newest signs from now on.
    UseNewest,
    /// Both at once.
    Rotate,
    /// Those that do not sign leave the list.
    Retire,
    /// There are none any more, only the public key.
    None,
}

#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum RiskScope {
    Account,
    Agent,
    Merchant,
}

#[derive(Debug, Clone, Copy, ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum RiskLevel {
    Slow,
    Stop,
    Clear,
}

/// `sim orders`, `sim pay`, ...
pub(super) async fn run(verb: SimVerb) -> Result<Exit, Failed> {
    let (at, shown) = match verb {
        SimVerb::Orders { order: None, whose, at } => {
            let shown = at.running()?.ask(Method::GET, &["orders"], whose.mchid, None).await?;
            let shown = if at.format.is_json() { shown } else { in_columns(&shown) };
            (at, shown)
        }
        SimVerb::Orders { order: Some(order), whose, at } => {
            let path = ["orders", &out_trade_no(&order)];
            let shown = at.running()?.ask(Method::GET, &path, whose.mchid, None).await?;
            (at, shown)
        }
        SimVerb::Pay { order, late, payer, whose, at } => {
            let path = ["orders", &out_trade_no(&order), "pay"];
            let body = json!({"late": late, "payer": payer});
            let shown = at.running()?.ask(Method::POST, &path, whose.mchid, Some(body)).await?;
            (at, shown)
        }
        SimVerb::Redeliver { order, copies, concurrent, whose, at } => {
            let path = ["orders", &out_trade_no(&order), "redeliver"];
            let body = json!({"copies": copies, "concurrent": concurrent});
            let shown = at.running()?.ask(Method::POST, &path, whose.mchid, Some(body)).await?;
            (at, shown)
        }
        SimVerb::Refund { refund, ends, whose, at } => {
            let path = ["refunds", &out_refund_no(&refund), "resolve"];
            let status = match ends {
                RefundEnd::Success => "SUCCESS",
                RefundEnd::Closed => "CLOSED",
                RefundEnd::Abnormal => "ABNORMAL",
            };
            let body = json!({"status": status});
            let shown = at.running()?.ask(Method::POST, &path, whose.mchid, Some(body)).await?;
            (at, shown)
        }
        SimVerb::Fault(verb) => fault(verb).await?,
        SimVerb::Clock { by: None, at } => {
            let shown = at.running()?.ask(Method::GET, &["clock"], None, None).await?;
            (at, shown)
        }
        SimVerb::Clock { by: Some(by), at } => {
            let body = json!({"advance_ms": milliseconds(&by)?});
            let shown = at.running()?.ask(Method::POST, &["clock"], None, Some(body)).await?;
            (at, shown)
        }
        SimVerb::Switch { name, value, at } => {
            let path = ["wechat", "settings"];
            let shown = match name.zip(value) {
                None => at.running()?.ask(Method::GET, &path, None, None).await?,
                Some((name, value)) => {
                    let body = Value::Object(Map::from_iter([(name, switched(&value))]));
                    at.running()?.ask(Method::POST, &path, None, Some(body)).await?
                }
            };
            (at, shown)
        }
        SimVerb::Handshakes { forget, at } => {
            let method = if forget { Method::DELETE } else { Method::GET };
            let shown = at.running()?.ask(method, &["wechat", "handshakes"], None, None).await?;
            (at, shown)
        }
        SimVerb::Keys { certificates: None, public_key_percent: None, whose, at } => {
            let shown = at.running()?.ask(Method::GET, &["wechat", "keys"], whose.mchid, None).await?;
            (at, shown)
        }
        SimVerb::Keys { certificates, public_key_percent, whose, at } => {
            let body = json!({
                "mchid": whose.mchid,
                "certificates": certificates,
                "public_key_percent": public_key_percent,
            });
            let shown = at.running()?.ask(Method::POST, &["wechat", "keys"], None, Some(body)).await?;
            (at, shown)
        }
        SimVerb::Bills { day, whose, at } => {
            let shown = at.running()?.ask(Method::GET, &["wechat", "bills", &day], whose.mchid, None).await?;
            (at, shown)
        }
        SimVerb::Risk(args) => risk(args).await?,
    };
    at.format.show(&shown)?;
    Ok(Exit::Ok)
}

async fn fault(verb: FaultVerb) -> Result<(At, Value), Failed> {
    Ok(match verb {
        FaultVerb::List { at } => {
            let shown = at.running()?.ask(Method::GET, &["faults"], None, None).await?;
            (at, shown)
        }
        FaultVerb::Set { fault, details, scope, times, at } => {
            let mut body = Map::from_iter([
                ("fault".to_owned(), json!(fault)),
                ("scope".to_owned(), json!(scope)),
                ("times".to_owned(), json!(times)),
            ]);
            for detail in &details {
                let (name, value) = named(detail)?;
                body.insert(name, value);
            }
            let shown = at.running()?.ask(Method::POST, &["faults"], None, Some(Value::Object(body))).await?;
            (at, shown)
        }
        FaultVerb::Clear { id: None, at } => {
            let shown = at.running()?.ask(Method::DELETE, &["faults"], None, None).await?;
            (at, shown)
        }
        FaultVerb::Clear { id: Some(id), at } => {
            let shown = at.running()?.ask(Method::DELETE, &["faults", &id.to_string()], None, None).await?;
            (at, shown)
        }
    })
}

async fn risk(args: RiskArgs) -> Result<(At, Value), Failed> {
    let RiskArgs { url, scope, id, level, reason, event_id, whose, at } = args;
    let body = json!({
        "url": url,
        "scope": scope,
        "id": id,
        "level": level,
        "reason": reason,
        "event_id": event_id,
        "mchid": whose.mchid,
    });
    let shown = at.running()?.ask(Method::POST, &["wechat", "risk"], None, Some(body)).await?;
    Ok((at, shown))
}

impl At {
    fn running(&self) -> Result<Running, Failed> {
        Running::at(&self.sim_url)
    }
}

fn misunderstood(what: String) -> Failed {
    Failed { exit: Exit::Usage, error: anyhow::anyhow!(what) }
}

/// What WeChat Pay calls an order of ours.
fn out_trade_no(order: &str) -> String {
    order.parse::<OrderId>().map_or_else(|_| order.to_owned(), |id| id.bare())
}

/// What WeChat Pay calls an item of a refund of ours.
fn out_refund_no(refund: &str) -> String {
    refund.parse::<RefundId>().map_or_else(|_| refund.to_owned(), |id| id.bare())
}

/// `NAME=VALUE`: JSON where it is some, text otherwise; numbers of orders and merchants are always text.
fn named(detail: &str) -> Result<(String, Value), Failed> {
    let Some((name, value)) = detail.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(misunderstood(format!("`{detail}`: what there is about a fault is said as NAME=VALUE")));
    };
    let text = matches!(name, "mchid" | "code" | "model" | "out_trade_no" | "out_refund_no");
    let json = if text { None } else { serde_json::from_str(value).ok() };
    Ok((name.to_owned(), json.unwrap_or_else(|| Value::String(value.to_owned()))))
}

/// `on`, `off`, or whatever JSON it is; the simulator says what it does not take.
fn switched(value: &str) -> Value {
    match value {
        "on" => Value::Bool(true),
        "off" => Value::Bool(false),
        value => serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())),
    }
}

/// A span of time such as `+1d2h`, in milliseconds; a day is 24 hours.
fn milliseconds(by: &str) -> Result<i64, Failed> {
    let bad =
        |why: String| misunderstood(format!("`{by}` is no span of time such as +1d, +2h30m or +90s: {why}"));
    let span: Span = by.parse().map_err(|error: jiff::Error| bad(error.to_string()))?;
    let time =
        span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| bad(error.to_string()))?;
    if time.is_negative() {
        return Err(misunderstood(format!("`{by}`: the clock goes forward only")));
    }
    i64::try_from(time.as_millis()).map_err(|error| bad(error.to_string()))
}

/// Of each order what fits into a line.
fn in_columns(shown: &Value) -> Value {
    let orders = shown["orders"].as_array().map(Vec::as_slice).unwrap_or_default();
    let line = |order: &Value| -> Value {
        ORDER_COLUMNS.iter().map(|name| ((*name).to_owned(), order[*name].clone())).collect()
    };
    json!({"orders": orders.iter().map(line).collect::<Vec<Value>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_time_is_read_and_the_past_is_refused() {
        for (by, ms) in [("+1d", 86_400_000), ("2h30m", 9_000_000), ("+90s", 90_000), ("250ms", 250)] {
            assert_eq!(milliseconds(by).ok(), Some(ms), "{by}");
        }
        for by in ["-1d", "", "1", "soon", "1mo"] {
            let refused = milliseconds(by).unwrap_err();
            assert!(refused.error.to_string().contains(by), "{:#}", refused.error);
        }
    }

    #[test]
    fn a_detail_of_a_fault_is_json_where_it_is_some_and_numbers_that_name_are_text() {
        for (detail, value) in [
            ("ms=60000", json!(60000)),
            ("all=true", json!(true)),
            ("op=refund", json!("refund")),
            ("mchid=1900000001", json!("1900000001")),
            ("value={\"a\":1}", json!({"a": 1})),
            ("body=", json!("")),
        ] {
            assert_eq!(named(detail).ok().map(|(_, value)| value), Some(value), "{detail}");
        }
        assert!(named("ms").is_err() && named("=1").is_err());
    }
}
