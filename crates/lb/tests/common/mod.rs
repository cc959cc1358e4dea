//! A load balancer process in this one, a control plane that tells it what to serve, and targets that do what a test
//! says. Real sockets on loopback everywhere.

#![allow(dead_code, reason = "each test file uses its part")]

use neargate_lb::process::{self, Config};
use neargate_lb_api as api;
use neargate_lb_api::lb_service_server::{LbService, LbServiceServer};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::{oneshot, watch};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

/// Ends tests that would hang; nothing takes so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What Linux gives a process that asks for nothing.
const DESCRIPTORS: usize = 1024;

/// The control plane's end: sends the latest table, keeps what is observed.
pub struct Server {
    pub socket: PathBuf,
    tables: watch::Sender<Option<api::Table>>,
    seen: watch::Receiver<Seen>,
    runtime: tokio::runtime::Runtime,
    versions: AtomicU64,
}

#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub version: u64,
    pub load_balancers: std::collections::BTreeMap<String, api::LoadBalancerObserved>,
    pub targets: std::collections::BTreeMap<(String, u32), api::TargetObserved>,
}

struct Service {
    tables: watch::Sender<Option<api::Table>>,
    seen: watch::Sender<Seen>,
}

#[tonic::async_trait]
impl LbService for Service {
    type ConnectStream =
        Pin<Box<dyn tokio_stream::Stream<Item = Result<api::ServerMessage, Status>> + Send>>;

    async fn connect(
        &self,
        request: Request<Streaming<api::LbMessage>>,
    ) -> Result<Response<Self::ConnectStream>, Status> {
        let mut messages = request.into_inner();
        let seen = self.seen.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                let Some(api::lb_message::Message::Observed(observed)) = message.message else {
                    continue;
                };
                seen.send_modify(|seen| {
                    if observed.full {
                        *seen = Seen::default();
                    }
                    seen.version = observed.table_version;
                    for lb in observed.load_balancers {
                        seen.load_balancers.insert(lb.load_balancer_arn.clone(), lb);
                    }
                    for target in observed.targets {
                        seen.targets
                            .insert((target.target_id.clone(), target.port), target);
                    }
                });
            }
        });
        let tables = tokio_stream::wrappers::WatchStream::new(self.tables.subscribe());
        let tables = tables
            .filter_map(|table| table.map(|table| Ok(api::ServerMessage { table: Some(table) })));
        Ok(Response::new(Box::pin(tables)))
    }
}

impl Server {
    pub fn start(dir: &Path) -> Self {
        let socket = dir.join("server.sock");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (tables, _) = watch::channel(None);
        let (seen_sender, seen) = watch::channel(Seen::default());
        let service = Service {
            tables: tables.clone(),
            seen: seen_sender,
        };
        let listener = {
            let _guard = runtime.enter();
            UnixListener::bind(&socket).expect("a fresh directory")
        };
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(LbServiceServer::new(service))
                .serve_with_incoming(tokio_stream::wrappers::UnixListenerStream::new(listener)),
        );
        Self {
            socket,
            tables,
            seen,
            runtime,
            versions: AtomicU64::new(0),
        }
    }

    /// Sends a table and waits until it is in force and its load balancers serve.
    pub fn apply(&self, table: api::Table) {
        let version = self.send(table);
        self.wait("the table is served", |seen| {
            seen.version == version && seen.load_balancers.values().all(|lb| lb.serving)
        });
    }

    pub fn send(&self, mut table: api::Table) -> u64 {
        table.version = self.versions.fetch_add(1, Ordering::Relaxed) + 1;
        let version = table.version;
        self.tables.send_replace(Some(table));
        version
    }

    pub fn wait(&self, what: &str, is: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        self.runtime.block_on(async {
            let waited = tokio::time::timeout(PATIENCE, seen.wait_for(is)).await;
            waited
                .unwrap_or_else(|_| panic!("never: {what}"))
                .expect("the server runs")
                .clone()
        })
    }
}

