//! Does a name fit a pattern such as `qwen*-omni*`?

use wildmatch::WildMatchPattern;

/// Whether `name` fits `pattern`, in which `*` stands for any characters; big and small letters are the same.
pub fn matches(pattern: &str, name: &str) -> bool {
    // `?` is a character like any other: only `*` is documented.
    WildMatchPattern::<'*', '\0'>::new_case_insensitive(pattern).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_letters_have_no_case() {
        for (pattern, name, fits) in [
            ("*", "", true),
            ("*", "any/thing", true),
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("gpt-4o*", "gpt-4o-mini", true),
            ("QWQ-*", "qwq-plus", true),
            ("qwen*omni*", "qwen3.8-omni-flash", true),
            ("qwen*omni*", "qwen-max", false),
            ("*b", "qwen3-235b-a22b", true),
            ("a?c", "abc", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }
}
