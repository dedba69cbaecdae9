//! In which words can this provider be asked this?

use router_config::{Model, ModelKind, Provider, Wire};

use crate::chat::{Call, Endpoint, Inexpressible, Spoken};

/// Why a call cannot be put to a provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unspoken {
    /// The model is of another kind than the endpoint.
    #[error("The model `{model}` is not served at {} but at {}.", .asked.path(), .serves.path())]
    WrongEndpoint {
        /// The model.
        model: String,
        /// Where the call came to.
        asked: Endpoint,
        /// Where the model is served.
        serves: Endpoint,
    },
    /// The provider speaks only chat, and the call cannot be said so.
    #[error("{0}; the providers of this model only take chat completions.")]
    Inexpressible(#[from] Inexpressible),
    /// The provider has no such endpoint.
    #[error("The provider of the model `{model}` has no {}.", .asked.plural())]
    NotOffered {
        /// The model.
        model: String,
        /// Where the call came to.
        asked: Endpoint,
    },
}

/// Decides by the model's kind and by which endpoints the provider has.
pub(super) fn spoken(call: &Call, model: &Model, provider: &Provider) -> Result<Spoken, Unspoken> {
    let asked = call.endpoint;
    let wrong = |serves| Unspoken::WrongEndpoint { model: model.id.clone(), asked, serves };
    let quirks = &provider.quirks;
    let native = |has: bool| {
        let missing = || Unspoken::NotOffered { model: model.id.clone(), asked };
        has.then_some(Spoken::Native).ok_or_else(missing)
    };
    match (model.kind, asked) {
        (ModelKind::Embedding, Endpoint::Embeddings) => native(quirks.embeddings_path.is_some()),
        (ModelKind::Embedding, _) => Err(wrong(Endpoint::Embeddings)),
        (ModelKind::Completion, Endpoint::Completions) => native(quirks.completions_path.is_some()),
        (ModelKind::Completion, _) => Err(wrong(Endpoint::Completions)),
        (ModelKind::Responses, Endpoint::Responses) => native(quirks.responses_path.is_some()),
        (ModelKind::Responses, _) => Err(wrong(Endpoint::Responses)),
        (ModelKind::Chat, Endpoint::Chat) => Ok(Spoken::Chat),
        (ModelKind::Chat, Endpoint::Embeddings) => Err(wrong(Endpoint::Chat)),
        (ModelKind::Chat, Endpoint::Responses) if quirks.responses_path.is_some() => Ok(Spoken::Native),
        (ModelKind::Chat, Endpoint::Messages) if provider.wire == Wire::Anthropic => Ok(Spoken::Native),
        (ModelKind::Chat, Endpoint::Responses | Endpoint::Messages | Endpoint::Completions) => {
            Ok(call.as_chat().map(|_| Spoken::Chat)?)
        }
    }
}
