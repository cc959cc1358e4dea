//! What becomes of the members of a request. Each table names every member once; a test beside it walks the model and
//! fails for one that has no line, so that nothing which AWS takes is dropped without a word.
//!
//! A path is the members' names with dots between them; lists and maps count as what they hold. `a.b=x` is the member
//! `a.b` with the value `x`, for a line of its own.

use serde_json::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Does what AWS says.
    Works,
    /// Kept and returned. Nothing that runs depends on it.
    Described,
    /// Kept and returned, and said to do nothing yet: in a service's events and in the container's log. The text says
    /// what is missing.
    Announced(&'static str),
    /// Kept and returned, and refused where it would run. The text says what Neargate does not have.
    CannotRun(&'static str),
    /// Refused where it is given: by AWS too, or because it would change what runs.
    Refused,
}

pub type Field = (&'static str, Fate);

/// Whether a request gives a member. What is empty, null or false says nothing.
pub fn is_given(request: &Value, path: &str) -> bool {
    match path.split_once('=') {
        None => leads_to(request, path, &says_something),
        Some((path, wanted)) => leads_to(request, path, &|found| found == wanted),
    }
}

fn leads_to(value: &Value, path: &str, is_it: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| leads_to(item, path, is_it)),
        value if path.is_empty() => is_it(value),
        Value::Object(members) => {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            members
                .get(first)
                .is_some_and(|inner| leads_to(inner, rest, is_it))
        }
        _ => false,
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is_set) => *is_set,
        Value::String(text) => !text.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Number(_) | Value::Array(_) => true,
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeSet;

    use neargate_aws_wire::schema::{Kind, Shape};
    use serde_json::json;

    use super::*;

    /// A value of a shape with every member set. Shapes that contain themselves end where they come again.
    pub fn sample(shape: &'static Shape) -> Value {
        sample_within(shape, &mut Vec::new()).unwrap_or(Value::Null)
    }

    fn sample_within(shape: &'static Shape, within: &mut Vec<&'static Shape>) -> Option<Value> {
        if within.contains(&shape) {
            return None;
        }
        within.push(shape);
        let value = match &shape.kind {
            Kind::Structure(structure) => {
                let members = structure.members.iter();
                let members = members.filter_map(|member| {
                    let value = sample_within(member.target, within)?;
                    Some((member.wire_name.to_owned(), value))
                });
                Value::Object(members.collect())
            }
            Kind::List(list) => {
                sample_within(list.member, within).map_or(json!([]), |v| json!([v]))
            }
            Kind::Map(map) => {
                sample_within(map.value, within).map_or(json!({}), |v| json!({ "k": v }))
            }
            Kind::String(string) => json!(string.enum_values.first().unwrap_or(&"x")),
            Kind::Boolean => json!(true),
            Kind::Float { .. } | Kind::Double { .. } => json!(1.5),
            _ => json!(7),
        };
        within.pop();
        Some(value)
    }

    /// The paths of all members, a structure's before those of its members.
    pub fn paths(shape: &'static Shape) -> Vec<(String, &'static Shape)> {
        let mut found = Vec::new();
        collect(shape, "", &mut Vec::new(), &mut found);
        found
    }

    fn collect(
        shape: &'static Shape,
        path: &str,
        within: &mut Vec<&'static Shape>,
        found: &mut Vec<(String, &'static Shape)>,
    ) {
        match &shape.kind {
            Kind::List(list) => collect(list.member, path, within, found),
            Kind::Map(map) => collect(map.value, path, within, found),
            Kind::Structure(structure) if !within.contains(&shape) => {
                within.push(shape);
                for member in structure.members {
                    let path = match path {
                        "" => member.name.to_owned(),
                        path => format!("{path}.{}", member.name),
                    };
                    found.push((path.clone(), member.target));
                    collect(member.target, &path, within, found);
                }
                within.pop();
            }
            _ => {}
        }
    }

    /// Every member of the model has a line, or stands below one whose fate is its members' too; and every line is a
    /// member of the model.
    pub fn check_complete(input: &'static Shape, table: &[Field]) {
        let known: BTreeSet<&str> = table.iter().map(|(path, _)| *path).collect();
        assert_eq!(known.len(), table.len(), "a member has two lines");
        let stands_for_its_members = |path: &str| {
            let fate = table.iter().find(|(known, _)| *known == path);
            fate.is_some_and(|(_, fate)| *fate != Fate::Works)
        };
        let all = paths(input);
        let mut missing = Vec::new();
        for (path, _) in &all {
            let mut above = path.as_str();
            let mut is_covered = known.contains(above);
            while let Some((parent, _)) = above.rsplit_once('.') {
                is_covered |= stands_for_its_members(parent);
                above = parent;
            }
            if !is_covered {
                missing.push(path.as_str());
            }
        }
        assert!(
            missing.is_empty(),
            "{} has members without a line in the table of their fates: {missing:#?}",
            input.name
        );
        for path in known {
            let member = path.split('=').next().unwrap_or(path);
            assert!(
                all.iter().any(|(known, _)| known == member),
                "{} has no member {path}",
                input.name
            );
        }
    }

    #[test]
    fn what_is_given() {
        let request = json!({
            "a": { "b": [{ "c": "x" }, { "c": "y" }], "d": [], "e": {}, "f": "", "g": 0 },
            "h": false,
            "i": true,
            "j": null,
        });
        for (path, want) in [
            ("a", true),
            ("a.b", true),
            ("a.b.c", true),
            ("a.b.c=y", true),
            ("a.b.c=z", false),
            ("a.d", false),
            ("a.e", false),
            ("a.f", false),
            ("a.g", true),
            ("a.x", false),
            ("h", false),
            ("i", true),
            ("j", false),
            ("j.k", false),
        ] {
            assert_eq!(is_given(&request, path), want, "{path}");
        }
    }
}
