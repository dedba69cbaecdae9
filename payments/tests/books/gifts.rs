//! Money that nobody paid: promotions that end, and credit codes.

use std::time::Duration;

use payments::ledger::{AccountRole, Actor, Asset, Body, Command, Lot, NewCode, Refusal, Reply, Role};
use sha2::{Digest, Sha256};
use units::{AccountId, Livemode, NanoCny, RequestId, Timestamp};

use crate::{
    ledger::Books,
    support::{START, World, command, yuan},
};

fn digest(code: &str) -> String {
    Sha256::digest(code).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn code(word: &str, campaign: &str, uses: i64) -> NewCode {
    NewCode {
        digest: digest(word),
        hint: "-7F".to_owned(),
        amount: yuan("5"),
        lifetime_s: Some(86_400),
        valid_until: Some(START.after(Duration::from_secs(3_600))),
        uses,
        campaign: campaign.to_owned(),
        livemode: Livemode::Demo,
    }
}

impl Books {
    fn redeem(&mut self, account: AccountId, word: &str, campaign: &str) -> Result<Reply, Refusal> {
        self.act(Body::RedeemCode { account, digest: digest(word), campaign: campaign.to_owned() })
    }

    fn another(&mut self) -> AccountId {
        let id = AccountId::new(START);
        self.open(id, Livemode::Demo, AccountRole::Customer).unwrap();
        id
    }

    fn gift(&mut self, amount: &str, ends: Timestamp) -> Lot {
        let (account, amount) = (self.account, yuan(amount));
        self.act(Body::GrantPromo { account, amount, expires_at: Some(ends) }).unwrap();
        self.store.rows().lots().find(|lot| lot.expires_at == Some(ends)).unwrap().clone()
    }

    fn expire(&mut self, lot: &Lot, expired: i64) -> Result<Lot, Refusal> {
        let (account, asset) = (lot.account, lot.asset.clone());
        let key = format!("exp:{}:{expired}", lot.id);
        match self.apply(&key, Body::ExpireLot { account, asset, lot: lot.id.clone(), expired }).outcome? {
            Reply::Lot(lot) => Ok(*lot),
            other => panic!("{other:?}"),
        }
    }
}

// ---- expiry ----

#[test]
fn a_promotion_ends_at_its_time_and_not_a_moment_before() {
    let mut books = Books::new();
    let ends = Timestamp(START.0 + 10);
    let lot = books.gift("3", ends);
    while books.now.0 < ends.0 - 1 {
        assert_eq!(books.expire(&lot, 0), Err(Refusal::NotDue { lot: lot.id.clone(), at: ends }));
    }
    let ended = books.expire(&lot, 0).unwrap();
    assert_eq!((ended.rem, ended.expired), (0, yuan("3").get()));
    assert_eq!(books.available(), NanoCny::ZERO);
    let line = books.store.journal().last().unwrap();
    let words = (line.kind.as_str(), line.debit.as_str(), line.credit.as_str());
    assert_eq!(words, ("expire", "w:promo", "promo_cost"));
    let before = books.store.rows().clone();
    books.expire(&lot, 0).unwrap();
    assert_eq!(*books.store.rows(), before, "a repeat changes nothing");
}

#[test]
fn what_an_open_hold_needs_ends_when_the_hold_has_ended() {
    let mut books = Books::new();
    let lot = books.gift("3", Timestamp(START.0 + 5));
    books.pay(100);
    let hold = books.hold("2.5");
    books.now = Timestamp(START.0 + 100);
    let ended = books.expire(&lot, 0).unwrap();
    assert_eq!(
        (ended.rem, ended.expired),
        (yuan("1.5").get(), yuan("1.5").get()),
        "1 yuan was paid beside it"
    );
    assert_eq!(books.wallet(&Asset::Cny).posted, yuan("2.5").get());
    let half = yuan("1.5").get();
    let before = books.store.rows().clone();
    assert_eq!(books.expire(&lot, half).unwrap().expired, half, "nothing is free yet");
    assert_eq!(*books.store.rows(), before);
    books.charge(hold, yuan("0.5").get(), 0);
    let ended = books.expire(&lot, half).unwrap();
    assert_eq!((ended.rem, ended.expired, ended.consumed), (0, yuan("2.5").get(), yuan("0.5").get()));
    assert_eq!(books.available(), yuan("1"), "the payment is untouched");
}

#[test]
fn only_promotions_that_have_an_end_end() {
    let mut books = Books::new();
    let order = books.pay(100);
    books.promo("1");
    let lots: Vec<Lot> = books.store.rows().lots().cloned().collect();
    for lot in lots {
        let refused = books.expire(&lot, 0);
        assert!(matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == "lot"), "{refused:?}");
    }
    let other = books.another();
    let lot = books.gift("1", Timestamp(START.0 + 1));
    let of_other = Lot { account: other, ..lot.clone() };
    assert_eq!(books.expire(&of_other, 0), Err(Refusal::UnknownLot(lot.id.clone())));
    let of_tokens = Lot { asset: Asset::Tokens("m".to_owned()), ..lot.clone() };
    assert_eq!(books.expire(&of_tokens, 0), Err(Refusal::UnknownLot(lot.id)));
    assert_eq!(books.state(order).as_str(), "paid");
}

