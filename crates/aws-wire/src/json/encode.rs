//! A value as JSON (or any serde format), driven by the schema.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::schema::{Kind, Location, Shape, StructureShape, TimestampFormat};
use crate::structure::Names;
use crate::timestamp::{self, Epoch};
use crate::value::{Fields, Value};

/// A value with its schema, ready to be serialised.
#[derive(Clone, Copy)]
pub(crate) struct Shaping<'v> {
    shape: &'static Shape,
    value: &'v Value,
    form: Form,
    timestamp_format: Option<TimestampFormat>,
}

#[derive(Clone, Copy)]
struct Form {
    names: Names,
    micros: bool,
}

impl<'v> Shaping<'v> {
    /// For the wire: timestamps to the millisecond, as AWS sends them.
    pub(crate) fn wire(shape: &'static Shape, value: &'v Value, names: Names) -> Self {
        let form = Form {
            names,
            micros: false,
        };
        Self {
            shape,
            value,
            form,
            timestamp_format: None,
        }
    }

    /// For a record in the store: the model's names, timestamps to the microsecond.
    pub(crate) fn record(shape: &'static Shape, value: &'v Value) -> Self {
        let form = Form {
            names: Names::Model,
            micros: true,
        };
        Self {
            shape,
            value,
            form,
            timestamp_format: None,
        }
    }

    fn child(
        self,
        shape: &'static Shape,
        value: &'v Value,
        timestamp_format: Option<TimestampFormat>,
    ) -> Self {
        Self {
            shape,
            value,
            form: self.form,
            timestamp_format,
        }
    }

    fn timestamp<S: Serializer>(
        self,
        timestamp: jiff::Timestamp,
        own: Option<TimestampFormat>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match self
            .timestamp_format
            .or(own)
            .unwrap_or(TimestampFormat::EpochSeconds)
        {
            TimestampFormat::EpochSeconds => {
                let epoch = if self.form.micros {
                    timestamp::to_epoch_micros(timestamp)
                } else {
                    timestamp::to_epoch_millis(timestamp)
                };
                match epoch {
                    Epoch::Whole(seconds) => out.serialize_i64(seconds),
                    Epoch::Fraction(seconds) => out.serialize_f64(seconds),
                }
            }
            form => out.serialize_str(&timestamp::format(timestamp, form)),
        }
    }
}

impl Serialize for Shaping<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match (&self.shape.kind, self.value) {
            (_, Value::Null) => out.serialize_unit(),
            (Kind::Structure(structure), Value::Struct(fields)) => StructureParts {
                structure,
                fields,
                form: self.form,
                location: None,
                extra: &[],
                skip: None,
            }
            .serialize(out),
            (Kind::List(list), Value::List(items)) => {
                let mut seq = out.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(&self.child(
                        list.member,
                        item,
                        list.member_timestamp_format,
                    ))?;
                }
                seq.end()
            }
            (Kind::Map(map), Value::Map(entries)) => {
                let mut out = out.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    out.serialize_entry(key, &self.child(map.value, value, None))?;
                }
                out.end()
            }
            (Kind::String(_), Value::String(text)) => out.serialize_str(text),
            (Kind::Boolean, Value::Bool(value)) => out.serialize_bool(*value),
            (Kind::Integer { .. } | Kind::Long { .. }, Value::Int(number)) => {
                out.serialize_i64(*number)
            }
            (Kind::Float { .. } | Kind::Double { .. }, Value::Double(number))
                if !number.is_finite() =>
            {
                out.serialize_str(special_float_text(*number))
            }
            // As f32, so that 1.1 does not become 1.10000002384185791015625.
            (Kind::Float { .. }, Value::Double(number)) => out.serialize_f32(*number as f32),
            (Kind::Double { .. }, Value::Double(number)) => out.serialize_f64(*number),
            (Kind::Blob { .. }, Value::Blob(bytes)) => out.serialize_str(&STANDARD.encode(bytes)),
            (Kind::Timestamp { format }, Value::Timestamp(timestamp)) => {
                self.timestamp(*timestamp, *format, out)
            }
            (Kind::Document, Value::Document(document)) => document.serialize(out),
            _ => Err(S::Error::custom(format_args!(
                "the value does not have the form of {}",
                self.shape.name
            ))),
        }
    }
}

/// The members of a structure, all or some of them, and entries that no schema has (`__type`).
#[derive(Clone, Copy)]
pub(crate) struct StructureParts<'v> {
    structure: &'static StructureShape,
    fields: &'v Fields,
    form: Form,
    location: Option<Location>,
    extra: &'v [(&'v str, &'v str)],
    skip: Option<&'static str>,
}

impl<'v> StructureParts<'v> {
    /// The members that go into the body of a REST answer.
    pub(crate) fn body(structure: &'static StructureShape, fields: &'v Fields) -> Self {
        Self {
            structure,
            fields,
            form: Form {
                names: Names::Wire,
                micros: false,
            },
            location: Some(Location::Body),
            extra: &[],
            skip: None,
        }
    }

    /// The members of an error beside its message, with `extra` entries in front.
    pub(crate) fn error(
        structure: &'static StructureShape,
        fields: &'v Fields,
        names: Names,
        extra: &'v [(&'v str, &'v str)],
        message_member: Option<&'static str>,
    ) -> Self {
        Self {
            structure,
            fields,
            form: Form {
                names,
                micros: false,
            },
            location: matches!(names, Names::Wire).then_some(Location::Body),
            extra,
            skip: message_member,
        }
    }
}

impl Serialize for StructureParts<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(None)?;
        for (key, text) in self.extra {
            map.serialize_entry(key, text)?;
        }
        for (index, value) in &self.fields.0 {
            let Some(member) = self.structure.members.get(usize::from(*index)) else {
                return Err(S::Error::custom(
                    "the value has a member that its shape does not",
                ));
            };
            if self.location.is_some_and(|l| l != member.location) || self.skip == Some(member.name)
            {
                continue;
            }
            let shaping = Shaping {
                shape: member.target,
                value,
                form: self.form,
                timestamp_format: member.timestamp_format,
            };
            map.serialize_entry(self.form.names.of(member), &shaping)?;
        }
        map.end()
    }
}

pub(crate) fn special_float_text(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
