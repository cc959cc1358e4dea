//! A REST request into a value.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;

use super::header::split_list;
use super::route::Labels;
use crate::json::{ShapeSeed, decode_with};
use crate::query::parse_pairs;
use crate::scalar;
use crate::schema::{
    Kind, ListShape, Location, MapShape, Member, Shape, StructureShape, TimestampFormat,
};
use crate::structure::{Names, StructureBuilder};
use crate::timestamp::Offsets;
use crate::value::Value;

pub(crate) struct RestRequest<'r> {
    pub(crate) labels: &'r Labels,
    pub(crate) query: &'r str,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: &'r Bytes,
}

pub(crate) enum RestError {
    /// What is wrong, without the value.
    Malformed(String),
    UnsupportedMediaType,
}

impl RestError {
    fn scalar(member: &Member, shape: &Shape) -> Self {
        Self::Malformed(format!(
            "{} must be {}",
            member.wire_name,
            scalar::wanted(shape)
        ))
    }
}

pub(crate) fn read_request(
    shape: &'static Shape,
    request: &RestRequest<'_>,
) -> Result<Value, RestError> {
    let Kind::Structure(structure) = &shape.kind else {
        return Err(RestError::Malformed(
            "the operation has no input structure".to_owned(),
        ));
    };
    check_content_type(structure, request)?;
    let pairs = parse_pairs(request.query.as_bytes())
        .map_err(|error| RestError::Malformed(error.to_string()))?;
    let mut builder = StructureBuilder::new(structure);
    if structure.payload.is_none()
        && structure
            .members
            .iter()
            .any(|m| m.location == Location::Body)
        && !request.body.is_empty()
    {
        let seed = ShapeSeed::new(shape, Names::Wire).body_only();
        let body = decode_with(seed, request.body)
            .map_err(|error| RestError::Malformed(error.to_string()))?;
        if let Value::Struct(fields) = body {
            fields
                .0
                .into_iter()
                .for_each(|(index, value)| builder.set(index, value));
        }
    }
    for (index, member) in structure.members.iter().enumerate() {
        let value = match member.location {
            Location::Body if structure.payload == Some(index) => payload(member, request)?,
            Location::Body | Location::StatusCode => None,
            Location::Uri { .. } => label(member, request.labels)?,
            Location::QueryString => query(member, &pairs)?,
            Location::QueryParams => query_params(member, &pairs),
            Location::Header => header(member, request.headers)?,
            Location::PrefixHeaders => prefix_headers(member, request.headers),
        };
        if let Some(value) = value {
            builder.set(index as u16, value);
        }
    }
    builder
        .finish()
        .map_err(|error| RestError::Malformed(error.to_string()))
}

/// A body must have the content type that the model expects.
fn check_content_type(
    structure: &StructureShape,
    request: &RestRequest<'_>,
) -> Result<(), RestError> {
    if request.body.is_empty() {
        return Ok(());
    }
    let has_body_members = structure
        .members
        .iter()
        .any(|m| m.location == Location::Body);
    let wanted = match structure.payload.and_then(|i| structure.members.get(i)) {
        Some(member) => match member.target.kind {
            // Whatever the bytes are, their type is the sender's to say.
            Kind::Blob { .. } => return Ok(()),
            Kind::String(_) => Some("text/plain"),
            _ => Some("application/json"),
        },
        None => has_body_members.then_some("application/json"),
    };
    let sent = request.headers.get(http::header::CONTENT_TYPE);
    let sent = sent.map(|sent| {
        let essence = sent.to_str().unwrap_or_default().split(';').next();
        essence.unwrap_or_default().trim().to_ascii_lowercase()
    });
    let fits = match (wanted, sent.as_deref()) {
        (Some(wanted), sent) => sent == Some(wanted),
        // A stray `{}` is passed over, as AWS does.
        (None, sent) => sent.is_none_or(|sent| sent == "application/json"),
    };
    if fits {
        Ok(())
    } else {
        Err(RestError::UnsupportedMediaType)
    }
}

fn payload(member: &'static Member, request: &RestRequest<'_>) -> Result<Option<Value>, RestError> {
    match member.target.kind {
        Kind::Blob { .. } if request.body.is_empty() => Ok(None),
        Kind::Blob { .. } => Ok(Some(Value::Blob(request.body.clone()))),
        _ if request.body.is_empty() => Ok(None),
        Kind::String(_) => match std::str::from_utf8(request.body) {
            Ok(text) => Ok(Some(Value::String(text.to_owned()))),
            Err(_) => Err(RestError::scalar(member, member.target)),
        },
        _ => {
            let seed = ShapeSeed::new(member.target, Names::Wire);
            decode_with(seed, request.body)
                .map(Some)
                .map_err(|error| RestError::Malformed(error.to_string()))
        }
    }
}

