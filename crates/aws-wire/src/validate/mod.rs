//! The model's constraints on an input: required, length, range, pattern, enumeration.
//!
//! The check collects what is violated; how a service words it is in `message`. What a model cannot express is checked
//! by the services.

mod message;
mod pattern;

use crate::error::ApiError;
use crate::schema::{Kind, Shape, StringShape, StructureShape, ValidationStyle};
use crate::value::Value;

pub use pattern::compiles as pattern_compiles;

/// Violations that one answer reports. A list of thousands of bad items must not make an answer of megabytes.
const MAX_REPORTED: usize = 16;

/// Checks `input` against its shape; the error has the code and words of `style`.
pub fn validate(
    style: ValidationStyle,
    shape: &'static Shape,
    input: &Value,
) -> Result<(), ApiError> {
    let mut checker = Checker {
        path: Vec::new(),
        violations: Vec::new(),
    };
    checker.check(shape, input);
    if checker.violations.is_empty() {
        return Ok(());
    }
    Err(message::error(style, &checker.violations))
}

/// One broken constraint.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Violation {
    pub(crate) path: Vec<Step>,
    /// Text of the value; `None`: there is none, or it must not be shown.
    pub(crate) value: Shown,
    pub(crate) constraint: Constraint,
}

/// One step from the input to a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    Member {
        name: &'static str,
        ec2_name: &'static str,
        owner: Option<&'static str>,
    },
    /// Counted from 1.
    Item(usize),
    Key(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shown {
    /// The member is absent.
    Null,
    Text(String),
    /// The model calls it sensitive.
    Hidden,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Constraint {
    Required,
    MinLength(u64),
    MaxLength(u64),
    Min(String),
    Max(String),
    Pattern(&'static str),
    Enum(&'static [&'static str]),
}

struct Checker {
    path: Vec<Step>,
    violations: Vec<Violation>,
}

// Recursion follows the value, whose depth the decoders limit.
impl Checker {
    fn check(&mut self, shape: &'static Shape, value: &Value) {
        if self.violations.len() >= MAX_REPORTED {
            return;
        }
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Struct(fields)) => {
                self.required(shape, structure, value);
                for (index, value) in &fields.0 {
                    if let Some(member) = structure.members.get(usize::from(*index)) {
                        self.path.push(step(shape, member));
                        self.check(member.target, value);
                        self.path.pop();
                    }
                }
            }
            (Kind::List(list), Value::List(items)) => {
                self.length(items.len(), list.min, list.max, || shown_list(items));
                for (at, item) in items.iter().enumerate() {
                    self.path.push(Step::Item(at + 1));
                    self.check(list.member, item);
                    self.path.pop();
                }
            }
            (Kind::Map(map), Value::Map(entries)) => {
                self.length(entries.len(), map.min, map.max, || shown_map(entries));
                for (key, value) in entries {
                    self.path.push(Step::Key(key.clone()));
                    if let Kind::String(string) = &map.key.kind {
                        self.string(string, key);
                    }
                    self.check(map.value, value);
                    self.path.pop();
                }
            }
            (Kind::String(string), Value::String(text)) => self.string(string, text),
            (Kind::Integer { min, max } | Kind::Long { min, max }, Value::Int(number)) => {
                let shown = || Shown::Text(number.to_string());
                if let Some(min) = min.filter(|min| number < min) {
                    self.report(shown(), Constraint::Min(min.to_string()));
                }
                if let Some(max) = max.filter(|max| number > max) {
                    self.report(shown(), Constraint::Max(max.to_string()));
                }
            }
            (Kind::Float { min, max } | Kind::Double { min, max }, Value::Double(number)) => {
                let shown = || Shown::Text(number.to_string());
                if let Some(min) = min.filter(|min| number < min) {
                    self.report(shown(), Constraint::Min(min.to_string()));
                }
                if let Some(max) = max.filter(|max| number > max) {
                    self.report(shown(), Constraint::Max(max.to_string()));
                }
            }
            (Kind::Blob { min, max, .. }, Value::Blob(bytes)) => {
                self.length(bytes.len(), *min, *max, || Shown::Hidden);
            }
            _ => {}
        }
    }

    fn required(
        &mut self,
        shape: &'static Shape,
        structure: &'static StructureShape,
        value: &Value,
    ) {
        let Value::Struct(fields) = value else { return };
        for (index, member) in structure.members.iter().enumerate() {
            if member.required && fields.get(index as u16).is_none() {
                self.path.push(step(shape, member));
                self.report(Shown::Null, Constraint::Required);
                self.path.pop();
            }
        }
    }

    fn string(&mut self, string: &'static StringShape, text: &str) {
        let shown = || match string.sensitive {
            true => Shown::Hidden,
            false => Shown::Text(text.to_owned()),
        };
        if string.min.is_some() || string.max.is_some() {
            self.length(text.chars().count(), string.min, string.max, shown);
        }
        if let Some(model_pattern) = string.pattern
            && !pattern::matches(model_pattern, text)
        {
            self.report(shown(), Constraint::Pattern(model_pattern));
        }
        if !string.enum_values.is_empty() && !string.enum_values.contains(&text) {
            self.report(shown(), Constraint::Enum(string.enum_values));
        }
    }

    fn length(
        &mut self,
        length: usize,
        min: Option<u64>,
        max: Option<u64>,
        shown: impl Fn() -> Shown,
    ) {
        let length = length as u64;
        if let Some(min) = min.filter(|min| length < *min) {
            self.report(shown(), Constraint::MinLength(min));
        }
        if let Some(max) = max.filter(|max| length > *max) {
            self.report(shown(), Constraint::MaxLength(max));
        }
    }

    fn report(&mut self, value: Shown, constraint: Constraint) {
        if self.violations.len() < MAX_REPORTED {
            self.violations.push(Violation {
                path: self.path.clone(),
                value,
                constraint,
            });
        }
    }
}

fn step(shape: &'static Shape, member: &'static crate::schema::Member) -> Step {
    Step::Member {
        name: member.name,
        ec2_name: member.ec2_name,
        owner: Some(shape.name),
    }
}

/// Lists and maps are shown in Java's form, with the texts of scalars only.
fn shown_list(items: &[Value]) -> Shown {
    let texts: Vec<&str> = items.iter().map(scalar_text).collect();
    Shown::Text(format!("[{}]", texts.join(", ")))
}

fn shown_map(entries: &[(String, Value)]) -> Shown {
    let texts: Vec<String> = entries
        .iter()
        .map(|(key, value)| format!("{key}={}", scalar_text(value)))
        .collect();
    Shown::Text(format!("{{{}}}", texts.join(", ")))
}

fn scalar_text(value: &Value) -> &str {
    match value {
        Value::String(text) => text,
        _ => "...",
    }
}
