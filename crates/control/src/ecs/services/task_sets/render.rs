//! Task sets as the API shows them. Pure.

use neargate_aws_api::ecs::types::{Scale, ScaleUnit, StabilityStatus, TaskSet};

use super::super::board::ServiceCounts;
use super::super::records::{DeploymentRecord, ServiceRecord, TaskSetRecord};
use super::super::render::{counts_of, launch_type, number, resolved_platform, strategy, time};
use crate::ecs::clusters::cluster_arn;
use crate::ecs::tags;

/// A service's task sets, the primary one first.
pub fn task_sets(service: &ServiceRecord, counts: &ServiceCounts) -> Vec<TaskSet> {
    service
        .deployments
        .iter()
        .filter_map(|deployment| {
            Some(task_set(
                service,
                deployment,
                deployment.set.as_ref()?,
                counts,
            ))
        })
        .collect()
}

pub fn named(service: &ServiceRecord, id: &str, counts: &ServiceCounts) -> Option<TaskSet> {
    let deployment = service.deployments.iter().find(|d| d.id == id)?;
    Some(task_set(
        service,
        deployment,
        deployment.set.as_ref()?,
        counts,
    ))
}

pub fn arn(service: &ServiceRecord, deployment: &DeploymentRecord) -> String {
    service
        .scope
        .arn(
            "ecs",
            format_args!(
                "task-set/{}/{}/{}",
                service.cluster, service.name, deployment.id
            ),
        )
        .to_string()
}

fn status(set: &TaskSetRecord) -> &'static str {
    match set {
        TaskSetRecord {
            is_deleted: true, ..
        } => "DRAINING",
        TaskSetRecord {
            is_primary: true, ..
        } => "PRIMARY",
        _ => "ACTIVE",
    }
}

fn task_set(
    service: &ServiceRecord,
    deployment: &DeploymentRecord,
    set: &TaskSetRecord,
    counts: &ServiceCounts,
) -> TaskSet {
    let config = &deployment.config;
    let memory = &deployment.memory;
    let counts = counts_of(counts, deployment);
    TaskSet {
        id: Some(deployment.id.clone()),
        task_set_arn: Some(arn(service, deployment)),
        service_arn: Some(service.arn()),
        cluster_arn: Some(cluster_arn(&service.scope, &service.cluster)),
        started_by: set.started_by.clone(),
        external_id: set.external_id.clone(),
        status: Some(status(set).to_owned()),
        task_definition: config
            .task_definition
            .as_ref()
            .map(|t| t.arn(&service.scope)),
        computed_desired_count: number(set.size(service.desired_count)),
        pending_count: number(counts.pending),
        running_count: number(counts.running),
        created_at: time(deployment.created_at),
        updated_at: time(deployment.updated_at),
        launch_type: launch_type(config),
        capacity_provider_strategy: strategy(config),
        platform_version: Some(resolved_platform(config)),
        platform_family: Some("Linux".to_owned()),
        network_configuration: config.network.clone(),
        load_balancers: Some(config.load_balancers.clone()),
        service_registries: Some(Vec::new()),
        scale: Some(Scale {
            value: Some(set.scale_percent),
            unit: Some(ScaleUnit::Percent),
        }),
        stability_status: Some(if memory.steady {
            StabilityStatus::SteadyState
        } else {
            StabilityStatus::Stabilizing
        }),
        stability_status_at: time(memory.steady_changed_at.unwrap_or(deployment.created_at)),
        tags: Some(tags::to_api(&set.tags)),
        ..TaskSet::default()
    }
}