fn label(member: &'static Member, labels: &Labels) -> Result<Option<Value>, RestError> {
    // Templates name labels by the member or by its wire name (botocore).
    let found = labels
        .iter()
        .find(|(name, _)| *name == member.wire_name || *name == member.name);
    found
        .map(|(_, text)| {
            scalar::parse(
                member.target,
                text,
                member.timestamp_format,
                TimestampFormat::DateTime,
                Offsets::Refused,
            )
            .ok_or_else(|| RestError::scalar(member, member.target))
        })
        .transpose()
}

fn query(member: &'static Member, pairs: &[(String, String)]) -> Result<Option<Value>, RestError> {
    let mut texts = pairs
        .iter()
        .filter(|(key, _)| key == member.wire_name)
        .map(|(_, text)| text)
        .peekable();
    if texts.peek().is_none() {
        return Ok(None);
    }
    let parse = |shape: &'static Shape, text: &str, format| {
        scalar::parse(
            shape,
            text,
            format,
            TimestampFormat::DateTime,
            Offsets::Refused,
        )
        .ok_or_else(|| RestError::scalar(member, shape))
    };
    match &member.target.kind {
        Kind::List(ListShape {
            member: item,
            member_timestamp_format,
            ..
        }) => texts
            .map(|text| parse(item, text, *member_timestamp_format))
            .collect::<Result<_, _>>()
            .map(|items| Some(Value::List(items))),
        _ => {
            // Of several values for a single member the first counts.
            let text = texts.next().map(String::as_str).unwrap_or_default();
            parse(member.target, text, member.timestamp_format).map(Some)
        }
    }
}

/// All query parameters, those of other members too: so Smithy wants it of servers.
fn query_params(member: &'static Member, pairs: &[(String, String)]) -> Option<Value> {
    let Kind::Map(MapShape { value, .. }) = &member.target.kind else {
        return None;
    };
    let lists = matches!(value.kind, Kind::List(_));
    let mut entries: Vec<(String, Value)> = Vec::new();
    // The number of pairs is limited, but not so that each could search all before it.
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (key, text) in pairs {
        let text = Value::String(text.clone());
        match known.get(key.as_str()) {
            Some(at) => {
                if let (_, Value::List(items)) = &mut entries[*at] {
                    items.push(text);
                }
            }
            None => {
                known.insert(key, entries.len());
                let value = if lists { Value::List(vec![text]) } else { text };
                entries.push((key.clone(), value));
            }
        }
    }
    (!entries.is_empty()).then_some(Value::Map(entries))
}

fn header(member: &'static Member, headers: &HeaderMap) -> Result<Option<Value>, RestError> {
    let mut texts = Vec::new();
    for value in headers.get_all(member.wire_name) {
        texts.push(
            value
                .to_str()
                .map_err(|_| RestError::scalar(member, member.target))?,
        );
    }
    if texts.is_empty() {
        return Ok(None);
    }
    let parse = |shape: &'static Shape, text: &str, format| {
        scalar::parse(
            shape,
            text,
            format,
            TimestampFormat::HttpDate,
            Offsets::Refused,
        )
        .ok_or_else(|| RestError::scalar(member, shape))
    };
    match &member.target.kind {
        Kind::List(list) => {
            let items = split_list(&texts.join(", "), list.member, list.member_timestamp_format)
                .ok_or_else(|| RestError::scalar(member, member.target))?;
            items
                .iter()
                .map(|text| parse(list.member, text, list.member_timestamp_format))
                .collect::<Result<_, _>>()
                .map(|items| Some(Value::List(items)))
        }
        Kind::String(string) if string.json_value => {
            let text = STANDARD
                .decode(texts[0])
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| RestError::scalar(member, member.target))?;
            Ok(Some(Value::String(text)))
        }
        _ => parse(member.target, texts[0].trim(), member.timestamp_format).map(Some),
    }
}

fn prefix_headers(member: &'static Member, headers: &HeaderMap) -> Option<Value> {
    let prefix = member.wire_name.to_ascii_lowercase();
    let entries: Vec<(String, Value)> = headers
        .iter()
        .filter_map(|(name, value)| {
            let key = name.as_str().strip_prefix(prefix.as_str())?;
            Some((
                key.to_owned(),
                Value::String(value.to_str().ok()?.to_owned()),
            ))
        })
        .collect();
    (!entries.is_empty()).then_some(Value::Map(entries))
}
