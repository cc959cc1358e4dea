//! Collecting what no task uses, also while images are being pulled.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use neargate_node::images::{Digest, GcPolicy, Image as NodeImage};
use neargate_testkit::image::{Image, ImageBuilder, Layer};

use crate::registry::Registry;
use crate::{amd64, left_behind, new_store};

/// Everything that is not in use.
const ALL: GcPolicy = GcPolicy {
    max_unused_age: Duration::from_secs(3600),
    max_unused_bytes: 0,
};

fn image(tag: &str) -> Image {
    ImageBuilder::new()
        .layer(Layer::new().file("base", vec![7; 100_000], 0o644))
        .layer(Layer::new().file("own", tag, 0o644))
        .build()
}

#[tokio::test]
async fn images_in_use_and_the_layers_they_share_stay() {
    let registry = Registry::start().await;
    let (dir, store) = new_store();
    for tag in ["a", "b", "c"] {
        registry.put(tag, &image(tag));
        store
            .pull(&registry.source(tag), &amd64())
            .await
            .expect(tag);
    }
    let collect = |used: &[&str], policy: GcPolicy, later: u64| {
        let in_use: HashSet<Digest> = used
            .iter()
            .map(|tag| image(tag).digest().parse().expect("a digest"))
            .collect();
        store.collect_garbage(
            in_use,
            SystemTime::now() + Duration::from_secs(later),
            policy,
        )
    };
    let generous = GcPolicy {
        max_unused_bytes: 1 << 30,
        ..ALL
    };
    for (name, used, policy, later, want) in [
        (
            "nothing is old or large",
            &[][..],
            generous.clone(),
            0,
            [4, 3, 0],
        ),
        ("all in use", &["a", "b", "c"], ALL, 7200, [4, 3, 0]),
        ("one image of three", &["a", "b"], ALL, 0, [3, 2, 0]),
        (
            "the shared layer is another's",
            &["a"],
            generous,
            20_000,
            [2, 1, 0],
        ),
        ("none", &[], ALL, 0, [0, 0, 0]),
        ("empty already", &[], ALL, 0, [0, 0, 0]),
    ] {
        collect(used, policy, later).await.expect(name);
        assert_eq!(left_behind(&dir, &store).await, want, "{name}");
    }
}

#[tokio::test]
async fn what_was_used_last_stays_when_there_is_room_for_some() {
    let registry = Registry::start().await;
    let (_dir, store) = new_store();
    for tag in ["a", "b", "c"] {
        registry.put(tag, &image(tag));
        store
            .pull(&registry.source(tag), &amd64())
            .await
            .expect(tag);
    }
    let room_for_one = GcPolicy {
        max_unused_bytes: 105_000,
        ..ALL
    };
    let report = store
        .collect_garbage(HashSet::new(), SystemTime::now(), room_for_one)
        .await
        .expect("collected");
    let gone: Vec<&str> = report.images.iter().map(Digest::as_str).collect();
    assert_eq!(gone.len(), 2, "{report:?}");
    assert!(
        !gone.contains(&image("c").digest()),
        "the last one pulled stays"
    );
    assert_eq!(report.layers, 2, "the shared layer stays");
}

/// Otherwise an image that a task used for a month would go with the task.
#[tokio::test]
async fn the_age_of_an_image_begins_when_its_last_task_ends() {
    let registry = Registry::start().await;
    registry.put("a", &image("a"));
    let (dir, store) = new_store();
    store
        .pull(&registry.source("a"), &amd64())
        .await
        .expect("pulled");
    let in_use = || HashSet::from([image("a").digest().parse::<Digest>().expect("a digest")]);
    let generous = GcPolicy {
        max_unused_bytes: 1 << 30,
        ..ALL
    };
    let now = SystemTime::now();
    let at = |hours: u64| now + Duration::from_secs(hours * 3600);
    for (name, used, hours, want) in [
        ("in use for long", in_use(), 100, [2, 1, 0]),
        ("just ended", HashSet::new(), 100, [2, 1, 0]),
        ("ended an hour ago", HashSet::new(), 101, [0, 0, 0]),
    ] {
        store
            .collect_garbage(used, at(hours), generous.clone())
            .await
            .expect(name);
        assert_eq!(left_behind(&dir, &store).await, want, "{name}");
    }
}

#[tokio::test]
async fn who_holds_an_image_keeps_it() {
    let registry = Registry::start().await;
    registry.put("a", &image("a"));
    let (dir, store) = new_store();
    let pulled = store
        .pull(&registry.source("a"), &amd64())
        .await
        .expect("pulled");
    store
        .collect_garbage(HashSet::new(), SystemTime::now(), ALL)
        .await
        .expect("collected");
    assert_eq!(left_behind(&dir, &store).await, [2, 1, 0]);
    drop(pulled);
    let report = store
        .collect_garbage(HashSet::new(), SystemTime::now(), ALL)
        .await
        .expect("collected");
    assert_eq!((report.images.len(), report.layers), (1, 2));
    assert!(report.bytes > 100_000);
    assert_eq!(left_behind(&dir, &store).await, [0, 0, 0]);
}

/// Whatever the order in which they meet, an image that a pull answered is whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_collection_never_takes_what_a_pull_counts_on() {
    let registry = Registry::start().await;
    let (dir, store) = new_store();
    let tags = ["a", "b", "c", "d"];
    for tag in tags {
        registry.put(tag, &image(tag));
    }
    // Told to end and not aborted: what an aborted collection had begun to remove would go on being removed.
    let done = Arc::new(AtomicBool::new(false));
    let collector = {
        let (store, done) = (store.clone(), done.clone());
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                store
                    .collect_garbage(HashSet::new(), SystemTime::now(), ALL)
                    .await
                    .expect("collected");
                tokio::task::yield_now().await;
            }
        })
    };
    let rounds = tags.map(|tag| {
        let (store, source) = (store.clone(), registry.source(tag));
        let root = dir.path().join("store/layers");
        tokio::spawn(async move {
            for _ in 0..40 {
                let pulled = store.pull(&source, &amd64()).await.expect("pulled");
                let image: &NodeImage = &pulled;
                for layer in &image.layers {
                    assert!(
                        root.join(layer.diff_id.hex()).join("fs").is_dir(),
                        "{tag}: a layer is missing"
                    );
                }
            }
        })
    });
    for round in rounds {
        round.await.expect("no round failed");
    }
    done.store(true, Ordering::Relaxed);
    collector.await.expect("no collection failed");
    store
        .collect_garbage(HashSet::new(), SystemTime::now(), ALL)
        .await
        .expect("collected");
    assert_eq!(left_behind(&dir, &store).await, [0, 0, 0]);
}
