//! Every child of the shim: runtime commands, containers' first processes, health checks, and orphans of these.

use std::os::fd::OwnedFd;

use super::Shim;
use super::runtime;
use super::terminal::Console;
use neargate_planner::supervision::Event;

/// Ends that came before the pid file that explains them was read; the oldest are forgotten.
const MAX_UNCLAIMED: usize = 64;

/// Why a child exists.
pub(super) enum Job {
    /// `run`; with the container's output, which is read once this has succeeded.
    Run {
        container: usize,
        stdout: OwnedFd,
        stderr: OwnedFd,
        console: Option<Console>,
    },
    /// A `run` that took too long.
    AbortedRun,
    /// `delete` of what a restart replaces.
    DeleteBeforeRun { container: usize },
    /// `delete` of what has ended.
    Delete,
    /// A container's first process.
    Container { container: usize },
    /// `exec` of a health check.
    HealthExec {
        container: usize,
        check: u64,
        aborted: bool,
    },
    /// The process of a health check.
    Health { container: usize, check: u64 },
}

#[derive(Default)]
pub(super) struct Children {
    jobs: Vec<(i32, Job)>,
    unclaimed: Vec<(i32, i32)>,
}

impl Children {
    pub fn add(&mut self, pid: i32, job: Job) {
        self.jobs.push((pid, job));
    }

    /// Says what a process is that a pid file names. Returns its exit code if it has ended already.
    pub fn claim(&mut self, pid: i32, job: Job) -> Option<i32> {
        match self.unclaimed.iter().position(|&(other, _)| other == pid) {
            Some(index) => Some(self.unclaimed.swap_remove(index).1),
            None => {
                self.add(pid, job);
                None
            }
        }
    }

    fn take(&mut self, pid: i32) -> Option<Job> {
        let index = self.jobs.iter().position(|&(other, _)| other == pid)?;
        Some(self.jobs.swap_remove(index).1)
    }

    /// A process that nobody knows: an orphan of a container, or a child of a runtime that has not ended yet.
    fn keep_unclaimed(&mut self, pid: i32, code: i32) {
        let explained_later = |job: &Job| matches!(job, Job::Run { .. } | Job::HealthExec { .. });
        if self.jobs.iter().any(|(_, job)| explained_later(job)) {
            if self.unclaimed.len() == MAX_UNCLAIMED {
                self.unclaimed.remove(0);
            }
            self.unclaimed.push((pid, code));
        } else {
            self.unclaimed.clear();
        }
    }

    pub fn abort_start(&mut self, wanted: usize) {
        for (pid, job) in &mut self.jobs {
            if matches!(job, Job::Run { container, .. } | Job::DeleteBeforeRun { container } if *container == wanted)
            {
                kill(*pid, libc::SIGKILL);
                *job = Job::AbortedRun;
            }
        }
    }

    pub fn abort_health_check(&mut self, wanted: usize, number: u64) {
        for (pid, job) in &mut self.jobs {
            match job {
                Job::Health { container, check } if *container == wanted && *check == number => {
                    kill_group(*pid);
                }
                // Its process is killed once its pid is known.
                Job::HealthExec {
                    container,
                    check,
                    aborted,
                } if *container == wanted && *check == number => {
                    *aborted = true;
                }
                _ => {}
            }
        }
    }

    pub fn has_health_exec(&self, wanted: usize) -> bool {
        self.jobs.iter().any(
            |(_, job)| matches!(job, Job::HealthExec { container, .. } if *container == wanted),
        )
    }

    /// Something that was started for the sake of order has not ended.
    pub fn cleans_up(&self) -> bool {
        self.jobs
            .iter()
            .any(|(_, job)| matches!(job, Job::Delete | Job::AbortedRun))
    }
}

impl Shim {
    /// Takes the exit codes of all children that have ended.
    pub(super) fn reap(&mut self) {
        // Several signals of one kind come as one: what counts is waitpid.
        while let Ok(Some(_)) = self.signals.read_signal() {}
        loop {
            match wait_any() {
                Some((pid, code)) => self.child_ended(pid, code),
                None => return,
            }
        }
    }

    fn child_ended(&mut self, pid: i32, code: i32) {
        match self.children.take(pid) {
            None => self.children.keep_unclaimed(pid, code),
            Some(Job::AbortedRun) => {}
            Some(Job::Delete) => {
                if code != 0 {
                    super::note("delete of a container failed with code", code);
                }
            }
            Some(Job::Run {
                container,
                stdout,
                stderr,
                console,
            }) => self.run_ended(container, code, stdout, stderr, console),
            Some(Job::DeleteBeforeRun { container }) => self.start(container, false),
            Some(Job::Container { container }) => self.container_exited(container, code),
            Some(Job::HealthExec {
                container,
                check,
                aborted,
            }) => {
                self.health_exec_ended(container, check, aborted, code);
            }
            Some(Job::Health { container, check }) => self.handle(Event::HealthChecked {
                container,
                check,
                passed: code == 0,
            }),
        }
    }

    /// The `exec` of a health check has ended: the check itself goes on, unless it could not begin.
    fn health_exec_ended(&mut self, container: usize, check: u64, aborted: bool, code: i32) {
        let pid = runtime::read_pid(&self.containers[container].files.health_pid);
        let ended = match pid {
            Some(pid) if code == 0 => self.children.claim(pid, Job::Health { container, check }),
            _ => Some(code),
        };
        if aborted {
            return self.children.abort_health_check(container, check);
        }
        if let Some(code) = ended {
            self.handle(Event::HealthChecked {
                container,
                check,
                passed: code == 0,
            });
        }
    }
}

/// A child that has ended: its pid, and its exit code, or 128 and the signal's number.
fn wait_any() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the status outlives the call. libc's, because nix fails on a child that a real-time signal has ended.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    let code = match libc::WIFEXITED(status) {
        true => libc::WEXITSTATUS(status),
        false => 128 + libc::WTERMSIG(status),
    };
    (pid > 0).then_some((pid, code))
}

/// A process that is our child and not reaped yet, so that the pid cannot be another's. One that has ended is no error.
pub(super) fn kill(pid: i32, signal: i32) {
    // SAFETY: kill has no memory effects. libc's, because nix knows no real-time signals and STOPSIGNAL may be one.
    unsafe { libc::kill(pid, signal) };
}

/// A health check and what it has started, as far as that has stayed in its session.
fn kill_group(pid: i32) {
    kill(-pid, libc::SIGKILL);
    kill(pid, libc::SIGKILL);
}
