//! Regions, availability zones, and the account's attributes.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::errors;
use super::filters::{self, Accessor, shown, text};
use super::topology::ensure_default_vpc;
use super::zones::{REGIONS, Zone, zones_of};
use crate::state::State;

const REGION_FILTERS: &[(&str, Accessor<Region>)] = &[
    ("endpoint", |r| text(&r.endpoint)),
    ("opt-in-status", |r| text(&r.opt_in_status)),
    ("region-name", |r| text(&r.region_name)),
];

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html>
pub fn describe_regions(
    scope: &Scope,
    input: DescribeRegionsRequest,
) -> Result<DescribeRegionsResult, ApiError> {
    // The caller's region exists, whatever its name.
    let mut names: Vec<&str> = REGIONS.to_vec();
    if !names.contains(&scope.region.as_str()) {
        names.push(&scope.region);
    }
    let wanted = input.region_names.unwrap_or_default();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(errors::invalid_value(format!(
            "Invalid region provided: {unknown}"
        )));
    }
    if !wanted.is_empty() {
        names.retain(|name| wanted.iter().any(|wanted| wanted == name));
    }
    let regions = names
        .into_iter()
        .map(|name| Region {
            endpoint: Some(format!("ec2.{name}.amazonaws.com")),
            opt_in_status: Some("opt-in-not-required".to_owned()),
            region_name: Some(name.to_owned()),
            ..Default::default()
        })
        .collect();
    let filters = input.filters.unwrap_or_default();
    Ok(DescribeRegionsResult {
        regions: Some(filters::apply(regions, &filters, REGION_FILTERS, |_| &[])?),
    })
}

const ZONE_FILTERS: &[(&str, Accessor<AvailabilityZone>)] = &[
    ("group-long-name", |z| text(&z.group_long_name)),
    ("group-name", |z| text(&z.group_name)),
    ("message", |_| Vec::new()),
    ("opt-in-status", |z| shown(z.opt_in_status)),
    ("parent-zone-id", |_| Vec::new()),
    ("parent-zone-name", |_| Vec::new()),
    ("region-name", |z| text(&z.region_name)),
    ("state", |z| shown(z.state)),
    ("zone-id", |z| text(&z.zone_id)),
    ("zone-name", |z| text(&z.zone_name)),
    ("zone-type", |z| text(&z.zone_type)),
];

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAvailabilityZones.html>
pub fn describe_availability_zones(
    scope: &Scope,
    input: DescribeAvailabilityZonesRequest,
) -> Result<DescribeAvailabilityZonesResult, ApiError> {
    let names = input.zone_names.unwrap_or_default();
    let ids = input.zone_ids.unwrap_or_default();
    let mut zones = zones_of(&scope.region);
    let unknown_name = names
        .iter()
        .find(|name| !zones.iter().any(|z| z.name == **name));
    let unknown_id = ids.iter().find(|id| !zones.iter().any(|z| z.id == **id));
    if let Some(unknown) = unknown_name.or(unknown_id) {
        return Err(errors::invalid_value(format!(
            "Invalid availability zone: [{unknown}]"
        )));
    }
    zones.retain(|zone| {
        (names.is_empty() || names.contains(&zone.name))
            && (ids.is_empty() || ids.contains(&zone.id))
    });
    let zones = zones
        .into_iter()
        .map(|zone| zone_view(scope, zone))
        .collect();
    let filters = input.filters.unwrap_or_default();
    Ok(DescribeAvailabilityZonesResult {
        availability_zones: Some(filters::apply(zones, &filters, ZONE_FILTERS, |_| &[])?),
    })
}

fn zone_view(scope: &Scope, zone: Zone) -> AvailabilityZone {
    AvailabilityZone {
        // The group of a region's own zones is called like the region, with the number of the group.
        group_name: Some(format!("{}-zg-1", scope.region)),
        messages: Some(Vec::new()),
        network_border_group: Some(scope.region.clone()),
        opt_in_status: Some(AvailabilityZoneOptInStatus::OptInNotRequired),
        region_name: Some(scope.region.clone()),
        state: Some(AvailabilityZoneState::Available),
        zone_id: Some(zone.id),
        zone_name: Some(zone.name),
        zone_type: Some("availability-zone".to_owned()),
        ..Default::default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeAccountAttributes.html>
pub async fn describe_attributes(
    state: &State,
    scope: &Scope,
    input: DescribeAccountAttributesRequest,
) -> Result<DescribeAccountAttributesResult, ApiError> {
    let topology = ensure_default_vpc(state, scope).await?.record;
    let default_vpc = topology.default_vpc_id.unwrap_or_else(|| "none".to_owned());
    let wanted = input.attribute_names.unwrap_or_default();
    let attributes = [
        ("supported-platforms", "VPC"),
        ("default-vpc", &default_vpc),
        ("max-instances", "20"),
        ("vpc-max-security-groups-per-interface", "5"),
        ("max-elastic-ips", "5"),
        ("vpc-max-elastic-ips", "5"),
    ];
    let attributes = attributes
        .into_iter()
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w.as_str() == *name))
        .map(|(name, value)| AccountAttribute {
            attribute_name: Some(name.to_owned()),
            attribute_values: Some(vec![AccountAttributeValue {
                attribute_value: Some(value.to_owned()),
            }]),
        });
    Ok(DescribeAccountAttributesResult {
        account_attributes: Some(attributes.collect()),
    })
}
