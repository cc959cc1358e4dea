//! Reduces one service's model to what the generator reads.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::selection::ServiceSelection;

/// Keys that hold prose or concern clients only, wherever they stand.
const DROPPED_KEYS: [&str; 13] = [
    "auth",
    "authtype",
    "contextParam",
    "deprecated",
    "deprecatedMessage",
    "deprecatedSince",
    "documentation",
    "documentationUrl",
    "endpoint",
    "idempotent",
    "readonly",
    "synthetic",
    "unsignedPayload",
];

/// Service-wide facts that the wire needs.
const METADATA_KEYS: [&str; 10] = [
    "apiVersion",
    "awsQueryCompatible",
    "endpointPrefix",
    "jsonVersion",
    "protocol",
    "protocols",
    "serviceId",
    "signingName",
    "targetPrefix",
    "xmlNamespace",
];

pub fn trim(model: &Value, paginators: &Value, selection: &ServiceSelection) -> Result<Value> {
    let all = model["operations"].as_object().context("no operations")?;
    let mut operations = Map::new();
    let mut names_only = Vec::new();
    for (name, operation) in all {
        match &selection.operations {
            Some(selected) if !selected.contains(name) => names_only.push(name.clone()),
            _ => {
                operations.insert(name.clone(), without_prose(operation));
            }
        }
    }
    for name in selection.operations.iter().flatten() {
        if !all.contains_key(name) {
            bail!("models/selection.json names {name}, which the model does not have");
        }
    }
    names_only.sort();
    let shapes = reachable_shapes(model, &operations, selection)?;
    let mut metadata = Map::new();
    for key in METADATA_KEYS {
        if let Some(value) = model["metadata"].get(key) {
            metadata.insert(key.to_owned(), value.clone());
        }
    }
    let mut pagination = Map::new();
    for (name, page) in paginators["pagination"].as_object().into_iter().flatten() {
        if operations.contains_key(name) {
            pagination.insert(name.clone(), page.clone());
        }
    }
    Ok(json!({
        "metadata": metadata,
        "names_only": names_only,
        "operations": operations,
        "pagination": pagination,
        "shapes": shapes,
    }))
}

/// The shapes that the operations' inputs, outputs and errors reach.
fn reachable_shapes(
    model: &Value,
    operations: &Map<String, Value>,
    selection: &ServiceSelection,
) -> Result<Map<String, Value>> {
    let mut pending: Vec<String> = Vec::new();
    operations
        .values()
        .for_each(|operation| referenced_shapes(operation, &mut pending));
    let mut seen = BTreeSet::new();
    let mut shapes = Map::new();
    while let Some(name) = pending.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        let shape = model["shapes"]
            .get(&name)
            .with_context(|| format!("the model refers to {name}, which it does not define"))?;
        let mut shape = without_prose(shape);
        referenced_shapes(&shape, &mut pending);
        if selection.sensitive.contains(&name) {
            shape["sensitive"] = Value::Bool(true);
        }
        if let (Some(more), Some(values)) = (
            selection.enum_values.get(&name),
            shape.get_mut("enum").and_then(Value::as_array_mut),
        ) {
            values.extend(more.iter().cloned().map(Value::from));
        }
        shapes.insert(name, shape);
    }
    for name in selection
        .sensitive
        .iter()
        .chain(selection.enum_values.keys())
    {
        if !seen.contains(name) {
            bail!("models/selection.json changes {name}, which no operation uses");
        }
    }
    Ok(shapes)
}

/// Every `"shape": "Name"` below `value`.
fn referenced_shapes(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                match inner {
                    Value::String(name) if key == "shape" => names.push(name.clone()),
                    inner => referenced_shapes(inner, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| referenced_shapes(item, names)),
        _ => {}
    }
}

/// A copy without [`DROPPED_KEYS`]. The names below `members` are the model's own and are all kept.
fn without_prose(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(key, _)| !DROPPED_KEYS.contains(&key.as_str()))
            .map(|(key, inner)| {
                let inner = match inner {
                    Value::Object(members) if key == "members" => members
                        .iter()
                        .map(|(name, member)| (name.clone(), without_prose(member)))
                        .collect::<Map<_, _>>()
                        .into(),
                    inner => without_prose(inner),
                };
                (key.clone(), inner)
            })
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(without_prose).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Value {
        json!({
            "metadata": {"apiVersion": "2020-01-01", "uid": "x", "protocol": "json"},
            "operations": {
                "Keep": {
                    "name": "Keep", "documentation": "prose",
                    "input": {"shape": "KeepRequest"}, "output": {"shape": "Colour"},
                    "errors": [{"shape": "Gone"}]
                },
                "Other": {"name": "Other", "input": {"shape": "OtherRequest"}},
            },
            "shapes": {
                "KeepRequest": {"type": "structure", "documentation": "prose", "members": {
                    // A member may be called like a key that is dropped elsewhere.
                    "documentation": {"shape": "Text", "documentation": "prose"},
                }},
                "Text": {"type": "string", "min": 1},
                "Colour": {"type": "string", "enum": ["red"]},
                "Gone": {"type": "structure", "members": {}, "exception": true},
                "OtherRequest": {"type": "structure", "members": {}},
            },
        })
    }

    fn selection(operations: Option<&[&str]>, sensitive: &[&str]) -> ServiceSelection {
        let set = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
        ServiceSelection {
            operations: operations.map(set),
            sensitive: set(sensitive),
            enum_values: [("Colour".to_owned(), vec!["blue".to_owned()])]
                .into_iter()
                .filter(|_| operations.is_some())
                .collect(),
        }
    }

    #[test]
    fn a_selected_operation_keeps_its_shapes_and_the_others_their_names() {
        let paginators = json!({"pagination": {"Keep": {"limit_key": "n"}, "Other": {}}});
        let trimmed = trim(
            &model(),
            &paginators,
            &selection(Some(&["Keep"]), &["Text"]),
        )
        .unwrap();
        assert_eq!(
            trimmed,
            json!({
                "metadata": {"apiVersion": "2020-01-01", "protocol": "json"},
                "names_only": ["Other"],
                "operations": {"Keep": {
                    "name": "Keep", "input": {"shape": "KeepRequest"}, "output": {"shape": "Colour"},
                    "errors": [{"shape": "Gone"}]
                }},
                "pagination": {"Keep": {"limit_key": "n"}},
                "shapes": {
                    "KeepRequest": {"type": "structure", "members": {"documentation": {"shape": "Text"}}},
                    "Text": {"type": "string", "min": 1, "sensitive": true},
                    "Colour": {"type": "string", "enum": ["red", "blue"]},
                    "Gone": {"type": "structure", "members": {}, "exception": true},
                },
            })
        );
    }

    #[test]
    fn a_selection_that_the_model_does_not_know_is_refused() {
        for (name, selection, want) in [
            (
                "operation",
                selection(Some(&["Keep", "Nope"]), &[]),
                "names Nope",
            ),
            ("shape", selection(None, &["Nope"]), "changes Nope"),
        ] {
            let error = trim(&model(), &json!({}), &selection).unwrap_err();
            assert!(error.to_string().contains(want), "{name}: {error}");
        }
    }
}
