//! What a client's connection must be able to do, with TLS or without.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A client's connection. Functions are compiled for each kind: there is no dispatch on the plain path.
pub trait ClientStream: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Whether the protocol has a word for the end, without which the client may take it for a cut.
    const SAYS_GOODBYE: bool;

    fn tcp(&self) -> &TcpStream;

    /// Has the connection end by a reset when it is dropped, so that a client without any other way to see it knows
    /// that its response is cut.
    fn reset_on_drop(&self) {
        // It ends either way.
        let _ = socket2::SockRef::from(self.tcp()).set_linger(Some(std::time::Duration::ZERO));
    }
}

impl ClientStream for TcpStream {
    const SAYS_GOODBYE: bool = false;

    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl ClientStream for TlsStream<TcpStream> {
    const SAYS_GOODBYE: bool = true;

    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}
