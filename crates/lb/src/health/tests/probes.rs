//! Checks against real listeners: what the kernel and the other side do is not ours to imitate.

use super::*;
use api::TargetState::{Healthy, Initial, Unhealthy, Unused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// How a target behaves on every connection.
#[derive(Clone, Copy)]
enum Behaviour {
    Answers(&'static str),
    /// Takes the connection and says nothing.
    Silent,
    /// Takes the connection and closes it.
    Closes,
    Http2 {
        status: u16,
        grpc_status: Option<&'static str>,
    },
}

async fn serve(behaviour: Behaviour) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else {
                return;
            };
            match behaviour {
                Behaviour::Closes => {}
                Behaviour::Silent => open.push(stream),
                Behaviour::Answers(answer) => {
                    let mut request = [0; 1024];
                    let length = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..length]);
                    let expected =
                        format!("GET /up HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
                    if request.starts_with(&expected)
                        && request.contains("\r\nUser-Agent: ELB-HealthChecker/2.0\r\n")
                    {
                        // A client that has gone needs no answer.
                        let _ = stream.write_all(answer.as_bytes()).await;
                    }
                }
                Behaviour::Http2 {
                    status,
                    grpc_status,
                } => {
                    tokio::spawn(http2(stream, status, grpc_status));
                }
            }
        }
    });
    address
}

async fn http2(stream: TcpStream, status: u16, grpc_status: Option<&'static str>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        assert_eq!(request.uri().path(), "/up");
        let response = http::Response::builder()
            .status(status)
            .body(())
            .expect("a response");
        let mut body = respond
            .send_response(response, grpc_status.is_none())
            .expect("open");
        if let Some(grpc_status) = grpc_status {
            let mut trailers = http::HeaderMap::new();
            trailers.insert("grpc-status", http::HeaderValue::from_static(grpc_status));
            body.send_trailers(trailers).expect("open");
        }
    }
}

/// A table whose only target is at `address`.
fn table_of(address: SocketAddr, change: impl FnOnce(&mut api::TargetGroup)) -> api::Table {
    let mut group = group("group", 1);
    group.targets[0].address = address.ip().to_string();
    group.targets[0].port = address.port().into();
    let check = group.health_check.as_mut().expect("the fixture has one");
    check.path = "/up".to_owned();
    check.interval_millis = 10;
    check.timeout_millis = 200;
    check.healthy_threshold = 2;
    change(&mut group);
    table(vec![forward(&[("group", 1)], None)], vec![group])
}

fn checker() -> (Checker, Arc<HealthBoard>) {
    let board = Arc::new(HealthBoard::default());
    let connect: Connect = Arc::new(|_, address| Box::pin(TcpStream::connect(address)));
    (Checker::new(connect, Arc::clone(&board)), board)
}

/// Waits for the first state that is not `Initial`.
async fn decided(board: &HealthBoard) -> api::TargetObserved {
    loop {
        let changed = board.changed().await;
        if let Some(decided) = changed
            .into_iter()
            .find(|observed| observed.state() != Initial)
        {
            return decided;
        }
    }
}

