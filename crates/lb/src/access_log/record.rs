//! One line of an access log.
//!
//! Source: ALB/load-balancer-access-logs. "New fields are added at the end", so readers count from the front.

use crate::desync::Verdict;
use crate::routing::TransformStatus;
use jiff::Timestamp;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// Field 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Http,
    Https,
    /// HTTP/2 over TLS.
    H2,
    Grpcs,
    Ws,
    Wss,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2 => "h2",
            Self::Grpcs => "grpcs",
            Self::Ws => "ws",
            Self::Wss => "wss",
        }
    }
}

/// Field 23, what the rule did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionTaken {
    Forward,
    Redirect,
    FixedResponse,
}

/// Everything that is told about one request. Text is as it came; what is empty or absent becomes `-`.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub kind: Kind,
    /// When the response was sent, or the connection of a WebSocket closed.
    pub ended_millis: u64,
    /// When the request was received.
    pub created_millis: u64,
    /// `app/NAME/ID`.
    pub load_balancer: &'a str,
    pub client: SocketAddr,
    pub target: Option<SocketAddr>,
    /// From receiving the request to having sent it; absent if no target got it. Likewise the next two.
    pub request_processing: Option<Duration>,
    pub target_processing: Option<Duration>,
    pub response_processing: Option<Duration>,
    pub status: Option<u16>,
    pub target_status: Option<u16>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
    /// `None` for what could not be parsed.
    pub request: Option<RequestLine<'a>>,
    pub user_agent: &'a [u8],
    pub tls_cipher: &'a str,
    pub tls_protocol: &'a str,
    pub target_group_arn: &'a str,
    pub trace_id: &'a str,
    /// Server name that the client asked for in its TLS handshake.
    pub domain_name: &'a str,
    pub certificate_arn: &'a str,
    /// `None`: no rule was reached, -1.
    pub rule_priority: Option<u32>,
    pub action: Option<ActionTaken>,
    pub redirect_url: &'a str,
    pub error_reason: &'a str,
    pub verdict: Verdict,
    /// 32 hexadecimal digits; the same for all requests of a connection.
    pub connection_trace_id: &'a str,
    pub transformed_host: &'a str,
    pub transformed_uri: &'a str,
    pub transform: TransformStatus,
}

/// Field 13.
#[derive(Clone, Copy, Debug)]
pub struct RequestLine<'a> {
    pub method: &'a str,
    /// `http`, `https`, `ws` or `wss`.
    pub protocol: &'a str,
    /// Without a port.
    pub host: &'a str,
    pub port: u16,
    /// Path and query.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// `HTTP/1.1`.
    pub version: &'a str,
}

impl Record<'_> {
    /// Appends the line with its line feed.
    pub fn write_line(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = self.try_write(out);
    }

    fn try_write(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "{} ", self.kind.as_str())?;
        write_time(out, self.ended_millis)?;
        write!(out, " {} {}", self.load_balancer, Peer(self.client))?;
        match self.target {
            Some(target) => write!(out, " {}", Peer(target))?,
            None => out.push_str(" -"),
        }
        for time in [
            self.request_processing,
            self.target_processing,
            self.response_processing,
        ] {
            match time {
                Some(time) => write!(out, " {:.3}", time.as_secs_f64())?,
                None => out.push_str(" -1"),
            }
        }
        write_status(out, self.status)?;
        write_status(out, self.target_status)?;
        write!(out, " {} {} ", self.received_bytes, self.sent_bytes)?;
        self.write_request(out)?;
        quoted(out, self.user_agent)?;
        plain(out, self.tls_cipher);
        plain(out, self.tls_protocol);
        plain(out, self.target_group_arn);
        for text in [self.trace_id, self.domain_name, self.certificate_arn] {
            quoted(out, text.as_bytes())?;
        }
        match self.rule_priority {
            Some(priority) => write!(out, " {priority} ")?,
            None => out.push_str(" -1 "),
        }
        write_time(out, self.created_millis)?;
        let action = match self.action {
            Some(ActionTaken::Forward) => "forward",
            Some(ActionTaken::Redirect) => "redirect",
            Some(ActionTaken::FixedResponse) => "fixed-response",
            None => "",
        };
        for text in [action, self.redirect_url, self.error_reason] {
            quoted(out, text.as_bytes())?;
        }
        // One target is tried per request, so that the lists have one member.
        match self.target {
            Some(target) => write!(out, " \"{}\"", Peer(target))?,
            None => out.push_str(" \"-\""),
        }
        match self.target_status {
            Some(status) => write!(out, " \"{status}\"")?,
            None => out.push_str(" \"-\""),
        }
        match self.verdict.reason {
            Some(reason) => write!(out, " \"{}\" \"{reason}\"", reason.class().as_str())?,
            None => out.push_str(" \"-\" \"-\""),
        }
        match self.connection_trace_id {
            "" => out.push_str(" -"),
            id => write!(out, " TID_{id}")?,
        }
        quoted(out, self.transformed_host.as_bytes())?;
        quoted(out, self.transformed_uri.as_bytes())?;
        quoted(
            out,
            match self.transform {
                TransformStatus::None => b"",
                TransformStatus::Success => b"TransformSuccess",
                TransformStatus::Failed => b"TransformFailed",
            },
        )?;
        out.push('\n');
        Ok(())
    }

    fn write_request(&self, out: &mut String) -> std::fmt::Result {
        let Some(request) = &self.request else {
            out.push_str("\"- - -\"");
            return Ok(());
        };
        out.push('"');
        escaped(out, request.method.as_bytes())?;
        write!(out, " {}://", request.protocol)?;
        escaped(out, request.host.as_bytes())?;
        write!(out, ":{}", request.port)?;
        escaped(out, request.path.as_bytes())?;
        if let Some(query) = request.query {
            out.push('?');
            escaped(out, query.as_bytes())?;
        }
        write!(out, " {}\"", request.version)
    }
}

/// `ip:port`; an IPv4 address stays one though the socket is for both families.
pub(super) struct Peer(pub SocketAddr);

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        SocketAddr::new(self.0.ip().to_canonical(), self.0.port()).fmt(f)
    }
}

fn write_time(out: &mut String, millis: u64) -> std::fmt::Result {
    let time = i64::try_from(millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    write!(out, "{:.6}", time.unwrap_or_default())
}

fn write_status(out: &mut String, status: Option<u16>) -> std::fmt::Result {
    match status {
        Some(status) => write!(out, " {status}"),
        None => out.write_str(" -"),
    }
}

pub(super) fn plain(out: &mut String, text: &str) {
    out.push(' ');
    out.push_str(if text.is_empty() { "-" } else { text });
}

fn quoted(out: &mut String, text: &[u8]) -> std::fmt::Result {
    out.push_str(" \"");
    if text.is_empty() {
        out.push('-');
    }
    escaped(out, text)?;
    out.push('"');
    Ok(())
}

/// What could end the field or the line is written as `\x22`.
fn escaped(out: &mut String, text: &[u8]) -> std::fmt::Result {
    for &byte in text {
        match byte {
            b'"' | b'\\' => write!(out, "\\x{byte:02x}")?,
            0x20..0x7f => out.push(char::from(byte)),
            _ => write!(out, "\\x{byte:02x}")?,
        }
    }
    Ok(())
}
