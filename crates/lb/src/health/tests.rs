use super::plan::{Request, Watch};
use super::progress::{Outcome, Thresholds};
use super::*;
use crate::table::Health;
use crate::table::fixture::{compile, forward, group, table};
use neargate_lb_api as api;

mod probes;

#[test]
fn states_change_by_the_documented_thresholds() {
    use Outcome::{Failed, Passed, TimedOut, WrongCode};
    let thresholds = Thresholds {
        healthy: 3,
        unhealthy: 2,
    };
    let mismatch = "Health checks failed with these codes: [502]";
    for (name, from, network, outcomes, want) in [
        (
            "one success is enough at first",
            Health::Initial,
            false,
            &[Passed][..],
            vec![(0, "", "")],
        ),
        (
            "one failure decides nothing",
            Health::Initial,
            false,
            &[Failed],
            vec![],
        ),
        (
            "a success after a failure at first",
            Health::Initial,
            false,
            &[Failed, Passed],
            vec![(1, "", "")],
        ),
        (
            "two failures",
            Health::Initial,
            false,
            &[Failed, Failed],
            vec![(1, "Target.FailedHealthChecks", "Health checks failed")],
        ),
        (
            "failures with a success between",
            Health::Healthy,
            false,
            &[Failed, Passed, Failed],
            vec![],
        ),
        (
            "the last cause is told",
            Health::Healthy,
            false,
            &[TimedOut, WrongCode(502)],
            vec![(1, "Target.ResponseCodeMismatch", mismatch)],
        ),
        (
            "another cause while unhealthy",
            Health::Healthy,
            false,
            &[Failed, TimedOut, WrongCode(502)],
            vec![
                (1, "Target.Timeout", "Request timed out"),
                (2, "Target.ResponseCodeMismatch", mismatch),
            ],
        ),
        (
            "back after the healthy threshold",
            Health::Unhealthy,
            false,
            &[Passed, Passed, Passed],
            vec![(2, "", "")],
        ),
        (
            "back only by successes in a row",
            Health::Unhealthy,
            false,
            &[Passed, Passed, TimedOut, Passed, Passed],
            vec![(2, "Target.Timeout", "Request timed out")],
        ),
        (
            "healthy stays quiet",
            Health::Healthy,
            false,
            &[Passed, Passed],
            vec![],
        ),
        (
            "what was unused starts over",
            Health::Unused,
            false,
            &[Passed],
            vec![(0, "", "")],
        ),
        (
            "network load balancers give one reason",
            Health::Healthy,
            true,
            &[TimedOut, WrongCode(502)],
            vec![(1, "Target.FailedHealthChecks", "Health checks failed")],
        ),
    ] {
        let mut progress = Progress::from(from);
        let mut got = Vec::new();
        for (at, outcome) in outcomes.iter().enumerate() {
            if let Some(verdict) = progress.see(*outcome, thresholds, network, false) {
                assert_eq!(
                    verdict.health == Health::Healthy,
                    verdict.reason.is_empty(),
                    "{name}"
                );
                got.push((at, verdict.reason, verdict.description));
            }
        }
        let want: Vec<_> = want
            .into_iter()
            .map(|(at, reason, text)| (at, reason, text.to_owned()))
            .collect();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn a_target_that_comes_up_is_given_its_time() {
    use Outcome::{Failed, Passed};
    let thresholds = Thresholds {
        healthy: 2,
        unhealthy: 2,
    };
    // Each check with whether the target is still young.
    for (name, from, checks, want) in [
        (
            "too late",
            Health::Initial,
            &[
                (Failed, true),
                (Failed, true),
                (Failed, true),
                (Failed, false),
            ][..],
            &[None, None, None, Some(Health::Unhealthy)][..],
        ),
        (
            "just in time",
            Health::Initial,
            &[
                (Failed, true),
                (Failed, true),
                (Failed, true),
                (Passed, false),
            ],
            &[None, None, None, Some(Health::Healthy)],
        ),
        (
            "it was healthy once",
            Health::Healthy,
            &[(Failed, true), (Failed, true)],
            &[None, Some(Health::Unhealthy)],
        ),
        (
            "it came up, and went down",
            Health::Initial,
            &[(Passed, true), (Failed, true), (Failed, true)],
            &[Some(Health::Healthy), None, Some(Health::Unhealthy)],
        ),
    ] {
        let mut progress = Progress::from(from);
        let got: Vec<_> = checks
            .iter()
            .map(|(outcome, young)| progress.see(*outcome, thresholds, false, *young))
            .map(|verdict| verdict.map(|verdict| verdict.health))
            .collect();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn matchers_have_lists_and_ranges() {
    for (text, matching, others) in [
        ("200", &[200][..], &[201, 199][..]),
        ("200,202", &[200, 202], &[201]),
        ("200-299", &[200, 250, 299], &[300]),
        ("200, 300-302", &[200, 301], &[201]),
        ("", &[200], &[0]),
        ("nonsense", &[200], &[0]),
        ("0-99", &[0, 12, 99], &[100]),
    ] {
        let matcher = matcher::Matcher::parse(text, 200);
        assert!(matching.iter().all(|code| matcher.matches(*code)), "{text}");
        assert!(!others.iter().any(|code| matcher.matches(*code)), "{text}");
    }
}

/// What the plan says about the first target of a table with this group.
fn planned(group: api::TargetGroup, rules: Vec<api::Rule>, network: bool) -> Option<Watch> {
    let mut proto = table(rules, vec![group]);
    if network {
        proto.load_balancers[0].r#type = api::LoadBalancerType::Network.into();
    }
    plan(&compile(&proto)).into_values().next()
}

#[test]
fn the_plan_checks_what_rules_refer_to() {
    let used = || vec![forward(&[("group", 0)], None)];
    let mut draining = group("group", 1);
    draining.targets[0].draining = true;
    assert_eq!(planned(draining, used(), false), None, "draining");

    let mut stopped = group("group", 1);
    stopped.targets[0].unusable_reason = "Target is in the stopped state".to_owned();
    let mut taken = group("group", 1);
    taken.targets[0].unusable_reason =
        "The IP address cannot be used as a target, as it is in use by a load balancer".to_owned();
    let mut zone = group("group", 1);
    zone.targets[0].unusable_reason =
        "Target is in an Availability Zone that is not enabled for the load balancer".to_owned();
    for (name, group, rules, reason) in [
        ("no rule", group("group", 1), Vec::new(), "Target.NotInUse"),
        ("stopped", stopped, used(), "Target.InvalidState"),
        ("address in use", taken, used(), "Target.IpUnusable"),
        ("zone not enabled", zone, used(), "Target.NotInUse"),
    ] {
        let Some(Watch::Settled(verdict)) = planned(group, rules, false) else {
            panic!("{name}: not settled")
        };
        assert_eq!(
            (verdict.health, verdict.reason),
            (Health::Unused, reason),
            "{name}"
        );
    }
    let mut unchecked = group("group", 1);
    unchecked
        .health_check
        .as_mut()
        .expect("the fixture has one")
        .enabled = false;
    assert_eq!(
        planned(unchecked, used(), false),
        Some(Watch::Settled(progress::Verdict::healthy()))
    );
}

#[test]
fn the_plan_asks_as_aws_does() {
    use api::ProtocolVersion::{Grpc, Http1, Http2};
    let text = str::to_owned;
    let http1 = |host, path| Request::Http1 {
        host: text(host),
        path: text(path),
    };
    for (name, protocol, version, port, path, network, want) in [
        (
            "HTTP",
            api::Protocol::Http,
            Http1,
            0,
            "/health",
            false,
            http1("10.0.1.1:8080", "/health"),
        ),
        (
            "a default port is not told",
            api::Protocol::Http,
            Http1,
            80,
            "",
            false,
            http1("10.0.1.1", "/"),
        ),
        (
            "HTTPS",
            api::Protocol::Https,
            Http1,
            443,
            "/",
            false,
            http1("10.0.1.1", "/"),
        ),
        (
            "HTTPS on 80",
            api::Protocol::Https,
            Http1,
            80,
            "/",
            false,
            http1("10.0.1.1:80", "/"),
        ),
        (
            "a network load balancer's own name",
            api::Protocol::Http,
            Http1,
            0,
            "/",
            true,
            http1("10.0.0.5:80", "/"),
        ),
        ("TCP", api::Protocol::Tcp, Http1, 0, "", true, Request::None),
        (
            "HTTP/2",
            api::Protocol::Http,
            Http2,
            0,
            "/",
            false,
            Request::Http2 {
                authority: text("10.0.1.1:8080"),
                path: text("/"),
            },
        ),
        (
            "gRPC",
            api::Protocol::Http,
            Grpc,
            0,
            "",
            false,
            Request::Grpc {
                authority: text("10.0.1.1:8080"),
                path: text("/AWS.ALB/healthcheck"),
            },
        ),
    ] {
        let mut group = group("group", 1);
        group.protocol_version = version.into();
        let config = group.health_check.as_mut().expect("the fixture has one");
        config.protocol = protocol.into();
        config.port = port;
        config.path = path.to_owned();
        let rules = vec![forward(&[("group", 1)], None)];
        let Some(Watch::Check(check)) = planned(group, rules, network) else {
            panic!("{name}: not checked")
        };
        assert_eq!(check.request, want, "{name}");
        assert_eq!((&*check.netns, check.network), ("eni-1", network), "{name}");
    }
}
