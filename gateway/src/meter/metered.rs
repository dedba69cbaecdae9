//! A stream that counts what passes and settles before its last piece leaves.

use std::{
    task::{Context, Poll},
    time::Instant,
};

use prometheus::Histogram;

use super::{Bill, Tails, tab::Tab};
use crate::{
    chat::{Break, BreakReason, Chunk, Ending},
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
    events: Box<Events>,
    tab: Tab,
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
    ) -> Self {
        let labels = [planned.route.model.id.as_str(), provider];
        let pulse = Pulse {
            received: planned.call.received,
            last: None,
            first_token: metrics.time_to_first_token_seconds.with_label_values(&labels),
            between: metrics.inter_token_seconds.with_label_values(&labels),
            metrics: metrics.clone(),
        };
        Self { live: Some(Live { events, tab }), tails, pulse }
    }

    /// The next piece; nothing after [`Piece::End`] or [`Piece::Broke`].
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        let Some(live) = &mut self.live else { return Poll::Ready(None) };
        let next = std::task::ready!(live.events.poll_chunk(cx));
        if let Some(Ok(chunk)) = next {
            live.tab.count(&chunk, true);
            if !chunk.text_size.is_empty() {
                self.pulse.beat();
            }
            return Poll::Ready(Some(Piece::Chunk(chunk)));
        }
        let Some(Live { events, tab }) = self.live.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(match next {
            Some(Err(broke)) => {
                if matches!(broke.reason, BreakReason::Silent(_) | BreakReason::Slow(_)) {
                    self.pulse.metrics.stream_stalls_total.with_label_values(&[&broke.provider]).inc();
                }
                drop(events);
                Piece::Broke(broke, tab.close(Ending::BrokeOff))
            }
            _ => {
                let bill = tab.close(Ending::Finished);
                self.tails.recycle(*events);
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
        if let Some(Live { events, tab }) = self.live.take() {
            self.tails.finish(events, tab);
        }
    }
}
