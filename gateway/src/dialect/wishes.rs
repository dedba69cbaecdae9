//! Headers to wishes.

use http::HeaderMap;
use router_config::is_word;

use super::DecodeError;
use crate::chat::Wishes;

/// Most tags of one call.
const TAGS_MAX: usize = 16;
const WORD: &str = "expected 1 to 64 letters, digits, `-`, `_`, `.` or `:`";

/// Reads `x-tollgate-task`, `-tags`, `-route` and `-region`; an empty header is none.
///
/// # Errors
/// [`DecodeError::BadValue`], which names the header.
pub(super) fn wishes(headers: &HeaderMap) -> Result<Wishes, DecodeError> {
    Ok(Wishes {
        task: word(headers, "x-tollgate-task")?,
        tags: tags(headers)?,
        route: word(headers, "x-tollgate-route")?,
        region: word(headers, "x-tollgate-region")?,
    })
}

fn bad(header: &'static str, expected: impl Into<String>) -> DecodeError {
    DecodeError::BadValue { param: header.into(), expected: expected.into() }
}

fn word(headers: &HeaderMap, header: &'static str) -> Result<Option<String>, DecodeError> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(DecodeError::Duplicate(header.into()));
    }
    let text = value.to_str().map_err(|_| bad(header, WORD))?.trim();
    match text {
        "" => Ok(None),
        word if is_word(word) => Ok(Some(word.to_owned())),
        _ => Err(bad(header, WORD)),
    }
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
        ])
        .unwrap();
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
        assert_eq!(param(&[("x-tollgate-route", "a"), ("x-tollgate-route", "b")]), "x-tollgate-route");
        assert_eq!(param(&[("x-tollgate-tags", "a,b c")]), "x-tollgate-tags");
        assert_eq!(param(&[("x-tollgate-tags", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q")]), "x-tollgate-tags");
    }
}
