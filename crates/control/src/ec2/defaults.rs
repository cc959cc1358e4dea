//! Network ACLs and DHCP options: only the default ones exist, and tools look at them.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::filters::{Accessor, each, shown, text};
use super::kind::{self, Kind};
use super::records::*;
use super::select::{Listed, Query, select};
use super::tags;
use super::topology::all;
use super::zones::private_domain;
use crate::state::State;

/// Number of the rule that allows everything, and of the last one, which EC2 shows as 32767 and denies the rest.
const ALLOW_ALL: i32 = 100;
const DENY_REST: i32 = 32_767;

fn acl_view(scope: &Scope, acl: &NetworkAclRecord, subnets: &[SubnetRecord]) -> NetworkAcl {
    let associations = subnets
        .iter()
        .filter(|subnet| subnet.network_acl_id == acl.id)
        .map(|subnet| NetworkAclAssociation {
            network_acl_association_id: Some(subnet.acl_association_id.clone()),
            network_acl_id: Some(acl.id.clone()),
            subnet_id: Some(subnet.id.clone()),
        });
    let entries = [true, false].into_iter().flat_map(|egress| {
        [
            (ALLOW_ALL, RuleAction::Allow),
            (DENY_REST, RuleAction::Deny),
        ]
        .map(|(number, action)| NetworkAclEntry {
            cidr_block: Some("0.0.0.0/0".to_owned()),
            egress: Some(egress),
            protocol: Some("-1".to_owned()),
            rule_action: Some(action),
            rule_number: Some(number),
            ..Default::default()
        })
    });
    NetworkAcl {
        associations: Some(associations.collect()),
        entries: Some(entries.collect()),
        is_default: Some(true),
        network_acl_id: Some(acl.id.clone()),
        owner_id: Some(scope.account.clone()),
        tags: tags::view(&acl.tags),
        vpc_id: Some(acl.vpc_id.clone()),
    }
}

impl Listed for NetworkAcl {
    const KIND: &'static Kind = &kind::NETWORK_ACL;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("association.association-id", |a| {
            each(&a.associations, |a| text(&a.network_acl_association_id))
        }),
        ("association.network-acl-id", |a| {
            each(&a.associations, |a| text(&a.network_acl_id))
        }),
        ("association.subnet-id", |a| {
            each(&a.associations, |a| text(&a.subnet_id))
        }),
        ("default", |a| shown(a.is_default)),
        ("entry.cidr", |a| each(&a.entries, |e| text(&e.cidr_block))),
        ("entry.egress", |a| each(&a.entries, |e| shown(e.egress))),
        ("entry.icmp.code", |_| Vec::new()),
        ("entry.icmp.type", |_| Vec::new()),
        ("entry.ipv6-cidr", |_| Vec::new()),
        ("entry.port-range.from", |_| Vec::new()),
        ("entry.port-range.to", |_| Vec::new()),
        ("entry.protocol", |a| {
            each(&a.entries, |e| text(&e.protocol))
        }),
        ("entry.rule-action", |a| {
            each(&a.entries, |e| shown(e.rule_action))
        }),
        ("entry.rule-number", |a| {
            each(&a.entries, |e| shown(e.rule_number))
        }),
        ("network-acl-id", |a| text(&a.network_acl_id)),
        ("owner-id", |a| text(&a.owner_id)),
        ("vpc-id", |a| text(&a.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.network_acl_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkAcls.html>
pub async fn describe_network_acls(
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
    let views = acls.iter().map(|a| acl_view(scope, a, &subnets)).collect();
    let (acls, next_token) = select(views, query)?;
    Ok(DescribeNetworkAclsResult {
        network_acls: Some(acls),
        next_token,
    })
}

fn dhcp_view(scope: &Scope, options: &DhcpOptionsRecord) -> DhcpOptions {
    let configuration = |key: &str, value: String| DhcpConfiguration {
        key: Some(key.to_owned()),
        values: Some(vec![AttributeValue { value: Some(value) }]),
    };
    DhcpOptions {
        dhcp_configurations: Some(vec![
            configuration("domain-name", private_domain(&scope.region)),
            configuration("domain-name-servers", "AmazonProvidedDNS".to_owned()),
        ]),
        dhcp_options_id: Some(options.id.clone()),
        owner_id: Some(scope.account.clone()),
        tags: tags::view(&options.tags),
    }
}

impl Listed for DhcpOptions {
    const KIND: &'static Kind = &kind::DHCP_OPTIONS;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("dhcp-options-id", |d| text(&d.dhcp_options_id)),
        ("key", |d| each(&d.dhcp_configurations, |c| text(&c.key))),
        ("value", |d| {
            each(&d.dhcp_configurations, |c| {
                each(&c.values, |v| text(&v.value))
            })
        }),
        ("owner-id", |d| text(&d.owner_id)),
    ];
    fn id(&self) -> &str {
        self.dhcp_options_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeDhcpOptions.html>
pub async fn describe_dhcp_options(
    state: &State,
    scope: &Scope,
    input: DescribeDhcpOptionsRequest,
) -> Result<DescribeDhcpOptionsResult, ApiError> {
    let options = all::<DhcpOptionsRecord>(state, scope).await?;
    let query = Query {
        ids: input.dhcp_options_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let views = options.iter().map(|o| dhcp_view(scope, o)).collect();
    let (options, next_token) = select(views, query)?;
    Ok(DescribeDhcpOptionsResult {
        dhcp_options: Some(options),
        next_token,
    })
}
