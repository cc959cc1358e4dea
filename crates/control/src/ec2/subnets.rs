//! Subnets.

use std::collections::HashMap;

use ipnet::Ipv4Net;
use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::addresses::{address_prefix, usable_addresses};
use super::default_vpc::{DEFAULT_SUBNET_PREFIX_LEN, create as write_new, new_subnet};
use super::deletion::begin_removal;
use super::filters::{Accessor, shown, text};
use super::kind::{self, Kind};
use super::records::*;
use super::select::{Listed, Query, select};
use super::topology::{TopologyChange, all, all_stored, get};
use super::vpcs::parse_cidr;
use super::zones::{Zone, zones_of};
use super::{errors, network_acls, tags};
use crate::state::{Attempt, State, StateError, prefix_range};

/// Quota.
const MAX_SUBNETS_PER_VPC: usize = 200;

fn view(scope: &Scope, subnet: &SubnetRecord, taken: u32) -> Subnet {
    let free = usable_addresses(subnet.cidr).saturating_sub(taken);
    Subnet {
        assign_ipv6_address_on_creation: Some(false),
        availability_zone: Some(subnet.zone.clone()),
        availability_zone_id: Some(subnet.zone_id.clone()),
        available_ip_address_count: Some(i32::try_from(free).unwrap_or(i32::MAX)),
        cidr_block: Some(subnet.cidr.to_string()),
        default_for_az: Some(subnet.default_for_az),
        enable_dns64: Some(false),
        ipv6_cidr_block_association_set: Some(Vec::new()),
        ipv6_native: Some(false),
        map_customer_owned_ip_on_launch: Some(false),
        map_public_ip_on_launch: Some(subnet.map_public_ip),
        owner_id: Some(scope.account.clone()),
        private_dns_name_options_on_launch: Some(PrivateDnsNameOptionsOnLaunch {
            enable_resource_name_dns_aaaa_record: Some(false),
            enable_resource_name_dns_a_record: Some(false),
            hostname_type: Some(HostnameType::IpName),
        }),
        state: Some(SubnetState::Available),
        subnet_arn: Some(
            scope
                .arn("ec2", format_args!("subnet/{}", subnet.id))
                .to_string(),
        ),
        subnet_id: Some(subnet.id.clone()),
        tags: tags::view(&subnet.tags),
        vpc_id: Some(subnet.vpc_id.clone()),
        ..Default::default()
    }
}

