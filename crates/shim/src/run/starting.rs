//! Containers begin, and what is left of them goes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use neargate_planner::supervision::{Event, StartError};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::Shim;
use super::children::Job;
use super::runtime::{self, Streams};
use crate::clock::wall_millis;
use crate::state::ProcessId;

impl Shim {
    /// Asks the runtime for the container; its answer comes as the end of a child.
    pub(super) fn start(&mut self, container: usize, restart: bool) {
        let started = if restart {
            self.delete(container, Job::DeleteBeforeRun { container })
        } else {
            self.run_container(container)
        };
        if let Err(error) = started {
            self.pending.push_back(Event::StartFailed {
                container,
                error: StartError::CannotCreateContainer,
                text: error.to_string(),
            });
        }
    }

    pub(super) fn run_container(&mut self, index: usize) -> io::Result<()> {
        let container = &mut self.containers[index];
        let spec = &container.spec;
        container.oom_kills_before = oom_kills(spec.cgroup.as_deref());
        let pid_file = runtime::init_pid_file(spec);
        remove_if_there(&pid_file)?;
        let log = runtime::log_file(spec);
        remove_if_there(&log)?;
        let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        let (child_stdin, stdin) = match spec.stdin_open {
            true => pipe2(OFlag::O_CLOEXEC).map(|(read, write)| (Some(read), Some(write)))?,
            false => (None, None),
        };
        let pid = runtime::spawn(
            &self.spec.runtime,
            &log,
            [
                "run".as_ref(),
                "--detach".as_ref(),
                "--bundle".as_ref(),
                spec.bundle.as_os_str(),
                "--pid-file".as_ref(),
                pid_file.as_os_str(),
                OsStr::new(&spec.id),
            ],
            Streams::piped(child_stdin, child_stdout, child_stderr),
        )
        .map_err(|error| {
            let program = self.spec.runtime.program.display();
            io::Error::new(error.kind(), format!("cannot execute {program}: {error}"))
        })?;
        container.stdin = stdin;
        self.children.add(
            pid,
            Job::Run {
                container: index,
                stdout,
                stderr,
            },
        );
        Ok(())
    }

    /// The runtime's `run` has ended. Its pipes were left alone until now: had it failed, they would tell why.
    pub(super) fn run_ended(&mut self, index: usize, code: i32, stdout: OwnedFd, stderr: OwnedFd) {
        let spec = &self.containers[index].spec;
        let pid = runtime::read_pid(&runtime::init_pid_file(spec));
        let (Some(pid), 0) = (pid, code) else {
            let said = super::output::read_all_now(&stderr);
            let text = runtime::failure_text(&runtime::log_file(spec), &said);
            self.forget_container(index);
            return self.handle(Event::StartFailed {
                container: index,
                error: StartError::CannotStartContainer,
                text,
            });
        };
        let container = &mut self.containers[index];
        // One that has ended already has no entry in /proc any more, if it was reaped.
        container.process = ProcessId::of(pid);
        container.started_at.get_or_insert_with(wall_millis);
        self.output.open(&self.poller, index, stdout);
        self.output.open(&self.poller, index, stderr);
        self.handle(Event::Started { container: index });
        if let Some(code) = self
            .children
            .claim(pid, Job::Container { container: index })
        {
            self.container_exited(index, code);
        }
    }

    /// The planner no longer waits for this start.
    pub(super) fn abort_start(&mut self, container: usize) {
        self.children.abort_start(container);
        self.forget_container(container);
    }

    pub(super) fn container_exited(&mut self, index: usize, code: i32) {
        self.containers[index].process = None;
        self.containers[index].stdin = None;
        self.drain_output(index);
        let container = &mut self.containers[index];
        let kills = oom_kills(container.spec.cgroup.as_deref());
        let out_of_memory = code == 128 + libc::SIGKILL && kills > container.oom_kills_before;
        container.finished_at = Some(wall_millis());
        self.handle(Event::Exited {
            container: index,
            code,
            reason: out_of_memory
                .then(|| "OutOfMemoryError: Container killed due to memory usage".to_owned()),
        });
        if self.is_stopped(index) {
            self.forget_container(index);
        }
    }

    /// Lets the runtime remove what it keeps of a container, and kill what still lives in it.
    fn forget_container(&mut self, container: usize) {
        if let Err(error) = self.delete(container, Job::Delete) {
            super::note("cannot delete a container", error);
        }
    }

    fn delete(&mut self, index: usize, job: Job) -> io::Result<()> {
        let spec = &self.containers[index].spec;
        let args = ["delete".as_ref(), "--force".as_ref(), OsStr::new(&spec.id)];
        let log = runtime::log_file(spec);
        let pid = runtime::spawn(&self.spec.runtime, &log, args, Streams::null())?;
        self.children.add(pid, job);
        Ok(())
    }
}

fn remove_if_there(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// How often the kernel has killed in this cgroup because memory ran out.
fn oom_kills(_cgroup: Option<&str>) -> u64 {
    0
}
