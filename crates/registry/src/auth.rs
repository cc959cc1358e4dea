//! Who may use the registry over HTTP, and which registry a request means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};
use neargate_domain::Scope;

use crate::name::{is_account, is_region};
use crate::registry::Registry;
use crate::token::{Grant, TokenError, claimed};

/// Longest `Authorization` header that is looked at.
const MAX_HEADER_BYTES: usize = 8 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthMode {
    /// Anybody may do everything, also without a login.
    Open,
    /// Requests need a login, and any will do: dev mode, where a pipeline that forgets to log in shall fail as at AWS.
    AnyLogin,
    /// Requests need the password of GetAuthorizationToken, which is good for its account and region.
    Token,
}

/// The registry that a request may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub scope: Scope,
}

/// Why a request may not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No credentials or unknown ones: 401, and docker asks for a login. The host to log in to.
    Unauthorized(Scope),
    /// Known credentials that do not suffice: 403.
    Denied(String),
}

impl Registry {
    /// Finds the registry that a request addresses, and lets it in or not.
    ///
    /// The host name decides if it is one of ECR's, then the credentials, then the configured default.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        authority: Option<&str>,
    ) -> Result<Access, Refusal> {
        let host = headers
            .get(HOST)
            .and_then(|host| host.to_str().ok())
            .or(authority);
        let addressed = host.and_then(scope_of_host);
        let password = password_of(headers);
        let default = || self.config.default_scope.clone();
        let unauthorized = || Refusal::Unauthorized(addressed.clone().unwrap_or_else(default));
        if self.config.auth != AuthMode::Token {
            if self.config.auth == AuthMode::AnyLogin && password.is_none() {
                return Err(unauthorized());
            }
            let claimed = password
                .as_deref()
                .and_then(claimed)
                .and_then(scope_of_grant);
            let scope = addressed.or(claimed).unwrap_or_else(default);
            return Ok(Access { scope });
        }
        let password = password.ok_or_else(unauthorized)?;
        let grant = match self.verify_token(&password) {
            Ok(grant) => grant,
            Err(TokenError::Foreign) => return Err(unauthorized()),
            Err(error @ TokenError::Expired) => return Err(Refusal::Denied(error.to_string())),
        };
        let scope = scope_of_grant(grant).ok_or_else(unauthorized)?;
        match &addressed {
            Some(addressed) if *addressed != scope => Err(Refusal::Denied(format!(
                "The credentials are for the registry {} in {}, not for {} in {}.",
                scope.account, scope.region, addressed.account, addressed.region
            ))),
            _ => Ok(Access { scope }),
        }
    }
}

fn scope_of_grant(grant: Grant) -> Option<Scope> {
    match grant {
        Grant::Registry { scope, .. } if is_account(&scope.account) && is_region(&scope.region) => {
            Some(scope)
        }
        _ => None,
    }
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, or `….localhost`, which resolves to loopback by itself; a port may follow.
pub fn scope_of_host(host: &str) -> Option<Scope> {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.to_ascii_lowercase();
    let (account, rest) = name.split_once(".dkr.ecr.")?;
    let region = rest
        .strip_suffix(".amazonaws.com")
        .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))
        .or_else(|| rest.strip_suffix(".localhost"))?;
    (is_account(account) && is_region(region)).then(|| Scope::new(account, region))
}

/// The password of Basic credentials. The user name is always `AWS` and says nothing. An empty password is none.
fn password_of(headers: &HeaderMap) -> Option<String> {
    let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
    if header.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (kind, encoded) = header.split_once(' ')?;
    if !kind.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let password = decoded.split_once(':')?.1;
    (!password.is_empty()).then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecr_hosts_name_their_registry() {
        let eu = || Some(Scope::new("123456789012", "eu-west-1"));
        for (host, want) in [
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", eu()),
            ("123456789012.dkr.ecr.eu-west-1.amazonaws.com:443", eu()),
            ("123456789012.DKR.ecr.eu-west-1.localhost:4566", eu()),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                Some(Scope::new("123456789012", "cn-north-1")),
            ),
            ("localhost:4566", None),
            ("docker.io", None),
            ("127.0.0.1:4566", None),
            ("[::1]:4566", None),
            ("12345678901.dkr.ecr.eu-west-1.amazonaws.com", None),
            ("123456789012.dkr.ecr.eu/../x.amazonaws.com", None),
            ("123456789012.dkr.ecr..amazonaws.com", None),
            ("123456789012.dkr.ecr.eu-west-1.example.com", None),
        ] {
            assert_eq!(scope_of_host(host), want, "{host}");
        }
    }

    #[test]
    fn only_basic_credentials_have_a_password() {
        for (name, header, want) in [
            ("basic", "Basic QVdTOnNlY3JldDp4", Some("secret:x")),
            ("lower case", "basic QVdTOnNlY3JldDp4", Some("secret:x")),
            ("bearer", "Bearer QVdTOnNlY3JldDp4", None),
            ("not base64", "Basic %%%", None),
            ("no colon", "Basic QVdT", None),
            ("empty", "Basic QVdTOg==", None),
            ("nothing", "", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, header.parse().expect("a header"));
            assert_eq!(password_of(&headers).as_deref(), want, "{name}");
        }
    }
}
