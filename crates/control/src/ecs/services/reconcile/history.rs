//! What a plan's transitions do to deployments and to the service deployment that they belong to.

use neargate_domain::Timestamp;
use neargate_planner::blue_green::Failure;
use neargate_planner::services::{FailReason, Transition};

use super::super::board::ServiceCounts;
use super::super::deployment_configuration::circuit_breaker;
use super::super::records::*;
use crate::ecs::keys;
use crate::state::{Changes, State, StateError, Stored};

/// What becomes of a deployment that stands beside the one before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// Green serves alone, or blue does again.
    Complete { group: String },
    /// Blue has its traffic, green's tasks go.
    RollBack {
        green: String,
        blue: String,
        failure: Failure,
    },
    /// Green is gone, and blue could not be given its traffic.
    Stuck { blue: String, why: String },
    /// There was nothing to go back to.
    Fail { green: String, failure: Failure },
}

/// The service deployment that is under way, while a plan is carried out.
pub struct History {
    read: Option<Stored<ServiceDeploymentRecord>>,
    record: Option<ServiceDeploymentRecord>,
    now: Timestamp,
}

impl History {
    /// That of the primary deployment.
    pub async fn open(state: &State, service: &ServiceRecord) -> Result<Self, StateError> {
        let read: Option<Stored<ServiceDeploymentRecord>> = match service.deployments.first() {
            Some(primary) if service.controller == Controller::Ecs => {
                let key = keys::service_deployment(
                    &service.scope,
                    &service.cluster,
                    &service.name,
                    &primary.service_deployment,
                );
                state.get(&key).await?
            }
            _ => None,
        };
        let mut history = Self {
            record: read.as_ref().map(|r| r.record.clone()),
            read,
            now: state.now(),
        };
        history.follow(service);
        Ok(history)
    }

    /// Whether it differs from what is in the store.
    pub fn is_changed(&self) -> bool {
        let text = |record: &ServiceDeploymentRecord| {
            serde_json::to_value(record)
                .expect("it is plain data with string keys, which JSON can hold")
        };
        match (&self.read, &self.record) {
            (Some(read), Some(record)) => text(&read.record) != text(record),
            _ => false,
        }
    }

    pub fn write(&self, changes: &mut Changes) {
        if let (Some(read), Some(record)) = (&self.read, &self.record)
            && self.is_changed()
        {
            changes.replace(read, record);
        }
    }

    /// Takes over what the primary deployment has come to.
    pub fn follow(&mut self, service: &ServiceRecord) {
        let (Some(record), Some(primary)) = (&mut self.record, service.deployments.first()) else {
            return;
        };
        if record.status == ServiceDeploymentStatus::Pending {
            record.status = ServiceDeploymentStatus::InProgress;
            record.started_at = Some(self.now);
            record.updated_at = self.now;
        }
        if record.status == ServiceDeploymentStatus::InProgress
            && record.breaker.status == MonitorStatus::Monitoring
        {
            record.breaker.failures = primary.memory.failed_tasks;
            let breaker = circuit_breaker(&service.deployment_configuration);
            record.breaker.threshold = breaker.threshold.failures(service.desired_count);
        }
        if let Some(progress) = record.progress_in(service) {
            record.progress = Some(progress.clone());
        }
    }

    /// Carries out what becomes of a deployment that stands beside the one before it.
    pub fn turn(&mut self, service: &mut ServiceRecord, turn: &Turn, counts: &ServiceCounts) {
        let now = self.now;
        match turn {
            Turn::Complete { group } => {
                let group = group.clone();
                self.apply(service, &Transition::Complete { group }, counts);
            }
            Turn::RollBack {
                green,
                blue,
                failure,
            } => {
                self.fail_green(service, green, failure);
                let rollout_reason =
                    format!("ECS deployment: rolling back to deploymentId {blue}.");
                // Blue has stood beside green all the time: it is the same deployment still.
                self.go_back(
                    service,
                    green,
                    (blue, blue),
                    failure.status_reason(),
                    rollout_reason,
                );
            }
            Turn::Stuck { blue, why } => {
                edit(service, blue, now, |deployment| {
                    deployment.rollout = Rollout::Completed;
                    deployment.rollout_reason =
                        format!("ECS deployment {} completed.", deployment.id);
                });
                self.finish(service, counts, |record| {
                    record.status = ServiceDeploymentStatus::RollbackFailed;
                    let before = record.status_reason.take().unwrap_or_default();
                    record.status_reason = Some(format!("{before} {why}").trim().to_owned());
                });
            }
            Turn::Fail { green, failure } => {
                self.fail_green(service, green, failure);
                self.finish(service, counts, |record| {
                    record.status = ServiceDeploymentStatus::RollbackFailed;
                    record.status_reason =
                        Some("No rollback candidate was found to run the rollback.".to_owned());
                });
            }
        }
    }

