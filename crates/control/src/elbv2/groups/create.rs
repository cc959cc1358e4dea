//! CreateTargetGroup.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{health_check, view};
use crate::ec2::{Ec2LookupError, lookup_vpc};
use crate::elbv2::names::{check_target_group_name, new_id};
use crate::elbv2::records::*;
use crate::elbv2::{Elbv2Service, errors, keys, limits, tags, uses};
use crate::state::{Attempt, Changes};
use crate::{ec2, scope_of};

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html>
pub async fn create(
    service: &Elbv2Service,
    context: &RequestContext,
    input: CreateTargetGroupInput,
) -> Result<CreateTargetGroupOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let wanted = parse(service, context, input)?;
    ec2::ensure_default_vpc(state, &scope).await?;
    match lookup_vpc(state, &scope, &wanted.vpc_id).await {
        Ok(_) => {}
        Err(Ec2LookupError::VpcNotFound(id)) => {
            return Err(errors::validation(format!(
                "The VPC ID '{id}' is not found"
            )));
        }
        Err(error) => return Err(error.into()),
    }
    let key = keys::target_group(&scope, &wanted.name);
    let record = state
        .retrying(|| async {
            if let Some(found) = state.get::<TargetGroupRecord>(&key).await? {
                return Ok(existing(found.record, &wanted)?);
            }
            let groups = keys::target_groups(&scope);
            let range = crate::state::prefix_range(&groups);
            let all = state.store().range(range, 0).await;
            let count = all.map_err(crate::state::StateError::from)?.entries.len();
            if count >= limits::TARGET_GROUPS {
                return Err(ApiError::from(TooManyTargetGroupsException::new(format!(
                    "You have reached the maximum number of target groups: [{}]",
                    limits::TARGET_GROUPS
                )))
                .into());
            }
            let mut changes = Changes::new();
            changes.create(&key, &wanted);
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(wanted.clone())
        })
        .await?;
    let used = uses::of_group(state, &scope, &record.id).await?;
    let load_balancer = used.map(|found| found.record.load_balancer);
    Ok(CreateTargetGroupOutput {
        target_groups: Some(vec![view::view(&record, load_balancer.as_ref())]),
    })
}

fn parse(
    service: &Elbv2Service,
    context: &RequestContext,
    input: CreateTargetGroupInput,
) -> Result<TargetGroupRecord, ApiError> {
    check_target_group_name(&input.name)?;
    let target_type = match input.target_type.unwrap_or_default() {
        TargetTypeEnum::Instance => TargetType::Instance,
        TargetTypeEnum::Ip => TargetType::Ip,
        TargetTypeEnum::Alb => TargetType::Alb,
        TargetTypeEnum::Lambda => {
            return Err(errors::not_built("Target groups of type 'lambda' are"));
        }
    };
    if input.ip_address_type == Some(TargetGroupIpAddressTypeEnum::Ipv6) {
        return Err(errors::not_built("Target groups with IPv6 targets are"));
    }
    if input.target_control_port.is_some() {
        return Err(errors::not_built("Target control ports are"));
    }
    let missing = |what: &str| errors::validation(format!("A {what} must be specified"));
    let protocol = protocol(
        input.protocol.ok_or_else(|| missing("protocol"))?,
        target_type,
    )?;
    let port = input.port.ok_or_else(|| missing("port"))?;
    let port = u16::try_from(port)
        .map_err(|_| errors::validation(format!("Port '{port}' is not valid")))?;
    let vpc_id = input.vpc_id.ok_or_else(|| missing("VPC ID"))?;
    let protocol_version = protocol_version(protocol, input.protocol_version)?;
    let kind = health_check::For {
        target_type,
        protocol,
        version: protocol_version,
    };
    let mut checks = health_check::Wanted {
        enabled: input.health_check_enabled,
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        path: input.health_check_path,
        interval_secs: input.health_check_interval_seconds,
        timeout_secs: input.health_check_timeout_seconds,
        healthy_threshold: input.healthy_threshold_count,
        unhealthy_threshold: input.unhealthy_threshold_count,
        matcher: input.matcher,
    };
    if target_type == TargetType::Alb {
        checks.protocol = alb_check_protocol(checks.protocol)?;
    }
    Ok(TargetGroupRecord {
        scope: crate::scope_of(context),
        name: input.name,
        id: new_id(),
        target_type,
        protocol,
        protocol_version,
        port,
        vpc_id,
        health_check: health_check::new(kind, &checks)?,
        attributes: Default::default(),
        tags: tags::checked(input.tags)?,
        created_at: service.state.now(),
    })
}

fn protocol(given: ProtocolEnum, target_type: TargetType) -> Result<Protocol, ApiError> {
    let protocol = match given {
        ProtocolEnum::Http => Protocol::Http,
        ProtocolEnum::Https => Protocol::Https,
        ProtocolEnum::Tcp => Protocol::Tcp,
        ProtocolEnum::Tls => Protocol::Tls,
        ProtocolEnum::Udp => Protocol::Udp,
        ProtocolEnum::TcpUdp => Protocol::TcpUdp,
        other => {
            return Err(errors::not_built(&format!(
                "Target groups with the {other} protocol are"
            )));
        }
    };
    if target_type == TargetType::Alb && protocol != Protocol::Tcp {
        return Err(errors::validation(format!(
            "Protocol '{given}' is not supported for target groups with target type 'alb'; it must be 'TCP'"
        )));
    }
    Ok(protocol)
}

/// An application load balancer is checked by HTTP, which is the default too.
fn alb_check_protocol(given: Option<ProtocolEnum>) -> Result<Option<ProtocolEnum>, ApiError> {
    match given {
        None => Ok(Some(ProtocolEnum::Http)),
        Some(ProtocolEnum::Http | ProtocolEnum::Https) => Ok(given),
        Some(other) => Err(errors::validation(format!(
            "Health check protocol '{other}' must be one of 'HTTP, HTTPS'"
        ))),
    }
}

fn protocol_version(
    protocol: Protocol,
    given: Option<String>,
) -> Result<Option<ProtocolVersion>, ApiError> {
    if !protocol.is_http() {
        return match given {
            None => Ok(None),
            Some(_) => Err(errors::configuration(format!(
                "Protocol version cannot be specified for target groups with the {} protocol",
                protocol.as_str()
            ))),
        };
    }
    match given.as_deref() {
        None | Some("HTTP1") => Ok(Some(ProtocolVersion::Http1)),
        Some("HTTP2") => Ok(Some(ProtocolVersion::Http2)),
        Some("GRPC") => Ok(Some(ProtocolVersion::Grpc)),
        Some(other) => Err(errors::validation(format!(
            "Protocol version '{other}' must be one of 'HTTP1, HTTP2, GRPC'"
        ))),
    }
}

/// A repeated call answers what there is, if it wants the same.
fn existing(
    found: TargetGroupRecord,
    wanted: &TargetGroupRecord,
) -> Result<TargetGroupRecord, ApiError> {
    let kind = |group: &TargetGroupRecord| {
        (
            group.target_type,
            group.protocol,
            group.protocol_version,
            group.port,
            group.vpc_id.clone(),
        )
    };
    if kind(&found) == kind(wanted) && found.health_check == wanted.health_check {
        return Ok(found);
    }
    Err(DuplicateTargetGroupNameException::new(format!(
        "A target group with the same name '{}' exists, but with different settings",
        found.name
    ))
    .into())
}
