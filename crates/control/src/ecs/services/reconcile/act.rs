//! Carries a plan out: all of it in one transaction, which fails if anything that the plan was made of has changed.

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::{AwsVpcConfiguration, TaskOverride};
use neargate_domain::Timestamp;
use neargate_domain::task::{StopCode, TaskStatus};
use neargate_planner::services::{
    Leave, ServiceEvent, ServicePlan, Start, Transition, events as wording,
};

use super::super::board::{Seen, ServiceCounts};
use super::super::deployments::definition_of;
use super::super::records::{
    DeploymentRecord, PropagateTags, ServiceRecord, ServiceRevisionRecord,
};
use super::blue_green::Advanced;
use super::history::History;
use super::snapshot::new_digests;
use super::{PassError, Reconciler, events};
use crate::ecs::records::{ServiceTaskRecord, Tags, TaskRecord};
use crate::ecs::tasks::checks::{platform_version, resolve_network};
use crate::ecs::tasks::launch::{self, Launcher, TaskTemplate};
use crate::ecs::tasks::{overrides, release_network, stop};
use crate::ecs::{keys, notices};
use crate::state::{Changes, State, StateError, Stored};

impl Reconciler {
    /// Writes what a plan says, and the digests that tasks have found.
    pub(super) async fn act(
        &self,
        seen: &Seen,
        advanced: Advanced,
        plan: ServicePlan,
    ) -> Result<(), PassError> {
        let before = &seen.service;
        let is_advanced = advanced.is_changed;
        let mut service = advanced.service;
        let found_digests = take_digests(seen, &mut service);
        let mut history = History::open(&self.state, &service).await?;
        if plan.is_empty() && found_digests.is_empty() && !history.is_changed() && !is_advanced {
            return Ok(());
        }
        let mut changes = advanced.changes;
        let mut edits = Edits::new(&self.state, seen);
        for (number, digests) in found_digests {
            self.note_digests(&service, &number, &digests, &mut changes)
                .await?;
        }
        let refused = self
            .register(&service, &plan.register, &mut edits, &mut changes)
            .await?;
        self.deregister(&service, &plan.deregister, &mut edits, &mut changes)
            .await?;
        for leave in &plan.leave {
            let now = self.state.now();
            leave_now(edits.get(&leave.task).await?, leave, now);
        }
        for task in &plan.stop {
            let now = self.state.now();
            let record = edits.get(task).await?;
            stop::request_stop(record, StopCode::ServiceSchedulerInitiated, "", now);
            if record.last_status == TaskStatus::Stopped {
                release_network(&mut changes, record);
            }
        }
        for (task, noted) in &plan.notes {
            if let Some(of_service) = &mut edits.get(task).await?.service {
                of_service.noted = *noted;
            }
        }
        for transition in &plan.transitions {
            if let Transition::RollBack { to, id, .. } = transition {
                hand_over(seen, &mut edits, to, id).await?;
            }
        }
        edits.write(&mut changes);
        let counts = self.counts(seen);
        for turn in &advanced.turns {
            history.turn(&mut service, turn, &counts);
        }
        // Under the names that the groups had when the plan was made.
        for (group, memory) in plan.group_memory {
            if let Some(deployment) = service.deployments.iter_mut().find(|d| d.id == group) {
                deployment.memory = memory;
            }
        }
        for transition in &plan.transitions {
            history.apply(&mut service, transition, &counts);
        }
        if let Some(memory) = plan.memory {
            service.memory = memory;
        }
        let mut said = advanced.said;
        said.extend(plan.events);
        let started = self.start(&service, &plan.starts, &mut changes).await?;
        said.extend(started.said);
        self.note_trouble(&service, started.trouble.or(refused), &plan.starts);
        events::add(&self.state, &service, said, &mut changes).await?;
        history.follow(&service);
        history.write(&mut changes);
        service.passes += 1;
        changes.replace(before, &service);
        self.state.commit(changes).await?;
        Ok(())
    }

    fn counts(&self, seen: &Seen) -> ServiceCounts {
        self.board.counts(&seen.service.record.key())
    }