    fn fail_green(&mut self, service: &mut ServiceRecord, green: &str, failure: &Failure) {
        edit(service, green, self.now, |deployment| {
            deployment.rollout = Rollout::Failed;
            deployment.rollout_reason = failure.status_reason();
        });
        if *failure == Failure::CircuitBreaker
            && let Some(record) = &mut self.record
        {
            trip(record, FailReason::CircuitBreaker);
        }
    }

    /// Carries out a change of a group.
    pub fn apply(
        &mut self,
        service: &mut ServiceRecord,
        transition: &Transition,
        counts: &ServiceCounts,
    ) {
        let now = self.now;
        match transition {
            Transition::Complete { group } => {
                edit(service, group, now, |deployment| {
                    deployment.rollout = Rollout::Completed;
                    deployment.rollout_reason =
                        format!("ECS deployment {} completed.", deployment.id);
                });
                self.finish(service, counts, |record| {
                    let went_back = record.status == ServiceDeploymentStatus::RollbackInProgress;
                    record.status = if went_back {
                        ServiceDeploymentStatus::RollbackSuccessful
                    } else {
                        ServiceDeploymentStatus::Successful
                    };
                    if record.breaker.status == MonitorStatus::Monitoring {
                        record.breaker.status = MonitorStatus::MonitoringComplete;
                    }
                });
            }
            Transition::Fail { group, reason } => {
                edit(service, group, now, |deployment| fail(deployment, *reason));
                let goes_back = *reason == FailReason::Requested || rolls_back(service, *reason);
                self.finish(service, counts, |record| {
                    trip(record, *reason);
                    (record.status, record.status_reason) = if goes_back {
                        (
                            ServiceDeploymentStatus::RollbackFailed,
                            Some("No rollback candidate was found to run the rollback.".to_owned()),
                        )
                    } else {
                        record.stopped_at = Some(now);
                        (
                            ServiceDeploymentStatus::Stopped,
                            Some(format!(
                                "Service deployment failed because {}.",
                                why(*reason)
                            )),
                        )
                    };
                });
            }
            Transition::RollBack {
                from,
                to,
                id,
                reason,
            } => self.roll_back(service, from, (to, id), *reason),
            Transition::Resume { group } => {
                edit(service, group, now, |deployment| {
                    deployment.rollout = Rollout::InProgress;
                    deployment.rollout_reason =
                        format!("ECS deployment {} in progress.", deployment.id);
                });
                if let Some(record) = &mut self.record {
                    record.status = ServiceDeploymentStatus::InProgress;
                    record.status_reason = None;
                    record.stopped_at = None;
                    record.finished_at = None;
                    record.updated_at = now;
                    if record.breaker.status == MonitorStatus::Triggered {
                        record.breaker.status = MonitorStatus::Monitoring;
                    }
                }
            }
            Transition::Remove { group } => service.deployments.retain(|d| d.id != *group),
            Transition::Inactive => {
                self.finish(service, counts, |record| {
                    if record.status.is_open() {
                        record.status = ServiceDeploymentStatus::Stopped;
                        record.status_reason = Some("The service was deleted.".to_owned());
                        record.stopped_at = Some(now);
                    }
                });
                service.status = ServiceStatus::Inactive;
                service.inactive_since = Some(now);
                service.deployments.clear();
            }
        }
    }

