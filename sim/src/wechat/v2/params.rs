//! Are these exactly the parameters that the documentation allows? Every one is asked for by name; what is left over is
//! refused.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::errors::Failure;
use super::xml::Fields;

/// Parameters being read, one by one. Empty ones count as absent.
#[derive(Debug)]
pub(super) struct Params {
    left: BTreeMap<String, String>,
}

impl Params {
    pub(super) fn of(fields: &Fields) -> Self {
        Self { left: fields.iter().filter(|(_, value)| !value.is_empty()).cloned().collect() }
    }

    /// Looks without taking.
    pub(super) fn peek(&self, name: &str) -> &str {
        self.left.get(name).map(String::as_str).unwrap_or_default()
    }

    /// All but what differs from call to call: what a repeat has to have in common with the first.
    pub(super) fn lasting(&self) -> Value {
        let lasting: BTreeMap<&str, &str> = self
            .left
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "nonce_str" | "sign"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        json!(lasting)
    }

    /// What every call has: who asks, chance, and the signature that was checked before.
    pub(super) fn common(&mut self) -> Result<String, Failure> {
        let appid = self.must("appid", 32)?;
        self.must("mch_id", 32)?;
        self.must("nonce_str", 32)?;
        self.must("sign", 64)?;
        self.text("sign_type", 32)?;
        Ok(appid)
    }

    /// A text of so many characters at most, if there is one.
    pub(super) fn text(&mut self, name: &str, max: usize) -> Result<Option<String>, Failure> {
        match self.left.remove(name) {
            Some(text) if text.chars().count() > max => Err(Failure::param(name, "过长")),
            Some(text) if text.chars().any(|c| u32::from(c) > 0xffff) => {
                Err(Failure::param(name, "不支持四字节字符"))
            }
            text => Ok(text),
        }
    }

    /// The same, and it must be there.
    pub(super) fn must(&mut self, name: &str, max: usize) -> Result<String, Failure> {
        self.text(name, max)?.ok_or_else(|| Failure::missing(name))
    }

    /// An amount in fen, one at least, without a sign or a leading zero; it must be there.
    pub(super) fn must_fen(&mut self, name: &str) -> Result<i64, Failure> {
        let text = self.must(name, 18)?;
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        text.parse().ok().filter(|_| plain).ok_or_else(|| Failure::param(name, "应为正整数"))
    }

    /// Ends the reading.
    pub(super) fn end(self) -> Result<(), Failure> {
        match self.left.keys().next() {
            Some(name) => Err(Failure::param(name, "未知参数")),
            None => Ok(()),
        }
    }
}
