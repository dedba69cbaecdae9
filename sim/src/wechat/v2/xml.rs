//! How is a flat document read and written? One level of elements under a root, text or CDATA in them, and nothing else.

/// Elements in their order.
pub(in crate::wechat) type Fields = Vec<(String, String)>;

/// The most elements of a document.
const FIELDS_MAX: usize = 200;

/// Reads a document with this root.
///
/// # Errors
/// A word for what is wrong with it: whatever is not plain elements of text is.
pub(in crate::wechat) fn read(bytes: &[u8], root: &str) -> Result<Fields, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
    if text.contains('\0') {
        return Err("NUL");
    }
    let mut rest = Rest(text.trim_start_matches('\u{feff}').trim_start());
    if rest.skip("<?xml") {
        rest.until("?>")?;
        rest.blank();
    }
    if rest.0.starts_with("<!DOCTYPE") {
        return Err("DOCTYPE");
    }
    rest.tag(root)?;
    let mut fields = Fields::new();
    let end = format!("</{root}>");
    loop {
        rest.blank();
        if rest.skip(&end) {
            break;
        }
        let name = rest.open()?;
        let value = rest.value(name)?;
        if fields.iter().any(|(known, _)| known == name) {
            return Err("twice the same element");
        }
        if fields.len() == FIELDS_MAX {
            return Err("too many elements");
        }
        fields.push((name.to_owned(), value));
    }
    rest.blank();
    if rest.0.is_empty() { Ok(fields) } else { Err("something after the root") }
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn skip(&mut self, what: &str) -> bool {
        let left = self.0.strip_prefix(what);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    fn blank(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn until(&mut self, what: &str) -> Result<&'a str, &'static str> {
        let (before, after) = self.0.split_once(what).ok_or("cut off")?;
        self.0 = after;
        Ok(before)
    }

    fn tag(&mut self, name: &str) -> Result<(), &'static str> {
        if self.open()? == name { Ok(()) } else { Err("another root") }
    }

    /// `<name>`
    fn open(&mut self) -> Result<&'a str, &'static str> {
        if !self.skip("<") {
            return Err("text between elements");
        }
        let name = self.until(">")?;
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.is_empty() && name.bytes().all(known) { Ok(name) } else { Err("not a plain element") }
    }

    /// Everything up to `</name>`.
    fn value(&mut self, name: &str) -> Result<String, &'static str> {
        let mut value = String::new();
        loop {
            if self.skip("<![CDATA[") {
                value.push_str(self.until("]]>")?);
            } else if self.skip("</") {
                return if self.until(">")?.trim_end() == name { Ok(value) } else { Err("another end") };
            } else if self.0.starts_with('<') {
                return Err("an element within an element");
            } else {
                let end = self.0.find('<').ok_or("cut off")?;
                let (text, after) = self.0.split_at(end);
                value.push_str(&unescaped(text)?);
                self.0 = after;
            }
        }
    }
}

fn unescaped(text: &str) -> Result<String, &'static str> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (name, after) = after.split_once(';').ok_or("a bare ampersand")?;
        plain.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let code = match name.strip_prefix("#x") {
                    Some(hex) => u32::from_str_radix(hex, 16),
                    None => name.strip_prefix('#').ok_or("an unknown entity")?.parse(),
                };
                code.ok().and_then(char::from_u32).filter(|c| *c != '\0').ok_or("not a character")?
            }
        });
        rest = after;
    }
    plain.push_str(rest);
    Ok(plain)
}

/// Writes a document: numbers as they are, everything else in CDATA.
pub(in crate::wechat) fn written(root: &str, fields: &Fields) -> String {
    let mut text = format!("<{root}>");
    for (name, value) in fields {
        if !value.is_empty() && value.len() < 10 && value.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("<{name}>{value}</{name}>"));
        } else {
            let value = value.replace("]]>", "]]]]><![CDATA[>");
            text.push_str(&format!("<{name}><![CDATA[{value}]]></{name}>"));
        }
    }
    text.push_str(&format!("</{root}>"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let fields: Fields = [("a", "1"), ("b", "余额 <b> & ]]> x"), ("c", ""), ("d", "00012345678901")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        let text = written("xml", &fields);
        assert!(text.starts_with("<xml><a>1</a><b><![CDATA["));
        assert_eq!(read(text.as_bytes(), "xml").unwrap(), fields);
        let pretty = "\u{feff}<?xml version=\"1.0\"?>\n<xml>\n <a>&lt;&#65;&#x42;</a >\n</xml>\n";
        assert_eq!(read(pretty.as_bytes(), "xml").unwrap(), [("a".to_owned(), "<AB".to_owned())]);
    }

    #[test]
    fn what_is_not_flat_and_plain_is_not_read() {
        for bad in [
            "",
            "<root><a>1</a></root>",
            "<xml><a>1</a>",
            "<xml><a>1</b></xml>",
            "<xml><a>1</a><a>2</a></xml>",
            "<xml><a><b>1</b></a></xml>",
            "<xml><a>1</a><!-- x --></xml>",
            "<xml><a>1</a><?x y?></xml>",
            "<xml><a>1</a></xml><xml></xml>",
            "<xml>text<a>1</a></xml>",
            "<xml><a>1 & 2</a></xml>",
            "<xml><a>&xxe;</a></xml>",
            "<xml><a>&#0;</a></xml>",
            "<!DOCTYPE xml [<!ENTITY a \"b\">]><xml><a>1</a></xml>",
            "<xml><a>\0</a></xml>",
        ] {
            assert!(read(bad.as_bytes(), "xml").is_err(), "{bad}");
        }
        assert!(read(b"<xml><a>\xff</a></xml>", "xml").is_err());
    }
}
