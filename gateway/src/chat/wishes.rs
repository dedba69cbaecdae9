//! What does a caller say about a call beside its body?

use units::NanoCny;

/// The caller's own words on what a call is and how it may be served, from `x-tollgate-…` headers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// What it is for: `x-tollgate-task`.
    pub task: Option<String>,
    /// What the caller calls it: `x-tollgate-tags`.
    pub tags: Vec<String>,
    /// By which of the model's routes: `x-tollgate-route`.
    pub route: Option<String>,
    /// Where the caller is: `x-tollgate-region`.
    pub region: Option<String>,
    /// Whether a cheaper model of its route's may serve it if it is not covered: `x-tollgate-downgrade: allow`.
    pub downgrade: bool,
    /// The most it may cost: `x-tollgate-max-cost-cny`.
    pub max_cost: Option<NanoCny>,
    /// Whether an answer that is kept will do: `x-tollgate-cache`.
    pub cache: Option<CacheWish>,
}

/// What a caller says about answers that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheWish {
    /// One will do, though another might come out otherwise.
    Use,
    /// Neither take one nor keep one.
    Skip,
}
