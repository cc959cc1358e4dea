//! HTTP/1.1 in front: a client's connection, request after request.
//!
//! A request's way: [`request`] parses its head in the buffer it was read into, [`plan`] decides what becomes of it and
//! writes the target's head, both without waiting; [`exchange`] streams it. While a connection is idle it has no
//! buffers, and of its task there is little more than the socket.
//!
//! Sources: ALB/load-balancer-troubleshooting and ALB/edit-load-balancer-attributes for statuses and time-outs.

mod exchange;
mod log;
mod pipe;
mod plan;
mod request;
mod stream;

use self::exchange::{Ended, Exchange, Report};
use self::plan::{Answered, Forward, Plan};
use self::request::{MAX_HEAD_BYTES, Refused, Scanned};
use self::stream::ClientStream;
use crate::desync::Verdict as Judgement;
use crate::desync::body::Body;
use crate::engine::buffer::{BLOCK_BYTES, Buffer, Scratch};
use crate::engine::vigil::{Verdict, Watched};
use crate::engine::{Client, Worker, chance, clock};
use crate::table::Endpoint;
use crate::upstream::body::BodyReader;
use crate::upstream::h1::Connection;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// AWS's default for both, where a table does not say.
const DEFAULT_IDLE: Duration = Duration::from_secs(60);
const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(3600);
/// How long a head may take from its first byte to its last, whatever idle timeout was set for slow targets: AWS's
/// default for that. Were it counted anew with each byte, a client could keep a head open for ever.
pub(crate) const HEAD_TIMEOUT: Duration = DEFAULT_IDLE;
/// How long an idle connection may still bring a request while the process ends. The answer then says that it was the
/// last; a connection that was closed at once might lose one that is on its way.
const CLOSING_GRACE: Duration = Duration::from_secs(3);
/// How much of a body that nobody wants is read, and how long a closed connection is listened to, so that the client
/// reads our answer before it finds the connection closed.
const MAX_DISCARD_BYTES: u64 = 1024 * 1024;
const LINGER: Duration = Duration::from_secs(2);

/// Serves a client's connection until it ends.
pub async fn serve<S: ClientStream>(worker: Rc<Worker>, stream: S, client: Client) {
    let mut front = Front {
        watched: worker.watch(client.peer.ip()),
        worker,
        stream,
        client,
        input: Buffer::new(),
        since_millis: clock::millis(),
        resolved: None,
        generation: None,
        idle: DEFAULT_IDLE,
        keep_alive: DEFAULT_KEEP_ALIVE,
        trace: chance::bits(),
    };
    loop {
        if !front.wait_for_request().await {
            return front.say_goodbye().await;
        }
        // A request's state is many times an idle connection's, and there are many more of those.
        match Box::pin(front.serve_request()).await {
            Next::Request => {}
            Next::Linger => return front.linger().await,
            Next::Cut => return front.stream.reset_on_drop(),
            Next::Close if S::SAYS_GOODBYE => return front.say_goodbye().await,
            Next::Close => return,
        }
    }
}

/// A client's connection.
pub(crate) struct Front<S> {
    worker: Rc<Worker>,
    stream: S,
    client: Client,
    /// Read and not used.
    input: Buffer,
    watched: Watched,
    since_millis: u64,
    /// Of the connection, in access logs.
    trace: u128,
    /// Whom requests are for in which version, where Host does not matter.
    resolved: Option<Arc<Endpoint>>,
    /// Of what is published, when that was looked up.
    generation: Option<u64>,
    idle: Duration,
    keep_alive: Duration,
}

/// What follows a request.
enum Next {
    Request,
    /// The client has its answer, and is told that there will be no other.
    Linger,
    /// The response is incomplete, and the client must notice.
    Cut,
    /// All is said, and the client expects the end.
    Close,
}

impl<S: ClientStream> Front<S> {
    /// Waits for the first byte of a request. Not if the connection shall end.
    async fn wait_for_request(&mut self) -> bool {
        if !self.input.is_empty() {
            return true;
        }
        self.refresh();
        let idle = self.idle;
        self.watched.extend(idle);
        self.watched.waits_for_request();
        let mut closing = false;
        poll_fn(|cx| {
            if self.watched.verdict() != Verdict::GoOn || self.watched.is_given_up() {
                return Poll::Ready(false);
            }
            if self.watched.closing() && !closing {
                closing = true;
                self.watched.extend(CLOSING_GRACE.min(idle));
            }
            self.watched.watch(cx);
            let filled = ready!(self.input.poll_fill(cx, &mut self.stream, BLOCK_BYTES));
            Poll::Ready(matches!(filled, Ok(1..)))
        })
        .await
    }

