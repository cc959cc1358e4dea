//! Targets: small servers that do as a request's path says.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use neargate_lb::upstream::chunked::{Decoder, Step};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

/// What a target saw, and how a test steers it.
#[derive(Default)]
pub struct Seen {
    /// Streams whose client was found gone.
    pub cancelled: Notify,
    /// Lets `/wait` answer.
    pub go_on: Notify,
    /// A `/wait` has arrived.
    pub waiting: Notify,
    pub connections: AtomicUsize,
}

/// An HTTP/1.1 target:
/// - `/echo` answers with the request's head as header `x-head` (line ends as `|`) and its body;
/// - `/close` closes the connection without an answer, `/half` in the middle of the body;
/// - `/wait` answers when it is told to;
/// - anything else says hello with a length.
pub async fn http1(seen: Arc<Seen>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP socket");
            seen.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve_http1(stream, Arc::clone(&seen)));
        }
    });
    address
}

async fn serve_http1(mut stream: tokio::net::TcpStream, seen: Arc<Seen>) -> Option<()> {
    let mut input = Vec::new();
    loop {
        let head_end = loop {
            if let Some(at) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut input).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(input.drain(..head_end).collect()).ok()?;
        let body = read_body(&mut stream, &head.to_ascii_lowercase(), &mut input).await?;
        let path = head.split(' ').nth(1)?;
        match path {
            "/close" => return None,
            "/half" => {
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                    .await
                    .ok()?;
                stream.flush().await.ok()?;
                return None;
            }
            "/wait" => {
                seen.waiting.notify_one();
                let mut byte = [0];
                tokio::select! {
                    () = seen.go_on.notified() => {}
                    _ = stream.read(&mut byte) => {
                        seen.cancelled.notify_one();
                        return None;
                    }
                }
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwaited")
                    .await
                    .ok()?;
            }
            "/echo" => {
                let shown = head.trim_end().replace("\r\n", "|");
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nX-Head: {shown}\r\nTransfer-Encoding: chunked\r\n\r\n"
                );
                stream.write_all(answer.as_bytes()).await.ok()?;
                for piece in body.chunks(40_000) {
                    stream
                        .write_all(format!("{:x}\r\n", piece.len()).as_bytes())
                        .await
                        .ok()?;
                    stream.write_all(piece).await.ok()?;
                    stream.write_all(b"\r\n").await.ok()?;
                }
                stream.write_all(b"0\r\n\r\n").await.ok()?;
            }
            _ => {
                let body = if head.starts_with("HEAD") {
                    ""
                } else {
                    "hello"
                };
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n{body}"
                );
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
        }
    }
}

async fn read_body(
    stream: &mut tokio::net::TcpStream,
    head: &str,
    input: &mut Vec<u8>,
) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        let mut decoder = Decoder::default();
        loop {
            match decoder.step(input).ok()? {
                Step::Skip(count) => drop(input.drain(..count)),
                Step::Data(count) => body.extend(input.drain(..count)),
                Step::End => return Some(body),
                Step::More => {
                    if stream.read_buf(input).await.ok()? == 0 {
                        return None;
                    }
                }
            }
        }
    }
    let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
        rest.split("\r\n")
            .next()
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0)
    });
    while input.len() < length {
        if stream.read_buf(input).await.ok()? == 0 {
            return None;
        }
    }
    Some(input.drain(..length).collect())
}

/// An HTTP/2 target, without TLS. A connection says goodbye after `streams` requests. By path:
/// - `/echo`: answers at once, then repeats the body and its trailers as they come;
/// - `/unary`: trailers `grpc-status: 0` after a body; `/refused`: `grpc-status: 7` and no body;
/// - `/reset`: resets before the head, `/half` after some body; `/wait` answers when it is told to;
/// - anything else says hello.
pub async fn http2(seen: Arc<Seen>, streams: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            stream.set_nodelay(true).expect("a TCP socket");
            seen.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve_http2(stream, Arc::clone(&seen), streams));
        }
    });
    address
}