    async fn note_digests(
        &self,
        service: &ServiceRecord,
        number: &str,
        digests: &BTreeMap<String, String>,
        changes: &mut Changes,
    ) -> Result<(), StateError> {
        let key = keys::service_revision(&service.scope, &service.cluster, &service.name, number);
        let Some(read): Option<Stored<ServiceRevisionRecord>> = self.state.get(&key).await? else {
            return Ok(());
        };
        let mut record = read.record.clone();
        for container in &mut record.containers {
            if let Some(digest) = digests.get(&container.name) {
                container.digest = Some(digest.clone());
            }
        }
        changes.replace(&read, &record);
        Ok(())
    }

    /// Makes tasks; answers what there is to say about it.
    async fn start(
        &self,
        service: &ServiceRecord,
        starts: &[Start],
        changes: &mut Changes,
    ) -> Result<Started, PassError> {
        let (mut said, mut trouble) = (Vec::new(), None);
        // What belongs together is said in one line.
        let mut plain = Vec::new();
        let mut by_group: BTreeMap<&str, Vec<&Start>> = BTreeMap::new();
        for start in starts {
            by_group.entry(&start.group).or_default().push(start);
        }
        for (group, starts) in by_group {
            let Some(deployment) = service.deployments.iter().find(|d| d.id == group) else {
                continue;
            };
            let ready = match self.prepare(service, deployment).await? {
                Ok(ready) => ready,
                Err(reason) => {
                    trouble = Some(reason);
                    continue;
                }
            };
            let definition = &ready.template.definition.definition;
            // Its text names the deployment, so it is said once of each.
            if let Some(notice) = notices::event(service, deployment, definition)
                && !events::has(&self.state, service, &notice).await?
            {
                said.push(notice);
            }
            let launcher = Launcher {
                state: &self.state,
                addresses: &self.addresses,
                scope: &service.scope,
                cluster: &service.cluster,
                network: &ready.network,
            };
            for start in starts {
                let mut ids = Vec::new();
                for index in 0..start.count {
                    let one = launch::Start {
                        provider: start.provider.clone(),
                        zone: Some(start.zone.clone()),
                        index: usize::try_from(index).unwrap_or(0),
                    };
                    match launcher.start(&ready.template, one, changes).await? {
                        Some(record) => ids.push(record.id),
                        None => trouble = Some("RESOURCE:ENI".to_owned()),
                    }
                }
                if start.rebalances && !ids.is_empty() {
                    said.push(wording::started_to_rebalance(
                        &service.name,
                        &start.zone,
                        &ids,
                    ));
                } else {
                    plain.extend(ids);
                }
            }
        }
        if !plain.is_empty() {
            said.push(wording::started(&service.name, &plain));
        }
        Ok(Started { said, trouble })
    }

    /// Keeps in mind what went wrong, for the next pass to say, until tasks start without trouble.
    fn note_trouble(&self, service: &ServiceRecord, trouble: Option<String>, starts: &[Start]) {
        let mut troubles = self.trouble.lock();
        match trouble {
            Some(reason) => {
                troubles.insert(service.key(), reason);
            }
            None if !starts.is_empty() => {
                troubles.remove(&service.key());
            }
            None => {}
        }
    }

    /// What a deployment's tasks have in common; the inner error says in words why it has no tasks.
    async fn prepare(
        &self,
        service: &ServiceRecord,
        deployment: &DeploymentRecord,
    ) -> Result<Result<Ready, String>, PassError> {
        let config = &deployment.config;
        let Some(definition) = definition_of(&self.state, service, config).await? else {
            return Ok(Err("The task definition does not exist any more".to_owned()));
        };
        let network: AwsVpcConfiguration = config
            .network
            .clone()
            .and_then(|n| n.awsvpc_configuration)
            .unwrap_or_default();
        let network = match resolve_network(&self.state, &service.scope, &network).await {
            Ok(network) => network,
            Err(refused) => return Ok(Err(refused.message)),
        };
        let mut overrides = TaskOverride::default();
        let resources = match overrides::apply(&definition.definition, &mut overrides) {
            Ok(resources) => resources,
            Err(refused) => return Ok(Err(refused.message)),
        };
        let template = TaskTemplate {
            group: format!("service:{}", service.name),
            started_by: Some(deployment.id.clone()),
            platform_version: platform_version(Some(&config.platform_version))?,
            tags: tags(service, &definition.tags),
            enable_execute_command: service.enable_execute_command,
            service: Some(ServiceTaskRecord {
                name: service.name.clone(),
                deployment_id: deployment.id.clone(),
                revision: deployment.revision.clone(),
                targets: Vec::new(),
                draining: false,
                leaving: None,
                noted: Default::default(),
                protected_until: None,
            }),
            image_digests: deployment.digests.clone(),
            definition,
            overrides,
            resources,
        };
        Ok(Ok(Ready { template, network }))
    }
}

