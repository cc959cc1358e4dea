//! Making VPC endpoints.

use std::time::Duration;

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::id::ec2_id;
use neargate_domain::{Scope, Timestamp};

use super::super::addresses::AddressPool;
use super::super::default_vpc::create as write_new;
use super::super::interfaces::free_address;
use super::super::kind;
use super::super::lookup::{default_security_group, lookup_security_groups};
use super::super::records::*;
use super::super::task_interfaces::{new_interface, write_interface};
use super::super::topology::{TopologyChange, all, get};
use super::super::{errors, tags};
use super::{services, view};
use crate::state::{Attempt, Changes, State, Stored};

/// How long an interface endpoint is `pending`. A minute or two on AWS; here just long enough to be seen.
const CREATION: Duration = Duration::from_secs(1);

/// Quota of each type.
const MAX_PER_VPC: usize = 50;
/// Characters of a policy: 20,480 is AWS's limit.
const MAX_POLICY: usize = 20_480;

/// What an endpoint is made of, for [`Plan::add_interface`].
pub struct Plan<'a> {
    pub state: &'a State,
    pub pool: &'a AddressPool,
    pub scope: &'a Scope,
    pub endpoint_id: &'a str,
    pub vpc_id: &'a str,
    pub groups: &'a [Stored<SecurityGroupRecord>],
    pub now: Timestamp,
}

impl Plan<'_> {
    /// An interface in a subnet of the endpoint's VPC.
    pub async fn add_interface(
        &self,
        subnet_id: &str,
        address: Option<&str>,
        changes: &mut Changes,
    ) -> Result<EndpointInterfaceRecord, ApiError> {
        let scope = self.scope;
        let subnet = get::<SubnetRecord>(self.state, scope, subnet_id).await?;
        if subnet.record.vpc_id != self.vpc_id {
            return Err(ApiError::client(
                "InvalidParameter",
                format!("Subnet {subnet_id} does not belong to VPC {}", self.vpc_id),
            ));
        }
        let address = free_address(self.state, self.pool, scope, &subnet.record, address).await?;
        let group_ids = self.groups.iter().map(|g| g.record.id.clone()).collect();
        let mut interface = new_interface(scope, &subnet.record, address, group_ids, self.now);
        interface.description = format!("VPC Endpoint Interface {}", self.endpoint_id);
        interface.attachment = Some(AttachmentRecord {
            id: ec2_id("eni-attach", &mut rand::rng()),
            owner_arn: scope
                .arn("ec2", format_args!("vpc-endpoint/{}", self.endpoint_id))
                .to_string(),
            attached_at: self.now,
        });
        write_interface(scope, &interface, &subnet, self.groups, changes);
        Ok(EndpointInterfaceRecord {
            subnet_id: subnet_id.to_owned(),
            zone: subnet.record.zone,
            network_interface_id: interface.id,
            private_ipv4_address: address,
        })
    }
}

/// A policy that is given, of a length that AWS takes.
pub fn checked_policy(policy: Option<String>) -> Result<Option<String>, ApiError> {
    let policy = policy.filter(|policy| !policy.is_empty());
    match policy {
        Some(policy) if policy.len() > MAX_POLICY => Err(errors::invalid_value(format!(
            "The policy has more than {MAX_POLICY} characters."
        ))),
        policy => Ok(policy),
    }
}

/// The security groups of these ids, all of the VPC.
pub async fn groups_of(
    state: &State,
    scope: &Scope,
    vpc_id: &str,
    ids: &[String],
) -> Result<Vec<Stored<SecurityGroupRecord>>, ApiError> {
    for id in ids {
        kind::SECURITY_GROUP.check(id)?;
    }
    let groups = lookup_security_groups(state, scope, ids).await?;
    match groups.iter().find(|group| group.record.vpc_id != vpc_id) {
        None => Ok(groups),
        Some(foreign) => Err(ApiError::client(
            "InvalidParameter",
            format!(
                "Security group {} does not belong to VPC {vpc_id}",
                foreign.record.id
            ),
        )),
    }
}

