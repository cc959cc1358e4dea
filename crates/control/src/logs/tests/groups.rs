use super::*;

#[tokio::test]
async fn groups_are_made_once_and_found() {
    let fixture = Fixture::new();
    for (name, request, want) in [
        (
            "new",
            json!({"logGroupName": "/ecs/b", "tags": {"k": "v"}}),
            "ok",
        ),
        (
            "again",
            json!({"logGroupName": "/ecs/b"}),
            "ResourceAlreadyExistsException: The specified log group already exists",
        ),
        (
            "another",
            json!({"logGroupName": "/ecs/a", "logGroupClass": "INFREQUENT_ACCESS"}),
            "ok",
        ),
        ("third", json!({"logGroupName": "other"}), "ok"),
        (
            "AWS's",
            json!({"logGroupName": "aws/x"}),
            "InvalidParameterException: Log groups starting with AWS/ are reserved for AWS.",
        ),
        (
            "tag of AWS",
            json!({"logGroupName": "x", "tags": {"aws:x": ""}}),
            "InvalidParameterException: Tag keys that start with aws: are reserved.",
        ),
    ] {
        let answer = run!(fixture, create_log_group, request);
        assert_eq!(outcome(&answer), want, "{name}");
    }
    for (name, request, want) in [
        ("all", json!({}), vec!["/ecs/a", "/ecs/b", "other"]),
        (
            "prefix",
            json!({"logGroupNamePrefix": "/ecs/"}),
            vec!["/ecs/a", "/ecs/b"],
        ),
        (
            "pattern",
            json!({"logGroupNamePattern": "the"}),
            vec!["other"],
        ),
        (
            "class",
            json!({"logGroupClass": "INFREQUENT_ACCESS"}),
            vec!["/ecs/a"],
        ),
        (
            "identifiers",
            json!({"logGroupIdentifiers": ["other", "arn:aws:logs:eu-west-1:123456789012:log-group:/ecs/b"]}),
            vec!["/ecs/b", "other"],
        ),
        ("nothing", json!({"logGroupNamePrefix": "x"}), vec![]),
    ] {
        let answer = call!(fixture, describe_log_groups, request).expect("valid");
        assert_eq!(names(&answer, "logGroups", "logGroupName"), want, "{name}");
    }
    for (name, request, want) in [
        ("all", json!({}), vec!["/ecs/a", "/ecs/b", "other"]),
        (
            "regex",
            json!({"logGroupNamePattern": "^/ecs|oth"}),
            vec!["/ecs/a", "/ecs/b", "other"],
        ),
        (
            "tag",
            json!({"logGroupTags": [{"key": "k", "values": ["v"]}]}),
            vec!["/ecs/b"],
        ),
        (
            "no data sources",
            json!({"dataSources": [{"name": "x"}]}),
            vec![],
        ),
    ] {
        let answer = call!(fixture, list_log_groups, request).expect("valid");
        assert_eq!(
            names(&answer, "logGroups", "logGroupName"),
            want,
            "list, {name}"
        );
    }
    let both = json!({"logGroupNamePrefix": "a", "logGroupNamePattern": "b"});
    let refused = call!(fixture, describe_log_groups, both);
    assert!(
        outcome(&refused).starts_with("InvalidParameterException"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_described_group_has_all_its_parts() {
    let fixture = Fixture::with_streams().await;
    run!(fixture, put_retention_policy, {"logGroupName": "g", "retentionInDays": 14})
        .expect("valid");
    fixture.put("s", &[(0, "x")]).await;
    let answer = call!(fixture, describe_log_groups, {}).expect("valid");
    let mut group = answer["logGroups"][0].clone();
    assert!(group["storedBytes"].take().as_i64().expect("a number") > 0);
    let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:g";
    let want = json!({
        "arn": format!("{arn}:*"), "logGroupArn": arn, "logGroupName": "g", "creationTime": NOW,
        "retentionInDays": 14, "logGroupClass": "STANDARD", "metricFilterCount": 0,
        "deletionProtectionEnabled": false, "storedBytes": null,
    });
    assert_eq!(group, want);
}

#[tokio::test]
async fn listings_have_pages() {
    let fixture = Fixture::new();
    for number in 0..7 {
        run!(fixture, create_log_group, {"logGroupName": format!("g{number}")}).expect("new");
    }
    let mut seen = Vec::new();
    let mut request = json!({"limit": 3});
    loop {
        let answer = call!(fixture, describe_log_groups, request).expect("valid");
        seen.push(names(&answer, "logGroups", "logGroupName").join(" "));
        match answer.get("nextToken") {
            Some(token) => request["nextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(seen, ["g0 g1 g2", "g3 g4 g5", "g6"]);
    let foreign = call!(fixture, describe_log_groups, {"nextToken": "%%%"});
    assert_eq!(
        outcome(&foreign),
        "InvalidParameterException: The specified nextToken is invalid."
    );
}

#[tokio::test]
async fn a_deleted_group_is_gone_with_all_that_was_in_it() {
    let fixture = Fixture::with_streams().await;
    let other = json!({"logGroupName": "g2"});
    run!(fixture, create_log_group, other).expect("new");
    run!(fixture, create_log_stream, {"logGroupName": "g2", "logStreamName": "s"}).expect("new");
    fixture.put("s", &[(0, "old")]).await;
    let protect = |on: bool| json!({"logGroupIdentifier": "g", "deletionProtectionEnabled": on});
    run!(fixture, put_log_group_deletion_protection, protect(true)).expect("there");
    for (name, want) in [
        ("protected", "ValidationException"),
        ("free", "ok"),
        (
            "gone",
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
    ] {
        let answer = run!(fixture, delete_log_group, {"logGroupName": "g"});
        assert!(outcome(&answer).starts_with(want), "{name}: {answer:?}");
        if name == "protected" {
            run!(fixture, put_log_group_deletion_protection, protect(false)).expect("there");
        }
    }
    let streams = call!(fixture, describe_log_streams, other).expect("the other group stays");
    assert_eq!(names(&streams, "logStreams", "logStreamName"), ["s"]);

    run!(fixture, create_log_group, {"logGroupName": "g"}).expect("new again");
    let gone = call!(fixture, get_log_events, {"logGroupName": "g", "logStreamName": "s"});
    assert_eq!(
        outcome(&gone),
        "ResourceNotFoundException: The specified log stream does not exist."
    );
    run!(fixture, create_log_stream, {"logGroupName": "g", "logStreamName": "s"})
        .expect("new again");
    let events =
        call!(fixture, get_log_events, {"logGroupName": "g", "logStreamName": "s"}).expect("there");
    assert_eq!(events["events"], json!([]), "nothing of the old group");
}

#[tokio::test]
async fn accounts_and_regions_do_not_see_each_other() {
    let mut fixture = Fixture::with_streams().await;
    for (account, region, want) in [
        ("123456789012", "eu-west-1", vec!["g"]),
        ("123456789012", "eu-west-2", vec![]),
        ("123456789013", "eu-west-1", vec![]),
    ] {
        fixture.context = context(&Scope::new(account, region));
        let answer = call!(fixture, describe_log_groups, {}).expect("valid");
        assert_eq!(
            names(&answer, "logGroups", "logGroupName"),
            want,
            "{account} {region}"
        );
    }
}

#[tokio::test]
async fn tags_are_the_same_by_arn_and_by_name() {
    let fixture = Fixture::with_streams().await;
    let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:g";
    let tags = |pairs: &[(&str, &str)]| -> Value {
        pairs
            .iter()
            .map(|(k, v)| (k.to_string(), json!(v)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    run!(fixture, tag_resource, {"resourceArn": arn, "tags": {"a": "1", "b": "1"}}).expect("there");
    run!(fixture, tag_log_group, {"logGroupName": "g", "tags": {"b": "2", "c": "2"}})
        .expect("there");
    for (name, remove, want) in [
        ("all", None, vec![("a", "1"), ("b", "2"), ("c", "2")]),
        ("removed by ARN", Some(true), vec![("b", "2"), ("c", "2")]),
        ("removed by name", Some(false), vec![("c", "2")]),
    ] {
        match remove {
            Some(true) => run!(fixture, untag_resource, {"resourceArn": format!("{arn}:*"), "tagKeys": ["a", "x"]}).expect("there"),
            Some(false) => run!(fixture, untag_log_group, {"logGroupName": "g", "tags": ["b"]}).expect("there"),
            None => Value::Null,
        };
        let by_arn = call!(fixture, list_tags_for_resource, {"resourceArn": arn}).expect("there");
        let by_name = call!(fixture, list_tags_log_group, {"logGroupName": "g"}).expect("there");
        assert_eq!(by_arn["tags"], tags(&want), "{name}");
        assert_eq!(by_name, by_arn, "{name}");
    }
    let many: serde_json::Map<_, _> = (0..50).map(|n| (format!("k{n}"), json!(""))).collect();
    for (name, answer, want) in [
        (
            "too many",
            run!(fixture, tag_resource, {"resourceArn": arn, "tags": many}),
            "TooManyTagsException",
        ),
        (
            "no ARN",
            call!(fixture, list_tags_for_resource, {"resourceArn": "g"}),
            "InvalidParameterException",
        ),
        (
            "no such group",
            call!(fixture, list_tags_for_resource, {"resourceArn": format!("{arn}x")}),
            "ResourceNotFoundException",
        ),
        (
            "other kind",
            call!(fixture, list_tags_for_resource, {"resourceArn": "arn:aws:logs:eu-west-1:123456789012:destination:d"}),
            "ResourceNotFoundException",
        ),
    ] {
        assert!(outcome(&answer).starts_with(want), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn retention_takes_only_its_values() {
    let fixture = Fixture::with_streams().await;
    for (group, days, want) in [
        ("g", 1, "ok"),
        ("g", 3653, "ok"),
        (
            "g",
            2,
            "InvalidParameterException: 1 validation error detected: Value '2' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: [1, 3, 5,",
        ),
        ("x", 1, "ResourceNotFoundException"),
    ] {
        let answer =
            run!(fixture, put_retention_policy, {"logGroupName": group, "retentionInDays": days});
        assert!(
            outcome(&answer).starts_with(want),
            "{group} {days}: {answer:?}"
        );
    }
    run!(fixture, delete_retention_policy, {"logGroupName": "g"}).expect("there");
    let answer = call!(fixture, describe_log_groups, {}).expect("valid");
    assert_eq!(answer["logGroups"][0].get("retentionInDays"), None);
}

#[tokio::test]
async fn expired_events_are_not_read_and_then_swept() {
    let fixture = Fixture::with_streams().await;
    run!(fixture, put_retention_policy, {"logGroupName": "g", "retentionInDays": 3})
        .expect("there");
    fixture.put("s", &[(0, "old")]).await;
    fixture.put("t", &[(DAY_MS / 24, "newer")]).await;
    let read = json!({"logGroupName": "g"});
    for (now, want) in [
        (NOW + 3 * DAY_MS, vec!["old", "newer"]),
        (NOW + 3 * DAY_MS + 1, vec!["newer"]),
        (NOW + 4 * DAY_MS, vec![]),
    ] {
        fixture.set_now(now);
        let answer = call!(fixture, filter_log_events, read).expect("there");
        assert_eq!(names(&answer, "events", "message"), want, "{}", now - NOW);
    }
    fixture.set_now(NOW);
    let swept = crate::logs::sweep(
        &fixture.state,
        &fixture.logs,
        Timestamp(NOW + 3 * DAY_MS + 1),
    )
    .await;
    let report = swept.expect("the state can be read");
    assert_eq!((report.groups, report.failed), (1, 0));
    assert!(report.freed_bytes > 0);
    let answer = call!(fixture, filter_log_events, read).expect("there");
    assert_eq!(
        names(&answer, "events", "message"),
        ["newer"],
        "the sweep took the old one"
    );
}
