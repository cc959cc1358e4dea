//! HTTP with redirects followed under our own rules.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use http::Method;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};

use super::super::Limits;
use super::RegistryError;

/// ECR redirects once, to S3; nobody needs more than a few.
const MAX_REDIRECTS: u32 = 5;

/// Connections kept to one registry for the next pull.
const IDLE_CONNECTIONS_PER_HOST: usize = 4;

/// Two clients: the certificates of the machine are only read when TLS is spoken for the first time, because a node
/// that only knows the built-in registry never needs their time and memory.
pub(super) struct HttpClient {
    plain: OnceLock<Result<Client, String>>,
    tls: OnceLock<Result<Client, String>>,
    connect_timeout: Duration,
    idle_timeout: Duration,
}

impl HttpClient {
    pub fn new(limits: &Limits) -> Self {
        Self {
            plain: OnceLock::new(),
            tls: OnceLock::new(),
            connect_timeout: limits.connect_timeout,
            idle_timeout: limits.idle_timeout,
        }
    }

    /// Sends a request and follows its redirects. `authorization` never leaves the host that it is meant for, and a
    /// request that began with TLS does not go on without.
    pub async fn send(
        &self,
        method: Method,
        mut url: Url,
        headers: HeaderMap,
        mut authorization: Option<HeaderValue>,
    ) -> Result<Response, RegistryError> {
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self
                .client(&url)?
                .request(method.clone(), url.clone())
                .headers(headers.clone());
            if let Some(value) = &authorization {
                request = request.header(AUTHORIZATION, value.clone());
            }
            let response = request
                .send()
                .await
                .map_err(|error| describe(&host_of(&url), error))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let refused = |problem| RegistryError::Redirect {
                url: without_query(&url),
                problem,
            };
            let location = response
                .headers()
                .get(LOCATION)
                .and_then(|value| value.to_str().ok());
            let next = location.and_then(|text| url.join(text).ok());
            let next = next.ok_or_else(|| refused("redirected without a usable Location"))?;
            if !matches!(
                (url.scheme(), next.scheme()),
                ("https", "https") | ("http", "http" | "https")
            ) {
                return Err(refused("redirected from TLS to a line without"));
            }
            if (next.scheme(), next.host_str(), next.port_or_known_default())
                != (url.scheme(), url.host_str(), url.port_or_known_default())
            {
                authorization = None;
            }
            url = next;
        }
        Err(RegistryError::Redirect {
            url: without_query(&url),
            problem: "too many redirects",
        })
    }

    fn client(&self, url: &Url) -> Result<&Client, RegistryError> {
        let client = if url.scheme() == "https" {
            self.tls.get_or_init(|| self.build(|builder| builder))
        } else {
            // No proxy either: a registry without TLS is one of this machine or its network.
            self.plain.get_or_init(|| {
                self.build(|builder| builder.no_proxy().tls_backend_preconfigured(no_tls()))
            })
        };
        client
            .as_ref()
            .map_err(|problem| RegistryError::Tls(problem.clone()))
    }

    fn build(
        &self,
        adjust: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<Client, String> {
        install_crypto_provider();
        let builder = Client::builder()
            .redirect(Policy::none())
            .user_agent(concat!("neargate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.idle_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
            .tcp_nodelay(true);
        adjust(builder).build().map_err(|error| {
            format!(
                "TLS cannot be set up on this machine: {}",
                innermost(&error)
            )
        })
    }
}

/// rustls without a default provider panics on first use. Whoever installs one first wins, which is fine.
fn install_crypto_provider() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// A TLS configuration that trusts nobody.
fn no_tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

pub(super) fn parse_url(text: &str) -> Result<Url, RegistryError> {
    let refused = |problem| RegistryError::Redirect {
        url: text.chars().take(200).collect(),
        problem,
    };
    let url = Url::parse(text).map_err(|_| refused("not a URL"))?;
    match url.scheme() {
        "http" | "https" if url.host_str().is_some() => Ok(url),
        _ => Err(refused("not an HTTP URL")),
    }
}

/// `host` or `host:port`, for messages.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// For messages: the query of a presigned URL is a secret.
pub(super) fn without_query(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), host_of(url), url.path())
}

/// A failed request in the words of a Go program, which are the ones people search for.
pub(super) fn describe(host: &str, error: reqwest::Error) -> RegistryError {
    let host = host.to_owned();
    if error.is_timeout() {
        return RegistryError::TimedOut { host };
    }
    let cause = innermost(&error);
    if error.is_connect() {
        RegistryError::Connect { host, cause }
    } else {
        RegistryError::Broken { host, cause }
    }
}

/// The last error of the chain, which is the kernel's or the resolver's; reqwest's own repeats the whole URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
