//! Security groups: `groups` creates, describes and deletes them, `requests` has the operations on rules, `parse` reads
//! rules out of requests, `changes` edits them, `view` shows them as EC2 does, `rules` lists them one by one.

mod changes;
mod groups;
mod parse;
mod requests;
mod rules;
mod view;

pub use groups::{create, delete, describe};
pub use parse::ports;
pub use requests::{
    authorize_egress, authorize_ingress, modify_rules, revoke_egress, revoke_ingress,
    update_descriptions_egress, update_descriptions_ingress,
};
pub use rules::describe_rules;

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::errors;
use super::kind;
use super::records::SecurityGroupRecord;
use super::topology::{TopologyRecord, all_stored, get};
use crate::state::{State, Stored};

/// The two lists of a group's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    pub fn is_egress(self) -> bool {
        self == Self::Egress
    }
}

/// The group that a request means by id, or by name in the default VPC.
async fn find_group(
    state: &State,
    scope: &Scope,
    topology: &TopologyRecord,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Stored<SecurityGroupRecord>, ApiError> {
    match (id.filter(|id| !id.is_empty()), name) {
        (Some(id), _) => get(state, scope, id).await,
        (None, Some(name)) => {
            let groups = all_stored::<SecurityGroupRecord>(state, scope).await?;
            groups
                .into_iter()
                .find(|group| {
                    group.record.name == name
                        && topology.default_vpc_id.as_ref() == Some(&group.record.vpc_id)
                })
                .ok_or_else(|| kind::SECURITY_GROUP.not_found(name))
        }
        (None, None) => Err(errors::missing_parameter("groupName or groupId")),
    }
}
