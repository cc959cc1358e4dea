//! JSON (or any self-describing serde format) into a value, driven by the schema.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Token;
use crate::schema::{Kind, Shape, TimestampFormat};
use crate::structure::{Names, StructureBuilder};
use crate::timestamp::{self, Offsets};
use crate::value::Value;

/// Lists start this big at most, whatever their length is claimed to be.
const MAX_PREALLOCATED_ITEMS: usize = 64;

/// Reads one value of `shape`.
#[derive(Clone, Copy)]
pub(crate) struct ShapeSeed {
    shape: &'static Shape,
    names: Names,
    /// From the member or list that the value stands in.
    timestamp_format: Option<TimestampFormat>,
    /// `null` gives [`Value::Null`] instead of an error; the caller decides what it means.
    nullable: bool,
    /// Only members of the HTTP body count (REST).
    body_only: bool,
}

impl ShapeSeed {
    pub(crate) fn new(shape: &'static Shape, names: Names) -> Self {
        Self {
            shape,
            names,
            timestamp_format: None,
            nullable: false,
            body_only: false,
        }
    }

    /// The top level of a REST request: members that live in the path, query or headers are not looked for in the body.
    pub(crate) fn body_only(mut self) -> Self {
        self.body_only = true;
        self
    }

    fn child(self, shape: &'static Shape, format: Option<TimestampFormat>, nullable: bool) -> Self {
        Self {
            shape,
            names: self.names,
            timestamp_format: format,
            nullable,
            body_only: false,
        }
    }

    /// Coral's words for a token of the wrong type. They never repeat the value, which may be a secret.
    fn unexpected<E: Error>(self, token: Token) -> E {
        let wanted = match &self.shape.kind {
            Kind::String(_) => "a String",
            Kind::Integer { .. } => "an Integer",
            Kind::Long { .. } => "a Long",
            Kind::Float { .. } => "a Float",
            Kind::Double { .. } => "a Double",
            Kind::Boolean => "a Boolean",
            Kind::Blob { .. } => "a Blob",
            Kind::Timestamp { .. } => "a Timestamp",
            Kind::Document => "a Document",
            Kind::List(_) if matches!(token, Token::Map) => {
                return E::custom("Start of structure or map found where not expected.");
            }
            Kind::List(_) => return E::custom("Expected list or null"),
            Kind::Structure(_) | Kind::Map(_) if matches!(token, Token::List) => {
                return E::custom("Start of list found where not expected");
            }
            Kind::Structure(_) | Kind::Map(_) => return E::custom("Expected map or null"),
        };
        match token {
            Token::List => E::custom("Start of list found where not expected"),
            Token::Map => E::custom("Start of structure or map found where not expected."),
            token => E::custom(format_args!("{token} can not be converted to {wanted}")),
        }
    }

    fn integer<E: Error>(self, number: i64) -> Result<Value, E> {
        match &self.shape.kind {
            Kind::Integer { .. } => i32::try_from(number)
                .map(|n| Value::Int(n.into()))
                .map_err(|_| E::custom("Number out of range for an Integer")),
            Kind::Long { .. } => Ok(Value::Int(number)),
            Kind::Float { .. } | Kind::Double { .. } => Ok(Value::Double(number as f64)),
            Kind::Timestamp { .. } if self.timestamp_form() == TimestampFormat::EpochSeconds => {
                timestamp::from_epoch_integer(number)
                    .map(Value::Timestamp)
                    .ok_or_else(|| E::custom("Timestamp out of range"))
            }
            _ => Err(self.unexpected(Token::Number)),
        }
    }

    /// In JSON a timestamp is a number unless the model says otherwise.
    fn timestamp_form(self) -> TimestampFormat {
        let own = match self.shape.kind {
            Kind::Timestamp { format } => format,
            _ => None,
        };
        self.timestamp_format
            .or(own)
            .unwrap_or(TimestampFormat::EpochSeconds)
    }
}

