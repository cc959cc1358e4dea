//! A task's life with real containers.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use neargate_cgroup::{Cgroups, TaskLimits};
use neargate_domain::task::{ContainerStatus, HealthStatus, StopCode};
use neargate_shim::spec::{
    DependencyCondition, DependencySpec, HealthCheckSpec, LogMode, LogSpec, RestartPolicySpec,
};
use neargate_shim::state::TaskPhase;
use support::{Task, any_runtime, exit_codes, of, runtimes, wait_until};

fn depends_on(container: &str, condition: DependencyCondition) -> Vec<DependencySpec> {
    vec![DependencySpec {
        container: container.into(),
        condition,
    }]
}

fn health(command: &[&str], timeout_millis: u64) -> Option<HealthCheckSpec> {
    Some(HealthCheckSpec {
        command: command.iter().map(|&word| word.into()).collect(),
        interval_millis: 50,
        timeout_millis,
        retries: 2,
        start_period_millis: 0,
    })
}

/// A script that says `up` and lives until a signal makes it do something.
fn until(signal: &str, then: &str) -> String {
    format!("trap '{then}' {signal}; echo up; while :; do sleep 0.02; done")
}

#[test]
fn exit_codes_and_times() {
    for runtime in runtimes() {
        for want in [0, 7] {
            let mut task = Task::new(&runtime);
            task.container("app", &format!("echo hello; exit {want}"));
            let mut watcher = task.start();
            let state = watcher.wait_until_stopped();
            assert_eq!(exit_codes(&state), [Some(want)], "{runtime}: {state:?}");
            assert_eq!(
                state.task.stop_code,
                Some(StopCode::EssentialContainerExited)
            );
            let reason = state.task.stopped_reason.as_deref();
            assert_eq!(reason, Some("Essential container in task exited"));
            let app = of(&state, "app");
            assert!(
                app.started_at.is_some() && app.started_at <= app.finished_at,
                "{app:?}"
            );
            assert!(
                app.finished_at <= state.task.execution_stopped_at,
                "{state:?}"
            );
            assert_eq!(app.process, None);
            assert_eq!(task.state(), state, "the file says the same");
            assert_eq!(task.messages("app"), ["hello"], "{runtime}");
            task.finish(&mut watcher);
        }
    }
}

#[test]
fn what_cannot_start_fails_the_task() {
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        task.command("app", &["/bin/no-such-command"]);
        let mut watcher = task.start();
        let state = watcher.wait_until_stopped();
        assert_eq!(
            state.task.stop_code,
            Some(StopCode::TaskFailedToStart),
            "{runtime}"
        );
        let reason = of(&state, "app").reason.clone().expect("a reason");
        assert!(
            reason.starts_with("CannotStartContainerError: "),
            "{runtime}: {reason}"
        );
        assert!(reason.contains("no-such-command"), "{runtime}: {reason}");
        assert_eq!(state.task.stopped_reason, Some(reason));
        assert_eq!(of(&state, "app").exit_code, None);
        assert_eq!(
            task.messages("app"),
            [""; 0],
            "the runtime's words are not the container's"
        );
        task.finish(&mut watcher);
    }
    let mut task = Task::new(&any_runtime());
    task.container("app", "exit 0");
    task.spec_mut().runtime.program = "/no/such/runtime".into();
    let mut watcher = task.start();
    let reason = watcher
        .wait_until_stopped()
        .task
        .stopped_reason
        .expect("a reason");
    assert!(
        reason.starts_with("CannotCreateContainerError: cannot execute /no/such/runtime"),
        "{reason}"
    );
    task.finish(&mut watcher);
}

