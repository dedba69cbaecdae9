//! A till in memory that writes down everything it is asked.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use gateway::{
    chat::Outcome,
    meter::{Hold, HoldAsk, HoldLost, Later, Refusal, Settled, Till},
    plan::ceiling,
};
use tokio::sync::{Notify, Semaphore};
use units::{NanoCny, RequestId, Usage};

#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) asks: Vec<HoldAsk>,
    pub(crate) settled: Vec<(RequestId, Outcome, NanoCny)>,
    pub(crate) extended: Vec<Usage>,
    pub(crate) progressed: Vec<Usage>,
    pub(crate) balance: i64,
    pub(crate) refuse: Option<Refusal>,
    /// What may be set aside for one call; anything, where absent.
    pub(crate) purse: Option<NanoCny>,
}

#[derive(Debug)]
pub(crate) struct FakeTill {
    pub(crate) books: Mutex<Books>,
    /// Holds that were dropped without an end: there must be none.
    pub(crate) leaked: AtomicU64,
    /// What `durable` waits for.
    pub(crate) disk: Semaphore,
    pub(crate) disk_broken: AtomicBool,
    changed: Notify,
}

impl FakeTill {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            books: Mutex::new(Books { balance: 10_000_000_000, ..Books::default() }),
            leaked: AtomicU64::new(0),
            disk: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            disk_broken: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// Waits until every hold has ended, and says how the last one did.
    pub(crate) async fn all_settled(&self) -> Outcome {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                {
                    let books = self.books.lock().unwrap();
                    if !books.asks.is_empty() && books.asks.len() == books.settled.len() {
                        return books.settled.last().unwrap().1.clone();
                    }
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("a hold stays open")
    }

    /// Every hold ended once, none twice, none never.
    pub(crate) fn assert_each_hold_ended_once(&self, context: &str) {
        let books = self.books.lock().unwrap();
        let mut ends: HashMap<RequestId, usize> = books.asks.iter().map(|ask| (ask.request, 0)).collect();
        for (request, ..) in &books.settled {
            *ends.get_mut(request).unwrap() += 1;
        }
        assert!(ends.values().all(|&n| n == 1), "{context}: {ends:?}");
        assert_eq!(self.leaked.load(Ordering::Relaxed), 0, "{context}");
    }
}

/// The trait object the gateway is given.
#[derive(Debug, Clone)]
pub(crate) struct SharedTill(pub(crate) Arc<FakeTill>);

impl Till for SharedTill {
    fn admit(&self, ask: HoldAsk) -> Later<'_, Result<Box<dyn Hold>, Refusal>> {
        let till = Arc::clone(&self.0);
        Box::pin(async move {
            let mut books = till.books.lock().unwrap();
            if let Some(refusal) = books.refuse.clone() {
                return Err(refusal);
            }
            let required = ceiling(&ask.quote, ask.input_bound, ask.output_bound).unwrap();
            if let Some(available) = books.purse.filter(|purse| required > *purse) {
                return Err(Refusal::InsufficientFunds { available, required });
            }
            books.asks.push(ask.clone());
            drop(books);
            Ok(Box::new(FakeHold { till, ask, ended: false }) as Box<dyn Hold>)
        })
    }
}

#[derive(Debug)]
struct FakeHold {
    till: Arc<FakeTill>,
    ask: HoldAsk,
    ended: bool,
}

impl Hold for FakeHold {
    fn durable(&mut self) -> Later<'_, Result<(), HoldLost>> {
        Box::pin(async {
            let _ = self.till.disk.acquire().await;
            if self.till.disk_broken.load(Ordering::Relaxed) {
                return Err(HoldLost("no space left".into()));
            }
            Ok(())
        })
    }

    fn amount(&self) -> NanoCny {
        let rates = &self.ask.quote.rates;
        let input = rates.dearest_input().charge(self.ask.input_bound).unwrap();
        input.plus(rates.output.charge(self.ask.output_bound).unwrap()).unwrap()
    }

    fn extend(&mut self, usage_bound: Usage) {
        self.till.books.lock().unwrap().extended.push(usage_bound);
    }

    fn progress(&mut self, usage: Usage) {
        self.till.books.lock().unwrap().progressed.push(usage);
    }

    fn settle(mut self: Box<Self>, outcome: Outcome) -> Settled {
        self.ended = true;
        let charge = |usage: &Usage| self.ask.quote.rates.charge(usage).unwrap();
        let cost = outcome.usage.as_ref().map_or(NanoCny::ZERO, charge);
        let mut books = self.till.books.lock().unwrap();
        books.balance -= cost.get();
        books.settled.push((self.ask.request, outcome, cost));
        let balance = NanoCny::new(books.balance);
        drop(books);
        self.till.changed.notify_waiters();
        Settled { cost, balance }
    }
}

impl Drop for FakeHold {
    fn drop(&mut self) {
        if !self.ended {
            self.till.leaked.fetch_add(1, Ordering::Relaxed);
        }
    }
}