/// What came of starting tasks.
struct Started {
    said: Vec<ServiceEvent>,
    /// Why not all could be started.
    trouble: Option<String>,
}

/// What the tasks of a deployment are made from.
struct Ready {
    template: TaskTemplate,
    network: crate::ecs::tasks::checks::Network,
}

fn tags(service: &ServiceRecord, of_definition: &Tags) -> Tags {
    let mut tags = match service.propagate_tags {
        PropagateTags::Service => service.tags.clone(),
        PropagateTags::TaskDefinition => of_definition.clone(),
        PropagateTags::None => Tags::new(),
    };
    if service.enable_ecs_managed_tags {
        tags.insert("aws:ecs:clusterName".to_owned(), service.cluster.clone());
        tags.insert("aws:ecs:serviceName".to_owned(), service.name.clone());
    }
    tags
}

/// Makes all tasks of a deployment those of another one.
async fn hand_over(
    seen: &Seen,
    edits: &mut Edits<'_>,
    from: &str,
    to: &str,
) -> Result<(), PassError> {
    for (id, _) in seen
        .tasks
        .iter()
        .filter(|(_, task)| task.view.group == from)
    {
        let record = edits.get(id).await?;
        if let Some(of_service) = &mut record.service {
            to.clone_into(&mut of_service.deployment_id);
        }
        // Clients find a deployment's tasks by it.
        if record.started_by.as_deref() == Some(from) {
            record.started_by = Some(to.to_owned());
        }
    }
    Ok(())
}

/// Sends a task away. It goes on until it is drained, and its node hears nothing yet.
fn leave_now(record: &mut TaskRecord, leave: &Leave, now: Timestamp) {
    stop::request_leave(
        record,
        StopCode::ServiceSchedulerInitiated,
        &leave.stopped_reason,
        now,
    );
    if let Some(of_service) = &mut record.service {
        of_service.leaving = Some(leave.reason);
    }
}

/// Digests that are new, by revision; the deployments have them then.
fn take_digests(
    seen: &Seen,
    service: &mut ServiceRecord,
) -> Vec<(String, BTreeMap<String, String>)> {
    let mut found = Vec::new();
    for deployment in &mut service.deployments {
        let new = new_digests(seen, deployment);
        if !new.is_empty() {
            deployment.digests.extend(new.clone());
            found.push((deployment.revision.clone(), new));
        }
    }
    found
}

/// The task records that a plan changes. Each must be as it was when the plan was made.
pub(super) struct Edits<'a> {
    state: &'a State,
    seen: &'a Seen,
    records: BTreeMap<String, (Stored<TaskRecord>, TaskRecord)>,
}

impl<'a> Edits<'a> {
    fn new(state: &'a State, seen: &'a Seen) -> Self {
        Self {
            state,
            seen,
            records: BTreeMap::new(),
        }
    }

    pub(super) async fn get(&mut self, id: &str) -> Result<&mut TaskRecord, PassError> {
        if !self.records.contains_key(id) {
            let service = &self.seen.service.record;
            let key = keys::task(&service.scope, &service.cluster, id);
            let read: Stored<TaskRecord> =
                self.state.get(&key).await?.ok_or(PassError::Overtaken)?;
            let known = self.seen.tasks.get(id).ok_or(PassError::Overtaken)?;
            if known.mod_revision != read.mod_revision {
                return Err(PassError::Overtaken);
            }
            let record = read.record.clone();
            self.records.insert(id.to_owned(), (read, record));
        }
        match self.records.get_mut(id) {
            Some((_, record)) => Ok(record),
            None => Err(PassError::Overtaken),
        }
    }

    fn write(self, changes: &mut Changes) {
        for (read, record) in self.records.into_values() {
            changes.replace(&read, &record);
        }
    }
}