#[test]
fn a_customer_ends_nothing() {
    let mut books = Books::new();
    let lot = books.gift("1", Timestamp(START.0 + 1));
    let (account, asset) = (lot.account, lot.asset.clone());
    let body = Body::ExpireLot { account, asset, lot: lot.id, expired: 0 };
    let actor = Actor { id: "key".to_owned(), role: Role::Customer };
    let by_customer = Command { actor, ..command("exp", START, body) };
    assert_eq!(books.submit(by_customer).outcome, Err(Refusal::NeedsOperator));
}

/// Refund, expiry and spending want the same money, in every order: the hold stays payable, nothing is given twice.
#[test]
fn refund_expiry_and_spending_race_for_the_same_money_and_none_gets_it_twice() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut books = Books::new();
        let lot = books.gift("3", Timestamp(START.0 + 5));
        books.pay(500);
        books.now = Timestamp(START.0 + 100);
        let (mut held, mut refunded) = (None, 0);
        for turn in order {
            match turn {
                0 => {
                    let id = RequestId::new(START);
                    let hold = books.hold_for(id, "4");
                    held = books.act(hold).ok().map(|_| id);
                }
                1 => drop(books.expire(&lot, 0).unwrap()),
                _ => {
                    if let Ok(Reply::Refund { batch, .. }) =
                        books.act(books.refund_of(Asset::Cny, None, None))
                    {
                        refunded = batch.amount.get();
                    }
                }
            }
        }
        let used = held.map_or(0, |id| books.charge(id, yuan("4").get(), 0).cost.get());
        let rows = books.store.rows();
        let expired: i64 = rows.lots().map(|lot| lot.expired).sum();
        let left = rows.wallet(books.account, &Asset::Cny).posted;
        assert_eq!(used + expired + refunded * 10_000_000 + left, yuan("8").get(), "{order:?}");
        assert!(held.is_none() || used == yuan("4").get(), "{order:?}: an accepted hold is paid");
    }
}

// ---- codes ----

#[test]
fn a_code_gives_each_account_its_amount_once() {
    let mut books = Books::new();
    let mine = books.account;
    books.act(Body::CreateCode(code("SPRING", "spring", 2))).unwrap();
    let Ok(Reply::Lot(lot)) = books.redeem(mine, "SPRING", "spring") else { panic!() };
    assert_eq!(lot.orig, yuan("5").get());
    assert_eq!(lot.expires_at, Some(books.now.after(Duration::from_secs(86_400))));
    let again = books.redeem(mine, "SPRING", "spring");
    assert_eq!(again, Err(Refusal::CodeRedeemed { campaign: "spring".to_owned() }));
    books.use_up("5");
    let again = books.redeem(mine, "SPRING", "spring");
    assert_eq!(again, Err(Refusal::CodeRedeemed { campaign: "spring".to_owned() }), "also once it is used");
    let (second, third) = (books.another(), books.another());
    books.redeem(second, "SPRING", "spring").unwrap();
    assert_eq!(books.redeem(third, "SPRING", "spring"), Err(Refusal::CodeUsedUp));
    assert_eq!(books.store.rows().code(&digest("SPRING")).unwrap().used, 2);
}

#[test]
fn an_account_redeems_one_code_of_a_campaign() {
    let mut books = Books::new();
    let mine = books.account;
    for word in ["A", "B"] {
        books.act(Body::CreateCode(code(word, "spring", 1))).unwrap();
    }
    books.act(Body::CreateCode(code("C", "summer", 1))).unwrap();
    books.redeem(mine, "A", "spring").unwrap();
    let second = books.redeem(mine, "B", "spring");
    assert_eq!(second, Err(Refusal::CodeRedeemed { campaign: "spring".to_owned() }));
    assert_eq!(books.redeem(mine, "B", "summer"), Err(Refusal::UnknownCode), "it is of another campaign");
    books.redeem(mine, "C", "summer").unwrap();
    assert_eq!(books.available(), yuan("10"));
}

