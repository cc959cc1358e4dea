//! Tasks as targets of load balancers.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use neargate_planner::services::{TargetChange, TargetGroupUse, TargetState};

use super::super::board::Seen;
use super::super::records::{DeploymentRecord, RevisionConfig, ServiceRecord};
use super::super::view::SeenTask;
use super::act::Edits;
use super::{PassError, Reconciler};
use crate::ecs::records::TaskTargetRecord;
use crate::elbv2::names::parse_target_group;
use crate::elbv2::records::TargetGroupRecord;
use crate::elbv2::targets::{self, NewTarget, TargetName};
use crate::elbv2::{ObservedState, lookup};
use crate::state::{Changes, StateError, Stored};
use neargate_domain::Timestamp;

/// The target groups of a configuration with the ports that tasks are registered with.
pub fn target_groups(config: &RevisionConfig) -> Vec<TargetGroupUse> {
    config
        .load_balancers
        .iter()
        .filter_map(|balancer| {
            Some(TargetGroupUse {
                arn: balancer.target_group_arn.clone()?,
                container_port: u16::try_from(balancer.container_port?).ok()?,
            })
        })
        .collect()
}

impl Reconciler {
    /// The state of a task in one of its deployment's target groups.
    pub(super) fn target_state(
        &self,
        seen: &SeenTask,
        used: &TargetGroupUse,
        now: Timestamp,
    ) -> TargetState {
        let registration = seen
            .targets
            .iter()
            .find(|t| t.target_group_arn == used.arn && t.port == used.container_port);
        match registration.map(|target| target.drained_at) {
            None => TargetState::Unregistered,
            Some(Some(at)) if at > now => TargetState::Draining,
            Some(Some(_)) => TargetState::Unregistered,
            Some(None) => self.health_of(&used.arn, &seen.address, used.container_port),
        }
    }

    fn health_of(&self, target_group_arn: &str, address: &str, port: u16) -> TargetState {
        let Some(health) = self.plane.target_health(target_group_arn, address, port) else {
            return TargetState::Unknown;
        };
        match health.state {
            ObservedState::Initial | ObservedState::Unused => TargetState::Initial,
            ObservedState::Healthy => TargetState::Healthy,
            ObservedState::Unhealthy => TargetState::Unhealthy {
                reason: health.description,
            },
        }
    }

    /// Marks the services whose targets' health has changed, for ever.
    pub(super) async fn follow_health(&self) -> Result<(), StateError> {
        let mut changed = self.plane.changed();
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        // The sender lives as long as the data plane does, which this holds.
        while changed.changed().await.is_ok() {
            let now: BTreeMap<String, u64> = self
                .board
                .targets()
                .into_iter()
                .map(|(service, targets)| (service, self.fingerprint(&targets)))
                .collect();
            for (service, fingerprint) in &now {
                if known.get(service) != Some(fingerprint) {
                    self.board.mark(service.clone());
                }
            }
            known = now;
        }
        std::future::pending().await
    }

    fn fingerprint(&self, targets: &[(String, String, u16)]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (group, address, port) in targets {
            let health = self.plane.target_health(group, address, *port);
            address.hash(&mut hasher);
            health
                .map(|health| (health.state as u8, health.reason))
                .hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Registers tasks, and notes it on them. Answers in words what was refused.
    pub(super) async fn register(
        &self,
        service: &ServiceRecord,
        wanted: &[TargetChange],
        edits: &mut Edits<'_>,
        changes: &mut Changes,
    ) -> Result<Option<String>, PassError> {
        let mut trouble = None;
        for (target, tasks) in by_target_group(service, wanted) {
            let arn = &target.target_group_arn;
            let Some(group) = self.target_group(service, arn).await? else {
                trouble = Some(format!("The target group {arn} does not exist"));
                continue;
            };
            let mut new = Vec::new();
            for task in &tasks {
                new.push(NewTarget {
                    id: edits.get(task).await?.network.private_ipv4_address.clone(),
                    port: Some(target.port),
                    availability_zone: None,
                });
            }
            if let Err(refused) = targets::register(&self.state, changes, &group, &new).await {
                trouble = Some(refused.message);
                continue;
            }
            for task in &tasks {
                if let Some(of_service) = &mut edits.get(task).await?.service {
                    of_service.targets.retain(|t| !t.is_same(&target));
                    of_service.targets.push(target.clone());
                }
            }
        }
        Ok(trouble)
    }

    /// Deregisters tasks, and notes on them until when requests may still be under way.
    pub(super) async fn deregister(
        &self,
        service: &ServiceRecord,
        wanted: &[TargetChange],
        edits: &mut Edits<'_>,
        changes: &mut Changes,
    ) -> Result<(), PassError> {
        let now = self.state.now();
        for (target, tasks) in by_target_group(service, wanted) {
            let group = self.target_group(service, &target.target_group_arn).await?;
            let mut drained_at = now;
            if let Some(group) = group {
                let mut named = Vec::new();
                for task in &tasks {
                    named.push(TargetName {
                        id: edits.get(task).await?.network.private_ipv4_address.clone(),
                        port: Some(target.port),
                    });
                }
                targets::deregister(&self.state, changes, &group, &named).await?;
                let delay = group.record.deregistration_delay();
                let delay = self.state.clock().scaled(delay).as_millis();
                drained_at = now.plus_millis(i64::try_from(delay).unwrap_or(i64::MAX));
            }
            for task in &tasks {
                let of_service = edits.get(task).await?.service.iter_mut();
                for known in of_service.flat_map(|s| &mut s.targets) {
                    if known.is_same(&target) {
                        known.deregistered_at = Some(now);
                        known.drained_at = Some(drained_at);
                    }
                }
            }
        }
        Ok(())
    }

    async fn target_group(
        &self,
        service: &ServiceRecord,
        arn: &str,
    ) -> Result<Option<Stored<TargetGroupRecord>>, StateError> {
        match parse_target_group(&service.scope, arn) {
            Ok(id) => lookup::find_target_group(&self.state, &service.scope, &id).await,
            Err(_) => Ok(None),
        }
    }
}

/// What a plan says about targets, by target group and port.
fn by_target_group(
    service: &ServiceRecord,
    wanted: &[TargetChange],
) -> Vec<(TaskTargetRecord, Vec<String>)> {
    let mut found: BTreeMap<(String, u16), Vec<String>> = BTreeMap::new();
    let deployments: BTreeMap<&str, &DeploymentRecord> = service
        .deployments
        .iter()
        .map(|d| (d.id.as_str(), d))
        .collect();
    for change in wanted {
        let used = deployments.get(change.group.as_str()).and_then(|d| {
            target_groups(&d.config)
                .into_iter()
                .nth(change.target_group)
        });
        if let Some(used) = used {
            found
                .entry((used.arn, used.container_port))
                .or_default()
                .push(change.task.clone());
        }
    }
    found
        .into_iter()
        .map(|((target_group_arn, port), tasks)| {
            let target = TaskTargetRecord {
                target_group_arn,
                port,
                deregistered_at: None,
                drained_at: None,
            };
            (target, tasks)
        })
        .collect()
}

/// When the next task of a service will have been drained.
pub fn next_drained(seen: &Seen, now: Timestamp) -> Option<Timestamp> {
    seen.tasks
        .values()
        .filter_map(|t| t.next_drained(now))
        .min()
}
