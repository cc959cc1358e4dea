//! What a machine has of what tasks could use up, and how much of it they get.
//!
//! Memory and process numbers belong to the whole machine: without a bound above all tasks, enough of them together
//! leave its other programs, Neargate's own among them, without either. So all tasks live in one group that may have
//! most of both, and each task has a limit of its own, so that one alone cannot take the others' part.

use std::path::Path;

use crate::layout::Layout;
use crate::limits::TaskLimits;

/// Of the machine's process numbers, a quarter is not for tasks: on the smallest usual `pid_max` (32768) that is 8192,
/// several times what a busy desktop or a server with its daemons runs, and a shim and a runtime for each task besides.
const RESERVED_PROCESSES_FRACTION: u64 = 4;
/// No task gets fewer: a JVM or a build with a few hundred threads runs in the smallest size. Where that is more than
/// the task's part (a small `pid_max`, or memory that is overcommitted), the bound above all tasks still holds.
const MIN_TASK_PROCESSES: u64 = 1024;
/// No task gets more than this part of what all may have, however big it is.
const MAX_TASK_PROCESSES_FRACTION: u64 = 2;

/// Of the machine's memory so much is not for tasks: a sixteenth, at least the first and at most a quarter of it all.
const RESERVED_MEMORY_FRACTION: u64 = 16;
const MIN_RESERVED_MEMORY: u64 = 512 << 20;
const MAX_RESERVED_MEMORY_FRACTION: u64 = 4;

/// The kernel's limits and memory. What could not be read counts as plenty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processes and threads that the kernel can number.
    pub processes: u64,
    pub memory_bytes: u64,
}

impl Capacity {
    /// Of this machine, or of the container that it is.
    pub fn read(layout: &Layout) -> Self {
        let number = |path: &Path| -> Option<u64> {
            let text = std::fs::read_to_string(path).ok()?;
            // v2 says "max" where there is no limit.
            text.trim().parse().ok()
        };
        let kernel = Path::new("/proc/sys/kernel");
        let least = |values: [Option<u64>; 3]| values.into_iter().flatten().min();
        let root = |controller, file: &str| layout.root_of(controller).join(file);
        Self {
            processes: least([
                number(&kernel.join("pid_max")),
                number(&kernel.join("threads-max")),
                // There only in the root of a container.
                number(&root("pids", "pids.max")),
            ])
            .unwrap_or(u64::MAX),
            memory_bytes: least([
                std::fs::read_to_string("/proc/meminfo")
                    .ok()
                    .and_then(|text| total_memory(&text)),
                number(&root("memory", "memory.limit_in_bytes")),
                number(&root("memory", "memory.max")),
            ])
            .unwrap_or(u64::MAX),
        }
    }

    /// What all tasks of the machine may have together.
    pub fn of_all_tasks(&self) -> TaskLimits {
        TaskLimits {
            memory_bytes: (self.memory_bytes < u64::MAX)
                .then(|| self.memory_bytes - self.reserved_memory()),
            pids_max: (self.processes < u64::MAX).then(|| self.processes_for_tasks()),
            ..TaskLimits::default()
        }
    }

    /// The limit of processes and threads of a task with so much memory: its part of what all tasks may have.
    pub fn processes_of_task(&self, memory_bytes: u64) -> u64 {
        let all = self.processes_for_tasks();
        let part =
            u128::from(all) * u128::from(memory_bytes) / u128::from(self.memory_bytes.max(1));
        let most = (all / MAX_TASK_PROCESSES_FRACTION).max(1);
        u64::try_from(part)
            .unwrap_or(u64::MAX)
            .clamp(MIN_TASK_PROCESSES.min(most), most)
    }

    fn processes_for_tasks(&self) -> u64 {
        self.processes - self.processes / RESERVED_PROCESSES_FRACTION
    }

    fn reserved_memory(&self) -> u64 {
        (self.memory_bytes / RESERVED_MEMORY_FRACTION)
            .max(MIN_RESERVED_MEMORY)
            .min(self.memory_bytes / MAX_RESERVED_MEMORY_FRACTION)
    }
}

/// From the text of /proc/meminfo.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine(processes: u64, memory_bytes: u64) -> Capacity {
        Capacity {
            processes,
            memory_bytes,
        }
    }

    #[test]
    fn a_task_gets_its_part_of_the_processes() {
        for (name, machine, task, want) in [
            (
                "smallest on a small pid_max",
                machine(32_768, 24 * GIB),
                GIB / 2,
                1_024,
            ),
            ("bigger", machine(32_768, 24 * GIB), 8 * GIB, 8_192),
            (
                "all of the machine",
                machine(32_768, 24 * GIB),
                24 * GIB,
                12_288,
            ),
            (
                "more than the machine",
                machine(32_768, 24 * GIB),
                120 * GIB,
                12_288,
            ),
            // threads-max is what binds where pid_max is 4 million.
            ("usual server", machine(192_731, 24 * GIB), GIB / 2, 3_011),
            (
                "a container of few processes",
                machine(1_000, 4 * GIB),
                GIB,
                375,
            ),
        ] {
            assert_eq!(machine.processes_of_task(task), want, "{name}");
        }
    }

    #[test]
    fn all_tasks_together_leave_a_reserve() {
        for (name, machine, processes, memory) in [
            ("small", machine(32_768, GIB), 24_576, 768 << 20),
            ("laptop", machine(32_768, 4 * GIB), 24_576, 3_584 << 20),
            ("server", machine(192_731, 64 * GIB), 144_549, 60 * GIB),
        ] {
            let limits = machine.of_all_tasks();
            assert_eq!(limits.pids_max, Some(processes), "{name}");
            assert_eq!(limits.memory_bytes, Some(memory), "{name}");
        }
        let unknown = machine(u64::MAX, u64::MAX).of_all_tasks();
        assert_eq!(unknown, TaskLimits::default(), "no limit is made up");
    }

    #[test]
    fn memory_is_read() {
        let text = "MemTotal:       24673552 kB\nMemFree:          100 kB\n";
        assert_eq!(total_memory(text), Some(24_673_552 * 1024));
        assert_eq!(total_memory("MemTotal: lots\n"), None);
        assert_eq!(total_memory(""), None);
    }
}