/// A load balancer process, as threads of this one.
pub struct Lb {
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Lb {
    pub fn start(data_dir: &Path, socket: Option<&Path>) -> Self {
        Self::start_beside(data_dir, socket, None)
    }

    /// Beside a node, which makes network namespaces.
    pub fn start_beside(data_dir: &Path, socket: Option<&Path>, node: Option<&Path>) -> Self {
        Self::start_within(DESCRIPTORS, data_dir, socket, node)
    }

    /// As if the process might have so many files open.
    pub fn start_within(
        descriptors: usize,
        data_dir: &Path,
        socket: Option<&Path>,
        node: Option<&Path>,
    ) -> Self {
        let config = Config {
            data_dir: data_dir.to_owned(),
            server_socket: socket.map(Path::to_owned),
            node_data_dir: node.map(Path::to_owned),
            static_table: None,
            lb_id: "test".to_owned(),
            workers: Some(2),
            descriptors,
        };
        let (shutdown, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let ended = async {
                // A test that panicked drops its end.
                let _ = ended.await;
            };
            runtime
                .block_on(process::run(config, ended))
                .expect("it runs");
        });
        Self {
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ended well");
        }
    }
}

impl Drop for Lb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// A load balancer with one listener, and its control plane.
pub struct Fixture {
    pub lb: Lb,
    pub server: Server,
    pub port: u16,
    pub dir: tempfile::TempDir,
}

impl Fixture {
    pub fn start(targets: &[&Target]) -> Self {
        Self::with(table(free_port(), targets))
    }

    pub fn with(table: api::Table) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let server = Server::start(dir.path());
        let lb = Lb::start(&dir.path().join("lb"), Some(&server.socket));
        let port = table.load_balancers[0].listeners[0].port as u16;
        server.apply(table);
        Self {
            lb,
            server,
            port,
            dir,
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }
}

/// A client that writes what it is told and reads responses.
pub struct Client(pub BufReader<TcpStream>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the listener is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self(BufReader::new(stream))
    }

    pub fn send(&mut self, text: &str) {
        self.0
            .get_mut()
            .write_all(text.as_bytes())
            .expect("the load balancer takes it");
    }

    /// As `send`, but the load balancer may have closed already.
    pub fn try_send(&mut self, text: &str) {
        let _ = self.0.get_mut().write_all(text.as_bytes());
    }

    pub fn head(&mut self) -> Option<Answer> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => head.push_str(&line),
            }
        }
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer {
            status,
            head,
            body: Vec::new(),
        })
    }

    pub fn exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("that many bytes");
        bytes
    }

    /// A whole response, to a GET.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head().expect("a response");
        if let Some(length) = answer.header("content-length") {
            let length = length.parse().expect("a number");
            answer.body = self.exact(length);
        } else if answer.header("transfer-encoding").is_some() {
            loop {
                let mut size = String::new();
                self.0.read_line(&mut size).expect("a chunk");
                let size = usize::from_str_radix(size.trim(), 16).expect("a size");
                let chunk = self.exact(size + 2);
                answer.body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        } else if answer.status != 204 && answer.status != 304 {
            self.0.read_to_end(&mut answer.body).expect("the end");
        }
        answer
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        self.answer()
    }

    /// Whether the load balancer has ended the connection and says no more.
    pub fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// A target that gives each connection to a function. Counts them.
pub struct Target {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
}

impl Target {
    pub fn start(serve: impl Fn(Client) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        let serve = Arc::new(serve);
        // Lives as long as the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
                stream.set_nodelay(true).expect("a socket");
                let serve = Arc::clone(&serve);
                std::thread::spawn(move || serve(Client(BufReader::new(stream))));
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// Answers every request with its own head and body.
    pub fn echo() -> Self {
        Self::start(|mut client| {
            while let Some(request) = client.request() {
                let body = [request.head.as_bytes(), &request.body].concat();
                client.send(&format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Target: echo\r\n\r\n",
                    body.len()
                ));
                client
                    .0
                    .get_mut()
                    .write_all(&body)
                    .expect("the load balancer reads");
            }
        })
    }

    /// Answers every request with the same bytes.
    pub fn fixed(response: &'static str) -> Self {
        Self::start(move |mut client| {
            while client.request().is_some() {
                client.try_send(response);
            }
        })
    }
}

/// What a target got.
#[derive(Debug)]
pub struct Got {
    pub head: String,
    pub body: Vec<u8>,
}

