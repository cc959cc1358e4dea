//! Repository names and tags: validated once, at the edge.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::RegistryError;

const MIN_NAME_BYTES: usize = 2;
const MAX_NAME_BYTES: usize = 256;
const MAX_TAG_BYTES: usize = 128;
const MAX_REGION_BYTES: usize = 25;

/// `team/app`: 2 to 256 characters, segments of lower-case letters and digits, joined by one `.`, one or two `_`, or
/// dashes (model of ECR, `RepositoryName`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

impl RepositoryName {
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let sound = (MIN_NAME_BYTES..=MAX_NAME_BYTES).contains(&text.len())
            && text.split('/').all(is_path_component);
        if sound {
            Ok(Self(text.to_owned()))
        } else {
            Err(RegistryError::NameInvalid(shortened(text)))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = text;
    loop {
        let after = rest.trim_start_matches(alphanumeric);
        if after.len() == rest.len() {
            return false;
        }
        if after.is_empty() {
            return true;
        }
        let next = after.trim_start_matches(|c| !alphanumeric(c));
        let separator = &after[..after.len() - next.len()];
        if !matches!(separator, "." | "_" | "__") && !separator.bytes().all(|b| b == b'-') {
            return false;
        }
        rest = next;
    }
}

/// `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tag(String);

impl Tag {
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let sound = text.len() <= MAX_TAG_BYTES
            && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if sound {
            Ok(Self(text.to_owned()))
        } else {
            Err(RegistryError::TagInvalid(shortened(text)))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` may name a region, which makes it a directory's name here.
pub fn is_region(text: &str) -> bool {
    (2..=MAX_REGION_BYTES).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether `text` is an account id: 12 digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// What of a caller's text goes into an error.
fn shortened(text: &str) -> String {
    text.chars().take(MAX_NAME_BYTES).collect()
}

macro_rules! text_type {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = RegistryError;

            fn try_from(text: String) -> Result<Self, RegistryError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}

text_type!(RepositoryName);
text_type!(Tag);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_tags_are_checked() {
        let long = "a".repeat(257);
        for (text, want) in [
            ("app", true),
            ("team/app", true),
            ("a1/b-2/c_3/d__4/e.5", true),
            ("a--b", true),
            ("a---b/c", true),
            ("a", false),
            ("", false),
            ("App", false),
            ("a/", false),
            ("/app", false),
            ("a//b", false),
            ("a..b", false),
            ("a___b", false),
            ("a.-b", false),
            ("-app", false),
            ("app-", false),
            ("../etc", false),
            ("äpp", false),
            (long.as_str(), false),
        ] {
            assert_eq!(RepositoryName::parse(text).is_ok(), want, "{text}");
        }
        let long = "a".repeat(129);
        for (text, want) in [
            ("latest", true),
            ("_x", true),
            ("V1.2-rc_3", true),
            ("", false),
            (".x", false),
            ("-x", false),
            ("a:b", false),
            ("a/b", false),
            (long.as_str(), false),
        ] {
            assert_eq!(Tag::parse(text).is_ok(), want, "{text}");
        }
    }

    proptest! {
        // The model's own pattern is the judge.
        #[test]
        fn names_agree_with_the_models_pattern(text in "[a-zA-Z0-9./_-]{0,12}") {
            let pattern = regex_lite::Regex::new(
                r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$",
            ).expect("the model's pattern compiles");
            let want = text.len() >= 2 && pattern.is_match(&text);
            prop_assert_eq!(RepositoryName::parse(&text).is_ok(), want);
        }

        #[test]
        fn any_text_is_answered(text in ".{0,300}") {
            if let Ok(name) = RepositoryName::parse(&text) {
                prop_assert_eq!(name.as_str(), text.as_str());
            }
            if let Ok(tag) = Tag::parse(&text) {
                prop_assert_eq!(tag.as_str(), text.as_str());
            }
        }
    }
}
