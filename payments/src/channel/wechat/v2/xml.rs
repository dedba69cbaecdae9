//! What does this message say? The one shape of XML that API v2 knows: a root, and named texts in it.
//!
//! Written by hand rather than taken from a library, because everything XML can do beyond that shape is an attack
//! here: the reader knows no document types, no entities but the five predefined ones, no comments, no instructions
//! inside the root and no elements within elements. It opens nothing, expands nothing, and refuses rather than guesses.
//! Source: WeChat Pay API v2, interface rules, and the platform's advice on external entities.

use std::{collections::BTreeMap, fmt::Write as _};

/// Bytes of the longest message that is read. The longest genuine one, a page of refunds with coupons, is well below.
pub const BYTES_MAX: usize = 64 * 1024;
/// Elements a message may have.
pub const FIELDS_MAX: usize = 1024;
/// Bytes a value may have; the longest documented one, the list of goods, has 6144.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 128;

/// Why a message is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// More bytes, elements or text than any genuine message has.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// A document type, the door to entities of the sender's own.
    #[error("a document type is not allowed")]
    Doctype,
    /// The same element twice: readers differ on which counts.
    #[error("{0} stands there twice")]
    Duplicate(String),
    /// Not the shape that is documented.
    #[error("not a flat XML message: {0}")]
    Malformed(&'static str),
}

