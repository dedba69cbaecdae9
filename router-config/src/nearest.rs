//! Which known name was probably meant?

/// The candidate closest to `name`, if one is close enough to be worth suggesting; case does not count.
///
/// Close is a third of the letters mistyped at most, or one name holding the other (`url` for `base_url`).
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let known = candidate.to_lowercase();
            let letters = wanted.chars().count().max(known.chars().count());
            let mistyped = strsim::damerau_levenshtein(&wanted, &known);
            let shorter = wanted.len().min(known.len());
            let one_holds_the_other = shorter >= 3 && (known.contains(&wanted) || wanted.contains(&known));
            (mistyped * 3 <= letters || one_holds_the_other).then_some((mistyped, candidate))
        })
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_was_meant_and_nothing_far_fetched() {
        let keys = ["model", "targets", "base_url", "hold_output_tokens", "attempts_max"];
        assert_eq!(nearest("modle", keys), Some("model"));
        assert_eq!(nearest("Model", keys), Some("model"));
        assert_eq!(nearest("url", keys), Some("base_url"));
        assert_eq!(nearest("attempt_max", keys), Some("attempts_max"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest("model", []), None);
    }
}
