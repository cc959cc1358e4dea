//! What follows a 101: bytes in both directions under the idle timeout, until both sides have ended.

use super::Front;
use super::stream::ClientStream;
use crate::engine::buffer::{BLOCK_BYTES, Buffer};
use crate::engine::vigil::Verdict;
use crate::upstream::UpstreamStream;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Bytes that went through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Piped {
    pub received_bytes: u64,
    pub sent_bytes: u64,
}

/// One direction.
#[derive(Default)]
struct Way {
    bytes: u64,
    read_all: bool,
    done: bool,
}

/// Passes bytes on until both have closed, one fails, nothing comes for `idle`, or the target leaves the table.
pub async fn pipe<S: ClientStream>(
    front: &mut Front<S>,
    mut target: UpstreamStream,
    mut from_target: Buffer,
    idle: Duration,
) -> Piped {
    let (mut up, mut down) = (Way::default(), Way::default());
    front.watched.extend(idle);
    poll_fn(|cx| {
        if front.watched.verdict() != Verdict::GoOn {
            return Poll::Ready(());
        }
        let before = up.bytes + down.bytes;
        let upward = up.poll(cx, &mut front.stream, &mut front.input, &mut target);
        let downward = down.poll(cx, &mut target, &mut from_target, &mut front.stream);
        let failed = [&upward, &downward]
            .iter()
            .any(|way| matches!(way, Poll::Ready(Err(_))));
        if failed || (up.done && down.done) {
            return Poll::Ready(());
        }
        if up.bytes + down.bytes > before {
            front.watched.extend(idle);
        }
        front.watched.watch(cx);
        Poll::Pending
    })
    .await;
    Piped {
        received_bytes: up.bytes,
        sent_bytes: down.bytes,
    }
}

impl Way {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        buffer: &mut Buffer,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        if self.done {
            return Poll::Pending;
        }
        loop {
            while !buffer.is_empty() {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, buffer.filled()))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                buffer.consume(count);
                self.bytes += count as u64;
            }
            if self.read_all {
                ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                self.done = true;
                return Poll::Ready(Ok(()));
            }
            match buffer.poll_fill(cx, from, BLOCK_BYTES) {
                Poll::Ready(Ok(0)) => self.read_all = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(Pin::new(&mut *to).poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
    }
}
