//! Network interfaces as users see them. Those of tasks can be looked at and tagged, not changed.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::addresses::{AddressPool, address_key, is_usable};
use super::elastic_ips::{detach_from_interface, interface_association};
use super::filters::{Accessor, each, shown, text};
use super::kind::{self, Kind};
use super::lookup::{Ec2LookupError, default_security_group, lookup_security_groups};
use super::records::*;
use super::select::{Listed, Query, select};
use super::task_interfaces::{new_interface, release_interface, use_group, write_interface};
use super::topology::{all, get};
use super::{errors, tags};
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Groups of an interface (quota).
const MAX_GROUPS: usize = 5;

/// The account that owns what ECS attaches interfaces to, which is not the user's. AWS shows one of its own.
const SERVICE_ACCOUNT: &str = "000000000001";
/// Stand for load balancing, and for EC2 itself, in the same place.
const LOAD_BALANCING: &str = "amazon-elb";
const AMAZON: &str = "amazon-aws";

/// Who manages an interface that has an owner.
fn manager(attachment: &AttachmentRecord) -> &'static str {
    match attachment.owner_arn.split(':').nth(2) {
        Some("elasticloadbalancing") => LOAD_BALANCING,
        Some("ec2") => AMAZON,
        _ => SERVICE_ACCOUNT,
    }
}

fn interface_type(interface: &NetworkInterfaceRecord) -> NetworkInterfaceType {
    let owner = interface.attachment.as_ref().map(|a| a.owner_arn.as_str());
    let resource = owner.and_then(|arn| arn.split(':').nth(5));
    match resource.and_then(|resource| resource.split('/').next()) {
        Some("natgateway") => NetworkInterfaceType::NatGateway,
        Some("vpc-endpoint") => NetworkInterfaceType::VpcEndpoint,
        _ => NetworkInterfaceType::Interface,
    }
}

/// What answers show of an interface and its record does not have.
#[derive(Default)]
struct Surroundings {
    group_names: HashMap<String, String>,
    /// Elastic IP addresses by the interface that has them.
    elastic_ips: HashMap<String, ElasticIpRecord>,
}

impl Surroundings {
    async fn read(state: &State, scope: &Scope) -> Result<Self, StateError> {
        let elastic_ips = all::<ElasticIpRecord>(state, scope).await?;
        let elastic_ips = elastic_ips.into_iter().filter_map(|address| {
            let interface_id = address.association.as_ref()?.network_interface_id.clone();
            Some((interface_id, address))
        });
        Ok(Self {
            group_names: group_names(state, scope).await?,
            elastic_ips: elastic_ips.collect(),
        })
    }
}

fn view(
    scope: &Scope,
    interface: &NetworkInterfaceRecord,
    surroundings: &Surroundings,
) -> NetworkInterface {
    let address = interface.private_ipv4_address.to_string();
    let association = match surroundings.elastic_ips.get(&interface.id) {
        Some(elastic_ip) => Some(interface_association(scope, elastic_ip)),
        None => interface
            .public_ipv4_address
            .map(|public| NetworkInterfaceAssociation {
                ip_owner_id: Some("amazon".to_owned()),
                public_dns_name: Some(String::new()),
                public_ip: Some(public.to_string()),
                ..Default::default()
            }),
    };
    let status = match interface.attachment {
        Some(_) => NetworkInterfaceStatus::InUse,
        None => NetworkInterfaceStatus::Available,
    };
    NetworkInterface {
        association: association.clone(),
        attachment: interface.attachment.as_ref().map(attachment_view),
        availability_zone: Some(interface.zone.clone()),
        availability_zone_id: Some(interface.zone_id.clone()),
        description: Some(interface.description.clone()),
        groups: Some(groups_view(interface, &surroundings.group_names)),
        interface_type: Some(interface_type(interface)),
        ipv6_addresses: Some(Vec::new()),
        mac_address: Some(interface.mac_address.clone()),
        network_interface_id: Some(interface.id.clone()),
        owner_id: Some(scope.account.clone()),
        private_dns_name: Some(interface.private_dns_name.clone()),
        private_ip_address: Some(address.clone()),
        private_ip_addresses: Some(vec![NetworkInterfacePrivateIpAddress {
            association,
            primary: Some(true),
            private_dns_name: Some(interface.private_dns_name.clone()),
            private_ip_address: Some(address),
        }]),
        requester_id: interface
            .attachment
            .as_ref()
            .map(|attachment| manager(attachment).to_owned()),
        requester_managed: Some(interface.attachment.is_some()),
        source_dest_check: Some(interface.source_dest_check),
        status: Some(status),
        subnet_id: Some(interface.subnet_id.clone()),
        tag_set: tags::view(&interface.tags),
        vpc_id: Some(interface.vpc_id.clone()),
        ..Default::default()
    }
}

