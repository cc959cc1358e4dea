//! Who calls: credentials of a request, and the account and region they stand for.

use http::header::AUTHORIZATION;
use http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::access_key;
use crate::error::ApiError;

/// Longest region name taken from a request.
const MAX_REGION_CHARS: usize = 32;

/// The account and region that a request works in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// 12 digits.
    pub account: String,
    pub region: String,
    pub access_key_id: Option<String>,
}

/// Decides who calls. The body is as it came over the wire, before any decompression: signatures cover that.
pub trait Authenticator: Send + Sync + 'static {
    fn authenticate(&self, parts: &Parts, body: &[u8]) -> Result<Identity, ApiError>;
}

/// Development mode: any credentials pass, none at all too. An access key id of 12 digits is the account, and one that
/// STS made has it inside.
#[derive(Debug, Clone)]
pub struct DevAuthenticator {
    pub default_account: String,
    pub default_region: String,
}

impl Authenticator for DevAuthenticator {
    fn authenticate(&self, parts: &Parts, _body: &[u8]) -> Result<Identity, ApiError> {
        let Some(credential) = Credential::of(parts)? else {
            return Ok(Identity {
                account: self.default_account.clone(),
                region: self.default_region.clone(),
                access_key_id: None,
            });
        };
        let account = match credential.access_key_id.as_str() {
            id if id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit()) => id.to_owned(),
            // Temporary credentials belong to the account of the role that was assumed.
            id => access_key::minted_account(id).unwrap_or_else(|| self.default_account.clone()),
        };
        let region = match credential.region.as_str() {
            // Pseudo-regions of global services, and scopes without a region (SigV4a).
            "" | "*" => self.default_region.clone(),
            "aws-global" => "us-east-1".to_owned(),
            region => region.to_owned(),
        };
        Ok(Identity {
            account,
            region,
            access_key_id: Some(credential.access_key_id),
        })
    }
}

/// The credential scope of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub access_key_id: String,
    /// `YYYYMMDD`.
    pub date: String,
    pub region: String,
    pub service: String,
}

