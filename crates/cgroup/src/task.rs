//! The group of one task.

use std::path::{Path, PathBuf};

use crate::capacity::Capacity;
use crate::files::{CgroupError, create_dir, write, write_existing};
use crate::layout::Layout;
use crate::limits::{TaskLimits, Usage};
use crate::{TOP, checked_name, devices, tree, v1, v2};

/// See [`TaskCgroup::create`]; each try can only be spoilt by an instance that ends in the same microsecond.
const MAX_CREATE_TRIES: u32 = 3;
/// The group of [`TaskCgroup::hold`], a name that no container can have.
const HELD: &str = "@held";

/// A handle on `neargate/<instance>/<task id>`, whether it exists or not. Cheap to make again after a restart.
#[derive(Debug, Clone)]
pub struct TaskCgroup {
    layout: Layout,
    capacity: Capacity,
    instance: String,
    task_id: String,
}

impl TaskCgroup {
    pub(crate) fn new(layout: Layout, capacity: Capacity, instance: &str, task_id: &str) -> Self {
        TaskCgroup {
            layout,
            capacity,
            instance: instance.to_owned(),
            task_id: task_id.to_owned(),
        }
    }

    /// Makes the group and sets its limits; on one that exists, sets them again.
    pub fn create(&self, limits: &TaskLimits) -> Result<(), CgroupError> {
        let mut tries = 1;
        loop {
            match self.create_once(limits) {
                // Another instance that ends may remove the empty `neargate/` between two of our steps.
                Err(CgroupError::Io { source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound
                        && tries < MAX_CREATE_TRIES =>
                {
                    tries += 1;
                }
                other => return other,
            }
        }
    }

    fn create_once(&self, limits: &TaskLimits) -> Result<(), CgroupError> {
        let levels = [TOP, self.instance.as_str(), self.task_id.as_str()];
        let of_all = self.capacity.of_all_tasks();
        match &self.layout {
            Layout::V1 { controllers, .. } => v1::create(controllers, &levels, &of_all, limits),
            Layout::V2 { root } => {
                v2::create(root, &levels, &of_all, limits)?;
                devices::restrict(&root.join(self.path()))
            }
        }
    }

    /// Whether the kernel accounts for swap here, so that a container's limit may forbid it. After [`Self::create`].
    pub fn accounts_swap(&self) -> bool {
        match &self.layout {
            Layout::V1 { controllers, .. } => v1::accounts_swap(controllers, &self.path()),
            Layout::V2 { root } => v2::accounts_swap(&root.join(self.path())),
        }
    }

    /// `linux.cgroupsPath` of a container: `/neargate/<instance>/<task id>/<container>`.
    pub fn oci_path(&self, container: &str) -> Result<String, CgroupError> {
        Ok(format!("/{}", self.container_path(container)?.display()))
    }

    /// How many processes of the container the kernel has killed for memory, be it for the container's own limit or
    /// the task's. To be read before the container's group is deleted.
    pub fn oom_kills(&self, container: &str) -> Result<u64, CgroupError> {
        let group = self.container_path(container)?;
        match &self.layout {
            Layout::V1 { controllers, .. } => v1::oom_kills(controllers, &group),
            Layout::V2 { root } => v2::oom_kills(&root.join(group)),
        }
    }

    /// Usage of the whole task.
    pub fn usage(&self) -> Result<Usage, CgroupError> {
        self.usage_of(&self.path())
    }

    pub fn container_usage(&self, container: &str) -> Result<Usage, CgroupError> {
        self.usage_of(&self.container_path(container)?)
    }

    /// Names of the containers that have a group.
    pub fn containers(&self) -> Result<Vec<String>, CgroupError> {
        let mut names = Vec::new();
        for dir in self.dirs() {
            names.extend(tree::child_names(&dir)?);
        }
        names.retain(|name| name != HELD);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Takes a process in that is of no container, so that it counts for the task and ends with it.
    pub fn hold(&self, pid: i32) -> Result<(), CgroupError> {
        for dir in self.dirs().into_iter().filter(|dir| dir.exists()) {
            let group = dir.join(HELD);
            create_dir(&group)?;
            write(&group.join("cgroup.procs"), &pid.to_string())?;
        }
        Ok(())
    }

    /// Lets everything of the task go on that is frozen, whoever froze it.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.dirs().iter().try_for_each(|dir| tree::thaw(dir))
    }

    /// SIGKILL to every process of the task, frozen or not, until none is left in the group (bounded; `Busy` if one
    /// hangs). Nothing can be started in the group from then on.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        self.end(&self.path())?;
        tree::kill_all(&self.dirs())
    }

    /// SIGKILL to every process of one container, frozen or not. Does not wait until they are gone.
    pub fn kill_container(&self, container: &str) -> Result<(), CgroupError> {
        let group = self.container_path(container)?;
        self.end(&group)?;
        for mount in self.layout.mount_points() {
            tree::kill_present(&mount.join(&group))?;
        }
        Ok(())
    }

    /// No process more in a group, and on v2 none at all. Without that, killing one by one may never catch up with
    /// those that fork.
    fn end(&self, group: &Path) -> Result<(), CgroupError> {
        let dir = self.layout.root_of("pids").join(group);
        if !dir.exists() {
            return Ok(());
        }
        write_if_there(&dir.join("pids.max"), "0")?;
        // Kernel 5.14 and later: the whole subtree at once, whatever forks meanwhile.
        match write_if_there(&dir.join("cgroup.kill"), "1") {
            // A container that could write to its group made that a threaded one. They are killed one by one.
            Err(CgroupError::Io { source, .. })
                if source.raw_os_error() == Some(libc::EOPNOTSUPP) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Removes the group with all containers' groups, in every hierarchy. Processes must be dead or dying; a group
    /// that does not exist is no error.
    pub fn remove(&self) -> Result<(), CgroupError> {
        self.dirs().iter().try_for_each(|dir| tree::remove(dir))
    }

    /// Pids of all processes of the task.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut all = Vec::new();
        for dir in self.dirs() {
            all.extend(tree::pids(&dir)?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    fn usage_of(&self, group: &Path) -> Result<Usage, CgroupError> {
        match &self.layout {
            Layout::V1 { controllers, .. } => v1::usage(controllers, group),
            Layout::V2 { root } => v2::usage(&root.join(group)),
        }
    }

    /// Relative to a mount point.
    fn path(&self) -> PathBuf {
        [TOP, &self.instance, &self.task_id].iter().collect()
    }

    fn container_path(&self, container: &str) -> Result<PathBuf, CgroupError> {
        Ok(self.path().join(checked_name(container)?))
    }

    fn dirs(&self) -> Vec<PathBuf> {
        self.layout
            .mount_points()
            .into_iter()
            .map(|mount| mount.join(self.path()))
            .collect()
    }
}

fn write_if_there(file: &Path, text: &str) -> Result<(), CgroupError> {
    match write_existing(file, text) {
        Err(CgroupError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(())
        }
        other => other,
    }
}
