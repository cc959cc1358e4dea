//! The head of a request as its target gets it.
//!
//! Sources: ALB/x-forwarded-headers, ALB/header-modification, ALB/edit-load-balancer-attributes.

use super::connection::{self, connection_options};
use super::sink::FieldSink;
use super::trace::TraceValue;
use super::{Framing, decimal, write_framing};
use crate::routing::RequestView;
use crate::routing::uri::{host_without_port, port_of};
use crate::table::LoadBalancer;
use neargate_lb_api::XffMode;
use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

/// More addresses than this in X-Forwarded-For: 463.
pub const MAX_FORWARDED_ADDRESSES: usize = 30;

/// How one request goes on.
#[derive(Clone, Copy, Debug)]
pub struct Forwarding<'a> {
    pub request: &'a RequestView<'a>,
    pub load_balancer: &'a LoadBalancer,
    /// What a transform made of the host.
    pub host: Option<&'a str>,
    /// What a transform made of path and query.
    pub target: Option<&'a str>,
    pub trace: &'a TraceValue<'a>,
    /// Version and cipher suite, if the client came by TLS.
    pub tls: Option<(&'a str, &'a str)>,
    pub framing: Framing,
    /// A WebSocket or another upgrade is asked for: `Upgrade` goes on.
    pub upgrade: bool,
}

/// X-Forwarded-For has more than 30 addresses: 463.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("X-Forwarded-For has more than {MAX_FORWARDED_ADDRESSES} addresses")]
pub struct TooManyAddresses;

/// What a request's head contained, for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noted {
    /// Header fields with names outside `[-A-Za-z0-9]+`, forwarded or dropped.
    pub invalid_fields: u32,
}

/// Appends request line, fields and the empty line. Whatever was written before an error must be thrown away.
pub fn write_request_head(
    out: &mut Vec<u8>,
    forwarding: &Forwarding<'_>,
) -> Result<Noted, TooManyAddresses> {
    let request = forwarding.request;
    out.extend_from_slice(request.method.as_bytes());
    out.push(b' ');
    match (forwarding.target, request.query) {
        (Some(target), _) => out.extend_from_slice(target.as_bytes()),
        (None, query) => {
            out.extend_from_slice(request.path.as_bytes());
            if let Some(query) = query {
                out.push(b'?');
                out.extend_from_slice(query.as_bytes());
            }
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let noted = request_fields(out, forwarding)?;
    out.extend_from_slice(b"\r\n");
    Ok(noted)
}

/// All fields of the request, Host among them unless the sink is HTTP/2, which has it as its authority.
pub fn request_fields<S: FieldSink>(
    sink: &mut S,
    forwarding: &Forwarding<'_>,
) -> Result<Noted, TooManyAddresses> {
    let Forwarding {
        request,
        load_balancer,
        ..
    } = forwarding;
    let attributes = &load_balancer.attributes;
    write_forwarded_for(
        sink,
        request,
        attributes.xff_mode(),
        attributes.xff_client_port,
    )?;
    sink.field("X-Forwarded-Proto", &[request.scheme.as_str().as_bytes()]);
    let mut digits = [0; 20];
    sink.field(
        "X-Forwarded-Port",
        &[decimal(&mut digits, request.listener_port.into())],
    );
    if S::HTTP1 {
        sink.field("Host", &[authority(forwarding).as_bytes()]);
    }
    sink.field("X-Amzn-Trace-Id", &forwarding.trace.parts());
    let shows_tls = attributes.tls_version_and_cipher_suite;
    if let (true, Some((version, cipher_suite))) = (shows_tls, forwarding.tls) {
        sink.field("X-Amzn-Tls-Version", &[version.as_bytes()]);
        sink.field("X-Amzn-Tls-Cipher-Suite", &[cipher_suite.as_bytes()]);
    }
    write_framing(sink, forwarding.framing);
    let noted = copy_fields(sink, forwarding, shows_tls);
    if S::HTTP1 && forwarding.upgrade {
        sink.field("Connection", &[b"upgrade"]);
    }
    Ok(noted)
}

/// The authority of the request as the target shall see it.
///
/// AWS: lower case, without the port on a default listener, with the port on others. The preserve_host_header attribute
/// keeps the client's, byte for byte. What a transform made is taken as it is.
pub fn authority<'a>(forwarding: &Forwarding<'a>) -> Cow<'a, str> {
    let request = forwarding.request;
    if let Some(host) = forwarding.host {
        return host.into();
    }
    let host = match request.host {
        "" => &forwarding.load_balancer.dns_name,
        host => host,
    };
    if forwarding.load_balancer.attributes.preserve_host_header {
        return host.into();
    }
    let is_default = request.listener_port == request.scheme.default_port();
    let mut host: Cow<'a, str> = match is_default {
        true => host_without_port(host).into(),
        false if port_of(host).is_none() => format!("{host}:{}", request.listener_port).into(),
        false => host.into(),
    };
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        host.to_mut().make_ascii_lowercase();
    }
    host
}

