//! Programs that are killed while they work.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

/// Runs the test's own program again, kills it after it has printed so many lines, and answers all that it printed. A
/// line that the kill cut off is not among them.
///
/// # Panics
/// If it ends by itself.
pub fn lines_until_killed<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    lines: usize,
) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut read = Vec::new();
    let mut killed = false;
    loop {
        if read.len() >= lines && !killed {
            child.kill().expect("the child is ours");
            killed = true;
        }
        let mut line = String::new();
        if output.read_line(&mut line).expect("the pipe works") == 0 || !line.ends_with('\n') {
            break;
        }
        read.push(line);
    }
    assert!(killed, "the child ended by itself");
    child.wait().expect("the child is ours");
    read
}
