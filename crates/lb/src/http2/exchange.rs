//! The client's side of one request: its response, its deadline, and what the log will tell.

use super::body::{self, Gone};
use super::connection::Open;
use crate::engine::clock;
use crate::engine::vigil::{Verdict, Watched};
use crate::headers::{Answering, Framing, response_fields};
use crate::routing::Header;
use crate::table::Endpoint;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, Response, StatusCode};
use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// AWS's default, where a table does not say.
const DEFAULT_IDLE: Duration = Duration::from_secs(60);

/// Why an exchange did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The load balancer's answer, if no response has begun; else the client's stream is reset.
    Status(u16),
    /// The client has reset the stream, or its body breaks the protocol.
    ClientGone,
}

impl From<Gone> for Failure {
    fn from(_: Gone) -> Self {
        Self::ClientGone
    }
}

pub(super) struct Exchange<'e> {
    pub open: Open,
    pub endpoint: &'e Endpoint,
    pub watched: Watched,
    idle: Duration,
    respond: RefCell<SendResponse<Bytes>>,
    /// Once the response's head is out.
    response: OnceCell<RefCell<SendStream<Bytes>>>,
    /// What is missing is the client's: more of its body.
    pub waits_for_client: Cell<bool>,
    pub account: Account,
}

/// What the log tells.
#[derive(Debug)]
pub(super) struct Account {
    pub created_millis: u64,
    pub created: Instant,
    /// When the request went to its target.
    pub sent_at: Cell<Option<Instant>>,
    /// When the response's head came.
    pub answered_at: Cell<Option<Instant>>,
    pub target: Cell<Option<SocketAddr>>,
    pub target_status: Cell<Option<u16>>,
    pub status: Cell<Option<u16>>,
    pub received_bytes: Cell<u64>,
    pub sent_bytes: Cell<u64>,
}

impl Account {
    pub fn new() -> Self {
        Self {
            created_millis: clock::epoch_millis(),
            created: Instant::now(),
            sent_at: Cell::default(),
            answered_at: Cell::default(),
            target: Cell::default(),
            target_status: Cell::default(),
            status: Cell::default(),
            received_bytes: Cell::default(),
            sent_bytes: Cell::default(),
        }
    }
}

impl<'e> Exchange<'e> {
    pub fn new(open: Open, endpoint: &'e Endpoint, respond: SendResponse<Bytes>) -> Self {
        let watched = open.worker.watch(open.client.peer.ip());
        let idle = match endpoint.load_balancer.attributes.idle_timeout_secs {
            0 => DEFAULT_IDLE,
            secs => Duration::from_secs(secs.into()),
        };
        watched.extend(idle);
        Self {
            open,
            endpoint,
            watched,
            idle,
            respond: RefCell::new(respond),
            response: OnceCell::new(),
            waits_for_client: Cell::new(false),
            account: Account::new(),
        }
    }

    /// Something moved: nobody is idle.
    pub fn progress(&self) {
        self.watched.extend(self.idle);
        self.open.watched.extend(self.idle);
    }

    pub fn has_answered(&self) -> bool {
        self.response.get().is_some()
    }

    /// Waits for `work`, unless the client goes, time is over, or the target's draining ends.
    pub async fn guard<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.watched.watch(cx);
            match self.watched.verdict() {
                Verdict::GoOn => {}
                Verdict::TargetGone => return Poll::Ready(Err(Failure::Status(502))),
                // AWS: 408 if the client did not send, 504 if the target did not answer.
                Verdict::Expired if self.waits_for_client.get() => {
                    return Poll::Ready(Err(Failure::Status(408)));
                }
                Verdict::Expired => return Poll::Ready(Err(Failure::Status(504))),
            }
            match self.poll_client_gone(cx) {
                Poll::Ready(()) => Poll::Ready(Err(Failure::ClientGone)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    fn poll_client_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.response.get() {
            Some(response) => response.borrow_mut().poll_reset(cx).map(drop),
            None => self.respond.borrow_mut().poll_reset(cx).map(drop),
        }
    }

    /// Sends a target's head. `end`: there is no body.
    pub fn begin(
        &self,
        status: u16,
        headers: &[Header<'_>],
        framing: Framing,
        set_cookies: &[String],
        end: bool,
    ) -> Result<(), Failure> {
        let mut fields = HeaderMap::with_capacity(headers.len() + 2);
        response_fields(
            &mut fields,
            headers,
            &Answering {
                listener: &self.endpoint.listener,
                framing,
                set_cookies,
                close: false,
                upgrade: false,
            },
        );
        self.account.target_status.set(Some(status));
        self.account.answered_at.set(Some(Instant::now()));
        self.send_head(status, fields, end)
    }

    pub fn send_head(&self, status: u16, fields: HeaderMap, end: bool) -> Result<(), Failure> {
        // What no status is cannot be one of HTTP/2.
        let status = StatusCode::from_u16(status).map_err(|_| Failure::Status(502))?;
        let bytes: usize = fields
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len())
            .sum();
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        let sent = self.respond.borrow_mut().send_response(response, end);
        let stream = sent.map_err(|_| Failure::ClientGone)?;
        self.account.status.set(Some(status.as_u16()));
        self.count_sent(bytes);
        // A second head would have been refused above.
        let _ = self.response.set(RefCell::new(stream));
        self.progress();
        Ok(())
    }

    /// Sends a piece of the response's body as the client takes it.
    pub async fn send(&self, data: Bytes, end: bool) -> Result<(), Failure> {
        let Some(response) = self.response.get() else {
            return Err(Failure::ClientGone);
        };
        let bytes = data.len();
        body::send(response, data, end, || self.progress()).await?;
        self.count_sent(bytes);
        Ok(())
    }

    pub fn send_trailers(&self, trailers: HeaderMap) -> Result<(), Failure> {
        let response = self.response.get().ok_or(Failure::ClientGone)?;
        let sent = response.borrow_mut().send_trailers(trailers);
        sent.map_err(|_| Failure::ClientGone)
    }

    /// Tells the client that what it got is not all.
    pub fn cut(&self, reason: Reason) {
        match self.response.get() {
            Some(response) => response.borrow_mut().send_reset(reason),
            None => self.respond.borrow_mut().send_reset(reason),
        }
    }

    fn count_sent(&self, bytes: usize) {
        let sent = &self.account.sent_bytes;
        sent.set(sent.get() + bytes as u64);
    }

    pub fn count_received(&self, bytes: usize) {
        let received = &self.account.received_bytes;
        received.set(received.get() + bytes as u64);
    }
}
