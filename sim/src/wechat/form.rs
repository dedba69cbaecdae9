//! Does this text have the form that both APIs want?

/// 6 to 32 of digits, ASCII letters and `_-|*`.
pub(super) fn order_number(text: &str) -> bool {
    matches!(text.len(), 6..=32)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-|*".contains(&byte))
}

/// 1 to 64 of digits, ASCII letters and `_-|*@`.
pub(super) fn refund_number(text: &str) -> bool {
    matches!(text.len(), 1..=64)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-|*@".contains(&byte))
}

/// Absolute, over http or https, without a query, a fragment or blanks.
pub(super) fn notify_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|parsed| {
        matches!(parsed.scheme(), "http" | "https")
            && parsed.has_host()
            && !text.contains(['?', '#', ' '])
            && text.trim() == text
    })
}

/// An `o` and 27 letters, digits, `_` and `-`.
pub(super) fn openid(text: &str) -> bool {
    text.len() == 28
        && text.starts_with('o')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
