//! `shim.json`: what the node wants the shim to run. Written once by the node, before it starts the shim.
//!
//! Every path is absolute or relative to the task's directory.

use std::path::PathBuf;
use std::time::Duration;

use neargate_planner::log_events::{EventStart, PatternError};
use neargate_planner::supervision::{
    Condition, ContainerPlan, Dependency, HealthCheckPlan, PlanError, RestartPlan, TaskPlan,
};
use serde::{Deserialize, Serialize};

/// The task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimSpec {
    pub task_id: String,
    /// The instance below which [`neargate_cgroup`] has made the task's cgroup, to tell whether memory ran out, and
    /// to reach a task that froze itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_instance: Option<String>,
    pub runtime: RuntimeCommand,
    /// Processor time per second that the shim may spend on the containers' output. None: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_millis_per_sec: Option<u32>,
    /// In the task definition's order.
    pub containers: Vec<ContainerSpec>,
}

/// An OCI runtime with runc's command line. The shim appends `--log FILE --log-format json` and a subcommand:
/// `run --detach --bundle B --pid-file F [--console-socket S] ID`, `exec --process P --detach --pid-file F ID`, `delete --force ID`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeCommand {
    pub program: PathBuf,
    /// What stands before `--log`, e.g. `["oci-runtime", "--root", "/run/x"]`.
    #[serde(default)]
    pub args: Vec<String>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub name: String,
    /// Its id in the runtime.
    pub id: String,
    /// Directory with `config.json` and the root filesystem in place. `terminal` there is as here.
    pub bundle: PathBuf,
    pub essential: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<DependencySpec>,
    /// How long others wait for this container's COMPLETE, SUCCESS or HEALTHY. None: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout_millis: Option<u64>,
    #[serde(default = "default_stop_timeout_millis")]
    pub stop_timeout_millis: u64,
    /// As in the image: `SIGQUIT`, `QUIT`, `3` or `SIGRTMIN+3`.
    #[serde(default = "default_stop_signal")]
    pub stop_signal: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheckSpec>,
    /// Present only if the policy is enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicySpec>,
    #[serde(default)]
    pub log: LogSpec,
    /// `interactive`: stdin stays open (nothing ever comes); otherwise it is `/dev/null`.
    #[serde(default)]
    pub stdin_open: bool,
    /// `pseudoTerminal`: all three of its streams are one terminal, which is read as its output. Nothing is ever typed
    /// there, whether stdin is open or not.
    #[serde(default)]
    pub terminal: bool,
}

/// One entry of `dependsOn`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DependencySpec {
    pub container: String,
    pub condition: DependencyCondition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DependencyCondition {
    Start,
    Complete,
    Success,
    Healthy,
}

/// `healthCheck`, all defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheckSpec {
    /// `["CMD", …]`, `["CMD-SHELL", "…"]`, or a command without such a prefix.
    pub command: Vec<String>,
    pub interval_millis: u64,
    pub timeout_millis: u64,
    pub retries: u32,
    pub start_period_millis: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicySpec {
    #[serde(default)]
    pub ignored_exit_codes: Vec<i32>,
    pub restart_attempt_period_millis: u64,
}

/// What happens to the container's output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogSpec {
    #[serde(default)]
    pub mode: LogMode,
    /// A line that does not match this continues the event before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiline_pattern: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogMode {
    /// No log configuration: only the newest lines are kept, for diagnosis; nobody has to acknowledge them.
    #[default]
    Newest,
    /// A container that outruns its reader waits in write(2).
    Blocking,
    /// Lines that do not fit between reader and writer are dropped and counted.
    NonBlocking { max_buffer_bytes: u64 },
}

fn default_stop_timeout_millis() -> u64 {
    30_000
}

fn default_stop_signal() -> String {
    "SIGTERM".into()
}

/// What is wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    #[error("container name {0:?} cannot be a directory's name")]
    Name(String),
    #[error("container {container}: unknown signal {signal:?}")]
    Signal { container: String, signal: String },
    #[error("container {container}: {error}")]
    Pattern {
        container: String,
        error: PatternError,
    },
    #[error("container {0}: an empty health check command")]
    HealthCommand(String),
}

impl ShimSpec {
    /// The part of the spec that decisions depend on.
    pub fn plan(&self) -> Result<TaskPlan, SpecError> {
        let containers: Result<_, _> = self.containers.iter().map(ContainerSpec::plan).collect();
        Ok(TaskPlan::new(containers?)?)
    }
}

