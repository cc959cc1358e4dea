//! Services, deployments and revisions as the API shows them. Pure.

use neargate_aws_api::ecs::types as api;
use neargate_aws_api::ecs::types::*;
use neargate_domain::Timestamp;
use neargate_planner::blue_green::{Progress, Stage};

use super::blue_green::{self, Size};
use super::board::{Counts, ServiceCounts};
use super::records::{
    BreakerRecord, Controller, DeploymentRecord, EventsRecord, MonitorStatus, PropagateTags,
    RevisionConfig, Rollout, ServiceDeploymentRecord, ServiceDeploymentStatus, ServiceRecord,
    ServiceRevisionRecord, ServiceStatus, resolved_target_groups,
};
use super::task_sets;
use crate::ecs::clusters::cluster_arn;
use crate::ecs::tags;

/// The role that ECS itself uses for what it does to interfaces and target groups.
fn service_linked_role(service: &ServiceRecord) -> String {
    format!(
        "arn:aws:iam::{}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
        service.scope.account
    )
}

pub(super) fn number(count: u32) -> Option<i32> {
    Some(i32::try_from(count).unwrap_or(i32::MAX))
}

pub(super) fn time(at: Timestamp) -> Option<jiff::Timestamp> {
    Some(at.to_jiff())
}

pub fn service(
    record: &ServiceRecord,
    counts: &ServiceCounts,
    events: &EventsRecord,
    with_tags: bool,
) -> Service {
    let config = &record.config;
    let runs = config.task_definition.is_some();
    let balanced = !config.load_balancers.is_empty();
    let primary = record.deployments.first();
    let of_ecs = record.controller == Controller::Ecs;
    Service {
        availability_zone_rebalancing: Some(if record.zone_rebalancing {
            AvailabilityZoneRebalancing::Enabled
        } else {
            AvailabilityZoneRebalancing::Disabled
        }),
        capacity_provider_strategy: strategy(config),
        cluster_arn: Some(cluster_arn(&record.scope, &record.cluster)),
        created_at: time(record.created_at),
        created_by: Some(record.created_by.clone()),
        current_service_deployment: primary
            .filter(|_| of_ecs && record.status == ServiceStatus::Active)
            .map(|d| record.service_deployment_arn(&d.service_deployment)),
        current_service_revisions: of_ecs.then(|| current_revisions(record, counts)),
        deployment_configuration: Some(record.deployment_configuration.clone()),
        deployment_controller: Some(DeploymentController {
            r#type: match record.controller {
                Controller::Ecs => DeploymentControllerType::Ecs,
                Controller::CodeDeploy => DeploymentControllerType::CodeDeploy,
                Controller::External => DeploymentControllerType::External,
            },
        }),
        deployments: Some(if of_ecs {
            deployments(record, counts)
        } else {
            Vec::new()
        }),
        desired_count: number(record.desired_count),
        enable_ecs_managed_tags: Some(record.enable_ecs_managed_tags),
        enable_execute_command: Some(record.enable_execute_command),
        events: Some(self::events(events)),
        health_check_grace_period_seconds: record
            .grace_period_secs
            .or(balanced.then_some(0))
            .and_then(number),
        launch_type: launch_type(config).filter(|_| runs),
        load_balancers: Some(config.load_balancers.clone()),
        network_configuration: config.network.clone(),
        pending_count: number(counts.all.pending),
        placement_constraints: Some(Vec::new()),
        placement_strategy: Some(Vec::new()),
        platform_family: runs.then(|| "Linux".to_owned()),
        platform_version: runs.then(|| config.platform_version.clone()),
        propagate_tags: Some(match record.propagate_tags {
            PropagateTags::TaskDefinition => api::PropagateTags::TaskDefinition,
            PropagateTags::Service => api::PropagateTags::Service,
            PropagateTags::None => api::PropagateTags::None,
        }),
        role_arn: runs.then(|| service_linked_role(record)),
        running_count: number(counts.all.running),
        scheduling_strategy: Some(SchedulingStrategy::Replica),
        service_arn: Some(record.arn()),
        service_name: Some(record.name.clone()),
        service_registries: Some(Vec::new()),
        status: Some(record.status.as_str().to_owned()),
        tags: with_tags.then(|| tags::to_api(&record.tags)),
        task_definition: config
            .task_definition
            .as_ref()
            .map(|t| t.arn(&record.scope)),
        task_sets: (!of_ecs).then(|| task_sets::task_sets(record, counts)),
        resource_management_type: Some(ResourceManagementType::Customer),
    }
}

