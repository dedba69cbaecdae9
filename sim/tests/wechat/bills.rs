//! What the books say of a day, in both APIs.
use std::io::Read;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use flate2::read::GzDecoder;
use reqwest::Response;
use serde_json::{Value, json};
use sim::SimClock;

use crate::far::Far;
use crate::old::{Old, read, xml};

const DAY: i64 = 86_400;

/// Seconds since midnight in Beijing.
fn of_day(far: &Far) -> i64 {
    (far.clock.now_micros() / 1_000_000 + 8 * 3_600).rem_euclid(DAY)
}

/// The day in Beijing.
fn today(far: &Far) -> String {
    let at = jiff::Timestamp::from_microsecond(far.clock.now_micros()).unwrap();
    at.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(8))).strftime("%Y-%m-%d").to_string()
}

/// To this time of the next day.
async fn next_day(far: &Far, hour: i64) {
    far.advance(DAY - of_day(far) + hour * 3_600).await;
}

/// Two payments and two refunds on a day that is over; the day.
async fn traded(far: &Far) -> String {
    next_day(far, 1).await;
    let day = today(far);
    far.post("/_sim/v1/settings", json!({"refund_delay_ms": 1000})).await;
    for (number, name) in [("B2025100900001", "余额充值, 10 元"), ("B2025100900002", "LLM balance 88")] {
        let mut order = far.order(number, "http://127.0.0.1:9/notify");
        order["description"] = name.into();
        far.create(&order).await;
        far.pay(number).await;
        far.advance(60).await;
    }
    for (refund_no, status) in [("B-R1", "SUCCESS"), ("B-R2", "PROCESSING")] {
        far.fault(json!({"scope": "wechat", "fault": "refund_result", "status": status})).await;
        let refund = json!({
            "out_trade_no": "B2025100900002", "out_refund_no": refund_no, "reason": "不要了",
            "amount": {"refund": 300, "total": 8800, "currency": "CNY"},
        });
        assert_eq!(far.refund(&refund).await.0, 200);
        far.advance(61).await;
    }
    far.until("/_sim/v1/orders/B2025100900002", |it| it["refunds"][0]["status"] == "SUCCESS").await;
    day
}

async fn link(far: &Far, query: &str) -> (u16, Value) {
    far.call("GET", &format!("/v3/bill/{query}"), &Value::Null).await
}

async fn follow(far: &Far, url: &str) -> Response {
    let path = url.strip_prefix(&format!("{}/wechat", far.base)).unwrap();
    far.call_with("GET", path, "", |_| {}).await
}

/// A bill by v3, its hash compared.
async fn bill(far: &Far, query: &str) -> String {
    let (status, link) = link(far, query).await;
    assert_eq!(status, 200, "{link}");
    let answer = follow(far, link["download_url"].as_str().unwrap()).await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("wechatpay-signature"));
    let bytes = answer.bytes().await.unwrap().to_vec();
    let file = if query.contains("GZIP") {
        let mut file = Vec::new();
        GzDecoder::new(bytes.as_slice()).read_to_end(&mut file).unwrap();
        file
    } else {
        bytes
    };
    let hash: String =
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &file).as_ref().iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!((&link["hash_type"], &link["hash_value"]), (&json!("SHA1"), &json!(hash)));
    String::from_utf8(file).unwrap()
}

/// The lines of a bill: names, rows, names of totals, totals.
fn lines(file: &str) -> Vec<Vec<String>> {
    let file = file.strip_prefix('\u{feff}').unwrap();
    assert!(file.ends_with("\r\n"));
    file.split_terminator("\r\n")
        .map(|line| match line.strip_prefix('`') {
            Some(values) => values.split(",`").map(str::to_owned).collect(),
            None => line.split(',').map(str::to_owned).collect(),
        })
        .collect()
}

/// The values of a column, by its name.
fn column(file: &str, name: &str) -> Vec<String> {
    let lines = lines(file);
    let place = lines[0].iter().position(|it| it == name).unwrap();
    lines[1..lines.len() - 2].iter().map(|row| row[place].clone()).collect()
}

