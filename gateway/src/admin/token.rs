//! The administrator's token: made once, kept in a file for this user's eyes only.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::cashier::PayError;

/// What an administrator shows.
#[derive(Clone)]
pub struct AdminToken(Arc<str>);

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(..)")
    }
}

impl AdminToken {
    /// Reads the token, or makes one if there is no file yet.
    ///
    /// # Errors
    /// If the file can be neither read nor made.
    pub fn read_or_make(path: &Path) -> io::Result<Self> {
        secret_file(path, "tgadm").map(|token| Self(token.into()))
    }

    /// The token itself, for the demo's banner.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn is(&self, shown: &str) -> bool {
        self.0.as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

/// Reads a secret from `path`, or makes one of 256 random bits there, readable by its owner alone.
///
/// # Errors
/// If the file can be neither read nor made.
pub fn secret_file(path: &Path, prefix: &str) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = text.trim().to_owned();
            if text.len() < 32 {
                let words = format!("{} holds no secret of at least 32 characters", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, words));
            }
            Ok(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = format!("{prefix}-{}", random_text()?);
            let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
            file.write_all(secret.as_bytes())?;
            file.sync_all()?;
            Ok(secret)
        }
        Err(error) => Err(error),
    }
}

/// 256 random bits as 43 URL-safe characters.
fn random_text() -> io::Result<String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Lets only the administrator through.
pub(super) async fn require(State(token): State<AdminToken>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown =
        shown.and_then(|value| value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("bearer ")));
    if shown.is_some_and(|shown| token.is(shown.trim())) {
        next.run(request).await
    } else {
        PayError::forbidden("Send the administrator's token as `Authorization: Bearer TOKEN`.")
            .into_response()
    }
}
