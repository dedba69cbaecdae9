//! Headers to wishes.

use http::HeaderMap;
use router_config::is_word;
use units::NanoCny;

use super::DecodeError;
use crate::chat::{CacheWish, Wishes};

/// Most tags of one call.
const TAGS_MAX: usize = 16;
const WORD: &str = "expected 1 to 64 letters, digits, `-`, `_`, `.` or `:`";

/// Reads `x-tollgate-task`, `-tags`, `-route`, `-region`, `-downgrade`, `-max-cost-cny` and `-cache`; an empty header is none.
///
/// # Errors
/// [`DecodeError::BadValue`], which names the header.
pub(super) fn wishes(headers: &HeaderMap) -> Result<Wishes, DecodeError> {
    Ok(Wishes {
        task: word(headers, "x-tollgate-task")?,
        tags: tags(headers)?,
        route: word(headers, "x-tollgate-route")?,
        region: word(headers, "x-tollgate-region")?,
        downgrade: downgrade(headers)?,
        max_cost: yuan(headers, "x-tollgate-max-cost-cny")?,
        cache: cache(headers)?,
    })
}

fn bad(header: &'static str, expected: impl Into<String>) -> DecodeError {
    DecodeError::BadValue { param: header.into(), expected: expected.into() }
}

/// The one value of a header, if it says anything.
fn text<'a>(
    headers: &'a HeaderMap,
    header: &'static str,
    expected: &str,
) -> Result<Option<&'a str>, DecodeError> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(DecodeError::Duplicate(header.into()));
    }
    let text = value.to_str().map_err(|_| bad(header, expected))?.trim();
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn word(headers: &HeaderMap, header: &'static str) -> Result<Option<String>, DecodeError> {
    match text(headers, header, WORD)? {
        Some(word) if is_word(word) => Ok(Some(word.to_owned())),
        Some(_) => Err(bad(header, WORD)),
        None => Ok(None),
    }
}

fn downgrade(headers: &HeaderMap) -> Result<bool, DecodeError> {
    let (header, expected) = ("x-tollgate-downgrade", "expected `allow`");
    match text(headers, header, expected)? {
        None => Ok(false),
        Some("allow") => Ok(true),
        Some(_) => Err(bad(header, expected)),
    }
}

fn cache(headers: &HeaderMap) -> Result<Option<CacheWish>, DecodeError> {
    let (header, expected) = ("x-tollgate-cache", "expected `use` or `skip`");
    match text(headers, header, expected)? {
        None => Ok(None),
        Some("use") => Ok(Some(CacheWish::Use)),
        Some("skip") => Ok(Some(CacheWish::Skip)),
        Some(_) => Err(bad(header, expected)),
    }
}

fn yuan(headers: &HeaderMap, header: &'static str) -> Result<Option<NanoCny>, DecodeError> {
    let expected = "expected yuan with at most nine decimals, such as `0.05`";
    let Some(text) = text(headers, header, expected)? else { return Ok(None) };
    let amount: NanoCny = text.parse().map_err(|_| bad(header, expected))?;
    if amount < NanoCny::ZERO { Err(bad(header, expected)) } else { Ok(Some(amount)) }
}

fn tags(headers: &HeaderMap) -> Result<Vec<String>, DecodeError> {
    let header = "x-tollgate-tags";
    let mut tags = Vec::new();
    for value in headers.get_all(header) {
        let text = value.to_str().map_err(|_| bad(header, WORD))?;
        for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
            if !is_word(tag) {
                return Err(bad(header, format!("{WORD} in each tag, with commas between them")));
            }
            if tags.len() == TAGS_MAX {
                return Err(bad(header, format!("expected at most {TAGS_MAX} tags")));
            }
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> Result<Wishes, DecodeError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        wishes(&map)
    }

    #[test]
    fn words_are_read_and_nothing_is_nothing() {
        assert_eq!(read(&[]), Ok(Wishes::default()));
        assert_eq!(read(&[("x-tollgate-task", " "), ("x-tollgate-tags", ", ,")]), Ok(Wishes::default()));
        let said = read(&[
            ("x-tollgate-task", "payment-intent"),
            ("x-tollgate-tags", "team:a, beta"),
            ("x-tollgate-tags", "b2"),
            ("x-tollgate-region", "apac"),
            ("x-tollgate-max-cost-cny", "0.05"),
        ])
        .unwrap();
        assert_eq!(said.max_cost, Some(NanoCny::new(50_000_000)));
        assert_eq!((said.task.as_deref(), said.region.as_deref()), (Some("payment-intent"), Some("apac")));
        assert_eq!(said.tags, ["team:a", "beta", "b2"]);
    }

    #[test]
    fn what_is_no_word_is_refused_by_the_headers_name() {
        let param = |headers: &[_]| match read(headers).unwrap_err() {
            DecodeError::BadValue { param, .. } | DecodeError::Duplicate(param) => param.into_owned(),
            other => panic!("{other}"),
        };
        assert_eq!(param(&[("x-tollgate-task", "two words")]), "x-tollgate-task");
        for amount in ["-1", "1e3", "0.0000000001", "a", "99999999999"] {
            assert_eq!(param(&[("x-tollgate-max-cost-cny", amount)]), "x-tollgate-max-cost-cny", "{amount}");
        }
        assert_eq!(param(&[("x-tollgate-cache", "no")]), "x-tollgate-cache");
        assert_eq!(param(&[("x-tollgate-route", "a"), ("x-tollgate-route", "b")]), "x-tollgate-route");
        assert_eq!(param(&[("x-tollgate-tags", "a,b c")]), "x-tollgate-tags");
        assert_eq!(param(&[("x-tollgate-tags", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q")]), "x-tollgate-tags");
    }
}