pub(super) fn strategy(config: &RevisionConfig) -> Option<Vec<CapacityProviderStrategyItem>> {
    (!config.strategy.is_empty()).then(|| config.strategy.clone())
}

pub(super) fn launch_type(config: &RevisionConfig) -> Option<LaunchType> {
    config.strategy.is_empty().then_some(LaunchType::Fargate)
}

/// What LATEST was when a deployment began: there is one platform.
pub(super) fn resolved_platform(config: &RevisionConfig) -> String {
    match config.platform_version.as_str() {
        "LATEST" => crate::ecs::tasks::checks::LATEST_PLATFORM.to_owned(),
        version => version.to_owned(),
    }
}

/// The primary deployment wants the service's count; the others keep what they have until it is taken from them. Those
/// that stand side by side have sizes of their own.
fn desired(record: &ServiceRecord, position: usize, counts: Counts) -> u32 {
    let green = blue_green::governing(record);
    if let (Some(green), Some(of)) = (green, record.deployments.get(position)) {
        return match blue_green::size(record, green, of) {
            Size::Tasks(count) => count,
            Size::AsItIs => counts.running + counts.pending,
            Size::Going => 0,
        };
    }
    if position == 0 {
        record.desired_count
    } else {
        counts.running + counts.pending
    }
}

pub(super) fn counts_of(counts: &ServiceCounts, deployment: &DeploymentRecord) -> Counts {
    counts
        .by_deployment
        .get(&deployment.id)
        .copied()
        .unwrap_or_default()
}

fn deployments(record: &ServiceRecord, counts: &ServiceCounts) -> Vec<Deployment> {
    let each = record.deployments.iter().enumerate();
    each.map(|(position, deployment)| {
        let counts = counts_of(counts, deployment);
        let config = &deployment.config;
        Deployment {
            capacity_provider_strategy: strategy(config),
            created_at: time(deployment.created_at),
            desired_count: number(desired(record, position, counts)),
            failed_tasks: number(deployment.memory.failed_tasks),
            id: Some(deployment.id.clone()),
            launch_type: launch_type(config),
            network_configuration: config.network.clone(),
            pending_count: number(counts.pending),
            platform_family: Some("Linux".to_owned()),
            platform_version: Some(resolved_platform(config)),
            rollout_state: Some(match deployment.rollout {
                Rollout::InProgress => DeploymentRolloutState::InProgress,
                Rollout::Completed => DeploymentRolloutState::Completed,
                Rollout::Failed => DeploymentRolloutState::Failed,
            }),
            rollout_state_reason: Some(deployment.rollout_reason.clone()),
            running_count: number(counts.running),
            service_connect_configuration: config.service_connect.clone(),
            status: Some(standing(position, deployment, counts).to_owned()),
            task_definition: config
                .task_definition
                .as_ref()
                .map(|t| t.arn(&record.scope)),
            updated_at: time(deployment.updated_at),
            ..Deployment::default()
        }
    })
    .collect()
}

/// A failed deployment that another one took the place of is DRAINING once none of its tasks is meant to run.
fn standing(position: usize, deployment: &DeploymentRecord, counts: Counts) -> &'static str {
    let is_empty = counts.running + counts.pending == 0;
    match (position, deployment.rollout) {
        (0, _) => "PRIMARY",
        (_, Rollout::Failed) if is_empty => "DRAINING",
        _ => "ACTIVE",
    }
}

fn current_revisions(
    record: &ServiceRecord,
    counts: &ServiceCounts,
) -> Vec<ServiceCurrentRevisionSummary> {
    let each = record.deployments.iter().enumerate();
    each.map(|(position, deployment)| {
        let counts = counts_of(counts, deployment);
        ServiceCurrentRevisionSummary {
            arn: Some(record.revision_arn(&deployment.revision)),
            requested_task_count: number(desired(record, position, counts)),
            running_task_count: number(counts.running),
            pending_task_count: number(counts.pending),
        }
    })
    .collect()
}

fn events(record: &EventsRecord) -> Vec<ServiceEvent> {
    record
        .events
        .iter()
        .map(|event| ServiceEvent {
            id: Some(event.id.clone()),
            created_at: time(event.at),
            message: Some(event.message.clone()),
        })
        .collect()
}

