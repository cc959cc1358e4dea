//! The control plane in one process: state, services, registry, and the sockets that they are reached by.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use neargate_aws_wire::auth::Authenticator;
use neargate_aws_wire::serve::{Router as AwsRouter, RouterConfig};
use neargate_control::clock::Clock;
use neargate_control::nodes::{NodeApi, NodeControl, NodeSettings};
use neargate_control::state::State;
use neargate_control::{ec2, ecr, ecs, logs, sts};
use neargate_domain::Scope;
use neargate_log_store::LogStore;
use neargate_node_api::node_service_server::NodeServiceServer;
use neargate_registry::{Registry, RegistryConfig};
use neargate_store::EmbeddedStore;
use tokio::net::{TcpListener, UnixListener};

use crate::images::RegistryImages;
use crate::{health, housekeeping};

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
}

/// A control plane that serves.
pub struct Server {
    pub state: State,
    pub nodes: Arc<NodeControl>,
    pub logs: LogStore,
    pub registry: Arc<Registry>,
    pub address: SocketAddr,
}

/// Where the node reaches the server.
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
    let registry = Registry::open(store, registry_config)
        .await
        .context("opening the registry")?;
    let images = Arc::new(RegistryImages {
        registry: registry.clone(),
        listen: address,
    });
    let settings = NodeSettings {
        overcommit: config.overcommit,
    };
    let nodes = NodeControl::new(state.clone(), Arc::new(log_store.clone()), images, settings);
    let server = Arc::new(Server {
        state,
        nodes,
        logs: log_store,
        registry,
        address,
    });

    serve_nodes(&server, &node_socket(&config.data_dir))?;
    tokio::spawn(run_controllers(server.clone()));
    tokio::spawn(housekeeping::run(server.clone()));
    tokio::spawn(server.registry.clone().collect_forever());
    tokio::spawn(ecr::run_lifecycle_forever(
        server.registry.clone(),
        config.clock.clone(),
    ));
    let app = http(&server, &config);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the API has stopped serving");
        }
    });
    Ok(server)
}

/// Reconcilers end only when the store fails under them: nothing can be trusted to go on then.
async fn run_controllers(server: Arc<Server>) {
    if let Err(error) = server.nodes.run().await {
        tracing::error!(%error, "a controller cannot read or write the state; Neargate ends, tasks go on");
        std::process::exit(1);
    }
}

fn serve_nodes(server: &Arc<Server>, socket: &Path) -> anyhow::Result<()> {
    // Left by a server that was killed; the data directory's lock says that none runs.
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let listener =
        UnixListener::bind(socket).with_context(|| format!("listening on {}", socket.display()))?;
    let service = NodeServiceServer::new(NodeApi(server.nodes.clone()));
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    tokio::spawn(async move {
        let served = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming)
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "nodes are not served any more");
        }
    });
    Ok(())
}

fn http(server: &Arc<Server>, config: &ServerConfig) -> axum::Router {
    let addresses = ec2::AddressPool::default();
    let services = vec![
        neargate_aws_api::ecs::service(Arc::new(ecs::EcsService::new(
            server.state.clone(),
            addresses.clone(),
        ))),
        neargate_aws_api::ec2::service(Arc::new(ec2::Ec2Service::new(
            server.state.clone(),
            addresses,
        ))),
        neargate_aws_api::ecr::service(Arc::new(ecr::EcrService::new(
            server.registry.clone(),
            server.state.clock().clone(),
        ))),
        neargate_aws_api::logs::service(Arc::new(logs::LogsService::new(
            server.state.clone(),
            server.logs.clone(),
        ))),
        neargate_aws_api::sts::service(Arc::new(sts::StsService::new(server.state.clone()))),
    ];
    let router_config = RouterConfig::new(config.authenticator.clone()).with_operation_limit(
        "ecr",
        "UploadLayerPart",
        MAX_LAYER_PART_BODY,
    );
    let aws = Arc::new(AwsRouter::new(services, router_config));
    let health = server.clone();
    let reset = server.clone();
    axum::Router::new()
        .route(
            "/_neargate/health",
            get(move || health::health(health.clone())),
        )
        .route(
            "/_neargate/reset",
            post(move || health::reset(reset.clone())),
        )
        .merge(neargate_registry::http::router(server.registry.clone()))
        .fallback(move |request: Request| {
            let aws = aws.clone();
            async move { aws.handle(request).await.into_response() }
        })
}
