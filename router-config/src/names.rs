//! What may be a name, and what an address? Names stand in headers, metrics and log lines, so they are plain.

use url::{Host, Url};

/// Names longer than this are refused.
const NAME_LENGTH_MAX: usize = 128;

/// Checks a name that clients, headers and metric labels will carry.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a name is needed here".to_owned());
    }
    if name.len() > NAME_LENGTH_MAX {
        return Err(format!("{} characters; a name has at most {NAME_LENGTH_MAX}", name.chars().count()));
    }
    match name.chars().find(|c| !c.is_ascii_graphic()) {
        Some(c) => Err(format!("{c:?} may not stand in a name: printable ASCII without spaces may")),
        None => Ok(()),
    }
}

/// An absolute `http` or `https` address as we keep it: without a trailing slash, so that a path can be appended.
///
/// # Errors
/// What is wrong with it, in words. The address is not repeated: it may hold a password.
pub fn check_http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("not an absolute URL like https://api.example.com/v1: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`{}` addresses are not supported; http and https are", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or password may not stand in a URL".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a query (`?…`) or fragment (`#…`) may not stand here".to_owned());
    }
    Ok(url)
}

/// Whether the address never leaves this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// The address as text, without its trailing slash.
pub(crate) fn without_trailing_slash(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["gpt-4o", "qwen/qwen3:free", "a", "Pro/deepseek-ai/DeepSeek-V3", "@cf/meta"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "x".repeat(129);
        for bad in ["", "two words", "tab\t", "new\nline", "zero\u{200b}width", "模型", &long] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_are_absolute_and_bare() {
        let shown = |text| check_http_url(text).map(|url| without_trailing_slash(&url));
        assert_eq!(shown("https://api.deepseek.com"), Ok("https://api.deepseek.com".to_owned()));
        assert_eq!(shown("http://10.0.0.7:8000/v1/"), Ok("http://10.0.0.7:8000/v1".to_owned()));
        for bad in [
            "",
            "api.deepseek.com",
            "/v1",
            "ftp://a/b",
            "https://",
            "https://u:p@a/",
            "https://u@a/",
            "https://a/?k=1",
            "https://a/#x",
            "https://a/?",
            "file:///etc/passwd",
            "http:",
        ] {
            assert!(check_http_url(bad).is_err(), "{bad:?}");
        }
        let refusal = check_http_url("https://user:hunter2@a/").unwrap_err();
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn knows_what_stays_on_this_machine() {
        for (text, expected) in [
            ("http://localhost:8082", true),
            ("http://sim.localhost/v1", true),
            ("http://127.3.2.1", true),
            ("http://[::1]:80", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&check_http_url(text).unwrap()), expected, "{text}");
        }
    }
}
