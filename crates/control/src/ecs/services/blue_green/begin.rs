//! What a new deployment builds on: which one serves, and which target groups are free. Pure.

use neargate_aws_api::ecs::types::LoadBalancer;
use neargate_domain::Timestamp;
use neargate_planner::blue_green::Progress;

use super::super::records::{DeploymentRecord, Rollout, ServiceRecord};
use super::{BlueGreenRecord, is_wanted};

/// How a deployment of the service's configuration begins.
#[derive(Debug)]
pub struct Beginning {
    /// `None`: by the strategy ROLLING.
    pub record: Option<BlueGreenRecord>,
    /// For each of `loadBalancers`.
    pub target_groups: Vec<String>,
}

/// Decides on what is there before the new deployment is.
pub fn begin(service: &ServiceRecord, now: Timestamp) -> Beginning {
    let serves = serves(service);
    let is_blue_green = is_wanted(&service.deployment_configuration);
    let target_groups = service
        .config
        .load_balancers
        .iter()
        .map(|balancer| target_group(balancer, serves, is_blue_green))
        .collect();
    let blue = serves.map(|deployment| deployment.id.clone());
    let others = service
        .deployments
        .iter()
        .any(|deployment| Some(&deployment.id) != blue.as_ref());
    let unfinished = under_way(service);
    let record = is_blue_green.then(|| BlueGreenRecord {
        configuration: service.deployment_configuration.clone(),
        progress: Progress {
            takes_over_rules: unfinished.is_some_and(|green| has_same_rules(service, green)),
            ..Progress::new(others || unfinished.is_some(), now)
        },
        hook_details: Default::default(),
        blue,
    });
    Beginning {
        record,
        target_groups,
    }
}

/// Ends the deployment that is under way for the sake of the next one.
pub fn supersede(service: &mut ServiceRecord, now: Timestamp) {
    for deployment in &mut service.deployments {
        let Some(record) = &mut deployment.blue_green else {
            continue;
        };
        if record.progress.status.is_final() {
            continue;
        }
        if record.progress.is_past_return() {
            deployment.rollout = Rollout::Completed;
        }
        record.progress.supersede(now);
        deployment.updated_at = now;
    }
    // One that was being gone back to has been COMPLETED before: one can go back to it again.
    let unfinished = |d: &&mut DeploymentRecord| d.is_rollback && d.rollout == Rollout::InProgress;
    for deployment in service.deployments.iter_mut().filter(unfinished) {
        deployment.rollout = Rollout::Completed;
        deployment.rollout_reason = format!("ECS deployment {} completed.", deployment.id);
        deployment.updated_at = now;
    }
}

/// Before what is not of these strategies begins: nothing that stood beside another says how many tasks there are.
pub fn forget(service: &mut ServiceRecord) {
    for deployment in &mut service.deployments {
        deployment.blue_green = None;
    }
}

/// The deployment of these strategies that has not ended.
pub fn under_way(service: &ServiceRecord) -> Option<&DeploymentRecord> {
    service.deployments.iter().find(|deployment| {
        deployment
            .blue_green
            .as_ref()
            .is_some_and(|b| !b.progress.status.is_final())
    })
}

/// The next deployment looks after the rules that this one owns.
fn has_same_rules(service: &ServiceRecord, unfinished: &DeploymentRecord) -> bool {
    let owned = |record: &BlueGreenRecord| record.progress.owns_rules();
    unfinished.blue_green.as_ref().is_some_and(owned)
        && unfinished.config.load_balancers == service.config.load_balancers
}

/// The unfinished deployment whose rules the next one does not look after, though traffic may not be with its blue.
pub fn to_undo<'a>(
    service: &'a ServiceRecord,
    next: Option<&BlueGreenRecord>,
) -> Option<&'a DeploymentRecord> {
    let looked_after = next.is_some_and(|record| record.progress.takes_over_rules);
    under_way(service).filter(|green| {
        let shifts = |record: &BlueGreenRecord| {
            record.blue.is_some()
                && record.progress.owns_rules()
                && !record.progress.is_past_return()
        };
        !looked_after && green.blue_green.as_ref().is_some_and(shifts)
    })
}

/// The deployment that users are served by.
fn serves(service: &ServiceRecord) -> Option<&DeploymentRecord> {
    if let Some(green) = under_way(service)
        && let Some(record) = &green.blue_green
    {
        if record.progress.is_past_return() {
            return Some(green);
        }
        if let Some(blue) = &record.blue {
            return service.deployments.iter().find(|d| d.id == *blue);
        }
    }
    let completed = |d: &&DeploymentRecord| d.rollout == Rollout::Completed;
    let each = || service.deployments.iter();
    each()
        .find(completed)
        .or_else(|| each().find(|d| d.memory.has_been_healthy))
}

/// The one of a pair that the deployment which serves does not use; for the strategy ROLLING the one that it does.
fn target_group(
    balancer: &LoadBalancer,
    serves: Option<&DeploymentRecord>,
    is_blue_green: bool,
) -> String {
    let primary = balancer.target_group_arn.clone().unwrap_or_default();
    let alternate = balancer
        .advanced_configuration
        .as_ref()
        .and_then(|advanced| advanced.alternate_target_group_arn.clone());
    let Some(alternate) = alternate else {
        return primary;
    };
    let in_use = serves.and_then(|deployment| {
        let used = deployment.target_groups();
        [&primary, &alternate]
            .into_iter()
            .find(|arn| used.contains(arn))
    });
    match (in_use, is_blue_green) {
        (Some(used), true) if *used == primary => alternate,
        (Some(used), false) if *used == alternate => alternate,
        _ => primary,
    }
}
