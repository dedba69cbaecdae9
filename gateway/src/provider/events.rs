//! An answer in pieces.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use router_config::{Provider, Quirks};
use tokio::time::{Instant, Sleep, sleep_until};
use units::Clock;

use super::{
    Fault, Scanner,
    ear::{Ear, Heard},
};
use crate::chat::{AttemptResult, Break, BreakReason, Chunk};

/// The next event has to come within so many bytes, comments before it counted: more than the largest event that is read.
const OPENING_MAX_BYTES: usize = 9 * 1024 * 1024;
/// So many chunks without a word are held back at most: who speaks, which items there will be. What fails behind them can
/// still be asked of somebody else.
const HELD_MAX_CHUNKS: usize = 64;
/// Over so long it is seen how fast a stream comes.
const FLOW_OVER: Duration = Duration::from_secs(20);
/// And so many bytes of them.
const HELD_MAX_BYTES: usize = 256 * 1024;

/// The chunks of a streamed answer, checked one by one.
pub struct Events {
    provider: String,
    quirks: Arc<Quirks>,
    body: Incoming,
    scanner: Scanner,
    ear: Box<dyn Ear>,
    /// What was heard and not yet handed on.
    heard: VecDeque<Heard>,
    choices: Choices,
    state: State,
    /// When the last byte came that was part of an event; comments are no progress.
    last: Instant,
    idle_max: Duration,
    flow: Flow,
    ends: Instant,
    begun: Instant,
    timer: Pin<Box<Sleep>>,
}

/// How fast bytes come, over one while after another.
#[derive(Debug)]
struct Flow {
    /// Bytes a second that are enough; nought for any.
    per_second_min: u64,
    since: Instant,
    bytes: u64,
}

impl Flow {
    const fn new(per_second_min: u64, now: Instant) -> Self {
        Self { per_second_min, since: now, bytes: 0 }
    }

    /// When the present while is over; never, where any pace is enough.
    fn due(&self) -> Option<Instant> {
        (self.per_second_min > 0).then(|| self.since + FLOW_OVER)
    }

    /// Whether it is over, and too little came in it; if enough came, the next begins.
    fn is_too_slow(&mut self, now: Instant) -> bool {
        if self.due().is_none_or(|due| now < due) {
            return false;
        }
        let secs = now.duration_since(self.since).as_secs().max(1);
        let slow = self.bytes / secs < self.per_second_min;
        (self.since, self.bytes) = (now, 0);
        slow
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    /// `[DONE]` was read; the body may not have said its last yet.
    Done,
    Over,
}

/// Which choices were seen and which have ended, by bit.
#[derive(Debug, Default, Clone, Copy)]
struct Choices {
    named: u128,
    ended: u128,
}

impl Choices {
    const fn all_ended(self) -> bool {
        self.ended != 0 && self.named & !self.ended == 0
    }

    /// Whether none was seen begun: chunks of an unknown shape name no choice.
    const fn none_named(self) -> bool {
        self.named == 0
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("provider", &self.provider).field("state", &self.state).finish()
    }
}

impl Events {
    pub(super) fn new(body: Incoming, provider: &Provider, ear: Box<dyn Ear>, ends: Instant) -> Self {
        let now = Instant::now();
        Self {
            provider: provider.id.clone(),
            quirks: Arc::clone(&provider.quirks),
            body,
            scanner: Scanner::default(),
            ear,
            heard: VecDeque::new(),
            choices: Choices::default(),
            state: State::Running,
            last: now,
            idle_max: provider.idle_max,
            flow: Flow::new(provider.stream_bytes_per_second_min, now),
            ends,
            begun: now,
            timer: Box::pin(sleep_until(ends.min(now + provider.idle_max))),
        }
    }

    /// Whether something of an answer was read.
    pub(super) fn has_begun(&self) -> bool {
        self.heard.iter().any(|heard| matches!(heard, Heard::Chunk { chunk, .. } if chunk.has_choices))
    }

    fn holds_enough(&self) -> bool {
        let bytes = |heard: &Heard| match heard {
            Heard::Chunk { chunk, .. } => chunk.json.len(),
            Heard::Done | Heard::Error(_) | Heard::Unreadable => 0,
        };
        self.heard.len() > HELD_MAX_CHUNKS || self.heard.iter().map(bytes).sum::<usize>() > HELD_MAX_BYTES
    }

