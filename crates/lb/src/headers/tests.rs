mod properties;

use super::*;
use crate::routing::{Header, RequestView, Scheme};
use crate::table::fixture::{compile, fixed_rule, header, table, view};
use crate::table::{LoadBalancer, Table};
use neargate_lb_api as api;
use std::sync::Arc;

const SEED: TraceSeed = TraceSeed {
    epoch_secs: 0x5881_0f5c,
    random: 0x00ab_cdef_0123_4567_89ab_cdef,
};
const MADE: &str = "1-58810f5c-00abcdef0123456789abcdef";

fn with(change: impl FnOnce(&mut api::LoadBalancerAttributes)) -> Arc<Table> {
    let mut proto = table(vec![fixed_rule(0, Vec::new())], Vec::new());
    change(
        proto.load_balancers[0]
            .attributes
            .as_mut()
            .expect("the fixture has attributes"),
    );
    compile(&proto)
}

fn balancer(table: &Table) -> &LoadBalancer {
    &table.load_balancers[0]
}

/// The head as the target gets it, without the fields that every request has.
fn forwarded(
    request: &RequestView<'_>,
    load_balancer: &LoadBalancer,
) -> Result<Vec<String>, TooManyAddresses> {
    let trace = TraceValue::new(None, SEED);
    let forwarding = Forwarding {
        request,
        load_balancer,
        host: None,
        target: None,
        trace: &trace,
        tls: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
        framing: Framing::None,
        upgrade: false,
    };
    let mut out = Vec::new();
    write_request_head(&mut out, &forwarding)?;
    let text = String::from_utf8(out).expect("text");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
    Ok(text.trim_end().split("\r\n").map(str::to_owned).collect())
}

fn field<'h>(head: &'h [String], name: &str) -> Vec<&'h str> {
    head.iter()
        .filter_map(|line| line.split_once(": "))
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn a_whole_request_as_a_target_gets_it() {
    let table = with(|_| {});
    let headers = [
        header("Host", "Example.com"),
        header("User-Agent", "curl/8"),
        header("X-Forwarded-Proto", "https"),
        header("Connection", "keep-alive, X-Private"),
        header("X-Private", "1"),
        header("Keep-Alive", "5"),
        header("Transfer-Encoding", "chunked"),
        header("TE", "trailers"),
        header("Expect", "100-continue"),
        header("Upgrade", "h2c"),
        header("cookie", "a=b"),
    ];
    let request = view("POST", "/a?b", &headers);
    let trace = TraceValue::new(None, SEED);
    let forwarding = Forwarding {
        request: &request,
        load_balancer: balancer(&table),
        host: None,
        target: None,
        trace: &trace,
        tls: None,
        framing: Framing::Length(12),
        upgrade: false,
    };
    let mut out = Vec::new();
    write_request_head(&mut out, &forwarding).expect("no addresses");
    let want = format!(
        "POST /a?b HTTP/1.1\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\n\
         Host: example.com\r\nX-Amzn-Trace-Id: Root={MADE}\r\nContent-Length: 12\r\nUser-Agent: curl/8\r\n\
         cookie: a=b\r\n\r\n"
    );
    assert_eq!(String::from_utf8_lossy(&out), want);

    let transformed = Forwarding {
        host: Some("internal.example"),
        target: Some("/x?y"),
        framing: Framing::Chunked,
        upgrade: true,
        ..forwarding
    };
    let mut out = Vec::new();
    write_request_head(&mut out, &transformed).expect("no addresses");
    let text = String::from_utf8_lossy(&out);
    for line in [
        "POST /x?y HTTP/1.1",
        "Host: internal.example",
        "Transfer-Encoding: chunked",
        "Upgrade: h2c",
        "Connection: upgrade",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line} in {text}");
    }

    let mut map = http::HeaderMap::new();
    request_fields(&mut map, &forwarding).expect("no addresses");
    let names: Vec<&str> = map.keys().map(http::HeaderName::as_str).collect();
    let (te, framing) = (
        map.get("te").map(|value| value.as_bytes()),
        map.get("content-length"),
    );
    assert_eq!(
        (te, framing.map(|value| value.as_bytes())),
        (Some(&b"trailers"[..]), Some(&b"12"[..]))
    );
    for name in [
        "host",
        "connection",
        "transfer-encoding",
        "x-private",
        "keep-alive",
        "upgrade",
    ] {
        assert!(!names.contains(&name), "HTTP/2 has no {name}");
    }
}

