//! One line of the access log of a TLS listener: a connection.
//!
//! Source: NLB/load-balancer-access-logs, access log entries of version 2.0. "New fields are added at the end".

use super::record::{Peer, plain};
use jiff::Timestamp;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// As much of a client's list of protocols is written.
const MAX_LIST_BYTES: usize = 256;

/// Everything that is told about one connection. Text is as it came; what is empty or absent becomes `-`.
#[derive(Clone, Copy, Debug)]
pub struct TlsRecord<'a> {
    pub ended_millis: u64,
    /// When the connection was accepted.
    pub created_millis: u64,
    /// `net/NAME/ID`.
    pub load_balancer: &'a str,
    pub listener_arn: &'a str,
    pub client: SocketAddr,
    /// Address and port of the listener that the client came to.
    pub destination: SocketAddr,
    /// From being accepted to being closed.
    pub connection: Duration,
    /// Absent: there was none to its end.
    pub handshake: Option<Duration>,
    /// Decrypted.
    pub received_bytes: u64,
    pub sent_bytes: u64,
    pub alert: Option<u8>,
    pub certificate_arn: &'a str,
    /// OpenSSL's name.
    pub cipher: &'a str,
    /// `TLSv1.2`.
    pub protocol: &'a str,
    pub domain_name: &'a str,
    /// What was agreed on with the client, and with the target.
    pub alpn_front: &'a str,
    pub alpn_back: &'a str,
    pub alpn_offered: &'a [Vec<u8>],
}

impl TlsRecord<'_> {
    /// Appends the line with its line feed.
    pub fn write_line(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = self.try_write(out);
    }

    fn try_write(&self, out: &mut String) -> std::fmt::Result {
        let listener = self.listener_arn.rsplit('/').next().unwrap_or_default();
        out.push_str("tls 2.0");
        write_time(out, self.ended_millis)?;
        plain(out, self.load_balancer);
        plain(out, listener);
        write!(out, " {} {}", Peer(self.client), Peer(self.destination))?;
        write!(out, " {}", self.connection.as_millis())?;
        match self.handshake {
            Some(time) => write!(out, " {}", time.as_millis())?,
            None => out.push_str(" -"),
        }
        write!(out, " {} {}", self.received_bytes, self.sent_bytes)?;
        match self.alert {
            Some(alert) => write!(out, " {alert}")?,
            None => out.push_str(" -"),
        }
        plain(out, self.certificate_arn);
        // AWS reserves the certificate's serial number.
        out.push_str(" -");
        plain(out, self.cipher);
        let protocol = self.protocol.to_ascii_lowercase().replace('.', "");
        plain(out, &protocol);
        // And the group of the key exchange.
        out.push_str(" -");
        plain(out, &encoded(self.domain_name.as_bytes()));
        plain(out, self.alpn_front);
        plain(out, self.alpn_back);
        plain(out, &list(self.alpn_offered));
        write_time(out, self.created_millis)?;
        out.push('\n');
        Ok(())
    }
}

/// In seconds and without a zone, which is UTC.
fn write_time(out: &mut String, millis: u64) -> std::fmt::Result {
    let time = i64::try_from(millis)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let time = time.unwrap_or_default();
    write!(out, " {}", time.strftime("%Y-%m-%dT%H:%M:%S"))
}

fn list(protocols: &[Vec<u8>]) -> String {
    let quoted = protocols
        .iter()
        .map(|name| format!("\"{}\"", encoded(name)));
    let mut list = quoted.collect::<Vec<_>>().join(",");
    if list.len() > MAX_LIST_BYTES {
        list.truncate(MAX_LIST_BYTES);
        list.push_str("...");
    }
    list
}

/// As in a URL; what could end the field or the line is not there any more.
fn encoded(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}
