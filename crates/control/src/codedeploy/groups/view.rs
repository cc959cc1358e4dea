//! A deployment group as callers see it.

use neargate_aws_api::codedeploy::types::*;

use super::{route, settings};
use crate::codedeploy::deployments::shown_status;
use crate::codedeploy::records::{GroupRecord, LastDeployment};
use crate::codedeploy::revisions;

pub fn info(record: &GroupRecord) -> DeploymentGroupInfo {
    DeploymentGroupInfo {
        alarm_configuration: Some(record.alarms.clone()),
        application_name: Some(record.application.clone()),
        auto_rollback_configuration: Some(settings::auto_rollback(&record.auto_rollback)),
        auto_scaling_groups: Some(Vec::new()),
        blue_green_deployment_configuration: Some(settings::blue_green(&record.blue_green)),
        compute_platform: Some(ComputePlatform::Ecs),
        deployment_config_name: Some(record.config.clone()),
        deployment_group_id: Some(record.id.clone()),
        deployment_group_name: Some(record.name.clone()),
        deployment_style: Some(settings::style()),
        ec2_deployment_options: None,
        ec2_tag_filters: Some(Vec::new()),
        ec2_tag_set: None,
        ecs_services: Some(vec![service(record)]),
        last_attempted_deployment: record.last_attempted.as_ref().map(last),
        last_successful_deployment: record.last_successful.as_ref().map(last),
        load_balancer_info: Some(route::info(&record.route)),
        on_premises_instance_tag_filters: Some(Vec::new()),
        on_premises_tag_set: None,
        outdated_instances_strategy: record.outdated_instances,
        service_role_arn: Some(record.service_role_arn.clone()),
        target_revision: record
            .target_revision
            .as_ref()
            .map(|sha256| revisions::location(sha256, None)),
        termination_hook_enabled: Some(false),
        trigger_configurations: Some(record.triggers.clone()),
    }
}

pub fn service(record: &GroupRecord) -> ECSService {
    ECSService {
        cluster_name: record.service.given_cluster.clone(),
        service_name: Some(record.service.given_service.clone()),
    }
}

fn last(deployment: &LastDeployment) -> LastDeploymentInfo {
    LastDeploymentInfo {
        create_time: Some(deployment.created_at.to_jiff()),
        deployment_id: Some(deployment.id.clone()),
        end_time: deployment.ended_at.map(|at| at.to_jiff()),
        status: Some(shown_status(deployment.status)),
    }
}