#[tokio::test]
async fn a_trade_bill_has_every_payment_and_every_refund_that_was_accepted() {
    let far = Far::open().await;
    let day = traded(&far).await;
    next_day(&far, 10).await;
    let all = bill(&far, &format!("tradebill?bill_date={day}")).await;
    let read = lines(&all);
    assert!(read[..5].iter().all(|line| line.len() == 27), "{read:?}");
    assert_eq!(read.len(), 1 + 4 + 2);
    assert_eq!(
        read[5..],
        [
            vec![
                "总交易单数",
                "应结订单总金额",
                "退款总金额",
                "充值券退款总金额",
                "手续费总金额",
                "订单总金额",
                "申请退款总金额"
            ],
            vec!["4", "176.0", "6.0", "0.0", "1.02", "176.0", "6.0"],
        ]
    );
    assert_eq!(column(&all, "商品名称")[0], "余额充值, 10 元", "a comma is no end");
    assert_eq!(column(&all, "手续费"), ["0.53000", "0.53000", "-0.02000", "-0.02000"]);
    assert_eq!(column(&all, "退款状态"), ["", "", "SUCCESS", "PROCESSING"]);
    assert_eq!(column(&all, "订单金额"), ["88.00", "88.00", "0.00", "0.00"]);
    let paid = bill(&far, &format!("tradebill?bill_date={day}&bill_type=SUCCESS&tar_type=GZIP")).await;
    assert_eq!((lines(&paid)[0].len(), column(&paid, "商户订单号").len()), (20, 2));
    assert_eq!(lines(&paid)[4], ["2", "176.0", "1.06", "176.0"]);
    let back = bill(&far, &format!("tradebill?bill_date={day}&bill_type=REFUND")).await;
    assert_eq!(
        (lines(&back)[0].len(), column(&back, "商户退款单号")),
        (29, vec!["B-R1".to_owned(), "B-R2".into()])
    );
    let times = column(&back, "退款成功时间");
    assert!(times[0].starts_with(&day) && times[1].is_empty());

    // What ends later does not change the bill.
    far.post("/_sim/v1/refunds/B-R2/resolve", json!({"status": "SUCCESS"})).await;
    assert_eq!(bill(&far, &format!("tradebill?bill_date={day}")).await, all);
}

#[tokio::test]
async fn a_fund_flow_bill_adds_up_to_what_lies_on_the_account() {
    let far = Far::open().await;
    let day = traded(&far).await;
    next_day(&far, 10).await;
    let flow = bill(&far, &format!("fundflowbill?bill_date={day}&account_type=BASIC&tar_type=GZIP")).await;
    assert_eq!(lines(&flow)[0].len(), 11);
    assert_eq!(
        column(&flow, "业务类型"),
        [
            "交易",
            "扣除交易手续费",
            "交易",
            "扣除交易手续费",
            "退款",
            "退还交易手续费",
            "退款",
            "退还交易手续费"
        ]
    );
    let sides = column(&flow, "收支类型");
    let fen = |text: &str| text.replace('.', "").parse::<i64>().unwrap();
    let mut balance = 100_000_000;
    for ((side, amount), after) in
        sides.iter().zip(column(&flow, "收支金额(元)")).zip(column(&flow, "账户结余(元)"))
    {
        balance += if side == "收入" { fen(&amount) } else { -fen(&amount) };
        assert_eq!(fen(&after), balance);
    }
    let totals = lines(&flow).pop().unwrap();
    assert_eq!(totals, ["8", "4", "176.04", "4", "7.06"]);

    // A refund that is closed comes back, and costs its fee again.
    far.post("/_sim/v1/refunds/B-R2/resolve", json!({"status": "CLOSED"})).await;
    let next = today(&far);
    next_day(&far, 10).await;
    let flow = bill(&far, &format!("fundflowbill?bill_date={next}")).await;
    assert_eq!(column(&flow, "业务类型"), ["退款关闭", "扣除交易手续费"]);
    let other = link(&far, &format!("fundflowbill?bill_date={day}&account_type=FEES")).await;
    assert_eq!(other.1["code"], "NO_STATEMENT_EXIST");
}

