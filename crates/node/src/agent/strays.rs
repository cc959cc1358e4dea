//! Processes that were started for a task and that neither a shim nor a control group answers for: those of a shim that
//! was killed at an unhappy moment, or of a node that was.
//!
//! A shim that begins is two processes for a moment, a runtime that makes a container is three, and only what has come
//! into the task's control group ends with it. All of them were told a path of the task's directory, and by that they
//! are found.

use std::path::Path;
use std::time::{Duration, Instant};

use super::processes;
use super::start::PAUSE_PID;

/// The title of a process that holds a shared pid namespace, once it has given up what it was told.
const PAUSE_TITLE: &[u8] = b"neargate-pause";
/// A killed process is gone within milliseconds. One that hangs in the kernel is left to the sweep of the next start.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// So many looks in a row must find none: one that starts during a look may be passed over.
const CLEAN_LOOKS: u32 = 2;

/// SIGKILL to all of them, until none is left: who was killed may have started another the moment before. Blocks.
pub fn end(task_dir: &Path, runtime_root: &Path) {
    let deadline = Instant::now() + PATIENCE;
    let mut clean = 0;
    while clean < CLEAN_LOOKS && Instant::now() < deadline {
        clean = match end_present(task_dir, runtime_root) {
            true => 0,
            false => clean + 1,
        };
        std::thread::sleep(PAUSE);
    }
}

/// Whether there was one, or may have been.
fn end_present(task_dir: &Path, runtime_root: &Path) -> bool {
    let holder = std::fs::read_to_string(task_dir.join(PAUSE_PID)).ok();
    let holder = holder.and_then(|pid| pid.trim().parse::<i32>().ok());
    let look = processes::kill_where(|pid, words| {
        let holds =
            holder == Some(pid.as_raw_nonzero().get()) && words.first() == Some(&PAUSE_TITLE);
        holds || is_of(words, task_dir, runtime_root)
    });
    look.unsure || !look.found.is_empty()
}

/// Whether a command line is a shim's of the task, or that of an OCI runtime for one of its containers. A tenant's
/// process can say the same and ends itself by that, nobody else.
fn is_of(words: &[&[u8]], task_dir: &Path, runtime_root: &Path) -> bool {
    let dir = task_dir.as_os_str().as_encoded_bytes();
    let root = runtime_root.as_os_str().as_encoded_bytes();
    let follows = |first: &[u8], second: &[u8]| {
        words
            .windows(2)
            .any(|pair| pair[0] == first && pair[1] == second)
    };
    let below = |word: &&[u8]| {
        word.strip_prefix(dir)
            .is_some_and(|rest| rest.starts_with(b"/"))
    };
    follows(b"--dir", dir) && words.contains(&b"shim".as_slice())
        || follows(b"--root", root) && words.iter().any(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processes_of_a_task_are_told_from_others() {
        let (dir, root) = (
            Path::new("/data/node/tasks/t1"),
            Path::new("/run/ng/runtime"),
        );
        for (line, want) in [
            ("neargate shim --dir /data/node/tasks/t1", true),
            ("neargate shim --dir /data/node/tasks/t10", false),
            ("ls --dir /data/node/tasks/t1", false),
            (
                "neargate oci-runtime --root /run/ng/runtime --log /data/node/tasks/t1/containers/app/runtime.log run id",
                true,
            ),
            (
                "runc --root /run/ng/runtime run --bundle /data/node/tasks/t1/containers/app id",
                true,
            ),
            (
                "runc --root /run/ng/runtime run --bundle /data/node/tasks/t2/containers/app id",
                false,
            ),
            (
                "runc --root /run/other run --bundle /data/node/tasks/t1/containers/app id",
                false,
            ),
            ("tail -f /data/node/tasks/t1/shim.log", false),
            ("", false),
        ] {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            assert_eq!(is_of(&words, dir, root), want, "{line}");
        }
    }

    #[test]
    fn who_was_told_the_directory_is_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = "read never; #";
        let mut shim = std::process::Command::new("sh")
            .args(["-c", script, "shim", "--dir"])
            .arg(dir.path())
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        let waiter = std::thread::spawn(move || {
            let stdin = shim.stdin.take();
            let ended = shim.wait();
            drop(stdin);
            ended
        });
        end(dir.path(), Path::new("/run/ng/runtime"));
        assert!(!waiter.join().expect("joined").expect("waited").success());
    }
}
