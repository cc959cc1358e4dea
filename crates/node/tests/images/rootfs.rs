//! Roots mounted for real, in a mount namespace that ends with its thread.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use neargate_files::tree;
use neargate_node::images::{ImageStore, PulledImage, remove_rootfs, unmount_rootfs};
use neargate_testkit::image::{Image, ImageBuilder, Layer};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use tempfile::TempDir;

use crate::registry::Registry;
use crate::{amd64, new_store};

async fn pulled(image: &Image) -> (TempDir, ImageStore, PulledImage) {
    let registry = Registry::start().await;
    registry.put("v1", image);
    let (dir, store) = new_store();
    let pulled = store
        .pull(&registry.source("v1"), &amd64())
        .await
        .expect("pulled");
    (dir, store, pulled)
}

/// Runs the test in a thread whose mounts nobody else sees, and which go with it.
pub fn in_private_namespace<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the thread gets a working directory and mounts of its own, and shares no file descriptor table.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }
                .expect("root may unshare");
            let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
            mount_change("/", private).expect("mounts become private");
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn read(root: &Path, path: &str) -> Option<String> {
    fs::read_to_string(root.join(path)).ok()
}

fn mode(root: &Path, path: &str) -> u32 {
    fs::symlink_metadata(root.join(path)).expect(path).mode() & 0o7777
}

#[tokio::test]
async fn layers_are_stacked_and_writes_stay_in_the_container() {
    let image = ImageBuilder::new()
        .layer(
            Layer::new()
                .dir("etc", 0o755)
                .file("etc/motd", "below", 0o644)
                .file("etc/gone", "x", 0o644)
                .dir("var", 0o755)
                .file("var/old", "x", 0o644)
                .file("opt/a", "x", 0o644),
        )
        .layer(
            Layer::new()
                .dir("etc", 0o711)
                .file("etc/motd", "above", 0o600)
                .whiteout("etc/gone")
                .opaque("var")
                .file("var/new", "y", 0o644)
                .whiteout("opt"),
        )
        .build();
    let (dir, store, image) = pulled(&image).await;
    in_private_namespace(|| {
        let containers = [dir.path().join("one"), dir.path().join("two")];
        let [one, two] = containers
            .each_ref()
            .map(|container| store.mount_rootfs(&image, container).expect("mounted"));
        assert_eq!(read(&one, "etc/motd").as_deref(), Some("above"));
        assert_eq!((mode(&one, "etc"), mode(&one, "etc/motd")), (0o711, 0o600));
        for hidden in ["etc/gone", "var/old", "opt", "opt/a"] {
            assert_eq!(read(&one, hidden), None, "{hidden} is hidden");
            assert!(
                fs::symlink_metadata(one.join(hidden)).is_err(),
                "{hidden} is hidden"
            );
        }
        assert_eq!(read(&one, "var/new").as_deref(), Some("y"));

        fs::write(one.join("etc/motd"), vec![b'x'; 100_000]).expect("write");
        assert_eq!(
            read(&two, "etc/motd").as_deref(),
            Some("above"),
            "another container sees nothing of it"
        );
        let usage = tree::usage(&containers[0].join("upper"), u64::MAX).expect("counted");
        assert!((100_000..120_000).contains(&usage.bytes), "{usage:?}");

        assert_eq!(
            store.mount_rootfs(&image, &containers[0]).expect("again"),
            one,
            "mounting twice is mounting once"
        );
        assert_eq!(read(&one, "etc/motd").map(|text| text.len()), Some(100_000));
        for container in &containers {
            unmount_rootfs(container).expect("unmounted");
            unmount_rootfs(container).expect("unmounting twice is fine");
        }
        assert_eq!(read(&one, "etc/motd"), None);
        store
            .mount_rootfs(&image, &containers[0])
            .expect("mounted anew");
        assert_eq!(
            read(&one, "etc/motd").map(|text| text.len()),
            Some(100_000),
            "what was written is still there"
        );
        remove_rootfs(&containers[0]).expect("removed");
        assert_eq!(
            fs::read_dir(&containers[0]).expect("the directory").count(),
            0
        );
        remove_rootfs(&dir.path().join("never")).expect("nothing to remove is fine");
    });
}

