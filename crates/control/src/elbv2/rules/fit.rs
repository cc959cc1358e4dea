//! Whether target groups of an action fit the listener that it is for.

use neargate_aws_api::elbv2::types::IncompatibleProtocolsException;
use neargate_aws_wire::error::ApiError;

use super::redirect;
use crate::elbv2::listener_records::{Action, Forward, ListenerRecord};
use crate::elbv2::records::{
    LoadBalancerKind, LoadBalancerRecord, Protocol, ProtocolVersion, TargetGroupRecord, TargetType,
};
use crate::elbv2::{attributes, errors, lookup, uses};
use crate::state::{Changes, State};

/// Refuses a listener with an action that it cannot carry out.
pub async fn check(
    state: &State,
    load_balancer: &LoadBalancerRecord,
    listener: &ListenerRecord,
) -> Result<(), ApiError> {
    for action in listener.actions() {
        check_action(state, load_balancer, listener, action).await?;
    }
    Ok(())
}

/// The same for one action.
pub async fn check_action(
    state: &State,
    load_balancer: &LoadBalancerRecord,
    listener: &ListenerRecord,
    action: &Action,
) -> Result<(), ApiError> {
    if load_balancer.kind == LoadBalancerKind::Network && !matches!(action, Action::Forward(_)) {
        return Err(errors::action(format!(
            "The action type '{}' is not valid with network load balancer",
            match action {
                Action::Redirect(_) => "redirect",
                _ => "fixed-response",
            }
        )));
    }
    match action {
        Action::Forward(forward) => check_forward(state, load_balancer, listener, forward).await,
        Action::Redirect(to) => redirect::check(to, listener.protocol, listener.port),
        Action::FixedResponse(_) => Ok(()),
    }
}

async fn check_forward(
    state: &State,
    load_balancer: &LoadBalancerRecord,
    listener: &ListenerRecord,
    forward: &Forward,
) -> Result<(), ApiError> {
    let mut sticky = false;
    for weighted in &forward.groups {
        let group = lookup::target_group(state, &load_balancer.scope, &weighted.arn)
            .await?
            .record;
        check_protocols(listener.protocol, &group)?;
        if group.vpc_id != load_balancer.vpc_id {
            return Err(errors::configuration(format!(
                "The following target groups are in a different VPC than load balancer '{}': {}",
                load_balancer.arn(),
                weighted.arn
            )));
        }
        sticky |= group.attribute(attributes::STICKINESS) == "true";
    }
    let several = forward.groups.len() > 1;
    if sticky && several && listener.protocol.is_http() && !forward.stickiness.enabled {
        return Err(errors::action(
            "You must enable target group stickiness on the action if you enabled stickiness on one of its target groups",
        ));
    }
    Ok(())
}

/// The other side of it: a target group that becomes sticky behind a rule with several groups. The transaction requires
/// that the listeners are as they were read.
pub async fn check_stickiness(
    state: &State,
    group: &TargetGroupRecord,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    if !group.protocol.is_http() || group.attribute(attributes::STICKINESS) != "true" {
        return Ok(());
    }
    let Some(used) = uses::of_group(state, &group.scope, &group.id).await? else {
        return Ok(());
    };
    let load_balancer = &used.record.load_balancer.id;
    let arn = group.arn();
    for listener in lookup::listeners_of(state, &group.scope, load_balancer).await? {
        let record = &listener.record;
        let default = (&record.default_rule_id, &record.default_action.action);
        let rules = record.rules.iter().map(|r| (&r.id, &r.action.action));
        let unfit = rules.chain([default]).find(|(_, action)| match action {
            Action::Forward(forward) => {
                let has_it = forward.groups.iter().any(|group| group.arn == arn);
                has_it && forward.groups.len() > 1 && !forward.stickiness.enabled
            }
            _ => false,
        });
        if let Some((rule, _)) = unfit {
            return Err(errors::configuration(format!(
                "This target group appears behind a rule with group stickiness disabled ({}). You must enable group stickiness before enabling target stickiness",
                record.rule_arn(rule)
            )));
        }
        changes.require(&listener);
    }
    Ok(())
}

/// User guide: HTTP and HTTPS go to both; TCP to TCP and TCP_UDP, TLS to TCP and TLS, UDP to UDP and TCP_UDP.
fn check_protocols(listener: Protocol, group: &TargetGroupRecord) -> Result<(), ApiError> {
    use Protocol::*;
    let refuse = |text: String| Err(IncompatibleProtocolsException::new(text).into());
    let incompatible = || {
        refuse(format!(
            "The listener and the following target groups have incompatible protocols: {}",
            group.arn()
        ))
    };
    let fits = matches!(
        (listener, group.protocol),
        (Http | Https, Http | Https)
            | (Tcp, Tcp | TcpUdp)
            | (Tls, Tcp | Tls)
            | (Udp, Udp | TcpUdp)
            | (TcpUdp, TcpUdp)
    );
    if !fits {
        return incompatible();
    }
    if listener.has_udp() && group.target_type == TargetType::Alb {
        return incompatible();
    }
    match group.protocol_version {
        Some(version @ (ProtocolVersion::Http2 | ProtocolVersion::Grpc)) if listener == Http => {
            refuse(format!(
                "Listener protocol 'HTTP' is not supported with a target group with the protocol-version '{}'",
                version.as_str()
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::groups::tests::a_group;

    #[test]
    fn which_listeners_send_to_which_groups() {
        use Protocol::*;
        for (listener, group, version, want) in [
            (Http, Http, Some(ProtocolVersion::Http1), true),
            (Http, Https, Some(ProtocolVersion::Http1), true),
            (Https, Http, Some(ProtocolVersion::Grpc), true),
            (Http, Http, Some(ProtocolVersion::Grpc), false),
            (Http, Http, Some(ProtocolVersion::Http2), false),
            (Http, Tcp, None, false),
            (Tcp, Tcp, None, true),
            (Tcp, TcpUdp, None, true),
            (Tcp, Tls, None, false),
            (Tls, Tls, None, true),
            (Tls, Tcp, None, true),
            (Udp, Udp, None, true),
            (Udp, Tcp, None, false),
            (TcpUdp, TcpUdp, None, true),
            (TcpUdp, Tcp, None, false),
            (Tcp, Http, Some(ProtocolVersion::Http1), false),
        ] {
            let mut record = a_group();
            record.protocol = group;
            record.protocol_version = version;
            assert_eq!(
                check_protocols(listener, &record).is_ok(),
                want,
                "{listener:?} to {group:?} {version:?}"
            );
        }
    }
}
