//! Conditions: what a call gives, what is kept, what answers show.

use neargate_aws_api::elbv2::types as api;
use neargate_aws_wire::error::ApiError;

use super::patterns::*;
use crate::elbv2::listener_records::{Condition, Patterns, QueryPair};
use crate::elbv2::{errors, limits};

const FIELDS: &str =
    "http-header,http-request-method,host-header,query-string,path-pattern,source-ip";

/// Reads the conditions of a rule.
pub fn parse(conditions: Vec<api::RuleCondition>) -> Result<Vec<Condition>, ApiError> {
    if conditions.is_empty() {
        return Err(errors::validation("A condition must be specified"));
    }
    let parsed = conditions
        .into_iter()
        .map(parse_one)
        .collect::<Result<Vec<_>, _>>()?;
    check_together(&parsed)?;
    Ok(parsed)
}

fn parse_one(condition: api::RuleCondition) -> Result<Condition, ApiError> {
    let Some(field) = condition.field.clone() else {
        return Err(errors::validation("A condition field must be specified"));
    };
    check_members(&field, &condition)?;
    let list = |values: Option<Vec<String>>| values.unwrap_or_default();
    match field.as_str() {
        "host-header" => {
            let config = condition.host_header_config.unwrap_or_default();
            let given = [list(condition.values), list(config.values)];
            let regex = [list(condition.regex_values), list(config.regex_values)];
            let patterns = patterns(&field, given, regex, check_host)?;
            Ok(Condition::HostHeader(patterns))
        }
        "path-pattern" => {
            let config = condition.path_pattern_config.unwrap_or_default();
            let given = [list(condition.values), list(config.values)];
            let regex = [list(condition.regex_values), list(config.regex_values)];
            let patterns = patterns(&field, given, regex, check_path)?;
            Ok(Condition::PathPattern(patterns))
        }
        "http-header" => {
            let config = condition.http_header_config.unwrap_or_default();
            let name = config.http_header_name.unwrap_or_default();
            check_header_name(&name)?;
            let given = [list(config.values), Vec::new()];
            let regex = [list(condition.regex_values), list(config.regex_values)];
            let patterns = patterns(&field, given, regex, check_header_value)?;
            Ok(Condition::HttpHeader { name, patterns })
        }
        "http-request-method" => {
            let config = condition.http_request_method_config.unwrap_or_default();
            Ok(Condition::HttpRequestMethod(values(
                list(config.values),
                check_method,
            )?))
        }
        "query-string" => query_string(condition.query_string_config.unwrap_or_default()),
        "source-ip" => {
            let config = condition.source_ip_config.unwrap_or_default();
            if config.ip_address_type.is_some() {
                return Err(errors::validation(
                    "An IP address type can be specified only for rules of Network Load Balancers",
                ));
            }
            Ok(Condition::SourceIp(values(
                list(config.values),
                check_cidr,
            )?))
        }
        other => Err(unknown_field(other)),
    }
}

fn unknown_field(field: &str) -> ApiError {
    errors::validation(format!(
        "Condition field '{field}' must be one of '{FIELDS}'"
    ))
}

/// No configuration of another field; the shorthand only where there is one.
fn check_members(field: &str, condition: &api::RuleCondition) -> Result<(), ApiError> {
    if !FIELDS.split(',').any(|known| known == field) {
        return Err(unknown_field(field));
    }
    let has_any = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let unsupported = |member: &str| {
        Err(errors::validation(format!(
            "'{member}' is not supported for a condition of type '{field}'"
        )))
    };
    if has_any(&condition.values) && !matches!(field, "host-header" | "path-pattern") {
        return unsupported("Values");
    }
    let takes_regex = matches!(field, "host-header" | "path-pattern" | "http-header");
    if has_any(&condition.regex_values) && !takes_regex {
        return unsupported("RegexValues");
    }
    let configs = [
        ("host-header", condition.host_header_config.is_some()),
        ("path-pattern", condition.path_pattern_config.is_some()),
        ("http-header", condition.http_header_config.is_some()),
        (
            "http-request-method",
            condition.http_request_method_config.is_some(),
        ),
        ("query-string", condition.query_string_config.is_some()),
        ("source-ip", condition.source_ip_config.is_some()),
    ];
    let is_foreign = configs.iter().any(|(of, given)| *given && *of != field);
    let is_own = configs.iter().any(|(of, given)| *given && *of == field);
    let is_short = condition.values.is_some() || condition.regex_values.is_some();
    if is_foreign || !(is_own || is_short) {
        let config = config_of(field);
        let needed = match field {
            "host-header" | "path-pattern" => format!("Values or RegexValues or {config}"),
            _ => config.to_owned(),
        };
        return Err(errors::validation(format!(
            "For conditions of type '{field}', you must specify the following fields: '{needed}'"
        )));
    }
    Ok(())
}