#[test]
fn a_code_that_is_unknown_void_over_or_of_another_kind_of_money_gives_nothing() {
    let mut books = Books::new();
    let mine = books.account;
    assert_eq!(books.redeem(mine, "NONE", "spring"), Err(Refusal::UnknownCode));
    books.act(Body::CreateCode(code("VOID", "spring", 9))).unwrap();
    assert_eq!(books.act(Body::VoidCode { digest: digest("VOID") }), Ok(Reply::Done));
    assert_eq!(books.act(Body::VoidCode { digest: digest("VOID") }), Ok(Reply::Already));
    assert_eq!(books.redeem(mine, "VOID", "spring"), Err(Refusal::CodeVoid));
    books.refuses(Body::VoidCode { digest: digest("NONE") }, &Refusal::UnknownCode);
    books.act(Body::CreateCode(NewCode { livemode: Livemode::Live, ..code("LIVE", "spring", 1) })).unwrap();
    assert_eq!(books.redeem(mine, "LIVE", "spring"), Err(Refusal::LivemodeMismatch));
    let until = Timestamp(books.now.0 + 3);
    books.act(Body::CreateCode(NewCode { valid_until: Some(until), ..code("LATE", "spring", 1) })).unwrap();
    books.now = Timestamp(until.0 - 1);
    assert_eq!(books.redeem(mine, "LATE", "spring"), Err(Refusal::CodeExpired { until }));
    assert_eq!(books.available(), NanoCny::ZERO);
}

#[test]
fn a_code_is_made_once_and_only_if_it_makes_sense() {
    let mut books = Books::new();
    let new = code("SPRING", "spring", 2);
    assert_eq!(books.act(Body::CreateCode(new.clone())), Ok(Reply::Done));
    assert_eq!(books.act(Body::CreateCode(new.clone())), Ok(Reply::Already));
    books.refuses(Body::CreateCode(NewCode { uses: 3, ..new.clone() }), &Refusal::CodeExists);
    let now = books.now;
    let wrong: [(&str, NewCode); 7] = [
        ("digest", NewCode { digest: "SPRING".to_owned(), ..new.clone() }),
        ("hint", NewCode { hint: "SPRING".to_owned(), ..new.clone() }),
        ("campaign", NewCode { campaign: "spring 2026".to_owned(), ..new.clone() }),
        ("uses", NewCode { uses: 0, ..new.clone() }),
        ("valid_until", NewCode { valid_until: Some(now), ..new.clone() }),
        ("lifetime_s", NewCode { lifetime_s: Some(-1), ..new.clone() }),
        ("lifetime_s", NewCode { lifetime_s: Some(i64::MAX), ..new.clone() }),
    ];
    for (name, new) in wrong {
        let refused = books.act(Body::CreateCode(new));
        assert!(
            matches!(&refused, Err(Refusal::Invalid { field, .. }) if field == name),
            "{name}: {refused:?}"
        );
    }
    for amount in ["0", "-1"] {
        books.refuses(
            Body::CreateCode(NewCode { amount: yuan(amount), ..new.clone() }),
            &Refusal::NotPositive,
        );
    }
    let huge = books.act(Body::CreateCode(NewCode { amount: NanoCny::new(i64::MAX), ..new.clone() }));
    assert!(matches!(huge, Err(Refusal::WalletCap { .. })), "{huge:?}");
    let actor = Actor { id: "key".to_owned(), role: Role::Customer };
    let by_customer = Command { actor, ..command("code", START, Body::CreateCode(new)) };
    assert_eq!(books.submit(by_customer).outcome, Err(Refusal::NeedsOperator));
}

// ---- on disk ----

#[tokio::test]
async fn codes_and_ends_are_found_on_disk() {
    let world = World::new();
    let account = world.account().await;
    world.submit("code", Body::CreateCode(code("SPRING", "spring", 1))).await.unwrap();
    let redeem = Body::RedeemCode { account, digest: digest("SPRING"), campaign: "spring".to_owned() };
    let Ok(Reply::Lot(lot)) = world.submit("redeem", redeem.clone()).await else { panic!() };
    let again = world.submit("again", redeem).await.unwrap_err();
    assert!(again.to_string().contains("redeemed a code of spring already"), "{again}");
    assert_eq!(world.store.credit_code(digest("SPRING")).await.unwrap().unwrap().used, 1);
    assert_eq!(world.store.credit_codes("spring".to_owned()).await.unwrap().len(), 1);
    assert_eq!(world.store.lots_due(START).await.unwrap(), []);
    world.clock.advance(Duration::from_secs(86_400));
    let due = world.store.lots_due(lot.expires_at.unwrap()).await.unwrap();
    assert_eq!(due, [*lot.clone()]);
    let body = Body::ExpireLot { account, asset: Asset::Cny, lot: lot.id.clone(), expired: 0 };
    world.submit(format!("exp:{}:0", lot.id), body).await.unwrap();
    assert_eq!(world.store.lots_due(lot.expires_at.unwrap()).await.unwrap(), []);
    world.assert_sound().await;
}
