//! Whose log lines are shipped next: deficit round robin over tasks, by bytes, with a bound on what one task and all of
//! them may ship per second. No IO, no clock.
//!
//! A task that begins to write after a pause has its first turn before those that are never done, so a line of a quiet
//! task waits for what is under way and not for a round of all floods. In a task its containers take turns.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use neargate_shim::spool::EVENT_OVERHEAD_BYTES;

/// What a task's turn is worth. No event is larger, so a turn always ships something.
pub const QUANTUM: usize = 256 * 1024;
/// What storing an event costs beside its bytes, in bytes: with it a second of one-byte lines is no more work than a
/// second of long ones.
const EVENT_COST: usize = 256 - EVENT_OVERHEAD_BYTES;
/// What one task may ship per second in the long run: 8 MB of long lines, 32,000 short ones. AWS measured its own driver
/// with up to 6 MB. What is beyond waits in the spool, which holds the container or drops.
const TASK_RATE: Rate = Rate {
    bytes_per_sec: 8 << 20,
    burst_bytes: 64 << 20,
};
/// The same for all tasks of a node together: a fraction of what one core can ship and store.
const NODE_RATE: Rate = Rate {
    bytes_per_sec: 32 << 20,
    burst_bytes: 128 << 20,
};

struct Rate {
    bytes_per_sec: u64,
    burst_bytes: u64,
}

impl Rate {
    fn time_of(&self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / self.bytes_per_sec)
    }

    fn burst(&self) -> Duration {
        self.time_of(self.burst_bytes)
    }
}

/// What was shipped at a rate: the time until which it is paid for.
#[derive(Default, Clone, Copy)]
struct Meter {
    paid_until: Duration,
}

impl Meter {
    /// When there may be more.
    fn free_at(self, rate: &Rate) -> Duration {
        self.paid_until.saturating_sub(rate.burst())
    }

    fn spend(&mut self, rate: &Rate, now: Duration, bytes: u64) {
        self.paid_until = self.paid_until.max(now) + rate.time_of(bytes);
    }
}

/// What a batch took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Each event counted with [`EVENT_OVERHEAD_BYTES`] more.
    pub bytes: usize,
    pub events: usize,
}

/// The turns of a node's tasks. `S` is a source of lines: a container.
pub struct Turns<S> {
    tasks: HashMap<String, Task<S>>,
    /// Tasks that were quiet.
    fresh: VecDeque<String>,
    /// Tasks that had a turn and are not done.
    waiting: VecDeque<String>,
    /// Tasks that have shipped too much, by the time when they may go on.
    throttled: BTreeSet<(Duration, String)>,
    meter: Meter,
}

struct Task<S> {
    /// Containers that may have lines.
    grown: VecDeque<(String, S)>,
    /// The container whose batch is under way.
    under_way: Option<(String, S)>,
    deficit: usize,
    meter: Meter,
    /// Ends: what it has left is bounded, and shipped without a pause.
    ends: bool,
}

impl<S> Default for Turns<S> {
    fn default() -> Self {
        Self {
            tasks: HashMap::new(),
            fresh: VecDeque::new(),
            waiting: VecDeque::new(),
            throttled: BTreeSet::new(),
            meter: Meter::default(),
        }
    }
}

impl<S: Clone> Turns<S> {
    /// A container may have lines.
    pub fn grown(&mut self, task_id: &str, container: &str, source: S) {
        let task = self
            .tasks
            .entry(task_id.to_owned())
            .or_insert_with(|| Task {
                grown: VecDeque::new(),
                under_way: None,
                deficit: 0,
                meter: Meter::default(),
                ends: false,
            });
        let was_idle = task.grown.is_empty() && task.under_way.is_none();
        match task.grown.iter_mut().find(|(name, _)| name == container) {
            Some(known) => known.1 = source,
            None => task.grown.push_back((container.to_owned(), source)),
        }
        if was_idle {
            self.fresh.push_back(task_id.to_owned());
        }
    }

    /// The task's end waits for its lines.
    pub fn ends(&mut self, task_id: &str) {
        if let Some(task) = self.tasks.get_mut(task_id) {
            task.ends = true;
        }
        let held = self.throttled.iter().find(|(_, task)| task == task_id);
        if let Some(held) = held.cloned() {
            self.throttled.remove(&held);
            self.waiting.push_back(held.1);
        }
    }

    pub fn forget(&mut self, task_id: &str) {
        self.tasks.remove(task_id);
        self.fresh.retain(|task| task != task_id);
        self.waiting.retain(|task| task != task_id);
        self.throttled.retain(|(_, task)| task != task_id);
    }

