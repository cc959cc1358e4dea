//! Damaged and hostile images and registries: each fails in ECS's words and leaves nothing.

use neargate_node::images::{ImageSource, Limits};
use neargate_testkit::image::{Compression, Image, ImageBuilder, Layer};
use serde_json::json;

use crate::registry::{Fault, Registry};
use crate::{amd64, left_behind, new_store, new_store_with, quick_limits, two_layers};

fn one_layer(layer: Layer) -> Image {
    ImageBuilder::new()
        .layer(Layer::new().file("good", "x", 0o644))
        .layer(layer)
        .build()
}

/// An image whose manifest was changed afterwards.
fn with_manifest(change: impl FnOnce(&mut serde_json::Value)) -> Image {
    let mut image = two_layers("x");
    let mut manifest = image.manifest_json();
    change(&mut manifest);
    image.replace_manifest(&manifest);
    image
}

/// An image whose second layer's blob has other bytes than its digest says.
fn with_layer_bytes(change: impl FnOnce(&mut Vec<u8>)) -> Image {
    let mut image = two_layers("x");
    let digest = image.layer_digests()[1].clone();
    change(image.blobs.get_mut(&digest).expect("the layer"));
    image
}

/// An image whose configuration was changed, with a manifest that fits.
fn with_config(text: &str) -> Image {
    let mut image = two_layers("x");
    let digest = neargate_testkit::image::digest_of(text.as_bytes());
    let mut manifest = image.manifest_json();
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(text.len());
    image.blobs.insert(digest, text.as_bytes().to_vec());
    image.replace_manifest(&manifest);
    image
}

