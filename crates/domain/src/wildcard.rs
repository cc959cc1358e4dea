//! Wildcard patterns as AWS writes them in filters: `*` stands for any text, also none; all else for itself.

/// Whether the whole of `text` matches `pattern`.
///
/// Takes time in proportion to the product of both lengths at worst, whatever the pattern, so patterns may come from
/// callers.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if what followed the last `*` turns out not to match: that `*` takes one byte more.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            p += 1;
            retry = Some((p, t));
        } else if p < pattern.len() && pattern[p] == text[t] {
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
    pattern[p..].iter().all(|b| *b == b'*')
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
}
