//! HTTP/2 clients: one connection each, several requests at once.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::task::JoinSet;

use crate::connect::{Served, Target};
use crate::report::Kind;
use crate::{Client, count};

/// Requests under way at once on a connection.
const MAX_IN_FLIGHT: usize = 32;

pub async fn run(mut client: Client) {
    let mut interval = client.interval();
    let mut connection: Option<SendRequest<Bytes>> = None;
    let mut in_flight = JoinSet::new();
    while client.next(&mut interval).await {
        while in_flight.len() >= MAX_IN_FLIGHT {
            in_flight.join_next().await;
        }
        while in_flight.try_join_next().is_some() {}
        // A connection that was told GOAWAY is not ready any more: a client opens another one, and nothing is lost.
        let ready = match connection.take() {
            Some(open) => open.ready().await.ok(),
            None => None,
        };
        let open = match ready {
            Some(open) => open,
            None => match connect(&client.target).await {
                Ok(open) => open,
                Err(error) => {
                    client.report.failed(Kind::Http2, &format!("{error:#}"));
                    continue;
                }
            },
        };
        connection = Some(open.clone());
        let client = client.clone();
        in_flight.spawn(async move {
            let exchange = get(open, &client.target);
            count(&client, Kind::Http2, exchange).await;
        });
    }
    in_flight.join_all().await;
}

async fn connect(target: &Target) -> anyhow::Result<SendRequest<Bytes>> {
    let stream = target.connect_tls(b"h2").await?;
    let (send, connection) = h2::client::handshake(stream)
        .await
        .context("HTTP/2 handshake")?;
    // Its errors are those of the requests on it.
    tokio::spawn(connection);
    send.ready().await.context("HTTP/2 settings")
}

async fn get(mut send: SendRequest<Bytes>, target: &Target) -> anyhow::Result<Served> {
    let request = Request::get(format!("https://{}{}", target.authority, target.path)).body(())?;
    let (answer, _) = send.send_request(request, true)?;
    let answer = answer.await.context("waiting for the answer")?;
    let text = |name: &str| {
        let value = answer.headers().get(name);
        value
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let served = Served {
        version: text("x-version"),
        task: text("x-task"),
    };
    let status = answer.status();
    let mut body = answer.into_body();
    while let Some(data) = body.data().await {
        let length = data.context("reading the body")?.len();
        body.flow_control().release_capacity(length)?;
    }
    if status != 200 {
        bail!("status {status}");
    }
    Ok(served)
}
