//! What the task definition says about each container, checked once and with names resolved to positions.

use std::time::Duration;

/// The state of a dependency that a container waits for (`dependsOn[].condition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The dependency has started (it may have ended since).
    Start,
    /// It ran and exited, with any code.
    Complete,
    /// It ran and exited with 0.
    Success,
    /// Its health check passed. Looked at before the dependent's start only.
    Healthy,
}

/// One entry of `dependsOn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    pub container: String,
    pub condition: Condition,
}

/// When and how often a container's health is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheckPlan {
    pub interval: Duration,
    pub timeout: Duration,
    pub retries: u32,
    /// Failures within this time after the start do not count.
    pub start_period: Duration,
}

/// `restartPolicy` of a container that has it enabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartPlan {
    pub ignored_exit_codes: Vec<i32>,
    /// A run shorter than this is not followed by another.
    pub attempt_period: Duration,
}

/// One container of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPlan {
    pub name: String,
    pub essential: bool,
    pub depends_on: Vec<Dependency>,
    /// How long others wait for this container's COMPLETE, SUCCESS or HEALTHY, counted from its start.
    pub start_timeout: Option<Duration>,
    /// From the stop signal to SIGKILL.
    pub stop_timeout: Duration,
    /// The image's STOPSIGNAL, or SIGTERM, as a Linux signal number.
    pub stop_signal: i32,
    pub health_check: Option<HealthCheckPlan>,
    pub restart: Option<RestartPlan>,
}

/// Why a list of containers is no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("a task needs at least one container")]
    NoContainers,
    #[error("two containers are called {0}")]
    DuplicateName(String),
    #[error("container {container} depends on {dependency}, which does not exist")]
    UnknownDependency {
        container: String,
        dependency: String,
    },
    #[error(
        "container {container} waits for {dependency} to be HEALTHY, but {dependency} has no health check"
    )]
    NoHealthCheck {
        container: String,
        dependency: String,
    },
    #[error("the dependencies of container {0} form a circle")]
    Circle(String),
}

/// All containers of a task. Containers are known by their position in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPlan {
    containers: Vec<ContainerPlan>,
    /// Per container: (position of the dependency, condition).
    dependencies: Vec<Vec<(usize, Condition)>>,
    /// Per container: who depends on it.
    dependents: Vec<Vec<usize>>,
}

impl TaskPlan {
    pub fn new(containers: Vec<ContainerPlan>) -> Result<Self, PlanError> {
        if containers.is_empty() {
            return Err(PlanError::NoContainers);
        }
        let position = |name: &str| containers.iter().position(|c| c.name == name);
        let mut dependencies = vec![Vec::new(); containers.len()];
        let mut dependents = vec![Vec::new(); containers.len()];
        for (index, container) in containers.iter().enumerate() {
            if position(&container.name) != Some(index) {
                return Err(PlanError::DuplicateName(container.name.clone()));
            }
            for dependency in &container.depends_on {
                let Some(on) = position(&dependency.container) else {
                    return Err(PlanError::UnknownDependency {
                        container: container.name.clone(),
                        dependency: dependency.container.clone(),
                    });
                };
                if dependency.condition == Condition::Healthy
                    && containers[on].health_check.is_none()
                {
                    return Err(PlanError::NoHealthCheck {
                        container: container.name.clone(),
                        dependency: dependency.container.clone(),
                    });
                }
                dependencies[index].push((on, dependency.condition));
                if !dependents[on].contains(&index) {
                    dependents[on].push(index);
                }
            }
        }
        let plan = Self {
            containers,
            dependencies,
            dependents,
        };
        match plan.in_a_circle() {
            Some(index) => Err(PlanError::Circle(plan.containers[index].name.clone())),
            None => Ok(plan),
        }
    }

    pub fn containers(&self) -> &[ContainerPlan] {
        &self.containers
    }

    /// What a container waits for: positions and conditions.
    pub fn dependencies(&self, index: usize) -> &[(usize, Condition)] {
        &self.dependencies[index]
    }

    /// Which containers wait for this one; they are stopped before it.
    pub fn dependents(&self, index: usize) -> &[usize] {
        &self.dependents[index]
    }

    /// A container that no order of starts can reach.
    fn in_a_circle(&self) -> Option<usize> {
        let mut startable = vec![false; self.containers.len()];
        loop {
            let next = (0..startable.len()).find(|&index| {
                !startable[index]
                    && self.dependencies[index]
                        .iter()
                        .all(|&(on, _)| startable[on])
            });
            match next {
                Some(index) => startable[index] = true,
                None => return startable.iter().position(|reached| !reached),
            }
        }
    }
}
