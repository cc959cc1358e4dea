//! A task record as the API shows it.

use neargate_aws_api::ecs::types::*;
use neargate_domain::task as domain;

use crate::ecs::records::{ContainerRecord, TaskRecord};
use crate::ecs::tags;

pub fn task(record: &TaskRecord, with_tags: bool) -> Task {
    let time = |t: Option<neargate_domain::Timestamp>| t.map(neargate_domain::Timestamp::to_jiff);
    Task {
        attachments: Some(vec![attachment(record)]),
        attributes: Some(vec![Attribute {
            name: "ecs.cpu-architecture".to_owned(),
            value: Some(crate::ecs::CPU_ARCHITECTURE_ATTRIBUTE.to_owned()),
            ..Attribute::default()
        }]),
        availability_zone: Some(record.network.availability_zone.clone()),
        capacity_provider_name: record.capacity_provider.clone(),
        cluster_arn: Some(record.cluster_arn()),
        connectivity: record.connectivity_at.map(|_| Connectivity::Connected),
        connectivity_at: time(record.connectivity_at),
        containers: Some(
            record
                .containers
                .iter()
                .map(|c| container(record, c))
                .collect(),
        ),
        cpu: Some(record.cpu_units.to_string()),
        created_at: Some(record.created_at.to_jiff()),
        desired_status: Some(record.desired_status.as_str().to_owned()),
        enable_execute_command: Some(record.enable_execute_command),
        execution_stopped_at: time(record.execution_stopped_at),
        group: Some(record.group.clone()),
        health_status: Some(health(task_health(record))),
        last_status: Some(record.last_status.as_str().to_owned()),
        launch_type: Some(LaunchType::Fargate),
        memory: Some(record.memory_mib.to_string()),
        overrides: Some(record.overrides.clone()),
        platform_version: Some(record.platform_version.clone()),
        platform_family: Some("Linux".to_owned()),
        pull_started_at: time(record.pull_started_at),
        pull_stopped_at: time(record.pull_stopped_at),
        started_at: time(record.started_at),
        started_by: record.started_by.clone(),
        stop_code: record.stop_code.and_then(|code| code.as_str().parse().ok()),
        stopped_at: time(record.stopped_at),
        stopped_reason: record.stopped_reason.clone(),
        stopping_at: time(record.stopping_at),
        tags: Some(if with_tags {
            tags::to_api(&record.tags)
        } else {
            Vec::new()
        }),
        task_arn: Some(record.arn()),
        task_definition_arn: Some(record.task_definition_arn()),
        version: Some(record.version),
        ephemeral_storage: Some(EphemeralStorage {
            size_in_gib: gib(record),
        }),
        fargate_ephemeral_storage: Some(TaskEphemeralStorage {
            size_in_gib: Some(gib(record)),
            ..TaskEphemeralStorage::default()
        }),
        ..Task::default()
    }
}

fn gib(record: &TaskRecord) -> i32 {
    i32::try_from(record.ephemeral_storage_gib).unwrap_or(i32::MAX)
}

fn task_health(record: &TaskRecord) -> domain::HealthStatus {
    let essential = record
        .containers
        .iter()
        .filter(|c| c.essential && c.has_health_check);
    domain::HealthStatus::of_task(essential.map(|c| c.health))
}

fn health(status: domain::HealthStatus) -> HealthStatus {
    match status {
        domain::HealthStatus::Unknown => HealthStatus::Unknown,
        domain::HealthStatus::Healthy => HealthStatus::Healthy,
        domain::HealthStatus::Unhealthy => HealthStatus::Unhealthy,
    }
}

fn container(task: &TaskRecord, record: &ContainerRecord) -> Container {
    let ran = record.last_status != domain::ContainerStatus::Pending;
    Container {
        container_arn: Some(task.container_arn(record)),
        task_arn: Some(task.arn()),
        name: Some(record.name.clone()),
        image: Some(record.image.clone()),
        image_digest: record.image_digest.clone(),
        runtime_id: (ran || record.image_digest.is_some()).then(|| record.runtime_id.clone()),
        last_status: Some(record.last_status.as_str().to_owned()),
        exit_code: record.exit_code,
        reason: record.reason.clone(),
        network_bindings: Some(Vec::new()),
        network_interfaces: Some(vec![NetworkInterface {
            attachment_id: Some(task.network.attachment_id.clone()),
            private_ipv4_address: Some(task.network.private_ipv4_address.clone()),
            ..NetworkInterface::default()
        }]),
        health_status: Some(health(record.health)),
        cpu: Some(record.cpu_units.to_string()),
        memory: record.memory_mib.map(|m| m.to_string()),
        memory_reservation: record.memory_reservation_mib.map(|m| m.to_string()),
        ..Container::default()
    }
}

fn attachment(record: &TaskRecord) -> Attachment {
    use crate::ecs::records::AttachmentStatus;
    let network = &record.network;
    let detail = |name: &str, value: &str| KeyValuePair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    };
    let mut details = vec![detail("subnetId", &network.subnet_id)];
    // Before the node has the interface AWS shows the subnet only.
    if network.attachment_status != AttachmentStatus::Precreated {
        details.push(detail("networkInterfaceId", &network.eni_id));
        details.push(detail("macAddress", &network.mac_address));
        details.push(detail("privateDnsName", &network.private_dns_name));
        details.push(detail("privateIPv4Address", &network.private_ipv4_address));
    }
    Attachment {
        id: Some(network.attachment_id.clone()),
        r#type: Some("ElasticNetworkInterface".to_owned()),
        status: Some(network.attachment_status.as_str().to_owned()),
        details: Some(details),
    }
}
