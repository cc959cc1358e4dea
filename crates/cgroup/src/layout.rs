//! Which control group hierarchies a host has, read from its mount table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The controllers that limits need; others are the OCI runtime's business.
const V1_CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];
const MOUNT_TABLE: &str = "/proc/self/mounts";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    #[error("cannot read the mount table: {0}")]
    Unreadable(String),
    #[error("no control groups are mounted: mount cgroup2 on /sys/fs/cgroup")]
    NothingMounted,
    #[error(
        "cgroup v1 is mounted without the {0} controller: mount it below /sys/fs/cgroup, or boot with cgroup v2"
    )]
    ControllerNotMounted(&'static str),
}

/// The hierarchies of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One tree for each controller. On hybrid hosts there is a v2 tree too, without controllers.
    V1 {
        /// Mount point by controller; cpu and cpuacct often share one.
        controllers: BTreeMap<String, PathBuf>,
        /// Trees without controllers: `name=systemd` and the v2 tree of a hybrid host. A runtime may make groups
        /// there, so they are swept, but hold no limits.
        other: Vec<PathBuf>,
    },
    /// One tree with all controllers.
    V2 { root: PathBuf },
}

impl Layout {
    pub fn detect() -> Result<Layout, LayoutError> {
        let table = std::fs::read_to_string(MOUNT_TABLE)
            .map_err(|e| LayoutError::Unreadable(e.to_string()))?;
        Layout::parse(&table)
    }

    /// From the text of /proc/self/mounts (proc_pid_mounts(5), fstab(5) format).
    ///
    /// The controllers decide: where any of ours is in a v1 tree, limits go there, for a controller can be in one
    /// hierarchy only.
    pub fn parse(table: &str) -> Result<Layout, LayoutError> {
        let mut controllers: BTreeMap<String, PathBuf> = BTreeMap::new();
        let mut unified: Option<PathBuf> = None;
        let mut named = Vec::new();
        for line in table.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (Some(_source), Some(point), Some(kind), Some(options)) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let point = PathBuf::from(unescape(point));
            match kind {
                "cgroup2" => {
                    unified.get_or_insert(point);
                }
                "cgroup" => {
                    let held: Vec<&str> = options
                        .split(',')
                        .filter(|option| is_controller(option))
                        .collect();
                    if held.is_empty() {
                        named.push(point);
                    } else {
                        for controller in held {
                            // The first mount wins; a second one of the same tree is a bind of a part of it.
                            controllers
                                .entry(controller.to_owned())
                                .or_insert_with(|| point.clone());
                        }
                    }
                }
                _ => {}
            }
        }
        if V1_CONTROLLERS
            .iter()
            .any(|ours| controllers.contains_key(*ours))
        {
            for ours in V1_CONTROLLERS {
                if !controllers.contains_key(ours) {
                    return Err(LayoutError::ControllerNotMounted(ours));
                }
            }
            named.extend(unified);
            named.sort();
            named.dedup();
            return Ok(Layout::V1 {
                controllers,
                other: named,
            });
        }
        unified
            .map(|root| Layout::V2 { root })
            .ok_or(LayoutError::NothingMounted)
    }

    /// Every tree in which a group of ours may exist, each once.
    pub(crate) fn mount_points(&self) -> Vec<PathBuf> {
        match self {
            Layout::V1 { controllers, other } => {
                let mut points: Vec<PathBuf> = controllers.values().chain(other).cloned().collect();
                points.sort();
                points.dedup();
                points
            }
            Layout::V2 { root } => vec![root.clone()],
        }
    }

    /// The v1 tree of one of [`V1_CONTROLLERS`], which `parse` made sure of.
    pub(crate) fn v1_point<'a>(
        controllers: &'a BTreeMap<String, PathBuf>,
        controller: &'static str,
    ) -> &'a Path {
        controllers
            .get(controller)
            .map_or(Path::new("/sys/fs/cgroup"), PathBuf::as_path)
    }

    /// Whether groups have a CPU quota here; the kernel may be built without it.
    pub fn has_cpu_quota(&self) -> bool {
        match self {
            // The root has the file too.
            Layout::V1 { controllers, .. } => Layout::v1_point(controllers, "cpu")
                .join("cpu.cfs_quota_us")
                .exists(),
            // The root has none, but there is no other place to ask than a group.
            Layout::V2 { root } => root.join(crate::TOP).join("cpu.max").exists(),
        }
    }

    /// The top of the tree that has a controller of ours.
    pub(crate) fn root_of(&self, controller: &'static str) -> &Path {
        match self {
            Layout::V1 { controllers, .. } => Layout::v1_point(controllers, controller),
            Layout::V2 { root } => root,
        }
    }

    /// `v1`, `hybrid` or `v2`, for people.
    pub fn name(&self) -> &'static str {
        match self {
            Layout::V1 { other, .. } if other.iter().any(|point| point.ends_with("unified")) => {
                "hybrid"
            }
            Layout::V1 { .. } => "v1",
            Layout::V2 { .. } => "v2",
        }
    }
}

/// Options of a v1 mount are its controllers among mount flags; all controllers that kernels have had.
fn is_controller(option: &str) -> bool {
    const ALL: [&str; 14] = [
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "debug",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "misc",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
    ];
    ALL.contains(&option) || option == "rdma"
}

