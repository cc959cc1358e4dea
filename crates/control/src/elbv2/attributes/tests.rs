//! What is said of attributes that a resource does not have, or that it cannot have so.

use super::*;
use crate::elbv2::groups::tests::a_group;
use crate::elbv2::records::{Protocol, TargetType};

/// Sets attributes, given as `key=value`, and answers code and message.
fn set(group: &TargetGroupRecord, wanted: &[&str]) -> Result<Attributes, (String, String)> {
    let specs = of_target_group(group);
    let wanted = wanted.iter().map(|pair| {
        let (key, value) = pair.split_once('=').expect("a pair");
        (Some(key.to_owned()), Some(value.to_owned()))
    });
    merged(Owner::TargetGroup(group), &specs, &group.attributes, wanted)
        .and_then(|after| check_target_group(group, &after).map(|()| after))
        .map_err(|error| (error.query_code.to_string(), error.message))
}

const HEALTHY: &str = "target_group_health.dns_failover.minimum_healthy_targets";
const ROUTING: &str = "target_group_health.unhealthy_state_routing.minimum_healthy_targets";

#[test]
fn what_target_groups_cannot_have() {
    const CONFIGURATION: &str = "InvalidConfigurationRequest";
    const VALIDATION: &str = "ValidationError";
    let count = |of: &str, value: &str| format!("{of}.count={value}");
    let percent = |of: &str, value: &str| format!("{of}.percentage={value}");
    for (protocol, wanted, code, text) in [
        (
            Protocol::Http,
            vec!["preserve_client_ip.enabled=true".to_owned()],
            CONFIGURATION,
            "A target group with HTTP protocol does not support the attribute preserve_client_ip.enabled".to_owned(),
        ),
        (
            Protocol::Tcp,
            vec!["slow_start.duration_seconds=30".to_owned()],
            CONFIGURATION,
            "A target group with TCP protocol does not support the attribute slow_start.duration_seconds".to_owned(),
        ),
        (
            Protocol::Tcp,
            vec!["load_balancing.algorithm.type=round_robin".to_owned()],
            CONFIGURATION,
            "A target group with TCP protocol does not support the attribute load_balancing.algorithm.type".to_owned(),
        ),
        (
            Protocol::Http,
            vec!["stickiness.duration_seconds=1".to_owned()],
            VALIDATION,
            "Target group attribute key 'stickiness.duration_seconds' is not recognized".to_owned(),
        ),
        (
            Protocol::Http,
            vec!["stickiness.enabled=1".to_owned()],
            VALIDATION,
            "The value of 'stickiness.enabled' must be 'true' or 'false', but was '1'".to_owned(),
        ),
        (
            Protocol::Http,
            vec!["load_balancing.algorithm.type=fair".to_owned()],
            VALIDATION,
            "'Load balancer algorithm' must be one of [round_robin, weighted_random, least_outstanding_requests]".to_owned(),
        ),
        (
            Protocol::Http,
            vec!["load_balancing.cross_zone.enabled=maybe".to_owned()],
            VALIDATION,
            "'load_balancing.cross_zone.enabled' must be one of use_load_balancer_configuration,true,false".to_owned(),
        ),
        (
            Protocol::Http,
            vec!["load_balancing.algorithm.anomaly_mitigation=on".to_owned()],
            CONFIGURATION,
            "You cannot enable both anomaly mitigation and round robin algorithm on a target group".to_owned(),
        ),
        (
            Protocol::Http,
            vec!["stickiness.app_cookie.duration_seconds=700000".to_owned()],
            VALIDATION,
            "'stickiness.app_cookie.duration_seconds' value '700000' must be between '1-604800' inclusive".to_owned(),
        ),
        (
            Protocol::Http,
            vec!["stickiness.enabled=true".to_owned(), "stickiness.enabled=true".to_owned()],
            VALIDATION,
            "Target group attribute keys must be unique: '[stickiness.enabled]'".to_owned(),
        ),
        (
            Protocol::Http,
            vec![count(HEALTHY, "many")],
            VALIDATION,
            format!("The value of '{HEALTHY}.count' must be 'off' or a positive integer"),
        ),
        (
            Protocol::Http,
            vec![percent(HEALTHY, "101")],
            VALIDATION,
            format!("'{HEALTHY}.percentage' must be 'off' or an integer from 1 to 100 inclusive"),
        ),
        (
            Protocol::Http,
            vec![percent(HEALTHY, "0")],
            VALIDATION,
            format!("The value of '{HEALTHY}.percentage' must be 'off' or a positive integer"),
        ),
        (
            Protocol::Http,
            vec![count(HEALTHY, "2"), count(ROUTING, "3")],
            CONFIGURATION,
            "DNS failover threshold must be greater than or equal to unhealthy state routing threshold".to_owned(),
        ),
        (
            Protocol::Udp,
            vec!["preserve_client_ip.enabled=false".to_owned()],
            VALIDATION,
            "preserve_client_ip.enabled cannot be false if the target group protocol is UDP or TCP_UDP.".to_owned(),
        ),
        (
            Protocol::Tcp,
            vec!["target_health_state.unhealthy.draining_interval_seconds=1".to_owned()],
            CONFIGURATION,
            "You cannot have both 'target_health_state.unhealthy.connection_termination.enabled' and 'target_health_state.unhealthy.draining_interval_seconds' enabled on a target group".to_owned(),
        ),
        (
            Protocol::Tcp,
            vec!["target_health_state.unhealthy.draining_interval_seconds=400000".to_owned()],
            VALIDATION,
            "'target_health_state.unhealthy.draining_interval_seconds' value '400000' must be between '0-360000' inclusive".to_owned(),
        ),
        (
            Protocol::Tls,
            vec!["stickiness.enabled=true".to_owned()],
            CONFIGURATION,
            "You cannot enable stickiness on target groups with the TLS protocol".to_owned(),
        ),
    ] {
        let mut group = a_group();
        group.protocol = protocol;
        group.target_type = TargetType::Ip;
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let got = set(&group, &wanted).expect_err("it is refused");
        assert_eq!(got, (code.to_owned(), text), "{wanted:?}");
    }
}