#[tokio::test]
async fn a_bill_is_there_from_ten_oclock_of_the_next_day() {
    let far = Far::open().await;
    let day = traded(&far).await;
    let query = format!("tradebill?bill_date={day}");
    assert_eq!(link(&far, &query).await.1["code"], "STATEMENT_CREATING", "the day is not over");
    next_day(&far, 9).await;
    assert_eq!(link(&far, &query).await.1["code"], "STATEMENT_CREATING");
    far.advance(3_600).await;
    let (status, made) = link(&far, &query).await;
    assert_eq!(status, 200);
    let url = made["download_url"].as_str().unwrap();
    assert_eq!(follow(&far, url).await.status(), 200);
    let forged = far.http.get(url).header("accept", "*/*").header("user-agent", "x").send().await.unwrap();
    assert_eq!(forged.status(), 401, "only the merchant follows a link");
    assert_eq!(follow(&far, &format!("{url}x")).await.status(), 404);
    far.advance(301).await;
    assert_eq!(follow(&far, url).await.status(), 404, "a link leads there for five minutes");
    for (bad, code) in [
        ("tradebill", "PARAM_ERROR"),
        ("tradebill?bill_date=20251009", "PARAM_ERROR"),
        ("tradebill?bill_date=2020-01-01", "PARAM_ERROR"),
        ("tradebill?bill_date=2999-01-01", "PARAM_ERROR"),
        (&format!("{query}&bill_type=EVERYTHING"), "PARAM_ERROR"),
        (&format!("{query}&tar_type=ZIP"), "PARAM_ERROR"),
        (&format!("{query}&surprise=1"), "PARAM_ERROR"),
        (&format!("fundflowbill?bill_date={day}&account_type=Basic"), "PARAM_ERROR"),
    ] {
        assert_eq!(link(&far, bad).await.1["code"], code, "{bad}");
    }
    next_day(&far, 10).await;
    next_day(&far, 10).await;
    let empty = jiff::civil::Date::strptime("%Y-%m-%d", &day).unwrap().tomorrow().unwrap();
    assert_eq!(link(&far, &format!("tradebill?bill_date={empty}")).await.1["code"], "NO_STATEMENT_EXIST");
}

#[tokio::test]
async fn v2_has_the_same_bills_and_counts_in_its_own_way() {
    let far = Far::open().await;
    let day = traded(&far).await;
    let compact = day.replace('-', "");
    let old = Old::hmac(&far);
    let post = async |old: &Old<'_>, path: &str, fields: &[(&str, &str)]| {
        let mut fields = old.fields(fields);
        fields.insert("sign".into(), old.sign(&fields));
        let url = format!("{}/wechat/{path}", far.base);
        let request = far.http.post(url).header("content-type", "text/xml").body(xml(&fields));
        request.send().await.unwrap()
    };
    let trade = [("bill_date", compact.as_str()), ("bill_type", "ALL")];
    let early = post(&old, "pay/downloadbill", &trade).await.text().await.unwrap();
    assert_eq!(read(&early)["return_msg"], "Bill Creating");
    next_day(&far, 10).await;
    // As bytes: reading text would take the byte order mark away.
    let of_v2 = post(&old, "pay/downloadbill", &trade).await.bytes().await.unwrap().to_vec();
    let of_v2 = String::from_utf8(of_v2).unwrap();
    let of_v3 = bill(&far, &format!("tradebill?bill_date={day}")).await;
    assert_eq!(of_v2.replace("`4.0,`176.0", "`4,`176.0"), of_v3);
    assert_ne!(of_v2, of_v3);

    let flow = [("bill_date", compact.as_str()), ("account_type", "Basic")];
    let answer = post(&old, "pay/downloadfundflow", &flow).await;
    let told = answer.headers()["digest"].to_str().unwrap().to_owned();
    let file = answer.bytes().await.unwrap();
    let hash: String =
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &file).as_ref().iter().map(|it| format!("{it:02x}")).collect();
    assert_eq!(told, format!("SHA={hash}"));
    assert_eq!(
        lines(std::str::from_utf8(&file).unwrap()).pop().unwrap(),
        ["8.0", "4.0", "176.04", "4.0", "7.06"]
    );
    let zipped = post(&old, "pay/downloadfundflow", &[flow[0], flow[1], ("tar_type", "GZIP")]).await;
    let mut unzipped = Vec::new();
    GzDecoder::new(&*zipped.bytes().await.unwrap()).read_to_end(&mut unzipped).unwrap();
    assert_eq!(unzipped, file);

    let nothing = [("bill_date", compact.as_str()), ("bill_type", "RECHARGE_REFUND")];
    let none = read(&post(&old, "pay/downloadbill", &nothing).await.text().await.unwrap());
    assert_eq!((none["return_msg"].as_str(), none["error_code"].as_str()), ("No Bill Exist", "20002"));
    for (path, fields, word) in [
        ("pay/downloadbill", [("bill_date", compact.as_str()), ("bill_type", "MOST")], "invalid bill_type"),
        ("pay/downloadbill", [("bill_date", day.as_str()), ("bill_type", "ALL")], "bill_date"),
        (
            "pay/downloadfundflow",
            [("bill_date", compact.as_str()), ("account_type", "BASIC")],
            "account_type",
        ),
    ] {
        let answer = post(&old, path, &fields).await.text().await.unwrap();
        assert!(answer.starts_with("<xml>") && answer.contains(word), "{answer}");
    }
    let md5 = Old::md5(&far);
    assert_eq!(
        read(&post(&md5, "pay/downloadfundflow", &flow).await.text().await.unwrap())["err_code"],
        "PARAM_ERROR"
    );
}

