//! HTTP/2 connections to targets: each carries many requests at once, up to the target's own limit. A thread's alone.

use crate::engine::Worker;
use crate::engine::clock;
use crate::table::TargetKey;
use crate::tls::TargetAlpn;
use crate::upstream::connect::connect;
use crate::upstream::{ConnectError, Towards, UpstreamStream};
use bytes::Bytes;
use h2::SendStream;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use http::Request;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_local;

/// Windows for responses, as for requests in front.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const MAX_SEND_BUFFER: usize = 128 * 1024;
/// AWS: response headers larger than this are a 502. HTTP/2 counts 32 bytes more for each field.
const MAX_HEADER_LIST: u32 = 32 * 1024;
/// Streams that a connection is used for until its target has said how many it allows.
const STREAMS_BEFORE_SETTINGS: usize = 100;
/// Connections of a thread to one target. Beyond this requests wait for a stream.
const MAX_CONNECTIONS: usize = 32;
/// How long a connection may be idle, as for HTTP/1.1; and how often that is looked at.
const IDLE: Duration = crate::upstream::pool::IDLE_TIMEOUT;
const IDLE_CHECK: Duration = Duration::from_secs(5);

thread_local! {
    static POOL: RefCell<HashMap<PoolKey, Rc<ToTarget>>> = RefCell::default();
}

/// Connections are shared by whoever reaches the same target at the same address from the same network.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct PoolKey {
    target: TargetKey,
    address: SocketAddr,
    netns: Arc<str>,
    secure: bool,
}

/// All connections of this thread to one target.
#[derive(Default)]
struct ToTarget {
    connections: RefCell<Vec<Rc<Shared>>>,
    /// Held while connecting, so that requests which arrive together share the first connection.
    connecting: tokio::sync::Mutex<()>,
    /// Attempts that have failed, and how the last one did.
    failures: Cell<u64>,
    timed_out: Cell<bool>,
}

struct Shared {
    sender: SendRequest<Bytes>,
    streams: Cell<usize>,
    idle_since: Cell<u64>,
    /// It takes no more requests: it ended, is going away or was idle for too long.
    retired: Cell<bool>,
}

/// A place on a connection for one request. Its stream ends before it is dropped.
pub(super) struct Lease {
    connection: Rc<Shared>,
    sender: SendRequest<Bytes>,
}

/// A connection with room for one more stream, a new one if there is none.
pub(super) async fn lease(worker: &Rc<Worker>, towards: &Towards) -> Result<Lease, ConnectError> {
    let key = PoolKey {
        target: towards.target,
        address: towards.address,
        netns: Arc::clone(&towards.netns),
        secure: towards.secure,
    };
    let target = POOL.with_borrow_mut(|pool| Rc::clone(pool.entry(key.clone()).or_default()));
    if let Some(lease) = target.lease() {
        return Ok(lease);
    }
    let failures = target.failures.get();
    let alone = target.connecting.lock().await;
    if let Some(lease) = target.lease() {
        return Ok(lease);
    }
    if target.failures.get() != failures {
        // Whoever waits for an attempt shares its end: one after the other they would wait for minutes.
        return Err(target.failed());
    }
    let connected = open(worker, towards).await;
    let (sender, connection) = match connected {
        Ok(connected) => connected,
        Err(error) => {
            target.failures.set(failures.wrapping_add(1));
            target.timed_out.set(error.status() == 504);
            drop(alone);
            drop(target);
            sweep(&key);
            return Err(error);
        }
    };
    let shared = Rc::new(Shared {
        sender,
        streams: Cell::new(0),
        idle_since: Cell::new(clock::millis()),
        retired: Cell::new(false),
    });
    target.connections.borrow_mut().push(Rc::clone(&shared));
    let lease = Lease::new(&shared);
    spawn_local(drive(
        connection,
        Rc::downgrade(&shared),
        Rc::clone(worker),
        key,
    ));
    Ok(lease)
}

type TargetConnection = Connection<UpstreamStream, Bytes>;

async fn open(
    worker: &Worker,
    towards: &Towards,
) -> Result<(SendRequest<Bytes>, TargetConnection), ConnectError> {
    let stream = connect(worker, towards, TargetAlpn::Http2).await?;
    Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST)
        .initial_max_send_streams(STREAMS_BEFORE_SETTINGS)
        .enable_push(false)
        .handshake(stream)
        .await
        .map_err(|error| ConnectError::Unreachable(io::Error::other(error)))
}

impl ToTarget {
    /// How the last attempt to connect failed.
    fn failed(&self) -> ConnectError {
        match self.timed_out.get() {
            true => ConnectError::TimedOut,
            false => ConnectError::Unreachable(io::ErrorKind::ConnectionRefused.into()),
        }
    }

    /// The fullest connection with room, so that those which load no longer needs fall idle.
    fn lease(&self) -> Option<Lease> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| !connection.retired.get());
        let roomy = connections
            .iter()
            .filter(|connection| connection.has_room());
        let chosen = roomy.max_by_key(|connection| connection.streams.get());
        let chosen = match chosen {
            None if connections.len() >= MAX_CONNECTIONS => connections
                .iter()
                .min_by_key(|connection| connection.streams.get()),
            chosen => chosen,
        };
        chosen.map(Lease::new)
    }
}

impl Shared {
    fn has_room(&self) -> bool {
        self.streams.get() < self.sender.current_max_send_streams()
    }
}

impl Lease {
    fn new(connection: &Rc<Shared>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self {
            sender: connection.sender.clone(),
            connection: Rc::clone(connection),
        }
    }

    /// Waits for a free stream. An error: the connection is no good.
    pub async fn ready(&mut self) -> Result<(), h2::Error> {
        std::future::poll_fn(|cx| self.sender.poll_ready(cx)).await
    }

    pub fn send(
        &mut self,
        request: Request<()>,
        end: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.sender.send_request(request, end)
    }

    /// Nobody shall use the connection any more.
    pub fn retire(&self) {
        self.connection.retired.set(true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let left = self.connection.streams.get() - 1;
        self.connection.streams.set(left);
        self.connection.idle_since.set(clock::millis());
    }
}

/// Keeps a connection going until it ends. One that is idle for long, or whose target takes no new requests, is let go
/// of: it ends when its last stream has.
async fn drive(
    connection: TargetConnection,
    shared: Weak<Shared>,
    worker: Rc<Worker>,
    key: PoolKey,
) {
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, target = %key.address, "a connection to a target has failed");
                }
                break;
            }
            () = tokio::time::sleep(IDLE_CHECK) => {}
        }
        let Some(shared) = shared.upgrade() else {
            continue;
        };
        let idle = clock::millis().saturating_sub(shared.idle_since.get());
        let unused = shared.streams.get() == 0 && idle >= IDLE.as_millis() as u64;
        if unused || !worker.keeps(&key.target) {
            shared.retired.set(true);
            drop(shared);
            sweep(&key);
        }
    }
    if let Some(shared) = shared.upgrade() {
        shared.retired.set(true);
    }
    sweep(&key);
}

/// Forgets retired connections to a target, and the target with the last of them.
fn sweep(key: &PoolKey) {
    // At the thread's end the pool may be gone already.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let Some(target) = pool.get(key) else { return };
        target
            .connections
            .borrow_mut()
            .retain(|connection| !connection.retired.get());
        let unused = target.connections.borrow().is_empty() && Rc::strong_count(target) == 1;
        if unused {
            pool.remove(key);
        }
    });
}
