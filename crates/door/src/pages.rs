//! Requests that a web page caused.
//!
//! A page may send GETs (an image), forms and texts to any address without asking; only answers are kept from it. Three
//! things give it away: the name it used (`Host`, see [`crate::hosts`]), and `Origin` and `Sec-Fetch-Site`, which the
//! browser adds and no page can change. Programs send none of the latter two. What needs a preflight (`OPTIONS`) carries
//! an `Origin` of another site too, and is refused like the rest, so it never comes.
//!
//! Source: "Fetch Metadata Request Headers" and "The Origin header" of the W3C and WHATWG.

use http::header::{AUTHORIZATION, HOST, ORIGIN, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method};

use crate::hosts::Authority;

/// What `POST /_neargate/reset` must carry. A page could send it only after a preflight that nobody answers.
pub const RESET_HEADER: HeaderName = HeaderName::from_static("x-neargate-reset");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_AMZ_TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// Whoever sends one of these is no page, or a page that was let by a preflight.
const PROOFS: [HeaderName; 3] = [AUTHORIZATION, X_AMZ_TARGET, RESET_HEADER];

/// Why a request is not let in; its text is the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "dev mode takes any credentials, so it answers only to names that a web page cannot take: localhost, \
         *.localhost, loopback addresses, AWS's endpoint names. Send the request to http://127.0.0.1 and the same port"
    )]
    ForeignHost,
    #[error(
        "dev mode takes any credentials, so pages of other origins may not use it; send the request from a program, or \
         from a page of the same host and port"
    )]
    OtherOrigin,
    /// Browsers say nothing of the page where the target is no "trustworthy" address, and old ones never do.
    #[error(
        "dev mode takes any credentials, so a browser that does not say which page a request comes from may only read; \
         use http://127.0.0.1 or http://localhost and the same port"
    )]
    Unsaid,
}

/// Lets a request in unless a page of another origin may have caused it.
pub fn admit(request: &Parts) -> Result<(), Refusal> {
    let host = our_host(request)?;
    let headers = &request.headers;
    for origin in headers.get_all(ORIGIN) {
        let same = match (origin.to_str(), &host) {
            (Ok(origin), Some(host)) => is_same_origin(origin, host),
            _ => false,
        };
        if !same {
            return Err(Refusal::OtherOrigin);
        }
    }
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter().peekable();
    let says_site = sites.peek().is_some();
    // `none`: the user's own doing, such as the address bar.
    if !sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none")) {
        return Err(Refusal::OtherOrigin);
    }
    let said = says_site || headers.contains_key(ORIGIN);
    if !said && is_browser(headers) && !only_reads(request) {
        return Err(Refusal::Unsaid);
    }
    Ok(())
}

/// The host that the request names, which must be one of ours. HTTP/1.0 may name none.
fn our_host(request: &Parts) -> Result<Option<Authority>, Refusal> {
    let from_uri = request.uri.authority().map(|a| Ok(a.as_str()));
    let from_header = request
        .headers
        .get_all(HOST)
        .iter()
        .map(|host| host.to_str());
    let mut first = None;
    for named in from_uri.into_iter().chain(from_header) {
        let authority = named
            .ok()
            .and_then(Authority::parse)
            .filter(Authority::is_ours)
            .ok_or(Refusal::ForeignHost)?;
        // Two that differ would let a page of one pass for a page of the other.
        if first.as_ref().is_some_and(|first| *first != authority) {
            return Err(Refusal::ForeignHost);
        }
        first = Some(authority);
    }
    Ok(first)
}

/// Whether a page of `origin` is of one origin with what it asks of `host`. A proxy in front may speak TLS.
fn is_same_origin(origin: &str, host: &Authority) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port.unwrap_or(default_port);
    Authority::parse(authority)
        .is_some_and(|origin| origin.host == host.host && port(&origin) == port(host))
}

fn is_browser(headers: &HeaderMap) -> bool {
    let named = headers.get(USER_AGENT);
    named.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
        && !PROOFS.iter().any(|proof| headers.contains_key(proof))
}