impl Listed for Subnet {
    const KIND: &'static Kind = &kind::SUBNET;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("availability-zone", |s| text(&s.availability_zone)),
        ("availabilityZone", |s| text(&s.availability_zone)),
        ("availability-zone-id", |s| text(&s.availability_zone_id)),
        ("availabilityZoneId", |s| text(&s.availability_zone_id)),
        ("available-ip-address-count", |s| {
            shown(s.available_ip_address_count)
        }),
        ("cidr", |s| text(&s.cidr_block)),
        ("cidr-block", |s| text(&s.cidr_block)),
        ("cidrBlock", |s| text(&s.cidr_block)),
        ("default-for-az", |s| shown(s.default_for_az)),
        ("defaultForAz", |s| shown(s.default_for_az)),
        ("enable-dns64", |s| shown(s.enable_dns64)),
        ("ipv6-cidr-block-association.association-id", |_| Vec::new()),
        ("ipv6-cidr-block-association.ipv6-cidr-block", |_| {
            Vec::new()
        }),
        ("ipv6-cidr-block-association.state", |_| Vec::new()),
        ("ipv6-native", |s| shown(s.ipv6_native)),
        ("map-public-ip-on-launch", |s| {
            shown(s.map_public_ip_on_launch)
        }),
        ("outpost-arn", |s| text(&s.outpost_arn)),
        ("owner-id", |s| text(&s.owner_id)),
        ("state", |s| shown(s.state)),
        ("subnet-arn", |s| text(&s.subnet_arn)),
        ("subnet-id", |s| text(&s.subnet_id)),
        ("vpc-id", |s| text(&s.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.subnet_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSubnets.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeSubnetsRequest,
) -> Result<DescribeSubnetsResult, ApiError> {
    let subnets = all::<SubnetRecord>(state, scope).await?;
    let taken = taken_addresses(state, scope).await?;
    let count = |subnet: &SubnetRecord| taken.get(&subnet.id).copied().unwrap_or(0);
    let views = subnets.iter().map(|s| view(scope, s, count(s))).collect();
    let query = Query {
        ids: input.subnet_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (subnets, next_token) = select(views, query)?;
    Ok(DescribeSubnetsResult {
        subnets: Some(subnets),
        next_token,
    })
}

/// How many addresses of each subnet are taken.
async fn taken_addresses(state: &State, scope: &Scope) -> Result<HashMap<String, u32>, ApiError> {
    let prefix = address_prefix(scope, "");
    // "<prefix>/<subnet>/<address>": the prefix of no subnet ends in two slashes.
    let prefix = &prefix[..prefix.len() - 1];
    let found = state
        .store()
        .range(prefix_range(prefix), 0)
        .await
        .map_err(StateError::from)?;
    let mut taken = HashMap::new();
    for entry in found.entries {
        let rest = entry.key.strip_prefix(prefix.as_bytes());
        let subnet_id = rest.and_then(|rest| rest.split(|b| *b == b'/').next());
        if let Some(Ok(subnet_id)) = subnet_id.map(std::str::from_utf8) {
            *taken.entry(subnet_id.to_owned()).or_default() += 1;
        }
    }
    Ok(taken)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSubnet.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateSubnetRequest,
) -> Result<CreateSubnetResult, ApiError> {
    if input.ipv6_cidr_block.is_some() || input.ipv6_native == Some(true) {
        return Err(errors::unsupported("ipv6CidrBlock"));
    }
    if input.outpost_arn.is_some() {
        return Err(errors::unsupported("outpostArn"));
    }
    let text = input
        .cidr_block
        .ok_or_else(|| errors::missing_parameter("cidrBlock"))?;
    let cidr = parse_cidr(&text).ok_or_else(|| {
        errors::invalid_parameter("cidrBlock", &text, "This is not a valid CIDR block.")
    })?;
    let zone = zone(scope, input.availability_zone, input.availability_zone_id)?;
    let tags = tags::from_specifications(&kind::SUBNET, input.tag_specifications)?;
    let subnet = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let vpc = get::<VpcRecord>(state, scope, &input.vpc_id).await?.record;
            check_cidr(state, scope, &vpc, cidr).await?;
            let mut subnet = new_subnet(
                &vpc.id,
                cidr,
                zone.clone(),
                &network_acls::default_of(state, scope, &vpc.id).await?,
            );
            subnet.tags.clone_from(&tags);
            write_new(scope, &mut change.changes, &subnet);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(subnet)
        })
        .await?;
    Ok(CreateSubnetResult {
        subnet: Some(view(scope, &subnet, 0)),
    })
}

/// The zone that the caller names, or the first.
fn zone(scope: &Scope, name: Option<String>, id: Option<String>) -> Result<Zone, ApiError> {
    let zones = zones_of(&scope.region);
    let names: Vec<&str> = zones.iter().map(|z| z.name.as_str()).collect();
    let names = names.join(", ");
    let wanted = name.as_ref().or(id.as_ref());
    let mut candidates = zones.into_iter().filter(|zone| {
        name.as_ref().is_none_or(|name| *name == zone.name)
            && id.as_ref().is_none_or(|id| *id == zone.id)
    });
    candidates.next().ok_or_else(|| {
        errors::invalid_parameter(
            "availabilityZone",
            wanted.map_or("", String::as_str),
            &format!("Subnets can currently only be created in the following availability zones: {names}."),
        )
    })
}

async fn check_cidr(
    state: &State,
    scope: &Scope,
    vpc: &VpcRecord,
    cidr: Ipv4Net,
) -> Result<(), ApiError> {
    if !vpc.cidr.contains(&cidr) {
        return Err(ApiError::client(
            "InvalidSubnet.Range",
            format!("The CIDR '{cidr}' is invalid."),
        ));
    }
    let mut subnets = all::<SubnetRecord>(state, scope).await?;
    subnets.retain(|subnet| subnet.vpc_id == vpc.id);
    if subnets
        .iter()
        .any(|s| s.cidr.contains(&cidr) || cidr.contains(&s.cidr))
    {
        return Err(ApiError::client(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{cidr}' conflicts with another subnet"),
        ));
    }
    if subnets.len() >= MAX_SUBNETS_PER_VPC {
        return Err(ApiError::client(
            "SubnetLimitExceeded",
            "The maximum number of subnets has been reached.",
        ));
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDefaultSubnet.html>
pub async fn create_default(
    state: &State,
    scope: &Scope,
    input: CreateDefaultSubnetRequest,
) -> Result<CreateDefaultSubnetResult, ApiError> {
    if input.availability_zone.is_none() && input.availability_zone_id.is_none() {
        return Err(errors::missing_parameter("availabilityZone"));
    }
    let zone = zone(scope, input.availability_zone, input.availability_zone_id)?;
    let subnet = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let Some(vpc_id) = change.topology.record.default_vpc_id.clone() else {
                let error =
                    "There is no default VPC in this region. Create one with CreateDefaultVpc.";
                return Err(ApiError::client("DefaultVpcDoesNotExist", error).into());
            };
            let vpc = get::<VpcRecord>(state, scope, &vpc_id).await?.record;
            let subnets = all::<SubnetRecord>(state, scope).await?;
            let of_vpc = || subnets.iter().filter(|s| s.vpc_id == vpc.id);
            if of_vpc().any(|s| s.default_for_az && s.zone == zone.name) {
                let error = format!("Default subnet in {} already exists.", zone.name);
                return Err(ApiError::client(
                    "DefaultSubnetAlreadyExistsInAvailabilityZone",
                    error,
                )
                .into());
            }
            let overlaps =
                |cidr: &Ipv4Net| of_vpc().any(|s| s.cidr.contains(cidr) || cidr.contains(&s.cidr));
            let mut cidrs = vpc
                .cidr
                .subnets(DEFAULT_SUBNET_PREFIX_LEN)
                .map_err(|_| ApiError::internal())?;
            let Some(cidr) = cidrs.find(|cidr| !overlaps(cidr)) else {
                let error = "There is not enough address space left in the default VPC.";
                return Err(ApiError::client("InsufficientCidrBlocks", error).into());
            };
            let mut subnet = new_subnet(
                &vpc.id,
                cidr,
                zone.clone(),
                &network_acls::default_of(state, scope, &vpc.id).await?,
            );
            subnet.default_for_az = true;
            subnet.map_public_ip = true;
            write_new(scope, &mut change.changes, &subnet);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(subnet)
        })
        .await?;
    Ok(CreateDefaultSubnetResult {
        subnet: Some(view(scope, &subnet, 0)),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSubnet.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteSubnetRequest,
) -> Result<(), ApiError> {
    let id = &input.subnet_id;
    state
        .retrying(|| async {
            let Some((mut change, subnet)) =
                begin_removal::<SubnetRecord>(state, scope, id).await?
            else {
                return Err(errors::dependency_violation(format!(
                    "The subnet '{id}' has dependencies and cannot be deleted."
                ))
                .into());
            };
            for table in all_stored::<RouteTableRecord>(state, scope).await? {
                let mut record = table.record.clone();
                record
                    .associations
                    .retain(|a| a.subnet_id.as_ref() != Some(id));
                if record != table.record {
                    change.changes.replace(&table, &record);
                }
            }
            change.changes.remove(&subnet);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySubnetAttribute.html>
pub async fn modify_attribute(
    state: &State,
    scope: &Scope,
    input: ModifySubnetAttributeRequest,
) -> Result<(), ApiError> {
    let on = |attribute: &Option<AttributeBooleanValue>| {
        attribute.as_ref().and_then(|a| a.value) == Some(true)
    };
    for (name, asked) in [
        (
            "assignIpv6AddressOnCreation",
            on(&input.assign_ipv6_address_on_creation),
        ),
        ("enableDns64", on(&input.enable_dns64)),
        (
            "mapCustomerOwnedIpOnLaunch",
            on(&input.map_customer_owned_ip_on_launch),
        ),
        (
            "enableResourceNameDnsARecordOnLaunch",
            on(&input.enable_resource_name_dns_a_record_on_launch),
        ),
        (
            "enableResourceNameDnsAAAARecordOnLaunch",
            on(&input.enable_resource_name_dns_aaaa_record_on_launch),
        ),
        (
            "privateDnsHostnameTypeOnLaunch",
            input.private_dns_hostname_type_on_launch == Some(HostnameType::ResourceName),
        ),
    ] {
        if asked {
            return Err(errors::unsupported(name));
        }
    }
    let map_public_ip = input.map_public_ip_on_launch.and_then(|a| a.value);
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let subnet = get::<SubnetRecord>(state, scope, &input.subnet_id).await?;
            let mut record = subnet.record.clone();
            record.map_public_ip = map_public_ip.unwrap_or(record.map_public_ip);
            change.changes.replace(&subnet, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}
