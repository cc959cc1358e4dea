//! What a value of an attribute may be.

/// Longest text of an attribute of listeners (user guide, header modification) and of other free texts.
const MAX_TEXT_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values {
    /// `true` or `false`.
    Flag,
    /// Both ends included.
    Range(u32, u32),
    /// 0, which means off, or the range.
    ZeroOr(u32, u32),
    /// `off` or the range.
    OffOr(u32, u32),
    OneOf(&'static [&'static str]),
    /// The only value it can have: setting it to that is no error.
    Only(&'static str),
    Text,
    /// A header's value: printable ASCII.
    HeaderValue,
    HeaderName,
}

impl Values {
    /// Refuses what the attribute cannot be, in AWS's form.
    pub fn check(self, key: &str, value: &str) -> Result<(), String> {
        let among = |allowed: &[&str]| match allowed.contains(&value) {
            true => Ok(()),
            false => Err(format!(
                "'{key}' value '{value}' must be one of [{}]",
                allowed.join(", ")
            )),
        };
        let within = |low: u32, high: u32, also: &str| {
            let fits = value
                .parse::<u32>()
                .is_ok_and(|v| (low..=high).contains(&v));
            match fits && value.bytes().all(|b| b.is_ascii_digit()) {
                true => Ok(()),
                false => Err(format!(
                    "'{key}' value '{value}' must be {also}between '{low}-{high}' inclusive"
                )),
            }
        };
        match self {
            Self::Flag => among(&["true", "false"]),
            Self::Range(low, high) => within(low, high, ""),
            Self::ZeroOr(..) if value == "0" => Ok(()),
            Self::ZeroOr(low, high) => within(low, high, "'0' or "),
            Self::OffOr(..) if value == "off" => Ok(()),
            Self::OffOr(low, high) => within(low, high, "'off' or "),
            Self::OneOf(allowed) => among(allowed),
            Self::Only(only) => among(&[only]),
            Self::Text | Self::HeaderValue | Self::HeaderName if value.len() > MAX_TEXT_BYTES => {
                Err(format!(
                    "'{key}' value is too long; the limit is '{MAX_TEXT_BYTES}'"
                ))
            }
            Self::Text => Ok(()),
            Self::HeaderValue => match value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                true => Ok(()),
                false => Err(format!(
                    "'{key}' value '{value}' is not a valid header value"
                )),
            },
            Self::HeaderName => {
                let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                match !value.is_empty() && value.bytes().all(fits) {
                    true => Ok(()),
                    false => Err(format!(
                        "'{key}' value '{value}' is not a valid header name"
                    )),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_to_their_kind() {
        for (name, values, value, want) in [
            ("flag", Values::Flag, "true", true),
            ("flag in capitals", Values::Flag, "True", false),
            ("lowest", Values::Range(1, 4000), "1", true),
            ("highest", Values::Range(1, 4000), "4000", true),
            ("above", Values::Range(1, 4000), "4001", false),
            ("signed", Values::Range(1, 4000), "+5", false),
            ("no number", Values::Range(1, 4000), "", false),
            ("off by zero", Values::ZeroOr(30, 900), "0", true),
            ("below", Values::ZeroOr(30, 900), "29", false),
            ("off", Values::OffOr(1, 100), "off", true),
            ("share", Values::OffOr(1, 100), "100", true),
            ("nothing", Values::OffOr(1, 100), "0", false),
            ("choice", Values::OneOf(&["a", "b"]), "b", true),
            ("no choice", Values::OneOf(&["a", "b"]), "c", false),
            ("fixed", Values::Only("true"), "true", true),
            ("changed", Values::Only("true"), "false", false),
            ("text", Values::Text, "", true),
            ("header", Values::HeaderValue, "max-age=1; x", true),
            ("split header", Values::HeaderValue, "a\r\nb: c", false),
            ("name", Values::HeaderName, "X-Mine", true),
            ("no name", Values::HeaderName, "X Mine", false),
        ] {
            assert_eq!(values.check("k", value).is_ok(), want, "{name}");
        }
        assert!(Values::Text.check("k", &"x".repeat(1025)).is_err());
    }
}
