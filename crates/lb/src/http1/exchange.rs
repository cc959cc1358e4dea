//! One request and its response between a client and a target, both streamed at the same time.
//!
//! The request's body is passed on as fast as the target takes it while the response is read, so that an early response
//! arrives early; either side's slowness holds the other back, since nothing is read while what was read before is not
//! written. When the request is out, the client is watched: AWS counts one that leaves before its response as 460.

use super::Front;
use super::plan::Forward;
use super::stream::ClientStream;
use crate::desync::body::Body;
use crate::engine::buffer::{BLOCK_BYTES, Scratch};
use crate::engine::vigil::Verdict;
use crate::headers::{Answering, Framing, write_response_head};
use crate::upstream::body::BodyReader;
use crate::upstream::chunked::{LAST_CHUNK, write_chunk};
use crate::upstream::h1::{Connection, Fault};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// How an exchange ended, as far as it came.
#[derive(Debug)]
pub enum Ended {
    /// The response is out.
    Complete,
    /// The response is a 101 and is out.
    Upgraded,
    Target(Fault),
    /// The client closed its connection, in the middle of its request's body or later.
    ClientGone,
    /// The request's body is no valid chunked body.
    BadBody,
    /// Nothing came for the idle timeout, from the client in the middle of its body or from the target.
    ClientSilent,
    TargetSilent,
    /// The target's draining is over.
    TargetGone,
}

/// How far the response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No final head has come.
    Head,
    Body {
        chunked: bool,
    },
    /// Everything is in the buffer for the client.
    Last {
        upgraded: bool,
    },
}

/// The state of one exchange.
pub struct Exchange<'f, S> {
    front: &'f mut Front<S>,
    forward: &'f Forward,
    connection: &'f mut Connection,
    idle: Duration,
    request: BodyReader,
    /// Bytes for the target, and how many of them are out.
    to_target: Scratch,
    sent: usize,
    /// So many bytes at the start of the client's input go to the target as they are.
    pass_request: usize,
    /// The end of a chunked body was written.
    request_ended: bool,
    /// The target takes no more; what it has answered counts.
    send_failed: bool,
    /// Bytes for the client, and how many of them are out.
    to_client: Scratch,
    written: usize,
    /// So many bytes at the start of the target's input go to the client as they are.
    pass_response: usize,
    phase: Phase,
    moved: bool,
    pub report: Report,
}

/// What became of it, for the connection and the log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// The target's status, once its head has come.
    pub status: Option<u16>,
    /// The status of our answer in its place.
    pub ours: Option<u16>,
    /// The client's connection must end: its response says so, or the response has no other end.
    pub close: bool,
    /// The request was sent in full.
    pub request_sent: bool,
    /// Only where there is a log.
    pub sent_at: Option<Instant>,
    pub answered_at: Option<Instant>,
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

impl<'f, S: ClientStream> Exchange<'f, S> {
    pub fn new(
        front: &'f mut Front<S>,
        forward: &'f Forward,
        connection: &'f mut Connection,
        idle: Duration,
    ) -> Self {
        let request = BodyReader::new(forward.body);
        let mut to_target = Scratch::default();
        to_target.extend_from_slice(&forward.head);
        let mut to_client = Scratch::default();
        if forward.expects_continue && !request.is_done() && front.input.is_empty() {
            to_client.extend_from_slice(CONTINUE);
        }
        front.watched.extend(idle);
        Self {
            front,
            forward,
            connection,
            idle,
            request_ended: forward.body != Body::Chunked,
            request,
            to_target,
            sent: 0,
            pass_request: 0,
            send_failed: false,
            to_client,
            written: 0,
            pass_response: 0,
            phase: Phase::Head,
            moved: false,
            report: Report {
                close: forward.client_close,
                ..Report::default()
            },
        }
    }

    /// Whether the target may not have got the request, and nothing of it is lost: it may be sent once more.
    pub fn may_repeat(&self) -> bool {
        self.forward.repeatable && self.connection.reused() && !self.connection.has_answered()
    }

    /// Whether a status line can still be chosen.
    pub fn can_answer(&self) -> bool {
        self.phase == Phase::Head
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        match self.front.watched.verdict() {
            Verdict::GoOn => {}
            Verdict::TargetGone => return Poll::Ready(Ended::TargetGone),
            Verdict::Expired if self.waits_for_client() => return Poll::Ready(Ended::ClientSilent),
            Verdict::Expired => return Poll::Ready(Ended::TargetSilent),
        }
        if let Poll::Ready(ended) = self.poll_request(cx) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(ended) = self.poll_response(cx) {
            return Poll::Ready(ended);
        }
        if std::mem::take(&mut self.moved) {
            self.front.watched.extend(self.idle);
        }
        self.front.watched.watch(cx);
        Poll::Pending
    }