    /// Whether a task has lines that are not shipped, as far as is known.
    pub fn is_busy(&self, task_id: &str) -> bool {
        self.tasks
            .get(task_id)
            .is_some_and(|task| task.under_way.is_some() || !task.grown.is_empty())
    }

    /// When a task that has to wait may go on, or all of them.
    pub fn next_wake(&self) -> Option<Duration> {
        let all = (!self.fresh.is_empty() || !self.waiting.is_empty())
            .then(|| self.meter.free_at(&NODE_RATE));
        let one = self.throttled.first().map(|(at, _)| *at);
        all.into_iter().chain(one).min()
    }

    /// The next turn: task, container, and how many bytes its batch may have. To be followed by [`Turns::shipped`] and
    /// [`Turns::stored`], or by [`Turns::dry`].
    pub fn next(&mut self, now: Duration) -> Option<(String, String, usize)> {
        while self.throttled.first().is_some_and(|(at, _)| *at <= now) {
            let (_, task_id) = self.throttled.pop_first()?;
            self.waiting.push_back(task_id);
        }
        if self.meter.free_at(&NODE_RATE) > now {
            return None;
        }
        loop {
            let task_id = self
                .fresh
                .pop_front()
                .or_else(|| self.waiting.pop_front())?;
            let Some(task) = self.tasks.get_mut(&task_id) else {
                continue;
            };
            let free_at = task.meter.free_at(&TASK_RATE);
            if free_at > now && !task.ends {
                self.throttled.insert((free_at, task_id));
                continue;
            }
            let Some((container, source)) = task.grown.pop_front() else {
                continue;
            };
            task.under_way = Some((container.clone(), source));
            task.deficit += QUANTUM;
            return Some((task_id, container, task.deficit));
        }
    }

    /// The container had nothing more.
    pub fn dry(&mut self, task_id: &str) {
        if let Some(task) = self.tasks.get_mut(task_id) {
            task.under_way = None;
            task.deficit = 0;
            self.go_on(task_id);
        }
    }

    /// A batch of the container whose turn it was is on its way.
    pub fn shipped(&mut self, task_id: &str, now: Duration, shipped: Shipped) {
        let cost = (shipped.bytes + shipped.events * EVENT_COST) as u64;
        self.meter.spend(&NODE_RATE, now, cost);
        if let Some(task) = self.tasks.get_mut(task_id) {
            task.deficit = task.deficit.saturating_sub(shipped.bytes);
            task.meter.spend(&TASK_RATE, now, cost);
        }
    }

    /// The batch of a task that was under way is done with; answers whose it was. There may be more.
    pub fn stored(&mut self, task_id: &str) -> Option<(String, S)> {
        let task = self.tasks.get_mut(task_id)?;
        let source = task.under_way.take()?;
        if !task.grown.iter().any(|(name, _)| *name == source.0) {
            task.grown.push_back(source.clone());
        }
        self.go_on(task_id);
        Some(source)
    }

    /// The batch of a task was not taken: again, not before a time.
    pub fn refused(&mut self, task_id: &str, not_before: Duration) {
        let Some(task) = self.tasks.get_mut(task_id) else {
            return;
        };
        if let Some(source) = task.under_way.take() {
            task.grown.push_front(source);
            self.throttled.insert((not_before, task_id.to_owned()));
        }
    }

    /// Nothing is under way any more: what was is to be shipped again.
    pub fn restart(&mut self) {
        let mut broken = Vec::new();
        for (task_id, task) in &mut self.tasks {
            if let Some(source) = task.under_way.take() {
                task.grown.push_front(source);
                broken.push(task_id.clone());
            }
        }
        self.waiting.extend(broken);
    }

