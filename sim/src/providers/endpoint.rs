//! Which endpoint is called: what a provider's paths end with, and what a model must be for it.
use super::model::Kind;

/// An endpoint of a provider's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Chat,
    Responses,
    Completions,
    Embeddings,
    Messages,
    CountTokens,
}

impl Endpoint {
    /// What stands behind the base address.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Chat => "/chat/completions",
            Self::Responses => "/responses",
            Self::Completions => "/completions",
            Self::Embeddings => "/embeddings",
            Self::Messages => "/messages",
            Self::CountTokens => "/messages/count_tokens",
        }
    }

    /// Which models it takes.
    pub(super) fn serves(self, kind: Kind) -> bool {
        match self {
            Self::Chat | Self::Responses | Self::Messages | Self::CountTokens => kind == Kind::Chat,
            Self::Completions => kind == Kind::Completion,
            Self::Embeddings => kind == Kind::Embedding,
        }
    }
}