#[test]
fn forwarded_for_follows_its_mode() {
    use api::XffMode::{Append, Preserve, Remove};
    let many = vec!["10.0.0.1"; 31].join(", ");
    let allowed = vec!["10.0.0.1"; 30].join(",");
    let appended = format!("{allowed}, 203.0.113.7");
    for (name, mode, port, incoming, want) in [
        ("none", Append, false, vec![], Some(vec!["203.0.113.7"])),
        (
            "appended",
            Append,
            false,
            vec!["10.1.1.1"],
            Some(vec!["10.1.1.1, 203.0.113.7"]),
        ),
        (
            "with the port",
            Append,
            true,
            vec!["10.1.1.1"],
            Some(vec!["10.1.1.1, 203.0.113.7:40000"]),
        ),
        (
            "two lines",
            Append,
            false,
            vec!["10.1.1.1", "10.2.2.2"],
            Some(vec!["10.1.1.1, 10.2.2.2, 203.0.113.7"]),
        ),
        (
            "preserved",
            Preserve,
            false,
            vec!["10.1.1.1"],
            Some(vec!["10.1.1.1"]),
        ),
        ("nothing to preserve", Preserve, false, vec![], Some(vec![])),
        ("removed", Remove, false, vec!["10.1.1.1"], Some(vec![])),
        (
            "30 addresses",
            Append,
            false,
            vec![allowed.as_str()],
            Some(vec![appended.as_str()]),
        ),
        ("31 addresses", Append, false, vec![many.as_str()], None),
    ] {
        let table = with(|attributes| {
            attributes.xff_mode = mode.into();
            attributes.xff_client_port = port;
        });
        let headers: Vec<_> = incoming
            .iter()
            .map(|value| header("x-forwarded-for", value))
            .collect();
        let head = forwarded(&view("GET", "/", &headers), balancer(&table));
        assert_eq!(
            head.as_deref()
                .map(|head| field(head, "X-Forwarded-For"))
                .ok(),
            want,
            "{name}"
        );
    }
    let table = with(|attributes| attributes.xff_client_port = true);
    for (peer, want) in [
        ("[2001:db8::1]:7", "[2001:db8::1]:7"),
        ("[::ffff:10.0.0.9]:7", "10.0.0.9:7"),
    ] {
        let peer = peer.parse().expect("an address");
        let request = RequestView {
            peer,
            ..view("GET", "/", &[])
        };
        let head = forwarded(&request, balancer(&table)).expect("one address");
        assert_eq!(field(&head, "X-Forwarded-For"), [want]);
    }
}

#[test]
fn host_is_normalised_unless_it_is_preserved() {
    for (name, preserve, target, host, port, want) in [
        (
            "default port dropped",
            false,
            "/",
            Some("A.example.com:80"),
            80,
            "a.example.com",
        ),
        (
            "default listener, any port dropped",
            false,
            "/",
            Some("a.example.com:81"),
            80,
            "a.example.com",
        ),
        (
            "port appended",
            false,
            "/",
            Some("a.example.com"),
            8080,
            "a.example.com:8080",
        ),
        (
            "port stays",
            false,
            "/",
            Some("a.example.com:8080"),
            8080,
            "a.example.com:8080",
        ),
        (
            "absolute form wins",
            false,
            "http://b.example.com/",
            Some("a.example.com"),
            80,
            "b.example.com",
        ),
        (
            "none: the load balancer's name",
            false,
            "/",
            None,
            80,
            "web-1.elb.localhost",
        ),
        (
            "preserved",
            true,
            "/",
            Some("A.example.com:80"),
            80,
            "A.example.com:80",
        ),
    ] {
        let table = with(|attributes| attributes.preserve_host_header = preserve);
        let headers: Vec<Header<'_>> = host.iter().map(|host| header("host", host)).collect();
        let peer = crate::table::fixture::peer();
        let request =
            RequestView::new("GET", target, &headers, peer, Scheme::Http, port).expect("served");
        let head = forwarded(&request, balancer(&table)).expect("no addresses");
        assert_eq!(field(&head, "Host"), [want], "{name}");
    }
}

#[test]
fn trace_ids_keep_what_the_client_sent() {
    let long = "a".repeat(7 * 1024 + 1);
    for (name, incoming, want) in [
        ("none", None, format!("Root={MADE}")),
        ("empty", Some(""), format!("Root={MADE}")),
        (
            "root",
            Some("Root=1-67891233-abcdef012345678912345678"),
            format!("Self={MADE};Root=1-67891233-abcdef012345678912345678"),
        ),
        (
            "own fields",
            Some("Root=1-6-a;CalledFrom=app"),
            format!("Self={MADE};Root=1-6-a;CalledFrom=app"),
        ),
        (
            "own fields alone",
            Some("CalledFrom=app"),
            format!("Root={MADE};CalledFrom=app"),
        ),
        (
            "self first",
            Some("Self=1-6-b;Root=1-6-a"),
            format!("Self={MADE};Root=1-6-a"),
        ),
        (
            "self last",
            Some("Root=1-6-a; self=1-6-b"),
            format!("Root=1-6-a; Self={MADE}"),
        ),
        ("too long", Some(long.as_str()), format!("Root={MADE}")),
    ] {
        let value = TraceValue::new(incoming.map(str::as_bytes), SEED);
        assert_eq!(value.to_string(), want, "{name}");
    }
}