    fn go_on(&mut self, task_id: &str) {
        let has_more = self
            .tasks
            .get(task_id)
            .is_some_and(|task| !task.grown.is_empty());
        if has_more {
            self.waiting.push_back(task_id.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn turns(tasks: &[&str]) -> Turns<()> {
        let mut turns = Turns::default();
        for task in tasks {
            turns.grown(task, "app", ());
        }
        turns
    }

    fn bytes(bytes: usize) -> Shipped {
        Shipped { bytes, events: 0 }
    }

    /// Ships one batch of a task that never ends, made of whole events of this size, and tells its bytes.
    fn turn(turns: &mut Turns<()>, event: impl Fn(&str) -> usize) -> Option<(String, usize)> {
        let (task, _, room) = turns.next(NOW)?;
        let event = event(&task);
        let shipped = room / event * event;
        turns.shipped(&task, NOW, bytes(shipped));
        turns.stored(&task);
        Some((task, shipped))
    }

    #[test]
    fn floods_share_by_bytes_whatever_the_size_of_their_events() {
        let mut turns = turns(&["a", "b", "c"]);
        let event = |task: &str| match task {
            "a" => 27,
            "b" => QUANTUM,
            _ => QUANTUM * 2 / 3,
        };
        let mut shipped = BTreeMap::<String, usize>::new();
        for _ in 0..60 {
            let (task, bytes) = turn(&mut turns, event).expect("all of them flood");
            *shipped.entry(task).or_default() += bytes;
        }
        for (task, bytes) in shipped {
            let most = 20 * QUANTUM;
            assert!((most - QUANTUM..=most).contains(&bytes), "{task}: {bytes}");
        }
    }

    #[test]
    fn a_quiet_task_comes_before_those_that_are_never_done() {
        let mut turns = turns(&["a", "b", "c"]);
        for _ in 0..7 {
            turn(&mut turns, |_| 1);
        }
        turns.grown("quiet", "app", ());
        assert_eq!(
            turn(&mut turns, |_| 1).map(|turn| turn.0),
            Some("quiet".into())
        );
        // It may have more, and then it is one of them.
        turns.grown("quiet", "app", ());
        let order: Vec<_> = (0..4).filter_map(|_| turn(&mut turns, |_| 1)).collect();
        assert_eq!(order.last().map(|turn| turn.0.as_str()), Some("quiet"));
    }

    #[test]
    fn a_task_has_one_batch_under_way_and_its_containers_take_turns() {
        let mut turns = Turns::default();
        turns.grown("a", "one", ());
        turns.grown("a", "two", ());
        let next = |turns: &mut Turns<()>| turns.next(NOW).map(|turn| turn.1);
        assert_eq!(next(&mut turns), Some("one".into()));
        turns.grown("a", "one", ());
        assert_eq!(next(&mut turns), None);
        turns.stored("a");
        assert_eq!(next(&mut turns), Some("two".into()));
        turns.dry("a");
        assert_eq!(next(&mut turns), Some("one".into()));
        turns.dry("a");
        assert!(!turns.is_busy("a") && next(&mut turns).is_none());
    }

    #[test]
    fn a_task_ships_at_its_rate_unless_it_ends() {
        let mut turns = turns(&["a"]);
        let mut now = Duration::ZERO;
        let mut shipped = 0;
        while now < Duration::from_secs(100) {
            match turns.next(now) {
                Some((task, _, _)) => {
                    turns.shipped(&task, now, bytes(QUANTUM));
                    turns.stored(&task);
                    shipped += QUANTUM as u64;
                }
                None => now = turns.next_wake().expect("it goes on"),
            }
        }
        let rate = 100 * TASK_RATE.bytes_per_sec;
        let most = rate + TASK_RATE.burst_bytes + 2 * QUANTUM as u64;
        assert!((rate..=most).contains(&shipped), "{shipped}");
        while let Some((task, _, _)) = turns.next(now) {
            turns.shipped(&task, now, bytes(QUANTUM));
            turns.stored(&task);
        }
        turns.ends("a");
        assert!(turns.next(now).is_some(), "a task that ends does not wait");
    }

    #[test]
    fn all_tasks_together_have_a_rate_too() {
        let names: Vec<String> = (0..50).map(|number| format!("task-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut turns = turns(&names);
        let mut now = Duration::ZERO;
        let mut events = 0;
        while now < Duration::from_secs(100) {
            match turns.next(now) {
                Some((task, _, _)) => {
                    let batch = Shipped {
                        bytes: 9_000 * 27,
                        events: 9_000,
                    };
                    turns.shipped(&task, now, batch);
                    turns.stored(&task);
                    events += 9_000;
                }
                None => now = turns.next_wake().expect("they go on"),
            }
        }
        assert!(events < 14_000_000, "{events} lines in 100 s");
    }

    #[test]
    fn what_was_under_way_is_shipped_again() {
        let mut turns = turns(&["a", "b"]);
        turns.next(NOW);
        turns.next(NOW);
        turns.restart();
        let mut again: Vec<_> = (0..2)
            .filter_map(|_| turns.next(NOW))
            .map(|turn| turn.0)
            .collect();
        again.sort();
        assert_eq!(again, ["a", "b"]);
        let later = Duration::from_secs(1);
        turns.refused("a", later);
        assert!(turns.next(NOW).is_none());
        assert_eq!(turns.next_wake(), Some(later));
        assert_eq!(turns.next(later).map(|turn| turn.0), Some("a".into()));
        turns.forget("a");
        assert!(turns.stored("a").is_none());
        turns.stored("b");
        assert_eq!(turns.next(later).map(|turn| turn.0), Some("b".into()));
    }
}
