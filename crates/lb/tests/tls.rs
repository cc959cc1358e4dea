//! TLS of listeners, by handshakes on real sockets.

mod support;

use neargate_lb::engine::Published;
use neargate_lb::table::{Table, Transport};
use neargate_lb::tls::{self, AcceptError, Alpn, Listeners, TlsSession};
use neargate_lb_api as api;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, SignatureScheme, version};
use std::sync::Arc;
use support::{
    Lb, P256, P384, RSA, certificate, client, client_with, forward_to, group, load_balancer,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LISTENER: &str = "arn:listener/https";

/// A table with one secure listener.
fn table(
    certificates: &[api::Certificate],
    protocol: api::Protocol,
    policy: &str,
    alpn: &str,
) -> api::Table {
    let kind = match protocol {
        api::Protocol::Tls => api::LoadBalancerType::Network,
        _ => api::LoadBalancerType::Application,
    };
    let listener = api::Listener {
        arn: LISTENER.to_owned(),
        port: 443,
        protocol: protocol.into(),
        certificate_arns: certificates.iter().map(|c| c.arn.clone()).collect(),
        ssl_policy: policy.to_owned(),
        alpn_policy: alpn.to_owned(),
        ..Default::default()
    };
    api::Table {
        version: 1,
        load_balancers: vec![load_balancer(kind, listener, alpn != "off")],
        certificates: certificates.to_vec(),
        ..Default::default()
    }
}

fn compile(table: &api::Table, previous: Option<&Listeners>) -> Listeners {
    Listeners::compile(&Table::compile(table, None), previous)
}

/// One handshake with one byte each way, so that tickets have arrived when it ends.
async fn connect(
    listeners: &Listeners,
    config: &Arc<ClientConfig>,
    name: &str,
) -> Result<TlsSession, String> {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let tls = Arc::clone(listeners.get(LISTENER).expect("the listener has TLS"));
    let server = async {
        let (stream, _) = socket.accept().await.unwrap();
        let (mut stream, session) = tls::accept(stream, &tls, |_| None)
            .await
            .map_err(|err| err.to_string())?;
        stream
            .write_all(b"!")
            .await
            .map_err(|err| err.to_string())?;
        // The client's answer; it may be gone by then.
        let _ = stream.read_u8().await;
        Ok::<_, String>(session)
    };
    let client = async {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = match name {
            "" => ServerName::IpAddress(address.ip().into()),
            _ => ServerName::try_from(name.to_owned()).unwrap(),
        };
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let mut stream = connector.connect(name, stream).await?;
        stream.read_u8().await?;
        stream.write_all(b"!").await?;
        stream.shutdown().await
    };
    let (session, client) = tokio::join!(server, client);
    client.map_err(|err| err.to_string())?;
    session
}

#[tokio::test]
async fn the_certificate_is_the_best_match_for_the_server_name() {
    let certificates = [
        certificate("default", &["default.test", "shop.example.com"], RSA, 5),
        certificate("exact", &["www.example.com"], P256, 5),
        certificate("wild", &["*.example.com"], P256, 6),
        certificate("rsa", &["both.test"], RSA, 9),
        certificate("ecdsa", &["both.test"], P256, 5),
        certificate("ecdsa-384", &["strong.test"], P384, 5),
        certificate("ecdsa-256", &["strong.test"], P256, 9),
        certificate("short", &["time.test"], P256, 3),
        certificate("long", &["time.test"], P256, 9),
        certificate("expired", &["old.test"], P384, 1),
        certificate("valid", &["old.test"], P256, 5),
    ];
    let listeners = compile(
        &table(
            &certificates,
            api::Protocol::Https,
            "ELBSecurityPolicy-TLS13-1-2-2021-06",
            "",
        ),
        None,
    );
    assert_eq!(listeners.problems, []);
    let any = Arc::new(client(&[]));
    for (case, name, want) in [
        ("no server name", "", "default"),
        ("a name that nobody has", "nobody.test", "default"),
        ("the list wins over the default", "shop.example.com", "wild"),
        (
            "exact and wildcard, longer validity",
            "www.example.com",
            "wild",
        ),
        ("upper case", "API.Example.COM", "wild"),
        ("a wildcard is one label", "a.b.example.com", "default"),
        ("a wildcard needs a label", "example.com", "default"),
        ("ECDSA before RSA", "both.test", "ecdsa"),
        ("the stronger hash", "strong.test", "ecdsa-384"),
        ("the longer validity", "time.test", "long"),
        ("one that has not expired", "old.test", "valid"),
    ] {
        let session = connect(&listeners, &any, name).await.expect(case);
        assert_eq!(&*session.certificate_arn, want, "{case}");
        let named = (!name.is_empty()).then(|| name.to_ascii_lowercase());
        assert_eq!(session.server_name.as_deref(), named.as_deref(), "{case}");
    }
    for (case, versions) in [("1.2", &version::TLS12), ("1.3", &version::TLS13)] {
        let only_rsa = |scheme: SignatureScheme| format!("{scheme:?}").starts_with("RSA");
        let old = Arc::new(client_with(&[], &[versions], only_rsa));
        let session = connect(&listeners, &old, "both.test").await.expect(case);
        assert_eq!(
            &*session.certificate_arn, "rsa",
            "a client without ECDSA, {case}"
        );
    }
}

#[tokio::test]
async fn policies_bound_the_versions() {
    let certificates = [certificate("c", &["a.test"], P256, 5)];
    let tls12 = Arc::new(client_with(&[], &[&version::TLS12], |_| true));
    let both = Arc::new(client(&[]));
    let ecdhe = Some(("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256"));
    let newest = Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256"));
    for (policy, config, want) in [
        ("ELBSecurityPolicy-2016-08", &both, ecdhe),
        ("ELBSecurityPolicy-2016-08", &tls12, ecdhe),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", &both, newest),
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", &tls12, ecdhe),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", &both, newest),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", &tls12, None),
    ] {
        let listeners = compile(
            &table(&certificates, api::Protocol::Https, policy, ""),
            None,
        );
        let session = connect(&listeners, config, "a.test").await.ok();
        let got = session.map(|session| (session.version, session.cipher_suite));
        assert_eq!(got, want, "{policy}");
    }
}

