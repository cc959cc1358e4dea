//! What the subcommands do with a container, on libcontainer; `exec` has a file of its own.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container, ContainerStatus};
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;
use neargate_cgroup::{CgroupError, Layout};
use neargate_files::private;
use nix::unistd::Pid;
use serde::Serialize;

use crate::cli::{Create, Global, Kill, Run};
use crate::error::{ErrorKind, RuntimeError, chain};
use crate::executor::Payload;
use crate::staging::StagedBundle;
use crate::{init, report, seal};

pub(crate) type Result<T> = std::result::Result<T, RuntimeError>;

pub(crate) fn create(global: &Global, create: Create) -> Result<()> {
    build(global, create).map(|_| ())
}

pub(crate) fn start(global: &Global, id: &str) -> Result<()> {
    start_container(&mut load(global, id)?)
}

pub(crate) fn run(global: &Global, run: Run) -> Result<ExitCode> {
    let mut container = build(global, run.create)?;
    if let Err(error) = start_container(&mut container) {
        let _ = container.delete(true);
        init::reap_failed_children();
        return Err(error);
    }
    if run.detach {
        return Ok(ExitCode::SUCCESS);
    }
    let code = wait(container.pid().map(|pid| pid.as_raw()))?;
    if !run.keep {
        container.delete(true).map_err(|e| wrap("delete", &e))?;
    }
    Ok(code)
}

/// The state that the OCI runtime specification asks for, with runc's `created` and `rootfs`-less rest.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OciState<'a> {
    oci_version: &'a str,
    id: &'a str,
    /// 0 once the container has stopped.
    pid: i32,
    status: &'static str,
    bundle: &'a Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<&'a std::collections::HashMap<String, String>>,
}

pub(crate) fn state(global: &Global, id: &str) -> Result<()> {
    let container = load(global, id)?;
    let status = container.status();
    let state = OciState {
        oci_version: &container.state.oci_version,
        id,
        pid: if status == ContainerStatus::Stopped {
            0
        } else {
            container.state.pid.unwrap_or(0)
        },
        status: match status {
            ContainerStatus::Creating => "creating",
            ContainerStatus::Created => "created",
            ContainerStatus::Running => "running",
            ContainerStatus::Paused => "paused",
            ContainerStatus::Stopped => "stopped",
        },
        bundle: container.bundle(),
        created: container.created().map(|at| at.to_rfc3339()),
        annotations: container.state.annotations.as_ref(),
    };
    let text = serde_json::to_string_pretty(&state)
        .map_err(|e| RuntimeError::internal("cannot write state", e))?;
    writeln!(std::io::stdout(), "{text}")
        .map_err(|e| RuntimeError::internal("cannot write state", e))
}

pub(crate) fn kill(global: &Global, kill: &Kill) -> Result<()> {
    let signal = parse_signal(&kill.signal).ok_or_else(|| {
        RuntimeError::new(
            ErrorKind::Usage,
            format!("unknown signal {:?}", kill.signal),
        )
    })?;
    let mut container = load(global, &kill.id)?;
    if kill.all {
        return kill_all(&mut container, signal);
    }
    let not_running = || RuntimeError::new(ErrorKind::WrongState, "container not running");
    if !container.can_kill() {
        return Err(not_running());
    }
    let pid = container.pid().ok_or_else(not_running)?;
    // SAFETY: kill has no memory effects. libc's, because nix knows no real-time signals and STOPSIGNAL may be one.
    if unsafe { libc::kill(pid.as_raw(), signal) } != 0 {
        let error = std::io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ESRCH) => Err(not_running()),
            _ => Err(RuntimeError::internal("cannot send the signal", error)),
        };
    }
    Ok(())
}

fn kill_all(container: &mut Container, signal: i32) -> Result<()> {
    let signal = libcontainer::signal::Signal::try_from(signal)
        .map_err(|e| RuntimeError::new(ErrorKind::Usage, e.to_string()))?;
    container.kill(signal, true).map_err(|e| wrap("kill", &e))
}

