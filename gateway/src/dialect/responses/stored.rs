//! What would be found at the other paths under `/responses`, if anything were kept.

/// Something that is not here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// A response, by its id.
    #[error(
        "There is no response `{0}` here: nothing is stored on this server, whatever `store` says. Keep what you were \
         answered, and send the whole conversation as `input`."
    )]
    Response(String),
    /// `POST /v1/responses/compact`.
    #[error(
        "Conversations are not compacted here: nothing is stored on this server. Send what is to be read as `input`."
    )]
    Compaction,
    /// `POST /v1/responses/input_tokens`.
    #[error("Input is not counted in advance here: the answer's `usage` says what was counted.")]
    Count,
}

/// What is asked for at a path under `/responses/`, without it.
pub fn not_kept(rest: &str) -> NotKept {
    match rest.trim_end_matches('/') {
        "compact" => NotKept::Compaction,
        "input_tokens" => NotKept::Count,
        rest => NotKept::Response(rest.split('/').next().unwrap_or_default().chars().take(128).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_says_what_is_not_there() {
        assert_eq!(not_kept("compact"), NotKept::Compaction);
        assert_eq!(not_kept("input_tokens/"), NotKept::Count);
        for rest in ["resp_1", "resp_1/cancel", "resp_1/input_items"] {
            assert_eq!(not_kept(rest), NotKept::Response("resp_1".to_owned()), "{rest}");
        }
    }
}
