//! The head of a target's response as the client gets it.

use super::connection::{self, connection_options};
use super::sink::FieldSink;
use super::{Framing, write_framing};
use crate::routing::Header;
use crate::table::Listener;

/// How one response goes on.
#[derive(Clone, Copy, Debug)]
pub struct Answering<'a> {
    pub listener: &'a Listener,
    pub framing: Framing,
    /// Of `select::set_cookie::set_cookies`.
    pub set_cookies: &'a [String],
    /// The client's connection ends after this response.
    pub close: bool,
    /// A 101: the upgrade goes on.
    pub upgrade: bool,
}

/// Appends status line, fields and the empty line.
pub fn write_response_head(
    out: &mut Vec<u8>,
    status: u16,
    reason: &str,
    headers: &[Header<'_>],
    answering: &Answering<'_>,
) {
    write_status_line(out, status, reason);
    response_fields(out, headers, answering);
    if answering.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n\r\n");
    } else {
        write_connection_and_end(out, answering.close);
    }
}

/// All fields of the response. What the listener sets goes over the target's own; `Server` is the target's.
pub fn response_fields<S: FieldSink>(
    sink: &mut S,
    headers: &[Header<'_>],
    answering: &Answering<'_>,
) {
    let ours = &answering.listener.response_headers;
    let names_fields = connection_options(headers).names_fields;
    for header in headers {
        let upgrades = S::HTTP1 && answering.upgrade && header.name.eq_ignore_ascii_case("upgrade");
        let dropped = (is_of_connection(header.name) && !upgrades)
            || ours
                .iter()
                .any(|our| our.name.eq_ignore_ascii_case(header.name))
            || (names_fields && !upgrades && connection::is_named(headers, header.name));
        if !dropped {
            sink.field(header.name, &[header.value]);
        }
    }
    listener_fields(sink, answering.listener);
    for cookie in answering.set_cookies {
        sink.field("Set-Cookie", &[cookie.as_bytes()]);
    }
    write_framing(sink, answering.framing);
}

/// The headers that the listener's attributes add to every response.
pub(crate) fn listener_fields<S: FieldSink>(sink: &mut S, listener: &Listener) {
    for header in &listener.response_headers {
        sink.field(&header.name, &[header.value.as_bytes()]);
    }
}

pub(crate) fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &str) {
    let digit = |place: u16| b'0' + (status / place % 10) as u8;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub(crate) fn write_connection_and_end(out: &mut Vec<u8>, close: bool) {
    out.extend_from_slice(match close {
        true => b"Connection: close\r\n\r\n".as_slice(),
        false => b"Connection: keep-alive\r\n\r\n",
    });
}

/// Fields of the target's connection, and those that are written anew.
fn is_of_connection(name: &str) -> bool {
    let others: &[&str] = match name.len() {
        7 => &["upgrade", "trailer"],
        10 => &["connection", "keep-alive"],
        14 => &["content-length"],
        16 => &["proxy-connection"],
        17 => &["transfer-encoding"],
        _ => return false,
    };
    others.iter().any(|other| other.eq_ignore_ascii_case(name))
}
