//! What the records become: the table, and what nodes are told.

use std::time::Duration;

use neargate_domain::{Scope, Timestamp};
use neargate_lb_api as api;

use super::interfaces;
use super::table::{self, Options};
use super::view::View;
use crate::ec2::{self, NetworkInterfaceRecord, SubnetRecord, VpcRecord};
use crate::elbv2::keys;
use crate::elbv2::listener_records::*;
use crate::elbv2::names::LoadBalancerId;
use crate::elbv2::records::*;

const GROUP: &str =
    "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0000000000000003";

fn scope() -> Scope {
    Scope::new("000000000000", "us-east-1")
}

fn balancer() -> LoadBalancerRecord {
    LoadBalancerRecord {
        scope: scope(),
        kind: LoadBalancerKind::Application,
        name: "web".to_owned(),
        id: "0000000000000001".to_owned(),
        internal: false,
        dns_name: "web-1.us-east-1.elb.localhost".to_owned(),
        vpc_id: "vpc-1".to_owned(),
        ip_address_type: "ipv4".to_owned(),
        zones: vec![zone("a", 7), zone("b", 8)],
        security_group_ids: vec!["sg-1".to_owned()],
        created_at: Timestamp(0),
        active_since: None,
        attributes: Default::default(),
        tags: Default::default(),
    }
}

fn zone(letter: &str, number: u8) -> ZoneRecord {
    ZoneRecord {
        zone: format!("us-east-1{letter}"),
        subnet_id: format!("subnet-{letter}"),
        interface_id: format!("eni-{letter}"),
        address: [10, 0, 0, number].into(),
        address_was_given: false,
    }
}

fn listener() -> ListenerRecord {
    ListenerRecord {
        scope: scope(),
        load_balancer: LoadBalancerId {
            kind: LoadBalancerKind::Application,
            name: "web".to_owned(),
            id: "0000000000000001".to_owned(),
        },
        id: "0000000000000002".to_owned(),
        port: 80,
        protocol: Protocol::Http,
        ssl_policy: None,
        default_certificate: None,
        certificates: Vec::new(),
        alpn_policy: None,
        default_rule_id: "00000000000000d0".to_owned(),
        default_action: forward_to(&[(GROUP, 1)]),
        rules: Vec::new(),
        attributes: Default::default(),
        tags: Default::default(),
        default_rule_tags: Default::default(),
        created_at: Timestamp(0),
    }
}

fn forward_to(groups: &[(&str, u32)]) -> ActionRecord {
    let groups = groups.iter().map(|(arn, weight)| WeightedGroup {
        arn: (*arn).to_owned(),
        weight: *weight,
    });
    ActionRecord {
        order: None,
        action: Action::Forward(Forward {
            groups: groups.collect(),
            stickiness: GroupStickiness::default(),
        }),
    }
}

fn rule(priority: u32, conditions: Vec<Condition>, action: Action) -> RuleRecord {
    RuleRecord {
        id: format!("{priority:016}"),
        priority,
        conditions,
        action: ActionRecord {
            order: None,
            action,
        },
        transforms: Transforms::default(),
        tags: Default::default(),
    }
}

fn group() -> TargetGroupRecord {
    TargetGroupRecord {
        scope: scope(),
        name: "web".to_owned(),
        id: "0000000000000003".to_owned(),
        target_type: TargetType::Ip,
        protocol: Protocol::Http,
        protocol_version: Some(ProtocolVersion::Http1),
        port: 8080,
        vpc_id: "vpc-1".to_owned(),
        health_check: HealthCheckRecord {
            protocol: Protocol::Http,
            port: None,
            path: Some("/health".to_owned()),
            interval_secs: 30,
            timeout_secs: 5,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: Some("200".to_owned()),
        },
        attributes: Default::default(),
        tags: Default::default(),
        created_at: Timestamp(0),
    }
}

fn target(address: &str, zone: &str, draining: bool) -> TargetRecord {
    TargetRecord {
        id: address.to_owned(),
        port: 8080,
        availability_zone: Some(zone.to_owned()),
        registered_at: Timestamp(1),
        draining_since: draining.then_some(Timestamp(2)),
    }
}

struct World {
    balancer: LoadBalancerRecord,
    listeners: Vec<ListenerRecord>,
    group: TargetGroupRecord,
    targets: Vec<TargetRecord>,
    time_scale: u32,
}

impl World {
    fn new() -> Self {
        Self {
            balancer: balancer(),
            listeners: vec![listener()],
            group: group(),
            targets: Vec::new(),
            time_scale: 1,
        }
    }

