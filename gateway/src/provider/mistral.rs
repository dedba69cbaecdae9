//! Mistral.

use super::Quirks;

/// Refuses every member it does not know, and always sends usage. Bills on after a connection is closed.
///
/// Tool-call ids must be nine letters or digits there; ids made elsewhere are not mapped yet, so a history with tool
/// calls of another provider is refused by Mistral.
pub(super) const QUIRKS: Quirks = Quirks {
    renames: &[("max_completion_tokens", "max_tokens"), ("seed", "random_seed")],
    allowed: Some(&[
        "model",
        "messages",
        "stream",
        "temperature",
        "top_p",
        "max_tokens",
        "min_tokens",
        "stop",
        "random_seed",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "presence_penalty",
        "frequency_penalty",
        "n",
        "prediction",
        "prompt_mode",
        "prompt_cache_key",
        "reasoning_effort",
        "metadata",
        "safe_prompt",
        "guardrails",
    ]),
    refused: &[],
    stream_options: false,
    developer_role: false,
    output_max: "max_tokens",
    keeps_nulls: false,
    closing_stops_cost: false,
    quota_means_funds: true,
};
