//! Attributes of load balancers.

use neargate_aws_wire::error::ApiError;

use super::{Attributes, CROSS_ZONE, DELETION_PROTECTION, Spec, Values, Words, spec, value};
use crate::elbv2::errors;
use crate::elbv2::records::{LoadBalancerKind, LoadBalancerRecord};

const BOTH: &[Spec] = &[
    spec("access_logs.s3.enabled", "false", Values::Flag),
    spec("access_logs.s3.bucket", "", Values::Text),
    spec("access_logs.s3.prefix", "", Values::Text),
    spec(DELETION_PROTECTION, "false", Values::Flag),
    spec("zonal_shift.config.enabled", "false", Values::Flag),
];

const APPLICATION: &[Spec] = &[
    spec(
        "idle_timeout.timeout_seconds",
        "60",
        Values::Characters(1, 4000),
    ),
    spec(
        "client_keep_alive.seconds",
        "3600",
        Values::Integer(60, 604_800),
    ),
    spec(
        "routing.http.desync_mitigation_mode",
        "defensive",
        Values::OneOf(&["defensive", "monitor", "strictest"], Words::Value),
    ),
    spec(
        "routing.http.drop_invalid_header_fields.enabled",
        "false",
        Values::Flag,
    ),
    spec(
        "routing.http.preserve_host_header.enabled",
        "false",
        Values::Flag,
    ),
    spec(
        "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        "false",
        Values::Flag,
    ),
    spec(
        "routing.http.xff_client_port.enabled",
        "false",
        Values::Flag,
    ),
    spec(
        "routing.http.xff_header_processing.mode",
        "append",
        Values::OneOf(&["preserve", "append", "remove"], Words::SetAs),
    ),
    spec("routing.http2.enabled", "true", Values::Flag),
    spec("waf.fail_open.enabled", "false", Values::Flag),
    spec(
        CROSS_ZONE,
        "true",
        Values::Only(
            "true",
            "The value for 'load_balancing.cross_zone.enabled' must always be 'true' for an Application Load Balancer",
        ),
    ),
    spec("connection_logs.s3.enabled", "false", Values::Flag),
    spec("connection_logs.s3.bucket", "", Values::Text),
    spec("connection_logs.s3.prefix", "", Values::Text),
    spec("health_check_logs.s3.enabled", "false", Values::Flag),
    spec("health_check_logs.s3.bucket", "", Values::Text),
    spec("health_check_logs.s3.prefix", "", Values::Text),
];

const NETWORK: &[Spec] = &[
    spec(CROSS_ZONE, "false", Values::Flag),
    spec(
        "dns_record.client_routing_policy",
        "any_availability_zone",
        Values::OneOf(
            &[
                "availability_zone_affinity",
                "partial_availability_zone_affinity",
                "any_availability_zone",
            ],
            Words::NotValid,
        ),
    ),
    spec(
        "secondary_ips.auto_assigned.per_subnet",
        "0",
        Values::SecondaryAddresses(0, 7),
    ),
];

/// All attributes of this load balancer.
pub fn of_load_balancer(load_balancer: &LoadBalancerRecord) -> Vec<Spec> {
    let own = match load_balancer.kind {
        LoadBalancerKind::Application => APPLICATION,
        LoadBalancerKind::Network => NETWORK,
    };
    let deny_gateways = if load_balancer.internal {
        "true"
    } else {
        "false"
    };
    let mut specs = [BOTH, own].concat();
    specs.push(spec(
        "ipv6.deny_all_igw_traffic",
        deny_gateways,
        Values::Flag,
    ));
    specs
}

/// What the values must be together. `before` is what was set until now.
pub fn check(specs: &[Spec], before: &Attributes, after: &Attributes) -> Result<(), ApiError> {
    for (logs, name) in [
        ("access_logs", "access logs"),
        ("connection_logs", "connection logs"),
        ("health_check_logs", "health check logs"),
    ] {
        let enabled = value(specs, after, &format!("{logs}.s3.enabled")) == "true";
        if enabled && value(specs, after, &format!("{logs}.s3.bucket")).is_empty() {
            return Err(errors::configuration(format!(
                "The key '{logs}.s3.bucket' must set in order to enable {name}"
            )));
        }
    }
    const SECONDARY: &str = "secondary_ips.auto_assigned.per_subnet";
    let number = |set| value(specs, set, SECONDARY).parse::<u32>().unwrap_or(0);
    if number(after) < number(before) {
        return Err(errors::configuration(format!(
            "'{SECONDARY}' cannot be decreased"
        )));
    }
    Ok(())
}
