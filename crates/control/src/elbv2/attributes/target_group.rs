//! Attributes of target groups. Which there are and their defaults depend on protocol and target type.

use neargate_aws_wire::error::ApiError;

use super::*;
use crate::elbv2::limits;
use crate::elbv2::records::{Protocol, TargetGroupRecord, TargetType};

const MAX_TARGETS: u32 = limits::TARGETS_PER_GROUP as u32;
/// A week.
const MAX_STICKY_SECS: u32 = 604_800;

const ALL: &[Spec] = &[
    spec(DEREGISTRATION_DELAY, "300", Values::Range(0, 3600)),
    spec(STICKINESS, "false", Values::Flag),
    spec(
        CROSS_ZONE,
        "use_load_balancer_configuration",
        Values::OneOf(&["true", "false", "use_load_balancer_configuration"]),
    ),
    spec(
        "target_group_health.dns_failover.minimum_healthy_targets.count",
        "1",
        Values::OffOr(1, MAX_TARGETS),
    ),
    spec(
        "target_group_health.dns_failover.minimum_healthy_targets.percentage",
        "off",
        Values::OffOr(1, 100),
    ),
    spec(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count",
        "1",
        Values::Range(1, MAX_TARGETS),
    ),
    spec(
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
        "off",
        Values::OffOr(1, 100),
    ),
];

const HTTP: &[Spec] = &[
    spec(
        STICKINESS_TYPE,
        "lb_cookie",
        Values::OneOf(&["lb_cookie", "app_cookie"]),
    ),
    spec(
        ALGORITHM,
        "round_robin",
        Values::OneOf(&[
            "round_robin",
            "least_outstanding_requests",
            "weighted_random",
        ]),
    ),
    spec(ANOMALY_MITIGATION, "off", Values::OneOf(&["on", "off"])),
    spec(SLOW_START, "0", Values::ZeroOr(30, 900)),
    spec(APP_COOKIE_NAME, "", Values::Text),
    spec(
        "stickiness.app_cookie.duration_seconds",
        "86400",
        Values::Range(1, MAX_STICKY_SECS),
    ),
    spec(
        "stickiness.lb_cookie.duration_seconds",
        "86400",
        Values::Range(1, MAX_STICKY_SECS),
    ),
];

const OTHERS: &[Spec] = &[
    spec(STICKINESS_TYPE, "source_ip", Values::OneOf(&["source_ip"])),
    spec("proxy_protocol_v2.enabled", "false", Values::Flag),
    spec(UNHEALTHY_DRAINING, "0", Values::Range(0, 360_000)),
];

/// All attributes of this group.
pub fn of_target_group(group: &TargetGroupRecord) -> Vec<Spec> {
    if group.protocol.is_http() {
        return [ALL, HTTP].concat();
    }
    let flag = |on| if on { "true" } else { "false" };
    let udp = group.protocol.has_udp();
    let keeps_client_ip = udp || group.target_type == TargetType::Instance;
    let client_ip_values = if udp {
        Values::Only("true")
    } else {
        Values::Flag
    };
    let unhealthy_values = if udp {
        Values::Only("false")
    } else {
        Values::Flag
    };
    let mut specs = [ALL, OTHERS].concat();
    specs.extend([
        spec(
            "deregistration_delay.connection_termination.enabled",
            flag(udp),
            Values::Flag,
        ),
        spec(PRESERVE_CLIENT_IP, flag(keeps_client_ip), client_ip_values),
        spec(TERMINATE_UNHEALTHY, flag(!udp), unhealthy_values),
    ]);
    specs
}

/// Cookies of this kind are the load balancer's own.
const RESERVED_COOKIES: &[&str] = &["AWSALB", "AWSALBAPP", "AWSALBTG"];

/// What the values must be together.
pub fn check(group: &TargetGroupRecord, after: &Attributes) -> Result<(), ApiError> {
    let specs = of_target_group(group);
    let value = |key| value(&specs, after, key);
    let refuse = |why: String| Err(errors::configuration(why));
    let sticky = value(STICKINESS) == "true";
    if sticky && group.protocol == Protocol::Tls {
        return refuse(
            "You cannot enable stickiness on target groups with the TLS protocol".to_owned(),
        );
    }
    if sticky && value(CROSS_ZONE) == "false" {
        return refuse(
            "You cannot enable stickiness on target groups with cross-zone load balancing off"
                .to_owned(),
        );
    }
    if !group.protocol.is_http() {
        if value(UNHEALTHY_DRAINING) != "0" && value(TERMINATE_UNHEALTHY) == "true" {
            return refuse(format!(
                "'{UNHEALTHY_DRAINING}' can only be set when '{TERMINATE_UNHEALTHY}' is false"
            ));
        }
        return Ok(());
    }
    let algorithm = value(ALGORITHM);
    if value(SLOW_START) != "0" && algorithm != "round_robin" {
        return refuse(format!(
            "You cannot enable slow start with the '{algorithm}' load balancing algorithm"
        ));
    }
    if sticky && algorithm == "weighted_random" {
        return refuse(
            "You cannot enable stickiness with the 'weighted_random' load balancing algorithm"
                .to_owned(),
        );
    }
    if value(ANOMALY_MITIGATION) == "on" && algorithm != "weighted_random" {
        return refuse(format!(
            "'{ANOMALY_MITIGATION}' requires the 'weighted_random' load balancing algorithm"
        ));
    }
    let cookie = value(APP_COOKIE_NAME);
    if sticky && value(STICKINESS_TYPE) == "app_cookie" && cookie.is_empty() {
        return refuse(
            "You must set an application cookie name to enable stickiness of type 'app_cookie'"
                .to_owned(),
        );
    }
    if RESERVED_COOKIES.iter().any(|name| cookie.starts_with(name)) {
        return refuse(format!("The cookie name '{cookie}' is reserved"));
    }
    Ok(())
}

/// The texts of values that a group of another protocol could have.
pub fn check_stickiness_type(group: &TargetGroupRecord, wanted: &str) -> Result<(), ApiError> {
    const KNOWN: &[&str] = &["lb_cookie", "app_cookie", "source_ip"];
    let specs = of_target_group(group);
    let fits = specs
        .iter()
        .find(|spec| spec.key == STICKINESS_TYPE)
        .is_some_and(|spec| spec.values.check(STICKINESS_TYPE, wanted).is_ok());
    if fits || !KNOWN.contains(&wanted) {
        return Ok(());
    }
    Err(errors::configuration(format!(
        "Stickiness type '{wanted}' is not supported for target groups with the {} protocol",
        group.protocol.as_str()
    )))
}
