//! Which subnet has which network ACL. Each has exactly one, so it can only be replaced.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::errors;
use super::super::kind;
use super::super::records::*;
use super::super::topology::{TopologyChange, all, all_stored, get};
use crate::state::{Attempt, State};

/// Id of the network ACL that new subnets of a VPC get.
pub async fn default_of(state: &State, scope: &Scope, vpc_id: &str) -> Result<String, ApiError> {
    let acls = all::<NetworkAclRecord>(state, scope).await?;
    let mut acls = acls.into_iter();
    let acl = acls.find(|acl| acl.vpc_id == vpc_id && acl.is_default);
    acl.map(|acl| acl.id).ok_or_else(ApiError::internal)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReplaceNetworkAclAssociation.html>
pub async fn replace(
    state: &State,
    scope: &Scope,
    input: ReplaceNetworkAclAssociationRequest,
) -> Result<ReplaceNetworkAclAssociationResult, ApiError> {
    let id = &input.association_id;
    kind::NETWORK_ACL_ASSOCIATION.check(id)?;
    let new_id = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let acl = get::<NetworkAclRecord>(state, scope, &input.network_acl_id).await?;
            let subnets = all_stored::<SubnetRecord>(state, scope).await?;
            let mut subnets = subnets.into_iter();
            let Some(subnet) = subnets.find(|s| s.record.acl_association_id == *id) else {
                return Err(kind::NETWORK_ACL_ASSOCIATION.not_found(id).into());
            };
            if acl.record.vpc_id != subnet.record.vpc_id {
                return Err(errors::invalid_value(format!(
                    "network ACL {} and subnet {} belong to different networks",
                    acl.record.id, subnet.record.id
                ))
                .into());
            }
            let mut record = subnet.record.clone();
            record.network_acl_id.clone_from(&acl.record.id);
            record.acl_association_id = kind::NETWORK_ACL_ASSOCIATION.new_id();
            change.changes.replace(&subnet, &record);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(record.acl_association_id)
        })
        .await?;
    Ok(ReplaceNetworkAclAssociationResult {
        new_association_id: Some(new_id),
    })
}
