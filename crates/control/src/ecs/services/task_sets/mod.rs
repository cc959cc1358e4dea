//! Task sets: the versions of a service whose deployments somebody else makes (the controllers CODE_DEPLOY and EXTERNAL).
//! They stand side by side; the scheduler keeps each at its size (`neargate_planner::services`, side by side) and says
//! when it is steady.
//!
//! A task set is a [`DeploymentRecord`] of its service with a [`TaskSetRecord`]. The functions that end in `_in` change a
//! service's record, which their caller writes: CodeDeploy does that in one transaction with the listener's weights.

mod create;
mod delete;
mod describe;
mod primary;
mod render;
mod update;

pub use self::create::create;
pub use self::delete::delete;
pub use self::describe::describe;
pub use self::primary::make_primary;
pub use self::render::task_sets;
pub use self::update::update;

use neargate_aws_wire::error::ApiError;
use neargate_domain::{Scope, Timestamp};

use super::ids;
use super::records::{
    Controller, DeploymentRecord, RevisionConfig, ServiceRecord, ServiceStatus, TaskSetRecord,
};
use crate::ecs::clusters::active_cluster;
use crate::ecs::errors;
use crate::state::{State, Stored};

/// Task sets of a service, deleted ones that still have tasks included. Source: what AWS answers to the sixth.
pub const MAX_TASK_SETS: usize = 5;
const WHOLE: f64 = 100.0;

/// What a task set is made from.
#[derive(Debug, Clone)]
pub struct NewTaskSet {
    pub config: RevisionConfig,
    pub set: TaskSetRecord,
}

/// Adds a task set to a service, and answers its id.
pub fn create_in(
    service: &mut ServiceRecord,
    new: NewTaskSet,
    now: Timestamp,
) -> Result<String, ApiError> {
    if service.deployments.len() >= MAX_TASK_SETS {
        return Err(errors::invalid_parameter(format!(
            "{MAX_TASK_SETS} deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit."
        )));
    }
    let (id, revision) = {
        let mut rng = rand::rng();
        (ids::deployment(&mut rng), ids::number(&mut rng))
    };
    // Task sets belong to no service deployment of ECS.
    let mut record = DeploymentRecord::begin(id.clone(), revision, String::new(), new.config, now);
    record.set = Some(new.set);
    service.deployments.push(record);
    Ok(id)
}

/// The first task set of a new service with the CODE_DEPLOY controller.
pub fn begin_in(service: &mut ServiceRecord, now: Timestamp) {
    let new = NewTaskSet {
        config: service.config.clone(),
        set: TaskSetRecord {
            scale_percent: WHOLE,
            is_primary: true,
            ..TaskSetRecord::default()
        },
    };
    create_in(service, new, now).expect("a new service has no task set");
}

/// Makes a task set the primary one: the service shows its parameters from then on. The one that was becomes ACTIVE.
pub fn make_primary_in(service: &mut ServiceRecord, id: &str, now: Timestamp) {
    let Some(position) = service.deployments.iter().position(|d| d.id == id) else {
        return;
    };
    let primary = service.deployments.remove(position);
    service.config = primary.config.clone();
    service.deployments.insert(0, primary);
    for (position, deployment) in service.deployments.iter_mut().enumerate() {
        if let Some(set) = &mut deployment.set
            && set.is_primary != (position == 0)
        {
            set.is_primary = position == 0;
            deployment.updated_at = now;
        }
    }
}

/// Sends a task set's tasks away; it goes with the last of them. A service whose primary one goes shows no parameters,
/// unless CodeDeploy owns it.
pub fn delete_in(service: &mut ServiceRecord, id: &str, now: Timestamp) {
    let controller = service.controller;
    let Some(deployment) = service.deployments.iter_mut().find(|d| d.id == id) else {
        return;
    };
    let Some(set) = deployment.set.as_mut().filter(|set| !set.is_deleted) else {
        return;
    };
    set.is_deleted = true;
    deployment.updated_at = now;
    if std::mem::take(&mut set.is_primary) && controller == Controller::External {
        service.config = RevisionConfig::of_nothing();
    }
}

/// The task set that a caller means by id or ARN.
pub fn find_in<'a>(service: &'a ServiceRecord, given: &str) -> Option<&'a DeploymentRecord> {
    service
        .deployments
        .iter()
        .find(|deployment| deployment.set.is_some() && is_named(service, deployment, given))
}

fn is_named(service: &ServiceRecord, deployment: &DeploymentRecord, given: &str) -> bool {
    given == deployment.id || given == render::arn(service, deployment)
}

/// The ACTIVE service of a request about task sets, and that its task sets are the caller's to change.
async fn service_of(
    state: &State,
    scope: &Scope,
    cluster: &str,
    service: &str,
) -> Result<Stored<ServiceRecord>, ApiError> {
    let cluster = active_cluster(state, scope, Some(cluster)).await?;
    let found = super::find(state, scope, &cluster.record.name, service)
        .await?
        .ok_or_else(errors::service_not_found)?;
    if found.record.status != ServiceStatus::Active {
        return Err(errors::service_not_active());
    }
    Ok(found)
}

fn check_is_external(service: &ServiceRecord) -> Result<(), ApiError> {
    if service.controller == Controller::External {
        return Ok(());
    }
    Err(errors::invalid_parameter(
        "Amazon ECS only supports task set management on services configured to use external deployment controllers.",
    ))
}

#[cfg(test)]
mod tests;
