//! A value as CBOR, driven by the schema.

use std::io;

use ciborium_io::Write as _;
use ciborium_ll::{Encoder, Header, simple};

use crate::schema::{Kind, Shape, StructureShape};
use crate::timestamp::{self, Epoch};
use crate::value::{Fields, ShapeMismatch, Value};

const TAG_EPOCH: u64 = 1;

/// First byte of a float in eight bytes.
const DOUBLE: u8 = 0xfb;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CborEncodeError {
    #[error(transparent)]
    Shape(#[from] ShapeMismatch),
    #[error(transparent)]
    Write(#[from] io::Error),
}

type Out<'o> = Encoder<&'o mut Vec<u8>>;

pub(crate) fn encode(shape: &'static Shape, value: &Value) -> Result<Vec<u8>, CborEncodeError> {
    let mut bytes = Vec::with_capacity(256);
    write(shape, value, &mut Encoder::from(&mut bytes))?;
    Ok(bytes)
}

/// An error: `extra` entries (`__type` and the message) and the members beside the message.
pub(crate) fn encode_error(
    extra: &[(&str, &str)],
    members: Option<(&'static StructureShape, &Fields)>,
    message_member: Option<&'static str>,
) -> Result<Vec<u8>, CborEncodeError> {
    let mut bytes = Vec::with_capacity(256);
    let mut out = Encoder::from(&mut bytes);
    // Of indefinite length, since the message may be among the members too.
    out.push(Header::Map(None))?;
    for (key, text) in extra {
        out.text(key, None)?;
        out.text(text, None)?;
    }
    if let Some((structure, fields)) = members {
        write_members(structure, fields, message_member, &mut out)?;
    }
    out.push(Header::Break)?;
    Ok(bytes)
}

fn write_members(
    structure: &'static StructureShape,
    fields: &Fields,
    skip: Option<&'static str>,
    out: &mut Out<'_>,
) -> Result<(), CborEncodeError> {
    for (index, value) in &fields.0 {
        let member = structure
            .members
            .get(usize::from(*index))
            .ok_or(ShapeMismatch {
                shape: "structure",
                expected: "a member of the shape",
            })?;
        if skip != Some(member.name) {
            out.text(member.name, None)?;
            write(member.target, value, out)?;
        }
    }
    Ok(())
}

fn write(shape: &'static Shape, value: &Value, out: &mut Out<'_>) -> Result<(), CborEncodeError> {
    match (&shape.kind, value) {
        (_, Value::Null) => out.push(Header::Simple(simple::NULL))?,
        (Kind::Structure(structure), Value::Struct(fields)) => {
            out.push(Header::Map(Some(fields.0.len())))?;
            write_members(structure, fields, None, out)?;
        }
        (Kind::List(list), Value::List(items)) => {
            out.push(Header::Array(Some(items.len())))?;
            for item in items {
                write(list.member, item, out)?;
            }
        }
        (Kind::Map(map), Value::Map(entries)) => {
            out.push(Header::Map(Some(entries.len())))?;
            for (key, value) in entries {
                out.text(key, None)?;
                write(map.value, value, out)?;
            }
        }
        (Kind::String(_), Value::String(text)) => out.text(text, None)?,
        (Kind::Boolean, Value::Bool(true)) => out.push(Header::Simple(simple::TRUE))?,
        (Kind::Boolean, Value::Bool(false)) => out.push(Header::Simple(simple::FALSE))?,
        (Kind::Integer { .. } | Kind::Long { .. }, Value::Int(number)) => {
            out.push(integer(*number))?;
        }
        // The encoder picks the shortest form that loses nothing.
        (Kind::Float { .. }, Value::Double(number)) => {
            out.push(Header::Float(f64::from(*number as f32)))?;
        }
        (Kind::Double { .. }, Value::Double(number)) => out.push(Header::Float(*number))?,
        (Kind::Blob { .. }, Value::Blob(bytes)) => out.bytes(bytes, None)?,
        (Kind::Timestamp { .. }, Value::Timestamp(timestamp)) => {
            out.push(Header::Tag(TAG_EPOCH))?;
            match timestamp::to_epoch_millis(*timestamp) {
                Epoch::Whole(seconds) => out.push(integer(seconds))?,
                // Always eight bytes: half precision is not allowed in a timestamp.
                Epoch::Fraction(seconds) => {
                    out.write_all(&[DOUBLE])?;
                    out.write_all(&seconds.to_be_bytes())?;
                }
            }
        }
        _ => {
            return Err(ShapeMismatch {
                shape: shape.name,
                expected: "a value of its kind",
            }
            .into());
        }
    }
    Ok(())
}

fn integer(number: i64) -> Header {
    match u64::try_from(number) {
        Ok(number) => Header::Positive(number),
        Err(_) => Header::Negative(!number as u64),
    }
}
