//! What skopeo pushes to the built-in registry is what the node gets.
//!
//! The other tests' registry is one of our own making, which could share a misunderstanding with the store.

use std::process::Command;
use std::sync::Arc;

use neargate_domain::Scope;
use neargate_node::images::{ImageSource, remove_rootfs};
use neargate_registry::{Registry, RegistryConfig, RepositoryRecord};
use neargate_store::EmbeddedStore;
use neargate_testkit::image::{Compression, Image, ImageBuilder, Layer};

use crate::rootfs::in_private_namespace;
use crate::{amd64, new_store};

/// A registry with the repository `app`, on a port of its own until the runtime ends.
async fn serve(dir: &std::path::Path) -> String {
    let store = EmbeddedStore::open(&dir.join("state.redb")).expect("a store");
    let scope = Scope::new("000000000000", "us-east-1");
    let config = RegistryConfig::new(dir.join("registry"), scope.clone());
    let registry = Registry::open(Arc::new(store), config)
        .await
        .expect("a registry");
    let record = serde_json::json!({"name": "app", "created_at": 0});
    let record: RepositoryRecord = serde_json::from_value(record).expect("a record");
    registry
        .create_repository(&scope, &record)
        .await
        .expect("a repository");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let router = neargate_registry::http::router(registry);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn skopeo(arguments: Vec<String>) {
    let run = move || {
        Command::new("skopeo")
            .args(&arguments)
            .output()
            .expect("skopeo runs")
    };
    let output = tokio::task::spawn_blocking(run)
        .await
        .expect("the thread ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn images_pushed_by_skopeo_are_pulled_and_mounted() {
    let image = |compression, architecture: &str| {
        ImageBuilder::new()
            .platform("linux", architecture)
            .compression(compression)
            .layer(
                Layer::new()
                    .file("etc/motd", "below", 0o644)
                    .file("etc/gone", "x", 0o644),
            )
            .layer(
                Layer::new()
                    .file("etc/motd", architecture, 0o644)
                    .whiteout("etc/gone"),
            )
            .build()
    };
    let index = || {
        Image::index(vec![
            image(Compression::Gzip, "arm64"),
            image(Compression::Gzip, "amd64"),
        ])
    };
    let dir = tempfile::tempdir().expect("temporary directory");
    let address = serve(dir.path()).await;
    for (name, image, extra) in [
        (
            "gzip",
            image(Compression::Gzip, "amd64"),
            "--preserve-digests",
        ),
        (
            "zstd",
            image(Compression::Zstd, "amd64"),
            "--preserve-digests",
        ),
        ("docker", image(Compression::Gzip, "amd64"), "--format=v2s2"),
        ("index", index(), "--all"),
    ] {
        let layout = dir.path().join(name);
        image.write_oci_layout(&layout, name).expect("a layout");
        let reference = format!("{address}/app:{name}");
        let (from, to) = (
            format!("oci:{}:{name}", layout.display()),
            format!("docker://{reference}"),
        );
        let arguments = [
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            extra,
            &from,
            &to,
        ];
        skopeo(arguments.map(str::to_owned).to_vec()).await;

        let (store_dir, store) = new_store();
        let source = ImageSource {
            plain_http: true,
            ..ImageSource::public(&reference)
        };
        let pulled = store
            .pull(&source, &amd64())
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        if extra != "--format=v2s2" {
            assert_eq!(pulled.digest.as_str(), image.digest(), "{name}");
        }
        in_private_namespace(|| {
            let container = store_dir.path().join("one");
            let root = store.mount_rootfs(&pulled, &container).expect("mounted");
            let motd = std::fs::read_to_string(root.join("etc/motd")).expect("the file");
            assert_eq!(
                (motd.as_str(), root.join("etc/gone").exists()),
                ("amd64", false),
                "{name}"
            );
            remove_rootfs(&container).expect("removed");
        });
    }
}
