//! Which subnets and security groups a load balancer may have.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use neargate_aws_api::elbv2::types::{
    InvalidSecurityGroupException, InvalidSubnetException, IpAddressType, SubnetMapping,
    SubnetNotFoundException,
};
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use crate::ec2::{
    Ec2LookupError, LoadBalancerInterface, SecurityGroupRecord, SubnetRecord,
    create_load_balancer_interface, default_security_group, has_internet_gateway,
    lookup_security_groups, lookup_subnets,
};
use crate::elbv2::records::{LoadBalancerKind, LoadBalancerRecord, ZoneRecord};
use crate::elbv2::{Elbv2Service, errors};
use crate::state::{Changes, State, Stored};

/// Security groups of an interface (quota).
const MAX_SECURITY_GROUPS: usize = 5;

/// A subnet that the caller names, perhaps with the address that the load balancer shall have in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedSubnet {
    pub id: String,
    pub address: Option<Ipv4Addr>,
}

/// Reads `Subnets` or `SubnetMappings`.
pub fn wanted_subnets(
    kind: LoadBalancerKind,
    internal: bool,
    subnets: Option<Vec<String>>,
    mappings: Option<Vec<SubnetMapping>>,
) -> Result<Vec<WantedSubnet>, ApiError> {
    let subnets = subnets.unwrap_or_default();
    let mappings = mappings.unwrap_or_default();
    if !subnets.is_empty() && !mappings.is_empty() {
        return Err(errors::validation(
            "You must specify either subnets or subnet mappings, but not both",
        ));
    }
    let mut wanted: Vec<WantedSubnet> = subnets
        .into_iter()
        .map(|id| WantedSubnet { id, address: None })
        .collect();
    for mapping in mappings {
        wanted.push(mapped_subnet(kind, internal, mapping)?);
    }
    if wanted.is_empty() {
        return Err(errors::validation("At least one subnet must be specified"));
    }
    let ids: BTreeSet<&str> = wanted.iter().map(|subnet| subnet.id.as_str()).collect();
    if ids.len() != wanted.len() {
        return Err(errors::configuration(
            "A subnet cannot be specified more than once",
        ));
    }
    Ok(wanted)
}

fn mapped_subnet(
    kind: LoadBalancerKind,
    internal: bool,
    mapping: SubnetMapping,
) -> Result<WantedSubnet, ApiError> {
    let id = mapping
        .subnet_id
        .ok_or_else(|| errors::validation("A subnet ID must be specified in a subnet mapping"))?;
    if mapping.allocation_id.is_some() {
        return Err(errors::not_built(
            "Elastic IP addresses of load balancers are",
        ));
    }
    if mapping.ipv6_address.is_some() || mapping.source_nat_ipv6_prefix.is_some() {
        return Err(errors::not_built("IPv6 addresses of load balancers are"));
    }
    let Some(text) = mapping.private_ipv4_address else {
        return Ok(WantedSubnet { id, address: None });
    };
    if kind == LoadBalancerKind::Application || !internal {
        return Err(errors::configuration(
            "You can specify a private IP address only for internal Network Load Balancers",
        ));
    }
    let address = text
        .parse()
        .map_err(|_| errors::validation(format!("'{text}' is not a valid IPv4 address")))?;
    Ok(WantedSubnet {
        id,
        address: Some(address),
    })
}

/// There is no IPv6 in Neargate's networks: no subnet has such a range.
pub fn check_ip_address_type(wanted: Option<IpAddressType>) -> Result<(), ApiError> {
    match wanted {
        None | Some(IpAddressType::Ipv4) => Ok(()),
        Some(_) => Err(errors::configuration(
            "You must specify subnets with an associated IPv6 CIDR block.",
        )),
    }
}

