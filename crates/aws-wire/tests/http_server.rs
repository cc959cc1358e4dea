//! The Router behind a real HTTP server: what hyper does around it (100-continue, Date, chunked bodies) must still hold.

mod common;

use std::sync::Arc;

use axum::extract::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Starts a server on a free port; it ends with the test's runtime.
async fn start() -> std::net::SocketAddr {
    let router = Arc::new(
        common::router(|mut config| {
            config.max_body_bytes = 100;
            config
        })
        .0,
    );
    let app = axum::Router::new().fallback(move |request: Request| {
        let router = router.clone();
        async move { router.handle(request).await }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Reads up to the end of a response's head.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("the head is not cut off"));
    }
    String::from_utf8(head).expect("text").to_ascii_lowercase()
}

#[tokio::test]
async fn a_caller_who_waits_for_100_gets_it() {
    let mut stream = TcpStream::connect(start().await).await.expect("it listens");
    let head = "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: coral.Echo\r\ncontent-length: 14\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    assert!(
        read_head(&mut stream)
            .await
            .starts_with("http/1.1 100 continue")
    );
    stream
        .write_all(b"{\"Text\":\"abc\"}")
        .await
        .expect("written");
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    for header in [
        "date: ",
        "content-length: 14\r\n",
        "x-amzn-requestid: ",
        "content-type: application/x-amz-json-1.1",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    let mut body = [0; 14];
    stream.read_exact(&mut body).await.expect("the body");
    assert_eq!(&body, b"{\"Text\":\"abc\"}");
}

#[tokio::test]
async fn a_body_that_is_announced_too_big_is_refused_before_it_is_sent() {
    let mut stream = TcpStream::connect(start().await).await.expect("it listens");
    let head = "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: coral.Echo\r\ncontent-length: 101\r\nexpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("written");
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("http/1.1 413"), "{head}");
}

#[tokio::test]
async fn a_chunked_body_is_counted_while_it_comes() {
    for (name, chunks, status) in [("fits", 1, "200"), ("too big", 3, "413")] {
        let mut stream = TcpStream::connect(start().await).await.expect("it listens");
        let head = "POST / HTTP/1.1\r\nhost: a\r\nx-amz-target: coral.Echo\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n";
        stream.write_all(head.as_bytes()).await.expect("written");
        for _ in 0..chunks {
            let chunk = format!("28\r\n{:40}\r\n", "");
            stream.write_all(chunk.as_bytes()).await.expect("written");
        }
        stream.write_all(b"0\r\n\r\n").await.expect("written");
        let head = read_head(&mut stream).await;
        assert!(
            head.starts_with(&format!("http/1.1 {status}")),
            "{name}: {head}"
        );
    }
}