#[test]
fn dependencies_decide_the_order() {
    use DependencyCondition::*;
    for runtime in runtimes() {
        for (condition, init, code) in [(Success, "echo done; exit 0", 0), (Complete, "exit 3", 3)]
        {
            let mut task = Task::new(&runtime);
            task.container("app", "exit 0").depends_on = depends_on("init", condition);
            task.container("init", init).essential = false;
            let mut watcher = task.start();
            let state = watcher.wait_until_stopped();
            assert_eq!(
                exit_codes(&state),
                [Some(0), Some(code)],
                "{runtime}: {condition:?}"
            );
            let (app, init) = (of(&state, "app"), of(&state, "init"));
            assert!(
                init.finished_at <= app.started_at,
                "{runtime}: {condition:?}: {state:?}"
            );
            assert!(
                state.task.started_at >= app.started_at,
                "{runtime}: {state:?}"
            );
            task.finish(&mut watcher);
        }
    }
    let mut task = Task::new(&any_runtime());
    task.container("init", "exit 4").essential = false;
    task.container("app", "exit 0").depends_on = depends_on("init", Success);
    let mut watcher = task.start();
    let state = watcher.wait_until_stopped();
    assert_eq!(state.task.stop_code, Some(StopCode::TaskFailedToStart));
    assert_eq!(
        (of(&state, "app").started_at, of(&state, "app").exit_code),
        (None, None)
    );
    assert_eq!(of(&state, "init").exit_code, Some(4));
    task.finish(&mut watcher);
}

#[test]
fn a_healthy_dependency_lets_its_dependents_start() {
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        let db = task.container(
            "db",
            &format!("sleep 0.2; touch /ok; {}", until("TERM", "exit 0")),
        );
        // The environment is that of the container, and CMD-SHELL goes through its shell.
        let command = ["CMD-SHELL", "test -e /ok && test \"$SHIM_TEST\" = yes"];
        db.health_check = health(&command, 5000).map(|check| HealthCheckSpec {
            // Failures before it is up do not count.
            start_period_millis: 20_000,
            ..check
        });
        task.container("app", "exit 0").depends_on = depends_on("db", DependencyCondition::Healthy);
        let mut watcher = task.start();
        let state = watcher.wait_for_state("db is healthy", |state| {
            of(state, "db").health == Some(HealthStatus::Healthy)
        });
        assert_eq!(
            of(&state, "db").status,
            ContainerStatus::Running,
            "{runtime}"
        );
        let state = watcher.wait_until_stopped();
        assert_eq!(exit_codes(&state), [Some(0), Some(0)], "{runtime}");
        let (app, db) = (of(&state, "app"), of(&state, "db"));
        assert!(
            app.started_at >= db.started_at.map(|at| at + 200),
            "{runtime}: {state:?}"
        );
        task.finish(&mut watcher);
    }
}

#[test]
fn health_checks_that_fail_or_hang_make_a_container_unhealthy_and_nothing_else() {
    for runtime in runtimes() {
        for (name, check) in [
            ("fails", health(&["CMD", "/bin/false"], 5000)),
            ("hangs", health(&["/bin/sleep", "4242"], 100)),
            ("does not exist", health(&["CMD", "/no/such/check"], 5000)),
        ] {
            let mut task = Task::new(&runtime);
            task.container("app", &until("TERM", "exit 0")).health_check = check;
            let mut watcher = task.start();
            let state = watcher.wait_for_state("unhealthy", |state| {
                of(state, "app").health == Some(HealthStatus::Unhealthy)
            });
            assert_eq!(state.task.phase, TaskPhase::Running, "{runtime}: {name}");
            let process = of(&state, "app").process.expect("it runs");
            // At most the check of this moment is there; those before were killed.
            wait_until("hanging checks are killed", || {
                checks_inside(process.pid) <= 1
            });
            watcher
                .client
                .stop(StopCode::UserInitiated, "enough", None)
                .expect("a request");
            let state = watcher.wait_until_stopped();
            assert_eq!(exit_codes(&state), [Some(0)], "{runtime}: {name}");
            task.finish(&mut watcher);
        }
    }
}

/// How many `sleep 4242` there are in the pid namespace of a process.
fn checks_inside(pid: i32) -> usize {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = namespace(&pid.to_string());
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            fs::read(format!("/proc/{name}/cmdline"))
                .is_ok_and(|line| line == b"/bin/sleep\x004242\x00")
                && namespace(name) == wanted
        })
        .count()
}

