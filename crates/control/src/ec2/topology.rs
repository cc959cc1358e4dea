//! Reading and changing the networks of one account and region.
//!
//! Every change to the topology (not to network interfaces) compares and rewrites one record, so that changes happen
//! one after the other and each may look at all records before it decides: overlapping CIDRs, taken names and
//! dependencies need no locks of their own. These calls are rare; tasks never wait for them.

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;
use serde::{Deserialize, Serialize};

use super::default_vpc;
use super::records::Ec2Record;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Exists from the first use of EC2 or ECS in its account and region on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopologyRecord {
    /// `None` after the default VPC was deleted. It only comes back by CreateDefaultVpc, as on AWS.
    pub default_vpc_id: Option<String>,
    /// The DHCP options that new VPCs get.
    pub dhcp_options_id: String,
}

fn key(scope: &Scope) -> String {
    format!("/ec2/{}/{}/topology", scope.account, scope.region)
}

/// Makes the default VPC with all that belongs to it, unless this account and region had one before.
pub async fn ensure_default_vpc(
    state: &State,
    scope: &Scope,
) -> Result<Stored<TopologyRecord>, StateError> {
    state
        .retrying(|| async {
            if let Some(found) = state.get(&key(scope)).await? {
                return Ok(found);
            }
            let mut changes = Changes::new();
            let topology = default_vpc::first_use(scope, &mut changes);
            changes.create(&key(scope), &topology);
            state.commit(changes).await?;
            // Committed by us or by somebody who was faster: the next try reads it.
            Err(Attempt::Conflict)
        })
        .await
}

/// A change to the topology.
pub struct TopologyChange {
    pub topology: Stored<TopologyRecord>,
    pub changes: Changes,
}

impl TopologyChange {
    /// Everything read after this is consistent with what the change will write.
    pub async fn begin(state: &State, scope: &Scope) -> Result<Self, StateError> {
        Ok(Self {
            topology: ensure_default_vpc(state, scope).await?,
            changes: Changes::new(),
        })
    }

    pub async fn commit(mut self, state: &State) -> Result<(), StateError> {
        let record = self.topology.record.clone();
        self.changes.replace(&self.topology, &record);
        state.commit(self.changes).await?;
        Ok(())
    }
}

/// The resource of that id, or EC2's error for an id that is malformed or unknown.
pub async fn get<T: Ec2Record>(
    state: &State,
    scope: &Scope,
    id: &str,
) -> Result<Stored<T>, ApiError> {
    T::KIND.check(id)?;
    let found = state.get(&T::KIND.key(scope, id)).await?;
    found.ok_or_else(|| T::KIND.not_found(id))
}

/// All resources of a kind.
pub async fn all<T: Ec2Record>(state: &State, scope: &Scope) -> Result<Vec<T>, StateError> {
    let found = all_stored(state, scope).await?;
    Ok(found.into_iter().map(|stored| stored.record).collect())
}

/// All resources of a kind, ready to be changed.
pub async fn all_stored<T: Ec2Record>(
    state: &State,
    scope: &Scope,
) -> Result<Vec<Stored<T>>, StateError> {
    state.list(&T::KIND.key_prefix(scope)).await
}
