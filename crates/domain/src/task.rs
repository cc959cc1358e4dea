//! A task's states.
//!
//! Source: developer guide, "Amazon ECS task lifecycle".

use std::fmt;

use serde::{Deserialize, Serialize};

/// `lastStatus` of a task, in the order of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskStatus {
    Provisioning,
    Pending,
    Activating,
    Running,
    Deactivating,
    Stopping,
    Deprovisioning,
    Stopped,
}

impl TaskStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }

    /// A task only moves forward; it may skip states (one that never ran goes from PENDING to DEPROVISIONING).
    pub fn may_become(self, next: Self) -> bool {
        next >= self
    }
}

impl fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `desiredStatus`: what the scheduler wants of the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DesiredStatus {
    Running,
    Stopped,
}

impl DesiredStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }
}

/// `lastStatus` of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerStatus {
    Pending,
    Running,
    Stopped,
}

impl ContainerStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Stopped => "STOPPED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Running, Self::Stopped]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// Health of a container or task with health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum HealthStatus {
    Unknown,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Unknown, Self::Healthy, Self::Unhealthy]
            .into_iter()
            .find(|s| s.as_str() == text)
    }

    /// A task's health from those of its essential containers that have a health check.
    pub fn of_task(essential: impl IntoIterator<Item = Self>) -> Self {
        let mut seen = None;
        for health in essential {
            match health {
                Self::Unhealthy => return Self::Unhealthy,
                Self::Unknown => seen = Some(Self::Unknown),
                Self::Healthy => seen = seen.or(Some(Self::Healthy)),
            }
        }
        seen.unwrap_or(Self::Unknown)
    }
}

/// Why a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCode {
    TaskFailedToStart,
    EssentialContainerExited,
    UserInitiated,
    ServiceSchedulerInitiated,
    SpotInterruption,
    TerminationNotice,
}

impl StopCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TaskFailedToStart => "TaskFailedToStart",
            Self::EssentialContainerExited => "EssentialContainerExited",
            Self::UserInitiated => "UserInitiated",
            Self::ServiceSchedulerInitiated => "ServiceSchedulerInitiated",
            Self::SpotInterruption => "SpotInterruption",
            Self::TerminationNotice => "TerminationNotice",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::TaskFailedToStart,
            Self::EssentialContainerExited,
            Self::UserInitiated,
            Self::ServiceSchedulerInitiated,
            Self::SpotInterruption,
            Self::TerminationNotice,
        ]
        .into_iter()
        .find(|c| c.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_only_moves_forward() {
        use TaskStatus::*;
        for (from, to, want) in [
            (Provisioning, Pending, true),
            (Pending, Deprovisioning, true),
            (Running, Pending, false),
            (Stopped, Running, false),
            (Running, Running, true),
        ] {
            assert_eq!(from.may_become(to), want, "{from} -> {to}");
        }
    }

    #[test]
    fn task_health_is_the_worst_of_its_essential_containers() {
        use HealthStatus::*;
        for (name, of, want) in [
            ("none defined", vec![], Unknown),
            ("all healthy", vec![Healthy, Healthy], Healthy),
            ("one unknown", vec![Healthy, Unknown, Healthy], Unknown),
            (
                "one unhealthy",
                vec![Unknown, Unhealthy, Healthy],
                Unhealthy,
            ),
        ] {
            assert_eq!(HealthStatus::of_task(of), want, "{name}");
        }
    }
}
