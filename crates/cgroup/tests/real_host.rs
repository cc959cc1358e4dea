//! On the real control groups of this host: what would be lost is that the kernel takes our texts.

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
    let trees = match cgroups.layout() {
        Layout::V1 { controllers, .. } => controllers.values().cloned().collect(),
        Layout::V2 { root } => vec![root.clone()],
    };
    let child = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .spawn()
        .expect("sleep runs");
    for tree in trees {
        let group = tree.join(oci_path.trim_start_matches('/'));
        std::fs::create_dir_all(&group).expect("a container's group");
        // cpuset wants its cpus first; a runtime does that, this test leaves that tree out.
        let _ = std::fs::write(group.join("cgroup.procs"), child.id().to_string());
    }
    child
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
