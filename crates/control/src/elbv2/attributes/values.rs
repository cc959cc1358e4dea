//! What a value of an attribute may be.

/// Longest text of an attribute of listeners (user guide, header modification) and of other free texts.
const MAX_TEXT_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values {
    /// `true` or `false`.
    Flag,
    /// Both ends included.
    Range(u32, u32),
    /// A range, in the words that load balancers have for it.
    Integer(u32, u32),
    /// A range, which AWS takes for the length of a text.
    Characters(u32, u32),
    /// Secondary addresses, which have words of their own.
    SecondaryAddresses(u32, u32),
    /// 0, which means off, or the range.
    ZeroOr(u32, u32),
    /// `off` or a number from 1.
    OffOrCount(u32),
    /// `off` or a share from 1 to 100.
    OffOrPercent,
    OneOf(&'static [&'static str], Words),
    /// The only value it can have, and what is said of every other: setting it to that is no error.
    Only(&'static str, &'static str),
    Text,
    /// A header's value: printable ASCII.
    HeaderValue,
    HeaderName,
}

/// AWS has as many forms of "one of these" as it has attributes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Words {
    /// `'KEY' must be one of a,b`
    Key,
    /// `'NAME' must be one of [a, b]`
    Named(&'static str),
    /// `'VALUE' must be one of [a, b]`
    Value,
    /// `'KEY' must be set as 'a', 'b', or 'c'`
    SetAs,
    /// `'VALUE' is not a valid value for 'KEY'`
    NotValid,
    /// `The value of 'KEY' must be from the following: [a, b], but was 'VALUE'`. The empty value is not listed.
    Following,
}

impl Words {
    fn say(self, key: &str, value: &str, allowed: &[&str]) -> String {
        match self {
            Self::Key => format!("'{key}' must be one of {}", allowed.join(",")),
            Self::Named(name) => format!("'{name}' must be one of [{}]", allowed.join(", ")),
            Self::Value => format!("'{value}' must be one of [{}]", allowed.join(", ")),
            Self::SetAs => {
                let quoted: Vec<String> = allowed.iter().map(|a| format!("'{a}'")).collect();
                let (last, others) = quoted.split_last().map_or(("", &[][..]), |(l, o)| (l, o));
                format!("'{key}' must be set as {}, or {last}", others.join(", "))
            }
            Self::NotValid => format!("'{value}' is not a valid value for '{key}'"),
            Self::Following => {
                let listed: Vec<&str> = allowed.iter().copied().filter(|a| !a.is_empty()).collect();
                format!(
                    "The value of '{key}' must be from the following: [{}], but was '{value}'",
                    listed.join(", ")
                )
            }
        }
    }
}

impl Values {
    /// Refuses what the attribute cannot be, in AWS's words.
    pub fn check(self, key: &str, value: &str) -> Result<(), String> {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let number = value.parse::<u32>().ok().filter(|_| digits);
        let within = |low: u32, high: u32| number.is_some_and(|n| (low..=high).contains(&n));
        let refuse = |text: String| Err(text);
        match self {
            Self::Flag if value == "true" || value == "false" => Ok(()),
            Self::Flag => refuse(format!(
                "The value of '{key}' must be 'true' or 'false', but was '{value}'"
            )),
            Self::ZeroOr(..) if value == "0" => Ok(()),
            Self::Range(low, high)
            | Self::Integer(low, high)
            | Self::Characters(low, high)
            | Self::SecondaryAddresses(low, high)
            | Self::ZeroOr(low, high)
                if within(low, high) =>
            {
                Ok(())
            }
            Self::Range(low, high) => refuse(format!(
                "'{key}' value '{value}' must be between '{low}-{high}' inclusive"
            )),
            Self::Integer(low, high) => refuse(format!(
                "The value of '{key}' must be an integer between {low} and {high}"
            )),
            Self::Characters(low, _) if number.is_some_and(|n| n < low) => refuse(format!(
                "The value of '{key}' cannot be less than {low} characters"
            )),
            Self::Characters(low, high) => refuse(match digits {
                true => format!("The value of '{key}' cannot be greater than {high} characters"),
                false => {
                    format!("The value of '{key}' must be an integer between {low} and {high}")
                }
            }),
            Self::SecondaryAddresses(low, high) => refuse(format!(
                "Valid range for the number of secondary IP addresses is from '{low}-{high}'"
            )),
            Self::ZeroOr(low, high) => refuse(format!(
                "'{key}' value '{value}' must be '0' or between '{low}-{high}' inclusive"
            )),
            Self::OffOrCount(_) | Self::OffOrPercent if value == "off" => Ok(()),
            Self::OffOrCount(high) if within(1, high) => Ok(()),
            Self::OffOrPercent if within(1, 100) => Ok(()),
            Self::OffOrPercent if within(101, u32::MAX) => refuse(format!(
                "'{key}' must be 'off' or an integer from 1 to 100 inclusive"
            )),
            Self::OffOrCount(_) | Self::OffOrPercent => refuse(format!(
                "The value of '{key}' must be 'off' or a positive integer"
            )),
            Self::OneOf(allowed, _) if allowed.contains(&value) => Ok(()),
            Self::OneOf(allowed, words) => refuse(words.say(key, value, allowed)),
            Self::Only(only, _) if value == only => Ok(()),
            Self::Only(_, text) => refuse(text.to_owned()),
            Self::Text | Self::HeaderValue | Self::HeaderName if value.len() > MAX_TEXT_BYTES => {
                refuse(format!(
                    "The value of '{key}' cannot be greater than {MAX_TEXT_BYTES} characters"
                ))
            }
            Self::Text => Ok(()),
            Self::HeaderValue if value.bytes().all(|b| (0x20..0x7f).contains(&b)) => Ok(()),
            Self::HeaderName if is_header_name(value) => Ok(()),
            Self::HeaderValue | Self::HeaderName => {
                refuse(format!("The value of '{key}' contains invalid characters"))
            }
        }
    }
}

fn is_header_name(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    !text.is_empty() && text.bytes().all(fits)
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
            ("off", Values::OffOrPercent, "off", true),
            ("share", Values::OffOrPercent, "100", true),
            ("nothing", Values::OffOrPercent, "0", false),
            ("count", Values::OffOrCount(1000), "1000", true),
            ("no count", Values::OffOrCount(1000), "many", false),
            ("choice", Values::OneOf(&["a", "b"], Words::Key), "b", true),
            (
                "no choice",
                Values::OneOf(&["a", "b"], Words::Key),
                "c",
                false,
            ),
            ("fixed", Values::Only("true", "no"), "true", true),
            ("changed", Values::Only("true", "no"), "false", false),
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
