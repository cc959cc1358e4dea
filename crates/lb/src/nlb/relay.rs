//! Bytes between two streams, both ways, until both have ended or something ends them.
//!
//! The end of one direction is passed on as such and the other goes on: half-closed connections stay half open.

use super::flows::{Flow, Verdict};
use crate::engine::buffer::{BLOCK_BYTES, Buffer};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// How a flow came to its end.
#[derive(Debug)]
pub enum End {
    /// Both ends have closed.
    Closed,
    /// One of them has failed, by a reset for instance.
    Broken(io::Error),
    Verdict(Verdict),
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    buffer: Buffer,
    state: State,
    unflushed: bool,
    read_bytes: u64,
    written_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ending,
    Ended,
}

impl Direction {
    fn poll_move(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        flow: &Flow,
    ) -> Poll<io::Result<()>> {
        loop {
            while !self.buffer.is_empty() {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, self.buffer.filled()))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.buffer.consume(count);
                self.written_bytes += count as u64;
                self.unflushed = true;
                flow.touch();
            }
            match self.state {
                State::Open => match self.buffer.poll_fill(cx, from, BLOCK_BYTES) {
                    Poll::Ready(Ok(0)) => self.state = State::Ending,
                    Poll::Ready(Ok(count)) => {
                        self.read_bytes += count as u64;
                        flow.touch();
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {
                        if self.unflushed {
                            ready!(Pin::new(&mut *to).poll_flush(cx))?;
                            self.unflushed = false;
                        }
                        return Poll::Pending;
                    }
                },
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// Moves bytes until the end. May be called again with the same `pair` when the verdict was revised.
pub async fn relay<C, T>(client: &mut C, target: &mut T, flow: &Flow, pair: &mut Pair) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        flow.watch(cx);
        if flow.verdict() != Verdict::GoOn {
            return Poll::Ready(End::Verdict(flow.verdict()));
        }
        let there = pair.there.poll_move(cx, client, target, flow);
        if let Poll::Ready(Err(error)) = there {
            return Poll::Ready(End::Broken(error));
        }
        match (there, pair.back.poll_move(cx, target, client, flow)) {
            (_, Poll::Ready(Err(error))) => Poll::Ready(End::Broken(error)),
            (Poll::Ready(_), Poll::Ready(_)) => Poll::Ready(End::Closed),
            _ => Poll::Pending,
        }
    })
    .await
}

/// Both directions of a flow.
#[derive(Debug, Default)]
pub struct Pair {
    there: Direction,
    back: Direction,
}

impl Pair {
    /// Bytes that came from the client.
    pub fn received_bytes(&self) -> u64 {
        self.there.read_bytes
    }

    /// Bytes that went to the client.
    pub fn sent_bytes(&self) -> u64 {
        self.back.written_bytes
    }

    /// Whether bytes that one end has sent still wait for the other.
    pub fn holds_bytes(&self) -> bool {
        !self.there.buffer.is_empty() || !self.back.buffer.is_empty()
    }
}
