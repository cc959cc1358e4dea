//! Control groups of tasks, on hosts with cgroup v1, v2 and hybrid: `neargate/<instance>/<task id>/<container>`.
//!
//! A task's group carries the limits of the task (Fargate: "task-level CPU and memory are hard limits for all of its
//! containers together"), the groups of its containers are made below it by the OCI runtime, which finds them by
//! `linux.cgroupsPath` ([`TaskCgroup::oci_path`], cgroupfs driver). `neargate` itself bounds all tasks of the machine
//! together ([`Capacity`]), which leaves the rest to the machine and to Neargate's own processes. This crate makes and
//! removes the groups, reads usage and OOM kills, ends what runs in them, and lists what exists, so that a node that
//! starts again finds what it must sweep.
//!
//! Touches nothing outside `neargate/`, with one exception on v2: see [`Cgroups::new`].
//! Knows nothing of OCI; the mount points come in as a [`Layout`], so that the texts can be tested on any tree.

mod capacity;
mod devices;
mod files;
mod layout;
mod limits;
mod task;
mod tree;
mod v1;
mod v2;

use std::path::PathBuf;

pub use capacity::Capacity;
pub use devices::restrict_container as restrict_devices;
pub use files::CgroupError;
pub use layout::{Layout, LayoutError};
pub use limits::{CpuQuota, TaskLimits, Usage, weight_of_shares};
pub use task::TaskCgroup;

/// The directory in every hierarchy below which everything of ours lives.
pub const TOP: &str = "neargate";
/// Names of instances, tasks and containers: enough for a 255-byte container name.
const MAX_NAME_BYTES: usize = 255;

/// The control groups of one Neargate instance (one data directory) on this host.
#[derive(Debug, Clone)]
pub struct Cgroups {
    layout: Layout,
    capacity: Capacity,
    instance: String,
}

impl Cgroups {
    /// `instance` is the data directory's 8 hex digits.
    ///
    /// On v2, controllers have to be enabled level by level. Ours (`neargate/` and below) we enable ourselves. The
    /// root's `cgroup.subtree_control` belongs to the host: systemd enables cpu, memory and pids there, and then we
    /// leave it alone. Only where one of them is missing do we add it, as every container engine does; that gives
    /// other groups new files and takes nothing away. In a container without delegation the root refuses (EBUSY,
    /// because it holds processes itself, or EROFS), and creating a task fails with
    /// [`CgroupError::ControllerMissing`], which says so. With systemd our groups are beside its slices, not in them:
    /// it does not know them and does not touch them, since it removes only groups that it made.
    pub fn new(layout: Layout, instance: &str) -> Result<Self, CgroupError> {
        Ok(Cgroups {
            capacity: Capacity::read(&layout),
            layout,
            instance: checked_name(instance)?.to_owned(),
        })
    }

    /// As [`Cgroups::new`] with the layout of this host.
    pub fn detect(instance: &str) -> Result<Self, CgroupError> {
        Cgroups::new(Layout::detect()?, instance)
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the machine has for tasks.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// A handle; nothing exists until [`TaskCgroup::create`].
    pub fn task(&self, task_id: &str) -> Result<TaskCgroup, CgroupError> {
        Ok(TaskCgroup::new(
            self.layout.clone(),
            self.capacity,
            &self.instance,
            checked_name(task_id)?,
        ))
    }

    /// Ids of all tasks that have a group in any hierarchy, sorted: what a sweep compares with its records.
    pub fn existing_tasks(&self) -> Result<Vec<String>, CgroupError> {
        let mut names = Vec::new();
        for dir in self.instance_dirs() {
            names.extend(tree::child_names(&dir)?);
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Removes the instance's own group, and `neargate/` if no other instance is left. Tasks must be gone.
    pub fn remove_instance(&self) -> Result<(), CgroupError> {
        for dir in self.instance_dirs() {
            tree::remove(&dir)?;
            if let Some(top) = dir.parent() {
                // Not empty while another instance lives there.
                let _ = std::fs::remove_dir(top);
            }
        }
        Ok(())
    }

    fn instance_dirs(&self) -> Vec<PathBuf> {
        self.layout
            .mount_points()
            .into_iter()
            .map(|mount| mount.join(TOP).join(&self.instance))
            .collect()
    }
}

/// A name is one path element that cannot climb, hide or be mistaken for a control file ("memory.max").
fn checked_name(name: &str) -> Result<&str, CgroupError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(allowed) {
        true => Ok(name),
        false => Err(CgroupError::BadName(
            name.chars().take(MAX_NAME_BYTES).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place() {
        for (name, good) in [
            ("0f3c2a91", true),
            ("d8c1cd2ee4b04f4fa9a5a2c5f1a2b3c4-0123456789", true),
            ("web_1", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("memory.max", false),
            ("a b", false),
            ("ü", false),
        ] {
            assert_eq!(checked_name(name).is_ok(), good, "{name:?}");
        }
        assert!(
            checked_name(&"x".repeat(MAX_NAME_BYTES + 1)).is_err(),
            "too long"
        );
    }
}
