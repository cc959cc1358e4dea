//! What the load balancer answers itself: its errors, redirects and fixed responses.
//!
//! Source: ALB/load-balancer-troubleshooting; bodies and lengths as captured from real load balancers.

use crate::headers::FieldSink;
use crate::headers::response::{listener_fields, write_connection_and_end, write_status_line};
use crate::table::{FixedResponse, Listener};
use std::borrow::Cow;

const SERVER: &[u8] = b"awselb/2.0";

/// An answer without its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    pub reason: &'static str,
    /// Empty: no field.
    pub content_type: &'a str,
    pub location: Option<&'a str>,
    pub body: Cow<'a, [u8]>,
}

/// Where and when it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a> {
    pub listener: &'a Listener,
    /// As `headers::date::http_date` writes it; kept by the caller for a second.
    pub date: &'a str,
    /// The request was a HEAD: fields only.
    pub head_only: bool,
    pub close: bool,
}

impl<'a> Answer<'a> {
    /// An error of the load balancer's own.
    pub fn error(status: u16) -> Self {
        let reason = reason(status);
        Self {
            status,
            reason,
            content_type: "text/html",
            location: None,
            body: page(status, reason).into_bytes().into(),
        }
    }

    pub fn redirect(status: u16, location: &'a str) -> Self {
        Self {
            location: Some(location),
            ..Self::error(status)
        }
    }

    pub fn fixed(fixed: &'a FixedResponse) -> Self {
        Self {
            status: fixed.status,
            reason: reason(fixed.status),
            content_type: &fixed.content_type,
            location: None,
            body: fixed.body.as_bytes().into(),
        }
    }

    /// Whether the client's connection ends with it. AWS: 400 and 408 close, 502 to 504 do not.
    pub fn closes(&self) -> bool {
        matches!(self.status, 400 | 408 | 414 | 505)
    }

    /// Appends head and body for HTTP/1.1.
    pub fn write_http1(&self, out: &mut Vec<u8>, sending: &Sending<'_>) {
        write_status_line(out, self.status, self.reason);
        self.fields(out, sending);
        write_connection_and_end(out, sending.close);
        if !sending.head_only && self.may_have_body() {
            out.extend_from_slice(&self.body);
        }
    }

    /// The fields alone, for HTTP/2. The body is `self.body`, unless the request was a HEAD.
    pub fn fields<S: FieldSink>(&self, sink: &mut S, sending: &Sending<'_>) {
        if sending.listener.server_header_enabled {
            sink.field("Server", &[SERVER]);
        }
        sink.field("Date", &[sending.date.as_bytes()]);
        if !self.content_type.is_empty() && self.may_have_body() {
            sink.field("Content-Type", &[self.content_type.as_bytes()]);
        }
        if self.may_have_body() {
            sink.field("Content-Length", &[self.body.len().to_string().as_bytes()]);
        }
        if let Some(location) = self.location {
            sink.field("Location", &[location.as_bytes()]);
        }
        listener_fields(sink, sending.listener);
    }

    fn may_have_body(&self) -> bool {
        self.status != 204 && self.status != 304
    }
}

/// What is sent to a gRPC client in place of any error: status 502 and these fields, no body.
pub const GRPC_UNAVAILABLE: [(&str, &str); 3] = [
    ("content-type", "application/grpc"),
    ("grpc-status", "14"),
    ("grpc-message", "unavailable"),
];

/// Status of [`GRPC_UNAVAILABLE`].
pub const GRPC_STATUS: u16 = 502;

fn page(status: u16, reason: &str) -> String {
    let space = if reason.is_empty() { "" } else { " " };
    let title = format!("{status}{space}{reason}");
    format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
}

/// Reason phrases; 503 and 504 are worded as the load balancer's own pages are.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Time-out",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::fixture::{compile, fixed_rule, table};

    fn sent(answer: &Answer<'_>, head_only: bool, close: bool) -> String {
        let table = compile(&table(vec![fixed_rule(0, Vec::new())], Vec::new()));
        let listener = &table.endpoints().next().expect("a listener").listener;
        let mut out = Vec::new();
        let sending = Sending {
            listener,
            date: "Sun, 06 Nov 1994 08:49:37 GMT",
            head_only,
            close,
        };
        answer.write_http1(&mut out, &sending);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn errors_are_as_long_as_the_captured_ones() {
        for (status, length) in [
            (301, 134),
            (302, 110),
            (400, 122),
            (403, 118),
            (502, 122),
            (503, 162),
            (504, 132),
        ] {
            assert_eq!(Answer::error(status).body.len(), length, "{status}");
        }
        assert_eq!(
            sent(&Answer::error(503), false, false),
            "HTTP/1.1 503 Service Temporarily Unavailable\r\nServer: awselb/2.0\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/html\r\nContent-Length: 162\r\n\
             Connection: keep-alive\r\n\r\n<html>\r\n\
             <head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
             <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n</body>\r\n</html>\r\n"
        );
    }

    #[test]
    fn a_redirect_tells_where_and_a_fixed_response_what() {
        let redirect = sent(&Answer::redirect(301, "https://a/"), true, true);
        assert!(
            redirect.starts_with("HTTP/1.1 301 Moved Permanently\r\n"),
            "{redirect}"
        );
        assert!(
            redirect.contains("\r\nLocation: https://a/\r\n"),
            "{redirect}"
        );
        assert!(
            redirect.contains("\r\nContent-Length: 134\r\n"),
            "{redirect}"
        );
        assert!(
            redirect.ends_with("Connection: close\r\n\r\n"),
            "HEAD gets no body: {redirect}"
        );
        let mut fixed = FixedResponse {
            status: 200,
            content_type: "text/plain".to_owned(),
            body: "hello".to_owned(),
        };
        let plain = sent(&Answer::fixed(&fixed), false, false);
        assert!(
            plain.contains("\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n"),
            "{plain}"
        );
        assert!(plain.ends_with("\r\n\r\nhello"), "{plain}");
        fixed.status = 204;
        assert!(
            sent(&Answer::fixed(&fixed), false, false).ends_with("keep-alive\r\n\r\n"),
            "204 has no body"
        );
    }
}
