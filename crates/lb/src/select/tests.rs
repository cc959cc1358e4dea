use super::cookie::{Binds, CookieKey, decode, encode};
use super::set_cookie::set_cookies;
use super::*;
use crate::routing::Scheme;
use crate::table::fixture::{compile, forward, group, header, lb_cookie, table};
use crate::table::{Health, Table};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NOW: u64 = 1_700_000_000_000;

fn key() -> CookieKey {
    CookieKey::new(b"secret of a test")
}

/// A table with this group alone, all its targets healthy.
fn healthy(group: api::TargetGroup) -> Arc<Table> {
    let compiled = compile(&table(vec![forward(&[("group", 1)], None)], vec![group]));
    let group = &compiled.target_groups["group"];
    for target in &group.targets {
        group.set_health(target, Health::Healthy, NOW);
    }
    compiled
}

fn asking<'a>(headers: &'a [Header<'a>], key: &'a CookieKey, now_millis: u64) -> Asking<'a> {
    Asking {
        zone: None,
        headers,
        key,
        now_millis,
    }
}

/// How many of `requests` each target gets, by the last part of its id.
fn shares(
    group: &TargetGroup,
    requests: usize,
    zone: Option<&str>,
    now_millis: u64,
) -> BTreeMap<String, usize> {
    let key = key();
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        let asking = Asking {
            zone,
            ..asking(&[], &key, now_millis)
        };
        let chosen = choose(group, &asking).expect("a target");
        let number = chosen.target.id.trim_start_matches("10.0.1.").to_owned();
        *shares.entry(number).or_default() += 1;
    }
    shares
}

fn counts(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs
        .iter()
        .map(|(id, count)| ((*id).to_owned(), *count))
        .collect()
}

#[test]
fn round_robin_takes_turns_among_the_healthy() {
    let table = healthy(group("group", 3));
    let group = &table.target_groups["group"];
    assert_eq!(
        shares(group, 300, None, NOW),
        counts(&[("1", 100), ("2", 100), ("3", 100)])
    );
    group.set_health(&group.targets[1], Health::Unhealthy, NOW);
    assert_eq!(
        shares(group, 300, None, NOW),
        counts(&[("1", 150), ("3", 150)])
    );
}

#[test]
fn weighted_random_gives_all_about_the_same() {
    let mut random = group("group", 4);
    random.algorithm = api::Algorithm::WeightedRandom.into();
    let table = healthy(random);
    for (target, count) in shares(&table.target_groups["group"], 10_000, None, NOW) {
        assert!((2300..2700).contains(&count), "{target} got {count}");
    }
}

#[test]
fn the_least_busy_target_is_next() {
    let mut least = group("group", 3);
    least.algorithm = api::Algorithm::LeastOutstandingRequests.into();
    let table = healthy(least);
    let group = &table.target_groups["group"];
    let key = key();
    let asking = asking(&[], &key, NOW);
    let first: Vec<Chosen> = (0..3)
        .map(|_| choose(group, &asking).expect("a target"))
        .collect();
    let mut ids: Vec<&str> = first
        .iter()
        .map(|chosen| chosen.target.id.as_str())
        .collect();
    ids.sort_unstable();
    assert_eq!(
        ids,
        ["10.0.1.1", "10.0.1.2", "10.0.1.3"],
        "none is chosen twice while another is idle"
    );
    let mut first = first.into_iter();
    let freed = first.next().expect("three were chosen");
    let id = freed.target.id.clone();
    drop(freed);
    assert_eq!(choose(group, &asking).expect("a target").target.id, id);
    drop(first);
    assert!(
        group
            .targets
            .iter()
            .all(|target| target.state.outstanding() == 0),
        "all requests have ended"
    );
}

