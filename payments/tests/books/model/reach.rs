//! A model in which everything is refused would find nothing: what do the random steps reach?

use std::collections::BTreeSet;

use payments::ledger::{Body, EntryKind};

use super::{
    blocking, fixed,
    invariants::{LEGAL, taken},
    replay,
    world::{Edges, run},
};

/// Every kind of command. A new one is added here, or this does not compile.
const KINDS: [&str; 56] = [
    "OpenAccount",
    "AddKey",
    "RevokeKey",
    "GrantPromo",
    "Hold",
    "Dispatch",
    "Extend",
    "Orphan",
    "Settle",
    "CorrectCharge",
    "SetBudget",
    "OpenGrant",
    "SweepGrant",
    "CreateOrder",
    "OrderPrepaid",
    "OrderFailed",
    "OrderPaid",
    "OrderClosed",
    "OrderNoted",
    "RequestRefund",
    "RefundSending",
    "RefundReported",
    "CancelRefund",
    "RefundGoods",
    "SweepBonus",
    "ResolveReview",
    "ExtRefund",
    "SettleDebt",
    "PostFee",
    "ManualPayout",
    "ExpireLot",
    "CreateCode",
    "RedeemCode",
    "VoidCode",
    "Adjust",
    "StopAccount",
    "ResumeAccount",
    "FlagAccount",
    "CloseAccount",
    "DefinePackage",
    "RetirePackage",
    "SavePriceDraft",
    "DeletePriceDraft",
    "PublishPrices",
    "AssignPriceList",
    "AcceptRate",
    "PinRate",
    "UnpinRate",
    "PruneRates",
    "FileNotice",
    "ApproveRefund",
    "TakeBillDay",
    "RecordBillDay",
    "ResolveDifference",
    "SignOffBillDay",
    "SetGate",
];

const fn kind(body: &Body) -> &'static str {
    KINDS[match body {
        Body::OpenAccount { .. } => 0,
        Body::AddKey(_) => 1,
        Body::RevokeKey { .. } => 2,
        Body::GrantPromo { .. } => 3,
        Body::Hold(_) => 4,
        Body::Dispatch { .. } => 5,
        Body::Extend { .. } => 6,
        Body::Orphan { .. } => 7,
        Body::Settle { .. } => 8,
        Body::CorrectCharge { .. } => 9,
        Body::SetBudget { .. } => 10,
        Body::OpenGrant { .. } => 11,
        Body::SweepGrant { .. } => 12,
        Body::CreateOrder(_) => 13,
        Body::OrderPrepaid { .. } => 14,
        Body::OrderFailed { .. } => 15,
        Body::OrderPaid { .. } => 16,
        Body::OrderClosed { .. } => 17,
        Body::OrderNoted { .. } => 18,
        Body::RequestRefund { .. } => 19,
        Body::RefundSending { .. } => 20,
        Body::RefundReported { .. } => 21,
        Body::CancelRefund { .. } => 22,
        Body::RefundGoods(_) => 23,
        Body::SweepBonus { .. } => 24,
        Body::ResolveReview(_) => 25,
        Body::ExtRefund(_) => 26,
        Body::SettleDebt { .. } => 27,
        Body::PostFee { .. } => 28,
        Body::ManualPayout(_) => 29,
        Body::ExpireLot { .. } => 30,
        Body::CreateCode(_) => 31,
        Body::RedeemCode { .. } => 32,
        Body::VoidCode { .. } => 33,
        Body::Adjust(_) => 34,
        Body::StopAccount { .. } => 35,
        Body::ResumeAccount { .. } => 36,
        Body::FlagAccount { .. } => 37,
        Body::CloseAccount { .. } => 38,
        Body::DefinePackage(_) => 39,
        Body::RetirePackage { .. } => 40,
        Body::SavePriceDraft { .. } => 41,
        Body::DeletePriceDraft { .. } => 42,
        Body::PublishPrices { .. } => 43,
        Body::AssignPriceList { .. } => 44,
        Body::AcceptRate(_) => 45,
        Body::PinRate { .. } => 46,
        Body::UnpinRate { .. } => 47,
        Body::PruneRates { .. } => 48,
        Body::FileNotice(_) => 49,
        Body::ApproveRefund { .. } => 50,
        Body::TakeBillDay { .. } => 51,
        Body::RecordBillDay(_) => 52,
        Body::ResolveDifference { .. } => 53,
        Body::SignOffBillDay { .. } => 54,
        Body::SetGate(_) => 55,
    }]
}

#[test]
fn the_random_steps_reach_every_command_both_ways_every_edge_and_every_kind_of_line() {
    let (mut accepted, mut refused) = (BTreeSet::new(), BTreeSet::new());
    let (mut lines, mut edges) = (BTreeSet::new(), Edges::new());
    for steps in fixed(200, 250) {
        let world = run(&steps, None, |world| {
            if !world.last().ops.is_empty() {
                edges.extend(taken(world));
            }
            Ok(())
        });
        let world = world.unwrap();
        for said in &world.log {
            let answers = if said.outcome.is_ok() { &mut accepted } else { &mut refused };
            answers.insert(kind(&said.command.body));
        }
        lines.extend(world.journal.iter().map(|line| line.kind));
    }
    let never = |seen: &BTreeSet<&str>| {
        KINDS.iter().filter(|kind| !seen.contains(**kind)).copied().collect::<Vec<_>>()
    };
    let no_line: Vec<_> = EntryKind::ALL.iter().filter(|kind| !lines.contains(kind)).collect();
    let legal = LEGAL.iter().flat_map(|(machine, from, tos)| tos.iter().map(|to| (*machine, *from, *to)));
    let no_edge: Vec<_> = legal.filter(|edge| !edges.contains(edge)).collect();
    let missing = (never(&accepted), never(&refused), no_line, no_edge);
    assert!(
        missing.0.is_empty() && missing.1.is_empty() && missing.2.is_empty() && missing.3.is_empty(),
        "never accepted, never refused, no line, no edge: {missing:#?}"
    );
}

/// Nothing is kept in memory between two batches there, so what a command does not name it does not have.
#[test]
fn postgres_carries_out_every_command_both_ways() {
    let mut reached = BTreeSet::new();
    for steps in fixed(200, 250) {
        let world = run(&steps, None, |_| Ok(())).unwrap();
        let of_run: BTreeSet<_> =
            world.log.iter().map(|said| (kind(&said.command.body), said.outcome.is_ok())).collect();
        if !of_run.is_subset(&reached) {
            blocking(replay::on_postgres(&world, 25)).unwrap_or_else(|what| panic!("{what}"));
            reached.extend(of_run);
        }
    }
    let missing: Vec<_> = KINDS
        .iter()
        .flat_map(|kind| [(*kind, true), (*kind, false)])
        .filter(|one| !reached.contains(one))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
