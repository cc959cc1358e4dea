//! VPCs and their attributes.

use ipnet::Ipv4Net;
use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::default_vpc::{self, DEFAULT_GROUP_NAME, NewVpc};
use super::filters::{Accessor, each, shown, text};
use super::kind::{self, Kind};
use super::records::*;
use super::select::{Listed, Query, select};
use super::topology::{TopologyChange, all, all_stored, get};
use super::{errors, tags};
use crate::state::{Attempt, State, Stored};

/// AWS's quota is 5 and can be raised to this.
const MAX_VPCS: usize = 100;

/// Prefix lengths that a VPC or subnet may have.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html>
pub const PREFIX_LENGTHS: std::ops::RangeInclusive<u8> = 16..=28;

pub fn view(scope: &Scope, vpc: &VpcRecord) -> Vpc {
    Vpc {
        cidr_block: Some(vpc.cidr.to_string()),
        cidr_block_association_set: Some(vec![VpcCidrBlockAssociation {
            association_id: Some(vpc.cidr_association_id.clone()),
            cidr_block: Some(vpc.cidr.to_string()),
            cidr_block_state: Some(VpcCidrBlockState {
                state: Some(VpcCidrBlockStateCode::Associated),
                ..Default::default()
            }),
        }]),
        dhcp_options_id: Some(vpc.dhcp_options_id.clone()),
        instance_tenancy: Some(Tenancy::Default),
        is_default: Some(vpc.is_default),
        owner_id: Some(scope.account.clone()),
        state: Some(VpcState::Available),
        tags: tags::view(&vpc.tags),
        vpc_id: Some(vpc.id.clone()),
        ..Default::default()
    }
}

