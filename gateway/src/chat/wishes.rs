//! What does a caller say about a call beside its body?

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
}
