//! The `params` of a test case as a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neargate_aws_wire::schema::{DefaultValue, Kind, Shape};
use neargate_aws_wire::value::{Fields, Value};
use serde_json::Value as Json;

/// Smithy writes blobs as plain text, timestamps as epoch seconds and special floats as strings.
///
/// A server knows the members that a client left out with their defaults: `fill_defaults`.
pub fn value(shape: &'static Shape, json: &Json, fill_defaults: bool) -> Value {
    match (&shape.kind, json) {
        (Kind::Document, json) => Value::Document(json.clone()),
        (_, Json::Null) => Value::Null,
        (Kind::Structure(structure), Json::Object(object)) => {
            let mut fields = Fields::default();
            for (index, member) in structure.members.iter().enumerate() {
                match object.get(member.name) {
                    None | Some(Json::Null) => {
                        if let (true, Some(default)) = (fill_defaults, &member.default) {
                            fields.push(index as u16, default_value(member.target, default));
                        }
                    }
                    Some(json) => {
                        fields.push(index as u16, value(member.target, json, fill_defaults));
                    }
                }
            }
            Value::Struct(fields)
        }
        (Kind::List(list), Json::Array(items)) => Value::List(
            items
                .iter()
                .map(|item| value(list.member, item, fill_defaults))
                .collect(),
        ),
        (Kind::Map(map), Json::Object(object)) => Value::Map(
            object
                .iter()
                .map(|(key, json)| (key.clone(), value(map.value, json, fill_defaults)))
                .collect(),
        ),
        (Kind::String(_), Json::String(text)) => Value::String(text.clone()),
        (Kind::Blob { .. }, Json::String(text)) => Value::Blob(text.clone().into_bytes().into()),
        (Kind::Boolean, Json::Bool(value)) => Value::Bool(*value),
        (Kind::Integer { .. } | Kind::Long { .. }, Json::Number(number)) => {
            Value::Int(number.as_i64().expect("an integer"))
        }
        (Kind::Float { .. } | Kind::Double { .. }, json) => Value::Double(float(json)),
        (Kind::Timestamp { .. }, json) => {
            let millis = (float(json) * 1e3).round() as i64;
            Value::Timestamp(jiff::Timestamp::from_millisecond(millis).expect("in range"))
        }
        (kind, json) => panic!("{json} is no literal of {}: {kind:?}", shape.name),
    }
}

fn default_value(shape: &'static Shape, default: &DefaultValue) -> Value {
    let json = match default {
        DefaultValue::Bool(value) => Json::from(*value),
        DefaultValue::Int(value) => Json::from(*value),
        DefaultValue::Double(value) => Json::from(*value),
        DefaultValue::String(value) => Json::from(*value),
        DefaultValue::EmptyList => Json::Array(Vec::new()),
        DefaultValue::EmptyMap => Json::Object(serde_json::Map::new()),
        DefaultValue::EmptyBlob => Json::from(""),
        DefaultValue::Json(text) => serde_json::from_str(text).expect("the loader wrote it"),
    };
    match (&shape.kind, &json) {
        // The model has blobs in base64, unlike the cases.
        (Kind::Blob { .. }, Json::String(text)) => {
            Value::Blob(STANDARD.decode(text).expect("base64").into())
        }
        _ => value(shape, &json, true),
    }
}

fn float(json: &Json) -> f64 {
    match json {
        Json::String(text) => text.parse().expect("NaN, Infinity or -Infinity"),
        json => json.as_f64().expect("a number"),
    }
}

/// A text that is the same for values that mean the same: members and map entries in a fixed order, NaN equal to
/// itself, floats at the precision of the wire.
pub fn canonical(shape: &'static Shape, value: &Value) -> String {
    match (&shape.kind, value) {
        (Kind::Structure(structure), Value::Struct(fields)) => {
            let mut members: Vec<String> = fields
                .0
                .iter()
                .map(|(index, value)| {
                    let member = &structure.members[usize::from(*index)];
                    format!("{}: {}", member.name, canonical(member.target, value))
                })
                .collect();
            members.sort();
            format!("{{{}}}", members.join(", "))
        }
        (Kind::List(list), Value::List(items)) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| canonical(list.member, item))
                .collect();
            format!("[{}]", items.join(", "))
        }
        (Kind::Map(map), Value::Map(entries)) => {
            let mut entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key:?}: {}", canonical(map.value, value)))
                .collect();
            entries.sort();
            format!("map {{{}}}", entries.join(", "))
        }
        (Kind::Float { .. }, Value::Double(number)) => format!("{:?}", *number as f32),
        (_, value) => format!("{value:?}"),
    }
}
