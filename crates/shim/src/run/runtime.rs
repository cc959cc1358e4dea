//! The command lines of the OCI runtime, and what its failures say.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::files;
use crate::spec::{ContainerSpec, RuntimeCommand};

/// Read from the end of the runtime's log; its last line tells what went wrong.
const MAX_LOG_BYTES: usize = 16 * 1024;

/// A log that has grown over this, by a health check that fails to run for months, begins anew.
const MAX_LOG_FILE_BYTES: u64 = 256 * 1024;

/// What a runtime command's streams are.
pub(super) struct Streams {
    pub stdin: Stdio,
    pub stdout: Stdio,
    pub stderr: Stdio,
}

impl Streams {
    pub fn null() -> Self {
        Self {
            stdin: Stdio::null(),
            stdout: Stdio::null(),
            stderr: Stdio::null(),
        }
    }

    pub fn piped(stdin: Option<OwnedFd>, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        Self {
            stdin: stdin.map_or_else(Stdio::null, Stdio::from),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }
}

/// Starts a runtime command and returns its pid; the loop learns of its end like that of any child.
pub(super) fn spawn<'a>(
    runtime: &RuntimeCommand,
    log: &Path,
    args: impl IntoIterator<Item = &'a OsStr>,
    streams: Streams,
) -> io::Result<i32> {
    if log
        .metadata()
        .is_ok_and(|found| found.len() > MAX_LOG_FILE_BYTES)
    {
        // What is read of it is what the next command says.
        let _ = fs::remove_file(log);
    }
    let mut command = Command::new(&runtime.program);
    command
        .args(&runtime.args)
        .arg("--log")
        .arg(log)
        .args(["--log-format", "json"])
        .args(args)
        // What the node has in its environment is none of the runtime's business.
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .stdin(streams.stdin)
        .stdout(streams.stdout)
        .stderr(streams.stderr);
    // SAFETY: sigprocmask, open, write and close are all that happens between fork and exec, and all are async-signal-safe.
    unsafe { command.pre_exec(drop_privileges_of_the_shim) };
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// What the shim is and its children must not be: protected from the out-of-memory killer, and deaf to signals.
fn drop_privileges_of_the_shim() -> io::Result<()> {
    // SAFETY: the path is a C string, the buffer outlives the call, the descriptor is ours, and a zeroed signal set is
    // a place that sigemptyset may write to.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        let fd = libc::open(
            c"/proc/self/oom_score_adj".as_ptr(),
            libc::O_WRONLY | libc::O_CLOEXEC,
        );
        if fd >= 0 {
            libc::write(fd, b"0".as_ptr().cast(), 1);
            libc::close(fd);
        }
    }
    Ok(())
}

/// The files that a runtime is told of. Absolute, because runtimes change to the bundle's directory.
pub(super) struct Files {
    pub bundle: PathBuf,
    pub init_pid: PathBuf,
    pub health_pid: PathBuf,
    pub health_process: PathBuf,
    pub log: PathBuf,
}

impl Files {
    pub fn new(task_dir: &Path, spec: &ContainerSpec) -> Self {
        let dir = task_dir.join(files::container_dir(&spec.name));
        Self {
            bundle: task_dir.join(&spec.bundle),
            init_pid: dir.join("init.pid"),
            health_pid: dir.join("health.pid"),
            health_process: dir.join("health.json"),
            log: dir.join("runtime.log"),
        }
    }
}

pub(super) fn read_pid(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// What runc, crun and our own runtime write: `{"level":"error","msg":"…"}`, or `{"kind":"…","message":"…"}`.
#[derive(Deserialize)]
struct LogLine {
    #[serde(alias = "message")]
    msg: String,
    #[serde(default)]
    level: String,
}

/// The last error in a runtime's log, or the last line of what it said on stderr.
pub(super) fn failure_text(log: &Path, stderr: &[u8]) -> String {
    let log = fs::read(log).unwrap_or_default();
    let log = &log[log.len().saturating_sub(MAX_LOG_BYTES)..];
    let text = |line: &[u8]| match serde_json::from_slice::<LogLine>(line) {
        Ok(line) => {
            (!matches!(line.level.as_str(), "warning" | "info" | "debug")).then_some(line.msg)
        }
        Err(_) => None,
    };
    let lines = |bytes: &[u8]| {
        let lines = bytes.split(|&byte| byte == b'\n').rev();
        lines
            .map(<[u8]>::to_vec)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
    };
    let from_log = lines(log).iter().find_map(|line| text(line));
    from_log.unwrap_or_else(|| match lines(stderr).first() {
        Some(line) => text(line).unwrap_or_else(|| String::from_utf8_lossy(line).into_owned()),
        None => "the runtime failed without a word".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_the_words_of_each_runtime() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let log = dir.path().join("runtime.log");
        for (name, content, stderr, want) in [
            (
                "runc",
                "{\"level\":\"warning\",\"msg\":\"w\"}\n{\"level\":\"error\",\"msg\":\"no such file\"}\n",
                "no such file\n",
                "no such file",
            ),
            (
                "ours",
                "{\"kind\":\"internal\",\"message\":\"m\"}\n",
                "",
                "m",
            ),
            (
                "a warning after the error",
                "{\"level\":\"error\",\"msg\":\"e\"}\n{\"level\":\"warning\",\"msg\":\"w\"}",
                "",
                "e",
            ),
            ("only stderr", "", "first\nlast\n", "last"),
            ("stderr in JSON", "", "{\"message\":\"m\"}\n", "m"),
            ("nothing", "", "", "the runtime failed without a word"),
        ] {
            fs::write(&log, content).expect("a file");
            assert_eq!(failure_text(&log, stderr.as_bytes()), want, "{name}");
        }
    }
}
