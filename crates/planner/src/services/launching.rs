//! Starts tasks as far as the ceiling, the back-off, the launch rate and places allow.

use super::launch_rate;
use super::memory::BackOff;
use super::pass::Pass;
use super::plan::{Start, Waiting};
use super::spread::Spread;
use super::verdict::Condition;

/// Starts tasks in one pass: keeps the room below the ceiling.
pub(super) struct Launcher {
    pub room: usize,
    ceiling: usize,
    pub started: usize,
}

impl Launcher {
    pub fn new(pass: &Pass<'_>) -> Self {
        Self::below(pass.bounds.ceiling, pass.total(|group| group.alive()))
    }

    /// For what has so many tasks, and may have `ceiling`.
    pub fn below(ceiling: usize, alive: usize) -> Self {
        Self {
            room: ceiling.saturating_sub(alive),
            ceiling,
            started: 0,
        }
    }

    /// Starts up to `count` tasks of `group`. Returns how many are missing for want of room below the ceiling.
    pub fn start(
        &mut self,
        pass: &mut Pass<'_>,
        group: usize,
        count: usize,
        rebalances: bool,
    ) -> usize {
        if count == 0 {
            return 0;
        }
        note_trouble(pass, group);
        if let Some(back_off) = pass.groups[group].memory.back_off
            && pass.now < back_off.until
        {
            pass.wake_at(back_off.until);
            pass.wait_for(Waiting::BackOff {
                until: back_off.until,
            });
            return 0;
        }
        let fits = count.min(self.room);
        if fits < count {
            pass.wait_for(Waiting::RoomToStart {
                missing: count - fits,
                ceiling: self.ceiling,
            });
        }
        let timing = pass.seen.timing;
        let allowed = fits.min(launch_rate::allowance(&pass.memory, &timing, pass.now));
        let placed = place(pass, group, allowed, rebalances);
        launch_rate::spend(&mut pass.memory, &timing, pass.now, placed);
        note_launch(pass, group, placed);
        if allowed < fits {
            let until = launch_rate::next(&pass.memory, &timing, pass.now);
            pass.wake_at(until);
            pass.wait_for(Waiting::LaunchRate { until });
        }
        if placed < allowed {
            // A subnet that comes back is no change of the service.
            pass.wake_at(pass.now.plus_millis(timing.back_off_first_millis));
            pass.wait_for(Waiting::PlaceToStart);
        }
        self.room -= placed;
        self.started += placed;
        count - fits
    }
}

/// Writes starts into the plan, equal ones together.
fn place(pass: &mut Pass<'_>, group: usize, count: usize, rebalances: bool) -> usize {
    let mut spread = Spread::of(&pass.groups[group]);
    let first = pass.plan.starts.len();
    let mut placed = 0;
    while placed < count
        && let Some((zone, provider)) = spread.place()
    {
        placed += 1;
        let known = pass.plan.starts[first..]
            .iter_mut()
            .find(|start| start.zone == zone && start.provider.as_deref() == provider);
        match known {
            Some(start) => start.count += 1,
            None => pass.plan.starts.push(Start {
                group: pass.groups[group].id().to_owned(),
                zone: zone.to_owned(),
                provider: provider.map(str::to_owned),
                instance: None,
                count: 1,
                rebalances,
            }),
        }
    }
    placed
}

/// The last launch came to nothing: the next one waits, or the planner and its caller would go round in circles.
pub(super) fn note_trouble(pass: &mut Pass<'_>, group: usize) {
    if pass.seen.placement_trouble.is_some() {
        let memory = &mut pass.groups[group].memory;
        let next = BackOff::after_trouble(memory.back_off, pass.now, &pass.seen.timing);
        memory.back_off = next.or(memory.back_off);
    }
}

/// What becomes of these tasks decides how the back-off goes on.
pub(super) fn note_launch(pass: &mut Pass<'_>, group: usize, count: usize) {
    if let Some(back_off) = &mut pass.groups[group].memory.back_off
        && count > 0
    {
        back_off.launched = true;
    }
}

/// Tasks that are on their way out and will make room.
pub(super) fn leaving(pass: &Pass<'_>) -> usize {
    pass.total(|group| group.count(|c| c == Condition::Leaving))
}
