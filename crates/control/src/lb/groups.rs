//! Target groups of the table.

use std::collections::BTreeMap;
use std::time::Duration;

use neargate_lb_api as api;

use super::listeners::protocol;
use crate::elbv2::attributes;
use crate::elbv2::records::{
    LoadBalancerRecord, ProtocolVersion, TargetGroupRecord, TargetRecord, TargetType,
};

/// However fast dev mode's clock runs, targets are not asked more often.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// A target whose address lies outside the VPC.
const ALL_ZONES: &str = "all";

/// What a target group depends on beside its record.
pub struct GroupContext<'a> {
    /// The one that uses it.
    pub balancer: Option<&'a LoadBalancerRecord>,
    /// All, by ARN.
    pub balancers: &'a BTreeMap<String, &'a LoadBalancerRecord>,
    pub scaled: &'a dyn Fn(Duration) -> Duration,
}

pub fn target_group<'a>(
    record: &TargetGroupRecord,
    targets: impl Iterator<Item = &'a TargetRecord>,
    context: &GroupContext<'_>,
) -> api::TargetGroup {
    let text = |key: &str| record.attribute(key);
    let on = |key: &str| text(key) == "true";
    // "off" is 0.
    let number = |key: &str| text(key).parse().unwrap_or(0);
    let is_http = record.protocol.is_http();
    api::TargetGroup {
        arn: record.arn(),
        protocol: protocol(record.protocol).into(),
        protocol_version: match record.protocol_version {
            Some(ProtocolVersion::Http2) => api::ProtocolVersion::Http2,
            Some(ProtocolVersion::Grpc) => api::ProtocolVersion::Grpc,
            Some(ProtocolVersion::Http1) | None => api::ProtocolVersion::Http1,
        }
        .into(),
        targets: targets.map(|t| target(record, t, context)).collect(),
        health_check: Some(health_check(record, context.scaled)),
        algorithm: match text(attributes::ALGORITHM) {
            "least_outstanding_requests" => api::Algorithm::LeastOutstandingRequests,
            "weighted_random" => api::Algorithm::WeightedRandom,
            _ => api::Algorithm::RoundRobin,
        }
        .into(),
        slow_start_secs: number(attributes::SLOW_START),
        stickiness: stickiness(record),
        unhealthy_routing_min_count: number(
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        ),
        unhealthy_routing_min_percent: number(
            "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        ),
        cross_zone: match text(attributes::CROSS_ZONE) {
            "true" => true,
            "false" => false,
            _ => context
                .balancer
                .is_none_or(|balancer| balancer.attribute(attributes::CROSS_ZONE) == "true"),
        },
        preserve_client_ip: on(attributes::PRESERVE_CLIENT_IP),
        proxy_protocol_v2: on("proxy_protocol_v2.enabled"),
        terminate_when_unhealthy: on(attributes::TERMINATE_UNHEALTHY),
        // An application load balancer has no choice: what still runs when the delay is over is cut.
        terminate_when_drained: is_http
            || on("deregistration_delay.connection_termination.enabled"),
        anomaly_mitigation: text(attributes::ANOMALY_MITIGATION) == "on",
    }
}

fn stickiness(record: &TargetGroupRecord) -> Option<api::Stickiness> {
    if record.attribute(attributes::STICKINESS) != "true" {
        return None;
    }
    let secs = |key: &str| record.attribute(key).parse().unwrap_or(0);
    let (kind, duration_secs, cookie_name) = match record.attribute(attributes::STICKINESS_TYPE) {
        "app_cookie" => (
            api::StickinessType::AppCookie,
            secs("stickiness.app_cookie.duration_seconds"),
            record.attribute(attributes::APP_COOKIE_NAME),
        ),
        "source_ip" => (api::StickinessType::SourceIp, 0, ""),
        _ => (
            api::StickinessType::LbCookie,
            secs("stickiness.lb_cookie.duration_seconds"),
            "",
        ),
    };
    Some(api::Stickiness {
        r#type: kind.into(),
        duration_secs,
        cookie_name: cookie_name.to_owned(),
    })
}

fn health_check(
    record: &TargetGroupRecord,
    scaled: &dyn Fn(Duration) -> Duration,
) -> api::HealthCheck {
    let check = &record.health_check;
    let interval = scaled(Duration::from_secs(u64::from(check.interval_secs))).max(MIN_INTERVAL);
    api::HealthCheck {
        enabled: true,
        protocol: protocol(check.protocol).into(),
        port: check.port.map_or(0, u32::from),
        path: check.path.clone().unwrap_or_default(),
        interval_millis: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        // What a target is given to answer is not shortened: it does not run faster.
        timeout_millis: u64::from(check.timeout_secs) * 1000,
        healthy_threshold: check.healthy_threshold,
        unhealthy_threshold: check.unhealthy_threshold,
        matcher: check.matcher.clone().unwrap_or_default(),
        // What a program is given to come up is not shortened either: as long as so many checks take at AWS.
        first_verdict_millis: u64::from(check.unhealthy_threshold.saturating_sub(1))
            * u64::from(check.interval_secs)
            * 1000,
    }
}

fn target(
    group: &TargetGroupRecord,
    record: &TargetRecord,
    context: &GroupContext<'_>,
) -> api::Target {
    let zone = record.availability_zone.clone().unwrap_or_default();
    let address = match group.target_type {
        TargetType::Ip => record.id.clone(),
        // There are no instances: what is registered by an instance's id is in no state to be used.
        TargetType::Instance => String::new(),
        TargetType::Alb => context
            .balancers
            .get(&record.id)
            .and_then(|balancer| balancer.zones.first())
            .map(|zone| zone.address.to_string())
            .unwrap_or_default(),
    };
    let zone_is_enabled = zone.is_empty()
        || zone == ALL_ZONES
        || context
            .balancer
            .is_none_or(|balancer| balancer.zones.iter().any(|enabled| enabled.zone == zone));
    let unusable_reason = match (address.is_empty(), zone_is_enabled) {
        (true, _) => "Target is in the terminated state",
        // Facts 8: `unused`, Target.NotInUse.
        (false, false) => {
            "Target is in an Availability Zone that is not enabled for the load balancer"
        }
        (false, true) => "",
    };
    api::Target {
        id: record.id.clone(),
        port: u32::from(record.port),
        address,
        availability_zone: zone,
        draining: record.draining_since.is_some(),
        unusable_reason: unusable_reason.to_owned(),
    }
}
