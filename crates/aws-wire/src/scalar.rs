//! Scalars as text: query parameters, path labels, headers, XML element content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::{special_float, special_float_text};
use crate::schema::{Kind, Shape, TimestampFormat};
use crate::timestamp::{self, Offsets};
use crate::value::{ShapeMismatch, Value};

/// Parses the text form of a scalar. `None`: the text is not one, or the shape is no scalar.
pub(crate) fn parse(
    shape: &Shape,
    text: &str,
    timestamp_format: Option<TimestampFormat>,
    default_format: TimestampFormat,
    offsets: Offsets,
) -> Option<Value> {
    Some(match &shape.kind {
        Kind::String(_) => Value::String(text.to_owned()),
        Kind::Boolean => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => return None,
        },
        Kind::Integer { .. } => Value::Int(parse_integer(text)?.try_into().ok().map(i32::into)?),
        Kind::Long { .. } => Value::Int(parse_integer(text)?),
        Kind::Float { .. } | Kind::Double { .. } => Value::Double(parse_float(text)?),
        Kind::Blob { .. } => Value::Blob(STANDARD.decode(text).ok()?.into()),
        Kind::Timestamp { format } => {
            let format = timestamp_format.or(*format).unwrap_or(default_format);
            Value::Timestamp(timestamp::parse(text, format, offsets)?)
        }
        Kind::Structure(_) | Kind::List(_) | Kind::Map(_) | Kind::Document => return None,
    })
}

fn parse_integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    // Rust's parser takes a leading plus, AWS does not.
    digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

fn parse_float(text: &str) -> Option<f64> {
    if let Some(special) = special_float(text) {
        return Some(special);
    }
    // Rust's parser also takes "inf" and "nan".
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    plain.then(|| text.parse().ok()).flatten()
}

/// The text form of a scalar.
pub(crate) fn format(
    shape: &'static Shape,
    value: &Value,
    timestamp_format: Option<TimestampFormat>,
    default_format: TimestampFormat,
) -> Result<String, ShapeMismatch> {
    Ok(match (&shape.kind, value) {
        (Kind::String(_), Value::String(text)) => text.clone(),
        (Kind::Boolean, Value::Bool(value)) => value.to_string(),
        (Kind::Integer { .. } | Kind::Long { .. }, Value::Int(number)) => number.to_string(),
        (Kind::Float { .. } | Kind::Double { .. }, Value::Double(number))
            if !number.is_finite() =>
        {
            special_float_text(*number).to_owned()
        }
        (Kind::Float { .. }, Value::Double(number)) => (*number as f32).to_string(),
        (Kind::Double { .. }, Value::Double(number)) => number.to_string(),
        (Kind::Blob { .. }, Value::Blob(bytes)) => STANDARD.encode(bytes),
        (Kind::Timestamp { format }, Value::Timestamp(timestamp)) => {
            let format = timestamp_format.or(*format).unwrap_or(default_format);
            timestamp::format(*timestamp, format)
        }
        _ => {
            return Err(ShapeMismatch {
                shape: shape.name,
                expected: "a scalar of its kind",
            });
        }
    })
}

/// What a caller is told when a scalar cannot be parsed.
pub(crate) fn wanted(shape: &Shape) -> &'static str {
    match shape.kind {
        Kind::String(_) => "a string",
        Kind::Integer { .. } => "an integer",
        Kind::Long { .. } => "a long integer",
        Kind::Float { .. } | Kind::Double { .. } => "a number",
        Kind::Boolean => "a boolean",
        Kind::Blob { .. } => "base64",
        Kind::Timestamp { .. } => "a timestamp",
        Kind::List(_) => "a list",
        Kind::Map(_) => "a map",
        Kind::Structure(_) => "a structure",
        Kind::Document => "a document",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_strict() {
        for (name, text, integer, float) in [
            ("plain", "12", Some(12), Some(12.0)),
            ("negative", "-12", Some(-12), Some(-12.0)),
            ("plus", "+12", None, Some(12.0)),
            ("fraction", "1.5", None, Some(1.5)),
            ("word", "inf", None, None),
            ("hex", "0x10", None, None),
            ("empty", "", None, None),
            ("sign only", "-", None, None),
            (
                "too big",
                "9223372036854775808",
                None,
                Some(9.223372036854776e18),
            ),
            ("infinity", "-Infinity", None, Some(f64::NEG_INFINITY)),
        ] {
            assert_eq!(parse_integer(text), integer, "{name}");
            assert_eq!(parse_float(text), float, "{name}");
        }
    }
}
