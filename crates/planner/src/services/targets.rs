//! Tasks as load balancer targets: registered once they run, drained before they are stopped.

use std::collections::BTreeMap;

use super::events;
use super::pass::Pass;
use super::plan::{LeaveReason, TargetChange};
use super::snapshot::{Stage, TargetState};
use super::verdict::Condition;

/// Registers, deregisters and stops. Runs last, when it is decided who leaves.
pub(super) fn register_drain_stop(pass: &mut Pass<'_>) {
    say_who_was_stopped(pass);
    let mut registered: BTreeMap<&str, usize> = BTreeMap::new();
    let mut deregistered: BTreeMap<&str, usize> = BTreeMap::new();
    let mut draining: BTreeMap<&str, usize> = BTreeMap::new();
    for group in &pass.groups {
        let target_groups = group.group.map_or(&[][..], |g| &g.target_groups);
        for seen in &group.tasks {
            let task = seen.task;
            let change = |target_group| TargetChange {
                task: seen.id.to_owned(),
                group: task.group.clone(),
                target_group,
            };
            let goes = matches!(seen.condition, Condition::Leaving | Condition::Ended);
            if !goes && task.stage == Stage::Running {
                for (position, target_group) in target_groups.iter().enumerate() {
                    if *task.target(position) == TargetState::Unregistered {
                        pass.plan.register.push(change(position));
                        *registered.entry(&target_group.arn).or_default() += 1;
                    }
                }
            }
            if !goes {
                continue;
            }
            let mut began = false;
            for (position, state) in task.targets.iter().enumerate() {
                if state.is_registered() {
                    began = true;
                    pass.plan.deregister.push(change(position));
                    if let Some(target_group) = target_groups.get(position) {
                        *deregistered.entry(&target_group.arn).or_default() += 1;
                    }
                }
            }
            if began && task.is_alive() {
                *draining.entry(&task.group).or_default() += 1;
            }
            let may_be_told = matches!(task.stage, Stage::Pending | Stage::Running);
            if may_be_told && !task.is_target() {
                pass.plan.stop.push(seen.id.to_owned());
            }
        }
    }
    let name = pass.name();
    for (arn, count) in registered {
        pass.say(events::registered(name, count, arn));
    }
    for (arn, count) in deregistered {
        pass.say(events::deregistered(name, count, arn));
    }
    for (group, count) in draining {
        pass.say(events::draining(name, group, count));
    }
}

/// The events for tasks that this pass sends away.
fn say_who_was_stopped(pass: &mut Pass<'_>) {
    let mut running = Vec::new();
    let mut moved: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut pending = 0;
    for leave in &pass.plan.leave {
        debug_assert!(leave.reason != LeaveReason::Requested, "nobody asked");
        match pass.seen.tasks.get(&leave.task) {
            Some(task) if leave.reason == LeaveReason::Rebalancing => {
                let from = moved.entry(task.zone.as_str()).or_default();
                from.push(leave.task.clone());
            }
            Some(task) if task.stage == Stage::Pending => pending += 1,
            _ => running.push(leave.task.clone()),
        }
    }
    let name = pass.name();
    if !running.is_empty() {
        pass.say(events::stopped_running(name, &running));
    }
    for (zone, tasks) in moved {
        pass.say(events::stopped_to_rebalance(name, zone, &tasks));
    }
    if pending > 0 {
        pass.say(events::stopped_pending(name, pending));
    }
}
