//! Network ACLs: `entries` reads and edits their rules, `associations` says which subnet has which, `view` shows them as
//! EC2 does.

mod associations;
mod entries;
mod view;

pub use associations::{default_of, replace as replace_association};
pub use entries::{create as create_entry, delete as delete_entry, replace as replace_entry};

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::default_vpc::create as write_new;
use super::kind;
use super::records::*;
use super::select::{Query, select};
use super::topology::{TopologyChange, all, get};
use super::{errors, tags};
use crate::state::{Attempt, State};

/// Quota.
const MAX_ACLS_PER_VPC: usize = 200;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkAcls.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeNetworkAclsRequest,
) -> Result<DescribeNetworkAclsResult, ApiError> {
    let acls = all::<NetworkAclRecord>(state, scope).await?;
    let subnets = all::<SubnetRecord>(state, scope).await?;
    let query = Query {
        ids: input.network_acl_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let views = acls
        .iter()
        .map(|acl| view::of(scope, acl, &subnets))
        .collect();
    let (acls, next_token) = select(views, query)?;
    Ok(DescribeNetworkAclsResult {
        network_acls: Some(acls),
        next_token,
    })
}

/// One without entries, which lets nothing through, and that no subnet has yet.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkAcl.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateNetworkAclRequest,
) -> Result<CreateNetworkAclResult, ApiError> {
    let tags = tags::from_specifications(&kind::NETWORK_ACL, input.tag_specifications)?;
    let acl = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let vpc = get::<VpcRecord>(state, scope, &input.vpc_id).await?.record;
            let acls = all::<NetworkAclRecord>(state, scope).await?;
            if acls.iter().filter(|a| a.vpc_id == vpc.id).count() >= MAX_ACLS_PER_VPC {
                let error = "The maximum number of network ACLs has been reached.";
                return Err(ApiError::client("NetworkAclLimitExceeded", error).into());
            }
            let acl = NetworkAclRecord {
                id: kind::NETWORK_ACL.new_id(),
                vpc_id: vpc.id,
                is_default: false,
                entries: Vec::new(),
                tags: tags.clone(),
            };
            write_new(scope, &mut change.changes, &acl);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(acl)
        })
        .await?;
    Ok(CreateNetworkAclResult {
        network_acl: Some(view::of(scope, &acl, &[])),
        client_token: input.client_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNetworkAcl.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteNetworkAclRequest,
) -> Result<(), ApiError> {
    let id = &input.network_acl_id;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let acl = get::<NetworkAclRecord>(state, scope, id).await?;
            if acl.record.is_default {
                let error = format!("cannot delete default network ACL {id}");
                return Err(errors::invalid_value(error).into());
            }
            let subnets = all::<SubnetRecord>(state, scope).await?;
            if subnets.iter().any(|subnet| subnet.network_acl_id == *id) {
                return Err(errors::dependency_violation(format!(
                    "The networkAcl '{id}' has dependencies and cannot be deleted."
                ))
                .into());
            }
            change.changes.remove(&acl);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}
