//! A stream that counts what passes and settles before its last piece leaves.

use std::{
    borrow::Cow,
    collections::VecDeque,
    task::{Context, Poll},
    time::Instant,
};

use prometheus::Histogram;

use super::{Bill, ReplyHead, Tails, tab::Tab};
use crate::{
    cache::Recording,
    chat::{Break, BreakReason, Chunk, Ending, Spoken},
    plan::Planned,
    provider::Events,
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
    recorded: Option<Recorded>,
}

/// Where chunks come from.
#[derive(Debug)]
enum Source {
    Upstream(Box<Events>),
    /// All of them are there.
    Kept(VecDeque<Chunk>),
}

impl Source {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Chunk, Break>>> {
        match self {
            Self::Upstream(events) => events.poll_chunk(cx),
            Self::Kept(chunks) => Poll::Ready(chunks.pop_front().map(Ok)),
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
        recorded: Option<Recorded>,
    ) -> Self {
        let live = Live { source: Source::Upstream(events), tab, recorded };
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
        let live = Live { source: Source::Kept(chunks), tab, recorded: None };
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
        let next = std::task::ready!(live.source.poll_chunk(cx));
        if let Some(Ok(chunk)) = next {
            // Of what is kept the hold covers all, and nothing can come beyond it.
            live.tab.count(&chunk, matches!(live.source, Source::Upstream(_)));
            if let Some(recorded) = &mut live.recorded {
                recorded.note(&chunk);
            }
            if !chunk.text_size.is_empty() {
                self.pulse.beat();
            }
            return Poll::Ready(Some(Piece::Chunk(chunk)));
        }
        let Some(Live { source, tab, recorded }) = self.live.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(match next {
            Some(Err(broke)) => {
                if matches!(broke.reason, BreakReason::Silent(_) | BreakReason::Slow(_)) {
                    self.pulse.metrics.stream_stalls_total.with_label_values(&[&broke.provider]).inc();
                }
                drop(source);
                Piece::Broke(broke, tab.close(Ending::BrokeOff))
            }
            _ => {
                let bill = tab.close(Ending::Finished);
                if let Some(recorded) = recorded {
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
            // The whole answer is there, read or not.
            Source::Kept(rest) => {
                rest.iter().for_each(|chunk| tab.count(chunk, false));
                tab.close(Ending::HungUp);
            }
        }
    }
}
