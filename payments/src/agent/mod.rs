//! Agent: does this proposal agree with our own tables?
//!
//! Whoever proposes a figure (a model, an assistant, a page that was open for an hour) only proposes: what counts is
//! our table, and a proposal that is further off than the tolerance is refused instead of silently corrected. Judges,
//! never calls a model.

/// A proposal may differ from our figure by this many thousandths of it.
const TOLERANCE_PER_MILLE: i128 = 5;

/// True if `proposed` lies within half a per cent of `ours`.
pub fn agrees(proposed: i64, ours: i64) -> bool {
    let difference = (i128::from(proposed) - i128::from(ours)).abs();
    difference * 1_000 <= i128::from(ours).abs() * TOLERANCE_PER_MILLE
}

#[cfg(test)]
mod tests {
    use super::agrees;

    #[test]
    fn half_a_per_cent_is_the_edge() {
        assert!(agrees(1_005, 1_000) && agrees(995, 1_000) && agrees(0, 0));
        assert!(!agrees(1_006, 1_000) && !agrees(994, 1_000) && !agrees(1, 0) && !agrees(i64::MIN, i64::MAX));
    }
}
