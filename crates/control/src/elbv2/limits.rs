//! Quotas, and DescribeAccountLimits.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{Elbv2Service, pages};

/// Load balancers of each type in a region.
pub const LOAD_BALANCERS: usize = 50;
pub const TARGET_GROUPS: usize = 3000;
/// Of a load balancer.
pub const LISTENERS: usize = 50;
/// Of an application load balancer, default rules not counted.
pub const RULES: usize = 100;
/// Of a load balancer, default ones not counted.
pub const CERTIFICATES: usize = 25;
/// That one load balancer sends to.
pub const TARGET_GROUPS_PER_LOAD_BALANCER: usize = 100;
pub const TARGETS_PER_GROUP: usize = 1000;
/// In all groups that it sends to.
pub const TARGETS_PER_APPLICATION_LOAD_BALANCER: usize = 1000;
pub const TARGETS_PER_NETWORK_LOAD_BALANCER: usize = 3000;
pub const TARGETS_PER_ZONE_OF_NETWORK_LOAD_BALANCER: usize = 500;
/// Of a rule, over all its conditions.
pub const CONDITION_VALUES: usize = 5;
pub const CONDITION_WILDCARDS: usize = 6;

const LIMITS: [(&str, usize); 20] = [
    ("application-load-balancers", LOAD_BALANCERS),
    ("certificates-per-application-load-balancer", CERTIFICATES),
    ("certificates-per-network-load-balancer", CERTIFICATES),
    ("condition-values-per-alb-rule", CONDITION_VALUES),
    ("condition-wildcards-per-alb-rule", CONDITION_WILDCARDS),
    ("listeners-per-application-load-balancer", LISTENERS),
    ("listeners-per-network-load-balancer", LISTENERS),
    ("network-load-balancers", LOAD_BALANCERS),
    ("rules-per-application-load-balancer", RULES),
    ("target-groups", TARGET_GROUPS),
    ("target-groups-per-action-on-application-load-balancer", 5),
    ("target-groups-per-action-on-network-load-balancer", 5),
    (
        "target-groups-per-application-load-balancer",
        TARGET_GROUPS_PER_LOAD_BALANCER,
    ),
    (
        "target-groups-per-network-load-balancer",
        TARGET_GROUPS_PER_LOAD_BALANCER,
    ),
    (
        "target-id-registrations-per-application-load-balancer",
        1000,
    ),
    (
        "targets-per-application-load-balancer",
        TARGETS_PER_APPLICATION_LOAD_BALANCER,
    ),
    (
        "targets-per-availability-zone-per-network-load-balancer",
        TARGETS_PER_ZONE_OF_NETWORK_LOAD_BALANCER,
    ),
    (
        "targets-per-network-load-balancer",
        TARGETS_PER_NETWORK_LOAD_BALANCER,
    ),
    ("targets-per-target-group", TARGETS_PER_GROUP),
    ("gateway-load-balancers", 0),
];

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeAccountLimits.html>
pub async fn describe(
    _: &Elbv2Service,
    _: &RequestContext,
    input: DescribeAccountLimitsInput,
) -> Result<DescribeAccountLimitsOutput, ApiError> {
    let name = |limit: &(&str, usize)| limit.0.to_owned();
    let (page, next_marker) = pages::page(LIMITS.to_vec(), name, input.marker, input.page_size)?;
    let limits = page.into_iter().map(|(name, max)| Limit {
        max: Some(max.to_string()),
        name: Some(name.to_owned()),
    });
    Ok(DescribeAccountLimitsOutput {
        limits: Some(limits.collect()),
        next_marker,
    })
}
