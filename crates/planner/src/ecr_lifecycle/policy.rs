//! The policy document, and what of it makes sense.

use serde::Deserialize;

/// Rules of a policy (user guide, "service quotas").
const MAX_RULES: usize = 50;
/// `*` in one tag pattern.
const MAX_WILDCARDS: usize = 4;

/// The document as it is written, before it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    rules: Vec<RuleDocument>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RuleDocument {
    rule_priority: i64,
    #[serde(rename = "description", default)]
    _description: Option<String>,
    selection: SelectionDocument,
    action: ActionDocument,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SelectionDocument {
    tag_status: String,
    #[serde(default)]
    tag_prefix_list: Option<Vec<String>>,
    #[serde(default)]
    tag_pattern_list: Option<Vec<String>>,
    count_type: String,
    #[serde(default)]
    count_unit: Option<String>,
    count_number: i64,
    #[serde(default)]
    storage_class: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ActionDocument {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    target_storage_class: Option<String>,
}

/// Why a document is no policy. The text is for the one who wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPolicy(String);

/// A policy that makes sense. Its rules are in the order of their priorities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub priority: i32,
    pub tags: TagCondition,
    pub count: Count,
}

/// Which images a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TagCondition {
    Any,
    Untagged,
    /// For each of these prefixes the image has a tag.
    Prefixes(Vec<String>),
    /// For each of these patterns the image has a tag.
    Patterns(Vec<String>),
}

/// When one of them has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    /// All but the newest.
    MoreThan(usize),
    PushedDaysAgo(i64),
    /// An image that was never pulled counts from its push.
    PulledDaysAgo(i64),
}

impl TryFrom<PolicyDocument> for Policy {
    type Error = InvalidPolicy;

    fn try_from(document: PolicyDocument) -> Result<Self, InvalidPolicy> {
        if document.rules.is_empty() || document.rules.len() > MAX_RULES {
            return Err(InvalidPolicy(format!(
                "a policy has 1 to {MAX_RULES} rules, not {}",
                document.rules.len()
            )));
        }
        let mut rules = document
            .rules
            .into_iter()
            .map(rule)
            .collect::<Result<Vec<Rule>, _>>()?;
        rules.sort_by_key(|rule| rule.priority);
        check_together(&rules)?;
        Ok(Self { rules })
    }
}

fn rule(document: RuleDocument) -> Result<Rule, InvalidPolicy> {
    let fail = |why: String| {
        Err(InvalidPolicy(format!(
            "rule with priority {}: {why}",
            document.rule_priority
        )))
    };
    let Some(priority) = i32::try_from(document.rule_priority)
        .ok()
        .filter(|p| *p >= 1)
    else {
        return fail("rulePriority must be 1 or more".into());
    };
    let selection = document.selection;
    match (
        document.action.kind.as_str(),
        document.action.target_storage_class,
    ) {
        ("expire", None) => {}
        ("expire", Some(_)) => return fail("targetStorageClass is for transitions".into()),
        ("transition", _) => {
            return fail("Neargate has no archive storage class to transition images to".into());
        }
        (other, _) => return fail(format!("action type '{other}' is not expire")),
    }
    match selection.storage_class.as_deref() {
        None | Some("standard") => {}
        Some(_) => return fail("Neargate has no storage class but standard".into()),
    }
    let count = match (
        selection.count_type.as_str(),
        selection.count_unit.as_deref(),
    ) {
        ("imageCountMoreThan", None) => {
            Count::MoreThan(usize::try_from(selection.count_number).unwrap_or_default())
        }
        ("imageCountMoreThan", Some(_)) => {
            return fail("countUnit does not go with imageCountMoreThan".into());
        }
        ("sinceImagePushed", Some("days")) => Count::PushedDaysAgo(selection.count_number),
        ("sinceImagePulled", Some("days")) => Count::PulledDaysAgo(selection.count_number),
        ("sinceImagePushed" | "sinceImagePulled", _) => {
            return fail(format!("{} needs countUnit days", selection.count_type));
        }
        ("sinceImageTransitioned", _) => {
            return fail("Neargate has no archive storage class to count from".into());
        }
        (other, _) => return fail(format!("countType '{other}' is unknown")),
    };
    if selection.count_number < 1 {
        return fail("countNumber must be 1 or more".into());
    }
    let tags = match (
        selection.tag_status.as_str(),
        selection.tag_prefix_list,
        selection.tag_pattern_list,
    ) {
        ("any", None, None) => TagCondition::Any,
        ("untagged", None, None) => TagCondition::Untagged,
        ("any" | "untagged", _, _) => {
            return fail("tagPrefixList and tagPatternList go with tagStatus tagged only".into());
        }
        ("tagged", Some(prefixes), None) if is_list(&prefixes) => TagCondition::Prefixes(prefixes),
        ("tagged", None, Some(patterns)) if is_list(&patterns) => {
            let stars = |pattern: &String| pattern.bytes().filter(|b| *b == b'*').count();
            if patterns
                .iter()
                .any(|pattern| stars(pattern) > MAX_WILDCARDS)
            {
                return fail(format!(
                    "a tag pattern has at most {MAX_WILDCARDS} wildcards (*)"
                ));
            }
            TagCondition::Patterns(patterns)
        }
        ("tagged", _, _) => {
            return fail("tagStatus tagged needs a tagPrefixList or a tagPatternList, not both and not empty".into());
        }
        (other, _, _) => {
            return fail(format!(
                "tagStatus '{other}' is not tagged, untagged or any"
            ));
        }
    };
    Ok(Rule {
        priority,
        tags,
        count,
    })
}

