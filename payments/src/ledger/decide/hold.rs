//! Setting money aside for a call.

use units::{AccountId, NanoCny, RequestId};

use super::{Draft, Refusal, Reply};
use crate::ledger::{AccountRole, Asset, Body, Hold, HoldState, RowOp};

impl Draft<'_> {
    pub(super) fn hold(&mut self) -> Result<Reply, Refusal> {
        let Body::Hold { id, account, key, model, money, tokens_milli, quote, epoch } = &self.command.body
        else {
            return Err(Refusal::NotPositive);
        };
        let house = self.rows.account(*account).is_some_and(|account| account.role == AccountRole::House);
        if let Some(found) = self.rows.hold(*id) {
            // An extension may have raised the money since.
            let same = found.account == *account
                && found.model == *model
                && (house || (found.money >= *money && found.tokens_milli == *tokens_milli))
                && found.quote == *quote;
            return if same { Ok(Reply::Already) } else { Err(Refusal::HoldExists(*id)) };
        }
        self.active_account(*account)?;
        if money.is_negative() || *tokens_milli < 0 {
            return Err(Refusal::NotPositive);
        }
        // Our own calls are never refused for money: they set nothing aside and are booked as our cost.
        let (money, tokens_milli) = if house { (NanoCny::ZERO, 0) } else { (*money, *tokens_milli) };
        self.set_aside(*account, &Asset::Cny, money.get())?;
        self.set_aside(*account, &Asset::Tokens(model.clone()), tokens_milli)?;
        let hold = Hold {
            id: *id,
            account: *account,
            key: *key,
            state: HoldState::Open,
            model: model.clone(),
            money,
            tokens_milli,
            quote: quote.clone(),
            epoch: *epoch,
            opened_at: self.command.at,
            ended_at: None,
            cost: NanoCny::ZERO,
            cost_tokens_milli: 0,
            overrun: NanoCny::ZERO,
            usage: None,
            estimated: false,
        };
        self.ops.push(RowOp::Hold(Box::new(hold)));
        Ok(Reply::Done)
    }

    pub(super) fn extend(
        &mut self,
        id: RequestId,
        account: AccountId,
        to: NanoCny,
    ) -> Result<Reply, Refusal> {
        let hold =
            self.rows.hold(id).filter(|hold| hold.account == account).ok_or(Refusal::UnknownHold(id))?;
        if hold.state != HoldState::Open {
            return Err(Refusal::HoldEnded(id));
        }
        let house = self.rows.account(account).is_some_and(|account| account.role == AccountRole::House);
        let more = to.minus(hold.money)?;
        if house || more.get() <= 0 {
            return Ok(Reply::Already);
        }
        let hold = Hold { money: to, ..hold.clone() };
        self.set_aside(hold.account, &Asset::Cny, more.get())?;
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
