//! Containers begin, and what is left of them goes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use neargate_cgroup::Cgroups;
use neargate_planner::supervision::{Event, StartError};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::children::Job;
use super::runtime::{self, Streams};
use super::{Container, Shim, terminal};
use crate::clock::wall_millis;
use crate::state::ProcessId;

/// The exit code of what SIGKILL has ended.
const KILLED: i32 = 128 + libc::SIGKILL;
const OUT_OF_MEMORY: &str = "OutOfMemoryError: Container killed due to memory usage";

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
        let files = &container.files;
        remove_if_there(&files.init_pid)?;
        remove_if_there(&files.log)?;
        let (stdout, child_stdout, stderr, child_stderr, child_stdin, stdin);
        if spec.terminal {
            let opened = terminal::open(&files.bundle)?;
            (child_stdin, stdin) = (Some(opened.container.try_clone()?), None);
            // What comes out of the terminal comes out of one stream; the other one is at its end at once.
            (stderr, _) = pipe2(OFlag::O_CLOEXEC)?;
            child_stderr = opened.container.try_clone()?;
            (stdout, child_stdout) = (opened.shim, opened.container);
        } else {
            (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
            (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
            (child_stdin, stdin) = match spec.stdin_open {
                true => pipe2(OFlag::O_CLOEXEC).map(|(read, write)| (Some(read), Some(write)))?,
                false => (None, None),
            };
        }
        let pid = runtime::spawn(
            &self.spec.runtime,
            &files.log,
            [
                "run".as_ref(),
                "--detach".as_ref(),
                "--bundle".as_ref(),
                files.bundle.as_os_str(),
                "--pid-file".as_ref(),
                files.init_pid.as_os_str(),
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
        let files = &self.containers[index].files;
        let pid = runtime::read_pid(&files.init_pid);
        let (Some(pid), 0) = (pid, code) else {
            let said = super::output::read_all_now(&stderr);
            let text = runtime::failure_text(&files.log, &said);
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
        container.sink.set_container_ended(false);
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
        let out_of_memory = self.ran_out_of_memory(index, code);
        let container = &mut self.containers[index];
        container.finished_at = Some(wall_millis());
        self.handle(Event::Exited {
            container: index,
            code,
            reason: out_of_memory.then(|| OUT_OF_MEMORY.to_owned()),
        });
        if self.is_stopped(index) {
            self.forget_container(index);
        }
    }

    /// Whether the kernel has killed in the container's cgroup, which every run gets anew.
    fn ran_out_of_memory(&self, index: usize, code: i32) -> bool {
        let Some(instance) = &self.spec.cgroup_instance else {
            return false;
        };
        if code != KILLED {
            return false;
        }
        let kills = Cgroups::detect(instance)
            .and_then(|cgroups| cgroups.task(&self.spec.task_id))
            .and_then(|cgroup| cgroup.oom_kills(&self.containers[index].spec.name));
        match kills {
            Ok(kills) => kills > 0,
            Err(error) => {
                super::note("cannot tell whether memory ran out", error);
                false
            }
        }
    }

    /// Lets the runtime remove what it keeps of a container, and kill what still lives in it.
    fn forget_container(&mut self, container: usize) {
        if let Err(error) = self.delete(container, Job::Delete) {
            super::note("cannot delete a container", error);
        }
    }

    fn delete(&mut self, index: usize, job: Job) -> io::Result<()> {
        let Container { spec, files, .. } = &self.containers[index];
        let args = ["delete".as_ref(), "--force".as_ref(), OsStr::new(&spec.id)];
        let pid = runtime::spawn(&self.spec.runtime, &files.log, args, Streams::null())?;
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
