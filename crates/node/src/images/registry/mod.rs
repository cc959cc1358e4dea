//! The pulling half of the OCI distribution protocol.
//!
//! Written here on reqwest, not taken from `oci-client`, because the registry is not trusted and every task start asks
//! it something: answers are read under a limit (`oci-client` reads a manifest of any size into memory, and panics on
//! a token with a line break), a pull with credentials of its own needs no client of its own, and the question "what
//! does this tag mean now" is one request.

mod auth;
mod error;
mod http_client;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE,
};
use http::{Method, StatusCode};
use reqwest::Response;

use super::{Digest, ImageReference, Limits, manifest};
use auth::{TokenKey, Tokens};
use http_client::HttpClient;

pub use auth::Credentials;
pub(super) use auth::fingerprint;
pub use error::{RegistryError, Retry};

/// The answer of a token service.
const MAX_TOKEN_BYTES: u64 = 1024 * 1024;

/// Of an error's body as much is read, to find the registry's own words in it.
const MAX_ERROR_BYTES: u64 = 16 * 1024;

/// Of the registry's own words as many get into a message.
const MAX_DETAIL_CHARS: usize = 200;

const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// Where to pull from and as whom.
#[derive(Clone)]
pub(super) struct Origin {
    pub reference: ImageReference,
    /// The reference of the task definition in its complete form, for messages.
    pub shown: String,
    pub plain_http: bool,
    pub credentials: Option<Credentials>,
}

/// A manifest as the registry sent it.
pub(super) struct RawManifest {
    pub bytes: Bytes,
    pub digest: Digest,
    pub content_type: Option<String>,
}

/// A blob that is about to arrive.
pub(super) struct BlobBody {
    /// Where in the blob the body starts; 0 if the registry does not know ranges.
    pub offset: u64,
    pub host: String,
    response: Response,
}

impl BlobBody {
    /// The next piece, `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, RegistryError> {
        self.response
            .chunk()
            .await
            .map_err(|error| http_client::describe(&self.host, error))
    }
}

/// Requests to registries. One for the whole node.
pub(super) struct RegistryClient {
    http: HttpClient,
    tokens: Tokens,
}

impl RegistryClient {
    pub fn new(limits: &Limits) -> Self {
        Self {
            http: HttpClient::new(limits),
            tokens: Tokens::default(),
        }
    }

    /// What a tag points to, by HEAD, which rate limits do not count. `None` if the registry does not say it.
    pub async fn head_manifest(
        &self,
        origin: &Origin,
        tag: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let response = self.manifest_request(Method::HEAD, origin, tag).await?;
        let header = response
            .headers()
            .get(DOCKER_CONTENT_DIGEST)
            .and_then(|value| value.to_str().ok());
        Ok(header.and_then(|text| text.parse().ok()))
    }

