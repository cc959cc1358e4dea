//! Connections to TCP and TLS listeners.

use super::choice::{FlowKey, choose};
use super::flows::{self, Flow, Verdict};
use super::log::{Journal, Passed};
use super::proxy_protocol;
use super::relay::{End, Pair, relay};
use super::sender::sender;
use super::silence::{forget_on_close, reset_on_close, segments_in};
use crate::engine::vigil::Vigil;
use crate::engine::{Client, Worker};
use crate::table::{Endpoint, Transport};
use crate::tls::{self, Alpn, TargetAlpn};
use crate::upstream::connect::connect;
use crate::upstream::{Towards, UpstreamStream};
use std::rc::Rc;
use std::sync::Arc;
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
    let watched = worker.watch(client.peer.ip());
    match endpoint.listener.is_secure() {
        true => serve_tls(&worker, stream, &client, endpoint, &watched).await,
        false => {
            forward(&worker, &endpoint, stream, Alpn::None).await;
        }
    }
}

async fn serve_tls(
    worker: &Rc<Worker>,
    stream: TcpStream,
    client: &Client,
    endpoint: Arc<Endpoint>,
    watched: &Vigil,
) {
    let Some(tls) = worker.current().tls.get(&endpoint.listener.arn).cloned() else {
        reset_on_close(&stream);
        return;
    };
    let Ok(local) = stream.local_addr() else {
        return;
    };
    let mut journal = Journal::begin(&endpoint, client.peer, local);
    // On loopback several listeners may share the port, and the server name tells which is meant.
    let by_name = |name: &str| {
        let endpoint = client.endpoint(worker, name)?;
        worker.current().tls.get(&endpoint.listener.arn).cloned()
    };
    let handshake = async {
        match &mut journal {
            Some(journal) => tls::accept_noting(stream, &tls, by_name, &mut journal.greeting).await,
            None => tls::accept(stream, &tls, by_name).await,
        }
    };
    watched.waits_for_head();
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        () = watched.given_up() => return,
    };
    watched.works();
    if let Some(journal) = &mut journal {
        journal.shook_hands(accepted.as_ref().map(|(_, session)| session));
    }
    let (endpoint, passed) = match accepted {
        Ok((stream, session)) => {
            let name = session.server_name.as_deref().unwrap_or_default();
            let Some(endpoint) = client.endpoint(worker, name) else {
                return;
            };
            let passed = forward(worker, &endpoint, stream, session.alpn).await;
            (endpoint, passed)
        }
        Err(error) => {
            tracing::debug!(listener = %endpoint.listener.arn, %error, "no TLS session");
            (endpoint, Passed::default())
        }
    };
    if let Some(journal) = journal {
        journal.end(worker, &endpoint, &passed);
    }
}

/// Passes a connection on to a target, until it ends.
async fn forward(
    worker: &Rc<Worker>,
    endpoint: &Endpoint,
    mut client: impl ClientStream,
    alpn: Alpn,
) -> Passed {
    let nothing = Passed::default();
    // Until the target takes the connection, the client's end is a reset: so it would see a target that refuses.
    reset_on_close(client.socket());
    let (Ok(peer), Ok(local)) = (client.socket().peer_addr(), client.socket().local_addr()) else {
        return nothing;
    };
    let key = FlowKey {
        transport: Transport::Tcp,
        client: peer,
        local,
    };
    let Ok((group, target)) = choose(endpoint, &key) else {
        tracing::debug!(listener = %endpoint.listener.arn, "no target for a connection");
        return nothing;
    };
    let tls13 = group.is_secure() && worker.current().tls13_to_targets(&endpoint.listener);
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
            return nothing;
        }
    };
    if group.proxy_protocol_v2
        && server
            .write_all(&proxy_protocol::header(peer, local))
            .await
            .is_err()
    {
        return nothing;
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
    let mut pair = Pair::default();
    converse(&mut client, &mut server, &flow, &mut pair).await;
    Passed {
        received_bytes: pair.received_bytes(),
        sent_bytes: pair.sent_bytes(),
        alpn: alpn_of(&server),
    }
}

async fn converse(
    client: &mut impl ClientStream,
    server: &mut UpstreamStream,
    flow: &Flow,
    pair: &mut Pair,
) {
    let mut heard = heard(client, server);
    loop {
        match relay(client, server, flow, pair).await {
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
            // One end does not take what the other has sent: that is no pause.
            End::Verdict(Verdict::Quiet) if pair.holds_bytes() => flow.go_on(),
            End::Verdict(Verdict::Quiet) => {
                let _ = socket2::SockRef::from(client.socket()).set_linger(None);
                // Whoever has gone meanwhile needs no word of it.
                let _ = tokio::join!(client.shutdown(), server.shutdown());
                return;
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

fn alpn_of(server: &UpstreamStream) -> Alpn {
    match server {
        UpstreamStream::Plain(_) => Alpn::None,
        UpstreamStream::Tls(stream) => Alpn::from_wire(stream.get_ref().1.alpn_protocol()),
    }
}