#[tokio::test]
async fn alpn_follows_the_attribute_and_the_policy() {
    let certificates = [certificate("c", &["a.test"], P256, 5)];
    let (https, tls) = (api::Protocol::Https, api::Protocol::Tls);
    for (case, protocol, setting, offered, want) in [
        (
            "h2 is preferred",
            https,
            "",
            &["http/1.1", "h2"][..],
            Some(Alpn::Http2),
        ),
        ("no ALPN", https, "", &[], Some(Alpn::None)),
        ("only 1.1", https, "", &["http/1.1"], Some(Alpn::Http11)),
        (
            "http2.enabled is false",
            https,
            "off",
            &["h2", "http/1.1"],
            Some(Alpn::Http11),
        ),
        (
            "h2 alone with http2.enabled false",
            https,
            "off",
            &["h2"],
            Some(Alpn::None),
        ),
        (
            "an unknown protocol goes on as 1.1",
            https,
            "",
            &["spdy/3"],
            Some(Alpn::None),
        ),
        ("None", tls, "None", &["h2", "http/1.1"], Some(Alpn::None)),
        (
            "HTTP1Only",
            tls,
            "HTTP1Only",
            &["h2", "http/1.0"],
            Some(Alpn::Http10),
        ),
        ("HTTP1Only and only h2", tls, "HTTP1Only", &["h2"], None),
        (
            "HTTP2Only",
            tls,
            "HTTP2Only",
            &["http/1.1", "h2"],
            Some(Alpn::Http2),
        ),
        (
            "HTTP2Optional",
            tls,
            "HTTP2Optional",
            &["h2", "http/1.1"],
            Some(Alpn::Http11),
        ),
        (
            "HTTP2Preferred",
            tls,
            "HTTP2Preferred",
            &["http/1.1", "h2"],
            Some(Alpn::Http2),
        ),
    ] {
        let table = table(
            &certificates,
            protocol,
            "ELBSecurityPolicy-2016-08",
            setting,
        );
        let config = Arc::new(client(offered));
        let session = connect(&compile(&table, None), &config, "a.test")
            .await
            .ok();
        assert_eq!(session.map(|session| session.alpn), want, "{case}");
    }
}

