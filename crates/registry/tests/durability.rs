//! What a restart, the collector, concurrency and a full disk leave behind.

mod support;

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{Method, Request, StatusCode};
use neargate_registry::{GcReport, ImageRef, PutManifest, RegistryError, Tag};
use neargate_testkit::image::digest_of;
use support::{Fixture, name, scope};

#[tokio::test]
async fn an_upload_goes_on_after_a_restart_and_no_half_blob_is_seen() {
    let f = Fixture::new().await;
    f.create("app").await;
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    let location = started.header("location").to_owned();
    f.call(Method::PATCH, &location, "01234").await;
    // A second one is cut off in the middle of its body.
    let broken = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    let broken = broken.header("location").to_owned();
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(b"012")),
        Err(std::io::Error::other("the connection broke")),
    ]);
    let cut = f
        .call(Method::PATCH, &broken, Body::from_stream(pieces))
        .await;
    assert_eq!(
        (cut.status.as_u16(), cut.code().as_str()),
        (400, "BLOB_UPLOAD_INVALID")
    );

    let Fixture {
        registry,
        dir,
        router,
    } = f;
    drop((registry, router));
    let f = Fixture::on(dir, |_| {}).await;
    for (uri, range) in [(&location, "0-4"), (&broken, "0-2")] {
        let status = f.call(Method::GET, uri, "").await;
        assert_eq!(status.header("range"), range, "{uri}");
    }
    let digest = digest_of(b"0123456789");
    let blob = format!("/v2/app/blobs/{digest}");
    assert_eq!(
        f.call(Method::HEAD, &blob, "").await.status,
        StatusCode::NOT_FOUND
    );
    let put = Request::put(format!("{location}?digest={digest}")).header("content-range", "5-9");
    assert_eq!(f.send(put, "56789").await.status, StatusCode::CREATED);
    assert_eq!(f.call(Method::GET, &blob, "").await.body, b"0123456789");
}

#[tokio::test]
async fn images_are_there_after_a_restart() {
    let f = Fixture::new().await;
    f.create("app").await;
    let digest = f.push_image("app", "v1", b"layer").await;
    let Fixture {
        registry,
        dir,
        router,
    } = f;
    drop((registry, router));
    let f = Fixture::on(dir, |_| {}).await;
    let head = f.call(Method::HEAD, "/v2/app/manifests/v1", "").await;
    assert_eq!(head.header("docker-content-digest"), digest);
}

#[tokio::test]
async fn the_collector_takes_what_nothing_needs_and_nothing_else() {
    let f = Fixture::with(|config| {
        config.blob_grace = Duration::ZERO;
        config.blob_seen_grace = Duration::ZERO;
    })
    .await;
    f.create("app")
        .await
        .create("other")
        .await
        .create("gone")
        .await;
    f.push_image("app", "v1", b"used").await;
    f.push_blob("app", b"dangling").await;
    f.push_blob("other", b"dangling in one, used in another")
        .await;
    f.push_image("app", "v2", b"dangling in one, used in another")
        .await;
    f.push_image("gone", "v1", b"of a deleted repository").await;
    f.registry
        .delete_repository(&scope(), &name("gone"), true)
        .await
        .expect("deleted");
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    f.call(Method::PATCH, started.header("location"), "in progress")
        .await;

    let report = f.registry.collect_garbage().await.expect("a collection");
    assert_eq!(
        report,
        GcReport {
            links: 2,
            files: 2,
            uploads: 0
        }
    );
    for (repository, content, want) in [
        ("app", "used", 200),
        ("app", "{}", 200),
        ("app", "dangling in one, used in another", 200),
        ("other", "dangling in one, used in another", 404),
        ("app", "dangling", 404),
    ] {
        let uri = format!("/v2/{repository}/blobs/{}", digest_of(content.as_bytes()));
        assert_eq!(
            f.call(Method::GET, &uri, "").await.status.as_u16(),
            want,
            "{repository}: {content}"
        );
    }
    let upload = f.call(Method::GET, started.header("location"), "").await;
    assert_eq!(upload.header("range"), "0-10");
    let again = f.registry.collect_garbage().await.expect("a collection");
    assert_eq!(again, GcReport::default());
}

