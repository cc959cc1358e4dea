//! Which tasks go first when there are too many. AWS does not publish its order; this one loses the least: tasks that
//! serve nobody, then those whose going evens out capacity providers and zones, then the youngest.

use super::pass::Pass;
use super::spread::Spread;
use super::verdict::Condition;

/// What came of sending tasks away.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    pub count: usize,
    /// Tasks that would have gone, were they not protected.
    pub protected: usize,
}

/// Tasks of one class in one zone, with one provider: the youngest last.
struct Queue<'a> {
    class: u8,
    zone: &'a str,
    provider: Option<&'a str>,
    tasks: Vec<usize>,
}

/// Sends up to `count` tasks of `group` away, among those that `may_go`.
pub(super) fn send_away(
    pass: &mut Pass<'_>,
    group: usize,
    count: usize,
    may_go: impl Fn(Condition) -> bool,
) -> Sent {
    let mut sent = Sent::default();
    if count == 0 {
        return sent;
    }
    let mut candidates = Vec::new();
    for (position, seen) in pass.groups[group].tasks.iter().enumerate() {
        if seen.condition > Condition::Leaving && may_go(seen.condition) {
            if seen.task.is_protected(pass.now) && !pass.seen.service.deleting {
                sent.protected += 1;
            } else {
                candidates.push(position);
            }
        }
    }
    sent.protected = sent.protected.min(count.saturating_sub(candidates.len()));
    let mut spread = Spread::of(&pass.groups[group]);
    let mut queues = queues(pass, group, candidates);
    while sent.count < count {
        let next = queues
            .iter_mut()
            .filter(|queue| !queue.tasks.is_empty())
            .min_by_key(|queue| {
                let crowding = spread.crowding(queue.zone, queue.provider);
                (queue.class, std::cmp::Reverse(crowding))
            });
        let Some(queue) = next else { break };
        let Some(position) = queue.tasks.pop() else {
            break;
        };
        spread.remove(queue.zone, queue.provider);
        pass.scale_in(group, position);
        sent.count += 1;
    }
    sent
}

fn queues<'a>(pass: &Pass<'a>, group: usize, mut candidates: Vec<usize>) -> Vec<Queue<'a>> {
    let tasks = &pass.groups[group].tasks;
    // Oldest first; of equals, those that come first by id stay longest.
    candidates.sort_by_key(|&position| tasks[position].task.created_at);
    let mut queues: Vec<Queue<'a>> = Vec::new();
    for position in candidates {
        let seen = &tasks[position];
        let class = class(seen.condition);
        let zone = seen.task.zone.as_str();
        let provider = seen.task.provider.as_deref();
        let known = queues
            .iter_mut()
            .find(|q| q.class == class && q.zone == zone && q.provider == provider);
        match known {
            Some(queue) => queue.tasks.push(position),
            None => queues.push(Queue {
                class,
                zone,
                provider,
                tasks: vec![position],
            }),
        }
    }
    queues
}

/// The lower, the sooner a task goes.
fn class(condition: Condition) -> u8 {
    match condition {
        Condition::Ended | Condition::Leaving | Condition::Failing(_) => 0,
        Condition::Pending => 1,
        Condition::Starting => 2,
        Condition::Unsure => 3,
        Condition::Healthy => 4,
    }
}
