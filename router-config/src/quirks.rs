//! How does an upstream differ from the others? As data: the catalog says it, and the file may say otherwise.
//!
//! [`Quirks`] is what counts, [`RawQuirks`] what a file says of it: only what is written there is changed. The comments
//! on the fields are published: they are the descriptions of the JSON schema.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::glob;

/// What is done with ids of tool calls that were made elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ToolIds {
    /// Any id will do.
    #[default]
    Any,
    /// Exactly nine letters and digits: others are mapped, and mapped back.
    NineAlnum,
}

/// What becomes of a `tool_choice` that forces a tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForcedToolChoice {
    /// It is known as it is.
    #[default]
    Keeps,
    /// `required` is called `any`.
    Any,
    /// Only `auto` is known: whatever forces a tool becomes that.
    Auto,
}

/// What an upstream's own code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Our account there is empty: no retry helps, somebody has to pay.
    OutOfFunds,
    /// We are too fast.
    RateLimited,
    /// Our key there is wrong, or may not do this.
    KeyRefused,
    /// It does not know the model.
    ModelMissing,
    /// It refuses the content.
    ContentFilter,
    /// The prompt does not fit.
    TooLong,
    /// It is too busy.
    Overloaded,
}

/// How a model is given the beginning of its answer, so that it goes on from there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prefill {
    /// What stands in the last message beside the role `assistant` and the text: `{ prefix = true }`.
    pub message: BTreeMap<String, Value>,
    /// What stands in the body beside the client's members.
    pub body: BTreeMap<String, Value>,
    /// Where such calls go, beside the `/v1` of its address; where others go, if absent.
    pub path: Option<String>,
    /// Whether its answer begins with the text that it was given, rather than with what comes after that.
    pub repeated: bool,
}

/// How an upstream counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UsageConvention {
    /// Whether tokens that were read from a cache are part of the prompt's.
    pub cached_in_prompt: bool,
    /// Whether tokens of reasoning are part of the answer's.
    pub reasoning_in_completion: bool,
}

impl Default for UsageConvention {
    /// As OpenAI counts.
    fn default() -> Self {
        Self { cached_in_prompt: true, reasoning_in_completion: true }
    }
}

/// How an upstream counts, as far as a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawUsage {
    /// Whether tokens that were read from a cache are part of the prompt's.
    pub cached_in_prompt: Option<bool>,
    /// Whether tokens of reasoning are part of the answer's; where they are not, the total tells.
    pub reasoning_in_completion: Option<bool>,
}

/// What is written somewhere counts instead of what was there.
trait Overrides<T> {
    fn put_over(self, base: &mut T);
}

impl<T> Overrides<T> for Option<T> {
    fn put_over(self, base: &mut T) {
        if let Some(written) = self {
            *base = written;
        }
    }
}

/// An empty text takes away what was there.
impl Overrides<Option<String>> for Option<String> {
    fn put_over(self, base: &mut Option<String>) {
        if let Some(written) = self {
            *base = (!written.is_empty()).then_some(written);
        }
    }
}

/// An empty list takes the restriction away.
impl Overrides<Option<BTreeSet<String>>> for Option<BTreeSet<String>> {
    fn put_over(self, base: &mut Option<BTreeSet<String>>) {
        if let Some(written) = self {
            *base = (!written.is_empty()).then_some(written);
        }
    }
}

/// Nought takes the bound away.
impl Overrides<Option<u32>> for Option<u32> {
    fn put_over(self, base: &mut Option<u32>) {
        if let Some(written) = self {
            *base = (written > 0).then_some(written);
        }
    }
}

impl Overrides<UsageConvention> for RawUsage {
    fn put_over(self, base: &mut UsageConvention) {
        self.cached_in_prompt.put_over(&mut base.cached_in_prompt);
        self.reasoning_in_completion.put_over(&mut base.reasoning_in_completion);
    }
}

