//! Patterns of the models, compiled once.

use std::collections::HashMap;
use std::sync::{OnceLock, RwLock};

use regex_lite::{Regex, RegexBuilder};

/// Compiled size allowed for one pattern. The models' biggest stay far below.
const MAX_COMPILED_BYTES: usize = 1 << 20;

type Cache = RwLock<HashMap<&'static str, Option<Regex>>>;

/// Whether `text` as a whole matches. A pattern that cannot be compiled here (look-around) lets every
/// text pass: the service that cares has to check it itself.
pub(super) fn matches(pattern: &'static str, text: &str) -> bool {
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let cache = CACHE.get_or_init(Cache::default);
    let check = |regex: &Option<Regex>| regex.as_ref().is_none_or(|regex| regex.is_match(text));
    // A poisoned lock still holds a whole map: nothing panics between its changes.
    let known = cache
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(regex) = known.get(pattern) {
        return check(regex);
    }
    drop(known);
    let regex = compile(pattern);
    let result = check(&regex);
    cache
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .insert(pattern, regex);
    result
}

/// Whether this crate can enforce a model's pattern.
pub fn compiles(pattern: &str) -> bool {
    compile(pattern).is_some()
}

/// Services match the whole text even where the model's pattern has no anchors (Java's `matches`).
fn compile(pattern: &str) -> Option<Regex> {
    // Java takes the dash after a class as itself, regex-lite wants it escaped.
    let pattern = without_unicode_classes(pattern).replace("\\w-", "\\w\\-");
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(MAX_COMPILED_BYTES)
        .build()
        .ok()
}

/// AWS's tag patterns name letters, spaces and digits of all scripts inside a character class, and regex-lite has no
/// such tables. They are exact for ASCII; beyond it every character counts as a letter.
fn without_unicode_classes(pattern: &str) -> String {
    pattern
        .replace("\\p{L}", "a-zA-Z\\u{80}-\\u{10FFFF}")
        .replace("\\p{Z}", " ")
        .replace("\\p{N}", "0-9")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_whole_texts() {
        for (pattern, text, want) in [
            ("[a-z]+", "abc", true),
            ("[a-z]+", "abc1", false),
            ("^[a-z]+$", "abc", true),
            ("a|b", "ab", false),
            ("[a-z]*", "", true),
            ("[a-z]+", "abc\n", false),
            ("(?!no).*", "no", true),
            ("[\\w-_]*", "a-b_c", true),
            ("([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+)", "team 1/한글@", true),
            ("([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+)", "team#1", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} on {text:?}");
        }
        assert!(!compiles("(?!no).*"));
    }
}