/// The query protocols take actions by GET too.
fn only_reads(request: &Parts) -> bool {
    let query = request.uri.query().unwrap_or_default();
    matches!(request.method, Method::GET | Method::HEAD)
        && !query.split('&').any(|pair| pair.starts_with("Action="))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "user-agent: Mozilla/5.0 (X11; Linux x86_64)";

    fn judge(line: &str, headers: &[&str]) -> Result<(), Refusal> {
        let (method, uri) = line.split_once(' ').expect("a method and a target");
        let mut request = http::Request::builder().method(method).uri(uri);
        for header in headers {
            let (name, value) = header.split_once(": ").expect("name: value");
            request = request.header(name, value);
        }
        admit(&request.body(()).expect("a valid request").into_parts().0)
    }

    #[test]
    fn programs_and_pages_of_our_own_come_in() {
        for (line, headers) in [
            ("POST /", &["host: 127.0.0.1:4566"][..]),
            (
                "POST /",
                &["host: localhost:4566", "user-agent: aws-cli/2.0"],
            ),
            ("GET /", &[]),
            ("POST http://localhost:4566/", &[]),
            ("POST http://localhost:4566/", &["host: localhost:4566"]),
            (
                "PUT /v2/a/blobs/uploads/1",
                &["host: 123456789012.dkr.ecr.us-east-1.amazonaws.com"],
            ),
            (
                "GET /?Action=GetCallerIdentity",
                &["host: localhost:4566", "user-agent: curl/8"],
            ),
            // The console.
            (
                "GET /",
                &["host: localhost:4566", BROWSER, "sec-fetch-site: none"],
            ),
            (
                "POST /",
                &[
                    "host: localhost:4566",
                    BROWSER,
                    "origin: http://localhost:4566",
                    "sec-fetch-site: same-origin",
                ],
            ),
            ("POST /", &["host: [::1]:4566", "origin: http://[::1]:4566"]),
            (
                "POST /",
                &["host: localhost", "origin: http://localhost:80"],
            ),
            (
                "POST /",
                &[
                    "host: console.localhost",
                    "origin: https://console.localhost",
                ],
            ),
            // An old browser, or a plain name.
            (
                "GET /_neargate/health",
                &["host: localhost.localstack.cloud:4566", BROWSER],
            ),
            // A program that calls itself one.
            (
                "POST /",
                &[
                    "host: localhost:4566",
                    BROWSER,
                    "x-amz-target: AmazonSSM.GetParameter",
                ],
            ),
            (
                "POST /_neargate/reset",
                &["host: localhost:4566", BROWSER, "x-neargate-reset: yes"],
            ),
        ] {
            assert_eq!(judge(line, headers), Ok(()), "{line} {headers:?}");
        }
    }

    #[test]
    fn what_other_pages_cause_stays_outside() {
        use Refusal::{ForeignHost, OtherOrigin, Unsaid};
        for (name, line, headers, want) in [
            (
                "rebinding",
                "POST /",
                &["host: evil.example:4566"][..],
                ForeignHost,
            ),
            (
                "rebinding, same origin",
                "POST /",
                &[
                    "host: evil.example:4566",
                    "origin: http://evil.example:4566",
                    "sec-fetch-site: same-origin",
                ],
                ForeignHost,
            ),
            (
                "two hosts",
                "GET /",
                &["host: localhost:4566", "host: evil.example"],
                ForeignHost,
            ),
            (
                "two hosts of ours",
                "GET /",
                &["host: localhost:4566", "host: localhost:80"],
                ForeignHost,
            ),
            (
                "absolute form",
                "GET http://evil.example/",
                &["host: localhost:4566"],
                ForeignHost,
            ),
            (
                "form",
                "POST /",
                &["host: localhost:4566", "origin: https://evil.example"],
                OtherOrigin,
            ),
            (
                "sandboxed frame",
                "POST /",
                &["host: localhost:4566", "origin: null"],
                OtherOrigin,
            ),
            (
                "a task's page",
                "POST /",
                &[
                    "host: localhost:4566",
                    "origin: http://app.us-east-1.elb.localhost:4566",
                ],
                OtherOrigin,
            ),
            (
                "another port",
                "POST /",
                &["host: localhost:4566", "origin: http://localhost:3000"],
                OtherOrigin,
            ),
            (
                "two origins",
                "POST /",
                &[
                    "host: localhost:4566",
                    "origin: http://localhost:4566",
                    "origin: http://x.example",
                ],
                OtherOrigin,
            ),
            (
                "origin without a host",
                "POST /",
                &["origin: http://localhost:4566"],
                OtherOrigin,
            ),
            (
                "extension",
                "POST /",
                &["host: localhost:4566", "origin: chrome-extension://abc"],
                OtherOrigin,
            ),
            (
                "image",
                "GET /?Action=DeleteVpc",
                &["host: localhost:4566", "sec-fetch-site: cross-site"],
                OtherOrigin,
            ),
            (
                "image of a task's page",
                "GET /?Action=DeleteVpc",
                &["host: localhost:4566", "sec-fetch-site: same-site"],
                OtherOrigin,
            ),
            (
                "preflight",
                "OPTIONS /_neargate/reset",
                &["host: localhost:4566", "origin: https://evil.example"],
                OtherOrigin,
            ),
            (
                "blob",
                "POST /v2/a/blobs/uploads/",
                &["host: localhost:4566", "origin: https://evil.example"],
                OtherOrigin,
            ),
            (
                "image to a name",
                "GET /?Version=1&Action=DeleteVpc",
                &["host: localhost.localstack.cloud:4566", BROWSER],
                Unsaid,
            ),
            (
                "old browser's form",
                "POST /",
                &["host: localhost:4566", BROWSER],
                Unsaid,
            ),
        ] {
            assert_eq!(judge(line, headers), Err(want), "{name}");
        }
    }
}
