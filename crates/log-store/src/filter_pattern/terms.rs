//! Unstructured patterns: `ERROR "two words" -debug`, `?ERROR ?WARN`, `%regex%`.

use regex_lite::Regex;

use super::InvalidFilterPattern;
use super::cursor::Cursor;

#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    required: Vec<Term>,
    excluded: Vec<Term>,
    /// One of them is enough. AWS ignores them beside other terms.
    optional: Vec<Term>,
}

#[derive(Debug, Clone)]
enum Term {
    Text(String),
    Regex(Regex),
}

impl Terms {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        let mut terms = Self::default();
        loop {
            cursor.skip_whitespace();
            if cursor.peek().is_none() {
                return Ok(terms);
            }
            let list = if cursor.take("?") {
                &mut terms.optional
            } else if cursor.take("-") {
                &mut terms.excluded
            } else {
                &mut terms.required
            };
            list.push(Term::parse(cursor)?);
            // `"a"b` is neither one term nor two.
            if cursor.peek().is_some_and(|c| !c.is_whitespace()) {
                return Err(InvalidFilterPattern);
            }
        }
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        let found = |term: &Term| term.is_in(message);
        if self.required.is_empty() && self.excluded.is_empty() && !self.optional.is_empty() {
            return self.optional.iter().any(found);
        }
        self.required.iter().all(found) && !self.excluded.iter().any(found)
    }
}

impl Term {
    /// AWS asks for quotes around all but letters, digits and underscores. We insist where the meaning depends on it.
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        match cursor.peek() {
            Some('"') => {
                let text = cursor.quoted('"')?;
                // `" "` matches everything.
                let blank = text.trim().is_empty();
                Ok(Self::Text(if blank { String::new() } else { text }))
            }
            Some('%') => Ok(Self::Regex(cursor.regex()?)),
            _ => {
                let bare = |c: char| !c.is_whitespace() && !"\"{}[]".contains(c);
                let word = cursor.take_while(bare);
                match word.is_empty() {
                    true => Err(InvalidFilterPattern),
                    false => Ok(Self::Text(word.to_owned())),
                }
            }
        }
    }

    fn is_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(message),
        }
    }
}
