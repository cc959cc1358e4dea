//! Network load balancers on real sockets.

mod support;

use neargate_lb::table::{Health, Transport};
use neargate_lb_api as api;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use support::targets::tcp;
use support::{Lb, P256, certificate, client, forward_to_weighted, group, load_balancer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const TCP: api::Protocol = api::Protocol::Tcp;
const TLS: api::Protocol = api::Protocol::Tls;
const UDP: api::Protocol = api::Protocol::Udp;

fn table(port: u16, protocol: api::Protocol, groups: Vec<(api::TargetGroup, u32)>) -> api::Table {
    let weights: Vec<(&str, u32)> = groups
        .iter()
        .map(|(group, weight)| (&group.arn[..], *weight))
        .collect();
    let listener = api::Listener {
        arn: "arn:listener".to_owned(),
        port: port.into(),
        protocol: protocol.into(),
        certificate_arns: vec!["arn:certificate".to_owned(); usize::from(protocol == TLS)],
        alpn_policy: "HTTP2Optional".to_owned(),
        rules: vec![forward_to_weighted(&weights)],
        tcp_idle_timeout_secs: 350,
        ..Default::default()
    };
    api::Table {
        version: 1,
        load_balancers: vec![load_balancer(
            api::LoadBalancerType::Network,
            listener,
            false,
        )],
        target_groups: groups.into_iter().map(|(group, _)| group).collect(),
        certificates: vec![certificate("arn:certificate", &["lb.test"], P256, 5)],
    }
}

fn targets(protocol: api::Protocol, addresses: &[SocketAddr]) -> api::TargetGroup {
    group(
        "arn:group",
        protocol,
        api::ProtocolVersion::Http1,
        addresses,
    )
}

async fn start(protocol: api::Protocol, group: api::TargetGroup) -> Lb {
    let transport = if protocol == UDP {
        Transport::Udp
    } else {
        Transport::Tcp
    };
    Lb::start(transport, |port| table(port, protocol, vec![(group, 1)])).await
}

/// What a read says about the connection's end.
async fn end(stream: &mut TcpStream) -> Result<usize, ErrorKind> {
    stream
        .read(&mut [0; 16])
        .await
        .map_err(|error| error.kind())
}

#[tokio::test]
async fn tcp_passes_bytes_and_half_closes() {
    let (target, mut connections) = tcp().await;
    let lb = start(TCP, targets(TCP, &[target])).await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    let mut server = connections.recv().await.unwrap();
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).await.unwrap();
    assert_eq!(question, "question");
    // The other direction is still open, for as much as there is.
    let answer = vec![7; 3_000_000];
    let (sent, received) = tokio::join!(
        async {
            server.write_all(&answer).await?;
            server.shutdown().await
        },
        async {
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.map(|_| received)
        }
    );
    sent.unwrap();
    assert!(received.unwrap() == answer);
}

#[tokio::test]
async fn resets_and_refusals_are_passed_on() {
    let (target, mut connections) = tcp().await;
    let lb = start(TCP, targets(TCP, &[target])).await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    let server = connections.recv().await.unwrap();
    socket2::SockRef::from(&server)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(server);
    assert_eq!(
        end(&mut client).await,
        Err(ErrorKind::ConnectionReset),
        "the target resets"
    );

    let client = TcpStream::connect(lb.address).await.unwrap();
    let mut server = connections.recv().await.unwrap();
    socket2::SockRef::from(&client)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(client);
    assert_eq!(
        end(&mut server).await,
        Err(ErrorKind::ConnectionReset),
        "the client resets"
    );

    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for (case, addresses) in [("nobody listens there", &[closed][..]), ("no target", &[])] {
        let lb = start(TCP, targets(TCP, addresses)).await;
        // The reset may be here before the connection is known to stand.
        let ended = match TcpStream::connect(lb.address).await {
            Ok(mut client) => end(&mut client).await,
            Err(error) => Err(error.kind()),
        };
        assert_eq!(ended, Err(ErrorKind::ConnectionReset), "{case}");
    }
}