/// Octal escapes of the mount table: `\040` is a space.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes
            .get(at + 1..at + 4)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if bytes[at] == b'\\' => {
                out.push(byte);
                at += 4;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN_12_V2: &str = "sysfs /sys sysfs rw,nosuid,nodev,noexec,relatime 0 0
proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate,memory_recursiveprot 0 0
/dev/sda1 / ext4 rw,relatime,errors=remount-ro 0 0
";
    const UBUNTU_18_V1: &str = "tmpfs /sys/fs/cgroup tmpfs ro,nosuid,nodev,noexec,mode=755 0 0
cgroup /sys/fs/cgroup/unified cgroup2 rw,nosuid,nodev,noexec,relatime 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,nodev,noexec,relatime,xattr,name=systemd 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,nosuid,nodev,noexec,relatime,memory 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,nosuid,nodev,noexec,relatime,pids 0 0
cgroup /sys/fs/cgroup/net_cls,net_prio cgroup rw,nosuid,nodev,noexec,relatime,net_cls,net_prio 0 0
";
    const CENTOS_7_V1: &str = "tmpfs /sys/fs/cgroup tmpfs ro,seclabel,nosuid,nodev,noexec,mode=755 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,nodev,noexec,relatime,xattr,release_agent=/x,name=systemd 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,seclabel,nosuid,nodev,noexec,relatime,memory 0 0
cgroup /sys/fs/cgroup/cpuacct,cpu cgroup rw,seclabel,nosuid,nodev,noexec,relatime,cpuacct,cpu 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,seclabel,nosuid,nodev,noexec,relatime,pids 0 0
";
    const SEPARATE_TREES: &str = "tmpfs /sys/fs/cgroup tmpfs rw,relatime,mode=755 0 0
cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0
cgroup /sys/fs/cgroup/cpuacct cgroup rw,relatime,cpuacct 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,relatime,pids 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
";

    fn v1(controllers: &[(&str, &str)], other: &[&str]) -> Result<Layout, LayoutError> {
        let controllers = controllers
            .iter()
            .map(|(c, p)| ((*c).to_owned(), PathBuf::from(p)))
            .collect();
        Ok(Layout::V1 {
            controllers,
            other: other.iter().map(PathBuf::from).collect(),
        })
    }

    #[test]
    fn mount_tables_of_distributions() {
        let rows = [
            (
                "Debian 12, v2",
                DEBIAN_12_V2,
                "v2",
                Ok(Layout::V2 {
                    root: "/sys/fs/cgroup".into(),
                }),
            ),
            (
                "Ubuntu 18, hybrid by systemd",
                UBUNTU_18_V1,
                "hybrid",
                v1(
                    &[
                        ("cpu", "/sys/fs/cgroup/cpu,cpuacct"),
                        ("cpuacct", "/sys/fs/cgroup/cpu,cpuacct"),
                        ("memory", "/sys/fs/cgroup/memory"),
                        ("pids", "/sys/fs/cgroup/pids"),
                        ("net_cls", "/sys/fs/cgroup/net_cls,net_prio"),
                        ("net_prio", "/sys/fs/cgroup/net_cls,net_prio"),
                    ],
                    &["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"],
                ),
            ),
            (
                "CentOS 7, v1",
                CENTOS_7_V1,
                "v1",
                v1(
                    &[
                        ("cpu", "/sys/fs/cgroup/cpuacct,cpu"),
                        ("cpuacct", "/sys/fs/cgroup/cpuacct,cpu"),
                        ("memory", "/sys/fs/cgroup/memory"),
                        ("pids", "/sys/fs/cgroup/pids"),
                    ],
                    &["/sys/fs/cgroup/systemd"],
                ),
            ),
            (
                "a tree each, and an empty v2",
                SEPARATE_TREES,
                "hybrid",
                v1(
                    &[
                        ("cpu", "/sys/fs/cgroup/cpu"),
                        ("cpuacct", "/sys/fs/cgroup/cpuacct"),
                        ("memory", "/sys/fs/cgroup/memory"),
                        ("pids", "/sys/fs/cgroup/pids"),
                    ],
                    &["/sys/fs/cgroup/unified"],
                ),
            ),
        ];
        for (name, table, short, want) in rows {
            let got = Layout::parse(table);
            assert_eq!(got, want, "{name}");
            assert_eq!(got.map(|layout| layout.name()), Ok(short), "{name}");
        }
    }

    #[test]
    fn tables_that_cannot_work_say_why() {
        let without_memory = SEPARATE_TREES.replace("memory", "hugetlb");
        for (name, table, want) in [
            ("nothing", "", LayoutError::NothingMounted),
            (
                "no cgroups",
                "proc /proc proc rw 0 0\n",
                LayoutError::NothingMounted,
            ),
            (
                "garbage",
                "cgroup\ncgroup2 x\n\0\n",
                LayoutError::NothingMounted,
            ),
            (
                "only systemd's own tree",
                "c /s cgroup rw,name=systemd 0 0",
                LayoutError::NothingMounted,
            ),
            (
                "v1 without memory",
                &without_memory,
                LayoutError::ControllerNotMounted("memory"),
            ),
        ] {
            assert_eq!(Layout::parse(table), Err(want), "{name}");
        }
    }

    #[test]
    fn mount_points_may_hold_spaces() {
        let table = "cgroup2 /odd\\040place\\134x cgroup2 rw 0 0";
        assert_eq!(
            Layout::parse(table),
            Ok(Layout::V2 {
                root: "/odd place\\x".into()
            })
        );
    }
}
