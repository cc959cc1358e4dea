//! What is mounted in a container, in which order.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{SpecError, Tmpfs};

/// A file or directory of the host in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub source: PathBuf,
    pub destination: String,
    pub read_only: bool,
}

/// Docker's defaults for a tmpfs; the opposite in the task definition undoes one.
const TMPFS_DEFAULTS: [(&str, &str); 3] =
    [("noexec", "exec"), ("nosuid", "suid"), ("nodev", "dev")];
/// Flags and data options that make sense for a tmpfs and say nothing about other mounts.
const TMPFS_FLAGS: [&str; 20] = [
    "defaults",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
];
const TMPFS_DATA: [&str; 7] = [
    "mode",
    "uid",
    "gid",
    "nr_inodes",
    "nr_blocks",
    "mpol",
    "size",
];

/// The system mounts of Docker, then tmpfs and binds, parents before children. A mount of the task on a path of ours
/// replaces ours.
pub(super) fn mounts(tmpfs: &[Tmpfs], binds: &[Bind]) -> Result<Vec<Value>, SpecError> {
    let mut all: Vec<(String, Value)> = Vec::new();
    for (destination, kind, source, options) in [
        ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"][..]),
        (
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        (
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        (
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        ),
        // Programs read their limits here: the JVM, Go's and Node's tuning.
        (
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ),
        (
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
        // sharedMemorySize is not for Fargate: always 64 MB.
        (
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
    ] {
        let mount = json!({ "destination": destination, "type": kind, "source": source, "options": options });
        all.push((destination.to_owned(), mount));
    }
    for wanted in tmpfs {
        let destination = checked(&wanted.container_path)?;
        let options = tmpfs_options(wanted)?;
        let mount = json!({ "destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options });
        put(&mut all, destination, mount);
    }
    for bind in binds {
        let destination = checked(&bind.destination)?;
        let access = if bind.read_only { "ro" } else { "rw" };
        // On the machine they lie where set-user-id bits and devices mean nothing; in the container they do.
        let options = ["rbind", "rprivate", access, "rsuid", "rdev"];
        let mount = json!({ "destination": destination, "type": "bind", "source": bind.source, "options": options });
        put(&mut all, destination, mount);
    }
    // Stable: equals keep their order, so /dev stays before /dev/pts and a volume before one inside it.
    all.sort_by_key(|(destination, _)| {
        destination
            .split('/')
            .filter(|part| !part.is_empty())
            .count()
    });
    Ok(all.into_iter().map(|(_, mount)| mount).collect())
}

fn put(all: &mut Vec<(String, Value)>, destination: String, mount: Value) {
    all.retain(|(taken, _)| *taken != destination);
    all.push((destination, mount));
}

/// Absolute, without `.`, `..` and doubled or trailing slashes, as Docker cleans it; the root itself is no target.
fn checked(path: &str) -> Result<String, SpecError> {
    if !path.starts_with('/') || path.contains('\0') {
        return Err(SpecError::RelativeMountPath(path.to_owned()));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true => Err(SpecError::RelativeMountPath(path.to_owned())),
        false => Ok(format!("/{}", parts.join("/"))),
    }
}

fn tmpfs_options(wanted: &Tmpfs) -> Result<Vec<String>, SpecError> {
    let given = &wanted.mount_options;
    for option in given {
        let known = match option.split_once('=') {
            Some((name, value)) => {
                TMPFS_DATA.contains(&name) && !value.is_empty() && !value.contains(',')
            }
            None => TMPFS_FLAGS.contains(&option.as_str()),
        };
        if !known {
            return Err(SpecError::TmpfsOption(option.clone()));
        }
    }
    let defaults = TMPFS_DEFAULTS
        .iter()
        .filter(|(_, opposite)| !given.iter().any(|option| option == opposite));
    let mut options: Vec<String> = defaults.map(|(default, _)| (*default).to_owned()).collect();
    options.extend(given.iter().filter(|option| *option != "defaults").cloned());
    options.dedup();
    if wanted.size_mib > 0 {
        options.retain(|option| !option.starts_with("size="));
        options.push(format!("size={}m", wanted.size_mib));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tmpfs_options_are_dockers_unless_undone() {
        let tmpfs = |size_mib, options: &[&str]| Tmpfs {
            container_path: "/run".to_owned(),
            size_mib,
            mount_options: options.iter().map(|option| (*option).to_owned()).collect(),
        };
        for (name, given, want) in [
            ("plain", tmpfs(64, &[]), Ok("noexec,nosuid,nodev,size=64m")),
            (
                "exec",
                tmpfs(64, &["exec", "mode=1777"]),
                Ok("nosuid,nodev,exec,mode=1777,size=64m"),
            ),
            (
                "defaults",
                tmpfs(0, &["defaults"]),
                Ok("noexec,nosuid,nodev"),
            ),
            (
                "two sizes",
                tmpfs(8, &["size=1g"]),
                Ok("noexec,nosuid,nodev,size=8m"),
            ),
            (
                "bind is no tmpfs option",
                tmpfs(8, &["bind"]),
                Err(SpecError::TmpfsOption("bind".to_owned())),
            ),
            (
                "smuggled",
                tmpfs(8, &["mode=1,suid"]),
                Err(SpecError::TmpfsOption("mode=1,suid".to_owned())),
            ),
        ] {
            assert_eq!(
                tmpfs_options(&given).map(|options| options.join(",")),
                want.map(str::to_owned),
                "{name}"
            );
        }
    }

    #[test]
    fn mounts_are_in_order_and_replace_ours() {
        let bind = |destination: &str| Bind {
            source: "/v".into(),
            destination: destination.into(),
            read_only: true,
        };
        let got = mounts(
            &[],
            &[bind("/data/a/b"), bind("/data//"), bind("/x/../dev/shm")],
        )
        .expect("mounts");
        let order: Vec<&str> = got
            .iter()
            .filter_map(|mount| mount["destination"].as_str())
            .collect();
        let want = [
            "/proc",
            "/dev",
            "/sys",
            "/data",
            "/dev/pts",
            "/dev/mqueue",
            "/dev/shm",
            "/sys/fs/cgroup",
            "/data/a/b",
        ];
        assert_eq!(order, want);
        let shm = got
            .iter()
            .find(|mount| mount["destination"] == "/dev/shm")
            .expect("is there");
        assert_eq!(
            shm["options"],
            json!(["rbind", "rprivate", "ro", "rsuid", "rdev"])
        );
        for bad in ["data", "", "/", "/..", "/a\0b"] {
            assert_eq!(
                mounts(&[], &[bind(bad)]),
                Err(SpecError::RelativeMountPath(bad.to_owned())),
                "{bad:?}"
            );
        }
    }
}
