//! A value as a REST response: status, headers and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};

use super::header::quote_item;
use crate::json::{Shaping, StructureParts};
use crate::scalar;
use crate::schema::{Kind, Location, Member, Shape, StructureShape, TimestampFormat};
use crate::structure::Names;
use crate::value::{Fields, Value};

#[derive(Debug, thiserror::Error)]
pub(crate) enum RestEncodeError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Shape(#[from] crate::value::ShapeMismatch),
}

pub(crate) struct RestResponse {
    pub(crate) status: Option<u16>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn write_response(
    structure: &'static StructureShape,
    fields: &Fields,
) -> Result<RestResponse, RestEncodeError> {
    let mut headers = error_headers(structure, fields)?;
    let mut status = None;
    for (index, value) in &fields.0 {
        if let Some(member) = structure.members.get(usize::from(*index))
            && member.location == Location::StatusCode
            && let Value::Int(code) = value
        {
            status = u16::try_from(*code).ok();
        }
    }
    let body = match structure
        .payload
        .and_then(|i| Some((i, structure.members.get(i)?)))
    {
        Some((index, member)) => payload(member, fields.get(index as u16), &mut headers)?,
        None => {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
            serde_json::to_vec(&StructureParts::body(structure, fields))?
        }
    };
    Ok(RestResponse {
        status,
        headers,
        body,
    })
}

/// The members of an answer or an error that are headers.
pub(crate) fn error_headers(
    structure: &'static StructureShape,
    fields: &Fields,
) -> Result<HeaderMap, RestEncodeError> {
    let mut headers = HeaderMap::new();
    for (index, value) in &fields.0 {
        let Some(member) = structure.members.get(usize::from(*index)) else {
            continue;
        };
        match (member.location, value) {
            (Location::Header, value) => {
                insert(&mut headers, member.wire_name, &header_text(member, value)?);
            }
            (Location::PrefixHeaders, Value::Map(entries)) => {
                for (key, value) in entries {
                    if let Value::String(text) = value {
                        insert(&mut headers, &format!("{}{key}", member.wire_name), text);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(headers)
}

/// A name or text that HTTP cannot carry is left out: the caller of the service made it, and the rest is still true.
fn insert(headers: &mut HeaderMap, name: &str, text: &str) {
    if let (Ok(name), Ok(value)) = (
        HeaderName::from_bytes(name.as_bytes()),
        HeaderValue::from_str(text),
    ) {
        headers.insert(name, value);
    }
}

fn header_text(member: &'static Member, value: &Value) -> Result<String, RestEncodeError> {
    Ok(match (&member.target.kind, value) {
        (Kind::List(list), Value::List(items)) => {
            let mut texts = Vec::with_capacity(items.len());
            for item in items {
                let text = scalar::format(
                    list.member,
                    item,
                    list.member_timestamp_format,
                    TimestampFormat::HttpDate,
                )?;
                texts.push(match list.member.kind {
                    Kind::String(_) => quote_item(&text),
                    _ => text,
                });
            }
            texts.join(", ")
        }
        (Kind::String(string), Value::String(text)) if string.json_value => STANDARD.encode(text),
        _ => scalar::format(
            member.target,
            value,
            member.timestamp_format,
            TimestampFormat::HttpDate,
        )?,
    })
}

fn payload(
    member: &'static Member,
    value: Option<&Value>,
    headers: &mut HeaderMap,
) -> Result<Vec<u8>, RestEncodeError> {
    let (content_type, body) = match value {
        Some(Value::Blob(bytes)) => ("application/octet-stream", bytes.to_vec()),
        Some(Value::String(text)) => ("text/plain", text.clone().into_bytes()),
        Some(value) => ("application/json", json(member.target, value)?),
        // A structure that is the payload is a body even when unset.
        None if matches!(&member.target.kind, Kind::Structure(s) if !s.union) => {
            ("application/json", b"{}".to_vec())
        }
        None => return Ok(Vec::new()),
    };
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static(content_type));
    Ok(body)
}

fn json(shape: &'static Shape, value: &Value) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Shaping::wire(shape, value, Names::Wire))
}
