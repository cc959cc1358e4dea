//! Whole specs: what goes in as a row, what must be in the JSON as a fragment.

use serde_json::{Value, json};

use super::*;

fn image() -> ImageConfig {
    ImageConfig {
        env: vec!["PATH=/opt/bin:/bin".to_owned(), "LANG=C.UTF-8".to_owned()],
        entrypoint: vec!["/entry.sh".to_owned()],
        cmd: vec!["serve".to_owned()],
        user: String::new(),
        working_dir: "/srv".to_owned(),
    }
}

fn user() -> ResolvedUser {
    ResolvedUser {
        uid: 1000,
        gid: 50,
        additional_gids: vec![50, 999],
        home: "/home/app".to_owned(),
    }
}

fn placement() -> Placement {
    Placement {
        rootfs: "/data/bundle/rootfs".into(),
        network_namespace: "/run/netns/neargate-t1".into(),
        hostname: "ip-10-0-0-12.us-east-1.compute.internal".to_owned(),
        cgroup_path: "/neargate/0f3c2a91/t1/web".to_owned(),
        binds: vec![Bind {
            source: "/data/hosts".into(),
            destination: "/etc/hosts".into(),
            read_only: false,
        }],
        injected_environment: vec![("AWS_EXECUTION_ENV".to_owned(), "AWS_ECS_FARGATE".to_owned())],
        ..Placement::default()
    }
}

