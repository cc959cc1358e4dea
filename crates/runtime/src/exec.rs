//! `exec`: another process in a running container, for health checks and ECS Exec.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::{Process, Spec};

use crate::cli::{Exec, Global};
use crate::commands::{Result, explain, load, open_report, seal_executable, wait};
use crate::error::{ErrorKind, RuntimeError};
use crate::executor::Payload;
use crate::init;
use crate::staging::{read_json, take_confinement};

pub(crate) fn exec(global: &Global, exec: Exec) -> Result<ExitCode> {
    seal_executable()?;
    let report = open_report()?;
    let container = load(global, &exec.id)?;
    let mut spec: Spec = read_json(&container.bundle().join("config.json"))?;
    let process = exec_process(&exec, &spec)?;
    spec.set_process(Some(process));
    let confinement = take_confinement(&global.root, &mut spec)?;
    let process = spec.process().clone().unwrap_or_default();
    let process_file = ProcessFile::write(&global.root.join(&exec.id), &process)?;

    let built = ContainerBuilder::new(exec.id.clone(), SyscallType::default())
        .with_executor(Payload::joining(confinement))
        .with_root_path(global.root.clone())
        .and_then(|builder| builder.with_pid_file(exec.pid_file.clone()))
        .map(|builder| builder.with_console_socket(exec.console_socket.clone()))
        .and_then(|builder| {
            builder
                .as_tenant()
                .with_detach(exec.detach)
                .with_process(Some(process_file.path.clone()))
                .build()
        });
    drop(process_file);
    match built {
        Ok(_) if exec.detach => Ok(ExitCode::SUCCESS),
        Ok(pid) => wait(Some(pid.as_raw())),
        Err(error) => {
            init::reap_failed_children();
            Err(explain(
                "OCI runtime exec failed: exec failed",
                report,
                &error,
            ))
        }
    }
}

/// The process to run: the file, or the container's own with another command (the way of `runc exec ID COMMAND`).
fn exec_process(exec: &Exec, spec: &Spec) -> Result<Process> {
    let mut process = match &exec.process {
        Some(path) => read_json::<Process>(path)?,
        None => {
            let mut process = spec.process().clone().ok_or_else(|| {
                RuntimeError::new(
                    ErrorKind::InvalidSpec,
                    "the container's spec has no process",
                )
            })?;
            process
                .set_args(Some(exec.command.clone()))
                .set_terminal(Some(exec.tty));
            process
        }
    };
    if let Some(cwd) = &exec.cwd {
        process.set_cwd(cwd.clone());
    }
    if !exec.env.is_empty() {
        let mut env = process.env().clone().unwrap_or_default();
        for entry in &exec.env {
            let name = format!("{}=", entry.split('=').next().unwrap_or_default());
            env.retain(|old| !old.starts_with(&name));
            env.push(entry.clone());
        }
        process.set_env(Some(env));
    }
    if let Some(user) = &exec.user {
        let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
        let wrong = |_| {
            RuntimeError::new(
                ErrorKind::Usage,
                format!("--user {user:?} is not UID[:GID]"),
            )
        };
        let mut wanted = process.user().clone();
        wanted.set_uid(uid.parse().map_err(wrong)?);
        if !gid.is_empty() {
            wanted.set_gid(gid.parse().map_err(wrong)?);
        }
        process.set_user(wanted);
    }
    Ok(process)
}

/// The process as libcontainer wants it, a file; gone again when the process has been started.
struct ProcessFile {
    path: PathBuf,
}

impl ProcessFile {
    fn write(dir: &Path, process: &Process) -> Result<Self> {
        let path = dir.join(format!("process-{}.json", std::process::id()));
        let text = serde_json::to_vec(process)
            .map_err(|e| RuntimeError::internal("cannot write process", e))?;
        // Private: the environment holds secrets.
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        file.and_then(|mut file| file.write_all(&text))
            .map_err(|e| RuntimeError::internal("cannot write process", e))?;
        Ok(ProcessFile { path })
    }
}

impl Drop for ProcessFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
