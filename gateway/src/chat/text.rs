//! How much text is there, as far as it matters to an estimate?

use std::{
    iter::Sum,
    ops::{Add, AddAssign},
};

/// Bytes of text: a byte of ASCII and a byte of any other character make different numbers of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextSize {
    /// Bytes of ASCII characters.
    pub ascii: u64,
    /// Bytes of all others.
    pub wide: u64,
}

impl TextSize {
    /// The size of this text.
    pub fn of(text: &[u8]) -> Self {
        let wide = text.iter().filter(|byte| !byte.is_ascii()).count() as u64;
        Self { ascii: text.len() as u64 - wide, wide }
    }

    /// So many bytes of ASCII.
    pub const fn ascii(bytes: u64) -> Self {
        Self { ascii: bytes, wide: 0 }
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
        Self { ascii: self.ascii.saturating_add(more.ascii), wide: self.wide.saturating_add(more.wide) }
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
