//! `state.json`: what has become of the task so far. Also what a watching client is sent.
//!
//! Times are milliseconds since the Unix epoch.

use std::fs;
use std::io;
use std::path::Path;

use neargate_domain::task::{ContainerStatus, HealthStatus, StopCode};
use serde::{Deserialize, Serialize};

use crate::files;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimState {
    /// Grows with every change.
    pub sequence: u64,
    pub shim_pid: i32,
    pub task: TaskProgress,
    /// In the spec's order.
    pub containers: Vec<ContainerProgress>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskProgress {
    pub phase: TaskPhase,
    /// When every container had been RUNNING at least once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopping_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_code: Option<StopCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_stopped_at: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskPhase {
    /// Some container has not been RUNNING yet.
    Starting,
    Running,
    /// It was decided that the task stops; signals are being sent.
    Stopping,
    /// All containers are STOPPED. Nothing changes any more.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerProgress {
    pub name: String,
    /// Its id in the runtime.
    pub id: String,
    /// A container between two runs (restart policy) is RUNNING, without a process.
    pub status: ContainerStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Absent if it never ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `ErrorName: text`, at most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Absent without a health check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthStatus>,
    /// When it first ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<i64>,
    #[serde(default)]
    pub restart_count: u32,
}

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks since boot.
    pub start_ticks: u64,
}

impl ProcessId {
    /// The process that has this pid now; `None` if there is none.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the name in parentheses and may itself contain blanks and parentheses.
        let (_, after_name) = stat.rsplit_once(')')?;
        let start_ticks = after_name.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, start_ticks })
    }

    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

impl ShimState {
    /// Reads a task directory's `state.json`; `None` if no shim has written one yet.
    pub fn read(task_dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(task_dir.join(files::STATE)) {
            Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_another_with_its_pid() {
        let own = i32::try_from(std::process::id()).expect("pids are small");
        let process = ProcessId::of(own).expect("we are alive");
        assert!(process.is_alive());
        let other = ProcessId {
            start_ticks: process.start_ticks + 1,
            ..process
        };
        assert!(!other.is_alive());
        assert_eq!(ProcessId::of(-1), None);
    }
}
