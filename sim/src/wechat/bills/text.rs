//! How is a bill written? UTF-8 with a byte order mark, CRLF, a backtick before every value and nothing quoted.
use super::{Rows, Style, flow, trade};
use crate::clock::beijing_spaced;
use crate::faults::RefundStatus;

const BOM: char = '\u{feff}';

/// The trade bill; `None` without a row.
pub(super) fn trade(mchid: &str, rows: &[trade::Row], which: Rows, style: Style) -> Option<String> {
    let shown: Vec<&trade::Row> = rows
        .iter()
        .filter(|row| match which {
            Rows::Success => row.refund.is_none(),
            Rows::Refund => row.refund.is_some(),
            _ => true,
        })
        .collect();
    if shown.is_empty() {
        return None;
    }
    let mut file = String::from(BOM);
    let (refunds, times) = (which != Rows::Success, which == Rows::Refund);
    let mut names = vec![
        "交易时间",
        "公众账号ID",
        "商户号",
        "特约商户号",
        "设备号",
        "微信订单号",
        "商户订单号",
        "用户标识",
        "交易类型",
        "交易状态",
        "付款银行",
        "货币种类",
        "应结订单金额",
        "代金券金额",
    ];
    if times {
        names.extend(["退款申请时间", "退款成功时间"]);
    }
    if refunds {
        names.extend(["微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态"]);
    }
    names.extend(["商品名称", "商户数据包", "手续费", "费率", "订单金额"]);
    if refunds {
        names.push("申请退款金额");
    }
    names.push("费率备注");
    headed(&mut file, &names);
    for row in &shown {
        lined(&mut file, &values(mchid, row, refunds, times));
    }

    let sum = |of: fn(&trade::Row) -> i64| shown.iter().map(|row| of(row)).sum::<i64>();
    let paid = short(sum(|row| row.paid));
    let back = short(sum(|row| row.refund.as_ref().map_or(0, |refund| refund.sum)));
    let fees = short(sum(|row| row.fee));
    let count = counted(shown.len(), style);
    if refunds {
        headed(
            &mut file,
            &[
                "总交易单数",
                "应结订单总金额",
                "退款总金额",
                "充值券退款总金额",
                "手续费总金额",
                "订单总金额",
                "申请退款总金额",
            ],
        );
        lined(&mut file, &[count, paid.clone(), back.clone(), short(0), fees, paid, back]);
    } else {
        headed(&mut file, &["总交易单数", "应结订单总金额", "手续费总金额", "订单总金额"]);
        lined(&mut file, &[count, paid.clone(), fees, paid]);
    }
    Some(file)
}

fn values(mchid: &str, row: &trade::Row, refunds: bool, times: bool) -> Vec<String> {
    let state = if row.refund.is_some() { "REFUND" } else { "SUCCESS" };
    let mut values: Vec<String> = vec![
        beijing_spaced(row.at),
        row.appid.clone(),
        mchid.to_owned(),
        "0".to_owned(),
        row.device.clone(),
        row.transaction_id.clone(),
        row.out_trade_no.clone(),
        row.openid.clone(),
        row.trade_type.to_owned(),
        state.to_owned(),
        "OTHERS".to_owned(),
        "CNY".to_owned(),
        yuan(row.paid),
        yuan(0),
    ];
    if times {
        values.push(beijing_spaced(row.at));
        let success = row.refund.as_ref().and_then(|refund| refund.success);
        values.push(success.map(beijing_spaced).unwrap_or_default());
    }
    if refunds {
        match &row.refund {
            Some(refund) => values.extend([
                refund.refund_id.clone(),
                refund.out_refund_no.clone(),
                yuan(refund.sum),
                yuan(0),
                "ORIGINAL".to_owned(),
                state_of(refund.status).to_owned(),
            ]),
            None => values.extend(["0", "0", "0.00", "0.00", "", ""].map(str::to_owned)),
        }
    }
    values.extend([
        row.description.clone(),
        row.attach.clone(),
        format!("{}000", yuan(row.fee)),
        format!("{}.{:02}%", row.basis_points / 100, row.basis_points % 100),
        yuan(row.paid),
    ]);
    if refunds {
        values.push(yuan(row.refund.as_ref().map_or(0, |refund| refund.sum)));
    }
    values.push(String::new());
    values
}

