//! Control files of cgroup v2 (kernel: Documentation/admin-guide/cgroup-v2.rst).

use std::path::Path;

use crate::files::{CgroupError, bound_all, create_dir, read, read_keyed, read_number, write};
use crate::limits::{TaskLimits, Usage, weight_of_shares};

/// There only if the kernel accounts for swap.
const SWAP: &str = "memory.swap.max";
const NEEDED: [&str; 3] = ["memory", "cpu", "pids"];

/// `levels` are the path elements from `neargate`, which has the limits `of_all` tasks, down to the task.
pub(crate) fn create(
    root: &Path,
    levels: &[&str],
    of_all: &TaskLimits,
    limits: &TaskLimits,
) -> Result<(), CgroupError> {
    let mut parent = root.to_owned();
    for level in levels {
        let dir = parent.join(level);
        create_dir(&dir)?;
        // A group has the controllers that its parent hands down.
        if parent == *root {
            enable_missing_at_root(root, &dir)?;
            if let Some(bytes) = of_all.memory_bytes {
                bound_all(&dir.join("memory.max"), bytes)?;
            }
            if let Some(max) = of_all.pids_max {
                bound_all(&dir.join("pids.max"), max)?;
            }
        } else {
            enable(&parent)?;
        }
        parent = dir;
    }
    // The containers' groups are leaves below the task's, which holds no process itself.
    enable(&parent)?;
    let task = parent;
    if let Some(bytes) = limits.memory_bytes {
        write(&task.join("memory.max"), &bytes.to_string())?;
        let swap = task.join(SWAP);
        if swap.exists() {
            write(&swap, "0")?;
        }
    }
    if let Some(shares) = limits.cpu_shares {
        write(
            &task.join("cpu.weight"),
            &weight_of_shares(shares).to_string(),
        )?;
    }
    if let Some(quota) = limits.cpu_quota {
        write(
            &task.join("cpu.max"),
            &format!("{} {}", quota.quota_us, quota.period_us),
        )?;
    }
    if let Some(max) = limits.pids_max {
        write(&task.join("pids.max"), &max.to_string())?;
    }
    Ok(())
}

fn available(dir: &Path, controller: &str) -> Result<bool, CgroupError> {
    Ok(read(&dir.join("cgroup.controllers"))?
        .split_ascii_whitespace()
        .any(|name| name == controller))
}

/// See [`crate::Cgroups::new`] for what this may do to the host.
fn enable_missing_at_root(root: &Path, top: &Path) -> Result<(), CgroupError> {
    for controller in NEEDED {
        if !available(top, controller)? {
            // Whether it worked is seen below: the reasons for a refusal are many, the remedy is one.
            let _ = write(
                &root.join("cgroup.subtree_control"),
                &format!("+{controller}"),
            );
            if !available(top, controller)? {
                return Err(CgroupError::ControllerMissing {
                    controller,
                    dir: top.to_owned(),
                });
            }
        }
    }
    Ok(())
}

fn enable(dir: &Path) -> Result<(), CgroupError> {
    let wanted: Vec<String> = NEEDED
        .iter()
        .map(|controller| format!("+{controller}"))
        .collect();
    write(&dir.join("cgroup.subtree_control"), &wanted.join(" "))
}

pub(crate) fn accounts_swap(group: &Path) -> bool {
    group.join(SWAP).exists()
}

pub(crate) fn oom_kills(group: &Path) -> Result<u64, CgroupError> {
    Ok(read_keyed(&group.join("memory.events"), "oom_kill")?.unwrap_or(0))
}

