//! The last steps inside the container: find the executable, become the command.
//!
//! libcontainer calls [`Executor::validate`] before it reports the container as created, so a command that does not
//! exist fails `create`; [`Executor::exec`] is called on `start`.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::workload::{
    Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError,
};
use nix::errno::Errno;
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, sigaction, sigprocmask,
};
use nix::unistd::{AccessFlags, access, execve};
use oci_spec::runtime::{LinuxCapabilities, Process, Spec};

use crate::error::{ErrorKind, RuntimeError};
use crate::filter::Filter;
use crate::{furnish, init, report};

/// Set to "true" on a container whose process 1 shall be ours and not the command (`initProcessEnabled`).
pub const INIT_ANNOTATION: &str = "dev.neargate.init";

/// Where a command is looked for when the process has no PATH: Docker's default.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The exit code of a process whose execve failed, as with Docker.
const EXEC_FAILED_EXIT_CODE: i32 = 255;

/// What the process applies to itself as its last steps: first the filter, because without no_new_privs that needs
/// the capabilities which are then dropped.
#[derive(Clone, Default)]
pub(crate) struct Confinement {
    pub filter: Option<Filter>,
    pub capabilities: Option<LinuxCapabilities>,
}

#[derive(Clone, Default)]
pub(crate) struct Payload {
    /// The first process of a container may become its init; one that joins never does.
    may_be_init: bool,
    confinement: Confinement,
    executable: Rc<OnceCell<PathBuf>>,
    home: Rc<OnceCell<String>>,
}

impl Payload {
    pub(crate) fn of_container(confinement: Confinement) -> Self {
        Payload {
            may_be_init: true,
            confinement,
            ..Payload::default()
        }
    }

    pub(crate) fn joining(confinement: Confinement) -> Self {
        Payload {
            confinement,
            ..Payload::default()
        }
    }
}

impl Executor for Payload {
    fn validate(&self, spec: &Spec) -> Result<(), ExecutorValidationError> {
        let found = process_of(spec)
            .and_then(|process| find_executable(&args_of(process)?[0], path_of(process)));
        // Who joins a container finds its mounts as they are.
        let prepared = match found {
            Ok(path) if self.may_be_init => furnish::complete(spec).map(|()| path),
            other => other,
        };
        match prepared {
            Ok(path) => {
                let _ = self.executable.set(path);
                Ok(())
            }
            Err(error) => {
                report::send(&error);
                Err(ExecutorValidationError::ArgValidationError(error.message))
            }
        }
    }

    /// Keeps the HOME that libcontainer found in the container's /etc/passwd; the rest of the environment goes to
    /// execve as it stands in the spec, with its order, and our own environment is not touched.
    fn setup_envs(&self, envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        if let Some(home) = envs.get("HOME") {
            let _ = self.home.set(home.clone());
        }
        Ok(())
    }

    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = process_of(spec).map_err(|error| ExecutorError::Other(error.message))?;
        let args = args_of(process).map_err(|error| ExecutorError::Other(error.message))?;
        confine(&self.confinement).map_err(ExecutorError::Other)?;
        let wants_init = self.may_be_init
            && spec
                .annotations()
                .as_ref()
                .and_then(|all| all.get(INIT_ANNOTATION))
                .is_some_and(|v| v == "true");
        if wants_init {
            let title = format!("neargate-init\0--\0{}", args.join("\0"));
            let failed = init::run(&title, || self.become_command(process, args));
            return match failed {
                Ok(never) => match never {},
                Err(errno) => Err(ExecutorError::Other(format!(
                    "cannot fork the command: {errno}"
                ))),
            };
        }
        std::process::exit(self.become_command(process, args))
    }
}

impl Payload {
    /// Returns only when execve failed, with the exit code.
    fn become_command(&self, process: &Process, args: &[String]) -> i32 {
        let path = self
            .executable
            .get()
            .map_or_else(|| PathBuf::from(&args[0]), Clone::clone);
        reset_signals();
        let mut env: Vec<CString> = process
            .env()
            .iter()
            .flatten()
            .filter_map(|e| to_c(e))
            .collect();
        if let Some(home) = self.home.get()
            && !process
                .env()
                .iter()
                .flatten()
                .any(|entry| entry.starts_with("HOME="))
        {
            env.extend(to_c(&format!("HOME={home}")));
        }
        let argv: Vec<CString> = args.iter().filter_map(|a| to_c(a)).collect();
        let errno = match to_c(&path.to_string_lossy()) {
            Some(c_path) if argv.len() == args.len() => match execve(&c_path, &argv, &env) {
                Ok(never) => match never {},
                Err(errno) => errno,
            },
            _ => Errno::EINVAL,
        };
        init::say_exec_failed(&path.to_string_lossy(), errno);
        EXEC_FAILED_EXIT_CODE
    }
}

fn process_of(spec: &Spec) -> Result<&Process, RuntimeError> {
    spec.process()
        .as_ref()
        .ok_or_else(|| RuntimeError::new(ErrorKind::InvalidSpec, "the spec has no process"))
}

fn args_of(process: &Process) -> Result<&[String], RuntimeError> {
    match process.args().as_deref() {
        Some(args) if !args.is_empty() => Ok(args),
        _ => Err(RuntimeError::new(
            ErrorKind::InvalidSpec,
            "no command specified",
        )),
    }
}

fn path_of(process: &Process) -> &str {
    process
        .env()
        .iter()
        .flatten()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH)
}

/// Looks `name` up as runc does (Go's LookPath), with runc's texts: a name with a slash is a path, any other is
/// searched in PATH, and the first hit that may be executed wins.
fn find_executable(name: &str, path: &str) -> Result<PathBuf, RuntimeError> {
    let not_found = |why: &str| {
        Err(RuntimeError::new(
            ErrorKind::ExecutableNotFound,
            format!("exec: {name:?}: {why}"),
        ))
    };
    if name.contains('/') {
        return match check_executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => {
                not_found(&format!("stat {name}: no such file or directory"))
            }
            Err(errno) => Err(RuntimeError::new(
                ErrorKind::ExecutableNotPermitted,
                format!("exec: {name:?}: {}", errno.desc().to_lowercase()),
            )),
        };
    }
    if !name.is_empty() {
        for dir in path.split(':') {
            // An empty element of PATH is the working directory.
            let candidate = Path::new(if dir.is_empty() { "." } else { dir }).join(name);
            if check_executable(&candidate).is_ok() {
                return Ok(candidate);
            }
        }
    }
    not_found("executable file not found in $PATH")
}

fn check_executable(path: &Path) -> Result<(), Errno> {
    let metadata = path
        .metadata()
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    // As the container's user with the container's capabilities: by now both are set.
    access(path, AccessFlags::X_OK)
}

fn to_c(text: &str) -> Option<CString> {
    CString::new(text).ok()
}

/// Rust ignores SIGPIPE from its first line on and the shim may block signals; a command must begin like from a shell.
fn reset_signals() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in nix::sys::signal::Signal::iterator() {
        // SAFETY: sets the default action, no handler of ours is installed. KILL and STOP answer EINVAL.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

fn confine(confinement: &Confinement) -> Result<(), String> {
    if let Some(filter) = &confinement.filter {
        filter
            .install()
            .map_err(|error| format!("cannot install the seccomp filter: {error}"))?;
    }
    if let Some(wanted) = &confinement.capabilities {
        let syscall = libcontainer::syscall::syscall::create_syscall();
        libcontainer::capabilities::drop_privileges(wanted, syscall.as_ref())
            .map_err(|error| format!("cannot drop capabilities: {error}"))?;
    }
    Ok(())
}