#[test]
fn fields_with_invalid_names_and_tls_fields_follow_their_attributes() {
    for (name, drops, tls, want) in [
        (
            "both off",
            false,
            false,
            vec!["x_under: 1", "x-amzn-tls-version: forged"],
        ),
        ("dropped", true, false, vec!["x-amzn-tls-version: forged"]),
        (
            "TLS told",
            true,
            true,
            vec![
                "X-Amzn-Tls-Version: TLSv1.3",
                "X-Amzn-Tls-Cipher-Suite: TLS_AES_128_GCM_SHA256",
            ],
        ),
    ] {
        let table = with(|attributes| {
            attributes.drop_invalid_header_fields = drops;
            attributes.tls_version_and_cipher_suite = tls;
        });
        let headers = [
            header("x_under", "1"),
            header("x-amzn-tls-version", "forged"),
        ];
        let head = forwarded(&view("GET", "/", &headers), balancer(&table)).expect("no addresses");
        // Request line, three X-Forwarded fields, Host and the trace id.
        assert_eq!(head[6..], want, "{name}");
    }
}

#[test]
fn responses_lose_their_connection_and_get_the_listeners_fields() {
    let mut proto = table(vec![fixed_rule(0, Vec::new())], Vec::new());
    proto.load_balancers[0].listeners[0].response_headers =
        [("X-Frame-Options", "DENY"), ("Unset", "")]
            .map(|(name, value)| api::Header {
                name: name.to_owned(),
                value: value.to_owned(),
            })
            .into();
    let table = compile(&proto);
    let listener = &table.endpoints().next().expect("a listener").listener;
    let headers = [
        header("Server", "nginx"),
        header("x-frame-options", "SAMEORIGIN"),
        header("Connection", "close, X-Hop"),
        header("X-Hop", "1"),
        header("Transfer-Encoding", "chunked"),
        header("Upgrade", "websocket"),
        header("Unset", "stays"),
    ];
    let cookies = ["AWSALB=x".to_owned()];
    let answering = Answering {
        listener,
        framing: Framing::Chunked,
        set_cookies: &cookies,
        close: false,
        upgrade: false,
    };
    let mut out = Vec::new();
    write_response_head(&mut out, 404, "Nothing here", &headers, &answering);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "HTTP/1.1 404 Nothing here\r\nServer: nginx\r\nUnset: stays\r\nX-Frame-Options: DENY\r\n\
         Set-Cookie: AWSALB=x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
    );
    let upgraded = Answering {
        framing: Framing::None,
        set_cookies: &[],
        upgrade: true,
        ..answering
    };
    let mut out = Vec::new();
    write_response_head(
        &mut out,
        101,
        "Switching Protocols",
        &headers[4..6],
        &upgraded,
    );
    assert_eq!(
        String::from_utf8_lossy(&out),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX-Frame-Options: DENY\r\nConnection: upgrade\r\n\r\n"
    );
}

#[test]
fn connection_fields_are_understood() {
    let of = |value| connection_options(&[header("connection", value)]);
    let none = ConnectionOptions::default();
    for (value, want) in [
        ("", none),
        (
            "Close",
            ConnectionOptions {
                close: true,
                ..none
            },
        ),
        (
            "keep-alive,  UPGRADE",
            ConnectionOptions {
                keep_alive: true,
                upgrade: true,
                ..none
            },
        ),
        (
            "X-Thing",
            ConnectionOptions {
                names_fields: true,
                ..none
            },
        ),
    ] {
        assert_eq!(of(value), want, "{value}");
    }
    assert!(
        expects_continue(&[header("Expect", "100-Continue")])
            && !expects_continue(&[header("Expect", "x")])
    );
    let upgrade = [
        header("Connection", "Upgrade"),
        header("Upgrade", "websocket"),
    ];
    assert_eq!(connection::upgrade(&upgrade), Some(&b"websocket"[..]));
    assert_eq!(connection::upgrade(&upgrade[1..]), None);
}

#[test]
fn dates_are_http_dates() {
    assert_eq!(
        date::http_date(784_111_777),
        "Sun, 06 Nov 1994 08:49:37 GMT"
    );
    assert_eq!(date::http_date(u64::MAX), "Thu, 01 Jan 1970 00:00:00 GMT");
}
