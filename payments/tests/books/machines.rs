//! Every state of an order, a refund and a refund item, against everything that can be said of it.

use payments::ledger::{
    Asset, Body, OrderKind, OrderState, OrderStep, RefundBatch, RefundBatchState, RefundItem,
    RefundItemState, RefundNews, Refusal, Reply, Resolution, Verdict,
};
use units::{OrderId, RefundBatchId, RefundId};

use crate::{
    ledger::Books,
    support::{START, fen, new_order, yuan},
};

// ---- orders ----

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Prepaid,
    Failed,
    Closed,
    /// The payment that agrees.
    Paid,
    /// A payment of another amount.
    PaidOtherwise,
    Credit,
    Void,
    Refunded,
    Noted,
}

const ALL_SAID: [Said; 9] = [
    Said::Prepaid,
    Said::Failed,
    Said::Closed,
    Said::Paid,
    Said::PaidOtherwise,
    Said::Credit,
    Said::Void,
    Said::Refunded,
    Said::Noted,
];

/// An order of ten yuan in this state, its payment `T{order}`.
fn order_in(books: &mut Books, state: OrderState) -> OrderId {
    let order = OrderId::new(START);
    books.act(Body::CreateOrder(new_order(order, books.account, fen(1_000), OrderKind::Wallet))).unwrap();
    let way: &[Said] = match state {
        OrderState::Created => &[],
        OrderState::Pending => &[Said::Prepaid],
        OrderState::Failed => &[Said::Failed],
        OrderState::Closed => &[Said::Prepaid, Said::Closed],
        OrderState::Review => &[Said::Prepaid, Said::PaidOtherwise],
        OrderState::Voided => &[Said::Prepaid, Said::PaidOtherwise, Said::Void],
        OrderState::Paid => &[Said::Prepaid, Said::Paid],
        OrderState::PartiallyRefunded => &[Said::Prepaid, Said::Paid, Said::Refunded],
        OrderState::Refunded => &[Said::Prepaid, Said::Paid, Said::Refunded, Said::Refunded],
    };
    for &said in way {
        say(books, order, said).unwrap();
    }
    assert_eq!(books.state(order), state);
    order
}

fn say(books: &mut Books, order: OrderId, said: Said) -> Result<Reply, Refusal> {
    match said {
        Said::Prepaid => books.act(Body::OrderPrepaid {
            order,
            prepay: payments::ledger::Prepay::Code("c".to_owned()),
            request_id: None,
        }),
        Said::Failed => books.act(Body::OrderFailed { order, detail: "no".to_owned() }),
        Said::Closed => books.act(Body::OrderClosed { order, source: "close".to_owned() }),
        Said::Paid | Said::PaidOtherwise => {
            let news = books.news(order, if said == Said::Paid { 1_000 } else { 999 });
            books.act(news)
        }
        Said::Credit | Said::Void => {
            let verdict = if said == Said::Credit { Verdict::Credit } else { Verdict::Void };
            let about = Resolution {
                order,
                account: books.account,
                asset: Asset::Cny,
                transaction_id: Some(format!("T{order}")),
                verdict,
                batch: RefundBatchId::new(START),
                item: RefundId::new(START),
            };
            books.by_two(&format!("resolve:{order}:{verdict}:{}", books.now.0), Body::ResolveReview(about))
        }
        // Half of it, each time.
        Said::Refunded => {
            let reply = books.act(books.refund_of(Asset::Cny, Some(500), Some(order)))?;
            let Reply::Refund { items, .. } = reply else { panic!("{reply:?}") };
            books.send(&items[0]);
            books.act(books.reporting(&items[0], RefundNews::Success))
        }
        Said::Noted => books.act(Body::OrderNoted {
            order,
            event: "note".to_owned(),
            source: "test".to_owned(),
            detail: None,
        }),
    }
}

/// Where it leads; `None` where it is refused.
fn leads_to(state: OrderState, said: Said) -> Option<OrderState> {
    use OrderState as S;
    Some(match (state, said) {
        (S::Created, Said::Prepaid) => S::Pending,
        (S::Created, Said::Failed) => S::Failed,
        (S::Created | S::Pending, Said::Closed) => S::Closed,
        // Its news may overtake ours, and a payment may win the race against closing.
        (S::Created | S::Pending | S::Closed, Said::Paid) => S::Paid,
        (S::Created | S::Pending | S::Closed, Said::PaidOtherwise) => S::Review,
        (S::Review, Said::Credit) => S::Paid,
        (S::Review, Said::Void) => S::Voided,
        (S::Paid, Said::Refunded) => S::PartiallyRefunded,
        (S::PartiallyRefunded, Said::Refunded) => S::Refunded,
        // Late or said again: nothing.
        (same, Said::Prepaid | Said::Closed | Said::Paid | Said::PaidOtherwise | Said::Noted) => same,
        (_, Said::Failed | Said::Credit | Said::Void | Said::Refunded) => return None,
    })
}