/// The member with a field's configuration.
fn config_of(field: &str) -> &'static str {
    match field {
        "host-header" => "HostHeaderConfig",
        "path-pattern" => "PathPatternConfig",
        "http-header" => "HttpHeaderConfig",
        "http-request-method" => "HttpRequestMethodConfig",
        "query-string" => "QueryStringConfig",
        _ => "SourceIpConfig",
    }
}

type Check = fn(&str) -> Result<(), ApiError>;

fn patterns(
    field: &str,
    [shorthand, given]: [Vec<String>; 2],
    [regex_shorthand, regex]: [Vec<String>; 2],
    check: Check,
) -> Result<Patterns, ApiError> {
    // Either form is enough; both must not contradict each other.
    let one = |short: Vec<String>, long: Vec<String>| match (short.is_empty(), long.is_empty()) {
        (false, false) if short != long => Err(errors::validation(format!(
            "You can specify the values of the field '{field}' only once"
        ))),
        (true, _) => Ok(long),
        _ => Ok(short),
    };
    let values = one(shorthand, given)?;
    let regex_values = one(regex_shorthand, regex)?;
    if values.is_empty() == regex_values.is_empty() {
        return Err(errors::validation(format!(
            "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type '{}'",
            config_of(field)
        )));
    }
    for value in &values {
        check(value)?;
    }
    for value in &regex_values {
        check_regex(field, value)?;
    }
    Ok(Patterns {
        values,
        regex_values,
    })
}

fn values(values: Vec<String>, check: Check) -> Result<Vec<String>, ApiError> {
    if values.is_empty() {
        return Err(no_value());
    }
    for value in &values {
        check(value)?;
    }
    Ok(values)
}

fn no_value() -> ApiError {
    errors::validation("A condition value must be specified")
}

fn query_string(config: api::QueryStringConditionConfig) -> Result<Condition, ApiError> {
    let mut pairs = Vec::new();
    for pair in config.values.unwrap_or_default() {
        let value = pair.value.ok_or_else(no_value)?;
        check_query(&value)?;
        if let Some(key) = &pair.key {
            check_query(key)?;
        }
        let key = pair.key.filter(|key| !key.is_empty());
        pairs.push(QueryPair { key, value });
    }
    match pairs.is_empty() {
        true => Err(no_value()),
        false => Ok(Condition::QueryString(pairs)),
    }
}

fn field_of(condition: &Condition) -> &'static str {
    match condition {
        Condition::HostHeader(_) => "host-header",
        Condition::PathPattern(_) => "path-pattern",
        Condition::HttpHeader { .. } => "http-header",
        Condition::HttpRequestMethod(_) => "http-request-method",
        Condition::QueryString(_) => "query-string",
        Condition::SourceIp(_) => "source-ip",
    }
}

/// Number of values and of wildcards in them.
fn weight(condition: &Condition) -> (usize, usize) {
    let of = |values: &[String]| values.iter().map(|v| wildcards(v)).sum();
    match condition {
        Condition::HostHeader(patterns)
        | Condition::PathPattern(patterns)
        | Condition::HttpHeader { patterns, .. } => (
            patterns.values.len() + patterns.regex_values.len(),
            of(&patterns.values),
        ),
        Condition::HttpRequestMethod(values) | Condition::SourceIp(values) => (values.len(), 0),
        Condition::QueryString(pairs) => (
            pairs.len(),
            pairs
                .iter()
                .map(|pair| wildcards(&pair.value) + pair.key.as_deref().map_or(0, wildcards))
                .sum(),
        ),
    }
}