impl ContainerSpec {
    fn plan(&self) -> Result<ContainerPlan, SpecError> {
        let name = &self.name;
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            return Err(SpecError::Name(name.clone()));
        }
        let millis = Duration::from_millis;
        let stop_signal = parse_signal(&self.stop_signal).ok_or_else(|| SpecError::Signal {
            container: name.clone(),
            signal: self.stop_signal.clone(),
        })?;
        if self
            .health_check
            .as_ref()
            .is_some_and(|check| check.argv().is_empty())
        {
            return Err(SpecError::HealthCommand(name.clone()));
        }
        if let Some(pattern) = &self.log.multiline_pattern {
            EventStart::new(pattern).map_err(|error| SpecError::Pattern {
                container: name.clone(),
                error,
            })?;
        }
        let depends_on = self.depends_on.iter().map(|dependency| Dependency {
            container: dependency.container.clone(),
            condition: match dependency.condition {
                DependencyCondition::Start => Condition::Start,
                DependencyCondition::Complete => Condition::Complete,
                DependencyCondition::Success => Condition::Success,
                DependencyCondition::Healthy => Condition::Healthy,
            },
        });
        Ok(ContainerPlan {
            name: name.clone(),
            essential: self.essential,
            depends_on: depends_on.collect(),
            start_timeout: self.start_timeout_millis.map(millis),
            stop_timeout: millis(self.stop_timeout_millis),
            stop_signal,
            health_check: self.health_check.as_ref().map(|check| HealthCheckPlan {
                interval: millis(check.interval_millis),
                timeout: millis(check.timeout_millis),
                retries: check.retries,
                start_period: millis(check.start_period_millis),
            }),
            restart: self.restart_policy.as_ref().map(|policy| RestartPlan {
                ignored_exit_codes: policy.ignored_exit_codes.clone(),
                attempt_period: millis(policy.restart_attempt_period_millis),
            }),
        })
    }
}

impl HealthCheckSpec {
    /// What is executed in the container: `CMD-SHELL` goes through its shell, a list without prefix is a command.
    pub fn argv(&self) -> Vec<String> {
        match self.command.split_first() {
            Some((prefix, rest)) if prefix == "CMD" => rest.to_vec(),
            Some((prefix, rest)) if prefix == "CMD-SHELL" && !rest.is_empty() => ["/bin/sh", "-c"]
                .into_iter()
                .map(String::from)
                .chain(rest.iter().cloned())
                .collect(),
            Some((prefix, _)) if prefix == "CMD-SHELL" => Vec::new(),
            _ => self.command.clone(),
        }
    }
}

/// A signal's number from its name with or without `SIG`, its number, or `RTMIN+n` / `RTMAX-n`.
pub fn parse_signal(text: &str) -> Option<i32> {
    let upper = text.trim().to_ascii_uppercase();
    if let Ok(number) = upper.parse::<i32>() {
        return (1..=libc::SIGRTMAX()).contains(&number).then_some(number);
    }
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = match name {
        "RTMIN" => Some(libc::SIGRTMIN()),
        "RTMAX" => Some(libc::SIGRTMAX()),
        _ => {
            let above = name.strip_prefix("RTMIN+").and_then(|n| n.parse().ok());
            let below = name.strip_prefix("RTMAX-").and_then(|n| n.parse().ok());
            above
                .map(|n: i32| libc::SIGRTMIN().saturating_add(n))
                .or(below.map(|n: i32| libc::SIGRTMAX().saturating_sub(n)))
        }
    };
    match real_time {
        Some(number) => (libc::SIGRTMIN()..=libc::SIGRTMAX())
            .contains(&number)
            .then_some(number),
        None => format!("SIG{name}")
            .parse::<nix::sys::signal::Signal>()
            .ok()
            .map(|signal| signal as i32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_any_name() {
        for (text, want) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("QUIT", Some(3)),
            ("9", Some(9)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN+99", None),
            ("0", None),
            ("-1", None),
            ("SIGNOPE", None),
            ("", None),
        ] {
            assert_eq!(parse_signal(text), want, "{text:?}");
        }
    }

    #[test]
    fn health_commands() {
        for (name, command, want) in [
            ("CMD", &["CMD", "a", "b"][..], &["a", "b"][..]),
            (
                "CMD-SHELL",
                &["CMD-SHELL", "a || b"],
                &["/bin/sh", "-c", "a || b"],
            ),
            ("bare", &["a", "b"], &["a", "b"]),
            ("CMD alone", &["CMD"], &[]),
            ("CMD-SHELL alone", &["CMD-SHELL"], &[]),
            ("nothing", &[], &[]),
        ] {
            let check = HealthCheckSpec {
                command: command.iter().map(|&word| word.into()).collect(),
                interval_millis: 1,
                timeout_millis: 1,
                retries: 1,
                start_period_millis: 0,
            };
            assert_eq!(check.argv(), want, "{name}");
        }
    }
}
