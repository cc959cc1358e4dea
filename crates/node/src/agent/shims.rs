//! Shims that nobody can talk to: those of task directories that were damaged or removed. They are found by their
//! command line, which names the directory.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::processes;

/// Kills the shim of a task's directory. Its containers are then nobody's, and end with the task's cgroup.
pub fn kill(task_dir: &Path) {
    kill_all(|dir| dir == task_dir);
}

/// Kills the shims of all tasks of this node but those that were adopted.
pub fn kill_others(tasks: &Path, adopted: &HashSet<String>) {
    kill_all(|dir| {
        let id = dir.file_name().and_then(|name| name.to_str());
        dir.parent() == Some(tasks) && id.is_none_or(|id| !adopted.contains(id))
    });
}

fn kill_all(wanted: impl Fn(&Path) -> bool) {
    let look = processes::kill_where(|_, words| shim_dir(words).is_some_and(&wanted));
    for pid in look.found {
        let pid = pid.as_raw_nonzero();
        tracing::warn!(pid, "a supervisor that nobody can talk to was killed");
    }
}

/// The directory of a shim, by its command line: `neargate shim --dir DIR`.
fn shim_dir<'a>(words: &[&'a [u8]]) -> Option<&'a Path> {
    match words {
        [_, b"shim", b"--dir", dir, ..] => Some(Path::new(OsStr::from_bytes(dir))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{Child, Command, Stdio};

    use super::*;

    #[test]
    fn only_the_shims_of_this_node_that_were_not_adopted_are_killed() {
        let dir = tempfile::tempdir().expect("a directory");
        // Has the words of a shim, and waits.
        std::fs::write(dir.path().join("shim"), "read -r line").expect("written");
        let run = |word: &str, task: &Path| -> Child {
            let mut command = Command::new("sh");
            command.args(["shim", word]).arg(task).stdin(Stdio::piped());
            command.current_dir(dir.path()).spawn().expect("a shell")
        };
        let tasks = dir.path().join("tasks");
        let mut lost = run("--dir", &tasks.join("lost"));
        let others = [
            ("adopted", run("--dir", &tasks.join("kept"))),
            ("another node's", run("--dir", Path::new("/elsewhere/lost"))),
            ("no shim", run("--directory", &tasks.join("lost"))),
        ];
        kill_others(&tasks, &HashSet::from(["kept".to_owned()]));
        assert_eq!(lost.wait().expect("ours").signal(), Some(9));
        for (name, mut child) in others {
            assert!(child.try_wait().expect("ours").is_none(), "{name}");
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
    }
}
