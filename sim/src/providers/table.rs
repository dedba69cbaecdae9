//! Who is there? Every provider: its dialect, where its API begins, and which endpoints it has.
use super::azure::Azure;
use super::book::Book;
use super::deepseek::DeepSeek;
use super::dialect::Dialect;
use super::endpoint::Endpoint::{self, Chat, Completions, CountTokens, Embeddings, Messages, Responses};
use super::family as a;
use super::messages::Anthropic;
use super::mistral::Mistral;
use super::openai::OpenAi;
use super::qwen::Qwen;
use crate::state::World;

/// A provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(super) dialect: &'static dyn Dialect,
    pub(super) base: &'static str,
    pub(super) endpoints: &'static [Endpoint],
    /// Which of the [`World`]'s books is its own.
    pub(super) book: usize,
}

const fn provider(
    book: usize,
    base: &'static str,
    dialect: &'static dyn Dialect,
    endpoints: &'static [Endpoint],
) -> Provider {
    Provider { dialect, base, endpoints, book }
}

/// How many there are.
pub(crate) const COUNT: usize = 20;

pub(crate) static PROVIDERS: [Provider; COUNT] = [
    provider(0, "/openai/v1", &OpenAi, &[Chat, Responses, Completions, Embeddings]),
    provider(1, "/deepseek/v1", &DeepSeek, &[Chat, Completions]),
    provider(2, "/qwen/compatible-mode/v1", &Qwen, &[Chat, Embeddings]),
    provider(3, "/mistral/v1", &Mistral, &[Chat, Embeddings]),
    provider(4, "/anthropic/v1", &Anthropic, &[Messages, CountTokens]),
    provider(5, "/azure/openai/v1", &Azure, &[Chat, Responses, Completions, Embeddings]),
    provider(6, "/gemini/v1beta/openai", &a::GEMINI, &[Chat, Embeddings]),
    provider(7, "/moonshot/v1", &a::MOONSHOT, &[Chat]),
    provider(8, "/zhipu/api/paas/v4", &a::ZHIPU, &[Chat, Embeddings]),
    provider(9, "/minimax/v1", &a::MINIMAX, &[Chat]),
    provider(10, "/doubao/api/v3", &a::DOUBAO, &[Chat, Embeddings]),
    provider(11, "/hunyuan/v1", &a::HUNYUAN, &[Chat, Embeddings]),
    provider(12, "/siliconflow/v1", &a::SILICONFLOW, &[Chat, Embeddings]),
    provider(13, "/groq/openai/v1", &a::GROQ, &[Chat]),
    provider(14, "/together/v1", &a::TOGETHER, &[Chat, Completions, Embeddings]),
    provider(15, "/fireworks/inference/v1", &a::FIREWORKS, &[Chat, Completions, Embeddings]),
    provider(16, "/xai/v1", &a::XAI, &[Chat, Responses]),
    provider(17, "/openrouter/api/v1", &a::OPENROUTER, &[Chat, Completions]),
    provider(18, "/vllm/v1", &a::VLLM, &[Chat, Completions, Embeddings]),
    provider(19, "/ollama/v1", &a::OLLAMA, &[Chat, Completions, Embeddings]),
];

/// The one that also says what is left, and goes on with answers at an address of its own.
pub(super) const DEEPSEEK: usize = 1;
/// The one that also has an address for each deployment.
pub(super) const AZURE: usize = 5;

impl Provider {
    pub(crate) fn name(&self) -> &'static str {
        self.dialect.name()
    }
    pub(crate) fn book<'a>(&self, world: &'a World) -> &'a Book {
        &world.providers[self.book]
    }
}
