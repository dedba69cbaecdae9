//! One line of the journal, written down for people's programs.

use clap::ValueEnum;
use payments::ledger::Entry;
use serde_json::{Value, json};
use units::Timestamp;

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// RFC 4180, with a head.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

/// The members of a line, in the order of the columns.
const COLUMNS: [&str; 14] = [
    "account",
    "n",
    "at",
    "kind",
    "debit",
    "credit",
    "amount",
    "change",
    "balance",
    "currency",
    "reference",
    "lot",
    "call",
    "order",
];

impl Form {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Jsonl => "application/jsonl",
        }
    }

    /// What stands before the first line.
    pub fn head(self) -> String {
        match self {
            Self::Csv => COLUMNS.join(",") + "\r\n",
            Self::Jsonl => String::new(),
        }
    }

    /// Appends a line.
    pub fn write(self, line: &Entry, to: &mut String) {
        match self {
            Self::Jsonl => {
                to.push_str(&entry(line).to_string());
                to.push('\n');
            }
            Self::Csv => {
                let shown = entry(line);
                for (index, column) in COLUMNS.iter().enumerate() {
                    if index > 0 {
                        to.push(',');
                    }
                    match &shown[column] {
                        // Ours to choose, so that nothing in it can be taken for a formula.
                        Value::String(number) if AMOUNTS.contains(column) => to.push_str(number),
                        Value::String(text) => field(text, to),
                        Value::Null => {}
                        other => to.push_str(&other.to_string()),
                    }
                }
                to.push_str("\r\n");
            }
        }
    }
}

const AMOUNTS: [&str; 3] = ["amount", "change", "balance"];

/// Writes a text as a field. What a spreadsheet would take for a formula gets an apostrophe before it.
fn field(text: &str, to: &mut String) {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains(['"', ',', '\r', '\n']) {
        to.push_str(text);
        return;
    }
    to.push('"');
    if formula {
        to.push('\'');
    }
    to.push_str(&text.replace('"', "\"\""));
    to.push('"');
}

/// A line as JSON.
pub fn entry(line: &Entry) -> Value {
    let of = |amount: i64| line.asset.text(amount);
    json!({
        "account": line.account.map(|id| id.to_string()),
        "n": line.n,
        "at": time(line.at),
        "kind": line.kind.as_str(),
        "debit": line.debit.as_str(),
        "credit": line.credit.as_str(),
        "amount": of(line.amount),
        "change": of(line.movement()),
        "balance": of(line.balance),
        "currency": line.asset.to_string(),
        "reference": line.tx,
        "lot": line.lot,
        "call": line.hold.map(|id| id.to_string()),
        "order": line.order.map(|id| id.to_string()),
    })
}

/// RFC 3339 in UTC, with microseconds.
pub(super) fn time(at: Timestamp) -> String {
    jiff::Timestamp::from_microsecond(at.0).map_or_else(|_| at.0.to_string(), |at| format!("{at:.6}"))
}

#[cfg(test)]
mod tests {
    use payments::ledger::{Asset, Book, EntryKind};
    use units::AccountId;

    use super::*;

    fn line() -> Entry {
        Entry {
            tx: "=cmd|' /C calc'!A0, \"x\"".to_owned(),
            kind: EntryKind::Settle,
            debit: Book::WalletPaid,
            credit: Book::Revenue,
            asset: Asset::Cny,
            amount: 46_335,
            account: Some(AccountId::from_bare("00000000000000000000000001").unwrap()),
            lot: Some("-1".to_owned()),
            hold: None,
            order: None,
            at: Timestamp(1_760_000_000_000_001),
            n: 7,
            balance: 12_340_000_000,
        }
    }

    #[test]
    fn a_line_is_one_record_of_rfc_4180_and_no_formula_is_left_in_it() {
        let mut csv = Form::Csv.head();
        Form::Csv.write(&line(), &mut csv);
        assert_eq!(
            csv,
            "account,n,at,kind,debit,credit,amount,change,balance,currency,reference,lot,call,order\r\n\
             acct_00000000000000000000000001,7,2025-10-09T08:53:20.000001Z,settle,w:paid,revenue,0.000046335,\
             -0.000046335,12.34,CNY,\"'=cmd|' /C calc'!A0, \"\"x\"\"\",\"'-1\",,\r\n"
        );
    }

    #[test]
    fn a_line_of_json_says_the_same_and_nothing_is_a_number_that_is_money() {
        let mut text = String::new();
        Form::Jsonl.write(&line(), &mut text);
        let said: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&said["amount"], &said["change"]), (&json!("0.000046335"), &json!("-0.000046335")));
        assert_eq!((&said["balance"], &said["currency"]), (&json!("12.34"), &json!("CNY")));
        assert_eq!((&said["order"], &said["reference"]), (&Value::Null, &json!(line().tx)));
        assert!(text.ends_with("}\n") && text.lines().count() == 1);
    }
}
