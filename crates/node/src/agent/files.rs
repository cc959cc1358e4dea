//! What a node keeps of a task on disk: what it was told, and how far it is. Protocol messages, each in a file that is
//! replaced whole. Not synced: after a crash of the machine no task runs any more, and one whose files cannot be read is
//! taken for one that the node never heard of.

use std::fs;
use std::io;
use std::path::Path;

use neargate_files::replace_unsynced;
use neargate_node_api::{TaskObserved, TaskSpec};
use prost::Message as _;

pub const SPEC: &str = "spec.pb";
pub const REPORT: &str = "report.pb";

/// Keeps a task's spec without its registry passwords, which must not be on disk in clear. They are needed for the pull
/// only; a node that is killed before it gets the spec again from the server.
pub fn save_spec(task_dir: &Path, spec: &TaskSpec) -> io::Result<()> {
    let mut spec = spec.clone();
    for image in spec.containers.iter_mut().filter_map(|c| c.image.as_mut()) {
        image.username.clear();
        image.password.clear();
    }
    replace_unsynced(&task_dir.join(SPEC), &spec.encode_to_vec())
}

pub fn load_spec(task_dir: &Path) -> io::Result<TaskSpec> {
    Ok(TaskSpec::decode(&*fs::read(task_dir.join(SPEC))?)?)
}

pub fn save_report(task_dir: &Path, report: &TaskObserved) -> io::Result<()> {
    replace_unsynced(&task_dir.join(REPORT), &report.encode_to_vec())
}

pub fn load_report(task_dir: &Path) -> io::Result<TaskObserved> {
    Ok(TaskObserved::decode(&*fs::read(task_dir.join(REPORT))?)?)
}
