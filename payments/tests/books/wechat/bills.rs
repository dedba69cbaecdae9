//! The channel's bills, laid against their recordings.

use std::io::Read as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use payments::{
    channel::wechat::v2::NoBill,
    reconcile::{
        bill::{self, Bill, BillError, FundFlow, RowFault, RowKind, TradeBill},
        matching::{Compared, Difference, LocalOrder, LocalRefund, compare},
    },
};
use serde_json::Value;
use units::{Fen, NanoCny, Timestamp, decimal};

use super::{APPID, MCHID, folder, name, text, vectors};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder("bills").join(name)).unwrap()
}

fn trade(file: &[u8]) -> TradeBill {
    match bill::read(file) {
        Ok(Bill::Trade(bill)) => bill,
        other => panic!("{other:?}"),
    }
}

fn fund_flow(file: &[u8]) -> FundFlow {
    match bill::read(file) {
        Ok(Bill::FundFlow(bill)) => bill,
        other => panic!("{other:?}"),
    }
}

fn all_of_the_day() -> String {
    String::from_utf8(file("v3_trade_bill_ALL_20251008.csv")).unwrap()
}

/// Nano-yuan as the hundred-thousandths of a yuan that fees have.
fn fifths(fee: NanoCny) -> i64 {
    assert_eq!(fee.get() % 10_000, 0);
    fee.get() / 10_000
}

#[test]
fn amounts_are_read_as_recorded() {
    for vector in vectors("amounts.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let (seen, wanted) = if let Some(yuan) = inputs["yuan"].as_str() {
            (decimal::parse(yuan, 2).ok(), &expected["fen"])
        } else if let Some(count) = inputs["count"].as_str() {
            (decimal::parse(count, 0).ok().filter(|count| *count >= 0), &expected["rows"])
        } else {
            (decimal::parse(text(&inputs["fee"]), 5).ok(), &expected["fee_1e5"])
        };
        assert_eq!(seen, wanted.as_i64(), "{}", name(&vector));
    }
}

#[test]
fn bills_are_read_as_recorded() {
    for vector in vectors("bill_parse.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let Some(path) = inputs["file"].as_str() else {
            assert_eq!(refused(text(&inputs["text"])), text(&expected["error"]), "{}", name(&vector));
            continue;
        };
        let bytes = file(path.strip_prefix("../bills/").unwrap());
        let sha1 = base16ct::lower::encode_string(digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes).as_ref());
        assert_eq!(sha1, text(&expected["sha1"]), "{path}");
        let header = String::from_utf8(bytes.clone()).unwrap().lines().next().unwrap().split(',').count();
        assert_eq!(Some(header as u64), expected["columns"].as_u64(), "{path}");
        let seen = match bill::read(&bytes).unwrap() {
            Bill::Trade(bill) => sums_of_trade(&bill),
            Bill::FundFlow(bill) => sums_of_flow(&bill),
        };
        let mut compared = 0;
        for (member, value) in seen {
            if let Some(wanted) = expected.get(member) {
                assert_eq!(Some(value), wanted.as_i64(), "{path}: {member}");
                compared += 1;
            }
        }
        assert_eq!(compared + 2, expected.as_object().unwrap().len(), "{path}: all but sha1 and columns");
    }
}