#[test]
fn an_order_takes_every_legal_step_and_no_other() {
    for &state in OrderState::ALL {
        for said in ALL_SAID {
            let mut books = Books::new();
            let order = order_in(&mut books, state);
            let before = books.store.rows().wallet(books.account, &Asset::Cny).posted;
            let answer = say(&mut books, order, said);
            let Some(expected) = leads_to(state, said) else {
                assert!(answer.is_err(), "{state} told {said:?}: {answer:?}");
                continue;
            };
            assert!(answer.is_ok(), "{state} told {said:?}: {answer:?}");
            assert_eq!(books.state(order), expected, "{state} told {said:?}");
            if state == expected {
                let posted = books.store.rows().wallet(books.account, &Asset::Cny).posted;
                assert_eq!(posted, before, "{state} told {said:?} moves nothing");
            }
        }
    }
}

#[test]
fn a_payment_after_the_end_of_its_order_waits_for_a_person_and_goes_back_whole() {
    for state in [OrderState::Failed, OrderState::Voided] {
        let mut books = Books::new();
        let order = order_in(&mut books, state);
        let mut news = books.news(order, 1_000);
        if let Body::OrderPaid { transaction_id, .. } = &mut news {
            *transaction_id = "late".to_owned();
        }
        assert_eq!(books.step(news.clone()), OrderStep::Quarantined);
        assert_eq!(books.step(news), OrderStep::StillQuarantined, "said again it adds nothing");
        let lines = books.store.journal().iter().filter(|line| line.credit.as_str() == "suspense");
        assert_eq!(lines.count(), if state == OrderState::Failed { 1 } else { 2 });
        assert_eq!((books.state(order), books.available().get()), (state, 0));
        let about = |verdict| {
            Body::ResolveReview(Resolution {
                order,
                account: books.account,
                asset: Asset::Cny,
                transaction_id: Some("late".to_owned()),
                verdict,
                batch: RefundBatchId::new(START),
                item: RefundId::new(START),
            })
        };
        let (credit, void) = (about(Verdict::Credit), about(Verdict::Void));
        let refused = books.by_two("credit", credit);
        assert_eq!(refused, Err(Refusal::OrderState { order, state }), "an end absorbs");
        let Ok(Reply::Refund { items, .. }) = books.by_two("void", void) else { panic!() };
        assert_eq!((items[0].amount, items[0].payment.as_deref()), (fen(1_000), Some("late")));
        assert_eq!(books.state(order), state);
    }
}

#[test]
fn a_late_payment_says_so() {
    let mut books = Books::new();
    let order = order_in(&mut books, OrderState::Closed);
    say(&mut books, order, Said::Paid).unwrap();
    let timeline = &books.store.rows().order(order).unwrap().timeline;
    assert!(timeline.iter().any(|step| step.event == "late"), "{timeline:?}");
}

// ---- refund items ----

/// A refund of 4 of 10 yuan whose item is in this state.
fn item_in(books: &mut Books, state: RefundItemState) -> (RefundBatch, RefundItem, OrderId) {
    use RefundItemState as S;
    use RefundNews as N;
    let order = books.pay(1_000);
    let (batch, items) = books.refund(Some(400));
    let item = items[0].clone();
    let way: &[RefundNews] = match state {
        S::Queued | S::Sent | S::Cancelled => &[],
        S::Unknown => &[N::Unclear],
        S::Wait => &[N::Later],
        S::Processing => &[N::Processing],
        S::Success => &[N::Processing, N::Success],
        S::Closed => &[N::Processing, N::Closed],
        S::Abnormal => &[N::Processing, N::Abnormal],
        S::Refused => &[N::Refused],
    };
    if state == S::Cancelled {
        books.act(cancelling(&batch, &[order])).unwrap();
    } else if state != S::Queued {
        books.send(&item);
    }
    for &news in way {
        books.report(&item, news);
    }
    assert_eq!(row(books, &item).state, state);
    (batch, item, order)
}

fn row(books: &Books, item: &RefundItem) -> RefundItem {
    books.store.rows().items().find(|row| row.id == item.id).unwrap().clone()
}

fn cancelling(batch: &RefundBatch, orders: &[OrderId]) -> Body {
    let (account, asset) = (batch.account, Asset::Cny);
    Body::CancelRefund { batch: batch.id, account, asset, orders: orders.to_vec(), payments: Vec::new() }
}

/// Where news leads; `None` where it cannot be.
fn told(state: RefundItemState, news: RefundNews) -> Option<RefundItemState> {
    use RefundItemState as S;
    use RefundNews as N;
    Some(match (state, news) {
        (S::Sent, N::Later) => S::Wait,
        (S::Sent | S::Queued | S::Wait, N::Unclear) => S::Unknown,
        (S::Sent, N::Refused) => S::Refused,
        (S::Sent | S::Unknown | S::Abnormal, N::Processing) => S::Processing,
        (S::Sent | S::Unknown | S::Processing | S::Abnormal, N::Success) => S::Success,
        (S::Sent | S::Unknown | S::Processing | S::Abnormal, N::Closed) => S::Closed,
        (S::Sent | S::Unknown | S::Processing, N::Abnormal) => S::Abnormal,
        // Said again.
        (S::Processing, N::Processing) | (S::Abnormal, N::Abnormal) => state,
        (S::Wait, N::Later) | (S::Unknown, N::Unclear) => state,
        // An end absorbs whatever is said after it.
        (S::Success | S::Closed | S::Refused | S::Cancelled, _) => state,
        _ => return None,
    })
}