    fn roll_back(
        &mut self,
        service: &mut ServiceRecord,
        from: &str,
        (to, id): (&str, &str),
        reason: FailReason,
    ) {
        let now = self.now;
        edit(service, from, now, |deployment| fail(deployment, reason));
        if let Some(record) = &mut self.record {
            trip(record, reason);
        }
        let rollout_reason = match reason {
            FailReason::CircuitBreaker => {
                format!("ECS deployment circuit breaker: rolling back to deploymentId {id}.")
            }
            FailReason::Alarm => {
                format!("ECS deployment alarms: rolling back to deploymentId {id}.")
            }
            FailReason::Requested => format!("ECS deployment: rolling back to deploymentId {id}."),
        };
        let status_reason = format!("Service deployment rolled back because {}.", why(reason));
        self.go_back(service, from, (to, id), status_reason, rollout_reason);
    }

    /// Makes what `to` was the primary deployment again. With another `id` it is a new deployment.
    fn go_back(
        &mut self,
        service: &mut ServiceRecord,
        from: &str,
        (to, id): (&str, &str),
        status_reason: String,
        rollout_reason: String,
    ) {
        let now = self.now;
        let Some(position) = service.deployments.iter().position(|d| d.id == to) else {
            return;
        };
        let mut target = service.deployments.remove(position);
        target.rollout = Rollout::InProgress;
        target.rollout_reason = rollout_reason;
        target.is_rollback = true;
        target.rollback_requested = false;
        target.updated_at = now;
        if id != to {
            target.id = id.to_owned();
            target.created_at = now;
        }
        if let Some(failed) = service.deployments.iter().find(|d| d.id == from) {
            target
                .service_deployment
                .clone_from(&failed.service_deployment);
        }
        service.config = target.config.clone();
        if let Some(record) = &mut self.record {
            record.status = ServiceDeploymentStatus::RollbackInProgress;
            record.status_reason = Some(status_reason.clone());
            record.rollback = Some(RollbackRecord {
                reason: status_reason,
                started_at: now,
                revision: target.revision.clone(),
            });
            record.updated_at = now;
        }
        service.deployments.insert(0, target);
    }

    fn finish(
        &mut self,
        service: &ServiceRecord,
        counts: &ServiceCounts,
        end: impl FnOnce(&mut ServiceDeploymentRecord),
    ) {
        let now = self.now;
        let Some(record) = self.record.as_mut().filter(|r| r.status.is_open()) else {
            return;
        };
        end(record);
        record.finished_at = Some(now);
        record.updated_at = now;
        let primary = service.deployments.first().map(|d| d.revision.as_str());
        let revisions = record.sources.iter().chain([&record.target]);
        record.last_counts = revisions
            .map(|revision| {
                let seen = counts
                    .by_revision
                    .get(revision)
                    .copied()
                    .unwrap_or_default();
                RevisionCounts {
                    revision: revision.clone(),
                    requested: if primary == Some(revision) {
                        service.desired_count
                    } else {
                        0
                    },
                    running: seen.running,
                    pending: seen.pending,
                }
            })
            .collect();
    }
}

fn edit(
    service: &mut ServiceRecord,
    group: &str,
    now: Timestamp,
    change: impl FnOnce(&mut DeploymentRecord),
) {
    if let Some(deployment) = service.deployments.iter_mut().find(|d| d.id == group) {
        change(deployment);
        deployment.updated_at = now;
    }
}

fn fail(deployment: &mut DeploymentRecord, reason: FailReason) {
    deployment.rollout = Rollout::Failed;
    deployment.rollout_reason = match reason {
        FailReason::CircuitBreaker => {
            "ECS deployment circuit breaker: tasks failed to start.".to_owned()
        }
        FailReason::Alarm => "ECS deployment failed: alarm detected.".to_owned(),
        FailReason::Requested => "ECS deployment was stopped.".to_owned(),
    };
}

fn trip(record: &mut ServiceDeploymentRecord, reason: FailReason) {
    if reason == FailReason::CircuitBreaker {
        record.breaker.status = MonitorStatus::Triggered;
        record.breaker.failures = record.breaker.failures.max(record.breaker.threshold);
    }
}

