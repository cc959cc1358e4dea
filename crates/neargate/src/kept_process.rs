//! Keeps a process of ours running beside another: one that outlives it, and that the next keeper finds by its lock.
//!
//! Two may keep the same process: the server all of them, and the node, which outlives the server, the load balancer.
//! Its lock decides; whoever of two that were started comes second ends.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use neargate_files::private;
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
/// The pause doubles up to this while the process gives up by itself each time: what it lacks may come back.
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(30);
/// Of the end of its log, what is looked at for the reason.
const MAX_REASON_BYTES: u64 = 4096;
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

/// The log of such a process.
pub fn log_path(data_dir: &Path, role: &str) -> PathBuf {
    data_dir.join(format!("{role}.log"))
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

    /// Starts the process whenever it does not run and `keep` says so, for ever. The one of an earlier keeper counts.
    pub async fn keep(&self, keep: Keep) {
        let mut troubles = Troubles::default();
        loop {
            let outcome = match self.state() {
                Ok(State::Held(_)) => {
                    let freed = self.wait_until_free().await;
                    if keep == Keep::Alive {
                        tokio::time::sleep(FIRST_KEEPER_FIRST).await;
                    }
                    freed
                }
                Ok(State::Free) if keep == Keep::Alive => {
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    Ok(())
                }
                Ok(State::Abandoned | State::Free) => {
                    let began = Instant::now();
                    let outcome = self.run().await;
                    match outcome {
                        Ok(_) if began.elapsed() >= SOON => {
                            troubles = Troubles::default();
                            Ok(())
                        }
                        // Killed, or another one has taken its place meanwhile: there is nothing that it lacks.
                        Ok(status)
                            if status.success()
                                || status.signal().is_some()
                                || matches!(self.state(), Ok(State::Held(_))) =>
                        {
                            tokio::time::sleep(RESTART_PAUSE).await;
                            Ok(())
                        }
                        Ok(_) => Err(anyhow!(self.last_words())),
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                troubles.tell(self.role, &error);
                tokio::time::sleep(troubles.next_pause()).await;
            }
        }
    }

    fn state(&self) -> anyhow::Result<State> {
        private::make_dir(&self.data_dir)
            .with_context(|| format!("making {}", self.data_dir.display()))?;
        Ok(lock::state(&self.lock_path())?)
    }

    async fn wait_until_free(&self) -> anyhow::Result<()> {
        let path = self.lock_path();
        Ok(tokio::task::spawn_blocking(move || lock::wait_until_free(path)).await??)
    }

    /// Starts the process and waits for its end.
    async fn run(&self) -> anyhow::Result<ExitStatus> {
        let role = self.role;
        let log_path = log_path(&self.data_dir, role);
        let log = File::options().create(true).append(true).open(&log_path);
        // Without one on a full disk: it says nothing then, and works.
        let log = log.or_else(|_| File::options().append(true).open("/dev/null"))?;
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
        if status.signal().is_some() && !other_runs {
            tracing::warn!(role, %status, log = %log_path.display(), "a process has ended; it is started again");
        }
        Ok(status)
    }

    /// Why the process gave up: the last line of its log.
    fn last_words(&self) -> String {
        let log = log_path(&self.data_dir, self.role);
        let text = File::open(&log).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(MAX_REASON_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        });
        let text = text.unwrap_or_default();
        let last = text.lines().rfind(|line| !line.trim().is_empty());
        match last {
            Some(line) => format!("{line} (more in {})", log.display()),
            None => "it gave up and said nothing".to_owned(),
        }
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
        let ended = async {
            if let Some(child) = &mut ours {
                child.wait().await?;
            }
            self.wait_until_free().await
        };
        tokio::time::timeout(self.stop_timeout, ended)
            .await
            .with_context(|| format!("neargate {role} did not end in time"))?
    }
}

/// What kept a process from running since it last did.
#[derive(Default)]
struct Troubles(u32);

impl Troubles {
    /// Says it once, however often it is tried.
    fn tell(&self, role: &str, error: &anyhow::Error) {
        if self.0 == 0 {
            tracing::error!(
                role,
                error = format_args!("{error:#}"),
                "a process cannot run; it is tried again, less and less often"
            );
        }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = RESTART_PAUSE.saturating_mul(1 << self.0.min(16));
        self.0 = self.0.saturating_add(1);
        pause.min(MAX_RESTART_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_run_is_tried_less_and_less_often() {
        let mut troubles = Troubles::default();
        let pauses: Vec<u128> = (0..8).map(|_| troubles.next_pause().as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
    }

    #[test]
    fn the_reason_is_the_last_line_of_the_log() {
        let dir = tempfile::tempdir().expect("a directory");
        let kept = KeptProcess::new("node", dir.path().to_owned(), Vec::new(), SOON);
        assert_eq!(kept.last_words(), "it gave up and said nothing");
        let log = format!("{}\nneargate: no room\n\n", "x".repeat(10_000));
        std::fs::write(log_path(dir.path(), "node"), log).expect("written");
        let want = format!(
            "neargate: no room (more in {})",
            log_path(dir.path(), "node").display()
        );
        assert_eq!(kept.last_words(), want);
    }
}
