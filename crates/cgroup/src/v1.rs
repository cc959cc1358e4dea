//! Control files of cgroup v1 (kernel: Documentation/admin-guide/cgroup-v1).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::{CgroupError, bound_all, create_dir, read_keyed, read_number, write};
use crate::layout::Layout;
use crate::limits::{MAX_SHARES, MIN_SHARES, TaskLimits, Usage};

/// Memory plus swap; there only if the kernel accounts for swap (boot parameter swapaccount).
const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";

type Controllers = BTreeMap<String, PathBuf>;

/// `levels` are the path elements from `neargate`, which has the limits `of_all` tasks, down to the task.
pub(crate) fn create(
    controllers: &Controllers,
    levels: &[&str],
    of_all: &TaskLimits,
    limits: &TaskLimits,
) -> Result<(), CgroupError> {
    let group = |controller| -> Result<PathBuf, CgroupError> {
        let mut dir = Layout::v1_point(controllers, controller).to_owned();
        for level in levels {
            dir.push(level);
            create_dir(&dir)?;
            if controller == "memory" {
                count_children(&dir)?;
            }
        }
        Ok(dir)
    };
    let memory = group("memory")?;
    let top = |controller| Layout::v1_point(controllers, controller).join(levels[0]);
    if let Some(bytes) = of_all.memory_bytes {
        bound_all(&top("memory").join("memory.limit_in_bytes"), bytes)?;
    }
    if let Some(bytes) = limits.memory_bytes {
        write(&memory.join("memory.limit_in_bytes"), &bytes.to_string())?;
        // Never below the limit just set, so it comes second.
        let with_swap = memory.join(WITH_SWAP);
        if with_swap.exists() {
            write(&with_swap, &bytes.to_string())?;
        }
    }
    let cpu = group("cpu")?;
    if let Some(shares) = limits.cpu_shares {
        write(
            &cpu.join("cpu.shares"),
            &shares.clamp(MIN_SHARES, MAX_SHARES).to_string(),
        )?;
    }
    if let Some(quota) = limits.cpu_quota {
        write(&cpu.join("cpu.cfs_period_us"), &quota.period_us.to_string())?;
        write(&cpu.join("cpu.cfs_quota_us"), &quota.quota_us.to_string())?;
    }
    group("cpuacct")?;
    let pids = group("pids")?;
    if let Some(max) = of_all.pids_max {
        bound_all(&top("pids").join("pids.max"), max)?;
    }
    if let Some(max) = limits.pids_max {
        write(&pids.join("pids.max"), &max.to_string())?;
    }
    Ok(())
}

/// Without use_hierarchy (kernels before 5.11 with it off at the root) a task's limit would not count its containers.
fn count_children(memory_group: &Path) -> Result<(), CgroupError> {
    let switch = memory_group.join("memory.use_hierarchy");
    match switch.exists() && read_number(&switch)? == 0 {
        true => write(&switch, "1"),
        false => Ok(()),
    }
}

pub(crate) fn accounts_swap(controllers: &Controllers, group: &Path) -> bool {
    Layout::v1_point(controllers, "memory")
        .join(group)
        .join(WITH_SWAP)
        .exists()
}

/// Kernel 4.13 and later; older ones have no count and answer 0.
pub(crate) fn oom_kills(controllers: &Controllers, group: &Path) -> Result<u64, CgroupError> {
    let dir = Layout::v1_point(controllers, "memory").join(group);
    Ok(read_keyed(&dir.join("memory.oom_control"), "oom_kill")?.unwrap_or(0))
}

pub(crate) fn usage(controllers: &Controllers, group: &Path) -> Result<Usage, CgroupError> {
    let at = |controller, file: &str| {
        Layout::v1_point(controllers, controller)
            .join(group)
            .join(file)
    };
    let used = read_number(&at("memory", "memory.usage_in_bytes"))?;
    let droppable = read_keyed(&at("memory", "memory.stat"), "total_inactive_file")?.unwrap_or(0);
    Ok(Usage {
        memory_bytes: used.saturating_sub(droppable),
        cpu_ns: read_number(&at("cpuacct", "cpuacct.usage"))?,
        pids: read_number(&at("pids", "pids.current"))?,
    })
}