/// Refuses route tables of other VPCs.
pub async fn check_tables(
    state: &State,
    scope: &Scope,
    vpc_id: &str,
    ids: &[String],
) -> Result<(), ApiError> {
    for id in ids {
        let table = get::<RouteTableRecord>(state, scope, id).await?.record;
        if table.vpc_id != vpc_id {
            return Err(ApiError::client(
                "InvalidParameter",
                format!("Route table {id} does not belong to VPC {vpc_id}"),
            ));
        }
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpcEndpoint.html>
pub async fn create(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    input: CreateVpcEndpointRequest,
) -> Result<CreateVpcEndpointResult, ApiError> {
    let is_gateway = match input.vpc_endpoint_type {
        None | Some(VpcEndpointType::Gateway) => true,
        Some(VpcEndpointType::Interface) => false,
        Some(_) => return Err(errors::unsupported("vpcEndpointType")),
    };
    if !matches!(input.ip_address_type, None | Some(IpAddressType::Ipv4)) {
        return Err(errors::unsupported("ipAddressType"));
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if given(&input.service_region).is_some_and(|region| region != scope.region) {
        return Err(errors::unsupported("serviceRegion"));
    }
    let service_name =
        given(&input.service_name).ok_or_else(|| errors::missing_parameter("ServiceName"))?;
    services::check(scope, &service_name, is_gateway)?;
    let token = given(&input.client_token);
    let policy = checked_policy(input.policy_document.clone())?;
    let tags = tags::from_specifications(&kind::VPC_ENDPOINT, input.tag_specifications.clone())?;
    let (subnets, tables) = (wanted_subnets(&input), list(&input.route_table_ids));
    let group_ids = list(&input.security_group_ids);
    for (name, wrong) in [
        ("subnetIds", is_gateway && !subnets.is_empty()),
        ("securityGroupIds", is_gateway && !group_ids.is_empty()),
        (
            "privateDnsEnabled",
            is_gateway && input.private_dns_enabled == Some(true),
        ),
        ("routeTableIds", !is_gateway && !tables.is_empty()),
    ] {
        if wrong {
            let kind = if is_gateway { "Gateway" } else { "Interface" };
            return Err(ApiError::client(
                "InvalidParameter",
                format!("The parameter {name} is not supported for endpoints of type {kind}."),
            ));
        }
    }
    let endpoint = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let vpc = get::<VpcRecord>(state, scope, &input.vpc_id).await?.record;
            let endpoints = all::<VpcEndpointRecord>(state, scope).await?;
            let again = endpoints
                .iter()
                .find(|e| token.is_some() && e.client_token == token);
            if let Some(again) = again {
                return Ok(again.clone());
            }
            check_count(&endpoints, &vpc.id, is_gateway)?;
            let now = state.now();
            let id = kind::VPC_ENDPOINT.new_id();
            let mut endpoint = VpcEndpointRecord {
                id: id.clone(),
                vpc_id: vpc.id.clone(),
                service_name: service_name.clone(),
                kind: VpcEndpointKind::Gateway {
                    route_table_ids: tables.clone(),
                },
                policy: policy.clone(),
                // The API's default of interface endpoints.
                private_dns: !is_gateway && input.private_dns_enabled != Some(false),
                client_token: token.clone(),
                created_at: now,
                available_at: now,
                tags: tags.clone(),
            };
            if is_gateway {
                check_tables(state, scope, &vpc.id, &tables).await?;
                check_routes(&endpoints, &endpoint)?;
            } else {
                check_private_dns(&vpc, &endpoints, &endpoint)?;
                let mut groups = groups_of(state, scope, &vpc.id, &group_ids).await?;
                if groups.is_empty() {
                    groups.push(
                        default_security_group(state, scope, &vpc.id)
                            .await
                            .map_err(ApiError::from)?,
                    );
                }
                let plan = Plan {
                    state,
                    pool,
                    scope,
                    endpoint_id: &id,
                    vpc_id: &vpc.id,
                    groups: &groups,
                    now,
                };
                let mut interfaces: Vec<EndpointInterfaceRecord> = Vec::new();
                for (subnet_id, address) in &subnets {
                    let address = address.as_deref();
                    let new = plan
                        .add_interface(subnet_id, address, &mut change.changes)
                        .await?;
                    check_zone(&interfaces, &new)?;
                    interfaces.push(new);
                }
                endpoint.kind = VpcEndpointKind::Interface {
                    security_group_ids: groups.iter().map(|g| g.record.id.clone()).collect(),
                    interfaces,
                };
                let pending = state.clock().scaled(CREATION).as_millis();
                endpoint.available_at = now.plus_millis(i64::try_from(pending).unwrap_or(0));
            }
            write_new(scope, &mut change.changes, &endpoint);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(endpoint)
        })
        .await?;
    let groups = all::<SecurityGroupRecord>(state, scope).await?;
    Ok(CreateVpcEndpointResult {
        client_token: input.client_token,
        vpc_endpoint: Some(view::of(scope, &endpoint, &groups, state.now())),
    })
}

fn list(ids: &Option<Vec<String>>) -> Vec<String> {
    let mut seen = Vec::new();
    for id in ids.iter().flatten() {
        if !seen.contains(id) {
            seen.push(id.clone());
        }
    }
    seen
}

/// Each subnet with the address that is wanted in it, if any.
fn wanted_subnets(input: &CreateVpcEndpointRequest) -> Vec<(String, Option<String>)> {
    configured_subnets(&input.subnet_ids, &input.subnet_configurations)
}

pub fn configured_subnets(
    ids: &Option<Vec<String>>,
    configurations: &Option<Vec<SubnetConfiguration>>,
) -> Vec<(String, Option<String>)> {
    let mut subnets: Vec<(String, Option<String>)> =
        list(ids).into_iter().map(|id| (id, None)).collect();
    for configuration in configurations.iter().flatten() {
        let Some(id) = &configuration.subnet_id else {
            continue;
        };
        let address = configuration.ipv4.clone().filter(|text| !text.is_empty());
        match subnets.iter_mut().find(|(known, _)| known == id) {
            Some((_, known)) => *known = address,
            None => subnets.push((id.clone(), address)),
        }
    }
    subnets
}

fn check_count(
    endpoints: &[VpcEndpointRecord],
    vpc_id: &str,
    is_gateway: bool,
) -> Result<(), ApiError> {
    let is_of = |e: &&VpcEndpointRecord| {
        e.vpc_id == vpc_id && matches!(e.kind, VpcEndpointKind::Gateway { .. }) == is_gateway
    };
    if endpoints.iter().filter(is_of).count() < MAX_PER_VPC {
        return Ok(());
    }
    Err(ApiError::client(
        "VpcEndpointLimitExceeded",
        "The maximum number of VPC endpoints has been reached.",
    ))
}

/// A route table leads to a service through one gateway endpoint.
pub fn check_routes(
    endpoints: &[VpcEndpointRecord],
    endpoint: &VpcEndpointRecord,
) -> Result<(), ApiError> {
    let others = endpoints
        .iter()
        .filter(|other| other.id != endpoint.id && other.service_name == endpoint.service_name);
    let VpcEndpointKind::Gateway { route_table_ids } = &endpoint.kind else {
        return Ok(());
    };
    for other in others {
        if let Some(table) = route_table_ids.iter().find(|id| other.is_in_table(id)) {
            return Err(errors::conflict(
                "RouteAlreadyExists",
                format!(
                    "route table {table} already has a route with destination-prefix-list-id of {}",
                    endpoint.service_name
                ),
            ));
        }
    }
    Ok(())
}

/// The service's own name can mean one endpoint of a VPC, and needs the VPC's DNS.
pub fn check_private_dns(
    vpc: &VpcRecord,
    endpoints: &[VpcEndpointRecord],
    endpoint: &VpcEndpointRecord,
) -> Result<(), ApiError> {
    if !endpoint.private_dns {
        return Ok(());
    }
    if !(vpc.dns_support && vpc.dns_hostnames) {
        return Err(ApiError::client(
            "InvalidParameter",
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for \
             this VPC.",
        ));
    }
    let mut others = endpoints
        .iter()
        .filter(|other| other.id != endpoint.id && other.vpc_id == vpc.id && other.private_dns);
    if others.any(|other| other.service_name == endpoint.service_name) {
        return Err(ApiError::client(
            "InvalidParameter",
            format!(
                "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {} in the VPC {}",
                endpoint.service_name, vpc.id
            ),
        ));
    }
    Ok(())
}

/// An endpoint has one subnet in each zone.
pub fn check_zone(
    interfaces: &[EndpointInterfaceRecord],
    new: &EndpointInterfaceRecord,
) -> Result<(), ApiError> {
    if interfaces.iter().all(|known| known.zone != new.zone) {
        return Ok(());
    }
    Err(ApiError::client(
        "DuplicateSubnetsInSameZone",
        "Found another VPC endpoint subnet in the availability zone of the subnet.",
    ))
}