#[test]
fn a_stop_asks_first_and_kills_later() {
    for runtime in runtimes() {
        for (name, script, signal, timeout_millis, request, want) in [
            (
                "SIGTERM",
                until("TERM", "echo bye; exit 42"),
                "SIGTERM",
                10_000,
                None,
                42,
            ),
            (
                "the image's signal",
                until("USR1", "echo bye; exit 43"),
                "SIGUSR1",
                10_000,
                None,
                43,
            ),
            ("deaf", until("TERM", ""), "SIGTERM", 200, None, 137),
            (
                "killed at once",
                until("TERM", "exit 0"),
                "SIGTERM",
                10_000,
                Some(9),
                137,
            ),
        ] {
            let mut task = Task::new(&runtime);
            let app = task.container("app", &script);
            app.stop_signal = signal.into();
            app.stop_timeout_millis = timeout_millis;
            let mut watcher = task.start();
            task.wait_for_line(&mut watcher, "app", "up");
            watcher
                .client
                .stop(StopCode::UserInitiated, "enough", request)
                .expect("a request");
            let state = watcher.wait_until_stopped();
            assert_eq!(exit_codes(&state), [Some(want)], "{runtime}: {name}");
            assert_eq!(
                state.task.stop_code,
                Some(StopCode::UserInitiated),
                "{runtime}: {name}"
            );
            assert_eq!(
                state.task.stopped_reason.as_deref(),
                Some("enough"),
                "{runtime}: {name}"
            );
            let said_bye = task.messages("app").contains(&"bye".to_owned());
            assert_eq!(said_bye, want < 100, "{runtime}: {name}");
            task.finish(&mut watcher);
        }
    }
}

#[test]
fn a_stop_goes_from_dependents_to_dependencies() {
    let mut task = Task::new(&any_runtime());
    task.container("db", &until("TERM", "exit 0"));
    task.container("app", &until("TERM", "sleep 0.2; exit 0"))
        .depends_on = depends_on("db", DependencyCondition::Start);
    let mut watcher = task.start();
    for container in ["db", "app"] {
        task.wait_for_line(&mut watcher, container, "up");
    }
    watcher
        .client
        .stop(StopCode::UserInitiated, "enough", None)
        .expect("a request");
    let state = watcher.wait_until_stopped();
    assert_eq!(exit_codes(&state), [Some(0), Some(0)]);
    assert!(
        of(&state, "app").finished_at <= of(&state, "db").finished_at,
        "{state:?}"
    );
    assert!(
        of(&state, "app").finished_at >= state.task.stopping_at.map(|at| at + 200),
        "{state:?}"
    );
    task.finish(&mut watcher);
}

#[test]
fn only_an_essential_exit_stops_the_task() {
    let mut task = Task::new(&any_runtime());
    task.container("app", &until("TERM", "exit 1"));
    task.container("side", "exit 9").essential = false;
    // Time for the others to get where they are wanted.
    task.container("other", "sleep 2; exit 5");
    let mut watcher = task.start();
    let state = watcher.wait_for_state("side has ended", |state| {
        of(state, "side").exit_code == Some(9)
    });
    assert!(state.task.phase < TaskPhase::Stopping, "{state:?}");
    let state = watcher.wait_until_stopped();
    assert_eq!(exit_codes(&state), [Some(1), Some(9), Some(5)]);
    assert_eq!(
        state.task.stop_code,
        Some(StopCode::EssentialContainerExited)
    );
    task.finish(&mut watcher);
}

#[test]
fn a_restart_policy_runs_the_container_again_in_place() {
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        let script = format!(
            "[ -e /ran ] && {{ {}; }}; touch /ran; echo first; exit 1",
            until("TERM", "exit 6")
        );
        let app = task.container("app", &script);
        app.restart_policy = Some(RestartPolicySpec {
            ignored_exit_codes: vec![0],
            restart_attempt_period_millis: 0,
        });
        let mut watcher = task.start();
        task.wait_for_line(&mut watcher, "app", "up");
        let state = task.watch().wait_for_state("the second run", |state| {
            of(state, "app").restart_count == 1
        });
        assert_eq!(
            of(&state, "app").status,
            ContainerStatus::Running,
            "{runtime}"
        );
        assert_eq!(task.messages("app"), ["first", "up"], "{runtime}: one log");
        watcher
            .client
            .stop(StopCode::UserInitiated, "enough", None)
            .expect("a request");
        let state = watcher.wait_until_stopped();
        assert_eq!(
            (exit_codes(&state), of(&state, "app").restart_count),
            (vec![Some(6)], 1),
            "{runtime}"
        );
        task.finish(&mut watcher);
    }
}

