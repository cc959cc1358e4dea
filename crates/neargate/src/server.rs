//! The control plane in one process: state, services, registry, and the sockets that they are reached by.

use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use neargate_aws_wire::auth::Authenticator;
use neargate_aws_wire::serve::{Router as AwsRouter, RouterConfig};
use neargate_control::acm::{AcmService, Authority};
use neargate_control::clock::Clock;
use neargate_control::codedeploy::{CodeDeployService, Deployer};
use neargate_control::ecs::services::{Reconciler, ServiceBoard};
use neargate_control::elbv2::{DataPlane, Elbv2Service, NoDataPlane};
use neargate_control::functions::{Functions, NoFunctions};
use neargate_control::iam::IamService;
use neargate_control::lb::{LbApi, LbControl, LbSettings};
use neargate_control::nodes::{NodeApi, NodeControl, NodeSettings};
use neargate_control::secrets::Secrets;
use neargate_control::state::State;
use neargate_control::{ec2, ecr, ecs, logs, sts};
use neargate_domain::Scope;
use neargate_door::Limits;
use neargate_files::private::FILE_MODE;
use neargate_functions::RegisteredFunctions;
use neargate_lb_api::lb_service_server::LbServiceServer;
use neargate_log_store::LogStore;
use neargate_node_api::node_service_server::NodeServiceServer;
use neargate_registry::{AuthMode, Registry, RegistryConfig};
use neargate_store::EmbeddedStore;
use tokio::net::{TcpListener, UnixListener};

use crate::images::RegistryImages;
use crate::{controllers, front_door, health, housekeeping, localstack};

/// Base64 of ECR's largest layer part (20 MiB), and the JSON around it.
const MAX_LAYER_PART_BODY: usize = 29 << 20;

pub struct ServerConfig {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub default_scope: Scope,
    pub create_repositories_on_push: bool,
    pub authenticator: Arc<dyn Authenticator>,
    pub clock: Arc<dyn Clock>,
    pub overcommit: bool,
    /// Listeners of load balancers are served on 127.0.0.1 too.
    pub listeners_on_loopback: bool,
    /// Nodes and load balancers will connect; otherwise nothing that the APIs order is carried out.
    pub has_nodes: bool,
    /// The file that says what stands behind the functions that hooks name.
    pub functions: Option<PathBuf>,
    /// How many files and sockets this process may have open.
    pub descriptors: usize,
}

/// A control plane that serves.
pub struct Server {
    pub state: State,
    pub nodes: Arc<NodeControl>,
    pub load_balancers: Arc<LbControl>,
    /// What is known of the traffic.
    pub data_plane: Arc<dyn DataPlane>,
    pub certificates: Certificates,
    pub services: Arc<Reconciler>,
    pub deployer: Arc<Deployer>,
    pub functions: Arc<dyn Functions>,
    pub logs: LogStore,
    pub registry: Arc<Registry>,
    pub store: Arc<EmbeddedStore>,
    pub address: SocketAddr,
}

/// What seals and issues certificates.
#[derive(Clone)]
pub struct Certificates {
    pub secrets: Arc<Secrets>,
    pub authority: Arc<Authority>,
}

/// Where the node and the load balancer reach the server.
pub fn node_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("server.sock")
}

/// Opens the state and serves. Everything runs in tasks of this runtime from here on.
pub async fn start(config: ServerConfig) -> anyhow::Result<Arc<Server>> {
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("listening on {}", config.listen))?;
    let address = listener.local_addr()?;
    let data_dir = config.data_dir.clone();
    let (store, log_store) = tokio::task::spawn_blocking(move || {
        let store = EmbeddedStore::open(&data_dir.join("state.redb"))
            .with_context(|| format!("opening the state in {}", data_dir.display()))?;
        let logs = LogStore::open(&data_dir.join("logs"))?;
        anyhow::Ok((Arc::new(store), logs))
    })
    .await??;
    let state = State::new(store.clone(), config.clock.clone());
    let mut registry_config = RegistryConfig::new(
        config.data_dir.join("registry"),
        config.default_scope.clone(),
    );
    registry_config.create_on_push = config.create_repositories_on_push;
    registry_config.auth = AuthMode::AnyLogin;
    let registry = Registry::open(store.clone(), registry_config)
        .await
        .context("opening the registry")?;
    let images = Arc::new(RegistryImages {
        registry: registry.clone(),
        listen: address,
    });
    let certificates = open_certificates(&config)?;
    let functions: Arc<dyn Functions> = match &config.functions {
        Some(file) => Arc::new(RegisteredFunctions::open(
            file,
            format!("http://{address}"),
        )?),
        None => Arc::new(NoFunctions),
    };
    let load_balancers = LbControl::new(
        state.clone(),
        certificates.secrets.clone(),
        LbSettings {
            serve_on_loopback: config.listeners_on_loopback,
        },
    );
    let settings = NodeSettings {
        overcommit: config.overcommit,
    };
    let nodes = NodeControl::new(
        state.clone(),
        Arc::new(log_store.clone()),
        images,
        settings,
        load_balancers.on_nodes(),
    );
    let addresses = ec2::AddressPool::default();
    let service_board = Arc::new(ServiceBoard::default());
    let data_plane: Arc<dyn DataPlane> = match config.has_nodes {
        true => load_balancers.clone(),
        false => Arc::new(NoDataPlane::default()),
    };
    let services = Reconciler::new(
        state.clone(),
        addresses.clone(),
        service_board.clone(),
        data_plane.clone(),
        functions.clone(),
    );
    let deployer = Deployer::new(state.clone(), service_board.clone(), functions.clone());
    let server = Arc::new(Server {
        state,
        nodes,
        load_balancers,
        data_plane,
        certificates,
        services,
        deployer,
        functions,
        logs: log_store,
        registry,
        store,
        address,
    });

    serve_nodes(&server, &node_socket(&config.data_dir))?;
    controllers::start(&server);
    tokio::spawn(housekeeping::run(server.clone()));
    tokio::spawn(server.registry.clone().collect_forever());
    tokio::spawn(ecr::run_lifecycle_forever(
        server.registry.clone(),
        config.clock.clone(),
    ));
    let app = http(&server, &config, addresses, service_board);
    let limits = Limits::for_descriptors(config.descriptors);
    tokio::spawn(front_door::serve_apis(listener, app, limits));
    Ok(server)
}

