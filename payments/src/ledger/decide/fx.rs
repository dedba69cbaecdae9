//! Rates of exchange: what is believed, and what a person fixes.

use serde::{Deserialize, Serialize};
use units::Timestamp;

use super::{Draft, Refusal, Reply};
use crate::ledger::{FxPair, FxRate, RowOp, command::AcceptedRate};

/// How far a new rate may lie from the last accepted one without being confirmed, in thousandths.
const JUMP_PER_MILLE: i128 = 30;
/// A million yuan for one unit cannot be meant, in millionths.
const HIGHEST_MICRO: i64 = 1_000_000_000_000;

/// Why a rate is not written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what it is; the fields are the figures in it")]
pub enum FxRefusal {
    #[error("`{0}` is not a pair of two different currencies like `USD/CNY`")]
    BadPair(String),
    #[error("a rate is above zero and at most a million, not {} millionths", .0)]
    BadRate(i64),
    #[error("a later rate of {pair} is known: {id}")]
    Older { pair: String, id: String },
    #[error("the rate was fetched later than it is now: a clock goes backwards")]
    FetchedLater,
    #[error("{rate_micro} millionths is more than 3 % off {id}, and nobody confirms it")]
    Jump { id: String, rate_micro: i64 },
    #[error("a pinned rate ends later than it begins")]
    UntilPassed,
    #[error("no rate of {0} is pinned")]
    NotPinned(String),
    #[error("rates of {pair} up to {to} are not all old ones")]
    StillUsed { pair: String, to: i64 },
}

impl From<FxRefusal> for Refusal {
    fn from(refusal: FxRefusal) -> Self {
        Self::Fx(refusal)
    }
}

/// True where `new` lies within three per cent of `last`.
pub fn is_near(last_micro: i64, new_micro: i64) -> bool {
    (i128::from(new_micro) - i128::from(last_micro)).abs() * 1_000 <= i128::from(last_micro) * JUMP_PER_MILLE
}

impl Draft<'_> {
    pub(super) fn accept_rate(&mut self, new: &AcceptedRate) -> Result<Reply, Refusal> {
        let mut row = self.pair(&new.pair)?;
        in_range(new.rate_micro)?;
        if new.fetched_at > self.command.at {
            return Err(FxRefusal::FetchedLater.into());
        }
        if let Some(last) = &row.accepted {
            if last.fetched_at == new.fetched_at
                && last.rate_micro == new.rate_micro
                && last.source == new.source
            {
                return Ok(Reply::FxRate(Box::new(last.clone())));
            }
            if new.fetched_at <= last.fetched_at {
                return Err(FxRefusal::Older { pair: new.pair.clone(), id: last.id.clone() }.into());
            }
            if !is_near(last.rate_micro, new.rate_micro) && new.confirmed_by.is_none() {
                return Err(FxRefusal::Jump { id: last.id.clone(), rate_micro: new.rate_micro }.into());
            }
        }
        row.rates = row.rates.checked_add(1).ok_or(Refusal::OutOfRange)?;
        let rate = FxRate {
            id: format!("{}:{}", row.pair, row.rates),
            number: row.rates,
            pair: new.pair.clone(),
            rate_micro: new.rate_micro,
            source: new.source.clone(),
            observed_at: new.observed_at,
            fetched_at: new.fetched_at,
            confirmed_by: new.confirmed_by.clone(),
            pinned: false,
            until: None,
            author: self.command.actor.id.clone(),
            reason: None,
        };
        row.accepted = Some(rate.clone());
        self.put_pair(row, &rate);
        Ok(Reply::FxRate(Box::new(rate)))
    }

    pub(super) fn pin_rate(
        &mut self,
        pair: &str,
        rate_micro: i64,
        until: Option<Timestamp>,
    ) -> Result<Reply, Refusal> {
        let reason = self.staff_with_reason()?.to_owned();
        let mut row = self.pair(pair)?;
        in_range(rate_micro)?;
        if until.is_some_and(|until| until <= self.command.at) {
            return Err(FxRefusal::UntilPassed.into());
        }
        row.rates = row.rates.checked_add(1).ok_or(Refusal::OutOfRange)?;
        let rate = FxRate {
            id: format!("{}:{}", row.pair, row.rates),
            number: row.rates,
            pair: pair.to_owned(),
            rate_micro,
            source: "pinned".to_owned(),
            observed_at: None,
            fetched_at: self.command.at,
            confirmed_by: None,
            pinned: true,
            until,
            author: self.command.actor.id.clone(),
            reason: Some(reason),
        };
        row.pinned = Some(rate.clone());
        self.put_pair(row, &rate);
        Ok(Reply::FxRate(Box::new(rate)))
    }

    pub(super) fn unpin_rate(&mut self, pair: &str) -> Result<Reply, Refusal> {
        self.staff_with_reason()?;
        let mut row = self.pair(pair)?;
        row.pinned.take().ok_or_else(|| FxRefusal::NotPinned(pair.to_owned()))?;
        self.ops.push(RowOp::FxPair(Box::new(row)));
        Ok(Reply::Done)
    }

    /// Who asks has looked for what names them; here only what counts now is kept.
    pub(super) fn prune_rates(&mut self, pair: &str, to: i64, gone: &[i64]) -> Result<Reply, Refusal> {
        self.staff()?;
        let row = self.pair(pair)?;
        if to <= row.pruned {
            return Ok(Reply::Already);
        }
        let counts = |number: i64| row.pinned.as_ref().is_some_and(|pinned| pinned.number == number);
        let old = row.accepted.as_ref().is_some_and(|last| to < last.number);
        if !old || gone.iter().any(|number| !(row.pruned + 1..=to).contains(number) || counts(*number)) {
            return Err(FxRefusal::StillUsed { pair: pair.to_owned(), to }.into());
        }
        let pair = || pair.to_owned();
        self.ops.extend(gone.iter().map(|&number| RowOp::FxGone { pair: pair(), number }));
        self.ops.push(RowOp::FxPair(Box::new(FxPair { pruned: to, ..row })));
        Ok(Reply::Done)
    }

    fn pair(&self, pair: &str) -> Result<FxPair, Refusal> {
        let currency = |code: &str| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
        match pair.split_once('/') {
            Some((base, quote)) if currency(base) && currency(quote) && base != quote => {
                let known = self.rows.fx_pair(pair).cloned();
                Ok(known.unwrap_or_else(|| FxPair::unknown(pair.to_owned())))
            }
            _ => Err(FxRefusal::BadPair(pair.to_owned()).into()),
        }
    }

    fn put_pair(&mut self, row: FxPair, rate: &FxRate) {
        self.ops.push(RowOp::FxPair(Box::new(row)));
        self.ops.push(RowOp::FxRate(rate.clone()));
    }
}

fn in_range(rate_micro: i64) -> Result<(), Refusal> {
    if (1..=HIGHEST_MICRO).contains(&rate_micro) {
        Ok(())
    } else {
        Err(FxRefusal::BadRate(rate_micro).into())
    }
}
