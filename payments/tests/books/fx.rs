//! Rates: asked for once, believed within reason, written down before they are used, never made up.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{ManualClock, START, command};
use bytes::Bytes;
use payments::{
    fx::{Fx, FxError, FxSettings, FxSource, RateLog, Writing, parse_micro},
    ledger::{Actor, Body, Command, FxPair, FxRefusal, Refusal, Reply},
    store::{SubmitError, memory::MemoryStore},
    transport::{Sending, Transport, TransportError},
};
use proptest::prelude::*;
use tokio::task::JoinSet;
use units::{Clock, Timestamp};

const PAIR: &str = "USD/CNY";
const HOUR: Duration = Duration::from_secs(3_600);
/// Past the time a rate is kept, however late it is asked for again.
const KEPT: Duration = Duration::from_secs(331);

/// Answers each address with what it was told, the last word again and again; "" is an error, "..." is silence.
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
                return Err(TransportError::NoAnswer { reason: "no answer".to_owned() });
            };
            if word == "..." {
                std::future::pending::<()>().await;
            }
            let status = if word == "500" { 500 } else { 200 };
            let body = if word.starts_with('{') { word } else { format!("{{\"rate\":{word}}}") };
            Ok(http::Response::builder().status(status).body(body.into()).unwrap())
        })
    }
}

/// A ledger in memory, which can be closed.
#[derive(Debug, Default)]
struct Log {
    store: Mutex<MemoryStore>,
    closed: Mutex<bool>,
}

impl Log {
    fn submit(&self, command: &Command) -> Result<Reply, Refusal> {
        self.store.lock().unwrap().submit(command).outcome
    }

    fn pair(&self) -> FxPair {
        let store = self.store.lock().unwrap();
        store.rows().fx_pair(PAIR).cloned().unwrap_or_else(|| FxPair::unknown(PAIR.to_owned()))
    }
}

impl RateLog for Log {
    fn write(&self, command: Command) -> Writing<'_> {
        let closed = *self.closed.lock().unwrap();
        let outcome =
            if closed { Err(SubmitError::Busy) } else { self.submit(&command).map_err(SubmitError::from) };
        Box::pin(std::future::ready(outcome))
    }
}

struct Market {
    fx: Fx,
    names: Vec<String>,
    sources: Arc<Sources>,
    clock: Arc<ManualClock>,
    log: Arc<Log>,
}

fn market(names: &[&str]) -> Market {
    let (clock, sources, log) =
        (ManualClock::at(START), Arc::new(Sources::default()), Arc::new(Log::default()));
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Market { fx: fx(&names, &sources, &clock, &log), names, sources, clock, log }
}

fn fx(names: &[String], sources: &Arc<Sources>, clock: &Arc<ManualClock>, log: &Arc<Log>) -> Fx {
    let source = |name: &String| FxSource {
        name: name.clone(),
        url: format!("https://{name}.invalid/rate"),
        pointer: "/rate".to_owned(),
        observed: (name == "dated").then(|| "/at".to_owned()),
    };
    let settings = FxSettings {
        sources: HashMap::from([(PAIR.to_owned(), names.iter().map(source).collect())]),
        cache: Duration::from_secs(300),
        max_stale: 12 * HOUR,
        patience: Duration::from_secs(5),
    };
    Fx::new(settings, sources.clone(), clock.clone(), log.clone())
}

impl Market {
    async fn micro(&self) -> Result<i64, FxError> {
        self.fx.refreshed(PAIR).await.map(|now| now.rate.rate_micro)
    }

    fn operator(&self, key: &str, body: Body) -> Result<Reply, Refusal> {
        let mut command = command(key, self.clock.now(), body);
        command.actor = Actor { id: "admin".to_owned(), role: payments::ledger::Role::Operator };
        command.reason = Some("a holiday".to_owned());
        let reply = self.log.submit(&command);
        self.fx.learn(self.log.pair());
        reply
    }