/// The key of the data directory, and the authority that it seals.
fn open_certificates(config: &ServerConfig) -> anyhow::Result<Certificates> {
    let secrets = Secrets::open(&config.data_dir.join("secrets.key"))
        .context("opening the key for secrets at rest")?;
    let directory = config.data_dir.join("ca");
    let authority =
        Authority::open(&directory, &secrets, config.clock.now()).with_context(|| {
            format!(
                "opening the certificate authority in {}",
                directory.display()
            )
        })?;
    Ok(Certificates {
        secrets: Arc::new(secrets),
        authority: Arc::new(authority),
    })
}

fn serve_nodes(server: &Arc<Server>, socket: &Path) -> anyhow::Result<()> {
    // Left by a server that was killed; the data directory's lock says that none runs.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener =
        UnixListener::bind(socket).with_context(|| format!("listening on {}", socket.display()))?;
    std::fs::set_permissions(socket, Permissions::from_mode(FILE_MODE))?;
    let nodes = NodeServiceServer::new(NodeApi(server.nodes.clone()))
        .max_decoding_message_size(neargate_node_api::MAX_MESSAGE_BYTES);
    let load_balancers = LbServiceServer::new(LbApi(server.load_balancers.clone()))
        .max_decoding_message_size(neargate_lb_api::MAX_REPORT_BYTES);
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    tokio::spawn(async move {
        let served = tonic::transport::Server::builder()
            .add_service(nodes)
            .add_service(load_balancers)
            .serve_with_incoming(incoming)
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "nodes and load balancers are not served any more");
        }
    });
    Ok(())
}

/// Docker takes a registry without TLS on loopback only, and knows that by the name.
fn registry_endpoint(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => format!("http://localhost:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

fn http(
    server: &Arc<Server>,
    config: &ServerConfig,
    addresses: ec2::AddressPool,
    services: Arc<ServiceBoard>,
) -> axum::Router {
    let services = vec![
        neargate_aws_api::ecs::service(Arc::new(ecs::EcsService::new(
            server.state.clone(),
            addresses.clone(),
            services.clone(),
        ))),
        neargate_aws_api::ec2::service(Arc::new(ec2::Ec2Service::new(
            server.state.clone(),
            addresses.clone(),
        ))),
        neargate_aws_api::elbv2::service(Arc::new(Elbv2Service::new(
            server.state.clone(),
            addresses,
            server.data_plane.clone(),
        ))),
        neargate_aws_api::ecr::service(Arc::new(
            ecr::EcrService::new(server.registry.clone(), server.state.clock().clone())
                .reached_at(registry_endpoint(server.address)),
        )),
        neargate_aws_api::ecr_public::service(Arc::new(ecr::EcrPublicService::new(
            server.registry.clone(),
            server.state.clock().clone(),
        ))),
        neargate_aws_api::logs::service(Arc::new(logs::LogsService::new(
            server.state.clone(),
            server.logs.clone(),
        ))),
        neargate_aws_api::acm::service(Arc::new(AcmService::new(
            server.state.clone(),
            server.certificates.secrets.clone(),
            server.certificates.authority.clone(),
        ))),
        neargate_aws_api::iam::service(Arc::new(IamService::new(
            server.state.clone(),
            server.certificates.secrets.clone(),
        ))),
        neargate_aws_api::codedeploy::service(Arc::new(CodeDeployService::new(
            server.state.clone(),
            services.clone(),
        ))),
        neargate_aws_api::sts::service(Arc::new(sts::StsService::new(server.state.clone()))),
    ];
    let names: Vec<&str> = services
        .iter()
        .map(|service| service.schema().name)
        .collect();
    let router_config = RouterConfig::new(config.authenticator.clone()).with_operation_limit(
        "ecr",
        "UploadLayerPart",
        MAX_LAYER_PART_BODY,
    );
    let aws = Arc::new(AwsRouter::new(services, router_config));
    let health = server.clone();
    let reset = server.clone();
    let authority = server.certificates.authority.clone();
    axum::Router::new()
        .route(
            "/_neargate/health",
            get(move || health::health(health.clone())),
        )
        .route(
            "/_neargate/ca.pem",
            get(move || health::authority_pem(authority.clone())),
        )
        .route(
            "/_neargate/reset",
            post(move |headers| health::reset(reset.clone(), headers)),
        )
        .merge(localstack::router(names))
        .merge(neargate_registry::http::router(server.registry.clone()))
        .fallback(move |request: Request| {
            let aws = aws.clone();
            async move { aws.handle(request).await.into_response() }
        })
}
