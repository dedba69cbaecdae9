//! What takes several commands to come about: a loan that is lost, a bonus that is used, an account that ends.

use payments::ledger::{
    Asset, Body, Correction, DebtSource, ExternalRefund, GrantCaps, GrantClaim, GrantState, HoldState,
    LotClass, NewHold, NewOrder, Order, OrderKind, OrderState, RefundItemState, RefundNews, SettledBy,
};
use units::{AccountId, NanoCny, Timestamp};

use super::{Cast, Payable, ending, paid};
use crate::{
    model::{
        steps::{By, Ending, Then},
        world::World,
    },
    support::{fen, flat, new_hold, new_order},
};

impl Cast {
    /// What comes next for an account that uses a payment and its bonus, of which something goes back then.
    pub(super) fn spend(&self, account: AccountId, then: Then, world: &World) -> Option<(String, Body)> {
        let rows = &world.rows;
        let key = |what: &str| format!("{what}:{}", self.count);
        let mut holds: Vec<_> = rows.holds().filter(|hold| hold.account == account).collect();
        holds.sort_by_key(|hold| hold.id);
        if rows.account(account).is_some_and(|account| account.debt.get() > 0) {
            let from =
                if self.count.is_multiple_of(2) { DebtSource::Balance } else { DebtSource::Adjustment };
            return Some((key("debt"), Body::SettleDebt { account, from }));
        }
        let mut bonuses: Vec<_> = rows.lots_of(account, &Asset::Cny).collect();
        bonuses.retain(|lot| lot.class == LotClass::Bonus && lot.consumed > 0);
        bonuses.sort_by_key(|lot| lot.created_at);
        let latest = bonuses.last().and_then(|bonus| bonus.order);
        match (then, latest) {
            (Then::Found(amount), Some(order)) => {
                let (refund_id, asset) = (format!("s{}", self.count), Asset::Cny);
                let amount = fen(amount).min(rows.order(order)?.amount);
                let found = ExternalRefund { refund_id: refund_id.clone(), order, account, asset, amount };
                return Some((format!("xr:{refund_id}"), Body::ExtRefund(found)));
            }
            (Then::Corrected, Some(_)) => {
                let hold = holds.iter().rev().find(|hold| !hold.used.is_empty())?;
                let (id, key_id, used, what) = (hold.id, hold.key, hold.used.clone(), Correction::Whole);
                return Some((key("correct"), Body::CorrectCharge { id, account, key: key_id, used, what }));
            }
            _ => {}
        }
        let step = |body| Some(("spend".to_owned(), body));
        let open = holds.iter().find(|hold| hold.state == HoldState::Open);
        if let Some(hold) = open.filter(|_| then != Then::Held) {
            let (id, key, tokens) = (hold.id, hold.key, hold.token_assets());
            let end = ending(Ending::Used { usage: [10_000_000, 0, 0, 0], extra: 0 });
            let by = SettledBy::Owner { epoch: hold.epoch };
            return step(Body::Settle { id, account, key, tokens, by, end });
        }
        let wallet = rows.wallet(account, &Asset::Cny);
        let unused =
            rows.lots_of(account, &Asset::Cny).any(|lot| lot.class == LotClass::Bonus && lot.rem > 0);
        if unused && wallet.available() > 1 {
            let id = *self.holds.iter().find(|id| rows.hold(**id).is_none())?;
            let money = wallet.available() - i64::from(self.count.is_multiple_of(3));
            return step(Body::Hold(NewHold {
                money: NanoCny::new(money),
                ..new_hold(id, account, None, flat(1_000))
            }));
        }
        let bought = |order: &&Order| {
            order.account == account && order.kind == OrderKind::Wallet && order.bonus.get() > 0
        };
        let waits = |order: &&Order| matches!(order.state, OrderState::Created | OrderState::Pending);
        let mut waiting: Vec<_> = rows.orders().filter(bought).filter(waits).collect();
        waiting.sort_by_key(|order| order.id);
        if let Some(order) = waiting.first() {
            let about = Payable { account, asset: Asset::Cny, amount: order.amount };
            return Some(("pay".to_owned(), paid(order.id, &about)));
        }
        let id = *self.orders.iter().find(|id| rows.order(**id).is_none())?;
        let expires_at = Timestamp(self.now.0 + 900_000_000);
        let bonus = NanoCny::new(10_000_001 + 7_000_000 * i64::try_from(self.count % 5).unwrap_or(0));
        let new = NewOrder { expires_at, bonus, ..new_order(id, account, fen(20), OrderKind::Wallet) };
        Some((format!("create:{id}:20"), Body::CreateOrder(new)))
    }

