//! How many targets there may be: in a group, and in all groups that a load balancer sends to.
//!
//! A target of several groups counts once for each, so the number of times that one id is registered
//! (`target-id-registrations-per-application-load-balancer`) never passes a limit of its own before these. Two calls at
//! once may both find the last place free: a quota is no invariant, and registrations do not wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use neargate_aws_api::elbv2::types::TooManyTargetsException;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::of_group;
use crate::elbv2::names::{LoadBalancerId, parse_target_group};
use crate::elbv2::records::{
    LoadBalancerKind, LoadBalancerRecord, TargetGroupRecord, TargetRecord, TargetType,
};
use crate::elbv2::{attributes, limits, lookup, uses};
use crate::state::State;

/// What an application load balancer counts as in each zone of the network load balancer that it is a target of
/// (Network Load Balancers guide, quotas), without and with cross-zone load balancing.
const LOAD_BALANCER_COUNTS: usize = 50;
const LOAD_BALANCER_COUNTS_CROSS_ZONE: usize = 100;

/// Whether the group, and the load balancer that sends to it, have room for more targets.
pub async fn check_registration(
    state: &State,
    group: &TargetGroupRecord,
    added: &[&TargetRecord],
) -> Result<(), ApiError> {
    if added.is_empty() {
        return Ok(());
    }
    let max = match group.target_type {
        TargetType::Alb => 1,
        TargetType::Ip | TargetType::Instance => limits::TARGETS_PER_GROUP,
    };
    let scope = &group.scope;
    if of_group(state, scope, &group.id).await?.len() + added.len() > max {
        return Err(too_many(format!(
            "You have reached the maximum number of targets that you can register with a target group: [{max}]"
        )));
    }
    let Some(used) = uses::of_group(state, scope, &group.id).await? else {
        return Ok(());
    };
    let id = &used.record.load_balancer;
    let groups = uses::groups_of_listeners(state, scope, id, None).await?;
    check(state, scope, id, &groups, added).await
}

/// Whether a load balancer has room for the targets of all groups that it sends to from now on.
pub async fn check_use(
    state: &State,
    scope: &Scope,
    load_balancer: &LoadBalancerId,
    groups: &BTreeSet<String>,
) -> Result<(), ApiError> {
    check(state, scope, load_balancer, groups, &[]).await
}

async fn check(
    state: &State,
    scope: &Scope,
    load_balancer: &LoadBalancerId,
    group_arns: &BTreeSet<String>,
    added: &[&TargetRecord],
) -> Result<(), ApiError> {
    let Some(found) = lookup::find_load_balancer(state, scope, load_balancer).await? else {
        return Ok(());
    };
    let mut targets = Vec::new();
    for arn in group_arns {
        let group = parse_target_group(scope, arn)?;
        targets.extend(of_group(state, scope, &group.id).await?);
    }
    match exceeded(&found.record, targets.iter().chain(added.iter().copied())) {
        Some(limit) => Err(too_many(format!(
            "The maximum number of targets per {limit} has been reached on load balancer '{}'",
            found.record.arn()
        ))),
        None => Ok(()),
    }
}

/// The limit that a load balancer's targets pass, if they do.
fn exceeded<'a>(
    load_balancer: &LoadBalancerRecord,
    targets: impl Iterator<Item = &'a TargetRecord>,
) -> Option<String> {
    let (mut total, mut by_zone) = (0, BTreeMap::new());
    for target in targets {
        total += 1;
        for zone in &load_balancer.zones {
            let zone = zone.zone.as_str();
            *by_zone.entry(zone).or_insert(0) += counts_in_zone(load_balancer, target, zone);
        }
    }
    let max = match load_balancer.kind {
        LoadBalancerKind::Application => limits::TARGETS_PER_APPLICATION_LOAD_BALANCER,
        LoadBalancerKind::Network => limits::TARGETS_PER_NETWORK_LOAD_BALANCER,
    };
    if total > max {
        return Some(format!("load balancer '{max}'"));
    }
    let max = limits::TARGETS_PER_ZONE_OF_NETWORK_LOAD_BALANCER;
    let is_full = by_zone.values().any(|count| *count > max);
    (load_balancer.kind == LoadBalancerKind::Network && is_full)
        .then(|| format!("availability zone per load balancer '{max}'"))
}

