//! Whatever a client writes into its head, one request with one framing leaves.

use super::*;
use crate::desync::body::{Body, request_body};
use proptest::prelude::*;

const NAMES: &[&str] = &[
    "Host",
    "host",
    "Connection",
    "Content-Length",
    "content_length",
    "Transfer-Encoding",
    "X-Forwarded-For",
    "x-forwarded-proto",
    "X-Amzn-Trace-Id",
    "Upgrade",
    "Expect",
    "TE",
    "X-Own",
];

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "(close|keep-alive|host|x-own|upgrade|x-amzn-trace-id)(, ?(content-length|x-forwarded-proto))?",
        "(chunked|identity|gzip|[0-9]{1,3})(, ?(chunked|[0-9]{1,3}))?",
        "(Root|Self)=1-[0-9a-f]{2};?(Self=x|own)?",
        "[A-Za-z.]{1,9}(:[0-9]{1,5})?",
    ]
}

proptest! {
    #[test]
    fn one_request_with_one_framing_leaves(
        fields in proptest::collection::vec((proptest::sample::select(NAMES), value()), 0..8),
        target in "(http://[a-zA-Z.]{1,6}(:[0-9]{2})?)?/[ -~&&[^ ]]{0,10}",
        upgrade in any::<bool>(),
    ) {
        let mut incoming = format!("POST {target} HTTP/1.1\r\n");
        for (name, value) in &fields {
            incoming.push_str(&format!("{name}: {value}\r\n"));
        }
        incoming.push_str("\r\n");
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut parsed = httparse::Request::new(&mut headers);
        prop_assume!(parsed.parse(incoming.as_bytes()) == Ok(httparse::Status::Complete(incoming.len())));
        let Ok(body) = request_body(parsed.headers) else { return Ok(()) };
        let request = view("POST", &target, parsed.headers);
        let table = with(|_| {});
        let client_trace = parsed.headers.iter().find(|header| header.name == "X-Amzn-Trace-Id");
        let trace = TraceValue::new(client_trace.map(|header| header.value), SEED);
        let forwarding = Forwarding {
            request: &request,
            load_balancer: balancer(&table),
            host: None,
            target: None,
            trace: &trace,
            tls: None,
            framing: match body {
                Body::Length(length) => Framing::Length(length),
                Body::Chunked => Framing::Chunked,
                _ => Framing::None,
            },
            upgrade,
        };
        let mut out = Vec::new();
        write_request_head(&mut out, &forwarding).expect("few addresses");

        let mut headers = [httparse::EMPTY_HEADER; 24];
        let mut sent = httparse::Request::new(&mut headers);
        prop_assert_eq!(sent.parse(&out), Ok(httparse::Status::Complete(out.len())));
        let count = |name: &str| sent.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)).count();
        for once in ["host", "x-amzn-trace-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-port"] {
            prop_assert_eq!(count(once), 1, "{}", once);
        }
        prop_assert_eq!(count("connection"), usize::from(upgrade));
        prop_assert_eq!(count("expect") + count("te"), 0);
        prop_assert_eq!(request_body(sent.headers), Ok(body), "the target reads the body that we read");
    }
}