fn refused(text: &str) -> &'static str {
    match bill::read(text.as_bytes()) {
        Err(BillError::Empty) => "empty",
        Err(BillError::NoBill(NoBill::Empty)) => "no_bill",
        Err(BillError::NoBill(NoBill::NotYet)) => "bill_creating",
        Err(BillError::UnknownHeader) => "unknown_header",
        Err(BillError::MissingTotals) => "missing_totals",
        Err(BillError::Total(_)) => "totals_mismatch",
        Ok(Bill::Trade(bill)) => match bill.set_aside.as_slice() {
            [row] if row.fault == RowFault::Columns && row.line == 2 && text.contains(&row.text) => {
                "column_count"
            }
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn sums_of_trade(bill: &TradeBill) -> Vec<(&'static str, i64)> {
    assert_eq!(bill.set_aside, []);
    let (mut payments, mut refunds, mut settled, mut total, mut applied, mut given_back) = (0, 0, 0, 0, 0, 0);
    for row in &bill.rows {
        assert_eq!((row.mchid.as_str(), row.appid.as_str()), (MCHID, APPID));
        match &row.kind {
            RowKind::Payment { total: ordered, settled: of_it } => {
                payments += 1;
                total += ordered.get();
                settled += of_it.get();
            }
            RowKind::Refund(refund) => {
                refunds += 1;
                applied += refund.applied.get();
                given_back += refund.settled.get();
            }
            RowKind::Other(kind) => panic!("{kind}"),
        }
    }
    vec![
        ("detail_rows", i64::try_from(bill.rows.len()).unwrap()),
        ("payments", payments),
        ("refunds", refunds),
        ("settlement_fen", settled),
        ("order_fen", total),
        ("refund_fen", given_back),
        ("applied_refund_fen", applied),
        ("fee_1e5", bill.rows.iter().map(|row| fifths(row.fee)).sum()),
    ]
}

fn sums_of_flow(bill: &FundFlow) -> Vec<(&'static str, i64)> {
    assert_eq!(bill.set_aside, []);
    let rows = |income| bill.rows.iter().filter(move |row| row.income == income);
    let count = |income| i64::try_from(rows(income).count()).unwrap();
    let sum = |income| rows(income).map(|row| row.amount.get()).sum();
    vec![
        ("detail_rows", i64::try_from(bill.rows.len()).unwrap()),
        ("income_rows", count(true)),
        ("income_fen", sum(true)),
        ("expense_rows", count(false)),
        ("expense_fen", sum(false)),
        ("closing_balance_fen", bill.rows.last().unwrap().balance.unwrap().get()),
    ]
}

#[test]
fn the_recorded_files_are_what_their_manifest_says() {
    let manifest: Value = serde_json::from_slice(&file("manifest.json")).unwrap();
    let files = manifest["files"].as_object().unwrap();
    assert_eq!(files.len(), 6);
    for (name, said) in files {
        let bytes = file(name);
        assert_eq!(Some(bytes.len() as u64), said["bytes"].as_u64(), "{name}");
        assert_eq!(Some(bytes.starts_with(b"\xef\xbb\xbf")), said["bom"].as_bool(), "{name}");
        let crlf = bytes.windows(2).any(|pair| pair == b"\r\n");
        assert_eq!(if crlf { "CRLF" } else { "LF" }, text(&said["line_end"]), "{name}");
        let rows = match bill::read(&bytes).unwrap() {
            Bill::Trade(bill) => bill.rows.len(),
            Bill::FundFlow(bill) => bill.rows.len(),
        };
        assert_eq!(Some(rows as u64), said["detail_rows"].as_u64(), "{name}");
        if let Some(gzip) = said["gzip"].as_str() {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&file(gzip)[..]).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, bytes, "{gzip}");
        }
    }
}

#[test]
fn values_stand_as_they_were_written_and_times_are_beijings() {
    let bill = trade(&file("v3_trade_bill_REFUND_20251008.csv"));
    let refund = &bill.rows[0];
    assert_eq!(refund.time, Timestamp::from_secs(1_759_890_000), "10:20:00");
    assert_eq!((refund.rate.as_str(), fifths(refund.fee)), ("0.60%", -2_000));
    let RowKind::Refund(part) = &refund.kind else { panic!("{refund:?}") };
    assert_eq!((part.out_refund_no.as_str(), part.status.as_str()), ("R20251008000000000001", "SUCCESS"));

    let flow = fund_flow(&file("v3_fund_flow_BASIC_20251008.csv"));
    let fee = &flow.rows[1];
    assert_eq!((fee.kind.as_str(), fee.income, fee.amount), ("扣除交易手续费", false, Fen::new(53).unwrap()));
    assert_eq!((fee.voucher.as_str(), fee.balance), ("T20251008000000000001", Fen::new(108_747).ok()));
}

