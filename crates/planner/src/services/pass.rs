//! One look at a service: the snapshot sorted and judged, and the plan as it grows.

use std::collections::HashMap;

use neargate_domain::Timestamp;

use super::bounds::Bounds;
use super::events;
use super::memory::{GroupMemory, ServiceMemory, Topic};
use super::plan::{Leave, LeaveReason, ServiceEvent, ServicePlan, Waiting};
use super::snapshot::{GroupState, ServiceSnapshot, TaskGroup, TaskView};
use super::verdict::{Condition, Failure, judge};

/// A task in this pass.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub id: &'a str,
    pub task: &'a TaskView,
    /// Becomes [`Condition::Leaving`] when this pass sends it away.
    pub condition: Condition,
}

/// A group in this pass. The last one has no `group`: it collects tasks that belong to none.
#[derive(Debug)]
pub(super) struct GroupPass<'a> {
    pub group: Option<&'a TaskGroup>,
    pub memory: GroupMemory,
    /// As the group will be when the plan is carried out.
    pub state: GroupState,
    pub tasks: Vec<Seen<'a>>,
    /// A task of it has become healthy since the last pass.
    pub recovered: bool,
}

impl GroupPass<'_> {
    pub fn count(&self, counts: impl Fn(Condition) -> bool) -> usize {
        self.tasks.iter().filter(|t| counts(t.condition)).count()
    }

    pub fn healthy(&self) -> usize {
        self.count(|c| c == Condition::Healthy)
    }

    /// Tasks that are meant to stay and do not fail.
    pub fn sound(&self) -> usize {
        self.count(|c| c >= Condition::Pending)
    }

    /// Tasks that have not ended.
    pub fn alive(&self) -> usize {
        self.count(|c| c != Condition::Ended)
    }

    /// Without tasks, and no target of its ended ones is left: these are named by their position in the group.
    pub fn is_spent(&self) -> bool {
        self.alive() == 0
            && self
                .tasks
                .iter()
                .all(|seen| seen.task.targets.iter().all(|t| !t.is_registered()))
    }

    pub fn id(&self) -> &str {
        self.group.map_or("", |group| group.id.as_str())
    }
}

pub(super) struct Pass<'a> {
    pub seen: &'a ServiceSnapshot,
    pub now: Timestamp,
    pub bounds: Bounds,
    pub groups: Vec<GroupPass<'a>>,
    pub memory: ServiceMemory,
    pub plan: ServicePlan,
}

impl<'a> Pass<'a> {
    pub fn new(seen: &'a ServiceSnapshot, now: Timestamp) -> Self {
        let mut groups: Vec<GroupPass<'a>> = seen
            .groups
            .iter()
            .map(|group| GroupPass {
                group: Some(group),
                memory: group.memory.not_after(now, &seen.timing),
                state: group.state,
                tasks: Vec::new(),
                recovered: false,
            })
            .collect();
        groups.push(GroupPass {
            group: None,
            memory: GroupMemory::default(),
            state: GroupState::Failed,
            tasks: Vec::new(),
            recovered: false,
        });
        let unknown = groups.len() - 1;
        let positions: HashMap<&str, usize> = seen
            .groups
            .iter()
            .enumerate()
            .map(|(position, group)| (group.id.as_str(), position))
            .collect();
        let mut plan = ServicePlan::default();
        for (id, task) in &seen.tasks {
            let position = *positions.get(task.group.as_str()).unwrap_or(&unknown);
            let verdict = judge(
                task,
                groups[position].group,
                &seen.service,
                &seen.timing,
                now,
            );
            wake(&mut plan, verdict.until);
            groups[position].tasks.push(Seen {
                id,
                task,
                condition: verdict.condition,
            });
        }
        Self {
            seen,
            now,
            bounds: Bounds::of(seen),
            groups,
            memory: seen.memory.not_after(now, &seen.timing),
            plan,
        }
    }

    pub fn name(&self) -> &'a str {
        &self.seen.service.name
    }

    pub fn wake_at(&mut self, at: Timestamp) {
        wake(&mut self.plan, Some(at));
    }

    pub fn wait_for(&mut self, what: Waiting) {
        self.plan.waiting_for.push(what);
    }

    pub fn say(&mut self, event: ServiceEvent) {
        self.plan.events.push(event);
    }

    /// Says what is worth saying again only after hours.
    pub fn say_once(&mut self, topic: Topic, event: ServiceEvent) {
        let again_at = self
            .memory
            .said
            .get(&topic)
            .map(|at| at.plus_millis(self.seen.timing.event_repeats_after_millis));
        if again_at.is_none_or(|at| self.now >= at) {
            self.memory.said.insert(topic, self.now);
            self.say(event);
        }
    }

    /// Sends a task away.
    pub fn send_away(&mut self, group: usize, task: usize, reason: LeaveReason, text: String) {
        let seen = &mut self.groups[group].tasks[task];
        seen.condition = Condition::Leaving;
        self.plan.leave.push(Leave {
            task: seen.id.to_owned(),
            reason,
            stopped_reason: text,
        });
    }

    /// Sends a task away that is one too many.
    pub fn scale_in(&mut self, group: usize, task: usize) {
        let text = format!(
            "Scaling activity initiated by (deployment {})",
            self.groups[group].tasks[task].task.group
        );
        self.send_away(group, task, LeaveReason::Scaling, text);
    }

    /// Sends a task away that fails its health checks.
    pub fn replace_failing(&mut self, group: usize, task: usize, failure: Failure) {
        let text = match failure {
            Failure::Container => "Task failed container health checks".to_owned(),
            Failure::Target(target_group) => {
                let arn = self.groups[group]
                    .group
                    .and_then(|g| g.target_groups.get(target_group))
                    .map_or("", |target_group| target_group.arn.as_str());
                format!("Task failed ELB health checks in (target-group {arn})")
            }
        };
        self.send_away(group, task, LeaveReason::Unhealthy, text);
    }

    /// Protected tasks keep the service from what it should be: says so, and looks again when the first of them is
    /// free.
    pub fn withhold(&mut self, group: usize, tasks: usize) {
        let event = events::protected(self.name(), self.groups[group].id());
        self.say_once(Topic::Protected, event);
        self.wait_for(Waiting::Protection { tasks });
        let now = self.now;
        let ends = self.groups[group]
            .tasks
            .iter()
            .filter(|seen| seen.condition > Condition::Leaving)
            .filter_map(|seen| seen.task.protected_until)
            .filter(|until| *until > now)
            .min();
        wake(&mut self.plan, ends);
    }

    pub fn total(&self, count: impl Fn(&GroupPass<'a>) -> usize) -> usize {
        self.groups.iter().map(count).sum()
    }

    /// Older groups, newest first, without the tasks of no group.
    pub fn older(&self) -> std::ops::Range<usize> {
        1..(self.groups.len() - 1).max(1)
    }

    /// Whether there is a primary group at all.
    pub fn has_primary(&self) -> bool {
        self.groups.len() > 1
    }

    /// The plan, with what has to be remembered.
    pub fn finish(mut self) -> ServicePlan {
        for group in &self.groups {
            if let Some(before) = group.group
                && before.memory != group.memory
            {
                self.plan
                    .group_memory
                    .insert(before.id.clone(), group.memory.clone());
            }
        }
        if self.memory != self.seen.memory {
            self.plan.memory = Some(self.memory);
        }
        self.plan
    }
}

fn wake(plan: &mut ServicePlan, at: Option<Timestamp>) {
    plan.wake_at = plan.wake_at.into_iter().chain(at).min();
}
