//! A world in virtual time around one service: tasks that boot, serve, crash and drain; nodes that vanish; a load
//! balancer that reports health, or does not. It carries out plans as the reconciler does and watches what they do.

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Timestamp;
use neargate_domain::task::HealthStatus;
use neargate_planner::services::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How the tasks of one version behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    Good,
    /// Ends before it runs.
    CannotStart,
    /// Runs, and exits before anything can find it healthy.
    Crashes,
    /// Runs and never answers a health check.
    NeverHealthy,
    /// Every second task crashes.
    Flaky,
}

/// What will happen, and to which task.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Runs(String),
    Ends(String),
    /// The health check's verdict changes.
    Judged(String, bool),
    Drained(String),
    Stopped(String),
    /// Health is reported again.
    Reported,
    /// Only to look again.
    Look,
}

pub struct World {
    pub now: Timestamp,
    pub service: ServiceSnapshot,
    pub versions: BTreeMap<String, Version>,
    pub rng: StdRng,
    agenda: BTreeSet<(Timestamp, u64, Happening)>,
    numbered: u64,
    next_task: u64,
    next_group: u64,
    /// What health checks say of a task, whether anybody reports it or not.
    healthy: BTreeMap<String, bool>,
    /// Served before the clock jumped.
    proven: BTreeSet<String>,
    nodes: BTreeMap<String, u32>,
    reporting: bool,
    pub zones: usize,
    /// The service's capacity provider strategy.
    providers: Vec<ProviderShare>,
    /// Its essential container has a health check.
    checks: bool,
    pub events: usize,
    pub created: usize,
    pub passes: usize,
    /// When the planner last had something done.
    pub acted_at: Timestamp,
    pub inactive: bool,
    pub log: Vec<String>,
}

