//! Which page of a list was asked for? Newest first, and on from the last one of the page before.

use std::str::FromStr;

use super::PayError;

/// Rows of a page whose size nobody said.
const ROWS: usize = 50;
/// Rows of a page at most.
const ROWS_MAX: usize = 200;
/// What may be asked for.
const KNOWN: &[&str] = &["limit", "cursor"];

/// `?limit=…&cursor=…`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<Id> {
    /// How many, 1 to 200.
    pub(super) rows: usize,
    /// Those behind this one.
    pub(super) after: Option<Id>,
}

impl<Id: FromStr> Page<Id> {
    /// Reads the query of a request.
    ///
    /// # Errors
    /// [`PayError`] naming the field.
    pub(super) fn read(pairs: &[(String, String)]) -> Result<Self, PayError> {
        let (mut rows, mut after) = (None, None);
        for (name, value) in pairs {
            let Some(&field) = KNOWN.iter().find(|field| *field == name) else {
                return Err(PayError::unknown(name, KNOWN));
            };
            let twice = || PayError::invalid(field, format!("`{field}` stands twice"));
            if field == "limit" {
                let read = value.parse().ok().filter(|rows| (1..=ROWS_MAX).contains(rows));
                let what = || format!("a whole number from 1 to {ROWS_MAX}");
                let read = read.ok_or_else(|| PayError::invalid(field, what()))?;
                rows.replace(read).map_or(Ok(()), |_| Err(twice()))?;
            } else {
                let read = value.parse().ok();
                let what = "this is no `next_cursor` of this list";
                let read = read.ok_or_else(|| PayError::invalid(field, what))?;
                after.replace(read).map_or(Ok(()), |_| Err(twice()))?;
            }
        }
        Ok(Self { rows: rows.unwrap_or(ROWS), after })
    }
}

#[cfg(test)]
mod tests {
    use units::OrderId;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Page<OrderId>, PayError> {
        let pairs: Vec<_> = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Page::read(&pairs)
    }

    #[test]
    fn a_page_is_of_a_size_and_on_from_somewhere() {
        let order = OrderId::new(units::Timestamp(1_700_000_000_000_000));
        assert_eq!(read(&[]).unwrap(), Page { rows: 50, after: None });
        let asked = read(&[("limit", "200"), ("cursor", &order.to_string())]).unwrap();
        assert_eq!(asked, Page { rows: 200, after: Some(order) });
    }

    #[test]
    fn every_mistake_names_its_field() {
        for (pairs, field) in [
            (&[("limit", "0")][..], "limit"),
            (&[("limit", "201")], "limit"),
            (&[("limit", "-1")], "limit"),
            (&[("limit", "")], "limit"),
            (&[("limit", "1"), ("limit", "1")], "limit"),
            (&[("cursor", "")], "cursor"),
            (&[("cursor", "rfb_01M8HKM56JFJAB0R061AHHVFWZ")], "cursor"),
            (&[("limit", "3"), ("foo", "1")], "foo"),
        ] {
            let error = read(pairs).expect_err("a mistake");
            assert_eq!(error.error.param.as_deref(), Some(field), "{pairs:?}: {error:?}");
            assert_eq!(error.status, http::StatusCode::BAD_REQUEST);
        }
    }
}
