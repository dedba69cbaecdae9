//! How do bytes leave and come back? Whoever runs the payments hands one of these in; this crate opens no socket.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;

/// What [`Transport::send`] gives back.
pub type Sending = Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, TransportError>> + Send>>;

/// No complete answer came.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TransportError {
    /// There was no connection, so not a byte of the request left: the far side cannot have acted.
    #[error("no connection: {reason}")]
    NeverLeft {
        /// What the HTTP client said, for the log.
        reason: String,
    },
    /// The request may have arrived: whether the far side acted is unknown.
    #[error("no answer: {reason}")]
    NoAnswer {
        /// What the HTTP client said, for the log.
        reason: String,
    },
}

/// What an answer may come to, where that is more than of an ordinary call: put into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerBounds {
    /// At most so many bytes.
    pub bytes_max: usize,
    /// Within this time, from the request to the last byte.
    pub time_max: Duration,
}

/// One HTTP exchange with whole bodies. Implementations bound time and size (by [`AnswerBounds`] where
/// a request has them), follow no redirect and decode nothing,
/// because signatures are over the bytes as sent.
pub trait Transport: Send + Sync + fmt::Debug {
    /// Sends `request` once, without retry.
    fn send(&self, request: http::Request<Bytes>) -> Sending;
}
