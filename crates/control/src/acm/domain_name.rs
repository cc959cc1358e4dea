//! Which names a certificate may have.
//!
//! The model's pattern of `DomainNameString` looks ahead, which our pattern engine does not, so it is written out here.

use neargate_aws_wire::error::ApiError;

use super::errors;

const PATTERN: &str =
    r"(\*\.)?(((?!-)[A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+((?!-)[A-Za-z0-9-]{1,62}[A-Za-z0-9])";
const MAX_LABEL: usize = 63;

/// Checks a member of a request, with the text that AWS has for a broken pattern.
pub fn check(name: &str, member: &str) -> Result<(), ApiError> {
    if is_valid(name) {
        return Ok(());
    }
    Err(errors::validation(format!(
        "1 validation error detected: Value '{name}' at '{member}' failed to satisfy constraint: Member must satisfy \
         regular expression pattern: {PATTERN}"
    )))
}

fn is_valid(name: &str) -> bool {
    let mut labels: Vec<&str> = name.strip_prefix("*.").unwrap_or(name).split('.').collect();
    let last = labels.pop().unwrap_or_default();
    !labels.is_empty()
        && labels.iter().all(|label| is_label(label))
        && is_label(last)
        && last.len() > 1
}

fn is_label(text: &str) -> bool {
    let allowed = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    allowed
        && (1..=MAX_LABEL).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_models_pattern() {
        let long = "x".repeat(63);
        for (name, valid) in [
            ("example.com", true),
            ("*.example.com", true),
            ("a.example.com", true),
            ("web-1.us-east-1.elb.localhost", true),
            (&format!("{long}.com"), true),
            (&format!("{long}x.com"), false),
            ("localhost", false),
            ("*.com", false),
            ("*.*.example.com", false),
            ("a.*.example.com", false),
            ("example.c", false),
            ("-a.example.com", false),
            ("a-.example.com", false),
            ("a..example.com", false),
            ("example.com.", false),
            ("ex ample.com", false),
            ("é.example.com", false),
            ("", false),
        ] {
            assert_eq!(is_valid(name), valid, "{name}");
        }
        let error = check("localhost", "domainName").expect_err("one label");
        assert!(
            error.message.contains("'localhost' at 'domainName'"),
            "{}",
            error.message
        );
    }
}
