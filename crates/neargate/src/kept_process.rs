//! Keeps a process of ours running beside the server: one that outlives it, and that the next server finds by its lock.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lock;

/// Name of the lock in the process's data directory. It holds it for as long as it lives.
pub const LOCK: &str = "lock";
/// Pause before a process is started again that ended soon after its start. One that has run longer is started again at
/// once: requests wait for it.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
const SOON: Duration = Duration::from_secs(5);

pub struct KeptProcess {
    /// Its role: the first word of its command line, and the name of its log.
    pub role: &'static str,
    pub data_dir: PathBuf,
    /// What follows the role on its command line.
    pub arguments: Vec<OsString>,
    /// How long it may take to end.
    pub stop_timeout: Duration,
}

impl KeptProcess {
    fn lock_path(&self) -> PathBuf {
        self.data_dir.join(LOCK)
    }

    /// Starts the process, unless the one of an earlier server still runs, and again whenever it has ended.
    pub async fn keep_running(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.data_dir)
            .with_context(|| format!("making {}", self.data_dir.display()))?;
        loop {
            let began = Instant::now();
            if lock::holder(&self.lock_path())?.is_none() {
                self.start().await?;
                if began.elapsed() < SOON {
                    tokio::time::sleep(RESTART_PAUSE).await;
                }
            } else {
                let path = self.lock_path();
                tokio::task::spawn_blocking(move || lock::wait_until_free(path)).await??;
            }
        }
    }

    /// Starts the process and waits for its end.
    async fn start(&self) -> anyhow::Result<()> {
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
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .with_context(|| format!("starting neargate {role}"))?;
        let status = child.wait().await?;
        if !status.success() {
            tracing::warn!(role, %status, log = %log_path.display(), "a process has ended; it is started again");
        }
        Ok(())
    }

    /// Ends the process, whoever started it, and waits until it has ended.
    pub async fn stop(&self) -> anyhow::Result<()> {
        let role = self.role;
        if let Some(pid) = lock::holder(&self.lock_path())?.filter(|pid| *pid > 0) {
            // The holder of the lock lives, so the pid is its own.
            kill(Pid::from_raw(pid), Signal::SIGTERM)
                .with_context(|| format!("signalling neargate {role}"))?;
        }
        let path = self.lock_path();
        let waiting = tokio::task::spawn_blocking(move || lock::wait_until_free(path));
        tokio::time::timeout(self.stop_timeout, waiting)
            .await
            .with_context(|| format!("neargate {role} did not end in time"))???;
        Ok(())
    }
}
