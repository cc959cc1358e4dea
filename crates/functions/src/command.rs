//! A function that is a command.
//!
//! The command leads a process group of its own and is the invocation: when it ends, is too slow, or is not waited for
//! any more, the rest of its group is killed. Its pid is a valid name of the group until it is reaped, so everybody
//! kills before that.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use neargate_control::functions::Invocation;
use neargate_files::private;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;
use rustix::process::{PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::outcome::{Failure, MAX_ANSWER_BYTES, text_of, too_long};

/// Of what a failed command said on standard error, the end is told.
const MAX_STDERR_TAIL_BYTES: usize = 500;

/// What a process group wrote is there to be read when all of it is dead. Only a process that left the group keeps the
/// pipes open longer.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The commands that run now.
#[derive(Default)]
pub struct Commands {
    running: Arc<Mutex<Running>>,
}

#[derive(Default)]
struct Running {
    groups: BTreeSet<i32>,
    /// No further one is started.
    ended: bool,
}

impl Commands {
    /// Runs a command with the payload on its standard input, and answers what it wrote on its standard output.
    pub async fn invoke(
        &self,
        program: &str,
        arguments: &[String],
        directory: &Path,
        environment: impl IntoIterator<Item = (&'static str, String)>,
        call: &Invocation<'_>,
    ) -> Result<String, Failure> {
        let program = match program.contains('/') {
            true => directory.join(program),
            false => program.into(),
        };
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // Credentials, profiles and endpoints of whoever started Neargate are for another cloud.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"AWS_") {
                command.env_remove(name);
            }
        }
        command.envs(environment);
        // SAFETY: umask(2) is all that happens between fork and exec, and it is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                private::usual_umask();
                Ok(())
            })
        };
        let not_started =
            |error: std::io::Error| Failure::NotStarted(format!("{}: {error}", program.display()));
        let mut group = self.start(&mut command).map_err(not_started)?;
        let stdin = group.child.stdin.take();
        let stdout = group.child.stdout.take();
        let stderr = group.child.stderr.take();
        let output = async {
            tokio::join!(
                write_all(stdin, call.payload.as_bytes()),
                answer(stdout),
                tail(stderr)
            )
        };
        let mut output = std::pin::pin!(output);
        // Whichever is first: a command may close its output before it ends, or leave others behind that hold it open.
        let (status, answer, tail) = tokio::select! {
            ((), answer, tail) = &mut output => match answer {
                Err(failure) => return Err(failure),
                Ok(answer) => (group.wait().await, answer, tail),
            },
            status = group.wait() => {
                match tokio::time::timeout(LAST_OUTPUT, output).await {
                    Ok(((), answer, tail)) => (status, answer?, tail),
                    Err(_) => return Err(Failure::Failed(
                        "it has ended and left a process that holds its output open; redirect that one's output"
                            .to_owned(),
                    )),
                }
            }
        };
        let status = status.map_err(|error| Failure::Failed(error.to_string()))?;
        if status.success() {
            return text_of(answer);
        }
        let said = match tail.trim() {
            "" => "; it said nothing on standard error".to_owned(),
            tail => format!(": {tail}"),
        };
        Err(Failure::Failed(format!("it ended with {status}{said}")))
    }

    /// Kills all that run, and starts none any more.
    pub fn end(&self) {
        let mut running = self.running.lock();
        running.ended = true;
        for pid in &running.groups {
            kill(*pid);
        }
    }

    pub fn have_ended(&self) -> bool {
        self.running.lock().ended
    }

    fn start(&self, command: &mut Command) -> std::io::Result<Group> {
        // Held from before the command exists until it is listed, so that `end` misses none.
        let mut running = self.running.lock();
        if running.ended {
            return Err(std::io::Error::other("the server ends"));
        }
        let child = command.spawn()?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| std::io::Error::other("it has no process id"))?;
        running.groups.insert(pid);
        drop(running);
        let mut group = Group {
            pid,
            child,
            ended: None,
            running: self.running.clone(),
        };
        let pid = rustix::process::Pid::from_raw(pid)
            .ok_or_else(|| std::io::Error::other("it has no process id"))?;
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        // SAFETY: an `OwnedFd` is open until it is dropped and never another, and the `AsyncFd` owns it from here on.
        group.ended = Some(unsafe { AsyncFd::register(ended) }?);
        Ok(group)
    }
}

/// A running command. Who drops it kills it.
struct Group {
    pid: i32,
    child: Child,
    /// Readable when the leader has ended, before it is reaped.
    ended: Option<AsyncFd<OwnedFd>>,
    running: Arc<Mutex<Running>>,
}

impl Group {
    /// Waits for the leader's end, kills what it left, and reaps it.
    async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        if let Some(ended) = &self.ended {
            let _ = ended.readable().await?;
        }
        self.kill();
        self.child.wait().await
    }

    /// Once: afterwards the pid may be somebody else's.
    fn kill(&self) {
        let mut running = self.running.lock();
        if running.groups.remove(&self.pid) {
            kill(self.pid);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Fails only if the group has ended already.
fn kill(group: i32) {
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

/// A command that does not care for its payload is no error.
async fn write_all(stdin: Option<ChildStdin>, payload: &[u8]) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(payload).await;
    }
}

async fn answer(stdout: Option<ChildStdout>) -> Result<Vec<u8>, Failure> {
    let mut answer = Vec::new();
    let Some(stdout) = stdout else {
        return Ok(answer);
    };
    let limit = MAX_ANSWER_BYTES as u64 + 1;
    match stdout.take(limit).read_to_end(&mut answer).await {
        Err(error) => Err(Failure::Failed(format!(
            "its output cannot be read: {error}"
        ))),
        Ok(read) if read > MAX_ANSWER_BYTES => Err(too_long()),
        Ok(_) => Ok(answer),
    }
}

/// The end of what is written, however much it is.
async fn tail(stderr: Option<ChildStderr>) -> String {
    match stderr {
        Some(stderr) => tail_of(stderr).await,
        None => String::new(),
    }
}

async fn tail_of(mut stderr: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut part).await {
        kept.extend_from_slice(&part[..read]);
        let surplus = kept.len().saturating_sub(MAX_STDERR_TAIL_BYTES);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_a_long_text_the_end_is_kept() {
        let text = format!("{}end", "x".repeat(100_000));
        let kept = tail_of(text.as_bytes()).await;
        assert_eq!(kept.len(), MAX_STDERR_TAIL_BYTES);
        assert!(kept.ends_with("xend"));
    }
}
