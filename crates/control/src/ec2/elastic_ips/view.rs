//! Elastic IP addresses as answers show them.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::filters::{Accessor, shown, text};
use super::super::kind::{self, Kind};
use super::super::records::*;
use super::super::select::{Listed, Query, select};
use super::super::tags;
use super::super::topology::all;
use super::address_not_found;
use crate::state::State;

fn view(scope: &Scope, record: &ElasticIpRecord) -> Address {
    let association = record.association.as_ref();
    Address {
        allocation_id: Some(record.id.clone()),
        association_id: association.map(|a| a.id.clone()),
        domain: Some(DomainType::Vpc),
        network_border_group: Some(scope.region.clone()),
        network_interface_id: association.map(|a| a.network_interface_id.clone()),
        network_interface_owner_id: association.map(|_| scope.account.clone()),
        private_ip_address: association.map(|a| a.private_ipv4_address.to_string()),
        public_ip: Some(record.address.to_string()),
        public_ipv4_pool: Some("amazon".to_owned()),
        tags: tags::view(&record.tags),
        ..Default::default()
    }
}

/// The same as an interface shows it.
pub fn interface_association(
    scope: &Scope,
    address: &ElasticIpRecord,
) -> NetworkInterfaceAssociation {
    NetworkInterfaceAssociation {
        allocation_id: Some(address.id.clone()),
        association_id: address.association.as_ref().map(|a| a.id.clone()),
        ip_owner_id: Some(scope.account.clone()),
        public_dns_name: Some(String::new()),
        public_ip: Some(address.address.to_string()),
        ..Default::default()
    }
}

impl Listed for Address {
    const KIND: &'static Kind = &kind::ALLOCATION;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("allocation-id", |a| text(&a.allocation_id)),
        ("association-id", |a| text(&a.association_id)),
        ("domain", |a| shown(a.domain)),
        ("instance-id", |_| Vec::new()),
        ("network-border-group", |a| text(&a.network_border_group)),
        ("network-interface-id", |a| text(&a.network_interface_id)),
        ("network-interface-owner-id", |a| {
            text(&a.network_interface_owner_id)
        }),
        ("private-ip-address", |a| text(&a.private_ip_address)),
        ("public-ip", |a| text(&a.public_ip)),
    ];
    fn id(&self) -> &str {
        self.allocation_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAddresses.html>
pub async fn describe(
    state: &State,
    scope: &Scope,
    input: DescribeAddressesRequest,
) -> Result<DescribeAddressesResult, ApiError> {
    let mut records = all::<ElasticIpRecord>(state, scope).await?;
    let wanted = input.public_ips.unwrap_or_default();
    if !wanted.is_empty() {
        let known = |address: &String| records.iter().any(|r| r.address.to_string() == *address);
        if let Some(unknown) = wanted.iter().find(|address| !known(address)) {
            return Err(address_not_found(unknown));
        }
        records.retain(|record| wanted.contains(&record.address.to_string()));
    }
    let query = Query {
        ids: input.allocation_ids,
        filters: input.filters,
        ..Query::default()
    };
    // The operation has no pages.
    let views = records.iter().map(|record| view(scope, record)).collect();
    let (addresses, _) = select(views, query)?;
    Ok(DescribeAddressesResult {
        addresses: Some(addresses),
    })
}
