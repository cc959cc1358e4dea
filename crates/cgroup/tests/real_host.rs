//! On the real control groups of this host: what would be lost is that the kernel takes our texts.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use neargate_cgroup::{CgroupError, Cgroups, CpuQuota, Layout, TaskLimits};

/// Root and writable groups, or the test has nothing to test with.
fn cgroups(instance: &str) -> Option<Cgroups> {
    let cgroups = Cgroups::detect(instance).ok()?;
    let probe = cgroups.task("probe").ok()?;
    let writable = probe.create(&TaskLimits::default()).is_ok();
    let _ = probe.remove();
    if !writable {
        eprintln!("skipped: control groups are not writable here");
    }
    writable.then_some(cgroups)
}

/// `sleep` in a child group of the task's memory and pids hierarchies, as a container would be.
fn start_in(cgroups: &Cgroups, oci_path: &str) -> Child {
    let child = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .spawn()
        .expect("sleep runs");
    join(cgroups, oci_path, child.id());
    child
}

fn join(cgroups: &Cgroups, oci_path: &str, pid: u32) {
    let trees = match cgroups.layout() {
        Layout::V1 { controllers, .. } => controllers.values().cloned().collect(),
        Layout::V2 { root } => vec![root.clone()],
    };
    for tree in trees {
        let group = tree.join(oci_path.trim_start_matches('/'));
        std::fs::create_dir_all(&group).expect("a container's group");
        // cpuset wants its cpus first; a runtime does that, this test leaves that tree out.
        let _ = std::fs::write(group.join("cgroup.procs"), pid.to_string());
    }
}

#[test]
fn a_task_lives_and_leaves_nothing() {
    let Some(cgroups) = cgroups("cgtest01") else {
        return;
    };
    let task = cgroups.task("t1").expect("a good name");
    let limits = TaskLimits {
        memory_bytes: Some(64 << 20),
        cpu_shares: Some(256),
        cpu_quota: Some(CpuQuota::of_cpu_units(256)),
        pids_max: Some(64),
    };
    task.create(&limits).expect("created");
    task.create(&limits).expect("created twice is created once");
    if let Layout::V1 { controllers, .. } = cgroups.layout() {
        for (controller, file, want) in [
            ("memory", "memory.limit_in_bytes", "67108864"),
            ("memory", "memory.use_hierarchy", "1"),
            ("cpu", "cpu.shares", "256"),
            ("cpu", "cpu.cfs_quota_us", "25000"),
            ("pids", "pids.max", "64"),
        ] {
            let path = controllers[controller]
                .join("neargate/cgtest01/t1")
                .join(file);
            assert_eq!(
                std::fs::read_to_string(&path).expect(file).trim(),
                want,
                "{file}"
            );
        }
    }
    assert_eq!(cgroups.existing_tasks().expect("listed"), ["t1"]);

    let mut child = start_in(&cgroups, &task.oci_path("web").expect("a good name"));
    assert_eq!(task.containers().expect("listed"), ["web"]);
    assert_eq!(task.pids().expect("listed"), [child.id() as i32]);
    assert_eq!(task.usage().expect("readable").pids, 1);
    assert_eq!(task.container_usage("web").expect("readable").pids, 1);
    assert_eq!(task.oom_kills("web").expect("readable"), 0);

    // A zombie that nobody reaps still counts as in the group on v1, so the parent waits beside.
    let waiter = std::thread::spawn(move || child.wait().expect("waited"));
    task.kill_all().expect("killed");
    assert!(!waiter.join().expect("joined").success());
    task.remove().expect("removed");
    task.remove().expect("removed twice is removed once");
    assert_eq!(
        cgroups.existing_tasks().expect("listed"),
        Vec::<String>::new()
    );
    cgroups.remove_instance().expect("removed");
}

#[test]
fn a_group_in_use_is_not_removed() {
    let Some(cgroups) = cgroups("cgtest02") else {
        return;
    };
    let task = cgroups.task("t1").expect("a good name");
    task.create(&TaskLimits::default()).expect("created");
    let mut child = start_in(&cgroups, &task.oci_path("web").expect("a good name"));
    let error = task.remove().expect_err("a process lives there");
    assert!(
        matches!(&error, CgroupError::Busy { pids, .. } if *pids == [child.id() as i32]),
        "{error}"
    );
    child.kill().expect("killed");
    child.wait().expect("reaped");
    task.remove().expect("removed");
    cgroups.remove_instance().expect("removed");
}

/// The freezer of this host, as a file of a group: v1's is a tree of its own.
fn freezer(cgroups: &Cgroups, group: &str) -> Option<(PathBuf, &'static str)> {
    let (dir, file, word) = match cgroups.layout() {
        Layout::V1 { controllers, .. } => (controllers.get("freezer")?, "freezer.state", "FROZEN"),
        Layout::V2 { root } => (root, "cgroup.freeze", "1"),
    };
    Some((dir.join(group).join(file), word))
}