fn attachment_view(attachment: &AttachmentRecord) -> NetworkInterfaceAttachment {
    NetworkInterfaceAttachment {
        attach_time: Some(attachment.attached_at.to_jiff()),
        attachment_id: Some(attachment.id.clone()),
        delete_on_termination: Some(false),
        device_index: Some(1),
        instance_owner_id: Some(manager(attachment).to_owned()),
        network_card_index: Some(0),
        status: Some(AttachmentStatus::Attached),
        ..Default::default()
    }
}

fn groups_view(
    interface: &NetworkInterfaceRecord,
    names: &HashMap<String, String>,
) -> Vec<GroupIdentifier> {
    interface
        .security_group_ids
        .iter()
        .map(|id| GroupIdentifier {
            group_id: Some(id.clone()),
            group_name: names.get(id).cloned(),
        })
        .collect()
}

impl Listed for NetworkInterface {
    const KIND: &'static Kind = &kind::NETWORK_INTERFACE;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("addresses.association.owner-id", |i| {
            each(&i.private_ip_addresses, |a| owner(&a.association))
        }),
        ("addresses.association.public-ip", |i| {
            each(&i.private_ip_addresses, |a| public_ip(&a.association))
        }),
        ("addresses.primary", |i| {
            each(&i.private_ip_addresses, |a| shown(a.primary))
        }),
        ("addresses.private-ip-address", |i| {
            each(&i.private_ip_addresses, |a| text(&a.private_ip_address))
        }),
        ("association.allocation-id", |i| {
            i.association
                .iter()
                .flat_map(|a| text(&a.allocation_id))
                .collect()
        }),
        ("association.association-id", |i| {
            i.association
                .iter()
                .flat_map(|a| text(&a.association_id))
                .collect()
        }),
        ("association.ip-owner-id", |i| owner(&i.association)),
        ("association.public-dns-name", |i| {
            i.association
                .iter()
                .flat_map(|a| text(&a.public_dns_name))
                .collect()
        }),
        ("association.public-ip", |i| public_ip(&i.association)),
        ("attachment.attach-time", |i| {
            i.attachment
                .iter()
                .flat_map(|a| shown(a.attach_time))
                .collect()
        }),
        ("attachment.attachment-id", |i| {
            i.attachment
                .iter()
                .flat_map(|a| text(&a.attachment_id))
                .collect()
        }),
        ("attachment.delete-on-termination", |i| {
            i.attachment
                .iter()
                .flat_map(|a| shown(a.delete_on_termination))
                .collect()
        }),
        ("attachment.device-index", |i| {
            i.attachment
                .iter()
                .flat_map(|a| shown(a.device_index))
                .collect()
        }),
        ("attachment.instance-id", |_| Vec::new()),
        ("attachment.instance-owner-id", |i| {
            i.attachment
                .iter()
                .flat_map(|a| text(&a.instance_owner_id))
                .collect()
        }),
        ("attachment.status", |i| {
            i.attachment.iter().flat_map(|a| shown(a.status)).collect()
        }),
        ("availability-zone", |i| text(&i.availability_zone)),
        ("availability-zone-id", |i| text(&i.availability_zone_id)),
        ("description", |i| text(&i.description)),
        ("group-id", |i| each(&i.groups, |g| text(&g.group_id))),
        ("group-name", |i| each(&i.groups, |g| text(&g.group_name))),
        ("interface-type", |i| shown(i.interface_type)),
        ("ipv6-addresses.ipv6-address", |_| Vec::new()),
        ("mac-address", |i| text(&i.mac_address)),
        ("network-interface-id", |i| text(&i.network_interface_id)),
        ("operator.managed", |_| vec!["false".to_owned()]),
        ("operator.principal", |_| Vec::new()),
        ("owner-id", |i| text(&i.owner_id)),
        ("private-dns-name", |i| text(&i.private_dns_name)),
        ("private-ip-address", |i| text(&i.private_ip_address)),
        ("requester-id", |i| text(&i.requester_id)),
        ("requester-managed", |i| shown(i.requester_managed)),
        ("source-dest-check", |i| shown(i.source_dest_check)),
        ("status", |i| shown(i.status)),
        ("subnet-id", |i| text(&i.subnet_id)),
        ("vpc-id", |i| text(&i.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.network_interface_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tag_set.as_deref().unwrap_or_default()
    }
}

fn public_ip(association: &Option<NetworkInterfaceAssociation>) -> Vec<String> {
    association
        .iter()
        .flat_map(|a| text(&a.public_ip))
        .collect()
}

