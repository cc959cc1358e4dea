//! What was negotiated, in the words of the headers to targets and of the access log.

use rustls::{CipherSuite, ProtocolVersion, ServerConnection};
use std::sync::Arc;

/// The application protocol that the client and we agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    Http2,
    Http11,
    Http10,
    /// The client named none, or the listener negotiates none.
    None,
}

impl Alpn {
    pub fn from_wire(name: Option<&[u8]>) -> Self {
        match name {
            Some(b"h2") => Self::Http2,
            Some(b"http/1.1") => Self::Http11,
            Some(b"http/1.0") => Self::Http10,
            _ => Self::None,
        }
    }

    /// As the log of a TLS listener has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http2 => "h2",
            Self::Http11 => "http/1.1",
            Self::Http10 => "http/1.0",
            Self::None => "-",
        }
    }
}

/// A client's TLS session.
#[derive(Clone, Debug)]
pub struct TlsSession {
    /// OpenSSL's name, as in `X-Amzn-Tls-Version`: `TLSv1.2`, `TLSv1.3`.
    pub version: &'static str,
    /// OpenSSL's name, as in `X-Amzn-Tls-Cipher-Suite`.
    pub cipher_suite: &'static str,
    pub alpn: Alpn,
    /// What the client asked for by SNI, lower case.
    pub server_name: Option<Box<str>>,
    /// The certificate that was chosen for it.
    pub certificate_arn: Arc<str>,
    /// No full handshake was needed.
    pub resumed: bool,
}

impl TlsSession {
    pub(super) fn of(connection: &ServerConnection, certificate_arn: Arc<str>) -> Self {
        let resumed = connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Self {
            version: version_name(connection.protocol_version()),
            cipher_suite: connection
                .negotiated_cipher_suite()
                .map_or("-", |suite| cipher_suite_name(suite.suite())),
            alpn: Alpn::from_wire(connection.alpn_protocol()),
            server_name: connection
                .server_name()
                .map(|name| name.to_ascii_lowercase().into()),
            certificate_arn,
            resumed,
        }
    }
}

fn version_name(version: Option<ProtocolVersion>) -> &'static str {
    match version {
        Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
        _ => "-",
    }
}

fn cipher_suite_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        _ => "-",
    }
}
