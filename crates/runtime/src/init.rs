//! The container's process 1 when `initProcessEnabled` is set: reaps orphans, forwards signals.
//!
//! Docker binds a static `tini` into the container for this. We would have to ship one for each architecture, and a
//! binary of ours that is linked against glibc does not start in an image that has none. But libcontainer's init
//! process already *is* process 1 of the container, set up and confined; so instead of replacing itself with the
//! command it forks the command and stays. Nothing has to exist in the image.
//!
//! The same loop waits for `run` and `exec` in the foreground.

use std::io::Write as _;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, setpgid, tcsetpgrp};

/// Signals that speak about this very process, or that stop a terminal job: never passed on.
const KEPT: [Signal; 10] = [
    Signal::SIGCHLD,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGABRT,
    Signal::SIGTRAP,
    Signal::SIGSYS,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];

/// Forks `payload`, which replaces itself with the command, and stays as process 1 until the command ends.
///
/// The exit status is the command's, 128 + n for signal n, as with tini. The kernel kills what is left in the pid
/// namespace.
pub(crate) fn run(
    title: &str,
    payload: impl FnOnce() -> i32,
) -> Result<std::convert::Infallible, Errno> {
    // Before the fork: a signal that comes between fork and wait stays pending and is forwarded.
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), None)?;
    // Before the fork too: the command could look at process 1 as its first act.
    conceal(title);
    // SAFETY: this process has one thread (libcontainer forked it from a single-threaded command), so the child may
    // allocate and lock as it likes.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // A group of its own, in the foreground if there is a terminal, so that Ctrl-C reaches the command once.
            let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
            let _ = tcsetpgrp(std::io::stdin().as_fd(), getpid());
            std::process::exit(payload())
        }
        ForkResult::Parent { child } => {
            // SAFETY: nothing in this process uses a descriptor above stderr from here on; the report pipe and
            // libcontainer's sockets must not be held open for the container's whole life.
            unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
            // With a shared pid namespace we are not its process 1, but our command's orphans are still ours.
            let _ = nix::sys::prctl::set_child_subreaper(true);
            std::process::exit(supervise(child))
        }
    }
}

/// Waits for `child` as its parent: reaps everything else that ends meanwhile, forwards the signals it is sent.
pub(crate) fn supervise(child: Pid) -> i32 {
    let all = SigSet::all();
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&all), None);
    loop {
        // Reap first: a child may have ended before SIGCHLD was blocked, and then none is pending.
        if let Some(code) = reap(child) {
            return code;
        }
        let Some(signal) = wait_for_signal(&all) else {
            continue;
        };
        if !KEPT.iter().any(|kept| *kept as i32 == signal) {
            // SAFETY: kill has no memory effects; nix's kill does not know real-time signals.
            unsafe { libc::kill(child.as_raw(), signal) };
        }
    }
}

/// Takes the status of every child that has ended; the exit code of `child` if it is among them.
fn reap(child: Pid) -> Option<i32> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == child => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                code = Some(128 + signal as i32)
            }
            Ok(WaitStatus::StillAlive) => return code,
            // Without any child left there is nothing to wait for; 255 if `child` was never ours.
            Err(Errno::ECHILD) => return code.or(Some(255)),
            Err(Errno::EINTR) | Ok(_) => {}
            Err(_) => return code.or(Some(255)),
        }
    }
}

/// The life of a pause process: reaps whatever is given to it, heeds nothing but SIGKILL.
pub(crate) fn reap_for_ever() -> ! {
    let all = SigSet::all();
    let _ = sigprocmask(SigmaskHow::SIG_BLOCK, Some(&all), None);
    loop {
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status.pid().is_some())
        {
        }
        wait_for_signal(&all);
    }
}

pub(crate) fn close_all_descriptors() {
    // SAFETY: for a process that uses no descriptor again and never returns to code that would.
    unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
}

fn wait_for_signal(set: &SigSet) -> Option<i32> {
    // SAFETY: `set` outlives the call and the info pointer may be null.
    let signal = unsafe { libc::sigwaitinfo(set.as_ref(), std::ptr::null_mut()) };
    (signal > 0).then_some(signal)
}

/// Kills and reaps what a failed `create` may have left as our child, so that the caller has nothing to reap.
pub(crate) fn reap_failed_children() {
    while let Ok(status) = waitid(
        Id::All,
        WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG,
    ) {
        match status {
            WaitStatus::StillAlive => {
                // Still running after the failure was reported: on its way out, or waiting for us. Kill makes both
                // end; the pid is found through /proc because libcontainer does not hand it out on failure.
                let children = children_of_self();
                if children.is_empty() {
                    return;
                }
                for pid in children {
                    let _ = kill(pid, Signal::SIGKILL);
                    let _ = waitpid(pid, None);
                }
            }
            other => {
                let Some(pid) = other.pid() else { return };
                let _ = waitpid(pid, None);
            }
        }
    }
}

fn children_of_self() -> Vec<Pid> {
    std::fs::read_to_string("/proc/thread-self/children")
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// Overwrites our command line and environment, which name paths of the host, with `title`: the container can read
/// `/proc/1/cmdline`, and with SYS_PTRACE `/proc/1/environ` too.
pub(crate) fn conceal(title: &str) {
    let Some([arg_start, arg_end, env_start, env_end]) = argument_area() else {
        return;
    };
    let mut text = title.as_bytes().to_vec();
    text.truncate((arg_end - arg_start).saturating_sub(1));
    text.resize(arg_end - arg_start, 0);
    // SAFETY: the kernel reports these ranges as the argument and environment strings of this process, which lie in
    // its writable stack; the process is single-threaded and reads neither again.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), arg_start as *mut u8, text.len());
        std::ptr::write_bytes(env_start as *mut u8, 0, env_end - env_start);
    }
    if let Some(name) = title
        .split('\0')
        .next()
        .and_then(|name| std::ffi::CString::new(name).ok())
    {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// Fields 48 to 51 of /proc/self/stat (proc_pid_stat(5)): arg_start, arg_end, env_start, env_end.
fn argument_area() -> Option<[usize; 4]> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name is in parentheses and may hold spaces; what follows begins with field 3.
    let after_name = stat.rsplit_once(')')?.1;
    let fields: Vec<usize> = after_name
        .split_whitespace()
        .skip(45)
        .take(4)
        .filter_map(|f| f.parse().ok())
        .collect();
    let area: [usize; 4] = fields.try_into().ok()?;
    (area[0] != 0 && area[0] < area[1] && area[2] != 0 && area[2] <= area[3]).then_some(area)
}

/// Says on the container's stderr why the command did not run, in the words of runc 1.1: it reaches the task's log.
pub(crate) fn say_exec_failed(path: &str, error: Errno) {
    let _ = writeln!(
        std::io::stderr(),
        "exec {path}: {}",
        error.desc().to_lowercase()
    );
}
