//! One HTTP/1.1 connection to a target.

use super::body::BodyReader;
use super::connect::{ConnectError, Towards, connect};
use super::response::{self, BadHead, Facts};
use super::stream::UpstreamStream;
use crate::desync::body::Body;
use crate::engine::Worker;
use crate::engine::buffer::{BLOCK_BYTES, Buffer};
use crate::routing::Header;
use crate::tls::TargetAlpn;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// Responses of one request that may come before the final one.
const MAX_INTERIM_RESPONSES: u8 = 16;

/// What went wrong with an exchange, by the target's fault.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Closed or reset. Before any byte of the response it is 502; later the client's connection is cut.
    #[error("the target closed the connection")]
    Closed,
    #[error(transparent)]
    Head(#[from] BadHead),
    /// A chunked body that is none.
    #[error("the target's response body is malformed")]
    Body,
}

/// A response's head that outlives the connection's buffer.
#[derive(Debug)]
pub struct ResponseHead {
    pub facts: Facts,
    bytes: Vec<u8>,
    request_is_head: bool,
}

impl ResponseHead {
    /// Calls `with` with the reason phrase and all headers.
    pub fn with_headers<T>(&self, with: impl FnOnce(&str, &[Header<'_>]) -> T) -> Option<T> {
        // It was parsed before, from the same bytes.
        response::parse(&self.bytes, self.request_is_head, |_, reason, headers| {
            with(reason, headers)
        })
        .ok()?
    }
}

/// A connection that carries one exchange at a time.
#[derive(Debug)]
pub struct Connection {
    pub(crate) stream: UpstreamStream,
    pub(crate) input: Buffer,
    pub(crate) body: BodyReader,
    /// Said by the head: the connection can carry another exchange.
    pub(crate) persistent: bool,
    towards: Towards,
    reused: bool,
    interim_responses: u8,
}

impl Connection {
    /// From the pool, or a new one.
    pub async fn checkout(worker: &Worker, towards: Towards) -> Result<Self, ConnectError> {
        match Self::pooled(worker, towards) {
            Ok(connection) => Ok(connection),
            Err(towards) => Self::fresh(worker, towards).await,
        }
    }

    /// From the pool; gives `towards` back if there is none.
    pub fn pooled(worker: &Worker, towards: Towards) -> Result<Self, Towards> {
        match worker.pool.take(&towards) {
            Some(stream) => Ok(Self::new(stream, towards, true)),
            None => Err(towards),
        }
    }

    /// A new connection, whatever the pool has.
    pub async fn fresh(worker: &Worker, towards: Towards) -> Result<Self, ConnectError> {
        let stream = connect(worker, &towards, TargetAlpn::None).await?;
        Ok(Self::new(stream, towards, false))
    }

    fn new(stream: UpstreamStream, towards: Towards, reused: bool) -> Self {
        Self {
            stream,
            input: Buffer::new(),
            body: BodyReader::Before,
            persistent: false,
            towards,
            reused,
            interim_responses: 0,
        }
    }

    /// Whether it carried an exchange before.
    pub fn reused(&self) -> bool {
        self.reused
    }

    pub fn towards(&self) -> &Towards {
        &self.towards
    }

    /// Whether any byte of the response has arrived.
    pub fn has_answered(&self) -> bool {
        self.interim_responses > 0
            || !self.input.is_empty()
            || !matches!(self.body, BodyReader::Before)
    }

    /// Writes some of `bytes`, and says how many.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if count == 0 && !bytes.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        Poll::Ready(Ok(count))
    }

    /// Pushes out what TLS still holds. Nothing to do without.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Writes all of `bytes`. Not to be cancelled, unless the connection is given up.
    pub async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| self.poll_send(cx, bytes)).await?;
            bytes = &bytes[count..];
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// The response's head. Skips interim responses other than 101.
    pub fn poll_response_head(
        &mut self,
        cx: &mut Context<'_>,
        request_is_head: bool,
    ) -> Poll<Result<ResponseHead, Fault>> {
        let facts = ready!(self.poll_head_with(cx, request_is_head, |facts, _, _| *facts))?;
        let bytes = self.input.filled()[..facts.head_bytes].to_vec();
        self.begin_body(&facts);
        Poll::Ready(Ok(ResponseHead {
            facts,
            bytes,
            request_is_head,
        }))
    }

