//! `sha256:<64 hex digits>`, the name of everything in a registry.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "sha256:";
const HEX_DIGITS: usize = 64;

/// The digest of a manifest, a configuration, a layer or an unpacked layer.
///
/// ECR and all clients use SHA-256 (ecr.md, §1), so no other algorithm is taken. The text is always lower case, which
/// makes it safe as a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// The text is not `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a sha256 digest")]
pub struct InvalidDigest(String);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::finish(Sha256::new_with_prefix(bytes))
    }

    /// The digest of what was fed to the hasher.
    pub(super) fn finish(hasher: Sha256) -> Self {
        Self(format!("{PREFIX}{}", hex::encode(hasher.finalize())))
    }

    /// With the algorithm, as registries write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digits alone, for file names.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// From the digits alone.
    pub(super) fn from_hex(hex: &str) -> Result<Self, InvalidDigest> {
        format!("{PREFIX}{hex}").parse()
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let digits = text.strip_prefix(PREFIX).unwrap_or_default();
        if digits.len() == HEX_DIGITS
            && digits
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        {
            Ok(Self(text.to_owned()))
        } else {
            // The text may be a hostile manifest's, so no more than a line of it is repeated.
            Err(InvalidDigest(text.chars().take(100).collect()))
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_lower_case_sha256_is_taken() {
        let good = Digest::of(b"").to_string();
        assert_eq!(
            good,
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for (name, text, want) in [
            ("good", good.clone(), true),
            (
                "upper case",
                good.to_uppercase().replace("SHA", "sha"),
                false,
            ),
            ("short", good[..70].to_owned(), false),
            ("long", format!("{good}0"), false),
            ("path", format!("sha256:../../{}", &good[13..]), false),
            (
                "other algorithm",
                format!("sha512:{}{}", &good[7..], &good[7..]),
                false,
            ),
            ("empty", String::new(), false),
        ] {
            assert_eq!(text.parse::<Digest>().is_ok(), want, "{name}");
        }
    }
}
