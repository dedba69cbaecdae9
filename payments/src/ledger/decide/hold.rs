//! Setting money and tokens aside for a call, and who answers for them.

use units::{AccountId, KeyId, NanoCny, RequestId};

use super::{Draft, Refusal, Reply};
use crate::ledger::{
    AccountRole, Asset, Hold, HoldState, LEGS_MAX, NewHold, RowOp, Stranded, TokenLeg, Weights,
};

impl Draft<'_> {
    pub(super) fn hold(&mut self, new: &NewHold) -> Result<Reply, Refusal> {
        let house = self.is_house(new.account);
        if let Some(found) = self.rows.hold(new.id) {
            // An extension may have raised the money since.
            let same = found.account == new.account
                && found.key == new.key
                && found.model == new.model
                && (house || (found.money >= new.money && found.legs == new.legs))
                && found.quote == new.quote;
            return if same { Ok(Reply::Already) } else { Err(Refusal::HoldExists(new.id)) };
        }
        self.active_account(new.account)?;
        self.usable_key(new)?;
        if new.quote.price_version.is_empty() {
            return Err(Refusal::QuoteIncomplete("it names no price list".to_owned()));
        }
        if new.deadline <= self.command.at {
            return Err(Refusal::DeadlinePassed);
        }
        if new.money.is_negative() || new.legs.iter().any(|leg| leg.milli <= 0) {
            return Err(Refusal::NotPositive);
        }
        // Our own calls are never refused for money: they set nothing aside and are booked as our cost.
        let (money, legs) = if house { (NanoCny::ZERO, Vec::new()) } else { (new.money, new.legs.clone()) };
        let rates = &new.quote.rates;
        let is_free = rates.dearest_input().max(rates.output).get() == 0;
        if !house && !is_free && money.get() == 0 && legs.is_empty() {
            return Err(Refusal::NotPositive);
        }
        self.check_legs(new, &legs)?;
        self.set_aside(new.account, &Asset::Cny, money.get())?;
        for leg in &legs {
            self.set_aside(new.account, &leg.asset, leg.milli)?;
        }
        let budgets = if house { Vec::new() } else { self.reserve_budgets(new.account, new.key, money)? };
        let hold = Hold {
            id: new.id,
            account: new.account,
            key: new.key,
            state: HoldState::Open,
            model: new.model.clone(),
            money,
            legs,
            quote: new.quote.clone(),
            epoch: new.epoch,
            dispatched: new.dispatched,
            opened_at: self.command.at,
            deadline: new.deadline,
            orphaned_at: None,
            ended_at: None,
            cost: NanoCny::ZERO,
            cost_tokens_milli: 0,
            overrun: NanoCny::ZERO,
            usage: None,
            estimated: false,
            used: Vec::new(),
            corrected: Vec::new(),
            budgets,
            late: None,
        };
        self.ops.push(RowOp::Hold(Box::new(hold)));
        Ok(Reply::Done)
    }

    pub(super) fn is_house(&self, account: AccountId) -> bool {
        self.rows.account(account).is_some_and(|account| account.role == AccountRole::House)
    }

    /// A key of the books must be the account's own and not be over; calls of ours come with none.
    fn usable_key(&self, new: &NewHold) -> Result<(), Refusal> {
        let Some(key) = self.rows.key(new.key) else { return Ok(()) };
        if key.account != new.account {
            return Err(Refusal::UnknownKey(new.key));
        }
        let over = key.expires_at.is_some_and(|end| end <= self.command.at);
        if over || key.revoked_at.is_some() {
            return Err(Refusal::KeyOver(new.key));
        }
        match new.legs.first() {
            Some(leg) if key.grant.is_some() => Err(Refusal::LegRefused {
                asset: leg.asset.clone(),
                what: "the key of a temporary grant spends money only".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// Each leg is of a balance of its own whose terms pay for the model, with the weights of those terms: the quote's
    /// share of them.
    fn check_legs(&self, new: &NewHold, legs: &[TokenLeg]) -> Result<(), Refusal> {
        if legs.len() > LEGS_MAX {
            return Err(Refusal::OutOfRange);
        }
        for (index, leg) in legs.iter().enumerate() {
            let refused = |what: &str| {
                let (asset, what) = (leg.asset.clone(), what.to_owned());
                Err(Refusal::LegRefused { asset, what })
            };
            let Asset::Tokens(id) = &leg.asset else { return refused("it is money") };
            if legs[..index].iter().any(|earlier| earlier.asset == leg.asset) {
                return refused("it is named twice");
            }
            // Balances older than terms are of the model they are named after, at the weights of the moment.
            let (pays, weights) = match self.rows.terms(id) {
                Some(terms) => (terms.pays_for(&new.model), terms.weights),
                None => (*id == new.model, Weights::of_rates(&new.quote.rates)),
            };
            let weights = new.quote.price_percent.map_or(weights, |share| weights.at_percent(share));
            if !pays {
                return refused("it does not pay for the model");
            }
            if weights != leg.weights {
                return refused("its tokens burn by other weights");
            }
        }
        Ok(())
    }

    fn own_hold(&self, id: RequestId, account: AccountId) -> Result<&Hold, Refusal> {
        self.rows.hold(id).filter(|hold| hold.account == account).ok_or(Refusal::UnknownHold(id))
    }

    fn open_hold(&self, id: RequestId, account: AccountId) -> Result<&Hold, Refusal> {
        let hold = self.own_hold(id, account)?;
        match hold.state {
            HoldState::Open => Ok(hold),
            HoldState::Orphan => Err(Refusal::HoldOrphaned(id)),
            HoldState::Settled | HoldState::Released => Err(Refusal::HoldEnded(id)),
        }
    }

    pub(super) fn dispatch(&mut self, id: RequestId, account: AccountId) -> Result<Reply, Refusal> {
        let hold = self.open_hold(id, account)?;
        if hold.dispatched {
            return Ok(Reply::Already);
        }
        let hold = Hold { dispatched: true, ..hold.clone() };
        self.ops.push(RowOp::Hold(Box::new(hold)));
        Ok(Reply::Done)
    }

    pub(super) fn extend(
        &mut self,
        id: RequestId,
        account: AccountId,
        key: KeyId,
        to: NanoCny,
    ) -> Result<Reply, Refusal> {
        let hold = self.open_hold(id, account)?;
        // The budgets were loaded by the command's words, so they must be the hold's own.
        if hold.key != key {
            return Err(Refusal::UnknownHold(id));
        }
        let more = to.minus(hold.money)?;
        if self.is_house(account) || more.get() <= 0 {
            return Ok(Reply::Already);
        }
        let hold = Hold { money: to, ..hold.clone() };
        self.set_aside(hold.account, &Asset::Cny, more.get())?;
        self.extend_budgets(&hold, more)?;
        self.ops.push(RowOp::Hold(Box::new(hold)));
        Ok(Reply::Done)
    }

    pub(super) fn orphan(
        &mut self,
        id: RequestId,
        account: AccountId,
        why: Stranded,
    ) -> Result<Reply, Refusal> {
        let hold = self.own_hold(id, account)?;
        match hold.state {
            HoldState::Open => {}
            HoldState::Orphan => return Ok(Reply::Already),
            HoldState::Settled | HoldState::Released => return Err(Refusal::HoldEnded(id)),
        }
        let stranded = match why {
            Stranded::EpochOver { epoch } => hold.epoch == epoch,
            Stranded::Overdue => hold.deadline <= self.command.at,
        };
        if !stranded {
            return Err(Refusal::NotStranded(id));
        }
        let hold = Hold { state: HoldState::Orphan, orphaned_at: Some(self.command.at), ..hold.clone() };
        self.ops.push(RowOp::Hold(Box::new(hold)));
        Ok(Reply::Done)
    }

    fn set_aside(&mut self, account: AccountId, asset: &Asset, amount: i64) -> Result<(), Refusal> {
        if amount == 0 {
            return Ok(());
        }
        let mut wallet = self.rows.wallet(account, asset);
        if wallet.available() < amount {
            let available = wallet.available();
            return Err(Refusal::Insufficient { asset: asset.clone(), available, required: amount });
        }
        wallet.held = wallet.held.checked_add(amount).ok_or(Refusal::OutOfRange)?;
        self.put_wallet(wallet);
        Ok(())
    }
}
