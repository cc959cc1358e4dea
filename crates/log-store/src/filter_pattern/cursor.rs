//! A place in a pattern, and the small things that every kind of pattern is made of.

use regex_lite::{Regex, RegexBuilder};

use super::{InvalidFilterPattern, MAX_REGEXES};

/// Compiled size of one regular expression; repeats of repeats end here.
const MAX_REGEX_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
    regexes: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            rest: text,
            regexes: 0,
        }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn skip_whitespace(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes the text if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn expect(&mut self, text: &str) -> Result<(), InvalidFilterPattern> {
        self.take(text).then_some(()).ok_or(InvalidFilterPattern)
    }

    /// Takes a word of letters, whatever their case, if it comes next and ends there.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let Some((word, rest)) = self.rest.split_at_checked(keyword.len()) else {
            return false;
        };
        let ends = !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if ends && word.eq_ignore_ascii_case(keyword) {
            self.rest = rest;
            return true;
        }
        false
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// A text in `quote`s, which is what comes next. A backslash takes the next quote or backslash as it is.
    pub(super) fn quoted(&mut self, quote: char) -> Result<String, InvalidFilterPattern> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = &self.rest[at + c.len_utf8()..];
                return Ok(text);
            }
            if c == '\\' {
                match chars.next() {
                    Some((_, escaped)) if escaped == quote || escaped == '\\' => text.push(escaped),
                    Some((_, other)) => text.extend(['\\', other]),
                    None => break,
                }
            } else {
                text.push(c);
            }
        }
        Err(InvalidFilterPattern)
    }

    /// A regular expression between percent signs, which is what comes next. AWS allows letters, digits, some symbols
    /// and operators, no groups and no multi-byte characters. A space is not on AWS's list, and is let through.
    pub(super) fn regex(&mut self) -> Result<Regex, InvalidFilterPattern> {
        const SYMBOLS: &str = ":_#=@/;,- ";
        const OPERATORS: &str = "^$?[]{}|\\*+.";
        self.regexes += 1;
        let (source, rest) = self.rest[1..].split_once('%').ok_or(InvalidFilterPattern)?;
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || SYMBOLS.contains(c) || OPERATORS.contains(c);
        if self.regexes > MAX_REGEXES || source.is_empty() || !source.chars().all(allowed) {
            return Err(InvalidFilterPattern);
        }
        self.rest = rest;
        RegexBuilder::new(source)
            .size_limit(MAX_REGEX_BYTES)
            .build()
            .map_err(|_| InvalidFilterPattern)
    }
}
