//! Parts of a request's target, and the form of a path that rules look at.

use std::borrow::Cow;

/// `host` without its port. Keeps an IPv6 address's brackets.
pub fn host_without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

/// The port in `host`, if it names one.
pub fn port_of(host: &str) -> Option<&str> {
    let name = host_without_port(host);
    host[name.len()..].strip_prefix(':')
}

/// Splits a request's target into path and query.
pub fn split_query(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// Takes a target in absolute form apart: authority, and path with query. AWS: the absolute form wins over Host.
pub fn split_absolute(target: &str) -> Option<(&str, &str)> {
    let scheme_end = target.find("://")?;
    let scheme = &target[..scheme_end];
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let rest = &target[scheme_end + 3..];
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    // Credentials are not part of the host, and nobody may send them so.
    (end > 0 && !rest[..end].contains('@')).then(|| (&rest[..end], &rest[end..]))
}

/// The path as rules see it: unreserved characters decoded, escapes in upper case, dot segments resolved (RFC 3986,
/// 6.2.2). The target still gets the path as it came.
///
/// AWS: "The rule evaluation is performed only after URI normalization occurs."
pub fn normalized_path(path: &str) -> Cow<'_, str> {
    let escaped = path.contains('%');
    if !escaped && !path.contains("/.") {
        return Cow::Borrowed(path);
    }
    let decoded = if escaped {
        Cow::Owned(decode_unreserved(path))
    } else {
        Cow::Borrowed(path)
    };
    if decoded.contains("/.") {
        return Cow::Owned(without_dot_segments(&decoded));
    }
    decoded
}

fn decode_unreserved(path: &str) -> String {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(percent) = rest.find('%') {
        decoded.push_str(&rest[..percent]);
        let hex = rest.as_bytes().get(percent + 1..percent + 3);
        let byte = hex.and_then(|hex| Some(hex_digit(hex[0])? << 4 | hex_digit(hex[1])?));
        let Some(byte) = byte else {
            decoded.push('%');
            rest = &rest[percent + 1..];
            continue;
        };
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            decoded.push(char::from(byte));
        } else {
            decoded.push_str(&rest[percent..percent + 3].to_ascii_uppercase());
        }
        rest = &rest[percent + 3..];
    }
    decoded.push_str(rest);
    decoded
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn without_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                // The first segment is what stands before the leading slash: nothing, and it stays.
                if kept.len() > 1 {
                    kept.pop();
                }
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    kept.join("/")
}
