//! VPC endpoints as answers show them.

use neargate_aws_api::ec2::types::*;
use neargate_domain::{Scope, Timestamp};

use super::super::filters::{Accessor, shown, text};
use super::super::kind::{self, Kind};
use super::super::records::*;
use super::super::select::Listed;
use super::super::tags;
use super::services;

/// The policy of an endpoint for which nobody gave one, as AWS writes it.
const ALLOW_ALL: &str = r#"{
  "Statement": [
    {
      "Action": "*", 
      "Effect": "Allow", 
      "Principal": "*", 
      "Resource": "*"
    }
  ]
}"#;

/// Zone that holds AWS's names of endpoints; shown, and without a meaning here.
const HOSTED_ZONE: &str = "Z7HUB22UULQXV";

pub fn of(
    scope: &Scope,
    endpoint: &VpcEndpointRecord,
    groups: &[SecurityGroupRecord],
    now: Timestamp,
) -> VpcEndpoint {
    let is_pending = (endpoint.created_at..endpoint.available_at).contains(&now);
    let mut view = VpcEndpoint {
        creation_timestamp: Some(endpoint.created_at.to_jiff()),
        dns_entries: Some(Vec::new()),
        groups: Some(Vec::new()),
        ip_address_type: Some(IpAddressType::Ipv4),
        network_interface_ids: Some(Vec::new()),
        owner_id: Some(scope.account.clone()),
        policy_document: Some(
            endpoint
                .policy
                .clone()
                .unwrap_or_else(|| ALLOW_ALL.to_owned()),
        ),
        private_dns_enabled: Some(endpoint.private_dns),
        requester_managed: Some(false),
        route_table_ids: Some(Vec::new()),
        service_name: Some(endpoint.service_name.clone()),
        service_region: Some(scope.region.clone()),
        // The model's names are capitalised; the service answers in small letters.
        state: Some(match is_pending {
            true => State::Pending2,
            false => State::Available2,
        }),
        subnet_ids: Some(Vec::new()),
        tags: tags::view(&endpoint.tags),
        vpc_endpoint_id: Some(endpoint.id.clone()),
        vpc_id: Some(endpoint.vpc_id.clone()),
        ..Default::default()
    };
    match &endpoint.kind {
        VpcEndpointKind::Gateway { route_table_ids } => {
            view.vpc_endpoint_type = Some(VpcEndpointType::Gateway);
            view.dns_options = dns_options(DnsRecordIpType::ServiceDefined);
            view.route_table_ids = Some(route_table_ids.clone());
        }
        VpcEndpointKind::Interface {
            security_group_ids,
            interfaces,
        } => {
            view.vpc_endpoint_type = Some(VpcEndpointType::Interface);
            view.dns_options = dns_options(DnsRecordIpType::Ipv4);
            view.groups = Some(identifiers(security_group_ids, groups));
            view.subnet_ids = Some(interfaces.iter().map(|i| i.subnet_id.clone()).collect());
            let ids = interfaces.iter().map(|i| i.network_interface_id.clone());
            view.network_interface_ids = Some(ids.collect());
            view.dns_entries = Some(dns_entries(scope, endpoint, interfaces));
        }
    }
    view
}

fn dns_options(kind: DnsRecordIpType) -> Option<DnsOptions> {
    Some(DnsOptions {
        dns_record_ip_type: Some(kind),
        ..Default::default()
    })
}

fn identifiers(ids: &[String], groups: &[SecurityGroupRecord]) -> Vec<SecurityGroupIdentifier> {
    let name = |id: &String| groups.iter().find(|g| g.id == *id).map(|g| g.name.clone());
    ids.iter()
        .map(|id| SecurityGroupIdentifier {
            group_id: Some(id.clone()),
            group_name: name(id),
        })
        .collect()
}

/// One name of the endpoint, one per zone, and the service's own name where that is wanted.
fn dns_entries(
    scope: &Scope,
    endpoint: &VpcEndpointRecord,
    interfaces: &[EndpointInterfaceRecord],
) -> Vec<DnsEntry> {
    let service = services::short_name(scope, &endpoint.service_name);
    let domain = services::endpoint_domain(scope, service);
    // AWS's names have eight more characters, which the id gives as well.
    let unique = endpoint.id.get(5..13).unwrap_or_default();
    let name = |zone: &str| format!("{}-{unique}{zone}.{domain}", endpoint.id);
    let zones = interfaces.iter().map(|i| format!("-{}", i.zone));
    let mut names: Vec<String> = std::iter::once(String::new())
        .chain(zones)
        .map(|zone| name(&zone))
        .collect();
    if endpoint.private_dns {
        names.push(services::private_name(scope, service));
    }
    names
        .into_iter()
        .map(|name| DnsEntry {
            dns_name: Some(name),
            hosted_zone_id: Some(HOSTED_ZONE.to_owned()),
        })
        .collect()
}

impl Listed for VpcEndpoint {
    const KIND: &'static Kind = &kind::VPC_ENDPOINT;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("ip-address-type", |e| shown(e.ip_address_type)),
        ("service-name", |e| text(&e.service_name)),
        ("service-region", |e| text(&e.service_region)),
        ("vpc-endpoint-id", |e| text(&e.vpc_endpoint_id)),
        ("vpc-endpoint-state", |e| shown(e.state)),
        ("vpc-endpoint-type", |e| shown(e.vpc_endpoint_type)),
        ("vpc-id", |e| text(&e.vpc_id)),
    ];
    fn id(&self) -> &str {
        self.vpc_endpoint_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}