    fn view(self) -> View {
        let mut view = View::default();
        let key = keys::load_balancer(&scope(), &self.balancer.name);
        view.balancers.insert(key, (1, self.balancer));
        for listener in self.listeners {
            let key = keys::listener(&scope(), &listener.load_balancer.id, &listener.id);
            view.listeners.insert(key, (1, listener));
        }
        for target in self.targets {
            let key = keys::target(&scope(), &self.group.id, &target.id, target.port);
            view.targets.insert(key, (1, target));
        }
        let key = keys::target_group(&scope(), &self.group.name);
        view.groups.insert(key, (1, self.group));
        view
    }

    fn table(self) -> api::Table {
        let scale = self.time_scale;
        let options = Options {
            version: 9,
            serve_on_loopback: true,
            scaled: &|duration: Duration| duration / scale,
        };
        table::compile(&self.view(), &options)
    }
}

#[test]
fn a_load_balancer_has_its_addresses_and_attributes() {
    let mut world = World::new();
    for (key, value) in [
        ("idle_timeout.timeout_seconds", "7"),
        ("routing.http.desync_mitigation_mode", "strictest"),
        ("access_logs.s3.enabled", "true"),
        ("access_logs.s3.bucket", "logs"),
    ] {
        world
            .balancer
            .attributes
            .insert(key.to_owned(), value.to_owned());
    }
    let table = world.table();
    assert_eq!(table.version, 9);
    let found = &table.load_balancers[0];
    assert_eq!(found.full_name, "app/web/0000000000000001");
    assert_eq!(found.r#type(), api::LoadBalancerType::Application);
    assert!(found.serve_on_loopback);
    let addresses: Vec<_> = found
        .interfaces
        .iter()
        .map(|i| {
            (
                i.netns.as_str(),
                i.address.as_str(),
                i.availability_zone.as_str(),
            )
        })
        .collect();
    assert_eq!(
        addresses,
        [
            ("eni-a", "10.0.0.7", "us-east-1a"),
            ("eni-b", "10.0.0.8", "us-east-1b")
        ]
    );
    let attributes = found.attributes.clone().expect("there");
    let want = api::LoadBalancerAttributes {
        idle_timeout_secs: 7,
        client_keep_alive_secs: 3600,
        http2_enabled: true,
        desync_mode: api::DesyncMode::Strictest.into(),
        access_logs: Some(api::AccessLogs {
            bucket: "logs".to_owned(),
            prefix: String::new(),
            account: "000000000000".to_owned(),
            region: "us-east-1".to_owned(),
        }),
        cross_zone: true,
        ..Default::default()
    };
    assert_eq!(attributes, want);
}

#[test]
fn rules_come_by_priority_and_the_default_last() {
    use api::action::Action as Wire;
    let mut world = World::new();
    let mut listener = listener();
    listener.rules = vec![
        rule(
            20,
            vec![Condition::PathPattern(Patterns {
                values: vec!["/b/*".to_owned()],
                regex_values: Vec::new(),
            })],
            Action::FixedResponse(FixedResponse {
                status_code: 404,
                content_type: None,
                message_body: Some("none".to_owned()),
            }),
        ),
        rule(
            3,
            vec![Condition::HttpHeader {
                name: "x".to_owned(),
                patterns: Patterns::default(),
            }],
            Action::Redirect(Redirect {
                status_code: 301,
                protocol: "HTTPS".to_owned(),
                host: "#{host}".to_owned(),
                port: "443".to_owned(),
                path: "/#{path}".to_owned(),
                query: "#{query}".to_owned(),
            }),
        ),
    ];
    listener.default_action = forward_to(&[(GROUP, 90), ("other", 10)]);
    world.listeners = vec![listener];
    let table = world.table();
    let rules = &table.load_balancers[0].listeners[0].rules;
    let priorities: Vec<u32> = rules.iter().map(|rule| rule.priority).collect();
    assert_eq!(priorities, [3, 20, 0]);
    assert!(rules[2].conditions.is_empty());
    let actions: Vec<_> = rules
        .iter()
        .map(|rule| rule.action.clone().and_then(|a| a.action).expect("one"))
        .collect();
    assert!(
        matches!(&actions[0], Wire::Redirect(r) if r.status_code == 301 && r.host == "#{host}")
    );
    assert!(
        matches!(&actions[1], Wire::FixedResponse(r) if r.content_type == "text/plain" && r.body == "none")
    );
    let Wire::Forward(forward) = &actions[2] else {
        panic!("{:?}", actions[2]);
    };
    let weights: Vec<u32> = forward.target_groups.iter().map(|g| g.weight).collect();
    assert_eq!(weights, [90, 10]);
    assert_eq!(forward.stickiness_duration_secs, None);
}

#[test]
fn listeners_come_by_port_with_each_certificate_once() {
    let mut world = World::new();
    let (mut https, mut late) = (listener(), listener());
    https.id = "0000000000000009".to_owned();
    https.port = 443;
    https.protocol = Protocol::Https;
    https.default_certificate = Some("a".to_owned());
    https.certificates = vec!["b".to_owned(), "a".to_owned()];
    https.attributes.insert(
        "routing.http.response.x_frame_options.header_value".to_owned(),
        "DENY".to_owned(),
    );
    late.id = "0000000000000001".to_owned();
    late.port = 8080;
    world.listeners = vec![late, https, listener()];
    let table = world.table();
    let listeners = &table.load_balancers[0].listeners;
    let ports: Vec<u32> = listeners.iter().map(|l| l.port).collect();
    assert_eq!(ports, [80, 443, 8080]);
    assert_eq!(listeners[1].certificate_arns, ["a", "b"]);
    assert_eq!(listeners[1].response_headers.len(), 1);
    assert_eq!(listeners[1].response_headers[0].name, "X-Frame-Options");
    assert!(listeners[1].server_header_enabled);
    assert!(
        table.certificates.is_empty(),
        "there are none of these ARNs"
    );
}

#[test]
fn targets_say_whether_they_can_be_used() {
    let zone_off = "Target is in an Availability Zone that is not enabled for the load balancer";
    for (name, target, want) in [
        (
            "usable",
            target("10.0.1.1", "us-east-1a", false),
            (false, ""),
        ),
        (
            "draining",
            target("10.0.1.1", "us-east-1a", true),
            (true, ""),
        ),
        ("outside", target("192.168.1.1", "all", false), (false, "")),
        (
            "zone off",
            target("10.0.3.1", "us-east-1c", false),
            (false, zone_off),
        ),
    ] {
        let mut world = World::new();
        world.targets = vec![target.clone()];
        let table = world.table();
        let found = &table.target_groups[0].targets[0];
        assert_eq!(
            (found.id.as_str(), found.port),
            (target.id.as_str(), 8080),
            "{name}"
        );
        assert_eq!(found.address, target.id, "{name}");
        assert_eq!(
            (found.draining, found.unusable_reason.as_str()),
            want,
            "{name}"
        );
    }
}

#[test]
fn a_group_without_listener_is_left_out() {
    let mut world = World::new();
    let mut listener = listener();
    listener.default_action = forward_to(&[("other", 1)]);
    world.listeners = vec![listener];
    assert!(world.table().target_groups.is_empty());
    let mut world = World::new();
    let mut listener = self::listener();
    listener.default_action = forward_to(&[("other", 1)]);
    listener.rules = vec![rule(1, Vec::new(), forward_to(&[(GROUP, 0)]).action)];
    world.listeners = vec![listener];
    assert_eq!(world.table().target_groups.len(), 1, "weight 0 is checked");
}

#[test]
fn intervals_follow_the_clock_and_what_targets_are_given_does_not() {
    for (name, time_scale, want) in [
        ("real time", 1, (30_000, 5_000, 30_000)),
        ("faster", 60, (500, 5_000, 30_000)),
        ("not too fast", 10_000, (100, 5_000, 30_000)),
    ] {
        let mut world = World::new();
        world.time_scale = time_scale;
        let table = world.table();
        let check = table.target_groups[0].health_check.clone().expect("one");
        assert_eq!(
            (
                check.interval_millis,
                check.timeout_millis,
                check.first_verdict_millis
            ),
            want,
            "{name}"
        );
        assert_eq!((check.port, check.path.as_str()), (0, "/health"), "{name}");
    }
}

#[test]
fn attributes_of_a_group() {
    let read = |pairs: &[(&str, &str)]| {
        let mut world = World::new();
        for (key, value) in pairs {
            let (key, value) = ((*key).to_owned(), (*value).to_owned());
            world.group.attributes.insert(key, value);
        }
        world.table().target_groups.remove(0)
    };
    let default = read(&[]);
    assert_eq!(default.algorithm(), api::Algorithm::RoundRobin);
    assert_eq!(default.stickiness, None);
    assert_eq!(default.unhealthy_routing_min_count, 1);
    assert_eq!(default.unhealthy_routing_min_percent, 0);
    assert!(default.cross_zone && default.terminate_when_drained);
    let set = read(&[
        (
            "load_balancing.algorithm.type",
            "least_outstanding_requests",
        ),
        ("load_balancing.cross_zone.enabled", "false"),
        ("stickiness.enabled", "true"),
        ("stickiness.type", "app_cookie"),
        ("stickiness.app_cookie.cookie_name", "session"),
        ("stickiness.app_cookie.duration_seconds", "60"),
    ]);
    assert_eq!(set.algorithm(), api::Algorithm::LeastOutstandingRequests);
    assert!(!set.cross_zone);
    let stickiness = set.stickiness.expect("on");
    assert_eq!(stickiness.r#type(), api::StickinessType::AppCookie);
    assert_eq!(
        (stickiness.duration_secs, stickiness.cookie_name.as_str()),
        (60, "session")
    );
}

fn interface(letter: &str, number: u8, groups: &[&str]) -> NetworkInterfaceRecord {
    NetworkInterfaceRecord {
        id: format!("eni-{letter}"),
        vpc_id: "vpc-1".to_owned(),
        subnet_id: format!("subnet-{letter}"),
        zone: format!("us-east-1{letter}"),
        zone_id: "use1-az1".to_owned(),
        private_ipv4_address: [10, 0, 0, number].into(),
        private_dns_name: format!("ip-10-0-0-{number}.ec2.internal"),
        public_ipv4_address: None,
        mac_address: format!("0a:00:00:00:00:0{number}"),
        description: String::new(),
        security_group_ids: groups.iter().map(ToString::to_string).collect(),
        source_dest_check: true,
        attachment: None,
        created_at: Timestamp(0),
        tags: Default::default(),
    }
}

#[test]
fn nodes_are_told_interfaces_and_names() {
    let mut world = World::new();
    world.balancer.internal = true;
    let mut view = world.view();
    for (letter, number, groups) in [("a", 7, &["sg-1"][..]), ("b", 8, &[])] {
        let record = interface(letter, number, groups);
        let key = ec2::keys::network_interface(&scope(), &record.id);
        view.interfaces.insert(key, (1, record));
        let subnet = SubnetRecord {
            id: format!("subnet-{letter}"),
            vpc_id: "vpc-1".to_owned(),
            cidr: "10.0.0.0/24".parse().expect("a range"),
            zone: format!("us-east-1{letter}"),
            zone_id: "use1-az1".to_owned(),
            default_for_az: false,
            map_public_ip: false,
            network_acl_id: String::new(),
            acl_association_id: String::new(),
            deletion_wanted: false,
            tags: Default::default(),
        };
        view.subnets
            .insert(ec2::keys::subnet(&scope(), &subnet.id), (1, subnet));
    }
    assert!(
        interfaces::compile(&view).interfaces.interfaces.is_empty(),
        "without their VPC nothing can be made"
    );
    let vpc = VpcRecord {
        id: "vpc-1".to_owned(),
        cidr: "10.0.0.0/16".parse().expect("a range"),
        cidr_association_id: String::new(),
        is_default: false,
        dns_support: true,
        dns_hostnames: true,
        usage_metrics: false,
        dhcp_options_id: String::new(),
        default_security_group_id: String::new(),
        tags: Default::default(),
    };
    view.vpcs
        .insert(ec2::keys::vpc(&scope(), "vpc-1"), (1, vpc));
    let told = interfaces::compile(&view);
    let shown: Vec<_> = told
        .interfaces
        .interfaces
        .iter()
        .map(|i| {
            (
                i.eni_id.as_str(),
                i.subnet_gateway.as_str(),
                i.security_group_ids.join(","),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("eni-a", "10.0.0.1", "sg-1".to_owned()),
            ("eni-b", "10.0.0.1", "sg-open-vpc-1".to_owned()),
        ]
    );
    assert!(
        told.interfaces
            .interfaces
            .iter()
            .all(|i| !i.assign_public_ip)
    );
    let names: Vec<_> = told
        .names
        .records
        .iter()
        .map(|r| (r.name.as_str(), r.ipv4_addresses.join(","), r.ttl_secs))
        .collect();
    let both = "10.0.0.7,10.0.0.8".to_owned();
    assert_eq!(
        names,
        [
            ("web-1.us-east-1.elb.localhost", both.clone(), 60),
            ("web-1.us-east-1.elb.amazonaws.com", both, 60),
        ]
    );
}

#[test]
fn a_network_load_balancers_names_have_region_and_service_in_aws_order() {
    let mut view = World::new().view();
    for (_, balancer) in view.balancers.values_mut() {
        balancer.kind = LoadBalancerKind::Network;
        balancer.zones = vec![zone("a", 7), zone("b", 8)];
    }
    let told = interfaces::compile(&view).names.records;
    let names: Vec<_> = told
        .iter()
        .map(|r| (r.name.as_str(), r.ipv4_addresses.join(",")))
        .collect();
    let (a, b) = ("10.0.0.7".to_owned(), "10.0.0.8".to_owned());
    let both = format!("{a},{b}");
    assert_eq!(
        names,
        [
            ("us-east-1a.web-1.us-east-1.elb.localhost", a.clone()),
            ("us-east-1b.web-1.us-east-1.elb.localhost", b.clone()),
            ("web-1.us-east-1.elb.localhost", both.clone()),
            ("us-east-1a.web-1.elb.us-east-1.amazonaws.com", a),
            ("us-east-1b.web-1.elb.us-east-1.amazonaws.com", b),
            ("web-1.elb.us-east-1.amazonaws.com", both),
        ]
    );
}
