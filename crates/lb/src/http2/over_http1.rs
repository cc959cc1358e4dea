//! A stream's request to a target of an HTTP1 group, and the response back.

use super::body::Gone;
use super::exchange::{Exchange, Failure};
use super::plan::Forward;
use crate::desync::body::Body;
use crate::headers::Framing;
use crate::upstream::chunked::{LAST_CHUNK, write_chunk};
use crate::upstream::h1::{Connection, Fault};
use h2::RecvStream;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Carries one exchange. `body` is the client's.
pub(super) async fn carry(
    exchange: &Exchange<'_>,
    forward: &mut Forward,
    head: &[u8],
    chunked: bool,
    body: &mut RecvStream,
) -> Result<(), Failure> {
    let worker = &exchange.open.worker;
    let repeatable = forward.is_idempotent && body.is_end_stream();
    let reached = forward
        .way
        .reach(exchange.endpoint, &exchange.watched, async |towards| {
            Connection::checkout(worker, towards).await
        });
    let mut connection = reached
        .await
        .map_err(|error| Failure::Status(error.status()))?;
    loop {
        let request_sent = Cell::new(false);
        let shared = RefCell::new(connection);
        let ended = {
            let target = Some(forward.way.towards.address);
            exchange.account.target.set(target);
            let upload = upload(exchange, &shared, head, chunked, body, &request_sent);
            both(upload, download(exchange, &shared, forward)).await
        };
        connection = shared.into_inner();
        match ended {
            Ok(()) => {
                if request_sent.get() {
                    connection.finish(worker);
                }
                return Ok(());
            }
            // The target closed the connection as our request set out, and has not begun to answer.
            Err(Ended::Target(Fault::Closed))
                if repeatable && connection.reused() && !connection.has_answered() =>
            {
                let reached =
                    forward
                        .way
                        .reach(exchange.endpoint, &exchange.watched, async |towards| {
                            Connection::fresh(worker, towards).await
                        });
                connection = reached
                    .await
                    .map_err(|error| Failure::Status(error.status()))?;
            }
            Err(Ended::Target(error)) => {
                tracing::debug!(%error, target = %forward.way.towards.address, "a target's response is bad");
                return Err(Failure::Status(502));
            }
            Err(Ended::Client) => return Err(Failure::ClientGone),
            Err(Ended::Failed(failure)) => return Err(failure),
        }
    }
}

enum Ended {
    Target(Fault),
    Client,
    Failed(Failure),
}

/// Runs both directions until the response is complete, or one of them fails for good. A target that takes no more of
/// the request may have answered all the same, so that its refusal to read ends the upload and nothing else.
async fn both(
    upload: impl Future<Output = Result<(), Gone>>,
    download: impl Future<Output = Result<(), Ended>>,
) -> Result<(), Ended> {
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

/// Sends head and body. Only the client's failure is one.
async fn upload(
    exchange: &Exchange<'_>,
    connection: &RefCell<Connection>,
    head: &[u8],
    chunked: bool,
    body: &mut RecvStream,
    request_sent: &Cell<bool>,
) -> Result<(), Gone> {
    let mut frame = Vec::new();
    if send(exchange, connection, head).await.is_err() {
        return Ok(());
    }
    exchange
        .account
        .sent_at
        .set(Some(std::time::Instant::now()));
    loop {
        exchange.waits_for_client.set(true);
        let data = body.data().await;
        exchange.waits_for_client.set(false);
        let Some(data) = data else { break };
        let data = data.map_err(|_| Gone)?;
        exchange.progress();
        exchange.count_received(data.len());
        let bytes = match chunked {
            true => {
                frame.clear();
                write_chunk(&data, &mut frame);
                &frame[..]
            }
            false => &data[..],
        };
        if send(exchange, connection, bytes).await.is_err() {
            return Ok(());
        }
        // The window opens for as much as the target has taken.
        body.flow_control()
            .release_capacity(data.len())
            .map_err(|_| Gone)?;
    }
    // Trailers of the request have no place in HTTP/1.1 as targets know it.
    body.trailers().await.map_err(|_| Gone)?;
    if chunked && send(exchange, connection, LAST_CHUNK).await.is_err() {
        return Ok(());
    }
    request_sent.set(true);
    Ok(())
}

async fn send(
    exchange: &Exchange<'_>,
    connection: &RefCell<Connection>,
    mut bytes: &[u8],
) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| connection.borrow_mut().poll_send(cx, bytes)).await?;
        bytes = &bytes[count..];
        exchange.progress();
    }
    poll_fn(|cx| connection.borrow_mut().poll_flush(cx)).await
}

async fn download(
    exchange: &Exchange<'_>,
    connection: &RefCell<Connection>,
    forward: &Forward,
) -> Result<(), Ended> {
    let head = poll_fn(|cx| {
        connection
            .borrow_mut()
            .poll_response_head(cx, forward.is_head)
    })
    .await;
    let head = head.map_err(Ended::Target)?;
    if head.facts.status == 101 {
        // Nobody asked for another protocol.
        return Err(Ended::Failed(Failure::Status(502)));
    }
    let mut complete = connection.borrow().body.is_done();
    let framing = match head.facts.body {
        Body::Length(length) => Framing::Length(length),
        _ => Framing::None,
    };
    let begun = head.with_headers(|_, headers| {
        let set_cookies = forward.set_cookies(&exchange.open.worker, headers);
        exchange.begin(head.facts.status, headers, framing, &set_cookies, complete)
    });
    // The head was parsed before.
    begun
        .unwrap_or(Err(Failure::Status(502)))
        .map_err(Ended::Failed)?;
    while !complete {
        let data = poll_fn(|cx| connection.borrow_mut().poll_response_body(cx)).await;
        let data = data.map_err(Ended::Target)?.unwrap_or_default();
        complete = connection.borrow().body.is_done();
        exchange.send(data, complete).await.map_err(Ended::Failed)?;
    }
    Ok(())
}