#[test]
fn targets_that_cannot_be_used_get_nothing() {
    let drained = |index: usize| {
        let mut group = group("group", 2);
        group.targets[index].draining = true;
        group
    };
    let mut unusable = group("group", 2);
    unusable.targets[0].unusable_reason = "Target is in the stopped state".to_owned();
    let mut none = drained(0);
    none.targets[1].draining = true;
    for (name, group, healthy, want) in [
        ("draining", drained(0), true, counts(&[("2", 10)])),
        (
            "draining, the other one not healthy",
            drained(1),
            false,
            counts(&[("1", 10)]),
        ),
        ("unusable", unusable, true, counts(&[("2", 10)])),
        (
            "fail open to all",
            self::group("group", 2),
            false,
            counts(&[("1", 5), ("2", 5)]),
        ),
    ] {
        let table = match healthy {
            true => self::healthy(group),
            false => compile(&table(vec![forward(&[("group", 1)], None)], vec![group])),
        };
        assert_eq!(
            shares(&table.target_groups["group"], 10, None, NOW),
            want,
            "{name}"
        );
    }
    for (name, group) in [
        ("all drain", none),
        ("nothing registered", group("group", 0)),
    ] {
        let table = healthy(group);
        let chosen = choose(&table.target_groups["group"], &asking(&[], &key(), NOW));
        assert_eq!(chosen.err(), Some(NoTarget), "{name}");
    }
}

#[test]
fn without_cross_zone_a_node_serves_its_own_zone() {
    let mut zonal = group("group", 4);
    zonal.cross_zone = false;
    zonal.targets[2].availability_zone = "us-east-1b".to_owned();
    zonal.targets[3].availability_zone = "all".to_owned();
    let table = healthy(zonal);
    let group = &table.target_groups["group"];
    let zone_b = shares(group, 1000, Some("us-east-1b"), NOW);
    assert_eq!(zone_b.keys().collect::<Vec<_>>(), ["3", "4"]);
    assert!(
        zone_b.values().all(|count| (480..=520).contains(count)),
        "{zone_b:?}"
    );
    assert_eq!(
        shares(group, 100, None, NOW).len(),
        4,
        "loopback is in no zone"
    );
}

#[test]
fn slow_start_ramps_up_from_healthy() {
    let mut slow = group("group", 3);
    slow.slow_start_secs = 30;
    let table = compile(&table(vec![forward(&[("group", 1)], None)], vec![slow]));
    let group = &table.target_groups["group"];
    let become_healthy =
        |index: usize, at| group.set_health(&group.targets[index], Health::Healthy, at);
    become_healthy(0, NOW);
    assert_eq!(
        group.targets[0].state.slow_start_from(),
        None,
        "the first target of an empty group"
    );
    become_healthy(1, NOW);
    for (name, after_secs, want_percent) in [
        ("a third of the way", 10, 25),
        ("half of the way", 15, 33),
        ("at the end", 30, 50),
        ("later", 3000, 50),
    ] {
        let share = shares(group, 1000, None, NOW + after_secs * 1000)["2"] / 10;
        assert!(share.abs_diff(want_percent) <= 1, "{name}: {share} %");
    }
    assert!(
        !group.pool().all.slow_start,
        "nobody looks at slow starts that are over"
    );
    group.set_health(&group.targets[1], Health::Unhealthy, NOW + 1000);
    become_healthy(1, NOW + 1500);
    assert!(group.targets[1].state.slow_start_from().is_some());
    group.set_health(&group.targets[1], Health::Unhealthy, NOW + 1000);
    assert_eq!(
        group.targets[1].state.slow_start_from(),
        None,
        "an unhealthy target leaves it"
    );
    become_healthy(1, NOW + 2000);
    become_healthy(2, NOW + 2000);
    group.set_health(&group.targets[0], Health::Unhealthy, NOW + 2000);
    assert_eq!(
        shares(group, 100, None, NOW + 2001),
        counts(&[("2", 50), ("3", 50)]),
        "all that are left are slow"
    );
}