fn write_forwarded_for<S: FieldSink>(
    sink: &mut S,
    request: &RequestView<'_>,
    mode: XffMode,
    with_port: bool,
) -> Result<(), TooManyAddresses> {
    let incoming = || {
        let fields = request.headers.iter();
        fields
            .filter(|field| field.name.eq_ignore_ascii_case(FORWARDED_FOR))
            .map(|field| field.value)
    };
    let separators = |value: &[u8]| value.iter().filter(|byte| **byte == b',').count();
    if incoming().map(|value| separators(value) + 1).sum::<usize>() > MAX_FORWARDED_ADDRESSES {
        return Err(TooManyAddresses);
    }
    if mode == XffMode::Remove {
        return Ok(());
    }
    let mut text = AddressText {
        bytes: [0; MAX_ADDRESS_BYTES],
        length: 0,
    };
    let peer = match mode {
        XffMode::Append => text.write(request.peer, with_port),
        _ => b"",
    };
    // Rarely more than one line; all become one.
    let mut lines = incoming();
    match (lines.next(), lines.next()) {
        (None, _) if peer.is_empty() => {}
        (None, _) => sink.field(FORWARDED_FOR, &[peer]),
        (Some(only), None) if peer.is_empty() => sink.field(FORWARDED_FOR, &[only]),
        (Some(only), None) => sink.field(FORWARDED_FOR, &[only, b", ", peer]),
        _ => {
            let mut all = incoming().collect::<Vec<_>>();
            all.extend((!peer.is_empty()).then_some(peer));
            sink.field(FORWARDED_FOR, &[&all.join(&b", "[..])]);
        }
    }
    Ok(())
}

const FORWARDED_FOR: &str = "X-Forwarded-For";

/// Copies the client's fields but for those that are written anew and those of the connection alone.
fn copy_fields<S: FieldSink>(sink: &mut S, forwarding: &Forwarding<'_>, shows_tls: bool) -> Noted {
    let headers = forwarding.request.headers;
    let names_fields = connection_options(headers).names_fields;
    let drops_invalid = forwarding
        .load_balancer
        .attributes
        .drop_invalid_header_fields;
    let mut noted = Noted::default();
    for header in headers {
        let name = header.name;
        if !is_valid_name(name) {
            noted.invalid_fields += 1;
            if drops_invalid {
                continue;
            }
        }
        match fate(name) {
            Fate::Copied => {}
            Fate::WrittenAnew | Fate::Hop => continue,
            Fate::Tls if shows_tls => continue,
            Fate::Tls => {}
            Fate::Te if S::HTTP1 || !header.value.eq_ignore_ascii_case(b"trailers") => continue,
            Fate::Te => {}
            Fate::Upgrade if !(S::HTTP1 && forwarding.upgrade) => continue,
            Fate::Upgrade => {}
        }
        if names_fields && connection::is_named(headers, name) {
            continue;
        }
        sink.field(name, &[header.value]);
    }
    noted
}

/// What becomes of a client's field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Copied,
    WrittenAnew,
    /// Of this connection only.
    Hop,
    /// Ours if the attribute is on, else the client's.
    Tls,
    /// HTTP/2 keeps `trailers`, which gRPC needs.
    Te,
    Upgrade,
}

/// Most names are told apart by their length.
fn fate(name: &str) -> Fate {
    let (others, fate): (&[&str], Fate) = match name.len() {
        2 => (&["te"], Fate::Te),
        4 => (&["host"], Fate::WrittenAnew),
        // A 100 was sent by us, or will be by nobody: the target must not be asked.
        6 => (&["expect"], Fate::Hop),
        7 if name.eq_ignore_ascii_case("upgrade") => (&["upgrade"], Fate::Upgrade),
        7 => (&["trailer"], Fate::Hop),
        10 => (&["connection", "keep-alive"], Fate::Hop),
        14 => (&["content-length", "http2-settings"], Fate::WrittenAnew),
        15 => (&["x-forwarded-for", "x-amzn-trace-id"], Fate::WrittenAnew),
        16 if name.eq_ignore_ascii_case("proxy-connection") => (&["proxy-connection"], Fate::Hop),
        16 => (&["x-forwarded-port"], Fate::WrittenAnew),
        17 => (
            &["x-forwarded-proto", "transfer-encoding"],
            Fate::WrittenAnew,
        ),
        18 => (&["x-amzn-tls-version"], Fate::Tls),
        23 => (&["x-amzn-tls-cipher-suite"], Fate::Tls),
        _ => return Fate::Copied,
    };
    match others.iter().any(|other| other.eq_ignore_ascii_case(name)) {
        true => fate,
        false => Fate::Copied,
    }
}

/// AWS: `[-A-Za-z0-9]+`; so an underscore is invalid.
fn is_valid_name(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The longest, an IPv6 address with brackets and port, has 47.
const MAX_ADDRESS_BYTES: usize = 48;

/// Text of an address without an allocation.
struct AddressText {
    bytes: [u8; MAX_ADDRESS_BYTES],
    length: usize,
}

impl AddressText {
    fn write(&mut self, peer: SocketAddr, with_port: bool) -> &[u8] {
        use std::fmt::Write;
        let ip = peer.ip().to_canonical();
        // There is room for the longest.
        let _ = match (with_port, ip) {
            (false, _) => write!(self, "{ip}"),
            (true, IpAddr::V4(_)) => write!(self, "{ip}:{}", peer.port()),
            (true, IpAddr::V6(_)) => write!(self, "[{ip}]:{}", peer.port()),
        };
        &self.bytes[..self.length]
    }
}

impl std::fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self
            .bytes
            .get_mut(self.length..end)
            .ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
