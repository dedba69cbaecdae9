//! OpenAI itself: the wire the others imitate.

use super::Quirks;

/// Reasoning models refuse `max_tokens`, all models take the newer name. Closing a connection ends the bill.
pub(super) const QUIRKS: Quirks = Quirks {
    renames: &[],
    allowed: None,
    refused: &[],
    stream_options: true,
    developer_role: true,
    output_max: "max_completion_tokens",
    keeps_nulls: true,
    closing_stops_cost: true,
    quota_means_funds: true,
};