#[test]
fn a_cookie_keeps_its_client_at_its_target_while_that_is_healthy() {
    let mut sticky = group("group", 3);
    sticky.stickiness = lb_cookie(60);
    let table = healthy(sticky);
    let group = &table.target_groups["group"];
    let bound = &group.targets[1];
    let value = |secs| encode(Binds::Target, &bound.key, secs, NOW, &key());
    let cors_wins = format!("AWSALB=nonsense; AWSALBCORS={}", value(60));
    for (name, cookie, now_millis, want) in [
        ("none", String::new(), NOW, Bond::None),
        (
            "other cookies",
            "session=1; AWSALBTG=x".to_owned(),
            NOW,
            Bond::None,
        ),
        (
            "kept",
            format!("a=b; AWSALB={}; c=d", value(60)),
            NOW + 59_999,
            Bond::Kept,
        ),
        ("CORS wins", cors_wins, NOW, Bond::Kept),
        (
            "expired",
            format!("AWSALB={}", value(60)),
            NOW + 60_000,
            Bond::Broken,
        ),
        (
            "made up",
            format!("AWSALB={}", "x".repeat(76)),
            NOW,
            Bond::Broken,
        ),
    ] {
        let headers = [header("cookie", &cookie)];
        let chosen = choose(group, &asking(&headers, &key(), now_millis)).expect("a target");
        assert_eq!(chosen.bond, want, "{name}");
        assert!(
            want != Bond::Kept || Arc::ptr_eq(chosen.target.target(), bound),
            "{name}"
        );
    }
    let cookie = format!("AWSALB={}", value(60));
    let headers = [header("cookie", &cookie)];
    group.set_health(bound, Health::Unhealthy, NOW);
    let chosen = choose(group, &asking(&headers, &key(), NOW)).expect("a target");
    assert_eq!(
        (chosen.bond, Arc::ptr_eq(chosen.target.target(), bound)),
        (Bond::Broken, false)
    );
}

