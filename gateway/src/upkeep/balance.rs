//! How much money have we at a provider? As DeepSeek tells it.

use router_config::parse_micro;
use serde::Deserialize;

/// What is told of our account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Balance {
    /// Whether calls are served at all.
    pub(super) is_available: bool,
    /// By currency: its letters, and millionths of it.
    pub(super) left: Vec<(String, i64)>,
}

#[derive(Deserialize)]
struct Told {
    is_available: bool,
    #[serde(default)]
    balance_infos: Vec<ToldOne>,
}

#[derive(Deserialize)]
struct ToldOne {
    currency: String,
    total_balance: String,
}

impl Balance {
    /// Reads `{"is_available", "balance_infos": [{"currency", "total_balance"}]}`, amounts as decimal text. `None` for
    /// anything else: what is not understood says nothing of our money.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let told: Told = serde_json::from_slice(body).ok()?;
        let one = |told: &ToldOne| {
            let (negative, digits) = match told.total_balance.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, told.total_balance.as_str()),
            };
            let letters = told.currency.len() == 3 && told.currency.bytes().all(|b| b.is_ascii_uppercase());
            let micro = parse_micro(digits).ok().filter(|_| letters)?;
            Some((told.currency.clone(), if negative { -micro } else { micro }))
        };
        let left = told.balance_infos.iter().map(one).collect::<Option<_>>()?;
        Some(Self { is_available: told.is_available, left })
    }

    /// Whether every currency has less than `micro` millionths.
    pub(super) fn is_below(&self, micro: i64) -> bool {
        self.left.iter().all(|(_, left)| *left < micro)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_read_exactly_or_not_at_all() {
        let read = |body: &str| Balance::read(body.as_bytes());
        let full = read(
            r#"{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"110.05","granted_balance":"10.00"},{"currency":"USD","total_balance":"0.00"}]}"#,
        );
        let full = full.unwrap();
        assert_eq!(full.left, [("CNY".to_owned(), 110_050_000), ("USD".to_owned(), 0)]);
        assert!(full.is_available && !full.is_below(110_050_000) && full.is_below(110_050_001));
        let owing =
            read(r#"{"is_available":false,"balance_infos":[{"currency":"CNY","total_balance":"-0.10"}]}"#);
        assert_eq!(owing.unwrap().left, [("CNY".to_owned(), -100_000)]);
        for odd in [
            "",
            "{}",
            r#"{"is_available":"yes"}"#,
            r#"{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"1e3"}]}"#,
            r#"{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"NaN"}]}"#,
            r#"{"is_available":true,"balance_infos":[{"currency":"yuan","total_balance":"1"}]}"#,
            r#"{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":3}]}"#,
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