#[tokio::test]
async fn sessions_are_resumed_across_changes_and_only_what_changed_is_made_anew() {
    let certificates = [certificate("c", &["a.test"], P256, 5)];
    for (case, versions) in [("1.2", &version::TLS12), ("1.3", &version::TLS13)] {
        let policy = "ELBSecurityPolicy-TLS13-1-2-2021-06";
        let first = table(&certificates, api::Protocol::Https, policy, "");
        let one = compile(&first, None);
        let config = Arc::new(client_with(&["h2"], &[versions], |_| true));
        assert!(
            !connect(&one, &config, "a.test").await.unwrap().resumed,
            "{case}"
        );
        assert!(
            connect(&one, &config, "a.test").await.unwrap().resumed,
            "{case}"
        );

        let two = compile(&first, Some(&one));
        assert!(
            Arc::ptr_eq(one.get(LISTENER).unwrap(), two.get(LISTENER).unwrap()),
            "{case}"
        );

        let mut second = first.clone();
        second.certificates[0] = certificate("c", &["a.test"], P256, 7);
        let three = compile(&second, Some(&two));
        assert!(
            !Arc::ptr_eq(two.get(LISTENER).unwrap(), three.get(LISTENER).unwrap()),
            "{case}"
        );
        assert!(
            connect(&three, &config, "a.test").await.unwrap().resumed,
            "{case}: new certificate"
        );
        let fresh = Arc::new(client(&[]));
        assert!(
            !connect(&three, &fresh, "a.test").await.unwrap().resumed,
            "{case}: new client"
        );
    }
}

#[tokio::test]
async fn plain_http_on_an_https_port_is_answered_400() {
    let certificates = [certificate("c", &["a.test"], P256, 5)];
    let listeners = compile(&table(&certificates, api::Protocol::Https, "", ""), None);
    let tls = listeners.get(LISTENER).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(socket.local_addr().unwrap())
        .await
        .unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .await
        .unwrap();
    let (stream, _) = socket.accept().await.unwrap();
    let mut answer = String::new();
    let (accepted, read) = tokio::join!(tls::accept(stream, tls, |_| None), async {
        let read = client.read_to_string(&mut answer).await;
        drop(client);
        read
    });
    assert!(matches!(accepted, Err(AcceptError::PlainHttp)));
    read.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 400 Bad Request\r\nServer: awselb/2.0\r\n"),
        "{head}"
    );
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())),
        "{head}"
    );
}

#[test]
fn certificates_that_cannot_be_served_are_told_and_the_rest_serves() {
    let good = certificate("good", &["a.test"], P256, 5);
    let other = certificate("other", &["a.test"], P256, 5);
    let broken = |arn: &str, chain: &str, key: &str| api::Certificate {
        arn: arn.to_owned(),
        certificate_chain_pem: chain.to_owned(),
        private_key_pem: key.to_owned(),
    };
    let certificates = [
        broken("no chain", "", &good.private_key_pem),
        broken("no key", &good.certificate_chain_pem, "hunter2"),
        broken(
            "another's key",
            &good.certificate_chain_pem,
            &other.private_key_pem,
        ),
        good,
    ];
    let listeners = compile(&table(&certificates, api::Protocol::Https, "", ""), None);
    let mut problems: Vec<_> = listeners.problems.iter().map(|p| p.arn.as_str()).collect();
    problems.sort_unstable();
    assert_eq!(problems, ["another's key", "no chain", "no key"]);
    let wanted = table(&certificates, api::Protocol::Https, "", "");
    let published = Published::compile(&wanted, None);
    assert_eq!(published.problems().count(), 3, "the process tells them");
    assert!(listeners.get(LISTENER).is_some());
    let shown = format!("{listeners:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("PRIVATE"),
        "{shown}"
    );

    let none = compile(
        &table(&certificates[..1], api::Protocol::Https, "", ""),
        None,
    );
    assert!(none.get(LISTENER).is_none());
    assert_eq!(none.problems.len(), 2);
}

