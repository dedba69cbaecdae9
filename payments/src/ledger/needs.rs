//! Which rows does a command name? A store loads no others, and a decision that asks for more is a mistake that every run of the
//! tests looks for.

use units::KeyId;

use super::{
    AcceptedRate, Body, Command, Gate, GateChange, Grant, NewCode, OrderKind, code::campaign_lot, view::Needs,
};

impl Command {
    /// The rows the command may read or change.
    pub fn needs(&self, into: &mut Needs) {
        use super::Asset::{Cny, Tokens};
        match &self.body {
            Body::OpenAccount { id, .. } => into.account(*id),
            Body::AddKey(key) => {
                into.account(key.account);
                into.key(key.id);
                into.digests.insert(key.digest.clone());
            }
            Body::RevokeKey { account, key } => {
                into.account(*account);
                into.key(*key);
            }
            Body::GrantPromo { account, .. } => into.wallet(*account, &Cny),
            Body::Hold(new) => {
                into.hold(new.id);
                into.account(new.account);
                into.key(new.key);
                into.balance(new.account, &Cny);
                for leg in &new.legs {
                    into.balance(new.account, &leg.asset);
                    if let Tokens(terms) = &leg.asset {
                        into.terms.insert(terms.clone());
                    }
                }
                into.budgets(new.account, new.key);
            }
            Body::Dispatch { id, account } | Body::Orphan { id, account, .. } => {
                into.account(*account);
                into.hold(*id);
            }
            Body::Extend { id, account, key, .. } => {
                into.hold(*id);
                into.account(*account);
                into.balance(*account, &Cny);
                into.budgets(*account, *key);
            }
            Body::Settle { id, account, key, tokens, .. } => {
                into.hold(*id);
                into.wallet(*account, &Cny);
                for asset in tokens {
                    into.wallet(*account, asset);
                }
                into.budgets(*account, *key);
            }
            Body::CorrectCharge { id, account, key, used, .. } => {
                into.hold(*id);
                into.account(*account);
                into.balance(*account, &Cny);
                for part in used {
                    into.balance(*account, &part.asset);
                    into.lots.insert(part.lot.clone());
                    // What was lent may have been paid back since.
                    Grant::order_of(&part.lot).into_iter().for_each(|order| into.order(order));
                }
                into.budgets(*account, *key);
            }
            Body::SetBudget { account, key, .. } => {
                into.account(*account);
                into.budgets.insert((*account, *key));
                key.iter().for_each(|key| into.key(*key));
            }
            Body::OpenGrant { order, account, .. } | Body::SweepGrant { order, account, .. } => {
                into.order(*order);
                into.wallet(*account, &Cny);
                into.standings.insert(*account);
                into.budgets.insert((*account, Some(KeyId::of_order(*order))));
            }
            Body::CreateOrder(order) => {
                into.account(order.account);
                into.balance(order.account, &Cny);
                into.order(order.id);
                into.awaited.extend(order.open_max.map(|_| order.account));
                into.terms_of(&order.kind.asset());
                match &order.kind {
                    OrderKind::Package { offer } => {
                        into.packages.insert((offer.id.clone(), offer.version));
                    }
                    OrderKind::Goods { buyer, .. } => into.accounts.extend(buyer),
                    OrderKind::Wallet | OrderKind::Tokens { .. } => {}
                }
            }
            Body::OrderPrepaid { order, .. }
            | Body::OrderFailed { order, .. }
            | Body::OrderClosed { order, .. }
            | Body::OrderNoted { order, .. } => into.order(*order),
            Body::OrderPaid { order, account, asset, event, transaction_id, .. } => {
                into.order(*order);
                into.transactions.insert(transaction_id.clone());
                into.suspense.insert(transaction_id.clone());
                into.payment(*account, asset);
                into.notice(event.as_deref());
                into.standings.insert(*account);
            }
            Body::RequestRefund { batch, account, asset, .. } => {
                into.account(*account);
                into.wallet(*account, asset);
                into.tied.insert(*account);
                into.batch(*batch);
                into.standings.insert(*account);
            }
            Body::SetGate(GateChange { scope, id, event, .. }) => {
                into.gates.insert(Gate::name(*scope, id));
                into.notice(event.as_ref().map(|event| event.id.as_str()));
            }
            Body::ApproveRefund { batch, account } => {
                into.account(*account);
                into.batch(*batch);
            }
            Body::RefundSending { batch, .. } => into.batch(*batch),
            Body::RefundReported { batch, order, account, asset, event, payment, .. } => {
                into.batch(*batch);
                into.order(*order);
                into.payment(*account, asset);
                into.suspense.extend(payment.clone());
                into.notice(event.as_deref());
            }
            Body::CancelRefund { batch, account, asset, orders, payments } => {
                into.batch(*batch);
                into.payment(*account, asset);
                orders.iter().for_each(|order| into.order(*order));
                into.suspense.extend(payments.iter().cloned());
            }
            Body::RefundGoods(wish) => {
                into.account(wish.account);
                // A live grant blocks it.
                into.standings.insert(wish.account);
                into.order(wish.order);
                into.batch(wish.batch);
            }
            Body::SweepBonus { account, order } => {
                into.order(*order);
                into.wallet(*account, &Cny);
            }
            Body::FileNotice(strange) => into.notice(Some(&strange.id)),
            Body::ResolveReview(about) => {
                into.order(about.order);
                into.batch(about.batch);
                into.payment(about.account, &about.asset);
                into.suspense.extend(about.transaction_id.clone());
                into.transactions.extend(about.transaction_id.clone());
            }
            Body::ExtRefund(found) => {
                into.order(found.order);
                into.payment(found.account, &found.asset);
            }
            Body::ManualPayout(paid) => {
                into.order(paid.order);
                into.payment(paid.account, &paid.asset);
            }
            Body::SettleDebt { account, .. } => into.wallet(*account, &Cny),
            Body::PostFee { .. } => {}
            Body::RecordBillDay(compared) => into.bill_day(&compared.mchid, &compared.day),
            Body::TakeBillDay { mchid, day, .. }
            | Body::ResolveDifference { mchid, day, .. }
            | Body::SignOffBillDay { mchid, day } => into.bill_day(mchid, day),
            Body::ExpireLot { account, asset, lot, .. } => {
                into.wallet(*account, asset);
                into.lots.insert(lot.clone());
            }
            Body::CreateCode(NewCode { digest, .. }) | Body::VoidCode { digest } => {
                into.codes.insert(digest.clone());
            }
            Body::RedeemCode { account, digest, campaign } => {
                into.wallet(*account, &Cny);
                into.codes.insert(digest.clone());
                into.lots.insert(campaign_lot(campaign, *account));
            }
            Body::Adjust(change) => {
                into.wallet(change.account, &change.asset);
                // What tokens that are taken away were paid with is a line in yuan.
                into.balance(change.account, &Cny);
                into.terms_of(&change.asset);
                into.lots.insert(change.lot());
            }
            Body::StopAccount { account }
            | Body::ResumeAccount { account }
            | Body::FlagAccount { account, .. } => into.account(*account),
            Body::CloseAccount { account } => {
                into.account(*account);
                into.whole.insert(*account);
            }
            Body::DefinePackage(offer) => {
                into.packages.insert((offer.id.clone(), offer.version));
                into.packages.insert((offer.id.clone(), offer.version.saturating_sub(1)));
            }
            Body::RetirePackage { id, version } => {
                into.packages.insert((id.clone(), *version));
            }
            Body::SavePriceDraft { list, .. } | Body::DeletePriceDraft { list } => into.price_list(list),
            Body::PublishPrices { list, pairs, .. } => {
                into.price_list(list);
                into.fx_pairs.extend(pairs.iter().cloned());
            }
            Body::AssignPriceList { account, list } => {
                into.account(*account);
                into.price_assignments.insert(*account);
                list.iter().for_each(|list| into.price_list(list));
            }
            Body::AcceptRate(AcceptedRate { pair, .. })
            | Body::PinRate { pair, .. }
            | Body::PruneRates { pair, .. }
            | Body::UnpinRate { pair } => drop(into.fx_pairs.insert(pair.clone())),
        }
    }
}
