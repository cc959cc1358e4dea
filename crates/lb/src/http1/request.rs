//! The head of a client's request: parsing under limits, and what the connection does with it.

use crate::desync::body::{BadRequestBody, Body, request_body};
use crate::desync::{self, Verdict};
use crate::headers::{ConnectionOptions, connection_options};
use crate::routing::Header;
use memchr::{memchr, memchr_iter, memmem};
use std::mem::MaybeUninit;

/// AWS: request line 16K, single header 16K, all headers 64K.
pub const MAX_LINE_BYTES: usize = 16 * 1024;
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Parsed on the stack; beyond them comes a slower try.
const USUAL_HEADERS: usize = 64;
/// 64K of the shortest possible headers would be more, but nobody's requests are.
const MAX_HEADERS: usize = 1000;

/// A request's head besides its headers.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub head_bytes: usize,
    pub minor_version: u8,
    pub options: ConnectionOptions,
    pub verdict: Verdict,
}

/// A request that is answered by what stands in its head alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub verdict: Verdict,
}

/// A head's parts, borrowed from where it was read.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub headers: &'a [Header<'a>],
}

/// Where the search for a head's end goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanned(usize);

/// Parses a head and hands it to `with`. `Ok(None)`: not all of it is there. `scanned` starts anew with each request;
/// it keeps a head that comes byte by byte from being parsed as often.
pub fn parse<T>(
    input: &[u8],
    scanned: &mut Scanned,
    with: impl FnOnce(&Parts<'_>, &Facts) -> Result<T, Refused>,
) -> Result<Option<T>, Refused> {
    parse_as(input, None, scanned, with)
}

/// As [`parse`]; `target` is the target where the parser would not take it.
fn parse_as<T>(
    input: &[u8],
    target: Option<&str>,
    scanned: &mut Scanned,
    with: impl FnOnce(&Parts<'_>, &Facts) -> Result<T, Refused>,
) -> Result<Option<T>, Refused> {
    if scanned.0 > 0 && !has_news(input, scanned)? {
        return within_limits(input).map(|()| None);
    }
    let mut storage = [MaybeUninit::uninit(); USUAL_HEADERS];
    let mut more;
    let mut request = httparse::Request::new(&mut []);
    let mut parsed = request.parse_with_uninit_headers(input, &mut storage);
    if parsed == Err(httparse::Error::TooManyHeaders) {
        more = vec![MaybeUninit::uninit(); MAX_HEADERS];
        request = httparse::Request::new(&mut []);
        parsed = request.parse_with_uninit_headers(input, &mut more);
    }
    let head_bytes = match parsed {
        Ok(httparse::Status::Complete(head_bytes)) => head_bytes,
        Ok(httparse::Status::Partial) => {
            has_news(input, scanned)?;
            return within_limits(input).map(|()| None);
        }
        Err(httparse::Error::Version) if target.is_none() => {
            return match spaced_target(input) {
                Some((readable, target)) => {
                    // What was searched already is searched again in the copy.
                    *scanned = Scanned::default();
                    parse_as(&readable, Some(target), scanned, with)
                }
                // What looks like a version may be a word of the target.
                None if memchr(b'\r', input).is_none() => {
                    has_news(input, scanned)?;
                    within_limits(input).map(|()| None)
                }
                None => Err(unreadable(input, httparse::Error::Version)),
            };
        }
        Err(error) => return Err(unreadable(input, error)),
    };
    let head = &input[..head_bytes];
    if has_bare_line_feed(head) {
        return Err(bad(desync::Reason::BadHeader));
    }
    let parts = Parts {
        method: request.method.unwrap_or_default(),
        target: target.or(request.path).unwrap_or_default(),
        headers: request.headers,
    };
    if head_bytes > MAX_LINE_BYTES {
        lines_within_limits(&parts, head_bytes)?;
    }
    let minor_version = request.version.unwrap_or_default();
    let facts = Facts {
        head_bytes,
        minor_version,
        options: connection_options(parts.headers),
        verdict: desync::classify(&desync::RequestHead {
            method: parts.method,
            target: parts.target,
            minor_version,
            headers: parts.headers,
        }),
    };
    with(&parts, &facts).map(Some)
}

impl Parts<'_> {
    /// How the body is framed; an unknown transfer encoding is 501.
    pub fn body(&self, verdict: Verdict) -> Result<Body, Refused> {
        request_body(self.headers).map_err(|error: BadRequestBody| Refused {
            status: error.status(),
            verdict,
        })
    }

    /// HTTP/1.1 wants exactly one Host; two would be understood differently by two servers.
    pub fn has_valid_host(&self, minor_version: u8) -> bool {
        let hosts = self
            .headers
            .iter()
            .filter(|header| header.name.len() == 4 && header.name.eq_ignore_ascii_case("host"));
        match hosts.count() {
            0 => minor_version == 0,
            count => count == 1,
        }
    }
}

/// A target with spaces in it, and the head with others in their place, which the parser takes. AWS passes such requests
/// on as they are ("SpaceInUri", acceptable): between the first space and the last nothing can be misunderstood.
fn spaced_target(input: &[u8]) -> Option<(Vec<u8>, &str)> {
    let end = memchr(b'\r', input)?;
    let line = std::str::from_utf8(&input[..end]).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let (target, version) = rest.rsplit_once(' ')?;
    let whole = target.starts_with('/') && !target.ends_with(' ');
    if !whole || !matches!(version, "HTTP/1.0" | "HTTP/1.1") {
        return None;
    }
    let mut readable = input.to_vec();
    for byte in &mut readable[method.len() + 1..][..target.len()] {
        if *byte == b' ' {
            *byte = b'_';
        }
    }
    Some((readable, target))
}

fn bad(reason: desync::Reason) -> Refused {
    Refused {
        status: 400,
        verdict: Verdict {
            reason: Some(reason),
        },
    }
}

/// Looks at what came since the last call. Whether the empty line that ends a head is there.
fn has_news(input: &[u8], scanned: &mut Scanned) -> Result<bool, Refused> {
    // The end may have begun in what was seen before.
    let from = scanned.0.saturating_sub(3);
    let fresh = &input[from..];
    scanned.0 = input.len();
    // The parser would wait for ever for the end of a head whose lines end otherwise.
    if has_bare_line_feed(if from == 0 { fresh } else { &fresh[1..] }) && has_bare_line_feed(input)
    {
        return Err(bad(desync::Reason::BadHeader));
    }
    Ok(memmem::find(fresh, b"\r\n\r\n").is_some())
}

/// Many servers take a lone line feed for a line's end, others do not: so requests are smuggled.
fn has_bare_line_feed(head: &[u8]) -> bool {
    memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

/// Of a head whose end has not come.
fn within_limits(input: &[u8]) -> Result<(), Refused> {
    if input.len() >= MAX_LINE_BYTES && memchr(b'\n', &input[..MAX_LINE_BYTES]).is_none() {
        return Err(Refused {
            status: 414,
            verdict: Verdict::default(),
        });
    }
    if input.len() >= MAX_HEAD_BYTES {
        Err(TOO_LARGE)
    } else {
        Ok(())
    }
}

const TOO_LARGE: Refused = Refused {
    status: 400,
    verdict: Verdict { reason: None },
};

fn lines_within_limits(parts: &Parts<'_>, head_bytes: usize) -> Result<(), Refused> {
    if parts.method.len() + parts.target.len() > MAX_LINE_BYTES {
        return Err(Refused {
            status: 414,
            verdict: Verdict::default(),
        });
    }
    let too_long = |header: &Header<'_>| header.name.len() + header.value.len() > MAX_LINE_BYTES;
    match head_bytes > MAX_HEAD_BYTES || parts.headers.iter().any(too_long) {
        true => Err(TOO_LARGE),
        false => Ok(()),
    }
}

/// A head that the parser does not take. AWS: 505 for another version of HTTP, 400 for the rest.
fn unreadable(input: &[u8], error: httparse::Error) -> Refused {
    let line = input.trim_ascii_start();
    let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
    let version = line
        .trim_ascii_end()
        .rsplit(|byte| *byte == b' ')
        .next()
        .unwrap_or_default();
    let is_version = |text: &[u8]| {
        text.len() == 3 && text[0].is_ascii_digit() && text[1] == b'.' && text[2].is_ascii_digit()
    };
    let other_version = error == httparse::Error::Version
            // Behind a space too many it is not the version that is wrong.
            && !matches!(version, b"HTTP/1.0" | b"HTTP/1.1")
            && version.strip_prefix(b"HTTP/").is_some_and(is_version);
    if line.len() > MAX_LINE_BYTES {
        return Refused {
            status: 414,
            verdict: Verdict::default(),
        };
    }
    Refused {
        status: if other_version { 505 } else { 400 },
        verdict: desync::of_parse_error(error),
    }
}

#[cfg(test)]
mod tests {
    use neargate_lb_api::DesyncMode;

    use super::*;
    use crate::desync::Treatment;

    fn parse_all(input: &[u8]) -> Result<Option<usize>, u16> {
        parse(input, &mut Scanned::default(), |_, facts| {
            Ok(facts.head_bytes)
        })
        .map_err(|refused| refused.status)
    }

    #[test]
    fn a_target_with_spaces_goes_on_as_it_came_unless_the_strictest_mode_holds() {
        let input = b"GET /sp ace?a b HTTP/1.1\r\nHost: a\r\n\r\n";
        let seen = parse(input, &mut Scanned::default(), |parts, facts| {
            Ok((parts.target.to_owned(), facts.verdict.reason))
        });
        let want = ("/sp ace?a b".to_owned(), Some(desync::Reason::SpaceInUri));
        assert_eq!(seen, Ok(Some(want)));
        let verdict = Verdict {
            reason: Some(desync::Reason::SpaceInUri),
        };
        for (mode, treatment) in [
            (DesyncMode::Monitor, Treatment::Forward),
            (DesyncMode::Defensive, Treatment::Forward),
            (DesyncMode::Strictest, Treatment::Refuse),
        ] {
            assert_eq!(verdict.treatment(mode), treatment);
        }
    }

    /// As if every byte came alone.
    fn parse_bytewise(input: &[u8]) -> Result<Option<usize>, u16> {
        let mut scanned = Scanned::default();
        for end in 1..=input.len() {
            let parsed = parse(&input[..end], &mut scanned, |_, facts| Ok(facts.head_bytes));
            match parsed.map_err(|refused| refused.status)? {
                None => {}
                some => return Ok(some),
            }
        }
        Ok(None)
    }

    #[test]
    fn heads_are_taken_or_refused_however_they_arrive() {
        let long_line = format!(
            "GET /{} HTTP/1.1\r\nHost: a\r\n\r\n",
            "x".repeat(MAX_LINE_BYTES)
        );
        let long_header = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nA: {}\r\n\r\n",
            "x".repeat(MAX_LINE_BYTES)
        );
        let endless = format!(
            "GET / HTTP/1.1\r\n{}",
            format!("A: {}\r\n", "x".repeat(1000)).repeat(70)
        );
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(500));
        for (name, input, want) in [
            ("plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some(27))),
            (
                "with more behind",
                "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET",
                Ok(Some(27)),
            ),
            (
                "after an empty line",
                "\r\nGET / HTTP/1.0\r\n\r\n",
                Ok(Some(20)),
            ),
            ("500 headers", &many, Ok(Some(many.len()))),
            (
                "space in the target",
                "GET /sp a ce HTTP/1.1\r\nHost: a\r\n\r\n",
                Ok(Some(34)),
            ),
            (
                "space before the version",
                "GET /a  HTTP/1.1\r\nHost: a\r\n\r\n",
                Err(400),
            ),
            (
                "space before the target",
                "GET  /a HTTP/1.1\r\nHost: a\r\n\r\n",
                Err(400),
            ),
            ("not all", "GET / HTTP/1.1\r\nHost: a\r\n", Ok(None)),
            ("bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", Err(400)),
            (
                "one bare line feed",
                "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n",
                Err(400),
            ),
            (
                "bare carriage return",
                "GET / HTTP/1.1\r\nHost: a\rB: c\r\n\r\n",
                Err(400),
            ),
            (
                "folded",
                "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
                Err(400),
            ),
            (
                "space before the colon",
                "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
                Err(400),
            ),
            ("no colon", "GET / HTTP/1.1\r\nHost\r\n\r\n", Err(400)),
            ("nul", "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n", Err(400)),
            ("TLS", "\x16\x03\x01\x02\x00\x01", Err(400)),
            ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Err(505)),
            ("HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", Err(505)),
            ("no version", "GET / FTP/1.1\r\n\r\n", Err(400)),
            ("long line", &long_line, Err(414)),
            ("long header", &long_header, Err(400)),
            ("endless", &endless, Err(400)),
        ] {
            assert_eq!(parse_all(input.as_bytes()), want, "{name}");
            // A refusal may come as soon as the first wrong byte; with what follows it is the same.
            if !matches!(name, "HTTP/2" | "HTTP/1.2") {
                assert_eq!(
                    parse_bytewise(input.as_bytes()),
                    want,
                    "{name}, byte by byte"
                );
            }
        }
    }
}
