//! Any headers on a request: never a panic, and nothing that comes from a page of `evil.example`, or was sent to that
//! name, comes in, whatever else stands there.
#![no_main]

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use neargate_door::hosts::Authority;
use neargate_door::pages::admit;

const NAMES: [&str; 6] = [
    "host",
    "origin",
    "sec-fetch-site",
    "user-agent",
    "x-amz-target",
    "authorization",
];

fuzz_target!(|input: (Vec<(u8, &[u8])>, &str, &str)| {
    let (headers, host, path) = input;
    let Ok(request) = Request::builder().uri(format!("/{path}")).body(()) else {
        return;
    };
    let (mut parts, ()) = request.into_parts();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            let name = NAMES[usize::from(name) % NAMES.len()];
            parts.headers.append(HeaderName::from_static(name), value);
        }
    }
    let _ = admit(&parts);

    let with = |name: HeaderName, value: &str, headers: &HeaderMap| {
        let mut headers = headers.clone();
        headers.append(name, HeaderValue::from_str(value).ok()?);
        Some(headers)
    };
    let sent = parts.headers.clone();
    for (name, value) in [
        (ORIGIN, "https://evil.example".to_owned()),
        (HOST, format!("{host}.evil.example")),
    ] {
        if let Some(headers) = with(name, &value, &sent) {
            parts.headers = headers;
            assert!(admit(&parts).is_err(), "{:?}", parts.headers);
        }
    }
    if let Some(authority) = Authority::parse(host) {
        // Loopback as such, and not as a part of something that means another machine.
        assert!(
            !authority.is_ours() || !host.contains(['/', '@', ' ']),
            "{host}"
        );
    }
});
