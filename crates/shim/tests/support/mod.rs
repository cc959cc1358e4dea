#![allow(dead_code, reason = "each test file uses a part of this")]
//! A task directory with real containers: busybox in namespaces of its own, run by whichever OCI runtime is asked for.

use std::fmt;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use neargate_shim::client::Client;
use neargate_shim::protocol::Event;
use neargate_shim::spec::{ContainerSpec, LogSpec, RuntimeCommand, ShimSpec};
use neargate_shim::spool::{LogEvent, SpoolReader};
use neargate_shim::state::{ContainerProgress, ShimState, TaskPhase};
use serde_json::json;

/// Longer than anything here takes; what waits that long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const BUSYBOX: &str = "/bin/busybox";

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The runtimes that tests run with: runc, crun, and our own if it was built.
pub fn runtimes() -> Vec<Runtime> {
    let mut found: Vec<Runtime> = ["/usr/sbin/runc", "/usr/bin/crun"]
        .into_iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| Runtime {
            program: path.into(),
        })
        .collect();
    assert!(!found.is_empty(), "these tests need runc or crun");
    let own = Path::new(env!("CARGO_BIN_EXE_neargate-shim")).with_file_name("neargate-oci-runtime");
    if own.exists() {
        found.push(Runtime { program: own });
    }
    found
}

/// The first of them, for tests that are not about the runtime.
pub fn any_runtime() -> Runtime {
    runtimes().swap_remove(0)
}

#[derive(Debug, Clone)]
pub struct Runtime {
    program: PathBuf,
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())
    }
}

impl Runtime {
    /// crun refuses hosts with both cgroup versions: hide one from it, in a mount namespace of its own.
    fn program_in(&self, dir: &Path) -> PathBuf {
        if !self.program.ends_with("crun") || !Path::new("/sys/fs/cgroup/unified").exists() {
            return self.program.clone();
        }
        let wrapper = dir.join("crun");
        let hide = "umount /sys/fs/cgroup/unified; exec crun \"$@\"";
        let script = format!("#!/bin/sh\nexec unshare -m sh -c '{hide}' crun \"$@\"\n");
        fs::write(&wrapper, script).expect("a script");
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("permissions");
        wrapper
    }
}

/// A directory for one task, removed with all that runs in it.
pub struct Task {
    dir: tempfile::TempDir,
    spec: ShimSpec,
    started: bool,
}

