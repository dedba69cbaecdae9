//! A stream that counts what passes and settles before its last piece leaves.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    task::{Context, Poll},
    time::Instant,
};

use prometheus::Histogram;

use super::{
    Bill, ReplyHead, Tails,
    continuation::{Asking, Continuation},
    tab::Tab,
};
use crate::{
    cache::Recording,
    chat::{Break, BreakReason, Chunk, Ending, Spoken},
    dispatch::Answer,
    plan::Planned,
    provider::{Answered, Events},
    telemetry::Metrics,
};

/// One piece of a metered stream.
#[derive(Debug)]
pub enum Piece {
    /// A chunk, counted.
    Chunk(Chunk),
    /// The whole answer was there, and is settled.
    End(Bill),
    /// It broke off, and is settled.
    Broke(Break, Bill),
}

/// See the module. Dropped before its end, it hands the call to [`Tails`].
#[derive(Debug)]
pub struct Metered {
    live: Option<Live>,
    tails: Tails,
    pulse: Pulse,
}

#[derive(Debug)]
struct Live {
    source: Source,
    tab: Tab,
    noted: Noted,
}

/// What is noted of a stream while it passes.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// To be given again.
    pub(super) recorded: Option<Recorded>,
    /// To be continued by another if it breaks off.
    pub(super) continuation: Option<Box<Continuation>>,
}

impl Noted {
    fn note(&mut self, chunk: &Chunk) {
        if let Some(recorded) = &mut self.recorded {
            recorded.note(chunk);
        }
        if let Some(continuation) = &mut self.continuation {
            continuation.note(chunk);
        }
    }
}

/// Where chunks come from.
enum Source {
    Upstream(Box<Events>),
    /// It broke off, and another is asked to go on.
    Resuming(Asking, Break),
    /// All of them are there.
    Kept(VecDeque<Chunk>),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream(events) => f.debug_tuple("Upstream").field(events).finish(),
            Self::Resuming(_, broke) => f.debug_tuple("Resuming").field(broke).finish(),
            Self::Kept(chunks) => f.debug_tuple("Kept").field(&chunks.len()).finish(),
        }
    }
}

/// An answer that is noted while it passes, with what is to be known of it.
#[derive(Debug)]
pub(super) struct Recorded {
    recording: Recording,
    provider: String,
    spoken: Spoken,
    adjusted: Vec<Cow<'static, str>>,
    /// False once it has become too large.
    fits: bool,
}

impl Recorded {
    pub(super) fn new(recording: Option<Recording>, head: &ReplyHead) -> Option<Self> {
        let ReplyHead { provider, spoken, adjusted, .. } = head;
        let (provider, spoken, adjusted) = (provider.clone(), *spoken, adjusted.clone());
        Some(Self { recording: recording?, provider, spoken, adjusted, fits: true })
    }

    pub(super) fn note(&mut self, chunk: &Chunk) {
        self.fits = self.fits && self.recording.note(chunk);
    }

    /// Keeps a whole answer, if its upstream said what it took: an estimate is not charged a second time.
    pub(super) fn keep(self, bill: &Bill) {
        let Self { recording, provider, spoken, adjusted, fits } = self;
        if let Some(usage) = bill.usage.filter(|_| fits && !bill.estimated) {
            recording.keep(&provider, spoken, &adjusted, usage);
        }
    }
}

/// When text came.
#[derive(Debug)]
struct Pulse {
    received: Instant,
    last: Option<Instant>,
    first_token: Histogram,
    between: Histogram,
    metrics: Metrics,
}

impl Metered {
    pub(super) fn new(
        events: Box<Events>,
        tab: Tab,
        tails: Tails,
        planned: &Planned,
        provider: &str,
        metrics: &Metrics,
        noted: Noted,
    ) -> Self {
        let live = Live { source: Source::Upstream(events), tab, noted };
        Self::of(live, tails, planned, provider, metrics)
    }

    /// A stream of chunks that are there already.
    pub(super) fn stored(
        chunks: VecDeque<Chunk>,
        tab: Tab,
        tails: Tails,
        planned: &Planned,
        metrics: &Metrics,
    ) -> Self {
        let live = Live { source: Source::Kept(chunks), tab, noted: Noted::default() };
        Self::of(live, tails, planned, "cache", metrics)
    }

