//! Clients that read a slow, long answer: what a deployment cuts if it does not wait.

use anyhow::bail;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};

use crate::connect::Served;
use crate::http1::Connection;
use crate::report::Kind;
use crate::{Client, count};

/// Two seconds.
const PATH: &str = "/stream?chunks=20&ms=100";

pub async fn run(mut client: Client) {
    let mut interval = client.interval();
    while client.next(&mut interval).await {
        count(&client, Kind::Stream, read(&client)).await;
    }
}

async fn read(client: &Client) -> anyhow::Result<Served> {
    let mut connection = Connection::open(&client.target).await?;
    connection
        .send(&client.target, PATH, "Connection: close\r\n")
        .await?;
    let head = connection.head().await?;
    if head.status != 200 || !head.chunked {
        bail!("status {}, chunked {}", head.status, head.chunked);
    }
    loop {
        let mut line = String::new();
        connection.stream.read_line(&mut line).await?;
        let Ok(size) = u64::from_str_radix(line.trim_end(), 16) else {
            bail!("cut in the middle of the answer");
        };
        // The chunk and the end of its line.
        let mut chunk = Vec::new();
        (&mut connection.stream)
            .take(size + 2)
            .read_to_end(&mut chunk)
            .await?;
        if chunk.len() as u64 != size + 2 {
            bail!("cut in the middle of a chunk");
        }
        if size == 0 {
            return Ok(head.served);
        }
    }
}