fn state_of(status: RefundStatus) -> &'static str {
    match status {
        RefundStatus::Processing => "PROCESSING",
        RefundStatus::Success => "SUCCESS",
        RefundStatus::Closed => "CLOSED",
        RefundStatus::Abnormal => "ABNORMAL",
    }
}

/// The fund-flow bill of a day, `yyyy-MM-dd`; `None` without a row.
pub(super) fn flow(mchid: &str, day: &str, rows: &[flow::Row], style: Style) -> Option<String> {
    if rows.is_empty() {
        return None;
    }
    let mut file = String::from(BOM);
    headed(
        &mut file,
        &[
            "记账时间",
            "微信支付业务单号",
            "资金流水单号",
            "业务名称",
            "业务类型",
            "收支类型",
            "收支金额(元)",
            "账户结余(元)",
            "资金变更提交申请人",
            "备注",
            "业务凭证号",
        ],
    );
    let day = day.replace('-', "");
    for (place, row) in (1..).zip(rows) {
        let place: u32 = place;
        lined(
            &mut file,
            &[
                beijing_spaced(row.at),
                row.business.clone(),
                format!("{mchid}{day}{place:08}"),
                row.name.to_owned(),
                row.kind.to_owned(),
                if row.amount < 0 { "支出" } else { "收入" }.to_owned(),
                yuan(row.amount.abs()),
                yuan(row.balance),
                row.by.clone().unwrap_or_else(|| "system".to_owned()),
                row.remark.clone(),
                row.voucher.clone(),
            ],
        );
    }
    headed(&mut file, &["资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额"]);
    let side = |sign: i64| {
        let amounts = rows.iter().map(|row| row.amount).filter(|amount| amount.signum() == sign);
        amounts.fold((0, 0), |(count, sum), amount| (count + 1, sum + amount.abs()))
    };
    let ((came, income), (left, outgo)) = (side(1), side(-1));
    let totals =
        [counted(rows.len(), style), counted(came, style), short(income), counted(left, style), short(outgo)];
    lined(&mut file, &totals);
    Some(file)
}

fn headed(file: &mut String, names: &[&str]) {
    file.push_str(&names.join(","));
    file.push_str("\r\n");
}

/// A line of values. What would end the line becomes a blank; everything else stands as it is, commas too.
fn lined<T: AsRef<str>>(file: &mut String, values: &[T]) {
    for (place, value) in values.iter().enumerate() {
        file.push_str(if place == 0 { "`" } else { ",`" });
        file.extend(value.as_ref().chars().map(|c| if matches!(c, '\r' | '\n') { ' ' } else { c }));
    }
    file.push_str("\r\n");
}

/// Fen as yuan with two decimals.
fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.abs() / 100, fen.abs() % 100)
}

/// Fen as yuan, as short as totals are written: `508.0`.
fn short(fen: i64) -> String {
    let written = yuan(fen);
    written.strip_suffix('0').map_or_else(|| written.clone(), str::to_owned)
}

/// v2 counts in `12.0`.
fn counted(count: usize, style: Style) -> String {
    match style {
        Style::V2 => format!("{count}.0"),
        Style::V3 => count.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_in_the_sample_bills() {
        assert_eq!([yuan(8800), yuan(-2), yuan(0)], ["88.00", "-0.02", "0.00"]);
        assert_eq!(
            [short(50_800), short(172_457), short(0), short(730), short(-305)],
            ["508.0", "1724.57", "0.0", "7.3", "-3.05"]
        );
        assert_eq!([counted(12, Style::V2), counted(12, Style::V3)], ["12.0", "12"]);
        let mut line = String::new();
        lined(&mut line, &["余额充值, 10 元", "a\r\nb", ""]);
        assert_eq!(line, "`余额充值, 10 元,`a  b,`\r\n");
    }
}
