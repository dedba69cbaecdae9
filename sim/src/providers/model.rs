//! What does the name of a model say about it?

/// The models that have a manner of their own; a name nobody knows behaves like `sim-fast`.
pub(super) const MODELS: [&str; 16] = [
    "sim-fast",
    "sim-smart",
    "sim-slow",
    "sim-flaky",
    "sim-luxury",
    "sim-reason",
    "sim-stream-only",
    "sim-instruct",
    "sim-embed",
    "sim-embed-fixed",
    "sim-claude",
    "sim-claude-old",
    "sim-claude-thinking",
    "sim-gemini",
    "sim-azure",
    "sim-local",
];

/// Which endpoints a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    /// Only the old completions.
    Completion,
    Embedding,
}

/// How a model of some name behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) kind: Kind,
    /// Answers at length, and thinks first where the provider shows it.
    pub(super) smart: bool,
    /// Thinks whatever it is told, and refuses what such models refuse.
    pub(super) reasons: bool,
    /// Gaps between tokens are this many times as long.
    pub(super) slowness: u64,
    /// Every second call fails.
    pub(super) flaky: bool,
    /// Answers in streams only.
    pub(super) stream_only: bool,
    /// Vectors have one length, whatever is asked.
    pub(super) one_length: bool,
}

impl Manner {
    pub(super) fn of(model: &str) -> Self {
        // `vendor/model`, as resellers write it.
        let name = model.rsplit('/').next().unwrap_or(model);
        let reasons = matches!(name, "sim-reason" | "sim-claude-thinking");
        Self {
            kind: match name {
                "sim-instruct" => Kind::Completion,
                _ if name.starts_with("sim-embed") => Kind::Embedding,
                _ => Kind::Chat,
            },
            smart: reasons || matches!(name, "sim-smart" | "sim-luxury"),
            reasons,
            slowness: if name == "sim-slow" { 10 } else { 1 },
            flaky: name == "sim-flaky",
            stream_only: name == "sim-stream-only",
            one_length: name == "sim-embed-fixed",
        }
    }
}
