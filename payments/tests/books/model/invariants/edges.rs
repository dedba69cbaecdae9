//! The state machines of MONEY.md 5.5: 28.

use std::collections::BTreeMap;

use payments::ledger::Rows;

use super::holds;
use crate::model::world::{Edges, World};

/// Every legal step: which machine, from where, to where. `-` is where each begins.
pub const LEGAL: &[(&str, &str, &[&str])] = &[
    ("order", "-", &["created"]),
    ("order", "created", &["pending", "failed", "closed", "paid", "review"]),
    ("order", "pending", &["closed", "paid", "review"]),
    ("order", "closed", &["paid", "review"]),
    ("order", "review", &["paid", "voided"]),
    ("order", "paid", &["partially_refunded", "refunded"]),
    ("order", "partially_refunded", &["refunded"]),
    ("hold", "-", &["open"]),
    ("hold", "open", &["orphan", "settled", "released"]),
    ("hold", "orphan", &["settled", "released"]),
    ("item", "-", &["queued"]),
    ("item", "queued", &["sent", "unknown", "cancelled"]),
    ("item", "sent", &["processing", "success", "closed", "abnormal", "refused", "wait", "unknown"]),
    ("item", "unknown", &["sent", "processing", "success", "closed", "abnormal"]),
    ("item", "wait", &["sent", "unknown"]),
    ("item", "processing", &["success", "closed", "abnormal"]),
    ("item", "abnormal", &["processing", "success", "closed"]),
    ("batch", "-", &["waiting", "reserved"]),
    ("batch", "waiting", &["reserved", "cancelled"]),
    ("batch", "reserved", &["running", "cancelled"]),
    ("batch", "running", &["done", "partial"]),
    ("grant", "-", &["active"]),
    ("grant", "active", &["converted", "revoked", "expired"]),
    ("grant", "expired", &["converted", "written_off"]),
    ("grant", "revoked", &["converted", "written_off"]),
    ("grant", "written_off", &["converted"]),
    ("suspense", "-", &["open"]),
    ("suspense", "open", &["credited", "refunding"]),
    ("suspense", "refunding", &["open", "refunded"]),
    ("bill_day", "-", &["taken", "differs", "agrees"]),
    ("bill_day", "taken", &["differs", "agrees"]),
    ("bill_day", "differs", &["agrees"]),
    ("bill_day", "agrees", &["differs", "signed_off"]),
    ("bill_day", "signed_off", &["differs"]),
    ("difference", "-", &["open", "resolved"]),
    ("difference", "open", &["resolved", "gone"]),
    ("difference", "gone", &["open", "resolved"]),
];

/// Two steps in one command: a grant whose time is over, on an order that was voided meanwhile.
const AT_ONCE: (&str, &str, &str) = ("grant", "active", "written_off");

type States = BTreeMap<(&'static str, String), &'static str>;

fn states(rows: &Rows) -> States {
    let orders = rows.orders().map(|row| (("order", row.id.to_string()), row.state.as_str()));
    let holds = rows.holds().map(|row| (("hold", row.id.to_string()), row.state.as_str()));
    let items = rows.items().map(|row| (("item", row.id.to_string()), row.state.as_str()));
    let batches = rows.batches().map(|row| (("batch", row.id.to_string()), row.state.as_str()));
    let grants = rows.grants().map(|row| (("grant", row.order.to_string()), row.state.as_str()));
    let aside = rows.suspended().map(|row| (("suspense", row.transaction_id.clone()), row.state.as_str()));
    let day = |row: &payments::ledger::BillDay| {
        (("bill_day", format!("{} {}", row.mchid, row.day)), row.state.as_str())
    };
    let days = rows.bill_days().map(day);
    let differences = rows.differences().map(|row| (("difference", row.id.clone()), row.state.as_str()));
    let reconciled = days.chain(differences);
    orders.chain(reconciled).chain(holds).chain(items).chain(batches).chain(grants).chain(aside).collect()
}

/// The steps that the last command took.
pub fn taken(world: &World) -> Edges {
    let before = states(&world.before);
    let step = |((machine, id), to): ((&'static str, String), &'static str)| {
        let from = before.get(&(machine, id)).copied().unwrap_or("-");
        (from != to).then_some((machine, from, to))
    };
    states(&world.rows).into_iter().filter_map(step).collect()
}

/// Nothing takes a step that is not legal, and what has ended stays.
pub fn n28_only_legal_edges(world: &World) -> Result<(), String> {
    if world.last().ops.is_empty() {
        return Ok(());
    }
    for edge in taken(world) {
        let (machine, from, to) = edge;
        let legal = LEGAL.iter().any(|(m, f, tos)| (*m, *f) == (machine, from) && tos.contains(&to));
        holds(legal || edge == AT_ONCE, || format!("{machine}: {from} became {to}"))?;
    }
    Ok(())
}