fn why(reason: FailReason) -> &'static str {
    match reason {
        FailReason::CircuitBreaker => "the circuit breaker threshold was exceeded",
        FailReason::Alarm => "an alarm was triggered",
        FailReason::Requested => "it was stopped by the user",
    }
}

/// Whether a failure for this reason should have been followed by a way back.
fn rolls_back(service: &ServiceRecord, reason: FailReason) -> bool {
    let configuration = &service.deployment_configuration;
    match reason {
        FailReason::CircuitBreaker => configuration
            .deployment_circuit_breaker
            .as_ref()
            .is_some_and(|b| b.rollback),
        FailReason::Alarm => configuration.alarms.as_ref().is_some_and(|a| a.rollback),
        FailReason::Requested => true,
    }
}

#[cfg(test)]
mod tests {
    use neargate_aws_api::ecs::types::{DeploymentCircuitBreaker, DeploymentConfiguration};

    use super::*;

    const NOW: Timestamp = Timestamp(9);

    fn config(revision: u32) -> RevisionConfig {
        RevisionConfig {
            task_definition: Some(TaskDefinitionRef {
                family: "web".to_owned(),
                revision,
            }),
            strategy: Vec::new(),
            platform_version: "LATEST".to_owned(),
            network: None,
            load_balancers: Vec::new(),
            service_connect: None,
        }
    }

    fn deployment(name: &str, revision: u32, rollout: Rollout) -> DeploymentRecord {
        DeploymentRecord {
            rollout,
            ..DeploymentRecord::begin(
                format!("ecs-svc/{name}"),
                format!("revision-{name}"),
                format!("deployment-{name}"),
                config(revision),
                Timestamp(1),
            )
        }
    }

    /// A service on its way from deployment `old` to `new`.
    fn service(rolls_back: bool) -> ServiceRecord {
        ServiceRecord {
            desired_count: 2,
            config: config(2),
            deployment_configuration: DeploymentConfiguration {
                deployment_circuit_breaker: Some(DeploymentCircuitBreaker {
                    enable: true,
                    rollback: rolls_back,
                    ..Default::default()
                }),
                ..Default::default()
            },
            deployments: vec![
                deployment("new", 2, Rollout::InProgress),
                deployment("old", 1, Rollout::Completed),
            ],
            ..ServiceRecord::of_nothing()
        }
    }

    fn history(service: &ServiceRecord) -> History {
        let record = ServiceDeploymentRecord {
            id: "deployment-new".to_owned(),
            status: ServiceDeploymentStatus::Pending,
            status_reason: None,
            created_at: Timestamp(1),
            started_at: None,
            stopped_at: None,
            finished_at: None,
            updated_at: Timestamp(1),
            target: "revision-new".to_owned(),
            sources: vec!["revision-old".to_owned()],
            deployment_configuration: DeploymentConfiguration::default(),
            rollback: None,
            breaker: BreakerRecord {
                status: MonitorStatus::Monitoring,
                failures: 0,
                threshold: 3,
            },
            progress: None,
            last_counts: Vec::new(),
        };
        let mut history = History {
            read: None,
            record: Some(record),
            now: NOW,
        };
        history.follow(service);
        history
    }

    /// What is left after transitions: the status, its reason, and the deployments with their states.
    fn after(
        rolls_back: bool,
        transitions: &[Transition],
    ) -> (ServiceRecord, ServiceDeploymentRecord) {
        let mut service = service(rolls_back);
        let mut history = history(&service);
        for transition in transitions {
            history.apply(&mut service, transition, &ServiceCounts::default());
        }
        (service, history.record.expect("it has one"))
    }

    fn complete(name: &str) -> Transition {
        Transition::Complete {
            group: format!("ecs-svc/{name}"),
        }
    }

