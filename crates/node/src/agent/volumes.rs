//! What an image has at the place of a volume is in the volume at first, as Docker does it: an image that declares
//! `VOLUME /data` finds its seed there, with the owner and mode that it gave the directory.
//!
//! Source: developer guide, "Using bind mounts": only for paths that the image declares, into an empty task-scoped
//! volume, unless it is mounted read-only.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use neargate_node_api as node;
use pathrs::flags::OpenFlags;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::bundle::{Prepared, TaskDir};
use super::start::StartError;

/// Images declare a handful. What an image that declares more of them asks for is not made.
const MAX_DECLARED: usize = 1000;

/// Fills the volumes that a container is the first to use. Nothing of the task runs yet, so the trees stand still.
pub fn fill(dir: &TaskDir<'_>, prepared: &Prepared<'_>) -> Result<(), StartError> {
    let name = &prepared.container.name;
    for mount in &prepared.container.mount_points {
        if !declares(&prepared.image.config.volumes, mount) {
            continue;
        }
        fill_one(
            &prepared.rootfs,
            &mount.container_path,
            &dir.volume(&mount.source_volume),
        )
        .map_err(|error| {
            let reason = format!("CannotCreateVolumeError: {}: {error}", mount.container_path);
            StartError::container(name, reason)
        })?;
    }
    Ok(())
}

/// Makes the directories of `VOLUME` that the image lacks, as Docker does: programs write there without a second thought.
/// Never outside of the image, whatever links it holds.
pub fn make_declared(prepared: &Prepared<'_>) -> Result<(), StartError> {
    let volumes = &prepared.image.config.volumes;
    make_missing(&prepared.rootfs, volumes.iter().take(MAX_DECLARED)).map_err(|error| {
        let reason = format!("CannotCreateContainerError: a volume of the image: {error}");
        StartError::container(&prepared.container.name, reason)
    })
}

fn make_missing<'a>(
    rootfs: &Path,
    paths: impl Iterator<Item = &'a String>,
) -> Result<(), pathrs::error::Error> {
    let root = pathrs::Root::open(rootfs)?;
    for path in paths {
        // What is there is left as it is, a file too. One that cannot be made, as behind a link to nowhere, keeps nobody
        // from starting.
        if let Err(error) = make_dirs(&root, Path::new(path)) {
            tracing::warn!(path, %error, "a volume that an image declares cannot be made in it");
        }
    }
    Ok(())
}

/// Those that are missing, one in the other, open to all of the container's users whatever our umask is.
fn make_dirs(root: &pathrs::Root, path: &Path) -> io::Result<()> {
    let mode = fs::Permissions::from_mode(0o755);
    let mut paths: Vec<&Path> = path.ancestors().collect();
    paths.reverse();
    for path in paths {
        if !path.as_os_str().is_empty() && root.resolve(path).is_err() {
            root.mkdir_all(path, &mode)
                .and_then(|made| made.reopen(OpenFlags::O_DIRECTORY))
                .map_err(io::Error::other)?
                .set_permissions(mode.clone())?;
        }
    }
    Ok(())
}

fn declares(volumes: &[String], mount: &node::MountPoint) -> bool {
    let plain = |path: &str| path.trim_end_matches('/').to_owned();
    !mount.read_only
        && volumes
            .iter()
            .any(|path| plain(path) == plain(&mount.container_path))
}

fn fill_one(rootfs: &Path, inside: &str, volume: &Path) -> io::Result<()> {
    if fs::read_dir(volume)?.next().is_some() {
        return Ok(());
    }
    let root = File::open(rootfs)?;
    // An image may link its path anywhere: what the link means is inside of the image.
    let source = rustix::fs::openat2(
        &root,
        Path::new(inside),
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    );
    let source = match source {
        Ok(source) => source,
        // Declared and not there: the volume stays empty.
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    // With a dot, so that the directory is meant and not the link to it.
    let path = PathBuf::from(format!("/proc/self/fd/{}/.", source.as_raw_fd()));
    copy_contents(&path, volume)?;
    take_attributes(&path, volume)
}

/// A list and not recursion, so that neither depth nor number costs stack or open files. What lies deeper than a path is
/// long fails by that.
fn copy_contents(from: &Path, to: &Path) -> io::Result<()> {
    let mut directories = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = directories.pop() {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            let kind = entry.file_type()?;
            if kind.is_dir() {
                fs::create_dir(&to)?;
                directories.push((from.clone(), to.clone()));
            } else if kind.is_file() {
                fs::copy(&from, &to)?;
            } else if kind.is_symlink() {
                symlink(fs::read_link(&from)?, &to)?;
            } else {
                // Sockets and devices of an image mean nothing in a volume.
                continue;
            }
            take_attributes(&from, &to)?;
        }
    }
    Ok(())
}

