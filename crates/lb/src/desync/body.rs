//! Where a body ends, in requests and in responses.

use crate::headers::connection::tokens;
use crate::routing::Header;

/// The body that a parsed head announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    Length(u64),
    Chunked,
    /// Until the sender closes; responses only.
    UntilClose,
    /// A 101: from here on the connection belongs to another protocol.
    Upgraded,
}

/// A request's body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequestBody {
    /// 400, whatever the desync mode: there is no saying where the request ends.
    #[error("the request's length is not told, or told differently")]
    Unreadable,
    /// 501.
    #[error("the request has a transfer encoding other than chunked")]
    UnknownEncoding,
}

impl BadRequestBody {
    pub fn status(self) -> u16 {
        match self {
            Self::Unreadable => 400,
            Self::UnknownEncoding => 501,
        }
    }
}

/// A response's head contradicts itself: 502.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the target's response does not tell where it ends")]
pub struct BadResponseBody;

/// The body of a request. Chunked wins over a length, as the standard has it; then `desync` closes the connections.
pub fn request_body(headers: &[Header<'_>]) -> Result<Body, BadRequestBody> {
    match framing(headers) {
        (Encoding::Unknown, _) => Err(BadRequestBody::UnknownEncoding),
        (Encoding::Bad, _) | (_, Length::Bad) => Err(BadRequestBody::Unreadable),
        (Encoding::Chunked | Encoding::ManyChunked, _) => Ok(Body::Chunked),
        (Encoding::None, Length::Of(0) | Length::None) => Ok(Body::None),
        (Encoding::None, Length::Of(length)) => Ok(Body::Length(length)),
    }
}

/// The body of a response to `method`.
///
/// `Length` for an answer to HEAD tells what the body would have been; nothing of it follows.
pub fn response_body(
    method: &str,
    status: u16,
    headers: &[Header<'_>],
) -> Result<Body, BadResponseBody> {
    if status == 101 {
        return Ok(Body::Upgraded);
    }
    if status < 200 || status == 204 {
        return Ok(Body::None);
    }
    let bodiless = method == "HEAD" || status == 304;
    match framing(headers) {
        (Encoding::None, Length::Of(length)) => Ok(Body::Length(length)),
        (_, Length::Bad) | (Encoding::Bad | Encoding::Unknown | Encoding::ManyChunked, _) => {
            Err(BadResponseBody)
        }
        // A length beside it is how a response is smuggled into the pool of connections.
        (Encoding::Chunked, Length::Of(_)) => Err(BadResponseBody),
        (Encoding::Chunked, Length::None) if bodiless => Ok(Body::None),
        (Encoding::Chunked, Length::None) => Ok(Body::Chunked),
        (Encoding::None, Length::None) if bodiless => Ok(Body::None),
        (Encoding::None, Length::None) => Ok(Body::UntilClose),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// None, or only `identity`.
    None,
    Chunked,
    ManyChunked,
    /// One that exists but is not served.
    Unknown,
    Bad,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    None,
    Of(u64),
    Bad,
}

fn framing(headers: &[Header<'_>]) -> (Encoding, Length) {
    let mut has_encoding = false;
    let mut length = Length::None;
    for header in headers {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                for value in header.value.split(|byte| *byte == b',') {
                    length = match (parse_length(value.trim_ascii()), length) {
                        (Some(value), Length::None) => Length::Of(value),
                        (Some(value), Length::Of(same)) if value == same => length,
                        _ => Length::Bad,
                    };
                }
            }
            17 => has_encoding |= header.name.eq_ignore_ascii_case("transfer-encoding"),
            _ => {}
        }
    }
    let encoding = match has_encoding {
        true => encoding(tokens(headers, "transfer-encoding")),
        false => Encoding::None,
    };
    (encoding, length)
}

/// Digits only: no sign, no space, no fraction, which other parsers take.
pub(super) fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.iter().try_fold(0u64, |length, digit| {
        length.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

/// What the members of `Transfer-Encoding` come to. An encoding that is known but not served is honest; anything else
/// is an attempt to be understood differently.
pub(super) fn encoding<'a>(members: impl Iterator<Item = &'a [u8]>) -> Encoding {
    let mut encoding = Encoding::None;
    for member in members {
        let is = |name: &str| member.eq_ignore_ascii_case(name.as_bytes());
        encoding = match encoding {
            Encoding::Bad => Encoding::Bad,
            Encoding::Chunked | Encoding::ManyChunked if is("chunked") => Encoding::ManyChunked,
            Encoding::None if is("chunked") => Encoding::Chunked,
            Encoding::None if is("identity") => Encoding::None,
            // Something after chunked, or before it.
            _ if ["gzip", "x-gzip", "deflate", "compress", "x-compress"]
                .iter()
                .any(|name| is(name)) =>
            {
                Encoding::Unknown
            }
            Encoding::Unknown if is("chunked") || is("identity") => Encoding::Unknown,
            _ => Encoding::Bad,
        };
    }
    encoding
}
