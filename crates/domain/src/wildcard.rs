//! Wildcard patterns as AWS writes them in filters: `*` stands for any text, also none; all else for itself.

/// Whether the whole of `text` matches `pattern`.
///
/// Takes time in proportion to the product of both lengths at worst, whatever the pattern, so patterns may come from
/// callers.
pub fn matches(pattern: &str, text: &str) -> bool {
    matches_items(pattern.as_bytes(), text.as_bytes(), b'*', None)
}

/// The same for the filters of EC2, where `?` stands for any one character.
pub fn matches_filter(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    matches_items(&pattern, &text, '*', Some('?'))
}

fn matches_items<T: PartialEq + Copy>(pattern: &[T], text: &[T], many: T, one: Option<T>) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on if what followed the last `*` turns out not to match: that `*` takes one item more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == many {
            p += 1;
            retry = Some((p, t));
        } else if p < pattern.len() && (pattern[p] == text[t] || Some(pattern[p]) == one) {
            p += 1;
            t += 1;
        } else if let Some((after_star, taken)) = retry {
            p = after_star;
            t = taken + 1;
            retry = Some((after_star, taken + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|item| *item == many)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_any_text() {
        for (pattern, text, want) in [
            ("prod", "prod", true),
            ("prod", "prod1", false),
            ("prod*", "prod", true),
            ("prod*", "prod-1", true),
            ("*prod", "a-prod", true),
            ("*-v*", "web-v1.2", true),
            ("*-v*", "web1.2", false),
            ("a*b*c", "a__b_b_c", true),
            ("a*b*c", "a__c__b", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
            ("v1.?", "v1.2", false),
        ] {
            assert_eq!(matches(pattern, text), want, "{pattern} on {text}");
        }
    }

    #[test]
    fn question_marks_take_one_character_in_filters_only() {
        for (pattern, text, want) in [
            ("w?b", "web", true),
            ("w?b", "wéb", true),
            ("w?b", "wb", false),
            ("?*", "", false),
            ("a*?c", "abbc", true),
        ] {
            assert_eq!(matches_filter(pattern, text), want, "{pattern} {text}");
        }
        assert!(!matches("w?b", "web"));
    }
}