/// The columns of merchants that joined before settlement and order amounts were told apart, in an order of their own.
#[test]
fn columns_are_known_by_their_names() {
    let bill = "商户订单号,总金额,交易时间,公众账号ID,商户号,微信订单号,交易状态,企业红包金额,手续费,一个新的列\n\
                `T1,`88.00,`2025-10-08 00:00:05,`wx1,`16,`42,`SUCCESS,`0.00,`0.53000,`什么\n\
                总交易单数,总交易额,一个新的合计\n\
                `1.0,`88.0,`几个\n";
    let bill = trade(bill.as_bytes());
    let paid = Fen::new(8800).unwrap();
    assert_eq!(bill.rows[0].kind, RowKind::Payment { total: paid, settled: paid });
    assert_eq!((bill.rows[0].out_trade_no.as_str(), bill.rows[0].appid.as_str()), ("T1", "wx1"));
}

#[test]
fn a_row_that_does_not_fit_is_set_aside_and_costs_no_other() {
    let whole = trade(all_of_the_day().as_bytes());
    for (from, to, fault) in [
        ("`LLM balance 88,`u:1", "`LLM,`balance 88,`u:1", RowFault::Columns),
        ("2025-10-08 00:00:05", "2025-10-08 0:00:05", RowFault::Value("交易时间")),
        ("`88.00,`0.00,`\r", "`8.8e1,`0.00,`\r", RowFault::Value("订单金额")),
        ("`CNY,`88.00", "`USD,`88.00", RowFault::Value("货币种类")),
        ("`0.53000", "`0.530001", RowFault::Value("手续费")),
        ("`T20251008000000000001,`oT", "`,`oT", RowFault::Value("商户订单号")),
    ] {
        let bill = trade(all_of_the_day().replacen(from, to, 1).as_bytes());
        let seen: Vec<_> = bill.set_aside.iter().map(|row| (row.line, row.fault)).collect();
        assert_eq!(seen, [(2, fault)], "{to}");
        assert!(bill.set_aside[0].text.contains(to.trim_end()), "{to}");
        assert_eq!(bill.rows, whole.rows[1..], "{to}");
    }
    let flow = String::from_utf8(file("v2_fund_flow_Basic_20251008.csv")).unwrap();
    let flow = fund_flow(flow.replacen("`收入", "`进账", 1).as_bytes());
    assert_eq!((flow.rows.len(), flow.set_aside[0].fault), (11, RowFault::Value("收支类型")));
}

/// Whatever is cut off, added or changed after the rows shows in the totals.
#[test]
fn a_file_that_is_not_whole_is_refused() {
    let whole = all_of_the_day();
    let totals = whole.find("总交易单数").unwrap();
    for end in [whole.find('\n').unwrap() + 1, totals - 3, totals, whole.trim_end().len() - 8] {
        let seen = bill::read(&whole.as_bytes()[..end]);
        assert_eq!(seen, Err(BillError::MissingTotals), "{end}");
    }
    let twice = format!("{whole}{whole}");
    assert_eq!(bill::read(twice.as_bytes()), Err(BillError::AfterTotals));
    for (from, to, total) in [
        ("`12,`1724.57", "`13,`1724.57", "总交易单数"),
        ("`12,`1724.57", "`12.5,`1724.57", "总交易单数"),
        ("`12,`1724.57", "`12,`1724.58", "应结订单总金额"),
        ("`7.3,", "`7.30001,", "手续费总金额"),
        ("`7.3,", "`,", "手续费总金额"),
        ("`88.00,`0.00,`\r", "`88.01,`0.00,`\r", "订单总金额"),
    ] {
        let seen = bill::read(whole.replacen(from, to, 1).as_bytes());
        assert_eq!(seen, Err(BillError::Total(total.to_owned())), "{to}");
    }
    let flow = String::from_utf8(file("v2_fund_flow_Basic_20251008.csv")).unwrap();
    let seen = bill::read(flow.replacen("`收入", "`支出", 1).as_bytes());
    assert_eq!(seen, Err(BillError::Total("收入笔数".to_owned())));

    let message = "<xml><return_code>FAIL</return_code><return_msg>SIGN ERROR</return_msg></xml>";
    assert_eq!(bill::read(message.as_bytes()), Err(BillError::Message("SIGN ERROR".to_owned())));
    assert_eq!(bill::read(b"\xff\xfe\x00"), Err(BillError::UnknownHeader));
}

