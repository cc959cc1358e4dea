//! Snapshots in few words, and plans as text.

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Timestamp;
use neargate_domain::task::HealthStatus;

use crate::services::*;

/// The `now` of the tables; the tasks of the fixtures have run for an hour.
pub const NOW: Timestamp = Timestamp(10_000_000);
pub const HOUR: i64 = 3_600_000;

/// A service `web` of `desired` tasks with 100/200, one COMPLETED group `old` behind one target group, two zones.
pub fn service(desired: u32) -> ServiceSnapshot {
    ServiceSnapshot {
        service: ServiceSpec {
            name: "web".to_owned(),
            scheduling: Scheduling::Replica { desired },
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            circuit_breaker: CircuitBreaker::default(),
            alarms: None,
            bake_millis: 0,
            grace_millis: 0,
            zone_rebalancing: false,
            deleting: false,
        },
        groups: vec![TaskGroup {
            memory: GroupMemory {
                size: Some(desired),
                ..group("old", GroupState::Completed).memory
            },
            ..group("old", GroupState::Completed)
        }],
        tasks: BTreeMap::new(),
        unused_id: "again".to_owned(),
        alarms: Vec::new(),
        placement_trouble: None,
        // Nothing that repeats is news.
        memory: ServiceMemory {
            said: BTreeMap::from([(Topic::Steady, NOW)]),
            ..ServiceMemory::default()
        },
        timing: Timing::default(),
    }
}

pub fn group(id: &str, state: GroupState) -> TaskGroup {
    TaskGroup {
        id: id.to_owned(),
        state,
        is_rollback: false,
        rollback_requested: false,
        desired: 0,
        going: false,
        target_groups: vec![TargetGroupUse {
            arn: "TG".to_owned(),
            container_port: 8080,
        }],
        providers: Vec::new(),
        zones: vec!["a".to_owned(), "b".to_owned()],
        memory: GroupMemory {
            alarms_at_start: Some(BTreeSet::new()),
            ..GroupMemory::default()
        },
    }
}

/// A healthy task of `group`, in zone a.
pub fn task(group: &str) -> TaskView {
    TaskView {
        group: group.to_owned(),
        zone: "a".to_owned(),
        provider: None,
        instance: None,
        stage: Stage::Running,
        created_at: Timestamp(NOW.0 - HOUR),
        running_since: Some(Timestamp(NOW.0 - HOUR)),
        container_health: None,
        targets: vec![TargetState::Healthy],
        protected_until: None,
        leaving: None,
        noted: Noted {
            ran: true,
            healthy: true,
            failing: false,
            ended: false,
        },
    }
}

pub fn pending(group: &str) -> TaskView {
    TaskView {
        stage: Stage::Pending,
        running_since: None,
        targets: Vec::new(),
        noted: Noted::default(),
        ..task(group)
    }
}

/// Running, registered, without a verdict yet.
pub fn starting(group: &str) -> TaskView {
    TaskView {
        targets: vec![TargetState::Initial],
        noted: Noted {
            ran: true,
            ..Noted::default()
        },
        ..task(group)
    }
}

/// Was healthy and fails its load balancer's checks; the planner knows.
pub fn failing(group: &str) -> TaskView {
    TaskView {
        targets: vec![unhealthy()],
        noted: Noted {
            failing: true,
            ..task(group).noted
        },
        ..task(group)
    }
}

pub fn unhealthy() -> TargetState {
    TargetState::Unhealthy {
        reason: "Health checks failed with these codes: [404]".to_owned(),
    }
}

/// Told to go, its target drains.
pub fn draining(group: &str) -> TaskView {
    TaskView {
        targets: vec![TargetState::Draining],
        leaving: Some(LeaveReason::Scaling),
        ..task(group)
    }
}

pub fn ended(group: &str, cause: EndCause) -> TaskView {
    TaskView {
        stage: Stage::Ended(cause),
        targets: Vec::new(),
        ..task(group)
    }
}

/// Ended before it ran.
pub fn never_ran(group: &str) -> TaskView {
    TaskView {
        running_since: None,
        noted: Noted::default(),
        ..ended(group, EndCause::FailedToStart)
    }
}

pub fn with_health(group: &str, health: HealthStatus) -> TaskView {
    TaskView {
        container_health: Some(health),
        ..task(group)
    }
}

impl ServiceSnapshot {
    /// Adds tasks, named t0, t1… in order.
    pub fn tasks(mut self, tasks: impl IntoIterator<Item = TaskView>) -> Self {
        for task in tasks {
            let id = format!("t{}", self.tasks.len());
            self.tasks.insert(id, task);
        }
        self
    }

    /// Puts a new deployment before the others.
    pub fn deploy(mut self, id: &str) -> Self {
        self.groups.insert(0, group(id, GroupState::InProgress));
        self
    }

    pub fn percent(mut self, minimum: u32, maximum: u32) -> Self {
        self.service.minimum_healthy_percent = minimum;
        self.service.maximum_percent = maximum;
        self
    }

    pub fn but(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

pub fn times(count: usize, task: TaskView) -> Vec<TaskView> {
    vec![task; count]
}

/// A plan's deeds as one line: `start new 2`, `register t0`, `leave t1`, `drain t1`, `stop t1`, `complete new`.
pub fn deeds(plan: &ServicePlan) -> String {
    let mut words = Vec::new();
    let mut starts: BTreeMap<&str, u32> = BTreeMap::new();
    for start in &plan.starts {
        *starts.entry(&start.group).or_default() += start.count;
    }
    for (group, count) in starts {
        words.push(format!("start {group} {count}"));
    }
    for change in &plan.register {
        words.push(format!("register {}", change.task));
    }
    for leave in &plan.leave {
        words.push(format!("leave {}", leave.task));
    }
    for change in &plan.deregister {
        words.push(format!("drain {}", change.task));
    }
    for task in &plan.stop {
        words.push(format!("stop {task}"));
    }
    for transition in &plan.transitions {
        words.push(match transition {
            Transition::Complete { group } => format!("complete {group}"),
            Transition::Fail { group, .. } => format!("fail {group}"),
            Transition::Resume { group } => format!("resume {group}"),
            Transition::RollBack { from, to, .. } => format!("roll back {from} to {to}"),
            Transition::Remove { group } => format!("remove {group}"),
            Transition::Inactive => "inactive".to_owned(),
        });
    }
    words.join(", ")
}

/// Events as text, one per line.
pub fn messages(plan: &ServicePlan) -> Vec<&str> {
    plan.events
        .iter()
        .map(|event| event.message.as_str())
        .collect()
}

/// Runs a table of (name, snapshot, deeds).
#[track_caller]
pub fn check(rows: Vec<(&str, ServiceSnapshot, &str)>) {
    let mut wrong = String::new();
    for (name, seen, want) in rows {
        let made = plan(&seen, NOW);
        assert_eq!(made, plan(&seen, NOW), "{name}: not the same plan twice");
        let got = deeds(&made);
        if got != want {
            wrong += &format!(
                "\n{name}\n  want: {want}\n   got: {got}\n  waits: {:?}",
                made.waiting_for
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
