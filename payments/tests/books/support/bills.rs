//! Bills as WeChat Pay writes them, from what the test says happened.

use std::fmt::Write as _;

use units::Timestamp;

use super::{APPID, MCHID};

/// A row of a trade bill. Amounts are fen.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub at: Timestamp,
    pub transaction: String,
    pub number: String,
    pub amount: i64,
    /// Negative where it is given back.
    pub fee: i64,
    /// The channel's and the merchant's number, of a refund.
    pub refund: Option<(String, String)>,
}

/// A movement: of what, under which number of the merchant's, of which kind, fen (what leaves is negative).
#[derive(Debug, Clone, PartialEq)]
pub struct Movement {
    pub at: Timestamp,
    pub business: String,
    pub voucher: String,
    pub kind: &'static str,
    pub amount: i64,
}

impl Row {
    /// How the account moves for it.
    pub fn movements(&self) -> Vec<Movement> {
        let movement = |business: &str, voucher: &str, kind, amount| Movement {
            at: self.at,
            business: business.to_owned(),
            voucher: voucher.to_owned(),
            kind,
            amount,
        };
        let moved = match &self.refund {
            None => vec![
                movement(&self.transaction, &self.number, "交易", self.amount),
                movement(&self.transaction, &self.number, "扣除交易手续费", -self.fee),
            ],
            Some((id, number)) => vec![
                movement(id, number, "退款", -self.amount),
                movement(id, number, "退还交易手续费", -self.fee),
            ],
        };
        moved.into_iter().filter(|movement| movement.amount != 0).collect()
    }
}

fn yuan(fen: i64) -> String {
    let sign = if fen < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", fen.abs() / 100, fen.abs() % 100)
}

/// In Beijing.
fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_second(at.secs()).unwrap();
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub fn trade_bill(rows: &[Row]) -> String {
    let mut bill = String::from(
        "\u{feff}交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,\
         应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,\
         费率,订单金额,申请退款金额,费率备注\r\n",
    );
    let (mut paid, mut back, mut fees) = (0, 0, 0);
    for row in rows {
        fees += row.fee;
        let (at, fee) = (time(row.at), yuan(row.fee));
        let (state, settled, refund, applied) = match &row.refund {
            None => {
                paid += row.amount;
                ("SUCCESS", row.amount, ("0", "0", "", ""), 0)
            }
            Some((id, number)) => {
                back += row.amount;
                ("REFUND", 0, (id.as_str(), number.as_str(), "ORIGINAL", "SUCCESS"), row.amount)
            }
        };
        let (settled, applied) = (yuan(settled), yuan(applied));
        let (id, number, kind, status) = refund;
        let Row { transaction, number: order, .. } = row;
        let _ = write!(
            bill,
            "`{at},`{APPID},`{MCHID},`0,`,`{transaction},`{order},`openid,`NATIVE,`{state},`OTHERS,`CNY,`{settled},`0.00,`{id},\
             `{number},`{applied},`0.00,`{kind},`{status},`top-up, with a comma,`,`{fee}000,`0.60%,`{settled},`{applied},`\r\n"
        );
    }
    let (paid, back, fees) = (yuan(paid), yuan(back), yuan(fees));
    let _ = write!(
        bill,
        "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n\
         `{}.0,`{paid},`{back},`0.0,`{fees},`{paid},`{back}\r\n",
        rows.len()
    );
    bill
}

pub fn fund_flow(movements: &[Movement]) -> String {
    let mut bill = String::from(
        "\u{feff}记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,\
         备注,业务凭证号\r\n",
    );
    for (place, movement) in movements.iter().enumerate() {
        let Movement { at, business, voucher, kind, amount } = movement;
        let name = if kind.contains("退") { "退款" } else { "交易" };
        let way = if *amount > 0 { "收入" } else { "支出" };
        let (at, amount) = (time(*at), yuan(amount.abs()));
        let _ = write!(
            bill,
            "`{at},`{business},`{place},`{name},`{kind},`{way},`{amount},`1.00,`system,`,`{voucher}\r\n"
        );
    }
    let of = |income: bool| movements.iter().filter(move |movement| (movement.amount > 0) == income);
    let sum = |income| yuan(of(income).map(|movement| movement.amount.abs()).sum());
    let _ = write!(
        bill,
        "资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\r\n`{},`{},`{},`{},`{}\r\n",
        movements.len(),
        of(true).count(),
        sum(true),
        of(false).count(),
        sum(false)
    );
    bill
}