    pub async fn response_head(&mut self, request_is_head: bool) -> Result<ResponseHead, Fault> {
        poll_fn(|cx| self.poll_response_head(cx, request_is_head)).await
    }

    /// Parses the final head in place. The caller then calls `begin_body`.
    pub(crate) fn poll_head_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        request_is_head: bool,
        with: impl FnOnce(&Facts, &str, &[Header<'_>]) -> T,
    ) -> Poll<Result<T, Fault>> {
        let mut with = Some(with);
        loop {
            if !self.input.is_empty() {
                let parsed = response::parse(
                    self.input.filled(),
                    request_is_head,
                    |facts, reason, headers| {
                        let interim = facts.status < 200 && facts.status != 101;
                        match with.take_if(|_| !interim) {
                            Some(with) => Ok(with(facts, reason, headers)),
                            None => Err(facts.head_bytes),
                        }
                    },
                )?;
                match parsed {
                    Some(Ok(made)) => return Poll::Ready(Ok(made)),
                    Some(Err(head_bytes)) => {
                        self.input.consume(head_bytes);
                        self.interim_responses += 1;
                        if self.interim_responses > MAX_INTERIM_RESPONSES {
                            return Poll::Ready(Err(BadHead::Malformed.into()));
                        }
                        continue;
                    }
                    None => {}
                }
            }
            match ready!(
                self.input
                    .poll_fill(cx, &mut self.stream, response::MAX_HEAD_BYTES)
            ) {
                Ok(0) => return Poll::Ready(Err(Fault::Closed)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    return Poll::Ready(Err(BadHead::TooLarge.into()));
                }
                Err(_) => return Poll::Ready(Err(Fault::Closed)),
            }
        }
    }

    /// Goes on to the body of the head that was parsed.
    pub(crate) fn begin_body(&mut self, facts: &Facts) {
        self.input.consume(facts.head_bytes);
        self.body = BodyReader::new(if facts.has_body() {
            facts.body
        } else {
            Body::None
        });
        self.persistent = facts.persistent;
    }

    /// The next bytes of the body, without framing; `None` at its end.
    pub fn poll_response_body(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Fault>> {
        loop {
            if let Some(count) = self.body_bytes_ready()? {
                let bytes = Bytes::copy_from_slice(&self.input.filled()[..count]);
                self.input.consume(count);
                return Poll::Ready(Ok(Some(bytes)));
            }
            if self.body.is_done() {
                return Poll::Ready(Ok(None));
            }
            ready!(self.poll_fill_body(cx))?;
        }
    }

    pub async fn response_body(&mut self) -> Result<Option<Bytes>, Fault> {
        poll_fn(|cx| self.poll_response_body(cx)).await
    }

    /// As [`BodyReader::ready`].
    pub(crate) fn body_bytes_ready(&mut self) -> Result<Option<usize>, Fault> {
        self.body.ready(&mut self.input).map_err(|_| Fault::Body)
    }

    /// Reads more of the body. The end of the connection ends a body that has no other end.
    pub(crate) fn poll_fill_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        match ready!(self.input.poll_fill(cx, &mut self.stream, BLOCK_BYTES)) {
            Ok(1..) => Poll::Ready(Ok(())),
            Ok(0) if matches!(self.body, BodyReader::UntilClose) => {
                self.body = BodyReader::Done;
                Poll::Ready(Ok(()))
            }
            Ok(0) | Err(_) => Poll::Ready(Err(Fault::Closed)),
        }
    }

    /// Gives the connection back to the pool if it can carry another exchange; else closes it. Only for exchanges whose
    /// request was sent in full.
    pub fn finish(self, worker: &Worker) {
        // Bytes beyond the response belong to nothing we asked.
        if self.persistent
            && self.body.is_done()
            && self.input.is_empty()
            && worker.keeps(&self.towards.target)
        {
            worker.pool.put(&self.towards, self.stream);
        }
    }

    /// The stream and what was read from it beyond the head, after a 101.
    pub fn into_parts(self) -> (UpstreamStream, Buffer) {
        (self.stream, self.input)
    }
}