impl<'de> DeserializeSeed<'de> for ShapeSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if let Kind::Document = self.shape.kind {
            let document = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
            return Ok(match document {
                serde_json::Value::Null if self.nullable => Value::Null,
                document => Value::Document(document),
            });
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of {}", self.shape.name)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Boolean => Ok(Value::Bool(value)),
            _ => Err(self.unexpected(Token::Bool(value))),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.integer(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.integer(value),
            Err(_) => self.visit_f64(value as f64),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        match self.shape.kind {
            Kind::Float { .. } | Kind::Double { .. } => Ok(Value::Double(value)),
            Kind::Timestamp { .. } if self.timestamp_form() == TimestampFormat::EpochSeconds => {
                timestamp::from_epoch_float(value)
                    .map(Value::Timestamp)
                    .ok_or_else(|| E::custom("Timestamp out of range"))
            }
            _ => Err(self.unexpected(Token::Number)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        match &self.shape.kind {
            Kind::String(_) => Ok(Value::String(text.to_owned())),
            Kind::Blob { .. } => STANDARD
                .decode(text)
                .map(|bytes| Value::Blob(bytes.into()))
                .map_err(|_| E::custom("Invalid Base64 in a Blob")),
            Kind::Float { .. } | Kind::Double { .. } => special_float(text)
                .map(Value::Double)
                .ok_or_else(|| self.unexpected(Token::Text)),
            Kind::Timestamp { .. } => match self.timestamp_form() {
                TimestampFormat::EpochSeconds => None,
                form => timestamp::parse(text, form, Offsets::Refused),
            }
            .map(Value::Timestamp)
            .ok_or_else(|| self.unexpected(Token::Text)),
            _ => Err(self.unexpected(Token::Text)),
        }
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Value, E> {
        match &self.shape.kind {
            Kind::String(_) => Ok(Value::String(text)),
            _ => self.visit_str(&text),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        if self.nullable {
            Ok(Value::Null)
        } else {
            Err(self.unexpected(Token::Null))
        }
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let Kind::List(list) = &self.shape.kind else {
            return Err(self.unexpected(Token::List));
        };
        let seed = self.child(list.member, list.member_timestamp_format, true);
        let claimed = items.size_hint().unwrap_or(0);
        let mut values = Vec::with_capacity(claimed.min(MAX_PREALLOCATED_ITEMS));
        while let Some(value) = items.next_element_seed(seed)? {
            if value == Value::Null && !list.sparse {
                return Err(A::Error::custom("A list may not hold null"));
            }
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        match &self.shape.kind {
            Kind::Map(map) => {
                let seed = self.child(map.value, None, true);
                let mut values: Vec<(String, Value)> = Vec::new();
                while let Some(key) = entries.next_key::<String>()? {
                    let value = entries.next_value_seed(seed)?;
                    if value == Value::Null && !map.sparse {
                        return Err(A::Error::custom("A map may not hold null"));
                    }
                    values.push((key, value));
                }
                Ok(Value::Map(values))
            }
            Kind::Structure(structure) => {
                let mut builder = StructureBuilder::new(structure);
                while let Some(found) = entries.next_key_seed(KeySeed {
                    builder: &mut builder,
                    names: self.names,
                    body_only: self.body_only,
                })? {
                    match found {
                        Key::Member(index) => {
                            let member = &structure.members[usize::from(index)];
                            let seed = self.child(member.target, member.timestamp_format, true);
                            match entries.next_value_seed(seed)? {
                                Value::Null => {}
                                value => builder.set(index, value),
                            }
                        }
                        Key::Unknown => {
                            if entries.next_value::<Option<IgnoredAny>>()?.is_some() {
                                builder.set_unknown();
                            }
                        }
                        Key::Type => {
                            entries.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                builder.finish().map_err(A::Error::custom)
            }
            _ => Err(self.unexpected(Token::Map)),
        }
    }
}

enum Key {
    Member(u16),
    /// AWS ignores what it does not know.
    Unknown,
    /// `__type`, which some clients send in unions and structures.
    Type,
}

/// Reads a key and looks it up without keeping it.
struct KeySeed<'b> {
    builder: &'b mut StructureBuilder,
    names: Names,
    body_only: bool,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
        let found = self.builder.find(self.names, name);
        Ok(match found {
            Some((index, member))
                if !self.body_only || member.location == crate::schema::Location::Body =>
            {
                Key::Member(index)
            }
            _ if name == "__type" => Key::Type,
            _ => Key::Unknown,
        })
    }
}

/// The floats that JSON has no number for.
pub(crate) fn special_float(text: &str) -> Option<f64> {
    Some(match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => return None,
    })
}
