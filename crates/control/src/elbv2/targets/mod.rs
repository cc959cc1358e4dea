//! Registering and deregistering targets, for the API and for services.

mod check;
mod health;
mod operations;
pub mod quota;

use std::collections::BTreeMap;

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

pub use health::{Unusable, describe as describe_health, unusable};
pub use operations::{deregister as deregister_targets, register as register_targets};

use super::keys;
use super::records::{TargetGroupRecord, TargetRecord};
use crate::state::{Changes, State, StateError, Stored};

/// A target to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTarget {
    /// An address, for groups of type `ip`.
    pub id: String,
    /// `None`: the group's port.
    pub port: Option<u16>,
    /// `None`: the zone of the subnet that the address lies in.
    pub availability_zone: Option<String>,
}

/// A target that is named: its id, and its port (`None`: the group's).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetName {
    pub id: String,
    pub port: Option<u16>,
}

/// Adds the registration of targets to a transaction. One that is registered stays as it is; one that drains is
/// registered anew. The group must have been read with `lookup::target_group`.
///
/// The transaction fails with a conflict when the group or a target changed meanwhile: read again, call again.
pub async fn register(
    state: &State,
    changes: &mut Changes,
    group: &Stored<TargetGroupRecord>,
    wanted: &[NewTarget],
) -> Result<(), ApiError> {
    let scope = &group.record.scope;
    let checked = check::targets(state, &group.record, wanted).await?;
    // Not `require`: a change to the group's attributes meanwhile does no harm.
    changes.require_exists(&keys::target_group(scope, &group.record.name));
    let mut added = Vec::new();
    let mut records = BTreeMap::new();
    for target in checked {
        records.insert((target.id.clone(), target.port), target);
    }
    for target in records.values() {
        let key = keys::target(scope, &group.record.id, &target.id, target.port);
        match state.get::<TargetRecord>(&key).await? {
            None => {
                changes.create(&key, target);
                added.push(target);
            }
            Some(found) if found.record.draining_since.is_some() => {
                changes.replace(&found, target);
            }
            Some(_) => {}
        }
    }
    quota::check_registration(state, &group.record, &added).await
}

/// Adds the deregistration of targets to a transaction: each drains from now on, or goes at once if the group has no
/// delay. What is not registered is passed over, as is what drains already.
pub async fn deregister(
    state: &State,
    changes: &mut Changes,
    group: &Stored<TargetGroupRecord>,
    named: &[TargetName],
) -> Result<(), StateError> {
    let group = &group.record;
    for name in named {
        let port = name.port.unwrap_or(group.port);
        let key = keys::target(&group.scope, &group.id, &name.id, port);
        let Some(found) = state.get::<TargetRecord>(&key).await? else {
            continue;
        };
        if found.record.draining_since.is_some() {
            continue;
        }
        if group.deregistration_delay().is_zero() {
            changes.remove(&found);
            continue;
        }
        let mut record = found.record.clone();
        record.draining_since = Some(state.now());
        changes.replace(&found, &record);
    }
    Ok(())
}

/// All registered and draining targets of a group.
pub async fn of_group(
    state: &State,
    scope: &Scope,
    group_id: &str,
) -> Result<Vec<TargetRecord>, StateError> {
    let found = state.list(&keys::targets(scope, group_id)).await?;
    Ok(found.into_iter().map(|stored| stored.record).collect())
}