fn check_together(conditions: &[Condition]) -> Result<(), ApiError> {
    for field in [
        "host-header",
        "path-pattern",
        "http-request-method",
        "source-ip",
    ] {
        if conditions.iter().filter(|c| field_of(c) == field).count() > 1 {
            return Err(errors::validation(format!(
                "A rule can only have one '{field}' condition"
            )));
        }
    }
    let weights = conditions.iter().map(weight);
    let (values, wildcards) = weights.fold((0, 0), |(values, wildcards), (v, w)| {
        (values + v, wildcards + w)
    });
    if values > limits::CONDITION_VALUES {
        return Err(errors::validation(format!(
            "A rule can only have '{}' condition values and regex values",
            limits::CONDITION_VALUES
        )));
    }
    if wildcards > limits::CONDITION_WILDCARDS {
        return Err(errors::validation(format!(
            "A rule can only have '{}' condition wildcards",
            limits::CONDITION_WILDCARDS
        )));
    }
    Ok(())
}

/// As answers show it: host names and paths in both of their forms.
pub fn view(condition: &Condition) -> api::RuleCondition {
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let mut shown = api::RuleCondition {
        field: Some(field_of(condition).to_owned()),
        ..Default::default()
    };
    match condition {
        Condition::HostHeader(patterns) => {
            shown.values = Some(patterns.values.clone());
            shown.regex_values = some(&patterns.regex_values);
            shown.host_header_config = Some(api::HostHeaderConditionConfig {
                values: some(&patterns.values),
                regex_values: some(&patterns.regex_values),
            });
        }
        Condition::PathPattern(patterns) => {
            shown.values = Some(patterns.values.clone());
            shown.regex_values = some(&patterns.regex_values);
            shown.path_pattern_config = Some(api::PathPatternConditionConfig {
                values: some(&patterns.values),
                regex_values: some(&patterns.regex_values),
            });
        }
        Condition::HttpHeader { name, patterns } => {
            shown.http_header_config = Some(api::HttpHeaderConditionConfig {
                http_header_name: Some(name.clone()),
                values: some(&patterns.values),
                regex_values: some(&patterns.regex_values),
            });
        }
        Condition::HttpRequestMethod(values) => {
            shown.http_request_method_config = Some(api::HttpRequestMethodConditionConfig {
                values: Some(values.clone()),
            });
        }
        Condition::QueryString(pairs) => {
            let pairs = pairs.iter().map(|pair| api::QueryStringKeyValuePair {
                key: pair.key.clone(),
                value: Some(pair.value.clone()),
            });
            shown.query_string_config = Some(api::QueryStringConditionConfig {
                values: Some(pairs.collect()),
            });
        }
        Condition::SourceIp(values) => {
            shown.source_ip_config = Some(api::SourceIpConditionConfig {
                ip_address_type: None,
                values: Some(values.clone()),
            });
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(conditions: &Value) -> Result<Vec<Condition>, ApiError> {
        let input =
            json!({"ListenerArn": "l", "Priority": 1, "Actions": [], "Conditions": conditions});
        let input = serde_json::to_vec(&input).unwrap();
        let input: api::CreateRuleInput = neargate_aws_wire::json::from_json(&input).unwrap();
        parse(input.conditions)
    }

    #[test]
    fn what_is_said_of_the_others() {
        let path = |value: &str| json!({"Field": "path-pattern", "Values": [value]});
        let header = |name: &str, value: &str| json!({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": name, "Values": [value]}});
        let long = "x".repeat(129);
        let values = |count: usize| vec!["/x"; count];
        for (conditions, want) in [
            (json!([]), "A condition must be specified"),
            (
                json!([{"Field": "header", "Values": ["x"]}]),
                "Condition field 'header' must be one of 'http-header,http-request-method,host-header,query-string,path-pattern,source-ip'",
            ),
            (
                json!([{"Field": "path-pattern", "Values": values(6)}]),
                "A rule can only have '5' condition values and regex values",
            ),
            (
                json!([{"Field": "path-pattern", "Values": values(3)}, {"Field": "host-header", "Values": ["a.b", "c.d", "e.f"]}]),
                "A rule can only have '5' condition values and regex values",
            ),
            (
                json!([path("/a"), path("/b")]),
                "A rule can only have one 'path-pattern' condition",
            ),
            (
                json!([{"Field": "host-header", "HostHeaderConfig": {}}]),
                "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type 'HostHeaderConfig'",
            ),
            (
                json!([{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"], "RegexValues": ["^/a"]}}]),
                "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type 'PathPatternConfig'",
            ),
            (
                json!([{"Field": "path-pattern", "HostHeaderConfig": {"Values": ["a.b"]}}]),
                "For conditions of type 'path-pattern', you must specify the following fields: 'Values or RegexValues or PathPatternConfig'",
            ),
            (
                json!([{"Field": "query-string", "RegexValues": ["x"], "QueryStringConfig": {"Values": [{"Value": "x"}]}}]),
                "'RegexValues' is not supported for a condition of type 'query-string'",
            ),
            (
                json!([{"Field": "host-header", "Values": [long]}]),
                "Condition value for 'host-header' cannot contain more than 128 characters",
            ),
            (
                json!([{"Field": "host-header", "Values": ["example"]}]),
                "Condition value 'example' contains a character that is not valid",
            ),
            (
                json!([header(&"x".repeat(41), "x")]),
                "Condition value for 'http-header' cannot contain more than 40 characters",
            ),
            (
                json!([header("Host", "x")]),
                "You cannot specify 'host' as an HTTP header name",
            ),
            (
                json!([{"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}}]),
                "Condition value 'get' contains a character that is not valid",
            ),
            (
                json!([{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}}]),
                "The specified value '10.0.0.1' is not a valid CIDR block",
            ),
        ] {
            let error = read(&conditions).expect_err("it is refused");
            assert_eq!(error.query_code, "ValidationError", "{conditions}");
            assert_eq!(error.message, want, "{conditions}");
        }
    }

    #[test]
    fn what_conditions_a_rule_may_have() {
        let path = json!({"Field": "path-pattern", "Values": ["/a"]});
        let method = |m: &str| json!({"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": [m]}});
        let header = |values: Value| json!({"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": values}});
        for (name, conditions, want) in [
            ("shorthand", json!([path]), true),
            (
                "config",
                json!([{"Field": "path-pattern", "PathPatternConfig": {"Values": ["/a"]}}]),
                true,
            ),
            (
                "both, the same",
                json!([{"Field": "path-pattern", "Values": ["/a"], "PathPatternConfig": {"Values": ["/a"]}}]),
                true,
            ),
            (
                "both, different",
                json!([{"Field": "path-pattern", "Values": ["/a"], "PathPatternConfig": {"Values": ["/b"]}}]),
                false,
            ),
            (
                "regex",
                json!([{"Field": "path-pattern", "RegexValues": ["^/a"]}]),
                true,
            ),
            (
                "regex and values",
                json!([{"Field": "path-pattern", "Values": ["/a"], "RegexValues": ["^/a"]}]),
                false,
            ),
            ("none", json!([]), false),
            ("no field", json!([{"Values": ["/a"]}]), false),
            ("no value", json!([{"Field": "path-pattern"}]), false),
            (
                "unknown field",
                json!([{"Field": "cookie", "Values": ["a"]}]),
                false,
            ),
            ("two paths", json!([path, path]), false),
            ("path and method", json!([path, method("GET")]), true),
            (
                "two headers",
                json!([header(json!(["a"])), header(json!(["b"]))]),
                true,
            ),
            (
                "shorthand for a header",
                json!([{"Field": "http-header", "Values": ["a"]}]),
                false,
            ),
            (
                "foreign config",
                json!([{"Field": "path-pattern", "Values": ["/a"], "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}]),
                false,
            ),
            (
                "five values",
                json!([header(json!(["1", "2", "3", "4", "5"]))]),
                true,
            ),
            (
                "six values",
                json!([header(json!(["1", "2", "3", "4", "5", "6"]))]),
                false,
            ),
            (
                "six values together",
                json!([path, header(json!(["1", "2", "3", "4", "5"]))]),
                false,
            ),
            ("six wildcards", json!([header(json!(["******"]))]), true),
            (
                "seven wildcards",
                json!([header(json!(["*******"]))]),
                false,
            ),
            (
                "query",
                json!([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "x"}]}}]),
                true,
            ),
            (
                "query without value",
                json!([{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v"}]}}]),
                false,
            ),
            (
                "source",
                json!([{"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24"]}}]),
                true,
            ),
        ] {
            let outcome = read(&conditions);
            assert_eq!(outcome.is_ok(), want, "{name}: {outcome:?}");
        }
    }

    #[test]
    fn host_names_and_paths_are_shown_in_both_forms() {
        let read = read(&json!([{"Field": "host-header", "Values": ["a.example.com"]}])).unwrap();
        let shown = view(&read[0]);
        assert_eq!(
            shown.values.as_deref(),
            Some(&["a.example.com".to_owned()][..])
        );
        assert_eq!(shown.host_header_config.unwrap().values, shown.values);
    }
}
