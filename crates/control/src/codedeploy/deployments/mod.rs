//! Deployments of ECS services: what the API creates, shows and asks for, and the [`Deployer`] that carries them out.
//!
//! A deployment is one record with all that was decided when it was created, so that later changes of its group or
//! configuration do not reach it. The API only writes wishes into it (a stop, a hook's answer); everything else is
//! written by the deployer in one transaction with what it does to the service, the listeners and the group.

mod create;
mod deployer;
mod errors;
mod hooks;
mod ids;
mod info;
mod list;
mod records;
mod requests;
mod route;
mod sets;
mod target;

pub use create::create;
pub use deployer::Deployer;
pub use hooks::answer;
pub use info::{batch_get, get, shown_status};
pub use list::list;
pub use records::DeploymentRecord;
pub use requests::{continue_deployment, skip_termination_wait, stop};
pub use target::{
    batch_get as batch_get_targets, batch_get_instances, get as get_target, get_instance,
    list as list_targets, list_instances,
};

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::keys;
use crate::state::{State, Stored};

/// The deployment of that id.
async fn find(
    state: &State,
    scope: &Scope,
    id: &str,
) -> Result<Stored<DeploymentRecord>, ApiError> {
    ids::check(id)?;
    state
        .get(&keys::deployment(scope, id))
        .await?
        .ok_or_else(|| errors::deployment_not_found(id))
}
