//! The head of a target's response.

use crate::desync::body::{Body, response_body};
use crate::headers::connection_options;
use crate::routing::Header;
use std::mem::MaybeUninit;

/// AWS: response headers larger than this are a 502.
pub const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 512;
/// Headers that are parsed without room being made for more.
const USUAL_HEADERS: usize = 64;

/// What a head says, besides its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub status: u16,
    /// 0 or 1, of HTTP/1.
    pub minor_version: u8,
    /// Where the body begins.
    pub head_bytes: usize,
    /// What the head announces; [`Facts::has_body`] says whether it follows.
    pub body: Body,
    /// The connection can carry another exchange after this one.
    pub persistent: bool,
    bodiless: bool,
}

impl Facts {
    /// Whether a body follows. Not after the answer to a HEAD, nor after a 304, whatever they announce.
    pub fn has_body(&self) -> bool {
        !self.bodiless && !matches!(self.body, Body::None | Body::Length(0))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHead {
    #[error("the target's response is malformed")]
    Malformed,
    #[error("the target's response headers are larger than {MAX_HEAD_BYTES} bytes")]
    TooLarge,
}

/// Parses a head and hands it to `with` together with its headers and reason phrase. `Ok(None)`: not all of it is there.
pub fn parse<T>(
    input: &[u8],
    request_is_head: bool,
    with: impl FnOnce(&Facts, &str, &[Header<'_>]) -> T,
) -> Result<Option<T>, BadHead> {
    let mut storage = [MaybeUninit::uninit(); USUAL_HEADERS];
    let mut more;
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let mut parsed = config.parse_response_with_uninit_headers(&mut response, input, &mut storage);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        more = vec![MaybeUninit::uninit(); MAX_HEADERS];
        response = httparse::Response::new(&mut []);
        parsed = config.parse_response_with_uninit_headers(&mut response, input, &mut more);
    }
    match parsed {
        Ok(httparse::Status::Complete(head_bytes)) if head_bytes <= MAX_HEAD_BYTES => {
            let facts = facts(&response, head_bytes, request_is_head)?;
            Ok(Some(with(
                &facts,
                response.reason.unwrap_or_default(),
                response.headers,
            )))
        }
        Ok(httparse::Status::Partial) if input.len() < MAX_HEAD_BYTES => Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => Err(BadHead::TooLarge),
        Err(_) => Err(BadHead::Malformed),
    }
}

fn facts(
    response: &httparse::Response<'_, '_>,
    head_bytes: usize,
    request_is_head: bool,
) -> Result<Facts, BadHead> {
    let (Some(status @ 100..=999), Some(minor_version)) = (response.code, response.version) else {
        return Err(BadHead::Malformed);
    };
    let method = if request_is_head { "HEAD" } else { "GET" };
    let body = response_body(method, status, response.headers).map_err(|_| BadHead::Malformed)?;
    let options = connection_options(response.headers);
    let by_version = minor_version == 1 || options.keep_alive;
    Ok(Facts {
        status,
        minor_version,
        head_bytes,
        body,
        persistent: !options.close
            && by_version
            && !matches!(body, Body::UntilClose | Body::Upgraded),
        bodiless: request_is_head || status == 304,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        name: &str,
        head: &str,
        request_is_head: bool,
        want: Result<Option<(u16, Body, bool)>, BadHead>,
    ) {
        let got = parse(head.as_bytes(), request_is_head, |facts, _, _| {
            (facts.status, facts.body, facts.persistent)
        });
        assert_eq!(got, want, "{name}");
    }

    #[test]
    fn a_head_tells_how_its_body_ends() {
        for (name, head, want) in [
            (
                "length",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                (200, Body::Length(5), true),
            ),
            (
                "chunked",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n",
                (200, Body::Chunked, true),
            ),
            (
                "neither",
                "HTTP/1.1 200 OK\r\n\r\n",
                (200, Body::UntilClose, false),
            ),
            (
                "no content",
                "HTTP/1.1 204 No Content\r\n\r\n",
                (204, Body::None, true),
            ),
            (
                "not modified",
                "HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n",
                (304, Body::Length(5), true),
            ),
            (
                "continue",
                "HTTP/1.1 100 Continue\r\n\r\n",
                (100, Body::None, true),
            ),
            (
                "close",
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n",
                (200, Body::Length(0), false),
            ),
            (
                "1.0",
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
                (200, Body::Length(1), false),
            ),
            (
                "1.0 kept",
                "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
                (200, Body::Length(1), true),
            ),
            (
                "same length twice",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                (200, Body::Length(1), true),
            ),
            (
                "no reason",
                "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n",
                (200, Body::Length(1), true),
            ),
        ] {
            check(name, head, false, Ok(Some(want)));
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        check("HEAD", head, true, Ok(Some((200, Body::Length(5), true))));
        check("part", &head[..20], false, Ok(None));
    }

    #[test]
    fn a_bad_head_is_refused() {
        for (name, head) in [
            (
                "two lengths",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            ),
            (
                "bad length",
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            ),
            (
                "unknown coding",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            ),
            (
                "both",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            ("folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"),
            ("not HTTP", "hello\r\n\r\n"),
            ("HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"),
        ] {
            check(name, head, false, Err(BadHead::Malformed));
        }
        let long = format!(
            "HTTP/1.1 200 OK\r\nA: {}\r\n\r\n",
            "x".repeat(MAX_HEAD_BYTES)
        );
        check("too large", &long, false, Err(BadHead::TooLarge));
        let many = format!("HTTP/1.1 204 No\r\n{}\r\n", "A: b\r\n".repeat(100));
        check(
            "many headers",
            &many,
            false,
            Ok(Some((204, Body::None, true))),
        );
    }
}
