//! DAEMON services: one task on each eligible container instance. An instance's old task goes before its new one
//! starts, since a daemon may hold what only one can have (a port, a device).

use std::collections::BTreeMap;

use super::launch_rate;
use super::launching::{note_launch, note_trouble};
use super::pass::Pass;
use super::plan::{Start, Waiting};
use super::snapshot::{GroupState, Instance};
use super::verdict::Condition;
use super::wanted::wanted;

/// Starts and stops tasks of all groups.
pub(super) fn converge(pass: &mut Pass<'_>, instances: &[Instance]) {
    let primary_failed = pass.groups[0].state == GroupState::Failed;
    let starts = if primary_failed {
        wanted(pass).keeper.map(|(position, _)| position)
    } else {
        Some(0)
    };
    // An old task that runs counts until it is found unhealthy.
    let unproven: usize = pass
        .older()
        .map(|position| {
            pass.groups[position].count(|c| matches!(c, Condition::Starting | Condition::Unsure))
        })
        .sum();
    let mut spare =
        (pass.total(|group| group.healthy()) + unproven).saturating_sub(pass.bounds.floor);
    let mut by_instance: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (group_position, group) in pass.groups.iter().enumerate() {
        for (position, seen) in group.tasks.iter().enumerate() {
            if seen.condition != Condition::Ended {
                by_instance
                    .entry(seen.task.instance.as_deref().unwrap_or(""))
                    .or_default()
                    .push((group_position, position));
            }
        }
    }
    let mut missing = Vec::new();
    for instance in instances.iter().filter(|instance| instance.eligible) {
        match by_instance.remove(instance.id.as_str()) {
            None => missing.push(instance),
            Some(tasks) => tidy(pass, &tasks, primary_failed, &mut spare),
        }
    }
    // What is left runs on instances that drain or are gone.
    for (group, position) in by_instance.into_values().flatten() {
        if pass.groups[group].tasks[position].condition > Condition::Leaving {
            pass.scale_in(group, position);
        }
    }
    if let Some(group) = starts {
        launch(pass, group, &missing);
    }
}

/// Keeps the newest version's task of an instance and sends the others away, and a failing one too.
fn tidy(pass: &mut Pass<'_>, tasks: &[(usize, usize)], primary_failed: bool, spare: &mut usize) {
    let mut kept = false;
    for &(group, position) in tasks {
        let condition = pass.groups[group].tasks[position].condition;
        let stays = group == 0 || (primary_failed && !kept);
        match condition {
            Condition::Ended | Condition::Leaving => {}
            Condition::Failing(failure) => pass.replace_failing(group, position, failure),
            _ if stays && !kept => kept = true,
            Condition::Healthy | Condition::Starting if *spare == 0 => {}
            Condition::Unsure if !kept => {}
            _ if pass.groups[group].tasks[position]
                .task
                .is_protected(pass.now) =>
            {
                pass.withhold(group, 1);
            }
            _ => {
                if condition > Condition::Pending {
                    *spare = spare.saturating_sub(1);
                }
                pass.scale_in(group, position);
            }
        }
    }
}

fn launch(pass: &mut Pass<'_>, group: usize, missing: &[&Instance]) {
    if missing.is_empty() {
        return;
    }
    note_trouble(pass, group);
    if let Some(back_off) = pass.groups[group].memory.back_off
        && pass.now < back_off.until
    {
        pass.wake_at(back_off.until);
        pass.wait_for(Waiting::BackOff {
            until: back_off.until,
        });
        return;
    }
    let timing = pass.seen.timing;
    let allowed = launch_rate::allowance(&pass.memory, &timing, pass.now).min(missing.len());
    for instance in &missing[..allowed] {
        let start = Start {
            group: pass.groups[group].id().to_owned(),
            zone: instance.zone.clone(),
            provider: None,
            instance: Some(instance.id.clone()),
            count: 1,
            rebalances: false,
        };
        pass.plan.starts.push(start);
    }
    launch_rate::spend(&mut pass.memory, &timing, pass.now, allowed);
    note_launch(pass, group, allowed);
    if allowed < missing.len() {
        let until = launch_rate::next(&pass.memory, &timing, pass.now);
        pass.wake_at(until);
        pass.wait_for(Waiting::LaunchRate { until });
    }
}
