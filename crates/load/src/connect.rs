//! Where the load goes, and connections to it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Debug, Clone)]
pub struct Target {
    /// Host and port, as the Host header has them.
    pub authority: String,
    pub host: String,
    pub path: String,
    tls: bool,
    address: SocketAddr,
}

/// A connection, with TLS or without.
pub type Stream = Box<dyn Duplex>;

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Who answered: the `X-Version` and `X-Task` of the test service.
#[derive(Debug, Clone, Default)]
pub struct Served {
    pub version: String,
    pub task: String,
}

impl Target {
    pub fn parse(url: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = url
            .split_once("://")
            .context("write the URL as http://HOST:PORT/PATH")?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => bail!("{scheme} is neither http nor https"),
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => (&rest[..at], &rest[at..]),
            None => (rest, "/"),
        };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().context("the port is not a number")?),
            None => (authority, default_port),
        };
        let address = if host == "localhost" || host.ends_with(".localhost") {
            (Ipv4Addr::LOCALHOST, port).into()
        } else {
            std::net::ToSocketAddrs::to_socket_addrs(&(host, port))?
                .next()
                .with_context(|| format!("{host} has no address"))?
        };
        Ok(Self {
            authority: authority.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            tls: scheme == "https",
            address,
        })
    }

    /// A connection for HTTP/1.1, with TLS where the URL says so.
    pub async fn open(&self) -> anyhow::Result<Stream> {
        Ok(if self.tls {
            Box::new(self.connect_tls(b"http/1.1").await?)
        } else {
            Box::new(self.connect().await?)
        })
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address)
            .await
            .context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    pub async fn connect_tls(&self, alpn: &[u8]) -> anyhow::Result<TlsStream<TcpStream>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        let name = ServerName::try_from(self.host.clone())?;
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, self.connect().await?)
            .await
            .context("TLS handshake")?;
        if stream.get_ref().1.alpn_protocol() != Some(alpn) {
            bail!("the server did not agree on the protocol");
        }
        Ok(stream)
    }
}

/// Load is measured, identity is not: certificates of the development CA are taken as they come.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
