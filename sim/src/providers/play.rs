//! How does a script become a response body? Step by step; a client that leaves ends it, and that is counted.
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use super::book::Book;
use crate::state::World;

/// One thing that happens on the wire.
#[derive(Debug)]
pub(super) enum Step {
    Wait(Duration),
    /// Lets what was written leave before anything else happens.
    Flush,
    /// Bytes, and how many tokens are complete with them.
    Write(Bytes, u64),
    /// The connection breaks.
    Cut,
    /// Nothing more comes, and the connection stays open.
    Hang,
}

/// Plays a script as a response body.
pub(super) fn body(world: Arc<World>, book: usize, script: VecDeque<Step>) -> Body {
    let playing = Playing { world, book, script, ended: false };
    Body::from_stream(stream::unfold(playing, Playing::next))
}

struct Playing {
    world: Arc<World>,
    book: usize,
    script: VecDeque<Step>,
    /// Ended by us, well or badly; otherwise the client left.
    ended: bool,
}

impl Playing {
    fn book(&self) -> &Book {
        &self.world.providers[self.book]
    }

    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            let Some(step) = self.script.pop_front() else {
                if !self.ended {
                    self.ended = true;
                    self.book().completed();
                }
                return None;
            };
            match step {
                Step::Wait(wait) => tokio::time::sleep(wait).await,
                Step::Flush => tokio::task::yield_now().await,
                Step::Write(bytes, tokens) => {
                    self.book().generated(tokens);
                    if self.script.is_empty() {
                        self.ended = true;
                        self.book().completed();
                    }
                    return Some((Ok(bytes), self));
                }
                Step::Cut => {
                    self.ended = true;
                    return Some((
                        Err(io::Error::new(io::ErrorKind::ConnectionReset, "cut by a fault")),
                        self,
                    ));
                }
                Step::Hang => std::future::pending().await,
            }
        }
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        if !self.ended {
            self.book().aborted();
        }
    }
}
