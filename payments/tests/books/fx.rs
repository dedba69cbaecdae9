//! Rates and prices: asked for once, believed within reason, never made up.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{ManualClock, START};
use bytes::Bytes;
use payments::{
    fx::{Fx, FxError, FxSettings, FxSource, parse_micro},
    prices::{ListPrice, PriceList},
    transport::{Sending, Transport, TransportError},
};
use proptest::prelude::*;
use tokio::task::JoinSet;

const PAIR: &str = "USD/CNY";
const HOUR: Duration = Duration::from_secs(3_600);

/// Answers each address with what it was told, the last word again and again; "" is silence.
#[derive(Debug, Default)]
struct Sources {
    says: Mutex<HashMap<String, VecDeque<String>>>,
    asked: Mutex<usize>,
}

impl Sources {
    fn say(&self, source: &str, words: &[&str]) {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        self.says.lock().unwrap().insert(format!("https://{source}.invalid/rate"), words);
    }

    fn asked(&self) -> usize {
        *self.asked.lock().unwrap()
    }
}

impl Transport for Sources {
    fn send(&self, request: http::Request<Bytes>) -> Sending {
        *self.asked.lock().unwrap() += 1;
        let mut says = self.says.lock().unwrap();
        let words = says.get_mut(&request.uri().to_string());
        let word =
            words.and_then(|words| if words.len() > 1 { words.pop_front() } else { words.front().cloned() });
        Box::pin(async move {
            tokio::task::yield_now().await;
            let Some(word) = word.filter(|word| !word.is_empty()) else {
                return Err(TransportError { reason: "silence".to_owned() });
            };
            let status = if word == "500" { 500 } else { 200 };
            Ok(http::Response::builder().status(status).body(format!("{{\"rate\":{word}}}").into()).unwrap())
        })
    }
}

struct Market {
    fx: Fx,
    sources: Arc<Sources>,
    clock: Arc<ManualClock>,
}

fn market(names: &[&str], pinned: Option<i64>) -> Market {
    let source = |name: &&str| FxSource {
        name: (*name).to_owned(),
        url: format!("https://{name}.invalid/rate"),
        pointer: "/rate".to_owned(),
    };
    let settings = FxSettings {
        sources: HashMap::from([(PAIR.to_owned(), names.iter().map(source).collect())]),
        pinned: pinned.map(|micro| (PAIR.to_owned(), micro)).into_iter().collect(),
        cache: Duration::from_secs(300),
        max_stale: 12 * HOUR,
    };
    let (clock, sources) = (ManualClock::at(START), Arc::new(Sources::default()));
    Market { fx: Fx::new(settings, sources.clone(), clock.clone()), sources, clock }
}

