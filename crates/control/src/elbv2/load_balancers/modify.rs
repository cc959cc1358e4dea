//! SetSubnets, SetSecurityGroups and SetIpAddressType.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{placement, view};
use crate::ec2::{release_load_balancer_interface, set_interface_groups};
use crate::elbv2::records::LoadBalancerKind;
use crate::elbv2::{Elbv2Service, errors, lookup};
use crate::scope_of;
use crate::state::{Attempt, Changes};

/// Subnets that stay keep their address.
///
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSubnets.html>
pub async fn set_subnets(
    service: &Elbv2Service,
    context: &RequestContext,
    input: SetSubnetsInput,
) -> Result<SetSubnetsOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    placement::check_ip_address_type(input.ip_address_type)?;
    let arn = &input.load_balancer_arn;
    let record = state
        .retrying(|| async {
            let found = lookup::load_balancer(state, &scope, arn).await?;
            let mut record = found.record.clone();
            let (kind, internal) = (record.kind, record.internal);
            let (subnets, mappings) = (input.subnets.clone(), input.subnet_mappings.clone());
            let wanted = placement::wanted_subnets(kind, internal, subnets, mappings)?;
            let subnets = placement::subnets(state, &scope, kind, internal, &wanted).await?;
            if subnets.iter().any(|s| s.record.vpc_id != record.vpc_id) {
                return Err(errors::configuration(
                    "All subnets of a load balancer must belong to the same VPC",
                )
                .into());
            }
            let ids = &record.security_group_ids;
            let groups =
                placement::security_groups(state, &scope, kind, &record.vpc_id, ids).await?;
            let mut changes = Changes::new();
            let before = std::mem::take(&mut record.zones);
            for (subnet, wanted) in subnets.iter().zip(&wanted) {
                let kept = before.iter().find(|zone| zone.subnet_id == wanted.id);
                let zone = match kept {
                    Some(zone) => zone.clone(),
                    None => {
                        let address = wanted.address;
                        placement::enable_zone(
                            service,
                            &record,
                            subnet,
                            &groups,
                            address,
                            &mut changes,
                        )
                        .await?
                    }
                };
                record.zones.push(zone);
            }
            record.zones.sort_by(|a, b| a.zone.cmp(&b.zone));
            for zone in before.iter().filter(|zone| !record.zones.contains(zone)) {
                let id = &zone.interface_id;
                let (subnet, address) = (&zone.subnet_id, zone.address);
                release_load_balancer_interface(&scope, subnet, address, id, &mut changes);
            }
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(SetSubnetsOutput {
        availability_zones: Some(view::zones(&record)),
        ip_address_type: Some(IpAddressType::Ipv4),
        enable_prefix_for_ipv6_source_nat: None,
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetSecurityGroups.html>
pub async fn set_security_groups(
    service: &Elbv2Service,
    context: &RequestContext,
    input: SetSecurityGroupsInput,
) -> Result<SetSecurityGroupsOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let ids = &input.security_groups;
    if ids.is_empty() {
        return Err(errors::configuration(
            "At least one security group must be specified",
        ));
    }
    let record = state
        .retrying(|| async {
            let found = lookup::load_balancer(state, &scope, &input.load_balancer_arn).await?;
            let mut record = found.record.clone();
            if record.kind == LoadBalancerKind::Network && record.security_group_ids.is_empty() {
                return Err(errors::configuration(
                    "You cannot set security groups on a Network Load Balancer that was created without security groups",
                )
                .into());
            }
            let groups =
                placement::security_groups(state, &scope, record.kind, &record.vpc_id, ids).await?;
            let mut changes = Changes::new();
            for zone in &record.zones {
                let id = &zone.interface_id;
                set_interface_groups(state, &scope, id, &groups, &mut changes)
                    .await
                    .map_err(ApiError::from)?;
            }
            record.security_group_ids = groups.iter().map(|g| g.record.id.clone()).collect();
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    let network = record.kind == LoadBalancerKind::Network;
    Ok(SetSecurityGroupsOutput {
        security_group_ids: Some(record.security_group_ids),
        enforce_security_group_inbound_rules_on_private_link_traffic: network.then(|| {
            input
                .enforce_security_group_inbound_rules_on_private_link_traffic
                .unwrap_or_default()
        }),
    })
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_SetIpAddressType.html>
pub async fn set_ip_address_type(
    service: &Elbv2Service,
    context: &RequestContext,
    input: SetIpAddressTypeInput,
) -> Result<SetIpAddressTypeOutput, ApiError> {
    lookup::load_balancer(&service.state, &scope_of(context), &input.load_balancer_arn).await?;
    placement::check_ip_address_type(Some(input.ip_address_type))?;
    Ok(SetIpAddressTypeOutput {
        ip_address_type: Some(IpAddressType::Ipv4),
    })
}
