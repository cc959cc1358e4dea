//! Accepts connections and serves them under [`Limits`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::body::{Body, Gathered, Outcome};
use crate::budget::{Budget, Share};
use crate::connections::{Connections, Watch};
use crate::limits::Limits;
use crate::stream::Stream;

/// Longest head, and what is read of a body at once. URLs with signatures have some kilobytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Requests of one HTTP/2 connection at a time.
const MAX_STREAMS: u32 = 128;
/// What a streamed body has in memory at a time: the registry gathers a mebibyte before it hashes and writes.
const STREAMED_BYTES: usize = 1 << 20;
/// How late a time-out may be.
const TICK: Duration = Duration::from_millis(250);
/// Pause after a failed accept: the process, or the machine, is out of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What becomes of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is in memory until the request is answered.
    Gathered,
    /// It is written away as it comes; it may take as long as it likes while bytes come.
    Streamed,
}

/// Serves until accepting is hopeless, which it never is. `kind` tells by a request's head what becomes of its body.
pub async fn serve<H, F, B>(
    listener: TcpListener,
    limits: Limits,
    kind: fn(&Parts) -> Kind,
    handler: H,
) where
    H: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let connections = Connections::new(limits.clone());
    let front = Arc::new(Front {
        budget: Budget::new(limits.body_bytes),
        limits,
        kind,
    });
    let reaping = Arc::clone(&connections);
    let reaper = tokio::spawn(async move {
        loop {
            tokio::time::sleep(TICK).await;
            reaping.end_overdue();
        }
    });
    let mut failing = false;
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            // The client has gone again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                if !failing {
                    tracing::warn!(%error, "no connection can be accepted; trying again");
                }
                failing = true;
                connections.give_up_one();
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        failing = false;
        // Closed again: whoever waits for us may come back, and finds one of its own waiting by then.
        let Some(place) = connections.place(peer.ip()) else {
            tracing::debug!(%peer, "a connection too many");
            continue;
        };
        let (front, handler) = (Arc::clone(&front), handler.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = connection(front, socket, Arc::clone(&place.watch), handler) => {}
                () = place.watch.ended() => {}
            }
        });
        if reaper.is_finished() {
            return tracing::error!(
                "nobody ends connections any more; the API has stopped serving"
            );
        }
    }
}

struct Front {
    limits: Limits,
    budget: Arc<Budget>,
    kind: fn(&Parts) -> Kind,
}

async fn connection<H, F, B>(front: Arc<Front>, socket: TcpStream, watch: Arc<Watch>, handler: H)
where
    H: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32);
    let stream = TokioIo::new(Stream::new(socket, Arc::clone(&watch)));
    let service = service_fn(move |request| {
        let (front, watch, handler) = (Arc::clone(&front), Arc::clone(&watch), handler.clone());
        async move { Ok::<_, std::convert::Infallible>(front.answer(watch, request, handler).await) }
    });
    if let Err(error) = builder.serve_connection(stream, service).await {
        tracing::debug!(%error, "a connection broke");
    }
}

impl Front {
    async fn answer<H, F, B>(
        &self,
        watch: Arc<Watch>,
        request: Request<Incoming>,
        handler: H,
    ) -> Answered<B>
    where
        H: Fn(Request<Body>) -> F,
        F: Future<Output = Response<B>>,
    {
        watch.request_begins();
        let share = Arc::new(Mutex::new(self.budget.share()));
        let open = Open {
            watch: Arc::clone(&watch),
            _share: Arc::clone(&share),
        };
        let (parts, incoming) = request.into_parts();
        let gathered = match (self.kind)(&parts) {
            Kind::Streamed if !share.lock().take(STREAMED_BYTES) => return busy(open),
            Kind::Streamed => None,
            Kind::Gathered => Some(Gathered {
                share,
                until: Instant::now() + self.limits.body,
            }),
        };
        let outcome = Arc::new(Outcome::default());
        let body = Body::new(
            incoming,
            watch,
            Arc::clone(&outcome),
            &self.limits,
            gathered,
        );
        let response = handler(Request::from_parts(parts, body)).await;
        if outcome.had_no_room() {
            return busy(open);
        }
        if outcome.was_too_slow() {
            return plain(
                open,
                StatusCode::REQUEST_TIMEOUT,
                "the body came too slowly\n",
            );
        }
        response.map(|body| Either::Left(Answer { body, _open: open }))
    }
}

type Answered<B> = Response<Either<Answer<B>, Answer<Full<Bytes>>>>;

/// SDKs try again.
fn busy<B>(open: Open) -> Answered<B> {
    let text = "too many large requests are under way; try again\n";
    let mut response = plain(open, StatusCode::SERVICE_UNAVAILABLE, text);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// An answer to a request whose body is not read to its end, so that the connection cannot go on.
fn plain<B>(open: Open, status: StatusCode, text: &'static str) -> Answered<B> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(Either::Right(Answer { body, _open: open }));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A request that is not answered to its end, with what its body takes of the budget.
struct Open {
    watch: Arc<Watch>,
    _share: Arc<Mutex<Share>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.watch.request_ends();
    }
}

/// An answer's body, which is open until it is sent.
struct Answer<B> {
    body: B,
    _open: Open,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
