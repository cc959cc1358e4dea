//! The listener rules of a deployment's load balancers: where their traffic goes, and how it is led elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;
use neargate_planner::blue_green::{self as planner, Action, Route, Weights, weights};

use super::super::records::{DeploymentRecord, ServiceRecord};
use crate::elbv2::listener_records::WeightedGroup;
use crate::elbv2::names::{Resource, parse_target_group};
use crate::elbv2::records::LoadBalancerKind;
use crate::elbv2::{lookup, rules};
use crate::state::{Changes, State, StateError};

/// The two target groups of one entry of `loadBalancers`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pair {
    blue: String,
    green: String,
}

/// Rules by ARN, with the pairs that each forwards to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    production: BTreeMap<String, Vec<Pair>>,
    test: BTreeMap<String, Vec<Pair>>,
}

impl Routes {
    /// Those of the deployment `green`, whose tasks are in the target groups that it was given.
    pub fn of(green: &DeploymentRecord) -> Self {
        let mut routes = Self::default();
        for (position, balancer) in green.config.load_balancers.iter().enumerate() {
            let (Some(advanced), Some(primary)) =
                (&balancer.advanced_configuration, &balancer.target_group_arn)
            else {
                continue;
            };
            let alternate = advanced.alternate_target_group_arn.as_ref();
            let own = green.target_groups.get(position).unwrap_or(primary);
            let blue = match alternate {
                Some(alternate) if own == primary => alternate,
                _ => primary,
            };
            let pair = Pair {
                blue: blue.clone(),
                green: own.clone(),
            };
            for (rules, rule) in [
                (&mut routes.production, &advanced.production_listener_rule),
                (&mut routes.test, &advanced.test_listener_rule),
            ] {
                if let Some(rule) = rule {
                    rules.entry(rule.clone()).or_default().push(pair.clone());
                }
            }
        }
        routes
    }

    pub fn has_test(&self) -> bool {
        !self.test.is_empty()
    }

    /// Whether production traffic, if rules say where it goes, is divided between green and this deployment.
    pub fn lead_to(&self, blue: &DeploymentRecord) -> bool {
        let its = blue.target_groups();
        let mut pairs = self.production.values().flatten();
        self.production.is_empty() || pairs.any(|pair| its.contains(&pair.blue))
    }

    /// Whether a production rule belongs to a network load balancer.
    pub fn has_network(&self) -> bool {
        self.production.keys().any(|arn| {
            matches!(Resource::parse(arn),
                Some((_, Resource::Listener(id))) if id.load_balancer.kind == LoadBalancerKind::Network)
        })
    }

    /// Where production and test traffic go now.
    pub async fn see(&self, state: &State, scope: &Scope) -> Result<(Route, Route), StateError> {
        Ok((
            see(state, scope, &self.production).await?,
            see(state, scope, &self.test).await?,
        ))
    }

    /// Adds to a transaction what the planner says about traffic. Rules that are gone or do not forward are passed over
    /// where blue gets everything, and an error elsewhere.
    pub async fn write(
        &self,
        state: &State,
        scope: &Scope,
        actions: &[Action],
        changes: &mut Changes,
    ) -> Result<(), ApiError> {
        let mut wanted = BTreeMap::new();
        for action in actions {
            let (rules, share) = match action {
                Action::AttachGreen => (&self.production, None),
                Action::RouteProduction { green_percent } => {
                    (&self.production, Some(*green_percent))
                }
                Action::RouteTest { green } => (&self.test, Some(if *green { 100.0 } else { 0.0 })),
            };
            for (rule, pairs) in rules {
                // On a way back: what can be led to blue is, whatever has become of the other rules.
                let is_back = share == Some(0.0);
                if is_back && !can_be_led(state, scope, rule, pairs).await? {
                    continue;
                }
                let now = match wanted.remove(rule) {
                    Some(groups) => groups,
                    None => rules::forward_of(state, scope, rule).await?.groups,
                };
                let groups = match share {
                    Some(share) => shifted(&now, pairs, weights(share)),
                    None => attached(now, pairs),
                };
                wanted.insert(rule.clone(), groups);
            }
        }
        let wanted: Vec<_> = wanted.into_iter().collect();
        rules::set_forwards(state, changes, scope, &wanted).await
    }
}