    /// One request, from the head that has begun to arrive to the end of its answer.
    async fn serve_request(&mut self) -> Next {
        let plan = match self.read_head().await {
            Ok(plan) => plan,
            Err(next) => return next,
        };
        match plan {
            Plan::Answer(answered) => self.answer(answered).await,
            Plan::Forward(mut forward) => self.forward(&mut forward).await,
        }
    }

    async fn read_head(&mut self) -> Result<Plan, Next> {
        let mut scanned = Scanned::default();
        self.refresh();
        self.watched.extend(self.idle.min(HEAD_TIMEOUT));
        self.watched.waits_for_head();
        let head = self.rest_of_head(&mut scanned).await;
        self.watched.works();
        match head {
            Ok(plan) => plan.ok_or(Next::Close),
            Err(Some(refused)) => Err(self.refuse(refused).await),
            Err(None) => Err(Next::Close),
        }
    }

    /// `Ok(None)`: the listener is gone. `Err(None)`: there is nobody to answer, or no place.
    async fn rest_of_head(
        &mut self,
        scanned: &mut Scanned,
    ) -> Result<Option<Plan>, Option<Refused>> {
        loop {
            if let Some(plan) = self.plan(scanned)? {
                return Ok(plan);
            }
            let filled = poll_fn(|cx| match self.watched.verdict() {
                Verdict::GoOn if self.watched.is_given_up() => {
                    Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionAborted.into())))
                }
                Verdict::GoOn => {
                    self.watched.watch(cx);
                    self.input
                        .poll_fill(cx, &mut self.stream, MAX_HEAD_BYTES)
                        .map(Some)
                }
                _ => Poll::Ready(None),
            });
            match filled.await {
                Some(Ok(1..)) => {}
                Some(Ok(0)) | Some(Err(_)) => return Err(None),
                // AWS: "the client did not send data before the idle timeout period expired".
                None => {
                    return Err(Some(Refused {
                        status: 408,
                        verdict: Judgement::default(),
                    }));
                }
            }
        }
    }

    /// Decides about the request in the buffer, and takes its head out. `Ok(None)`: not all of it is there.
    /// `Ok(Some(None))`: the listener is gone.
    fn plan(&mut self, scanned: &mut Scanned) -> Result<Option<Option<Plan>>, Refused> {
        self.refresh();
        let closing = self.closes_after_this();
        let Self {
            worker,
            client,
            input,
            resolved,
            ..
        } = self;
        let mut head_bytes = 0;
        let planned = request::parse(input.filled(), scanned, |parts, facts| {
            head_bytes = facts.head_bytes;
            let by_host;
            let endpoint = match resolved {
                Some(endpoint) => endpoint,
                // Shared by several load balancers, or gone.
                None => match client.endpoint(worker, parts.host()) {
                    Some(endpoint) => {
                        by_host = endpoint;
                        &by_host
                    }
                    None => return Ok(None),
                },
            };
            plan::plan(worker, client, endpoint, closing, parts, facts).map(Some)
        })?;
        if planned.is_some() {
            input.consume(head_bytes);
        }
        if let Some(Some(Plan::Forward(forward))) = &planned {
            // In the same breath as the choice, so that no change of the table falls between.
            self.watched.attend(forward.way.towards.target);
        }
        Ok(planned)
    }

    /// Looks the endpoint up in the newest table, unless Host must be asked for it.
    fn refresh(&mut self) {
        let generation = Some(self.worker.generation());
        if self.generation == generation {
            return;
        }
        self.generation = generation;
        let shared = self.client.entry.is_shared(&self.worker.current().table);
        let any = self.client.endpoint(&self.worker, "");
        if let Some(endpoint) = &any {
            self.idle = idle_timeout(endpoint);
            self.keep_alive = match endpoint.load_balancer.attributes.client_keep_alive_secs {
                0 => DEFAULT_KEEP_ALIVE,
                secs => Duration::from_secs(secs.into()),
            };
        }
        self.resolved = any.filter(|_| !shared);
    }

    /// Whether the next response is the last: the process ends, or the client has been here for the time that AWS
    /// keeps a connection.
    fn closes_after_this(&self) -> bool {
        let age = clock::millis().saturating_sub(self.since_millis);
        self.watched.closing() || age >= self.keep_alive.as_millis() as u64
    }

    /// Answers a request that was not read to its end.
    async fn refuse(&mut self, refused: Refused) -> Next {
        self.refresh();
        let endpoint = self
            .resolved
            .clone()
            .or_else(|| self.client.endpoint(&self.worker, ""));
        let Some(endpoint) = endpoint else {
            return Next::Close;
        };
        let answered = plan::refuse(&endpoint, refused.status, false);
        log::refused(
            &self.worker,
            &self.client,
            &endpoint,
            self.trace,
            refused,
            (self.input.len() as u64, answered.bytes.len() as u64),
        );
        match self.write(&answered.bytes).await {
            true => Next::Linger,
            false => Next::Close,
        }
    }

    async fn answer(&mut self, answered: Answered) -> Next {
        if let Some(journal) = &answered.journal {
            let report = Report {
                sent_bytes: answered.bytes.len() as u64,
                ..Report::default()
            };
            journal.end(
                &self.worker,
                &self.client,
                self.trace,
                answered.status,
                &report,
            );
        }
        if !self.write(&answered.bytes).await {
            return Next::Close;
        }
        match answered.close || !self.discard(answered.body).await {
            true => Next::Linger,
            false => Next::Request,
        }
    }

    /// Carries a request to its target, and the response back.
    async fn forward(&mut self, forward: &mut Forward) -> Next {
        let mut report = Report::default();
        let next = self.carry(forward, &mut report).await;
        if let Some(journal) = &forward.journal {
            let status = report.ours.or(report.status).unwrap_or(log::CLIENT_CLOSED);
            journal.end(&self.worker, &self.client, self.trace, status, &report);
        }
        next
    }

    async fn carry(&mut self, forward: &mut Forward, report: &mut Report) -> Next {
        let worker = Rc::clone(&self.worker);
        let idle = idle_timeout(&forward.endpoint);
        let reached = forward
            .way
            .reach(&forward.endpoint, &self.watched, async |towards| {
                Connection::checkout(&worker, towards).await
            });
        let reached = reached.await;
        if let Some(journal) = &mut forward.journal {
            journal.target = Some(forward.way.towards.address);
        }
        let mut connection = match reached {
            Ok(connection) => connection,
            Err(error) => {
                return self
                    .answer_for(forward, error.status(), forward.body, report)
                    .await;
            }
        };
        let (ended, can_answer) = loop {
            let mut exchange = Exchange::new(self, forward, &mut connection, idle);
            let ended = poll_fn(|cx| exchange.poll(cx)).await;
            *report = exchange.report;
            let (can_answer, may_repeat) = (exchange.can_answer(), exchange.may_repeat());
            drop(exchange);
            if may_repeat && matches!(ended, Ended::Target(_)) {
                // The target closed the connection as our request set out. It did not begin to answer.
                let reached =
                    forward
                        .way
                        .reach(&forward.endpoint, &self.watched, async |towards| {
                            Connection::fresh(&worker, towards).await
                        });
                match reached.await {
                    Ok(fresh) => connection = fresh,
                    Err(error) => {
                        return self
                            .answer_for(forward, error.status(), Body::None, report)
                            .await;
                    }
                }
                continue;
            }
            break (ended, can_answer);
        };
        self.watched.attend_none();
        if let Ended::Target(fault) = &ended {
            tracing::debug!(%fault, target = %forward.way.towards.address, "a target broke off");
        }
        if report.status.is_some_and(|status| status >= 500)
            || matches!(ended, Ended::Target(_) | Ended::TargetSilent)
        {
            forward.way.chosen.target.state.request_failed();
        }
        let body_left = if report.request_sent {
            Body::None
        } else {
            Body::UntilClose
        };
        match ended {
            Ended::Complete => {
                if report.request_sent && !forward.desync_close {
                    connection.finish(&worker);
                }
                match report.close || !report.request_sent {
                    false => Next::Request,
                    // It asked for the end and has sent nothing more: no byte of it is left to cause a reset.
                    true if forward.client_close
                        && report.request_sent
                        && self.input.is_empty() =>
                    {
                        Next::Close
                    }
                    true => Next::Linger,
                }
            }
            Ended::Upgraded => {
                self.watched.attend(forward.way.towards.target);
                let (stream, read) = connection.into_parts();
                let piped = pipe::pipe(self, stream, read, idle).await;
                report.received_bytes += piped.received_bytes;
                report.sent_bytes += piped.sent_bytes;
                Next::Close
            }
            Ended::ClientGone => Next::Close,
            _ if !can_answer => Next::Cut,
            Ended::BadBody => self.answer_for(forward, 400, body_left, report).await,
            Ended::ClientSilent => self.answer_for(forward, 408, body_left, report).await,
            Ended::TargetSilent => self.answer_for(forward, 504, body_left, report).await,
            Ended::Target(_) | Ended::TargetGone => {
                self.answer_for(forward, 502, body_left, report).await
            }
        }
    }

    /// An error in the target's place. `body` is what of the request's is not read.
    async fn answer_for(
        &mut self,
        forward: &Forward,
        status: u16,
        body: Body,
        report: &mut Report,
    ) -> Next {
        self.watched.attend_none();
        let mut bytes = Scratch::default();
        let endless = matches!(body, Body::UntilClose);
        let close = forward.client_close || endless || self.closes_after_this();
        forward.answer(status, close, &mut bytes);
        report.ours = Some(status);
        report.sent_bytes += bytes.len() as u64;
        let close = close || crate::answers::Answer::error(status).closes();
        self.answer(Answered {
            bytes,
            status,
            close,
            body: if endless { Body::None } else { body },
            journal: None,
        })
        .await
    }

    /// Whether all was written in time.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        let idle = self.idle;
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        matches!(tokio::time::timeout(idle, write).await, Ok(Ok(())))
    }

    /// Reads a body that nobody wants. Whether that was all of it, so that a next request can follow.
    async fn discard(&mut self, body: Body) -> bool {
        let mut reader = BodyReader::new(body);
        let mut bytes = 0;
        let Self { input, stream, .. } = self;
        let all = async {
            loop {
                match reader.ready(input) {
                    Ok(Some(count)) => {
                        input.consume(count);
                        bytes += count as u64;
                    }
                    Ok(None) if reader.is_done() => return true,
                    Ok(None) if bytes <= MAX_DISCARD_BYTES => {
                        match input.fill(stream, BLOCK_BYTES).await {
                            Ok(1..) => {}
                            Ok(0) | Err(_) => return false,
                        }
                    }
                    Ok(None) | Err(_) => return false,
                }
            }
        };
        match body {
            Body::None => true,
            _ => tokio::time::timeout(LINGER, all).await.unwrap_or(false),
        }
    }

    /// Ends a connection whose client may still be sending: closed at once, it would be reset before the client has
    /// read its answer.
    async fn linger(mut self) {
        let listen = async {
            if self.stream.shutdown().await.is_err() {
                return;
            }
            let mut bytes = 0;
            while bytes <= MAX_DISCARD_BYTES {
                self.input.consume(self.input.len());
                match self.input.fill(&mut self.stream, BLOCK_BYTES).await {
                    Ok(count @ 1..) => bytes += count as u64,
                    Ok(0) | Err(_) => return,
                }
            }
        };
        // The client has had its time.
        let _ = tokio::time::timeout(LINGER, listen).await;
    }

    /// Ends an idle connection; TLS has a word for that.
    async fn say_goodbye(mut self) {
        // Whether it hears that changes nothing.
        let _ = tokio::time::timeout(LINGER, self.stream.shutdown()).await;
    }
}

impl request::Parts<'_> {
    /// The Host by which load balancers on one port are told apart.
    fn host(&self) -> &str {
        if let Some((authority, _)) = crate::routing::uri::split_absolute(self.target) {
            return authority;
        }
        let host = self
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("host"));
        host.and_then(|header| std::str::from_utf8(header.value).ok())
            .unwrap_or_default()
    }
}

fn idle_timeout(endpoint: &Endpoint) -> Duration {
    match endpoint.load_balancer.attributes.idle_timeout_secs {
        0 => DEFAULT_IDLE,
        secs => Duration::from_secs(secs.into()),
    }
}
