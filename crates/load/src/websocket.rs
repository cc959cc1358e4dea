//! WebSocket clients: a message each tenth of a second, which must come back.

use anyhow::{Context as _, bail};
use tokio::io::AsyncReadExt as _;

use crate::connect::Served;
use crate::http1::Connection;
use crate::report::Kind;
use crate::{Client, count};

/// Messages of one WebSocket: two seconds at ten per second.
const MESSAGES: u32 = 20;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const MASKED: u8 = 0x80;

pub async fn run(client: Client) {
    while !client.ending() {
        let mut interval = client.interval();
        let open = open(&client).await;
        let (mut connection, served) = match open {
            Ok(open) => open,
            Err(error) => {
                client.report.failed(Kind::WebSocket, &format!("{error:#}"));
                tokio::time::sleep(client.pause).await;
                continue;
            }
        };
        for number in 0..MESSAGES {
            interval.tick().await;
            let exchange = async {
                echo(&mut connection, TEXT, number).await?;
                Ok(served.clone())
            };
            if !count(&client, Kind::WebSocket, exchange).await {
                break;
            }
        }
        // The server's part of the closing handshake is not waited for: the messages are what counts.
        let _ = connection.write(&frame(CLOSE, &[])).await;
    }
}

async fn open(client: &Client) -> anyhow::Result<(Connection, Served)> {
    let opening = async {
        let mut connection = Connection::open(&client.target).await?;
        let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        connection.send(&client.target, "/ws", headers).await?;
        let head = connection.head().await?;
        if head.status != 101 {
            bail!("status {} instead of 101", head.status);
        }
        Ok((connection, head.served))
    };
    tokio::time::timeout(client.timeout, opening)
        .await
        .context("opening took too long")?
}

async fn echo(connection: &mut Connection, kind: u8, number: u32) -> anyhow::Result<()> {
    let message = number.to_be_bytes();
    connection
        .write(&frame(kind, &message))
        .await
        .context("sending a message")?;
    let mut answer = [0; 6];
    connection
        .stream
        .read_exact(&mut answer)
        .await
        .context("waiting for the message")?;
    if answer[2..] != message {
        bail!("another message came back");
    }
    Ok(())
}

/// A masked frame, as clients send them; the mask is zero.
fn frame(kind: u8, message: &[u8]) -> Vec<u8> {
    let length = u8::try_from(message.len()).expect("messages have a few bytes");
    [&[kind, MASKED | length, 0, 0, 0, 0], message].concat()
}
