//! Pagination tokens: opaque to callers, a position in a listing to us.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Longest token that is looked at; ours are store keys, far shorter.
const MAX_TOKEN_BYTES: usize = 4096;

/// A token from which the listing goes on after `position`.
pub fn encode_token(position: &str) -> String {
    URL_SAFE_NO_PAD.encode(position)
}

/// The position that a token stands for; `None` for a token that this server did not make.
pub fn decode_token(token: &str) -> Option<String> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

/// Cuts one page out of a sorted listing held in memory: the items after `position`, at most `limit`, and the token of
/// the next page if there is one.
pub fn page_of<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> &str,
    position: Option<&str>,
    limit: usize,
) -> (Vec<T>, Option<String>) {
    let mut page = Vec::new();
    for item in items {
        if position.is_some_and(|p| key(&item) <= p) {
            continue;
        }
        if page.len() == limit {
            let token = page.last().map(|last| encode_token(key(last)));
            return (page, token);
        }
        page.push(item);
    }
    (page, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let items = ["a", "b", "c", "d", "e"];
        let mut seen = Vec::new();
        let mut position = None;
        loop {
            let (page, token) = page_of(items, |i| i, position.as_deref(), 2);
            seen.push(page.len());
            match token {
                Some(token) => position = decode_token(&token),
                None => break,
            }
        }
        assert_eq!(seen, [2, 2, 1]);
    }

    #[test]
    fn a_full_last_page_has_no_token() {
        assert_eq!(page_of(["a", "b"], |i| i, None, 2), (vec!["a", "b"], None));
    }

    #[test]
    fn foreign_tokens_are_refused() {
        for token in ["%%%", "_____", &"A".repeat(5000)] {
            assert_eq!(decode_token(token), None, "{token}");
        }
    }
}
