//! Bytes that were read and not used yet. The memory comes from a list of the thread's and goes back as soon as nothing
//! is kept in it, so that an idle connection has none.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// What one read asks for. Larger ones would fetch more of a large body at once and leave the cache.
pub const BLOCK_BYTES: usize = 16 * 1024;
/// Free blocks that a thread keeps: 4 MiB.
const MAX_FREE_BLOCKS: usize = 256;

thread_local! {
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Bytes of all buffers of this thread that hold something.
pub fn held_bytes() -> usize {
    HELD.get()
}

/// A byte queue: filled at its end, used at its start.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// Takes no memory until it is filled.
    pub fn new() -> Self {
        Self::default()
    }

    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Forgets the first `count` bytes; the memory goes back with the last.
    pub fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "more was used than is there");
        if self.start >= self.end {
            self.release();
        }
    }

    /// Reads once. 0 is the end of the stream. Grows beyond a block only when one is full, up to `limit`; with that
    /// many bytes inside there is nothing to read into, which is an error.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut (impl AsyncRead + Unpin),
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        if !self.make_room(limit) {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::FileTooLarge)));
        }
        let mut into = ReadBuf::new(&mut self.bytes[self.end..]);
        let result = match Pin::new(stream).poll_read(cx, &mut into) {
            Poll::Ready(result) => Poll::Ready(result.map(|()| into.filled().len())),
            Poll::Pending => Poll::Pending,
        };
        if !matches!(result, Poll::Ready(Ok(1..))) && self.is_empty() {
            self.release();
        }
        let count = ready!(result)?;
        self.end += count;
        Poll::Ready(Ok(count))
    }

    /// As `poll_fill`, for streams whose every byte is used before more is read.
    pub async fn fill(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        limit: usize,
    ) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx, stream, limit)).await
    }

    fn make_room(&mut self, limit: usize) -> bool {
        if self.bytes.is_empty() {
            self.bytes = FREE
                .with_borrow_mut(Vec::pop)
                .unwrap_or_else(|| vec![0; BLOCK_BYTES].into_boxed_slice());
            HELD.set(HELD.get() + self.bytes.len());
        }
        if self.end < self.bytes.len() {
            return true;
        }
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            return true;
        }
        if self.bytes.len() >= limit {
            return false;
        }
        let mut larger = vec![0; (self.bytes.len() * 2).min(limit)].into_boxed_slice();
        larger[..self.end].copy_from_slice(&self.bytes);
        HELD.set(HELD.get() + larger.len() - self.bytes.len());
        self.bytes = larger;
        true
    }

    fn release(&mut self) {
        self.start = 0;
        self.end = 0;
        let bytes = std::mem::take(&mut self.bytes);
        HELD.set(HELD.get().saturating_sub(bytes.len()));
        if bytes.len() == BLOCK_BYTES {
            // At the thread's end the list may be gone already.
            let _ = FREE.try_with(|free| {
                let mut free = free.borrow_mut();
                if free.len() < MAX_FREE_BLOCKS {
                    free.push(bytes);
                }
            });
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release();
    }
}

/// Room to write a head in. Goes back to the thread's list when dropped.
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

/// Free scratch vectors that a thread keeps, and the largest of them: longer ones were for rare, large heads.
const MAX_FREE_SCRATCH: usize = 256;
const MAX_FREE_SCRATCH_BYTES: usize = 2 * BLOCK_BYTES;

thread_local! {
    static FREE_SCRATCH: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

impl Default for Scratch {
    fn default() -> Self {
        let free = FREE_SCRATCH.with_borrow_mut(Vec::pop);
        Self(free.unwrap_or_else(|| Vec::with_capacity(BLOCK_BYTES / 4)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if bytes.capacity() > 0 && bytes.capacity() <= MAX_FREE_SCRATCH_BYTES {
            bytes.clear();
            let _ = FREE_SCRATCH.try_with(|free| {
                let mut free = free.borrow_mut();
                if free.len() < MAX_FREE_SCRATCH {
                    free.push(bytes);
                }
            });
        }
    }
}

impl std::ops::Deref for Scratch {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl std::ops::DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_out_in_order_and_memory_is_held_only_while_there_are_some() {
        let mut input: &[u8] = b"abcdef";
        let mut buffer = Buffer::new();
        assert_eq!(
            buffer
                .fill(&mut input, BLOCK_BYTES)
                .await
                .expect("readable"),
            6
        );
        buffer.consume(2);
        assert_eq!(buffer.filled(), b"cdef");
        buffer.consume(4);
        assert!(buffer.is_empty() && buffer.bytes.is_empty());
        assert_eq!(
            buffer
                .fill(&mut input, BLOCK_BYTES)
                .await
                .expect("at the end"),
            0
        );
        assert!(buffer.bytes.is_empty(), "nothing was read");
    }

    #[tokio::test]
    async fn a_buffer_grows_to_its_limit_and_no_further() {
        let all = vec![7; 3 * BLOCK_BYTES];
        let mut input = &all[..];
        let mut buffer = Buffer::new();
        let limit = 2 * BLOCK_BYTES;
        while buffer.len() < limit {
            assert!(buffer.fill(&mut input, limit).await.expect("room is left") > 0);
        }
        assert!(buffer.fill(&mut input, limit).await.is_err());
        buffer.consume(1);
        assert_eq!(
            buffer.fill(&mut input, limit).await.expect("a byte fits"),
            1
        );
    }
}
