//! Deployment groups of ECS services: which service is deployed to, between which target groups its traffic moves, and
//! how.
//!
//! AWS: CodeDeploy user guide, "Create a deployment group for an Amazon ECS deployment (console)".

mod create;
mod delete;
mod read;
mod route;
mod service;
mod settings;
mod update;
mod view;

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

pub use create::create;
pub use delete::delete;
pub use read::{batch_get, get, list};
pub use route::{check_routing, info as load_balancer_info};
pub use settings::{auto_rollback, blue_green, checked_alarms, checked_auto_rollback, style};
pub use update::update;

use super::records::GroupRecord;
use super::{errors, keys};
use crate::state::{State, StateError, Stored};

pub async fn find(
    state: &State,
    scope: &Scope,
    application: &str,
    name: &str,
) -> Result<Stored<GroupRecord>, ApiError> {
    state
        .get(&keys::group(scope, application, name))
        .await?
        .ok_or_else(|| errors::group_not_found(name))
}

/// The group with that id, which was filed under these names when they were written down.
pub async fn by_id(
    state: &State,
    scope: &Scope,
    application: &str,
    name: &str,
    id: &str,
) -> Result<Option<Stored<GroupRecord>>, StateError> {
    let filed: Option<Stored<GroupRecord>> =
        state.get(&keys::group(scope, application, name)).await?;
    if let Some(group) = filed.filter(|group| group.record.id == id) {
        return Ok(Some(group));
    }
    let all: Vec<Stored<GroupRecord>> = state.list(&keys::all_groups(scope)).await?;
    Ok(all.into_iter().find(|group| group.record.id == id))
}
