//! Secrets at rest: sealed with a key that is not in the state.
//!
//! A record keeps a [`Sealed`] text; only the holder of the data directory's key file opens it. Each is bound to the
//! resource that it belongs to, so that it cannot be moved into another record.

use std::fmt;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

const KEY_BYTES: usize = 32;

/// The key of a data directory.
pub struct Secrets {
    key: LessSafeKey,
    random: SystemRandom,
}

/// A secret as records keep it: nonce, ciphertext and tag, in base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

/// A secret in clear. It has no `Debug` form and cannot be serialized.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("the key file of the data directory: {0}")]
    KeyFile(#[from] io::Error),
    #[error(
        "the key file of the data directory is damaged: it must have {KEY_BYTES} bytes. Put a copy of it back, or remove it together with ca/ and import certificates again: their private keys are lost without it"
    )]
    KeyLength,
    #[error("the system gives no random numbers")]
    Random,
    /// Sealed with another key, for another resource, or damaged.
    #[error("a sealed secret cannot be opened with this data directory's key")]
    Sealed,
}

impl Secrets {
    /// Reads the key, or makes one that only its owner can read.
    pub fn open(path: &Path) -> Result<Self, SecretsError> {
        let random = SystemRandom::new();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = vec![0; KEY_BYTES];
                random.fill(&mut bytes).map_err(|_| SecretsError::Random)?;
                neargate_files::replace(path, &bytes)?;
                bytes
            }
            Err(error) => return Err(error.into()),
        };
        let key =
            UnboundKey::new(&CHACHA20_POLY1305, &bytes).map_err(|_| SecretsError::KeyLength)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            random,
        })
    }

    /// Seals a secret for the resource that `owner` names, and for no other.
    pub fn seal(&self, owner: &str, secret: &[u8]) -> Result<Sealed, SecretsError> {
        // Random nonces are safe for far more secrets than one data directory ever has (2^32).
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| SecretsError::Random)?;
        let mut text = secret.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(owner.as_bytes()),
                &mut text,
            )
            .map_err(|_| SecretsError::Sealed)?;
        Ok(Sealed(STANDARD.encode([&nonce[..], &text].concat())))
    }

    pub fn unseal(&self, owner: &str, sealed: &Sealed) -> Result<Secret, SecretsError> {
        let bytes = STANDARD
            .decode(&sealed.0)
            .map_err(|_| SecretsError::Sealed)?;
        let (nonce, text) = bytes
            .split_at_checked(NONCE_LEN)
            .ok_or(SecretsError::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretsError::Sealed)?;
        let mut text = text.to_vec();
        let length = self
            .key
            .open_in_place(nonce, Aad::from(owner.as_bytes()), &mut text)
            .map_err(|_| SecretsError::Sealed)?
            .len();
        text.truncate(length);
        Ok(Secret(text))
    }
}

impl Secret {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// For secrets that are text, as PEM is.
    pub fn expose_text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_opens_with_its_key_for_its_owner_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secrets.key");
        let secrets = Secrets::open(&path).expect("made");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let sealed = secrets.seal("a", b"word").expect("sealed");
        let stored = serde_json::to_string(&sealed).expect("text");
        assert!(!stored.contains("word") && !stored.contains(&STANDARD.encode("word")));
        let again = Secrets::open(&path).expect("read");
        let other = Secrets::open(&directory.path().join("other")).expect("made");
        let mut damaged = sealed.0.clone().into_bytes();
        damaged[20] = if damaged[20] == b'A' { b'B' } else { b'A' };
        let damaged = Sealed(String::from_utf8(damaged).expect("base64"));
        for (name, secrets, owner, sealed, want) in [
            ("its owner", &secrets, "a", &sealed, Some(&b"word"[..])),
            ("after a restart", &again, "a", &sealed, Some(b"word")),
            ("another owner", &secrets, "b", &sealed, None),
            ("another key", &other, "a", &sealed, None),
            ("damaged", &secrets, "a", &damaged, None),
            ("cut", &secrets, "a", &Sealed("AAAA".into()), None),
        ] {
            let opened = secrets.unseal(owner, sealed).ok();
            assert!(opened.as_ref().map(Secret::expose) == want, "{name}");
        }
        assert_eq!(format!("{sealed:?} {secrets:?}"), "Sealed Secrets");
        std::fs::write(&path, "short").expect("written");
        assert!(matches!(Secrets::open(&path), Err(SecretsError::KeyLength)));
    }
}
