//! What the values of conditions may be made of.
//!
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html>

use neargate_aws_wire::error::ApiError;

use crate::elbv2::errors;

/// Longest value of a condition, and longest regular expression in one.
const MAX_VALUE_CHARS: usize = 128;
const MAX_METHOD_CHARS: usize = 40;
const MAX_HEADER_NAME_CHARS: usize = 40;

fn check_length(field: &str, value: &str, limit: usize) -> Result<(), ApiError> {
    match value.chars().count() <= limit {
        true => Ok(()),
        false => Err(errors::validation(format!(
            "Condition value for '{field}' cannot contain more than {limit} characters"
        ))),
    }
}

fn refuse(field: &str, value: &str, why: &str) -> Result<(), ApiError> {
    Err(errors::validation(format!(
        "The '{field}' value '{value}' {why}"
    )))
}

fn bad_character(value: &str) -> Result<(), ApiError> {
    Err(errors::validation(format!(
        "Condition value '{value}' contains a character that is not valid"
    )))
}

pub fn check_host(value: &str) -> Result<(), ApiError> {
    const FIELD: &str = "host-header";
    check_length(FIELD, value, MAX_VALUE_CHARS)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.*?".contains(c);
    if value.is_empty() || !value.chars().all(fits) {
        return bad_character(value);
    }
    let Some((_, last)) = value.rsplit_once('.') else {
        return bad_character(value);
    };
    if !last
        .chars()
        .all(|c| c.is_ascii_alphabetic() || "*?".contains(c))
    {
        return bad_character(value);
    }
    Ok(())
}

pub fn check_path(value: &str) -> Result<(), ApiError> {
    const FIELD: &str = "path-pattern";
    check_length(FIELD, value, MAX_VALUE_CHARS)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.$/~\"'@:+&*?".contains(c);
    // `&` is written as `&amp;` in the reference, so its semicolon passes too.
    if value.is_empty() || !value.replace("&amp;", "&").chars().all(fits) {
        return bad_character(value);
    }
    Ok(())
}

pub fn check_header_name(name: &str) -> Result<(), ApiError> {
    const FIELD: &str = "http-header";
    check_length(FIELD, name, MAX_HEADER_NAME_CHARS)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(fits) {
        return refuse(FIELD, name, "is not a valid header name");
    }
    if name.eq_ignore_ascii_case("host") {
        return Err(errors::validation(format!(
            "You cannot specify '{}' as an HTTP header name",
            name.to_ascii_lowercase()
        )));
    }
    Ok(())
}

pub fn check_header_value(value: &str) -> Result<(), ApiError> {
    check_text("http-header", value)
}

pub fn check_query(value: &str) -> Result<(), ApiError> {
    check_text("query-string", value)
}

/// Printable ASCII, with wildcards.
fn check_text(field: &str, value: &str) -> Result<(), ApiError> {
    check_length(field, value, MAX_VALUE_CHARS)?;
    match value.chars().all(|c| (' '..='~').contains(&c)) {
        true => Ok(()),
        false => bad_character(value),
    }
}

pub fn check_method(value: &str) -> Result<(), ApiError> {
    const FIELD: &str = "http-request-method";
    check_length(FIELD, value, MAX_METHOD_CHARS)?;
    let fits = |c: char| c.is_ascii_uppercase() || "-_".contains(c);
    match !value.is_empty() && value.chars().all(fits) {
        true => Ok(()),
        false => bad_character(value),
    }
}

pub fn check_cidr(value: &str) -> Result<(), ApiError> {
    if value == "255.255.255.255/32" || value.parse::<ipnet::IpNet>().is_err() {
        return Err(errors::validation(format!(
            "The specified value '{value}' is not a valid CIDR block"
        )));
    }
    Ok(())
}

/// No lookaround, backreferences or other things that take more than linear time.
pub fn check_regex(field: &str, value: &str) -> Result<(), ApiError> {
    check_length(field, value, MAX_VALUE_CHARS)?;
    match regex_lite::Regex::new(value) {
        Ok(_) if !value.is_empty() => Ok(()),
        _ => refuse(field, value, "is not a valid regular expression"),
    }
}

/// Wildcards in a value, those after a backslash not counted.
pub fn wildcards(value: &str) -> usize {
    let mut escaped = false;
    let mut count = 0;
    for c in value.chars() {
        count += usize::from(!escaped && (c == '*' || c == '?'));
        escaped = c == '\\' && !escaped;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Result<(), ApiError>;

    #[test]
    fn values_are_made_of_what_aws_allows() {
        let long = format!("{}.com", "a".repeat(125));
        let rows: [(Check, &[&str], &[&str]); 6] = [
            (
                check_host,
                &["example.com", "*.example.com", "WWW.example.co?", "a-b.c"],
                &[
                    "",
                    "localhost",
                    "10.0.0.1",
                    "example.com:80",
                    "ex_ample.com",
                    "é.com",
                    &long,
                ],
            ),
            (
                check_path,
                &["/", "/img/*", "*", "/a?b", "/a&amp;b", "/~x$'\"@:+"],
                &["", "/a b", "/é", "/%20", "/a#b"],
            ),
            (check_method, &["GET", "MY-METHOD_X"], &["", "get", "GET1"]),
            (
                check_header_name,
                &["X-Forwarded-Host", "user-agent"],
                &["", "Host", "x y", "a:b"],
            ),
            (
                check_cidr,
                &["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"],
                &["", "10.0.0.1", "255.255.255.255/32", "10.0.0.0/33"],
            ),
            (check_query, &["", "v1", "a*b", "a\\*"], &["\n", "é"]),
        ];
        for (check, good, bad) in rows {
            for value in good {
                assert!(check(value).is_ok(), "{value}");
            }
            for value in bad {
                assert!(check(value).is_err(), "{value}");
            }
        }
    }

    #[test]
    fn regular_expressions_are_of_the_linear_kind() {
        for (regex, want) in [
            ("^/v[0-9]+/", true),
            ("(?=x)", false),
            ("(a)\\1", false),
            ("(", false),
            ("", false),
        ] {
            assert_eq!(check_regex("path-pattern", regex).is_ok(), want, "{regex}");
        }
    }

    #[test]
    fn escaped_wildcards_are_not_counted() {
        for (value, want) in [("*.a?", 2), ("a\\*", 0), ("a\\\\*", 1), ("", 0)] {
            assert_eq!(wildcards(value), want, "{value}");
        }
    }
}