/// The subnets, if a load balancer of this kind may have them together.
pub async fn subnets(
    state: &State,
    scope: &Scope,
    kind: LoadBalancerKind,
    internal: bool,
    wanted: &[WantedSubnet],
) -> Result<Vec<Stored<SubnetRecord>>, ApiError> {
    let ids: Vec<&str> = wanted.iter().map(|subnet| subnet.id.as_str()).collect();
    let found = match lookup_subnets(state, scope, &ids).await {
        Ok(found) => found,
        Err(Ec2LookupError::SubnetNotFound(id)) => {
            return Err(SubnetNotFoundException::new(format!(
                "The subnet ID '{id}' does not exist"
            ))
            .into());
        }
        Err(error) => return Err(error.into()),
    };
    let zones: BTreeSet<&str> = found.iter().map(|s| s.record.zone.as_str()).collect();
    if kind == LoadBalancerKind::Application && found.len() < 2 {
        return Err(errors::validation(
            "At least two subnets in two different Availability Zones must be specified",
        ));
    }
    if zones.len() != found.len() {
        return Err(errors::configuration(
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        ));
    }
    // `wanted` is not empty.
    let vpc_id = &found[0].record.vpc_id;
    if found.iter().any(|subnet| subnet.record.vpc_id != *vpc_id) {
        return Err(errors::configuration(
            "All subnets of a load balancer must belong to the same VPC",
        ));
    }
    if !internal && !has_internet_gateway(state, scope, vpc_id).await? {
        return Err(
            InvalidSubnetException::new(format!("VPC {vpc_id} has no internet gateway")).into(),
        );
    }
    Ok(found)
}

/// The security groups of these ids; for an application load balancer that names none, the VPC's default one.
pub async fn security_groups(
    state: &State,
    scope: &Scope,
    kind: LoadBalancerKind,
    vpc_id: &str,
    ids: &[String],
) -> Result<Vec<Stored<SecurityGroupRecord>>, ApiError> {
    let invalid = |text: String| ApiError::from(InvalidSecurityGroupException::new(text));
    let ids: Vec<&String> = ids.iter().collect::<BTreeSet<_>>().into_iter().collect();
    if ids.is_empty() {
        return match kind {
            LoadBalancerKind::Application => {
                Ok(vec![default_security_group(state, scope, vpc_id).await?])
            }
            LoadBalancerKind::Network => Ok(Vec::new()),
        };
    }
    if ids.len() > MAX_SECURITY_GROUPS {
        return Err(errors::configuration(format!(
            "A load balancer can have at most {MAX_SECURITY_GROUPS} security groups"
        )));
    }
    let found = match lookup_security_groups(state, scope, &ids).await {
        Ok(found) => found,
        Err(Ec2LookupError::GroupNotFound(id)) => {
            return Err(invalid(format!("Security group {id} does not exist")));
        }
        Err(error) => return Err(error.into()),
    };
    match found.iter().find(|group| group.record.vpc_id != vpc_id) {
        None => Ok(found),
        Some(foreign) => Err(invalid(format!(
            "One or more security groups are invalid: {} is not in the VPC {vpc_id}",
            foreign.record.id
        ))),
    }
}

/// Gives the load balancer an address in a subnet, in the transaction that writes its record.
pub async fn enable_zone(
    service: &Elbv2Service,
    load_balancer: &LoadBalancerRecord,
    subnet: &Stored<SubnetRecord>,
    groups: &[Stored<SecurityGroupRecord>],
    address: Option<Ipv4Addr>,
    changes: &mut Changes,
) -> Result<ZoneRecord, ApiError> {
    let wanted = LoadBalancerInterface {
        subnet,
        security_groups: groups,
        address,
        internet_facing: !load_balancer.internal,
        load_balancer_arn: &load_balancer.arn(),
        full_name: &load_balancer.full_name(),
        now: service.state.now(),
    };
    let id = &subnet.record.id;
    let refuse = |text: String| Err(ApiError::from(InvalidSubnetException::new(text)));
    let made = create_load_balancer_interface(
        &service.state,
        &service.addresses,
        &load_balancer.scope,
        wanted,
        changes,
    )
    .await;
    match made {
        Ok(interface) => Ok(ZoneRecord {
            zone: interface.zone,
            subnet_id: interface.subnet_id,
            interface_id: interface.id,
            address: interface.private_ipv4_address,
            address_was_given: address.is_some(),
        }),
        Err(Ec2LookupError::NoFreeAddress) => {
            refuse(format!("Not enough IP space available in {id}."))
        }
        Err(Ec2LookupError::AddressInUse) => refuse(format!(
            "The private IP address is in use, or cannot be used in {id}."
        )),
        Err(error) => Err(error.into()),
    }
}
