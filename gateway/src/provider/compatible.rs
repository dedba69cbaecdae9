//! Anything else that speaks OpenAI's chat completions.

use super::Quirks;

/// The least surprising assumptions: old names, `system`, usage asked for, and a bill that runs on.
pub(super) const QUIRKS: Quirks = Quirks {
    renames: &[("max_completion_tokens", "max_tokens")],
    allowed: None,
    refused: &[],
    stream_options: true,
    developer_role: false,
    output_max: "max_tokens",
    keeps_nulls: false,
    closing_stops_cost: false,
    quota_means_funds: true,
};
