//! What kinds of wires, keys, models and abilities are there? The words are those of the files.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which wire an upstream speaks: which module of the gateway talks to it. Everything else is [`Quirks`](crate::Quirks).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wire {
    /// OpenAI's, and what imitates it.
    #[default]
    Openai,
    /// Anthropic's Messages.
    Anthropic,
}

/// How an upstream is shown its key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Auth {
    /// `Authorization: Bearer …`
    #[default]
    Bearer,
    /// The key alone, in the header of this name, in small letters.
    Header(String),
    /// Not at all.
    None,
}

/// A text that says no way to show a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is shown as `bearer`, in a header named here such as `x-api-key`, or with `none`")]
pub struct BadAuth;

impl FromStr for Auth {
    type Err = BadAuth;

    fn from_str(text: &str) -> Result<Self, BadAuth> {
        // `token` of RFC 9110, in small letters so that a header is written in one way.
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        match text {
            "bearer" => Ok(Self::Bearer),
            "none" => Ok(Self::None),
            "host" | "content-type" | "content-length" | "transfer-encoding" | "connection" => Err(BadAuth),
            name if !name.is_empty() && name.len() <= 64 && name.bytes().all(good) => {
                Ok(Self::Header(name.to_owned()))
            }
            _ => Err(BadAuth),
        }
    }
}

impl fmt::Display for Auth {
    /// As it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bearer => f.write_str("bearer"),
            Self::Header(name) => f.write_str(name),
            Self::None => f.write_str("none"),
        }
    }
}

/// Which endpoints a model answers at.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Chat completions, and whatever can be said in their form.
    #[default]
    Chat,
    /// The Responses API only.
    Responses,
    /// Legacy completions.
    Completion,
    /// Embeddings.
    Embedding,
}

impl ModelKind {
    /// The word for it in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Completion => "completion",
            Self::Embedding => "embedding",
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a model is said to be able to, or not to. What is absent is not stated, which is not the same as refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Calls tools.
    Tools,
    /// Calls several at once.
    ParallelTools,
    /// Takes `tool_choice`.
    ToolChoice,
    /// Answers by a JSON schema.
    JsonSchema,
    /// Thinks before it answers.
    Reasoning,
    /// Reads prompts from a cache.
    PromptCache,
    /// Searches the web by itself.
    WebSearch,
    /// Goes on with an answer that was begun for it.
    Prefill,
    /// Refuses `temperature`, `top_p` and the like.
    NoSamplingParams,
    /// Cannot be kept from thinking.
    ThinkingAlwaysOn,
    /// Refuses a `tool_choice` that forces a tool.
    NoForcedToolChoice,
}

/// What goes into a model or comes out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Sound.
    Audio,
    /// Films.
    Video,
    /// Documents.
    Pdf,
    /// Vectors of numbers.
    Vector,
}

/// On which side of a provider an account is; keys and prices of the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Region {
    /// Mainland China.
    Cn,
    /// Everywhere else.
    Intl,
}

impl Region {
    /// The word for it in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cn => "cn",
            Self::Intl => "intl",
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_as_bearer_in_a_header_or_not_at_all() {
        assert_eq!("bearer".parse(), Ok(Auth::Bearer));
        assert_eq!("none".parse(), Ok(Auth::None));
        assert_eq!("x-api-key".parse(), Ok(Auth::Header("x-api-key".to_owned())));
        for bad in ["", "Bearer", "X-API-Key", "x api key", "x:y", "host", "content-length", "a\r\nb"] {
            assert_eq!(bad.parse::<Auth>(), Err(BadAuth), "{bad:?}");
        }
        for text in ["bearer", "none", "x-goog-api-key"] {
            assert_eq!(text.parse::<Auth>().unwrap().to_string(), text);
        }
    }
}
