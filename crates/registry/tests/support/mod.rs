//! A registry on a directory of its own, called directly or served on a port of loopback.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use neargate_domain::Scope;
use neargate_registry::{Registry, RegistryConfig, RepositoryName, RepositoryRecord};
use neargate_store::EmbeddedStore;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

pub struct Fixture {
    pub registry: Arc<Registry>,
    pub dir: TempDir,
    pub router: Router,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }

    /// Code of the first error.
    pub fn code(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["errors"][0]["code"].as_str().unwrap_or("").to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

pub fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1")
}

pub fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).expect("a repository name")
}

impl Fixture {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adapt: impl FnOnce(&mut RegistryConfig)) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self::on(dir, adapt).await
    }

    /// On a directory that may hold the state of an earlier one.
    pub async fn on(dir: TempDir, adapt: impl FnOnce(&mut RegistryConfig)) -> Self {
        let registry = open(dir.path(), adapt).await;
        Self {
            router: neargate_registry::http::router(registry.clone()),
            registry,
            dir,
        }
    }

    pub async fn create(&self, repository: &str) -> &Self {
        self.create_in(&scope(), repository).await
    }

    pub async fn create_in(&self, scope: &Scope, repository: &str) -> &Self {
        let record: RepositoryRecord =
            serde_json::from_value(serde_json::json!({"name": repository, "created_at": 0}))
                .expect("a record");
        self.registry
            .create_repository(scope, &record)
            .await
            .expect("a new repository");
        self
    }

    pub async fn call(&self, method: Method, uri: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::builder().method(method).uri(uri), body)
            .await
    }

    pub async fn send(&self, request: http::request::Builder, body: impl Into<Body>) -> Answer {
        let request = request.body(body.into()).expect("a request");
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("the router always answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.to_vec(),
        }
    }

    /// Pushes a blob in one request.
    pub async fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = neargate_testkit::image::digest_of(bytes);
        let uri = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.call(Method::POST, &uri, bytes.to_vec()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.code());
        digest
    }

    /// Pushes an image of one layer, which makes it different from others.
    pub async fn push_image(&self, repository: &str, tag: &str, layer: &[u8]) -> String {
        let manifest = self.image(repository, layer).await;
        self.push_manifest(repository, tag, &manifest).await
    }

    /// Pushes the blobs of an image; answers its manifest.
    pub async fn image(&self, repository: &str, layer: &[u8]) -> Value {
        let config = self.push_blob(repository, b"{}").await;
        let digest = self.push_blob(repository, layer).await;
        serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2
            },
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": layer.len()
            }],
        })
    }

    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &Value,
    ) -> String {
        let uri = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.call(Method::PUT, &uri, manifest.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.code());
        answer.header("docker-content-digest").to_owned()
    }

    /// Serves it on loopback until the runtime ends.
    pub async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

pub async fn open(dir: &Path, adapt: impl FnOnce(&mut RegistryConfig)) -> Arc<Registry> {
    let store = EmbeddedStore::open(&dir.join("state.redb")).expect("a store");
    let mut config = RegistryConfig::new(dir.join("registry"), scope());
    adapt(&mut config);
    Registry::open(Arc::new(store), config)
        .await
        .expect("a registry")
}

/// Runs a client program, off the runtime's threads.
pub async fn run(program: impl Into<PathBuf>, args: &[&str]) -> Output {
    let mut command = Command::new(program.into());
    command.args(args);
    run_command(command).await
}

pub async fn run_command(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output())
        .await
        .expect("the thread ends")
        .expect("the program can be run")
}

/// Runs a client program that must succeed; answers what it wrote.
pub async fn run_ok(program: impl Into<PathBuf>, args: &[&str]) -> String {
    let output = run(program, args).await;
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
