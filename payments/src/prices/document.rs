//! A price list as written, in TOML or JSON: decimal text, never numbers, so that nothing is rounded on the way in.
//! These shapes are forgiving; [`Sheet`](super::Sheet) is not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A price list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Decimals of its prices in yuan per million tokens: 2, or 3 for cheap models.
    #[serde(default = "two")]
    pub scale: u32,
    /// By the model's name.
    #[serde(default)]
    pub models: BTreeMap<String, RawModel>,
}

/// What a model costs; the figures at the top are for prompts that reach no tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawModel {
    /// What the figures are in: three capital letters. Other currencies than yuan are converted.
    #[serde(default = "cny")]
    pub currency: String,
    /// Put on top of the figures, in per cent with at most two decimals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub markup_percent: Option<String>,
    /// A million tokens of fresh input.
    pub input: String,
    /// Of input read from the upstream's cache; as `input` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<String>,
    /// Of input written to the upstream's cache; as `input` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<String>,
    /// Of output, reasoning included.
    pub output: String,
    /// For larger prompts, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<RawTier>,
    /// Parts of the week with prices of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_peak: Option<RawOffPeak>,
}

/// Prices from a size of prompt upwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTier {
    /// For prompts of more than this many tokens.
    pub above: u64,
    /// A million tokens of fresh input.
    pub input: String,
    /// Of input read from the upstream's cache; as `input` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<String>,
    /// Of input written to the upstream's cache; as `input` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<String>,
    /// Of output, reasoning included.
    pub output: String,
}

/// Parts of the week with prices of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawOffPeak {
    /// A name of the IANA database, or an offset such as `+08:00`.
    pub zone: String,
    /// None overlaps another.
    pub windows: Vec<RawWindow>,
}

/// One of them, with a whole card: figures of its own and the same tiers as the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWindow {
    /// What quotes call it.
    pub name: String,
    /// The days on which it begins, `mon` to `sun`; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Vec<String>>,
    /// When it begins: `22:00`.
    pub from: String,
    /// When it ends; on the next day where that is not later.
    pub to: String,
    /// A million tokens of fresh input.
    pub input: String,
    /// Of input read from the upstream's cache; as `input` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<String>,
    /// Of input written to the upstream's cache; as `input` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<String>,
    /// Of output, reasoning included.
    pub output: String,
    /// For larger prompts, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<RawTier>,
}

/// The figures of a row, a tier or a window.
#[derive(Clone, Copy, Debug)]
pub struct Figure<'a> {
    /// Fresh input.
    pub input: &'a str,
    /// Input read from the upstream's cache.
    pub cached_input: &'a str,
    /// Input written to the upstream's cache.
    pub cache_write: &'a str,
    /// Output.
    pub output: &'a str,
}

macro_rules! figures {
    ($($shape:ty),*) => {$(
        impl $shape {
            /// Its figures, what is absent filled in.
            pub fn figure(&self) -> Figure<'_> {
                let Self { input, cached_input, cache_write, output, .. } = self;
                Figure {
                    input,
                    cached_input: cached_input.as_deref().unwrap_or(input),
                    cache_write: cache_write.as_deref().unwrap_or(input),
                    output,
                }
            }
        }
    )*};
}
figures!(RawModel, RawTier, RawWindow);

impl Document {
    /// The text that is kept and hashed: equal content, equal text.
    pub fn canonical(&self) -> String {
        // Serialising cannot fail: plain data, string keys.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads [`Document::canonical`] text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

const fn two() -> u32 {
    2
}

fn cny() -> String {
    super::CNY.to_owned()
}
