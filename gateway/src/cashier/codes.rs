//! Credit codes: how they are written, and redeeming one.

use std::{io, sync::Arc};

use axum::{extract::State, http::HeaderMap, response::Response};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    ledger::{Actor, Body, Command, Refusal, Reply, Role},
    store::SubmitError,
};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use units::{NanoCny, RequestId};

use super::{
    Cashier, PayError, reply,
    topups::{idempotency_key, object},
    views,
};

/// Crockford's base 32: no letter looks like a figure.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code: 100 random bits.
const CHARS: usize = 20;
/// What a code is known for one by.
const PREFIX: &str = "TG";
/// They are written in groups of so many.
const GROUP: usize = 5;
/// How much of a code is kept to recognise it by.
pub(crate) const HINT_CHARS: usize = 4;

/// A code nobody has seen, as people write it: `TG-7K3QF-0M2XD-…`.
///
/// # Errors
/// If the system gives no random numbers.
pub(crate) fn fresh_code() -> io::Result<String> {
    let mut bytes = [0_u8; CHARS];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let mut code = String::from(PREFIX);
    for (place, byte) in bytes.into_iter().enumerate() {
        if place % GROUP == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: every character is as likely as another.
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    Ok(code)
}

/// What is kept of a code: SHA-256 of its characters, however it was typed; `None` for what cannot be one.
pub(crate) fn code_digest(text: &str) -> Option<String> {
    let mut read = String::with_capacity(CHARS + PREFIX.len());
    for c in text.trim().chars().filter(|c| !matches!(c, '-' | ' ')) {
        let c = match c.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            c => c,
        };
        if read.len() == CHARS + PREFIX.len() || !c.is_ascii() || !ALPHABET.contains(&(c as u8)) {
            return None;
        }
        read.push(c);
    }
    // The prefix is of the same letters: only the length says whether it was typed.
    let body = if read.len() == CHARS { &read } else { read.strip_prefix(PREFIX)? };
    (body.len() == CHARS).then(|| base16ct::lower::encode_string(&Sha256::digest(body)))
}

#[derive(Deserialize)]
struct Wanted {
    code: Option<String>,
}

/// To whoever has not redeemed it, a wrong code, a used one and a withdrawn one are the same: nothing is learnt by trying.
fn no_such_code() -> PayError {
    PayError::not_found("code", "No such code, or it was used or withdrawn.")
}

/// `POST /v1/codes/redeem`
pub(super) async fn redeem(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    cashier.keys.limits().request(&caller).await?;
    let idempotency_key = idempotency_key(&headers)?;
    let wanted: Wanted = object(&body, &["code"])?;
    let code = wanted.code.ok_or_else(|| PayError::missing("code", "code is missing"))?;
    let digest = code_digest(&code).ok_or_else(no_such_code)?;
    let known = cashier.store.credit_code(digest.clone()).await?.ok_or_else(no_such_code)?;
    let at = cashier.clock.now();
    let campaign = known.terms.campaign.clone();
    let key = idempotency_key.unwrap_or_else(|| RequestId::new(at).to_string());
    let command = Command {
        key: format!("redeem:{}:{key}", caller.account),
        actor: Actor { id: caller.key.to_string(), role: Role::Customer },
        reason: None,
        approver: None,
        at,
        body: Body::RedeemCode { account: caller.account, digest, campaign: campaign.clone() },
    };
    let lot = match cashier.store.submit(command).await {
        Ok(Reply::Lot(lot)) => lot,
        Ok(other) => {
            return Err(PayError::unavailable(format!("the ledger gave an unexpected answer: {other:?}")));
        }
        Err(SubmitError::Refused(refusal)) => {
            let hidden = match refusal {
                Refusal::UnknownCode
                | Refusal::CodeVoid
                | Refusal::CodeUsedUp
                | Refusal::LivemodeMismatch => true,
                Refusal::CodeExpired { .. } => known.used >= known.terms.uses,
                _ => false,
            };
            return Err(if hidden { no_such_code() } else { refusal.into() });
        }
        Err(error) => return Err(error.into()),
    };
    let shown = json!({
        "object": "code_redemption",
        "campaign": campaign,
        "amount": NanoCny::new(lot.orig).to_string(),
        "currency": "CNY",
        "expires_at": lot.expires_at.map(views::time),
    });
    Ok(reply(StatusCode::CREATED, &shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_known_again_however_it_is_typed() {
        let code = fresh_code().unwrap();
        assert_eq!((code.len(), &code[..3]), (2 + 4 + CHARS, "TG-"));
        let kept = code_digest(&code).unwrap();
        let typed = code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(code_digest(&format!("  {typed} ")), Some(kept.clone()));
        assert_eq!(code_digest(&code[3..]), Some(kept.clone()));
        assert_ne!(code_digest(&fresh_code().unwrap()), Some(kept));
    }

    #[test]
    fn what_cannot_be_a_code_is_none() {
        for wrong in
            ["", "TG", "TG-", "hello", "TG-U0000-00000-00000-00000", "0000", "TG-码0000-00000-00000-00000"]
        {
            assert_eq!(code_digest(wrong), None, "{wrong}");
        }
        assert_eq!(code_digest(&"0".repeat(21)), None);
    }
}
