//! Creating, describing and deleting security groups.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::default_vpc::{DEFAULT_GROUP_NAME, allow_all_out, create as write_new};
use super::super::deletion::begin_removal;
use super::super::filters::{Accessor, each, shown, text};
use super::super::kind::{self, Kind};
use super::super::records::*;
use super::super::select::{Listed, Query, select};
use super::super::topology::{TopologyChange, all, ensure_default_vpc, get};
use super::super::{errors, tags};
use super::{find_group, view};
use crate::state::{Attempt, State};

/// Quota.
const MAX_GROUPS: usize = 2500;
const MAX_NAME_CHARS: usize = 255;

/// The filters on the rules of one direction: the prefix of their names, and where the rules are.
macro_rules! rule_filters {
    ($prefix:literal, $permissions:ident) => {
        [
            (concat!($prefix, "cidr"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| {
                    each(&p.ip_ranges, |r| text(&r.cidr_ip))
                })
            }),
            (concat!($prefix, "from-port"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| shown(p.from_port))
            }),
            (concat!($prefix, "group-id"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| {
                    each(&p.user_id_group_pairs, |u| text(&u.group_id))
                })
            }),
            (concat!($prefix, "group-name"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| {
                    each(&p.user_id_group_pairs, |u| text(&u.group_name))
                })
            }),
            (concat!($prefix, "ipv6-cidr"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| {
                    each(&p.ipv6_ranges, |r| text(&r.cidr_ipv6))
                })
            }),
            (concat!($prefix, "prefix-list-id"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| {
                    each(&p.prefix_list_ids, |l| text(&l.prefix_list_id))
                })
            }),
            (concat!($prefix, "protocol"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| text(&p.ip_protocol))
            }),
            (concat!($prefix, "to-port"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| shown(p.to_port))
            }),
            (concat!($prefix, "user-id"), |g: &SecurityGroup| {
                each(&g.$permissions, |p| {
                    each(&p.user_id_group_pairs, |u| text(&u.user_id))
                })
            }),
        ]
    };
}

const INGRESS_FILTERS: [(&str, Accessor<SecurityGroup>); 9] =
    rule_filters!("ip-permission.", ip_permissions);
const EGRESS_FILTERS: [(&str, Accessor<SecurityGroup>); 9] =
    rule_filters!("egress.ip-permission.", ip_permissions_egress);

