//! Tasks that go because they fail their checks, or because there are too many: in a whole service, or in one group of
//! those that stand side by side.

use std::ops::Range;

use super::bounds::Bounds;
use super::pass::Pass;
use super::plan::Waiting;
use super::verdict::Condition;
use super::victims::send_away;

/// Tasks of `among` that fail their checks; `bounds` are those of these groups together, which lack room for so many
/// tasks more.
///
/// Their replacements come first, as far as there is room; a failing task goes when the groups are complete without it.
/// Without room it goes first. A task that has never been healthy goes as soon as the floor holds without it.
pub(super) fn failing(pass: &mut Pass<'_>, among: Range<usize>, bounds: Bounds, lacks_room: usize) {
    let count = |count: fn(Condition) -> bool| -> usize {
        let groups = &pass.groups[among.clone()];
        groups.iter().map(|group| group.count(count)).sum()
    };
    let healthy = count(|c| c == Condition::Healthy);
    let failing = count(|c| matches!(c, Condition::Failing(_)));
    let leaving = count(|c| c == Condition::Leaving);
    let floor_holds = healthy >= bounds.floor;
    let replaced = (healthy + failing).saturating_sub(bounds.desired);
    let for_room = match lacks_room.saturating_sub(leaving) {
        0 => 0,
        room if floor_holds => room,
        // "One by one, in keeping with min".
        _ if leaving == 0 => 1,
        _ => 0,
    };
    let mut quota = replaced.max(for_room);
    for group in among {
        for position in 0..pass.groups[group].tasks.len() {
            let seen = &pass.groups[group].tasks[position];
            let Condition::Failing(failure) = seen.condition else {
                continue;
            };
            let unproven = floor_holds && !seen.task.noted.healthy;
            if quota == 0 && !unproven {
                continue;
            }
            quota = quota.saturating_sub(1);
            pass.replace_failing(group, position, failure);
        }
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
    let idle = send_away(pass, group, surplus, |c| {
        matches!(c, Condition::Pending | Condition::Starting)
    });
    let rest = surplus - idle.count;
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
