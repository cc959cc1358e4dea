use super::*;
use crate::select::cookie::{Binds, encode};

fn chosen_group(listener: &Listener, request: &RequestView<'_>, now_millis: u64) -> String {
    match route(listener, request, &key(), now_millis).outcome {
        Outcome::Forward { group, .. } => group.arn.to_string(),
        Outcome::Refused(status) => status.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn weights_hold_within_two_percent_over_a_thousand_requests() {
    for weights in [
        [1u32, 1, 0],
        [90, 10, 0],
        [999, 1, 0],
        [1, 2, 3],
        [50, 30, 20],
        [7, 0, 0],
    ] {
        let groups = ["a", "b", "c"];
        let weighted: Vec<_> = groups.into_iter().zip(weights).collect();
        let proto = table(
            vec![forward(&weighted, None)],
            groups.map(|arn| group(arn, 1)).into(),
        );
        let compiled = compile(&proto);
        let listener = &compiled.endpoints().next().expect("a listener").listener;
        let mut counts: HashMap<String, u32> = HashMap::new();
        for _ in 0..1000 {
            *counts
                .entry(chosen_group(listener, &view("GET", "/", &[]), 0))
                .or_default() += 1;
        }
        let total: u32 = weights.iter().sum();
        for (arn, weight) in weighted {
            let want = f64::from(weight) / f64::from(total) * 100.0;
            let got = f64::from(counts.get(arn).copied().unwrap_or(0)) / 10.0;
            assert!(
                (got - want).abs() <= 2.0,
                "{arn} of {weights:?}: {got} % instead of {want} %"
            );
        }
    }
}

proptest! {
    #[test]
    fn any_weights_hold_from_any_point_of_their_order(
        weights in proptest::collection::vec(0u32..1000, 1..6),
        start in any::<u64>(),
    ) {
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        prop_assume!(total > 0);
        let mut counts = vec![0u32; weights.len()];
        for step in 0..1000 {
            let mut point = even_spread(start.wrapping_add(step), total);
            let chosen = weights.iter().position(|weight| match point.checked_sub(u64::from(*weight)) {
                Some(rest) => { point = rest; false }
                None => true,
            });
            counts[chosen.expect("the points are below the sum")] += 1;
        }
        for (weight, count) in weights.iter().zip(counts) {
            let want = f64::from(*weight) / total as f64 * 1000.0;
            prop_assert!((f64::from(count) - want).abs() <= 20.0, "{count} instead of {want}");
        }
    }
}

#[test]
fn a_client_stays_in_its_group_as_long_as_its_cookie_is_good() {
    let groups = || vec![group("blue", 1), group("green", 1), group("other", 1)];
    let all_green = table(
        vec![forward(&[("blue", 0), ("green", 100)], Some(60))],
        groups(),
    );
    let compiled = compile(&all_green);
    let listener = &compiled.endpoints().next().expect("a listener").listener;
    let cookie_of = |arn: &str, secs| {
        encode(
            Binds::Group,
            &compiled.target_groups[arn].key,
            secs,
            1000,
            &key(),
        )
    };
    for (name, cookie, now_millis, want) in [
        ("none", "a=b".to_owned(), 2000, "green"),
        (
            "kept at weight 0",
            format!("AWSALBTG={}", cookie_of("blue", 60)),
            2000,
            "blue",
        ),
        (
            "CORS alone",
            format!("x=y; AWSALBTGCORS={}", cookie_of("blue", 60)),
            2000,
            "blue",
        ),
        (
            "expired",
            format!("AWSALBTG={}", cookie_of("blue", 60)),
            61_000,
            "green",
        ),
        (
            "of a group that the rule lacks",
            format!("AWSALBTG={}", cookie_of("other", 60)),
            2000,
            "green",
        ),
        (
            "made up",
            format!("AWSALBTG={}", "A".repeat(76)),
            2000,
            "green",
        ),
        (
            "a target's cookie under the group's name",
            format!(
                "AWSALBTG={}",
                encode(
                    Binds::Target,
                    &compiled.target_groups["blue"].key,
                    60,
                    1000,
                    &key()
                )
            ),
            2000,
            "green",
        ),
    ] {
        let headers = [header("Cookie", &cookie)];
        assert_eq!(
            chosen_group(listener, &view("GET", "/", &headers), now_millis),
            want,
            "{name}"
        );
    }
    let nothing = compile(&table(
        vec![forward(&[("blue", 0), ("green", 0)], None)],
        groups(),
    ));
    let listener = &nothing.endpoints().next().expect("a listener").listener;
    assert_eq!(
        chosen_group(listener, &view("GET", "/", &[]), 0),
        "503",
        "all weights are 0"
    );
}

#[test]
fn redirects_fill_their_placeholders() {
    let redirect =
        |protocol: &str, host: &str, port: &str, path: &str, query: &str| api::Redirect {
            status_code: 301,
            protocol: protocol.to_owned(),
            host: host.to_owned(),
            port: port.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
        };
    let long = "a".repeat(9000);
    for (name, redirect, want) in [
        (
            "to HTTPS, with the default port",
            redirect("HTTPS", "#{host}", "443", "/#{path}", "#{query}"),
            "https://Example.com:443/a/b?c=d",
        ),
        (
            "another port",
            redirect("HTTPS", "#{host}", "8443", "/#{path}", "#{query}"),
            "https://Example.com:8443/a/b?c=d",
        ),
        (
            "the listener's port",
            redirect("#{protocol}", "www.#{host}", "#{port}", "/#{path}", ""),
            "http://www.Example.com:80/a/b",
        ),
        (
            "placeholders inside path and query",
            redirect(
                "#{protocol}",
                "#{host}",
                "81",
                "/#{host}/#{port}/#{path}",
                "p=#{protocol}&#{query}",
            ),
            "http://Example.com:81/Example.com/80/a/b?p=http&c=d",
        ),
        (
            "what is no placeholder stays",
            redirect("#{protocol}", "#{host}", "#{port}", "/#{nothing}/#{", ""),
            "http://Example.com:80/#{nothing}/#{",
        ),
        (
            "empty parts are the defaults",
            redirect("", "h", "", "", ""),
            "http://h:80/a/b",
        ),
        (
            "too long",
            redirect("", "", "", &format!("/{long}"), ""),
            "507",
        ),
    ] {
        let action = api::action::Action::Redirect(redirect);
        let compiled = compile(&table(vec![rule(0, Vec::new(), action)], Vec::new()));
        let listener = &compiled.endpoints().next().expect("a listener").listener;
        let headers = [header("Host", "Example.com:80")];
        let got = match route(listener, &view("GET", "/a/b?c=d", &headers), &key(), 0).outcome {
            Outcome::Redirect { status, location } => {
                assert_eq!(status, 301, "{name}");
                location
            }
            Outcome::Refused(status) => status.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn transforms_change_what_the_target_sees_and_not_the_rule() {
    let rewrite = |regex: &str, replace: &str| {
        Some(api::Rewrite {
            regex: regex.to_owned(),
            replace: replace.to_owned(),
        })
    };
    for (name, host, url, want) in [
        ("none", None, None, (None, None, TransformStatus::None)),
        (
            "host",
            rewrite("^mywebsite-(.+).com$", "internal.dev.$1.myweb.com"),
            None,
            (
                Some("internal.dev.example.myweb.com"),
                None,
                TransformStatus::Success,
            ),
        ),
        (
            "url with its query",
            None,
            rewrite("^/dp/[a-z]+/([0-9]+)\\?(.*)$", "/product.php?id=$1&$2"),
            (
                None,
                Some("/product.php?id=12&a=b"),
                TransformStatus::Success,
            ),
        ),
        (
            "only what matched",
            None,
            rewrite("/dp/", "/x/"),
            (None, Some("/x/item/12?a=b"), TransformStatus::Success),
        ),
        (
            "a group beside letters",
            None,
            rewrite("^/dp/([a-z]+).*$", "/$1_x"),
            (None, Some("/item_x"), TransformStatus::Success),
        ),
        (
            "no match",
            rewrite("^other", "x"),
            rewrite("^/other", "/x"),
            (None, None, TransformStatus::None),
        ),
        (
            "a bad host",
            rewrite("^.*$", "a b"),
            None,
            (None, None, TransformStatus::Failed),
        ),
        (
            "an empty host",
            rewrite("^.*$", ""),
            None,
            (None, None, TransformStatus::Failed),
        ),
        (
            "a bad url",
            None,
            rewrite("^/", ""),
            (None, None, TransformStatus::Failed),
        ),
        (
            "a line feed",
            None,
            rewrite("^/", "/\r\nX: y"),
            (None, None, TransformStatus::Failed),
        ),
    ] {
        let mut rule = fixed_rule(
            1,
            vec![api::condition::Condition::PathPattern(patterns_of(&[
                "/dp/*",
            ]))],
        );
        rule.host_rewrite = host;
        rule.url_rewrite = url;
        let compiled = compile(&table(vec![rule], Vec::new()));
        let listener = &compiled.endpoints().next().expect("a listener").listener;
        let headers = [header("Host", "mywebsite-example.com:80")];
        let request = view("GET", "/dp/item/12?a=b", &headers);
        let route = route(listener, &request, &key(), 0);
        assert_eq!(
            (
                route.host.as_deref(),
                route.target.as_deref(),
                route.transform
            ),
            want,
            "{name}"
        );
        let failed = matches!(route.outcome, Outcome::Refused(500));
        assert_eq!(failed, route.transform == TransformStatus::Failed, "{name}");
    }
}
