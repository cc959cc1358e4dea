//! The handshake with a client.

use super::listener::ListenerTls;
use super::session::TlsSession;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a client may take for its handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long and for how much we read on after the answer to plain HTTP, so that the client sees it: closing with unread
/// bytes would reset the connection.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024;

/// AWS's answer to plain HTTP on an HTTPS port.
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
Server: awselb/2.0\r\n\
Content-Type: text/html\r\n\
Content-Length: 220\r\n\
Connection: close\r\n\
\r\n\
<html>\r\n\
<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n\
<body>\r\n\
<center><h1>400 Bad Request</h1></center>\r\n\
<center>The plain HTTP request was sent to HTTPS port</center>\r\n\
</body>\r\n\
</html>\r\n";

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// It spoke plain HTTP and was answered 400.
    #[error("the client sent plain HTTP")]
    PlainHttp,
    #[error("the client did not finish the handshake in {}s", HANDSHAKE_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the handshake failed: {0}")]
    Handshake(#[from] io::Error),
}

impl AcceptError {
    /// The number of the alert by which the client ended the handshake.
    pub fn alert(&self) -> Option<u8> {
        let Self::Handshake(error) = self else {
            return None;
        };
        match error.get_ref()?.downcast_ref()? {
            rustls::Error::AlertReceived(alert) => Some(u8::from(*alert)),
            _ => None,
        }
    }
}

/// What a client's first message told, also when there was no session in the end.
#[derive(Debug, Default)]
pub struct Greeting {
    /// The certificate that was chosen for it; empty: there was no such message.
    pub certificate_arn: Arc<str>,
    /// What it asked for by SNI.
    pub server_name: String,
    /// The application protocols that it offered, best first.
    pub alpn: Vec<Vec<u8>>,
}

/// Takes a new connection to a listener through its handshake. Where listeners share a port (dev's loopback), `by_name`
/// knows whose the client's server name is; `tls` serves those of which it knows nothing.
pub async fn accept(
    stream: TcpStream,
    tls: &ListenerTls,
    by_name: impl Fn(&str) -> Option<Arc<ListenerTls>>,
) -> Result<(TlsStream<TcpStream>, TlsSession), AcceptError> {
    timeout(HANDSHAKE_TIMEOUT, handshake(stream, tls, by_name, None))
        .await
        .unwrap_or(Err(AcceptError::TimedOut))
}

/// The same, and notes what the client said first.
pub async fn accept_noting(
    stream: TcpStream,
    tls: &ListenerTls,
    by_name: impl Fn(&str) -> Option<Arc<ListenerTls>>,
    greeting: &mut Greeting,
) -> Result<(TlsStream<TcpStream>, TlsSession), AcceptError> {
    let handshake = handshake(stream, tls, by_name, Some(greeting));
    timeout(HANDSHAKE_TIMEOUT, handshake)
        .await
        .unwrap_or(Err(AcceptError::TimedOut))
}

async fn handshake(
    mut stream: TcpStream,
    tls: &ListenerTls,
    by_name: impl Fn(&str) -> Option<Arc<ListenerTls>>,
    greeting: Option<&mut Greeting>,
) -> Result<(TlsStream<TcpStream>, TlsSession), AcceptError> {
    if tls.is_https() && speaks_plain_http(&stream).await? {
        refuse_plain_http(&mut stream).await;
        return Err(AcceptError::PlainHttp);
    }
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
    let (config, certificate_arn) = {
        let hello = start.client_hello();
        let named = hello.server_name().and_then(by_name);
        let tls = named.as_deref().unwrap_or(tls);
        let offer = tls.choose(&hello);
        if let Some(greeting) = greeting {
            let alpn = hello.alpn().into_iter().flatten();
            *greeting = Greeting {
                certificate_arn: Arc::clone(&offer.certificate.arn),
                server_name: hello.server_name().unwrap_or_default().to_owned(),
                alpn: alpn.map(<[u8]>::to_vec).collect(),
            };
        }
        (
            tls.config(offer, &hello),
            Arc::clone(&offer.certificate.arn),
        )
    };
    let stream = start.into_stream(config).await?;
    let session = TlsSession::of(stream.get_ref().1, certificate_arn);
    Ok((stream, session))
}

/// A TLS record starts with its type, 22 for a handshake; a request line with a letter.
async fn speaks_plain_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    let read = stream.peek(&mut first).await?;
    Ok(read == 1 && first[0].is_ascii_alphabetic())
}

async fn refuse_plain_http(stream: &mut TcpStream) {
    if stream.write_all(PLAIN_HTTP).await.is_err() || stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = [0; 4096];
    let mut left = LINGER_BYTES;
    let drain = async {
        while let Ok(read) = stream.read(&mut rest).await {
            if read == 0 || read >= left {
                break;
            }
            left -= read;
        }
    };
    // The client has its answer either way.
    let _ = timeout(LINGER, drain).await;
}