#[tokio::test]
async fn rows_of_a_bill_can_be_missing_made_up_or_different_in_both_apis_alike() {
    let far = Far::open().await;
    let day = traded(&far).await;
    next_day(&far, 10).await;
    for fault in [
        json!({"fault": "bill_row_missing", "out_trade_no": "B2025100900001"}),
        json!({"fault": "bill_row_different", "out_refund_no": "B-R1", "total": 299}),
        json!({"fault": "bill_row_different", "bill": "fund_flow", "out_trade_no": "B2025100900002", "total": 8801}),
        json!({"fault": "bill_row_extra", "total": 1234}),
        // Of another day: it waits.
        json!({"fault": "bill_row_missing", "out_trade_no": "B2025100900009"}),
    ] {
        let mut fault = fault;
        fault["scope"] = "wechat".into();
        far.fault(fault).await;
    }
    assert_eq!(far.get(&format!("/_sim/v1/wechat/bills/{day}")).await["spoilt"], Value::Null);
    let all = bill(&far, &format!("tradebill?bill_date={day}")).await;
    let numbers = column(&all, "商户订单号");
    assert!(!numbers.contains(&"B2025100900001".to_owned()));
    assert_eq!(numbers.iter().filter(|number| number.starts_with("EXTRA")).count(), 1);
    assert!(column(&all, "申请退款金额").contains(&"2.99".to_owned()));
    assert_eq!(lines(&all).pop().unwrap()[0], "4", "the totals fit the rows");
    assert_eq!(bill(&far, &format!("tradebill?bill_date={day}")).await, all, "and so it stays");
    let flow = bill(&far, &format!("fundflowbill?bill_date={day}")).await;
    assert!(column(&flow, "收支金额(元)").contains(&"88.01".to_owned()));
    assert_eq!(far.get("/_sim/v1/faults").await["faults"].as_array().unwrap().len(), 1);
    let spoilt = far.get(&format!("/_sim/v1/wechat/bills/{day}")).await["spoilt"].clone();
    assert_eq!(spoilt.as_array().unwrap().len(), 4);
    assert_eq!(
        spoilt[0],
        json!({"fault": "bill_row_missing", "bill": "trade", "out_trade_no": "B2025100900001"})
    );
}

#[tokio::test]
async fn a_link_to_a_bill_can_lie_about_the_file_or_lead_astray() {
    let far = Far::open().await;
    let day = traded(&far).await;
    next_day(&far, 10).await;
    let query = format!("tradebill?bill_date={day}");
    let honest = link(&far, &query).await.1;
    far.fault(json!({"scope": "wechat", "fault": "bill_wrong_hash"})).await;
    assert_ne!(link(&far, &query).await.1["hash_value"], honest["hash_value"]);
    far.fault(json!({"scope": "wechat", "fault": "bill_foreign_host"})).await;
    let astray = link(&far, &query).await.1;
    assert!(!astray["download_url"].as_str().unwrap().starts_with(&far.base));
    assert_eq!(astray["hash_value"], honest["hash_value"]);
}

#[tokio::test]
async fn what_is_kept_of_a_payment_falls_with_what_was_paid_in_the_month() {
    let far = Far::open().await;
    next_day(&far, 1).await; // not at the end of a month
    let changed = json!({"fee_tier_above": 10_000, "fee_tier_basis_points": 38});
    assert_eq!(far.post("/_sim/v1/wechat/settings", changed).await.1["fee_basis_points"], 60);
    let mut fees = Vec::new();
    for number in ["B2025100900010", "B2025100900011", "B2025100900012"] {
        far.create(&far.order(number, "http://127.0.0.1:9/notify")).await;
        far.pay(number).await;
        fees.push(far.get(&format!("/_sim/v1/orders/{number}")).await["fee"].clone());
    }
    assert_eq!(fees, [53, 53, 33]);
    assert_eq!(far.post("/_sim/v1/wechat/settings", json!({"melt": 1})).await.0, 400);
}
