//! How many tokens does a model's family make of a text that nobody has counted?
//!
//! By bytes, since one ratio for each character is wrong threefold between English and Chinese. What is measured: prose,
//! code and JSON in ASCII (0.20, 0.27 and 0.43 tokens a byte: a quarter is between them), and Chinese, whose characters
//! have three bytes (o200k_base 0.69 tokens a character, cl100k_base 1.04, DeepSeek's vocabulary 0.53). Families whose
//! vocabulary nobody has published are reckoned a little above the middle. Builds with the `tokenizer` feature count what has
//! one of OpenAI's. An estimate is marked as one wherever it is shown.

use units::Tokens;

use crate::chat::TextSize;

/// Models that share a vocabulary, or count alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Family {
    /// OpenAI's since GPT-4o: o200k_base, and what resembles it.
    O200k,
    /// OpenAI's before: cl100k_base.
    Cl100k,
    /// DeepSeek, Qwen, Kimi, GLM and others made for Chinese as much as for English.
    Chinese,
    /// Anthropic's newer ones, which make more tokens of the same text.
    Claude,
    /// Any other.
    #[default]
    Other,
}

impl Family {
    /// By an upstream's name of the model; what stands before a slash is whose it is, not which.
    pub(crate) fn of(upstream_model: &str) -> Self {
        let name = upstream_model.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
        if begins(&[
            "gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "gpt-6", "gpt-oss", "chatgpt", "o1", "o3", "o4", "codex",
        ]) {
            Self::O200k
        } else if begins(&["gpt-4", "gpt-3.5", "text-embedding"]) {
            Self::Cl100k
        } else if begins(&[
            "deepseek", "qwen", "qwq", "qvq", "kimi", "moonshot", "glm", "minimax", "doubao", "hunyuan",
            "ernie", "step",
        ]) {
            Self::Chinese
        } else if begins(&["claude"]) {
            Self::Claude
        } else {
            Self::Other
        }
    }

    /// Thousandths of a token for each byte of ASCII, and for each other byte.
    const fn milli_per_byte(self) -> (u64, u64) {
        match self {
            Self::O200k => (250, 240),
            Self::Cl100k => (250, 350),
            Self::Chinese => (250, 190),
            Self::Claude => (300, 300),
            Self::Other => (250, 270),
        }
    }

    /// So many tokens, where they are counted in the family's own vocabulary.
    pub(crate) const fn exact(self, text: TextSize) -> Option<u64> {
        match self {
            Self::O200k => text.o200k(),
            Self::Cl100k => text.cl100k(),
            Self::Chinese | Self::Claude | Self::Other => None,
        }
    }

    /// So many tokens, or about so many; of a text that is not empty, one at least.
    pub(crate) fn tokens(self, text: TextSize) -> Tokens {
        self.exact(text).map_or_else(|| self.reckoned(text), Tokens)
    }

    fn reckoned(self, text: TextSize) -> Tokens {
        let (ascii, wide) = self.milli_per_byte();
        let milli = text.ascii.saturating_mul(ascii).saturating_add(text.wide.saturating_mul(wide));
        Tokens(milli.div_ceil(1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_known_by_its_name_whoever_serves_it() {
        for (name, family) in [
            ("gpt-4o-mini", Family::O200k),
            ("openai/gpt-oss-120b", Family::O200k),
            ("gpt-4-turbo", Family::Cl100k),
            ("deepseek-ai/DeepSeek-V4-Pro", Family::Chinese),
            ("accounts/fireworks/models/kimi-k3", Family::Chinese),
            ("claude-opus-5-5", Family::Claude),
            ("mistral-large-4", Family::Other),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }

    /// Tokens of each text as measured with o200k_base, cl100k_base and DeepSeek's vocabulary: a character has so many.
    #[test]
    fn prose_and_code_are_reckoned_within_a_third_of_what_was_measured() {
        let chinese = |characters: u64| TextSize::bytes_of(0, characters * 3);
        let ascii = |bytes: u64| TextSize::bytes_of(bytes, 0);
        for (family, text, measured) in [
            (Family::O200k, ascii(10_000), 2_000),
            (Family::O200k, ascii(10_000), 2_700),
            (Family::O200k, chinese(1_000), 690),
            (Family::Cl100k, chinese(1_000), 1_040),
            (Family::Chinese, chinese(1_000), 530),
            (Family::Chinese, ascii(10_000), 2_900),
        ] {
            let reckoned = family.reckoned(text).0;
            assert!(
                reckoned.abs_diff(measured) * 3 <= measured,
                "{family:?} {text:?}: {reckoned}, not {measured}"
            );
        }
        assert_eq!(Family::Other.tokens(TextSize::default()).0, 0);
        assert_eq!(Family::Other.tokens(ascii(1)).0, 1);
    }
}
