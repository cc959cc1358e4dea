//! Conversion of structures and unions, member by member.

use neargate_aws_wire::schema::Shape;
use neargate_aws_wire::value::{Fields, ShapeMismatch, Value};

use super::field::{Converted, Field, mismatch};

/// Takes members out of a structure's value.
///
/// The first thing that is wrong is kept until [`Reader::finish`], and a default stands in for it until then: a way out
/// at every member, each dropping all members before it, would be a tenth of what this crate takes to compile.
pub struct Reader {
    fields: Vec<(u16, Value)>,
    shape: &'static Shape,
    error: Option<ShapeMismatch>,
}

impl Reader {
    pub fn new(value: Value, shape: &'static Shape) -> Self {
        match value {
            Value::Struct(Fields(fields)) => Self {
                fields,
                shape,
                error: None,
            },
            _ => Self {
                fields: Vec::new(),
                shape,
                error: Some(mismatch(shape, "a structure")),
            },
        }
    }

    pub fn optional<T: Field>(&mut self, index: u16) -> Option<T> {
        match T::from_value(self.take(index)?) {
            Ok(member) => Some(member),
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    pub fn required<T: Field + Default>(&mut self, index: u16) -> T {
        match self.optional(index) {
            Some(member) => member,
            None => {
                self.fail(mismatch(self.shape, "all required members"));
                T::default()
            }
        }
    }

    /// The structure that was read, if all of it was right.
    pub fn finish<T>(self, structure: T) -> Converted<T> {
        match self.error {
            None => Ok(structure),
            Some(error) => Err(error),
        }
    }

    fn take(&mut self, index: u16) -> Option<Value> {
        let position = self.fields.iter().position(|(i, _)| *i == index)?;
        Some(self.fields.swap_remove(position).1)
    }

    fn fail(&mut self, error: ShapeMismatch) {
        self.error.get_or_insert(error);
    }
}

/// Collects the members of a structure's value.
pub struct Writer {
    fields: Fields,
}

impl Writer {
    pub fn new(members: usize) -> Self {
        Self {
            fields: Fields(Vec::with_capacity(members)),
        }
    }

    pub fn optional<T: Field>(&mut self, index: u16, member: Option<T>) {
        if let Some(member) = member {
            self.required(index, member);
        }
    }

    pub fn required<T: Field>(&mut self, index: u16, member: T) {
        self.fields.push(index, member.into_value());
    }

    pub fn finish(self) -> Value {
        Value::Struct(self.fields)
    }
}

/// A structure without members.
pub fn empty() -> Value {
    Value::Struct(Fields::default())
}

/// The one member of a union that is set.
pub fn union_member(value: Value, shape: &'static Shape) -> Converted<(u16, Value)> {
    match value {
        Value::Struct(Fields(mut fields)) if fields.len() == 1 => Ok(fields.swap_remove(0)),
        _ => Err(mismatch(shape, "exactly one member")),
    }
}

pub fn union_value(index: u16, value: Value) -> Value {
    Value::Struct(Fields(vec![(index, value)]))
}
