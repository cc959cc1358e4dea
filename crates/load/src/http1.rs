//! HTTP/1.1 clients: on kept connections, and with a connection per request.

use anyhow::{Context as _, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::connect::{Served, Stream, Target};
use crate::report::Kind;
use crate::{Client, count};

/// An answer's head.
#[derive(Debug, Default)]
pub struct Head {
    pub status: u16,
    pub served: Served,
    pub length: Option<u64>,
    pub chunked: bool,
    pub close: bool,
}

pub struct Connection {
    pub stream: BufReader<Stream>,
}

impl Connection {
    pub async fn open(target: &Target) -> anyhow::Result<Self> {
        Ok(Self {
            stream: BufReader::new(target.open().await?),
        })
    }

    pub async fn send(&mut self, target: &Target, path: &str, headers: &str) -> anyhow::Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n",
            target.authority
        );
        self.write(request.as_bytes())
            .await
            .context("sending the request")
    }

    pub async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes).await?;
        stream.flush().await
    }

    pub async fn head(&mut self) -> anyhow::Result<Head> {
        let mut head = Head::default();
        let mut line = String::new();
        if self
            .stream
            .read_line(&mut line)
            .await
            .context("waiting for the answer")?
            == 0
        {
            bail!("closed before the answer");
        }
        head.status = line
            .split_whitespace()
            .nth(1)
            .and_then(|status| status.parse().ok())
            .with_context(|| format!("the answer begins with {line:?}"))?;
        loop {
            line.clear();
            if self
                .stream
                .read_line(&mut line)
                .await
                .context("reading the head")?
                == 0
            {
                bail!("closed within the answer's head");
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                return Ok(head);
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.parse()?),
                "transfer-encoding" => head.chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => head.close = value.eq_ignore_ascii_case("close"),
                "x-version" => head.served.version = value.to_owned(),
                "x-task" => head.served.task = value.to_owned(),
                _ => {}
            }
        }
    }

    /// Reads a body of the head's length; anything less is an error.
    pub async fn body(&mut self, head: &Head) -> anyhow::Result<()> {
        let length = head.length.context("the answer has no length")?;
        let mut rest = (&mut self.stream).take(length);
        let read = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        if read < length {
            bail!("cut after {read} of {length} bytes");
        }
        Ok(())
    }

    /// A short exchange. True beside the answer: the connection must not be used again.
    async fn get(&mut self, target: &Target, headers: &str) -> anyhow::Result<(Served, bool)> {
        self.send(target, &target.path, headers).await?;
        let head = self.head().await?;
        self.body(&head).await?;
        if head.status != 200 {
            bail!("status {}", head.status);
        }
        Ok((head.served, head.close))
    }
}

pub async fn keep_alive(mut client: Client) {
    let mut interval = client.interval();
    let mut connection = None;
    while client.next(&mut interval).await {
        let exchange = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => Connection::open(&client.target).await?,
            };
            let (served, close) = open.get(&client.target, "").await?;
            if !close {
                connection = Some(open);
            }
            Ok(served)
        };
        count(&client, Kind::KeepAlive, exchange).await;
    }
}

pub async fn new_connections(mut client: Client) {
    let mut interval = client.interval();
    while client.next(&mut interval).await {
        let exchange = async {
            let mut open = Connection::open(&client.target).await?;
            Ok(open.get(&client.target, "Connection: close\r\n").await?.0)
        };
        count(&client, Kind::NewConnection, exchange).await;
    }
}
