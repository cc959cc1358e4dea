//! Target groups as answers show them.

use neargate_aws_api::elbv2::types::*;

use crate::elbv2::names::LoadBalancerId;
use crate::elbv2::records::{HealthCheckRecord, ProtocolVersion, TargetGroupRecord, elb_arn};

pub fn view(record: &TargetGroupRecord, load_balancer: Option<&LoadBalancerId>) -> TargetGroup {
    let number = |n: u32| i32::try_from(n).ok();
    let check = &record.health_check;
    let load_balancers = load_balancer
        .map(|id| elb_arn(&record.scope, "loadbalancer", &id.to_string()))
        .into_iter();
    TargetGroup {
        health_check_enabled: Some(true),
        health_check_interval_seconds: number(check.interval_secs),
        health_check_path: check.path.clone(),
        health_check_port: Some(health_check_port(check)),
        health_check_protocol: check.protocol.as_str().parse().ok(),
        health_check_timeout_seconds: number(check.timeout_secs),
        healthy_threshold_count: number(check.healthy_threshold),
        ip_address_type: Some(TargetGroupIpAddressTypeEnum::Ipv4),
        load_balancer_arns: Some(load_balancers.collect()),
        matcher: matcher(record),
        port: Some(record.port.into()),
        protocol: record.protocol.as_str().parse().ok(),
        protocol_version: record.protocol_version.map(|v| v.as_str().to_owned()),
        target_group_arn: Some(record.arn()),
        target_group_name: Some(record.name.clone()),
        target_type: record.target_type.as_str().parse().ok(),
        unhealthy_threshold_count: number(check.unhealthy_threshold),
        vpc_id: Some(record.vpc_id.clone()),
        ..Default::default()
    }
}

fn health_check_port(check: &HealthCheckRecord) -> String {
    check
        .port
        .map_or_else(|| "traffic-port".to_owned(), |port| port.to_string())
}

fn matcher(record: &TargetGroupRecord) -> Option<Matcher> {
    let codes = record.health_check.matcher.clone()?;
    Some(match record.protocol_version {
        Some(ProtocolVersion::Grpc) => Matcher {
            grpc_code: Some(codes),
            http_code: None,
        },
        _ => Matcher {
            grpc_code: None,
            http_code: Some(codes),
        },
    })
}