pub(crate) fn delete(global: &Global, id: &str, force: bool) -> Result<()> {
    match load(global, id) {
        Ok(mut container) => container.delete(force).map_err(|e| wrap("delete", &e)),
        Err(error) if force && error.kind == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn build(global: &Global, create: Create) -> Result<Container> {
    seal_executable()?;
    let report = open_report()?;
    let no_bundle = |error: std::io::Error| {
        RuntimeError::new(
            ErrorKind::InvalidSpec,
            format!("bundle {}: {error}", create.bundle.display()),
        )
    };
    let bundle = std::fs::canonicalize(&create.bundle).map_err(no_bundle)?;
    if let Some(pid_file) = &create.pid_file {
        // With the modes of the container's files it would be everybody's.
        private::create(pid_file)
            .map_err(|error| RuntimeError::internal("cannot write the pid file", error))?;
    }
    let builder = ContainerBuilder::new(create.id.clone(), SyscallType::default())
        .validate_id()
        .and_then(|builder| builder.with_root_path(global.root.clone()))
        .and_then(|builder| builder.with_pid_file(create.pid_file))
        .map_err(|error| wrap("create", &error))?;
    let staged = StagedBundle::new(&global.root, &bundle, &create.id)?;
    let built = builder
        .with_executor(Payload::of_container(staged.confinement.clone()))
        .with_console_socket(create.console_socket)
        .with_preserved_fds(create.preserve_fds)
        .as_init(&staged.dir)
        .with_systemd(false)
        .with_detach(true)
        .with_no_pivot(create.no_pivot)
        .build();
    let mut container = built.map_err(|error| {
        init::reap_failed_children();
        explain(
            "failed to create shim task: OCI runtime create failed",
            report,
            &error,
        )
    })?;
    container.state.bundle = bundle;
    container.save().map_err(|error| wrap("create", &error))?;
    // Its command does not run yet.
    if let Some(cgroups_path) = &staged.without_own_devices
        && let Err(error) = take_devices_away(cgroups_path)
    {
        let _ = container.delete(true);
        init::reap_failed_children();
        return Err(error);
    }
    Ok(container)
}

/// libcontainer allows every container devices of the host that no task may have.
fn take_devices_away(cgroups_path: &str) -> Result<()> {
    Layout::detect()
        .map_err(CgroupError::from)
        .and_then(|layout| neargate_cgroup::restrict_devices(&layout, cgroups_path))
        .map_err(|error| RuntimeError::internal("cannot restrict devices", error))
}

fn start_container(container: &mut Container) -> Result<()> {
    container.start().map_err(|error| wrap("start", &error))
}

pub(crate) fn seal_executable() -> Result<()> {
    seal::ensure()
        .map_err(|error| RuntimeError::internal("cannot protect the runtime's executable", error))
}

pub(crate) fn open_report() -> Result<report::Report> {
    report::open().map_err(|error| RuntimeError::internal("cannot open a pipe", error))
}

pub(crate) fn load(global: &Global, id: &str) -> Result<Container> {
    // The id names a directory below the root; anything that could point elsewhere is no id.
    let is_name = !id.is_empty() && id != "." && id != ".." && !id.contains('/');
    let dir = global.root.join(id);
    if !is_name || !dir.join("state.json").exists() {
        return Err(RuntimeError::new(
            ErrorKind::NotFound,
            format!("container {id:?} does not exist"),
        ));
    }
    Container::load(dir).map_err(|error| wrap("state", &error))
}

/// Waits for a process of the container that is our child, passing our signals on to it.
pub(crate) fn wait(pid: Option<i32>) -> Result<ExitCode> {
    let pid =
        pid.ok_or_else(|| RuntimeError::new(ErrorKind::Internal, "the container has no process"))?;
    // Exit codes are 0 to 255 by construction; what does not fit cannot have come from a process.
    Ok(ExitCode::from(
        u8::try_from(init::supervise(Pid::from_raw(pid))).unwrap_or(u8::MAX),
    ))
}

/// The failure of `create`, `run` or `exec`: what the container's processes reported, else libcontainer's own words.
pub(crate) fn explain(
    prefix: &str,
    report: report::Report,
    error: &LibcontainerError,
) -> RuntimeError {
    let (structured, details) = report.take();
    if let Some(known) = structured {
        let message = format!(
            "{prefix}: unable to start container process: {}: unknown",
            known.message
        );
        return RuntimeError::new(known.kind, message);
    }
    let kind = kind_of(error);
    let cause = match details.is_empty() {
        true => chain(error),
        false => details,
    };
    RuntimeError::new(kind, format!("{prefix}: {cause}: unknown"))
}

pub(crate) fn wrap(action: &str, error: &LibcontainerError) -> RuntimeError {
    RuntimeError::new(
        kind_of(error),
        format!("OCI runtime {action} failed: {}: unknown", chain(error)),
    )
}

fn kind_of(error: &LibcontainerError) -> ErrorKind {
    match error {
        LibcontainerError::IncorrectStatus(_) => ErrorKind::WrongState,
        LibcontainerError::Exist => ErrorKind::AlreadyExists,
        LibcontainerError::NoDirectory => ErrorKind::NotFound,
        LibcontainerError::InvalidID(_) => ErrorKind::Usage,
        LibcontainerError::Spec(_)
        | LibcontainerError::MissingSpec(_)
        | LibcontainerError::InvalidSpec(_) => ErrorKind::InvalidSpec,
        _ => ErrorKind::Internal,
    }
}

/// `15`, `TERM`, `SIGTERM`, `RTMIN+3`, as Docker reads an image's STOPSIGNAL.
fn parse_signal(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=libc::SIGRTMAX()).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let offset: i32 = if rest.is_empty() {
            0
        } else {
            rest.strip_prefix('+')?.parse().ok()?
        };
        let number = libc::SIGRTMIN().checked_add(offset)?;
        return (number <= libc::SIGRTMAX() && offset >= 0).then_some(number);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let offset: i32 = if rest.is_empty() {
            0
        } else {
            rest.strip_prefix('-')?.parse().ok()?
        };
        let number = libc::SIGRTMAX().checked_sub(offset)?;
        return (number >= libc::SIGRTMIN() && offset >= 0).then_some(number);
    }
    format!("SIG{name}")
        .parse::<nix::sys::signal::Signal>()
        .ok()
        .map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_read_as_docker_reads_stopsignal() {
        for (text, want) in [
            ("15", Some(15)),
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("sigquit", Some(3)),
            ("RTMIN+3", Some(libc::SIGRTMIN() + 3)),
            ("SIGRTMAX-1", Some(libc::SIGRTMAX() - 1)),
            ("SIGRTMIN", Some(libc::SIGRTMIN())),
            ("RTMIN+999", None),
            ("RTMIN-1", None),
            ("RTMIN+-1", None),
            ("0", None),
            ("-9", None),
            ("65000", None),
            ("", None),
            ("SIGNONE", None),
        ] {
            assert_eq!(parse_signal(text), want, "{text}");
        }
    }
}