fn owner(association: &Option<NetworkInterfaceAssociation>) -> Vec<String> {
    association
        .iter()
        .flat_map(|a| text(&a.ip_owner_id))
        .collect()
}

async fn group_names(state: &State, scope: &Scope) -> Result<HashMap<String, String>, StateError> {
    let groups = all::<SecurityGroupRecord>(state, scope).await?;
    Ok(groups.into_iter().map(|g| (g.id, g.name)).collect())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeNetworkInterfacesRequest,
) -> Result<DescribeNetworkInterfacesResult, ApiError> {
    let surroundings = Surroundings::read(state, scope).await?;
    let interfaces = all::<NetworkInterfaceRecord>(state, scope).await?;
    let views = interfaces.iter().map(|i| view(scope, i, &surroundings));
    let views = views.collect();
    let query = Query {
        ids: input.network_interface_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (interfaces, next_token) = select(views, query)?;
    Ok(DescribeNetworkInterfacesResult {
        network_interfaces: Some(interfaces),
        next_token,
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaceAttribute.html>
pub async fn describe_attribute(
    state: &State,
    scope: &Scope,
    input: DescribeNetworkInterfaceAttributeRequest,
) -> Result<DescribeNetworkInterfaceAttributeResult, ApiError> {
    let attribute = input
        .attribute
        .ok_or_else(|| errors::missing_parameter("attribute"))?;
    let found = get::<NetworkInterfaceRecord>(state, scope, &input.network_interface_id).await?;
    let interface = found.record;
    let mut result = DescribeNetworkInterfaceAttributeResult {
        network_interface_id: Some(interface.id.clone()),
        ..Default::default()
    };
    match attribute {
        NetworkInterfaceAttribute::Description => {
            result.description = Some(AttributeValue {
                value: Some(interface.description),
            });
        }
        NetworkInterfaceAttribute::GroupSet => {
            let names = group_names(state, scope).await?;
            result.groups = Some(groups_view(&interface, &names));
        }
        NetworkInterfaceAttribute::SourceDestCheck => {
            result.source_dest_check = Some(AttributeBooleanValue {
                value: Some(interface.source_dest_check),
            });
        }
        NetworkInterfaceAttribute::Attachment => {
            result.attachment = interface.attachment.as_ref().map(attachment_view);
        }
        NetworkInterfaceAttribute::AssociatePublicIpAddress => {
            result.associate_public_ip_address = Some(interface.public_ipv4_address.is_some());
        }
    }
    Ok(result)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNetworkInterface.html>
pub async fn create(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    input: CreateNetworkInterfaceRequest,
) -> Result<CreateNetworkInterfaceResult, ApiError> {
    let tags = tags::from_specifications(&kind::NETWORK_INTERFACE, input.tag_specifications)?;
    let address = wanted_address(input.private_ip_address, input.private_ip_addresses)?;
    if input.secondary_private_ip_address_count.unwrap_or(0) != 0 {
        return Err(errors::unsupported("secondaryPrivateIpAddressCount"));
    }
    if input.ipv6_address_count.unwrap_or(0) != 0
        || input.ipv6_addresses.is_some_and(|list| !list.is_empty())
    {
        return Err(errors::unsupported("ipv6Addresses"));
    }
    let group_ids = input.groups.unwrap_or_default();
    let interface = state
        .retrying(|| async {
            let subnet = get::<SubnetRecord>(state, scope, &input.subnet_id).await?;
            let groups = interface_groups(state, scope, &subnet.record, &group_ids).await?;
            let wanted = address.as_deref();
            let address = free_address(state, pool, scope, &subnet.record, wanted).await?;
            let ids = groups.iter().map(|group| group.record.id.clone()).collect();
            let mut interface = new_interface(scope, &subnet.record, address, ids, state.now());
            interface.description = input.description.clone().unwrap_or_default();
            interface.tags.clone_from(&tags);
            let mut changes = Changes::new();
            write_interface(scope, &interface, &subnet, &groups, &mut changes);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(interface)
        })
        .await?;
    let surroundings = Surroundings::read(state, scope).await?;
    Ok(CreateNetworkInterfaceResult {
        network_interface: Some(view(scope, &interface, &surroundings)),
        client_token: input.client_token,
    })
}

/// The one private address that the caller asks for, if any.
fn wanted_address(
    single: Option<String>,
    list: Option<Vec<PrivateIpAddressSpecification>>,
) -> Result<Option<String>, ApiError> {
    let mut texts: Vec<String> = single.into_iter().collect();
    texts.extend(
        list.unwrap_or_default()
            .into_iter()
            .filter_map(|specification| specification.private_ip_address),
    );
    if texts.len() > 1 {
        return Err(errors::unsupported("privateIpAddresses"));
    }
    Ok(texts.pop())
}

async fn check_address(
    state: &State,
    scope: &Scope,
    subnet: &SubnetRecord,
    address: Ipv4Addr,
) -> Result<(), ApiError> {
    if !subnet.cidr.contains(&address) {
        return Err(errors::invalid_parameter(
            "address",
            &address.to_string(),
            "Address does not fall within the subnet's address range",
        ));
    }
    if !is_usable(subnet.cidr, address) {
        return Err(errors::invalid_parameter(
            "address",
            &address.to_string(),
            "Address is in subnet's reserved address range",
        ));
    }
    let key = address_key(scope, &subnet.id, address);
    match state.get::<AddressRecord>(&key).await? {
        Some(_) => Err(Ec2LookupError::AddressInUse.into()),
        None => Ok(()),
    }
}

/// The groups that the caller names, or the VPC's default one.
async fn interface_groups(
    state: &State,
    scope: &Scope,
    subnet: &SubnetRecord,
    ids: &[String],
) -> Result<Vec<Stored<SecurityGroupRecord>>, ApiError> {
    if ids.is_empty() {
        return Ok(vec![
            default_security_group(state, scope, &subnet.vpc_id).await?,
        ]);
    }
    if ids.len() > MAX_GROUPS {
        return Err(ApiError::client(
            "SecurityGroupsPerInterfaceLimitExceeded",
            "The maximum number of security groups per interface has been reached.",
        ));
    }
    for id in ids {
        kind::SECURITY_GROUP.check(id)?;
    }
    let groups = lookup_security_groups(state, scope, ids).await?;
    match groups.iter().find(|g| g.record.vpc_id != subnet.vpc_id) {
        None => Ok(groups),
        Some(foreign) => Err(Ec2LookupError::DifferentNetworks {
            group_id: foreign.record.id.clone(),
            subnet_id: subnet.id.clone(),
        }
        .into()),
    }
}

/// The address of the subnet that somebody asks for, or a free one.
pub async fn free_address(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    subnet: &SubnetRecord,
    wanted: Option<&str>,
) -> Result<Ipv4Addr, ApiError> {
    let Some(wanted) = wanted else {
        return Ok(pool.free_address(state, scope, subnet).await?);
    };
    let address = parse_address(wanted)?;
    check_address(state, scope, subnet, address).await?;
    Ok(address)
}

fn parse_address(text: &str) -> Result<Ipv4Addr, ApiError> {
    text.parse()
        .map_err(|_| errors::invalid_parameter("address", text, "This is not an IPv4 address."))
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNetworkInterface.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteNetworkInterfaceRequest,
) -> Result<(), ApiError> {
    let id = &input.network_interface_id;
    state
        .retrying(|| async {
            let found = get::<NetworkInterfaceRecord>(state, scope, id).await?;
            if found.record.attachment.is_some() {
                return Err(errors::requester_managed(id).into());
            }
            let mut changes = Changes::new();
            changes.require(&found);
            release_interface(scope, &found.record, &mut changes);
            detach_from_interface(state, scope, id, &mut changes).await?;
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyNetworkInterfaceAttribute.html>
pub async fn modify_attribute(
    state: &State,
    scope: &Scope,
    input: ModifyNetworkInterfaceAttributeRequest,
) -> Result<(), ApiError> {
    if input.attachment.is_some() {
        return Err(errors::unsupported("attachment"));
    }
    if input.associate_public_ip_address.is_some() {
        return Err(errors::unsupported("associatePublicIpAddress"));
    }
    let id = &input.network_interface_id;
    let description = input.description.and_then(|a| a.value);
    let source_dest_check = input.source_dest_check.and_then(|a| a.value);
    let group_ids = input.groups.unwrap_or_default();
    state
        .retrying(|| async {
            let found = get::<NetworkInterfaceRecord>(state, scope, id).await?;
            if found.record.attachment.is_some() {
                return Err(errors::requester_managed(id).into());
            }
            let mut changes = Changes::new();
            let mut record = found.record.clone();
            if let Some(description) = &description {
                record.description.clone_from(description);
            }
            record.source_dest_check = source_dest_check.unwrap_or(record.source_dest_check);
            if !group_ids.is_empty() {
                let subnet = get::<SubnetRecord>(state, scope, &record.subnet_id)
                    .await?
                    .record;
                for group in interface_groups(state, scope, &subnet, &group_ids).await? {
                    use_group(&group, &mut changes);
                }
                record.security_group_ids.clone_from(&group_ids);
            }
            changes.replace(&found, &record);
            state.commit(changes).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}
