//! How an upstream differs from the others, as data.

use super::{compatible, deepseek, mistral, openai, qwen};

/// What is particular about one kind of upstream.
#[derive(Debug)]
pub struct Quirks {
    /// Members it knows under another name.
    pub renames: &'static [(&'static str, &'static str)],
    /// The only members it accepts; `None` where unknown ones are ignored or welcome.
    pub allowed: Option<&'static [&'static str]>,
    /// Members it is known to refuse.
    pub refused: &'static [&'static str],
    /// Whether usage in a stream has to be, and may be, asked for.
    pub stream_options: bool,
    /// Whether it knows the role `developer`; `system` otherwise.
    pub developer_role: bool,
    /// Under which name it takes a maximum that we set.
    pub output_max: &'static str,
    /// Whether a member that is null may stay; most would rather not see it.
    pub keeps_nulls: bool,
    /// Whether it stops to bill when the connection is closed.
    pub closing_stops_cost: bool,
    /// Whether `insufficient_quota` means that our account there is empty, rather than that we are too fast.
    pub quota_means_funds: bool,
}

/// The quirks of a kind.
pub(super) fn of(kind: &str) -> &'static Quirks {
    match kind {
        "openai" => &openai::QUIRKS,
        "deepseek" => &deepseek::QUIRKS,
        "dashscope" | "dashscope-cn" => &qwen::QUIRKS,
        "mistral" => &mistral::QUIRKS,
        _ => &compatible::QUIRKS,
    }
}