/// Before a deployment begins that does not look after these rules while `green` is under way: blue gets all traffic.
pub async fn traffic_back(
    state: &State,
    service: &ServiceRecord,
    green: &DeploymentRecord,
    changes: &mut Changes,
) -> Result<(), ApiError> {
    let routes = Routes::of(green);
    let mut actions = vec![Action::RouteProduction { green_percent: 0.0 }];
    if routes.has_test() {
        actions.push(Action::RouteTest { green: false });
    }
    routes.write(state, &service.scope, &actions, changes).await
}

/// The pair's weights. A group without traffic stays where it is, but is not added for that.
fn shifted(now: &[WeightedGroup], pairs: &[Pair], weights: Weights) -> Vec<WeightedGroup> {
    let known: BTreeSet<&str> = now.iter().map(|group| group.arn.as_str()).collect();
    let groups = pairs
        .iter()
        .flat_map(|pair| [(&pair.blue, weights.blue), (&pair.green, weights.green)]);
    groups
        .filter(|(arn, weight)| *weight > 0 || known.contains(arn.as_str()))
        .map(|(arn, weight)| WeightedGroup {
            arn: arn.clone(),
            weight,
        })
        .collect()
}

/// What is there, and the groups that are missing, without traffic.
fn attached(mut now: Vec<WeightedGroup>, pairs: &[Pair]) -> Vec<WeightedGroup> {
    for arn in pairs.iter().flat_map(|pair| [&pair.blue, &pair.green]) {
        if now.iter().all(|group| group.arn != *arn) {
            now.push(WeightedGroup {
                arn: arn.clone(),
                weight: 0,
            });
        }
    }
    now
}

async fn can_be_led(
    state: &State,
    scope: &Scope,
    rule: &str,
    pairs: &[Pair],
) -> Result<bool, StateError> {
    let alone = BTreeMap::from([(rule.to_owned(), pairs.to_vec())]);
    let seen = see(state, scope, &alone).await?;
    Ok(!matches!(seen, Route::Unusable(_)))
}

async fn see(
    state: &State,
    scope: &Scope,
    rules: &BTreeMap<String, Vec<Pair>>,
) -> Result<Route, StateError> {
    let mut seen = Route::Absent;
    for (rule, pairs) in rules {
        for arn in pairs.iter().flat_map(|pair| [&pair.blue, &pair.green]) {
            if !exists(state, scope, arn).await? {
                return Ok(Route::Unusable(format!(
                    "The target group {arn} does not exist."
                )));
            }
        }
        let groups = match rules::forward_of(state, scope, rule).await {
            Ok(forward) => forward.groups,
            Err(refused) => {
                return Ok(Route::Unusable(format!(
                    "The listener rule {rule} cannot be used: {}.",
                    refused.message.trim_end_matches('.')
                )));
            }
        };
        seen = match (seen, route(rule, &groups, pairs)) {
            (Route::Absent, route) => route,
            (
                Route::Pair { green_percent },
                Route::Pair {
                    green_percent: other,
                },
            ) => {
                if (green_percent - other).abs() > planner::SHARE_TOLERANCE {
                    return Ok(Route::Elsewhere(
                        "The listener rules divide their traffic differently.".to_owned(),
                    ));
                }
                Route::Pair { green_percent }
            }
            (_, worse) => worse,
        };
        if !matches!(seen, Route::Pair { .. }) {
            break;
        }
    }
    Ok(seen)
}

async fn exists(state: &State, scope: &Scope, target_group: &str) -> Result<bool, StateError> {
    match parse_target_group(scope, target_group) {
        Ok(id) => Ok(lookup::find_target_group(state, scope, &id)
            .await?
            .is_some()),
        Err(_) => Ok(false),
    }
}

