//! What listeners send to blue and to green. All of it is pure; who writes the result is the deployer.
//!
//! A deployment is about the rules that forward to its pair of target groups and to nothing else, the default rule
//! among them. Both groups stay in them, one with weight 0: what has no traffic is health-checked too, so that the
//! health of the next green is known before it gets any.

use crate::elbv2::listener_records::{Action, Forward, ListenerRecord, WeightedGroup};

/// Weights of a pair add up to this, so that they are percentages, and CodeDeploy's percentages are whole numbers.
const WHOLE: u32 = 100;

/// ARNs of the two target groups, in their parts of one deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair<'a> {
    pub blue: &'a str,
    pub green: &'a str,
}

impl Pair<'_> {
    fn has(&self, arn: &str) -> bool {
        arn == self.blue || arn == self.green
    }
}

/// Ids of the rules that blue's traffic comes by, the default rule's among them.
pub fn rules_of(listener: &ListenerRecord, pair: Pair<'_>) -> Vec<String> {
    forwards(listener)
        .filter(|(_, forward)| {
            forward.groups.iter().all(|group| pair.has(&group.arn))
                && forward.groups.iter().any(|group| group.arn == pair.blue)
        })
        .map(|(id, _)| id.to_owned())
        .collect()
}

/// Green's share on these rules; `None` unless each of them is there, forwards to the pair and to nothing else, and
/// says the same as the others.
pub fn green_percent(listener: &ListenerRecord, rules: &[String], pair: Pair<'_>) -> Option<f64> {
    let mut shares = rules.iter().map(|id| {
        let (_, forward) = forwards(listener).find(|(rule, _)| rule == id)?;
        share(forward, pair)
    });
    let first = shares.next()??;
    shares.all(|other| other == Some(first)).then_some(first)
}

/// Green's largest share on any of these rules, which a deployment has not made the same yet.
pub fn largest_green_percent(
    listener: &ListenerRecord,
    rules: &[String],
    pair: Pair<'_>,
) -> Option<f64> {
    let shares: Option<Vec<f64>> = rules
        .iter()
        .map(|id| green_percent(listener, std::slice::from_ref(id), pair))
        .collect();
    shares?.into_iter().reduce(f64::max)
}

fn share(forward: &Forward, pair: Pair<'_>) -> Option<f64> {
    if !forward.groups.iter().all(|group| pair.has(&group.arn)) {
        return None;
    }
    let weight = |of: &dyn Fn(&WeightedGroup) -> bool| -> u32 {
        let found = forward.groups.iter().filter(|group| of(group));
        found.map(|group| group.weight).sum()
    };
    let (green, all) = (weight(&|group| group.arn == pair.green), weight(&|_| true));
    (all > 0).then(|| f64::from(green) * 100.0 / f64::from(all))
}

/// The listener with so much of these rules' traffic on green. Rules that do not forward any more are left alone.
pub fn shifted(
    listener: &ListenerRecord,
    rules: &[String],
    pair: Pair<'_>,
    green_percent: f64,
) -> ListenerRecord {
    let green = (green_percent.clamp(0.0, 100.0) / 100.0 * f64::from(WHOLE)).round() as u32;
    change(listener, rules, |groups| {
        for (arn, weight) in [(pair.blue, WHOLE - green), (pair.green, green)] {
            match groups.iter_mut().find(|group| group.arn == arn) {
                Some(group) => group.weight = weight,
                None => groups.push(WeightedGroup {
                    arn: arn.to_owned(),
                    weight,
                }),
            }
        }
    })
}

/// The listener with both groups in these rules and their traffic as it is.
pub fn attached(listener: &ListenerRecord, rules: &[String], pair: Pair<'_>) -> ListenerRecord {
    change(listener, rules, |groups| {
        for arn in [pair.blue, pair.green] {
            if !groups.iter().any(|group| group.arn == arn) {
                groups.push(WeightedGroup {
                    arn: arn.to_owned(),
                    weight: 0,
                });
            }
        }
    })
}

fn change(
    listener: &ListenerRecord,
    rules: &[String],
    edit: impl Fn(&mut Vec<WeightedGroup>),
) -> ListenerRecord {
    let mut record = listener.clone();
    let apply = |id: &str, action: &mut Action| {
        if let Action::Forward(forward) = action
            && rules.iter().any(|rule| rule == id)
        {
            edit(&mut forward.groups);
        }
    };
    for rule in &mut record.rules {
        apply(&rule.id, &mut rule.action.action);
    }
    apply(&record.default_rule_id, &mut record.default_action.action);
    record
}