#[test]
fn a_refund_item_takes_every_legal_step_and_no_other_and_its_end_absorbs_the_rest() {
    for &state in RefundItemState::ALL {
        for &news in RefundNews::ALL {
            let mut books = Books::new();
            let (_, item, order) = item_in(&mut books, state);
            let before = books.store.rows().clone();
            let body = books.reporting(&item, news);
            let Some(expected) = told(state, news) else {
                books.refuses(body, &Refusal::ItemState { item: item.id, state });
                continue;
            };
            assert_eq!(books.report(&item, news), expected, "{state} told {news}");
            if expected == state {
                assert_eq!(*books.store.rows(), before, "{state} told {news}");
            }
            let (available, order_state) = match expected {
                RefundItemState::Success => ("6", OrderState::PartiallyRefunded),
                RefundItemState::Closed | RefundItemState::Refused | RefundItemState::Cancelled => {
                    ("10", OrderState::Paid)
                }
                _ => ("6", OrderState::Paid),
            };
            assert_eq!(books.available(), yuan(available), "{state} told {news}");
            assert_eq!(books.state(order), order_state, "{state} told {news}");
        }
    }
}

#[test]
fn an_item_is_sent_from_the_queue_after_waiting_or_when_it_is_known_not_to_have_arrived() {
    use RefundItemState as S;
    for &state in S::ALL {
        let mut books = Books::new();
        let (_, item, _) = item_in(&mut books, state);
        let sending = Body::RefundSending { item: item.id, batch: item.batch };
        if matches!(state, S::Queued | S::Unknown | S::Wait) {
            let Ok(Reply::Item(sent)) = books.act(sending) else { panic!("{state}") };
            assert_eq!((sent.state, sent.id, sent.amount), (S::Sent, item.id, item.amount));
        } else {
            books.refuses(sending, &Refusal::ItemState { item: item.id, state });
        }
    }
}

#[test]
fn customers_read_sent_where_the_answer_is_open() {
    assert_eq!(RefundItemState::Unknown.public(), "sent");
    assert_eq!(RefundItemState::Wait.public(), "sent");
    assert_eq!(RefundItemState::Abnormal.public(), "abnormal");
}

// ---- requests to refund ----

fn batch_of(books: &Books, batch: &RefundBatch) -> RefundBatchState {
    books.store.rows().batches().find(|row| row.id == batch.id).unwrap().state
}

#[test]
fn a_refund_runs_from_its_first_sending_and_ends_with_its_last_item() {
    for (last, end) in
        [(RefundNews::Success, RefundBatchState::Done), (RefundNews::Refused, RefundBatchState::Partial)]
    {
        let mut books = Books::new();
        books.pay(1_000);
        books.pay(1_000);
        let (batch, items) = books.refund(None);
        assert_eq!(batch_of(&books, &batch), RefundBatchState::Reserved);
        books.send(&items[0]);
        assert_eq!(batch_of(&books, &batch), RefundBatchState::Running);
        books.report(&items[0], RefundNews::Success);
        assert_eq!(batch_of(&books, &batch), RefundBatchState::Running, "one is still queued");
        books.send(&items[1]);
        books.report(&items[1], last);
        assert_eq!(batch_of(&books, &batch), end);
        let refused = books.act(cancelling(&batch, &[items[0].order, items[1].order]));
        assert_eq!(refused, Err(Refusal::BatchState { batch: batch.id, state: end }));
    }
}

#[test]
fn a_refund_can_be_taken_back_until_its_first_item_is_sent() {
    let mut books = Books::new();
    let orders = [books.pay(1_000), books.pay(1_000)];
    let (batch, items) = books.refund(None);
    assert_eq!(books.available().get(), 0);
    let missing = books.act(cancelling(&batch, &orders[..1]));
    assert!(matches!(missing, Err(Refusal::UnknownOrder(_))), "every payment is named: {missing:?}");
    let cancel = cancelling(&batch, &orders);
    let Ok(Reply::Refund { batch: row, items: ended }) = books.act(cancel.clone()) else { panic!() };
    assert_eq!(row.state, RefundBatchState::Cancelled);
    assert!(ended.iter().all(|item| item.state == RefundItemState::Cancelled && item.ended_at.is_some()));
    assert_eq!(books.available(), yuan("20"));
    let before = books.store.rows().clone();
    books.act(cancel).unwrap();
    assert_eq!(*books.store.rows(), before, "a repeat changes nothing");
    let sending = Body::RefundSending { item: items[0].id, batch: batch.id };
    books.refuses(sending, &Refusal::ItemState { item: items[0].id, state: RefundItemState::Cancelled });

    let (batch, items) = books.refund(None);
    books.send(&items[0]);
    let refused = books.act(cancelling(&batch, &orders));
    assert_eq!(refused, Err(Refusal::BatchState { batch: batch.id, state: RefundBatchState::Running }));
}