impl Listed for Vpc {
    const KIND: &'static Kind = &kind::VPC;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("cidr", |v| text(&v.cidr_block)),
        ("cidr-block", |v| text(&v.cidr_block)),
        ("cidrBlock", |v| text(&v.cidr_block)),
        ("cidr-block-association.association-id", |v| {
            each(&v.cidr_block_association_set, |a| text(&a.association_id))
        }),
        ("cidr-block-association.cidr-block", |v| {
            each(&v.cidr_block_association_set, |a| text(&a.cidr_block))
        }),
        ("cidr-block-association.state", |_| {
            vec!["associated".to_owned()]
        }),
        ("dhcp-options-id", |v| text(&v.dhcp_options_id)),
        ("dhcpOptionsId", |v| text(&v.dhcp_options_id)),
        ("ipv6-cidr-block-association.association-id", |_| Vec::new()),
        ("ipv6-cidr-block-association.ipv6-cidr-block", |_| {
            Vec::new()
        }),
        ("ipv6-cidr-block-association.ipv6-pool", |_| Vec::new()),
        ("ipv6-cidr-block-association.state", |_| Vec::new()),
        ("is-default", |v| shown(v.is_default)),
        ("isDefault", |v| shown(v.is_default)),
        ("owner-id", |v| text(&v.owner_id)),
        ("state", |v| shown(v.state)),
        ("vpc-id", |v| text(&v.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.vpc_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcs.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeVpcsRequest,
) -> Result<DescribeVpcsResult, ApiError> {
    let vpcs = all::<VpcRecord>(state, scope).await?;
    let query = Query {
        ids: input.vpc_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (vpcs, next_token) = select(vpcs.iter().map(|v| view(scope, v)).collect(), query)?;
    Ok(DescribeVpcsResult {
        vpcs: Some(vpcs),
        next_token,
    })
}

/// The CIDR of a VPC or subnet, host bits cleared as AWS does; `None` where AWS calls it invalid.
pub fn parse_cidr(text: &str) -> Option<Ipv4Net> {
    let cidr: Ipv4Net = text.parse().ok()?;
    PREFIX_LENGTHS
        .contains(&cidr.prefix_len())
        .then(|| cidr.trunc())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpc.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateVpcRequest,
) -> Result<CreateVpcResult, ApiError> {
    if input.amazon_provided_ipv6_cidr_block == Some(true) || input.ipv6_cidr_block.is_some() {
        return Err(errors::unsupported("amazonProvidedIpv6CidrBlock"));
    }
    if input.ipv4_ipam_pool_id.is_some() {
        return Err(errors::unsupported("ipv4IpamPoolId"));
    }
    if !matches!(input.instance_tenancy, None | Some(Tenancy::Default)) {
        return Err(errors::unsupported("instanceTenancy"));
    }
    let text = input.cidr_block.ok_or_else(|| {
        ApiError::client(
            "MissingParameter",
            "Either 'cidrBlock' or 'ipv4IpamPoolId' should be specified.",
        )
    })?;
    if text.parse::<Ipv4Net>().is_err() {
        let reason = "This is not a valid CIDR block.";
        return Err(errors::invalid_parameter("cidrBlock", &text, reason));
    }
    let cidr = parse_cidr(&text).ok_or_else(|| {
        ApiError::client("InvalidVpc.Range", format!("The CIDR '{text}' is invalid."))
    })?;
    let tags = tags::from_specifications(&kind::VPC, input.tag_specifications)?;
    let vpc = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            if all::<VpcRecord>(state, scope).await?.len() >= MAX_VPCS {
                let error = "The maximum number of VPCs has been reached.";
                return Err(ApiError::client("VpcLimitExceeded", error).into());
            }
            let mut new = NewVpc::new(cidr, &change.topology.record.dhcp_options_id);
            new.vpc.tags.clone_from(&tags);
            new.write(scope, &mut change.changes);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(new.vpc)
        })
        .await?;
    Ok(CreateVpcResult {
        vpc: Some(view(scope, &vpc)),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateDefaultVpc.html>
pub async fn create_default(
    state: &State,
    scope: &Scope,
) -> Result<CreateDefaultVpcResult, ApiError> {
    let vpc = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            if change.topology.record.default_vpc_id.is_some() {
                let error = "A Default VPC already exists for this account in this region.";
                return Err(ApiError::client("DefaultVpcAlreadyExists", error).into());
            }
            let dhcp_options_id = change.topology.record.dhcp_options_id.clone();
            let vpc = default_vpc::default_vpc(scope, &dhcp_options_id, &mut change.changes);
            change.topology.record.default_vpc_id = Some(vpc.id.clone());
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(vpc)
        })
        .await?;
    Ok(CreateDefaultVpcResult {
        vpc: Some(view(scope, &vpc)),
    })
}

/// Deletes a VPC together with what AWS made with it. Everything else must be gone.
///
/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteVpc.html>
pub async fn delete(state: &State, scope: &Scope, input: DeleteVpcRequest) -> Result<(), ApiError> {
    let id = &input.vpc_id;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let vpc = get::<VpcRecord>(state, scope, id).await?;
            let subnets = all::<SubnetRecord>(state, scope).await?;
            let gateways = all::<InternetGatewayRecord>(state, scope).await?;
            let endpoints = all::<VpcEndpointRecord>(state, scope).await?;
            let groups = of_vpc(
                all_stored::<SecurityGroupRecord>(state, scope).await?,
                |g| &g.vpc_id,
                id,
            );
            let tables = of_vpc(
                all_stored::<RouteTableRecord>(state, scope).await?,
                |t| &t.vpc_id,
                id,
            );
            let acls = of_vpc(
                all_stored::<NetworkAclRecord>(state, scope).await?,
                |a| &a.vpc_id,
                id,
            );
            if subnets.iter().any(|s| s.vpc_id == *id)
                || gateways.iter().any(|g| g.vpc_id.as_ref() == Some(id))
                || groups.iter().any(|g| g.record.name != DEFAULT_GROUP_NAME)
                || tables.iter().any(|t| !t.record.is_main())
                || acls.iter().any(|a| !a.record.is_default)
                || endpoints.iter().any(|e| e.vpc_id == *id)
            {
                return Err(errors::dependency_violation(format!(
                    "The vpc '{id}' has dependencies and cannot be deleted."
                ))
                .into());
            }
            for group in &groups {
                change.changes.remove(group);
            }
            for table in &tables {
                change.changes.remove(table);
            }
            for acl in &acls {
                change.changes.remove(acl);
            }
            change.changes.remove(&vpc);
            if change.topology.record.default_vpc_id.as_ref() == Some(id) {
                change.topology.record.default_vpc_id = None;
            }
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

fn of_vpc<T>(records: Vec<Stored<T>>, vpc_id: fn(&T) -> &String, id: &str) -> Vec<Stored<T>> {
    records
        .into_iter()
        .filter(|stored| vpc_id(&stored.record) == id)
        .collect()
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcAttribute.html>
pub async fn describe_attribute(
    state: &State,
    scope: &Scope,
    input: DescribeVpcAttributeRequest,
) -> Result<DescribeVpcAttributeResult, ApiError> {
    let vpc = get::<VpcRecord>(state, scope, &input.vpc_id).await?.record;
    let value = |value| Some(AttributeBooleanValue { value: Some(value) });
    let mut result = DescribeVpcAttributeResult {
        vpc_id: Some(vpc.id),
        ..Default::default()
    };
    match input.attribute {
        VpcAttributeName::EnableDnsSupport => result.enable_dns_support = value(vpc.dns_support),
        VpcAttributeName::EnableDnsHostnames => {
            result.enable_dns_hostnames = value(vpc.dns_hostnames);
        }
        VpcAttributeName::EnableNetworkAddressUsageMetrics => {
            result.enable_network_address_usage_metrics = value(vpc.usage_metrics);
        }
    }
    Ok(result)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyVpcAttribute.html>
pub async fn modify_attribute(
    state: &State,
    scope: &Scope,
    input: ModifyVpcAttributeRequest,
) -> Result<(), ApiError> {
    let dns_hostnames = input.enable_dns_hostnames.and_then(|a| a.value);
    let dns_support = input.enable_dns_support.and_then(|a| a.value);
    let usage_metrics = input
        .enable_network_address_usage_metrics
        .and_then(|a| a.value);
    let given = [dns_hostnames, dns_support, usage_metrics];
    if given.iter().flatten().count() != 1 {
        return Err(errors::invalid_combination(
            "Exactly one attribute must be given in a request.",
        ));
    }
    modify(state, scope, &input.vpc_id, &|vpc| {
        vpc.dns_hostnames = dns_hostnames.unwrap_or(vpc.dns_hostnames);
        vpc.dns_support = dns_support.unwrap_or(vpc.dns_support);
        vpc.usage_metrics = usage_metrics.unwrap_or(vpc.usage_metrics);
    })
    .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AssociateDhcpOptions.html>
pub async fn associate_dhcp_options(
    state: &State,
    scope: &Scope,
    input: AssociateDhcpOptionsRequest,
) -> Result<(), ApiError> {
    // "default" is no DHCP options at all, whose effect is that of the default ones.
    if input.dhcp_options_id != "default" {
        get::<DhcpOptionsRecord>(state, scope, &input.dhcp_options_id).await?;
    }
    modify(state, scope, &input.vpc_id, &|vpc| {
        vpc.dhcp_options_id.clone_from(&input.dhcp_options_id);
    })
    .await
}

async fn modify(
    state: &State,
    scope: &Scope,
    id: &str,
    edit: &(dyn Fn(&mut VpcRecord) + Send + Sync),
) -> Result<(), ApiError> {
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let vpc = get::<VpcRecord>(state, scope, id).await?;
            let mut record = vpc.record.clone();
            edit(&mut record);
            change.changes.replace(&vpc, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}
