//! Comparisons, and expressions of them with `&&`, `||` and parentheses: what JSON and space-delimited patterns share.

use super::cursor::Cursor;
use super::text::{Operand, parse_number};
use super::{InvalidFilterPattern, MAX_DEPTH};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// An operator and what it compares with.
#[derive(Debug, Clone)]
pub(super) struct Comparison {
    operator: Operator,
    operand: Operand,
}

/// A single value of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    /// A number and its text.
    Number(f64, &'a str),
}

impl Operator {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Option<Self> {
        [
            ("!=", Self::NotEqual),
            ("<=", Self::LessOrEqual),
            (">=", Self::GreaterOrEqual),
            ("=", Self::Equal),
            ("<", Self::Less),
            (">", Self::Greater),
        ]
        .into_iter()
        .find(|(sign, _)| cursor.take(sign))
        .map(|(_, operator)| operator)
    }
}

impl Comparison {
    /// What follows an operator. Only numbers have an order.
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        operator: Operator,
        ends: &str,
    ) -> Result<Self, InvalidFilterPattern> {
        cursor.skip_whitespace();
        let operand = Operand::parse(cursor, ends)?;
        let equality = matches!(operator, Operator::Equal | Operator::NotEqual);
        if !equality && !matches!(operand, Operand::Number(..)) {
            return Err(InvalidFilterPattern);
        }
        Ok(Self { operator, operand })
    }

    pub(super) fn holds(&self, value: Scalar<'_>) -> bool {
        let text = match value {
            Scalar::Text(text) | Scalar::Number(_, text) => text,
        };
        let equal = match (&self.operand, value) {
            (Operand::Number(wanted, _), Scalar::Number(number, _)) => number == *wanted,
            (Operand::Number(_, wanted) | Operand::Text(wanted), _) => wanted.matches(text),
            (Operand::Regex(regex), _) => regex.is_match(text),
        };
        let ordered = |holds: fn(&f64, &f64) -> bool| match (&self.operand, value) {
            (Operand::Number(wanted, _), Scalar::Number(number, _)) => holds(&number, wanted),
            _ => false,
        };
        match self.operator {
            Operator::Equal => equal,
            Operator::NotEqual => !equal,
            Operator::Less => ordered(f64::lt),
            Operator::LessOrEqual => ordered(f64::le),
            Operator::Greater => ordered(f64::gt),
            Operator::GreaterOrEqual => ordered(f64::ge),
        }
    }
}

impl<'a> Scalar<'a> {
    /// A field of a space-delimited message, which may be a number.
    pub(super) fn of_field(text: &'a str) -> Self {
        match parse_number(text) {
            Some(number) => Self::Number(number, text),
            None => Self::Text(text),
        }
    }
}

/// `()` before `&&` before `||`.
#[derive(Debug, Clone)]
pub(super) enum Expression<T> {
    Leaf(T),
    All(Vec<Expression<T>>),
    Any(Vec<Expression<T>>),
}

impl<T> Expression<T> {
    pub(super) fn parse(
        cursor: &mut Cursor<'_>,
        leaf: &mut impl FnMut(&mut Cursor<'_>) -> Result<T, InvalidFilterPattern>,
    ) -> Result<Self, InvalidFilterPattern> {
        Self::any(cursor, leaf, 0)
    }

    fn any(
        cursor: &mut Cursor<'_>,
        leaf: &mut impl FnMut(&mut Cursor<'_>) -> Result<T, InvalidFilterPattern>,
        depth: usize,
    ) -> Result<Self, InvalidFilterPattern> {
        let mut parts = Vec::new();
        loop {
            parts.push(Self::all(cursor, leaf, depth)?);
            cursor.skip_whitespace();
            if !cursor.take("||") {
                return Ok(Self::of(parts, Self::Any));
            }
        }
    }

    fn all(
        cursor: &mut Cursor<'_>,
        leaf: &mut impl FnMut(&mut Cursor<'_>) -> Result<T, InvalidFilterPattern>,
        depth: usize,
    ) -> Result<Self, InvalidFilterPattern> {
        let mut parts = Vec::new();
        loop {
            cursor.skip_whitespace();
            if cursor.take("(") {
                if depth == MAX_DEPTH {
                    return Err(InvalidFilterPattern);
                }
                parts.push(Self::any(cursor, leaf, depth + 1)?);
                cursor.skip_whitespace();
                cursor.expect(")")?;
            } else {
                parts.push(Self::Leaf(leaf(cursor)?));
            }
            cursor.skip_whitespace();
            if !cursor.take("&&") {
                return Ok(Self::of(parts, Self::All));
            }
        }
    }

    /// One part stands for itself.
    fn of(mut parts: Vec<Self>, many: fn(Vec<Self>) -> Self) -> Self {
        match (parts.pop(), parts.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                parts.extend(last);
                many(parts)
            }
        }
    }

    pub(super) fn holds(&self, leaf: &impl Fn(&T) -> bool) -> bool {
        match self {
            Self::Leaf(it) => leaf(it),
            Self::All(parts) => parts.iter().all(|part| part.holds(leaf)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(leaf)),
        }
    }

    pub(super) fn leaves(&self) -> Vec<&T> {
        match self {
            Self::Leaf(it) => vec![it],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::leaves).collect(),
        }
    }
}