#[tokio::test]
async fn hostile_images_fail_and_leave_nothing() {
    let zeros = || Layer::new().file("zeros", vec![0; 4_000_000], 0o644);
    let bomb = |compression| {
        ImageBuilder::new()
            .compression(compression)
            .layer(zeros())
            .build()
    };
    let other_layer = |image: &Image| image.layer_digests()[0].clone();
    for (name, image, want) in [
        (
            "traversal",
            one_layer(Layer::new().file("../../etc/passwd", "x", 0o644)),
            "leaves the image's root",
        ),
        (
            "link out",
            one_layer(Layer::new().symlink("l", "../..").file("l/x", "x", 0o644)),
            "leaves the image's root",
        ),
        (
            "gzip bomb",
            bomb(Compression::Gzip),
            "unpacks to more than 2000000 bytes",
        ),
        (
            "zstd bomb",
            bomb(Compression::Zstd),
            "unpacks to more than 2000000 bytes",
        ),
        (
            "bytes turned",
            with_layer_bytes(|bytes| bytes[40] ^= 0xff),
            "failed to extract layer sha256:",
        ),
        (
            "bytes behind the end",
            with_layer_bytes(|bytes| bytes.push(0)),
            "failed size validation",
        ),
        (
            "other bytes of the same size",
            with_layer_bytes(|bytes| *bytes.last_mut().unwrap() ^= 1),
            "failed to extract layer",
        ),
        (
            "size too large",
            with_manifest(|m| m["layers"][1]["size"] = json!(1 << 20)),
            "unexpected EOF",
        ),
        (
            "size too small",
            with_manifest(|m| m["layers"][1]["size"] = json!(10)),
            "failed size validation",
        ),
        (
            "size of a bomb",
            with_manifest(|m| m["layers"][1]["size"] = json!(1_u64 << 60)),
            "more than the limit",
        ),
        (
            "layers swapped",
            with_manifest(|m| m["layers"].as_array_mut().unwrap().reverse()),
            "wrong diff id",
        ),
        (
            "layer missing",
            with_manifest(|m| drop(m["layers"].as_array_mut().unwrap().pop())),
            "1 layers but the configuration names 2",
        ),
        (
            "layer of another type",
            with_manifest(|m| m["layers"][0]["mediaType"] = json!("text/plain")),
            "cannot be unpacked",
        ),
        (
            "layer of another compression",
            with_manifest(|m| {
                m["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+zstd")
            }),
            "failed to extract layer",
        ),
        (
            "foreign layer",
            with_manifest(|m| {
                m["layers"][0]["mediaType"] =
                    json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
            }),
            "foreign layer",
        ),
        (
            "digest with a path",
            with_manifest(|m| m["layers"][0]["digest"] = json!("sha256:../../../x")),
            "not a sha256 digest",
        ),
        (
            "helm chart",
            with_manifest(|m| {
                m["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json")
            }),
            "config media type",
        ),
        (
            "config of another size",
            with_manifest(|m| m["config"]["size"] = json!(3)),
            "has more than 3 bytes",
        ),
        (
            "config is no JSON",
            with_config("hello"),
            "error pulling image configuration",
        ),
        (
            "config without layers",
            with_config(r#"{"rootfs":{"diff_ids":[]}}"#),
            "the configuration names 0",
        ),
        (
            "index without the platform",
            Image::index(vec![ImageBuilder::new().platform("linux", "s390x").build()]),
            "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'",
        ),
        (
            "index of an index",
            Image::index(vec![Image::index(vec![two_layers("x")])]),
            "does not contain descriptor",
        ),
        (
            "blob that is not there",
            {
                let mut i = two_layers("x");
                let d = other_layer(&i);
                i.blobs.remove(&d);
                i
            },
            "ref pull has been retried 1 time(s): failed to copy: httpReadSeeker: failed open: sha256:",
        ),
    ] {
        let registry = Registry::start().await;
        registry.put("v1", &image);
        let (dir, store) = new_store_with(Limits {
            layer_unpacked_bytes: 2_000_000,
            ..quick_limits()
        });
        let error = store
            .pull(&registry.source("v1"), &amd64())
            .await
            .expect_err(name)
            .to_string();
        assert!(
            error.starts_with("CannotPullContainerError: "),
            "{name}: {error}"
        );
        assert!(error.contains(want), "{name}: {error}");
        let [layers, rest @ ..] = left_behind(&dir, &store).await;
        assert_eq!(rest, [0, 0], "{name}");
        // A connection that broke says nothing about the image, so what arrived may be of use yet.
        let connection = error.contains("EOF") || error.contains("not found");
        assert!(layers == 0 || connection, "{name}: {layers} layers left");
    }
}

#[tokio::test]
async fn hostile_registries_fail_in_bounded_time_and_memory() {
    let image = two_layers("x");
    let layer = image.layer_digests()[1].clone();
    for (name, path, fault, want) in [
        (
            "endless manifest",
            "/manifests/",
            Fault::Endless,
            "the manifest has more than 4194304 bytes",
        ),
        (
            "endless layer",
            &*layer,
            Fault::Endless,
            "failed size validation",
        ),
        (
            "other manifest",
            "/manifests/v1",
            Fault::Body(b"<html>".to_vec()),
            "no JSON of the expected form",
        ),
        (
            "deep manifest",
            "/manifests/v1",
            Fault::Body(b"[".repeat(100_000)),
            "no JSON of the expected form",
        ),
        (
            "other layer",
            &*layer,
            Fault::Body(b"not a layer".to_vec()),
            "CannotPullContainerError: ",
        ),
        (
            "forbidden",
            "/manifests/",
            Fault::Error(403, "DENIED"),
            "403 Forbidden: DENIED: as the test wants",
        ),
        (
            "forbidden layer",
            &*layer,
            Fault::Status(403),
            "403 Forbidden",
        ),
        (
            "rate limit",
            "/manifests/",
            Fault::Error(429, "TOOMANYREQUESTS"),
            "toomanyrequests: Too Many Requests",
        ),
        (
            "always busy",
            "/manifests/",
            Fault::Status(502),
            "retried 2 time(s)",
        ),
        ("silence", "/manifests/", Fault::Silence, "i/o timeout"),
        (
            "redirect loop",
            &*layer,
            Fault::Redirect("?again".to_owned()),
            "too many redirects",
        ),
        (
            "redirect to a file",
            &*layer,
            Fault::Redirect("file:///etc/passwd".to_owned()),
            "redirected",
        ),
        (
            "nothing at that tag",
            "/manifests/",
            Fault::Status(404),
            "failed to resolve ref",
        ),
        (
            "always cut",
            &*layer,
            Fault::CutInHalf,
            "ref pull has been retried 2 time(s)",
        ),
    ] {
        let registry = Registry::start().await;
        registry.put("v1", &image);
        registry.fault(path, usize::MAX, fault);
        let (dir, store) = new_store();
        let error = store
            .pull(&registry.source("v1"), &amd64())
            .await
            .expect_err(name)
            .to_string();
        assert!(error.contains(want), "{name}: {error}");
        assert_eq!(left_behind(&dir, &store).await[1..], [0, 0], "{name}");
    }
}

/// The words of ecr.md, §9 and ecs.md, §2.4, as they stand in a stopped task.
#[tokio::test]
async fn errors_have_the_words_of_ecs() {
    let registry = Registry::start().await;
    let (_dir, store) = new_store();
    let named = |reference: &str, pull: &str| ImageSource {
        pull_reference: pull.to_owned(),
        plain_http: true,
        ..ImageSource::public(reference)
    };
    let ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v9";
    let here = format!("{}/app:v9", registry.address);
    for (name, source, want) in [
        (
            "not found",
            named(ecr, &here),
            format!("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref {ecr}: {ecr}: not found"),
        ),
        (
            "nobody listens",
            named("app", "127.0.0.1:1/app"),
            "CannotPullContainerError: pull image manifest has been retried 2 time(s): failed to resolve ref docker.io/library/app:latest: dial tcp 127.0.0.1:1: connection refused".to_owned(),
        ),
        (
            "nobody listens, with TLS",
            ImageSource {
                plain_http: false,
                ..named("app", "127.0.0.1:1/app")
            },
            "CannotPullContainerError: pull image manifest has been retried 2 time(s): failed to resolve ref docker.io/library/app:latest: dial tcp 127.0.0.1:1: connection refused".to_owned(),
        ),
        (
            "bad reference",
            named("App!", "App!"),
            "CannotPullContainerError: invalid reference format: ".to_owned(),
        ),
    ] {
        let error = store.pull(&source, &amd64()).await.expect_err(name).to_string();
        assert!(error.starts_with(&want), "{name}: {error}");
    }
}

#[tokio::test]
async fn a_pull_has_a_time_limit() {
    let registry = Registry::start().await;
    registry.put("v1", &two_layers("x"));
    registry.fault("/blobs/", usize::MAX, Fault::Silence);
    let limits = Limits {
        pull_timeout: std::time::Duration::from_millis(50),
        idle_timeout: std::time::Duration::from_secs(60),
        ..quick_limits()
    };
    let (dir, store) = new_store_with(limits);
    let error = store
        .pull(&registry.source("v1"), &amd64())
        .await
        .expect_err("too slow")
        .to_string();
    assert!(error.ends_with("context deadline exceeded"), "{error}");
    assert_eq!(left_behind(&dir, &store).await, [0, 0, 0]);
}
