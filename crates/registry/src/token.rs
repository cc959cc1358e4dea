//! Signed tokens: the password that GetAuthorizationToken hands out, and the links of GetDownloadUrlForLayer.
//!
//! A token is `<base64url of JSON>.<base64url of its HMAC-SHA-256>`. The key is a record, so tokens outlive the server.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use neargate_domain::{Scope, Timestamp};
use neargate_store::{Condition, Store};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::digest::Digest;
use crate::error::RegistryError;
use crate::keys;
use crate::name::RepositoryName;
use crate::registry::Registry;
use crate::table::Change;

/// Longest token that is looked at. Ours have some hundred bytes.
const MAX_TOKEN_BYTES: usize = 4096;

const KEY_BYTES: usize = 32;

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "use", rename_all = "lowercase")]
pub enum Grant {
    /// Everything in a registry, as docker's password.
    Registry { scope: Scope, expires_at: Timestamp },
    /// Downloading one blob.
    Layer {
        scope: Scope,
        repository: RepositoryName,
        digest: Digest,
        expires_at: Timestamp,
    },
}

impl Grant {
    pub fn expires_at(&self) -> Timestamp {
        match self {
            Self::Registry { expires_at, .. } | Self::Layer { expires_at, .. } => *expires_at,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token was not made by this server")]
    Foreign,
    /// Text: a pull from ECR with an old login.
    #[error("Your authorization token has expired. Reauthenticate and try again.")]
    Expired,
}

/// The key that signs tokens. It has no `Debug` form that shows it.
#[derive(Clone)]
pub struct TokenKey(Bytes);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey")
    }
}

impl TokenKey {
    /// The key of the store; made if there is none.
    pub async fn load(store: &dyn Store) -> Result<Self, RegistryError> {
        if let Some(found) = store.get(keys::TOKEN_KEY.as_bytes()).await? {
            return Ok(Self(found.value));
        }
        let key = Bytes::copy_from_slice(&rand::random::<[u8; KEY_BYTES]>());
        let mut change = Change::new();
        change
            .require(keys::TOKEN_KEY, Condition::Absent)
            .put_bytes(keys::TOKEN_KEY, key.clone());
        if change.commit(store).await? {
            return Ok(Self(key));
        }
        // Another server on the same store was first.
        match store.get(keys::TOKEN_KEY.as_bytes()).await? {
            Some(found) => Ok(Self(found.value)),
            None => Err(RegistryError::Contention),
        }
    }

    /// Writes the key into a store that was emptied.
    pub async fn save(&self, store: &dyn Store) -> Result<(), RegistryError> {
        let mut change = Change::new();
        change.put_bytes(keys::TOKEN_KEY, self.0.clone());
        change.commit(store).await?;
        Ok(())
    }

    fn mac(&self, payload: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(payload.as_bytes());
        mac
    }

    fn sign(&self, grant: &Grant) -> String {
        let json = serde_json::to_vec(grant).expect("a grant is plain data");
        let payload = URL_SAFE_NO_PAD.encode(json);
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&payload).finalize().into_bytes());
        format!("{payload}.{signature}")
    }

    fn verify(&self, token: &str, now: Timestamp) -> Result<Grant, TokenError> {
        let (payload, signature) = split(token).ok_or(TokenError::Foreign)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenError::Foreign)?;
        self.mac(payload)
            .verify_slice(&signature)
            .map_err(|_| TokenError::Foreign)?;
        let grant = read(payload).ok_or(TokenError::Foreign)?;
        if grant.expires_at() <= now {
            return Err(TokenError::Expired);
        }
        Ok(grant)
    }
}

/// What a token claims, whoever signed it and whenever: enough to find the registry where anybody is let in.
pub fn claimed(token: &str) -> Option<Grant> {
    read(split(token)?.0)
}

fn split(token: &str) -> Option<(&str, &str)> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    token.split_once('.')
}

fn read(payload: &str) -> Option<Grant> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

impl Registry {
    /// A token for the grant. It is a password: it must not reach a log.
    pub fn sign_token(&self, grant: &Grant) -> String {
        self.token_key.sign(grant)
    }

    /// What a token of ours allows now.
    pub fn verify_token(&self, token: &str) -> Result<Grant, TokenError> {
        self.token_key.verify(token, self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sound_tokens_pass() {
        let key = TokenKey(Bytes::from_static(&[7; KEY_BYTES]));
        let other = TokenKey(Bytes::from_static(&[8; KEY_BYTES]));
        let grant = Grant::Registry {
            scope: Scope::new("123456789012", "eu-west-1"),
            expires_at: Timestamp(1000),
        };
        let token = key.sign(&grant);
        let (payload, signature) = token.split_once('.').expect("two parts");
        for (name, token, now, want) in [
            ("sound", token.clone(), 999, Ok(grant.clone())),
            ("expired", token.clone(), 1000, Err(TokenError::Expired)),
            ("other key", other.sign(&grant), 0, Err(TokenError::Foreign)),
            (
                "other payload",
                format!("x{payload}.{signature}"),
                0,
                Err(TokenError::Foreign),
            ),
            ("no signature", payload.into(), 0, Err(TokenError::Foreign)),
            ("empty", String::new(), 0, Err(TokenError::Foreign)),
            ("too long", "a".repeat(5000), 0, Err(TokenError::Foreign)),
        ] {
            assert_eq!(key.verify(&token, Timestamp(now)), want, "{name}");
        }
        assert_eq!(claimed(&other.sign(&grant)), Some(grant));
        assert_eq!(format!("{key:?}"), "TokenKey");
    }
}
