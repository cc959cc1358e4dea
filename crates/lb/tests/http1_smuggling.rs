//! Requests that two servers would understand differently, against the real listener: refused, or forwarded in one
//! unmistakable form with both connections closed after.

mod common;

use common::*;

/// A request behind the first: if the target ever sees it, it was smuggled.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn requests_without_one_meaning_are_refused() {
    let target = Target::echo();
    let fixture = Fixture::start(&[&target]);
    let post = "POST / HTTP/1.1\r\nHost: x\r\n";
    for (name, head, status) in [
        (
            "obs-fold",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n".to_owned(),
            400,
        ),
        (
            "folded encoding",
            format!("{post}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "bare line feed",
            "GET / HTTP/1.1\nHost: x\n\n".to_owned(),
            400,
        ),
        (
            "bare line feed in the middle",
            "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n".to_owned(),
            400,
        ),
        (
            "bare carriage return",
            "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n".to_owned(),
            400,
        ),
        (
            "lengths that differ",
            format!("{post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"),
            400,
        ),
        (
            "list of lengths that differ",
            format!("{post}Content-Length: 5, 6\r\n\r\nabcdef"),
            400,
        ),
        (
            "signed length",
            format!("{post}Content-Length: +5\r\n\r\nabcde"),
            400,
        ),
        (
            "negative length",
            format!("{post}Content-Length: -5\r\n\r\nabcde"),
            400,
        ),
        (
            "hexadecimal length",
            format!("{post}Content-Length: 0x5\r\n\r\nabcde"),
            400,
        ),
        (
            "empty length",
            format!("{post}Content-Length:\r\n\r\n"),
            400,
        ),
        (
            "endless length",
            format!("{post}Content-Length: 99999999999999999999\r\n\r\n"),
            400,
        ),
        (
            "chunked twice",
            format!(
                "{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            ),
            400,
        ),
        (
            "chunked, chunked",
            format!("{post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "unknown encoding",
            format!("{post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "vertical tab in the encoding",
            format!("{post}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "quoted encoding",
            format!("{post}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "gzip",
            format!("{post}Transfer-Encoding: gzip\r\n\r\n"),
            501,
        ),
        (
            "gzip, chunked",
            format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            501,
        ),
        (
            "space before the colon",
            format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        (
            "space before a name",
            format!("{post} Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("nul in a value", format!("{post}A: \0\r\n\r\n"), 400),
        (
            "nul in the target",
            "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            400,
        ),
        (
            "two hosts",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(),
            400,
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "CONNECT",
            "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            400,
        ),
        (
            "HTTP/2.0",
            "GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(),
            505,
        ),
    ] {
        let mut client = fixture.client();
        client.send(&head);
        client.try_send(SMUGGLED);
        let answer = client.answer();
        assert_eq!(answer.status, status, "{name}");
        if answer.status == 501 {
            continue;
        }
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
        assert!(client.is_closed(), "{name}: nothing behind it is answered");
    }
    let trace = "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = fixture.client();
    client.send(trace);
    assert_eq!(client.answer().status, 405);
    assert_eq!(
        target.connections.load(std::sync::atomic::Ordering::SeqCst),
        0,
        "the target heard of none of them"
    );
}

#[test]
fn a_bad_chunk_ends_the_request() {
    for (name, body) in [
        ("letters", "xyz\r\n"),
        ("sign", "+1\r\na\r\n0\r\n\r\n"),
        ("prefix", "0x1\r\na\r\n0\r\n\r\n"),
        ("space", "1 \r\na\r\n0\r\n\r\n"),
        ("bare line feed", "1\na\n0\n\n"),
        ("endless", "ffffffffffffffffff\r\n"),
        ("longer than it says", "1\r\nabc\r\n0\r\n\r\n"),
        ("line feed in an extension", "1;\n\r\na\r\n0\r\n\r\n"),
        ("empty", "\r\n0\r\n\r\n"),
    ] {
        let target = Target::start(|mut client| {
            // It never gets a whole body.
            assert!(client.request_head().is_some());
            let mut byte = Vec::new();
            let _ = std::io::Read::read_to_end(&mut client.0, &mut byte);
            assert!(!byte.ends_with(b"0\r\n\r\n"));
        });
        let fixture = Fixture::start(&[&target]);
        let mut client = fixture.client();
        client.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(body);
        client.try_send(SMUGGLED);
        assert_eq!(client.answer().status, 400, "{name}");
        assert!(client.is_closed(), "{name}");
    }
}

#[test]
fn an_ambiguous_request_goes_on_in_one_form_and_alone() {
    for (name, request, body) in [
        (
            "CL.TE",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "",
        ),
        (
            "TE.CL",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
            "abcde",
        ),
        (
            "equal lengths",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            "abc",
        ),
        (
            "list of equal lengths",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc",
            "abc",
        ),
        (
            "underscore",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
            "abc",
        ),
        (
            "body on GET",
            "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            "abc",
        ),
    ] {
        let target = Target::echo();
        let fixture = Fixture::start(&[&target]);
        let mut client = fixture.client();
        client.send(request);
        client.try_send(SMUGGLED);
        let answer = client.answer();
        let seen = String::from_utf8(answer.body.clone()).expect("text");
        assert_eq!(answer.status, 200, "{name}");
        let lower = seen.to_ascii_lowercase();
        let framings = lower.matches("\ncontent-length:").count()
            + lower.matches("\ntransfer-encoding:").count();
        assert_eq!(framings, 1, "{name}: {seen}");
        assert!(
            seen.ends_with(body) && !seen.contains("smuggled"),
            "{name}: {seen}"
        );
        assert_eq!(answer.header("connection"), Some("close"), "{name}");
        assert!(client.is_closed(), "{name}");
    }
}

#[test]
fn head_limits_are_awss() {
    let target = Target::echo();
    let fixture = Fixture::start(&[&target]);
    let header = |bytes: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n",
            "x".repeat(bytes)
        )
    };
    let headers = |count: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
            format!("A: {}\r\n", "x".repeat(10_000)).repeat(count)
        )
    };
    for (name, request, status) in [
        (
            "line within",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(16_000)),
            200,
        ),
        (
            "line beyond",
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(17_000)),
            414,
        ),
        ("header within", header(16_000), 200),
        ("header beyond", header(17_000), 400),
        ("all within", headers(6), 200),
        ("all beyond", headers(7), 400),
    ] {
        let mut client = fixture.client();
        client.try_send(&request);
        assert_eq!(client.answer().status, status, "{name}");
    }
}