const NODES: u32 = 8;
/// Passes until the plan must be empty while time stands still.
const MAX_PASSES_AT_ONCE: usize = 30;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let minimum = [0, 50, 100][rng.random_range(0..3)];
        let maximum = [100, 110, 150, 200][rng.random_range(0..4)];
        let providers = match rng.random_range(0..4) {
            0 => vec![
                ProviderShare {
                    provider: "FARGATE".to_owned(),
                    base: 1,
                    weight: 1,
                },
                ProviderShare {
                    provider: "FARGATE_SPOT".to_owned(),
                    base: 0,
                    weight: 3,
                },
            ],
            _ => Vec::new(),
        };
        let with_alarms = rng.random_bool(0.2);
        let spec = ServiceSpec {
            name: "web".to_owned(),
            scheduling: Scheduling::Replica {
                desired: rng.random_range(0..9),
            },
            minimum_healthy_percent: minimum,
            maximum_percent: maximum,
            circuit_breaker: CircuitBreaker {
                enable: rng.random_bool(0.7),
                rollback: rng.random_bool(0.7),
                threshold: match rng.random_range(0..3) {
                    0 => FailureThreshold::Count(rng.random_range(1..6)),
                    1 => FailureThreshold::UnboundedPercent(rng.random_range(1..100)),
                    _ => FailureThreshold::default(),
                },
                reset_on_healthy_task: rng.random_bool(0.7),
            },
            alarms: with_alarms.then_some(AlarmRule { rollback: true }),
            bake_millis: if with_alarms { 30_000 } else { 0 },
            grace_millis: [0, 20_000, 60_000][rng.random_range(0..3)],
            zone_rebalancing: rng.random_bool(0.5),
            deleting: false,
        };
        let mut world = Self {
            now: Timestamp(1_000_000),
            service: ServiceSnapshot {
                service: spec,
                groups: Vec::new(),
                tasks: BTreeMap::new(),
                unused_id: "g1".to_owned(),
                alarms: Vec::new(),
                placement_trouble: None,
                memory: ServiceMemory::default(),
                timing: Timing::default(),
            },
            versions: BTreeMap::new(),
            agenda: BTreeSet::new(),
            numbered: 0,
            next_task: 0,
            next_group: 0,
            healthy: BTreeMap::new(),
            proven: BTreeSet::new(),
            nodes: BTreeMap::new(),
            reporting: true,
            zones: rng.random_range(1..4),
            providers,
            checks: rng.random_bool(0.3),
            events: 0,
            created: 0,
            passes: 0,
            acted_at: Timestamp(0),
            inactive: false,
            log: Vec::new(),
            rng,
        };
        world.deploy(Version::Good);
        world
    }

    /// A new deployment.
    pub fn deploy(&mut self, version: Version) {
        let id = self.take_id();
        let target_groups = match self.service.groups.last() {
            Some(group) => group.target_groups.clone(),
            None => (0..self.rng.random_range(0..3u8))
                .map(|n| TargetGroupUse {
                    arn: format!("tg-{n}"),
                    container_port: 8080,
                })
                .collect(),
        };
        self.versions.insert(id.clone(), version);
        self.log
            .push(format!("{} deploy {id} {version:?}", self.now.0));
        self.service.groups.insert(
            0,
            TaskGroup {
                id,
                state: GroupState::InProgress,
                is_rollback: false,
                rollback_requested: false,
                desired: 0,
                going: false,
                target_groups,
                providers: self.providers.clone(),
                zones: (0..self.zones).map(|n| format!("zone-{n}")).collect(),
                memory: GroupMemory::default(),
            },
        );
    }

    fn take_id(&mut self) -> String {
        self.next_group += 1;
        let next = format!("g{}", self.next_group + 1);
        std::mem::replace(&mut self.service.unused_id, next)
    }

    /// Tasks that run and are meant to stay.
    pub fn running(&self) -> usize {
        let stays = |task: &&TaskView| task.stage == Stage::Running && task.leaving.is_none();
        self.service.tasks.values().filter(stays).count()
    }

    /// Tasks that serve, as the documentation defines it.
    pub fn healthy(&self) -> usize {
        let tasks = self.service.tasks.keys();
        tasks.filter(|id| self.serves(id)).count()
    }

    /// Whether containers have health checks.
    pub fn checks(&self) -> bool {
        self.checks
    }

    pub fn desired(&self) -> usize {
        match self.service.service.scheduling {
            _ if self.service.service.deleting => 0,
            Scheduling::Replica { desired } => desired as usize,
            Scheduling::Daemon { ref instances } => instances.iter().filter(|i| i.eligible).count(),
            Scheduling::SideBySide => self.service.groups.iter().map(|g| g.desired as usize).sum(),
        }
    }

    fn at(&mut self, millis: i64, what: Happening) {
        self.numbered += 1;
        let entry = (self.now.plus_millis(millis), self.numbered, what);
        self.agenda.insert(entry);
    }

    /// Plans and carries out until there is nothing to do, then lets time pass to the next thing that happens.
    pub fn step(&mut self) {
        let mut wake = None;
        for pass in 0.. {
            let made = plan(&self.service, self.now);
            assert_eq!(
                made,
                plan(&self.service, self.now),
                "planning twice gives the same"
            );
            self.passes += 1;
            self.check(&made);
            wake = made.wake_at;
            if made.is_empty() {
                break;
            }
            assert!(
                pass < MAX_PASSES_AT_ONCE,
                "no end at {:?}: {made:?}\n{}",
                self.now,
                self.story()
            );
            self.carry_out(made);
            if self.inactive {
                return;
            }
        }
        assert!(
            wake.is_none_or(|at| at > self.now),
            "a wake-up in the past: {wake:?} at {:?}",
            self.now
        );
        let next = self.agenda.first().map(|(at, ..)| *at);
        let Some(until) = wake.into_iter().chain(next).min() else {
            return;
        };
        self.now = until;
        while let Some(entry) = self.agenda.first().cloned()
            && entry.0 <= until
        {
            self.agenda.remove(&entry);
            self.happen(entry.2);
        }
    }

    pub fn story(&self) -> String {
        let tail = self.log.len().saturating_sub(60);
        format!(
            "{:#?}\n{:?} {:?}\n{}",
            self.service.service,
            self.service
                .groups
                .iter()
                .map(|g| (&g.id, g.state, &g.memory))
                .collect::<Vec<_>>(),
            self.service.memory,
            self.log[tail..].join("\n")
        )
    }

    /// What a task is in truth, by the definition in the documentation, with its own code.
    fn serves(&self, id: &str) -> bool {
        let task = &self.service.tasks[id];
        let target_groups = self
            .service
            .groups
            .iter()
            .find(|g| g.id == task.group)
            .map_or(0, |g| g.target_groups.len());
        let running = task.stage == Stage::Running && task.leaving.is_none();
        let checked = match task.container_health {
            None => {
                target_groups > 0
                    || self.proven.contains(id)
                    || task
                        .running_since
                        .is_some_and(|since| self.now.millis_since(since) >= 40_000)
            }
            Some(health) => health == HealthStatus::Healthy,
        };
        let reached = task
            .targets
            .iter()
            .filter(|t| **t == TargetState::Healthy)
            .count()
            == target_groups;
        running && checked && reached
    }

    /// It runs, and no check has found it unhealthy, or not since its grace period: it may well serve.
    fn may_serve(&self, id: &str) -> bool {
        let task = &self.service.tasks[id];
        task.stage == Stage::Running && task.leaving.is_none() && !self.is_unhealthy(id)
    }

    fn is_unhealthy(&self, id: &str) -> bool {
        let task = &self.service.tasks[id];
        let grace_is_over = task
            .running_since
            .is_some_and(|since| self.now.millis_since(since) >= self.service.service.grace_millis);
        let found = task.container_health == Some(HealthStatus::Unhealthy)
            || task
                .targets
                .iter()
                .any(|t| matches!(t, TargetState::Unhealthy { .. }));
        task.stage == Stage::Running && task.leaving.is_none() && found && grace_is_over
    }

    /// Position of a task's deployment: the higher, the older.
    fn age(&self, id: &str) -> usize {
        let group = &self.service.tasks[id].group;
        let groups = &self.service.groups;
        groups
            .iter()
            .position(|g| g.id == *group)
            .unwrap_or(groups.len())
    }

    /// Whoever serves is not stopped before its replacement serves: of those that may serve, not below the floor, where
    /// the new version's tasks count once they are healthy only; of the unhealthy, only those whose place somebody healthy
    /// has taken, or if there is no room for a replacement.
    fn check_that_service_goes_on(&self, made: &ServicePlan, story: &dyn Fn() -> String) {
        if self.service.service.deleting {
            return;
        }
        let (floor, ceiling) = self.bounds();
        let sent: BTreeSet<&str> = made.leave.iter().map(|l| l.task.as_str()).collect();
        let tasks = self.service.tasks.keys();
        let stay: Vec<&String> = tasks.filter(|id| !sent.contains(id.as_str())).collect();
        let known = |id: &str| self.age(id) < self.service.groups.len();
        for id in sent.iter().filter(|id| known(id) && self.may_serve(id)) {
            let counts = |other: &&&String| {
                let is_new = self.age(other) == 0 && self.age(id) > 0;
                self.serves(other) || self.may_serve(other) && !is_new
            };
            let left = stay.iter().filter(counts).count();
            assert!(
                left >= floor,
                "{id} goes, which may serve, and leaves {left} of {floor}: {}",
                story()
            );
        }
        let unhealthy = sent
            .iter()
            .filter(|id| known(id) && self.is_unhealthy(id))
            .count();
        if unhealthy > 0 {
            let healthy = stay.iter().filter(|id| self.serves(id)).count();
            let failing = stay.iter().filter(|id| self.is_unhealthy(id)).count();
            let alive = self.service.tasks.values().filter(|t| t.is_alive()).count();
            let starts: usize = made.starts.iter().map(|s| s.count as usize).sum();
            let one_by_one = || {
                let leaving = |t: &&TaskView| t.is_alive() && t.leaving.is_some();
                unhealthy == 1 && self.service.tasks.values().filter(leaving).count() == 0
            };
            assert!(
                healthy + failing >= self.desired()
                    || alive + starts >= ceiling && (healthy >= floor || one_by_one()),
                "{unhealthy} unhealthy tasks go before they are replaced: {}",
                story()
            );
        }
    }

    fn bounds(&self) -> (usize, usize) {
        let desired = self.desired();
        let spec = &self.service.service;
        let floor = (desired * spec.minimum_healthy_percent as usize).div_ceil(100);
        let ceiling = desired * spec.maximum_percent as usize / 100;
        (floor.min(desired), ceiling.max(desired))
    }

    /// Floor and ceiling allow neither to stop nor to start a task.
    pub fn has_no_way(&self) -> bool {
        let (floor, ceiling) = self.bounds();
        let serving = self
            .service
            .tasks
            .keys()
            .filter(|id| self.serves(id))
            .count();
        let alive = self.service.tasks.values().filter(|t| t.is_alive()).count();
        serving <= floor && alive >= ceiling
    }

    fn check(&self, made: &ServicePlan) {
        let story = || format!("{made:#?}\n{}", self.story());
        let spec = &self.service.service;
        let desired = self.desired();
        let (floor, ceiling) = self.bounds();

        let alive = self.service.tasks.values().filter(|t| t.is_alive()).count();
        let starts: usize = made.starts.iter().map(|s| s.count as usize).sum();
        assert!(
            starts == 0 || alive + starts <= ceiling,
            "above the ceiling of {ceiling}: {}",
            story()
        );
        for start in &made.starts {
            assert!(start.count > 0, "an empty start: {}", story());
            let group = self
                .service
                .groups
                .iter()
                .position(|g| g.id == start.group)
                .expect("a known group");
            let resumed = Transition::Resume {
                group: start.group.clone(),
            };
            let failed = self.service.groups[group].state == GroupState::Failed
                && !made.transitions.contains(&resumed);
            assert!(!failed, "a task for a failed deployment: {}", story());
        }

        let serving: BTreeSet<&str> = self
            .service
            .tasks
            .keys()
            .map(String::as_str)
            .filter(|id| self.serves(id))
            .collect();
        let sent: BTreeSet<&str> = made.leave.iter().map(|l| l.task.as_str()).collect();
        let serving_after = serving.difference(&sent).count();
        if serving_after < serving.len() {
            assert!(
                serving_after >= floor,
                "below the floor of {floor}: {}",
                story()
            );
        }
        self.check_that_service_goes_on(made, &story);
        for leave in &made.leave {
            let task = &self.service.tasks[&leave.task];
            assert!(
                task.leaving.is_none() && task.is_alive(),
                "sent away twice: {}",
                story()
            );
            let protected = task.protected_until.is_some_and(|until| self.now < until);
            assert!(
                !protected || spec.deleting || leave.reason == LeaveReason::Unhealthy,
                "a protected task goes: {}",
                story()
            );
            let unknown = task.targets.contains(&TargetState::Unknown)
                && task.container_health != Some(HealthStatus::Unhealthy)
                && leave.reason != LeaveReason::Unhealthy;
            assert!(
                !unknown || serving_after >= desired,
                "{} goes for being unknown: {}",
                leave.task,
                story()
            );
        }
        for id in &made.stop {
            let task = &self.service.tasks[id];
            assert!(
                task.leaving.is_some() || sent.contains(id.as_str()),
                "{id} stopped without leaving: {}",
                story()
            );
            assert!(
                !task.is_target(),
                "{id} stopped before it was drained: {}",
                story()
            );
        }
        for change in &made.register {
            let task = &self.service.tasks[&change.task];
            assert!(
                task.stage == Stage::Running
                    && task.leaving.is_none()
                    && !sent.contains(change.task.as_str())
            );
            assert_eq!(*task.target(change.target_group), TargetState::Unregistered);
        }
    }

    fn carry_out(&mut self, made: ServicePlan) {
        self.acted_at = self.now;
        for event in &made.events {
            self.log.push(format!("{} {}", self.now.0, event.message));
        }
        self.events += made.events.len();
        for (id, noted) in made.notes {
            self.service.tasks.get_mut(&id).expect("a known task").noted = noted;
        }
        for (id, memory) in made.group_memory {
            let group = self.service.groups.iter_mut().find(|g| g.id == id);
            group.expect("a known group").memory = memory;
        }
        if let Some(memory) = made.memory {
            // What is remembered survives being written down.
            let text = serde_json::to_string(&memory).expect("JSON");
            self.service.memory = serde_json::from_str(&text).expect("the same");
            assert_eq!(self.service.memory, memory);
        }
        for start in made.starts {
            for _ in 0..start.count {
                self.create(&start);
            }
        }
        for leave in made.leave {
            self.log.push(format!(
                "{} {} leaves: {}",
                self.now.0, leave.task, leave.stopped_reason
            ));
            self.service
                .tasks
                .get_mut(&leave.task)
                .expect("a known task")
                .leaving = Some(leave.reason);
        }
        for change in made.register {
            let registered = if self.reporting {
                TargetState::Initial
            } else {
                TargetState::Unknown
            };
            self.set_target(&change, registered);
            let bad = self.versions[&change.group] == Version::NeverHealthy;
            let wait = self.rng.random_range(1_000..30_000);
            self.at(wait, Happening::Judged(change.task.clone(), !bad));
            self.healthy.remove(&change.task);
        }
        for change in made.deregister {
            self.set_target(&change, TargetState::Draining);
            let wait = self.rng.random_range(0..60_000);
            self.at(wait, Happening::Drained(change.task));
        }
        for id in made.stop {
            self.log.push(format!("{} {id} is stopped", self.now.0));
            self.service.tasks.get_mut(&id).expect("a known task").stage = Stage::Stopping;
            let wait = self.rng.random_range(0..30_000);
            self.at(wait, Happening::Stopped(id));
        }
        for transition in made.transitions {
            self.log.push(format!("{} {transition:?}", self.now.0));
            self.change(transition);
        }
        // As the reconciler does: tasks of which nothing is left to do are not shown again.
        self.service.tasks.retain(|_, task| {
            task.is_alive() || !task.noted.ended || task.targets.iter().any(|t| t.is_registered())
        });
    }

    fn change(&mut self, transition: Transition) {
        let groups = &mut self.service.groups;
        let find = |groups: &[TaskGroup], id: &str| {
            groups
                .iter()
                .position(|g| g.id == id)
                .expect("a known group")
        };
        match transition {
            Transition::Complete { group } => {
                assert_eq!(
                    find(groups, &group),
                    0,
                    "only the primary deployment completes"
                );
                groups[0].state = GroupState::Completed;
            }
            Transition::Fail { group, .. } => {
                let at = find(groups, &group);
                groups[at].state = GroupState::Failed;
            }
            Transition::Resume { group } => {
                let at = find(groups, &group);
                assert_eq!(groups[at].state, GroupState::Failed);
                groups[at].state = GroupState::InProgress;
            }
            Transition::RollBack { from, to, id, .. } => {
                let at = find(groups, &from);
                groups[at].state = GroupState::Failed;
                let at = find(groups, &to);
                let mut group = groups.remove(at);
                assert!(
                    group.state == GroupState::Completed || group.is_rollback,
                    "back to what was complete"
                );
                assert!(groups.iter().all(|g| g.id != id), "{id} is new");
                self.versions.insert(id.clone(), self.versions[&to]);
                for task in self.service.tasks.values_mut() {
                    if task.group == to {
                        task.group.clone_from(&id);
                    }
                }
                group.id = id;
                group.state = GroupState::InProgress;
                group.is_rollback = true;
                group.rollback_requested = false;
                groups.insert(0, group);
                self.take_id();
            }
            Transition::Remove { group } => {
                let at = find(groups, &group);
                let group = groups.remove(at);
                assert!(at > 0, "the primary group is not removed");
                assert!(
                    !self
                        .service
                        .tasks
                        .values()
                        .any(|t| t.group == group.id && t.is_alive())
                );
            }
            Transition::Inactive => {
                assert!(!self.service.tasks.values().any(|t| t.is_alive()));
                self.inactive = true;
            }
        }
    }

    fn create(&mut self, start: &Start) {
        self.next_task += 1;
        self.created += 1;
        let id = format!("t{:05}", self.next_task);
        self.log.push(format!(
            "{} {id} of {} in {}",
            self.now.0, start.group, start.zone
        ));
        self.service.tasks.insert(
            id.clone(),
            TaskView {
                group: start.group.clone(),
                zone: start.zone.clone(),
                provider: start.provider.clone(),
                instance: start.instance.clone(),
                stage: Stage::Pending,
                created_at: self.now,
                running_since: None,
                container_health: self.checks.then_some(HealthStatus::Unknown),
                targets: Vec::new(),
                protected_until: None,
                leaving: None,
                noted: Noted::default(),
            },
        );
        let node = self.rng.random_range(0..NODES);
        self.nodes.insert(id.clone(), node);
        let boot = self.rng.random_range(100..8_000);
        match self.versions[&start.group] {
            Version::CannotStart => self.at(boot, Happening::Ends(id)),
            _ => self.at(boot, Happening::Runs(id)),
        }
    }

    fn set_target(&mut self, change: &TargetChange, state: TargetState) {
        let count = self
            .service
            .groups
            .iter()
            .find(|g| g.id == change.group)
            .map_or(0, |g| g.target_groups.len());
        let task = self
            .service
            .tasks
            .get_mut(&change.task)
            .expect("a known task");
        task.targets
            .resize(count.max(task.targets.len()), TargetState::Unregistered);
        task.targets[change.target_group] = state;
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Runs(id) => {
                let now = self.now;
                let Some(task) = self.service.tasks.get_mut(&id) else {
                    return;
                };
                if task.stage != Stage::Pending {
                    return;
                }
                task.stage = Stage::Running;
                task.running_since = Some(now);
                let group = task.group.clone();
                if self.checks {
                    let bad = self.versions[&group] == Version::NeverHealthy;
                    let wait = self.rng.random_range(1_000..30_000);
                    self.at(wait, Happening::Judged(id.clone(), !bad));
                }
                let crashes = match self.versions[&group] {
                    Version::Crashes => true,
                    Version::Flaky => self.rng.random_bool(0.5),
                    _ => false,
                };
                if crashes {
                    // Before the first verdict of a health check.
                    let wait = self.rng.random_range(100..900);
                    self.at(wait, Happening::Ends(id));
                }
            }
            Happening::Ends(id) => self.end(&id, false),
            Happening::Judged(id, healthy) => self.judge(id, healthy),
            Happening::Drained(id) => {
                if let Some(task) = self.service.tasks.get_mut(&id) {
                    for target in &mut task.targets {
                        if *target == TargetState::Draining {
                            *target = TargetState::Unregistered;
                        }
                    }
                }
            }
            Happening::Stopped(id) => {
                if let Some(task) = self.service.tasks.get_mut(&id)
                    && task.is_alive()
                {
                    task.stage = Stage::Ended(EndCause::Exited);
                }
            }
            Happening::Reported => {
                self.reporting = true;
                let ids: Vec<String> = self.service.tasks.keys().cloned().collect();
                for id in ids {
                    self.report(&id);
                }
            }
            Happening::Look => {}
        }
    }

    /// The verdict of health checks: the node's are known at once, the load balancer's when it reports.
    fn judge(&mut self, id: String, healthy: bool) {
        if let Some(task) = self.service.tasks.get_mut(&id)
            && task.stage == Stage::Running
        {
            task.container_health = self.checks.then_some(match healthy {
                true => HealthStatus::Healthy,
                false => HealthStatus::Unhealthy,
            });
        }
        self.healthy.insert(id.clone(), healthy);
        if self.reporting {
            self.report(&id);
        }
    }

    fn report(&mut self, id: &str) {
        let state = match self.healthy.get(id) {
            Some(true) => TargetState::Healthy,
            Some(false) => TargetState::Unhealthy {
                reason: "Request timed out".to_owned(),
            },
            None => TargetState::Initial,
        };
        if let Some(task) = self.service.tasks.get_mut(id) {
            for target in task.targets.iter_mut().filter(|t| t.is_registered()) {
                *target = state.clone();
            }
        }
    }

    fn end(&mut self, id: &str, infrastructure: bool) {
        if let Some(task) = self.service.tasks.get_mut(id)
            && task.is_alive()
        {
            let cause = match (infrastructure, task.running_since) {
                (true, _) => EndCause::Infrastructure,
                (false, None) => EndCause::FailedToStart,
                (false, Some(_)) => EndCause::Exited,
            };
            task.stage = Stage::Ended(cause);
            self.log
                .push(format!("{} {id} ended: {cause:?}", self.now.0));
        }
    }

    /// One thing that goes wrong, or that someone wants.
    pub fn meddle(&mut self) {
        let ids: Vec<String> = self.service.tasks.keys().cloned().collect();
        let some_task = (!ids.is_empty()).then(|| ids[self.rng.random_range(0..ids.len())].clone());
        let kind = self.rng.random_range(0..15);
        self.log
            .push(format!("{} meddle {kind} {some_task:?}", self.now.0));
        match (kind, some_task) {
            (0, _) => {
                let version = [
                    Version::Good,
                    Version::CannotStart,
                    Version::Crashes,
                    Version::NeverHealthy,
                    Version::Flaky,
                ][self.rng.random_range(0..5)];
                self.deploy(version);
            }
            (1, _) => self.deploy(Version::Good),
            (2 | 3, _) => {
                let desired = self.rng.random_range(0..12);
                self.service.service.scheduling = Scheduling::Replica { desired };
            }
            (4, Some(id)) => self.end(&id, false),
            (5, _) => {
                let node = self.rng.random_range(0..NODES);
                let lost: Vec<String> = self
                    .nodes
                    .iter()
                    .filter(|(_, on)| **on == node)
                    .map(|(id, _)| id.clone())
                    .collect();
                for id in lost {
                    self.end(&id, true);
                }
            }
            (6, _) => {
                self.reporting = false;
                for task in self.service.tasks.values_mut() {
                    for target in task.targets.iter_mut().filter(|t| t.is_registered()) {
                        *target = TargetState::Unknown;
                    }
                }
                let wait = self.rng.random_range(500..20_000);
                self.at(wait, Happening::Reported);
            }
            (7, Some(id)) => {
                let wait = self.rng.random_range(1_000..600_000);
                let until = self.now.plus_millis(wait);
                self.service
                    .tasks
                    .get_mut(&id)
                    .expect("a known task")
                    .protected_until = Some(until);
            }
            (8, Some(id)) => {
                let task = self.service.tasks.get_mut(&id).expect("a known task");
                if task.is_alive() && task.leaving.is_none() {
                    task.leaving = Some(LeaveReason::Requested);
                }
            }
            (9, Some(id)) if self.healthy.get(&id) == Some(&true) => {
                self.judge(id.clone(), false);
                let wait = self.rng.random_range(1_000..120_000);
                self.at(wait, Happening::Judged(id, true));
            }
            (10, _) => {
                self.service.alarms = match self.rng.random_bool(0.5) {
                    true => vec!["errors".to_owned()],
                    false => Vec::new(),
                };
            }
            (11, _) => self.service.groups[0].rollback_requested = self.rng.random_bool(0.3),
            // The machine is busy: all checks fail for a while.
            (12, _) => {
                for id in ids {
                    if self.healthy.get(&id) == Some(&true) {
                        self.judge(id.clone(), false);
                        let wait = self.rng.random_range(1_000..120_000);
                        self.at(wait, Happening::Judged(id, true));
                    }
                }
            }
            // A bad push, a moment after a good one.
            (13, _) => {
                self.deploy(Version::Good);
                for _ in 0..self.rng.random_range(1..12) {
                    self.step();
                }
                if self.inactive {
                    return;
                }
                let bad = [
                    Version::CannotStart,
                    Version::Crashes,
                    Version::NeverHealthy,
                ][self.rng.random_range(0..3)];
                self.deploy(bad);
            }
            (14, _) => self.jump(),
            _ => {}
        }
        let wait = self.rng.random_range(0..40_000);
        self.at(wait, Happening::Look);
    }

    /// The clock is set back or forward, and the server starts anew. What is under way takes as long as it takes.
    pub fn jump(&mut self) {
        const HOUR: i64 = 3_600_000;
        let far = [120_000, HOUR, 365 * 24 * HOUR][self.rng.random_range(0..3)];
        let by = if self.rng.random_bool(0.5) { far } else { -far };
        self.jump_by(by);
    }

    pub fn jump_by(&mut self, by: i64) {
        self.log.push(format!("{} jumps by {by}", self.now.0));
        let tasks = self.service.tasks.keys().cloned();
        let serving: Vec<String> = tasks.filter(|id| self.serves(id)).collect();
        self.proven.extend(serving);
        let now = self.now.plus_millis(by);
        self.now = now;
        self.acted_at = now;
        let agenda = std::mem::take(&mut self.agenda);
        self.agenda = agenda
            .into_iter()
            .map(|(at, number, what)| (at.plus_millis(by), number, what))
            .collect();
        // Instants from the future are taken for the start of the process that finds them.
        for task in self.service.tasks.values_mut() {
            task.running_since = task.running_since.map(|at| at.min(now));
            task.created_at = task.created_at.min(now);
            task.protected_until = None;
        }
    }

    /// Nothing goes wrong from here on, and what was asked for can be had.
    pub fn calm(&mut self) {
        self.log.push(format!("{} calm", self.now.0));
        self.service.alarms.clear();
        if !self.reporting {
            self.at(1, Happening::Reported);
        }
        let primary = &self.service.groups[0];
        let watched = primary.state == GroupState::InProgress
            && self.service.service.circuit_breaker.enable
            && self.service.service.maximum_percent > 100;
        if !watched {
            // Without the circuit breaker a bad version is tried for ever.
            self.versions.insert(primary.id.clone(), Version::Good);
        }
        for group in &self.service.groups {
            // A bad one may have been completed while no task was desired of it, and serve for one that failed.
            if group.state == GroupState::Completed || group.is_rollback {
                self.versions.insert(group.id.clone(), Version::Good);
            }
        }
        for version in self.versions.values_mut() {
            if *version == Version::Flaky {
                *version = Version::Good;
            }
        }
    }

    /// Steady, or FAILED with nothing left to do, or stuck between the two percentages, which AWS is as well.
    pub fn is_settled(&self) -> bool {
        if self.service.service.deleting {
            return self.inactive;
        }
        let serving = self
            .service
            .tasks
            .keys()
            .filter(|id| self.serves(id))
            .count();
        let alive = self.service.tasks.values().filter(|t| t.is_alive()).count();
        let primary = &self.service.groups[0];
        let steady = primary.state == GroupState::Completed
            && serving == self.desired()
            && alive == serving
            && self.service.groups.len() == 1
            && self.service.memory.rebalancing.is_none();
        let resting = self.agenda.is_empty();
        let failed = primary.state == GroupState::Failed && resting;
        let stuck =
            self.service.memory.said.contains_key(&Topic::Stuck) && resting && self.has_no_way();
        steady || failed || stuck
    }

    pub fn zone_spread(&self) -> usize {
        let mut counts = vec![0usize; self.zones];
        for task in self.service.tasks.values().filter(|t| t.is_alive()) {
            let zone: usize = task.zone["zone-".len()..].parse().expect("a zone's number");
            counts[zone] += 1;
        }
        counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
    }
}
