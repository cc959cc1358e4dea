//! Pieces of bodies under HTTP/2's flow control.

use bytes::Bytes;
use h2::SendStream;
use std::cell::RefCell;
use std::future::poll_fn;

/// The receiver has reset the stream, or its connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream's other end is gone")]
pub(super) struct Gone;

/// Sends `data` piece by piece, as the receiver's window allows. `progress` is told of each.
pub(super) async fn send(
    stream: &RefCell<SendStream<Bytes>>,
    mut data: Bytes,
    end: bool,
    progress: impl Fn(),
) -> Result<(), Gone> {
    if data.is_empty() {
        return match end {
            true => stream.borrow_mut().send_data(data, true).map_err(|_| Gone),
            false => Ok(()),
        };
    }
    while !data.is_empty() {
        stream.borrow_mut().reserve_capacity(data.len());
        let room = poll_fn(|cx| {
            let mut stream = stream.borrow_mut();
            match stream.capacity() {
                0 => stream.poll_capacity(cx),
                room => std::task::Poll::Ready(Some(Ok(room))),
            }
        });
        let room = room.await.ok_or(Gone)?.map_err(|_| Gone)?;
        let piece = data.split_to(room.min(data.len()));
        let last = end && data.is_empty();
        stream
            .borrow_mut()
            .send_data(piece, last)
            .map_err(|_| Gone)?;
        progress();
    }
    Ok(())
}