macro_rules! quirks {
    ($($(#[doc = $doc:literal])+ $name:ident: $whole:ty, $raw:ty = $default:expr;)+) => {
        /// What is particular about one upstream. The defaults are the least surprising assumptions about a server that
        /// speaks OpenAI's chat completions: old names, `system`, usage asked for, and a bill that runs on.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Quirks {
            $($(#[doc = $doc])+ pub $name: $whole,)+
        }

        impl Default for Quirks {
            fn default() -> Self {
                Self { $($name: $default,)+ }
            }
        }

        /// What is particular about one upstream, as far as a file says.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct RawQuirks {
            $($(#[doc = $doc])+ pub $name: $raw,)+
        }

        impl RawQuirks {
            /// Puts what is written here in the place of what stands there, field by field.
            pub fn put_over(self, quirks: &mut Quirks) {
                $(Overrides::put_over(self.$name, &mut quirks.$name);)+
            }
        }
    };
}

quirks! {
    /// Members it knows under another name: `{ max_completion_tokens = "max_tokens" }`.
    renames: BTreeMap<String, String>, Option<BTreeMap<String, String>>
        = BTreeMap::from([("max_completion_tokens".to_owned(), "max_tokens".to_owned())]);
    /// The only members it accepts, under its own names; the others are left out. `[]` accepts all.
    allowed: Option<BTreeSet<String>>, Option<BTreeSet<String>> = None;
    /// Members it is known to refuse, under its own names: they are left out.
    refused: BTreeSet<String>, Option<BTreeSet<String>> = BTreeSet::new();
    /// Whether usage in a stream has to be, and may be, asked for.
    stream_options: bool, Option<bool> = true;
    /// Whether it knows the role `developer`; otherwise it is called `system`.
    developer_role: bool, Option<bool> = false;
    /// Under which name it takes a maximum of output tokens that we set.
    output_max: String, Option<String> = "max_tokens".to_owned();
    /// Whether members that are null may stay; otherwise they are left out, and an empty `tools` too.
    keeps_nulls: bool, Option<bool> = false;
    /// Whether it stops to bill when the connection is closed; otherwise the rest of an answer is read to its end.
    closing_stops_cost: bool, Option<bool> = false;
    /// Whether `insufficient_quota` means that our account there is empty, rather than that we are too fast.
    quota_means_funds: bool, Option<bool> = true;
    /// Whether a 429 that does not say when to come back means that our account there has spent what it may.
    silent_429_means_cap: bool, Option<bool> = false;
    /// Models that only stream, as patterns such as `"qwq-*"`: they are asked for a stream, and it is collected.
    stream_only: Vec<String>, Option<Vec<String>> = Vec::new();
    /// Which ids of tool calls it takes.
    tool_ids: ToolIds, Option<ToolIds> = ToolIds::Any;
    /// Whether tools may say `strict`.
    tool_strict: bool, Option<bool> = true;
    /// Whether messages may have a `name`.
    message_names: bool, Option<bool> = true;
    /// Models that take plain text only, as patterns: parts of text are joined into one string.
    text_content_models: Vec<String>, Option<Vec<String>> = Vec::new();
    /// What becomes of a `tool_choice` that forces a tool.
    forced_tool_choice: ForcedToolChoice, Option<ForcedToolChoice> = ForcedToolChoice::Keeps;
    /// How many stop sequences it takes at most; a call with more is refused. 0 is any number.
    stop_max: Option<u32>, Option<u32> = None;
    /// How many answers to one call it gives at most; a call that wants more is refused. 0 is any number.
    n_max: Option<u32>, Option<u32> = None;
    /// Whether it knows `response_format` of the type `json_schema`; otherwise it becomes `json_object`.
    json_schema: bool, Option<bool> = true;
    /// Where reasoning comes back: the first of these members that is there.
    reasoning_in: Vec<String>, Option<Vec<String>>
        = ["reasoning_content", "reasoning"].map(str::to_owned).to_vec();
    /// Whether it wants the `reasoning_content` of earlier answers back; otherwise it is left out.
    replays_reasoning: bool, Option<bool> = false;
    /// How a model is told not to think, by patterns of models, of which the longest that fits counts:
    /// `{ "qwen*" = { enable_thinking = false } }`. An empty table is for models that cannot be told.
    thinking_off: BTreeMap<String, BTreeMap<String, Value>>, Option<BTreeMap<String, BTreeMap<String, Value>>>
        = BTreeMap::new();
    /// How a model is given the beginning of its answer, by patterns of models, of which the longest that fits counts:
    /// `{ "*" = { message = { prefix = true } } }`. A pattern with `{}` is for models that cannot be.
    prefill: BTreeMap<String, Prefill>, Option<BTreeMap<String, Prefill>> = BTreeMap::new();
    /// What stands for the signature of a tool call that was made in an earlier answer and comes back without the one it
    /// had, which clients of OpenAI's do not keep (`extra_content.google.thought_signature`); `""` where none is asked for.
    tool_signature: Option<String>, Option<String> = None;
    /// How it counts.
    usage: UsageConvention, RawUsage = UsageConvention::default();
    /// Headers that are sent with every request.
    headers: BTreeMap<String, String>, Option<BTreeMap<String, String>> = BTreeMap::new();
    /// What is appended to `base_url` for chat completions; `{model}` stands for the upstream's name of the model.
    chat_path: String, Option<String> = "/chat/completions".to_owned();
    /// The same for legacy completions; `""` where there are none.
    completions_path: Option<String>, Option<String> = Some("/completions".to_owned());
    /// The same for embeddings; `""` where there are none.
    embeddings_path: Option<String>, Option<String> = Some("/embeddings".to_owned());
    /// The same for the Responses API; `""` where calls to it are translated to chat completions.
    responses_path: Option<String>, Option<String> = None;
    /// The same for Anthropic's Messages; `""` where calls to it are translated to chat completions.
    messages_path: Option<String>, Option<String> = None;
    /// Whether what a client says of `store` reaches its Responses API; otherwise nothing is stored there, whatever the
    /// client says.
    stores_responses: bool, Option<bool> = false;
    /// Where it tells the balance of our account, in DeepSeek's form, beside the `/v1` of its address; `""` where it does not.
    balance_path: Option<String>, Option<String> = None;
    /// Whether it gives embeddings as base64 when asked.
    embedding_base64: bool, Option<bool> = false;
    /// What its own error codes mean: `{ "1113" = "out_of_funds" }`. A `*` at the end stands for any ending.
    error_codes: BTreeMap<String, ErrorClass>, Option<BTreeMap<String, ErrorClass>> = BTreeMap::new();
}

impl Quirks {
    /// Whether this model, by the upstream's name, only streams.
    pub fn streams_only(&self, upstream_model: &str) -> bool {
        self.stream_only.iter().any(|pattern| glob::matches(pattern, upstream_model))
    }

    /// Whether this model, by the upstream's name, takes plain text only.
    pub fn text_content_only(&self, upstream_model: &str) -> bool {
        self.text_content_models.iter().any(|pattern| glob::matches(pattern, upstream_model))
    }

    /// The members that tell this model, by the upstream's name, not to think; `None` where no such word is known.
    pub fn tells_not_to_think(&self, upstream_model: &str) -> Option<&BTreeMap<String, Value>> {
        let fits = self.thinking_off.iter().filter(|(pattern, _)| glob::matches(pattern, upstream_model));
        let (_, members) = fits.max_by_key(|(pattern, _)| pattern.len())?;
        Some(members).filter(|members| !members.is_empty())
    }

    /// How this model, by the upstream's name, is given the beginning of its answer; `None` where it cannot be.
    pub fn prefills(&self, upstream_model: &str) -> Option<&Prefill> {
        let fits = self.prefill.iter().filter(|(pattern, _)| glob::matches(pattern, upstream_model));
        let (_, prefill) = fits.max_by_key(|(pattern, _)| pattern.len())?;
        Some(prefill).filter(|prefill| **prefill != Prefill::default())
    }

    /// What this code of the upstream means, if that is known; the exact word counts before a pattern.
    pub fn error_class(&self, code: &str) -> Option<ErrorClass> {
        let exact = self.error_codes.get(code);
        let mut patterns = self.error_codes.iter().filter(|(pattern, _)| glob::matches(pattern, code));
        exact.or_else(|| patterns.next().map(|(_, class)| class)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Quirks {
        let mut quirks = Quirks { n_max: Some(1), ..Quirks::default() };
        toml::from_str::<RawQuirks>(text).unwrap().put_over(&mut quirks);
        quirks
    }

    #[test]
    fn only_what_is_written_is_changed() {
        let base = read("");
        assert_eq!(base, Quirks { n_max: Some(1), ..Quirks::default() });
        let changed = read("stop_max = 4\n[usage]\nreasoning_in_completion = false\n");
        assert_eq!(changed.usage, UsageConvention { cached_in_prompt: true, reasoning_in_completion: false });
        assert_eq!((changed.stop_max, changed.n_max), (Some(4), Some(1)));
        assert_eq!(Quirks { stop_max: None, usage: base.usage, ..changed }, base);
    }

    #[test]
    fn nothing_written_takes_away_what_was_there() {
        let quirks = read(
            "n_max = 0\ncompletions_path = \"\"\nallowed = [\"model\"]\nresponses_path = \"/responses\"",
        );
        assert_eq!((quirks.n_max, quirks.completions_path), (None, None));
        assert_eq!(quirks.allowed, Some(BTreeSet::from(["model".to_owned()])));
        assert_eq!(quirks.responses_path.as_deref(), Some("/responses"));
        assert_eq!(read("allowed = []").allowed, None);
    }

    #[test]
    fn a_model_is_told_not_to_think_in_the_words_of_the_longest_pattern() {
        let quirks = read(
            "[thinking_off]\n\"qwen*\" = { enable_thinking = false }\n\"qwen3*-thinking*\" = {}\n\
             \"glm-*\" = { thinking = { type = \"disabled\" } }",
        );
        let told = |model: &str| quirks.tells_not_to_think(model).map(|members| format!("{members:?}"));
        assert_eq!(told("Qwen3-max").as_deref(), Some(r#"{"enable_thinking": Bool(false)}"#));
        assert_eq!(told("qwen3-30b-thinking-2507"), None, "it cannot be told");
        assert_eq!(told("glm-5").as_deref(), Some(r#"{"thinking": Object {"type": String("disabled")}}"#));
        assert_eq!(told("gpt-4o"), None);
    }

    #[test]
    fn codes_and_models_are_found_by_word_and_by_pattern() {
        let quirks = read(
            "stream_only = [\"qwq-*\"]\ntext_content_models = [\"*\"]\n\
             [error_codes]\n\"Throttling*\" = \"rate_limited\"\n\"Throttling.Special\" = \"overloaded\"",
        );
        assert!(quirks.streams_only("QwQ-plus") && !quirks.streams_only("qwen-plus"));
        assert!(quirks.text_content_only("anything") && !Quirks::default().text_content_only("anything"));
        assert_eq!(quirks.error_class("Throttling.RateQuota"), Some(ErrorClass::RateLimited));
        assert_eq!(quirks.error_class("Throttling.Special"), Some(ErrorClass::Overloaded));
        assert_eq!(quirks.error_class("other"), None);
    }
}
