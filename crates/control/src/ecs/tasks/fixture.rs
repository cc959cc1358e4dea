//! A task record for unit tests.

use neargate_aws_api::ecs::types::TaskOverride;
use neargate_domain::task::{ContainerStatus, DesiredStatus, HealthStatus, TaskStatus};
use neargate_domain::{Scope, Timestamp};

use crate::ecs::records::{AttachmentStatus, ContainerRecord, NetworkRecord, Tags, TaskRecord};

/// A task of one essential container `app`, just accepted.
pub fn task() -> TaskRecord {
    TaskRecord {
        id: "0123456789abcdef0123456789abcdef".to_owned(),
        scope: Scope::new("000000000000", "us-east-1"),
        cluster: "default".to_owned(),
        family: "web".to_owned(),
        revision: 1,
        group: "family:web".to_owned(),
        started_by: None,
        capacity_provider: None,
        platform_version: "1.4.0".to_owned(),
        cpu_units: 256,
        memory_mib: 512,
        ephemeral_storage_gib: 20,
        overrides: TaskOverride::default(),
        containers: vec![ContainerRecord {
            name: "app".to_owned(),
            uuid: "00000000-0000-4000-8000-000000000000".to_owned(),
            runtime_id: "0123456789abcdef0123456789abcdef-0000000001".to_owned(),
            image: "app:1".to_owned(),
            essential: true,
            has_health_check: false,
            cpu_units: 0,
            memory_mib: None,
            memory_reservation_mib: None,
            image_digest: None,
            pinned_digest: None,
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
        }],
        network: NetworkRecord {
            attachment_id: "00000000-0000-4000-8000-000000000001".to_owned(),
            eni_id: "eni-00000000000000001".to_owned(),
            mac_address: "0a:00:00:00:00:01".to_owned(),
            private_ipv4_address: "172.31.0.10".to_owned(),
            private_dns_name: "ip-172-31-0-10.ec2.internal".to_owned(),
            subnet_id: "subnet-00000000000000001".to_owned(),
            subnet_cidr: "172.31.0.0/20".to_owned(),
            vpc_id: "vpc-00000000000000001".to_owned(),
            vpc_cidr: "172.31.0.0/16".to_owned(),
            availability_zone: "us-east-1a".to_owned(),
            security_group_ids: vec!["sg-00000000000000001".to_owned()],
            assign_public_ip: false,
            attachment_status: AttachmentStatus::Precreated,
        },
        desired_status: DesiredStatus::Running,
        last_status: TaskStatus::Provisioning,
        node_id: Some("node-1".to_owned()),
        connectivity_at: None,
        created_at: Timestamp(1),
        pull_started_at: None,
        pull_stopped_at: None,
        started_at: None,
        stopping_at: None,
        execution_stopped_at: None,
        stopped_at: None,
        stop_code: None,
        stopped_reason: None,
        version: 1,
        tags: Tags::new(),
        enable_execute_command: false,
        service: None,
    }
}
