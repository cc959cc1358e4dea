//! Space-delimited patterns: `[ip, user, ..., status = 4* || status = 5*, bytes > 1000]`.

use std::collections::BTreeMap;

use super::InvalidFilterPattern;
use super::condition::{Comparison, Expression, Operator, Scalar};
use super::cursor::Cursor;

#[derive(Debug, Clone)]
pub(super) struct Fields {
    /// The fields before `...`, or all.
    head: Vec<Field>,
    /// The fields after `...`; `None`: there is no `...`.
    tail: Option<Vec<Field>>,
}

#[derive(Debug, Clone)]
struct Field {
    /// Empty: unnamed.
    name: String,
    condition: Option<Expression<Comparison>>,
}

impl Fields {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        cursor.expect("[")?;
        let mut fields = Self {
            head: Vec::new(),
            tail: None,
        };
        loop {
            cursor.skip_whitespace();
            if cursor.take("...") {
                if fields.tail.replace(Vec::new()).is_some() {
                    return Err(InvalidFilterPattern);
                }
            } else {
                let field = Field::parse(cursor)?;
                fields.tail.as_mut().unwrap_or(&mut fields.head).push(field);
            }
            cursor.skip_whitespace();
            if !cursor.take(",") {
                cursor.expect("]")?;
                return Ok(fields);
            }
        }
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        self.assign(message).is_some()
    }

    pub(super) fn extract(&self, message: &str) -> BTreeMap<String, String> {
        let Some(assigned) = self.assign(message) else {
            return BTreeMap::new();
        };
        let named = assigned
            .into_iter()
            .enumerate()
            .map(|(place, (field, value))| {
                let name = match field {
                    Some(field) if !field.name.is_empty() => format!("${}", field.name),
                    _ => format!("${}", place + 1),
                };
                (name, value.to_owned())
            });
        named.collect()
    }

    /// Each field of the message with the one of the pattern that it falls to. `None`: the message does not match.
    fn assign<'f, 'm>(&'f self, message: &'m str) -> Option<Vec<(Option<&'f Field>, &'m str)>> {
        let last = self.head.last().filter(|_| self.tail.is_none());
        let absorbs = last.is_some_and(|last| last.condition.is_none());
        let limit = if absorbs { self.head.len() } else { usize::MAX };
        let values = split_message(message, limit);
        let tail = self.tail.as_deref().unwrap_or_default();
        let between = values.len().checked_sub(self.head.len() + tail.len())?;
        if between > 0 && self.tail.is_none() {
            return None;
        }
        let skipped = std::iter::repeat_n(None, between);
        let fields = self
            .head
            .iter()
            .map(Some)
            .chain(skipped)
            .chain(tail.iter().map(Some));
        let assigned: Vec<_> = fields.zip(values).collect();
        let holds =
            |(field, value): &(Option<&Field>, &str)| field.is_none_or(|field| field.holds(value));
        assigned.iter().all(holds).then_some(assigned)
    }
}

impl Field {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        if matches!(cursor.peek(), Some(',')) {
            return Ok(Self {
                name: String::new(),
                condition: None,
            });
        }
        // The name is that of the first comparison: the others speak of the same field.
        let mut names = Vec::new();
        let mut bare = false;
        let expression = Expression::parse(cursor, &mut |cursor: &mut Cursor<'_>| {
            let name = cursor.take_while(|c| c.is_alphanumeric() || "_-.".contains(c));
            if name.is_empty() {
                return Err(InvalidFilterPattern);
            }
            names.push(name.to_owned());
            cursor.skip_whitespace();
            match Operator::parse(cursor) {
                Some(operator) => Comparison::parse(cursor, operator, ",&|").map(Some),
                None => {
                    bare = true;
                    Ok(None)
                }
            }
        })?;
        let condition = match bare {
            // A name alone is only that; it is no part of an expression.
            true if names.len() > 1 => return Err(InvalidFilterPattern),
            true => None,
            false => Some(expression.flatten().ok_or(InvalidFilterPattern)?),
        };
        Ok(Self {
            name: names.swap_remove(0),
            condition,
        })
    }

    fn holds(&self, value: &str) -> bool {
        let holds = |comparison: &Comparison| comparison.holds(Scalar::of_field(value));
        self.condition
            .as_ref()
            .is_none_or(|condition| condition.holds(&holds))
    }
}

impl<T> Expression<Option<T>> {
    /// The same with every leaf; `None` if one is missing.
    fn flatten(self) -> Option<Expression<T>> {
        let all =
            |parts: Vec<Self>| -> Option<Vec<_>> { parts.into_iter().map(Self::flatten).collect() };
        Some(match self {
            Self::Leaf(leaf) => Expression::Leaf(leaf?),
            Self::All(parts) => Expression::All(all(parts)?),
            Self::Any(parts) => Expression::Any(all(parts)?),
        })
    }
}

/// The fields of a message: words, and what stands in brackets or double quotes. The field at `limit` takes all that is
/// left: AWS's `[w1=ERROR, w2]` finds messages of any length whose first word is ERROR.
fn split_message(message: &str, limit: usize) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim();
    while !rest.is_empty() {
        let close = match rest.as_bytes()[0] {
            b'"' => Some('"'),
            b'[' => Some(']'),
            _ => None,
        };
        let enclosed = close.and_then(|close| {
            let end = rest[1..].find(close)? + 1;
            let after = &rest[end + 1..];
            // A quote inside of a word ends nothing.
            let ends = after.is_empty() || after.starts_with(char::is_whitespace);
            ends.then(|| (&rest[1..end], after))
        });
        let (field, after) = enclosed.unwrap_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            rest.split_at(end)
        });
        let after = after.trim_start();
        if fields.len() + 1 == limit && !after.is_empty() {
            fields.push(rest);
            break;
        }
        fields.push(field);
        rest = after;
    }
    fields
}
