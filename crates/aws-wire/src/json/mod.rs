//! JSON text to and from values: bodies of the JSON protocols, and records in the store.
//!
//! Both directions are driven by the schema and go through serde, so that a generated type can also be a part of a
//! serde structure ([`serde_as_json`]). Nothing is kept in between: bytes become a [`Value`]
//! directly, and a value is written straight into the output buffer.

mod decode;
mod embed;
mod encode;

use std::fmt;

use crate::schema::Shape;
use crate::structure::Names;
use crate::value::{ShapeMismatch, Shaped, Value};

pub(crate) use decode::{ShapeSeed, special_float};
pub use embed::{Embed, serde_as_json};
pub(crate) use encode::{Shaping, StructureParts, special_float_text};

/// JSON text that is not a record of this type.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
}

/// A generated type as JSON text, for records in the store. Members have the model's names, timestamps are epoch
/// seconds with microseconds.
///
/// # Errors
/// Only if `into_value` made a value that its own schema does not allow, which is a bug in the generator.
pub fn to_json<T: Shaped>(record: T) -> Result<Vec<u8>, JsonError> {
    let value = record.into_value();
    let mut text = Vec::with_capacity(256);
    serde_json::to_writer(&mut text, &Shaping::record(T::shape(), &value))?;
    Ok(text)
}

/// Reads what [`to_json`] wrote. Unknown members are skipped, so that an older binary can read newer records.
pub fn from_json<T: Shaped>(text: &[u8]) -> Result<T, JsonError> {
    let value = decode_shape(T::shape(), text)?;
    Ok(T::from_value(value)?)
}

pub(crate) fn decode_shape(shape: &'static Shape, text: &[u8]) -> Result<Value, serde_json::Error> {
    decode_with(ShapeSeed::new(shape, Names::Model), text)
}

/// Reads one JSON text to its end.
pub(crate) fn decode_with(seed: ShapeSeed, text: &[u8]) -> Result<Value, serde_json::Error> {
    use serde::de::DeserializeSeed as _;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = seed.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// What a JSON token is called in AWS's SerializationException messages.
pub(crate) enum Token {
    Text,
    Number,
    Bool(bool),
    Null,
    List,
    Map,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Token::Text => "STRING_VALUE",
            Token::Number => "NUMBER_VALUE",
            Token::Bool(true) => "TRUE_VALUE",
            Token::Bool(false) => "FALSE_VALUE",
            Token::Null => "null",
            Token::List => "Start of list",
            Token::Map => "Start of structure or map",
        })
    }
}
