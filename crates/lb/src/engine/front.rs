//! What an accepted connection becomes, by its listener's protocol.
//!
//! The listener is looked up in the newest table when the connection arrives, so a listener may change its protocol
//! while its socket stays open. HTTP fronts look it up again for each request ([`Client::endpoint`]).
//!
//! A front is an async function that takes the worker, the stream and the [`Client`]; it runs as a task of its own on
//! the worker's thread until the connection ends:
//!
//! ```text
//! http1::serve(worker: Rc<Worker>, stream: S, client: Client)                       // S: AsyncRead + AsyncWrite + Unpin
//! http2::serve(worker: Rc<Worker>, stream: TlsStream<TcpStream>, client: Client)     // client.tls is there
//! nlb::serve_tcp(worker: Rc<Worker>, stream: TcpStream, client: Client)              // TCP and TLS listeners
//! nlb::serve_udp(worker: Rc<Worker>, socket: std::net::UdpSocket, entry: Arc<Entry>) // aborted when the port closes
//! ```
//!
//! Each takes a `worker.watch(client)` for as long as it lives: that is how connections are counted, timed out, and asked to
//! end with the process.

use super::worker::{Counted, Worker};
use crate::table::{Endpoint, SocketKey, Table, Transport};
use crate::tls::{self, TlsSession};
use crate::{http1, http2, nlb};
use neargate_lb_api::Protocol;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};

/// How a connection reached us.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Entry {
    /// By an address of one load balancer.
    Own(SocketKey),
    /// By 127.0.0.1, where load balancers share ports (dev).
    Loopback { port: u16, transport: Transport },
}

impl Entry {
    /// Whom a request is for. `host` counts only on loopback.
    pub fn endpoint<'t>(&self, table: &'t Table, host: &str) -> Option<&'t Arc<Endpoint>> {
        match self {
            Self::Own(key) => table.endpoint(key),
            Self::Loopback { port, transport } => table.loopback_endpoint(*port, *transport, host),
        }
    }

    /// Whoever it is for.
    pub fn endpoints<'t>(&self, table: &'t Table) -> impl Iterator<Item = &'t Arc<Endpoint>> {
        let (own, shared) = match self {
            Self::Own(key) => (table.endpoint(key), &[][..]),
            Self::Loopback { port, transport } => {
                (None, table.loopback_endpoints(*port, *transport))
            }
        };
        own.into_iter().chain(shared)
    }

    /// Whether `host` decides.
    pub fn is_shared(&self, table: &Table) -> bool {
        match self {
            Self::Own(_) => false,
            Self::Loopback { port, transport } => {
                table.loopback_endpoints(*port, *transport).len() > 1
            }
        }
    }
}

/// A client's connection, without its bytes.
#[derive(Clone, Debug)]
pub struct Client {
    pub entry: Arc<Entry>,
    pub peer: SocketAddr,
    /// The session, if it came by TLS.
    pub tls: Option<Rc<TlsSession>>,
}

impl Client {
    /// The load balancer and listener that a request with this Host is for, in the newest table. `None`: the listener
    /// is gone.
    pub fn endpoint(&self, worker: &Worker, host: &str) -> Option<Arc<Endpoint>> {
        self.entry.endpoint(&worker.current().table, host).cloned()
    }
}

/// Serves a connection as a task of its own.
pub fn start(
    worker: &Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    entry: Arc<Entry>,
    counted: Counted,
) {
    let client = Client {
        entry,
        peer,
        tls: None,
    };
    // Closing it is all that can be done for a listener that has gone meanwhile.
    let Some(endpoint) = client.endpoint(worker, "") else {
        return;
    };
    let worker = Rc::clone(worker);
    // Tasks of their own types: an idle HTTP connection shall not have the size of a TLS handshake.
    match endpoint.listener.protocol {
        Protocol::Http => drop(spawn_local(async move {
            http1::serve(worker, stream, client).await;
            drop(counted);
        })),
        Protocol::Https => drop(spawn_local(async move {
            serve_https(worker, stream, client, endpoint).await;
            drop(counted);
        })),
        _ => drop(spawn_local(async move {
            nlb::serve_tcp(worker, stream, client).await;
            drop(counted);
        })),
    }
}

/// Serves a UDP socket until the task is aborted.
pub fn start_udp(
    worker: &Rc<Worker>,
    socket: std::net::UdpSocket,
    entry: Arc<Entry>,
) -> AbortHandle {
    spawn_local(nlb::serve_udp(Rc::clone(worker), socket, entry)).abort_handle()
}

async fn serve_https(
    worker: Rc<Worker>,
    stream: TcpStream,
    mut client: Client,
    endpoint: Arc<Endpoint>,
) {
    let Some(listener) = worker.current().tls.get(&endpoint.listener.arn).cloned() else {
        return;
    };
    drop(endpoint);
    // On loopback several listeners may share the port, and the server name tells whose certificate is asked for.
    let by_name = |name: &str| {
        let endpoint = client.endpoint(&worker, name)?;
        worker.current().tls.get(&endpoint.listener.arn).cloned()
    };
    let watched = worker.watch(client.peer.ip());
    watched.waits_for_head();
    let accepted = tokio::select! {
        accepted = tls::accept(stream, &listener, by_name) => accepted,
        () = watched.given_up() => return,
    };
    drop(watched);
    let (stream, session) = match accepted {
        Ok(accepted) => accepted,
        Err(error) => {
            return tracing::debug!(%error, peer = %client.peer, "no TLS session with a client");
        }
    };
    let is_http2 = session.alpn == tls::Alpn::Http2;
    client.tls = Some(Rc::new(session));
    match is_http2 {
        true => Box::pin(http2::serve(worker, stream, client)).await,
        false => Box::pin(http1::serve(worker, stream, client)).await,
    }
}
