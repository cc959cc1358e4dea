//! The wildcard patterns and regular expressions of rule conditions.

use neargate_lb_api as api;
use regex::bytes::{Regex, RegexBuilder};

/// Bound of one compiled expression, so that a rule cannot take the process's memory. AWS's expressions have at most
/// 128 characters; ordinary ones stay below a hundredth of this.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Whether case counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    Sensitive,
    Insensitive,
}

/// Whether `\*`, `\?` and `\\` stand for the character itself. AWS has that for query strings only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    None,
    Backslash,
}

/// A pattern with `*` (any characters, or none) and `?` (exactly one character).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    tokens: Vec<Token>,
    case: Case,
    /// The pattern up to its first wildcard, in lower case if case does not count.
    prefix: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    One,
    Many,
}

impl Wildcard {
    pub fn new(pattern: &str, case: Case, escapes: Escapes) -> Self {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut bytes = pattern.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let token = match byte {
                b'*' => Token::Many,
                b'?' => Token::One,
                b'\\' if escapes == Escapes::Backslash => {
                    let escaped = bytes.next_if(|next| matches!(next, b'*' | b'?' | b'\\'));
                    Token::Byte(escaped.unwrap_or(b'\\'))
                }
                _ if case == Case::Insensitive => Token::Byte(byte.to_ascii_lowercase()),
                _ => Token::Byte(byte),
            };
            // Two stars mean what one means, and would cost a second walk.
            if token != Token::Many || tokens.last() != Some(&Token::Many) {
                tokens.push(token);
            }
        }
        let prefix = tokens
            .iter()
            .map_while(|token| match token {
                Token::Byte(byte) => Some(*byte),
                _ => None,
            })
            .collect();
        Self {
            tokens,
            case,
            prefix,
        }
    }

    /// The whole pattern, if it has no wildcard.
    pub fn literal(&self) -> Option<&[u8]> {
        (self.prefix.len() == self.tokens.len()).then_some(&self.prefix)
    }

    /// What every matching text begins with (in lower case if case does not count).
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        match self.case {
            Case::Sensitive => self.matches_by(text, |byte| byte),
            Case::Insensitive => self.matches_by(text, |byte| byte.to_ascii_lowercase()),
        }
    }

    fn matches_by(&self, text: &[u8], fold: impl Fn(u8) -> u8) -> bool {
        let literal = self.prefix.len();
        if text.len() < literal
            || !text[..literal]
                .iter()
                .zip(&self.prefix)
                .all(|(a, b)| fold(*a) == *b)
        {
            return false;
        }
        let (mut at, mut token) = (literal, literal);
        // Where to go on if what follows the last star does not match here: that star takes one more byte.
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.tokens.get(token) {
                Some(Token::Many) if token + 1 == self.tokens.len() => return true,
                Some(Token::Many) => {
                    retry = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(Token::One) => {
                    at += 1;
                    token += 1;
                    continue;
                }
                Some(Token::Byte(byte)) if fold(text[at]) == *byte => {
                    at += 1;
                    token += 1;
                    continue;
                }
                _ => {}
            }
            let Some((star, from)) = retry else {
                return false;
            };
            retry = Some((star, from + 1));
            at = from + 1;
            token = star + 1;
        }
        self.tokens[token..]
            .iter()
            .all(|token| *token == Token::Many)
    }
}

/// The values of one condition; any of them may match.
#[derive(Clone, Debug, Default)]
pub struct Patterns {
    pub wildcards: Vec<Wildcard>,
    pub expressions: Vec<Regex>,
}

impl Patterns {
    pub fn compile(patterns: &api::Patterns, case: Case) -> Result<Self, String> {
        let wildcards = patterns.values.iter();
        let expressions = patterns.regex_values.iter();
        Ok(Self {
            wildcards: wildcards
                .map(|pattern| Wildcard::new(pattern, case, Escapes::None))
                .collect(),
            expressions: expressions
                .map(|expression| regex(expression, case))
                .collect::<Result<_, _>>()?,
        })
    }

    pub fn matches(&self, text: &[u8]) -> bool {
        self.wildcards.iter().any(|pattern| pattern.matches(text))
            || self
                .expressions
                .iter()
                .any(|expression| expression.is_match(text))
    }
}

/// Compiles an expression in the dialect that AWS describes: the common one without look-around and back references.
pub fn regex(expression: &str, case: Case) -> Result<Regex, String> {
    RegexBuilder::new(expression)
        .case_insensitive(case == Case::Insensitive)
        .unicode(false)
        .size_limit(MAX_REGEX_BYTES)
        .build()
        .map_err(|error| format!("the regular expression {expression:?} cannot be used: {error}"))
}