#[test]
fn memory_that_runs_out_is_named() {
    let cgroups = Cgroups::detect("5e1f7e57").expect("a known cgroup layout");
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        task.container("app", "exec tail -c 300000000 /dev/zero");
        let task_id = task.spec_mut().task_id.clone();
        task.spec_mut().cgroup_instance = Some("5e1f7e57".into());
        let cgroup = cgroups.task(&task_id).expect("a name");
        let limits = TaskLimits {
            memory_bytes: Some(64 << 20),
            ..TaskLimits::default()
        };
        cgroup.create(&limits).expect("a cgroup");
        let path = cgroup.oci_path("app").expect("a name");
        task.edit_config("app", |config| {
            config["linux"]["cgroupsPath"] = path.clone().into();
            config["linux"]["resources"]["memory"]["limit"] = (32 << 20).into();
        });
        let mut watcher = task.start();
        let state = watcher.wait_until_stopped();
        let app = of(&state, "app");
        let reason = Some("OutOfMemoryError: Container killed due to memory usage");
        assert_eq!(
            (app.exit_code, app.reason.as_deref()),
            (Some(137), reason),
            "{runtime}"
        );
        task.finish(&mut watcher);
        cgroup.remove().expect("nothing is left in the cgroup");
    }
    cgroups.remove_instance().expect("nothing is left");
}

#[test]
fn the_shim_stands_alone_and_its_children_do_not_inherit_its_privileges() {
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        task.container("app", &until("TERM", "exit 0"));
        let mut watcher = task.start();
        let state = watcher.wait_until_running();
        let read = |pid: i32, file: &str| {
            fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a process")
        };
        let fields = |pid: i32| {
            read(pid, "stat")
                .rsplit_once(')')
                .map(|(_, rest)| rest.to_owned())
                .expect("fields")
        };
        let shim = state.shim_pid;
        let stat = fields(shim);
        let [parent, _group, session] =
            [1, 2, 3].map(|field| stat.split_whitespace().nth(field).map(str::to_owned));
        assert_eq!(session, Some(shim.to_string()), "a session of its own");
        assert_ne!(
            parent,
            Some(std::process::id().to_string()),
            "not our child"
        );
        assert_eq!(read(shim, "oom_score_adj").trim(), least_oom_score());
        for entry in fs::read_dir(format!("/proc/{shim}/fd"))
            .expect("its descriptors")
            .flatten()
        {
            let Ok(target) = fs::read_link(entry.path()) else {
                continue;
            };
            let target = target.to_string_lossy().into_owned();
            let own = ["/dev/null", "anon_inode:", "socket:", "pipe:"]
                .iter()
                .any(|kind| target.starts_with(kind));
            assert!(
                own || target.starts_with(&*task.path().to_string_lossy()),
                "{runtime}: inherited {target}"
            );
        }
        let app = of(&state, "app").process.expect("it runs").pid;
        assert_eq!(read(app, "oom_score_adj").trim(), "0", "{runtime}");
        let status = read(app, "status");
        let blocked = status
            .lines()
            .find(|line| line.starts_with("SigBlk"))
            .expect("a mask");
        assert!(
            blocked.ends_with("0000000000000000"),
            "{runtime}: {blocked}"
        );
        // runc's `run` may end a little before its own process has become the command.
        wait_until(
            &format!("{runtime}: stdin, stdout, stderr, no more"),
            || fs::read_dir(format!("/proc/{app}/fd")).is_ok_and(|open| open.count() == 3),
        );
        // crun's `run` may end a little before the process of its own that is the container's parent.
        wait_until(&format!("{runtime}: the shim is its parent"), || {
            fields(app).split_whitespace().nth(1) == Some(shim.to_string().as_str())
        });
        watcher
            .client
            .stop(StopCode::UserInitiated, "enough", Some(9))
            .expect("a request");
        watcher.wait_until_stopped();
        task.finish(&mut watcher);
    }
}

