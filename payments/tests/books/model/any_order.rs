//! News in any order and any number: 9.

use payments::ledger::{AccountRole, Asset, Body, Command, CreditSource, OrderKind, RefundNews, Reply};
use proptest::prelude::*;
use units::{AccountId, Livemode, OrderId, RefundBatchId, RefundId, Timestamp};

use super::{invariants, world::World};
use crate::support::{APPID, MCHID, START, command, fen, new_order, token_kind};

const ORDERS: usize = 4;

/// What can be told of the orders: each is paid, two of them were refunded in part, and one of those refunds arrived.
struct Tale {
    account: AccountId,
    orders: Vec<OrderId>,
    begun: Vec<Command>,
    news: Vec<Body>,
}

fn paid(
    account: AccountId,
    order: OrderId,
    kind: &OrderKind,
    source: CreditSource,
    event: Option<String>,
) -> Body {
    Body::OrderPaid {
        order,
        account,
        asset: kind.asset(),
        transaction_id: format!("T{}", order.bare()),
        total: fen(1_000),
        currency: None,
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        payer: None,
        success_time: Some(Timestamp(START.0 + 5)),
        source,
        event,
    }
}

fn tale() -> Tale {
    let account = AccountId::new(START);
    let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
    let mut begun = vec![command("open", START, Body::OpenAccount { id: account, livemode, name, role })];
    let (mut orders, mut news) = (Vec::new(), Vec::new());
    for n in 0..ORDERS {
        let order = OrderId::new(START);
        let kind = if n == 0 { token_kind(10_000, 1_000_000) } else { OrderKind::Wallet };
        begun.push(command(
            format!("order:{n}"),
            START,
            Body::CreateOrder(new_order(order, account, fen(1_000), kind.clone())),
        ));
        news.push(Body::OrderPrepaid {
            order,
            prepay: payments::ledger::Prepay::Code("c".to_owned()),
            request_id: None,
        });
        news.push(paid(account, order, &kind, CreditSource::Query, None));
        for event in 0..3 {
            news.push(paid(account, order, &kind, CreditSource::Notify, Some(format!("E{n}:{event}"))));
        }
        orders.push(order);
    }
    // Two more that were paid, refunded and sent before the news begins.
    for n in 0..2 {
        let (order, batch, item) = (OrderId::new(START), RefundBatchId::new(START), RefundId::new(START));
        let new = new_order(order, account, fen(1_000), OrderKind::Wallet);
        begun.push(command(format!("old:{n}"), START, Body::CreateOrder(new)));
        begun.push(command(
            "pay",
            START,
            paid(account, order, &OrderKind::Wallet, CreditSource::Notify, None),
        ));
        let (asset, amount, item_ids) = (Asset::Cny, Some(fen(400)), vec![item]);
        let (granted, order_wished, reason) = (i64::MAX, Some(order), None);
        let refund = Body::RequestRefund {
            batch,
            account,
            asset,
            amount,
            granted,
            approve_above: None,
            order: order_wished,
            reason,
            item_ids,
        };
        begun.push(command(format!("refund:{n}"), START, refund));
        begun.push(command("send", START, Body::RefundSending { item, batch }));
        let said = [RefundNews::Processing, if n == 0 { RefundNews::Success } else { RefundNews::Closed }];
        for (m, news_of) in said.into_iter().cycle().take(5).enumerate() {
            news.push(Body::RefundReported {
                item,
                batch,
                order,
                account,
                asset: Asset::Cny,
                news: news_of,
                refund_id: None,
                detail: None,
                event: Some(format!("R{n}:{m}")),
                payment: None,
            });
        }
        orders.push(order);
    }
    Tale { account, orders, begun, news }
}

/// What there is in the end, whoever said it first.
fn told(tale: &Tale, news: &[usize]) -> String {
    let mut world = World::default();
    let all = tale.begun.iter().cloned();
    let said = news.iter().map(|n| tale.news[*n].clone()).enumerate();
    let said = said.map(|(n, body)| command("news", Timestamp(START.0 + 10 + n as i64), body));
    let mut credited = 0;
    for command in all.chain(said) {
        world.carry_out(&command);
        invariants::all(&world).unwrap_or_else(|what| panic!("{what}"));
        credited += usize::from(matches!(
            world.last().outcome,
            Ok(Reply::Order { step: payments::ledger::OrderStep::Credited, .. })
        ));
    }
    assert_eq!(credited, tale.orders.len(), "each is credited once");
    let orders = tale.orders.iter().map(|id| world.rows.order(*id).unwrap());
    let orders: Vec<_> =
        orders.map(|order| (order.state, order.refunded, order.transaction_id.clone())).collect();
    let lots: Vec<_> = world.rows.lots().filter(|lot| lot.account == tale.account).collect();
    let items: Vec<_> = world.rows.items().map(|item| (item.id, item.state, item.amount)).collect();
    let mut balances: Vec<_> =
        world.rows.wallets().map(|wallet| (wallet.asset.clone(), wallet.posted, wallet.held)).collect();
    balances.sort();
    format!("{orders:#?} {lots:#?} {items:#?} {balances:#?}")
}

/// Every piece of news at least once, some again, in any order.
fn shuffled(pieces: usize) -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..pieces, 0..20)
        .prop_map(move |again| (0..pieces).chain(again).collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #![proptest_config(super::config(60))]

    #[test]
    fn news_of_payments_and_refunds_come_to_the_same_in_any_order_and_any_number(news in shuffled(ORDERS * 5 + 10)) {
        let tale = tale();
        let straight: Vec<usize> = (0..tale.news.len()).collect();
        assert_eq!(told(&tale, &news), told(&tale, &straight));
    }
}