impl Client {
    /// A whole request. `None`: the load balancer closed.
    pub fn request(&mut self) -> Option<Got> {
        let head = self.request_head()?;
        let lower = head.to_ascii_lowercase();
        let mut body = Vec::new();
        if let Some(length) = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
        {
            body = self.exact(length.parse().ok()?);
        } else if lower.contains("transfer-encoding: chunked") {
            loop {
                let mut size = String::new();
                self.0
                    .read_line(&mut size)
                    .ok()
                    .filter(|count| *count > 0)?;
                let size = usize::from_str_radix(size.trim(), 16).expect("a size");
                let chunk = self.exact(size + 2);
                body.extend_from_slice(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        }
        Some(Got { head, body })
    }

    pub fn request_head(&mut self) -> Option<String> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\r\n" => return Some(head),
                Ok(_) => head.push_str(&line),
            }
        }
    }

    pub fn close(self) {
        let _ = self.0.get_ref().shutdown(Shutdown::Both);
    }

    /// Ends by a reset.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.0.get_ref());
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("bound").port()
}

/// One application load balancer on 127.0.0.1, whose one listener forwards to the targets.
pub fn table(port: u16, targets: &[&Target]) -> api::Table {
    api::Table {
        version: 0,
        load_balancers: vec![balancer(
            "app",
            "127.0.0.1",
            port,
            vec![forward_rule("default", 0, "group")],
        )],
        target_groups: vec![group("group", targets)],
        certificates: Vec::new(),
    }
}

pub fn balancer(name: &str, address: &str, port: u16, rules: Vec<api::Rule>) -> api::LoadBalancer {
    api::LoadBalancer {
        arn: name.to_owned(),
        full_name: format!("app/{name}/1"),
        r#type: api::LoadBalancerType::Application.into(),
        dns_name: format!("{name}.test"),
        interfaces: vec![api::Interface {
            netns: String::new(),
            address: address.to_owned(),
            availability_zone: "a".to_owned(),
        }],
        listeners: vec![listener(name, port, rules)],
        attributes: Some(api::LoadBalancerAttributes {
            idle_timeout_secs: 60,
            client_keep_alive_secs: 3600,
            cross_zone: true,
            ..api::LoadBalancerAttributes::default()
        }),
        serve_on_loopback: false,
    }
}

pub fn listener(name: &str, port: u16, rules: Vec<api::Rule>) -> api::Listener {
    api::Listener {
        arn: format!("{name}/{port}"),
        port: port.into(),
        protocol: api::Protocol::Http.into(),
        rules,
        server_header_enabled: true,
        ..api::Listener::default()
    }
}

pub fn forward_rule(arn: &str, priority: u32, group: &str) -> api::Rule {
    api::Rule {
        arn: arn.to_owned(),
        priority,
        action: Some(api::Action {
            action: Some(api::action::Action::Forward(api::Forward {
                target_groups: vec![api::WeightedTargetGroup {
                    target_group_arn: group.to_owned(),
                    weight: 1,
                }],
                stickiness_duration_secs: None,
            })),
        }),
        ..api::Rule::default()
    }
}

pub fn fixed_rule(arn: &str, body: &str) -> api::Rule {
    api::Rule {
        arn: arn.to_owned(),
        action: Some(api::Action {
            action: Some(api::action::Action::FixedResponse(api::FixedResponse {
                status_code: 200,
                content_type: "text/plain".to_owned(),
                body: body.to_owned(),
            })),
        }),
        ..api::Rule::default()
    }
}

pub fn group(arn: &str, targets: &[&Target]) -> api::TargetGroup {
    api::TargetGroup {
        arn: arn.to_owned(),
        protocol: api::Protocol::Http.into(),
        targets: targets.iter().map(|target| at(target.address)).collect(),
        health_check: Some(api::HealthCheck::default()),
        unhealthy_routing_min_count: 1,
        cross_zone: true,
        ..api::TargetGroup::default()
    }
}

pub fn at(address: SocketAddr) -> api::Target {
    api::Target {
        id: address.ip().to_string(),
        port: address.port().into(),
        address: address.ip().to_string(),
        availability_zone: "a".to_owned(),
        ..api::Target::default()
    }
}

/// A signal between threads of a test.
pub fn signal() -> (mpsc::Sender<()>, mpsc::Receiver<()>) {
    mpsc::channel()
}

pub fn wait(receiver: &mpsc::Receiver<()>, what: &str) {
    receiver
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| panic!("never: {what}"));
}
