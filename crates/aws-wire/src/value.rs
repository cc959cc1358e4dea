//! The form of a request or an answer between the wire and the typed structures.

use bytes::Bytes;

/// A value of some [`Shape`](crate::schema::Shape). Absent members are absent, never `Null`; `Null` only stands in
/// sparse lists and maps.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// Integers and longs.
    Int(i64),
    /// Floats and doubles.
    Double(f64),
    String(String),
    Blob(Bytes),
    Timestamp(jiff::Timestamp),
    List(Vec<Value>),
    /// Keys in the order they came in.
    Map(Vec<(String, Value)>),
    Struct(Fields),
    Document(serde_json::Value),
}

/// The members of a structure or union that are set, by their index in the schema's `members`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Fields(pub Vec<(u16, Value)>);

impl Fields {
    pub fn get(&self, index: u16) -> Option<&Value> {
        self.0.iter().find(|(i, _)| *i == index).map(|(_, v)| v)
    }

    pub fn push(&mut self, index: u16, value: Value) {
        self.0.push((index, value));
    }
}

/// The value does not have the form that its schema promises. Decoding makes such values impossible, so for a request
/// this is a bug; for a record read back from the store it means that the record is not ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} for {shape}")]
pub struct ShapeMismatch {
    pub shape: &'static str,
    pub expected: &'static str,
}

/// Conversion between [`Value`] and the generated types. Generated for every shape in `aws-api`.
pub trait Shaped: Sized {
    /// The type's schema.
    fn shape() -> &'static crate::schema::Shape;
    fn from_value(value: Value) -> Result<Self, ShapeMismatch>;
    fn into_value(self) -> Value;
}