    /// Reads until the first words of an answer, or its end. This is the point of no return: what fails before it is another
    /// provider's chance, what fails after it is told to the client. Nothing is lost when it is given up.
    pub(super) async fn open(
        &mut self,
        headers: &HeaderMap,
        quirks: &Quirks,
        clock: &dyn Clock,
    ) -> Result<(), Fault> {
        let malformed = |message: &str| Fault::of(AttemptResult::Malformed, Some(200), message);
        let mut read = 0;
        loop {
            while let Some(event) = self.scanner.next_event() {
                read = 0;
                let from = self.heard.len();
                self.ear.hear(event, &mut self.heard);
                for place in from..self.heard.len() {
                    match self.heard.get(place) {
                        Some(Heard::Chunk { chunk, .. })
                            if chunk.finish || !chunk.text_size.is_empty() || self.holds_enough() =>
                        {
                            self.last = Instant::now();
                            return Ok(());
                        }
                        // A role, or usage alone, is no answer yet: it waits for what it belongs to.
                        Some(Heard::Chunk { .. }) | None => {}
                        Some(Heard::Error(said)) => {
                            return Err(Fault::inside(headers, said.clone(), quirks, clock));
                        }
                        Some(Heard::Done) => return Err(malformed("the stream ended before it began")),
                        Some(Heard::Unreadable) => {
                            return Err(malformed("the stream began with something unreadable"));
                        }
                    }
                }
            }
            if self.state == State::Over {
                return Err(malformed("the stream was empty"));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    read += data.len();
                    let too_large = self.scanner.push(&data).is_err() || read > OPENING_MAX_BYTES;
                    // A large event is welcome, endless comments are not.
                    if too_large && !self.scanner.has_event() {
                        return Err(malformed("no event came within 9 MiB"));
                    }
                }
                Some(Err(_)) => {
                    let message = "the connection was lost before the stream began";
                    return Err(Fault::of(AttemptResult::Unreachable, Some(200), message));
                }
                None => {
                    self.scanner.finish();
                    self.state = State::Over;
                }
            }
        }
    }

    fn note(&mut self, named: u128, ended: u128) {
        self.choices.named |= named;
        self.choices.ended |= ended;
    }

    /// The next chunk; `None` after a whole answer, a [`Break`] after anything less.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Break>>> {
        loop {
            if self.state == State::Done {
                return Poll::Ready(None);
            }
            if let Some(heard) = self.heard.pop_front() {
                match heard {
                    Heard::Chunk { chunk, named, ended } => {
                        self.note(named, ended);
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    // `[DONE]` after an unfinished choice is how some relays end what they cut.
                    Heard::Done if self.choices.all_ended() || self.choices.none_named() => {
                        self.state = State::Done;
                        return Poll::Ready(None);
                    }
                    Heard::Done => return self.broke(BreakReason::Lost),
                    Heard::Error(said) => {
                        let result = Fault::result_of(&said, &self.quirks);
                        return self.broke(BreakReason::Reported { message: said.message, result });
                    }
                    Heard::Unreadable => return self.broke(BreakReason::Unreadable),
                }
            }
            if let Some(event) = self.scanner.next_event() {
                self.last = Instant::now();
                self.ear.hear(event, &mut self.heard);
                continue;
            }
            if self.state == State::Over {
                if self.choices.all_ended() {
                    self.state = State::Done;
                    return Poll::Ready(None);
                }
                return self.broke(BreakReason::Lost);
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    self.flow.bytes = self.flow.bytes.saturating_add(data.len() as u64);
                    if self.scanner.push(&data).is_err() {
                        return self.broke(BreakReason::Unreadable);
                    }
                    if self.flow.is_too_slow(Instant::now()) {
                        return self.broke(BreakReason::Slow(self.flow.per_second_min));
                    }
                }
                // A connection lost after every choice has ended took nothing with it but the usage.
                Poll::Ready(Some(Err(_)) | None) => {
                    self.scanner.finish();
                    self.state = State::Over;
                }
                Poll::Pending => match self.poll_patience(cx) {
                    Poll::Ready(_) if self.choices.all_ended() => {
                        self.state = State::Done;
                        return Poll::Ready(None);
                    }
                    Poll::Ready(reason) => return self.broke(reason),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    fn broke(&mut self, reason: BreakReason) -> Poll<Option<Result<Chunk, Break>>> {
        self.state = State::Done;
        Poll::Ready(Some(Err(Break { provider: self.provider.clone(), reason })))
    }

    /// Ready when it has been silent, or has gone on, for too long. The timer is set once per silence, not per chunk.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<BreakReason> {
        loop {
            std::task::ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= self.ends {
                return Poll::Ready(BreakReason::TooLong(ms(now.duration_since(self.begun))));
            }
            if self.last + self.idle_max <= now {
                return Poll::Ready(BreakReason::Silent(ms(self.idle_max)));
            }
            if self.flow.is_too_slow(now) {
                return Poll::Ready(BreakReason::Slow(self.flow.per_second_min));
            }
            let due = self.ends.min(self.last + self.idle_max);
            let due = self.flow.due().map_or(due, |flow| due.min(flow));
            self.timer.as_mut().reset(due);
        }
    }

    /// Whether every choice has ended, so that only usage can still come.
    pub const fn is_answered(&self) -> bool {
        self.choices.all_ended()
    }

    /// Reads the body to its end so that the connection can be used again; to be bounded by whoever calls.
    pub async fn rest(mut self) {
        while let Some(Ok(_)) = self.body.frame().await {}
    }

    /// Whether there is nothing left to read.
    pub fn is_exhausted(&self) -> bool {
        self.body.is_end_stream()
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