#[test]
fn thresholds_that_are_off_ask_for_nothing() {
    let group = a_group();
    for wanted in [
        [format!("{HEALTHY}.count=off"), format!("{ROUTING}.count=3")],
        [format!("{HEALTHY}.count=3"), format!("{ROUTING}.count=3")],
        [
            format!("{HEALTHY}.percentage=off"),
            format!("{ROUTING}.percentage=50"),
        ],
    ] {
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        assert!(set(&group, &wanted).is_ok(), "{wanted:?}");
    }
}

#[test]
fn the_words_for_load_balancers_and_listeners() {
    let check = |values: Values, key: &str, value: &str| values.check(key, value).unwrap_err();
    for (values, key, value, want) in [
        (
            Values::Integer(60, 604_800),
            "client_keep_alive.seconds",
            "59",
            "The value of 'client_keep_alive.seconds' must be an integer between 60 and 604800",
        ),
        (
            Values::Characters(1, 4000),
            "idle_timeout.timeout_seconds",
            "4001",
            "The value of 'idle_timeout.timeout_seconds' cannot be greater than 4000 characters",
        ),
        (
            Values::Characters(1, 4000),
            "idle_timeout.timeout_seconds",
            "0",
            "The value of 'idle_timeout.timeout_seconds' cannot be less than 1 characters",
        ),
        (
            Values::SecondaryAddresses(0, 7),
            "secondary_ips.auto_assigned.per_subnet",
            "8",
            "Valid range for the number of secondary IP addresses is from '0-7'",
        ),
        (
            Values::OneOf(&["preserve", "append", "remove"], Words::SetAs),
            "routing.http.xff_header_processing.mode",
            "drop",
            "'routing.http.xff_header_processing.mode' must be set as 'preserve', 'append', or 'remove'",
        ),
        (
            Values::OneOf(&["defensive", "monitor", "strictest"], Words::Value),
            "routing.http.desync_mitigation_mode",
            "strict",
            "'strict' must be one of [defensive, monitor, strictest]",
        ),
        (
            Values::OneOf(&["any_availability_zone"], Words::NotValid),
            "dns_record.client_routing_policy",
            "zone_affinity",
            "'zone_affinity' is not a valid value for 'dns_record.client_routing_policy'",
        ),
        (
            Values::OneOf(&["", "nosniff"], Words::Following),
            "routing.http.response.x_content_type_options.header_value",
            "sniff",
            "The value of 'routing.http.response.x_content_type_options.header_value' must be from the following: [nosniff], but was 'sniff'",
        ),
        (
            Values::HeaderName,
            "routing.http.request.x_amzn_tls_version.header_name",
            "a b",
            "The value of 'routing.http.request.x_amzn_tls_version.header_name' contains invalid characters",
        ),
        (
            Values::Range(60, 6000),
            "tcp.idle_timeout.seconds",
            "30",
            "'tcp.idle_timeout.seconds' value '30' must be between '60-6000' inclusive",
        ),
    ] {
        assert_eq!(check(values, key, value), want);
    }
    for (owner, key, code, text) in [
        (
            Owner::LoadBalancer,
            "idle_timeout",
            "ValidationError",
            "Load balancer attribute key 'idle_timeout' is not recognized",
        ),
        (
            Owner::Listener,
            "tcp.idle_timeout_seconds",
            "ValidationError",
            "Listener attribute key 'tcp.idle_timeout_seconds' is not recognized",
        ),
        (
            Owner::Listener,
            "routing.http.request.x_amzn_tls_version.header_name",
            "InvalidConfigurationRequest",
            "The provided listener attribute is not supported",
        ),
    ] {
        let wanted = [(Some(key.to_owned()), Some("1".to_owned()))];
        let error = merged(owner, &[], &Attributes::new(), wanted).unwrap_err();
        assert_eq!((&*error.query_code, &*error.message), (code, text));
    }
}

const SPECS: &[Spec] = &[
    spec("flag", "false", Values::Flag),
    spec("delay", "300", Values::Range(0, 3600)),
];

fn wanted(pairs: &[(&str, &str)]) -> Vec<(Option<String>, Option<String>)> {
    let some = |text: &str| Some(text.to_owned());
    pairs.iter().map(|(k, v)| (some(k), some(v))).collect()
}

#[test]
fn answers_have_what_was_set_and_the_defaults_of_the_rest() {
    let owner = Owner::LoadBalancer;
    let set = merged(owner, SPECS, &Attributes::new(), wanted(&[("delay", "5")])).unwrap();
    let all = all(SPECS, &set, |key, value| format!("{key}={value}"));
    assert_eq!(all, ["flag=false", "delay=5"]);
}

#[test]
fn nothing_is_taken_over_if_one_is_wrong() {
    for (name, pairs, code) in [
        (
            "unknown key",
            &[("flag", "true"), ("no.such", "1")][..],
            "ValidationError",
        ),
        ("out of range", &[("delay", "3601")], "ValidationError"),
        (
            "twice",
            &[("delay", "1"), ("delay", "2")],
            "ValidationError",
        ),
    ] {
        let owner = Owner::LoadBalancer;
        let error = merged(owner, SPECS, &Attributes::new(), wanted(pairs)).unwrap_err();
        assert_eq!(error.query_code, code, "{name}");
    }
}