#[test]
fn responses_set_the_cookies_of_the_groups_stickiness() {
    let app = |name: &str| {
        Some(api::Stickiness {
            r#type: api::StickinessType::AppCookie.into(),
            duration_secs: 60,
            cookie_name: name.to_owned(),
        })
    };
    let app_cookie = [
        header("Set-Cookie", "other=1"),
        header("set-cookie", "SID=1; Path=/"),
    ];
    let none: &[Header<'_>] = &[];
    for (name, stickiness, stickiness_secs, response, scheme, want) in [
        ("off", None, None, none, Scheme::Http, vec![]),
        (
            "target",
            lb_cookie(60),
            None,
            none,
            Scheme::Http,
            vec!["AWSALB=*; *; Path=/", "AWSALBCORS=*; SameSite=None"],
        ),
        (
            "TLS",
            lb_cookie(60),
            None,
            none,
            Scheme::Https,
            vec!["AWSALB=*; Path=/", "AWSALBCORS=*; SameSite=None; Secure"],
        ),
        (
            "group",
            None,
            Some(5),
            none,
            Scheme::Http,
            vec!["AWSALBTG=*; Path=/", "AWSALBTGCORS=*; SameSite=None"],
        ),
        (
            "the application has set its cookie",
            app("SID"),
            None,
            &app_cookie[..],
            Scheme::Http,
            vec![
                "AWSALBAPP-0=*=*",
                "AWSALBAPP-1=_remove_; *",
                "AWSALBAPP-2=_remove_; *",
                "AWSALBAPP-3=_remove_; *",
            ],
        ),
        (
            "the application has set another",
            app("SI"),
            None,
            &app_cookie[..],
            Scheme::Http,
            vec![
                "AWSALBAPP-0=_remove_; *",
                "AWSALBAPP-1=_remove_; *",
                "AWSALBAPP-2=_*",
                "AWSALBAPP-3=_*",
            ],
        ),
    ] {
        let mut sticky = group("group", 1);
        sticky.stickiness = stickiness;
        let table = healthy(sticky);
        let group = &table.target_groups["group"];
        let chosen = choose(group, &asking(&[], &key(), NOW)).expect("a target");
        let cookies = set_cookies(
            group,
            &chosen,
            stickiness_secs,
            response,
            scheme,
            &key(),
            NOW,
        );
        assert_eq!(cookies.len(), want.len(), "{name}: {cookies:?}");
        for (cookie, pattern) in cookies.iter().zip(want) {
            use crate::routing::pattern::{Case, Escapes, Wildcard};
            let pattern = Wildcard::new(pattern, Case::Sensitive, Escapes::None);
            assert!(pattern.matches(cookie.as_bytes()), "{name}: {cookie}");
            assert!(
                cookie.contains("; Expires=Tue, 21 Nov 2023 22:13:20 GMT; "),
                "{name}: {cookie}"
            );
        }
    }
}

#[test]
fn an_application_cookie_binds_only_while_the_client_has_it() {
    let mut sticky = group("group", 2);
    sticky.stickiness = Some(api::Stickiness {
        r#type: api::StickinessType::AppCookie.into(),
        duration_secs: 60,
        cookie_name: "SID".to_owned(),
    });
    let table = healthy(sticky);
    let group = &table.target_groups["group"];
    let ours = format!(
        "AWSALBAPP-0={}",
        encode(Binds::App, &group.targets[1].key, 60, NOW, &key())
    );
    for (name, cookie, want) in [
        ("both", format!("SID=1; {ours}"), Bond::Kept),
        ("ours alone", ours, Bond::Broken),
        (
            "nothing bound yet",
            "SID=1; AWSALBAPP-0=_remove_; AWSALBAPP-1=_remove_".to_owned(),
            Bond::None,
        ),
    ] {
        let headers = [header("Cookie", &cookie)];
        let chosen = choose(group, &asking(&headers, &key(), NOW)).expect("a target");
        assert_eq!(chosen.bond, want, "{name}");
    }
}

proptest! {
    #[test]
    fn a_cookie_says_what_was_signed_and_nothing_else(
        to in any::<TargetKey>(), secs in 1u32..700_000, at in 0usize..76, flip in 1u8..128,
    ) {
        let text = encode(Binds::Target, &to, secs, NOW, &key());
        prop_assert_eq!(decode(Binds::Target, text.as_bytes(), NOW, &key()), Some(to));
        prop_assert_eq!(decode(Binds::Group, text.as_bytes(), NOW, &key()), None);
        prop_assert_eq!(decode(Binds::Target, text.as_bytes(), NOW, &CookieKey::new(b"another")), None);
        let mut forged = text.into_bytes();
        forged[at] ^= flip;
        prop_assert_eq!(decode(Binds::Target, &forged, NOW, &key()), None);
    }

    /// A flow moves only if its own target goes.
    #[test]
    fn flows_stay_when_other_targets_go(hash in any::<u64>(), gone in 0usize..5) {
        let table = healthy(group("group", 5));
        let group = &table.target_groups["group"];
        let before = choose_by_hash(group, None, hash).expect("a target");
        group.set_health(&group.targets[gone], Health::Unhealthy, NOW);
        let after = choose_by_hash(group, None, hash).expect("a target");
        prop_assert_eq!(before.id == after.id, !Arc::ptr_eq(&before, &group.targets[gone]));
    }
}

#[test]
fn a_target_that_fails_its_requests_gets_less_of_them() {
    for (algorithm, mitigation, fewer) in [
        (api::Algorithm::WeightedRandom, true, true),
        (api::Algorithm::WeightedRandom, false, false),
        (api::Algorithm::RoundRobin, true, false),
    ] {
        let table = healthy(api::TargetGroup {
            algorithm: algorithm.into(),
            anomaly_mitigation: mitigation,
            ..group("group", 4)
        });
        let group = &table.target_groups["group"];
        let bad = &group.targets[1];
        for _ in 0..10 {
            shares(group, 400, None, NOW);
            (0..20).for_each(|_| bad.state.request_failed());
            group.judge_anomalies();
        }
        assert!(bad.state.standing().anomalous, "{algorithm:?}");
        assert_eq!(bad.state.standing().is_mitigated(), fewer, "{algorithm:?}");
        let shares = shares(group, 1000, None, NOW);
        let got = shares.get(bad.id.trim_start_matches("10.0.1."));
        let got = got.copied().unwrap_or_default();
        assert_eq!(got < 50, fewer, "{algorithm:?} {shares:?}");
        // Once it is unhealthy, its checks decide.
        group.set_health(bad, Health::Unhealthy, NOW);
        group.judge_anomalies();
        assert!(!bad.state.standing().anomalous);
    }
}