// ---- laid against orders and ledger ----

fn local_order(order: &Value) -> LocalOrder {
    let total = Fen::new(order["total_fen"].as_i64().unwrap()).unwrap();
    let paid = order["state"] == "paid";
    LocalOrder {
        out_trade_no: text(&order["out_trade_no"]).to_owned(),
        transaction_id: None,
        total,
        paid,
        booked: if paid { total.into() } else { NanoCny::ZERO },
        due: paid,
    }
}

fn local_refund(refund: &Value) -> LocalRefund {
    let amount = Fen::new(refund["refund_fen"].as_i64().unwrap()).unwrap();
    let out_refund_no = text(&refund["out_refund_no"]).to_owned();
    LocalRefund { out_refund_no, refund: amount, booked: amount.into(), due: true }
}

struct Sample {
    bill: TradeBill,
    orders: Vec<LocalOrder>,
    refunds: Vec<LocalRefund>,
    expected: Value,
}

fn sample() -> Sample {
    let sample: Value = serde_json::from_slice(&file("reconcile_sample.json")).unwrap();
    let list = |member: &str| sample[member].as_array().unwrap().clone();
    Sample {
        bill: trade(&file(text(&sample["bill"]))),
        orders: list("local_orders").iter().map(local_order).collect(),
        refunds: list("local_refunds").iter().map(local_refund).collect(),
        expected: sample["expected"].clone(),
    }
}

impl Sample {
    fn compared(&self) -> Compared {
        compare(&self.bill, &self.orders, &self.refunds)
    }

    /// The differences beyond those of the untouched sample.
    fn new_differences(&self) -> Vec<Difference> {
        let known = sample().compared().differences;
        self.compared().differences.into_iter().filter(|difference| !known.contains(difference)).collect()
    }
}

#[test]
fn the_recorded_day_differs_as_recorded() {
    let sample = sample();
    let compared = sample.compared();
    let texts = |member: &str| -> Vec<_> {
        sample.expected[member].as_array().unwrap().iter().map(|number| text(number).to_owned()).collect()
    };
    assert_eq!(compared.payments, texts("matched_payments"));
    assert_eq!(compared.refunds, texts("matched_refunds"));
    let seen: Vec<_> = compared.differences.iter().map(as_recorded).collect();
    let mut expected = sample.expected["differences"].as_array().unwrap().clone();
    for difference in &mut expected {
        difference.as_object_mut().unwrap().remove("action");
    }
    // The recording sorts by what is looked at; here what the bill has comes before what it lacks.
    let sorted = |mut list: Vec<Value>| {
        list.sort_by_key(ToString::to_string);
        list
    };
    assert_eq!(sorted(seen), sorted(expected));
}