    /// The process ends and begins again over the same ledger.
    fn restarted(self) -> Self {
        let Self { names, sources, clock, log, .. } = self;
        let fx = fx(&names, &sources, &clock, &log);
        fx.learn(log.pair());
        Self { fx, names, sources, clock, log }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_ask_at_once_lead_to_one_question_in_five_minutes() {
    let market = Arc::new(market(&["a"]));
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
        market.clock.advance(Duration::from_secs(31));
    }
}

#[tokio::test]
async fn whoever_reads_gets_what_is_known_while_it_is_asked_for_anew() {
    let market = market(&["a"]);
    market.sources.say("a", &["7.0", "..."]);
    market.fx.refresh(PAIR).await;
    market.clock.advance(HOUR);
    let mut asking = Box::pin(market.fx.refresh(PAIR));
    assert!(futures_util::poll!(&mut asking).is_pending(), "nobody answers");
    assert_eq!(market.fx.now(PAIR).unwrap().rate.rate_micro, 7_000_000, "and nobody waits for it");
    market.clock.advance(Duration::from_secs(5));
    asking.await;
    let (_, failed) = market.fx.known(PAIR);
    assert!(failed.unwrap().contains("no answer within 5000 ms"), "a source has five seconds");
}

#[tokio::test]
async fn a_failure_is_remembered_for_half_a_minute() {
    let market = market(&["a"]);
    market.sources.say("a", &["", "7.0"]);
    for _ in 0..5 {
        assert!(matches!(market.micro().await, Err(FxError::Unavailable { .. })));
    }
    assert_eq!(market.sources.asked(), 1);
    market.clock.advance(Duration::from_secs(30));
    assert_eq!(market.micro().await, Ok(7_000_000));
}

#[tokio::test]
async fn a_rate_that_jumps_is_not_believed_on_one_word() {
    let market = market(&["a"]);
    market.sources.say("a", &["7.0", "7.22"]);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(HOUR);
    assert_eq!(market.micro().await, Ok(7_000_000), "the last accepted one goes on");
    market.clock.advance(Duration::from_secs(60));
    assert_eq!(market.micro().await, Ok(7_000_000), "saying it twice within a minute is no confirmation");
    market.clock.advance(Duration::from_secs(300));
    assert_eq!(market.micro().await, Ok(7_220_000), "saying it still after as long as a rate is kept is one");
    assert_eq!(market.log.pair().accepted.unwrap().confirmed_by.as_deref(), Some("a second reading"));
}

#[tokio::test]
async fn three_per_cent_is_the_edge() {
    for (next, believed) in [("7.21", true), ("7.210001", false), ("6.79", true), ("6.789999", false)] {
        let market = market(&["a"]);
        market.sources.say("a", &["7.0", next]);
        market.micro().await.unwrap();
        market.clock.advance(HOUR);
        assert_eq!(market.micro().await.unwrap() != 7_000_000, believed, "{next}");
    }
}

#[tokio::test]
async fn a_jump_that_a_second_source_confirms_is_believed_and_a_lone_one_is_not() {
    let market = market(&["a", "b"]);
    market.sources.say("a", &["7.0", "7.7", "9.9"]);
    market.sources.say("b", &["7.0", "7.71", "7.7"]);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(HOUR);
    assert_eq!(market.micro().await, Ok(7_710_000));
    assert_eq!(market.log.pair().accepted.unwrap().confirmed_by.as_deref(), Some("a"));
    market.clock.advance(HOUR);
    let rate = market.fx.refreshed(PAIR).await.unwrap().rate;
    assert_eq!(
        (rate.rate_micro, rate.source.as_str()),
        (7_700_000, "b"),
        "the one that is off is passed over"
    );
}

#[tokio::test]
async fn the_first_rate_of_all_needs_a_second_word_where_somebody_could_give_one() {
    let market = market(&["a", "b"]);
    market.sources.say("a", &["0.1404"]);
    market.sources.say("b", &["7.12"]);
    assert!(matches!(market.micro().await, Err(FxError::Unavailable { .. })), "which of them is right?");
    assert_eq!(market.log.pair().accepted, None);
    market.sources.say("a", &["7.13"]);
    market.clock.advance(Duration::from_secs(30));
    assert_eq!(market.micro().await, Ok(7_120_000));
}

#[tokio::test]
async fn silence_is_borne_for_the_bound_and_no_longer() {
    let market = market(&["a"]);
    market.sources.say("a", &["7.0", ""]);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(12 * HOUR);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(Duration::from_micros(1));
    assert!(matches!(market.micro().await, Err(FxError::Stale { .. })));
    market.sources.say("a", &["7.05"]);
    market.clock.advance(Duration::from_secs(30));
    assert_eq!(market.micro().await, Ok(7_050_000), "the old one is kept, to lay a new one against");
}

#[tokio::test]
async fn a_restart_begins_with_the_last_row_and_its_age_counts() {
    let market = market(&["a"]);
    market.sources.say("a", &["7.0", ""]);
    assert_eq!(market.micro().await, Ok(7_000_000));
    market.clock.advance(11 * HOUR);
    let market = market.restarted();
    let now = market.fx.refreshed(PAIR).await.unwrap();
    assert_eq!((now.rate.id.as_str(), now.good_until), ("USD/CNY:1", Some(START.after(12 * HOUR))));
    market.clock.advance(2 * HOUR);
    assert!(matches!(market.restarted().micro().await, Err(FxError::Stale { .. })));
}

#[tokio::test]
async fn a_rate_that_cannot_be_written_down_is_not_used() {
    let market = market(&["a"]);
    market.sources.say("a", &["7.0", "7.1"]);
    market.micro().await.unwrap();
    *market.log.closed.lock().unwrap() = true;
    market.clock.advance(KEPT);
    let now = market.fx.refreshed(PAIR).await.unwrap();
    assert_eq!((now.rate.rate_micro, now.rate.id.as_str()), (7_000_000, "USD/CNY:1"));
}

#[tokio::test]
async fn what_is_not_a_rate_is_none() {
    for word in ["0", "-7", "null", "\"\"", "\"seven\"", "[7]", "true", "500", "1e400", "0.0000001"] {
        let market = market(&["a"]);
        market.sources.say("a", &[word]);
        assert!(matches!(market.micro().await, Err(FxError::Unavailable { .. })), "{word}");
    }
    let market = market(&["a"]);
    market.sources.say("a", &["\"7.1234565\""]);
    assert_eq!(market.micro().await, Ok(7_123_457), "a string is read as well, half up");
}

#[tokio::test]
async fn an_observation_of_last_month_is_refused_and_a_fresh_one_is_noted() {
    let market = market(&["dated"]);
    market
        .sources
        .say("dated", &[r#"{"rate": 7.0, "at": 1757000000}"#, r#"{"rate": 7.0, "at": "2025-10-08"}"#]);
    let Err(FxError::Unavailable { reason, .. }) = market.micro().await else { panic!("it is a month old") };
    assert!(reason.contains("observed 34 days ago"), "{reason}");
    market.clock.advance(Duration::from_secs(30));
    market.micro().await.unwrap();
    assert_eq!(market.log.pair().accepted.unwrap().observed_at, Some(Timestamp::from_secs(1_759_881_600)));
}

#[tokio::test]
async fn a_pinned_rate_counts_before_every_source_until_it_is_let_go() {
    let market = market(&["a"]);
    market.sources.say("a", &["8.0"]);
    let pin = Body::PinRate { pair: PAIR.to_owned(), rate_micro: 7_000_000, until: None };
    market.operator("pin", pin).unwrap();
    let now = market.fx.refreshed(PAIR).await.unwrap();
    assert_eq!((now.rate.rate_micro, now.rate.id.as_str(), now.good_until), (7_000_000, "USD/CNY:1", None));
    market.clock.advance(100 * 24 * HOUR);
    assert_eq!(market.micro().await, Ok(7_000_000), "whatever its age");
    assert_eq!(market.sources.asked(), 0);
    let market = market.restarted();
    assert_eq!(market.micro().await, Ok(7_000_000), "a restart keeps it");
    market.operator("unpin", Body::UnpinRate { pair: PAIR.to_owned() }).unwrap();
    assert_eq!(market.micro().await, Ok(8_000_000));
    let again = market.operator("unpin again", Body::UnpinRate { pair: PAIR.to_owned() });
    assert_eq!(again, Err(Refusal::Fx(FxRefusal::NotPinned(PAIR.to_owned()))));
}

#[tokio::test]
async fn a_pin_with_an_end_ends_by_itself() {
    let market = market(&["a"]);
    market.sources.say("a", &["7.1"]);
    market.micro().await.unwrap();
    let until = Some(market.clock.now().after(HOUR));
    market.operator("pin", Body::PinRate { pair: PAIR.to_owned(), rate_micro: 7_000_000, until }).unwrap();
    assert_eq!(market.fx.now(PAIR).unwrap().good_until, until);
    market.clock.advance(HOUR);
    assert_eq!(market.micro().await, Ok(7_100_000));
}

#[tokio::test]
async fn without_a_source_and_a_pin_there_is_no_rate() {
    let market = market(&[]);
    assert_eq!(market.micro().await, Err(FxError::NoSource(PAIR.to_owned())));
    assert_eq!(market.fx.refreshed("EUR/CNY").await.unwrap_err(), FxError::NoSource("EUR/CNY".to_owned()));
}

#[test]
fn the_ledger_itself_refuses_what_is_no_rate() {
    let mut store = MemoryStore::default();
    let mut ask = |key: &str, secs: i64, pair: &str, rate_micro: i64, confirmed: bool| {
        let rate = payments::ledger::AcceptedRate {
            pair: pair.to_owned(),
            rate_micro,
            source: "a".to_owned(),
            observed_at: None,
            fetched_at: Timestamp::from_secs(secs),
            confirmed_by: confirmed.then(|| "b".to_owned()),
        };
        store.submit(&command(key, Timestamp::from_secs(100), Body::AcceptRate(rate))).outcome
    };
    let first = ask("1", 10, PAIR, 7_000_000, false).unwrap();
    assert_eq!(ask("2", 10, PAIR, 7_000_000, false), Ok(first), "the same again is the same row");
    for (secs, pair, micro, confirmed) in [
        (20, PAIR, 0, true),
        (20, PAIR, -7_000_000, true),
        (20, PAIR, i64::MAX, true),
        (20, "USD", 7_000_000, false),
        (20, "USD/USD", 7_000_000, false),
        (20, "usd/cny", 7_000_000, false),
        (9, PAIR, 7_000_000, false),
        (10, PAIR, 7_000_001, false),
        (101, PAIR, 7_000_000, false),
        (20, PAIR, 7_300_000, false),
    ] {
        let refused = ask(&format!("{secs} {pair} {micro}"), secs, pair, micro, confirmed);
        assert!(matches!(refused, Err(Refusal::Fx(_))), "{secs} {pair} {micro}: {refused:?}");
    }
    let Ok(Reply::FxRate(second)) = ask("3", 20, PAIR, 7_300_000, true) else { panic!("it is confirmed") };
    assert_eq!(second.id, "USD/CNY:2");
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
