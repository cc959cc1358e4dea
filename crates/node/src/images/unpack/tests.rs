//! Layers unpacked for real, as root: what lands on disk, and what does not.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use neargate_testkit::image::Layer;
use rustix::fs::lgetxattr;
use tar::EntryType;
use tempfile::TempDir;

use super::*;
use crate::images::Limits;

fn limits() -> UnpackLimits {
    UnpackLimits {
        bytes: 1024 * 1024,
        entries: 100,
        entry_metadata_bytes: 64 * 1024,
        reserved_disk_bytes: 0,
        image: Allowance::new(2 * 1024 * 1024),
    }
}

fn unpack_with(layer: Layer, limits: &UnpackLimits) -> (TempDir, Result<Unpacked, UnpackError>) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let result = unpack(&layer.into_tar()[..], dir.path(), limits);
    (dir, result)
}

fn unpacked(layer: Layer) -> (TempDir, Unpacked) {
    let (dir, result) = unpack_with(layer, &limits());
    (dir, result.expect("the layer is fine"))
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let length = lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

/// What a path is, in one line.
fn describe(root: &Path, path: &str) -> String {
    let path = root.join(path);
    let Ok(metadata) = fs::symlink_metadata(&path) else {
        return "nothing".to_owned();
    };
    let kind = metadata.file_type();
    let mode = metadata.mode() & 0o7777;
    if kind.is_symlink() {
        format!(
            "link to {}",
            fs::read_link(&path).expect("a link").display()
        )
    } else if kind.is_dir() {
        let opaque = if xattr(&path, "trusted.overlay.opaque").is_some() {
            "opaque "
        } else {
            ""
        };
        format!("{opaque}dir {mode:o}")
    } else if kind.is_char_device() {
        if metadata.rdev() == 0 {
            "whiteout".to_owned()
        } else {
            format!("device {mode:o}")
        }
    } else if kind.is_fifo() {
        format!("fifo {mode:o}")
    } else {
        format!(
            "file {mode:o} {}",
            String::from_utf8_lossy(&fs::read(&path).expect("a file"))
        )
    }
}

#[test]
fn entries_become_what_overlayfs_expects() {
    let long = "n".repeat(150);
    let deep = format!("{long}/{long}/file");
    let link_target = "t".repeat(200);
    let layer = || Layer::new();
    for (name, layer, path, want) in [
        (
            "file",
            layer().file("etc/motd", "hi", 0o640),
            "etc/motd",
            "file 640 hi",
        ),
        (
            "setuid file",
            layer().file("su", "", 0o4755),
            "su",
            "file 4755 ",
        ),
        (
            "empty name parts",
            layer().file("./a//b", "x", 0o644),
            "a/b",
            "file 644 x",
        ),
        (
            "absolute name",
            layer().file("/etc/x", "x", 0o644),
            "etc/x",
            "file 644 x",
        ),
        (
            "sticky directory",
            layer().dir("tmp", 0o1777),
            "tmp",
            "dir 1777",
        ),
        (
            "implied parent",
            layer().file("a/b/c", "", 0o644),
            "a/b",
            "dir 755",
        ),
        (
            "parent after child",
            layer().file("a/b", "", 0o644).dir("a", 0o700),
            "a",
            "dir 700",
        ),
        (
            "link",
            layer().symlink("sh", "/bin/busybox"),
            "sh",
            "link to /bin/busybox",
        ),
        (
            "link upwards",
            layer().symlink("a/up", "../../../x"),
            "a/up",
            "link to ../../../x",
        ),
        (
            "long link",
            layer().symlink("l", &link_target),
            "l",
            &format!("link to {link_target}"),
        ),
        (
            "long name",
            layer().file(&deep, "deep", 0o644),
            &deep,
            "file 644 deep",
        ),
        (
            "pax name",
            layer().pax(&[("path", b"pax/name")]).file("x", "p", 0o644),
            "pax/name",
            "file 644 p",
        ),
        (
            "hard link",
            layer().file("a", "same", 0o600).hard_link("b", "a"),
            "b",
            "file 600 same",
        ),
        (
            "absolute hard link",
            layer().file("a", "same", 0o600).hard_link("d/b", "/a"),
            "d/b",
            "file 600 same",
        ),
        (
            "hard link to itself",
            layer().file("a", "same", 0o600).hard_link("a", "a"),
            "a",
            "file 600 same",
        ),
        (
            "whiteout",
            layer().whiteout("etc/motd"),
            "etc/motd",
            "whiteout",
        ),
        ("opaque", layer().opaque("etc"), "etc", "opaque dir 755"),
        (
            "opaque after contents",
            layer().dir("e", 0o700).file("e/x", "", 0o600).opaque("e"),
            "e",
            "opaque dir 700",
        ),
        (
            "hidden and made anew",
            layer().whiteout("d").dir("d", 0o700),
            "d",
            "opaque dir 700",
        ),
        (
            "made and hidden",
            layer().dir("d", 0o700).whiteout("d"),
            "d",
            "opaque dir 700",
        ),
        (
            "hidden and implied anew",
            layer().whiteout("d").file("d/x", "", 0o600),
            "d",
            "opaque dir 755",
        ),
        (
            "hidden file made anew",
            layer().whiteout("f").file("f", "new", 0o600),
            "f",
            "file 600 new",
        ),
        (
            "aufs leftovers",
            layer()
                .file(".wh..wh.plnk/x", "", 0o600)
                .file(".wh..wh.aufs", "", 0o600),
            ".wh..wh.aufs",
            "nothing",
        ),
        (
            "allowed device",
            layer().char_device("dev/null", 1, 3),
            "dev/null",
            "device 666",
        ),
        ("fifo", layer().fifo("run/pipe"), "run/pipe", "fifo 644"),
        (
            "file twice",
            layer().file("a", "one", 0o644).file("a", "two", 0o600),
            "a",
            "file 600 two",
        ),
        (
            "directory for file",
            layer().file("a", "one", 0o644).dir("a", 0o700),
            "a",
            "dir 700",
        ),
        (
            "file for directory",
            layer().file("a/b/c", "x", 0o644).file("a", "f", 0o600),
            "a",
            "file 600 f",
        ),
        (
            "directory twice",
            layer()
                .dir("a", 0o755)
                .file("a/b", "kept", 0o600)
                .dir("a", 0o711),
            "a/b",
            "file 600 kept",
        ),
        (
            "file through a link inside",
            layer()
                .dir("usr/lib", 0o755)
                .symlink("lib", "usr/lib")
                .file("lib/x", "x", 0o644),
            "usr/lib/x",
            "file 644 x",
        ),
        (
            "file through an absolute link",
            layer()
                .dir("run", 0o755)
                .symlink("var/run", "/run")
                .file("var/run/x", "x", 0o644),
            "run/x",
            "file 644 x",
        ),
        (
            "file instead of a link",
            layer()
                .file("a", "old", 0o600)
                .symlink("l", "a")
                .file("l", "new", 0o644),
            "a",
            "file 600 old",
        ),
        (
            "global pax header",
            layer()
                .entry(Layer::header(EntryType::XGlobalHeader, 0), "g", "", b"")
                .file("f", "", 0o600),
            "f",
            "file 600 ",
        ),
    ] {
        let (dir, result) = unpack_with(layer, &limits());
        assert!(result.is_ok(), "{name}: {result:?}");
        assert_eq!(describe(dir.path(), path), want, "{name}");
    }
}

#[test]
fn hostile_layers_are_refused_and_nothing_outside_is_touched() {
    let outside = tempfile::tempdir().expect("temporary directory");
    let victim = outside.path().join("victim");
    let victim_path = victim.to_str().expect("UTF-8").to_owned();
    let outside_path = outside.path().to_str().expect("UTF-8").to_owned();
    // From a temporary directory of the same depth, this leads to the victim's directory.
    let up = format!(
        "../{}",
        outside
            .path()
            .file_name()
            .expect("a name")
            .to_str()
            .expect("UTF-8")
    );
    let layer = || Layer::new();
    let mut bad_checksum = layer().file("a", "x", 0o644).into_tar();
    bad_checksum[0] ^= 1;
    let mut cut = layer().file("a", vec![1; 4096], 0o644).into_tar();
    cut.truncate(1024);
    let many = (0..200).fold(layer(), |layer, number| {
        layer.file(&format!("f{number}"), "", 0o644)
    });
    let mut sparse = Layer::header(EntryType::GNUSparse, 0o644);
    let gnu = sparse.as_gnu_mut().expect("a GNU header");
    gnu.sparse[0].set_offset(1 << 40);
    gnu.sparse[0].set_length(0);
    gnu.set_real_size(1 << 40);
    let mut far_user = Layer::header(EntryType::Regular, 0o644);
    far_user.set_uid(u64::from(u32::MAX));
    for (name, layer, want) in [
        (
            "traversal",
            layer().file(&format!("{up}/victim"), "x", 0o644),
            "leaves the image's root",
        ),
        (
            "traversal inside",
            layer().file("a/../../victim", "x", 0o644),
            "leaves the image's root",
        ),
        (
            "directory upwards",
            layer().dir("../x", 0o755),
            "leaves the image's root",
        ),
        (
            "link out, then through it",
            layer().symlink("l", &up).file("l/victim", "x", 0o644),
            "leaves the image's root",
        ),
        (
            "absolute link, then through it",
            layer()
                .symlink("l", &outside_path)
                .file("l/victim", "x", 0o644),
            "write l",
        ),
        (
            "link to a link out",
            layer()
                .symlink("m", "..")
                .symlink("l", &format!("m/{up}"))
                .file("l/victim", "x", 0o644),
            "leaves the image's root",
        ),
        (
            "directory through a link out",
            layer().symlink("l", &up).dir("l/sub", 0o755),
            "leaves the image's root",
        ),
        (
            "whiteout through a link out",
            layer().symlink("l", &up).whiteout("l/victim"),
            "leaves the image's root",
        ),
        (
            "opaque through a link out",
            layer().symlink("l", &up).opaque("l"),
            "leaves the image's root",
        ),
        (
            "link loop",
            layer()
                .symlink("a", "b")
                .symlink("b", "a")
                .file("a/x", "", 0o644),
            "symbolic links",
        ),
        (
            "magic link",
            layer()
                .symlink("p", "/proc/self/root")
                .file("p/x", "", 0o644),
            "write p",
        ),
        (
            "hard link out",
            layer().hard_link("h", "../../etc/passwd"),
            "leaves the image's root",
        ),
        (
            "hard link to a host file",
            layer().hard_link("h", &victim_path),
            "no hard link",
        ),
        (
            "hard link through a link out",
            layer().symlink("l", &up).hard_link("h", "l/victim"),
            "leaves the image's root",
        ),
        (
            "hard link to a directory",
            layer().dir("d", 0o755).hard_link("h", "d"),
            "write h",
        ),
        (
            "hard link to nothing",
            layer().hard_link("h", "absent"),
            "no hard link",
        ),
        (
            "block device",
            layer().block_device("dev/sda", 8, 0),
            "device that an image may not hold",
        ),
        (
            "memory device",
            layer().char_device("dev/mem", 1, 1),
            "device that an image may not hold",
        ),
        (
            "forged whiteout",
            layer().char_device("etc", 0, 0),
            "device that an image may not hold",
        ),
        (
            "forged opaque",
            layer().file_with_xattrs("f", "", 0o644, &[("trusted.overlay.opaque", b"y")]),
            "belongs to the node",
        ),
        (
            "forged redirect",
            layer().file_with_xattrs("f", "", 0o644, &[("trusted.overlay.redirect", b"/x")]),
            "belongs to the node",
        ),
        (
            "whiteout of the parent",
            layer().file("a/.wh...", "", 0o644),
            "a whiteout of no file",
        ),
        (
            "whiteout of nothing",
            layer().file("a/.wh.", "", 0o644),
            "a whiteout of no file",
        ),
        (
            "zero byte in a name",
            layer().pax(&[("path", b"a\0b")]).file("x", "", 0o644),
            "zero byte",
        ),
        (
            "file below a file",
            layer().file("a", "", 0o644).file("a/b", "", 0o644),
            "write a/b",
        ),
        (
            "file as the root",
            layer().file("./", "x", 0o644),
            "only a directory",
        ),
        (
            "link to nowhere",
            layer().symlink("l", ""),
            "a link to nowhere",
        ),
        (
            "unknown type",
            layer().entry(Layer::header(EntryType::new(b'V'), 0o644), "v", "", b""),
            "unknown type",
        ),
        (
            "user out of range",
            layer().entry(far_user, "f", "", b""),
            "user id is out of range",
        ),
        (
            "pax sparse",
            layer()
                .pax(&[("GNU.sparse.major", b"1")])
                .file("x", "", 0o644),
            "sparse file in PAX",
        ),
        (
            "pax time",
            layer().pax(&[("mtime", b"soon")]).file("x", "", 0o644),
            "mtime is not a number",
        ),
        (
            "large file",
            layer().file("f", vec![0; 2 << 20], 0o644),
            "more than 1048576 bytes",
        ),
        (
            "huge hole",
            layer().entry(sparse, "f", "", b""),
            "more than 1048576 bytes",
        ),
        ("many entries", many, "more than 100 files"),
        (
            "many implied directories",
            layer().file(&"d/".repeat(200), "", 0o644),
            "more than 100 files",
        ),
        (
            "large attributes",
            layer()
                .pax(&[("comment", &vec![b'x'; 70_000])])
                .file("f", "", 0o644),
            "more than 65536 bytes of names",
        ),
        (
            "large name",
            layer().file(&"n/".repeat(50_000), "", 0o644),
            "more than 65536 bytes of names",
        ),
        (
            "long component",
            layer().file(&"n".repeat(300), "", 0o644),
            "file name too long",
        ),
        ("bad checksum", Layer::raw(bad_checksum), "damaged"),
        ("cut in a file", Layer::raw(cut), "ends in the middle"),
        ("no archive", Layer::raw(b"hello".repeat(300)), "damaged"),
    ] {
        fs::write(&victim, "untouched").expect("write");
        let (_dir, result) = unpack_with(layer, &limits());
        let error = result
            .map(|_| "unpacked".to_owned())
            .unwrap_or_else(|error| error.to_string());
        assert!(error.contains(want), "{name}: {error}");
        assert_eq!(
            fs::read_to_string(&victim).expect("the victim"),
            "untouched",
            "{name}"
        );
        assert_eq!(
            fs::read_dir(outside.path()).expect("a directory").count(),
            1,
            "{name}"
        );
        assert_eq!(
            xattr(outside.path(), "trusted.overlay.opaque"),
            None,
            "{name}"
        );
    }
}

#[test]
fn owners_times_and_attributes_are_kept() {
    // A capability set as setcap writes it: cap_net_bind_service, effective and permitted, version 2.
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut owned_dir = Layer::header(EntryType::Directory, 0o750);
    owned_dir.set_uid(1000);
    owned_dir.set_mtime(5000);
    let layer = Layer::new()
        .entry(owned_dir, "home", "", b"")
        .file_of("home/app", "x", 0o4711, 1000, 70_000)
        .file_with_xattrs(
            "ping",
            "x",
            0o755,
            &[
                ("security.capability", capability),
                ("user.note", b"n"),
                ("security.selinux", b"system_u:object_r:bin_t:s0"),
            ],
        )
        .pax(&[("mtime", b"1350244992.5"), ("uid", b"3000000")])
        .file("timed", "x", 0o644);
    let (dir, unpacked) = unpacked(layer);
    let stat = |path: &str| fs::symlink_metadata(dir.path().join(path)).expect(path);
    let owner = |path: &str| {
        (
            stat(path).uid(),
            stat(path).gid(),
            stat(path).mode() & 0o7777,
        )
    };
    assert_eq!(owner("home"), (1000, 0, 0o750));
    assert_eq!(
        stat("home").mtime(),
        5000,
        "a file made in it later does not change a directory's time"
    );
    assert_eq!(
        owner("home/app"),
        (1000, 70_000, 0o4711),
        "the setuid bit survives the change of owner"
    );
    assert_eq!(
        xattr(&dir.path().join("ping"), "security.capability").as_deref(),
        Some(capability)
    );
    assert_eq!(
        xattr(&dir.path().join("ping"), "user.note").as_deref(),
        Some(&b"n"[..])
    );
    assert_eq!(
        (stat("timed").mtime(), stat("timed").mtime_nsec()),
        (1_350_244_992, 500_000_000)
    );
    assert_eq!(stat("timed").uid(), 3_000_000);
    assert_eq!(
        unpacked.implied_dirs,
        [Path::new("")],
        "only the root had no entry"
    );
}

#[test]
fn implied_directories_are_reported_until_an_entry_names_them() {
    let layer = Layer::new()
        .dir("./", 0o711)
        .file("a/b/c", "", 0o644)
        .file("x/y/z", "", 0o644)
        .dir("a", 0o700)
        .file("x", "", 0o600);
    let (dir, unpacked) = unpacked(layer);
    assert_eq!(unpacked.implied_dirs, [Path::new("a/b")]);
    assert_eq!(describe(dir.path(), ""), "dir 711");
}

#[test]
fn holes_of_a_sparse_file_stay_holes() {
    let mut header = Layer::header(EntryType::GNUSparse, 0o644);
    let gnu = header.as_gnu_mut().expect("a GNU header");
    gnu.sparse[0].set_offset(0);
    gnu.sparse[0].set_length(512);
    gnu.sparse[1].set_offset(512 * 1024);
    gnu.sparse[1].set_length(0);
    gnu.set_real_size(512 * 1024);
    let (dir, _) = unpacked(Layer::new().entry(header, "f", "", &[7; 512]));
    let file = dir.path().join("f");
    let bytes = fs::read(&file).expect("the file");
    assert_eq!(
        (
            bytes.len(),
            &bytes[..512],
            bytes[512..].iter().all(|byte| *byte == 0)
        ),
        (512 * 1024, &[7; 512][..], true)
    );
    assert!(fs::metadata(&file).expect("the file").blocks() * 512 < 512 * 1024);
}

#[test]
fn the_digest_is_over_the_whole_stream_and_an_image_has_one_allowance() {
    let mut tar = Layer::new().file("a", vec![1; 300_000], 0o644).into_tar();
    tar.extend_from_slice(b"what tar pads with");
    let dir = tempfile::tempdir().expect("temporary directory");
    let done = unpack(&tar[..], dir.path(), &limits()).expect("unpacked");
    assert_eq!(
        (done.diff_id, done.bytes),
        (Digest::of(&tar), tar.len() as u64)
    );

    let limits = UnpackLimits::new(&Limits::default(), Allowance::new(500_000));
    let layer = || Layer::new().file("a", vec![1; 300_000], 0o644);
    assert!(unpack_with(layer(), &limits).1.is_ok());
    let error = unpack_with(layer(), &limits)
        .1
        .expect_err("the second layer is too much")
        .to_string();
    assert_eq!(error, "the image unpacks to more than 500000 bytes");
}

#[test]
fn a_disk_that_is_almost_full_counts_as_full() {
    let limits = UnpackLimits {
        reserved_disk_bytes: u64::MAX,
        ..limits()
    };
    let error = unpack_with(Layer::new().file("a", "x", 0o644), &limits)
        .1
        .expect_err("no space")
        .to_string();
    assert_eq!(error, "write a: no space left on device");
}

/// The archives of other tests come from our own test kit, which could share a misunderstanding with the unpacker.
#[test]
fn what_gnu_tar_writes_is_read_in_every_format() {
    let source = tempfile::tempdir().expect("temporary directory");
    let at = |path: &str| source.path().join(path);
    let long = format!("{}/{}", "d".repeat(80), "e".repeat(60));
    fs::create_dir_all(at(&long)).expect("mkdir");
    fs::write(at(&long).join("file"), "deep").expect("write");
    fs::hard_link(at(&long).join("file"), at("again")).expect("link");
    std::os::unix::fs::symlink("l".repeat(90), at("link")).expect("symlink");
    let holes = fs::File::create(at("holes")).expect("create");
    std::os::unix::fs::FileExt::write_all_at(&holes, b"end", 300_000).expect("write");
    for (format, options) in [
        ("gnu", "--sparse"),
        ("posix", "--xattrs"),
        ("ustar", "--no-xattrs"),
        ("oldgnu", "--sparse"),
    ] {
        let output = std::process::Command::new("tar")
            .args([
                "-C",
                source.path().to_str().expect("UTF-8"),
                "--format",
                format,
                options,
                "-cf",
                "-",
                ".",
            ])
            .output()
            .expect("tar runs");
        assert!(
            output.status.success(),
            "{format}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let (dir, _) = unpacked(Layer::raw(output.stdout));
        assert_eq!(
            describe(dir.path(), &format!("{long}/file")),
            "file 644 deep",
            "{format}"
        );
        let inode = |path: &str| fs::metadata(dir.path().join(path)).expect(path).ino();
        assert_eq!(
            inode("again"),
            inode(&format!("{long}/file")),
            "{format}: a hard link"
        );
        assert_eq!(
            describe(dir.path(), "link"),
            format!("link to {}", "l".repeat(90)),
            "{format}"
        );
        let holes = fs::read(dir.path().join("holes")).expect("the file");
        assert_eq!(
            (holes.len(), &holes[300_000..]),
            (300_003, &b"end"[..]),
            "{format}"
        );
    }
}
