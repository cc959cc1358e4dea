//! VPC endpoints: `create` and `modify` change them, `view` shows them, `services` says what there are endpoints of.
//!
//! They are records. An interface endpoint takes addresses of its subnets and uses its security groups, a gateway
//! endpoint shows in its route tables; no packet goes through them, and Neargate's own services are reached without.

mod create;
mod modify;
mod services;
mod view;

pub use create::create;
pub use modify::modify;
pub use services::{
    describe_managed_prefix_lists, describe_prefix_lists, describe_services, prefix_list_entries,
    prefix_list_of,
};

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::kind;
use super::records::*;
use super::select::{Query, select};
use super::task_interfaces::release_interface;
use super::topology::{TopologyChange, all, all_stored, get};
use crate::state::{Attempt, Changes, State, StateError};

/// Endpoints of one DeleteVpcEndpoints.
const MAX_DELETED: usize = 25;

impl VpcEndpointRecord {
    pub fn is_in_table(&self, table_id: &str) -> bool {
        match &self.kind {
            VpcEndpointKind::Gateway { route_table_ids } => {
                route_table_ids.iter().any(|id| id == table_id)
            }
            VpcEndpointKind::Interface { .. } => false,
        }
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcEndpoints.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeVpcEndpointsRequest,
) -> Result<DescribeVpcEndpointsResult, ApiError> {
    let endpoints = all::<VpcEndpointRecord>(state, scope).await?;
    let groups = all::<SecurityGroupRecord>(state, scope).await?;
    let now = state.now();
    let views = endpoints.iter().map(|e| view::of(scope, e, &groups, now));
    let query = Query {
        ids: input.vpc_endpoint_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    }
    .of_ids_or_page();
    let (endpoints, next_token) = select(views.collect(), query)?;
    Ok(DescribeVpcEndpointsResult {
        vpc_endpoints: Some(endpoints),
        next_token,
    })
}

/// Deletes what it can; the answer names the others.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpcEndpoints.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteVpcEndpointsRequest,
) -> Result<DeleteVpcEndpointsResult, ApiError> {
    if input.vpc_endpoint_ids.len() > MAX_DELETED {
        return Err(super::errors::invalid_value(format!(
            "At most {MAX_DELETED} VPC endpoints can be deleted at once."
        )));
    }
    let mut unsuccessful = Vec::new();
    for id in &input.vpc_endpoint_ids {
        if let Err(error) = delete_one(state, scope, id).await {
            unsuccessful.push(UnsuccessfulItem {
                resource_id: Some(id.clone()),
                error: Some(UnsuccessfulItemError {
                    code: Some(error.code.to_string()),
                    message: Some(error.message),
                }),
            });
        }
    }
    Ok(DeleteVpcEndpointsResult {
        unsuccessful: Some(unsuccessful),
    })
}

async fn delete_one(state: &State, scope: &Scope, id: &str) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let endpoint = get::<VpcEndpointRecord>(state, scope, id).await?;
            if let VpcEndpointKind::Interface { interfaces, .. } = &endpoint.record.kind {
                for interface in interfaces {
                    let id = &interface.network_interface_id;
                    release(state, scope, id, &mut change.changes).await?;
                }
            }
            change.changes.remove(&endpoint);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

async fn release(
    state: &State,
    scope: &Scope,
    interface_id: &str,
    changes: &mut Changes,
) -> Result<(), StateError> {
    let key = kind::NETWORK_INTERFACE.key(scope, interface_id);
    if let Some(interface) = state.get::<NetworkInterfaceRecord>(&key).await? {
        release_interface(scope, &interface.record, changes);
    }
    Ok(())
}

/// A route table that goes is no longer one of any endpoint's.
pub async fn leave_table(
    state: &State,
    scope: &Scope,
    table_id: &str,
    changes: &mut Changes,
) -> Result<(), StateError> {
    for endpoint in all_stored::<VpcEndpointRecord>(state, scope).await? {
        let mut record = endpoint.record.clone();
        if let VpcEndpointKind::Gateway { route_table_ids } = &mut record.kind {
            route_table_ids.retain(|id| id != table_id);
        }
        if record != endpoint.record {
            changes.replace(&endpoint, &record);
        }
    }
    Ok(())
}
