//! Conversion of whatever can stand in a field.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use neargate_aws_wire::schema::Shape;
use neargate_aws_wire::value::{ShapeMismatch, Value};

pub type Converted<T> = Result<T, ShapeMismatch>;

/// `Shaped` for types with a schema of their own, and the same for the primitive types and collections, which have
/// none here because many shapes share them.
pub trait Field: Sized {
    fn from_value(value: Value) -> Converted<Self>;
    fn into_value(self) -> Value;
}

/// Implements the public trait by ours.
macro_rules! shaped {
    ($type:ident, $shape:expr) => {
        impl ::neargate_aws_wire::value::Shaped for $type {
            #[inline]
            fn shape() -> &'static ::neargate_aws_wire::schema::Shape {
                &$shape
            }
            #[inline]
            fn from_value(
                value: $crate::support::Value,
            ) -> ::std::result::Result<Self, ::neargate_aws_wire::value::ShapeMismatch> {
                <Self as $crate::support::Field>::from_value(value)
            }
            #[inline]
            fn into_value(self) -> $crate::support::Value {
                <Self as $crate::support::Field>::into_value(self)
            }
        }
    };
}
pub(crate) use shaped;

pub fn mismatch(shape: &'static Shape, expected: &'static str) -> ShapeMismatch {
    ShapeMismatch {
        shape: shape.name,
        expected,
    }
}

/// A mismatch where the shape's name is not known, only the Rust type's.
fn not_a(expected: &'static str) -> ShapeMismatch {
    ShapeMismatch {
        shape: "a member",
        expected,
    }
}

/// The types that are one variant of [`Value`] each.
macro_rules! plain {
    ($($type:ty, $variant:ident, $expected:literal;)+) => {$(
        impl Field for $type {
            fn from_value(value: Value) -> Converted<Self> {
                match value {
                    Value::$variant(inner) => Ok(inner),
                    _ => Err(not_a($expected)),
                }
            }
            fn into_value(self) -> Value {
                Value::$variant(self)
            }
        }
    )+};
}

plain! {
    bool, Bool, "true or false";
    i64, Int, "a whole number";
    String, String, "a string";
    Bytes, Blob, "a blob";
    Timestamp, Timestamp, "a timestamp";
    serde_json::Value, Document, "a document";
}

impl Field for i32 {
    fn from_value(value: Value) -> Converted<Self> {
        match value {
            Value::Int(number) => number
                .try_into()
                .map_err(|_| not_a("a 32-bit whole number")),
            _ => Err(not_a("a whole number")),
        }
    }
    fn into_value(self) -> Value {
        Value::Int(self.into())
    }
}

impl Field for f64 {
    fn from_value(value: Value) -> Converted<Self> {
        match value {
            Value::Double(number) => Ok(number),
            // A whole number in a record or request stands for the same number.
            Value::Int(number) => Ok(number as f64),
            _ => Err(not_a("a number")),
        }
    }
    fn into_value(self) -> Value {
        Value::Double(self)
    }
}

impl Field for f32 {
    fn from_value(value: Value) -> Converted<Self> {
        f64::from_value(value).map(|number| number as f32)
    }
    fn into_value(self) -> Value {
        Value::Double(self.into())
    }
}

/// An operation without output.
impl Field for () {
    fn from_value(_: Value) -> Converted<Self> {
        Ok(())
    }
    fn into_value(self) -> Value {
        super::empty()
    }
}

impl<T: Field> Field for Box<T> {
    fn from_value(value: Value) -> Converted<Self> {
        T::from_value(value).map(Box::new)
    }
    fn into_value(self) -> Value {
        (*self).into_value()
    }
}

impl<T: Field> Field for Vec<T> {
    fn from_value(value: Value) -> Converted<Self> {
        match value {
            Value::List(items) => items.into_iter().map(T::from_value).collect(),
            _ => Err(not_a("a list")),
        }
    }
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(T::into_value).collect())
    }
}

impl<T: Field> Field for BTreeMap<String, T> {
    fn from_value(value: Value) -> Converted<Self> {
        match value {
            Value::Map(entries) => entries
                .into_iter()
                .map(|(key, value)| Ok((key, T::from_value(value)?)))
                .collect(),
            _ => Err(not_a("a map")),
        }
    }
    fn into_value(self) -> Value {
        Value::Map(
            self.into_iter()
                .map(|(key, value)| (key, value.into_value()))
                .collect(),
        )
    }
}
