//! Qwen on DashScope, in compatible mode.

use super::Quirks;

/// Sends usage in streams only when asked; bills on after a connection is closed; its `insufficient_quota` is a matter
/// of pace. Models that only stream are not collected into one answer yet.
pub(super) const QUIRKS: Quirks = Quirks {
    renames: &[],
    allowed: None,
    refused: &[],
    stream_options: true,
    developer_role: false,
    output_max: "max_tokens",
    keeps_nulls: false,
    closing_stops_cost: false,
    quota_means_funds: false,
};
