//! Connections to TCP and TLS listeners.

use super::choice::{FlowKey, choose};
use super::flows::{self, Flow, Verdict};
use super::proxy_protocol;
use super::relay::{End, Pair, relay};
use super::sender::sender;
use super::silence::{forget_on_close, reset_on_close, segments_in};
use crate::engine::{Client, Worker};
use crate::table::{Endpoint, Transport};
use crate::tls::{self, Alpn, TargetAlpn};
use crate::upstream::connect::connect;
use crate::upstream::{Towards, UpstreamStream};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// AWS: idle TCP flows end after 350 seconds unless the listener's attribute says otherwise.
const IDLE_TIMEOUT_SECS: u32 = 350;
/// AWS: TLS listeners send keep-alives to both ends every 20 seconds.
const TLS_KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A client's stream, down to its socket.
trait ClientStream: AsyncRead + AsyncWrite + Unpin {
    fn socket(&self) -> &TcpStream;
}

impl ClientStream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl ClientStream for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Serves one connection to a TCP or TLS listener to its end.
pub async fn serve_tcp(worker: Rc<Worker>, stream: TcpStream, client: Client) {
    // The listener may have gone since the connection was accepted.
    let Some(endpoint) = client.endpoint(&worker, "") else {
        return;
    };
    let _counted = worker.watch();
    if !endpoint.listener.is_secure() {
        return forward(&worker, &endpoint, stream, Alpn::None, true).await;
    }
    let Some(tls) = worker.current().tls.get(&endpoint.listener.arn).cloned() else {
        reset_on_close(&stream);
        return;
    };
    // On loopback several listeners may share the port, and the server name tells which is meant.
    let by_name = |name: &str| {
        let endpoint = client.endpoint(&worker, name)?;
        worker.current().tls.get(&endpoint.listener.arn).cloned()
    };
    let (stream, session) = match tls::accept(stream, &tls, by_name).await {
        Ok(accepted) => accepted,
        Err(error) => {
            return tracing::debug!(listener = %endpoint.listener.arn, %error, "no TLS session");
        }
    };
    let name = session.server_name.as_deref().unwrap_or_default();
    let Some(endpoint) = client.endpoint(&worker, name) else {
        return;
    };
    forward(&worker, &endpoint, stream, session.alpn, tls.allows_tls13()).await;
}

async fn forward(
    worker: &Rc<Worker>,
    endpoint: &Endpoint,
    mut client: impl ClientStream,
    alpn: Alpn,
    tls13: bool,
) {
    // Until the target takes the connection, the client's end is a reset: so it would see a target that refuses.
    reset_on_close(client.socket());
    let (Ok(peer), Ok(local)) = (client.socket().peer_addr(), client.socket().local_addr()) else {
        return;
    };
    let key = FlowKey {
        transport: Transport::Tcp,
        client: peer,
        local,
    };
    let Ok((group, target)) = choose(endpoint, &key) else {
        tracing::debug!(listener = %endpoint.listener.arn, "no target for a connection");
        return;
    };
    let towards = Towards {
        sender: sender(&worker.shared.namespaces, endpoint, &group, peer),
        ..Towards::new(endpoint, &group, &target, tls13)
    };
    // A TLS target gets HTTP/2 negotiated where the client did.
    let alpn = match alpn {
        Alpn::Http2 => TargetAlpn::Http2,
        _ => TargetAlpn::None,
    };
    let mut server = match connect(worker, &towards, alpn).await {
        Ok(server) => server,
        Err(error) => {
            tracing::debug!(target = %target.address, %error, "a connection was reset");
            return;
        }
    };
    if group.proxy_protocol_v2
        && server
            .write_all(&proxy_protocol::header(peer, local))
            .await
            .is_err()
    {
        return;
    }
    if endpoint.listener.is_secure() {
        let keep_alive = socket2::TcpKeepalive::new()
            .with_time(TLS_KEEP_ALIVE)
            .with_interval(TLS_KEEP_ALIVE);
        for socket in [client.socket(), socket_of(&server)] {
            // Without it a dead client is found by the idle timeout.
            let _ = socket2::SockRef::from(socket).set_tcp_keepalive(&keep_alive);
        }
    }
    let idle_secs = match endpoint.listener.tcp_idle_timeout_secs {
        0 => IDLE_TIMEOUT_SECS,
        secs => secs,
    };
    let flow = flows::add(worker, &group, &target, u64::from(idle_secs) * 1000, true);
    converse(&mut client, &mut server, &flow).await;
}

async fn converse(client: &mut impl ClientStream, server: &mut UpstreamStream, flow: &Flow) {
    let mut pair = Pair::default();
    let mut heard = heard(client, server);
    loop {
        match relay(client, server, flow, &mut pair).await {
            End::Closed => {
                let _ = socket2::SockRef::from(client.socket()).set_linger(None);
                return;
            }
            End::Verdict(Verdict::HalfIdle) => {
                heard = self::heard(client, server);
                flow.go_on();
            }
            End::Verdict(Verdict::Idle) => {
                let now = self::heard(client, server);
                if now == heard {
                    forget_on_close(client.socket());
                    forget_on_close(socket_of(server));
                    return;
                }
                // A keep-alive has come.
                heard = now;
                flow.spare();
            }
            // A reset is passed on as one.
            End::Broken(_) | End::Verdict(_) => {
                reset_on_close(client.socket());
                reset_on_close(socket_of(server));
                return;
            }
        }
    }
}

/// Segments that have come from either end, keep-alives among them.
fn heard(client: &impl ClientStream, server: &UpstreamStream) -> (Option<u32>, Option<u32>) {
    (segments_in(client.socket()), segments_in(socket_of(server)))
}

fn socket_of(server: &UpstreamStream) -> &TcpStream {
    match server {
        UpstreamStream::Plain(stream) => stream,
        UpstreamStream::Tls(stream) => stream.get_ref().0,
    }
}
