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
        Values::OneOf(
            &["use_load_balancer_configuration", "true", "false"],
            Words::Key,
        ),
    ),
    spec(DNS_FAILOVER_COUNT, "1", Values::OffOrCount(MAX_TARGETS)),
    spec(DNS_FAILOVER_PERCENT, "off", Values::OffOrPercent),
    spec(UNHEALTHY_ROUTING_COUNT, "1", Values::Range(1, MAX_TARGETS)),
    spec(UNHEALTHY_ROUTING_PERCENT, "off", Values::OffOrPercent),
];

const HTTP: &[Spec] = &[
    spec(
        STICKINESS_TYPE,
        "lb_cookie",
        Values::OneOf(&["lb_cookie", "app_cookie"], Words::Key),
    ),
    spec(
        ALGORITHM,
        "round_robin",
        Values::OneOf(
            &[
                "round_robin",
                "weighted_random",
                "least_outstanding_requests",
            ],
            Words::Named("Load balancer algorithm"),
        ),
    ),
    spec(
        ANOMALY_MITIGATION,
        "off",
        Values::OneOf(&["on", "off"], Words::Key),
    ),
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
    spec(
        STICKINESS_TYPE,
        "source_ip",
        Values::OneOf(&["source_ip"], Words::Key),
    ),
    spec("proxy_protocol_v2.enabled", "false", Values::Flag),
    spec(UNHEALTHY_DRAINING, "0", Values::Range(0, 360_000)),
];

const DNS_FAILOVER_COUNT: &str = "target_group_health.dns_failover.minimum_healthy_targets.count";
const DNS_FAILOVER_PERCENT: &str =
    "target_group_health.dns_failover.minimum_healthy_targets.percentage";
const UNHEALTHY_ROUTING_COUNT: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count";
const UNHEALTHY_ROUTING_PERCENT: &str =
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage";
const TERMINATE_DEREGISTERED: &str = "deregistration_delay.connection_termination.enabled";

/// Attributes that groups of some protocol have, those that are not built included.
const OF_SOME: &[&str] = &[
    TERMINATE_DEREGISTERED,
    PRESERVE_CLIENT_IP,
    TERMINATE_UNHEALTHY,
    "lambda.multi_value_headers.enabled",
    "target_failover.on_deregistration",
    "target_failover.on_unhealthy",
];

/// Whether some target group has the attribute.
pub fn is_known(key: &str) -> bool {
    let mut specs = [ALL, HTTP, OTHERS].into_iter().flatten();
    specs.any(|spec| spec.key == key) || OF_SOME.contains(&key)
}

/// All attributes of this group.
pub fn of_target_group(group: &TargetGroupRecord) -> Vec<Spec> {
    if group.protocol.is_http() {
        return [ALL, HTTP].concat();
    }
    let flag = |on| if on { "true" } else { "false" };
    let udp = group.protocol.has_udp();
    let keeps_client_ip = udp || group.target_type == TargetType::Instance;
    let client_ip_values = if udp {
        Values::Only(
            "true",
            "preserve_client_ip.enabled cannot be false if the target group protocol is UDP or TCP_UDP.",
        )
    } else {
        Values::Flag
    };
    let unhealthy_values = if udp {
        Values::Only(
            "false",
            "target_health_state.unhealthy.connection_termination.enabled cannot be true if the target group protocol is UDP or TCP_UDP.",
        )
    } else {
        Values::Flag
    };
    let mut specs = [ALL, OTHERS].concat();
    specs.extend([
        spec(TERMINATE_DEREGISTERED, flag(udp), Values::Flag),
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
    let number = |key| value(key).parse::<u32>().ok();
    for (failover, routing) in [
        (DNS_FAILOVER_COUNT, UNHEALTHY_ROUTING_COUNT),
        (DNS_FAILOVER_PERCENT, UNHEALTHY_ROUTING_PERCENT),
    ] {
        // One that is off asks for nothing.
        if let (Some(failover), Some(routing)) = (number(failover), number(routing))
            && failover < routing
        {
            return refuse(
                "DNS failover threshold must be greater than or equal to unhealthy state routing threshold"
                    .to_owned(),
            );
        }
    }
    if !group.protocol.is_http() {
        if value(UNHEALTHY_DRAINING) != "0" && value(TERMINATE_UNHEALTHY) == "true" {
            return refuse(format!(
                "You cannot have both '{TERMINATE_UNHEALTHY}' and '{UNHEALTHY_DRAINING}' enabled on a target group"
            ));
        }
        return Ok(());
    }
    let algorithm = value(ALGORITHM);
    if value(SLOW_START) != "0" && algorithm != "round_robin" {
        return refuse(format!(
            "You cannot enable both slow start and {} algorithm on a target group",
            algorithm.replace('_', " ")
        ));
    }
    if sticky && algorithm == "weighted_random" {
        return refuse(
            "You cannot enable both stickiness and weighted random algorithm on a target group"
                .to_owned(),
        );
    }
    if value(ANOMALY_MITIGATION) == "on" && algorithm != "weighted_random" {
        return refuse(format!(
            "You cannot enable both anomaly mitigation and {} algorithm on a target group",
            algorithm.replace('_', " ")
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
