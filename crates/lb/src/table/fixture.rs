//! Tables for the tests of this crate's pure parts: short to write, the rest as the control plane would send it.

use super::Table;
use crate::routing::{Header, RequestView, Scheme};
use neargate_lb_api as api;
use std::net::SocketAddr;
use std::sync::Arc;

pub const LISTENER_PORT: u16 = 80;

/// A load balancer with one HTTP listener of these rules, and these groups.
pub fn table(rules: Vec<api::Rule>, target_groups: Vec<api::TargetGroup>) -> api::Table {
    api::Table {
        version: 1,
        load_balancers: vec![api::LoadBalancer {
            arn: "lb".to_owned(),
            full_name: "app/web/0123456789abcdef".to_owned(),
            r#type: api::LoadBalancerType::Application.into(),
            dns_name: "web-1.elb.localhost".to_owned(),
            interfaces: vec![api::Interface {
                netns: "eni-1".to_owned(),
                address: "10.0.0.5".to_owned(),
                availability_zone: "us-east-1a".to_owned(),
            }],
            listeners: vec![api::Listener {
                arn: "listener".to_owned(),
                port: LISTENER_PORT.into(),
                protocol: api::Protocol::Http.into(),
                rules,
                server_header_enabled: true,
                ..api::Listener::default()
            }],
            attributes: Some(api::LoadBalancerAttributes {
                cross_zone: true,
                ..api::LoadBalancerAttributes::default()
            }),
            serve_on_loopback: true,
        }],
        target_groups,
        certificates: Vec::new(),
    }
}

pub fn compile(table: &api::Table) -> Arc<Table> {
    let table = Table::compile(table, None);
    assert_eq!(table.problems, [], "the fixture is sound");
    Arc::new(table)
}

/// A rule of these conditions that answers its own priority as the body.
pub fn fixed_rule(priority: u32, conditions: Vec<api::condition::Condition>) -> api::Rule {
    let action = api::action::Action::FixedResponse(api::FixedResponse {
        status_code: 200,
        content_type: "text/plain".to_owned(),
        body: priority.to_string(),
    });
    rule(priority, conditions, action)
}

pub fn rule(
    priority: u32,
    conditions: Vec<api::condition::Condition>,
    action: api::action::Action,
) -> api::Rule {
    let conditions = conditions.into_iter().map(|condition| api::Condition {
        condition: Some(condition),
    });
    api::Rule {
        arn: format!("rule-{priority}"),
        priority,
        conditions: conditions.collect(),
        action: Some(api::Action {
            action: Some(action),
        }),
        ..api::Rule::default()
    }
}

/// The default rule, forwarding to groups by weight.
pub fn forward(groups: &[(&str, u32)], stickiness_duration_secs: Option<u32>) -> api::Rule {
    let target_groups = groups.iter().map(|(arn, weight)| api::WeightedTargetGroup {
        target_group_arn: (*arn).to_owned(),
        weight: *weight,
    });
    let action = api::action::Action::Forward(api::Forward {
        target_groups: target_groups.collect(),
        stickiness_duration_secs,
    });
    rule(0, Vec::new(), action)
}

/// A group with targets `10.0.1.1:8080`, `10.0.1.2:8080` and so on.
pub fn group(arn: &str, targets: usize) -> api::TargetGroup {
    api::TargetGroup {
        arn: arn.to_owned(),
        protocol: api::Protocol::Http.into(),
        targets: (1..=targets).map(target).collect(),
        health_check: Some(api::HealthCheck {
            enabled: true,
            protocol: api::Protocol::Http.into(),
            path: "/".to_owned(),
            interval_millis: 30_000,
            timeout_millis: 5_000,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: "200".to_owned(),
            ..api::HealthCheck::default()
        }),
        unhealthy_routing_min_count: 1,
        cross_zone: true,
        ..api::TargetGroup::default()
    }
}

pub fn target(number: usize) -> api::Target {
    api::Target {
        id: format!("10.0.1.{number}"),
        port: 8080,
        address: format!("10.0.1.{number}"),
        availability_zone: "us-east-1a".to_owned(),
        ..api::Target::default()
    }
}

pub fn lb_cookie(duration_secs: u32) -> Option<api::Stickiness> {
    Some(api::Stickiness {
        r#type: api::StickinessType::LbCookie.into(),
        duration_secs,
        cookie_name: String::new(),
    })
}

pub fn patterns(values: &[&str]) -> api::Patterns {
    api::Patterns {
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        regex_values: Vec::new(),
    }
}

pub fn peer() -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 7], 40_000))
}

pub fn header<'a>(name: &'a str, value: &'a str) -> Header<'a> {
    Header {
        name,
        value: value.as_bytes(),
    }
}

/// A request to the fixture's listener. Host is among `headers`.
pub fn view<'a>(method: &'a str, target: &'a str, headers: &'a [Header<'a>]) -> RequestView<'a> {
    RequestView::new(method, target, headers, peer(), Scheme::Http, LISTENER_PORT)
        .expect("a target that is served")
}
