//! What the tests of TLS, HTTP/2 and network load balancers share: certificates, tables, clients.

#![allow(
    dead_code,
    reason = "each test binary compiles this and uses a part of it"
)]

pub mod http2_client;
pub mod targets;

use neargate_lb::access_log::AccessLogs;
use neargate_lb::engine::netns::Namespaces;
use neargate_lb::engine::worker::{self, Command, Handle};
use neargate_lb::engine::{Entry, Published, Shared};
use neargate_lb::select::cookie::CookieKey;
use neargate_lb::table::{Health, SocketKey, Transport};
use neargate_lb_api as api;
use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use std::sync::{Arc, LazyLock, Mutex};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub const P256: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
pub const P384: &SignatureAlgorithm = &rcgen::PKCS_ECDSA_P384_SHA384;
pub const RSA: &SignatureAlgorithm = &rcgen::PKCS_RSA_SHA256;

/// A self-signed certificate for `names`; `years` of validity.
pub fn certificate(
    arn: &str,
    names: &[&str],
    kind: &'static SignatureAlgorithm,
    years: i32,
) -> api::Certificate {
    static RSA_KEY: LazyLock<String> = LazyLock::new(|| {
        let key = rsa::PrivateKey::new(&mut getrandom::SysRng, 2048).expect("an RSA key");
        key.to_pkcs8_pem(LineEnding::LF).expect("PEM").to_string()
    });
    let key = match kind == RSA {
        true => KeyPair::from_pkcs8_pem_and_sign_algo(&RSA_KEY, RSA),
        false => KeyPair::generate_for(kind),
    }
    .expect("a key");
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2025 + years, 1, 1);
    let certificate = params.self_signed(&key).expect("a certificate");
    api::Certificate {
        arn: arn.to_owned(),
        certificate_chain_pem: certificate.pem(),
        private_key_pem: key.serialize_pem(),
    }
}

/// A client that takes any certificate and remembers the sessions it had.
pub fn client(alpn: &[&str]) -> ClientConfig {
    client_with(
        alpn,
        &[&rustls::version::TLS13, &rustls::version::TLS12],
        |_| true,
    )
}

/// The same with the given versions and only those signature schemes that `accepts` names.
pub fn client_with(
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
    accepts: fn(SignatureScheme) -> bool,
) -> ClientConfig {
    let mut provider = ring::default_provider();
    if !accepts(SignatureScheme::ECDSA_NISTP256_SHA256) {
        provider
            .cipher_suites
            .retain(|suite| !format!("{:?}", suite.suite()).contains("ECDSA"));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(accepts)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

#[derive(Debug)]
struct Trusting(fn(SignatureScheme) -> bool);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let schemes = algorithms.supported_schemes().into_iter();
        schemes.filter(|scheme| (self.0)(*scheme)).collect()
    }
}

/// A load balancer on loopback with one listener.
pub fn load_balancer(
    kind: api::LoadBalancerType,
    listener: api::Listener,
    http2_enabled: bool,
) -> api::LoadBalancer {
    let (path, name) = match kind {
        api::LoadBalancerType::Network => ("net", "net/test/0123456789abcdef"),
        _ => ("app", "app/test/0123456789abcdef"),
    };
    api::LoadBalancer {
        arn: format!(
            "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/{path}/test/0123456789abcdef"
        ),
        full_name: name.to_owned(),
        r#type: kind.into(),
        dns_name: "test-1.us-east-1.elb.localhost".to_owned(),
        interfaces: vec![api::Interface {
            netns: String::new(),
            address: "127.0.0.1".to_owned(),
            availability_zone: "us-east-1a".to_owned(),
        }],
        listeners: vec![listener],
        attributes: Some(api::LoadBalancerAttributes {
            idle_timeout_secs: 60,
            client_keep_alive_secs: 3600,
            http2_enabled,
            cross_zone: true,
            ..Default::default()
        }),
        serve_on_loopback: false,
    }
}

/// A default rule that forwards to `group`.
pub fn forward_to(group: &str) -> api::Rule {
    forward_to_weighted(&[(group, 1)])
}

/// A default rule that forwards to several groups by weight.
pub fn forward_to_weighted(groups: &[(&str, u32)]) -> api::Rule {
    let target_groups = groups
        .iter()
        .map(|(arn, weight)| api::WeightedTargetGroup {
            target_group_arn: (*arn).to_owned(),
            weight: *weight,
        })
        .collect();
    api::Rule {
        arn: "arn:rule/default".to_owned(),
        action: Some(api::Action {
            action: Some(api::action::Action::Forward(api::Forward {
                target_groups,
                stickiness_duration_secs: None,
            })),
        }),
        ..Default::default()
    }
}

/// A group of `ip` targets whose health is what the test says.
pub fn group(
    arn: &str,
    protocol: api::Protocol,
    version: api::ProtocolVersion,
    targets: &[std::net::SocketAddr],
) -> api::TargetGroup {
    api::TargetGroup {
        arn: arn.to_owned(),
        protocol: protocol.into(),
        protocol_version: version.into(),
        targets: targets
            .iter()
            .map(|address| api::Target {
                id: address.ip().to_string(),
                port: address.port().into(),
                address: address.ip().to_string(),
                availability_zone: "us-east-1a".to_owned(),
                ..Default::default()
            })
            .collect(),
        health_check: Some(api::HealthCheck {
            enabled: true,
            ..Default::default()
        }),
        unhealthy_routing_min_count: 1,
        cross_zone: true,
        ..Default::default()
    }
}

