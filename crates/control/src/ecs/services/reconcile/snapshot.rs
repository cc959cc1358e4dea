//! What the planner is told about a service.

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Timestamp;
use neargate_planner::services::{
    AlarmRule, ProviderShare, Scheduling, ServiceSnapshot, ServiceSpec, TaskGroup, TaskView,
    Timing, group_health,
};

use super::super::blue_green::{self, Size};
use super::super::board::Seen;
use super::super::deployment_configuration::circuit_breaker;
use super::super::ids;
use super::super::records::{
    Controller, DeploymentRecord, RevisionConfig, ServiceRecord, ServiceStatus,
};
use super::super::view::SeenTask;
use super::Reconciler;
use super::targets::target_groups;
use crate::ec2::{self, Ec2LookupError};
use crate::ecs::tasks::protection;
use crate::state::StateError;

impl Reconciler {
    pub(super) async fn snapshot(&self, seen: &Seen) -> Result<ServiceSnapshot, StateError> {
        let service = &seen.service.record;
        let mut trouble = self.trouble.lock().get(&service.key()).cloned();
        let mut groups = Vec::new();
        for deployment in &service.deployments {
            let zones = match self.zones(service, &deployment.config).await? {
                Ok(zones) => zones,
                Err(reason) => {
                    trouble.get_or_insert(reason);
                    Vec::new()
                }
            };
            groups.push(group(service, deployment, zones));
        }
        let now = self.state.now();
        let tasks = seen
            .tasks
            .iter()
            .map(|(id, task)| (id.clone(), self.task(task, &groups, now)))
            .collect();
        let mut snapshot = ServiceSnapshot {
            service: spec(service),
            groups,
            tasks,
            unused_id: ids::deployment(&mut rand::rng()),
            // Alarms come with the metrics.
            alarms: Vec::new(),
            placement_trouble: trouble,
            memory: service.memory.clone(),
            timing: Timing::scaled(|duration| self.state.clock().scaled(duration)),
        };
        resize(&mut snapshot, service, now);
        Ok(snapshot)
    }

    /// The zones of a configuration's subnets; the inner error says in words why there are none.
    async fn zones(
        &self,
        service: &ServiceRecord,
        config: &RevisionConfig,
    ) -> Result<Result<Vec<String>, String>, StateError> {
        let subnets = config
            .network
            .as_ref()
            .and_then(|n| n.awsvpc_configuration.as_ref())
            .map(|n| n.subnets.as_slice())
            .unwrap_or_default();
        match ec2::lookup_subnets(&self.state, &service.scope, subnets).await {
            Ok(subnets) => {
                let zones: BTreeSet<String> = subnets.into_iter().map(|s| s.record.zone).collect();
                Ok(Ok(zones.into_iter().collect()))
            }
            Err(Ec2LookupError::State(error)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    fn task(&self, seen: &SeenTask, groups: &[TaskGroup], now: Timestamp) -> TaskView {
        let mut view = seen.view.clone();
        let clock = self.state.clock();
        view.created_at = clock.past(view.created_at);
        view.running_since = view.running_since.map(|since| clock.past(since));
        // Nobody could have asked for more.
        view.protected_until = view
            .protected_until
            .filter(|until| until.millis_since(now) <= protection::LONGEST_MILLIS);
        if let Some(group) = groups.iter().find(|g| g.id == view.group) {
            view.targets = group
                .target_groups
                .iter()
                .map(|used| self.target_state(seen, used, now))
                .collect();
        }
        view
    }
}

/// Says what two deployments that stand side by side shall have, as `service` has it.
pub fn resize(snapshot: &mut ServiceSnapshot, service: &ServiceRecord, now: Timestamp) {
    let Some(green) = blue_green::governing(service) else {
        return;
    };
    snapshot.service.scheduling = Scheduling::SideBySide;
    let health = group_health(snapshot, now);
    for group in &mut snapshot.groups {
        let Some(deployment) = service.deployments.iter().find(|d| d.id == group.id) else {
            continue;
        };
        let alive = health.get(&group.id).map_or(0, |health| health.alive);
        let alive = u32::try_from(alive).unwrap_or(u32::MAX);
        (group.desired, group.going) = match blue_green::size(service, green, deployment) {
            Size::Tasks(count) => (count, false),
            Size::AsItIs => (alive.min(service.desired_count), false),
            Size::Going => (0, true),
        };
    }
}

fn group(service: &ServiceRecord, deployment: &DeploymentRecord, zones: Vec<String>) -> TaskGroup {
    let set = deployment.set.as_ref();
    let count = |value: Option<i32>| value.and_then(|v| u32::try_from(v).ok()).unwrap_or(0);
    TaskGroup {
        id: deployment.id.clone(),
        state: deployment.rollout.into(),
        is_rollback: deployment.is_rollback,
        rollback_requested: deployment.rollback_requested,
        desired: set.map_or(0, |set| set.size(service.desired_count)),
        going: set.is_some_and(|set| set.is_deleted),
        target_groups: target_groups(deployment),
        providers: deployment
            .config
            .strategy
            .iter()
            .map(|item| ProviderShare {
                provider: item.capacity_provider.clone(),
                base: count(item.base),
                weight: count(item.weight),
            })
            .collect(),
        zones,
        memory: deployment.memory.clone(),
    }
}

fn spec(service: &ServiceRecord) -> ServiceSpec {
    let configuration = &service.deployment_configuration;
    let percent = |value: Option<i32>, default: u32| {
        value.and_then(|v| u32::try_from(v).ok()).unwrap_or(default)
    };
    let alarms = configuration.alarms.as_ref().filter(|a| a.enable);
    ServiceSpec {
        name: service.name.clone(),
        scheduling: match service.controller {
            Controller::Ecs => Scheduling::Replica {
                desired: service.desired_count,
            },
            Controller::CodeDeploy | Controller::External => Scheduling::SideBySide,
        },
        minimum_healthy_percent: percent(configuration.minimum_healthy_percent, 100),
        maximum_percent: percent(configuration.maximum_percent, 200),
        circuit_breaker: circuit_breaker(configuration),
        alarms: alarms.map(|a| AlarmRule {
            rollback: a.rollback,
        }),
        // Computed from the alarms' periods, once there are alarms.
        bake_millis: 0,
        // It is what a program is given to come up, so it is not scaled.
        grace_millis: i64::from(service.grace_period_secs.unwrap_or(0)) * 1000,
        zone_rebalancing: service.zone_rebalancing,
        deleting: service.status == ServiceStatus::Draining,
    }
}

/// Digests that tasks of a deployment have found, for containers for which it has none.
pub fn new_digests(seen: &Seen, deployment: &DeploymentRecord) -> BTreeMap<String, String> {
    seen.tasks
        .values()
        .filter(|task| task.view.group == deployment.id)
        .flat_map(|task| &task.digests)
        .filter(|(container, _)| !deployment.digests.contains_key(*container))
        .map(|(container, digest)| (container.clone(), digest.clone()))
        .collect()
}
