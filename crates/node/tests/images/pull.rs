//! Honest images from registries of all sorts.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use futures_util::future::join_all;
use futures_util::poll;
use neargate_node::images::{GcPolicy, ImageSource, ImageStore, Limits, Platform};
use neargate_testkit::image::{Compression, Image, ImageBuilder, Layer, MediaTypes};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::registry::{Fault, Registry};
use crate::{amd64, left_behind, new_store, quick_limits, two_layers};

#[tokio::test]
async fn all_compressions_and_media_types_arrive() {
    let registry = Registry::start().await;
    for (name, compression, media_types) in [
        ("plain", Compression::None, MediaTypes::Oci),
        ("gzip", Compression::Gzip, MediaTypes::Oci),
        ("zstd", Compression::Zstd, MediaTypes::Oci),
        ("docker", Compression::Gzip, MediaTypes::Docker),
        ("docker-zstd", Compression::Zstd, MediaTypes::Docker),
    ] {
        let (dir, store) = new_store();
        let image = ImageBuilder::new()
            .compression(compression)
            .media_types(media_types)
            .layer(Layer::new().file("a", name, 0o644))
            .layer(Layer::new().file("b", vec![1; 300_000], 0o644))
            .entrypoint(["/a"])
            .user("app")
            .volume("/data")
            .build();
        registry.put(name, &image);
        let pulled = store
            .pull(&registry.source(name), &amd64())
            .await
            .expect(name);
        assert_eq!(pulled.digest.as_str(), image.digest(), "{name}");
        assert_eq!(pulled.layers.len(), 2, "{name}");
        assert_eq!(
            (pulled.config.user.as_str(), &pulled.config.volumes[..]),
            ("app", &["/data".to_owned()][..]),
            "{name}"
        );
        assert_eq!(left_behind(&dir, &store).await, [2, 1, 0], "{name}");
    }
}

#[tokio::test]
async fn the_image_of_the_platform_is_taken_from_an_index() {
    let registry = Registry::start().await;
    let build = |architecture: &str| {
        ImageBuilder::new()
            .platform("linux", architecture)
            .layer(Layer::new().file("a", architecture, 0o644))
            .build()
    };
    let index = Image::index(vec![build("amd64"), build("arm64")]);
    registry.put("v1", &index);
    let (_dir, store) = new_store();
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::linux(architecture);
        let pulled = store
            .pull(&registry.source("v1"), &platform)
            .await
            .expect(architecture);
        assert_eq!(
            pulled.digest.as_str(),
            index.digest(),
            "the digest is the one that the tag points to"
        );
        assert_eq!(
            pulled.manifest_digest.as_str(),
            build(architecture).digest(),
            "{architecture}"
        );
    }
}

/// What would be lost: what such an image does under AWS, which is `exec format error` in its log.
#[tokio::test]
async fn an_image_in_no_index_is_taken_whatever_it_was_built_for() {
    let registry = Registry::start().await;
    let image = ImageBuilder::new()
        .platform("linux", "s390x")
        .layer(Layer::new().file("a", "", 0o644))
        .build();
    registry.put("v1", &image);
    let (_dir, store) = new_store();
    let pulled = store
        .pull(&registry.source("v1"), &Platform::linux("amd64"))
        .await
        .expect("pulled");
    assert_eq!(pulled.manifest_digest.as_str(), image.digest());
}

#[tokio::test]
async fn an_image_that_is_here_costs_one_request_by_tag_and_none_by_digest() {
    let registry = Registry::start().await;
    let image = two_layers("first");
    registry.put("v1", &image);
    let (dir, store) = new_store();
    let by_tag = registry.source("v1");
    let by_digest = registry.source(image.digest());
    store.pull(&by_tag, &amd64()).await.expect("pulled");
    assert_eq!(
        registry.requests().len(),
        4,
        "manifest, configuration, two layers"
    );
    store.pull(&by_tag, &amd64()).await.expect("pulled");
    assert_eq!(registry.requests(), ["HEAD manifests/v1"]);
    store.pull(&by_digest, &amd64()).await.expect("pulled");
    assert_eq!(registry.requests(), [""; 0]);

    let moved = two_layers("second");
    registry.put("v1", &moved);
    let pulled = store.pull(&by_tag, &amd64()).await.expect("pulled");
    assert_eq!(pulled.digest.as_str(), moved.digest(), "the tag moved");
    assert_eq!(
        registry.requests(),
        [
            "HEAD manifests/v1",
            "GET manifests/digest",
            "GET blobs/digest",
            "GET blobs/digest"
        ],
        "the layer that both have is not fetched again"
    );

    registry.hide_digests();
    store.pull(&by_tag, &amd64()).await.expect("pulled");
    assert_eq!(
        registry.requests(),
        ["HEAD manifests/v1", "GET manifests/v1"],
        "a registry that does not say the digest"
    );

    drop(pulled);
    let store = reopened(&dir, store).await;
    store
        .pull(&by_digest, &amd64())
        .await
        .expect("still here after a restart");
    assert_eq!(registry.requests(), [""; 0]);
    store
        .pull(&by_tag, &amd64())
        .await
        .expect("still here after a restart");
    assert_eq!(registry.requests(), ["GET manifests/v1"]);
}