impl Market {
    async fn micro(&self) -> Result<i64, FxError> {
        self.fx.rate(PAIR).await.map(|rate| rate.micro)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_ask_at_once_lead_to_one_question_in_five_minutes() {
    let market = Arc::new(market(&["a"], None));
    market.sources.say("a", &["7.1", "7.2"]);
    for (round, expected) in [7_100_000, 7_200_000].into_iter().enumerate() {
        let mut set: JoinSet<_> = (0..100)
            .map(|_| {
                let market = market.clone();
                async move { market.micro().await }
            })
            .collect();
        while let Some(rate) = set.join_next().await {
            assert_eq!(rate.unwrap(), Ok(expected));
        }
        assert_eq!(market.sources.asked(), round + 1);
        market.clock.advance(Duration::from_millis(299_999));
        assert_eq!(market.micro().await, Ok(expected), "the clock is ours, and it is not time yet");
        assert_eq!(market.sources.asked(), round + 1);
        market.clock.advance(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_rate_that_jumps_is_not_believed_on_one_word() {
    let market = market(&["a"], None);
    market.sources.say("a", &["7.0", "7.22"]);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(HOUR);
    assert_eq!(market.micro().await, Ok(7_000_000), "the last accepted one goes on");
    assert_eq!(market.micro().await, Ok(7_000_000), "saying it twice at once is no confirmation");
    market.clock.advance(Duration::from_secs(300));
    assert_eq!(market.micro().await, Ok(7_220_000), "saying it still after as long as a rate is kept is one");
}

#[tokio::test]
async fn three_per_cent_is_the_edge() {
    for (next, believed) in [("7.21", true), ("7.210001", false), ("6.79", true), ("6.789999", false)] {
        let market = market(&["a"], None);
        market.sources.say("a", &["7.0", next]);
        market.micro().await.unwrap();
        market.clock.advance(HOUR);
        assert_eq!(market.micro().await.unwrap() != 7_000_000, believed, "{next}");
    }
}

#[tokio::test]
async fn a_jump_that_a_second_source_confirms_is_believed_and_a_lone_one_is_not() {
    let market = market(&["a", "b"], None);
    market.sources.say("a", &["7.0", "7.7", "9.9"]);
    market.sources.say("b", &["7.71", "7.7"]);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(HOUR);
    assert_eq!(market.micro().await, Ok(7_710_000));
    market.clock.advance(HOUR);
    let rate = market.fx.rate(PAIR).await.unwrap();
    assert_eq!((rate.micro, rate.source.as_str()), (7_700_000, "b"), "the one that is off is passed over");
}

#[tokio::test]
async fn silence_is_borne_for_the_bound_and_no_longer() {
    let market = market(&["a"], None);
    market.sources.say("a", &["7.0", ""]);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(12 * HOUR);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(Duration::from_micros(1));
    assert!(matches!(market.micro().await, Err(FxError::Unavailable { .. })));
    assert_eq!(market.fx.last(PAIR).unwrap().micro, 7_000_000, "kept, to lay a new one against");
    market.sources.say("a", &["7.05"]);
    assert_eq!(market.micro().await, Ok(7_050_000));
}

#[tokio::test]
async fn what_is_not_a_rate_is_none() {
    for word in ["0", "-7", "null", "\"\"", "\"seven\"", "[7]", "true", "500", "1e400", "0.0000001"] {
        let market = market(&["a"], None);
        market.sources.say("a", &[word]);
        assert!(matches!(market.micro().await, Err(FxError::Unavailable { .. })), "{word}");
    }
    let market = market(&["a"], None);
    market.sources.say("a", &["\"7.1234565\""]);
    assert_eq!(market.micro().await, Ok(7_123_457), "a string is read as well, half up");
}

#[tokio::test]
async fn a_pinned_rate_counts_before_every_source_and_without_any_there_is_none() {
    let pinned = market(&["a"], Some(7_000_000));
    pinned.sources.say("a", &["8.0"]);
    let rate = pinned.fx.rate(PAIR).await.unwrap();
    assert_eq!((rate.micro, rate.id.as_str()), (7_000_000, "USD/CNY=7.000000@pinned"));
    assert_eq!(pinned.sources.asked(), 0);
    let none = market(&[], None);
    assert_eq!(none.micro().await, Err(FxError::NoSource(PAIR.to_owned())));
    assert_eq!(none.fx.rate("EUR/CNY").await.unwrap_err(), FxError::NoSource("EUR/CNY".to_owned()));
}

fn price(model: &str, usd: bool, input: i64) -> ListPrice {
    ListPrice { model: model.to_owned(), usd, input, cached_input: None, output: input }
}

#[tokio::test]
async fn without_a_rate_dollar_prices_are_unavailable_and_yuan_prices_are_not() {
    let market = market(&["a"], None);
    market.sources.say("a", &["", "7.0"]);
    let list = [price("dollar", true, 2_500_000), price("yuan", false, 2_000_000), price("fine", false, 1)];
    let without = PriceList::reckon(&list, &market.fx).await;
    assert_eq!(without.models.keys().collect::<Vec<_>>(), ["yuan"]);
    assert_eq!(without.unavailable.keys().collect::<Vec<_>>(), ["dollar", "fine"]);
    let with = PriceList::reckon(&list, &market.fx).await;
    assert_eq!(with.models["dollar"].rates.input.to_string(), "17.50");
    assert_eq!(with.models["dollar"].fx_id, with.fx.as_ref().map(|rate| rate.id.clone()));
    assert_ne!(with.version, without.version);
    assert_eq!(
        PriceList::reckon(&list, &market.fx).await.version,
        with.version,
        "equal prices, equal version"
    );
    let negative = PriceList::reckon(&[price("dollar", true, -1)], &market.fx).await;
    assert!(negative.models.is_empty(), "a price below zero is none, also where it would round to zero");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The decimal text is read exactly; whatever else comes is refused, never guessed.
    #[test]
    fn a_rate_is_read_as_it_is_written(whole in 0..100_000_i64, micro in 0..1_000_000_i64, noise in ".*") {
        let expected = whole * 1_000_000 + micro;
        prop_assert_eq!(parse_micro(&format!("{whole}.{micro:06}")), (expected > 0).then_some(expected));
        prop_assert!(parse_micro(&noise).is_none_or(|micro| micro > 0));
    }
}
