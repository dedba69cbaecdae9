//! Where are secrets kept, and how do they stay out of logs?

use std::{fmt, io::Read};

use router_config::SecretRef;
use zeroize::Zeroizing;

/// No secret is longer; a path to something endless is a mistake.
const BYTES_MAX: u64 = 1 << 20;

/// Text that is never shown and is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text into custody.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a secret is not at hand. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No such variable.
    #[error("the environment variable `{0}` is not set")]
    Unset(String),
    /// The file could not be opened or read.
    #[error("the file `{path}` cannot be read: {source}")]
    Unreadable {
        /// As written.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// Bytes that are no text, or too many of them.
    #[error("`{0}` holds no text of at most 1 MiB")]
    NotText(SecretRef),
    /// There, but nothing in it.
    #[error("`{0}` is empty")]
    Empty(SecretRef),
}

/// Whoever can look up a secret; the tests bring their own.
pub trait Secrets {
    /// The text kept at `from`, without the line break that editors leave at its end.
    ///
    /// # Errors
    /// [`SecretError`].
    fn read(&self, from: &SecretRef) -> Result<Secret, SecretError>;
}

/// This process's environment and file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Environment;

impl Secrets for Environment {
    fn read(&self, from: &SecretRef) -> Result<Secret, SecretError> {
        let text = match from {
            SecretRef::Env(name) => from_environment(name, from)?,
            SecretRef::File(path) => from_file(path, from)?,
        };
        trimmed(text, from)
    }
}

#[expect(clippy::disallowed_methods, reason = "settings alone reads the environment")]
fn from_environment(name: &str, from: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
    match std::env::var(name) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(std::env::VarError::NotPresent) => Err(SecretError::Unset(name.to_owned())),
        Err(std::env::VarError::NotUnicode(_)) => Err(SecretError::NotText(from.clone())),
    }
}

fn from_file(path: &str, from: &SecretRef) -> Result<Zeroizing<String>, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = Zeroizing::new(String::new());
    match file.take(BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(bytes) if bytes as u64 <= BYTES_MAX => Ok(text),
        Ok(_) => Err(SecretError::NotText(from.clone())),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(SecretError::NotText(from.clone()))
        }
        Err(error) => Err(unreadable(error)),
    }
}

fn trimmed(mut text: Zeroizing<String>, from: &SecretRef) -> Result<Secret, SecretError> {
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    if text.trim().is_empty() { Err(SecretError::Empty(from.clone())) } else { Ok(Secret(text)) }
}
