//! A client's connection.

use super::counted::Counted;
use super::stream;
use crate::engine::vigil::{Verdict, Watched};
use crate::engine::{Client, Worker, clock};
use crate::http1::HEAD_TIMEOUT;
use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, SendResponse};
use http::Request;
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio_rustls::server::TlsStream;

/// AWS: "up to 128 requests in parallel".
const MAX_STREAMS: u32 = 128;
/// AWS: after so many requests the client is sent GOAWAY.
const MAX_REQUESTS: u32 = 10_000;
/// Bytes that a client may send ahead, on one stream and on all of them.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Of a stream's response, waiting for the client to take it.
const MAX_SEND_BUFFER: usize = 128 * 1024;
/// HTTP/2 counts 32 bytes more for each field; `request` knows AWS's own limits. Beyond this the library answers 431.
const MAX_HEADER_LIST: u32 = 128 * 1024;
/// Requests that a client may give up on one connection before half of all is too many: resetting streams as fast as
/// they are opened is a known attack.
const MAX_GIVEN_UP: u32 = 200;
/// How long the connection may stay after its GOAWAY, once no stream is left: for the client to notice.
const GOAWAY_GRACE: Duration = Duration::from_secs(5);
/// AWS's defaults, where a table does not say.
const DEFAULT_IDLE: Duration = Duration::from_secs(60);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(3600);

/// What the streams of a connection share.
pub(super) struct Shared {
    pub worker: Rc<Worker>,
    pub client: Client,
    /// Moves with every byte of a request or response, and with nothing else: a PING is no traffic.
    pub watched: Watched,
    /// Names the connection in access logs.
    pub trace: u128,
    open: Cell<usize>,
    given_up: Cell<u32>,
    /// Bytes that the client's socket has taken, and how many of them the idle time last counted.
    written: Rc<Cell<u64>>,
    noticed: Cell<u64>,
}

/// Counts as an open stream until it is dropped.
pub(super) struct Open(Rc<Shared>);

impl std::ops::Deref for Open {
    type Target = Rc<Shared>;

    fn deref(&self) -> &Rc<Shared> {
        &self.0
    }
}

impl Open {
    fn new(shared: &Rc<Shared>) -> Self {
        shared.open.set(shared.open.get() + 1);
        shared.watched.works();
        Self(Rc::clone(shared))
    }

    /// The client has reset the stream before it was answered.
    pub fn given_up(&self) {
        self.0.given_up.set(self.0.given_up.get() + 1);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        // The idle time begins with the last stream's end.
        self.0.watched.extend(self.0.idle_timeout());
        if self.0.open.get() == 0 {
            self.0.watched.waits_for_request();
        }
    }
}

impl Shared {
    /// By the newest table.
    pub fn idle_timeout(&self) -> Duration {
        let endpoint = self.client.endpoint(&self.worker, "");
        match endpoint.map_or(0, |endpoint| {
            endpoint.load_balancer.attributes.idle_timeout_secs
        }) {
            0 => DEFAULT_IDLE,
            secs => Duration::from_secs(secs.into()),
        }
    }

    /// Whether the client has taken anything since this was last asked.
    fn client_takes(&self) -> bool {
        let written = self.written.get();
        self.noticed.replace(written) != written
    }

    fn keep_alive(&self) -> Duration {
        let endpoint = self.client.endpoint(&self.worker, "");
        match endpoint.map_or(0, |endpoint| {
            endpoint.load_balancer.attributes.client_keep_alive_secs
        }) {
            0 => DEFAULT_KEEP_ALIVE,
            secs => Duration::from_secs(secs.into()),
        }
    }
}

type ClientConnection = h2::server::Connection<Counted<TlsStream<TcpStream>>, Bytes>;

/// What the connection's task wakes up for.
#[expect(
    clippy::large_enum_variant,
    reason = "made once per request and taken apart at once"
)]
enum Event {
    Stream(Request<h2::RecvStream>, SendResponse<Bytes>),
    /// Nothing was asked for the idle timeout, or the process ends.
    TimeToGo,
    /// The client did not close the connection after its GOAWAY.
    Overdue,
    End,
}

/// Serves a client's connection until it ends.
pub async fn serve(worker: Rc<Worker>, stream: TlsStream<TcpStream>, client: Client) {
    let watched = worker.watch(client.peer.ip());
    watched.waits_for_head();
    let (stream, written) = Counted::new(stream);
    let shared = Rc::new(Shared {
        watched,
        worker,
        client,
        trace: crate::engine::chance::bits(),
        open: Cell::new(0),
        given_up: Cell::new(0),
        written,
        noticed: Cell::new(0),
    });
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .handshake::<_, Bytes>(stream);
    let time = shared.idle_timeout().min(HEAD_TIMEOUT);
    let shaken = tokio::select! {
        shaken = tokio::time::timeout(time, handshake) => shaken,
        () = shared.watched.given_up() => return,
    };
    let connection = match shaken {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            return tracing::debug!(%error, peer = %shared.client.peer, "no HTTP/2 connection");
        }
        Err(_) => return,
    };
    accept(&shared, connection).await;
}

async fn accept(shared: &Rc<Shared>, mut connection: ClientConnection) {
    let since = clock::millis();
    let mut requests = 0;
    let mut leaving = false;
    shared.watched.extend(shared.idle_timeout());
    shared.watched.waits_for_request();
    loop {
        match next_event(shared, &mut connection, leaving).await {
            Event::Stream(request, respond) => {
                requests += 1;
                shared.watched.extend(shared.idle_timeout());
                spawn_local(stream::serve(Open::new(shared), request, respond));
                let given_up = shared.given_up.get();
                if given_up > MAX_GIVEN_UP && given_up > requests / 2 {
                    connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    leaving = true;
                } else if requests >= MAX_REQUESTS || is_old(shared, since) {
                    connection.graceful_shutdown();
                    leaving = true;
                }
            }
            Event::TimeToGo => {
                connection.graceful_shutdown();
                leaving = true;
                shared.watched.extend(GOAWAY_GRACE);
            }
            Event::Overdue | Event::End => return,
        }
    }
}

/// AWS: "client keep-alive duration"; after it the connection ends with the next response.
fn is_old(shared: &Shared, since_millis: u64) -> bool {
    let age = clock::millis().saturating_sub(since_millis);
    age >= shared.keep_alive().as_millis() as u64
}

async fn next_event(shared: &Shared, connection: &mut ClientConnection, leaving: bool) -> Event {
    poll_fn(|cx| {
        shared.watched.watch(cx);
        match connection.poll_accept(cx) {
            Poll::Ready(Some(Ok((request, respond)))) => return Poll::Ready(Event::Stream(request, respond)),
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, peer = %shared.client.peer, "an HTTP/2 connection has failed");
                return Poll::Ready(Event::End);
            }
            Poll::Ready(None) => return Poll::Ready(Event::End),
            Poll::Pending => {}
        }
        if shared.watched.is_given_up() {
            return Poll::Ready(Event::End);
        }
        if shared.watched.closing() && !leaving {
            return Poll::Ready(Event::TimeToGo);
        }
        if shared.watched.verdict() == Verdict::GoOn {
            return Poll::Pending;
        }
        // Each open stream has a time-out of its own; the others may still have bytes that the client takes slowly.
        if shared.open.get() > 0 || (connection.has_streams() && shared.client_takes()) {
            shared.watched.extend(shared.idle_timeout());
            return Poll::Pending;
        }
        Poll::Ready(if leaving { Event::Overdue } else { Event::TimeToGo })
    })
    .await
}
