//! Keeps a process of ours running beside another: one that outlives it, and that the next keeper finds by its lock.
//!
//! Two may keep the same process: the server all of them, and the node, which outlives the server, the load balancer.
//! Its lock decides; whoever of two that were started comes second ends.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use crate::lock::{self, State};

/// Name of the lock in the process's data directory. It holds it for as long as it lives.
pub const LOCK: &str = "lock";
/// Pause before a process is started again that ended soon after its start. One that has run longer is started again at
/// once: requests wait for it.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(5);
/// How long a deputy leaves a process that has died to its first keeper, which starts it again at once.
const FIRST_KEEPER_FIRST: Duration = Duration::from_millis(100);
/// How often a deputy looks whether a process that ended in order runs again.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What a keeper makes of a process that does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It is started.
    Running,
    /// It is started if it has died. One that ended in order was told to, by whoever also decides when it comes back.
    Alive,
}

pub struct KeptProcess {
    /// Its role: the first word of its command line, and the name of its log.
    role: &'static str,
    data_dir: PathBuf,
    /// What follows the role on its command line.
    arguments: Vec<OsString>,
    /// How long it may take to end.
    stop_timeout: Duration,
    /// The one that we started, if it is ours.
    child: Mutex<Option<Child>>,
}

impl KeptProcess {
    pub fn new(
        role: &'static str,
        data_dir: PathBuf,
        arguments: Vec<OsString>,
        stop_timeout: Duration,
    ) -> Self {
        Self {
            role,
            data_dir,
            arguments,
            stop_timeout,
            child: Mutex::default(),
        }
    }

    fn lock_path(&self) -> PathBuf {
        self.data_dir.join(LOCK)
    }

    /// Starts the process whenever it does not run and `keep` says so. The one of an earlier keeper counts.
    pub async fn keep(&self, keep: Keep) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.data_dir)
            .with_context(|| format!("making {}", self.data_dir.display()))?;
        loop {
            match lock::state(&self.lock_path())? {
                State::Held(_) => {
                    let path = self.lock_path();
                    tokio::task::spawn_blocking(move || lock::wait_until_free(path)).await??;
                    if keep == Keep::Alive {
                        tokio::time::sleep(FIRST_KEEPER_FIRST).await;
                    }
                }
                State::Free if keep == Keep::Alive => tokio::time::sleep(LOOK_INTERVAL).await,
                State::Abandoned | State::Free => {
                    let began = Instant::now();
                    self.run().await?;
                    if began.elapsed() < SOON {
                        tokio::time::sleep(RESTART_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Starts the process and waits for its end.
    async fn run(&self) -> anyhow::Result<()> {
        let role = self.role;
        let log_path = self.data_dir.join(format!("{role}.log"));
        let log = File::options().create(true).append(true).open(&log_path)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(role)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in our terminal is for us; we tell the process what to do.
            .process_group(0);
        let child = command
            .spawn()
            .with_context(|| format!("starting neargate {role}"))?;
        let status = self.child.lock().await.insert(child).wait().await?;
        let other_runs = matches!(lock::state(&self.lock_path())?, State::Held(_));
        if !status.success() && !other_runs {
            tracing::warn!(role, %status, log = %log_path.display(), "a process has ended; it is started again");
        }
        Ok(())
    }

    /// Ends the process, whoever started it, and waits until it has ended.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let role = self.role;
        let mut ours = self.child.lock().await.take();
        // Ours may not have the lock yet, and one that has it lives, so that the pid is its own.
        let own_pid = ours.as_ref().and_then(Child::id).map(u32::cast_signed);
        let holder = match lock::state(&self.lock_path())? {
            State::Held(pid) if pid > 0 => Some(pid),
            _ => None,
        };
        for pid in BTreeSet::from_iter(own_pid.into_iter().chain(holder)) {
            match kill(Pid::from_raw(pid), Signal::SIGTERM) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => {
                    return Err(errno).with_context(|| format!("signalling neargate {role}"));
                }
            }
        }
        let path = self.lock_path();
        let ended = async {
            if let Some(child) = &mut ours {
                child.wait().await?;
            }
            tokio::task::spawn_blocking(move || lock::wait_until_free(path)).await??;
            anyhow::Ok(())
        };
        tokio::time::timeout(self.stop_timeout, ended)
            .await
            .with_context(|| format!("neargate {role} did not end in time"))?
    }
}
