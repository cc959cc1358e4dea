//! Whatever bytes come, a decoder answers with the caller's error: no panic, no server error, no deep recursion.

mod common;

use std::sync::OnceLock;

use common::router;
use http::Request;
use http_body_util::Full;
use neargate_aws_wire::serve::Router;
use proptest::prelude::*;

fn shared_router() -> &'static Router {
    static ROUTER: OnceLock<Router> = OnceLock::new();
    ROUTER.get_or_init(|| router(|config| config).0)
}

/// Status of the answer to a request of that protocol.
fn send(protocol: &str, body: Vec<u8>) -> u16 {
    let request = Request::builder().method("POST");
    let request = match protocol {
        "json" => request.header("x-amz-target", "coral.Echo"),
        "cbor" => request
            .uri("/service/coral/operation/Echo")
            .header("smithy-protocol", "rpc-v2-cbor"),
        "query" | "ec2" => request.header("content-type", "application/x-www-form-urlencoded"),
        "rest" => request
            .method("PUT")
            .uri("/things/ab")
            .header("content-type", "application/json"),
        "gzip" => request
            .header("x-amz-target", "coral.Echo")
            .header("content-encoding", "gzip"),
        "chunked" => request
            .header("x-amz-target", "coral.Echo")
            .header("content-encoding", "aws-chunked"),
        other => panic!("no protocol {other}"),
    };
    let request = request
        .body(Full::new(bytes::Bytes::from(body)))
        .expect("a valid request");
    let answer = shared_router().handle(request);
    futures_util::FutureExt::now_or_never(answer)
        .expect("nothing here waits")
        .status()
        .as_u16()
}

const PROTOCOLS: [&str; 7] = ["json", "cbor", "query", "ec2", "rest", "gzip", "chunked"];

/// Bytes that look like a body, with some of them changed.
fn nearly_valid() -> impl Strategy<Value = Vec<u8>> {
    let seeds: [&[u8]; 5] = [
        br#"{"Text":"a","Slugs":["ab"],"Labels":{"ab":1},"Choice":{"Count":1},"Node":{"Name":"n","Child":{"Name":"m"}},"Time":1.5,"Blob":"YQ=="}"#,
        b"\xbf\x64Text\x7f\x61a\x61b\xff\x65Slugs\x82\x62ab\x62cd\x64Time\xc1\xfb\x41\xd9\x52\x6d\x98\x00\x00\x00\x64Node\xa1\x64Name\x61n\x64Blob\x41a\xff",
        b"Action=Echo&Version=2020-01-01&Slugs.member.1=ab&Labels.entry.1.key=ab&Labels.entry.1.value=1&Node.Child.Name=n&Time=2020-01-01T00%3A00%3A00Z",
        b"Action=Echo&Version=2016-11-15&Slugs.1=ab&Node.Child.Name=n&Choice.Count=1&Double=NaN",
        b"2;x=y\r\n{}\r\n0\r\n\r\n",
    ];
    let seed = prop::sample::select(seeds.map(<[u8]>::to_vec).to_vec());
    (
        seed,
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    )
        .prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes
        })
}

proptest! {
    #[test]
    fn random_bytes_are_the_callers_fault(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for protocol in PROTOCOLS {
            let status = send(protocol, body.clone());
            prop_assert!(status < 500, "{protocol}: {status}");
        }
    }

    #[test]
    fn damaged_bodies_are_the_callers_fault(body in nearly_valid()) {
        for protocol in PROTOCOLS {
            let status = send(protocol, body.clone());
            prop_assert!(status < 500, "{protocol}: {status}");
        }
    }
}

#[test]
fn depth_is_limited() {
    const LEVELS: usize = 100_000;
    let json = |opening: &str| opening.repeat(LEVELS).into_bytes();
    let cbor = |level: &[u8]| level.repeat(LEVELS);
    for (name, protocol, body) in [
        ("json of the model", "json", json("{\"Node\":{\"Child\":")),
        ("json lists", "json", json("{\"Nodes\":[")),
        ("json document", "json", json("{\"Document\":[")),
        ("json unknown", "json", json("[")),
        ("rest", "rest", json("{\"Node\":{\"Child\":")),
        (
            "cbor of the model",
            "cbor",
            [b"\xa1\x64Node".to_vec(), cbor(b"\xa1\x65Child")].concat(),
        ),
        (
            "cbor unknown",
            "cbor",
            [b"\xa1\x61x".to_vec(), cbor(b"\x81")].concat(),
        ),
        (
            "cbor tags",
            "cbor",
            [b"\xa1\x61x".to_vec(), cbor(b"\xc6")].concat(),
        ),
        (
            "cbor length",
            "cbor",
            b"\xa1\x64Text\x7b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        (
            "cbor count",
            "cbor",
            b"\xa1\x65Slugs\x9b\x7f\xff\xff\xff\xff\xff\xff\xff".to_vec(),
        ),
        (
            "query",
            "query",
            [
                "Action=Echo&Version=2020-01-01&Node.",
                &"Child.".repeat(LEVELS),
                "Name=x",
            ]
            .concat()
            .into_bytes(),
        ),
    ] {
        // A small stack, so that a decoder that recurses without limit would overflow it.
        let thread = std::thread::Builder::new().stack_size(1 << 20);
        let status = thread
            .spawn(move || send(protocol, body))
            .expect("a thread")
            .join();
        assert_eq!(status.expect("no panic"), 400, "{name}");
    }
}

#[test]
fn deep_values_within_the_limit_are_read() {
    let node = |levels: usize| {
        format!(
            "{{\"Node\":{}{}{}}}",
            "{\"Name\":\"n\",\"Child\":".repeat(levels),
            "{\"Name\":\"n\"}",
            "}".repeat(levels)
        )
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let body = node(120).into_bytes();
    let status = thread
        .spawn(move || send("json", body))
        .expect("a thread")
        .join();
    assert_eq!(status.expect("no panic"), 200);
}
