//! Many services on many nodes in virtual time, placed and reconciled until all of them are steady.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use neargate_domain::Timestamp;
use neargate_planner::placement::{Need, Node, Nodes, Pool};
use neargate_planner::services::*;

const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
const TASK: Need = Need {
    memory_mib: 512,
    cpu_units: 256,
};
const BOOT_MILLIS: i64 = 5_000;
const CHECK_MILLIS: i64 = 10_000;
const DRAIN_MILLIS: i64 = 30_000;
const STOP_MILLIS: i64 = 1_000;

/// What becomes of tasks that something was done to.
enum Due {
    Run,
    Healthy,
    Drained,
    Ended,
}

struct Service {
    seen: ServiceSnapshot,
    due: BTreeMap<Timestamp, Vec<(Due, Vec<String>)>>,
}

pub struct Cluster {
    now: Timestamp,
    nodes: Nodes,
    services: Vec<Service>,
    /// Where each task is, and on which node which tasks are.
    node_of: HashMap<String, String>,
    /// Who is to be looked at when.
    wakes: BTreeSet<(Timestamp, usize)>,
    next_task: u64,
    /// Calls of the planner since this was last set to 0.
    pub passes: usize,
    pub placements: usize,
}

impl Cluster {
    /// Services without tasks, every second one behind a load balancer. The nodes hold a quarter more than is wanted.
    pub fn new(nodes: usize, services: usize, tasks_per_service: u32) -> Self {
        let tasks = services * tasks_per_service as usize;
        let per_node = (tasks + tasks / 4).div_ceil(nodes) as u64 + 1;
        let mut index = Nodes::new();
        for node in 0..nodes {
            index.put(Node {
                id: format!("node-{node}"),
                pool: Pool {
                    zone: ZONES[node % 3].to_owned(),
                    ..Pool::default()
                },
                memory_mib: per_node * TASK.memory_mib,
                cpu_units: Some(per_node * TASK.cpu_units),
            });
        }
        let now = Timestamp(0);
        Self {
            now,
            nodes: index,
            services: (0..services)
                .map(|number| Service {
                    seen: service(number, tasks_per_service),
                    due: BTreeMap::new(),
                })
                .collect(),
            node_of: HashMap::new(),
            wakes: (0..services).map(|service| (now, service)).collect(),
            next_task: 0,
            passes: 0,
            placements: 0,
        }
    }

    /// Runs until every service is steady and nothing but the events that repeat is left to come.
    pub fn run(&mut self) {
        while let Some((at, service)) = self.wakes.pop_first() {
            self.now = at;
            self.look_at(service);
        }
    }

    pub fn tasks(&self) -> usize {
        self.node_of.len()
    }

    pub fn assert_steady(&self) {
        for service in &self.services {
            let Scheduling::Replica { desired } = service.seen.service.scheduling else {
                continue;
            };
            assert_eq!(service.seen.groups.len(), 1);
            assert_eq!(service.seen.groups[0].state, GroupState::Completed);
            assert_eq!(service.seen.tasks.len(), desired as usize);
            let mut zones = ZONES.map(|_| 0usize);
            for task in service.seen.tasks.values() {
                assert_eq!(task.stage, Stage::Running);
                let zone = ZONES.iter().position(|zone| *zone == task.zone);
                zones[zone.expect("a known zone")] += 1;
            }
            let spread = zones.iter().max().unwrap_or(&0) - zones.iter().min().unwrap_or(&0);
            assert!(spread <= 1, "not even: {zones:?}");
        }
    }

    /// A new version of one service.
    pub fn deploy(&mut self, service: usize) {
        let seen = &mut self.services[service].seen;
        seen.service.maximum_percent = 105;
        let group = group("new", &seen.groups[0].target_groups);
        seen.groups.insert(0, group);
        self.wakes.insert((self.now, service));
    }

    /// Loses a node with all of its tasks. Returns how many there were.
    pub fn lose(&mut self, node: &str) -> usize {
        self.nodes.remove(node);
        let lost: BTreeSet<String> = self
            .node_of
            .iter()
            .filter(|(_, on)| on.as_str() == node)
            .map(|(task, _)| task.clone())
            .collect();
        for (number, service) in self.services.iter_mut().enumerate() {
            for (id, task) in &mut service.seen.tasks {
                if lost.contains(id) {
                    task.stage = Stage::Ended(EndCause::Infrastructure);
                    self.wakes.insert((self.now, number));
                }
            }
        }
        for id in &lost {
            self.node_of.remove(id);
        }
        lost.len()
    }

    fn look_at(&mut self, number: usize) {
        while let Some(entry) = self.services[number].due.first_entry()
            && *entry.key() <= self.now
        {
            for (due, ids) in entry.remove() {
                self.happen(number, due, ids);
            }
        }
        let wake = loop {
            let made = plan(&self.services[number].seen, self.now);
            self.passes += 1;
            if made.is_empty() {
                break made.wake_at;
            }
            self.carry_out(number, made);
        };
        let service = &self.services[number];
        let steady = service.seen.memory.said.contains_key(&Topic::Steady);
        let next = service.due.first_key_value().map(|(at, _)| *at);
        let wake = wake.filter(|_| !steady);
        if let Some(at) = next.into_iter().chain(wake).min() {
            self.wakes.insert((at, number));
        }
    }

