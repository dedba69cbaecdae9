//! How much text is there, as far as it matters to an estimate?

use std::{
    iter::Sum,
    ops::{Add, AddAssign},
};

use serde::{Deserialize, Serialize};

use super::vocabulary::Counted;

/// Bytes of text: a byte of ASCII and a byte of any other character make different numbers of tokens. Its tokens too, in
/// builds that count them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextSize {
    /// Bytes of ASCII characters.
    pub ascii: u64,
    /// Bytes of all others.
    pub wide: u64,
    /// What another build has counted is not missed by one that does not.
    #[serde(default)]
    counted: Counted,
}

impl TextSize {
    /// The size of this text.
    pub fn of(text: &[u8]) -> Self {
        let wide = text.iter().filter(|byte| !byte.is_ascii()).count() as u64;
        Self { ascii: text.len() as u64 - wide, wide, counted: Counted::of(text) }
    }

    /// So many bytes, of which nobody knows what they say.
    #[cfg(test)]
    pub(crate) fn bytes_of(ascii: u64, wide: u64) -> Self {
        Self { ascii, wide, ..Self::default() }
    }

    /// Its tokens in o200k_base, where they are counted.
    pub const fn o200k(self) -> Option<u64> {
        self.counted.o200k()
    }

    /// Its tokens in cl100k_base, where they are counted.
    pub const fn cl100k(self) -> Option<u64> {
        self.counted.cl100k()
    }

    /// All bytes.
    pub const fn bytes(self) -> u64 {
        self.ascii.saturating_add(self.wide)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.bytes() == 0
    }
}

impl Add for TextSize {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            ascii: self.ascii.saturating_add(more.ascii),
            wide: self.wide.saturating_add(more.wide),
            counted: self.counted.and(more.counted),
        }
    }
}

impl AddAssign for TextSize {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

impl Sum for TextSize {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Add::add)
    }
}
