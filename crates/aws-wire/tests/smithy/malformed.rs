//! Malformed-request tests: templates filled in from lists of parameters.

use serde_json::Value as Json;

use super::cases::list;

/// All variants of a malformed-request case, with its parameters filled in.
pub fn expand(case: &Json) -> Vec<Json> {
    let Some(parameters) = case["testParameters"].as_object() else {
        return vec![case.clone()];
    };
    let count = parameters
        .values()
        .map(|values| list(values).len())
        .max()
        .unwrap_or(0);
    (0..count)
        .map(|at| {
            let values: Vec<(&str, &str)> = parameters
                .iter()
                .map(|(name, values)| {
                    (
                        name.as_str(),
                        values[at].as_str().expect("parameters are texts"),
                    )
                })
                .collect();
            fill_json(case, &values)
        })
        .collect()
}

fn fill_json(json: &Json, values: &[(&str, &str)]) -> Json {
    match json {
        Json::String(template) => Json::String(fill(template, values)),
        Json::Array(items) => items.iter().map(|item| fill_json(item, values)).collect(),
        Json::Object(entries) => entries
            .iter()
            .map(|(key, value)| (fill(key, values), fill_json(value, values)))
            .collect(),
        other => other.clone(),
    }
}

/// `$name:L` is the value, `$name:S` the value as a quoted string, `$$` a dollar.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let Some((_, value)) = values.iter().find(|(name, _)| *name == &rest[..end]) else {
            filled.push('$');
            continue;
        };
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix(":S") {
            filled.push_str(&Json::from(*value).to_string());
            rest = after;
        } else {
            filled.push_str(value);
            rest = rest.strip_prefix(":L").unwrap_or(rest);
        }
    }
    filled + rest
}
