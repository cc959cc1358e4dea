//! The beginning of a deployment: its revision, its service deployment, and its place among the service's deployments.

use neargate_domain::Timestamp;

use super::deployment_configuration::circuit_breaker;
use super::records::*;
use super::{blue_green, ids};
use crate::ecs::keys;
use crate::ecs::records::TaskDefinitionRecord;
use crate::state::{Changes, State, StateError, Stored};

/// A deployment of a service's current configuration.
pub struct Begin<'a> {
    state: &'a State,
}

impl<'a> Begin<'a> {
    pub fn new(state: &'a State) -> Self {
        Self { state }
    }

    /// Makes a new PRIMARY deployment of `service`, which the caller writes in the same transaction. One that is still
    /// under way is superseded.
    pub async fn add(
        &self,
        service: &mut ServiceRecord,
        changes: &mut Changes,
    ) -> Result<(), StateError> {
        let now = self.state.now();
        let (id, revision, service_deployment) = {
            let mut rng = rand::rng();
            (
                ids::deployment(&mut rng),
                ids::number(&mut rng),
                ids::service_deployment(&mut rng),
            )
        };
        let beginning = blue_green::begin(service, now);
        if let Some(green) = blue_green::to_undo(service, beginning.record.as_ref()) {
            self.undo(service, green, changes).await;
        }
        blue_green::supersede(service, now);
        self.supersede(service, changes).await?;
        if beginning.record.is_none() {
            blue_green::forget(service);
        }
        let (scope, cluster, name) = (&service.scope, &service.cluster, &service.name);
        let target_groups = beginning.target_groups.clone();
        let revision_record = self.revision(service, &revision, target_groups).await?;
        changes.create(
            &keys::service_revision(scope, cluster, name, &revision),
            &revision_record,
        );
        let mut record = self.service_deployment(service, &service_deployment, &revision, now);
        record.progress = beginning.record.as_ref().map(|b| b.progress.clone());
        changes.create(
            &keys::service_deployment(scope, cluster, name, &service_deployment),
            &record,
        );
        let mut deployment = DeploymentRecord::begin(
            id,
            revision,
            service_deployment,
            service.config.clone(),
            now,
        );
        deployment.target_groups = beginning.target_groups;
        deployment.blue_green = beginning.record;
        service.deployments.insert(0, deployment);
        Ok(())
    }

    /// Makes the task set of a service that ECS deploys from here on a deployment that has succeeded.
    pub async fn adopt(
        &self,
        service: &mut ServiceRecord,
        changes: &mut Changes,
    ) -> Result<(), StateError> {
        let now = self.state.now();
        let id = ids::service_deployment(&mut rand::rng());
        let Some(only) = service.deployments.first_mut() else {
            return Ok(());
        };
        only.service_deployment.clone_from(&id);
        let revision = only.revision.clone();
        let (scope, cluster, name) = (&service.scope, &service.cluster, &service.name);
        let key = keys::service_revision(scope, cluster, name, &revision);
        let known: Option<Stored<ServiceRevisionRecord>> = self.state.get(&key).await?;
        // There is one of a service that ECS has deployed before.
        if known.is_none() {
            let revision_record = self.revision(service, &revision, Vec::new()).await?;
            changes.create(&key, &revision_record);
        }
        let record = ServiceDeploymentRecord {
            status: ServiceDeploymentStatus::Successful,
            started_at: Some(now),
            finished_at: Some(now),
            sources: Vec::new(),
            ..self.service_deployment(service, &id, &revision, now)
        };
        changes.create(
            &keys::service_deployment(scope, cluster, name, &id),
            &record,
        );
        Ok(())
    }

    /// Of the service's configuration now.
    async fn revision(
        &self,
        service: &ServiceRecord,
        number: &str,
        target_groups: Vec<String>,
    ) -> Result<ServiceRevisionRecord, StateError> {
        Ok(ServiceRevisionRecord {
            number: number.to_owned(),
            created_at: self.state.now(),
            config: service.config.clone(),
            target_groups,
            containers: self.containers(service).await?,
        })
    }

    fn service_deployment(
        &self,
        service: &ServiceRecord,
        id: &str,
        revision: &str,
        now: Timestamp,
    ) -> ServiceDeploymentRecord {
        let breaker = circuit_breaker(&service.deployment_configuration);
        ServiceDeploymentRecord {
            id: id.to_owned(),
            status: ServiceDeploymentStatus::Pending,
            status_reason: None,
            created_at: now,
            started_at: None,
            stopped_at: None,
            finished_at: None,
            updated_at: now,
            target: revision.to_owned(),
            sources: service
                .deployments
                .iter()
                .map(|d| d.revision.clone())
                .collect(),
            deployment_configuration: service.deployment_configuration.clone(),
            rollback: None,
            breaker: BreakerRecord {
                status: if breaker.enable {
                    MonitorStatus::Monitoring
                } else {
                    MonitorStatus::Disabled
                },
                failures: 0,
                threshold: breaker.threshold.failures(service.desired_count),
            },
            progress: None,
            last_counts: Vec::new(),
        }
    }

    /// A deployment begins that will not look after the rules by which traffic is divided between two others now: the
    /// one that served gets all of it.
    async fn undo(&self, service: &ServiceRecord, green: &DeploymentRecord, changes: &mut Changes) {
        if let Err(refused) = blue_green::traffic_back(self.state, service, green, changes).await {
            // Whoever made the rules unfit for it decides where traffic goes.
            tracing::warn!(service = service.name, error = %refused.message, "traffic stays as it is");
        }
    }

    /// Ends the service deployment that is under way.
    async fn supersede(
        &self,
        service: &ServiceRecord,
        changes: &mut Changes,
    ) -> Result<(), StateError> {
        let Some(primary) = service.deployments.first() else {
            return Ok(());
        };
        let key = keys::service_deployment(
            &service.scope,
            &service.cluster,
            &service.name,
            &primary.service_deployment,
        );
        let Some(read): Option<Stored<ServiceDeploymentRecord>> = self.state.get(&key).await?
        else {
            return Ok(());
        };
        if read.record.status.is_open() {
            let now = self.state.now();
            let mut record = read.record.clone();
            record.status = ServiceDeploymentStatus::Stopped;
            record.status_reason =
                Some("Service deployment stopped because a newer one has begun.".to_owned());
            record.stopped_at = Some(now);
            record.finished_at = Some(now);
            record.updated_at = now;
            if let Some(ended) = record.progress_in(service) {
                record.progress = Some(ended.clone());
            }
            changes.replace(&read, &record);
        }
        Ok(())
    }

    /// The images of the revision; their digests are known when the first task has pulled them.
    async fn containers(
        &self,
        service: &ServiceRecord,
    ) -> Result<Vec<RevisionContainer>, StateError> {
        let Some(definition) = definition_of(self.state, service, &service.config).await? else {
            return Ok(Vec::new());
        };
        Ok(definition
            .containers()
            .iter()
            .map(|container| RevisionContainer {
                name: container.name.clone().unwrap_or_default(),
                image: container.image.clone().unwrap_or_default(),
                digest: None,
            })
            .collect())
    }
}

/// The task definition that a configuration names, ACTIVE or not.
pub async fn definition_of(
    state: &State,
    service: &ServiceRecord,
    config: &RevisionConfig,
) -> Result<Option<TaskDefinitionRecord>, StateError> {
    let Some(named) = &config.task_definition else {
        return Ok(None);
    };
    let key = keys::task_definition(&service.scope, &named.family, named.revision);
    Ok(state
        .get::<TaskDefinitionRecord>(&key)
        .await?
        .map(|found| found.record))
}
