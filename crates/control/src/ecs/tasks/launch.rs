//! Making a task: its record and its network interface, in the transaction of whoever starts it.

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::task::{ContainerStatus, DesiredStatus, HealthStatus, TaskStatus};
use neargate_domain::{Scope, id};

use super::checks::Network;
use super::overrides::Resources;
use crate::ec2::{self, AddressPool, Ec2LookupError, SubnetRecord, TaskInterface};
use crate::ecs::keys;
use crate::ecs::records::{
    AttachmentStatus, ContainerRecord, NetworkRecord, ServiceTaskRecord, Tags,
    TaskDefinitionRecord, TaskRecord,
};
use crate::state::{Changes, State, Stored};

/// What all tasks of one call, or of one deployment, have in common.
pub struct TaskTemplate {
    pub definition: TaskDefinitionRecord,
    pub overrides: TaskOverride,
    pub resources: Resources,
    pub group: String,
    pub started_by: Option<String>,
    pub platform_version: String,
    pub tags: Tags,
    pub enable_execute_command: bool,
    /// Of tasks that a service starts.
    pub service: Option<ServiceTaskRecord>,
    /// Digests by container name that the images' tags stand for; empty: whatever the tags say when they are pulled.
    pub image_digests: BTreeMap<String, String>,
}

/// Where the tasks of a template are made.
pub struct Launcher<'a> {
    pub state: &'a State,
    pub addresses: &'a AddressPool,
    pub scope: &'a Scope,
    pub cluster: &'a str,
    pub network: &'a Network,
}

/// What may differ between the tasks of a template.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// `None`: launch type FARGATE.
    pub provider: Option<String>,
    /// The zone to prefer.
    pub zone: Option<String>,
    /// Number of the task among those that start together: consecutive ones go to different subnets.
    pub index: usize,
}

impl Launcher<'_> {
    /// Adds a new task with an interface of its own to the transaction; `None` when no subnet has a free address.
    pub async fn start(
        &self,
        template: &TaskTemplate,
        start: Start,
        changes: &mut Changes,
    ) -> Result<Option<TaskRecord>, ApiError> {
        let (task_id, attachment_id) = {
            let mut rng = rand::rng();
            (id::hex32(&mut rng), id::uuid(&mut rng))
        };
        let task_arn = self
            .scope
            .arn("ecs", format_args!("task/{}/{task_id}", self.cluster))
            .to_string();
        let now = self.state.now();
        let mut made = None;
        for subnet in self.subnets(&start) {
            let wanted = TaskInterface {
                subnet,
                security_groups: &self.network.groups,
                assign_public_ip: self.network.assign_public_ip,
                task_arn: &task_arn,
                attachment_id: &attachment_id,
                now,
            };
            match ec2::create_task_interface(
                self.state,
                self.addresses,
                self.scope,
                wanted,
                changes,
            )
            .await
            {
                Ok(interface) => {
                    made = Some((subnet, interface));
                    break;
                }
                Err(Ec2LookupError::NoFreeAddress) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some((subnet, interface)) = made else {
            return Ok(None);
        };
        let record = TaskRecord {
            containers: containers(&task_id, template),
            id: task_id,
            scope: self.scope.clone(),
            cluster: self.cluster.to_owned(),
            family: template.definition.family().to_owned(),
            revision: template.definition.revision(),
            group: template.group.clone(),
            started_by: template.started_by.clone(),
            capacity_provider: start.provider,
            platform_version: template.platform_version.clone(),
            cpu_units: template.resources.size.cpu_units,
            memory_mib: template.resources.size.memory_mib,
            ephemeral_storage_gib: template.resources.ephemeral_storage_gib,
            overrides: template.overrides.clone(),
            network: NetworkRecord {
                attachment_id,
                eni_id: interface.id,
                mac_address: interface.mac_address,
                private_ipv4_address: interface.private_ipv4_address.to_string(),
                private_dns_name: interface.private_dns_name,
                subnet_id: subnet.record.id.clone(),
                subnet_cidr: subnet.record.cidr.to_string(),
                vpc_id: subnet.record.vpc_id.clone(),
                vpc_cidr: self.network.vpc_cidr.clone(),
                availability_zone: subnet.record.zone.clone(),
                security_group_ids: interface.security_group_ids,
                assign_public_ip: self.network.assign_public_ip,
                attachment_status: AttachmentStatus::Precreated,
            },
            desired_status: DesiredStatus::Running,
            last_status: TaskStatus::Provisioning,
            node_id: None,
            connectivity_at: None,
            created_at: now,
            pull_started_at: None,
            pull_stopped_at: None,
            started_at: None,
            stopping_at: None,
            execution_stopped_at: None,
            stopped_at: None,
            stop_code: None,
            stopped_reason: None,
            version: 1,
            tags: template.tags.clone(),
            enable_execute_command: template.enable_execute_command,
            service: template.service.clone(),
        };
        changes.create(&keys::task(self.scope, self.cluster, &record.id), &record);
        Ok(Some(record))
    }

    /// The subnets in the order in which they are tried: those of the preferred zone first. Tasks spread over the
    /// subnets, and so over the zones; a full subnet passes to the next.
    fn subnets(&self, start: &Start) -> Vec<&Stored<SubnetRecord>> {
        let mut subnets: Vec<_> = self.network.subnets.iter().collect();
        let first = (usize::from(rand::random::<u8>()) + start.index) % subnets.len().max(1);
        subnets.rotate_left(first);
        if let Some(zone) = &start.zone {
            subnets.sort_by_key(|subnet| subnet.record.zone != *zone);
        }
        subnets
    }
}

fn containers(task_id: &str, template: &TaskTemplate) -> Vec<ContainerRecord> {
    let mut rng = rand::rng();
    let unsigned = |value: Option<i32>| value.and_then(|v| u32::try_from(v).ok());
    template
        .definition
        .containers()
        .iter()
        .zip(template.overrides.container_overrides.iter().flatten())
        .map(|(container, over)| ContainerRecord {
            name: container.name.clone().unwrap_or_default(),
            uuid: id::uuid(&mut rng),
            runtime_id: id::runtime_id(task_id, &mut rng),
            image: container.image.clone().unwrap_or_default(),
            essential: container.essential.unwrap_or(true),
            has_health_check: container.health_check.is_some(),
            cpu_units: unsigned(over.cpu.or(container.cpu)).unwrap_or(0),
            memory_mib: unsigned(over.memory.or(container.memory)),
            memory_reservation_mib: unsigned(
                over.memory_reservation.or(container.memory_reservation),
            ),
            image_digest: None,
            pinned_digest: (container.version_consistency != Some(VersionConsistency::Disabled))
                .then(|| {
                    let name = container.name.as_deref().unwrap_or_default();
                    template.image_digests.get(name).cloned()
                })
                .flatten(),
            last_status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: HealthStatus::Unknown,
        })
        .collect()
}
