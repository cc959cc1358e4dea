//! DescribeTargetHealth.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{TargetName, of_group};
use crate::elbv2::data_plane::{DataPlane, ObservedHealth, ObservedState};
use crate::elbv2::records::{LoadBalancerRecord, TargetGroupRecord, TargetRecord, TargetType};
use crate::elbv2::{Elbv2Service, lookup, uses};
use crate::scope_of;

/// Why a registered target gets no traffic, whatever its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable {
    pub reason: TargetHealthReasonEnum,
    pub description: &'static str,
}

const NOT_IN_USE: Unusable = Unusable {
    reason: TargetHealthReasonEnum::TargetNotInUse,
    description: "Target group is not configured to receive traffic from the load balancer",
};
const NOT_REGISTERED: Unusable = Unusable {
    reason: TargetHealthReasonEnum::TargetNotRegistered,
    description: "Target is not registered to the target group",
};
const ZONE_NOT_ENABLED: Unusable = Unusable {
    reason: TargetHealthReasonEnum::TargetNotInUse,
    description: "Target is in an Availability Zone that is not enabled for the load balancer",
};
const OWN_ADDRESS: Unusable = Unusable {
    reason: TargetHealthReasonEnum::TargetIpUnusable,
    description: "The IP address cannot be used as a target, as it is in use by a load balancer",
};

/// Why this load balancer cannot use a target; `None` if it can.
pub fn unusable(load_balancer: &LoadBalancerRecord, target: &TargetRecord) -> Option<Unusable> {
    let zones = &load_balancer.zones;
    if zones
        .iter()
        .any(|zone| zone.address.to_string() == target.id)
    {
        return Some(OWN_ADDRESS);
    }
    let zone = target.availability_zone.as_deref()?;
    let enabled = zone == "all" || zones.iter().any(|enabled| enabled.zone == zone);
    (!enabled).then_some(ZONE_NOT_ENABLED)
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeTargetHealth.html>
pub async fn describe(
    service: &Elbv2Service,
    context: &RequestContext,
    input: DescribeTargetHealthInput,
) -> Result<DescribeTargetHealthOutput, ApiError> {
    let (state, scope) = (&service.state, scope_of(context));
    let group = lookup::target_group(state, &scope, &input.target_group_arn)
        .await?
        .record;
    let registered = of_group(state, &scope, &group.id).await?;
    let load_balancer = match uses::of_group(state, &scope, &group.id).await? {
        Some(found) => {
            let id = &found.record.load_balancer;
            lookup::find_load_balancer(state, &scope, id).await?
        }
        None => None,
    };
    let anomalies = !input.include.unwrap_or_default().is_empty();
    let shown = Shown {
        group: &group,
        load_balancer: load_balancer.as_ref().map(|found| &found.record),
        plane: &*service.plane,
        anomalies,
    };
    let named = input.targets.unwrap_or_default();
    let descriptions = match named.is_empty() {
        true => registered.iter().map(|t| shown.registered(t)).collect(),
        false => named
            .into_iter()
            .map(super::operations::name_of)
            .collect::<Result<Vec<_>, _>>()?
            .iter()
            .map(|name| shown.named(name, &registered))
            .collect(),
    };
    Ok(DescribeTargetHealthOutput {
        target_health_descriptions: Some(descriptions),
    })
}

struct Shown<'a> {
    group: &'a TargetGroupRecord,
    load_balancer: Option<&'a LoadBalancerRecord>,
    plane: &'a dyn DataPlane,
    anomalies: bool,
}

impl Shown<'_> {
    fn named(&self, name: &TargetName, registered: &[TargetRecord]) -> TargetHealthDescription {
        let port = name.port.unwrap_or(self.group.port);
        match registered
            .iter()
            .find(|t| t.id == name.id && t.port == port)
        {
            Some(target) => self.registered(target),
            None => TargetHealthDescription {
                target: Some(TargetDescription {
                    id: name.id.clone(),
                    port: Some(port.into()),
                    ..Default::default()
                }),
                health_check_port: Some(self.health_check_port(port)),
                target_health: Some(unused(NOT_REGISTERED)),
                ..Default::default()
            },
        }
    }

    fn registered(&self, target: &TargetRecord) -> TargetHealthDescription {
        let health = self.health(target);
        let observed = self
            .plane
            .target_health(&self.group.arn(), &target.id, target.port);
        let observed = |of: fn(&ObservedHealth) -> bool| observed.as_ref().is_some_and(of);
        let anomaly = AnomalyDetection {
            mitigation_in_effect: Some(match observed(|health| health.mitigated) {
                true => MitigationInEffectEnum::Yes,
                false => MitigationInEffectEnum::No,
            }),
            result: Some(match observed(|health| health.anomalous) {
                true => AnomalyResultEnum::Anomalous,
                false => AnomalyResultEnum::Normal,
            }),
        };
        // An instance is in its own zone and nobody may say otherwise.
        let zone = match self.group.target_type {
            TargetType::Ip => target.availability_zone.clone(),
            TargetType::Instance | TargetType::Alb => None,
        };
        TargetHealthDescription {
            anomaly_detection: (self.anomalies && self.group.protocol.is_http()).then_some(anomaly),
            health_check_port: Some(self.health_check_port(target.port)),
            target: Some(TargetDescription {
                availability_zone: zone,
                id: target.id.clone(),
                port: Some(target.port.into()),
                quic_server_id: None,
            }),
            target_health: Some(health),
            administrative_override: None,
        }
    }

    fn health_check_port(&self, target_port: u16) -> String {
        self.group
            .health_check
            .port
            .unwrap_or(target_port)
            .to_string()
    }

    fn health(&self, target: &TargetRecord) -> TargetHealth {
        if target.draining_since.is_some() {
            return TargetHealth {
                state: Some(TargetHealthStateEnum::Draining),
                reason: Some(TargetHealthReasonEnum::TargetDeregistrationInProgress),
                description: Some("Target deregistration is in progress".to_owned()),
            };
        }
        let Some(load_balancer) = self.load_balancer else {
            return unused(NOT_IN_USE);
        };
        if let Some(why) = unusable(load_balancer, target) {
            return unused(why);
        }
        match self
            .plane
            .target_health(&self.group.arn(), &target.id, target.port)
        {
            Some(observed) => of_observed(observed),
            None => TargetHealth {
                state: Some(TargetHealthStateEnum::Initial),
                reason: Some(TargetHealthReasonEnum::ElbRegistrationInProgress),
                description: Some("Target registration is in progress".to_owned()),
            },
        }
    }
}

fn unused(why: Unusable) -> TargetHealth {
    TargetHealth {
        state: Some(TargetHealthStateEnum::Unused),
        reason: Some(why.reason),
        description: Some(why.description.to_owned()),
    }
}

fn of_observed(observed: ObservedHealth) -> TargetHealth {
    let state = match observed.state {
        ObservedState::Healthy => {
            return TargetHealth {
                state: Some(TargetHealthStateEnum::Healthy),
                ..Default::default()
            };
        }
        ObservedState::Initial => TargetHealthStateEnum::Initial,
        ObservedState::Unhealthy => TargetHealthStateEnum::Unhealthy,
        ObservedState::Unused => TargetHealthStateEnum::Unused,
    };
    TargetHealth {
        state: Some(state),
        // What this version does not know is left out rather than made up.
        reason: observed.reason.parse().ok(),
        description: Some(observed.description).filter(|text| !text.is_empty()),
    }
}