impl Task {
    pub fn new(runtime: &Runtime) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let program = runtime.program_in(dir.path());
        let root = dir
            .path()
            .join("runtime-root")
            .to_string_lossy()
            .into_owned();
        let spec = ShimSpec {
            task_id: format!("shimtest-{}-{number}", std::process::id()),
            cgroup_instance: None,
            log_millis_per_sec: None,
            runtime: RuntimeCommand {
                program,
                args: vec!["--root".into(), root],
            },
            containers: Vec::new(),
        };
        Self {
            dir,
            spec,
            started: false,
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a container that runs a shell script. Essential, SIGTERM, no log configuration.
    pub fn container(&mut self, name: &str, script: &str) -> &mut ContainerSpec {
        self.command(name, &["/bin/sh", "-c", script])
    }

    pub fn command(&mut self, name: &str, args: &[&str]) -> &mut ContainerSpec {
        let id = format!("{}-{name}", self.spec.task_id);
        let bundle = PathBuf::from("containers").join(name).join("bundle");
        make_bundle(&self.dir.path().join(&bundle), &id, args);
        self.spec.containers.push(ContainerSpec {
            name: name.into(),
            id,
            bundle,
            essential: true,
            depends_on: Vec::new(),
            start_timeout_millis: None,
            stop_timeout_millis: 10_000,
            stop_signal: "SIGTERM".into(),
            health_check: None,
            restart_policy: None,
            log: LogSpec::default(),
            stdin_open: false,
            terminal: false,
        });
        self.spec.containers.last_mut().expect("just pushed")
    }

    pub fn spec_mut(&mut self) -> &mut ShimSpec {
        &mut self.spec
    }

    /// Runs `neargate-shim --dir`, which returns when the shim listens.
    pub fn run_shim(&mut self) -> std::process::Output {
        let text = serde_json::to_vec(&self.spec).expect("a spec is JSON");
        fs::write(self.path().join("shim.json"), text).expect("shim.json");
        self.started = true;
        Command::new(env!("CARGO_BIN_EXE_neargate-shim"))
            .arg("--dir")
            .arg(self.path())
            .output()
            .expect("the shim can be executed")
    }

    pub fn start(&mut self) -> Watcher {
        let output = self.run_shim();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.watch()
    }

    pub fn connect(&self) -> Client {
        let client = Client::connect(self.path()).expect("the shim listens");
        client.set_timeout(Some(PATIENCE)).expect("a timeout");
        client
    }

    pub fn watch(&self) -> Watcher {
        let mut client = self.connect();
        client.watch().expect("a request");
        Watcher { client }
    }

    pub fn state(&self) -> ShimState {
        ShimState::read(self.path())
            .expect("state.json is readable")
            .expect("state.json exists")
    }

    pub fn spool(&self, container: &str, from_sequence: u64) -> SpoolReader {
        SpoolReader::open(self.path().join("logs").join(container), from_sequence)
    }

    /// All that there is of a container's log now.
    pub fn log(&self, container: &str) -> Vec<LogEvent> {
        let mut reader = self.spool(container, 0);
        let mut events = Vec::new();
        loop {
            let batch = reader.next_batch(1 << 20).expect("a readable spool");
            if batch.events.is_empty() {
                return events;
            }
            events.extend(batch.events);
        }
    }

    pub fn messages(&self, container: &str) -> Vec<String> {
        self.log(container)
            .into_iter()
            .map(|event| event.message)
            .collect()
    }

    /// Waits until the script of a container has written this line.
    pub fn wait_for_line(&self, watcher: &mut Watcher, container: &str, line: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self
            .messages(container)
            .iter()
            .any(|message| message == line)
        {
            assert!(
                Instant::now() < deadline,
                "no line {line:?} in {:?}",
                self.messages(container)
            );
            watcher.wait_for_logs(container);
        }
    }

    /// Ends the shim of a stopped task, waits for it to be gone, and looks for what it may have left behind.
    pub fn finish(&self, watcher: &mut Watcher) {
        let shim = self.state().shim_pid;
        watcher.client.shutdown().expect("a request");
        while let Some(event) = watcher.client.next_event().expect("the shim says good-bye") {
            if let Event::Refused { message } = event {
                panic!("shutdown refused: {message}");
            }
        }
        // A zombie has no command line; when it is reaped is up to whoever its parent is.
        wait_until("the shim has gone", || {
            fs::read(format!("/proc/{shim}/cmdline")).map_or(true, |line| line.is_empty())
        });
        assert!(
            !self.path().join("shim.sock").exists(),
            "the socket was left behind"
        );
        let root = self.path().join("runtime-root");
        let left: Vec<_> = fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert!(left.is_empty(), "containers were left behind: {left:?}");
        for container in &self.spec.containers {
            let name = format!("neargate-{}", container.id);
            let hierarchies = fs::read_dir("/sys/fs/cgroup")
                .into_iter()
                .flatten()
                .flatten();
            for cgroup in hierarchies.map(|hierarchy| hierarchy.path().join(&name)) {
                assert!(!cgroup.exists(), "{} was left behind", cgroup.display());
            }
        }
    }
}

impl Drop for Task {
    /// A test that failed half-way must not leave processes.
    fn drop(&mut self) {
        if !self.started {
            return;
        }
        for container in &self.spec.containers {
            let _ = Command::new(&self.spec.runtime.program)
                .args(&self.spec.runtime.args)
                .args(["delete", "--force", &container.id])
                .output();
        }
        if let Ok(Some(state)) = ShimState::read(self.path())
            && Path::new(&format!("/proc/{}/cmdline", state.shim_pid)).exists()
            && fs::read_to_string(format!("/proc/{}/cmdline", state.shim_pid))
                .is_ok_and(|line| line.contains(&*self.path().to_string_lossy()))
        {
            kill(state.shim_pid, 9);
        }
    }
}

/// A watching client.
pub struct Watcher {
    pub client: Client,
}

impl Watcher {
    pub fn wait_for_state(&mut self, what: &str, wanted: impl Fn(&ShimState) -> bool) -> ShimState {
        let mut last = None;
        loop {
            match self.client.next_event() {
                Ok(Some(Event::State { state })) if wanted(&state) => return state,
                Ok(Some(Event::State { state })) => last = Some(state),
                Ok(Some(_)) => {}
                Ok(None) => panic!("the shim has gone before {what}; last {last:#?}"),
                Err(error) => panic!("{what}: {error}; last {last:#?}"),
            }
        }
    }