async fn reopened(dir: &TempDir, store: ImageStore) -> ImageStore {
    store.idle().await;
    drop(store);
    ImageStore::open(&dir.path().join("store"), quick_limits()).expect("the store opens again")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_tasks_at_once_pull_an_image_once() {
    let registry = Registry::start().await;
    registry.put("v1", &two_layers("x"));
    let go = Arc::new(Notify::new());
    registry.fault("/manifests/", 1, Fault::Until(go.clone()));
    let (dir, store) = new_store();
    let (source, platform) = (registry.source("v1"), amd64());
    let mut pulls: Vec<_> = (0..200)
        .map(|_| Box::pin(store.pull(&source, &platform)))
        .collect();
    for pull in &mut pulls {
        assert!(
            poll!(pull.as_mut()).is_pending(),
            "the registry has not answered yet"
        );
    }
    go.notify_one();
    let results = join_all(pulls).await;
    assert!(results.iter().all(Result::is_ok));
    let requests = registry.requests();
    let count = |what: &str| {
        requests
            .iter()
            .filter(|request| request.contains(what))
            .count()
    };
    assert_eq!(count("blobs"), 3, "one configuration and two layers");
    assert_eq!(
        count("manifests"),
        2,
        "the first asked alone, the others together"
    );
    assert_eq!(left_behind(&dir, &store).await, [2, 1, 0]);
}

#[tokio::test]
async fn images_that_share_a_layer_fetch_it_once_even_at_the_same_time() {
    let registry = Registry::start().await;
    let base = Layer::new().file("base", vec![7; 200_000], 0o644);
    for tag in ["a", "b", "c"] {
        let own = Layer::new().file("own", tag, 0o644);
        registry.put(
            tag,
            &ImageBuilder::new().layer(base.clone()).layer(own).build(),
        );
    }
    let (dir, store) = new_store();
    let sources = ["a", "b", "c"].map(|tag| registry.source(tag));
    let platform = amd64();
    let results = join_all(sources.iter().map(|source| store.pull(source, &platform))).await;
    assert!(results.iter().all(Result::is_ok));
    let blobs = registry
        .requests()
        .iter()
        .filter(|request| request.contains("blobs"))
        .count();
    assert_eq!(
        blobs,
        3 + 4,
        "three configurations, the shared layer, three others"
    );
    assert_eq!(left_behind(&dir, &store).await, [4, 3, 0]);
}

#[tokio::test]
async fn credentials_go_where_they_belong() {
    let elsewhere = Registry::start().await;
    let image = two_layers("x");
    elsewhere.put("v1", &image);
    for (name, basic, token, username, want) in [
        ("anonymous", None, None, "", Ok(())),
        ("basic", Some("AWS:secret"), None, "AWS", Ok(())),
        ("anonymous token", None, Some("t1"), "", Ok(())),
        (
            "token for a password",
            Some("AWS:secret"),
            Some("t2"),
            "AWS",
            Ok(()),
        ),
        (
            "no credentials",
            Some("AWS:secret"),
            None,
            "",
            Err("no basic auth credentials"),
        ),
        (
            "wrong credentials",
            Some("AWS:other"),
            None,
            "AWS",
            Err("the credentials were refused"),
        ),
        (
            "wrong password for a token",
            Some("AWS:other"),
            Some("t3"),
            "AWS",
            Err("authorization failed: UNAUTHORIZED: bad password"),
        ),
        (
            "a token that breaks out of its header",
            None,
            Some("t\r\nX-Evil: 1"),
            "",
            Err("holds no token"),
        ),
    ] {
        let registry = Registry::start().await;
        registry.put("v1", &image);
        // Layers lie on another host, as they do at ECR.
        let layer = &image.layer_digests()[0];
        let there = format!(
            "http://{}/v2/app/blobs/{layer}?X-Amz-Signature=s3cret",
            elsewhere.address
        );
        registry.fault(layer, usize::MAX, Fault::Redirect(there));
        if let Some(pair) = basic {
            registry.demand_basic(pair);
        }
        if let Some(token) = token {
            registry.demand_token(token);
        }
        let (_dir, store) = new_store();
        let source = ImageSource {
            username: username.to_owned(),
            password: "secret".to_owned(),
            ..registry.source("v1")
        };
        let got = store
            .pull(&source, &amd64())
            .await
            .map(drop)
            .map_err(|error| error.to_string());
        match (&got, want) {
            (Ok(()), Ok(())) => assert_eq!(
                elsewhere.authorizations(),
                [None],
                "{name}: the other host got no credentials"
            ),
            (Err(got), Err(want)) => {
                assert!(got.contains(want), "{name}: {got}");
                assert!(got.starts_with("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "), "{name}: {got}");
                assert!(!got.contains("secret"), "{name}: {got}");
            }
            _ => panic!("{name}: {got:?}"),
        }
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for (name, path, times, fault) in [
        ("busy at the manifest", "/manifests/", 2, Fault::Status(503)),
        (
            "slow down",
            "/manifests/",
            1,
            Fault::Error(429, "TOOMANYREQUESTS"),
        ),
        ("not there yet", "/manifests/", 1, Fault::Status(404)),
        ("busy at the blobs", "/blobs/", 2, Fault::Status(500)),
        ("cut in half", "/blobs/", 2, Fault::CutInHalf),
        ("silent once", "/blobs/", 1, Fault::Silence),
        ("cut manifest", "/manifests/", 1, Fault::CutInHalf),
    ] {
        let registry = Registry::start().await;
        registry.put("v1", &two_layers(&"long ".repeat(50_000)));
        registry.fault(path, times, fault);
        let (dir, store) = new_store();
        let result = store.pull(&registry.source("v1"), &amd64()).await;
        assert!(result.is_ok(), "{name}: {result:?}");
        assert_eq!(left_behind(&dir, &store).await, [2, 1, 0], "{name}");
    }
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_was() {
    let image = two_layers(&"x".repeat(3_000_000));
    for (name, ranges) in [("by range", true), ("without ranges", false)] {
        let registry = Registry::start().await;
        registry.put("v1", &image);
        registry.fault(&image.layer_digests()[1], 1, Fault::CutInHalf);
        if !ranges {
            registry.fault(&image.layer_digests()[1], usize::MAX, Fault::NoRanges);
        }
        let (_dir, store) = new_store();
        store
            .pull(&registry.source("v1"), &amd64())
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn a_dropped_pull_leaves_nothing_and_the_next_one_works() {
    let registry = Registry::start().await;
    let image = two_layers(&"x".repeat(1_000_000));
    registry.put("v1", &image);
    let never = Arc::new(Notify::new());
    registry.fault(&image.layer_digests()[0], 1, Fault::Until(never));
    let (dir, store) = new_store();
    let (source, platform) = (registry.source("v1"), amd64());
    {
        let pull = store.pull(&source, &platform);
        tokio::pin!(pull);
        // Until the layer that never comes was asked for.
        let asked = async {
            let mut seen = 0;
            while seen < 4 {
                seen += registry.requests().len();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            result = &mut pull => panic!("the pull ended: {result:?}"),
            () = asked => {}
        }
    }
    assert_eq!(
        left_behind(&dir, &store).await[1..],
        [0, 0],
        "no image and nothing half done"
    );
    store
        .pull(&source, &platform)
        .await
        .expect("the next pull works");
    let in_use = HashSet::new();
    let all = GcPolicy {
        max_unused_bytes: 0,
        ..GcPolicy::default()
    };
    store
        .collect_garbage(in_use, SystemTime::now(), all)
        .await
        .expect("collected");
    assert_eq!(left_behind(&dir, &store).await, [0, 0, 0]);
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_at_open() {
    let registry = Registry::start().await;
    registry.put("v1", &two_layers("x"));
    let (dir, store) = new_store();
    store
        .pull(&registry.source("v1"), &amd64())
        .await
        .expect("pulled");
    assert!(
        ImageStore::open(&dir.path().join("store"), Limits::default()).is_err(),
        "one process at a time"
    );
    let at = |path: &str| dir.path().join("store").join(path);
    std::fs::create_dir_all(at("tmp/17/fs/half")).expect("mkdir");
    std::fs::create_dir_all(at("layers/junk/fs")).expect("mkdir");
    std::fs::write(at("images/torn"), "{").expect("write");
    let store = reopened(&dir, store).await;
    assert_eq!(left_behind(&dir, &store).await, [2, 1, 0]);

    // The machine lost power before the layer was on disk.
    let layer = std::fs::read_dir(at("layers"))
        .expect("layers")
        .next()
        .expect("a layer")
        .expect("a layer")
        .path();
    let mark = r#"{"bytes":1,"impliedDirs":[],"unsyncedSinceBoot":"another boot"}"#;
    std::fs::write(layer.join("layer.json"), mark).expect("write");
    let store = reopened(&dir, store).await;
    assert_eq!(
        left_behind(&dir, &store).await,
        [1, 0, 0],
        "the layer and the image that needs it"
    );
}
