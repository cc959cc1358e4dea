//! Services: long-running tasks that are replaced, scaled and rolled out.
//!
//! The API writes what is wanted into a service's record; the [`Reconciler`] looks at that record and at the service's
//! tasks, asks the planner (`neargate_planner::services`) and carries the plan out in one transaction. What it looks at
//! comes from the [`ServiceBoard`], which follows the store and is as the store was at one revision: a plan that was
//! made of something older fails to commit, since each of these transactions replaces the service's record.

pub mod blue_green;
mod board;
mod client_token;
mod config;
mod controllers;
mod create;
mod delete;
mod deployment_configuration;
mod deployments;
mod describe;
mod history;
mod ids;
mod load_balancers;
mod reconcile;
pub mod records;
mod render;
pub mod task_sets;
mod update;
mod view;

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

pub use self::blue_green::continue_deployment;
pub use self::board::{ServiceBoard, ServiceCounts};
pub(crate) use self::config::{Given, Place};
pub use self::create::create;
pub use self::delete::delete;
pub use self::describe::{describe, list, list_by_namespace};
pub use self::history::{
    describe_deployments, describe_revisions, list_deployments, stop_deployment,
};
pub use self::reconcile::{Paused, Reconciler};
pub use self::update::update;

use self::records::ServiceRecord;
use crate::ecs::keys;
use crate::state::{State, StateError, Stored};

/// The name of the service that a caller means by name or ARN; `None` for text that can name none of this cluster.
pub fn service_name(given: &str, scope: &Scope, cluster: &str) -> Option<String> {
    let name = if given.starts_with("arn:") {
        let arn: neargate_domain::Arn = given.parse().ok()?;
        if arn.service != "ecs" || arn.scope != *scope {
            return None;
        }
        let path = arn.resource.strip_prefix("service/")?;
        match path.split_once('/') {
            Some((of, name)) if of == cluster => name.to_owned(),
            Some(_) => return None,
            // The ARNs of old had no cluster.
            None => path.to_owned(),
        }
    } else {
        given.to_owned()
    };
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// The service of that name or ARN, whatever its status.
async fn find(
    state: &State,
    scope: &Scope,
    cluster: &str,
    given: &str,
) -> Result<Option<Stored<ServiceRecord>>, ApiError> {
    let Some(name) = service_name(given, scope, cluster) else {
        return Ok(None);
    };
    Ok(state.get(&keys::service(scope, cluster, &name)).await?)
}

/// The services of a cluster, INACTIVE ones included.
pub async fn of_cluster(
    state: &State,
    scope: &Scope,
    cluster: &str,
) -> Result<Vec<Stored<ServiceRecord>>, StateError> {
    state.list(&keys::services(scope, cluster)).await
}
