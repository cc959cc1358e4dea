//! Containers begin, and what is left of them goes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use neargate_cgroup::{CgroupError, Cgroups, TaskCgroup};
use neargate_planner::supervision::{Event, StartError};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::children::Job;
use super::runtime::{self, Streams};
use super::terminal::Console;
use super::{Container, Shim};
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
        let console = match spec.terminal {
            true => Some(Console::listen(&self.task_dir, index)?),
            false => None,
        };
        // With a terminal they are the runtime's own, not the container's.
        let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        let (child_stdin, stdin) = match spec.stdin_open && !spec.terminal {
            true => pipe2(OFlag::O_CLOEXEC).map(|(read, write)| (Some(read), Some(write)))?,
            false => (None, None),
        };
        let mut args = vec![
            "run".as_ref(),
            "--detach".as_ref(),
            "--bundle".as_ref(),
            files.bundle.as_os_str(),
            "--pid-file".as_ref(),
            files.init_pid.as_os_str(),
        ];
        if let Some(console) = &console {
            args.extend(["--console-socket".as_ref(), console.path().as_os_str()]);
        }
        args.push(OsStr::new(&spec.id));
        let pid = runtime::spawn(
            &self.spec.runtime,
            &files.log,
            args,
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
                console,
            },
        );
        Ok(())
    }

    /// The runtime's `run` has ended. Its pipes were left alone until now: had it failed, they would tell why.
    pub(super) fn run_ended(
        &mut self,
        index: usize,
        code: i32,
        stdout: OwnedFd,
        stderr: OwnedFd,
        console: Option<Console>,
    ) {
        let files = &self.containers[index].files;
        let pid = runtime::read_pid(&files.init_pid);
        let (Some(pid), 0) = (pid, code) else {
            let said = super::output::read_all_now(&stderr);
            let text = runtime::failure_text(&files.log, &said);
            return self.start_failed(index, text);
        };
        let streams = match console.map(Console::take) {
            None => vec![stdout, stderr],
            Some(Ok(terminal)) => vec![terminal],
            Some(Err(error)) => {
                return self.start_failed(index, format!("its terminal: {error}"));
            }
        };
        let container = &mut self.containers[index];
        // One that has ended already has no entry in /proc any more, if it was reaped.
        container.process = ProcessId::of(pid);
        container.started_at.get_or_insert_with(wall_millis);
        container.sink.set_container_ended(false);
        for stream in streams {
            self.output.open(&self.poller, index, stream);
        }
        self.handle(Event::Started { container: index });
        if let Some(code) = self
            .children
            .claim(pid, Job::Container { container: index })
        {
            self.container_exited(index, code);
        }
    }

    fn start_failed(&mut self, container: usize, text: String) {
        self.forget_container(container);
        self.handle(Event::StartFailed {
            container,
            error: StartError::CannotStartContainer,
            text,
        });
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
        if code != KILLED {
            return false;
        }
        let name = &self.containers[index].spec.name;
        match self.cgroup().map(|cgroup| cgroup?.oom_kills(name)) {
            Some(Ok(kills)) => kills > 0,
            Some(Err(error)) => {
                super::note("cannot tell whether memory ran out", error);
                false
            }
            None => false,
        }
    }

    /// The task's control group, if the node has made one.
    fn cgroup(&self) -> Option<Result<TaskCgroup, CgroupError>> {
        let instance = self.spec.cgroup_instance.as_deref()?;
        Some(Cgroups::detect(instance).and_then(|cgroups| cgroups.task(&self.spec.task_id)))
    }

    /// A signal to a container's first process, which hears it even if the task has frozen itself. SIGKILL goes to all
    /// processes of the container: with a shared pid namespace they would outlive the first.
    pub(super) fn signal(&self, container: usize, signal: i32) {
        let Container { spec, process, .. } = &self.containers[container];
        let Some(process) = process else { return };
        let heard = self.cgroup().map(|cgroup| match (cgroup, signal) {
            (Ok(cgroup), libc::SIGKILL) => cgroup.kill_container(&spec.name),
            (Ok(cgroup), _) => cgroup.thaw(),
            (Err(error), _) => Err(error),
        });
        if let Some(Err(error)) = heard {
            super::note(
                "cannot wake or kill a container by its control group",
                error,
            );
        }
        // It is our child and not reaped, so the pid is still its own.
        super::children::kill(process.pid, signal);
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
