//! JSON patterns: `{ ($.user.id = 1 || $.items[*].name = "a*") && $.error NOT EXISTS }`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::InvalidFilterPattern;
use super::condition::{Comparison, Expression, Operator, Scalar};
use super::cursor::Cursor;

/// Selectors with a wildcard in one pattern; each may have one (AWS, quotas of the syntax page).
const MAX_WILDCARD_SELECTORS: usize = 3;

#[derive(Debug, Clone)]
pub(super) struct JsonPattern(Expression<Condition>);

#[derive(Debug, Clone)]
struct Condition {
    selector: Selector,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Compare(Comparison),
    IsNull,
    Is(bool),
    NotExists,
}

#[derive(Debug, Clone)]
struct Selector {
    /// As it was written: `$.user.id`.
    text: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Property(String),
    Index(usize),
    /// `.*` or `[*]`: each property or element.
    Each,
}

impl JsonPattern {
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        cursor.expect("{")?;
        let expression = Expression::parse(cursor, &mut Condition::parse)?;
        cursor.skip_whitespace();
        cursor.expect("}")?;
        let wildcards = expression
            .leaves()
            .into_iter()
            .filter(|condition| condition.selector.steps.contains(&Step::Each))
            .count();
        if wildcards > MAX_WILDCARD_SELECTORS {
            return Err(InvalidFilterPattern);
        }
        Ok(Self(expression))
    }

    pub(super) fn matches(&self, message: &str) -> bool {
        match parse_object(message) {
            Some(object) => self
                .0
                .holds(&|condition: &Condition| condition.holds(&object)),
            None => false,
        }
    }

    pub(super) fn extract(&self, message: &str) -> BTreeMap<String, String> {
        let Some(object) = parse_object(message) else {
            return BTreeMap::new();
        };
        let selectors = self.0.leaves().into_iter().map(|leaf| &leaf.selector);
        selectors
            .filter_map(|selector| {
                let value = match selector.find(&object).first()? {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                Some((selector.text.clone(), value))
            })
            .collect()
    }
}

/// Patterns speak of objects only.
fn parse_object(message: &str) -> Option<Value> {
    // Most messages that are not JSON are found out by their first character.
    let value: Value = match message.trim_start().starts_with('{') {
        true => serde_json::from_str(message).ok()?,
        false => return None,
    };
    value.is_object().then_some(value)
}

impl Condition {
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        let selector = Selector::parse(cursor)?;
        cursor.skip_whitespace();
        let test = if let Some(operator) = Operator::parse(cursor) {
            Test::Compare(Comparison::parse(cursor, operator, "&|")?)
        } else if cursor.take_keyword("IS") {
            cursor.skip_whitespace();
            match () {
                () if cursor.take_keyword("NULL") => Test::IsNull,
                () if cursor.take_keyword("TRUE") => Test::Is(true),
                () if cursor.take_keyword("FALSE") => Test::Is(false),
                () => return Err(InvalidFilterPattern),
            }
        } else if cursor.take_keyword("NOT") {
            cursor.skip_whitespace();
            match cursor.take_keyword("EXISTS") {
                true => Test::NotExists,
                false => return Err(InvalidFilterPattern),
            }
        } else {
            return Err(InvalidFilterPattern);
        };
        Ok(Self { selector, test })
    }

    fn holds(&self, object: &Value) -> bool {
        let found = self.selector.find(object);
        match &self.test {
            Test::NotExists => found.is_empty(),
            Test::IsNull => found.iter().any(|value| value.is_null()),
            Test::Is(wanted) => found.iter().any(|value| value.as_bool() == Some(*wanted)),
            Test::Compare(comparison) => found.iter().any(|value| compare(comparison, value)),
        }
    }
}

/// Objects, arrays and null compare with nothing, not even as unequal.
fn compare(comparison: &Comparison, value: &Value) -> bool {
    match value {
        Value::String(text) => comparison.holds(Scalar::Text(text)),
        Value::Number(number) => {
            let text = number.to_string();
            // JSON's numbers are finite.
            comparison.holds(Scalar::Number(number.as_f64().unwrap_or(0.0), &text))
        }
        Value::Bool(true) => comparison.holds(Scalar::Text("true")),
        Value::Bool(false) => comparison.holds(Scalar::Text("false")),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

impl Selector {
    /// `$.a.b`, `$.a[0]`, `$.a[*].b`, `$.*`, `$.['a.b']`.
    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        cursor.expect("$.")?;
        let mut steps = vec![Step::after_dot(cursor)?];
        loop {
            if cursor.take(".") {
                steps.push(Step::after_dot(cursor)?);
            } else if cursor.peek() == Some('[') {
                steps.push(Step::bracketed(cursor)?);
            } else {
                break;
            }
        }
        if steps.iter().filter(|step| **step == Step::Each).count() > 1 {
            return Err(InvalidFilterPattern);
        }
        let mut text = String::from("$");
        for step in &steps {
            match step {
                Step::Property(name) if name.chars().all(is_name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Step::Property(name) => text.push_str(&format!(".['{name}']")),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
                Step::Each => text.push_str("[*]"),
            }
        }
        Ok(Self { text, steps })
    }

    fn find<'v>(&self, object: &'v Value) -> Vec<&'v Value> {
        let mut found = vec![object];
        for step in &self.steps {
            found = found
                .into_iter()
                .flat_map(|value| -> Vec<&'v Value> {
                    match (step, value) {
                        (Step::Property(name), Value::Object(o)) => {
                            o.get(name).into_iter().collect()
                        }
                        (Step::Index(index), Value::Array(a)) => {
                            a.get(*index).into_iter().collect()
                        }
                        (Step::Each, Value::Object(o)) => o.values().collect(),
                        (Step::Each, Value::Array(a)) => a.iter().collect(),
                        _ => Vec::new(),
                    }
                })
                .collect();
        }
        found
    }
}

/// Letters, digits, `-` and `_` are what AWS names; the others are in the keys of common log formats.
fn is_name(c: char) -> bool {
    c.is_alphanumeric() || "-_@:/#".contains(c)
}

impl Step {
    fn after_dot(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        if cursor.peek() == Some('[') {
            return Self::bracketed(cursor);
        }
        if cursor.take("*") {
            return Ok(Self::Each);
        }
        match cursor.take_while(is_name) {
            "" => Err(InvalidFilterPattern),
            name => Ok(Self::Property(name.to_owned())),
        }
    }

    fn bracketed(cursor: &mut Cursor<'_>) -> Result<Self, InvalidFilterPattern> {
        cursor.expect("[")?;
        let step = match cursor.peek() {
            Some('*') => {
                cursor.expect("*")?;
                Self::Each
            }
            Some(quote @ ('\'' | '"')) => Self::Property(cursor.quoted(quote)?),
            _ => {
                let digits = cursor.take_while(|c| c.is_ascii_digit());
                Self::Index(digits.parse().map_err(|_| InvalidFilterPattern)?)
            }
        };
        cursor.expect("]")?;
        Ok(step)
    }
}