#[tokio::test]
async fn flows_spread_over_targets_and_weights() {
    let (one, mut at_one) = tcp().await;
    let (two, mut at_two) = tcp().await;
    let lb = start(TCP, targets(TCP, &[one, two])).await;
    let mut counts = [0; 2];
    for _ in 0..60 {
        let _client = TcpStream::connect(lb.address).await.unwrap();
        tokio::select! {
            _ = at_one.recv() => counts[0] += 1,
            _ = at_two.recv() => counts[1] += 1,
        }
    }
    // One target gets fewer than 8 of 60 by chance in one of ten billion runs.
    assert!(counts.iter().all(|count| *count >= 8), "{counts:?}");

    let second = api::TargetGroup {
        arn: "arn:second".to_owned(),
        ..targets(TCP, &[two])
    };
    let groups = vec![(targets(TCP, &[one]), 3), (second, 1)];
    lb.apply(&table(lb.address.port(), TCP, groups)).await;
    counts = [0; 2];
    for _ in 0..40 {
        let _client = TcpStream::connect(lb.address).await.unwrap();
        tokio::select! {
            _ = at_one.recv() => counts[0] += 1,
            _ = at_two.recv() => counts[1] += 1,
        }
    }
    assert!((28..=32).contains(&counts[0]), "{counts:?}");

    let sticky = api::TargetGroup {
        stickiness: Some(api::Stickiness {
            r#type: api::StickinessType::SourceIp.into(),
            ..Default::default()
        }),
        ..targets(TCP, &[one, two])
    };
    lb.apply(&table(lb.address.port(), TCP, vec![(sticky, 1)]))
        .await;
    counts = [0; 2];
    for _ in 0..20 {
        let _client = TcpStream::connect(lb.address).await.unwrap();
        tokio::select! {
            _ = at_one.recv() => counts[0] += 1,
            _ = at_two.recv() => counts[1] += 1,
        }
    }
    assert!(counts.contains(&20), "one source, one target: {counts:?}");
}

#[tokio::test]
async fn proxy_protocol_tells_the_client() {
    let (target, mut connections) = tcp().await;
    let group = api::TargetGroup {
        proxy_protocol_v2: true,
        ..targets(TCP, &[target])
    };
    let lb = start(TCP, group).await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut server = connections.recv().await.unwrap();
    let mut got = [0; 28 + 5];
    server.read_exact(&mut got).await.unwrap();
    let from = client.local_addr().unwrap().port().to_be_bytes();
    let to = lb.address.port().to_be_bytes();
    let want = [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01"[..],
        &from,
        &to,
        b"hello",
    ]
    .concat();
    assert_eq!(got, want[..]);
}