/// A revision with its counts: those of now while the service deployment is open, else those of its end.
fn revision_summary(
    service: &ServiceRecord,
    deployment: &ServiceDeploymentRecord,
    counts: &ServiceCounts,
    number_of_revision: &str,
) -> ServiceRevisionSummary {
    let (requested, now) = if deployment.status.is_open() {
        let now = counts
            .by_revision
            .get(number_of_revision)
            .copied()
            .unwrap_or_default();
        let deployments = service.deployments.iter();
        let position = deployments
            .map(|deployment| &deployment.revision)
            .position(|revision| revision == number_of_revision);
        let requested = match position {
            Some(position) => desired(service, position, now),
            None => now.running + now.pending,
        };
        (requested, now)
    } else {
        let last = deployment
            .last_counts
            .iter()
            .find(|c| c.revision == number_of_revision);
        last.map_or_else(Default::default, |c| {
            let counts = Counts {
                running: c.running,
                pending: c.pending,
            };
            (c.requested, counts)
        })
    };
    ServiceRevisionSummary {
        arn: Some(service.revision_arn(number_of_revision)),
        requested_task_count: number(requested),
        running_task_count: number(now.running),
        pending_task_count: number(now.pending),
        requested_production_traffic_weight: weight(deployment, number_of_revision, |progress| {
            progress.green_percent
        }),
        requested_test_traffic_weight: weight(deployment, number_of_revision, |progress| {
            if progress.test_on_green { 100.0 } else { 0.0 }
        }),
    }
}

/// A revision's share of some traffic, in percent, given green's.
fn weight(
    deployment: &ServiceDeploymentRecord,
    number_of_revision: &str,
    green_percent: impl Fn(&Progress) -> f64,
) -> Option<f64> {
    let green_percent = green_percent(deployment.progress.as_ref()?);
    Some(match deployment.target == number_of_revision {
        true => green_percent,
        false => 100.0 - green_percent,
    })
}

pub fn service_deployment(
    service: &ServiceRecord,
    record: &ServiceDeploymentRecord,
    counts: &ServiceCounts,
) -> ServiceDeployment {
    let summary = |revision: &String| revision_summary(service, record, counts, revision);
    ServiceDeployment {
        service_deployment_arn: Some(service.service_deployment_arn(&record.id)),
        service_arn: Some(service.arn()),
        cluster_arn: Some(cluster_arn(&service.scope, &service.cluster)),
        created_at: time(record.created_at),
        started_at: record.started_at.and_then(time),
        finished_at: record.finished_at.and_then(time),
        stopped_at: record.stopped_at.and_then(time),
        updated_at: time(record.updated_at),
        source_service_revisions: Some(record.sources.iter().map(summary).collect()),
        target_service_revision: Some(summary(&record.target)),
        status: Some(status(record.status)),
        status_reason: record.status_reason.clone(),
        deployment_configuration: Some(record.deployment_configuration.clone()),
        rollback: record.rollback.as_ref().map(|rollback| Rollback {
            reason: Some(rollback.reason.clone()),
            started_at: time(rollback.started_at),
            service_revision_arn: Some(service.revision_arn(&rollback.revision)),
        }),
        deployment_circuit_breaker: Some(breaker(record.breaker)),
        alarms: record
            .deployment_configuration
            .alarms
            .as_ref()
            .map(|alarms| ServiceDeploymentAlarms {
                status: Some(if alarms.enable {
                    ServiceDeploymentRollbackMonitorsStatus::Monitoring
                } else {
                    ServiceDeploymentRollbackMonitorsStatus::Disabled
                }),
                alarm_names: Some(alarms.alarm_names.clone()),
                triggered_alarm_names: Some(Vec::new()),
            }),
        lifecycle_stage: record.progress.as_ref().map(|p| lifecycle_stage(p.stage)),
        lifecycle_hook_details: record.progress.as_ref().map(|progress| {
            blue_green::hook_details(&record.id, &record.deployment_configuration, progress)
        }),
    }
}

fn lifecycle_stage(stage: Stage) -> ServiceDeploymentLifecycleStage {
    use ServiceDeploymentLifecycleStage as Api;
    match stage {
        Stage::ReconcileService => Api::ReconcileService,
        Stage::PreScaleUp => Api::PreScaleUp,
        Stage::ScaleUp => Api::ScaleUp,
        Stage::PostScaleUp => Api::PostScaleUp,
        Stage::TestTrafficShift => Api::TestTrafficShift,
        Stage::PostTestTrafficShift => Api::PostTestTrafficShift,
        Stage::PreProductionTrafficShift | Stage::ProductionTrafficShift => {
            Api::ProductionTrafficShift
        }
        Stage::PostProductionTrafficShift => Api::PostProductionTrafficShift,
        Stage::BakeTime => Api::BakeTime,
        Stage::CleanUp => Api::CleanUp,
    }
}