/// What a container could do to itself while its groups were writable. What would be lost: that it ever ends.
#[test]
fn a_task_that_froze_itself_in_groups_without_end_is_killed_and_removed() {
    let Some(cgroups) = cgroups("cgtest03") else {
        return;
    };
    let task = cgroups.task("t1").expect("a good name");
    task.create(&TaskLimits::default()).expect("created");
    let child = start_in(&cgroups, &task.oci_path("web").expect("a good name"));
    let pid = child.id().to_string();
    let trees: Vec<PathBuf> = match cgroups.layout() {
        Layout::V1 { controllers, .. } => ["memory", "pids", "freezer"]
            .iter()
            .filter_map(|name| controllers.get(*name).cloned())
            .collect(),
        Layout::V2 { root } => vec![root.clone()],
    };
    for tree in &trees {
        // Deeper than any path: 40 × 120 bytes.
        let inner = nested(&tree.join("neargate/cgtest03/t1/web"), &"d".repeat(120), 40);
        std::fs::write(inner.join("cgroup.procs"), &pid).expect("moved to the bottom");
        if let Ok(mut own) = std::fs::OpenOptions::new()
            .write(true)
            .open(inner.join("freezer.state"))
        {
            own.write_all(b"FROZEN").expect("frozen");
        }
    }
    let (outer, word) = freezer(&cgroups, "neargate/cgtest03/t1/web").expect("a freezer");
    std::fs::write(&outer, word).expect("frozen from outside too");

    let waiter = std::thread::spawn(move || {
        let mut child = child;
        child.wait().expect("waited")
    });
    task.kill_container("web").expect("killed, if deep");
    assert!(
        !waiter.join().expect("joined").success(),
        "it heeds the signal"
    );
    task.kill_all().expect("nobody is left");
    task.remove().expect("removed, however deep");
    assert_eq!(
        cgroups.existing_tasks().expect("listed"),
        Vec::<String>::new()
    );
    cgroups.remove_instance().expect("removed");
}

/// Makes `depth` groups in one another; a path to the innermost, by descriptor.
fn nested(top: &Path, name: &str, depth: usize) -> PathBuf {
    let mut dir = std::fs::File::open(top).expect("the outermost");
    for _ in 0..depth {
        let path = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
        std::fs::create_dir(&path).expect("a group");
        dir = std::fs::File::open(&path).expect("opened");
    }
    let fd = dir.into_raw_fd();
    PathBuf::from(format!("/proc/self/fd/{fd}"))
}

/// What would be lost: that those who fork faster than anybody kills end at all.
#[test]
fn a_fork_bomb_is_killed() {
    let Some(cgroups) = cgroups("cgtest04") else {
        return;
    };
    let task = cgroups.task("t1").expect("a good name");
    let limits = TaskLimits {
        pids_max: Some(200),
        ..TaskLimits::default()
    };
    task.create(&limits).expect("created");
    let shell = start_in(&cgroups, &task.oci_path("web").expect("a good name"));
    let bomb = Command::new("sh")
        .args([
            "-c",
            "read go; bomb() { bomb | bomb & }; bomb; while :; do (:) & done",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh runs");
    join(
        &cgroups,
        &task.oci_path("web").expect("a good name"),
        bomb.id(),
    );
    drop(bomb.stdin.as_ref().map(|mut pipe| pipe.write_all(b"\n")));
    let full = || task.usage().expect("readable").pids >= 150;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !full() {
        assert!(
            std::time::Instant::now() < deadline,
            "the bomb does not go off"
        );
        std::thread::yield_now();
    }
    let waiters = [shell, bomb].map(|mut child| std::thread::spawn(move || child.wait()));
    task.kill_all().expect("killed");
    for waiter in waiters {
        assert!(!waiter.join().expect("joined").expect("waited").success());
    }
    task.remove().expect("removed");
    cgroups.remove_instance().expect("removed");
}

/// What would be lost: that tasks, all together, leave something to the machine.
#[test]
fn all_tasks_together_are_bounded() {
    let Some(cgroups) = cgroups("cgtest05") else {
        return;
    };
    let task = cgroups.task("t1").expect("a good name");
    task.create(&TaskLimits::default()).expect("created");
    let of_all = cgroups.capacity().of_all_tasks();
    let read = |controller: &str, v1: &str, v2: &str| {
        let path = match cgroups.layout() {
            Layout::V1 { controllers, .. } => controllers[controller].join("neargate").join(v1),
            Layout::V2 { root } => root.join("neargate").join(v2),
        };
        std::fs::read_to_string(path)
            .expect("readable")
            .trim()
            .parse::<u64>()
            .ok()
    };
    assert_eq!(read("pids", "pids.max", "pids.max"), of_all.pids_max);
    // The kernel counts pages.
    let pages = |bytes: Option<u64>| bytes.map(|bytes| bytes / 4096);
    assert_eq!(
        pages(read("memory", "memory.limit_in_bytes", "memory.max")),
        pages(of_all.memory_bytes)
    );
    task.remove().expect("removed");
    cgroups.remove_instance().expect("removed");
}