    fn of(live: Live, tails: Tails, planned: &Planned, provider: &str, metrics: &Metrics) -> Self {
        let labels = [planned.route.model.id.as_str(), provider];
        let pulse = Pulse {
            received: planned.call.received,
            last: None,
            first_token: metrics.time_to_first_token_seconds.with_label_values(&labels),
            between: metrics.inter_token_seconds.with_label_values(&labels),
            metrics: metrics.clone(),
        };
        Self { live: Some(live), tails, pulse }
    }

    /// The next piece; nothing after [`Piece::End`] or [`Piece::Broke`].
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let Some(live) = &mut self.live else { return Poll::Ready(None) };
        let next = std::task::ready!(live.poll_chunk(cx, &self.pulse.metrics));
        if let Some(Ok(chunk)) = next {
            if !chunk.text_size.is_empty() {
                self.pulse.beat();
            }
            return Poll::Ready(Some(Piece::Chunk(chunk)));
        }
        let Some(Live { source, tab, noted }) = self.live.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(match next {
            Some(Err(broke)) => {
                drop(source);
                Piece::Broke(broke, tab.close(Ending::BrokeOff))
            }
            _ => {
                let bill = tab.close(Ending::Finished);
                // What two have said is given to nobody again: how much of it either counted is not known well enough.
                if let Some(recorded) = noted.recorded.filter(|_| bill.continued_by.is_none()) {
                    recorded.keep(&bill);
                }
                if let Source::Upstream(events) = source {
                    self.tails.recycle(*events);
                }
                Piece::End(bill)
            }
        }))
    }
}

impl Live {
    /// The next chunk, counted. Where an upstream breaks off, another is asked to go on, if its route has that; the
    /// [`Break`] is told when nobody does.
    fn poll_chunk(&mut self, cx: &mut Context<'_>, metrics: &Metrics) -> Poll<Option<Result<Chunk, Break>>> {
        loop {
            match &mut self.source {
                Source::Upstream(events) => match std::task::ready!(events.poll_chunk(cx)) {
                    Some(Ok(chunk)) => return Poll::Ready(Some(Ok(self.counted(chunk)))),
                    Some(Err(broke)) => {
                        if matches!(broke.reason, BreakReason::Silent(_) | BreakReason::Slow(_)) {
                            metrics.stream_stalls_total.with_label_values(&[&broke.provider]).inc();
                        }
                        self.tab.broke_off();
                        let output = self.tab.output_so_far();
                        let asking =
                            self.noted.continuation.as_mut().and_then(|it| it.resume(&broke, output));
                        match asking {
                            Some(asking) => self.source = Source::Resuming(asking, broke),
                            None => return Poll::Ready(Some(Err(broke))),
                        }
                    }
                    None => return Poll::Ready(None),
                },
                Source::Resuming(asking, broke) => {
                    let answer = std::task::ready!(asking.as_mut().poll(cx)).ok();
                    if let Some(continuation) = &mut self.noted.continuation {
                        continuation.resumed(answer.as_ref().map(|answer| &answer.target));
                    }
                    let Some(Answer { target, answered: Answered::Stream(events), busy, permit, .. }) =
                        answer
                    else {
                        return Poll::Ready(Some(Err(broke.clone())));
                    };
                    self.tab.continued_by(&target, busy, permit);
                    self.source = Source::Upstream(events);
                }
                Source::Kept(chunks) => {
                    let chunk = chunks.pop_front();
                    // Of what is kept the hold covers all, and nothing can come beyond it.
                    if let Some(chunk) = &chunk {
                        self.tab.count(chunk, false);
                    }
                    return Poll::Ready(chunk.map(Ok));
                }
            }
        }
    }

    fn counted(&mut self, chunk: Chunk) -> Chunk {
        self.tab.count(&chunk, true);
        self.noted.note(&chunk);
        chunk
    }
}

impl Pulse {
    fn beat(&mut self) {
        let now = Instant::now();
        match self.last.replace(now) {
            Some(last) => self.between.observe(now.duration_since(last).as_secs_f64()),
            None => self.first_token.observe(now.duration_since(self.received).as_secs_f64()),
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let Some(Live { source, mut tab, .. }) = self.live.take() else { return };
        match source {
            Source::Upstream(events) => self.tails.finish(events, tab),
            // Whoever was asked to go on is hung up on; nothing of it was delivered.
            Source::Resuming(..) => {
                tab.close(Ending::HungUp);
            }
            // The whole answer is there, read or not.
            Source::Kept(rest) => {
                rest.iter().for_each(|chunk| tab.count(chunk, false));
                tab.close(Ending::HungUp);
            }
        }
    }
}
