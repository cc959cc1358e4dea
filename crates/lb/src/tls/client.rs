//! TLS towards targets.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

/// What a connection to a target is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetAlpn {
    /// HTTP/1.1, or whatever a TLS target speaks: nothing is negotiated.
    None,
    Http2,
}

/// The configuration for connections to targets. One for each kind, so that sessions are resumed whoever connects.
///
/// AWS verifies no target's certificate, and may use TLS 1.3 exactly when the listener's policy has it
/// (`ListenerTls::allows_tls13`). Source: "Target groups for your Application Load Balancers", routing configuration.
pub fn client_config(alpn: TargetAlpn, tls13: bool) -> Arc<ClientConfig> {
    static CONFIGS: LazyLock<[Arc<ClientConfig>; 4]> = LazyLock::new(|| {
        [
            make(TargetAlpn::None, false),
            make(TargetAlpn::None, true),
            make(TargetAlpn::Http2, false),
            make(TargetAlpn::Http2, true),
        ]
    });
    let index = usize::from(alpn == TargetAlpn::Http2) * 2 + usize::from(tls13);
    Arc::clone(&CONFIGS[index])
}

/// The name of a target in its handshake. An address is never sent as SNI, like AWS, which sends none.
pub fn server_name(address: IpAddr) -> ServerName<'static> {
    ServerName::IpAddress(address.into())
}

fn make(alpn: TargetAlpn, tls13: bool) -> Arc<ClientConfig> {
    let versions: &[&rustls::SupportedProtocolVersion] = match tls13 {
        true => &[&version::TLS13, &version::TLS12],
        false => &[&version::TLS12],
    };
    let provider = Arc::new(ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .expect("ring has suites for both versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    if alpn == TargetAlpn::Http2 {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Arc::new(config)
}

/// Takes every certificate. Its signatures are not checked either: that would prove the possession of a key that
/// nobody knows, and would refuse targets whose certificate is of an old kind.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
