//! Why can a call not be said as a chat completion?

use crate::{
    chat::Inexpressible,
    dialect::decode::DecodeError,
    json::{Object, Odd, What},
};

/// What stands in the way.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is no call at all.
    Bad(DecodeError),
    /// It is one, and chat completions have no word for it.
    Wordless(Inexpressible),
}

impl Trouble {
    /// `param` asks for something that chat completions do not know.
    pub(super) fn wordless(param: impl Into<String>, why: &str) -> Self {
        Self::Wordless(Inexpressible { param: param.into(), why: why.to_owned() })
    }

    /// `param` has a value that cannot be.
    pub(super) fn bad_value(param: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Bad(DecodeError::BadValue { param: param.into().into(), expected: expected.into() })
    }
}

impl From<DecodeError> for Trouble {
    fn from(error: DecodeError) -> Self {
        Self::Bad(error)
    }
}

impl From<Odd> for Trouble {
    fn from(odd: Odd) -> Self {
        Self::Bad(odd.into())
    }
}

impl From<Odd> for DecodeError {
    fn from(Odd { path, what }: Odd) -> Self {
        let param = path.into();
        match what {
            What::Missing => Self::Missing(param),
            What::Twice => Self::Duplicate(param),
            What::Expected(expected) => Self::WrongType { param, expected },
        }
    }
}

/// Nothing may be left of an object.
pub(super) fn all_said(object: Object<'_>) -> Result<(), Trouble> {
    match object.left_over() {
        None => Ok(()),
        Some(param) => Err(Trouble::wordless(param, "has no word in a chat completion")),
    }
}