/// Serves an HTTP/2 connection as [`http2`] says.
pub async fn serve_http2(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: Arc<Seen>,
    streams: usize,
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut count = 0;
    while let Some(Ok((request, respond))) = connection.accept().await {
        count += 1;
        if count == streams {
            connection.graceful_shutdown();
        }
        tokio::spawn(answer_http2(request, respond, Arc::clone(&seen)));
    }
}

async fn answer_http2(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    seen: Arc<Seen>,
) -> Option<()> {
    let (parts, mut body) = request.into_parts();
    let mut response = Response::new(());
    let headers = response.headers_mut();
    for (name, value) in &parts.headers {
        let name = format!("x-was-{name}");
        headers.append(http::HeaderName::try_from(name).ok()?, value.clone());
    }
    let uri = HeaderValue::try_from(parts.uri.to_string()).ok()?;
    headers.insert("x-uri", uri);
    if let Some(content_type) = parts.headers.get("content-type") {
        headers.insert("content-type", content_type.clone());
    }
    let trailers = |status| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(status));
        trailers
    };
    match parts.uri.path() {
        "/echo" => {
            let mut stream = respond.send_response(response, false).ok()?;
            while let Some(data) = body.data().await {
                let data = data.ok()?;
                let length = data.len();
                send(&mut stream, data).await?;
                body.flow_control().release_capacity(length).ok()?;
            }
            match body.trailers().await.ok()? {
                Some(trailers) => stream.send_trailers(trailers).ok()?,
                None => stream.send_data(Bytes::new(), true).ok()?,
            }
        }
        "/unary" => {
            while let Some(data) = body.data().await {
                body.flow_control()
                    .release_capacity(data.ok()?.len())
                    .ok()?;
            }
            let mut stream = respond.send_response(response, false).ok()?;
            send(&mut stream, Bytes::from_static(b"\0\0\0\0\x02ok")).await?;
            stream.send_trailers(trailers("0")).ok()?;
        }
        "/refused" => {
            response
                .headers_mut()
                .insert("grpc-status", HeaderValue::from_static("7"));
            respond.send_response(response, true).ok()?;
        }
        "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "/half" => {
            let mut stream = respond.send_response(response, false).ok()?;
            send(&mut stream, Bytes::from_static(b"half")).await?;
            // The reset would overtake data that waits to be written.
            seen.go_on.notified().await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        "/wait" => {
            seen.waiting.notify_one();
            tokio::select! {
                () = seen.go_on.notified() => {}
                _ = std::future::poll_fn(|cx| respond.poll_reset(cx)) => {
                    seen.cancelled.notify_one();
                    return None;
                }
            }
            let mut stream = respond.send_response(response, false).ok()?;
            stream.send_data(Bytes::from_static(b"waited"), true).ok()?;
        }
        _ => {
            let mut stream = respond.send_response(response, false).ok()?;
            stream.send_data(Bytes::from_static(b"hello"), true).ok()?;
        }
    }
    Some(())
}

/// Sends under flow control.
pub async fn send(stream: &mut SendStream<Bytes>, mut data: Bytes) -> Option<()> {
    while !data.is_empty() {
        stream.reserve_capacity(data.len());
        while stream.capacity() == 0 {
            std::future::poll_fn(|cx| stream.poll_capacity(cx))
                .await?
                .ok()?;
        }
        let piece = data.split_to(stream.capacity().min(data.len()));
        stream.send_data(piece, false).ok()?;
    }
    Some(())
}

/// What a line-less target does with each connection: `connections` gets its stream.
pub async fn tcp() -> (SocketAddr, mpsc::Receiver<tokio::net::TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (sender, connections) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if sender.send(stream).await.is_err() {
                break;
            }
        }
    });
    (address, connections)
}
