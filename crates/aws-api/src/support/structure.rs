//! Conversion of structures and unions, member by member.

use neargate_aws_wire::schema::Shape;
use neargate_aws_wire::value::{Fields, ShapeMismatch, Value};

use super::field::{Converted, Field, mismatch};

/// Takes members out of a structure's value.
pub struct Reader {
    fields: Vec<(u16, Value)>,
    shape: &'static Shape,
}

impl Reader {
    pub fn new(value: Value, shape: &'static Shape) -> Converted<Self> {
        match value {
            Value::Struct(Fields(fields)) => Ok(Self { fields, shape }),
            _ => Err(mismatch(shape, "a structure")),
        }
    }

    pub fn optional<T: Field>(&mut self, index: u16) -> Converted<Option<T>> {
        self.take(index).map(T::from_value).transpose()
    }

    pub fn required<T: Field>(&mut self, index: u16) -> Converted<T> {
        match self.take(index) {
            Some(value) => T::from_value(value),
            None => Err(self.missing()),
        }
    }

    fn take(&mut self, index: u16) -> Option<Value> {
        let position = self.fields.iter().position(|(i, _)| *i == index)?;
        Some(self.fields.swap_remove(position).1)
    }

    fn missing(&self) -> ShapeMismatch {
        mismatch(self.shape, "all required members")
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