    fn happen(&mut self, number: usize, due: Due, ids: Vec<String>) {
        let now = self.now;
        let tasks = &mut self.services[number].seen.tasks;
        for id in ids {
            let Some(task) = tasks.get_mut(&id) else {
                continue;
            };
            match due {
                Due::Run if task.stage == Stage::Pending => {
                    task.stage = Stage::Running;
                    task.running_since = Some(now);
                }
                Due::Run => {}
                Due::Healthy => task.targets = vec![TargetState::Healthy],
                Due::Drained => task.targets = vec![TargetState::Unregistered],
                Due::Ended => {
                    task.stage = Stage::Ended(EndCause::Requested);
                    if let Some(node) = self.node_of.remove(&id) {
                        self.nodes.remove_task(&node, TASK);
                    }
                }
            }
        }
    }

    fn carry_out(&mut self, number: usize, made: ServicePlan) {
        let mut booting = Vec::new();
        for start in &made.starts {
            for _ in 0..start.count {
                let id = format!("{:08x}", self.next_task);
                self.next_task += 1;
                let node = self
                    .nodes
                    .place(TASK, |pool| pool.zone == start.zone)
                    .expect("there is room in each zone");
                self.node_of.insert(id.clone(), node.to_owned());
                self.placements += 1;
                let task = new_task(start, self.now);
                self.services[number].seen.tasks.insert(id.clone(), task);
                booting.push(id);
            }
        }
        let Service { seen, due } = &mut self.services[number];
        let mut later = |millis: i64, what: Due, ids: Vec<String>| {
            if !ids.is_empty() {
                due.entry(self.now.plus_millis(millis))
                    .or_default()
                    .push((what, ids));
            }
        };
        later(BOOT_MILLIS, Due::Run, booting);
        for (id, noted) in made.notes {
            if let Some(task) = seen.tasks.get_mut(&id) {
                task.noted = noted;
            }
        }
        for (id, memory) in made.group_memory {
            if let Some(group) = seen.groups.iter_mut().find(|group| group.id == id) {
                group.memory = memory;
            }
        }
        if let Some(memory) = made.memory {
            seen.memory = memory;
        }
        for leave in made.leave {
            seen.tasks
                .entry(leave.task)
                .and_modify(|task| task.leaving = Some(leave.reason));
        }
        let mut set = |changes: Vec<TargetChange>, state: TargetState| -> Vec<String> {
            let ids = changes.into_iter().map(|change| change.task);
            ids.inspect(|id| {
                if let Some(task) = seen.tasks.get_mut(id) {
                    task.targets = vec![state.clone()];
                }
            })
            .collect()
        };
        later(
            CHECK_MILLIS,
            Due::Healthy,
            set(made.register, TargetState::Initial),
        );
        later(
            DRAIN_MILLIS,
            Due::Drained,
            set(made.deregister, TargetState::Draining),
        );
        for id in &made.stop {
            if let Some(task) = seen.tasks.get_mut(id) {
                task.stage = Stage::Stopping;
            }
        }
        later(STOP_MILLIS, Due::Ended, made.stop);
        for transition in made.transitions {
            match transition {
                Transition::Complete { .. } => seen.groups[0].state = GroupState::Completed,
                Transition::Remove { group } => seen.groups.retain(|known| known.id != group),
                other => panic!("nothing fails here: {other:?}"),
            }
        }
        seen.tasks.retain(|_, task| {
            task.is_alive() || !task.noted.ended || task.targets.iter().any(|t| t.is_registered())
        });
    }
}

fn service(number: usize, desired: u32) -> ServiceSnapshot {
    let target_groups: Vec<TargetGroupUse> = (0..number % 2)
        .map(|_| TargetGroupUse {
            arn: format!("target-group-{number}"),
            container_port: 80,
        })
        .collect();
    ServiceSnapshot {
        service: ServiceSpec {
            name: format!("service-{number}"),
            scheduling: Scheduling::Replica { desired },
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            circuit_breaker: CircuitBreaker::default(),
            alarms: None,
            bake_millis: 0,
            grace_millis: 60_000,
            zone_rebalancing: true,
            deleting: false,
        },
        groups: vec![group("first", &target_groups)],
        tasks: BTreeMap::new(),
        unused_id: String::new(),
        alarms: Vec::new(),
        placement_trouble: None,
        memory: ServiceMemory::default(),
        timing: Timing::default(),
    }
}

fn group(id: &str, target_groups: &[TargetGroupUse]) -> TaskGroup {
    TaskGroup {
        id: id.to_owned(),
        state: GroupState::InProgress,
        is_rollback: false,
        rollback_requested: false,
        desired: 0,
        going: false,
        target_groups: target_groups.to_vec(),
        providers: Vec::new(),
        zones: ZONES.map(str::to_owned).to_vec(),
        memory: GroupMemory::default(),
    }
}

fn new_task(start: &Start, now: Timestamp) -> TaskView {
    TaskView {
        group: start.group.clone(),
        zone: start.zone.clone(),
        provider: None,
        instance: None,
        stage: Stage::Pending,
        created_at: now,
        running_since: None,
        container_health: None,
        targets: Vec::new(),
        protected_until: None,
        leaving: None,
        noted: Noted::default(),
    }
}