    /// A manifest by tag or digest. Its digest is computed here, whatever the registry says.
    pub async fn manifest(
        &self,
        origin: &Origin,
        name: &str,
        limit: u64,
    ) -> Result<RawManifest, RegistryError> {
        let response = self.manifest_request(Method::GET, origin, name).await?;
        let content_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned);
        let bytes = read_limited(response, "the manifest", limit, origin.reference.host()).await?;
        let digest = Digest::of(&bytes);
        match name.parse::<Digest>() {
            Ok(want) if want != digest => Err(RegistryError::DigestMismatch { want, got: digest }),
            _ => Ok(RawManifest {
                bytes,
                digest,
                content_type,
            }),
        }
    }

    /// A small blob, checked.
    pub async fn small_blob(
        &self,
        origin: &Origin,
        digest: &Digest,
        size: u64,
    ) -> Result<Bytes, RegistryError> {
        let body = self.blob(origin, digest, 0).await?;
        let bytes = read_limited(body.response, "the blob", size, &body.host).await?;
        let got = Digest::of(&bytes);
        if bytes.len() as u64 != size {
            return Err(RegistryError::SizeMismatch {
                want: size,
                got: bytes.len() as u64,
            });
        }
        if got != *digest {
            return Err(RegistryError::DigestMismatch {
                want: digest.clone(),
                got,
            });
        }
        Ok(bytes)
    }

    /// A blob from `offset` on, if the registry can; the caller checks size and digest.
    pub async fn blob(
        &self,
        origin: &Origin,
        digest: &Digest,
        offset: u64,
    ) -> Result<BlobBody, RegistryError> {
        let path = format!("/v2/{}/blobs/{digest}", origin.reference.repository());
        let mut headers = HeaderMap::new();
        if offset > 0 {
            headers.insert(RANGE, header(format!("bytes={offset}-")));
        }
        let response = self
            .send(Method::GET, origin, &path, headers, digest.as_str())
            .await?;
        let starts_at = if response.status() == StatusCode::PARTIAL_CONTENT {
            offset
        } else {
            0
        };
        if starts_at > 0 && !continues_at(response.headers(), offset) {
            return Err(RegistryError::Broken {
                host: origin.reference.host().to_owned(),
                cause: "the registry answered another range than the one asked for".to_owned(),
            });
        }
        let host = http_client::host_of(response.url());
        Ok(BlobBody {
            offset: starts_at,
            host,
            response,
        })
    }

    async fn manifest_request(
        &self,
        method: Method,
        origin: &Origin,
        name: &str,
    ) -> Result<Response, RegistryError> {
        let path = format!("/v2/{}/manifests/{name}", origin.reference.repository());
        let accept = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(manifest::ACCEPT))]);
        self.send(method, origin, &path, accept, &origin.shown)
            .await
    }

    /// Sends a request as the origin's user and turns every answer but success into an error. `what` is the thing
    /// asked for, in the error's words.
    async fn send(
        &self,
        method: Method,
        origin: &Origin,
        path: &str,
        headers: HeaderMap,
        what: &str,
    ) -> Result<Response, RegistryError> {
        let host = origin.reference.host();
        let scheme = if origin.plain_http { "http" } else { "https" };
        let url = http_client::parse_url(&format!("{scheme}://{host}{path}"))?;
        let credentials = origin.credentials.as_ref();
        let key = TokenKey::new(host, origin.reference.repository(), credentials);
        // Basic credentials go with the first request: to ask without them first would double the requests to the
        // built-in registry and to ECR, which know nothing else (ecr.md, §2).
        let first = self
            .tokens
            .get(&key)
            .or_else(|| credentials.map(auth::basic));
        let response = self
            .http
            .send(method.clone(), url.clone(), headers.clone(), first)
            .await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return checked(response, what).await;
        }
        let Some(challenge) = auth::BearerChallenge::find(response.headers()) else {
            let problem = if credentials.is_some() {
                "the credentials were refused"
            } else {
                "no basic auth credentials"
            };
            return Err(RegistryError::Unauthorized(format!(
                "authorization failed: {problem}"
            )));
        };
        let token = self.fetch_token(origin, &challenge, key).await?;
        let response = self.http.send(method, url, headers, Some(token)).await?;
        checked(response, what).await
    }

    /// Distribution's token protocol: a GET at the realm with service and scope.
    async fn fetch_token(
        &self,
        origin: &Origin,
        challenge: &auth::BearerChallenge,
        key: TokenKey,
    ) -> Result<HeaderValue, RegistryError> {
        let mut url = http_client::parse_url(&challenge.realm)?;
        // The realm gets the password, so a registry on TLS may not send it over a line without.
        if url.scheme() != "https" && !origin.plain_http {
            let url = http_client::without_query(&url);
            return Err(RegistryError::Redirect {
                url,
                problem: "the token service has no TLS",
            });
        }
        let scope = format!("repository:{}:pull", origin.reference.repository());
        url.query_pairs_mut()
            .extend_pairs(
                challenge
                    .service
                    .as_deref()
                    .map(|service| ("service", service)),
            )
            .append_pair("scope", &scope);
        let basic = origin.credentials.as_ref().map(auth::basic);
        let host = http_client::host_of(&url);
        let response = self
            .http
            .send(Method::GET, url, HeaderMap::new(), basic)
            .await?;
        if response.status().is_client_error() && response.status() != StatusCode::TOO_MANY_REQUESTS
        {
            let detail = detail_of(response).await;
            return Err(RegistryError::Unauthorized(format!(
                "authorization failed{detail}"
            )));
        }
        let response = checked(response, "the token").await?;
        let bytes = read_limited(response, "the token", MAX_TOKEN_BYTES, &host).await?;
        let token: Option<auth::TokenResponse> = serde_json::from_slice(&bytes).ok();
        let unusable =
            || RegistryError::Unauthorized("the token service's answer holds no token".to_owned());
        let (header, lifetime) = token
            .and_then(auth::TokenResponse::into_header)
            .ok_or_else(unusable)?;
        self.tokens.put(key, header.clone(), lifetime);
        Ok(header)
    }
}

async fn checked(response: Response, what: &str) -> Result<Response, RegistryError> {
    let status = response.status();
    if matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT) {
        return Ok(response);
    }
    let url = response.url().clone();
    let what = what.to_owned();
    let detail = detail_of(response).await;
    Err(match status {
        StatusCode::NOT_FOUND => RegistryError::NotFound(what),
        StatusCode::UNAUTHORIZED => {
            RegistryError::Unauthorized(format!("authorization failed{detail}"))
        }
        StatusCode::FORBIDDEN => RegistryError::Forbidden {
            host: http_client::host_of(&url),
            what,
            detail,
        },
        StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests(detail),
        _ => RegistryError::Status {
            url: http_client::without_query(&url),
            status,
            detail,
        },
    })
}

/// `: CODE: message` of the registry's first error, or nothing.
async fn detail_of(response: Response) -> String {
    #[derive(serde::Deserialize)]
    struct Body {
        errors: Vec<Problem>,
    }
    #[derive(serde::Deserialize)]
    struct Problem {
        code: Option<String>,
        message: Option<String>,
    }
    let Ok(bytes) = read_limited(response, "the error", MAX_ERROR_BYTES, "").await else {
        return String::new();
    };
    let Ok(Body { errors }) = serde_json::from_slice(&bytes) else {
        return String::new();
    };
    let Some(first) = errors.into_iter().next() else {
        return String::new();
    };
    let words = [first.code, first.message]
        .into_iter()
        .flatten()
        .filter(|word| !word.is_empty());
    let text: String = words.flat_map(|word| [": ".to_owned(), word]).collect();
    text.chars()
        .filter(|c| !c.is_control())
        .take(MAX_DETAIL_CHARS)
        .collect()
}

async fn read_limited(
    mut response: Response,
    what: &str,
    limit: u64,
    host: &str,
) -> Result<Bytes, RegistryError> {
    let too_large = || RegistryError::TooLarge {
        what: what.to_owned(),
        limit,
    };
    let announced = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse().ok());
    if announced.is_some_and(|length: u64| length > limit) {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| http_client::describe(host, error))?
    {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

/// `Content-Range: bytes 5-99/100` starts where it was asked to.
fn continues_at(headers: &HeaderMap, offset: u64) -> bool {
    let value = headers
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let start = value.and_then(|text| text.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    start == Some(offset)
}

fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("made of ASCII letters and digits")
}
