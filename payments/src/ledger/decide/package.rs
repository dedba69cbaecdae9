//! Packages: versions that never change, one of which is sold.

use super::{
    Draft, Refusal, Reply,
    check::{invalid, name, text},
};
use crate::ledger::{Package, PackageOffer, RowOp};

/// A thousand tokens of the package for one: no price list spreads its classes so far.
const WEIGHT_MAX: i64 = 1_000_000;

impl Draft<'_> {
    pub(super) fn define_package(&mut self, offer: &PackageOffer) -> Result<Reply, Refusal> {
        self.staff()?;
        check(offer)?;
        if let Some(known) = self.rows.package(&offer.id, offer.version) {
            let exists = Refusal::PackageExists { id: offer.id.clone(), version: offer.version };
            return if known.offer == *offer { Ok(Reply::Already) } else { Err(exists) };
        }
        if offer.version > 1 {
            let before = self.rows.package(&offer.id, offer.version - 1);
            let before = before.ok_or_else(|| invalid("version", "the one before it is not there"))?.clone();
            // One version is sold at a time.
            if before.retired_at.is_none() {
                self.ops.push(RowOp::Package(Package { retired_at: Some(self.command.at), ..before }));
            }
        }
        let created_at = self.command.at;
        self.ops.push(RowOp::Package(Package { offer: offer.clone(), created_at, retired_at: None }));
        Ok(Reply::Done)
    }

    pub(super) fn retire_package(&mut self, id: &str, version: i64) -> Result<Reply, Refusal> {
        self.staff()?;
        let unknown = || Refusal::UnknownPackage { id: id.to_owned(), version };
        let package = self.rows.package(id, version).ok_or_else(unknown)?.clone();
        if package.retired_at.is_some() {
            return Ok(Reply::Already);
        }
        self.ops.push(RowOp::Package(Package { retired_at: Some(self.command.at), ..package }));
        Ok(Reply::Done)
    }
}

fn check(offer: &PackageOffer) -> Result<(), Refusal> {
    name("id", &offer.id)?;
    text("title", &offer.title)?;
    if offer.version < 1 {
        return Err(invalid("version", "versions count from 1"));
    }
    offer.price.at_least_one().map_err(|_| invalid("price", "it must be at least 0.01 yuan"))?;
    if offer.tokens <= 0 || offer.tokens.checked_mul(1_000).is_none() {
        return Err(invalid("tokens", "it must be positive, and countable in thousandths"));
    }
    if offer.models.is_empty() {
        return Err(invalid("models", "a package pays for one model at least"));
    }
    for (n, model) in offer.models.iter().enumerate() {
        text(&format!("models[{n}]"), model)?;
        if offer.models[..n].contains(model) {
            return Err(invalid(&format!("models[{n}]"), "it is named twice"));
        }
    }
    let burns = offer.weights;
    for (class, weight) in [
        ("input", burns.input),
        ("cached_input", burns.cached_input),
        ("cache_write", burns.cache_write),
        ("output", burns.output),
    ] {
        let field = format!("weights.{class}");
        if weight <= 0 {
            return Err(invalid(&field, "each token burns something"));
        }
        if weight > WEIGHT_MAX {
            let what = format!("a token burns at most {WEIGHT_MAX} thousandths of one; is it a price?");
            return Err(invalid(&field, &what));
        }
    }
    Ok(())
}
