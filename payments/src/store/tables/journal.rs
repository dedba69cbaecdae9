//! The journal, its hash chain, and the commands that were answered before.

use sha2::{Digest, Sha256};
use units::Timestamp;

use super::{Kind, Table, kept};
use crate::{
    ledger::{Command, Entry},
    store::{
        batch::Remembered,
        value::{Broken, Cells, Value},
    },
};

/// The journal. Append-only. A lane is one writer's row of lines: the only one where one process writes, one per run of
/// a node where several do; `seq` counts its lines without a gap.
pub(crate) static ENTRY: Table = Table {
    name: "entry",
    columns: &[
        kept("account", Kind::Text),
        kept("asset", Kind::Text),
        kept("at", Kind::Int),
        kept("n", Kind::Int),
        kept("lane", Kind::Int),
        kept("seq", Kind::Int),
        kept("batch", Kind::Int),
        kept("tx", Kind::Text),
        kept("kind", Kind::Text),
        kept("debit", Kind::Text),
        kept("credit", Kind::Text),
        kept("amount", Kind::Int),
        kept("balance", Kind::Int),
        kept("lot", Kind::Text),
        kept("hold", Kind::Text),
        kept("pay_order", Kind::Text),
    ],
    key: &["account", "asset", "at", "n", "lane"],
    row: None,
};

/// A line of the journal with its place in its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JournalLine {
    /// Which writer's.
    pub(crate) lane: i64,
    /// Its number there, from 1.
    pub(crate) seq: i64,
    /// The link of the chain that covers it.
    pub(crate) batch: i64,
    /// What it says.
    pub(crate) entry: Entry,
}

impl JournalLine {
    /// As columns of [`ENTRY`].
    pub(crate) fn columns(&self) -> Vec<Value> {
        let entry = &self.entry;
        vec![
            Value::word(entry.account.map(|id| id.to_string()).unwrap_or_default()),
            Value::word(&entry.asset),
            entry.at.into(),
            entry.n.into(),
            self.lane.into(),
            self.seq.into(),
            self.batch.into(),
            entry.tx.as_str().into(),
            entry.kind.as_str().into(),
            entry.debit.as_str().into(),
            entry.credit.as_str().into(),
            entry.amount.into(),
            entry.balance.into(),
            entry.lot.clone().into(),
            Value::maybe_word(entry.hold),
            Value::maybe_word(entry.order),
        ]
    }

    /// From columns of [`ENTRY`].
    ///
    /// # Errors
    /// [`Broken`] if a column is not what this program writes.
    pub(crate) fn read(row: &[Value]) -> Result<Self, Broken> {
        let mut cells = Cells::new(row);
        let (account, asset, at, n) = (cells.maybe_word()?, cells.word()?, cells.time()?, cells.int()?);
        let (lane, seq, batch) = (cells.int()?, cells.int()?, cells.int()?);
        let entry = Entry {
            tx: cells.text()?,
            kind: cells.word()?,
            debit: cells.word()?,
            credit: cells.word()?,
            asset,
            amount: cells.int()?,
            balance: cells.int()?,
            n,
            account,
            lot: cells.maybe_text()?,
            hold: cells.maybe_word()?,
            order: cells.maybe_word()?,
            at,
        };
        Ok(Self { lane, seq, batch, entry })
    }
}

/// An entry's bytes in the chain: its fields in order, each ended by a zero byte, which none of them contains. Form 1
/// is what schema 1 wrote: without the line's number in its balance and what the balance came to.
pub(crate) fn canonical(form: i64, seq: i64, entry: &Entry) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(256);
    let mut field = |value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{value}\0");
    };
    field(&seq);
    field(&entry.tx);
    field(&entry.kind);
    field(&entry.debit);
    field(&entry.credit);
    field(&entry.asset);
    field(&entry.amount);
    field(&entry.account.map(|id| id.to_string()).unwrap_or_default());
    field(&entry.lot.as_deref().unwrap_or_default());
    field(&entry.hold.map(|id| id.to_string()).unwrap_or_default());
    field(&entry.order.map(|id| id.to_string()).unwrap_or_default());
    field(&entry.at.0);
    if form > 1 {
        field(&entry.n);
        field(&entry.balance);
    }
    text.into_bytes()
}

/// The form of [`canonical`] that is written now.
const FORM: i64 = 2;

/// One link per batch: SHA-256 over the link before and the batch's lines.
pub(crate) static CHAIN: Table = Table {
    name: "chain",
    columns: &[
        kept("lane", Kind::Int),
        kept("batch", Kind::Int),
        kept("form", Kind::Int),
        kept("at", Kind::Int),
        kept("entries", Kind::Int),
        kept("prev", Kind::Bytes),
        kept("hash", Kind::Bytes),
    ],
    key: &["lane", "batch"],
    row: None,
};

/// The end of a lane's chain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whose chain.
    pub(crate) lane: i64,
    /// Number of the last batch.
    pub(crate) batch: i64,
    /// Number of the last line.
    pub(crate) seq: i64,
    /// When it was written.
    pub(crate) at: Timestamp,
    /// Its hash.
    pub(crate) hash: [u8; 32],
}

impl Link {
    /// The next link over these entries, its columns in [`CHAIN`], and the lines with their places; `None` where there
    /// are none.
    pub(crate) fn next(&self, entries: &[&Entry]) -> Option<(Self, Vec<Value>, Vec<JournalLine>)> {
        let last = entries.last()?;
        let mut link = Self { batch: self.batch + 1, at: last.at.max(self.at), ..self.clone() };
        let mut hash = Sha256::new_with_prefix(self.hash);
        let mut lines = Vec::with_capacity(entries.len());
        for &entry in entries {
            link.seq += 1;
            let mut line =
                JournalLine { lane: self.lane, seq: link.seq, batch: link.batch, entry: entry.clone() };
            if entry.account.is_none() {
                // A line of no customer is numbered by its lane.
                line.entry.n = link.seq;
            }
            hash.update(canonical(FORM, line.seq, &line.entry));
            lines.push(line);
        }
        link.hash = hash.finalize().into();
        let columns = vec![
            link.lane.into(),
            link.batch.into(),
            FORM.into(),
            link.at.into(),
            Value::Int(i64::try_from(lines.len()).unwrap_or(i64::MAX)),
            self.hash.into(),
            link.hash.into(),
        ];
        Some((link, columns, lines))
    }
}

/// What was asked before and what was answered, refusals included.
pub(crate) static COMMAND: Table = Table {
    name: "command",
    columns: &[
        kept("key", Kind::Text),
        kept("payload_hash", Kind::Bytes),
        kept("outcome", Kind::Text),
        kept("actor", Kind::Text),
        kept("role", Kind::Text),
        kept("reason", Kind::Text),
        kept("approver", Kind::Text),
        kept("at", Kind::Int),
    ],
    key: &["key"],
    row: None,
};

/// A command's columns in [`COMMAND`].
pub(crate) fn command_columns(command: &Command, remembered: &Remembered) -> Vec<Value> {
    vec![
        command.key.as_str().into(),
        remembered.payload_hash.into(),
        Value::json(&remembered.outcome),
        command.actor.id.as_str().into(),
        command.actor.role.as_str().into(),
        command.reason.clone().into(),
        command.approver.as_ref().map(|approver| approver.id.clone()).into(),
        command.at.into(),
    ]
}

/// From `payload_hash, outcome`.
pub(crate) fn read_remembered(cells: &mut Cells<'_>) -> Result<Remembered, Broken> {
    Ok(Remembered { payload_hash: cells.hash()?, outcome: cells.json()? })
}
