//! Decimal text to scaled integers and back, exactly; the one place where a decimal point is read or written.

/// Why a decimal text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not of the form `-?digits(.digits)?`.
    #[error("not a decimal number like 12.34")]
    Syntax,
    /// More decimals than the unit can hold.
    #[error("more than {0} decimals")]
    TooPrecise(u32),
    /// Outside the range of the unit.
    #[error("out of range")]
    Range,
}

/// Reads `text` as a number of 10^-`scale` units, without rounding.
///
/// # Errors
/// [`DecimalError`]: other text, more decimals than the unit holds, or beyond `i64`.
pub fn parse(text: &str, scale: u32) -> Result<i64, DecimalError> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let dangling_point = digits.contains('.') && fraction.is_empty();
    if whole.is_empty() || dangling_point || !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalError::Syntax);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = (scale as usize).checked_sub(fraction.len()).ok_or(DecimalError::TooPrecise(scale))?;
    let mut value: i128 = 0;
    for b in whole.bytes().chain(fraction.bytes()).chain(std::iter::repeat_n(b'0', missing)) {
        value = value * 10 + i128::from(b - b'0');
        if value > i128::from(i64::MAX) {
            return Err(DecimalError::Range);
        }
    }
    i64::try_from(if negative { -value } else { value }).map_err(|_| DecimalError::Range)
}

/// Writes `value` units of 10^-`scale` with at least `min_decimals` decimals and no further trailing zeros.
pub fn format(value: i64, scale: u32, min_decimals: usize) -> String {
    let base = 10_u64.pow(scale);
    let magnitude = value.unsigned_abs();
    let mut fraction = format!("{:0width$}", magnitude % base, width = scale as usize);
    while fraction.len() > min_decimals && fraction.ends_with('0') {
        fraction.pop();
    }
    let sign = if value < 0 { "-" } else { "" };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}", magnitude / base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_only_plain_decimals_and_never_rounds() {
        assert_eq!(parse("12.34", 9), Ok(12_340_000_000));
        assert_eq!(parse("-0.000000001", 9), Ok(-1));
        assert_eq!(parse("0.10", 1), Ok(1));
        assert_eq!(parse("0.0000000001", 9), Err(DecimalError::TooPrecise(9)));
        assert_eq!(parse("9223372036.854775807", 9), Ok(i64::MAX));
        assert_eq!(parse("9223372036.854775808", 9), Err(DecimalError::Range));
        for bad in ["", "-", ".5", "5.", "1e3", "+1", " 1", "1,000", "0x1", "NaN", "١"] {
            assert_eq!(parse(bad, 9), Err(DecimalError::Syntax), "{bad:?}");
        }
    }

    #[test]
    fn writes_what_it_reads() {
        assert_eq!(format(12_340_000_000, 9, 2), "12.34");
        assert_eq!(format(-1, 9, 2), "-0.000000001");
        assert_eq!(format(10_000_000_000, 9, 2), "10.00");
        assert_eq!(format(7, 0, 0), "7");
        for value in [0, 1, -1, 999_999_999, 1_000_000_000, i64::MAX] {
            assert_eq!(parse(&format(value, 9, 2), 9), Ok(value));
        }
    }
}