fn route(rule: &str, groups: &[WeightedGroup], pairs: &[Pair]) -> Route {
    let sum = |of: fn(&Pair) -> &str| -> u32 {
        let arns: BTreeSet<&str> = pairs.iter().map(of).collect();
        let ours = groups.iter().filter(|g| arns.contains(g.arn.as_str()));
        ours.map(|group| group.weight).sum()
    };
    let known = |arn: &str| pairs.iter().any(|p| p.blue == arn || p.green == arn);
    if let Some(other) = groups.iter().find(|group| !known(&group.arn)) {
        return Route::Elsewhere(format!(
            "The listener rule {rule} forwards to an unexpected target group {}.",
            other.arn
        ));
    }
    let weights = Weights {
        blue: sum(|pair| &pair.blue),
        green: sum(|pair| &pair.green),
    };
    match planner::green_percent(weights) {
        Some(green_percent) => Route::Pair { green_percent },
        None => Route::Elsewhere(format!(
            "No target group of the listener rule {rule} receives traffic."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::records::RevisionConfig;
    use super::*;
    use neargate_aws_api::ecs::types::LoadBalancer;
    use neargate_domain::Timestamp;

    fn pair() -> Vec<Pair> {
        vec![Pair {
            blue: "blue".to_owned(),
            green: "green".to_owned(),
        }]
    }

    fn groups(weights: &[(&str, u32)]) -> Vec<WeightedGroup> {
        let group = |(arn, weight): &(&str, u32)| WeightedGroup {
            arn: (*arn).to_owned(),
            weight: *weight,
        };
        weights.iter().map(group).collect()
    }

    #[test]
    fn a_rule_is_read_as_a_share_of_green() {
        for (name, now, want) in [
            ("one group", vec![("blue", 1)], Ok(0.0)),
            ("the other", vec![("green", 1)], Ok(100.0)),
            ("a canary", vec![("blue", 90), ("green", 10)], Ok(10.0)),
            ("one waits", vec![("blue", 1), ("green", 0)], Ok(0.0)),
            ("nobody", vec![("blue", 0)], Err("No target group")),
            (
                "somebody else",
                vec![("blue", 1), ("red", 0)],
                Err("an unexpected target group red"),
            ),
        ] {
            match (route("rule", &groups(&now), &pair()), want) {
                (Route::Pair { green_percent }, Ok(want)) => {
                    assert_eq!(green_percent, want, "{name}");
                }
                (Route::Elsewhere(why), Err(text)) => assert!(why.contains(text), "{name}: {why}"),
                (other, _) => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_deployment_behind_other_target_groups_has_no_share() {
        let blue = |arn: &str| DeploymentRecord {
            target_groups: vec![arn.to_owned()],
            ..DeploymentRecord::begin(
                "blue".to_owned(),
                "1".to_owned(),
                "sd".to_owned(),
                RevisionConfig {
                    load_balancers: vec![LoadBalancer::default()],
                    ..RevisionConfig::of_nothing()
                },
                Timestamp(0),
            )
        };
        let routes = Routes {
            production: BTreeMap::from([("rule".to_owned(), pair())]),
            test: BTreeMap::new(),
        };
        assert!(routes.lead_to(&blue("blue")));
        assert!(!routes.lead_to(&blue("other")));
        assert!(Routes::default().lead_to(&blue("other")));
    }

    #[test]
    fn a_shift_adds_only_groups_that_get_traffic() {
        let shift = |now: &[(&str, u32)], percent| shifted(&groups(now), &pair(), weights(percent));
        for (name, now, percent, want) in [
            (
                "to green",
                vec![("blue", 1), ("green", 0)],
                100.0,
                vec![("blue", 0), ("green", 100)],
            ),
            (
                "to a new green",
                vec![("blue", 1)],
                100.0,
                vec![("blue", 0), ("green", 100)],
            ),
            (
                "stays with blue",
                vec![("blue", 1)],
                0.0,
                vec![("blue", 100)],
            ),
            (
                "away from a third",
                vec![("red", 1)],
                0.0,
                vec![("blue", 100)],
            ),
            (
                "in part",
                vec![("blue", 1), ("green", 0)],
                2.5,
                vec![("blue", 975), ("green", 25)],
            ),
        ] {
            assert_eq!(shift(&now, percent), groups(&want), "{name}");
        }
        let now = groups(&[("green", 7)]);
        assert_eq!(attached(now, &pair()), groups(&[("green", 7), ("blue", 0)]));
    }
}
