//! How a function is named: `name`, `name:qualifier`, a partial ARN such as `123456789012:function:name`, or a full
//! one.

/// Lambda's limit.
pub const MAX_NAME_CHARS: usize = 64;

const ACCOUNT_DIGITS: usize = 12;

/// The bare name of the function that a text names. Partition, region, account and qualifier are checked for their
/// form and do not choose: a name stands for one function on this Neargate.
pub fn bare_name(text: &str) -> Option<&str> {
    let rest = match text.strip_prefix("arn:") {
        Some(rest) => after_arn_prefix(rest)?,
        None => without_account(text),
    };
    let rest = rest.strip_prefix("function:").unwrap_or(rest);
    let (name, qualifier) = match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    };
    (is_name(name) && qualifier.is_none_or(is_qualifier)).then_some(name)
}

/// Whether a file may register something under this name.
pub fn is_name(text: &str) -> bool {
    (1..=MAX_NAME_CHARS).contains(&text.len()) && text.bytes().all(is_name_byte)
}

/// `aws:lambda:us-east-1:123456789012:function:…`, after which the rest is left.
fn after_arn_prefix(text: &str) -> Option<&str> {
    let mut parts = text.splitn(5, ':');
    let partition = parts.next()?;
    let service = parts.next()?;
    let region = parts.next()?;
    let account = parts.next()?;
    let valid = partition.starts_with("aws")
        && service == "lambda"
        && !region.is_empty()
        && is_account(account);
    let rest = parts.next()?;
    (valid && rest.starts_with("function:")).then_some(rest)
}

fn without_account(text: &str) -> &str {
    match text.split_once(':') {
        Some((account, rest)) if is_account(account) && rest.starts_with("function:") => rest,
        _ => text,
    }
}

fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_qualifier(text: &str) -> bool {
    text == "$LATEST" || (!text.is_empty() && text.bytes().all(is_name_byte))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_name_a_function_names_it() {
        for text in [
            "check",
            "check:live",
            "check:$LATEST",
            "check:7",
            "function:check",
            "123456789012:function:check",
            "123456789012:function:check:live",
            "arn:aws:lambda:us-east-1:123456789012:function:check",
            "arn:aws:lambda:us-east-1:123456789012:function:check:live",
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:check:$LATEST",
        ] {
            assert_eq!(bare_name(text), Some("check"), "{text}");
        }
        assert_eq!(bare_name("a_B-9"), Some("a_B-9"));
        assert_eq!(bare_name("123456789012"), Some("123456789012"));
    }

    #[test]
    fn what_names_no_function_is_refused() {
        let long = "x".repeat(MAX_NAME_CHARS + 1);
        for text in [
            "",
            ":live",
            "check:",
            "check:live:2",
            "check this",
            "../check",
            "arn:aws:lambda:us-east-1:123456789012:check",
            "arn:aws:lambda:us-east-1:1234:function:check",
            "arn:aws:lambda::123456789012:function:check",
            "arn:aws:s3:us-east-1:123456789012:function:check",
            "arn:aws:lambda:us-east-1:123456789012:function:",
            "1234:function:check",
            &long,
        ] {
            assert_eq!(bare_name(text), None, "{text}");
        }
    }
}
