//! NAT gateways. A gateway takes an address of its subnet and an Elastic IP address, and goes through AWS's states; no
//! packet goes through it.
//!
//! States follow from instants in the record, so that nothing has to wake up for them. What a gateway holds is free as
//! soon as it is deleted; the record remains for a while, as on AWS, where waiters look for `deleted`.

use std::net::Ipv4Addr;
use std::time::Duration;

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::id::ec2_id;
use neargate_domain::{Scope, Timestamp};

use super::addresses::AddressPool;
use super::default_vpc::create as write_new;
use super::filters::{Accessor, shown, text};
use super::interfaces::free_address;
use super::kind::{self, Kind};
use super::lookup::has_internet_gateway;
use super::records::*;
use super::select::{Listed, Query, select};
use super::task_interfaces::{new_interface, release_interface, write_interface};
use super::topology::{TopologyChange, all, all_stored, get};
use super::{errors, tags};
use crate::state::{Attempt, Changes, State};

/// How long a gateway is `pending` and `deleting`. Minutes on AWS; here just long enough that whoever waits sees both.
const CREATION: Duration = Duration::from_secs(2);
const DELETION: Duration = Duration::from_secs(2);

/// How long a gateway that is gone can still be described.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-working-with.html>
const SHOWN_AFTER_DELETION: Duration = Duration::from_secs(3600);

/// AWS's quota per zone.
const MAX_PER_SUBNET: usize = 5;

impl NatGatewayRecord {
    pub fn state(&self, now: Timestamp) -> NatGatewayState {
        // A clock that was set back to before the beginning makes nobody wait for it to catch up.
        let between = |from: Timestamp, to: Timestamp| (from..to).contains(&now);
        match self.deletion {
            Some(deletion) if between(deletion.asked_at, deletion.done_at) => {
                NatGatewayState::Deleting
            }
            Some(_) => NatGatewayState::Deleted,
            None if between(self.created_at, self.settled_at) => NatGatewayState::Pending,
            None if self.failure.is_some() => NatGatewayState::Failed,
            None => NatGatewayState::Available,
        }
    }

    /// Whether routes to it lead somewhere.
    pub fn is_alive(&self) -> bool {
        self.deletion.is_none() && self.failure.is_none()
    }
}

fn view(record: &NatGatewayRecord, now: Timestamp) -> NatGateway {
    let state = record.state(now);
    let failure = record.failure.as_ref();
    let failure = failure.filter(|_| state != NatGatewayState::Pending);
    let public = record.public.as_ref();
    NatGateway {
        availability_mode: Some(AvailabilityMode::Zonal),
        connectivity_type: Some(match public {
            Some(_) => ConnectivityType::Public,
            None => ConnectivityType::Private,
        }),
        create_time: Some(record.created_at.to_jiff()),
        delete_time: record.deletion.map(|deletion| deletion.asked_at.to_jiff()),
        failure_code: failure.map(|(code, _)| code.clone()),
        failure_message: failure.map(|(_, message)| message.clone()),
        nat_gateway_addresses: Some(vec![NatGatewayAddress {
            allocation_id: public.map(|p| p.allocation_id.clone()),
            association_id: public.map(|p| p.association_id.clone()),
            is_primary: Some(true),
            network_interface_id: Some(record.network_interface_id.clone()),
            private_ip: Some(record.private_ipv4_address.to_string()),
            public_ip: public.map(|p| p.address.to_string()),
            status: Some(match state {
                NatGatewayState::Pending => NatGatewayAddressStatus::Associating,
                NatGatewayState::Failed => NatGatewayAddressStatus::Failed,
                NatGatewayState::Available => NatGatewayAddressStatus::Succeeded,
                NatGatewayState::Deleting | NatGatewayState::Deleted => {
                    NatGatewayAddressStatus::Disassociating
                }
            }),
            ..Default::default()
        }]),
        nat_gateway_id: Some(record.id.clone()),
        state: Some(state),
        subnet_id: Some(record.subnet_id.clone()),
        tags: tags::view(&record.tags),
        vpc_id: Some(record.vpc_id.clone()),
        ..Default::default()
    }
}