impl Listed for SecurityGroup {
    const KIND: &'static Kind = &kind::SECURITY_GROUP;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &{
        let mut filters: [(&'static str, Accessor<Self>); 23] = [("", |_| Vec::new()); 23];
        let mut i = 0;
        while i < 9 {
            filters[i] = INGRESS_FILTERS[i];
            filters[9 + i] = EGRESS_FILTERS[i];
            i += 1;
        }
        filters[18] = ("description", |g| text(&g.description));
        filters[19] = ("group-id", |g| text(&g.group_id));
        filters[20] = ("group-name", |g| text(&g.group_name));
        filters[21] = ("owner-id", |g| text(&g.owner_id));
        filters[22] = ("vpc-id", |g| text(&g.vpc_id));
        filters
    };
    fn id(&self) -> &str {
        self.group_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroups.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeSecurityGroupsRequest,
) -> Result<DescribeSecurityGroupsResult, ApiError> {
    let mut groups = all::<SecurityGroupRecord>(state, scope).await?;
    let names = input.group_names.unwrap_or_default();
    if !names.is_empty() {
        // By name, only the default VPC's groups are meant.
        let topology = ensure_default_vpc(state, scope).await?.record;
        groups.retain(|group| topology.default_vpc_id.as_ref() == Some(&group.vpc_id));
        if let Some(unknown) = names.iter().find(|n| !groups.iter().any(|g| g.name == **n)) {
            return Err(kind::SECURITY_GROUP.not_found(unknown));
        }
        groups.retain(|group| names.contains(&group.name));
    }
    let query = Query {
        ids: input.group_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let views = groups.iter().map(|g| view::group(scope, g)).collect();
    let (groups, next_token) = select(views, query)?;
    Ok(DescribeSecurityGroupsResult {
        security_groups: Some(groups),
        next_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html>
pub async fn create(
    state: &State,
    scope: &Scope,
    input: CreateSecurityGroupRequest,
) -> Result<CreateSecurityGroupResult, ApiError> {
    check_name(&input.group_name)?;
    check_text("groupDescription", &input.description)?;
    let tags = tags::from_specifications(&kind::SECURITY_GROUP, input.tag_specifications)?;
    let group = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let default_vpc_id = change.topology.record.default_vpc_id.clone();
            let vpc_id = input.vpc_id.clone().or(default_vpc_id).ok_or_else(|| {
                ApiError::client("VPCIdNotSpecified", "No default VPC for this user")
            })?;
            let vpc = get::<VpcRecord>(state, scope, &vpc_id).await?.record;
            check_taken(state, scope, &vpc.id, &input.group_name).await?;
            let group = SecurityGroupRecord {
                id: kind::SECURITY_GROUP.new_id(),
                vpc_id: vpc.id,
                name: input.group_name.clone(),
                description: input.description.clone(),
                rules: vec![allow_all_out()],
                deletion_wanted: false,
                tags: tags.clone(),
            };
            write_new(scope, &mut change.changes, &group);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(group)
        })
        .await?;
    let shown = view::group(scope, &group);
    Ok(CreateSecurityGroupResult {
        group_id: shown.group_id,
        security_group_arn: shown.security_group_arn,
        tags: shown.tags,
    })
}

fn check_name(name: &str) -> Result<(), ApiError> {
    check_text("groupName", name)?;
    if name == DEFAULT_GROUP_NAME {
        return Err(ApiError::client(
            "InvalidGroup.Reserved",
            "The security group 'default' is reserved",
        ));
    }
    if name.starts_with("sg-") {
        return Err(errors::invalid_parameter(
            "groupName",
            name,
            "Group names may not be in the format sg-*.",
        ));
    }
    Ok(())
}

fn check_text(parameter: &str, text: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " ._-:/()#,@[]+=&;{}!$*".contains(c);
    if text.is_empty() {
        return Err(errors::missing_parameter(parameter));
    }
    if text.chars().count() > MAX_NAME_CHARS || !text.chars().all(allowed) {
        return Err(errors::invalid_parameter(
            parameter,
            text,
            "Up to 255 characters of a-z, A-Z, 0-9, spaces and ._-:/()#,@[]+=&;{}!$* are allowed.",
        ));
    }
    Ok(())
}

async fn check_taken(
    state: &State,
    scope: &Scope,
    vpc_id: &str,
    name: &str,
) -> Result<(), ApiError> {
    let groups = all::<SecurityGroupRecord>(state, scope).await?;
    if groups.iter().any(|g| g.vpc_id == vpc_id && g.name == name) {
        return Err(errors::conflict(
            "InvalidGroup.Duplicate",
            format!("The security group '{name}' already exists for VPC '{vpc_id}'"),
        ));
    }
    if groups.len() >= MAX_GROUPS {
        return Err(errors::conflict(
            "SecurityGroupLimitExceeded",
            "The maximum number of security groups has been reached.",
        ));
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteSecurityGroup.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteSecurityGroupRequest,
) -> Result<DeleteSecurityGroupResult, ApiError> {
    let topology = ensure_default_vpc(state, scope).await?.record;
    let (id, name) = (input.group_id.as_deref(), input.group_name.as_deref());
    let group = find_group(state, scope, &topology, id, name).await?.record;
    if group.name == DEFAULT_GROUP_NAME {
        return Err(ApiError::client(
            "CannotDelete",
            format!(
                "the specified group: \"{}\" name: \"default\" cannot be deleted by a user",
                group.id
            ),
        ));
    }
    let id = &group.id;
    let in_use = || errors::dependency_violation(format!("resource {id} has a dependent object"));
    state
        .retrying(|| async {
            let removal = begin_removal::<SecurityGroupRecord>(state, scope, id).await?;
            let (mut change, group) = removal.ok_or_else(in_use)?;
            let others = all::<SecurityGroupRecord>(state, scope).await?;
            let referred = others
                .iter()
                .filter(|other| other.id != *id)
                .flat_map(|other| &other.rules)
                .any(|rule| rule.peer == Peer::Group(id.clone()));
            if referred {
                return Err(in_use().into());
            }
            change.changes.remove(&group);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeleteSecurityGroupResult {
        group_id: Some(group.id.clone()),
        r#return: Some(true),
    })
}
