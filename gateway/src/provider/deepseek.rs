//! DeepSeek.

use super::Quirks;

/// Answers an unknown role with an error of its parser; ignores unknown members; closing a connection ends the bill.
pub(super) const QUIRKS: Quirks = Quirks {
    renames: &[("max_completion_tokens", "max_tokens")],
    allowed: None,
    refused: &[],
    stream_options: true,
    developer_role: false,
    output_max: "max_tokens",
    keeps_nulls: false,
    closing_stops_cost: true,
    quota_means_funds: true,
};
