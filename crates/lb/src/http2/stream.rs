//! One stream: a request and its response.

use super::connection::Open;
use super::exchange::{Exchange, Failure};
use super::plan::{Action, Forward, TargetHead, plan};
use super::request::Head;
use super::{answer, log, over_http1, over_http2};
use crate::answers::Answer;
use crate::engine::vigil::Verdict;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Method, Request};

/// Serves a stream until it ends.
pub(super) async fn serve(
    open: Open,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (parts, mut body) = request.into_parts();
    let head = Head::new(parts);
    let Some(endpoint) = open.client.endpoint(&open.worker, head.host()) else {
        // The listener is gone. The client may ask again, wherever its name leads now.
        return respond.send_reset(Reason::REFUSED_STREAM);
    };
    let exchange = Exchange::new(open, &endpoint, respond);
    let fields = head.fields();
    let open = &exchange.open;
    exchange.count_received(
        fields
            .iter()
            .map(|field| field.name.len() + field.value.len())
            .sum(),
    );
    let mut plan = plan(
        &open.worker,
        &open.client,
        &endpoint,
        &head,
        &fields,
        !body.is_end_stream(),
    );
    let (is_grpc, is_head) = (head.is_grpc(), head.parts.method == Method::HEAD);
    let done = match &mut plan.action {
        Action::Error(status) => answer::error(&exchange, *status, is_grpc, is_head).await,
        Action::Answer(fixed) => answer::answer(&exchange, fixed, is_head).await,
        Action::Redirect { status, location } => {
            answer::answer(&exchange, &Answer::redirect(*status, location), is_head).await
        }
        Action::Forward(forward, head) => carry(&exchange, forward, head, &mut body).await,
    };
    let done = match done {
        Err(Failure::Status(status)) if !exchange.has_answered() => {
            exchange.watched.attend_none();
            exchange.progress();
            answer::error(&exchange, status, is_grpc, is_head).await
        }
        done => done,
    };
    match done {
        Ok(()) => {}
        // The client has a part of the response, and must not take it for all.
        Err(Failure::Status(_)) => {
            // A reset drops what was not written yet: let the connection write first what it can.
            tokio::task::yield_now().await;
            exchange.cut(Reason::INTERNAL_ERROR);
        }
        Err(Failure::ClientGone) => {
            exchange.cut(Reason::CANCEL);
            exchange.open.given_up();
        }
    }
    log::log(&exchange, &head, &plan, done == Err(Failure::ClientGone));
}

async fn carry(
    exchange: &Exchange<'_>,
    forward: &mut Forward,
    head: &TargetHead,
    body: &mut RecvStream,
) -> Result<(), Failure> {
    exchange.watched.attend(forward.way.towards.target);
    exchange
        .account
        .target
        .set(Some(forward.way.towards.address));
    let carried = match head {
        TargetHead::Http1 { bytes, chunked } => {
            exchange
                .guard(over_http1::carry(exchange, forward, bytes, *chunked, body))
                .await
        }
        TargetHead::Http2(request) => {
            exchange
                .guard(over_http2::carry(exchange, forward, request, body))
                .await
        }
    };
    let account = &exchange.account;
    let refused = account
        .target_status
        .get()
        .is_some_and(|status| status >= 500);
    // One that could not be connected to was counted on the way.
    let broke_off = account.sent_at.get().is_some()
        && matches!(carried, Err(Failure::Status(502 | 504)))
        && exchange.watched.verdict() != Verdict::TargetGone;
    if refused || broke_off {
        forward.way.chosen.target.state.request_failed();
    }
    carried
}
