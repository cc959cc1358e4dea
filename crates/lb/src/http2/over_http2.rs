//! A stream's request to a target of an HTTP2 or GRPC group, and the response back, with trailers both ways.

use super::body::{self, Gone};
use super::exchange::{Exchange, Failure};
use super::plan::Forward;
use super::targets::{self, Lease};
use crate::headers::Framing;
use crate::routing::Header;
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, header};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Connections that are tried for one request: the first may be going away, the second be full already.
const MAX_TRIES: usize = 3;

/// Carries one exchange. `body` is the client's.
pub(super) async fn carry(
    exchange: &Exchange<'_>,
    forward: &mut Forward,
    request: &Request<()>,
    body: &mut RecvStream,
) -> Result<(), Failure> {
    let body_sent = Cell::new(false);
    for _ in 0..MAX_TRIES {
        let leased = forward
            .way
            .reach(exchange.endpoint, &exchange.watched, async |towards| {
                targets::lease(&exchange.open.worker, &towards).await
            });
        let mut lease = leased
            .await
            .map_err(|error| Failure::Status(error.status()))?;
        let target = Some(forward.way.towards.address);
        exchange.account.target.set(target);
        match attempt(exchange, forward, &mut lease, request, body, &body_sent).await {
            Ok(()) => return Ok(()),
            Err(Ended::Untouched) if !body_sent.get() && !exchange.has_answered() => lease.retire(),
            Err(Ended::Untouched | Ended::Target) => return Err(Failure::Status(502)),
            Err(Ended::Client) => return Err(Failure::ClientGone),
            Err(Ended::Failed(failure)) => return Err(failure),
        }
    }
    Err(Failure::Status(502))
}

enum Ended {
    /// The target says, or it is plain, that it has not looked at the request.
    Untouched,
    Target,
    Client,
    Failed(Failure),
}

async fn attempt(
    exchange: &Exchange<'_>,
    forward: &Forward,
    lease: &mut Lease,
    request: &Request<()>,
    body: &mut RecvStream,
    body_sent: &Cell<bool>,
) -> Result<(), Ended> {
    lease.ready().await.map_err(|_| Ended::Untouched)?;
    let end = body.is_end_stream();
    let (response, stream) = lease
        .send(request.clone(), end)
        .map_err(|_| Ended::Untouched)?;
    exchange
        .account
        .sent_at
        .set(Some(std::time::Instant::now()));
    exchange.progress();
    let stream = Stream(RefCell::new(stream));
    let upload = async {
        match end {
            true => Ok(()),
            false => upload(exchange, &stream, body, body_sent).await,
        }
    };
    let download = download(exchange, forward, response);
    let (mut upload, mut download) = (pin!(upload), pin!(download));
    let mut uploading = true;
    poll_fn(|cx| {
        if uploading {
            match upload.as_mut().poll(cx) {
                Poll::Ready(Ok(())) => uploading = false,
                Poll::Ready(Err(Gone)) => return Poll::Ready(Err(Ended::Client)),
                Poll::Pending => {}
            }
        }
        download.as_mut().poll(cx)
    })
    .await
}

/// The stream to the target. Dropped before its end, it is cancelled.
struct Stream(RefCell<SendStream<Bytes>>);

impl Drop for Stream {
    fn drop(&mut self) {
        // Does nothing to a stream that both sides have ended.
        self.0.borrow_mut().send_reset(Reason::CANCEL);
    }
}

/// Sends the client's body and trailers. Only the client's failure is one: what the target does not want to read it may
/// have answered.
async fn upload(
    exchange: &Exchange<'_>,
    stream: &Stream,
    body: &mut RecvStream,
    body_sent: &Cell<bool>,
) -> Result<(), Gone> {
    loop {
        exchange.waits_for_client.set(true);
        let data = body.data().await;
        exchange.waits_for_client.set(false);
        let Some(data) = data else { break };
        let data = data.map_err(|_| Gone)?;
        let length = data.len();
        exchange.progress();
        exchange.count_received(length);
        body_sent.set(body_sent.get() || length > 0);
        if body::send(&stream.0, data, body.is_end_stream(), || {
            exchange.progress()
        })
        .await
        .is_err()
        {
            return Ok(());
        }
        body.flow_control()
            .release_capacity(length)
            .map_err(|_| Gone)?;
        if body.is_end_stream() {
            return Ok(());
        }
    }
    match body.trailers().await.map_err(|_| Gone)? {
        // Whether the target takes the end is its response's matter.
        Some(trailers) => drop(stream.0.borrow_mut().send_trailers(trailers)),
        None => drop(body::send(&stream.0, Bytes::new(), true, || ()).await),
    }
    Ok(())
}

async fn download(
    exchange: &Exchange<'_>,
    forward: &Forward,
    response: ResponseFuture,
) -> Result<(), Ended> {
    let response = response.await.map_err(|error| {
        tracing::debug!(%error, target = %forward.way.towards.address, "a target has not answered");
        match is_untouched(&error) {
            true => Ended::Untouched,
            false => Ended::Target,
        }
    })?;
    let (parts, mut body) = response.into_parts();
    let mut end = body.is_end_stream();
    let headers = fields(&parts.headers);
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let framing = match length.and_then(|value| value.to_str().ok()?.parse().ok()) {
        Some(length) => Framing::Length(length),
        None => Framing::None,
    };
    let set_cookies = forward.set_cookies(&exchange.open.worker, &headers);
    let begun = exchange.begin(parts.status.as_u16(), &headers, framing, &set_cookies, end);
    begun.map_err(Ended::Failed)?;
    while !end {
        let Some(data) = body.data().await else { break };
        let data = data.map_err(|_| Ended::Target)?;
        let length = data.len();
        end = body.is_end_stream();
        exchange.send(data, end).await.map_err(Ended::Failed)?;
        body.flow_control()
            .release_capacity(length)
            .map_err(|_| Ended::Target)?;
    }
    if end {
        return Ok(());
    }
    match body.trailers().await.map_err(|_| Ended::Target)? {
        Some(trailers) => exchange.send_trailers(trailers).map_err(Ended::Failed),
        None => exchange
            .send(Bytes::new(), true)
            .await
            .map_err(Ended::Failed),
    }
}

/// Whether the request may be sent again as if for the first time: the stream is beyond the last one that a GOAWAY
/// counts as seen, or was refused. RFC 9113, section 8.7.
fn is_untouched(error: &h2::Error) -> bool {
    let unseen =
        error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR);
    unseen || (error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM))
}

fn fields(headers: &HeaderMap) -> Vec<Header<'_>> {
    let fields = headers.iter();
    fields
        .map(|(name, value)| Header {
            name: name.as_str(),
            value: value.as_bytes(),
        })
        .collect()
}