#[tokio::test]
async fn tls_ends_here_and_may_begin_again() {
    let (target, mut connections) = tcp().await;
    let lb = start(TLS, targets(TCP, &[target])).await;
    let mut client_end = lb.connect(&Arc::new(client(&[])), "lb.test").await;
    client_end.write_all(b"plain?").await.unwrap();
    client_end.shutdown().await.unwrap();
    let mut server = connections.recv().await.unwrap();
    let mut text = String::new();
    server.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "plain?");
    server.write_all(b"plain!").await.unwrap();
    drop(server);
    text.clear();
    client_end.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "plain!");

    let (target, mut connections) = tcp().await;
    let lb = start(TLS, targets(TLS, &[target])).await;
    let server = async {
        let own = certificate("own", &["anything"], P256, 1);
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
        let chain =
            vec![CertificateDer::from_pem_slice(own.certificate_chain_pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(own.private_key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = connections.recv().await.unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let mut stream = acceptor.accept(stream).await.unwrap();
        assert_eq!(
            stream.get_ref().1.alpn_protocol(),
            Some(&b"h2"[..]),
            "the client's choice goes on"
        );
        let mut bytes = [0; 6];
        stream.read_exact(&mut bytes).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
    };
    let client_end = async {
        let mut stream = lb.connect(&Arc::new(client(&["h2"])), "lb.test").await;
        stream.write_all(b"secret").await.unwrap();
        let mut bytes = [0; 6];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"secret");
    };
    tokio::join!(server, client_end);
}

#[tokio::test]
async fn targets_that_drain_or_fall_ill_keep_or_lose_their_flows_as_the_group_says() {
    for (case, when_drained, when_unhealthy) in [
        ("neither", false, false),
        ("drained", true, false),
        ("unhealthy", false, true),
    ] {
        let (target, mut connections) = tcp().await;
        let (other, mut at_other) = tcp().await;
        let group = api::TargetGroup {
            terminate_when_drained: when_drained,
            terminate_when_unhealthy: when_unhealthy,
            ..targets(TCP, &[target])
        };
        let lb = start(TCP, group.clone()).await;
        let mut client = TcpStream::connect(lb.address).await.unwrap();
        let mut server = connections.recv().await.unwrap();

        let mut draining = api::TargetGroup {
            targets: targets(TCP, &[target, other]).targets,
            ..group
        };
        draining.targets[0].draining = true;
        lb.apply(&table(lb.address.port(), TCP, vec![(draining.clone(), 1)]))
            .await;
        client.write_all(b"?").await.unwrap();
        assert_eq!(
            server.read_u8().await.unwrap(),
            b'?',
            "{case}: draining flows go on"
        );
        let _second = TcpStream::connect(lb.address).await.unwrap();
        at_other.recv().await.expect("new flows go elsewhere");

        if when_unhealthy {
            lb.set_health("arn:group", Health::Unhealthy);
        } else {
            draining.targets.remove(0);
            lb.apply(&table(lb.address.port(), TCP, vec![(draining, 1)]))
                .await;
        }
        if when_drained || when_unhealthy {
            assert_eq!(
                end(&mut client).await,
                Err(ErrorKind::ConnectionReset),
                "{case}"
            );
            assert_eq!(
                end(&mut server).await,
                Err(ErrorKind::ConnectionReset),
                "{case}"
            );
            continue;
        }
        // Longer than a look at all flows takes to come.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        server.write_all(b"!").await.unwrap();
        assert_eq!(
            client.read_u8().await.unwrap(),
            b'!',
            "{case}: the flow lives on"
        );
    }
}

#[tokio::test]
async fn a_fallen_group_fails_open_and_its_new_flows_live() {
    let (target, mut connections) = tcp().await;
    let group = api::TargetGroup {
        terminate_when_unhealthy: true,
        ..targets(TCP, &[target])
    };
    let lb = start(TCP, group).await;
    lb.set_health("arn:group", Health::Unhealthy);
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    let mut server = connections.recv().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    client.write_all(b"?").await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), b'?');
}

