//! What all decoders share when they put a structure together: member lookup, duplicates, unions, defaults.

use bytes::Bytes;

use crate::schema::{DefaultValue, Kind, Member, Shape, StructureShape};
use crate::value::{Fields, Value};

/// Nesting that a decoder follows before it refuses the input. Deeper than any model (KMS policies and ECS task
/// definitions stay below 12) and shallow enough for the smallest thread stack. serde_json has the same limit built in.
pub const MAX_DEPTH: usize = 128;

/// Which of a member's names is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// The model's name: awsJson, CBOR, records in the store.
    Model,
    /// `locationName`: bodies of REST-JSON.
    Wire,
}

impl Names {
    pub(crate) fn of(self, member: &'static Member) -> &'static str {
        match self {
            Names::Model => member.name,
            Names::Wire => member.wire_name,
        }
    }
}

/// Collects the members of one structure while its bytes are read.
pub(crate) struct StructureBuilder {
    shape: &'static StructureShape,
    fields: Fields,
    /// Members that are set but unknown: a union with one is not the union that the caller meant.
    unknown: usize,
    /// Where the next lookup starts: callers mostly send members in the model's order.
    next: usize,
}

impl StructureBuilder {
    pub(crate) fn new(shape: &'static StructureShape) -> Self {
        Self {
            shape,
            fields: Fields::default(),
            unknown: 0,
            next: 0,
        }
    }

    /// The member with that name on the wire.
    pub(crate) fn find(&mut self, names: Names, name: &str) -> Option<(u16, &'static Member)> {
        let members = self.shape.members;
        let (before, after) = members.split_at(self.next.min(members.len()));
        let index = after
            .iter()
            .position(|m| names.of(m) == name)
            .map(|i| i + before.len())
            .or_else(|| before.iter().position(|m| names.of(m) == name))?;
        self.next = index + 1;
        Some((index as u16, &members[index]))
    }

    /// Sets a member; of several values for one member the last counts.
    pub(crate) fn set(&mut self, index: u16, value: Value) {
        let in_order = self.fields.0.last().is_none_or(|(last, _)| *last < index);
        if !in_order && let Some(slot) = self.fields.0.iter_mut().find(|(i, _)| *i == index) {
            slot.1 = value;
            return;
        }
        self.fields.push(index, value);
    }

    /// Takes note of a member that the shape does not have.
    pub(crate) fn set_unknown(&mut self) {
        self.unknown += 1;
    }

    /// Fills in the model's defaults and checks that a union has exactly one member.
    pub(crate) fn finish(mut self) -> Result<Value, UnionError> {
        if self.shape.union {
            return match (self.fields.0.len(), self.unknown) {
                (1, 0) => Ok(Value::Struct(self.fields)),
                (0, _) => Err(UnionError::NoneSet),
                _ => Err(UnionError::SeveralSet),
            };
        }
        for (index, member) in self.shape.members.iter().enumerate() {
            if let Some(default) = &member.default {
                let index = index as u16;
                if self.fields.get(index).is_none()
                    && let Some(value) = default_value(default, member.target)
                {
                    self.fields.push(index, value);
                }
            }
        }
        Ok(Value::Struct(self.fields))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnionError {
    #[error("Union must have exactly one member set, but none was")]
    NoneSet,
    #[error("Union must have exactly one member set, but several were")]
    SeveralSet,
}

fn default_value(default: &DefaultValue, target: &'static Shape) -> Option<Value> {
    Some(match default {
        DefaultValue::Bool(b) => Value::Bool(*b),
        DefaultValue::Int(i) => match target.kind {
            Kind::Float { .. } | Kind::Double { .. } => Value::Double(*i as f64),
            _ => Value::Int(*i),
        },
        DefaultValue::Double(d) => Value::Double(*d),
        DefaultValue::String(s) => Value::String((*s).to_owned()),
        DefaultValue::EmptyList => Value::List(Vec::new()),
        DefaultValue::EmptyMap => Value::Map(Vec::new()),
        DefaultValue::EmptyBlob => Value::Blob(Bytes::new()),
        DefaultValue::Json(text) => crate::json::decode_shape(target, text.as_bytes()).ok()?,
    })
}