fn words(list: &[&str]) -> Option<Vec<String>> {
    Some(list.iter().map(|word| (*word).to_owned()).collect())
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn spec_of(container: &ContainerSettings) -> Value {
    let spec = build(&image(), container, &user(), &placement()).expect("a spec");
    serde_json::to_value(spec).expect("JSON")
}

#[test]
fn settings_become_oci() {
    let none = ContainerSettings::default;
    let rows: Vec<(&str, ContainerSettings, &str, Value)> = vec![
        (
            "image's command",
            none(),
            "/process/args",
            json!(["/entry.sh", "serve"]),
        ),
        (
            "command keeps the entry point",
            ContainerSettings {
                command: words(&["migrate", "-v"]),
                ..none()
            },
            "/process/args",
            json!(["/entry.sh", "migrate", "-v"]),
        ),
        (
            "entry point drops the image's command",
            ContainerSettings {
                entry_point: words(&["/bin/sh", "-c"]),
                ..none()
            },
            "/process/args",
            json!(["/bin/sh", "-c"]),
        ),
        (
            "both",
            ContainerSettings {
                entry_point: words(&["sh", "-c"]),
                command: words(&["id"]),
                ..none()
            },
            "/process/args",
            json!(["sh", "-c", "id"]),
        ),
        (
            "an empty entry point is none",
            ContainerSettings {
                entry_point: words(&[""]),
                command: words(&["id"]),
                ..none()
            },
            "/process/args",
            json!(["id"]),
        ),
        (
            "empty lists are not given",
            ContainerSettings {
                entry_point: words(&[]),
                command: words(&[]),
                ..none()
            },
            "/process/args",
            json!(["/entry.sh", "serve"]),
        ),
        ("image's directory", none(), "/process/cwd", json!("/srv")),
        (
            "directory",
            ContainerSettings {
                working_directory: "/tmp".to_owned(),
                ..none()
            },
            "/process/cwd",
            json!("/tmp"),
        ),
        (
            "environment",
            ContainerSettings {
                environment: pairs(&[
                    ("LANG", "ko_KR"),
                    ("EMPTY", ""),
                    ("AWS_EXECUTION_ENV", "mine"),
                ]),
                ..none()
            },
            "/process/env",
            json!([
                "PATH=/opt/bin:/bin",
                "HOSTNAME=ip-10-0-0-12.us-east-1.compute.internal",
                "LANG=ko_KR",
                "EMPTY=",
                "AWS_EXECUTION_ENV=AWS_ECS_FARGATE",
                "HOME=/home/app",
            ]),
        ),
        (
            "user",
            none(),
            "/process/user",
            json!({ "uid": 1000, "gid": 50, "additionalGids": [50, 999] }),
        ),
        (
            "default ulimit",
            none(),
            "/process/rlimits",
            json!([{ "type": "RLIMIT_NOFILE", "soft": 65535, "hard": 65535 }]),
        ),
        (
            "ulimits",
            ContainerSettings {
                ulimits: vec![
                    Ulimit {
                        name: "nofile".to_owned(),
                        soft: 1024,
                        hard: 4096,
                    },
                    Ulimit {
                        name: "memlock".to_owned(),
                        soft: -1,
                        hard: -1,
                    },
                ],
                ..none()
            },
            "/process/rlimits",
            json!([
                { "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096 },
                { "type": "RLIMIT_MEMLOCK", "soft": u64::MAX, "hard": u64::MAX },
            ]),
        ),
        (
            "no cpu",
            none(),
            "/linux/resources/cpu",
            json!({ "shares": 2 }),
        ),
        (
            "cpu 1",
            ContainerSettings {
                cpu_units: 1,
                ..none()
            },
            "/linux/resources/cpu",
            json!({ "shares": 2 }),
        ),
        (
            "cpu",
            ContainerSettings {
                cpu_units: 512,
                ..none()
            },
            "/linux/resources/cpu",
            json!({ "shares": 512 }),
        ),
        (
            "cpu cap",
            ContainerSettings {
                cpu_units: 300_000,
                ..none()
            },
            "/linux/resources/cpu",
            json!({ "shares": 262_144 }),
        ),
        (
            "memory",
            ContainerSettings {
                memory_mib: 128,
                memory_reservation_mib: 64,
                ..none()
            },
            "/linux/resources/memory",
            json!({ "limit": 134_217_728, "reservation": 67_108_864 }),
        ),
        (
            "devices",
            none(),
            "/linux/resources/devices",
            json!([{ "allow": false, "access": "rwm" }]),
        ),
        (
            "read-only",
            ContainerSettings {
                readonly_root_filesystem: true,
                ..none()
            },
            "/root",
            json!({ "path": "/data/bundle/rootfs", "readonly": true }),
        ),
        (
            "init",
            ContainerSettings {
                init_process_enabled: true,
                ..none()
            },
            "/annotations",
            json!({ "dev.neargate.init": "true" }),
        ),
        (
            "sysctls",
            ContainerSettings {
                system_controls: pairs(&[
                    ("net.core.somaxconn", "1024"),
                    ("net.ipv4.ip_unprivileged_port_start", "80"),
                ]),
                ..none()
            },
            "/linux/sysctl",
            json!({
                "net.core.somaxconn": "1024",
                "net.ipv4.ip_unprivileged_port_start": "80",
                "net.ipv4.ping_group_range": "0 2147483647",
            }),
        ),
        (
            "cgroup",
            none(),
            "/linux/cgroupsPath",
            json!("/neargate/0f3c2a91/t1/web"),
        ),
        (
            "namespaces",
            none(),
            "/linux/namespaces",
            json!([
                { "type": "pid" },
                { "type": "network", "path": "/run/netns/neargate-t1" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" },
                { "type": "cgroup" },
            ]),
        ),
        (
            "terminal",
            ContainerSettings {
                pseudo_terminal: true,
                ..none()
            },
            "/process/terminal",
            json!(true),
        ),
        (
            "ptrace is not granted",
            none(),
            "/process/capabilities/ambient",
            json!([]),
        ),
    ];
    for (name, container, pointer, want) in rows {
        assert_eq!(
            spec_of(&container).pointer(pointer),
            Some(&want),
            "{name}: {pointer}"
        );
    }
}

#[test]
fn what_is_left_out_stays_out() {
    let spec = spec_of(&ContainerSettings::default());
    for pointer in [
        "/process/noNewPrivileges",
        "/annotations",
        "/linux/resources/memory",
        "/hooks",
        "/linux/devices",
    ] {
        assert_eq!(spec.pointer(pointer), None, "{pointer}");
    }
}

#[test]
fn the_host_decides_the_rest() {
    let placement = Placement {
        pid_namespace: Some("/proc/77/ns/pid".into()),
        pids_limit: Some(1024),
        oom_score_adj: Some(100),
        swap_accounting: true,
        ..placement()
    };
    let container = ContainerSettings {
        memory_mib: 1,
        ..ContainerSettings::default()
    };
    let spec = build(&image(), &container, &user(), &placement).expect("a spec");
    let spec = serde_json::to_value(spec).expect("JSON");
    for (pointer, want) in [
        (
            "/linux/namespaces/0",
            json!({ "type": "pid", "path": "/proc/77/ns/pid" }),
        ),
        ("/linux/resources/pids", json!({ "limit": 1024 })),
        (
            "/linux/resources/memory",
            json!({ "limit": 1_048_576, "swap": 1_048_576 }),
        ),
        ("/process/oomScoreAdj", json!(100)),
    ] {
        assert_eq!(spec.pointer(pointer), Some(&want), "{pointer}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let none = ContainerSettings::default;
    let ulimit = |name: &str, soft, hard| ContainerSettings {
        ulimits: vec![Ulimit {
            name: name.to_owned(),
            soft,
            hard,
        }],
        ..ContainerSettings::default()
    };
    for (name, container, want) in [
        (
            "relative directory",
            ContainerSettings {
                working_directory: "srv".to_owned(),
                ..none()
            },
            SpecError::RelativeWorkingDirectory("srv".to_owned()),
        ),
        (
            "unknown ulimit",
            ulimit("speed", 1, 1),
            SpecError::UnknownUlimit("speed".to_owned()),
        ),
        (
            "soft above hard",
            ulimit("nproc", 2, 1),
            SpecError::UlimitOrder("nproc".to_owned()),
        ),
        (
            "host's sysctl",
            ContainerSettings {
                system_controls: pairs(&[("vm.swappiness", "0")]),
                ..none()
            },
            SpecError::SysctlNotNamespaced("vm.swappiness".to_owned()),
        ),
        (
            "sysctl as a path",
            ContainerSettings {
                system_controls: pairs(&[("net.x/../../kernel/core_pattern", "|x")]),
                ..none()
            },
            SpecError::SysctlNotNamespaced("net.x/../../kernel/core_pattern".to_owned()),
        ),
        (
            "sysctl with empty parts",
            ContainerSettings {
                system_controls: pairs(&[("net...kernel.core_pattern", "|x")]),
                ..none()
            },
            SpecError::SysctlNotNamespaced("net...kernel.core_pattern".to_owned()),
        ),
        (
            "NUL",
            ContainerSettings {
                command: words(&["a\0b"]),
                ..none()
            },
            SpecError::NulByte("the command"),
        ),
        (
            "NUL in env",
            ContainerSettings {
                environment: pairs(&[("A", "\0")]),
                ..none()
            },
            SpecError::NulByte("the environment"),
        ),
    ] {
        assert_eq!(
            build(&image(), &container, &user(), &placement()),
            Err(want),
            "{name}"
        );
    }
    let empty = ImageConfig::default();
    assert_eq!(
        build(&empty, &none(), &user(), &placement()),
        Err(SpecError::NoCommand),
        "nothing to run"
    );
}

#[test]
fn a_health_check_runs_as_the_container() {
    let spec = build(
        &image(),
        &ContainerSettings::default(),
        &user(),
        &placement(),
    )
    .expect("a spec");
    let process = exec_process(&spec, vec!["true".to_owned()], false).expect("has a process");
    assert_eq!(process.args().as_deref(), Some(&["true".to_owned()][..]));
    assert_eq!(process.user().uid(), 1000);
    assert_eq!(
        process.env(),
        spec.process().as_ref().expect("is there").env()
    );
}
