//! Task sets of a deployment: which one is blue, what green is made from, and how both are shown.

use neargate_aws_api::ecs::types::LoadBalancer;
use neargate_aws_wire::error::ApiError;

use super::records::{DeploymentRecord, SetShown, Sets};
use super::route;
use crate::codedeploy::app_spec::TargetService;
use crate::ecs::services::records::{
    DeploymentRecord as TaskSet, RevisionConfig, ServiceRecord, TaskSetRecord,
};
use crate::ecs::services::task_sets::NewTaskSet;
use crate::ecs::services::{Given, Place, ServiceCounts};
use crate::elbv2::listener_records::ListenerRecord;

/// `startedBy` of the task sets that CodeDeploy makes.
const STARTED_BY: &str = "CODE_DEPLOY";
const WHOLE: f64 = 100.0;

/// The one that serves.
pub fn primary(service: &ServiceRecord) -> Option<&TaskSet> {
    service
        .deployments
        .iter()
        .find(|set| set.set.as_ref().is_some_and(|set| set.is_primary))
}

pub fn named<'a>(service: &'a ServiceRecord, id: &str) -> Option<&'a TaskSet> {
    service.deployments.iter().find(|set| set.id == id)
}

pub fn is_deleted(set: &TaskSet) -> bool {
    set.set.as_ref().is_none_or(|set| set.is_deleted)
}

/// ARN of a set's target group.
pub fn target_group(set: &TaskSet) -> Option<&str> {
    set.config
        .load_balancers
        .first()?
        .target_group_arn
        .as_deref()
}

/// What a deployment that was not rolled back has left behind green's target group: its tasks must not get what is meant
/// for the new ones.
pub fn left_behind(service: &ServiceRecord, sets: &Sets) -> Vec<String> {
    let is_left = |set: &&TaskSet| {
        set.id != sets.blue && target_group(set) == Some(sets.green_group.as_str())
    };
    let left = service.deployments.iter().filter(is_left);
    left.map(|set| set.id.clone()).collect()
}

/// The green task set: blue's with what the AppSpec says otherwise, behind the other target group.
///
/// # Errors
/// What ECS would answer to such a task set.
pub async fn green(
    place: &Place<'_>,
    blue: &RevisionConfig,
    wanted: TargetService,
    sets: &Sets,
    deployment: &str,
) -> Result<NewTaskSet, ApiError> {
    let given = Given {
        task_definition: Some(wanted.task_definition),
        strategy: wanted.capacity_provider_strategy,
        platform_version: wanted.platform_version,
        network: wanted.network,
        // Checked behind blue's group: green's gets to its load balancer in the same transaction as the set.
        load_balancers: Some(vec![LoadBalancer {
            target_group_arn: Some(sets.blue_group.clone()),
            container_name: Some(wanted.container_name),
            container_port: Some(wanted.container_port.into()),
            ..LoadBalancer::default()
        }]),
        ..Given::default()
    };
    let mut config = place.update(blue, given).await?;
    for balancer in &mut config.load_balancers {
        balancer.target_group_arn = Some(sets.green_group.clone());
    }
    Ok(NewTaskSet {
        config,
        set: TaskSetRecord {
            scale_percent: WHOLE,
            started_by: Some(STARTED_BY.to_owned()),
            external_id: Some(deployment.to_owned()),
            ..TaskSetRecord::default()
        },
    })
}

/// Blue, then green, as far as they are there.
pub fn shown(
    record: &DeploymentRecord,
    sets: &Sets,
    service: Option<&ServiceRecord>,
    production: Option<&ListenerRecord>,
    counts: &ServiceCounts,
) -> Vec<SetShown> {
    let green_percent = production
        .and_then(|listener| route::green_percent(listener, &sets.rules, sets.pair()))
        .unwrap_or(record.progress.green_percent);
    let blue = (Some(&sets.blue), WHOLE - green_percent);
    let green = (sets.green.as_ref(), green_percent);
    [(false, blue), (true, green)]
        .into_iter()
        .filter_map(|(is_green, (id, traffic_percent))| {
            let service = service?;
            let set = named(service, id?)?;
            let of_set = set.set.as_ref()?;
            let counted = counts.by_deployment.get(&set.id).copied();
            let counted = counted.unwrap_or_default();
            let status = match of_set {
                set if set.is_deleted => "DRAINING",
                set if set.is_primary => "PRIMARY",
                _ => "ACTIVE",
            };
            Some(SetShown {
                id: set.id.clone(),
                is_green,
                status: status.to_owned(),
                desired: of_set.size(service.desired_count),
                pending: counted.pending,
                running: counted.running,
                traffic_percent,
                target_group: group_name(target_group(set).unwrap_or_default()),
            })
        })
        .collect()
}

/// `NAME` of `…:targetgroup/NAME/ID`
fn group_name(arn: &str) -> String {
    arn.rsplit('/').nth(1).unwrap_or_default().to_owned()
}