#[tokio::test]
async fn listeners_that_share_a_port_are_told_apart_by_the_server_name() {
    let (https, policy) = (api::Protocol::Https, "ELBSecurityPolicy-2016-08");
    let first = compile(
        &table(
            &[certificate("first", &["a.test"], P256, 5)],
            https,
            policy,
            "",
        ),
        None,
    );
    let second = compile(
        &table(
            &[certificate("second", &["b.test"], P256, 5)],
            https,
            policy,
            "",
        ),
        None,
    );
    let config = Arc::new(client(&[]));
    for (name, want) in [
        ("a.test", "first"),
        ("b.test", "second"),
        ("c.test", "first"),
    ] {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = async {
            let stream = TcpStream::connect(socket.local_addr().unwrap())
                .await
                .unwrap();
            let connector = tokio_rustls::TlsConnector::from(Arc::clone(&config));
            connector
                .connect(ServerName::try_from(name).unwrap(), stream)
                .await
        };
        let server = async {
            let (stream, _) = socket.accept().await.unwrap();
            let by_name =
                |name: &str| (name == "b.test").then(|| Arc::clone(second.get(LISTENER).unwrap()));
            tls::accept(stream, first.get(LISTENER).unwrap(), by_name).await
        };
        let (connected, accepted) = tokio::join!(client, server);
        connected.unwrap();
        assert_eq!(&*accepted.unwrap().1.certificate_arn, want, "{name}");
    }
}

#[tokio::test]
async fn targets_are_spoken_to_as_the_policy_says_whatever_the_client_speaks() {
    let own = certificate("own", &["target"], P256, 1);
    let chain = CertificateDer::from_pem_slice(own.certificate_chain_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(own.private_key_pem.as_bytes()).unwrap();
    let newest_only = rustls::ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[&version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(newest_only));
    for (policy, versions, status) in [
        (
            "ELBSecurityPolicy-TLS13-1-2-2021-06",
            [&version::TLS12],
            "200",
        ),
        (
            "ELBSecurityPolicy-TLS13-1-2-2021-06",
            [&version::TLS13],
            "200",
        ),
        ("ELBSecurityPolicy-2016-08", [&version::TLS12], "502"),
    ] {
        let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = target.local_addr().unwrap();
        let acceptor = acceptor.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = target.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let _ = stream.read(&mut [0; 1024]).await;
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        });
        let lb = Lb::start(Transport::Tcp, |port| {
            let certificates = [certificate("default", &["lb.test"], P256, 1)];
            let mut table = table(&certificates, api::Protocol::Https, policy, "on");
            let listener = &mut table.load_balancers[0].listeners[0];
            listener.port = port.into();
            listener.rules = vec![forward_to("arn:group")];
            let http1 = api::ProtocolVersion::Http1;
            table.target_groups = vec![group("arn:group", api::Protocol::Https, http1, &[address])];
            table
        })
        .await;
        let client = Arc::new(client_with(&["http/1.1"], &versions, |_| true));
        let mut stream = lb.connect(&client, "lb.test").await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: lb.test\r\n\r\n")
            .await
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        let got = String::from_utf8_lossy(&answer[9..]).into_owned();
        assert_eq!(got, status, "{policy} {versions:?}");
        serving.abort();
    }
}
