//! A place for containers on this host: a busybox rootfs, a network namespace, control groups. All of it goes with
//! the value.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use neargate_cgroup::{Cgroups, TaskCgroup, TaskLimits};
use neargate_runtime::spec::{self, ContainerSettings, ImageConfig, Placement};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

pub const OURS: &str = env!("CARGO_BIN_EXE_neargate-oci-runtime");
const APPLETS: &str = "sh cat id ls sleep env grep touch mount unshare dd tail ps hostname pwd df chmod kill true stat \
                       mkdir wc head find sort readlink tr mknod";

pub struct Host {
    dir: tempfile::TempDir,
    cgroups: Cgroups,
    pub task: TaskCgroup,
    /// Keeps the network namespace alive, which is reached as /proc/<us>/fd/<n>.
    netns: File,
    runtime: PathBuf,
}

/// What became of a container's first process.
#[derive(Debug)]
pub struct Ended {
    /// Exit code, 128 + n for signal n.
    pub code: i32,
    pub output: String,
}

impl Host {
    /// `None`, with a word on stderr, where containers cannot be run.
    pub fn new() -> Option<Host> {
        Host::with_runtime(Path::new(OURS))
    }

    pub fn with_runtime(runtime: &Path) -> Option<Host> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs root and busybox-static");
            return None;
        }
        let instance = format!(
            "rt{}x{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let cgroups = Cgroups::detect(&instance).expect("control groups");
        let task = cgroups.task("t1").expect("a good name");
        task.create(&TaskLimits::default()).expect("a task's group");
        // Containers are to become our children, as they become the shim's.
        nix::sys::prctl::set_child_subreaper(true).expect("a subreaper");
        let dir = tempfile::tempdir().expect("a temporary directory");
        // tempfile makes it 0700, through which a container's user could not walk.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("opened");
        make_rootfs(&dir.path().join("rootfs"));
        Some(Host {
            dir,
            cgroups,
            task,
            netns: new_network_namespace(),
            runtime: runtime.to_owned(),
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn placement(&self, id: &str) -> Placement {
        Placement {
            rootfs: self.path("rootfs"),
            network_namespace: format!(
                "/proc/{}/fd/{}",
                std::process::id(),
                self.netns.as_raw_fd()
            )
            .into(),
            hostname: "ip-10-0-0-12.us-east-1.compute.internal".to_owned(),
            cgroup_path: self.task.oci_path(id).expect("a good name"),
            ..Placement::default()
        }
    }

    /// Writes the bundle of a container that runs `script` with sh.
    pub fn bundle(
        &self,
        id: &str,
        script: &str,
        user: &str,
        settings: &ContainerSettings,
    ) -> PathBuf {
        let mut settings = settings.clone();
        if settings.command.is_none() && settings.entry_point.is_none() {
            settings.entry_point = Some(["sh", "-c", script].map(str::to_owned).to_vec());
        }
        self.bundle_at(id, user, &settings, &self.placement(id))
    }

    pub fn bundle_at(
        &self,
        id: &str,
        user: &str,
        settings: &ContainerSettings,
        placement: &Placement,
    ) -> PathBuf {
        let user = spec::user::resolve(&placement.rootfs, user).expect("a user of the image");
        let spec =
            spec::build(&ImageConfig::default(), settings, &user, placement).expect("a spec");
        let bundle = self.path(&format!("bundle-{id}"));
        std::fs::create_dir_all(&bundle).expect("made");
        std::fs::write(
            bundle.join("config.json"),
            serde_json::to_vec(&spec).expect("JSON"),
        )
        .expect("written");
        bundle
    }

    /// The runtime with `--root`; its output is ours, the container has its own.
    pub fn runtime(&self, args: &[&str]) -> Output {
        let mut command = Command::new(&self.runtime);
        command
            .arg("--root")
            .arg(self.path("state"))
            .args(args)
            .stdin(Stdio::null());
        command.output().expect("the runtime runs")
    }

    /// `run --detach`; the pid of the container's first process, which is our child, or the error line.
    pub fn start(&self, id: &str, bundle: &Path) -> Result<Pid, String> {
        let output = File::create(self.path(&format!("{id}.out"))).expect("made");
        let pid_file = self.path(&format!("{id}.pid"));
        let status = Command::new(&self.runtime)
            .arg("--root")
            .arg(self.path("state"))
            .args(["run", "--detach", "--pid-file"])
            .arg(&pid_file)
            .arg("--bundle")
            .arg(bundle)
            .arg(id)
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a descriptor"))
            .stderr(output)
            .status()
            .expect("the runtime runs");
        if !status.success() {
            return Err(self
                .output(id)
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned());
        }
        let pid = std::fs::read_to_string(pid_file).expect("a pid file");
        Ok(Pid::from_raw(pid.trim().parse().expect("a pid")))
    }

    pub fn output(&self, id: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{id}.out"))).expect("readable")
    }

    pub fn wait(&self, id: &str, pid: Pid) -> Ended {
        let code = match waitpid(pid, None).expect("our child") {
            WaitStatus::Exited(_, code) => code,
            WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
            other => panic!("{other:?}"),
        };
        Ended {
            code,
            output: self.output(id),
        }
    }

    /// Start to end, deleted afterwards.
    pub fn run(&self, id: &str, script: &str, user: &str, settings: &ContainerSettings) -> Ended {
        let bundle = self.bundle(id, script, user, settings);
        let pid = self
            .start(id, &bundle)
            .unwrap_or_else(|error| panic!("{id}: {error}"));
        let ended = self.wait(id, pid);
        self.delete(id);
        ended
    }

    pub fn delete(&self, id: &str) {
        let deleted = self.runtime(&["delete", "--force", id]);
        assert!(
            deleted.status.success(),
            "{id}: {}",
            String::from_utf8_lossy(&deleted.stderr)
        );
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.task.kill_all();
        let left = self
            .task
            .remove()
            .and_then(|()| self.cgroups.remove_instance());
        if !std::thread::panicking() {
            left.expect("control groups are removed");
        }
    }
}

fn make_rootfs(root: &Path) {
    for dir in [
        "bin", "etc", "proc", "sys", "dev", "tmp", "home/app", "data",
    ] {
        std::fs::create_dir_all(root.join(dir)).expect("made");
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("copied");
    for applet in APPLETS.split_ascii_whitespace() {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("linked");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    std::fs::write(root.join("etc/passwd"), passwd).expect("written");
    std::fs::write(
        root.join("etc/group"),
        "root:x:0:\nstaff:x:50:app\napp:x:1000:\n",
    )
    .expect("written");
    for (name, text) in [("garbage", "\x01\x02"), ("orphan", "#!/no/interpreter\n")] {
        std::fs::write(root.join("bin").join(name), text).expect("written");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(root.join("bin").join(name), executable).expect("executable");
    }
    std::fs::write(root.join("bin/plain"), "not executable").expect("written");
}

/// Made by a thread of its own, so that the test process stays where it is.
fn new_network_namespace() -> File {
    let made = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
        File::open("/proc/thread-self/ns/net").expect("its file")
    });
    made.join().expect("the thread ends")
}