    /// What comes next for an account that is lent something, uses all it has and does not pay.
    pub(super) fn lend(&self, account: AccountId, world: &World) -> Option<(String, Body)> {
        let rows = &world.rows;
        let step = |body| Some(("lend".to_owned(), body));
        let mut open: Vec<_> =
            rows.holds().filter(|hold| hold.account == account && hold.state == HoldState::Open).collect();
        open.sort_by_key(|hold| hold.id);
        if let Some(hold) = open.first() {
            let (id, key, tokens) = (hold.id, hold.key, hold.token_assets());
            let end = ending(Ending::Used { usage: [10_000_000, 0, 0, 0], extra: i64::MAX });
            return step(Body::Settle { id, account, key, tokens, by: SettledBy::Owner { epoch: 1 }, end });
        }
        let Some(grant) = rows.standing(account).live.and_then(|order| rows.grant(order)) else {
            let mut own: Vec<_> = rows.orders().filter(|order| order.account == account).collect();
            own.sort_by_key(|order| order.id);
            let wallet = |order: &&&Order| order.kind == OrderKind::Wallet && self.now < order.expires_at;
            let lendable =
                |order: &&&Order| order.state == OrderState::Pending && rows.grant(order.id).is_none();
            if let Some(order) = own.iter().filter(wallet).find(lendable) {
                let (order, claim, caps) = (order.id, GrantClaim::Payer, GrantCaps::default());
                return step(Body::OpenGrant { order, account, claim, caps });
            }
            if let Some(order) = own.iter().filter(wallet).find(|order| order.state == OrderState::Created) {
                return step(Body::OrderPrepaid {
                    order: order.id,
                    prepay: payments::ledger::Prepay::Code("c".to_owned()),
                    request_id: None,
                });
            }
            let id = *self.orders.iter().find(|id| rows.order(**id).is_none())?;
            let expires_at = Timestamp(self.now.0 + 900_000_000);
            let new = NewOrder { expires_at, ..new_order(id, account, fen(150), OrderKind::Wallet) };
            return Some((format!("create:{id}:150"), Body::CreateOrder(new)));
        };
        let order = grant.order;
        let used = rows.lot(&format!("temp:{}", order.bare())).is_some_and(|lot| lot.consumed > 0);
        let wallet = rows.wallet(account, &Asset::Cny);
        if !used && grant.state == GrantState::Active && wallet.available() > 0 {
            let id = *self.holds.iter().find(|id| rows.hold(**id).is_none())?;
            let new = new_hold(id, account, None, flat(1_000));
            return step(Body::Hold(NewHold { money: NanoCny::new(wallet.available()), ..new }));
        }
        let pending = rows.order(order).is_some_and(|order| order.state == OrderState::Pending);
        if pending && self.count.is_multiple_of(3) {
            return step(Body::OrderClosed { order, source: "query".to_owned() });
        }
        Some((format!("sweep:{}", self.count), Body::SweepGrant { order, account, granted: i64::MAX }))
    }

    /// What comes next for an account that is to be empty; in the end, its end.
    pub(super) fn leave(&self, account: AccountId, by: By, world: &World) -> Option<(String, Body)> {
        let rows = &world.rows;
        let once = |what: &str| format!("{what}:{}", self.count);
        let mut open: Vec<_> =
            rows.holds().filter(|hold| hold.account == account && hold.state.is_held()).collect();
        open.sort_by_key(|hold| hold.id);
        if let Some(hold) = open.first() {
            let orphan = hold.state == HoldState::Orphan;
            let by = if orphan { SettledBy::Recovery } else { SettledBy::Owner { epoch: hold.epoch } };
            let end = ending(Ending::Used { usage: [1, 0, 0, 0], extra: 0 });
            let (id, key, tokens) = (hold.id, hold.key, hold.token_assets());
            return Some(("settle".to_owned(), Body::Settle { id, account, key, tokens, by, end }));
        }
        if let Some(item) = rows.items().find(|item| item.account == account && !item.state.is_end()) {
            return Some(match item.state {
                RefundItemState::Queued | RefundItemState::Wait => {
                    ("sending".to_owned(), Body::RefundSending { item: item.id, batch: item.batch })
                }
                _ => ("report".to_owned(), self.reporting(world, item, RefundNews::Success, None)),
            });
        }
        let again = world.log.last().is_some_and(|said| said.outcome.is_err());
        let mut assets: Vec<_> =
            rows.wallets().filter(|wallet| wallet.account == account && wallet.posted > 0).collect();
        assets.sort_by_key(|wallet| wallet.asset.clone());
        let worth = assets.iter().find(|wallet| {
            !payments::ledger::refundable(rows.lots_of(account, &wallet.asset), 0, self.now).is_empty()
        });
        match worth {
            Some(wallet) if !again => {
                let batch = self.fresh_batch(world, 0);
                let (asset, granted, item_ids) = (wallet.asset.clone(), i64::MAX, Self::item_ids(batch));
                let body = Body::RequestRefund {
                    batch,
                    account,
                    asset,
                    amount: None,
                    granted,
                    approve_above: None,
                    order: None,
                    reason: None,
                    item_ids,
                };
                Some((once("refund"), body))
            }
            _ => (by == By::Two).then(|| (once("close"), Body::CloseAccount { account })),
        }
    }
}
