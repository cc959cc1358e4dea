//! Processes of this machine by their command lines: how those are found that Neargate started and cannot talk to any more.
//! Looking at every process is dear, so it is done only after something was killed or damaged.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// What one look over all processes found.
#[derive(Debug, Default)]
pub struct Look {
    /// Those that were wanted. All of them have been sent SIGKILL, unless they were gone by then.
    pub found: Vec<Pid>,
    /// One more may be among them: it was in the middle of execve and had no command line.
    pub unsure: bool,
}

/// SIGKILL to each process whose number and words of its command line are `wanted`.
pub fn kill_where(wanted: impl Fn(Pid, &[&[u8]]) -> bool) -> Look {
    let mut look = Look::default();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries {
        let pid = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else {
            continue;
        };
        let is_wanted = || command_line(pid).is_some_and(|line| wanted(pid, &words(&line)));
        match command_line(pid) {
            // The next look tells what it is. One that has ended and is not reaped has no command line either, nor has the
            // kernel's own, but those have no program.
            Some(line) if line.is_empty() => {
                look.unsure |= std::fs::read_link(entry.path().join("exe")).is_ok();
                continue;
            }
            Some(line) if wanted(pid, &words(&line)) => look.found.push(pid),
            _ => continue,
        }
        // A number may be another process's at any time, a descriptor not: what is asked after it was opened is true of
        // the process that is killed.
        let killed = pidfd_open(pid, PidfdFlags::empty()).and_then(|process| match is_wanted() {
            true => pidfd_send_signal(process, Signal::KILL),
            false => Ok(()),
        });
        match killed {
            // Gone already is what is wanted.
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                tracing::error!(pid = pid.as_raw_nonzero(), %error, "a process could not be killed");
            }
        }
    }
    look
}

fn command_line(pid: Pid) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()
}

fn words(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| *byte == 0).collect()
}