/// The elements of a message by name, in byte order of the names. A name stands there once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// The text of an element; an empty one counts as absent, because it is not signed either.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Sets an element, in place of what it was.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Sets an element if there is something to set it to.
    pub fn set_some(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Every element, in byte order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        Self(fields.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Reads a message whose root is called `root`. White space between elements, an XML declaration, a byte order mark
/// and attributes are passed over; the text of an element is what stands in it, character for character.
///
/// # Errors
/// [`XmlError`].
pub fn read(message: &[u8], root: &str) -> Result<Fields, XmlError> {
    if message.len() > BYTES_MAX {
        return Err(XmlError::TooLarge("bytes"));
    }
    let text = std::str::from_utf8(message).map_err(|_| XmlError::Malformed("not UTF-8"))?;
    if !text.chars().all(is_allowed) {
        return Err(XmlError::Malformed("a character that XML does not know"));
    }
    let mut rest = Rest(text.strip_prefix('\u{feff}').unwrap_or(text));
    rest.declaration()?;
    rest.white_space();
    let (name, empty) = rest.start_tag()?;
    if name != root {
        return Err(XmlError::Malformed("another root"));
    }
    let fields = if empty { Fields::default() } else { rest.fields(root)? };
    rest.white_space();
    if rest.0.is_empty() { Ok(fields) } else { Err(rest.unexpected("something after the root")) }
}

/// Writes a message: each value as character data, so that it needs no escaping.
///
/// # Errors
/// The name of the element that cannot be written: the name is none, or the value holds a character that XML cannot
/// carry.
pub fn write<'a>(fields: &'a Fields, root: &str) -> Result<String, &'a str> {
    let mut message = format!("<{root}>");
    for (name, value) in fields.iter() {
        if !is_name(name) || !value.chars().all(is_allowed) {
            return Err(name);
        }
        // The end of character data inside a value is split over two sections.
        let value = value.replace("]]>", "]]]]><![CDATA[>");
        let _ = write!(message, "<{name}><![CDATA[{value}]]></{name}>"); // writing to a String cannot fail
    }
    let _ = write!(message, "</{root}>");
    Ok(message)
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn take(&mut self, token: &str) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    /// Everything up to `end`, which is taken as well.
    fn take_until(&mut self, end: &str) -> Option<&'a str> {
        let (taken, rest) = self.0.split_once(end)?;
        self.0 = rest;
        Some(taken)
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let end = self.0.find(|c| !belongs(c)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    /// Whether there was any.
    fn white_space(&mut self) -> bool {
        !self.take_while(is_white_space).is_empty()
    }

    /// What is wrong here: always a document type if there is one.
    fn unexpected(&self, otherwise: &'static str) -> XmlError {
        const DOCTYPE: &str = "<!DOCTYPE";
        match self.0.get(..DOCTYPE.len()) {
            Some(start) if start.eq_ignore_ascii_case(DOCTYPE) => XmlError::Doctype,
            _ => XmlError::Malformed(otherwise),
        }
    }

    /// The XML declaration, where there is one. It may only say what is so anyway.
    fn declaration(&mut self) -> Result<(), XmlError> {
        const BAD: XmlError = XmlError::Malformed("another XML declaration than version 1.0 in UTF-8");
        if !self.take("<?xml") {
            return Ok(());
        }
        let mut said = Rest(self.take_until("?>").ok_or(BAD)?);
        let mut version = false;
        while said.white_space() && !said.0.is_empty() {
            match said.attribute()? {
                ("version", "1.0") if !version => version = true,
                ("encoding", encoding) if version && encoding.eq_ignore_ascii_case("UTF-8") => {}
                ("standalone", "yes" | "no") if version => {}
                _ => return Err(BAD),
            }
        }
        if version && said.0.is_empty() { Ok(()) } else { Err(BAD) }
    }

    /// The name of an element that begins here, and whether it ends here as well.
    fn start_tag(&mut self) -> Result<(&'a str, bool), XmlError> {
        if !self.0.starts_with('<') {
            return Err(XmlError::Malformed("text where an element should be"));
        }
        if self.0.starts_with("<!") || self.0.starts_with("<?") {
            return Err(self.unexpected("something other than an element"));
        }
        self.take("<");
        let name = self.name()?;
        loop {
            let apart = self.white_space();
            if self.take(">") {
                return Ok((name, false));
            }
            if self.take("/>") {
                return Ok((name, true));
            }
            if !apart {
                return Err(XmlError::Malformed("a tag that does not end"));
            }
            self.attribute()?;
        }
    }

    fn name(&mut self) -> Result<&'a str, XmlError> {
        let name = self.take_while(is_name_character);
        if is_name(name) { Ok(name) } else { Err(XmlError::Malformed("a name that is none")) }
    }

    fn attribute(&mut self) -> Result<(&'a str, &'a str), XmlError> {
        const BAD: XmlError = XmlError::Malformed("an attribute that is none");
        let name = self.take_while(|c| is_name_character(c) || c == ':');
        self.white_space();
        if name.is_empty() || !self.take("=") {
            return Err(BAD);
        }
        self.white_space();
        let quote = ["\"", "'"].into_iter().find(|quote| self.take(quote)).ok_or(BAD)?;
        let value = self.take_until(quote).ok_or(BAD)?;
        if value.contains(['<', '&']) { Err(BAD) } else { Ok((name, value)) }
    }

    /// The elements up to the end of the root.
    fn fields(&mut self, root: &str) -> Result<Fields, XmlError> {
        let mut fields = Fields::default();
        loop {
            self.white_space();
            if self.0.starts_with("</") {
                self.end_tag(root)?;
                return Ok(fields);
            }
            let (name, empty) = self.start_tag()?;
            let value = if empty { String::new() } else { self.value(name)? };
            if fields.0.len() == FIELDS_MAX {
                return Err(XmlError::TooLarge("elements"));
            }
            if fields.0.insert(name.to_owned(), value).is_some() {
                return Err(XmlError::Duplicate(name.to_owned()));
            }
        }
    }

    fn end_tag(&mut self, name: &str) -> Result<(), XmlError> {
        let ends = self.take("</") && self.take(name) && {
            self.white_space();
            self.take(">")
        };
        if ends { Ok(()) } else { Err(XmlError::Malformed("an end that fits no beginning")) }
    }

    /// Text and character data up to the end of the element `name`.
    fn value(&mut self, name: &str) -> Result<String, XmlError> {
        let mut value = String::new();
        loop {
            if self.take("<![CDATA[") {
                let data = self.take_until("]]>");
                value.push_str(data.ok_or(XmlError::Malformed("character data that does not end"))?);
            } else if self.0.starts_with("</") {
                self.end_tag(name)?;
                return Ok(value);
            } else if self.0.is_empty() || self.0.starts_with('<') {
                return Err(self.unexpected("something other than text in a value"));
            } else {
                push_unescaped(&mut value, self.take_while(|c| c != '<'))?;
            }
            if value.len() > VALUE_BYTES_MAX {
                return Err(XmlError::TooLarge("a value"));
            }
        }
    }
}

/// Replaces the references in `text`: the five predefined entities, and characters by number.
fn push_unescaped(value: &mut String, text: &str) -> Result<(), XmlError> {
    const BAD: XmlError = XmlError::Malformed("a reference to nothing XML defines");
    if text.contains("]]>") {
        return Err(XmlError::Malformed("the end of character data that did not begin"));
    }
    let mut rest = Rest(text);
    loop {
        value.push_str(rest.take_while(|c| c != '&'));
        if !rest.take("&") {
            return Ok(());
        }
        value.push(match rest.take_until(";").ok_or(BAD)? {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            other => numbered(other).ok_or(BAD)?,
        });
    }
}

/// `#65` or `#x41`.
fn numbered(reference: &str) -> Option<char> {
    let number = reference.strip_prefix('#')?;
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |digits| (digits, 16));
    // The number's own grammar would take a sign as well.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    char::from_u32(u32::from_str_radix(digits, radix).ok()?).filter(|c| is_allowed(*c))
}

const fn is_white_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// What XML 1.0 calls a character.
const fn is_allowed(c: char) -> bool {
    is_white_space(c) || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// The names that occur are ASCII.
const fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_name_character)
}
