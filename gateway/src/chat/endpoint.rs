//! Which endpoint a call comes to: whose wire the client speaks.

/// An inference endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/completions`.
    Completions,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// Anthropic's `POST /v1/messages`.
    Messages,
}

impl Endpoint {
    /// All there are.
    pub const ALL: [Self; 5] =
        [Self::Chat, Self::Responses, Self::Completions, Self::Embeddings, Self::Messages];

    /// The `route` label of metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
        }
    }

    /// Where clients send them.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
            Self::Embeddings => "/v1/embeddings",
            Self::Messages => "/v1/messages",
        }
    }

    /// The member that holds the prompt.
    pub const fn prompt(self) -> &'static str {
        match self {
            Self::Chat | Self::Messages => "messages",
            Self::Responses | Self::Embeddings => "input",
            Self::Completions => "prompt",
        }
    }

    /// What calls to it are called, in a sentence.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Chat => "chat completions",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
        }
    }
}

/// In whose words a call goes upstream, and its answer comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// The client's own wire: what passes through is passed as bytes.
    Native,
    /// As a chat completion: the dialect translates.
    Chat,
}
