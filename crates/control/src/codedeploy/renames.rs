//! Deployments carry the names of their application and group; they take new names too.

use neargate_domain::Scope;

use super::deployments::DeploymentRecord;
use super::keys;
use crate::state::{Changes, State, StateError, Stored};

/// Adds to a rename's transaction that the deployments that are meant get their new name.
pub async fn of_deployments(
    state: &State,
    scope: &Scope,
    changes: &mut Changes,
    is_meant: impl Fn(&DeploymentRecord) -> bool,
    rename: impl Fn(&mut DeploymentRecord),
) -> Result<(), StateError> {
    let all: Vec<Stored<DeploymentRecord>> = state.list(&keys::deployments(scope)).await?;
    for stored in all.iter().filter(|stored| is_meant(&stored.record)) {
        let mut record = stored.record.clone();
        rename(&mut record);
        changes.replace(stored, &record);
    }
    Ok(())
}
