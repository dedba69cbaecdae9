//! How many tokens do OpenAI's published vocabularies make of a text, exactly?
//!
//! Known in builds with the `tokenizer` feature (megabytes of vocabulary, and microseconds for each piece of an answer);
//! elsewhere nobody knows, and `meter` reckons by bytes.

use serde::{Deserialize, Serialize};

/// Tokens of some text, where they are counted. Of a text in pieces it is the sum of its pieces, as an upstream cut them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Counted {
    #[cfg(feature = "tokenizer")]
    o200k: u64,
    #[cfg(feature = "tokenizer")]
    cl100k: u64,
}

#[cfg(not(feature = "tokenizer"))]
#[allow(clippy::unused_self, reason = "the other build counts")]
impl Counted {
    pub(super) const fn of(_text: &[u8]) -> Self {
        Self {}
    }

    pub(super) const fn and(self, _more: Self) -> Self {
        Self {}
    }

    pub(super) const fn o200k(self) -> Option<u64> {
        None
    }

    pub(super) const fn cl100k(self) -> Option<u64> {
        None
    }
}

#[cfg(feature = "tokenizer")]
impl Counted {
    /// What is no UTF-8 is counted as the replacement characters that it would be read as.
    pub(super) fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        Self {
            o200k: exact::tokens(tiktoken_rs::o200k_base_singleton(), &text),
            cl100k: exact::tokens(tiktoken_rs::cl100k_base_singleton(), &text),
        }
    }

    pub(super) const fn and(self, more: Self) -> Self {
        Self { o200k: self.o200k.saturating_add(more.o200k), cl100k: self.cl100k.saturating_add(more.cl100k) }
    }

    pub(super) const fn o200k(self) -> Option<u64> {
        Some(self.o200k)
    }

    pub(super) const fn cl100k(self) -> Option<u64> {
        Some(self.cl100k)
    }
}

#[cfg(feature = "tokenizer")]
mod exact {
    use tiktoken_rs::CoreBPE;

    /// A longer text is counted in slices of this size, so that one word of a million letters takes no minute: at most a
    /// token or two more for each.
    const SLICE_BYTES_MAX: usize = 8 * 1024;

    /// Words that steer a model are text here: an answer cannot say them, and a prompt that does means the letters.
    pub(super) fn tokens(vocabulary: &CoreBPE, text: &str) -> u64 {
        let (mut rest, mut tokens) = (text, 0);
        while !rest.is_empty() {
            let (slice, after) = rest.split_at(rest.floor_char_boundary(SLICE_BYTES_MAX));
            tokens += vocabulary.encode_ordinary(slice).len() as u64;
            rest = after;
        }
        tokens
    }
}

#[cfg(all(test, feature = "tokenizer"))]
mod tests {
    use super::*;

    fn counts(text: &str) -> (u64, u64) {
        let counted = Counted::of(text.as_bytes());
        (counted.o200k().unwrap(), counted.cl100k().unwrap())
    }

    /// As OpenAI's cookbook counts them ("How to count tokens with tiktoken").
    #[test]
    fn known_texts_have_the_tokens_that_openai_counts() {
        assert_eq!(counts(""), (0, 0));
        assert_eq!(counts("antidisestablishmentarianism"), (6, 6));
        assert_eq!(counts("2 + 2 = 4"), (7, 7));
        assert_eq!(counts("お誕生日おめでとう"), (8, 9));
        assert_eq!(counts("tiktoken is great!"), (6, 6));
    }

    #[test]
    fn a_word_of_a_million_letters_is_counted_slice_by_slice() {
        let (o200k, _) = counts(&"a".repeat(1_000_000));
        assert!((100_000..200_000).contains(&o200k), "eight letters a token: {o200k}");
        assert_eq!(counts("<|endoftext|>").0, 7, "no word of the house");
    }
}
