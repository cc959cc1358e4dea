//! Tasks that go because they fail their checks, or because there are too many: in a whole service, or in one group of
//! those that stand side by side.

use std::cmp::Reverse;
use std::ops::Range;

use super::bounds::Bounds;
use super::pass::Pass;
use super::plan::Waiting;
use super::verdict::Condition;
use super::victims::send_away;

/// Tasks of `among` that fail their checks; `bounds` are those of these groups together, which lack room for so many
/// tasks more.
///
/// "If tasks become unhealthy, the Amazon ECS service scheduler will start replacement tasks first and maintain
/// minimumHealthyPercent tasks until the replacement tasks become healthy" (developer guide, "Deploy Amazon ECS services
/// by replacing tasks"): a failing task goes when the groups are complete without it. A check fails on a busy machine too,
/// and a load balancer all of whose targets fail sends them its requests all the same. Only where "maximumPercent doesn't
/// allow the Amazon ECS scheduler to start replacement tasks, the scheduler stops the unhealthy tasks one-by-one — using
/// the minimumHealthyPercent as a constraint" (API reference, DeploymentConfiguration).
pub(super) fn failing(pass: &mut Pass<'_>, among: Range<usize>, bounds: Bounds, lacks_room: usize) {
    let count = |count: fn(Condition) -> bool| -> usize {
        let groups = &pass.groups[among.clone()];
        groups.iter().map(|group| group.count(count)).sum()
    };
    let healthy = count(|c| c == Condition::Healthy);
    let failing = count(|c| matches!(c, Condition::Failing(_)));
    let leaving = count(|c| c == Condition::Leaving);
    let coming_up = count(|c| matches!(c, Condition::Pending | Condition::Starting));
    let replaced = (healthy + failing).saturating_sub(bounds.desired);
    let for_room = match lacks_room.saturating_sub(leaving) {
        0 => 0,
        room if healthy >= bounds.floor => room,
        // The next one when it has shown what became of the last one's place.
        _ if leaving == 0 && coming_up == 0 => 1,
        _ => 0,
    };
    let mut going = Vec::new();
    for group in among {
        for (position, seen) in pass.groups[group].tasks.iter().enumerate() {
            if let Condition::Failing(failure) = seen.condition {
                // Those that never were healthy first, then those of the oldest version.
                let rank = (seen.task.noted.healthy, Reverse(group), position);
                going.push((rank, group, position, failure));
            }
        }
    }
    going.sort_by_key(|(rank, ..)| *rank);
    for (_, group, position, failure) in going.into_iter().take(replaced.max(for_room)) {
        pass.replace_failing(group, position, failure);
    }
}

/// Tasks of `group` beyond what is wanted: first those that serve nobody yet, then healthy ones, of which there are
/// `spare` beyond the floor.
pub(super) fn surplus(
    pass: &mut Pass<'_>,
    group: usize,
    wanted: usize,
    spare: usize,
    floor: usize,
) {
    let surplus = pass.groups[group].sound().saturating_sub(wanted);
    let idle = send_away(pass, group, surplus, |c| c == Condition::Pending);
    let rest = surplus - idle.count;
    // Protected pending tasks stay, but they do not serve in the place of those that run.
    let running = pass.groups[group].count(|c| c > Condition::Pending);
    let spare_running = running.saturating_sub(floor.min(wanted));
    let unproven = send_away(pass, group, rest.min(spare_running), |c| {
        c == Condition::Starting
    });
    let rest = rest - unproven.count;
    let mut sent = send_away(pass, group, rest.min(spare), |c| c == Condition::Healthy);
    if pass.groups[group].healthy() >= wanted {
        let more = send_away(pass, group, rest - sent.count, |c| c == Condition::Unsure);
        sent.count += more.count;
        sent.protected += more.protected;
    }
    if sent.protected > 0 {
        pass.withhold(group, sent.protected);
    }
    let left = rest - sent.count;
    if left > 0 {
        pass.wait_for(Waiting::HealthyTasksToStop {
            surplus: left,
            floor,
        });
    }
}
