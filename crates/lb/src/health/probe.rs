//! One check of one target: connect, ask, judge the answer. A connection is made for each, and closed after it.

use super::Connect;
use super::plan::{Check, Request};
use super::progress::Outcome;
use crate::tls::client::{TargetAlpn, client_config, server_name};
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::TlsConnector;

/// As AWS's checkers call themselves.
const USER_AGENT: &str = "ELB-HealthChecker/2.0";
/// Longest head of an answer; nothing of its body is read.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 128;
/// A gRPC message of no bytes: not compressed, length 0.
const EMPTY_GRPC_MESSAGE: &[u8] = &[0; 5];

/// The answer is none that a check can be judged by.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Http2(#[from] h2::Error),
    #[error("the request cannot be made: {0}")]
    Request(#[from] http::Error),
    #[error("the answer is malformed")]
    Malformed,
}

/// Never takes longer than the check's timeout.
pub(super) async fn probe(check: &Check, connect: &Connect) -> Outcome {
    match tokio::time::timeout(check.timeout, ask(check, connect)).await {
        Err(_) => Outcome::TimedOut,
        Ok(Ok(None)) => Outcome::Passed,
        Ok(Ok(Some(code))) if check.matcher.matches(code) => Outcome::Passed,
        Ok(Ok(Some(code))) => Outcome::WrongCode(code),
        Ok(Err(error)) => {
            tracing::debug!(address = %check.address, %error, "a health check failed");
            Outcome::Failed
        }
    }
}

/// The code of the answer; none if a connection is all that was asked for.
async fn ask(check: &Check, connect: &Connect) -> Result<Option<u16>, ProbeError> {
    let stream = connect(check.netns.clone(), check.address).await?;
    if !check.secure {
        return exchange(check, stream).await;
    }
    let alpn = match check.request {
        Request::Http2 { .. } | Request::Grpc { .. } => TargetAlpn::Http2,
        _ => TargetAlpn::None,
    };
    let connector = TlsConnector::from(client_config(alpn, true));
    let stream = connector
        .connect(server_name(check.address.ip()), stream)
        .await?;
    exchange(check, stream).await
}

async fn exchange<S>(check: &Check, stream: S) -> Result<Option<u16>, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match &check.request {
        Request::None => Ok(None),
        Request::Http1 { host, path } => http1(stream, host, path).await.map(Some),
        Request::Http2 { authority, path } => {
            http2(check, stream, authority, path, false).await.map(Some)
        }
        Request::Grpc { authority, path } => {
            http2(check, stream, authority, path, true).await.map(Some)
        }
    }
}

async fn http1<S>(mut stream: S, host: &str, path: &str) -> Result<u16, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nUser-Agent: {USER_AGENT}\r\n\
         Accept-Encoding: gzip, compressed\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::with_capacity(1024);
    while head.len() < MAX_HEAD_BYTES {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(ProbeError::Malformed);
        }
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&head) {
            Ok(httparse::Status::Complete(_)) => return response.code.ok_or(ProbeError::Malformed),
            Ok(httparse::Status::Partial) => {}
            Err(_) => return Err(ProbeError::Malformed),
        }
    }
    Err(ProbeError::Malformed)
}

async fn http2<S>(
    check: &Check,
    stream: S,
    authority: &str,
    path: &str,
    grpc: bool,
) -> Result<u16, ProbeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (client, connection) = h2::client::handshake(stream).await?;
    let scheme = if check.secure { "https" } else { "http" };
    let mut request = http::Request::builder()
        .uri(format!("{scheme}://{authority}{path}"))
        .header("user-agent", USER_AGENT);
    if grpc {
        request = request
            .method("POST")
            .header("content-type", "application/grpc")
            .header("te", "trailers");
    }
    let request = request.body(())?;
    let code = async {
        let mut client = client.ready().await?;
        let (response, mut body) = client.send_request(request, !grpc)?;
        if !grpc {
            return Ok(response.await?.status().as_u16());
        }
        body.send_data(Bytes::from_static(EMPTY_GRPC_MESSAGE), true)?;
        grpc_status(response.await?).await
    };
    // The connection works for the exchange and is dropped with it.
    tokio::select! {
        code = code => code,
        ended = connection => Err(ended.map_or_else(ProbeError::Http2, |()| ProbeError::Malformed)),
    }
}

/// In the trailers, or in the head if there was nothing to say.
async fn grpc_status(response: http::Response<h2::RecvStream>) -> Result<u16, ProbeError> {
    let status = |fields: &http::HeaderMap| fields.get("grpc-status")?.to_str().ok()?.parse().ok();
    if let Some(status) = status(response.headers()) {
        return Ok(status);
    }
    let mut body = response.into_body();
    while let Some(data) = body.data().await {
        let length = data?.len();
        body.flow_control().release_capacity(length)?;
    }
    let trailers = body.trailers().await?;
    trailers
        .as_ref()
        .and_then(status)
        .ok_or(ProbeError::Malformed)
}
