//! A connection to a task's shim, for the async side.

use std::io;
use std::path::{Path, PathBuf};

use neargate_shim::client;
use neargate_shim::protocol::{Event, Request};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

pub struct ShimLink {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// The line that is being read. A cancelled read goes on with it.
    line: Vec<u8>,
}

impl ShimLink {
    pub async fn connect(task_dir: &Path) -> io::Result<Self> {
        let dir: PathBuf = task_dir.to_owned();
        let stream = tokio::task::spawn_blocking(move || client::connect_stream(&dir))
            .await
            .map_err(io::Error::other)??;
        stream.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(stream)?.into_split();
        Ok(Self {
            reader: BufReader::new(reader),
            writer,
            line: Vec::new(),
        })
    }

    pub async fn send(&mut self, request: &Request) -> io::Result<()> {
        self.writer.write_all(&client::encode(request)).await
    }

    /// The next event; `None` when the shim has gone. May be cancelled and called again.
    pub async fn next_event(&mut self) -> io::Result<Option<Event>> {
        // `read_until` keeps what it has read in `line` when it is cancelled.
        self.reader.read_until(b'\n', &mut self.line).await?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let event = client::decode(&self.line);
        self.line.clear();
        event.map(Some)
    }
}