fn as_recorded(difference: &Difference) -> Value {
    let kind = difference.kind();
    match difference {
        Difference::PaidInBillPendingLocally { out_trade_no, bill, .. }
        | Difference::MissingLocally { out_trade_no, bill, .. } => {
            serde_json::json!({"kind": kind, "out_trade_no": out_trade_no, "bill_fen": bill.get()})
        }
        Difference::AmountMismatch { out_trade_no, bill, local } => serde_json::json!({
            "kind": kind, "out_trade_no": out_trade_no, "bill_fen": bill.get(), "local_fen": local.get(),
        }),
        Difference::MissingInBill { out_trade_no, local } => {
            serde_json::json!({"kind": kind, "out_trade_no": out_trade_no, "local_fen": local.get()})
        }
        Difference::RefundMissingLocally { out_refund_no, bill, .. } => {
            serde_json::json!({"kind": kind, "out_refund_no": out_refund_no, "bill_fen": bill.get()})
        }
        Difference::RefundMissingInBill { out_refund_no, local } => {
            serde_json::json!({"kind": kind, "out_refund_no": out_refund_no, "local_fen": local.get()})
        }
        other => panic!("{other:?}"),
    }
}

/// Everything on the bill and everything due is told of once: agreed upon, or as one difference.
#[test]
fn nothing_is_left_out_and_nothing_told_twice() {
    let sample = sample();
    let compared = sample.compared();
    let told = compared.payments.len() + compared.refunds.len() + compared.differences.len();
    let lacking = compared
        .differences
        .iter()
        .filter(|d| matches!(d, Difference::MissingInBill { .. } | Difference::RefundMissingInBill { .. }));
    assert_eq!(told - lacking.count(), sample.bill.rows.len());
}

#[test]
fn what_no_recording_has_is_told_apart() {
    let first = "T20251008000000000001".to_owned();
    let first_refund = "R20251008000000000001".to_owned();
    let transaction = "4200002815202510080000000001".to_owned();
    let (paid, back) = (Fen::new(8800).unwrap(), Fen::new(300).unwrap());

    let mut changed = sample();
    changed.orders[0].booked = NanoCny::ZERO;
    let difference =
        Difference::BookedOtherwise { out_trade_no: first.clone(), bill: paid, booked: NanoCny::ZERO };
    assert_eq!(
        changed.new_differences(),
        [difference],
        "paid on both sides, and the ledger knows nothing of it"
    );

    let mut changed = sample();
    changed.orders[0].transaction_id = Some("forged".to_owned());
    let difference = Difference::OtherTransaction {
        out_trade_no: first,
        bill: transaction.clone(),
        local: "forged".to_owned(),
    };
    assert_eq!(changed.new_differences(), [difference]);
    changed.orders[0].transaction_id = Some(transaction.clone());
    assert_eq!(changed.new_differences(), []);

    let mut changed = sample();
    changed.refunds[0].refund = Fen::new(301).unwrap();
    let difference = Difference::RefundAmountMismatch {
        out_refund_no: first_refund.clone(),
        bill: back,
        local: Fen::new(301).unwrap(),
    };
    assert_eq!(changed.new_differences(), [difference]);
    changed.refunds[0] = LocalRefund { refund: back, booked: NanoCny::ZERO, ..changed.refunds[0].clone() };
    let difference =
        Difference::RefundBookedOtherwise { out_refund_no: first_refund, bill: back, booked: NanoCny::ZERO };
    assert_eq!(
        changed.new_differences(),
        [difference],
        "given back there, and here the money is still with us"
    );

    let mut changed = sample();
    changed.bill.rows.push(changed.bill.rows[0].clone());
    assert_eq!(changed.new_differences(), [Difference::Repeated { number: transaction }]);
    changed.bill.rows.pop();
    changed.bill.rows[0].kind = RowKind::Other("REVOKED".to_owned());
    let kinds: Vec<_> = changed.new_differences().iter().map(Difference::kind).collect();
    assert_eq!(kinds, ["unknown_kind", "missing_in_bill"]);

    let mut changed = sample();
    let at_midnight = changed.orders.iter_mut().find(|order| order.out_trade_no.ends_with("0010")).unwrap();
    at_midnight.due = false;
    let kinds: Vec<_> = changed.compared().differences.iter().map(Difference::kind).collect();
    assert!(!kinds.contains(&"missing_in_bill"), "may be on another day's bill: {kinds:?}");
}