    /// Whether the next step is the client's: it owes us its body, or does not take the response.
    fn waits_for_client(&self) -> bool {
        let body_due =
            !self.request.is_done() && self.sent == self.to_target.len() && self.pass_request == 0;
        body_due && !self.send_failed && self.phase == Phase::Head
    }

    /// Moves the request as far as it goes.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if self.send_failed {
                return Poll::Pending;
            }
            while self.sent < self.to_target.len() {
                match ready!(self.connection.poll_send(cx, &self.to_target[self.sent..])) {
                    Ok(count) => {
                        self.sent += count;
                        self.moved = true;
                    }
                    Err(_) => {
                        self.send_failed = true;
                        return Poll::Pending;
                    }
                }
            }
            while self.pass_request > 0 {
                match ready!(
                    self.connection
                        .poll_send(cx, &self.front.input.filled()[..self.pass_request])
                ) {
                    Ok(count) => {
                        self.front.input.consume(count);
                        self.pass_request -= count;
                        self.moved = true;
                    }
                    Err(_) => {
                        self.send_failed = true;
                        return Poll::Pending;
                    }
                }
            }
            if self.request.is_done() && self.request_ended {
                if !self.report.request_sent {
                    if ready!(self.connection.poll_flush(cx)).is_err() {
                        self.send_failed = true;
                        return Poll::Pending;
                    }
                    self.report.request_sent = true;
                    self.report.sent_at = self.forward.journal.as_ref().map(|_| Instant::now());
                }
                return self.poll_watch_client(cx);
            }
            if let Poll::Ready(ended) = ready!(self.poll_more_body(cx)) {
                return Poll::Ready(ended);
            }
        }
    }

    /// Prepares more of the body for sending. `Ready(Pending)`: there is something to send.
    fn poll_more_body(&mut self, cx: &mut Context<'_>) -> Poll<Poll<Ended>> {
        self.to_target.clear();
        self.sent = 0;
        loop {
            let Ok(ready) = self.request.ready(&mut self.front.input) else {
                return Poll::Ready(Poll::Ready(Ended::BadBody));
            };
            match ready {
                Some(count) if self.forward.body == Body::Chunked => {
                    write_chunk(&self.front.input.filled()[..count], &mut self.to_target);
                    self.front.input.consume(count);
                    self.report.received_bytes += count as u64;
                    continue;
                }
                Some(count) => {
                    self.pass_request = count;
                    self.report.received_bytes += count as u64;
                    return Poll::Ready(Poll::Pending);
                }
                None if self.request.is_done() => {
                    if !self.request_ended {
                        self.to_target.extend_from_slice(LAST_CHUNK);
                        self.request_ended = true;
                    }
                    return Poll::Ready(Poll::Pending);
                }
                None if !self.to_target.is_empty() => return Poll::Ready(Poll::Pending),
                None => {}
            }
            // What was sent so far must not wait inside TLS for what the client has not sent yet.
            if let Poll::Ready(Err(_)) = self.connection.poll_flush(cx) {
                self.send_failed = true;
                return Poll::Ready(Poll::Pending);
            }
            match ready!(
                self.front
                    .input
                    .poll_fill(cx, &mut self.front.stream, 2 * BLOCK_BYTES)
            ) {
                Ok(1..) => self.moved = true,
                Ok(0) | Err(_) => return Poll::Ready(Poll::Ready(Ended::ClientGone)),
            }
        }
    }

    /// Reads what the client sends beyond its request, mostly nothing, to see it leave.
    fn poll_watch_client(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        while self.front.input.len() < BLOCK_BYTES {
            match ready!(
                self.front
                    .input
                    .poll_fill(cx, &mut self.front.stream, 2 * BLOCK_BYTES)
            ) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(Ended::ClientGone),
            }
        }
        Poll::Pending
    }

    /// Moves the response as far as it goes.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if ready!(self.poll_write_client(cx)).is_err() {
                return Poll::Ready(Ended::ClientGone);
            }
            match self.phase {
                Phase::Head => match ready!(self.poll_head(cx)) {
                    Ok(()) => self.moved = true,
                    Err(fault) => return Poll::Ready(Ended::Target(fault)),
                },
                Phase::Body { chunked } => match self.poll_body(cx, chunked) {
                    Poll::Ready(Ok(())) => self.moved = true,
                    Poll::Ready(Err(fault)) => return Poll::Ready(Ended::Target(fault)),
                    Poll::Pending => {
                        // As above: the client shall not wait for bytes that TLS still holds.
                        if let Poll::Ready(Err(_)) = Pin::new(&mut self.front.stream).poll_flush(cx)
                        {
                            return Poll::Ready(Ended::ClientGone);
                        }
                        return Poll::Pending;
                    }
                },
                Phase::Last { upgraded } => {
                    return match ready!(Pin::new(&mut self.front.stream).poll_flush(cx)) {
                        Err(_) => Poll::Ready(Ended::ClientGone),
                        Ok(()) if upgraded => Poll::Ready(Ended::Upgraded),
                        Ok(()) => Poll::Ready(Ended::Complete),
                    };
                }
            }
        }
    }

    fn poll_write_client(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while self.written < self.to_client.len() {
            let bytes = &self.to_client[self.written..];
            let count = ready!(Pin::new(&mut self.front.stream).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.report.sent_bytes += count as u64;
            self.moved = true;
        }
        self.to_client.clear();
        self.written = 0;
        while self.pass_response > 0 {
            let bytes = &self.connection.input.filled()[..self.pass_response];
            let count = ready!(Pin::new(&mut self.front.stream).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.connection.input.consume(count);
            self.pass_response -= count;
            self.report.sent_bytes += count as u64;
            self.moved = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for the response's head and writes the client's. Its first body bytes go out with it.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Self {
            front,
            forward,
            connection,
            to_client,
            report,
            ..
        } = self;
        let closing = front.closes_after_this();
        let (facts, framing) =
            ready!(
                connection.poll_head_with(cx, forward.is_head, |facts, reason, headers| {
                    let old_client = forward.minor_version == 0;
                    let framing = match facts.body {
                        Body::None | Body::Upgraded => Framing::None,
                        Body::Length(length) => Framing::Length(length),
                        _ if !facts.has_body() => Framing::None,
                        Body::Chunked | Body::UntilClose if old_client => Framing::UntilClose,
                        Body::Chunked | Body::UntilClose => Framing::Chunked,
                    };
                    report.answered_at = forward.journal.as_ref().map(|_| Instant::now());
                    report.status = Some(facts.status);
                    report.close |= closing || framing == Framing::UntilClose;
                    let set_cookies = forward.set_cookies(&front.worker, headers);
                    let answering = Answering {
                        listener: &forward.endpoint.listener,
                        framing,
                        set_cookies: &set_cookies,
                        close: report.close,
                        upgrade: facts.status == 101,
                    };
                    write_response_head(to_client, facts.status, reason, headers, &answering);
                    (*facts, framing)
                })
            )?;
        connection.begin_body(&facts);
        if facts.status == 101 {
            if !forward.upgrade {
                // Nobody asked for another protocol.
                self.to_client.clear();
                return Poll::Ready(Err(crate::upstream::response::BadHead::Malformed.into()));
            }
            self.phase = Phase::Last { upgraded: true };
            return Poll::Ready(Ok(()));
        }
        self.phase = Phase::Body {
            chunked: framing == Framing::Chunked,
        };
        self.take_ready(framing == Framing::Chunked, true)?;
        Poll::Ready(Ok(()))
    }

    /// Reads more of the body and prepares it for the client.
    fn poll_body(&mut self, cx: &mut Context<'_>, chunked: bool) -> Poll<Result<(), Fault>> {
        ready!(self.connection.poll_fill_body(cx))?;
        self.take_ready(chunked, false)?;
        Poll::Ready(Ok(()))
    }

    /// Takes all of the body that was read. What is small, or must be framed, is copied behind what is already to be
    /// written, so that one write takes it all; the rest is written from where it was read.
    fn take_ready(&mut self, chunked: bool, copy: bool) -> Result<(), Fault> {
        while let Some(count) = self.connection.body_bytes_ready()? {
            if !chunked && !copy && self.to_client.is_empty() {
                // One piece: only a chunked body comes in several, and that of an HTTP/1.0 client is the rare case.
                if !matches!(self.connection.body, BodyReader::Chunked(_)) {
                    self.pass_response = count;
                    break;
                }
            }
            let bytes = &self.connection.input.filled()[..count];
            if chunked {
                write_chunk(bytes, &mut self.to_client);
            } else {
                self.to_client.extend_from_slice(bytes);
            }
            self.connection.input.consume(count);
        }
        if self.connection.body.is_done() {
            if chunked {
                self.to_client.extend_from_slice(LAST_CHUNK);
            }
            self.phase = Phase::Last { upgraded: false };
        }
        Ok(())
    }
}
