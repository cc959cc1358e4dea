//! A function behind a URL.

use std::sync::OnceLock;
use std::time::Duration;

use neargate_control::functions::Invocation;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode, Url};

use crate::outcome::{Failure, MAX_ANSWER_BYTES, text_of, too_long};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Of an answer that says what went wrong, as much as a status reason can show.
const MAX_REASON_CHARS: usize = 500;

/// What Lambda's own endpoints, and what stands in for them, say of an answer that is an error.
const FUNCTION_ERROR: &str = "x-amz-function-error";

/// The client is made at the first call, because it reads the machine's certificates.
#[derive(Default)]
pub struct Web {
    client: OnceLock<Result<Client, String>>,
}

impl Web {
    pub async fn invoke(&self, url: &Url, call: &Invocation<'_>) -> Result<String, Failure> {
        let client = self
            .client
            .get_or_init(client)
            .as_ref()
            .map_err(|error| Failure::NotStarted(error.clone()))?;
        let sent = client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("x-neargate-function", call.function)
            .header("x-neargate-account", &call.scope.account)
            .header("x-neargate-region", &call.scope.region)
            .body(call.payload.clone())
            .send()
            .await;
        let mut response = sent.map_err(|error| not_answered(url, &error))?;
        let status = response.status();
        let is_error = response.headers().contains_key(FUNCTION_ERROR);
        let answer = text_of(body(url, &mut response).await?)?;
        if status.is_success() && !is_error {
            return Ok(answer);
        }
        let reason: String = answer.chars().take(MAX_REASON_CHARS).collect();
        let reason = format!("{} answered {status}: {reason}", shown(url));
        Err(match status {
            // Both say that the request was not taken.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Failure::NotStarted(reason)
            }
            _ => Failure::Failed(reason),
        })
    }
}

fn client() -> Result<Client, String> {
    // rustls without a default provider panics on first use. Whoever installs one first wins, which is fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder()
        // What stands behind a name is what the file says.
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("neargate/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| {
            format!(
                "HTTP cannot be set up on this machine: {}",
                innermost(&error)
            )
        })
}

async fn body(url: &Url, response: &mut Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| not_answered(url, &error))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn not_answered(url: &Url, error: &reqwest::Error) -> Failure {
    let reason = format!("{}: {}", shown(url), innermost(error));
    match error.is_connect() {
        true => Failure::NotStarted(reason),
        false => Failure::Failed(reason),
    }
}

/// For messages: a URL without what may be a secret in it.
fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}"));
    format!(
        "{}://{host}{}{}",
        url.scheme(),
        port.unwrap_or_default(),
        url.path()
    )
}

/// The last error of the chain, which is the kernel's or the resolver's; reqwest's own repeats the whole URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_show_no_password_and_no_query() {
        let url = Url::parse("http://me:secret@host:81/a/b?token=secret").unwrap();
        assert_eq!(shown(&url), "http://host:81/a/b");
    }
}