    pub fn wait_until_running(&mut self) -> ShimState {
        self.wait_for_state("the task runs", |state| {
            state.task.phase == TaskPhase::Running
        })
    }

    pub fn wait_until_stopped(&mut self) -> ShimState {
        self.wait_for_state("the task stops", |state| {
            state.task.phase == TaskPhase::Stopped
        })
    }

    /// Waits for news about a container's log and returns its next sequence.
    pub fn wait_for_logs(&mut self, container: &str) -> u64 {
        loop {
            match self.client.next_event() {
                Ok(Some(Event::Logs(progress))) if progress.container == container => {
                    return progress.next_sequence;
                }
                Ok(Some(_)) => {}
                other => panic!("no news of {container}'s log: {other:?}"),
            }
        }
    }

    pub fn wait_until_log_closed(&mut self, container: &str) {
        loop {
            match self.client.next_event() {
                Ok(Some(Event::Logs(progress)))
                    if progress.container == container && progress.closed =>
                {
                    return;
                }
                Ok(Some(_)) => {}
                other => panic!("{container}'s log is not closed: {other:?}"),
            }
        }
    }
}

impl Task {
    /// Changes a container's config.json.
    pub fn edit_config(&self, container: &str, edit: impl Fn(&mut serde_json::Value)) {
        let path = self
            .path()
            .join("containers")
            .join(container)
            .join("bundle/config.json");
        let text = fs::read(&path).expect("config.json");
        let mut config = serde_json::from_slice(&text).expect("JSON");
        edit(&mut config);
        fs::write(&path, config.to_string()).expect("config.json");
    }
}

pub fn of<'a>(state: &'a ShimState, container: &str) -> &'a ContainerProgress {
    state
        .containers
        .iter()
        .find(|other| other.name == container)
        .expect("the container is in the state")
}

pub fn exit_codes(state: &ShimState) -> Vec<Option<i32>> {
    state
        .containers
        .iter()
        .map(|container| container.exit_code)
        .collect()
}

pub fn kill(pid: i32, signal: i32) {
    let sent = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .status();
    assert!(sent.is_ok(), "kill can be executed");
}

/// For what gives no event: processes that are not ours.
pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "not reached: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn make_bundle(bundle: &Path, id: &str, args: &[&str]) {
    let bin = bundle.join("rootfs/bin");
    for dir in ["bin", "proc", "dev", "tmp", "sys", "etc"] {
        fs::create_dir_all(bundle.join("rootfs").join(dir)).expect("a root filesystem");
    }
    fs::copy(BUSYBOX, bin.join("busybox")).expect("busybox-static is installed");
    fs::set_permissions(bin.join("busybox"), fs::Permissions::from_mode(0o755))
        .expect("permissions");
    for applet in [
        "sh", "sleep", "echo", "cat", "seq", "true", "false", "yes", "head", "tail", "test",
        "touch", "env", "rm", "ls", "stty", "tty",
    ] {
        symlink("busybox", bin.join(applet)).expect("an applet");
    }
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/bin", "SHIM_TEST=yes"],
            "cwd": "/",
            "capabilities": {
                "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
            },
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "test",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        ],
        "linux": {
            "cgroupsPath": format!("/neargate-{id}"),
            "namespaces": [
                {"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "network"},
            ],
        },
    });
    fs::write(bundle.join("config.json"), config.to_string()).expect("config.json");
}
