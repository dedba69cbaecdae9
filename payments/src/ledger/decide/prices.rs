//! Price lists: drafts, versions, and who buys by which.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use units::{AccountId, Timestamp};

use super::{Draft, Refusal, Reply};
use crate::{
    ledger::{FxNoted, PriceAssignment, PriceDraft, PriceList, PriceVersion, RowOp},
    prices::{Document, Sheet, pair_of},
};

/// Longer documents are no price lists, in bytes.
const DOCUMENT_MAX: usize = 4 * 1024 * 1024;
/// A list's name stands in version names and addresses.
const NAME_MAX: usize = 64;

/// Why prices stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what it is; the fields are the figures in it")]
pub enum PriceRefusal {
    #[error("a list's name is 1 to 64 of a-z, 0-9, `-` and `_`, not `{0}`")]
    BadName(String),
    #[error("{}", .0.join("; "))]
    BadDocument(Vec<String>),
    #[error("no price list `{0}`")]
    UnknownList(String),
    #[error("price list `{0}` has no draft")]
    NoDraft(String),
    #[error("the draft of price list `{0}` is another one by now: look at it again before it is published")]
    DraftChanged(String),
    #[error("price list `{0}` has no published version")]
    NoVersion(String),
    #[error("a version cannot count from an instant that has passed")]
    ValidFromPassed,
    #[error("no rate of {0} was looked up for a document that has prices in it")]
    PairNotNamed(String),
}

impl From<PriceRefusal> for Refusal {
    fn from(refusal: PriceRefusal) -> Self {
        Self::Prices(refusal)
    }
}

impl Draft<'_> {
    pub(super) fn save_price_draft(&mut self, list: &str, document: &str) -> Result<Reply, Refusal> {
        self.staff()?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if list.is_empty() || list.len() > NAME_MAX || !list.bytes().all(plain) {
            return Err(PriceRefusal::BadName(list.to_owned()).into());
        }
        let document = checked(document)?;
        let mut row = self.rows.price_list(list).cloned().unwrap_or_else(|| PriceList {
            name: list.to_owned(),
            versions: 0,
            draft: None,
        });
        row.draft = Some(PriceDraft {
            source_hash: source_hash(&document),
            document,
            author: self.command.actor.id.clone(),
            saved_at: self.command.at,
        });
        self.ops.push(RowOp::PriceList(row.clone()));
        Ok(Reply::PriceList(Box::new(row)))
    }

    pub(super) fn delete_price_draft(&mut self, list: &str) -> Result<Reply, Refusal> {
        self.staff()?;
        let mut row = self.find_list(list)?;
        row.draft.take().ok_or_else(|| PriceRefusal::NoDraft(list.to_owned()))?;
        self.ops.push(RowOp::PriceList(row.clone()));
        Ok(Reply::PriceList(Box::new(row)))
    }

    pub(super) fn publish_prices(
        &mut self,
        list: &str,
        source_hash: &str,
        valid_from: Option<Timestamp>,
        pairs: &[String],
    ) -> Result<Reply, Refusal> {
        let reason = self.staff_with_reason()?.to_owned();
        let mut row = self.find_list(list)?;
        let draft = row.draft.take().ok_or_else(|| PriceRefusal::NoDraft(list.to_owned()))?;
        if draft.source_hash != source_hash {
            return Err(PriceRefusal::DraftChanged(list.to_owned()).into());
        }
        let at = self.command.at;
        let valid_from = valid_from.unwrap_or(at);
        if valid_from < at {
            return Err(PriceRefusal::ValidFromPassed.into());
        }
        let sheet = Sheet::read(&draft.document).map_err(|problems| PriceRefusal::BadDocument(problems.0))?;
        if let Some(pair) = sheet.foreign().map(pair_of).find(|pair| !pairs.contains(pair)) {
            return Err(PriceRefusal::PairNotNamed(pair).into());
        }
        let noted = |pair: &String| {
            let rate = self.rows.fx_pair(pair)?.at(at)?;
            Some(FxNoted { pair: pair.clone(), id: rate.id.clone(), rate_micro: rate.rate_micro })
        };
        row.versions = row.versions.checked_add(1).ok_or(Refusal::OutOfRange)?;
        let version = PriceVersion {
            list: list.to_owned(),
            number: row.versions,
            valid_from,
            published_at: at,
            author: self.command.actor.id.clone(),
            reason: Some(reason),
            source_hash: draft.source_hash,
            fx: pairs.iter().filter_map(noted).collect(),
            document: draft.document,
        };
        self.ops.push(RowOp::PriceList(row));
        self.ops.push(RowOp::PriceVersion(version.clone()));
        Ok(Reply::PriceVersion(Box::new(version)))
    }

    pub(super) fn assign_price_list(
        &mut self,
        account: AccountId,
        list: Option<&str>,
    ) -> Result<Reply, Refusal> {
        let reason = self.staff_with_reason()?.to_owned();
        self.rows.account(account).ok_or(Refusal::UnknownAccount(account))?;
        if let Some(list) = list
            && self.find_list(list)?.versions == 0
        {
            return Err(PriceRefusal::NoVersion(list.to_owned()).into());
        }
        let list = list.map(str::to_owned);
        let present = self.rows.price_assignment(account).and_then(|row| row.list.clone());
        if present == list {
            return Ok(Reply::Already);
        }
        self.ops.push(RowOp::PriceAssignment(PriceAssignment {
            account,
            list,
            at: self.command.at,
            author: self.command.actor.id.clone(),
            reason: Some(reason),
        }));
        Ok(Reply::Done)
    }

    fn find_list(&self, list: &str) -> Result<PriceList, Refusal> {
        let found = self.rows.price_list(list).cloned();
        found.ok_or_else(|| PriceRefusal::UnknownList(list.to_owned()).into())
    }
}

/// The document in its canonical form, if every price in it can be charged.
fn checked(text: &str) -> Result<String, PriceRefusal> {
    if text.len() > DOCUMENT_MAX {
        return Err(PriceRefusal::BadDocument(vec![format!("larger than {DOCUMENT_MAX} bytes")]));
    }
    let document = Document::read_json(text).map_err(|error| PriceRefusal::BadDocument(vec![error]))?;
    Sheet::check(&document).map_err(|problems| PriceRefusal::BadDocument(problems.0))?;
    Ok(document.canonical())
}

fn source_hash(document: &str) -> String {
    base16ct::lower::encode_string(&Sha256::digest(document))
}
