//! Texts with `*` in them, and the other ways to say what a value must look like.

use regex_lite::Regex;

use super::InvalidFilterPattern;
use super::cursor::Cursor;

/// A text in which each `*` stands for any text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wildcard {
    first: String,
    /// What has to come after each star, the last one at the end; none: no star.
    after_stars: Vec<String>,
}

impl Wildcard {
    pub(super) fn new(text: &str) -> Self {
        let mut parts = text.split('*').map(str::to_owned);
        Self {
            first: parts.next().unwrap_or_default(),
            after_stars: parts.collect(),
        }
    }

    /// Looks at each byte of the text a bounded number of times, however many stars there are.
    pub(super) fn matches(&self, text: &str) -> bool {
        let Some((last, middle)) = self.after_stars.split_last() else {
            return text == self.first;
        };
        let Some(mut rest) = text.strip_prefix(self.first.as_str()) else {
            return false;
        };
        for part in middle {
            match rest.find(part.as_str()) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

/// The right side of a comparison.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    /// A number, and the text that it was.
    Number(f64, Wildcard),
    Text(Wildcard),
    Regex(Regex),
}

impl Operand {
    /// A quoted text, a regular expression, or a bare word that ends before whitespace or one of `ends`.
    pub(super) fn parse(cursor: &mut Cursor<'_>, ends: &str) -> Result<Self, InvalidFilterPattern> {
        match cursor.peek() {
            Some('"') => Ok(Self::Text(Wildcard::new(&cursor.quoted('"')?))),
            Some('%') => Ok(Self::Regex(cursor.regex()?)),
            _ => {
                let bare = |c: char| {
                    !c.is_whitespace() && !ends.contains(c) && !"=!<>()\"%{}[]".contains(c)
                };
                let word = cursor.take_while(bare);
                if word.is_empty() {
                    return Err(InvalidFilterPattern);
                }
                let text = Wildcard::new(word);
                Ok(match parse_number(word) {
                    Some(number) => Self::Number(number, text),
                    None => Self::Text(text),
                })
            }
        }
    }
}

/// Digits with sign, fraction and exponent; not `inf` or `NaN`, which Rust would take.
pub(super) fn parse_number(text: &str) -> Option<f64> {
    let looks_right = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    let number: f64 = if looks_right {
        text.parse().ok()?
    } else {
        return None;
    };
    number.is_finite().then_some(number)
}