/// Without this, an image with a layer that says nothing of /tmp would have a /tmp that only root can write.
#[tokio::test]
async fn directories_that_a_layer_does_not_mention_keep_their_attributes() {
    let mut home = Layer::header(tar::EntryType::Directory, 0o700);
    home.set_uid(1000);
    let image = ImageBuilder::new()
        .layer(
            Layer::new()
                .dir("./", 0o751)
                .dir("tmp", 0o1777)
                .dir("srv", 0o700)
                .dir("srv/deep", 0o750)
                .entry(home, "home", "", b"")
                .dir("replaced", 0o700),
        )
        .layer(
            Layer::new()
                .file("tmp/x", "x", 0o644)
                .file("srv/deep/er/x", "x", 0o644)
                .file("home/x", "x", 0o644)
                .file("replaced/x", "x", 0o644)
                .opaque("replaced")
                .file("fresh/x", "x", 0o644),
        )
        .layer(Layer::new().file("home/y", "y", 0o644).dir("srv", 0o711))
        .build();
    let (dir, store, image) = pulled(&image).await;
    in_private_namespace(|| {
        let container = dir.path().join("one");
        let root = store.mount_rootfs(&image, &container).expect("mounted");
        for (path, want) in [
            ("", 0o751),
            ("tmp", 0o1777),
            ("srv", 0o711),
            ("srv/deep", 0o750),
            ("srv/deep/er", 0o755),
            ("home", 0o700),
            ("replaced", 0o755),
            ("fresh", 0o755),
        ] {
            assert_eq!(
                format!("{:o}", mode(&root, path)),
                format!("{want:o}"),
                "/{path}"
            );
        }
        assert_eq!(fs::metadata(root.join("home")).expect("home").uid(), 1000);
        assert_eq!(
            read(&root, "home/x").as_deref(),
            Some("x"),
            "the directory still shows its files"
        );
        assert_eq!(read(&root, "srv/deep/er/x").as_deref(), Some("x"));
        remove_rootfs(&container).expect("removed");
    });
}

/// 127 layers is what Docker can build; their paths do not fit into the options of one mount(2).
#[tokio::test]
async fn an_image_of_as_many_layers_as_can_be_built_and_one_without_any_are_mounted() {
    let many = (0..127).fold(ImageBuilder::new(), |builder, number| {
        builder.layer(
            Layer::new()
                .file(&format!("f{number}"), number.to_string(), 0o644)
                .file("top", number.to_string(), 0o644),
        )
    });
    for (name, image, top) in [
        ("many", many.build(), Some("126")),
        ("none", ImageBuilder::new().build(), None),
    ] {
        let (dir, store, image) = pulled(&image).await;
        in_private_namespace(|| {
            let container = dir.path().join("one");
            let root = store.mount_rootfs(&image, &container).expect(name);
            assert_eq!(read(&root, "top").as_deref(), top, "{name}");
            fs::write(root.join("written"), "x").expect("the root can be written");
            remove_rootfs(&container).expect("removed");
        });
    }
}

#[tokio::test]
async fn a_shell_runs_in_the_root_of_a_busybox_image() {
    let image = neargate_testkit::image::busybox().expect("busybox").build();
    let (dir, store, image) = pulled(&image).await;
    in_private_namespace(|| {
        let container = dir.path().join("one");
        let root = store.mount_rootfs(&image, &container).expect("mounted");
        let output = std::process::Command::new("chroot")
            .arg(&root)
            .args([
                "/bin/sh",
                "-c",
                "echo $(cat /etc/passwd | wc -l) > /tmp/lines; cat /tmp/lines",
            ])
            .output()
            .expect("chroot runs");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "3\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        remove_rootfs(&container).expect("removed");
    });
}

/// Docker writes the same empty layer again and again; overlayfs refuses a directory that it has already.
#[tokio::test]
async fn a_layer_may_be_there_twice() {
    let again = || Layer::new().file("motd", "again", 0o644);
    let image = ImageBuilder::new()
        .layer(again())
        .layer(
            Layer::new()
                .file("motd", "between", 0o644)
                .file("kept", "kept", 0o644),
        )
        .layer(again())
        .build();
    let (dir, store, image) = pulled(&image).await;
    in_private_namespace(|| {
        let container = dir.path().join("one");
        let root = store.mount_rootfs(&image, &container).expect("mounted");
        assert_eq!(read(&root, "motd").as_deref(), Some("again"));
        assert_eq!(read(&root, "kept").as_deref(), Some("kept"));
        remove_rootfs(&container).expect("removed");
    });
}
