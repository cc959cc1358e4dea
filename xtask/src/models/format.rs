//! JSON text that is compact and still gives readable differences: keys sorted, and one line for everything that
//! fits into one.

use serde_json::{Map, Value};

/// The widest line that holds a whole object or list.
const LINE_WIDTH: usize = 120;

/// Two blanks for each level.
const INDENT: usize = 2;

pub fn to_text(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, 0, &mut text);
    text.push('\n');
    text
}

/// Writes `value` at `level`; `prefix` is the width already taken on the line beside the indentation.
fn write(value: &Value, level: usize, prefix: usize, text: &mut String) {
    let line = on_one_line(value);
    let fits = level * INDENT + prefix + line.len() < LINE_WIDTH;
    match value {
        // The top levels are always expanded, so that each operation and shape starts a line of its own.
        Value::Object(map) if !map.is_empty() && (level < 2 || !fits) => {
            text.push_str("{\n");
            let members = sorted(map);
            for (i, (key, inner)) in members.iter().enumerate() {
                let key = format!("{}: ", Value::from(key.as_str()));
                indent(level + 1, text);
                text.push_str(&key);
                write(inner, level + 1, key.len(), text);
                text.push_str(if i + 1 < members.len() { ",\n" } else { "\n" });
            }
            indent(level, text);
            text.push('}');
        }
        Value::Array(items) if !items.is_empty() && !fits => {
            text.push_str("[\n");
            for (i, inner) in items.iter().enumerate() {
                indent(level + 1, text);
                write(inner, level + 1, 0, text);
                text.push_str(if i + 1 < items.len() { ",\n" } else { "\n" });
            }
            indent(level, text);
            text.push(']');
        }
        _ => text.push_str(&line),
    }
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members: Vec<String> = sorted(map)
                .into_iter()
                .map(|(key, inner)| {
                    format!("{}: {}", Value::from(key.as_str()), on_one_line(inner))
                })
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(on_one_line).collect();
            format!("[{}]", items.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = map.iter().collect();
    members.sort_by_key(|(key, _)| *key);
    members
}

fn indent(level: usize, text: &mut String) {
    text.extend(std::iter::repeat_n(' ', level * INDENT));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn small_things_stay_on_a_line_and_large_ones_are_expanded() {
        let long = "x".repeat(LINE_WIDTH);
        for (name, value, want) in [
            ("scalar", json!(1), "1\n".to_owned()),
            (
                "two levels open, keys sorted, the third closed",
                json!({"b": {}, "a": {"shape": {"type": "string", "max": 3}}}),
                "{\n  \"a\": {\n    \"shape\": {\"max\": 3, \"type\": \"string\"}\n  },\n  \"b\": {}\n}\n".to_owned(),
            ),
            (
                "a list too long for a line",
                json!([long]),
                format!("[\n  \"{long}\"\n]\n"),
            ),
        ] {
            assert_eq!(to_text(&value), want, "{name}");
        }
    }
}
