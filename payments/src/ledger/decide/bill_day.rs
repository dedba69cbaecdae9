//! The books of reconciliation: what a day came to, what did not agree, and who said why.

use std::collections::{BTreeMap, BTreeSet};

use units::{NanoCny, Timestamp};

use super::{Draft, Refusal, Reply, check::invalid, check::text};
use crate::ledger::{
    Actor, BillDay, BillDayState, BillDayTaken, BillDifference, BillSums, ComparedDay, DIFFERENCES_MAX,
    DifferenceCause, DifferenceResolution, DifferenceState, FoundDifference, Role, RowOp, SignOff,
};

/// A day is taken for so long at most, in microseconds.
const TAKEN_MAX: i64 = 24 * 3_600 * 1_000_000;

/// A merchant number and a day, as they stand in keys.
fn day_of(mchid: &str, day: &str) -> Result<(), Refusal> {
    if mchid.is_empty() || mchid.len() > 32 || !mchid.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid("mchid", "a merchant number is digits"));
    }
    let read = day.parse::<jiff::civil::Date>().ok();
    let written = read.map(|date| date.to_string());
    if written.as_deref() == Some(day) {
        Ok(())
    } else {
        Err(invalid("day", "it is not a day like 2025-10-08"))
    }
}

/// Sums up where the differences of a day stand.
fn stands(day: BillDay, differences: &BTreeMap<String, BillDifference>) -> BillDay {
    let open = || differences.values().filter(|difference| difference.state == DifferenceState::Open);
    let apart = open().map(|difference| difference.found.unmatched().get());
    let unmatched = NanoCny::new(apart.fold(0, i64::saturating_add));
    let count = i64::try_from(open().count()).unwrap_or(i64::MAX);
    let settled = count == 0 && day.unlisted == 0;
    let state = match day.state {
        _ if !settled => BillDayState::Differs,
        BillDayState::SignedOff => BillDayState::SignedOff,
        _ => BillDayState::Agrees,
    };
    BillDay { state, open: count, unmatched, ..day }
}

