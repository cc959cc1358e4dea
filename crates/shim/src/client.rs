//! How the node talks to a shim. Blocking and small; an async caller takes the stream with [`Client::into_stream`] and
//! uses [`encode`] and [`decode`].

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use neargate_domain::task::StopCode;

use crate::files;
use crate::protocol::{Event, Request};

/// More than any state has: ten containers with reasons of 1024 characters.
const MAX_EVENT_BYTES: u64 = 1024 * 1024;

pub struct Client {
    stream: BufReader<UnixStream>,
}

/// Connects to the shim of a task's directory. `ConnectionRefused` or `NotFound`: there is none (any more).
pub fn connect_stream(task_dir: &Path) -> io::Result<UnixStream> {
    // A socket's path has at most 107 bytes, which a data directory may well exceed: go through a descriptor.
    let dir = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(task_dir)?;
    UnixStream::connect(format!(
        "/proc/self/fd/{}/{}",
        dir.as_raw_fd(),
        files::SOCKET
    ))
}

/// The line that makes this request.
pub fn encode(request: &Request) -> Vec<u8> {
    // Our own types always serialise into memory.
    let mut line = serde_json::to_vec(request).unwrap_or_default();
    line.push(b'\n');
    line
}

/// What a line from the shim says.
pub fn decode(line: &[u8]) -> io::Result<Event> {
    Ok(serde_json::from_slice(line)?)
}

impl Client {
    pub fn connect(task_dir: &Path) -> io::Result<Self> {
        connect_stream(task_dir).map(|stream| Self {
            stream: BufReader::new(stream),
        })
    }

    /// From now on [`Client::next_event`] gives the state, at once and on every change, and log progress.
    pub fn watch(&mut self) -> io::Result<()> {
        self.send(&Request::Watch)
    }

    pub fn stop(&mut self, code: StopCode, reason: &str, signal: Option<i32>) -> io::Result<()> {
        self.send(&Request::Stop {
            code,
            reason: reason.into(),
            signal,
        })
    }

    pub fn ack_logs(&mut self, container: &str, next_sequence: u64) -> io::Result<()> {
        self.send(&Request::AckLogs {
            container: container.into(),
            next_sequence,
        })
    }

    pub fn shutdown(&mut self) -> io::Result<()> {
        self.send(&Request::Shutdown)
    }

    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        self.stream.get_mut().write_all(&encode(request))
    }

    /// Waits for the next event; `None` when the shim has closed the connection.
    pub fn next_event(&mut self) -> io::Result<Option<Event>> {
        let mut line = Vec::new();
        let count = (&mut self.stream)
            .take(MAX_EVENT_BYTES)
            .read_until(b'\n', &mut line)?;
        match count {
            0 => Ok(None),
            _ => decode(&line).map(Some),
        }
    }

    /// How long [`Client::next_event`] waits before it fails with `WouldBlock`.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(timeout)
    }

    /// The bare connection, e.g. for an async runtime. To be called before events were read.
    pub fn into_stream(self) -> UnixStream {
        self.stream.into_inner()
    }
}
