//! Is this body exactly what the documentation allows? Every member is asked for by name; what is left over is refused.
use serde_json::{Map, Value};

use super::errors::ApiError;

/// An object being read, member by member.
#[derive(Debug)]
pub(super) struct Fields {
    /// JSON pointer of this object.
    path: String,
    left: Map<String, Value>,
}

type Found<T> = Result<T, ApiError>;

impl Fields {
    /// # Errors
    /// If the bytes are no JSON object, or hold a null or a character outside the basic plane anywhere.
    pub(super) fn of_body(body: &[u8]) -> Found<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(left)) => {
                let fields = Self { path: String::new(), left };
                fields.left.values().try_for_each(plain)?;
                Ok(fields)
            }
            _ => Err(ApiError::param("/", "请求体不是 JSON 对象")),
        }
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }

    fn wrong(&self, name: &str, issue: &str) -> ApiError {
        ApiError::param(&self.at(name), issue)
    }

    /// A string of so many characters, if there is one.
    pub(super) fn text(&mut self, name: &str, min: usize, max: usize) -> Found<Option<String>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if (min..=max).contains(&text.chars().count()) => Ok(Some(text)),
            Some(Value::String(_)) => Err(self.wrong(name, &format!("长度应为 {min} 到 {max}"))),
            Some(_) => Err(self.wrong(name, "应为字符串")),
        }
    }

    /// The same, and it must be there.
    pub(super) fn must_text(&mut self, name: &str, min: usize, max: usize) -> Found<String> {
        self.text(name, min, max)?.ok_or_else(|| self.wrong(name, "缺少必填参数"))
    }

    /// A whole number of at least `min`, which must be there.
    pub(super) fn must_int(&mut self, name: &str, min: i64) -> Found<i64> {
        match self.left.remove(name) {
            None => Err(self.wrong(name, "缺少必填参数")),
            Some(value) => match value.as_i64() {
                Some(int) if int >= min => Ok(int),
                _ => Err(self.wrong(name, &format!("应为不小于 {min} 的整数"))),
            },
        }
    }

    /// A whole number, a boolean or a list of an optional member: read for its type, then forgotten.
    pub(super) fn allow(&mut self, name: &str, fits: fn(&Value) -> bool) -> Found<()> {
        match self.left.remove(name) {
            Some(value) if !fits(&value) => Err(self.wrong(name, "类型不符")),
            _ => Ok(()),
        }
    }

    /// An object, if there is one.
    pub(super) fn object(&mut self, name: &str) -> Found<Option<Self>> {
        match self.left.remove(name) {
            None => Ok(None),
            Some(Value::Object(left)) => Ok(Some(Self { path: self.at(name), left })),
            Some(_) => Err(self.wrong(name, "应为对象")),
        }
    }

    /// An object, which must be there.
    pub(super) fn must_object(&mut self, name: &str) -> Found<Self> {
        self.object(name)?.ok_or_else(|| self.wrong(name, "缺少必填参数"))
    }

    /// A list of objects, if there is one.
    pub(super) fn objects(&mut self, name: &str) -> Found<Vec<Self>> {
        let list = match self.left.remove(name) {
            None => Vec::new(),
            Some(Value::Array(list)) => list,
            Some(_) => return Err(self.wrong(name, "应为数组")),
        };
        (0..)
            .zip(list)
            .map(|(index, value): (usize, _)| match value {
                Value::Object(left) => Ok(Self { path: format!("{}/{index}", self.at(name)), left }),
                _ => Err(self.wrong(name, "应为对象数组")),
            })
            .collect()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If a member is left that nobody asked for.
    pub(super) fn end(self) -> Found<()> {
        match self.left.keys().next() {
            Some(name) => Err(ApiError::param(&self.at(name), "未知参数")),
            None => Ok(()),
        }
    }
}

/// No nulls, and nothing beyond three bytes of UTF-8 a character.
fn plain(value: &Value) -> Found<()> {
    match value {
        Value::Null => Err(ApiError::param("/", "参数值不可为 null")),
        Value::String(text) if text.chars().any(|c| u32::from(c) > 0xffff) => {
            Err(ApiError::param("/", "不支持四字节字符"))
        }
        Value::Array(list) => list.iter().try_for_each(plain),
        Value::Object(map) => map.values().try_for_each(plain),
        _ => Ok(()),
    }
}