    #[test]
    fn service_deployments_end_as_their_deployments_do() {
        use ServiceDeploymentStatus as Status;
        let fail = |reason| Transition::Fail {
            group: "ecs-svc/new".to_owned(),
            reason,
        };
        let back = |reason| Transition::RollBack {
            from: "ecs-svc/new".to_owned(),
            to: "ecs-svc/old".to_owned(),
            id: "ecs-svc/again".to_owned(),
            reason,
        };
        let tripped =
            "Service deployment rolled back because the circuit breaker threshold was exceeded.";
        for (name, rolls_back, transitions, status, reason) in [
            ("begun", true, vec![], Status::InProgress, None),
            (
                "came up",
                true,
                vec![complete("new")],
                Status::Successful,
                None,
            ),
            (
                "failed without a way back",
                false,
                vec![fail(FailReason::CircuitBreaker)],
                Status::Stopped,
                Some(
                    "Service deployment failed because the circuit breaker threshold was exceeded.",
                ),
            ),
            (
                "found no way back",
                true,
                vec![fail(FailReason::CircuitBreaker)],
                Status::RollbackFailed,
                Some("No rollback candidate was found to run the rollback."),
            ),
            (
                "goes back",
                true,
                vec![back(FailReason::CircuitBreaker)],
                Status::RollbackInProgress,
                Some(tripped),
            ),
            (
                "went back",
                true,
                vec![back(FailReason::CircuitBreaker), complete("again")],
                Status::RollbackSuccessful,
                Some(tripped),
            ),
            (
                "was stopped",
                false,
                vec![back(FailReason::Requested), complete("again")],
                Status::RollbackSuccessful,
                Some("Service deployment rolled back because it was stopped by the user."),
            ),
            (
                "found no way back, and came up after all",
                true,
                vec![
                    fail(FailReason::CircuitBreaker),
                    Transition::Resume {
                        group: "ecs-svc/new".to_owned(),
                    },
                    complete("new"),
                ],
                Status::Successful,
                None,
            ),
            (
                "was deleted",
                false,
                vec![Transition::Inactive],
                Status::Stopped,
                Some("The service was deleted."),
            ),
        ] {
            let (_, record) = after(rolls_back, &transitions);
            assert_eq!(record.status, status, "{name}");
            assert_eq!(record.status_reason.as_deref(), reason, "{name}");
            assert_eq!(record.started_at, Some(NOW), "{name}");
            assert_eq!(record.finished_at.is_some(), !status.is_open(), "{name}");
        }
    }

    #[test]
    fn a_way_back_makes_a_new_deployment_of_the_old_version_primary() {
        let back = Transition::RollBack {
            from: "ecs-svc/new".to_owned(),
            to: "ecs-svc/old".to_owned(),
            id: "ecs-svc/again".to_owned(),
            reason: FailReason::CircuitBreaker,
        };
        let (service, record) = after(true, &[back]);
        let shown: Vec<_> = service
            .deployments
            .iter()
            .map(|d| {
                (
                    d.id.as_str(),
                    d.rollout,
                    d.is_rollback,
                    d.created_at,
                    d.rollout_reason.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                (
                    "ecs-svc/again",
                    Rollout::InProgress,
                    true,
                    NOW,
                    "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/again."
                ),
                (
                    "ecs-svc/new",
                    Rollout::Failed,
                    false,
                    Timestamp(1),
                    "ECS deployment circuit breaker: tasks failed to start."
                ),
            ]
        );
        assert_eq!(
            service.config,
            config(1),
            "the service shows what it went back to"
        );
        assert_eq!(service.deployments[0].service_deployment, "deployment-new");
        assert_eq!(
            record.rollback.map(|r| r.revision).as_deref(),
            Some("revision-old")
        );
        assert_eq!(record.breaker.status, MonitorStatus::Triggered);
    }

    #[test]
    fn a_deployment_without_purpose_goes_and_a_deleted_service_has_none() {
        let remove = Transition::Remove {
            group: "ecs-svc/old".to_owned(),
        };
        let (service, _) = after(true, &[complete("new"), remove]);
        assert_eq!(service.deployments.len(), 1);
        assert_eq!(
            service.deployments[0].rollout_reason,
            "ECS deployment ecs-svc/new completed."
        );
        let (service, _) = after(true, &[Transition::Inactive]);
        assert_eq!(
            (service.status, service.inactive_since),
            (ServiceStatus::Inactive, Some(NOW))
        );
        assert!(service.deployments.is_empty());
    }
}
