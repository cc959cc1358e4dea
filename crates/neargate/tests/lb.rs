//! `neargate lb` as a process that may die at any time.

use neargate_lb_api as api;
use neargate_lb_api::lb_service_server::{LbService, LbServiceServer};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

/// Issue 3: "back with the same configuration in under 1 s without the server". The rest is the debug build and the
/// machine's other work.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);

/// A control plane with one table.
struct Server {
    table: api::Table,
    in_force: watch::Sender<u64>,
}

#[tonic::async_trait]
impl LbService for Server {
    type ConnectStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<api::ServerMessage, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<api::LbMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut messages = request.into_inner();
        let in_force = self.in_force.clone();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let message = api::ServerMessage {
            table: Some(self.table.clone()),
        };
        tokio::spawn(async move {
            // The stream stays open for as long as the other side speaks.
            let _ = sender.send(Ok(message)).await;
            while let Ok(Some(message)) = messages.message().await {
                if let Some(api::lb_message::Message::Observed(observed)) = message.message {
                    in_force.send_replace(observed.table_version);
                }
            }
            drop(sender);
        });
        Ok(Response::new(Box::pin(
            tokio_stream::wrappers::ReceiverStream::new(receiver),
        )))
    }
}

fn table(port: u16) -> api::Table {
    let rule = api::Rule {
        arn: "rule".to_owned(),
        action: Some(api::Action {
            action: Some(api::action::Action::FixedResponse(api::FixedResponse {
                status_code: 200,
                content_type: "text/plain".to_owned(),
                body: "still here".to_owned(),
            })),
        }),
        ..api::Rule::default()
    };
    api::Table {
        version: 7,
        load_balancers: vec![api::LoadBalancer {
            arn: "balancer".to_owned(),
            full_name: "app/balancer/1".to_owned(),
            r#type: api::LoadBalancerType::Application.into(),
            dns_name: "balancer".to_owned(),
            listeners: vec![api::Listener {
                arn: "listener".to_owned(),
                port: port.into(),
                protocol: api::Protocol::Http.into(),
                rules: vec![rule],
                ..api::Listener::default()
            }],
            serve_on_loopback: true,
            ..api::LoadBalancer::default()
        }],
        ..api::Table::default()
    }
}

fn start(data_dir: &Path, socket: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_neargate"))
        .arg("lb")
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--server-socket")
        .arg(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

fn get(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

#[test]
fn a_killed_load_balancer_serves_its_last_table_without_the_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let (data_dir, socket) = (dir.path().join("lb"), dir.path().join("server.sock"));
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback");
        free.local_addr().expect("bound").port()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let (in_force, mut seen) = watch::channel(0);
    let listener = {
        let _guard = runtime.enter();
        UnixListener::bind(&socket).expect("a fresh directory")
    };
    let server = Server {
        table: table(port),
        in_force,
    };
    runtime.spawn(
        tonic::transport::Server::builder()
            .add_service(LbServiceServer::new(server))
            .serve_with_incoming(tokio_stream::wrappers::UnixListenerStream::new(listener)),
    );
    let mut first = start(&data_dir, &socket);
    let told = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, seen.wait_for(|version| *version == 7))
            .await
            .is_ok()
    });
    let answer = get(port);
    first.kill().expect("it runs");
    first.wait().expect("it was killed");
    assert!(told && answer.is_some_and(|answer| answer.ends_with("still here")));

    // The server goes too, and its socket with it.
    runtime.shutdown_background();
    std::fs::remove_file(&socket).expect("it was bound");
    let started = Instant::now();
    let mut second = start(&data_dir, &socket);
    let back = loop {
        match get(port) {
            Some(answer) => break Some(answer),
            None if started.elapsed() > BACK_WITHIN => break None,
            None => std::thread::yield_now(),
        }
    };
    second.kill().expect("it runs");
    second.wait().expect("it was killed");
    assert!(back.is_some_and(|answer| answer.ends_with("still here")));
}