#[tokio::test]
async fn each_protocol_is_asked_and_each_failure_named() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let nothing_listens = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("an address")
    };
    let none = |_: &mut api::TargetGroup| {};
    let version = |version: api::ProtocolVersion, matcher: &'static str| {
        move |group: &mut api::TargetGroup| {
            group.protocol_version = version.into();
            group
                .health_check
                .as_mut()
                .expect("the fixture has one")
                .matcher = matcher.to_owned();
        }
    };
    let protocol = |protocol: api::Protocol| {
        move |group: &mut api::TargetGroup| {
            group
                .health_check
                .as_mut()
                .expect("the fixture has one")
                .protocol = protocol.into();
        }
    };
    type Change = Box<dyn FnOnce(&mut api::TargetGroup)>;
    let http2 = |status, grpc_status| Behaviour::Http2 {
        status,
        grpc_status,
    };
    let grpc = api::ProtocolVersion::Grpc;
    let mismatch = "Target.ResponseCodeMismatch";
    let cases: [(&str, Option<Behaviour>, Change, &str); 11] = [
        ("HTTP", Some(Behaviour::Answers(ok)), Box::new(none), ""),
        (
            "a wrong code",
            Some(Behaviour::Answers("HTTP/1.1 502 Bad Gateway\r\n\r\n")),
            Box::new(none),
            mismatch,
        ),
        (
            "no HTTP",
            Some(Behaviour::Answers("SSH-2.0-x\r\n\r\n")),
            Box::new(none),
            "Target.FailedHealthChecks",
        ),
        (
            "no answer",
            Some(Behaviour::Silent),
            Box::new(none),
            "Target.Timeout",
        ),
        (
            "closed",
            Some(Behaviour::Closes),
            Box::new(none),
            "Target.FailedHealthChecks",
        ),
        ("refused", None, Box::new(none), "Target.FailedHealthChecks"),
        (
            "TCP",
            Some(Behaviour::Closes),
            Box::new(protocol(api::Protocol::Tcp)),
            "",
        ),
        (
            "no TLS",
            Some(Behaviour::Answers(ok)),
            Box::new(protocol(api::Protocol::Https)),
            "Target.FailedHealthChecks",
        ),
        (
            "HTTP/2",
            Some(http2(200, None)),
            Box::new(version(api::ProtocolVersion::Http2, "200")),
            "",
        ),
        (
            "gRPC",
            Some(http2(200, Some("12"))),
            Box::new(version(grpc, "12")),
            "",
        ),
        (
            "gRPC, a wrong code",
            Some(http2(200, Some("14"))),
            Box::new(version(grpc, "0,12")),
            mismatch,
        ),
    ];
    for (name, behaviour, change, reason) in cases {
        let address = match behaviour {
            Some(behaviour) => serve(behaviour).await,
            None => nothing_listens,
        };
        let (mut checker, board) = checker();
        let table = compile(&table_of(address, change));
        checker.apply(&table);
        assert_eq!(board.all()[0].reason, "Elb.InitialHealthChecking", "{name}");
        let observed = decided(&board).await;
        let state = if reason.is_empty() {
            Healthy
        } else {
            Unhealthy
        };
        assert_eq!(
            (observed.state(), observed.reason.as_str()),
            (state, reason),
            "{name}"
        );
        let target = &table.target_groups["group"].targets[0];
        assert_eq!(
            target.state.health() == Health::Healthy,
            reason.is_empty(),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_new_table_restarts_only_the_checks_that_changed() {
    let address = serve(Behaviour::Answers("HTTP/1.1 200 OK\r\n\r\n")).await;
    let (mut checker, board) = checker();
    let proto = table_of(address, |_| {});
    let first = compile(&proto);
    checker.apply(&first);
    let healthy = decided(&board).await;
    let task_of = |checker: &Checker| {
        checker
            .running
            .values()
            .map(|running| running.task.id())
            .collect::<Vec<_>>()
    };
    let task = task_of(&checker);

    let mut same = proto.clone();
    same.version = 2;
    let second = Arc::new(Table::compile(&same, Some(&first)));
    checker.apply(&second);
    assert_eq!(
        task_of(&checker),
        task,
        "nothing about the check has changed"
    );

    let mut changed = proto.clone();
    changed.target_groups[0]
        .health_check
        .as_mut()
        .expect("has one")
        .matcher = "200-299".to_owned();
    let third = Arc::new(Table::compile(&changed, Some(&second)));
    checker.apply(&third);
    assert_ne!(task_of(&checker), task);
    assert_eq!(
        board.all(),
        [healthy],
        "and the target is as healthy as before"
    );

    let mut unused = proto.clone();
    unused.load_balancers[0].listeners[0].rules.clear();
    let fourth = Arc::new(Table::compile(&unused, Some(&third)));
    checker.apply(&fourth);
    let observed = &board.all()[0];
    assert_eq!(
        (observed.state(), observed.reason.as_str()),
        (Unused, "Target.NotInUse")
    );
    assert!(checker.running.is_empty());

    let mut draining = proto;
    draining.target_groups[0].targets[0].draining = true;
    checker.apply(&Arc::new(Table::compile(&draining, Some(&fourth))));
    assert!(
        checker.running.is_empty() && board.all().is_empty(),
        "a draining target is not asked"
    );
}

#[tokio::test]
async fn after_a_restart_targets_are_as_healthy_as_before_and_that_is_told() {
    let address = serve(Behaviour::Answers("HTTP/1.1 200 OK\r\n\r\n")).await;
    let proto = table_of(address, |group| {
        group.slow_start_secs = 30;
        group.targets.push(crate::table::fixture::target(2));
    });
    let table = compile(&proto);
    let observed = |target: &api::Target, state: api::TargetState| api::TargetObserved {
        target_group_arn: "group".to_owned(),
        target_id: target.id.clone(),
        port: target.port,
        state: state.into(),
        since: 5,
        ..api::TargetObserved::default()
    };
    let targets = &proto.target_groups[0].targets;
    let known = vec![
        observed(&targets[0], Healthy),
        observed(&targets[1], Healthy),
        observed(&crate::table::fixture::target(9), Healthy),
    ];
    let (mut checker, board) = checker();
    checker.restore(&table, known.clone());
    let mut told = board.changed().await;
    told.sort_by_key(|observed| observed.target_id != targets[0].id);
    assert_eq!(told, known[..2], "what the table lacks is forgotten");
    checker.apply(&table);
    let group = &table.target_groups["group"];
    for target in &group.targets {
        assert_eq!(
            (target.state.health(), target.state.slow_start_from()),
            (Health::Healthy, None)
        );
    }
    assert_eq!(board.all().len(), 2);
}
