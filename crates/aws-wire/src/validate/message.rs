//! How services word a broken constraint (wire-protocols.md section 4, ecs.md 1.5, ecr.md 1,
//! network-and-discovery.md 1).

use super::{Constraint, Shown, Step, Violation};
use crate::error::ApiError;
use crate::schema::ValidationStyle;

/// Longest text of a value that an error repeats.
const MAX_SHOWN_CHARS: usize = 1024;

pub(super) fn error(style: ValidationStyle, violations: &[Violation]) -> ApiError {
    match style {
        ValidationStyle::Coral => ApiError::client("ValidationException", coral(violations)),
        ValidationStyle::InvalidParameter => {
            ApiError::client("InvalidParameterException", coral(violations))
        }
        ValidationStyle::Query => ApiError::client("ValidationError", coral(violations)),
        ValidationStyle::Ecr => ApiError::client("InvalidParameterException", ecr(&violations[0])),
        ValidationStyle::Ec2 => ec2(&violations[0]),
        ValidationStyle::Ecs => ecs(violations),
    }
}

/// `1 validation error detected: Value 'x' at 'a.1.member' failed to satisfy constraint: Member must ...`
fn coral(violations: &[Violation]) -> String {
    let (count, noun) = match violations.len() {
        1 => (1, "error"),
        count => (count, "errors"),
    };
    let each: Vec<String> = violations
        .iter()
        .map(|violation| {
            let value = match &violation.value {
                Shown::Null => "Value null".to_owned(),
                Shown::Text(text) => format!("Value '{}'", shortened(text)),
                Shown::Hidden => "Value".to_owned(),
            };
            format!(
                "{value} at '{}' failed to satisfy constraint: {}",
                coral_path(&violation.path),
                requirement(&violation.constraint)
            )
        })
        .collect();
    format!("{count} validation {noun} detected: {}", each.join("; "))
}

/// ECR: `Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy ...'`, the first only.
fn ecr(violation: &Violation) -> String {
    let requirement = match &violation.constraint {
        Constraint::Pattern(pattern) => format!("must satisfy regular expression '{pattern}'"),
        other => requirement(other),
    };
    format!(
        "Invalid parameter at '{}' failed to satisfy constraint: '{requirement}'",
        coral_path(&violation.path)
    )
}

fn ec2(violation: &Violation) -> ApiError {
    let name = ec2_path(&violation.path);
    let value = match &violation.value {
        Shown::Text(text) => shortened(text),
        Shown::Null | Shown::Hidden => "",
    };
    match &violation.constraint {
        Constraint::Required => ApiError::client(
            "MissingParameter",
            format!("The request must contain the parameter {name}"),
        ),
        Constraint::Min(min) => ApiError::client(
            "InvalidParameterValue",
            format!(
                "Value ( {value} ) for parameter {name} is invalid. Expecting a value greater than or equal to {min}."
            ),
        ),
        Constraint::Max(max) => ApiError::client(
            "InvalidParameterValue",
            format!(
                "Value ( {value} ) for parameter {name} is invalid. Expecting a value less than or equal to {max}."
            ),
        ),
        other => ApiError::client(
            "InvalidParameterValue",
            format!(
                "Value ({value}) for parameter {name} is invalid. {}",
                requirement(other)
            ),
        ),
    }
}

/// ECS names one missing member in words of its own ("TaskDefinition can not be blank.", "Container.name should not be
/// null or empty"); the rest has the common form.
fn ecs(violations: &[Violation]) -> ApiError {
    let missing = violations
        .iter()
        .find(|v| v.constraint == Constraint::Required);
    let Some(missing) = missing else {
        return ApiError::client("ClientException", coral(violations));
    };
    let text = match missing.path.as_slice() {
        [Step::Member { name, .. }] => {
            let text = format!("{} can not be blank.", upper_first(name));
            return ApiError::client("InvalidParameterException", text);
        }
        [
            ..,
            Step::Member {
                name,
                owner: Some(owner),
                ..
            },
        ] => {
            // The model's ContainerDefinition is the API's Container.
            let owner = owner.strip_suffix("Definition").unwrap_or(owner);
            format!("{owner}.{name} should not be null or empty.")
        }
        path => format!("{} should not be null or empty.", coral_path(path)),
    };
    ApiError::client("ClientException", text)
}

fn requirement(constraint: &Constraint) -> String {
    match constraint {
        Constraint::Required => "Member must not be null".to_owned(),
        Constraint::MinLength(min) => {
            format!("Member must have length greater than or equal to {min}")
        }
        Constraint::MaxLength(max) => {
            format!("Member must have length less than or equal to {max}")
        }
        Constraint::Min(min) => format!("Member must have value greater than or equal to {min}"),
        Constraint::Max(max) => format!("Member must have value less than or equal to {max}"),
        Constraint::Pattern(pattern) => {
            format!("Member must satisfy regular expression pattern: {pattern}")
        }
        Constraint::Enum(values) => {
            format!(
                "Member must satisfy enum value set: [{}]",
                values.join(", ")
            )
        }
    }
}

/// `names.1.member`, `tags.key`: members in lower camel case, items counted from one.
fn coral_path(path: &[Step]) -> String {
    let steps: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Member { name, .. } => lower_first(name),
            Step::Item(number) => format!("{number}.member"),
            Step::Key(key) => format!("{}.member", shortened(key)),
        })
        .collect();
    steps.join(".")
}

/// `Filter.1.Name`: the parameter as the caller sent it.
fn ec2_path(path: &[Step]) -> String {
    let steps: Vec<String> = path
        .iter()
        .map(|step| match step {
            Step::Member { ec2_name, .. } => (*ec2_name).to_owned(),
            Step::Item(number) => number.to_string(),
            Step::Key(key) => shortened(key).to_owned(),
        })
        .collect();
    steps.join(".")
}

fn lower_first(name: &str) -> String {
    with_first(name, |c| c.to_ascii_lowercase())
}

fn upper_first(name: &str) -> String {
    with_first(name, |c| c.to_ascii_uppercase())
}

fn with_first(name: &str, change: impl Fn(char) -> char) -> String {
    let mut chars = name.chars();
    chars.next().map(change).into_iter().chain(chars).collect()
}

fn shortened(text: &str) -> &str {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}