impl Draft<'_> {
    fn differences_of(&self, mchid: &str, day: &str) -> BTreeMap<String, BillDifference> {
        let own = self.rows.differences_of(mchid, day);
        own.map(|difference| (difference.id.clone(), difference.clone())).collect()
    }

    /// A day without a bill yet, by whoever asks.
    fn new_day(&self, mchid: &str, day: &str) -> BillDay {
        BillDay {
            mchid: mchid.to_owned(),
            day: day.to_owned(),
            state: BillDayState::Taken,
            source: None,
            sha256: None,
            sums: BillSums::default(),
            found: BTreeMap::new(),
            unlisted: 0,
            open: 0,
            unmatched: NanoCny::ZERO,
            runs: 0,
            by: self.command.actor.clone(),
            at: self.command.at,
            taken: None,
            signed: Vec::new(),
        }
    }

    fn put_day(&mut self, day: BillDay) -> Reply {
        if self.rows.bill_day(&day.mchid, &day.day) == Some(&day) {
            return Reply::BillDay(Box::new(day));
        }
        self.ops.push(RowOp::BillDay(Box::new(day.clone())));
        Reply::BillDay(Box::new(day))
    }

    /// Takes a day for a while, unless somebody else has: the answer says who.
    pub(super) fn take_bill_day(
        &mut self,
        mchid: &str,
        day: &str,
        until: Timestamp,
    ) -> Result<Reply, Refusal> {
        self.staff()?;
        day_of(mchid, day)?;
        if until.0 <= self.command.at.0 || until.0 - self.command.at.0 > TAKEN_MAX {
            return Err(invalid("until", "it is not within a day from now"));
        }
        let row = self.rows.bill_day(mchid, day).cloned().unwrap_or_else(|| self.new_day(mchid, day));
        let by = &self.command.actor.id;
        let other = row.taken.as_ref().is_some_and(|taken| taken.by != *by && taken.until > self.command.at);
        if other {
            return Ok(Reply::BillDay(Box::new(row)));
        }
        let taken = Some(BillDayTaken { by: by.clone(), until });
        Ok(self.put_day(BillDay { taken, ..row }))
    }

    /// Writes down what a comparison found. What was explained stays explained; what is not found any more is gone; what is
    /// found after the day was signed off opens it again.
    pub(super) fn record_bill_day(&mut self, compared: &ComparedDay) -> Result<Reply, Refusal> {
        self.staff()?;
        let ComparedDay { mchid, day, source, sha256, sums, differences, unlisted } = compared;
        day_of(mchid, day)?;
        if differences.len() > DIFFERENCES_MAX || *unlisted < 0 {
            return Err(invalid(
                "differences",
                &format!("more than {DIFFERENCES_MAX} are counted, not listed"),
            ));
        }
        let mut known = self.differences_of(mchid, day);
        let mut seen = BTreeSet::new();
        let mut found = BTreeMap::new();
        for difference in differences {
            let id = difference.id(mchid, day);
            if !seen.insert(id.clone()) {
                continue;
            }
            *found.entry(difference.class).or_insert(0) += 1;
            if let Some(row) = self.found_again(known.get(&id), difference, (&id, mchid, day)) {
                self.ops.push(RowOp::Difference(Box::new(row.clone())));
                known.insert(id, row);
            }
        }
        for (id, row) in &mut known {
            if row.state == DifferenceState::Open && !seen.contains(id) {
                row.state = DifferenceState::Gone;
                row.gone_at = Some(self.command.at);
                self.ops.push(RowOp::Difference(Box::new(row.clone())));
            }
        }
        let earlier = self.rows.bill_day(mchid, day).cloned().unwrap_or_else(|| self.new_day(mchid, day));
        let row = BillDay {
            source: Some(*source),
            sha256: sha256.clone(),
            sums: sums.clone(),
            found,
            unlisted: *unlisted,
            runs: earlier.runs + 1,
            by: self.command.actor.clone(),
            at: self.command.at,
            taken: None,
            ..earlier
        };
        Ok(self.put_day(stands(row, &known)))
    }

    /// What becomes of a difference that was found; nothing where it stands so already.
    fn found_again(
        &self,
        known: Option<&BillDifference>,
        found: &FoundDifference,
        (id, mchid, day): (&str, &str, &str),
    ) -> Option<BillDifference> {
        let healed = found.healed.map(|cause| DifferenceResolution {
            cause,
            // Whoever asked for the comparison explained nothing.
            by: Actor::system("reconcile"),
            reason: found.detail.clone().unwrap_or_else(|| cause.to_string()),
            evidence: None,
            at: self.command.at,
        });
        let state = if healed.is_some() { DifferenceState::Resolved } else { DifferenceState::Open };
        match known {
            Some(known) if known.state == DifferenceState::Resolved => None,
            Some(known) => {
                // The latest word counts: amounts of ours move, and the channel may say something else by now.
                let detail = found.detail.clone().or_else(|| known.found.detail.clone());
                let found = FoundDifference { detail, ..found.clone() };
                let row = BillDifference { found, state, resolution: healed, gone_at: None, ..known.clone() };
                (row != *known).then_some(row)
            }
            None => Some(BillDifference {
                id: id.to_owned(),
                mchid: mchid.to_owned(),
                day: day.to_owned(),
                found: found.clone(),
                state,
                opened_at: self.command.at,
                resolution: healed,
                gone_at: None,
            }),
        }
    }

    /// A person says why something did not agree.
    pub(super) fn resolve_difference(
        &mut self,
        (mchid, day, id): (&str, &str, &str),
        cause: DifferenceCause,
        evidence: Option<&str>,
    ) -> Result<Reply, Refusal> {
        let reason = self.person_with_reason()?;
        evidence.map_or(Ok(()), |evidence| text("evidence", evidence))?;
        let mut differences = self.differences_of(mchid, day);
        let unknown = || Refusal::UnknownDifference(id.to_owned());
        let row = differences.get_mut(id).ok_or_else(unknown)?;
        if row.state != DifferenceState::Open {
            return Err(Refusal::DifferenceState { difference: id.to_owned(), state: row.state });
        }
        row.state = DifferenceState::Resolved;
        row.resolution = Some(DifferenceResolution {
            cause,
            by: self.command.actor.clone(),
            reason,
            evidence: evidence.map(str::to_owned),
            at: self.command.at,
        });
        let row = row.clone();
        let of_day = self.rows.bill_day(mchid, day).cloned().ok_or_else(unknown)?;
        self.ops.push(RowOp::Difference(Box::new(row)));
        Ok(self.put_day(stands(of_day, &differences)))
    }

    /// A person says that a day is settled. Whoever explained a difference of it needs somebody who agrees.
    pub(super) fn sign_off_bill_day(&mut self, mchid: &str, day: &str) -> Result<Reply, Refusal> {
        if self.command.actor.role != Role::Operator {
            return Err(Refusal::NeedsOperator);
        }
        let unknown = || Refusal::UnknownBillDay { mchid: mchid.to_owned(), day: day.to_owned() };
        let row = self.rows.bill_day(mchid, day).cloned().ok_or_else(unknown)?;
        match row.state {
            BillDayState::Taken => return Err(unknown()),
            BillDayState::Differs => {
                let open = row.open.saturating_add(row.unlisted);
                return Err(Refusal::BillDayOpen { mchid: mchid.to_owned(), day: day.to_owned(), open });
            }
            BillDayState::SignedOff => return Ok(Reply::BillDay(Box::new(row))),
            BillDayState::Agrees => {}
        }
        let me = &self.command.actor;
        let explained = self
            .rows
            .differences_of(mchid, day)
            .any(|difference| difference.resolution.as_ref().is_some_and(|resolution| resolution.by == *me));
        if explained {
            self.two_people()?;
        }
        let mut row = row;
        row.state = BillDayState::SignedOff;
        row.signed.push(SignOff {
            by: me.clone(),
            // Nobody agrees with themselves.
            approver: self.command.approver.clone().filter(|second| second.id != me.id),
            at: self.command.at,
            reason: self.command.reason.clone(),
        });
        Ok(self.put_day(row))
    }

    /// A person, and they say why.
    fn person_with_reason(&self) -> Result<String, Refusal> {
        if self.command.actor.role != Role::Operator {
            return Err(Refusal::NeedsOperator);
        }
        let reason = self.staff_with_reason()?;
        text("reason", reason)?;
        Ok(reason.to_owned())
    }
}
