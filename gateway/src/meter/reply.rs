//! What the meter hands back: an answer with its price on it.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use units::{RequestId, Tokens, Usage};

use super::{Metered, Settled};
use crate::{
    cache::CacheSaid,
    chat::{Decision, Spoken, Standing},
};

/// A metered answer.
#[derive(Debug)]
pub struct Reply {
    /// Who served it, and how.
    pub head: ReplyHead,
    /// The answer.
    pub body: ReplyBody,
}

/// What the answer's headers tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHead {
    /// The call, as its hold and its receipt are called.
    pub request: RequestId,
    /// In whose words the answer is.
    pub spoken: Spoken,
    /// Which of the client's wishes were said otherwise to whoever served it.
    pub adjusted: Vec<Cow<'static, str>>,
    /// Who served it.
    pub provider: String,
    /// The model it was charged as.
    pub model: String,
    /// How many attempts there were, this one included.
    pub attempts: usize,
    /// Why it was served so.
    pub decision: Decision,
    /// Which price list.
    pub price_version: String,
    /// The maximum of output we set because the client had not.
    pub output_cap: Option<Tokens>,
    /// Our own share of the time until now.
    pub overhead: Duration,
    /// Where the limit of requests stands that is nearest to its end.
    pub requests: Option<Standing>,
    /// The same of tokens.
    pub tokens: Option<Standing>,
    /// What came of asking the cache; nothing where the route has none and nobody asked.
    pub cache: Option<CacheSaid>,
}

/// The answer itself.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it, paid.
    Whole {
        /// As the upstream sent it.
        json: Bytes,
        /// What it cost.
        bill: Bill,
    },
    /// Its chunks, paid when they end.
    Stream(Box<Metered>),
}

/// The end of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// The call.
    pub request: RequestId,
    /// What was charged for; `None` if nothing was.
    pub usage: Option<Usage>,
    /// Whether we had to reckon it.
    pub estimated: bool,
    /// The upstream's own usage object, if that is what was charged for.
    pub raw: Option<Bytes>,
    /// What it came to.
    pub settled: Settled,
    /// Who went on with an answer that had broken off; the last of them.
    pub continued_by: Option<String>,
}