fn counts_in_zone(load_balancer: &LoadBalancerRecord, target: &TargetRecord, zone: &str) -> usize {
    match target.availability_zone.as_deref() {
        // Only load balancers are targets without a zone.
        None if load_balancer.attribute(attributes::CROSS_ZONE) == "true" => {
            LOAD_BALANCER_COUNTS_CROSS_ZONE
        }
        None => LOAD_BALANCER_COUNTS,
        Some(of_target) => usize::from(of_target == zone || of_target == "all"),
    }
}

fn too_many(message: String) -> ApiError {
    TooManyTargetsException::new(message).into()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use neargate_domain::Timestamp;

    use super::*;
    use crate::elbv2::records::ZoneRecord;

    fn load_balancer(kind: LoadBalancerKind, cross_zone: &str) -> LoadBalancerRecord {
        let zone = |zone: &str| ZoneRecord {
            zone: zone.to_owned(),
            subnet_id: String::new(),
            interface_id: String::new(),
            address: Ipv4Addr::LOCALHOST,
            address_was_given: false,
        };
        LoadBalancerRecord {
            scope: Scope::new("000000000000", "us-east-1"),
            kind,
            name: "web".to_owned(),
            id: "1".to_owned(),
            internal: false,
            dns_name: String::new(),
            vpc_id: String::new(),
            ip_address_type: "ipv4".to_owned(),
            zones: vec![zone("a"), zone("b")],
            security_group_ids: Vec::new(),
            created_at: Timestamp(0),
            active_since: None,
            attributes: [(attributes::CROSS_ZONE.to_owned(), cross_zone.to_owned())].into(),
            tags: Default::default(),
        }
    }

    fn target(zone: Option<&str>) -> TargetRecord {
        TargetRecord {
            id: "x".to_owned(),
            port: 80,
            availability_zone: zone.map(str::to_owned),
            registered_at: Timestamp(0),
            draining_since: None,
        }
    }

    #[test]
    fn what_counts_and_how_often() {
        use LoadBalancerKind::{Application, Network};
        let [a, b, off, all] = ["a", "b", "c", "all"].map(Some);
        let whole = Some("load balancer '1000'");
        let zone = Some("availability zone per load balancer '500'");
        for (name, kind, cross_zone, targets, want) in [
            ("as many as fit", Application, "true", vec![(a, 1000)], None),
            (
                "one more",
                Application,
                "true",
                vec![(a, 999), (b, 2)],
                whole,
            ),
            (
                "a full zone",
                Network,
                "false",
                vec![(a, 500), (b, 500)],
                None,
            ),
            ("one more in it", Network, "false", vec![(a, 501)], zone),
            (
                "everywhere",
                Network,
                "false",
                vec![(b, 499), (all, 2)],
                zone,
            ),
            (
                "in a zone that is off",
                Network,
                "false",
                vec![(off, 501)],
                None,
            ),
            ("load balancers", Network, "false", vec![(None, 10)], None),
            ("one more", Network, "false", vec![(None, 10), (b, 1)], zone),
            ("across zones", Network, "true", vec![(None, 5)], None),
            (
                "and one more",
                Network,
                "true",
                vec![(None, 5), (a, 1)],
                zone,
            ),
            (
                "outside all zones",
                Network,
                "false",
                vec![(off, 3001)],
                Some("load balancer '3000'"),
            ),
        ] {
            let targets: Vec<TargetRecord> = targets
                .into_iter()
                .flat_map(|(zone, count)| std::iter::repeat_n(target(zone), count))
                .collect();
            let got = exceeded(&load_balancer(kind, cross_zone), targets.iter());
            assert_eq!(got.as_deref(), want, "{name}");
        }
    }
}
