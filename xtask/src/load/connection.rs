//! One keep-alive connection and its request under way.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use anyhow::Result;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};

use super::answer::{self, Answer};

const READ_BYTES: usize = 64 << 10;

#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    Waiting,
    /// The answer is whole, and the connection goes on.
    Answered,
    /// The answer is whole, and the server closes the connection.
    Closed,
}

pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    received: Vec<u8>,
    began: Instant,
}

impl Connection {
    /// Connects and sends the request; both count.
    pub fn open(address: SocketAddr, request: Vec<u8>) -> Result<Self> {
        let began = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.write_all(&request)?;
        Ok(Self {
            stream,
            request,
            received: Vec::new(),
            began,
        })
    }

    pub fn register(&self, epoll: &Epoll, number: usize) -> Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(number)?);
        Ok(epoll.add(&self.stream, event)?)
    }

    /// When the request under way was begun.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Sends the request again. It is smaller than a socket's buffer, so this does not wait.
    pub fn repeat(&mut self) -> Result<()> {
        self.received.clear();
        self.began = Instant::now();
        Ok(self.stream.write_all(&self.request)?)
    }

    /// Takes what has come. Only called when there is something, so the socket needs not be non-blocking.
    pub fn progress(&mut self) -> Result<Progress> {
        let have = self.received.len();
        self.received.resize(have + READ_BYTES, 0);
        let read = match self.stream.read(&mut self.received[have..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.received.truncate(have);
                return Ok(Progress::Waiting);
            }
            read => read?,
        };
        self.received.truncate(have + read);
        Ok(match answer::read(&self.received, read == 0)? {
            Answer::Partial => Progress::Waiting,
            Answer::Whole { closes: false } => Progress::Answered,
            Answer::Whole { closes: true } => Progress::Closed,
        })
    }
}
