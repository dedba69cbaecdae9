//! Many at once: 30, with admission in front of the store and callers on several threads.

use std::sync::Arc;

use payments::{
    admission::Taken,
    ledger::{AccountRole, Asset, Body, NewHold},
    store::{Store, Submission},
};
use tokio::task::JoinSet;
use units::{AccountId, Livemode, NanoCny, RequestId};

use crate::support::{START, command, flat, new_hold, settings};

const BALANCE: i64 = 10_000;

/// 30: what was admitted in all was there.
pub fn n30_admitted_was_there(balance: i64, admitted: &[i64]) -> Result<(), String> {
    let sum: i128 = admitted.iter().map(|amount| i128::from(*amount)).sum();
    let fine = sum <= i128::from(balance);
    if fine { Ok(()) } else { Err(format!("invariant 30: {sum} of {balance} were admitted")) }
}

/// Who does not heed what admission says finds the ledger behind it, but the call went upstream.
pub async fn called(amounts: &[i64], heeding: bool) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let (settings, _) = settings(folder.path());
    let admission = settings.admission.clone();
    let store = Store::open(settings).unwrap();
    let account = AccountId::new(START);
    let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
    store
        .submit(command("open", START, Body::OpenAccount { id: account, livemode, name, role }))
        .await
        .unwrap();
    let promo = Body::GrantPromo { account, amount: NanoCny::new(BALANCE), expires_at: None };
    store.submit(command("promo", START, promo)).await.unwrap();
    store.load_balance(account, Asset::Cny).await.unwrap();
    let gate = Arc::new(tokio::sync::Barrier::new(amounts.len()));
    let mut calls = JoinSet::new();
    for amount in amounts.iter().copied() {
        let (store, admission, gate) = (store.clone(), admission.clone(), gate.clone());
        calls.spawn(async move {
            gate.wait().await;
            let taken = admission.take(account, &Asset::Cny, amount) == Taken::Yes;
            if !taken && heeding {
                return None;
            }
            let id = RequestId::new(START);
            let hold = NewHold { money: NanoCny::new(amount), ..new_hold(id, account, None, flat(1)) };
            let taken = if taken { vec![(account, Asset::Cny, amount)] } else { Vec::new() };
            let command = command("hold", START, Body::Hold(hold));
            let outcome = store.submit_with(Submission { command, taken, receipt: None }).await;
            assert!(
                outcome.is_ok() || !heeding,
                "the ledger refuses nothing that memory admitted: {outcome:?}"
            );
            Some(amount)
        });
    }
    let admitted: Vec<i64> = calls.join_all().await.into_iter().flatten().collect();
    let wallet = store.balances(account).await.unwrap().remove(0).wallet;
    assert!(wallet.held <= BALANCE, "the ledger itself never: {wallet:?}");
    if heeding {
        assert_eq!(wallet.held, admitted.iter().sum::<i64>());
        assert_eq!(admission.available(account, &Asset::Cny), Some(wallet.available()));
    }
    store.close().await;
    n30_admitted_was_there(BALANCE, &admitted)
}
