//! Price lists: what is drafted, published, assigned and quoted; and what a call costs by it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use crate::support::{MODEL, START, World, command, receipt, usage};
use payments::{
    holds::HoldRequest,
    ledger::{
        AccountRole, Actor, Body, Command, HoldQuote, PriceRefusal, PriceVersion, Refusal, Reply, Role,
    },
    prices::{Book, FxInForce, PriceError, Published, Quote, Sheet},
    store::{Store, memory::MemoryStore},
};
use units::{AccountId, Livemode, Timestamp, Tokens, Usage};

const CHEAP: &str = r#"{"models": {"m": {"input": "2.00", "output": "8.00"}}}"#;
const DEAR: &str = r#"{"models": {"m": {"input": "3.00", "output": "9.00"}}}"#;

fn by(role: Role, key: &str, at: Timestamp, body: Body) -> Command {
    let actor = Actor { id: "admin".to_owned(), role };
    Command { actor, reason: Some("a test".to_owned()), ..command(key, at, body) }
}

fn operator(key: &str, at: Timestamp, body: Body) -> Command {
    by(Role::Operator, key, at, body)
}

fn save(list: &str, document: &str) -> Body {
    Body::SavePriceDraft { list: list.to_owned(), document: document.to_owned() }
}

/// A ledger in memory with short words for what operators do.
#[derive(Default)]
struct Shop {
    store: MemoryStore,
    done: usize,
}

impl Shop {
    fn ask(&mut self, at: Timestamp, body: Body) -> Result<Reply, Refusal> {
        self.done += 1;
        self.store.submit(&operator(&format!("{}", self.done), at, body)).outcome
    }

    fn hash(&mut self, at: Timestamp, list: &str, document: &str) -> String {
        let Ok(Reply::PriceList(row)) = self.ask(at, save(list, document)) else { panic!("{document}") };
        row.draft.unwrap().source_hash
    }

    fn publish(
        &mut self,
        at: Timestamp,
        list: &str,
        document: &str,
        from: Option<Timestamp>,
    ) -> PriceVersion {
        let source_hash = self.hash(at, list, document);
        let publish =
            Body::PublishPrices { list: list.to_owned(), source_hash, valid_from: from, pairs: Vec::new() };
        match self.ask(at, publish) {
            Ok(Reply::PriceVersion(version)) => *version,
            other => panic!("{other:?}"),
        }
    }
}

