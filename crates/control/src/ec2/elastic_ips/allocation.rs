//! Taking an address for the account, and giving it back.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;
use rand::seq::IteratorRandom;

use super::super::default_vpc::create as write_new;
use super::super::kind;
use super::super::records::*;
use super::super::topology::{TopologyChange, all};
use super::super::{errors, tags};
use super::find;
use crate::state::{Attempt, State};

/// Where addresses come from: a range that is kept for documentation (RFC 5737), so that none is anybody's.
const RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, 0), 24);

/// AWS's quota is 5 and can be raised; this is what leaves the range some freedom.
const MAX_ADDRESSES: usize = 200;

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AllocateAddress.html>
pub async fn allocate(
    state: &State,
    scope: &Scope,
    input: AllocateAddressRequest,
) -> Result<AllocateAddressResult, ApiError> {
    for (name, given) in [
        ("address", &input.address),
        ("customerOwnedIpv4Pool", &input.customer_owned_ipv4_pool),
        ("ipamPoolId", &input.ipam_pool_id),
    ] {
        if given.as_ref().is_some_and(|text| !text.is_empty()) {
            return Err(errors::unsupported(name));
        }
    }
    let tags = tags::from_specifications(&kind::ALLOCATION, input.tag_specifications)?;
    let record = state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let taken = all::<ElasticIpRecord>(state, scope).await?;
            let taken: HashSet<Ipv4Addr> = taken.into_iter().map(|a| a.address).collect();
            let free = RANGE.hosts().filter(|address| !taken.contains(address));
            let free = free.choose(&mut rand::rng());
            let (Some(address), true) = (free, taken.len() < MAX_ADDRESSES) else {
                return Err(ApiError::client(
                    "AddressLimitExceeded",
                    "The maximum number of addresses has been reached.",
                )
                .into());
            };
            let record = ElasticIpRecord {
                id: kind::ALLOCATION.new_id(),
                address,
                association: None,
                domain_name: None,
                tags: tags.clone(),
            };
            write_new(scope, &mut change.changes, &record);
            change.commit(state).await?;
            Ok::<_, Attempt<ApiError>>(record)
        })
        .await?;
    Ok(AllocateAddressResult {
        allocation_id: Some(record.id),
        domain: Some(DomainType::Vpc),
        network_border_group: Some(scope.region.clone()),
        public_ip: Some(record.address.to_string()),
        public_ipv4_pool: Some("amazon".to_owned()),
        ..Default::default()
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ReleaseAddress.html>
pub async fn release(
    state: &State,
    scope: &Scope,
    input: ReleaseAddressRequest,
) -> Result<(), ApiError> {
    let (id, address) = (input.allocation_id.as_deref(), input.public_ip.as_deref());
    state
        .retrying(|| async {
            let mut change = TopologyChange::begin(state, scope).await?;
            let found = find(state, scope, id, address).await?;
            if found.record.association.is_some() {
                return Err(ApiError::client(
                    "InvalidIPAddress.InUse",
                    format!("Address {} is in use.", found.record.address),
                )
                .into());
            }
            change.changes.remove(&found);
            change.commit(state).await?;
            Ok::<(), Attempt<ApiError>>(())
        })
        .await
}