fn forwards(listener: &ListenerRecord) -> impl Iterator<Item = (&str, &Forward)> {
    let rules = listener
        .rules
        .iter()
        .map(|rule| (rule.id.as_str(), &rule.action.action));
    let default = (
        listener.default_rule_id.as_str(),
        &listener.default_action.action,
    );
    rules
        .chain([default])
        .filter_map(|(id, action)| match action {
            Action::Forward(forward) => Some((id, forward)),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use neargate_domain::{Scope, Timestamp};

    use super::*;
    use crate::elbv2::listener_records::{
        ActionRecord, FixedResponse, GroupStickiness, RuleRecord,
    };
    use crate::elbv2::names::LoadBalancerId;
    use crate::elbv2::records::{LoadBalancerKind, Protocol};

    const PAIR: Pair<'static> = Pair {
        blue: "b",
        green: "g",
    };

    fn forward(groups: &[(&str, u32)]) -> ActionRecord {
        let groups = groups.iter().map(|(arn, weight)| WeightedGroup {
            arn: (*arn).to_owned(),
            weight: *weight,
        });
        ActionRecord {
            order: None,
            action: Action::Forward(Forward {
                groups: groups.collect(),
                stickiness: GroupStickiness {
                    enabled: true,
                    duration_secs: Some(60),
                },
            }),
        }
    }

    fn fixed() -> ActionRecord {
        ActionRecord {
            order: None,
            action: Action::FixedResponse(FixedResponse {
                status_code: 404,
                content_type: None,
                message_body: None,
            }),
        }
    }

    /// The default rule is `d`; the others are numbered from 1.
    fn listener(default: ActionRecord, rules: Vec<ActionRecord>) -> ListenerRecord {
        ListenerRecord {
            scope: Scope::new("000000000000", "us-east-1"),
            load_balancer: LoadBalancerId {
                kind: LoadBalancerKind::Application,
                name: "web".to_owned(),
                id: "1".to_owned(),
            },
            id: "1".to_owned(),
            port: 80,
            protocol: Protocol::Http,
            ssl_policy: None,
            default_certificate: None,
            certificates: Vec::new(),
            alpn_policy: None,
            default_rule_id: "d".to_owned(),
            default_action: default,
            rules: (1..)
                .zip(rules)
                .map(|(priority, action)| RuleRecord {
                    id: priority.to_string(),
                    priority,
                    conditions: Vec::new(),
                    action,
                    transforms: Default::default(),
                    tags: Default::default(),
                })
                .collect(),
            attributes: Default::default(),
            tags: Default::default(),
            default_rule_tags: Default::default(),
            created_at: Timestamp(0),
        }
    }

    fn weights(listener: &ListenerRecord) -> Vec<(String, Vec<(&str, u32)>)> {
        forwards(listener)
            .map(|(id, forward)| {
                let groups = forward.groups.iter().map(|g| (g.arn.as_str(), g.weight));
                (id.to_owned(), groups.collect())
            })
            .collect()
    }

    #[test]
    fn the_rules_of_a_deployment_forward_to_its_pair_alone() {
        for (name, default, rules, want) in [
            ("the default rule", forward(&[("b", 1)]), vec![], vec!["d"]),
            (
                "a rule below a fixed response",
                fixed(),
                vec![forward(&[("b", 1)]), fixed()],
                vec!["1"],
            ),
            (
                "all that forward to the pair",
                forward(&[("b", 100), ("g", 0)]),
                vec![forward(&[("b", 1)]), forward(&[("x", 1)])],
                vec!["1", "d"],
            ),
            (
                "not one with a third group, nor one of green alone",
                forward(&[("b", 1)]),
                vec![forward(&[("b", 1), ("x", 1)]), forward(&[("g", 1)])],
                vec!["d"],
            ),
            ("nothing", forward(&[("x", 1)]), vec![], vec![]),
        ] {
            assert_eq!(rules_of(&listener(default, rules), PAIR), want, "{name}");
        }
    }

    #[test]
    fn greens_share_is_read_from_the_weights() {
        let rules = ["1".to_owned(), "d".to_owned()];
        for (name, default, rule, want) in [
            (
                "blue alone",
                forward(&[("b", 1)]),
                forward(&[("b", 7)]),
                Some(0.0),
            ),
            (
                "both",
                forward(&[("b", 90), ("g", 10)]),
                forward(&[("g", 1), ("b", 9)]),
                Some(10.0),
            ),
            (
                "green alone",
                forward(&[("g", 1)]),
                forward(&[("b", 0), ("g", 5)]),
                Some(100.0),
            ),
            (
                "not the same",
                forward(&[("b", 1)]),
                forward(&[("g", 1)]),
                None,
            ),
            (
                "a third group",
                forward(&[("b", 1)]),
                forward(&[("b", 1), ("x", 1)]),
                None,
            ),
            (
                "no weight at all",
                forward(&[("b", 0)]),
                forward(&[("b", 0)]),
                None,
            ),
            ("no forward", forward(&[("b", 1)]), fixed(), None),
        ] {
            let listener = listener(default, vec![rule]);
            assert_eq!(green_percent(&listener, &rules, PAIR), want, "{name}");
        }
        let gone = listener(forward(&[("b", 1)]), vec![]);
        assert_eq!(green_percent(&gone, &rules, PAIR), None, "a rule is gone");
        assert_eq!(green_percent(&gone, &[], PAIR), None, "no rule at all");
    }

    #[test]
    fn a_shift_changes_weights_and_nothing_else() {
        let before = listener(
            forward(&[("b", 1)]),
            vec![forward(&[("g", 0), ("b", 100)]), forward(&[("x", 1)])],
        );
        let rules = ["1".to_owned(), "d".to_owned()];
        for percent in 0..=100u32 {
            let after = shifted(&before, &rules, PAIR, f64::from(percent));
            let want = [
                ("1".to_owned(), vec![("g", percent), ("b", 100 - percent)]),
                ("2".to_owned(), vec![("x", 1)]),
                ("d".to_owned(), vec![("b", 100 - percent), ("g", percent)]),
            ];
            assert_eq!(weights(&after), want);
            let seen = green_percent(&after, &rules, PAIR).expect("a share");
            assert!((seen - f64::from(percent)).abs() < 0.1, "{seen}");
            let mut back = shifted(&after, &rules, PAIR, 0.0);
            back.default_action = before.default_action.clone();
            assert_eq!(back, before, "stickiness, order and the rest stay");
        }
    }

    #[test]
    fn attaching_moves_no_traffic() {
        let before = listener(forward(&[("b", 3)]), vec![fixed()]);
        let rules = ["d".to_owned(), "1".to_owned()];
        let after = attached(&before, &rules, PAIR);
        let want = [("d".to_owned(), vec![("b", 3), ("g", 0)])];
        assert_eq!(weights(&after), want);
        assert_eq!(attached(&after, &rules, PAIR), after);
    }
}