impl Credential {
    /// Reads the `Authorization` header, or `X-Amz-Credential` of a presigned URL. `None`: the request is unsigned.
    ///
    /// # Errors
    /// `IncompleteSignature`, if there is an `Authorization` that is none of AWS's.
    pub fn of(parts: &Parts) -> Result<Option<Self>, ApiError> {
        if let Some(header) = parts.headers.get(AUTHORIZATION) {
            let header = header
                .to_str()
                .map_err(|_| incomplete("The Authorization header is not text."))?;
            return Self::of_header(header).map(Some);
        }
        let Some(query) = parts.uri.query() else {
            return Ok(None);
        };
        let presigned = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("X-Amz-Credential="));
        presigned
            .map(|scope| {
                let scope = percent_decode_str(scope)
                    .decode_utf8()
                    .map_err(|_| incomplete("X-Amz-Credential is not text."))?;
                Self::of_scope(&scope)
            })
            .transpose()
    }

    fn of_header(header: &str) -> Result<Self, ApiError> {
        let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
        if !matches!(algorithm, "AWS4-HMAC-SHA256" | "AWS4-ECDSA-P256-SHA256") {
            return Err(incomplete(
                "The Authorization header must begin with AWS4-HMAC-SHA256.",
            ));
        }
        let parameter = |name: &str| {
            parameters
                .split(',')
                .find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|value| !value.is_empty())
        };
        let missing: Vec<String> = ["Credential", "Signature", "SignedHeaders"]
            .into_iter()
            .filter(|name| parameter(name).is_none())
            .map(|name| format!("Authorization header requires '{name}' parameter."))
            .collect();
        match parameter("Credential") {
            Some(scope) if missing.is_empty() => Self::of_scope(scope),
            _ => Err(incomplete(&missing.join(" "))),
        }
    }

    /// `AKID/20150830/us-east-1/iam/aws4_request`; SigV4a has no region. The key id may hold slashes, the rest not.
    fn of_scope(scope: &str) -> Result<Self, ApiError> {
        let bad = || {
            incomplete(
                "Credential must have the form <access key id>/<date>/<region>/<service>/aws4_request.",
            )
        };
        let stem = scope.strip_suffix("/aws4_request").ok_or_else(bad)?;
        let (stem, service) = stem.rsplit_once('/').ok_or_else(bad)?;
        let (stem, last) = stem.rsplit_once('/').ok_or_else(bad)?;
        let (access_key_id, date, region) = if is_date(last) {
            (stem, last, "")
        } else {
            let (stem, date) = stem.rsplit_once('/').ok_or_else(bad)?;
            (stem, date, last)
        };
        let known = !access_key_id.is_empty() && is_date(date) && !service.is_empty();
        if !known {
            return Err(bad());
        }
        // The region becomes a part of store keys and ARNs.
        let region_ok = region.len() <= MAX_REGION_CHARS
            && (region == "*"
                || region
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        if !region_ok {
            return Err(invalid_signature(
                "Credential should be scoped to a valid region.",
            ));
        }
        Ok(Self {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit())
}

fn incomplete(detail: &str) -> ApiError {
    let mut error = ApiError::client("IncompleteSignatureException", detail);
    error.query_code = "IncompleteSignature".into();
    error
}

/// A signature that is not valid for this request.
pub(crate) fn invalid_signature(detail: impl Into<String>) -> ApiError {
    let mut error = ApiError::client("InvalidSignatureException", detail);
    error.query_code = "SignatureDoesNotMatch".into();
    error.with_status(403)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: &str = ", SignedHeaders=host;x-amz-date, Signature=00";

    fn identify(uri: &str, authorization: Option<&str>) -> Result<(String, String), String> {
        let mut request = http::Request::builder().uri(uri);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let dev = DevAuthenticator {
            default_account: "000000000000".to_owned(),
            default_region: "eu-west-1".to_owned(),
        };
        dev.authenticate(&parts, b"")
            .map(|identity| (identity.account, identity.region))
            .map_err(|error| error.code.into_owned())
    }

    #[test]
    fn accounts_and_regions() {
        let incomplete = || Err("IncompleteSignatureException".to_owned());
        let found = |account: &str, region: &str| Ok((account.to_owned(), region.to_owned()));
        for (name, credential, want) in [
            (
                "test key",
                "test/20261123/us-west-2/ecs/aws4_request",
                found("000000000000", "us-west-2"),
            ),
            (
                "account",
                "111122223333/20261123/us-west-2/ecs/aws4_request",
                found("111122223333", "us-west-2"),
            ),
            (
                "global",
                "test/20261123/aws-global/sts/aws4_request",
                found("000000000000", "us-east-1"),
            ),
            (
                "slash in key",
                "a/b/20261123/us-west-2/ecs/aws4_request",
                found("000000000000", "us-west-2"),
            ),
            (
                "no region",
                "test/20261123/ecs/aws4_request",
                found("000000000000", "eu-west-1"),
            ),
            ("no end", "test/20261123/us-west-2/ecs", incomplete()),
            ("short", "ecs/aws4_request", incomplete()),
            (
                "bad date",
                "test/today/us-west-2/ecs/aws4_request",
                incomplete(),
            ),
            (
                "region is hostile",
                "test/20261123/../ecs/aws4_request",
                Err("InvalidSignatureException".to_owned()),
            ),
        ] {
            let header = format!("AWS4-HMAC-SHA256 Credential={credential}{TAIL}");
            assert_eq!(identify("/", Some(&header)), want, "{name}");
        }
        for (name, uri, authorization, want) in [
            ("unsigned", "/", None, found("000000000000", "eu-west-1")),
            ("basic", "/", Some("Basic QVdTOng="), incomplete()),
            ("empty", "/", Some(""), incomplete()),
            (
                "no signature",
                "/",
                Some("AWS4-HMAC-SHA256 Credential=a/20261123/r/s/aws4_request"),
                incomplete(),
            ),
            (
                "presigned",
                "/?Action=GetCallerIdentity&X-Amz-Credential=111122223333%2F20261123%2Fus-east-2%2Fsts%2Faws4_request",
                None,
                found("111122223333", "us-east-2"),
            ),
        ] {
            assert_eq!(identify(uri, authorization), want, "{name}");
        }
    }
}
