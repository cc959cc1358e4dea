//! A connection's bytes, as they come and go.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::connections::Watch;

/// How an HTTP/2 connection begins. No method of HTTP/1.1 does.
const HTTP2_PREFACE: &[u8] = b"PRI";

/// A socket that tells its [`Watch`] what it sees.
pub(crate) struct Stream {
    socket: TcpStream,
    watch: Arc<Watch>,
    began: bool,
    stuck: bool,
}

impl Stream {
    pub fn new(socket: TcpStream, watch: Arc<Watch>) -> Self {
        Self {
            socket,
            watch,
            began: false,
            stuck: false,
        }
    }

    fn note<T>(&mut self, written: Poll<T>) -> Poll<T> {
        match (written.is_pending(), self.stuck) {
            (true, false) => self.watch.client_is_stuck(),
            (false, true) => self.watch.client_takes(),
            _ => return written,
        }
        self.stuck = written.is_pending();
        written
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        let fresh = &buf.filled()[before..];
        if !fresh.is_empty() {
            if !self.began && fresh.starts_with(HTTP2_PREFACE) {
                self.watch.is_http2();
            }
            self.began = true;
            self.watch.heard();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
