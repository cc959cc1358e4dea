//! Changing VPC endpoints.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::addresses::AddressPool;
use super::super::errors;
use super::super::load_balancer_interfaces::set_interface_groups;
use super::super::records::*;
use super::super::topology::{TopologyChange, all, get};
use super::create::{
    Plan, check_private_dns, check_routes, check_tables, check_zone, checked_policy,
    configured_subnets, groups_of,
};
use super::release;
use crate::state::{Attempt, State};

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcEndpoint.html>
pub async fn modify(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    input: ModifyVpcEndpointRequest,
) -> Result<ModifyVpcEndpointResult, ApiError> {
    if !matches!(input.ip_address_type, None | Some(IpAddressType::Ipv4)) {
        return Err(errors::unsupported("ipAddressType"));
    }
    let policy = checked_policy(input.policy_document.clone())?;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let found = get::<VpcEndpointRecord>(state, scope, &input.vpc_endpoint_id).await?;
            let mut record = found.record.clone();
            if input.reset_policy == Some(true) {
                record.policy = None;
            } else if policy.is_some() {
                record.policy.clone_from(&policy);
            }
            let endpoints = all::<VpcEndpointRecord>(state, scope).await?;
            match &mut record.kind {
                VpcEndpointKind::Gateway { route_table_ids } => {
                    let add = input.add_route_table_ids.clone().unwrap_or_default();
                    check_tables(state, scope, &found.record.vpc_id, &add).await?;
                    edit_ids(route_table_ids, &add, &input.remove_route_table_ids);
                    check_routes(&endpoints, &record)?;
                }
                VpcEndpointKind::Interface { .. } => {
                    let vpc = get::<VpcRecord>(state, scope, &record.vpc_id).await?.record;
                    record.private_dns = input.private_dns_enabled.unwrap_or(record.private_dns);
                    check_private_dns(&vpc, &endpoints, &record)?;
                    edit_interfaces(state, pool, scope, &input, &mut record, &mut change).await?;
                }
            }
            change.changes.replace(&found, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(ModifyVpcEndpointResult {
        r#return: Some(true),
    })
}

fn edit_ids(ids: &mut Vec<String>, add: &[String], remove: &Option<Vec<String>>) {
    for id in add {
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    let removed = remove.as_deref().unwrap_or_default();
    ids.retain(|id| !removed.contains(id));
}

/// Subnets and security groups of an interface endpoint. Every interface has all of its groups.
async fn edit_interfaces(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    input: &ModifyVpcEndpointRequest,
    record: &mut VpcEndpointRecord,
    change: &mut TopologyChange,
) -> Result<(), ApiError> {
    let VpcEndpointKind::Interface {
        security_group_ids,
        interfaces,
    } = &mut record.kind
    else {
        return Ok(());
    };
    let before = security_group_ids.clone();
    let add = input.add_security_group_ids.as_deref().unwrap_or_default();
    edit_ids(security_group_ids, add, &input.remove_security_group_ids);
    if security_group_ids.is_empty() {
        return Err(ApiError::client(
            "InvalidParameter",
            "An interface endpoint must have at least one security group.",
        ));
    }
    let groups = groups_of(state, scope, &record.vpc_id, security_group_ids).await?;
    let removed = input.remove_subnet_ids.as_deref().unwrap_or_default();
    let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(interfaces)
        .into_iter()
        .partition(|interface| removed.contains(&interface.subnet_id));
    for interface in gone {
        let id = &interface.network_interface_id;
        release(state, scope, id, &mut change.changes).await?;
    }
    if before != *security_group_ids {
        for interface in &kept {
            let id = &interface.network_interface_id;
            set_interface_groups(state, scope, id, &groups, &mut change.changes).await?;
        }
    }
    *interfaces = kept;
    let plan = Plan {
        state,
        pool,
        scope,
        endpoint_id: &record.id,
        vpc_id: &record.vpc_id,
        groups: &groups,
        now: state.now(),
    };
    for (subnet_id, address) in
        configured_subnets(&input.add_subnet_ids, &input.subnet_configurations)
    {
        if interfaces.iter().any(|i| i.subnet_id == subnet_id) {
            continue;
        }
        let address = address.as_deref();
        let changes = &mut change.changes;
        let new = plan.add_interface(&subnet_id, address, changes).await?;
        check_zone(interfaces, &new)?;
        interfaces.push(new);
    }
    Ok(())
}
