//! Bytes from a caller through the Router, in every protocol: never a panic, never a server error.
#![no_main]

use std::sync::OnceLock;

use futures_util::FutureExt as _;
use http::Request;
use http::request::Builder;
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use neargate_aws_wire::serve::Router;

#[path = "../../crates/aws-wire/tests/common/mod.rs"]
mod common;

const FORM: &str = "application/x-www-form-urlencoded";

fn router() -> &'static Router {
    static ROUTER: OnceLock<Router> = OnceLock::new();
    ROUTER.get_or_init(common::router_that_never_panics)
}

/// The head of a request of each protocol.
fn head(protocol: u8) -> Builder {
    let request = Request::builder().method("POST");
    match protocol % 6 {
        0 => request.header("x-amz-target", "coral.Echo"),
        1 => request
            .uri("/service/coral/operation/Echo")
            .header("smithy-protocol", "rpc-v2-cbor"),
        2 => request.header("content-type", FORM),
        3 => request
            .method("PUT")
            .uri("/things/ab")
            .header("content-type", "application/json"),
        4 => request
            .header("x-amz-target", "coral.Echo")
            .header("content-encoding", "gzip"),
        _ => request
            .header("x-amz-target", "coral.Echo")
            .header("content-encoding", "aws-chunked"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((protocol, body)) = data.split_first() else {
        return;
    };
    let body = Full::new(bytes::Bytes::copy_from_slice(body));
    let Ok(request) = head(*protocol).body(body) else {
        return;
    };
    // Nothing in this router waits, so that the answer is there at once.
    let response = router().handle(request).now_or_never();
    let status = response.map(|response| response.status().as_u16());
    // 501: the name of an operation that is known and not built.
    assert!(matches!(status, Some(..=499 | 501)));
});