fn breaker(record: BreakerRecord) -> ServiceDeploymentCircuitBreaker {
    use ServiceDeploymentRollbackMonitorsStatus as Api;
    ServiceDeploymentCircuitBreaker {
        status: Some(match record.status {
            MonitorStatus::Disabled => Api::Disabled,
            MonitorStatus::Monitoring => Api::Monitoring,
            MonitorStatus::MonitoringComplete => Api::MonitoringComplete,
            MonitorStatus::Triggered => Api::Triggered,
        }),
        failure_count: number(record.failures),
        threshold: number(record.threshold),
    }
}

pub fn status(status: ServiceDeploymentStatus) -> api::ServiceDeploymentStatus {
    use api::ServiceDeploymentStatus as Api;
    match status {
        ServiceDeploymentStatus::Pending => Api::Pending,
        ServiceDeploymentStatus::InProgress => Api::InProgress,
        ServiceDeploymentStatus::Successful => Api::Successful,
        ServiceDeploymentStatus::Stopped => Api::Stopped,
        ServiceDeploymentStatus::StopRequested => Api::StopRequested,
        ServiceDeploymentStatus::RollbackRequested => Api::RollbackRequested,
        ServiceDeploymentStatus::RollbackInProgress => Api::RollbackInProgress,
        ServiceDeploymentStatus::RollbackSuccessful => Api::RollbackSuccessful,
        ServiceDeploymentStatus::RollbackFailed => Api::RollbackFailed,
    }
}

pub fn service_deployment_brief(
    service: &ServiceRecord,
    record: &ServiceDeploymentRecord,
) -> ServiceDeploymentBrief {
    ServiceDeploymentBrief {
        service_deployment_arn: Some(service.service_deployment_arn(&record.id)),
        service_arn: Some(service.arn()),
        cluster_arn: Some(cluster_arn(&service.scope, &service.cluster)),
        created_at: time(record.created_at),
        started_at: record.started_at.and_then(time),
        finished_at: record.finished_at.and_then(time),
        target_service_revision_arn: Some(service.revision_arn(&record.target)),
        status: Some(status(record.status)),
        status_reason: record.status_reason.clone(),
    }
}

pub fn service_revision(
    service: &ServiceRecord,
    record: &ServiceRevisionRecord,
) -> ServiceRevision {
    let config = &record.config;
    ServiceRevision {
        service_revision_arn: Some(service.revision_arn(&record.number)),
        service_arn: Some(service.arn()),
        cluster_arn: Some(cluster_arn(&service.scope, &service.cluster)),
        task_definition: config
            .task_definition
            .as_ref()
            .map(|t| t.arn(&service.scope)),
        capacity_provider_strategy: strategy(config),
        launch_type: launch_type(config),
        platform_version: Some(resolved_platform(config)),
        platform_family: Some("Linux".to_owned()),
        load_balancers: Some(config.load_balancers.clone()),
        service_registries: Some(Vec::new()),
        network_configuration: config.network.clone(),
        container_images: Some(
            record
                .containers
                .iter()
                .map(|container| ContainerImage {
                    container_name: Some(container.name.clone()),
                    image: Some(container.image.clone()),
                    image_digest: container.digest.clone(),
                })
                .collect(),
        ),
        guard_duty_enabled: Some(false),
        service_connect_configuration: config.service_connect.clone(),
        created_at: time(record.created_at),
        resolved_configuration: resolved(record),
        ..ServiceRevision::default()
    }
}

/// Which of its two target groups a revision uses, behind which rule.
fn resolved(record: &ServiceRevisionRecord) -> Option<ResolvedConfiguration> {
    let used = resolved_target_groups(&record.config, &record.target_groups);
    let balancers: Vec<ServiceRevisionLoadBalancer> = record
        .config
        .load_balancers
        .iter()
        .zip(used)
        .filter_map(|(balancer, target_group)| {
            let advanced = balancer.advanced_configuration.as_ref()?;
            Some(ServiceRevisionLoadBalancer {
                target_group_arn: Some(target_group),
                production_listener_rule: advanced.production_listener_rule.clone(),
            })
        })
        .collect();
    (!balancers.is_empty()).then(|| ResolvedConfiguration {
        load_balancers: Some(balancers),
        ..ResolvedConfiguration::default()
    })
}