fn refused(outcome: Result<Reply, Refusal>) -> PriceRefusal {
    match outcome {
        Err(Refusal::Prices(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn published(version: &PriceVersion) -> Published {
    Published {
        list: version.list.clone(),
        number: version.number,
        valid_from: version.valid_from,
        sheet: Arc::new(Sheet::read(&version.document).unwrap()),
    }
}

fn book(versions: &[PriceVersion]) -> Book {
    Book::new(versions.iter().map(published), HashMap::new(), &HashMap::new())
}

fn account() -> AccountId {
    AccountId::new(START)
}

fn later(secs: u64) -> Timestamp {
    START.after(Duration::from_secs(secs))
}

#[test]
fn a_draft_is_saved_replaced_thrown_away_and_published_once() {
    let mut shop = Shop::default();
    let first = shop.hash(START, "standard", CHEAP);
    let spaced = CHEAP.replace(' ', "\n  ");
    assert_eq!(shop.hash(START, "standard", &spaced), first, "equal content, equal hash");
    let second = shop.hash(START, "standard", DEAR);
    assert_ne!(first, second);
    let publish = |source_hash: &str, from| Body::PublishPrices {
        list: "standard".to_owned(),
        source_hash: source_hash.to_owned(),
        valid_from: from,
        pairs: Vec::new(),
    };
    let stale = refused(shop.ask(START, publish(&first, None)));
    assert_eq!(stale, PriceRefusal::DraftChanged("standard".to_owned()), "somebody saved another one since");
    let past = refused(shop.ask(later(1), publish(&second, Some(START))));
    assert_eq!(past, PriceRefusal::ValidFromPassed, "what was sold under is history");
    let Ok(Reply::PriceVersion(version)) = shop.ask(later(1), publish(&second, None)) else { panic!() };
    assert_eq!(
        (version.id().as_str(), version.valid_from, version.author.as_str()),
        ("standard:1", later(1), "admin")
    );
    assert_eq!((version.source_hash.as_str(), version.reason.as_deref()), (second.as_str(), Some("a test")));
    assert_eq!(
        refused(shop.ask(later(2), publish(&second, None))),
        PriceRefusal::NoDraft("standard".to_owned())
    );
    shop.hash(later(3), "standard", CHEAP);
    let throw = Body::DeletePriceDraft { list: "standard".to_owned() };
    shop.ask(later(4), throw.clone()).unwrap();
    assert_eq!(refused(shop.ask(later(5), throw)), PriceRefusal::NoDraft("standard".to_owned()));
    assert_eq!(shop.publish(later(6), "standard", CHEAP, None).number, 2);
}

#[test]
fn what_cannot_be_sold_by_is_no_draft_and_changes_nothing() {
    let mut shop = Shop::default();
    let before = shop.store.rows().clone();
    for document in
        ["", "{", "[]", r#"{"models": {}}"#, r#"{"models": {"m": {"input": "2.005", "output": "8"}}}"#]
    {
        let refusal = refused(shop.ask(START, save("standard", document)));
        assert!(matches!(refusal, PriceRefusal::BadDocument(_)), "{document}: {refusal}");
    }
    for name in ["", "Standard", "a b", "a/b", &"x".repeat(65)] {
        assert_eq!(refused(shop.ask(START, save(name, CHEAP))), PriceRefusal::BadName(name.to_owned()));
    }
    let unknown = Body::PublishPrices {
        list: "nowhere".to_owned(),
        source_hash: String::new(),
        valid_from: None,
        pairs: Vec::new(),
    };
    assert_eq!(refused(shop.ask(START, unknown)), PriceRefusal::UnknownList("nowhere".to_owned()));
    assert_eq!(*shop.store.rows(), before);
}

#[test]
fn only_operators_change_prices_and_they_say_why() {
    let mut shop = Shop::default();
    for role in [Role::Customer, Role::Channel] {
        let outcome =
            shop.store.submit(&by(role, &format!("{role}"), START, save("standard", CHEAP))).outcome;
        assert_eq!(outcome, Err(Refusal::NeedsOperator));
    }
    let source_hash = shop.hash(START, "standard", CHEAP);
    let publish =
        Body::PublishPrices { list: "standard".to_owned(), source_hash, valid_from: None, pairs: Vec::new() };
    let silent = Command { reason: Some("  ".to_owned()), ..operator("silent", START, publish) };
    assert_eq!(shop.store.submit(&silent).outcome, Err(Refusal::NeedsReason));
}

#[test]
fn the_same_command_again_is_answered_alike_and_another_under_its_key_is_refused() {
    let mut shop = Shop::default();
    let source_hash = shop.hash(START, "standard", CHEAP);
    let publish =
        Body::PublishPrices { list: "standard".to_owned(), source_hash, valid_from: None, pairs: Vec::new() };
    let once = operator("publish", START, publish);
    let first = shop.store.submit(&once).outcome;
    assert_eq!(shop.store.submit(&once).outcome, first);
    assert_eq!(shop.store.rows().price_list("standard").unwrap().versions, 1);
    let other = operator("publish", START, save("standard", DEAR));
    assert_eq!(shop.store.submit(&other).outcome, Err(Refusal::KeyReused));
}

#[test]
fn the_version_that_counts_is_the_one_that_began_last() {
    let mut shop = Shop::default();
    let one = shop.publish(START, "standard", CHEAP, None);
    let far = shop.publish(START, "standard", DEAR, Some(later(100)));
    let between = shop.publish(later(1), "standard", DEAR, Some(later(50)));
    let tie = shop.publish(later(2), "standard", CHEAP, Some(later(50)));
    let book = book(&[tie, far, one, between]);
    let at = |secs| book.quote(account(), "m", later(secs), Tokens(1)).map(|quote| quote.price_version);
    for (secs, version) in [(0, 1), (49, 1), (50, 4), (99, 4), (100, 2), (1_000_000, 2)] {
        assert_eq!(at(secs), Ok(format!("standard:{version}")), "after {secs} s");
    }
    let before = book.quote(account(), "m", Timestamp(START.0 - 1), Tokens(1));
    assert_eq!(before, Err(PriceError::NoVersion { list: "standard".to_owned() }));
}

#[test]
fn an_account_buys_by_the_list_it_was_assigned() {
    let mut shop = Shop::default();
    let (standard, friends) =
        (shop.publish(START, "standard", DEAR, None), shop.publish(START, "friends", CHEAP, None));
    shop.hash(START, "empty", CHEAP);
    let id = account();
    let assign = |list: &str| Body::AssignPriceList { account: id, list: Some(list.to_owned()) };
    let nobody = shop.ask(START, assign("friends"));
    assert_eq!(nobody, Err(Refusal::UnknownAccount(id)));
    let open = Body::OpenAccount {
        id,
        livemode: Livemode::Demo,
        name: "alice".to_owned(),
        role: AccountRole::Customer,
    };
    shop.ask(START, open).unwrap();
    assert_eq!(refused(shop.ask(START, assign("nowhere"))), PriceRefusal::UnknownList("nowhere".to_owned()));
    assert_eq!(refused(shop.ask(START, assign("empty"))), PriceRefusal::NoVersion("empty".to_owned()));
    assert_eq!(shop.ask(START, assign("friends")), Ok(Reply::Done));
    assert_eq!(shop.ask(START, assign("friends")), Ok(Reply::Already));
    let list = shop.store.rows().price_assignment(id).unwrap().list.clone().unwrap();
    let versions = [published(&standard), published(&friends)];
    let book = Book::new(versions, HashMap::from([(id, list)]), &HashMap::new());
    let version = |account| book.quote(account, "m", START, Tokens(1)).unwrap().price_version;
    assert_eq!((version(id).as_str(), version(account()).as_str()), ("friends:1", "standard:1"));
    assert_eq!(shop.ask(START, Body::AssignPriceList { account: id, list: None }), Ok(Reply::Done));
    assert_eq!(shop.store.rows().price_assignment(id).unwrap().list, None);
}

#[test]
fn a_published_version_notes_the_rates_of_its_day() {
    let mut shop = Shop::default();
    let pin = Body::PinRate { pair: "USD/CNY".to_owned(), rate_micro: 7_000_000, until: None };
    shop.ask(START, pin).unwrap();
    let dollars = r#"{"models": {"m": {"currency": "USD", "input": "1", "output": "2"}}}"#;
    let source_hash = shop.hash(START, "standard", dollars);
    let publish = |pairs: &[&str]| Body::PublishPrices {
        list: "standard".to_owned(),
        source_hash: source_hash.clone(),
        valid_from: None,
        pairs: pairs.iter().map(|pair| (*pair).to_owned()).collect(),
    };
    assert_eq!(refused(shop.ask(START, publish(&[]))), PriceRefusal::PairNotNamed("USD/CNY".to_owned()));
    let Ok(Reply::PriceVersion(version)) = shop.ask(START, publish(&["USD/CNY"])) else { panic!() };
    assert_eq!((version.fx[0].id.as_str(), version.fx[0].rate_micro), ("USD/CNY:1", 7_000_000));
}

#[test]
fn a_foreign_price_needs_a_rate_that_is_not_too_old_at_that_very_instant() {
    let dollars = r#"{"models": {"m": {"currency": "USD", "input": "2.50", "output": "10"}, "y": {"input": "1", "output": "1"}}}"#;
    let version = || Published {
        list: "standard".to_owned(),
        number: 1,
        valid_from: START,
        sheet: Arc::new(Sheet::read(dollars).unwrap()),
    };
    let without = Book::new([version()], HashMap::new(), &HashMap::new());
    assert!(matches!(without.quote(account(), "m", START, Tokens(1)), Err(PriceError::NoRate { .. })));
    assert!(without.quote(account(), "y", START, Tokens(1)).is_ok(), "a yuan price needs none");
    let rate = FxInForce { id: "USD/CNY:9".to_owned(), rate_micro: 7_123_400, good_until: Some(later(60)) };
    let fx = HashMap::from([("USD".to_owned(), Arc::new(rate))]);
    let with = Book::new([version()], HashMap::new(), &fx);
    let quote = with.quote(account(), "m", later(60), Tokens(1)).unwrap();
    assert_eq!(
        (quote.rates.input.to_string().as_str(), quote.fx_id.as_deref()),
        ("17.81", Some("USD/CNY:9"))
    );
    let stale = with.quote(account(), "m", Timestamp(later(60).0 + 1), Tokens(1));
    assert!(matches!(stale, Err(PriceError::StaleRate { .. })), "nobody has to notice first: {stale:?}");
    let unlisted = with.quote(account(), "z", START, Tokens(1));
    assert!(matches!(unlisted, Err(PriceError::NotListed { .. })));
}

const TIERED: &str = r#"{"models": {"m": {"input": "2.00", "cached_input": "0.20", "cache_write": "2.50", "output": "8.00",
    "tiers": [{"above": 1000, "input": "4.00", "cached_input": "0.40", "output": "12.00"}],
    "off_peak": {"zone": "Asia/Shanghai", "windows": [{"name": "night", "from": "00:30", "to": "08:30",
        "input": "1.00", "output": "4.00", "tiers": [{"above": 1000, "input": "2.00", "output": "6.00"}]}]}}}}"#;

/// 2025-10-10 01:00 in Shanghai.
const NIGHT: Timestamp = Timestamp::from_secs(1_760_029_200);

fn tiered(at: Timestamp, prompt_bound: u64) -> Quote {
    let mut shop = Shop::default();
    let version = shop.publish(START, "standard", TIERED, None);
    book(&[version]).quote(account(), "m", at, Tokens(prompt_bound)).unwrap()
}

#[test]
fn the_hour_chooses_the_card_and_the_prompt_the_tier() {
    // START is 16:53 in Shanghai.
    let (day, night) = (tiered(START, 5_000), tiered(NIGHT, 5_000));
    assert_eq!((day.window.as_deref(), night.window.as_deref()), (None, Some("night")));
    let shown = |quote: &Quote| (quote.rates.input.to_string(), quote.tiers[0].prices.input.to_string());
    assert_eq!(shown(&day), ("2.00".to_owned(), "4.00".to_owned()));
    assert_eq!(shown(&night), ("1.00".to_owned(), "2.00".to_owned()));
    assert_eq!(tiered(START, 1_000).tiers, Vec::new(), "a tier that the prompt cannot reach is not promised");
    let mut shop = Shop::default();
    let version = shop.publish(START, "standard", TIERED, None);
    let ahead = book(&[version]).quote_ahead(account(), "m", NIGHT).unwrap();
    assert_eq!(
        (ahead.rates.input.to_string().as_str(), ahead.window),
        ("2.00", None),
        "tokens are not bought at night"
    );
}

fn hold_quote(quote: Quote) -> HoldQuote {
    let Quote { price_version, fx_id, window, rates, tiers, price_percent } = quote;
    HoldQuote { price_version, fx_id, rates, input_estimate: Tokens(7), window, tiers, price_percent }
}

#[tokio::test]
async fn a_hold_is_reckoned_with_the_dearest_tier_and_settled_by_the_one_that_was_reached() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 1_000).await;
    let cost = async |quote: Quote, used: Usage| {
        let bound = Usage { input: Tokens(2_000), output: Tokens(100), ..Usage::default() };
        let request = HoldRequest { quote: hold_quote(quote), ..world.call(account, bound) };
        let id = request.id;
        let hold = world.holds.admit(request).await.unwrap();
        let held = hold.money();
        let charged = hold.settle(Some((used, false)), |_| receipt(id, account));
        world.assert_sound().await;
        let row = world.store.hold(id).await.unwrap().unwrap();
        assert_eq!((row.cost, row.overrun.get(), row.model.as_str()), (charged.cost, 0, MODEL));
        (held.get(), charged.cost.get())
    };
    // 2,000 input at 4.00 and 100 output at 12.00 are the most: 9,200,000 nano-yuan.
    let small = cost(tiered(START, 2_000), usage(1_000, 100)).await;
    assert_eq!(small, (9_200_000, 1_000 * 2_000 + 100 * 8_000), "the prompt stayed below the tier");
    let large = cost(tiered(START, 2_000), usage(1_001, 100)).await;
    assert_eq!(
        large,
        (9_200_000, 1_001 * 4_000 + 100 * 12_000),
        "one token more, and the whole call is in it"
    );
    let written = Usage { cache_write: Tokens(1_000), ..usage(0, 100) };
    let cached = cost(tiered(START, 1_000), written).await;
    assert_eq!(
        cached,
        (2_000 * 2_500 + 100 * 8_000, 1_000 * 2_500 + 100 * 8_000),
        "writing the cache may be dearest"
    );
}

