//! Do the books agree with what clients saw? Whole nano-yuan throughout; reckoned here anew, not by the product's code.

use serde::{Serialize, Serializer};

/// Nano-yuan in a yuan have this many zeros.
const DECIMALS: usize = 9;

/// Yuan as written (`-?digits[.digits]`, at most nine decimals) in nano-yuan; `None` for any other text.
pub(crate) fn nano(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !plain(whole) || !plain(fraction) || fraction.len() > DECIMALS {
        return None;
    }
    let nanos: i128 = format!("{whole}{fraction:0<DECIMALS$}").parse().ok()?;
    i64::try_from(sign * nanos).ok()
}

/// Nano-yuan as yuan, with at least two decimals.
pub(crate) fn yuan(nano: i128) -> String {
    let sign = if nano < 0 { "-" } else { "" };
    let (whole, fraction) = (nano.unsigned_abs() / 1_000_000_000, nano.unsigned_abs() % 1_000_000_000);
    let mut fraction = format!("{fraction:0DECIMALS$}");
    while fraction.len() > 2 && fraction.ends_with('0') {
        fraction.pop();
    }
    format!("{sign}{whole}.{fraction}")
}

fn as_yuan<S: Serializer>(nano: &i128, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&yuan(*nano))
}

/// A price per token in nano-yuan; a yuan per million tokens is 1000.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Price {
    /// For a token asked with.
    pub(crate) input: i64,
    /// For a token answered with.
    pub(crate) output: i64,
}

impl Price {
    /// The price of a million tokens as configuration files have it.
    pub(crate) fn per_million(nano: i64) -> String {
        yuan(i128::from(nano) * 1_000_000)
    }

    /// What so many tokens come to.
    pub(crate) fn of(self, prompt_tokens: u64, completion_tokens: u64) -> i128 {
        i128::from(self.input) * i128::from(prompt_tokens)
            + i128::from(self.output) * i128::from(completion_tokens)
    }
}

/// What clients saw of money, and what the books say; amounts in nano-yuan.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Money {
    /// Calls that told their cost.
    pub(crate) calls_with_cost: u64,
    /// Calls that were sent and told no cost, because they failed.
    pub(crate) calls_without_cost: u64,
    /// The sum of the costs that were told.
    #[serde(serialize_with = "as_yuan", rename = "seen_by_clients_cny")]
    pub(crate) seen: i128,
    /// The same calls' tokens at the configured price.
    #[serde(serialize_with = "as_yuan", rename = "tokens_at_price_cny")]
    pub(crate) reckoned: i128,
    /// What was paid in.
    #[serde(serialize_with = "as_yuan", rename = "paid_in_cny")]
    pub(crate) paid_in: i128,
    /// `spent` of `/v1/credits`.
    #[serde(serialize_with = "as_yuan", rename = "spent_cny")]
    pub(crate) spent: i128,
    /// `balance` of `/v1/credits`.
    #[serde(serialize_with = "as_yuan", rename = "balance_cny")]
    pub(crate) balance: i128,
    /// Calls that still have money set aside.
    pub(crate) open_holds: i64,
    /// How long the ledger took to look at itself.
    pub(crate) trial_balance_ms: u64,
    /// Whether every rule of the ledger holds.
    pub(crate) balanced: bool,
    /// Which do not.
    pub(crate) findings: Vec<String>,
}

impl Money {
    /// Everything that is not as it must be; empty if the books are right to the last nano-yuan.
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        if !self.balanced {
            found.push(format!("the books do not balance: {}", self.findings.join("; ")));
        }
        if self.open_holds != 0 {
            found.push(format!("{} calls have ended and still hold money", self.open_holds));
        }
        if self.seen != self.spent {
            found.push(format!(
                "the ledger charged ¥{}, clients saw ¥{}: ¥{} apart, with {} calls that told no cost",
                yuan(self.spent),
                yuan(self.seen),
                yuan(self.spent - self.seen),
                self.calls_without_cost
            ));
        }
        if self.seen != self.reckoned {
            found.push(format!(
                "clients saw ¥{}, their tokens at the price come to ¥{}",
                yuan(self.seen),
                yuan(self.reckoned)
            ));
        }
        if self.paid_in != self.spent + self.balance {
            found.push(format!(
                "¥{} paid in, but spent ¥{} and balance ¥{}",
                yuan(self.paid_in),
                yuan(self.spent),
                yuan(self.balance)
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_exactly_or_not_at_all() {
        assert_eq!(nano("0.000046335"), Some(46_335));
        assert_eq!(nano("12"), Some(12_000_000_000));
        assert_eq!(nano("-0.50"), Some(-500_000_000));
        assert_eq!(nano("9223372036.854775807"), Some(i64::MAX));
        for bad in
            ["", "-", ".5", "5.", "1e3", "+1", " 1", "0.0000000001", "9223372036.854775808", "1,0", "NaN"]
        {
            assert_eq!(nano(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn amounts_are_written_as_they_are_read() {
        assert_eq!(yuan(10_000_000_000), "10.00");
        assert_eq!(yuan(-1), "-0.000000001");
        for amount in [0, 1, -1, 999_999_999, 1_234_500_000, i64::MAX] {
            assert_eq!(nano(&yuan(i128::from(amount))), Some(amount));
        }
    }

    #[test]
    fn tokens_at_a_price_are_whole_nano_yuan() {
        let price = Price { input: 1_000, output: 2_000 };
        assert_eq!(price.of(9, 2), 13_000);
        assert_eq!(Price::per_million(1_000), "1.00");
        assert_eq!(Price::per_million(10), "0.01");
    }

    fn right() -> Money {
        Money {
            calls_with_cost: 3,
            seen: 39_000,
            reckoned: 39_000,
            paid_in: 1_000_000_000,
            spent: 39_000,
            balance: 999_961_000,
            balanced: true,
            ..Money::default()
        }
    }

    #[test]
    fn right_books_have_no_violation() {
        assert_eq!(right().violations(), [""; 0]);
    }

    #[test]
    fn one_nano_yuan_astray_is_a_violation() {
        assert_eq!(Money { seen: 38_999, reckoned: 38_999, ..right() }.violations().len(), 1);
        assert_eq!(Money { reckoned: 39_001, ..right() }.violations().len(), 1);
        assert_eq!(Money { balance: 999_961_001, ..right() }.violations().len(), 1);
        assert_eq!(Money { open_holds: 1, ..right() }.violations().len(), 1);
        let unbalanced = Money { balanced: false, findings: vec!["a sum".to_owned()], ..right() };
        assert_eq!(unbalanced.violations(), ["the books do not balance: a sum"]);
    }

    #[test]
    fn a_charge_nobody_saw_names_the_calls_it_may_belong_to() {
        let money = Money { spent: 52_000, balance: 999_948_000, calls_without_cost: 1, ..right() };
        let found = money.violations();
        assert!(found[0].contains("¥0.000013 apart, with 1 calls"), "{found:?}");
    }
}
