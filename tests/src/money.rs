//! How much is "0.50"?

/// Billionths of a yuan. Amounts on the wire are decimal text; a test compares them exactly.
///
/// # Panics
/// If the text is no decimal with at most nine digits behind the point.
pub fn nano(yuan: &str) -> i64 {
    let digits = yuan.strip_prefix('-').unwrap_or(yuan);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    assert!(plain(whole) && plain(part) && part.len() <= 9, "{yuan:?} is no amount");
    let amount: i64 = format!("{whole}{part:0<9}").parse().expect("an amount that fits");
    if digits.len() == yuan.len() { amount } else { -amount }
}

#[cfg(test)]
mod tests {
    use super::nano;

    #[test]
    fn an_amount_is_read_exactly() {
        assert_eq!([nano("0.50"), nano("10"), nano("-0.000000001")], [500_000_000, 10_000_000_000, -1]);
        for bad in ["", "1.", ".5", "1e3", "1.0000000001", "¥1", "--1"] {
            assert!(std::panic::catch_unwind(|| nano(bad)).is_err(), "{bad}");
        }
    }
}