#[tokio::test]
async fn prices_and_rates_stand_on_disk_as_they_stand_in_memory() {
    let world = World::new();
    let account = world.account().await;
    let at = START;
    let submit =
        async |store: &Store, key: &str, body: Body| store.submit(operator(key, at, body)).await.unwrap();
    let Reply::PriceList(list) = submit(&world.store, "1", save("standard", TIERED)).await else { panic!() };
    let publish = Body::PublishPrices {
        list: "standard".to_owned(),
        source_hash: list.draft.clone().unwrap().source_hash,
        valid_from: Some(later(60)),
        pairs: Vec::new(),
    };
    let Reply::PriceVersion(version) = submit(&world.store, "2", publish).await else { panic!() };
    let Reply::PriceList(draft) = submit(&world.store, "3", save("standard", CHEAP)).await else { panic!() };
    submit(&world.store, "4", Body::AssignPriceList { account, list: Some("standard".to_owned()) }).await;
    for (key, rate_micro) in [("5", 7_000_000), ("6", 7_100_000)] {
        submit(&world.store, key, Body::PinRate { pair: "USD/CNY".to_owned(), rate_micro, until: None })
            .await;
    }
    let world = world.reopened().await;
    let store = &world.store;
    assert_eq!(store.price_lists().await.unwrap(), [*draft]);
    let heads = store.price_version_heads().await.unwrap();
    assert_eq!((heads.len(), heads[0].valid_from), (1, later(60)));
    assert_eq!(store.price_version("standard".to_owned(), 1).await.unwrap(), Some(*version));
    assert_eq!(store.price_assignments().await.unwrap()[0].list.as_deref(), Some("standard"));
    let pairs = store.fx_pairs().await.unwrap();
    assert_eq!(pairs[0].pinned.as_ref().unwrap().rate_micro, 7_100_000);
    let history = store.fx_rates("USD/CNY".to_owned(), 10).await.unwrap();
    assert_eq!(history.iter().map(|rate| rate.number).collect::<Vec<_>>(), [2, 1], "the latest first");
    let Reply::Already =
        submit(store, "7", Body::AssignPriceList { account, list: Some("standard".to_owned()) }).await
    else {
        panic!("it is read back before it is decided")
    };
    world.assert_sound().await;
}
