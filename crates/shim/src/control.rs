//! The socket's server side: clients come, go, and may be slow; the shim never waits for one.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::files;
use crate::poller::{Interest, Poller, Token};
use crate::protocol::{LogProgress, MAX_REQUEST_BYTES, Request};

/// One more client than this is turned away.
const MAX_CLIENTS: usize = 16;
/// A client that leaves this much unread is dropped. Answers only: states and log notes are never queued up.
const MAX_UNREAD_BYTES: usize = 256 * 1024;

struct Client {
    id: u32,
    stream: UnixStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
    /// Watched for writability too.
    waits_to_write: bool,
    watches: bool,
    state_due: bool,
    /// Per container: its spool has grown since this client was told.
    logs_due: Vec<bool>,
}

pub(crate) struct ControlServer {
    listener: UnixListener,
    clients: Vec<Client>,
    next_id: u32,
    container_count: usize,
}

/// What watchers can be told; made by the caller only when someone can take it.
pub(crate) trait News {
    /// The state as JSON.
    fn state(&self) -> &str;
    fn logs(&self, container: usize) -> LogProgress;
}

impl ControlServer {
    /// Listens on `shim.sock` in the working directory.
    pub fn listen(poller: &Poller, container_count: usize) -> io::Result<Self> {
        let listener = UnixListener::bind(files::SOCKET)?;
        std::fs::set_permissions(files::SOCKET, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        poller.add(&listener, Token::Listener, Interest::Read)?;
        Ok(Self {
            listener,
            clients: Vec::new(),
            next_id: 0,
            container_count,
        })
    }

    pub fn accept(&mut self, poller: &Poller) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() >= MAX_CLIENTS || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let id = self.next_id;
            self.next_id = self.next_id.wrapping_add(1);
            if poller
                .add(&stream, Token::Client(id), Interest::Read)
                .is_ok()
            {
                self.clients.push(Client {
                    id,
                    stream,
                    received: Vec::new(),
                    unsent: Vec::new(),
                    waits_to_write: false,
                    watches: false,
                    state_due: false,
                    logs_due: vec![false; self.container_count],
                });
            }
        }
    }

    /// Reads what a client says. A line that is no request is an `Err` with the reason.
    pub fn read(&mut self, id: u32) -> Vec<Result<Request, String>> {
        let mut requests = Vec::new();
        let Some(client) = self.clients.iter_mut().find(|client| client.id == id) else {
            return requests;
        };
        if client.receive().is_err() {
            self.clients.retain(|client| client.id != id);
            return requests;
        }
        while let Some(end) = memchr::memchr(b'\n', &client.received) {
            let line = &client.received[..end];
            requests.push(serde_json::from_slice(line).map_err(|error| error.to_string()));
            client.received.drain(..=end);
        }
        if client.received.len() > MAX_REQUEST_BYTES {
            self.clients.retain(|client| client.id != id);
        }
        requests
    }

    /// The client wants the state, now and whenever it changes.
    pub fn watch(&mut self, id: u32) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            client.watches = true;
            client.state_due = true;
            client.logs_due.fill(true);
        }
    }

    pub fn answer(&mut self, id: u32, event: &crate::protocol::Event) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id == id) {
            client.queue(event);
        }
    }

    pub fn state_changed(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.watches) {
            client.state_due = true;
        }
    }

    pub fn logs_changed(&mut self, container: usize) {
        for client in self.clients.iter_mut().filter(|client| client.watches) {
            client.logs_due[container] = true;
        }
    }

    /// Sends to each client what it can take and drops those that are gone.
    pub fn send(&mut self, poller: &Poller, news: &impl News) {
        self.clients
            .retain_mut(|client| client.send(poller, news).is_ok());
    }
}

impl Client {
    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        // What is beyond comes with the next wake-up, so that one client cannot keep the shim to itself.
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) if is_temporary(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn queue(&mut self, event: &impl serde::Serialize) {
        // Our own types always serialise into memory.
        if serde_json::to_writer(&mut self.unsent, event).is_ok() {
            self.unsent.push(b'\n');
        }
    }

    fn send(&mut self, poller: &Poller, news: &impl News) -> io::Result<()> {
        self.flush()?;
        while self.unsent.is_empty() && self.queue_what_is_due(news) {
            self.flush()?;
        }
        if self.unsent.len() > MAX_UNREAD_BYTES {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let waits = !self.unsent.is_empty();
        if waits != self.waits_to_write {
            self.waits_to_write = waits;
            let interest = if waits {
                Interest::ReadWrite
            } else {
                Interest::Read
            };
            poller.change(&self.stream, Token::Client(self.id), interest)?;
        }
        Ok(())
    }

    fn queue_what_is_due(&mut self, news: &impl News) -> bool {
        if self.state_due {
            self.state_due = false;
            self.unsent
                .extend_from_slice(br#"{"event":"state","state":"#);
            self.unsent.extend_from_slice(news.state().as_bytes());
            self.unsent.extend_from_slice(b"}\n");
            return true;
        }
        let Some(container) = self.logs_due.iter().position(|&due| due) else {
            return false;
        };
        self.logs_due[container] = false;
        self.queue(&crate::protocol::Event::Logs(news.logs(container)));
        true
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if is_temporary(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
