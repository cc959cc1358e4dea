//! Clients that say nothing, over real sockets: who else asks is answered.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use neargate_door::{Body, Kind, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Ends tests that would hang; nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// A time that is over before anybody's patience is.
const SHORT: Duration = Duration::from_millis(300);

const HELLO: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Bounds that no test meets unless it lowers them.
fn generous() -> Limits {
    Limits {
        head: PATIENCE * 10,
        idle: PATIENCE * 10,
        body: PATIENCE * 10,
        body_silence: PATIENCE * 10,
        answer_silence: PATIENCE * 10,
        ..Limits::for_descriptors(1024)
    }
}

fn kind(request: &Parts) -> Kind {
    match request.uri.path() {
        "/stream" => Kind::Streamed,
        _ => Kind::Gathered,
    }
}

/// Answers how long the body was; for `/large` with more than a socket takes.
async fn answer(request: Request<Body>) -> Response<Full<Bytes>> {
    let large = request.uri().path() == "/large";
    let text = match request.into_body().collect().await {
        Ok(_) if large => "x".repeat(64 << 20),
        Ok(body) => format!("{} bytes", body.to_bytes().len()),
        Err(error) => error.to_string(),
    };
    Response::new(Full::new(text.into()))
}

async fn serve(limits: Limits) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(neargate_door::serve(listener, limits, kind, answer));
    address
}

async fn said(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("bytes go");
    stream
}

/// What comes until the server has nothing more to say. A reset is an end too.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = async {
        loop {
            match stream.read_buf(&mut bytes).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("the server ends the connection");
    String::from_utf8(bytes).expect("text")
}

async fn status(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes))
        .await
        .expect("an answer in time")
        .expect("an answer");
    String::from_utf8_lossy(&bytes[9..]).into_owned()
}

#[tokio::test]
async fn idle_connections_make_room_the_oldest_first() {
    let address = serve(generous()).await;
    let mut idle = Vec::new();
    for _ in 0..1500 {
        idle.push(said(address, b"").await);
    }
    for _ in 0..3 {
        assert_eq!(status(&mut said(address, HELLO).await).await, "200");
    }
    assert_eq!(rest(&mut idle[0]).await, "");
    // The newest is not touched.
    let last = idle.last_mut().expect("one of them");
    last.write_all(HELLO).await.expect("bytes go");
    assert_eq!(status(last).await, "200");
}

#[tokio::test]
async fn silence_has_an_end_wherever_it_falls() {
    let body = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc";
    for (name, limits, bytes, want) in [
        (
            "before a request",
            Limits {
                idle: SHORT,
                ..generous()
            },
            "",
            "",
        ),
        (
            "inside a head",
            Limits {
                head: SHORT,
                ..generous()
            },
            "GET / HTTP/1.1\r\nHost: a",
            "",
        ),
        (
            "inside a body",
            Limits {
                body_silence: SHORT,
                ..generous()
            },
            body,
            "HTTP/1.1 408",
        ),
        (
            "in all",
            Limits {
                body: SHORT,
                ..generous()
            },
            body,
            "HTTP/1.1 408",
        ),
    ] {
        let address = serve(limits).await;
        let told = rest(&mut said(address, bytes.as_bytes()).await).await;
        assert!(
            told.starts_with(want) && told.is_empty() == want.is_empty(),
            "{name}: {told}"
        );
    }
}

#[tokio::test]
async fn a_byte_now_and_then_does_not_keep_a_head_or_a_body_open() {
    for (start, limits) in [
        (
            "GET / HTTP/1.1\r\nX: ",
            Limits {
                head: SHORT,
                ..generous()
            },
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
            Limits {
                body: SHORT,
                ..generous()
            },
        ),
    ] {
        let address = serve(limits).await;
        let (mut reading, mut writing) = said(address, start.as_bytes()).await.into_split();
        let trickle = tokio::spawn(async move {
            while writing.write_all(b"x").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        });
        let mut end = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut end)).await;
        assert!(ended.is_ok(), "{start}");
        trickle.abort();
    }
}

#[tokio::test]
async fn who_does_not_take_its_answer_is_left() {
    let address = serve(Limits {
        answer_silence: SHORT,
        ..generous()
    })
    .await;
    let mut stream = said(address, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&mut stream).await, "200");
    tokio::time::sleep(SHORT * 4).await;
    assert!(rest(&mut stream).await.len() < 64 << 20);
}

#[tokio::test]
async fn large_bodies_share_a_budget_and_small_ones_pass() {
    const LARGE: usize = 4 << 20;
    let address = serve(Limits {
        body_bytes: LARGE,
        ..generous()
    })
    .await;
    let head = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
    };
    let body = vec![b'x'; LARGE];
    // All but its end, so that it stays in memory.
    let mut first = said(address, head("/", LARGE + 1).as_bytes()).await;
    first.write_all(&body).await.expect("bytes go");
    // It is there when a second one is refused.
    let refused = async {
        loop {
            let mut second = said(address, head("/", LARGE).as_bytes()).await;
            // The answer may come before the last byte is sent.
            let _ = second.write_all(&body).await;
            let told = rest_or_answer(&mut second).await;
            // A reset, where the answer came while bytes were on their way.
            if told.is_empty() || told.starts_with("HTTP/1.1 503") {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("the budget is used up");
    let mut small = said(address, head("/", 1000).as_bytes()).await;
    small.write_all(&body[..1000]).await.expect("bytes go");
    assert_eq!(status(&mut small).await, "200");
    first.write_all(b"x").await.expect("bytes go");
    assert_eq!(status(&mut first).await, "200");
    let mut stream = said(address, head("/stream", LARGE).as_bytes()).await;
    stream.write_all(&body).await.expect("bytes go");
    assert_eq!(status(&mut stream).await, "200");
}

/// The answer's first line; nothing if the connection was reset before it was read.
async fn rest_or_answer(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 12];
    match tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes)).await {
        Ok(Ok(_)) => String::from_utf8_lossy(&bytes).into_owned(),
        _ => String::new(),
    }
}