impl Listed for NatGateway {
    const KIND: &'static Kind = &kind::NAT_GATEWAY;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("connectivity-type", |g| shown(g.connectivity_type)),
        ("nat-gateway-id", |g| text(&g.nat_gateway_id)),
        ("state", |g| shown(g.state)),
        ("subnet-id", |g| text(&g.subnet_id)),
        ("vpc-id", |g| text(&g.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.nat_gateway_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

fn is_forgotten(record: &NatGatewayRecord, now: Timestamp) -> bool {
    let shown = i64::try_from(SHOWN_AFTER_DELETION.as_millis()).unwrap_or(i64::MAX);
    record
        .deletion
        .is_some_and(|deletion| now.millis_since(deletion.done_at) > shown)
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNatGateways.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeNatGatewaysRequest,
) -> Result<DescribeNatGatewaysResult, ApiError> {
    let now = state.now();
    let gateways = all::<NatGatewayRecord>(state, scope).await?;
    let views = gateways
        .iter()
        .filter(|gateway| !is_forgotten(gateway, now));
    let views = views.map(|gateway| view(gateway, now)).collect();
    let query = Query {
        ids: input.nat_gateway_ids,
        filters: input.filter,
        max_results: input.max_results,
        next_token: input.next_token,
    }
    .of_ids_or_page();
    let (gateways, next_token) = select(views, query)?;
    Ok(DescribeNatGatewaysResult {
        nat_gateways: Some(gateways),
        next_token,
    })
}

/// What can be asked of AWS and not of Neargate.
fn check_built(input: &CreateNatGatewayRequest) -> Result<(), ApiError> {
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    for (name, given) in [
        (
            "availabilityMode",
            input.availability_mode == Some(AvailabilityMode::Regional),
        ),
        (
            "availabilityZoneAddresses",
            input
                .availability_zone_addresses
                .as_ref()
                .is_some_and(|list| !list.is_empty()),
        ),
        (
            "secondaryAllocationIds",
            some(&input.secondary_allocation_ids),
        ),
        (
            "secondaryPrivateIpAddresses",
            some(&input.secondary_private_ip_addresses),
        ),
        (
            "secondaryPrivateIpAddressCount",
            input.secondary_private_ip_address_count.unwrap_or(0) != 0,
        ),
    ] {
        if given {
            return Err(errors::unsupported(name));
        }
    }
    Ok(())
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateNatGateway.html>
pub async fn create(
    state: &State,
    pool: &AddressPool,
    scope: &Scope,
    input: CreateNatGatewayRequest,
) -> Result<CreateNatGatewayResult, ApiError> {
    check_built(&input)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let subnet_id = given(&input.subnet_id).ok_or_else(|| errors::missing_parameter("subnetId"))?;
    let allocation_id = given(&input.allocation_id);
    let is_public = input.connectivity_type != Some(ConnectivityType::Private);
    match (is_public, &allocation_id) {
        (true, None) => {
            return Err(ApiError::client(
                "MissingParameter",
                "The request must include the AllocationId parameter. Add the required parameter and retry the request.",
            ));
        }
        (false, Some(_)) => {
            return Err(errors::invalid_combination(
                "A private NAT gateway has no Elastic IP address: leave AllocationId out.",
            ));
        }
        _ => {}
    }
    let token = given(&input.client_token);
    let tags = tags::from_specifications(&kind::NAT_GATEWAY, input.tag_specifications)?;
    let private_address = given(&input.private_ip_address);
    let gateway = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let subnet = get::<SubnetRecord>(state, scope, &subnet_id).await?;
            let gateways = all_stored::<NatGatewayRecord>(state, scope).await?;
            let again = gateways.iter().find(|gateway| {
                token.is_some()
                    && gateway.record.client_token == token
                    && gateway.record.deletion.is_none()
            });
            if let Some(again) = again {
                return Ok(again.record.clone());
            }
            let now = state.now();
            let of_subnet = gateways.iter().map(|gateway| &gateway.record);
            let of_subnet =
                of_subnet.filter(|g| g.deletion.is_none() && g.subnet_id == subnet_id);
            if of_subnet.count() >= MAX_PER_SUBNET {
                let error = format!(
                    "Performing this operation would exceed the limit of {MAX_PER_SUBNET} NAT gateways"
                );
                return Err(ApiError::client("NatGatewayLimitExceeded", error).into());
            }
            for gone in gateways.iter().filter(|g| is_forgotten(&g.record, now)) {
                change.changes.remove(gone);
            }
            let wanted = private_address.as_deref();
            let address = free_address(state, pool, scope, &subnet.record, wanted).await?;
            let mut gateway = NatGatewayRecord {
                id: kind::NAT_GATEWAY.new_id(),
                vpc_id: subnet.record.vpc_id.clone(),
                subnet_id: subnet_id.clone(),
                public: None,
                network_interface_id: String::new(),
                private_ipv4_address: address,
                client_token: token.clone(),
                created_at: now,
                settled_at: after(state, CREATION),
                failure: None,
                deletion: None,
                tags: tags.clone(),
            };
            add_interface(scope, &mut gateway, &subnet, now, &mut change.changes);
            if let Some(allocation_id) = &allocation_id {
                let elastic_ip = get::<ElasticIpRecord>(state, scope, allocation_id).await?;
                gateway.public = Some(NatAddressRecord {
                    allocation_id: allocation_id.clone(),
                    association_id: kind::ADDRESS_ASSOCIATION.new_id(),
                    address: elastic_ip.record.address,
                });
                gateway.failure = if !has_internet_gateway(state, scope, &gateway.vpc_id).await? {
                    let text = format!("Network {} has no Internet gateway attached", gateway.vpc_id);
                    Some(("Gateway.NotAttached".to_owned(), text))
                } else if elastic_ip.record.association.is_some() {
                    let text = format!("Elastic IP address [{allocation_id}] is already associated");
                    Some(("Resource.AlreadyAssociated".to_owned(), text))
                } else {
                    let mut record = elastic_ip.record.clone();
                    record.association = association_of(&gateway);
                    change.changes.replace(&elastic_ip, &record);
                    None
                };
            }
            write_new(scope, &mut change.changes, &gateway);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(gateway)
        })
        .await?;
    Ok(CreateNatGatewayResult {
        client_token: input.client_token,
        nat_gateway: Some(view(&gateway, state.now())),
    })
}

/// When something is over that takes AWS so long.
fn after(state: &State, duration: Duration) -> Timestamp {
    let millis = state.clock().scaled(duration).as_millis();
    state
        .now()
        .plus_millis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn association_of(gateway: &NatGatewayRecord) -> Option<AddressAssociationRecord> {
    let public = gateway.public.as_ref()?;
    Some(AddressAssociationRecord {
        id: public.association_id.clone(),
        network_interface_id: gateway.network_interface_id.clone(),
        private_ipv4_address: gateway.private_ipv4_address,
        nat_gateway_id: Some(gateway.id.clone()),
    })
}

fn add_interface(
    scope: &Scope,
    gateway: &mut NatGatewayRecord,
    subnet: &crate::state::Stored<SubnetRecord>,
    now: Timestamp,
    changes: &mut Changes,
) {
    let address: Ipv4Addr = gateway.private_ipv4_address;
    let mut interface = new_interface(scope, &subnet.record, address, Vec::new(), now);
    interface.description = format!("Interface for NAT Gateway {}", gateway.id);
    interface.source_dest_check = false;
    interface.attachment = Some(AttachmentRecord {
        id: ec2_id("eni-attach", &mut rand::rng()),
        owner_arn: scope
            .arn("ec2", format_args!("natgateway/{}", gateway.id))
            .to_string(),
        attached_at: now,
    });
    gateway.network_interface_id.clone_from(&interface.id);
    write_interface(scope, &interface, subnet, &[], changes);
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeleteNatGateway.html>
pub async fn delete(
    state: &State,
    scope: &Scope,
    input: DeleteNatGatewayRequest,
) -> Result<DeleteNatGatewayResult, ApiError> {
    let id = &input.nat_gateway_id;
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let gateway = get::<NatGatewayRecord>(state, scope, id).await?;
            if gateway.record.deletion.is_some() {
                return Ok(());
            }
            let mut record = gateway.record.clone();
            record.deletion = Some(DeletionRecord {
                asked_at: state.now(),
                done_at: after(state, DELETION),
            });
            let interface_id = &record.network_interface_id;
            let interface = get::<NetworkInterfaceRecord>(state, scope, interface_id).await?;
            release_interface(scope, &interface.record, &mut change.changes);
            super::elastic_ips::detach_from_interface(
                state,
                scope,
                interface_id,
                &mut change.changes,
            )
            .await?;
            change.changes.replace(&gateway, &record);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await?;
    Ok(DeleteNatGatewayResult {
        nat_gateway_id: Some(id.clone()),
    })
}