/// A container without CAP_SYS_RESOURCE on the host, as CI may be, cannot lower its score.
fn least_oom_score() -> &'static str {
    let lowered = Command::new("sh")
        .args([
            "-c",
            "echo -999 > /proc/self/oom_score_adj && cat /proc/self/oom_score_adj",
        ])
        .output()
        .expect("sh");
    if lowered.status.success() {
        "-999"
    } else {
        "0"
    }
}

#[test]
fn a_directory_has_one_shim_in_its_life() {
    let mut task = Task::new(&any_runtime());
    task.container("app", &until("TERM", "exit 0"));
    let mut watcher = task.start();
    watcher.wait_until_running();
    let stderr = |output: std::process::Output| {
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(stderr(task.run_shim()).contains("another shim runs"));
    watcher
        .client
        .stop(StopCode::UserInitiated, "enough", Some(9))
        .expect("a request");
    watcher.wait_until_stopped();
    task.finish(&mut watcher);
    assert!(stderr(task.run_shim()).contains("has run already"));
}

#[test]
fn a_spec_that_makes_no_sense_is_refused_with_its_reason() {
    for (name, want) in [
        ("a/b", "cannot be a directory's name"),
        ("app", "multiline pattern"),
    ] {
        let mut task = Task::new(&any_runtime());
        let app = task.container("app", "exit 0");
        app.name = name.into();
        app.log = LogSpec {
            mode: LogMode::Blocking,
            multiline_pattern: Some("(".into()),
        };
        let output = task.run_shim();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(want),
            "{name}: {stderr}"
        );
        assert!(!Path::new(&task.path().join("state.json")).exists());
    }
}

/// What would be lost: programs that ask for the terminal's name, or open it.
#[test]
fn a_container_with_a_terminal_has_it_as_its_own() {
    for runtime in runtimes() {
        let mut task = Task::new(&runtime);
        let script = "test -t 0 && test -t 1 && test -t 2 && echo terminal; tty; echo err >&2; \
                      echo console > /dev/console; echo controls > /dev/tty; exit 3";
        task.container("app", script).terminal = true;
        task.edit_config("app", |config| {
            config["process"]["terminal"] = true.into();
            let devpts = serde_json::json!({
                "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["newinstance", "ptmxmode=0666", "mode=0620"],
            });
            let mounts = config["mounts"].as_array_mut().expect("mounts");
            mounts.push(devpts);
        });
        let mut watcher = task.start();
        let state = watcher.wait_until_stopped();
        assert_eq!(of(&state, "app").exit_code, Some(3), "{runtime}");
        let want = [
            "terminal\r",
            "/dev/pts/0\r",
            "err\r",
            "console\r",
            "controls\r",
        ];
        assert_eq!(task.messages("app"), want, "{runtime}");
        task.finish(&mut watcher);
        assert!(!task.path().join("console-0.sock").exists());
    }
}

#[test]
fn an_interactive_container_keeps_its_stdin() {
    for (name, stdin_open, want) in [("closed", false, Some(0)), ("open", true, None)] {
        let mut task = Task::new(&any_runtime());
        task.command("app", &["/bin/cat"]).stdin_open = stdin_open;
        task.container("other", "sleep 0.3");
        let mut watcher = task.start();
        let state =
            watcher.wait_for_state("an end", |state| state.task.phase >= TaskPhase::Stopping);
        assert_eq!(of(&state, "app").exit_code, want, "{name}");
        watcher
            .client
            .stop(StopCode::UserInitiated, "enough", Some(9))
            .expect("a request");
        let mut watcher = task.watch();
        watcher.wait_until_stopped();
        task.finish(&mut watcher);
    }
}