/// Worker threads that serve one listener on a port of 127.0.0.1, without the process around them.
pub struct Lb {
    pub address: std::net::SocketAddr,
    workers: Vec<Handle>,
    published: Mutex<Arc<Published>>,
    shared: Arc<Shared>,
    data: tempfile::TempDir,
}

impl Lb {
    /// `make` gets the listener's port and makes the first table.
    pub async fn start(transport: Transport, make: impl FnOnce(u16) -> api::Table) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let logs = AccessLogs::start(data.path().to_owned()).expect("a thread");
        let shared = Arc::new(Shared::new(
            Namespaces::new(None),
            CookieKey::new(b"secret"),
            logs,
            1,
            worker::max_connections(1024),
        ));
        let workers = worker::start(&shared, &Arc::default()).expect("threads");
        let lb = Self {
            address: ([127, 0, 0, 1], 0).into(),
            workers,
            published: Mutex::default(),
            shared,
            data,
        };
        lb.listen(transport, make).await
    }

    async fn listen(mut self, transport: Transport, make: impl FnOnce(u16) -> api::Table) -> Self {
        let entry = |port| {
            Arc::new(Entry::Own(SocketKey {
                netns: "".into(),
                address: self.address.ip(),
                port,
                transport,
            }))
        };
        let (port, command) = match transport {
            Transport::Tcp => {
                let listener = std::net::TcpListener::bind(self.address).expect("a port");
                listener.set_nonblocking(true).expect("non-blocking");
                // As the process does: what is accepted inherits it.
                let nodelay = socket2::SockRef::from(&listener).set_tcp_nodelay(true);
                nodelay.expect("a TCP socket");
                let port = listener.local_addr().expect("bound").port();
                (
                    port,
                    Command::Listen {
                        id: 1,
                        entry: entry(port),
                        listener,
                    },
                )
            }
            Transport::Udp => {
                let socket = std::net::UdpSocket::bind(self.address).expect("a port");
                socket.set_nonblocking(true).expect("non-blocking");
                let port = socket.local_addr().expect("bound").port();
                (
                    port,
                    Command::ListenUdp {
                        id: 1,
                        entry: entry(port),
                        socket,
                    },
                )
            }
        };
        self.address.set_port(port);
        self.apply(&make(port)).await;
        self.workers[0]
            .commands
            .send(command)
            .await
            .expect("the worker runs");
        self
    }

    /// Serves the listener's port over UDP too, on an address of the load balancer's.
    pub async fn listen_udp(&self, id: u64, address: std::net::IpAddr) {
        let port = self.address.port();
        let socket = std::net::UdpSocket::bind((address, port)).expect("the port is free for UDP");
        socket.set_nonblocking(true).expect("non-blocking");
        let entry = Arc::new(Entry::Own(SocketKey {
            netns: "".into(),
            address,
            port,
            transport: Transport::Udp,
        }));
        let order = Command::ListenUdp { id, entry, socket };
        self.workers[0]
            .commands
            .send(order)
            .await
            .expect("the worker runs");
    }

    /// Takes a table into force. Targets that are new are healthy.
    pub async fn apply(&self, table: &api::Table) {
        let published = {
            let mut current = self.published.lock().expect("no test panics with it");
            *current = Arc::new(Published::compile(table, Some(&current)));
            Arc::clone(&current)
        };
        assert_eq!(published.table.problems, []);
        assert_eq!(published.tls.problems, []);
        for group in published.table.target_groups.values() {
            for target in &group.targets {
                if target.state.health() == Health::Initial {
                    group.set_health(target, Health::Healthy, 1);
                }
            }
        }
        for worker in &self.workers {
            let (done, taken) = tokio::sync::oneshot::channel();
            let order = Command::Publish(Arc::clone(&published), done);
            worker.commands.send(order).await.expect("the worker runs");
            taken.await.expect("the worker answers");
        }
    }

    /// Sets the health of all targets of a group.
    pub fn set_health(&self, group: &str, health: Health) {
        let current = self.published.lock().expect("no test panics with it");
        let group = &current.table.target_groups[group];
        for target in &group.targets {
            group.set_health(target, health, 1);
        }
    }

    /// The lines of all access logs.
    pub fn access_log(&self) -> String {
        self.shared.access_logs.flush();
        let mut lines = String::new();
        let mut directories = vec![self.data.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.extension().is_some_and(|extension| extension == "gz") {
                    let file = std::fs::File::open(path).expect("a log");
                    let mut log = flate2::read::MultiGzDecoder::new(file);
                    std::io::Read::read_to_string(&mut log, &mut lines).expect("text");
                }
            }
        }
        lines
    }

    /// Has the workers end as at the process's end.
    pub async fn drain(&self) {
        for worker in &self.workers {
            worker
                .commands
                .send(Command::Drain)
                .await
                .expect("the worker runs");
        }
    }

    /// A TLS connection to the listener.
    pub async fn connect(&self, config: &Arc<ClientConfig>, name: &str) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address)
            .await
            .expect("the listener accepts");
        stream.set_nodelay(true).expect("a TCP socket");
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        connector
            .connect(name, stream)
            .await
            .expect("a TLS session")
    }
}
