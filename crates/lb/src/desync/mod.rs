//! How dangerous a request's framing is: whether two servers could disagree about where it ends.
//!
//! Source: ALB/edit-load-balancer-attributes, desync mitigation mode, with the classes and reasons of
//! http-desync-guardian. Bodies are framed anew towards targets, so that no doubtful framing goes on; the classes decide
//! what is refused, and what ends both connections.

pub mod body;
#[cfg(test)]
mod tests;

use crate::headers::connection::tokens;
use crate::routing::Header;
use neargate_lb_api::DesyncMode;

/// A request's head as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub method: &'a str,
    pub target: &'a str,
    /// HTTP/1.x.
    pub minor_version: u8,
    pub headers: &'a [Header<'a>],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Compliant,
    /// Breaks the standard, but everybody understands the same.
    Acceptable,
    /// Servers may understand different things.
    Ambiguous,
    /// Servers will.
    Severe,
}

/// Why a request is not compliant, by the names of access log field 29.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    AmbiguousUri,
    BadContentLength,
    BadHeader,
    BadMethod,
    BadTransferEncoding,
    BadUri,
    BadVersion,
    BothTeClPresent,
    DuplicateContentLength,
    GetHeadZeroContentLength,
    MultipleContentLength,
    MultipleTransferEncodingChunked,
    NonCompliantHeader,
    SpaceInUri,
    SuspiciousHeader,
    SuspiciousTeClPresent,
    UndefinedContentLengthSemantics,
    UndefinedTransferEncodingSemantics,
}

impl Reason {
    pub fn class(self) -> Class {
        match self {
            Self::BadContentLength
            | Self::BadHeader
            | Self::BadMethod
            | Self::BadTransferEncoding
            | Self::BadUri
            | Self::BadVersion
            | Self::MultipleContentLength
            | Self::MultipleTransferEncodingChunked => Class::Severe,
            Self::AmbiguousUri
            | Self::BothTeClPresent
            | Self::DuplicateContentLength
            | Self::SuspiciousHeader
            | Self::SuspiciousTeClPresent
            | Self::UndefinedContentLengthSemantics
            | Self::UndefinedTransferEncodingSemantics => Class::Ambiguous,
            Self::GetHeadZeroContentLength | Self::NonCompliantHeader | Self::SpaceInUri => {
                Class::Acceptable
            }
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl Class {
    /// Access log field 28.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Compliant => "Compliant",
            Self::Acceptable => "Acceptable",
            Self::Ambiguous => "Ambiguous",
            Self::Severe => "Severe",
        }
    }
}

/// The worst that was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub reason: Option<Reason>,
}

/// What the mode makes of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    Forward,
    /// Forwarded, and then both the client's and the target's connection are closed.
    ForwardAndClose,
    /// 400, and the connection is closed.
    Refuse,
}

impl Verdict {
    pub fn class(self) -> Class {
        self.reason.map_or(Class::Compliant, Reason::class)
    }

    /// Severe is allowed in monitor mode only, ambiguous closes in defensive mode, strictest takes compliant ones only.
    pub fn treatment(self, mode: DesyncMode) -> Treatment {
        match (mode, self.class()) {
            (_, Class::Compliant) | (DesyncMode::Monitor, _) => Treatment::Forward,
            (DesyncMode::Defensive, Class::Acceptable) => Treatment::Forward,
            (DesyncMode::Defensive, Class::Ambiguous) => Treatment::ForwardAndClose,
            (DesyncMode::Defensive, Class::Severe) | (DesyncMode::Strictest, _) => {
                Treatment::Refuse
            }
        }
    }

    fn add(&mut self, reason: Reason) {
        if reason.class() > self.class() {
            self.reason = Some(reason);
        }
    }
}

/// Classifies what the parser took. Nearly all requests have neither a length nor an encoding to look at.
pub fn classify(head: &RequestHead<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let mut framing = FramingFields::default();
    for header in head.headers {
        framing.see(header, &mut verdict);
        if !header.value.is_ascii() {
            verdict.add(Reason::NonCompliantHeader);
        }
    }
    if head.target.bytes().any(|byte| byte.is_ascii_control()) {
        verdict.add(Reason::AmbiguousUri);
    }
    if head.target.contains(' ') {
        verdict.add(Reason::SpaceInUri);
    }
    framing.judge(head, &mut verdict);
    verdict
}

/// What a head that the parser refused is called. All of it is answered 400 in every mode, since it cannot be read.
pub fn of_parse_error(error: httparse::Error) -> Verdict {
    let reason = match error {
        httparse::Error::Token => Reason::BadMethod,
        httparse::Error::Version => Reason::BadVersion,
        _ => Reason::BadHeader,
    };
    Verdict {
        reason: Some(reason),
    }
}

#[derive(Default)]
struct FramingFields<'a> {
    lengths: u32,
    length: Option<&'a [u8]>,
    encodings: u32,
    /// A name that becomes one of the two in the hands of a careless server.
    suspicious: bool,
}

impl<'a> FramingFields<'a> {
    fn see(&mut self, header: &Header<'a>, verdict: &mut Verdict) {
        // Shorter names cannot hold the letters of `content-length` without its dash.
        if header.name.len() < "contentlength".len() {
            return;
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            self.see_length(header.value, verdict);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            self.encodings += 1;
        } else if is_suspicious(header.name) {
            self.suspicious = true;
        }
    }

    fn see_length(&mut self, value: &'a [u8], verdict: &mut Verdict) {
        for value in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.lengths += 1;
            if body::parse_length(value).is_none() {
                verdict.add(Reason::BadContentLength);
            }
            match self.length {
                None => self.length = Some(value),
                Some(first) if first == value => verdict.add(Reason::DuplicateContentLength),
                Some(_) => verdict.add(Reason::MultipleContentLength),
            }
        }
    }

    fn judge(&self, head: &RequestHead<'_>, verdict: &mut Verdict) {
        if self.lengths == 0 && self.encodings == 0 && !self.suspicious {
            return;
        }
        let has_no_body = matches!(head.method, "GET" | "HEAD");
        if self.encodings > 0 {
            match body::encoding(tokens(head.headers, "transfer-encoding")) {
                body::Encoding::Bad => verdict.add(Reason::BadTransferEncoding),
                body::Encoding::ManyChunked => verdict.add(Reason::MultipleTransferEncodingChunked),
                _ => {}
            }
            // HTTP/1.0 has no transfer encodings: who takes the request for 1.0 sees another end.
            if has_no_body || head.minor_version == 0 {
                verdict.add(Reason::UndefinedTransferEncodingSemantics);
            }
        }
        match (self.suspicious, self.lengths > 0, self.encodings > 0) {
            (false, true, true) => verdict.add(Reason::BothTeClPresent),
            (true, false, false) => verdict.add(Reason::SuspiciousHeader),
            (true, _, _) => verdict.add(Reason::SuspiciousTeClPresent),
            _ => {}
        }
        if has_no_body && self.lengths > 0 {
            verdict.add(match self.length.and_then(body::parse_length) {
                Some(0) => Reason::GetHeadZeroContentLength,
                _ => Reason::UndefinedContentLengthSemantics,
            });
        }
    }
}

/// Whether a name's letters are those of a framing field though the name is another: `Transfer_Encoding`.
fn is_suspicious(name: &str) -> bool {
    let spells = |wanted: &str| {
        let letters = name.bytes().filter(u8::is_ascii_alphanumeric);
        letters
            .map(|byte| byte.to_ascii_lowercase())
            .eq(wanted.bytes())
    };
    spells("contentlength") || spells("transferencoding")
}
