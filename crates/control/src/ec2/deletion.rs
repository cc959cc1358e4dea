//! Deleting what a network interface may begin to use at the same moment.
//!
//! Interfaces are created around the topology's record, so that launches do not wait for each other. A deletion of
//! their subnet or group therefore has two steps: it marks the record, then looks for interfaces, then removes the
//! record as it was marked. An interface that comes in between must unmark the record in its own transaction, which
//! makes the removal fail. A mark that is left behind by a crash does nothing until then.

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::records::*;
use super::topology::{TopologyChange, all, get};
use crate::state::{Attempt, State, Stored};

/// A record that interfaces refer to.
pub trait UsedByInterfaces: Ec2Record {
    fn deletion_wanted(&mut self) -> &mut bool;
    fn is_used_by(&self, interface: &NetworkInterfaceRecord) -> bool;
}

impl UsedByInterfaces for SubnetRecord {
    fn deletion_wanted(&mut self) -> &mut bool {
        &mut self.deletion_wanted
    }
    fn is_used_by(&self, interface: &NetworkInterfaceRecord) -> bool {
        interface.subnet_id == self.id
    }
}

impl UsedByInterfaces for SecurityGroupRecord {
    fn deletion_wanted(&mut self) -> &mut bool {
        &mut self.deletion_wanted
    }
    fn is_used_by(&self, interface: &NetworkInterfaceRecord) -> bool {
        interface.security_group_ids.contains(&self.id)
    }
}

/// Marks the record of that id and begins a change that may remove it. `None`: an interface uses it.
pub async fn begin_removal<T: UsedByInterfaces>(
    state: &State,
    scope: &Scope,
    id: &str,
) -> Result<Option<(TopologyChange, Stored<T>)>, Attempt<ApiError>> {
    let mut mark = TopologyChange::begin(state, scope).await?;
    let found = get::<T>(state, scope, id).await?;
    if is_used(state, scope, &found.record).await? {
        return Ok(None);
    }
    let mut marked = found.record.clone();
    *marked.deletion_wanted() = true;
    mark.changes.replace(&found, &marked);
    mark.commit(state).await?;

    let change = TopologyChange::begin(state, scope).await?;
    let found = get::<T>(state, scope, id).await?;
    if is_used(state, scope, &found.record).await? {
        return Ok(None);
    }
    if !*found.record.clone().deletion_wanted() {
        // An interface came and went.
        return Err(Attempt::Conflict);
    }
    Ok(Some((change, found)))
}

async fn is_used<T: UsedByInterfaces>(
    state: &State,
    scope: &Scope,
    record: &T,
) -> Result<bool, ApiError> {
    let interfaces = all::<NetworkInterfaceRecord>(state, scope).await?;
    Ok(interfaces.iter().any(|i| record.is_used_by(i)))
}