#[tokio::test]
async fn idle_flows_end_and_what_comes_later_is_reset() {
    let (target, mut connections) = tcp().await;
    let lb = Lb::start(Transport::Tcp, |port| {
        let mut table = table(port, TCP, vec![(targets(TCP, &[target]), 1)]);
        table.load_balancers[0].listeners[0].tcp_idle_timeout_secs = 1;
        table
    })
    .await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    let mut server = connections.recv().await.unwrap();
    let port = client.local_addr().unwrap().port();
    while is_open(lb.address.port(), port) {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for (case, stream) in [("client", &mut client), ("target", &mut server)] {
        // Either the reset has come already, or this brings it.
        let _ = stream.write_all(b"?").await;
        assert_eq!(end(stream).await, Err(ErrorKind::ConnectionReset), "{case}");
    }
}

/// Whether the kernel has the load balancer's end of a connection.
fn is_open(local: u16, remote: u16) -> bool {
    let wanted = format!("0100007F:{local:04X} 0100007F:{remote:04X}");
    std::fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .contains(&wanted)
}

#[tokio::test]
async fn udp_flows_keep_their_target_and_their_answers_come_from_the_listener() {
    let mut addresses = Vec::new();
    for name in ["one", "two", "three"] {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        addresses.push(socket.local_addr().unwrap());
        tokio::spawn(async move {
            let mut datagram = [0; 2048];
            loop {
                let (length, from) = socket.recv_from(&mut datagram).await.unwrap();
                let text = String::from_utf8_lossy(&datagram[..length]);
                let answer = format!("{name} {} {text}", from.port());
                socket.send_to(answer.as_bytes(), from).await.unwrap();
            }
        });
    }
    let lb = start(UDP, targets(UDP, &addresses)).await;
    let mut first_answers = std::collections::HashSet::new();
    let mut clients = Vec::new();
    for client in 0..20 {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // Connected: what comes from elsewhere than the listener is not received.
        socket.connect(lb.address).await.unwrap();
        let mut datagram = [0; 2048];
        let mut flow = None;
        for packet in 0..3 {
            let text = format!("{client} {packet}");
            socket.send(text.as_bytes()).await.unwrap();
            let length = socket.recv(&mut datagram).await.unwrap();
            let answer = String::from_utf8_lossy(&datagram[..length]).into_owned();
            let by = answer
                .strip_suffix(&text)
                .expect("its own datagram comes back")
                .to_owned();
            assert_eq!(
                *flow.get_or_insert_with(|| by.clone()),
                by,
                "client {client}"
            );
        }
        first_answers.insert(flow.unwrap());
        clients.push(socket);
    }
    assert_eq!(first_answers.len(), 20, "each flow has a port of its own");
    let names: std::collections::HashSet<_> = first_answers
        .iter()
        .map(|by| by.split(' ').next().unwrap().to_owned())
        .collect();
    assert!(names.len() >= 2, "{names:?}");

    // A target that has left, in a group that ends its flows then, gets no more of them.
    let left = api::TargetGroup {
        terminate_when_drained: true,
        ..targets(UDP, &addresses)
    };
    lb.apply(&table(lb.address.port(), UDP, vec![(left.clone(), 1)]))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let only = api::TargetGroup {
        targets: left.targets[..1].to_vec(),
        ..left
    };
    lb.apply(&table(lb.address.port(), UDP, vec![(only, 1)]))
        .await;
    let mut datagram = [0; 2048];
    for socket in &clients {
        loop {
            socket.send(b"again").await.unwrap();
            // A flow that ends takes with it what its target has yet to answer.
            let patience = std::time::Duration::from_millis(50);
            let answer = tokio::time::timeout(patience, socket.recv(&mut datagram)).await;
            if answer.is_ok_and(|length| datagram[..length.unwrap()].starts_with(b"one ")) {
                break;
            }
            tokio::time::sleep(patience).await;
        }
    }
}

#[tokio::test]
async fn tcp_udp_listeners_serve_both_on_every_address() {
    let (target, mut connections) = tcp().await;
    let socket = UdpSocket::bind(target).await.unwrap();
    tokio::spawn(async move {
        let mut datagram = [0; 16];
        loop {
            let (length, from) = socket.recv_from(&mut datagram).await.unwrap();
            socket.send_to(&datagram[..length], from).await.unwrap();
        }
    });
    let both = api::Protocol::TcpUdp;
    let lb = Lb::start(Transport::Tcp, |port| {
        let mut table = table(port, both, vec![(targets(both, &[target]), 1)]);
        let mut second = table.load_balancers[0].interfaces[0].clone();
        second.address = "127.0.0.2".to_owned();
        table.load_balancers[0].interfaces.push(second);
        table
    })
    .await;
    let mut client = TcpStream::connect(lb.address).await.unwrap();
    client.write_all(b"?").await.unwrap();
    assert_eq!(
        connections.recv().await.unwrap().read_u8().await.unwrap(),
        b'?'
    );
    for (id, address) in [(2, "127.0.0.1"), (3, "127.0.0.2")] {
        let address: std::net::IpAddr = address.parse().unwrap();
        lb.listen_udp(id, address).await;
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client
            .send_to(b"?", (address, lb.address.port()))
            .await
            .unwrap();
        let mut datagram = [0; 16];
        let (length, from) = client.recv_from(&mut datagram).await.unwrap();
        assert_eq!((&datagram[..length], from.ip()), (&b"?"[..], address));
    }
}

async fn start_logging(protocol: api::Protocol, group: api::TargetGroup) -> Lb {
    Lb::start(Transport::Tcp, |port| {
        let mut table = table(port, protocol, vec![(group, 1)]);
        let attributes = table.load_balancers[0].attributes.as_mut();
        attributes.expect("it has some").access_logs = Some(api::AccessLogs {
            bucket: "logs".to_owned(),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
            ..Default::default()
        });
        table
    })
    .await
}

#[tokio::test]
async fn each_tls_connection_has_a_line_in_the_access_log() {
    let (target, mut connections) = tcp().await;
    let lb = start_logging(TLS, targets(TCP, &[target])).await;
    let answering = tokio::spawn(async move {
        let mut server = connections.recv().await.unwrap();
        server.read_exact(&mut [0; 8]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        // Until the client has closed.
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    });
    let mut stream = lb
        .connect(&Arc::new(client(&["h2", "x y"])), "lb.test")
        .await;
    let peer = stream.get_ref().0.local_addr().unwrap();
    stream.write_all(b"question").await.unwrap();
    stream.read_exact(&mut [0; 6]).await.unwrap();
    stream.shutdown().await.unwrap();
    answering.await.unwrap();
    drop(stream);
    // One that does not trust the certificate says so by an alert.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let stranger = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let socket = TcpStream::connect(lb.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(stranger));
    let name = "other.test".try_into().unwrap();
    connector
        .connect(name, socket)
        .await
        .expect_err("it trusts nobody");
    // Plain listeners have none.
    let (target, mut connections) = tcp().await;
    let plain = start_logging(TCP, targets(TCP, &[target])).await;
    drop(TcpStream::connect(plain.address).await.unwrap());
    drop(connections.recv().await);

    let lines = loop {
        let lines = lb.access_log();
        if lines.lines().count() == 2 {
            break lines;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    let find = |name: &str| -> Vec<String> {
        let line = lines.lines().find(|line| line.contains(name)).expect(name);
        line.split(' ').map(str::to_owned).collect()
    };
    let served = find(" lb.test ");
    assert_eq!(served.len(), 22, "{lines}");
    assert_eq!(served[..2], ["tls", "2.0"]);
    assert_eq!(served[4], "arn:listener");
    assert_eq!(served[5..7], [peer.to_string(), lb.address.to_string()]);
    let millis = |field: &str| field.parse::<u64>().expect("milliseconds");
    assert!(millis(&served[7]) >= millis(&served[8]), "{lines}");
    assert_eq!(served[9..12], ["8", "6", "-"]);
    assert_eq!(served[12], "arn:certificate");
    assert!(
        served[14].starts_with("ECDHE-ECDSA-") && served[15] == "tlsv12",
        "{lines}"
    );
    assert_eq!(served[18..21], ["h2", "-", "\"h2\",\"x%20y\""]);
    let failed = find(" other.test ");
    assert_eq!(failed.len(), 22, "{lines}");
    assert_eq!(failed[8..12], ["-", "0", "0", "48"], "{lines}");
    assert_eq!(plain.access_log(), "");
}

#[tokio::test]
async fn at_the_processs_end_quiet_flows_end_and_the_others_go_on() {
    let (target, mut connections) = tcp().await;
    let lb = start(TCP, targets(TCP, &[target])).await;
    let mut quiet = TcpStream::connect(lb.address).await.unwrap();
    let mut quiet_server = connections.recv().await.unwrap();
    let mut talking = TcpStream::connect(lb.address).await.unwrap();
    let mut talking_server = connections.recv().await.unwrap();
    lb.drain().await;
    let until_quiet_ends = async {
        // An end and no reset: what was sent has arrived.
        assert_eq!(end(&mut quiet).await, Ok(0));
        assert_eq!(end(&mut quiet_server).await, Ok(0));
    };
    let talk = async {
        loop {
            talking.write_all(b"?").await.unwrap();
            assert_eq!(talking_server.read_u8().await.unwrap(), b'?');
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = until_quiet_ends => {}
        () = talk => {}
    }
    talking_server.write_all(b"!").await.unwrap();
    assert_eq!(talking.read_u8().await.unwrap(), b'!');
}