/// Owner, extended attributes, mode: in this order, since a change of the owner takes set-user-id bits away.
fn take_attributes(from: &Path, to: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    lchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
    for name in xattr::list(from)? {
        // Those of overlayfs are the mount's own business.
        if name.as_encoded_bytes().starts_with(b"trusted.") {
            continue;
        }
        if let Some(value) = xattr::get(from, &name)? {
            xattr::set(to, &name, &value)?;
        }
    }
    if metadata.is_symlink() {
        return Ok(());
    }
    fs::set_permissions(to, fs::Permissions::from_mode(metadata.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("rootfs/data");
        fs::create_dir_all(data.join("sub")).expect("made");
        fs::write(data.join("sub/seed"), "seed").expect("written");
        symlink("/etc/passwd", data.join("link")).expect("linked");
        let modes = [(data.clone(), 0o750), (data.join("sub/seed"), 0o4711)];
        for (path, mode) in modes {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        }
        fs::create_dir(dir.path().join("volume")).expect("made");
        dir
    }

    #[test]
    fn a_volume_gets_what_the_image_has_there() {
        let dir = tree();
        let (rootfs, volume) = (dir.path().join("rootfs"), dir.path().join("volume"));
        fill_one(&rootfs, "/data", &volume).expect("filled");
        assert_eq!(fs::read(volume.join("sub/seed")).expect("read"), b"seed");
        assert_eq!(mode_of(&volume.join("sub/seed")), 0o4711);
        assert_eq!(mode_of(&volume), 0o750);
        let link = fs::read_link(volume.join("link")).expect("a link");
        assert_eq!(
            link,
            Path::new("/etc/passwd"),
            "links are copied, not followed"
        );
    }

    #[test]
    fn depth_costs_neither_stack_nor_open_files() {
        let dir = tree();
        let (rootfs, volume) = (dir.path().join("rootfs"), dir.path().join("volume"));
        let deep = "d/".repeat(300);
        fs::create_dir_all(rootfs.join("data").join(&deep)).expect("made");
        let copied = std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || {
                fill_one(&rootfs, "/data", &volume).expect("filled");
                volume.join(deep).is_dir()
            });
        assert!(copied.expect("a thread").join().expect("no overflow"));
    }

    #[test]
    fn what_a_container_wrote_first_stays() {
        let dir = tree();
        let (rootfs, volume) = (dir.path().join("rootfs"), dir.path().join("volume"));
        fs::write(volume.join("mine"), "").expect("written");
        fill_one(&rootfs, "/data", &volume).expect("left alone");
        assert!(!volume.join("sub").exists());
    }

    #[test]
    fn a_path_does_not_lead_out_of_the_image() {
        let dir = tree();
        let (rootfs, volume) = (dir.path().join("rootfs"), dir.path().join("volume"));
        fs::create_dir(dir.path().join("secret")).expect("made");
        fs::write(dir.path().join("secret/key"), "").expect("written");
        symlink(dir.path().join("secret"), rootfs.join("out")).expect("linked");
        symlink("../../secret", rootfs.join("up")).expect("linked");
        for inside in ["/out", "/up", "/../secret", "/missing", "/data/link"] {
            fill_one(&rootfs, inside, &volume).expect("nothing to copy");
            assert_eq!(
                fs::read_dir(&volume).expect("listed").count(),
                0,
                "{inside}"
            );
        }
    }

    #[test]
    fn declared_places_that_the_image_lacks_are_made_in_it() {
        let dir = tree();
        let rootfs = dir.path().join("rootfs");
        fs::create_dir(dir.path().join("secret")).expect("made");
        symlink("../../secret", rootfs.join("up")).expect("linked");
        let paths = [
            "/var/lib/new",
            "/data",
            "/data/sub/seed",
            "/up/in",
            "relative",
        ];
        let paths = paths.map(str::to_owned);
        make_missing(&rootfs, paths.iter()).expect("made");
        assert_eq!(mode_of(&rootfs.join("var/lib/new")), 0o755);
        assert_eq!(mode_of(&rootfs.join("var")), 0o755);
        assert_eq!(mode_of(&rootfs.join("data")), 0o750, "as the image has it");
        assert!(rootfs.join("data/sub/seed").is_file());
        assert!(rootfs.join("relative").is_dir());
        let outside = fs::read_dir(dir.path().join("secret")).expect("listed");
        assert_eq!(outside.count(), 0);
    }

    #[test]
    fn only_declared_and_writable_places_are_filled() {
        let mount = |path: &str, read_only| node::MountPoint {
            source_volume: "v".to_owned(),
            container_path: path.to_owned(),
            read_only,
        };
        let declared = ["/data".to_owned(), "/with/slash/".to_owned()];
        for (name, mount, want) in [
            ("declared", mount("/data", false), true),
            ("slashes do not matter", mount("/with/slash", false), true),
            ("read-only", mount("/data", true), false),
            ("below", mount("/data/sub", false), false),
            ("not declared", mount("/other", false), false),
        ] {
            assert_eq!(declares(&declared, &mount), want, "{name}");
        }
    }
}