pub(crate) fn usage(group: &Path) -> Result<Usage, CgroupError> {
    let used = read_number(&group.join("memory.current"))?;
    let droppable = read_keyed(&group.join("memory.stat"), "inactive_file")?.unwrap_or(0);
    let cpu_us = read_keyed(&group.join("cpu.stat"), "usage_usec")?.unwrap_or(0);
    Ok(Usage {
        memory_bytes: used.saturating_sub(droppable),
        cpu_ns: cpu_us.saturating_mul(1_000),
        pids: read_number(&group.join("pids.current"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::CpuQuota;

    /// A tree as the kernel would show it, as far as `create` reads it.
    fn fake_tree(controllers_of_top: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().expect("a temporary directory");
        let task = tree.path().join("neargate/0f3c2a91/t1");
        std::fs::create_dir_all(&task).expect("fake groups");
        std::fs::write(
            tree.path().join("neargate/cgroup.controllers"),
            controllers_of_top,
        )
        .expect("a fake file");
        std::fs::write(task.join("memory.swap.max"), "max").expect("a fake file");
        tree
    }

    const LEVELS: [&str; 3] = ["neargate", "0f3c2a91", "t1"];

    #[test]
    fn limits_are_written_in_the_words_of_v2() {
        let tree = fake_tree("cpuset cpu io memory hugetlb pids\n");
        let limits = TaskLimits {
            memory_bytes: Some(512 << 20),
            cpu_shares: Some(256),
            cpu_quota: Some(CpuQuota::of_cpu_units(256)),
            pids_max: Some(4096),
        };
        let of_all = TaskLimits {
            memory_bytes: Some(15 << 30),
            pids_max: Some(24_576),
            ..TaskLimits::default()
        };
        create(tree.path(), &LEVELS, &of_all, &limits).expect("created");
        for (file, want) in [
            ("neargate/cgroup.subtree_control", "+memory +cpu +pids"),
            ("neargate/memory.max", "16106127360"),
            ("neargate/pids.max", "24576"),
            (
                "neargate/0f3c2a91/cgroup.subtree_control",
                "+memory +cpu +pids",
            ),
            (
                "neargate/0f3c2a91/t1/cgroup.subtree_control",
                "+memory +cpu +pids",
            ),
            ("neargate/0f3c2a91/t1/memory.max", "536870912"),
            ("neargate/0f3c2a91/t1/memory.swap.max", "0"),
            ("neargate/0f3c2a91/t1/cpu.weight", "10"),
            ("neargate/0f3c2a91/t1/cpu.max", "25000 100000"),
            ("neargate/0f3c2a91/t1/pids.max", "4096"),
        ] {
            assert_eq!(
                std::fs::read_to_string(tree.path().join(file)).expect(file),
                want,
                "{file}"
            );
        }
        assert!(
            !tree.path().join("cgroup.subtree_control").exists(),
            "the host's root is left alone"
        );
    }

    #[test]
    fn a_controller_that_nobody_hands_down_is_named() {
        let tree = fake_tree("cpuset cpu pids\n");
        let none = TaskLimits::default();
        let error = create(tree.path(), &LEVELS, &none, &none).expect_err("memory is missing");
        assert!(
            matches!(
                error,
                CgroupError::ControllerMissing {
                    controller: "memory",
                    ..
                }
            ),
            "{error}"
        );
        let asked = std::fs::read_to_string(tree.path().join("cgroup.subtree_control"))
            .expect("was asked for");
        assert_eq!(asked, "+memory");
    }

    #[test]
    fn usage_and_oom_kills_are_read() {
        let tree = tempfile::tempdir().expect("a temporary directory");
        for (file, text) in [
            ("memory.current", "10485760\n"),
            (
                "memory.stat",
                "anon 4096\nfile 8192\ninactive_anon 1\ninactive_file 4194304\nactive_file 7\n",
            ),
            (
                "cpu.stat",
                "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n",
            ),
            ("pids.current", "3\n"),
            (
                "memory.events",
                "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 0\n",
            ),
        ] {
            std::fs::write(tree.path().join(file), text).expect(file);
        }
        let want = Usage {
            memory_bytes: 6_291_456,
            cpu_ns: 1_500_000,
            pids: 3,
        };
        assert_eq!(usage(tree.path()).expect("readable"), want);
        assert_eq!(oom_kills(tree.path()).expect("readable"), 2);
        std::fs::write(tree.path().join("pids.current"), "many\n").expect("a fake file");
        assert!(matches!(
            usage(tree.path()),
            Err(CgroupError::Malformed { .. })
        ));
    }
}
