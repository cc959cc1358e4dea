//! CloudWatch Logs' filter patterns: unstructured terms, JSON conditions, space-delimited fields, and regular
//! expressions in each of them (facts §8; AWS: "Filter pattern syntax for metric filters, subscription filters, filter
//! log events, and Live Tail").
//!
//! A pattern is a caller's text and is parsed under limits; a message is a container's text and is only looked at.

mod condition;
mod cursor;
mod fields;
mod json;
mod terms;
mod text;

use std::collections::BTreeMap;

use cursor::Cursor;
use fields::Fields;
use json::JsonPattern;
use terms::Terms;

/// Longest pattern, in characters: what the API's model allows.
pub const MAX_PATTERN_CHARS: usize = 1_024;

/// Parentheses inside parentheses.
const MAX_DEPTH: usize = 32;

/// Regular expressions in one pattern (facts §8).
const MAX_REGEXES: usize = 2;

/// A pattern that can be asked.
#[derive(Debug, Clone)]
pub struct FilterPattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Terms(Terms),
    Json(JsonPattern),
    Fields(Fields),
}

/// CloudWatch Logs answers `InvalidParameterException` with this text, and no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern")]
pub struct InvalidFilterPattern;

impl FilterPattern {
    pub fn parse(pattern: &str) -> Result<Self, InvalidFilterPattern> {
        if pattern.chars().count() > MAX_PATTERN_CHARS {
            return Err(InvalidFilterPattern);
        }
        let mut cursor = Cursor::new(pattern.trim());
        let kind = match cursor.peek() {
            Some('{') => Kind::Json(JsonPattern::parse(&mut cursor)?),
            Some('[') => Kind::Fields(Fields::parse(&mut cursor)?),
            _ => Kind::Terms(Terms::parse(&mut cursor)?),
        };
        match cursor.peek() {
            None => Ok(Self(kind)),
            Some(_) => Err(InvalidFilterPattern),
        }
    }

    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::Terms(terms) => terms.matches(message),
            Kind::Json(json) => json.matches(message),
            Kind::Fields(fields) => fields.matches(message),
        }
    }

    /// What TestMetricFilter calls `extractedValues`: the fields of a space-delimited pattern by name (`$status`) or
    /// place (`$1`), the properties that a JSON pattern names (`$.user.id`); nothing for terms.
    pub fn extract(&self, message: &str) -> BTreeMap<String, String> {
        match &self.0 {
            Kind::Terms(_) => BTreeMap::new(),
            Kind::Json(json) => json.extract(message),
            Kind::Fields(fields) => fields.extract(message),
        }
    }
}

#[cfg(test)]
mod tests;
