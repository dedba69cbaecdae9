//! One limit, and how much of it is wanted.

use std::{fmt, sync::Arc};

use router_config::Bounds;
use units::{AccountId, KeyId};

use crate::chat::{Kind, Scope};

/// Who is limited.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    Key(KeyId),
    Account(AccountId),
    Model(Arc<str>),
    Provider(Arc<str>),
}

impl Subject {
    pub(super) const fn scope(&self) -> Scope {
        match self {
            Self::Key(_) => Scope::Key,
            Self::Account(_) => Scope::Account,
            Self::Model(_) => Scope::Model,
            Self::Provider(_) => Scope::Provider,
        }
    }

    /// What a client may be told that it is called.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        match self {
            Self::Key(_) | Self::Account(_) => None,
            Self::Model(name) | Self::Provider(name) => Some(Arc::clone(name)),
        }
    }
}

impl fmt::Display for Subject {
    /// The id alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Account(id) => id.fmt(f),
            Self::Model(name) | Self::Provider(name) => f.write_str(name),
        }
    }
}

/// So much of one limit is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) whose: (Subject, Kind),
    /// Never 0.
    pub(super) limit: u64,
    /// 0 where only the standing is of interest: that is never refused.
    pub(super) amount: u64,
}

impl Claim {
    pub(super) const fn kind(&self) -> Kind {
        self.whose.1
    }

    /// The part of the limit that one of `nodes` keeps: at least 1, so that nobody is turned away for good.
    pub(super) fn share(&self, nodes: u32) -> u64 {
        (self.limit / u64::from(nodes.max(1))).max(1)
    }

    /// How much is taken where so much is allowed in all: a call that never fits takes all there is.
    pub(super) fn capped(&self, limit: u64) -> u64 {
        self.amount.min(limit)
    }
}

/// What a call wants of each limit of one subject.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub(super) requests: Option<u64>,
    pub(super) tokens: Option<u64>,
    pub(super) concurrency: Option<u64>,
}

impl Want {
    /// The claims on those limits that there are.
    pub(super) fn of(self, subject: &Subject, bounds: Bounds) -> impl Iterator<Item = Claim> {
        let Bounds { requests_per_minute, tokens_per_minute, concurrency_max } = bounds;
        let each = [
            (Kind::Requests, requests_per_minute.map(u64::from), self.requests),
            (Kind::Tokens, tokens_per_minute, self.tokens),
            (Kind::Concurrency, concurrency_max.map(u64::from), self.concurrency),
        ];
        let subject = subject.clone();
        each.into_iter().filter_map(move |(kind, limit, amount)| {
            let (limit, amount) = (limit?, amount?);
            Some(Claim { whose: (subject.clone(), kind), limit: limit.max(1), amount })
        })
    }
}
