//! What was asked for? Every mistake names its field.

use payments::{
    ledger::Asset,
    store::{Direction, LinePlace, Period, STATEMENT_LINES_MAX, StatementWish},
};
use units::{AccountId, Timestamp};

use super::Form;
use crate::cashier::PayError;

/// Lines of a page whose size nobody said.
const LINES: usize = 100;

/// What may be asked for; each member says whether it was.
#[derive(Debug, Default)]
pub struct Asked {
    /// `from`
    pub from: Option<Timestamp>,
    /// `to`
    pub to: Option<Timestamp>,
    /// `account`
    pub account: Option<AccountId>,
    /// `all=true`
    pub all: bool,
    /// `asset`
    pub asset: Option<Asset>,
    /// `order`
    pub direction: Option<Direction>,
    /// `limit`
    pub lines: Option<usize>,
    /// `cursor`
    pub cursor: Option<LinePlace>,
    /// `sums=full`
    pub sums: bool,
    /// `format`; `None` for a page of JSON.
    pub form: Option<Form>,
}

/// A time as RFC 3339 writes it.
///
/// # Errors
/// What is wrong with it.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    let read = text.parse::<jiff::Timestamp>();
    read.map(|at| Timestamp(at.as_microsecond())).map_err(|_| {
        format!("`{text}` is no RFC 3339 time such as 2026-01-01T00:00:00+08:00 (in a URL, + is written %2B)")
    })
}

impl Asked {
    /// Reads the query of a request that knows the fields `known`.
    ///
    /// # Errors
    /// [`PayError`] naming the field.
    pub fn read(pairs: &[(String, String)], known: &'static [&'static str]) -> Result<Self, PayError> {
        let mut asked = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in pairs {
            let Some(&field) = known.iter().find(|field| *field == name) else {
                return Err(PayError::unknown(name, known));
            };
            if seen.contains(&field) {
                return Err(PayError::invalid(field, format!("`{field}` stands twice")));
            }
            seen.push(field);
            asked.take(field, value).map_err(|what| PayError::invalid(field, what))?;
        }
        if let (Some(from), Some(to)) = (asked.from, asked.to)
            && to < from
        {
            return Err(PayError::invalid("to", "`to` lies before `from`"));
        }
        let of_a_page = ["asset", "order", "limit", "cursor", "sums"];
        if let (Some(_), Some(field)) = (asked.form, of_a_page.into_iter().find(|field| seen.contains(field)))
        {
            let what = format!("`{field}` belongs to pages: leave it out, or ask for format=json");
            return Err(PayError::invalid(field, what));
        }
        Ok(asked)
    }

    fn take(&mut self, field: &str, value: &str) -> Result<(), String> {
        let one_of = |words: &str| format!("`{value}` is none of {words}");
        match field {
            "from" => self.from = Some(instant(value)?),
            "to" => self.to = Some(instant(value)?),
            "account" => self.account = Some(value.parse().map_err(|error: units::BadId| error.to_string())?),
            "all" => match value {
                "true" => self.all = true,
                "false" => self.all = false,
                _ => return Err(one_of("`true`, `false`")),
            },
            "asset" => {
                self.asset =
                    Some(value.parse().map_err(|error: payments::ledger::UnknownAsset| error.to_string())?);
            }
            "order" => {
                self.direction = Some(match value {
                    "oldest" => Direction::OldestFirst,
                    "newest" => Direction::NewestFirst,
                    _ => return Err(one_of("`oldest`, `newest`")),
                });
            }
            "limit" => {
                let lines = value.parse().ok().filter(|lines| (1..=STATEMENT_LINES_MAX).contains(lines));
                self.lines =
                    Some(lines.ok_or_else(|| format!("a whole number from 1 to {STATEMENT_LINES_MAX}"))?);
            }
            "cursor" => {
                self.cursor =
                    Some(value.parse().map_err(|error: payments::store::NoLinePlace| error.to_string())?);
            }
            "sums" => match value {
                "full" => self.sums = true,
                "none" => self.sums = false,
                _ => return Err(one_of("`full`, `none`")),
            },
            "format" => {
                self.form = match value {
                    "json" => None,
                    "csv" => Some(Form::Csv),
                    "jsonl" => Some(Form::Jsonl),
                    _ => return Err(one_of("`json`, `csv`, `jsonl`")),
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// The period; open at the ends that were not named.
    pub fn period(&self) -> Period {
        let from = self.from.unwrap_or(Period::ALL.from());
        // Compared when it was read.
        Period::new(from, self.to.unwrap_or(Period::ALL.to())).unwrap_or(Period::ALL)
    }

    /// Of what: money unless another balance was named.
    pub fn asset(&self) -> Asset {
        self.asset.clone().unwrap_or(Asset::Cny)
    }

    /// The page that was asked for.
    pub fn wish(&self, account: AccountId) -> StatementWish {
        StatementWish {
            account,
            asset: self.asset(),
            period: self.period(),
            direction: self.direction.unwrap_or_default(),
            after: self.cursor,
            lines: self.lines.unwrap_or(LINES),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] =
        &["from", "to", "asset", "order", "limit", "cursor", "sums", "format", "account", "all"];

    fn read(pairs: &[(&str, &str)]) -> Result<Asked, PayError> {
        let pairs: Vec<_> = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Asked::read(&pairs, KNOWN)
    }

    #[test]
    fn every_mistake_names_its_field() {
        for (pairs, field) in [
            (&[("from", "yesterday")][..], "from"),
            (&[("to", "2026-01-01")], "to"),
            (&[("to", "2026-01-01T00:00:00 08:00")], "to"),
            (&[("from", "2026-01-02T00:00:00Z"), ("to", "2026-01-01T00:00:00Z")], "to"),
            (&[("limit", "0")], "limit"),
            (&[("limit", "1001")], "limit"),
            (&[("limit", "-1")], "limit"),
            (&[("cursor", "x")], "cursor"),
            (&[("asset", "USD")], "asset"),
            (&[("order", "up")], "order"),
            (&[("format", "xml")], "format"),
            (&[("sums", "yes")], "sums"),
            (&[("account", "ord_1")], "account"),
            (&[("all", "1")], "all"),
            (&[("form", "csv")], "form"),
            (&[("from", "2026-01-01T00:00:00Z"), ("from", "2026-01-01T00:00:00Z")], "from"),
            (&[("format", "csv"), ("cursor", "1.1")], "cursor"),
        ] {
            let error = read(pairs).expect_err("a mistake");
            assert_eq!(error.error.param.as_deref(), Some(field), "{pairs:?}: {error:?}");
            assert_eq!(error.status, http::StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn a_period_is_from_one_instant_up_to_another() {
        let asked = read(&[("from", "2026-01-01T00:00:00+08:00"), ("to", "2026-01-01T00:00:00Z")]).unwrap();
        assert_eq!(asked.period().to().since(asked.period().from()).as_secs(), 8 * 3_600);
        assert_eq!(read(&[]).unwrap().period(), Period::ALL);
    }
}
