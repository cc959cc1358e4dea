//! A request's head, as routing sees it.
//!
//! Limits are AWS's: request line 16 KB, one header 16 KB, all of them 64 KB (ALB/load-balancer-limits).

use crate::routing::{Header, RequestView, Scheme};
use http::request::Parts;
use http::{Method, header};
use std::net::SocketAddr;

const MAX_REQUEST_LINE: usize = 16 * 1024;
const MAX_FIELD: usize = 16 * 1024;
const MAX_FIELDS: usize = 64 * 1024;

/// Owns what the view borrows.
pub(super) struct Head {
    pub parts: Parts,
    /// Clients may send one cookie per field; HTTP/1.1 wants them in one. RFC 9113, section 8.2.3.
    cookies: Option<Vec<u8>>,
}

impl Head {
    pub fn new(parts: Parts) -> Self {
        let mut crumbs = parts
            .headers
            .get_all(header::COOKIE)
            .iter()
            .map(|value| value.as_bytes());
        let cookies = match (crumbs.next(), crumbs.next()) {
            (Some(first), Some(second)) => {
                let mut all = first.to_vec();
                for crumb in std::iter::once(second).chain(crumbs) {
                    all.extend_from_slice(b"; ");
                    all.extend_from_slice(crumb);
                }
                Some(all)
            }
            _ => None,
        };
        Self { parts, cookies }
    }

    /// All fields, cookies joined.
    pub fn fields(&self) -> Vec<Header<'_>> {
        let mut fields = Vec::with_capacity(self.parts.headers.len());
        for (name, value) in &self.parts.headers {
            if self.cookies.is_none() || name != header::COOKIE {
                fields.push(Header {
                    name: name.as_str(),
                    value: value.as_bytes(),
                });
            }
        }
        if let Some(cookies) = &self.cookies {
            fields.push(Header {
                name: "cookie",
                value: cookies,
            });
        }
        fields
    }

    /// The authority; `:authority` before Host.
    pub fn host(&self) -> &str {
        let host = || self.parts.headers.get(header::HOST)?.to_str().ok();
        let authority = self.parts.uri.authority().map(http::uri::Authority::as_str);
        authority.or_else(host).unwrap_or_default()
    }

    pub fn is_grpc(&self) -> bool {
        let content_type = self.parts.headers.get(header::CONTENT_TYPE);
        content_type.is_some_and(|value| is_grpc(value.as_bytes()))
    }

    pub fn view<'a>(
        &'a self,
        fields: &'a [Header<'a>],
        peer: SocketAddr,
        listener_port: u16,
    ) -> RequestView<'a> {
        let path = self.parts.uri.path();
        RequestView {
            method: self.parts.method.as_str(),
            path: if path.is_empty() { "/" } else { path },
            query: self.parts.uri.query(),
            host: self.host(),
            headers: fields,
            peer,
            scheme: Scheme::Https,
            listener_port,
        }
    }

    /// Status of the answer to a head that is not to be routed.
    pub fn refusal(&self) -> Option<u16> {
        let Parts {
            method,
            uri,
            headers,
            ..
        } = &self.parts;
        let target = uri
            .path_and_query()
            .map_or(1, |target| target.as_str().len());
        // As long as HTTP/1.1 would write it: two spaces, the version, CR and LF.
        if method.as_str().len() + target + 12 > MAX_REQUEST_LINE {
            return Some(414);
        }
        let mut all = 0;
        for (name, value) in headers {
            // Colon, space, CR and LF.
            let length = name.as_str().len() + value.len() + 4;
            if length > MAX_FIELD {
                return Some(400);
            }
            all += length;
        }
        let hosts = headers.get_all(header::HOST).iter().count();
        match () {
            () if all > MAX_FIELDS || hosts > 1 => Some(400),
            () if method == Method::CONNECT => Some(400),
            () if method == Method::TRACE => Some(405),
            () => None,
        }
    }

    /// The announced length of the body; the library holds the client to it.
    pub fn content_length(&self) -> Option<u64> {
        self.parts
            .headers
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }

    /// Whether doing it twice is as doing it once.
    pub fn is_idempotent(&self) -> bool {
        matches!(
            self.parts.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
        )
    }
}

/// `application/grpc`, with or without a format.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    let name = b"application/grpc";
    content_type
        .get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
        && matches!(
            content_type.get(name.len()),
            None | Some(b'+' | b';' | b' ')
        )
}
