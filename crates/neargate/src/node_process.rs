//! Keeps a node running beside the server: a process of its own, which outlives this one.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{lock, node};

/// Pause before a node is started again that ended by itself.
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// How long a node may take to stop its tasks: the longest stopTimeout of Fargate (120 s), and some for the rest.
const STOP_TIMEOUT: Duration = Duration::from_secs(150);

pub struct NodeProcess {
    pub data_dir: PathBuf,
    pub server_socket: PathBuf,
    pub oci_runtime: Option<PathBuf>,
}

impl NodeProcess {
    fn lock_path(&self) -> PathBuf {
        self.data_dir.join(node::LOCK)
    }

    /// Starts the node, unless the one of an earlier server still runs, and again whenever it has ended.
    pub async fn keep_running(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(&self.data_dir)
            .with_context(|| format!("making {}", self.data_dir.display()))?;
        loop {
            if lock::holder(&self.lock_path())?.is_none() {
                self.start().await?;
            } else {
                let path = self.lock_path();
                tokio::task::spawn_blocking(move || lock::wait_until_free(path)).await??;
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    /// Starts a node and waits for its end.
    async fn start(&self) -> anyhow::Result<()> {
        let log_path = self.data_dir.join("node.log");
        let log = File::options().create(true).append(true).open(&log_path)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("node")
            .arg("--data-dir")
            .arg(&self.data_dir)
            .arg("--server-socket")
            .arg(&self.server_socket)
            .arg("--clean-on-exit")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C in our terminal is for us; we tell the node what to do.
            .process_group(0);
        if let Some(runtime) = &self.oci_runtime {
            command.arg("--oci-runtime").arg(runtime);
        }
        let mut child = tokio::process::Command::from(command)
            .spawn()
            .context("starting the node")?;
        let status = child.wait().await?;
        if !status.success() {
            tracing::warn!(%status, log = %log_path.display(), "the node has ended; it is started again");
        }
        Ok(())
    }

    /// Ends the node, whoever started it. It stops its tasks first.
    pub async fn stop(&self) -> anyhow::Result<()> {
        if let Some(pid) = lock::holder(&self.lock_path())?.filter(|pid| *pid > 0) {
            // The holder of the lock lives, so the pid is its own.
            kill(Pid::from_raw(pid), Signal::SIGTERM).context("signalling the node")?;
        }
        let path = self.lock_path();
        let waiting = tokio::task::spawn_blocking(move || lock::wait_until_free(path));
        tokio::time::timeout(STOP_TIMEOUT, waiting)
            .await
            .context("the node did not end in time")???;
        Ok(())
    }
}

/// Directory of the node below the server's.
pub fn data_dir(server_data_dir: &Path) -> PathBuf {
    server_data_dir.join("node")
}