fn is_list(texts: &[String]) -> bool {
    !texts.is_empty() && texts.iter().all(|text| !text.is_empty())
}

/// What must hold among the rules, which are sorted by priority.
fn check_together(rules: &[Rule]) -> Result<(), InvalidPolicy> {
    for (at, rule) in rules.iter().enumerate() {
        let others = &rules[at + 1..];
        if others.iter().any(|other| other.priority == rule.priority) {
            return Err(InvalidPolicy(format!(
                "the rulePriority {} is used more than once",
                rule.priority
            )));
        }
        match &rule.tags {
            TagCondition::Any if !others.is_empty() => {
                return Err(InvalidPolicy(
                    "a rule with tagStatus any must stand once and have the highest rulePriority"
                        .into(),
                ));
            }
            TagCondition::Untagged if others.iter().any(|o| o.tags == TagCondition::Untagged) => {
                return Err(InvalidPolicy(
                    "only one rule may have tagStatus untagged".into(),
                ));
            }
            TagCondition::Prefixes(prefixes)
                if others.iter().any(|o| same_prefixes(prefixes, &o.tags)) =>
            {
                return Err(InvalidPolicy(
                    "two rules have the same tagPrefixList".into(),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn same_prefixes(prefixes: &[String], other: &TagCondition) -> bool {
    match other {
        TagCondition::Prefixes(others) => {
            prefixes.iter().all(|p| others.contains(p))
                && others.iter().all(|o| prefixes.contains(o))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(priority: i64, selection: Value) -> Value {
        json!({"rulePriority": priority, "selection": selection, "action": {"type": "expire"}})
    }

    fn parse(rules: Vec<Value>) -> Result<Policy, String> {
        let document: PolicyDocument =
            serde_json::from_value(json!({ "rules": rules })).map_err(|e| e.to_string())?;
        Policy::try_from(document).map_err(|e| e.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let untagged = json!({"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 1});
        let any = json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 1});
        let prefix = |list: Value| json!({"tagStatus": "tagged", "tagPrefixList": list, "countType": "imageCountMoreThan", "countNumber": 1});
        let pattern = |list: Value| json!({"tagStatus": "tagged", "tagPatternList": list, "countType": "imageCountMoreThan", "countNumber": 1});
        let with = |key: &str, value: Value| {
            let mut selection = any.clone();
            selection[key] = value;
            selection
        };
        let action = |action: Value| json!({"rulePriority": 1, "selection": any, "action": action});
        for (name, rules, want) in [
            (
                "untagged and any",
                vec![rule(1, untagged.clone()), rule(2, any.clone())],
                "",
            ),
            (
                "prefixes",
                vec![
                    rule(1, prefix(json!(["a"]))),
                    rule(2, prefix(json!(["a", "b"]))),
                ],
                "",
            ),
            ("patterns", vec![rule(1, pattern(json!(["a*b*c*d*"])))], ""),
            (
                "pulled",
                vec![rule(
                    1,
                    json!({"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": 3}),
                )],
                "",
            ),
            (
                "standard class",
                vec![rule(1, with("storageClass", json!("standard")))],
                "",
            ),
            ("no rules", vec![], "1 to 50 rules"),
            (
                "too many rules",
                (1..52)
                    .map(|n| rule(n, prefix(json!([n.to_string()]))))
                    .collect(),
                "1 to 50 rules",
            ),
            (
                "priority 0",
                vec![rule(0, any.clone())],
                "rulePriority must be 1 or more",
            ),
            (
                "priority twice",
                vec![rule(1, untagged.clone()), rule(1, any.clone())],
                "used more than once",
            ),
            (
                "any before others",
                vec![rule(1, any.clone()), rule(2, untagged.clone())],
                "highest rulePriority",
            ),
            (
                "untagged twice",
                vec![rule(1, untagged.clone()), rule(2, untagged.clone())],
                "only one rule",
            ),
            (
                "same prefixes",
                vec![
                    rule(1, prefix(json!(["a", "b"]))),
                    rule(2, prefix(json!(["b", "a"]))),
                ],
                "same tagPrefixList",
            ),
            (
                "tagged alone",
                vec![rule(1, with("tagStatus", json!("tagged")))],
                "needs a tagPrefixList",
            ),
            (
                "empty list",
                vec![rule(1, prefix(json!([])))],
                "needs a tagPrefixList",
            ),
            (
                "empty prefix",
                vec![rule(1, prefix(json!([""])))],
                "needs a tagPrefixList",
            ),
            (
                "prefixes of any",
                vec![rule(1, with("tagPrefixList", json!(["a"])))],
                "tagStatus tagged only",
            ),
            (
                "five stars",
                vec![rule(1, pattern(json!(["a*b*c*d*e*"])))],
                "at most 4 wildcards",
            ),
            (
                "count 0",
                vec![rule(1, with("countNumber", json!(0)))],
                "countNumber must be 1 or more",
            ),
            (
                "count text",
                vec![rule(1, with("countNumber", json!("1")))],
                "invalid type",
            ),
            (
                "unit with a count",
                vec![rule(1, with("countUnit", json!("days")))],
                "does not go with",
            ),
            (
                "no unit with days",
                vec![rule(1, with("countType", json!("sinceImagePushed")))],
                "needs countUnit days",
            ),
            (
                "unknown count",
                vec![rule(1, with("countType", json!("x")))],
                "countType 'x' is unknown",
            ),
            (
                "unknown status",
                vec![rule(1, with("tagStatus", json!("x")))],
                "tagStatus 'x'",
            ),
            (
                "unknown field",
                vec![rule(1, with("tagRegex", json!("x")))],
                "unknown field",
            ),
            (
                "archive",
                vec![rule(1, with("storageClass", json!("archive")))],
                "no storage class",
            ),
            (
                "transition",
                vec![action(
                    json!({"type": "transition", "targetStorageClass": "archive"}),
                )],
                "no archive storage class",
            ),
            (
                "unknown action",
                vec![action(json!({"type": "delete"}))],
                "action type 'delete'",
            ),
        ] {
            match parse(rules) {
                Ok(_) => assert_eq!(want, "", "{name}"),
                Err(error) => assert!(!want.is_empty() && error.contains(want), "{name}: {error}"),
            }
        }
    }
}