#[tokio::test]
async fn blobs_of_a_push_outlive_a_collection_in_its_middle() {
    for (case, blob_grace, seen_grace) in [
        ("just pushed", Duration::from_secs(60), Duration::ZERO),
        (
            "old, and just asked for",
            Duration::ZERO,
            Duration::from_secs(60),
        ),
    ] {
        let f = Fixture::with(|config| {
            config.blob_grace = blob_grace;
            config.blob_seen_grace = seen_grace;
        })
        .await;
        f.create("app").await;
        let manifest = f.image("app", b"layer").await;
        f.registry.collect_garbage().await.expect("a collection");
        f.push_manifest("app", "v1", &manifest).await;
        let pulled = f
            .call(
                Method::GET,
                &format!("/v2/app/blobs/{}", digest_of(b"layer")),
                "",
            )
            .await;
        assert_eq!(pulled.body, b"layer", "{case}");
    }
}

#[tokio::test]
async fn uploads_left_behind_are_swept() {
    let f = Fixture::with(|config| config.upload_ttl = Duration::ZERO).await;
    f.create("app").await;
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    let report = f.registry.collect_garbage().await.expect("a collection");
    assert_eq!(report.uploads, 1);
    let gone = f.call(Method::GET, started.header("location"), "").await;
    assert_eq!(gone.code(), "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_collections_and_deletions_at_once_lose_no_image() {
    let f = Fixture::with(|config| {
        config.blob_grace = Duration::ZERO;
        config.blob_seen_grace = Duration::ZERO;
    })
    .await;
    f.create("app").await;
    let config = f.push_blob("app", b"{}").await;
    let f = &f;
    let pushes = futures_util::stream::iter(0..24).map(|i| {
        let config = &config;
        async move {
            // Pushed again until the collector does not come between blob and manifest.
            loop {
                let layer = format!("layer {i}");
                let digest = f.push_blob("app", layer.as_bytes()).await;
                f.push_blob("app", b"{}").await;
                let manifest = serde_json::json!({
                    "schemaVersion": 2,
                    "config": {"mediaType": "c", "digest": config, "size": 2},
                    "layers": [{"mediaType": "l", "digest": digest, "size": layer.len()}],
                });
                let put = PutManifest {
                    bytes: manifest.to_string().into(),
                    media_type: None,
                    digest: None,
                    tags: vec![Tag::parse(&format!("t{i}")).expect("a tag")],
                    must_be_new: false,
                };
                match f.registry.put_manifest(&scope(), &name("app"), &put).await {
                    Ok(_) => return,
                    Err(RegistryError::LayersUnknown(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    let collections = async {
        for _ in 0..20 {
            f.registry.collect_garbage().await.expect("a collection");
        }
    };
    futures_util::future::join(pushes.buffer_unordered(8).collect::<Vec<()>>(), collections).await;
    f.registry.collect_garbage().await.expect("a collection");
    let images = f
        .registry
        .images(&scope(), &name("app"))
        .await
        .expect("images");
    assert_eq!(images.len(), 24);
    for image in &images {
        for blob in &image.blobs {
            let uri = format!("/v2/app/blobs/{blob}");
            let answer = f.call(Method::GET, &uri, "").await;
            assert_eq!(digest_of(&answer.body), blob.as_str());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_immutable_tag_pushed_by_many_at_once_goes_to_one() {
    let f = Fixture::new().await;
    f.create("app").await;
    f.registry
        .update_repository::<_, RegistryError>(&scope(), &name("app"), &|record| {
            record.tag_rule.mutability = neargate_registry::Mutability::Immutable;
            Ok(())
        })
        .await
        .expect("an update");
    let f = &f;
    let statuses: Vec<u16> = futures_util::stream::iter(0..8)
        .map(|i| async move {
            let manifest = f.image("app", format!("layer {i}").as_bytes()).await;
            f.call(Method::PUT, "/v2/app/manifests/v1", manifest.to_string())
                .await
                .status
                .as_u16()
        })
        .buffer_unordered(8)
        .collect()
        .await;
    assert_eq!(
        statuses.iter().filter(|s| **s == 201).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|s| **s == 400).count(),
        7,
        "{statuses:?}"
    );
}

#[tokio::test]
async fn a_pull_is_recorded_once_a_day() {
    let f = Fixture::new().await;
    f.create("app").await;
    f.push_image("app", "v1", b"layer").await;
    let (scope, app) = (scope(), name("app"));
    let reference = ImageRef::tag(Tag::parse("v1").expect("a tag"));
    let digest = f
        .registry
        .image(&scope, &app, &reference)
        .await
        .expect("an image")
        .digest;
    assert!(
        f.registry
            .pull_times(&scope, &app)
            .await
            .expect("times")
            .is_empty()
    );
    f.registry
        .record_pull(&scope, &app, &digest)
        .await
        .expect("recorded");
    let first = f.registry.pull_times(&scope, &app).await.expect("times");
    f.registry
        .record_pull(&scope, &app, &digest)
        .await
        .expect("recorded");
    assert_eq!(
        f.registry.pull_times(&scope, &app).await.expect("times"),
        first
    );
    assert!(first.contains_key(&digest));
}

/// Without this each restart would give a client as many uploads again.
#[tokio::test]
async fn uploads_of_before_a_restart_count() {
    let f = Fixture::new().await;
    f.create("app").await;
    let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    let uploads = f.dir.path().join("registry/000000000000/us-east-1/uploads");
    let left = std::fs::read_dir(&uploads).expect("listed").count();
    for number in left..neargate_registry::MAX_OPEN_UPLOADS {
        std::fs::write(uploads.join(number.to_string()), "").expect("written");
    }
    let Fixture {
        dir,
        registry,
        router,
    } = f;
    drop((registry, router));
    let f = Fixture::on(dir, |_| {}).await;
    let refused = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let location = started.header("location");
    let goes_on = f.call(Method::PATCH, location, "01234").await;
    assert_eq!(goes_on.status, StatusCode::ACCEPTED);
    assert_eq!(
        f.call(Method::DELETE, location, "").await.status,
        StatusCode::NO_CONTENT
    );
    let begun = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
    assert_eq!(begun.status, StatusCode::ACCEPTED);
}

/// Without this the client of a full registry would see a broken connection, and the next push a corrupt upload.
#[test]
fn a_full_disk_is_an_error_and_the_upload_goes_on_when_there_is_space() {
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};
    const NONE: Option<&str> = None;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let blobs = dir.path().join("registry");
    std::fs::create_dir(&blobs).expect("a directory");
    // The mount is seen by this thread and those it starts only, and goes with them.
    unshare(CloneFlags::CLONE_NEWNS).expect("root is needed for a mount namespace");
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).expect("private mounts");
    mount(
        Some("tmpfs"),
        &blobs,
        Some("tmpfs"),
        MsFlags::empty(),
        Some("size=4m"),
    )
    .expect("a tmpfs");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let dir = runtime.block_on(async {
        let f = Fixture::on(dir, |_| {}).await;
        f.create("app").await;
        let ballast = blobs.join("ballast");
        let started = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
        let location = started.header("location").to_owned();
        f.call(Method::PATCH, &location, "01234").await;
        std::fs::write(&ballast, vec![0; 3 << 20]).expect("space for the ballast");
        let full = f.call(Method::PATCH, &location, vec![b'x'; 2 << 20]).await;
        assert_eq!(
            (full.status.as_u16(), full.code().as_str()),
            (507, "UNKNOWN")
        );
        assert!(String::from_utf8_lossy(&full.body).contains("disk is full"));
        let status = f.call(Method::GET, &location, "").await;
        assert_eq!(status.header("range"), "0-4");
        // One that is never ended leaves what is reserved.
        let endless = f.call(Method::POST, "/v2/app/blobs/uploads/", "").await;
        let endless = endless.header("location").to_owned();
        while f
            .call(Method::PATCH, &endless, vec![b'x'; 64 << 10])
            .await
            .status
            == StatusCode::ACCEPTED
        {}
        let disk = nix::sys::statvfs::statvfs(&blobs).expect("a disk");
        let free = disk.blocks_available() * disk.fragment_size();
        assert!((200 << 10..300 << 10).contains(&free), "{free}");
        f.call(Method::DELETE, &endless, "").await;
        std::fs::remove_file(&ballast).expect("the ballast");
        let mut content = b"01234".to_vec();
        content.extend(vec![b'x'; 2 << 20]);
        let uri = format!("{location}?digest={}", digest_of(&content));
        let put = f.call(Method::PUT, &uri, vec![b'x'; 2 << 20]).await;
        assert_eq!(put.status, StatusCode::CREATED, "{}", put.code());
        f.dir
    });
    nix::mount::umount(&blobs).expect("nothing is open there");
    drop(dir);
}
