//! Who this node is to a registry: Basic credentials, or a bearer token that the registry's token service gives out.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use http_auth::ChallengeParser;
use parking_lot::Mutex;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// Tokens held at once. One per repository in use is enough; when there are more, all are asked for again.
const MAX_TOKENS: usize = 256;

/// What a token lasts when the answer does not say (distribution's token specification).
const DEFAULT_TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// A token is not used in its last seconds, so that it cannot expire on the way.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// User name and password. There is no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

/// A `Bearer` challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BearerChallenge {
    pub realm: String,
    pub service: Option<String>,
}

impl BearerChallenge {
    /// The first bearer challenge with a realm.
    pub fn find(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(|value| {
                ChallengeParser::new(value)
                    .filter_map(Result::ok)
                    .find_map(|challenge| {
                        let parameter = |name: &str| {
                            let found = challenge
                                .params
                                .iter()
                                .find(|(key, _)| key.eq_ignore_ascii_case(name));
                            found.map(|(_, value)| value.to_unescaped())
                        };
                        if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                            return None;
                        }
                        Some(Self {
                            realm: parameter("realm")?,
                            service: parameter("service"),
                        })
                    })
            })
    }
}

/// The token service's answer; older ones say `token`, newer ones `access_token`.
#[derive(Deserialize)]
pub(super) struct TokenResponse {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl TokenResponse {
    /// The header to send and how long it is good for; `None` if the token cannot stand in a header.
    pub fn into_header(self) -> Option<(HeaderValue, Duration)> {
        let token = self
            .token
            .or(self.access_token)
            .filter(|token| !token.is_empty())?;
        let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        header.set_sensitive(true);
        Some((
            header,
            self.expires_in
                .map_or(DEFAULT_TOKEN_LIFETIME, Duration::from_secs),
        ))
    }
}

/// Whose token it is and for what. The password stands in it as a digest only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct TokenKey {
    host: String,
    repository: String,
    credentials: Option<[u8; 32]>,
}

impl TokenKey {
    pub fn new(host: &str, repository: &str, credentials: Option<&Credentials>) -> Self {
        Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            credentials: credentials.map(fingerprint),
        }
    }
}

/// Tells credentials apart without keeping them.
pub(in super::super) fn fingerprint(credentials: &Credentials) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(credentials.username.len().to_le_bytes());
    hasher.update(&credentials.username);
    hasher.update(&credentials.password);
    hasher.finalize().into()
}

/// The tokens that are still good.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<TokenKey, (HeaderValue, Instant)>>);

impl Tokens {
    pub fn get(&self, key: &TokenKey) -> Option<HeaderValue> {
        let tokens = self.0.lock();
        tokens
            .get(key)
            .filter(|(_, expires)| *expires > Instant::now())
            .map(|(header, _)| header.clone())
    }

    pub fn put(&self, key: TokenKey, header: HeaderValue, lifetime: Duration) {
        // A registry's own lifetime may be a number without sense; a day is more than any gives.
        let lifetime = lifetime
            .min(Duration::from_secs(24 * 3600))
            .saturating_sub(TOKEN_MARGIN);
        let mut tokens = self.0.lock();
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        tokens.insert(key, (header, Instant::now() + lifetime));
    }
}

/// `Authorization: Basic …`.
pub(super) fn basic(credentials: &Credentials) -> HeaderValue {
    use base64::Engine as _;
    let pair = format!("{}:{}", credentials.username, credentials.password);
    let text = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    );
    let mut header = HeaderValue::try_from(text).expect("base64 is made of header characters");
    header.set_sensitive(true);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearer_challenges_are_found_among_others() {
        for (name, headers, want) in [
            (
                "basic only",
                vec![r#"Basic realm="https://x/",service="ecr.amazonaws.com""#],
                None,
            ),
            (
                "bearer",
                vec![
                    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="x""#,
                ],
                Some(("https://auth.docker.io/token", Some("registry.docker.io"))),
            ),
            (
                "two headers",
                vec![r#"Basic realm="x""#, r#"bearer REALM="https://t""#],
                Some(("https://t", None)),
            ),
            ("no realm", vec![r#"Bearer service="x""#], None),
            ("garbage", vec!["=,=,Bearer"], None),
        ] {
            let mut map = HeaderMap::new();
            for header in headers {
                map.append(WWW_AUTHENTICATE, HeaderValue::from_static(header));
            }
            let want = want.map(|(realm, service): (&str, Option<&str>)| BearerChallenge {
                realm: realm.to_owned(),
                service: service.map(str::to_owned),
            });
            assert_eq!(BearerChallenge::find(&map), want, "{name}");
        }
    }

    #[test]
    fn a_token_that_would_break_out_of_its_header_is_refused() {
        for (name, body, want) in [
            ("token", r#"{"token":"abc"}"#, true),
            (
                "access_token",
                r#"{"access_token":"abc","expires_in":300}"#,
                true,
            ),
            ("line break", r#"{"token":"abc\r\nX: y"}"#, false),
            ("empty", r#"{"token":""}"#, false),
            ("none", "{}", false),
        ] {
            let response: TokenResponse = serde_json::from_str(body).expect("JSON");
            assert_eq!(response.into_header().is_some(), want, "{name}");
        }
    }
}
