use super::*;

#[tokio::test]
async fn events_are_written_to_streams_that_exist() {
    let fixture = Fixture::with_streams().await;
    let event = json!([{"timestamp": NOW, "message": "x"}]);
    for (group, stream, want) in [
        ("g", "s", "ok"),
        (
            "g",
            "x",
            "ResourceNotFoundException: The specified log stream does not exist.",
        ),
        (
            "x",
            "s",
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
    ] {
        let request = json!({"logGroupName": group, "logStreamName": stream, "logEvents": event});
        let answer = call!(fixture, put_log_events, request);
        assert_eq!(outcome(&answer), want, "{group} {stream}");
    }
    let late = json!([
        {"timestamp": NOW - 1, "message": "kept"}, {"timestamp": NOW + 8_000_000, "message": "too new"},
    ]);
    let request = json!({"logGroupName": "g", "logStreamName": "t", "logEvents": late, "sequenceToken": "any"});
    let answer = call!(fixture, put_log_events, request).expect("valid");
    assert_eq!(
        answer["rejectedLogEventsInfo"],
        json!({"tooNewLogEventStartIndex": 1})
    );
    assert!(answer["nextSequenceToken"].is_string());
    let events =
        call!(fixture, get_log_events, {"logGroupName": "g", "logStreamName": "t"}).expect("there");
    assert_eq!(
        events["events"],
        json!([{"timestamp": NOW - 1, "ingestionTime": NOW, "message": "kept"}])
    );
}

#[tokio::test]
async fn tokens_lead_through_a_stream_in_both_directions() {
    let fixture = Fixture::with_streams().await;
    fixture
        .put("s", &[(1, "1"), (2, "2"), (3, "3"), (4, "4"), (5, "5")])
        .await;
    let base = json!({"logGroupName": "g", "logStreamName": "s", "limit": 2});
    for (name, from_head, direction, want) in [
        (
            "from the head",
            true,
            "nextForwardToken",
            vec!["1 2", "3 4", "5", ""],
        ),
        (
            "from the tail",
            false,
            "nextBackwardToken",
            vec!["4 5", "2 3", "1", ""],
        ),
        (
            "behind the tail",
            false,
            "nextForwardToken",
            vec!["4 5", ""],
        ),
        (
            "before the head",
            true,
            "nextBackwardToken",
            vec!["1 2", ""],
        ),
    ] {
        let mut request = base.clone();
        request["startFromHead"] = json!(from_head);
        let mut seen = Vec::new();
        loop {
            let answer = call!(fixture, get_log_events, request).expect("valid");
            seen.push(names(&answer, "events", "message").join(" "));
            // The end is where the token that was passed comes back.
            if request.get("nextToken") == Some(&answer[direction]) {
                let other = match direction {
                    "nextForwardToken" => "nextBackwardToken",
                    _ => "nextForwardToken",
                };
                request["nextToken"] = answer[other].clone();
                let turned = call!(fixture, get_log_events, request).expect("valid");
                let turned = names(&turned, "events", "message").join(" ");
                let last = if direction == "nextForwardToken" {
                    "4 5"
                } else {
                    "1 2"
                };
                assert_eq!(turned, last, "{name}, turned around");
                break;
            }
            request["nextToken"] = answer[direction].clone();
        }
        assert_eq!(seen, want, "{name}");
    }
}

#[tokio::test]
async fn a_follower_sees_what_comes_later() {
    let fixture = Fixture::with_streams().await;
    let mut request = json!({"logGroupName": "g", "logStreamName": "s"});
    let mut seen = Vec::new();
    for round in 0..5 {
        let answer = call!(fixture, get_log_events, request).expect("valid");
        seen.push(names(&answer, "events", "message").join(" "));
        request["nextToken"] = answer["nextForwardToken"].clone();
        if round != 1 {
            fixture.put("s", &[(round, "a"), (round, "b")]).await;
        }
    }
    assert_eq!(seen, ["", "a b", "", "a b", "a b"]);
}

#[tokio::test]
async fn ranges_of_get_exclude_their_end_and_those_of_filter_include_it() {
    let fixture = Fixture::with_streams().await;
    fixture.put("s", &[(1, "1"), (2, "2"), (3, "3")]).await;
    for (start, end, get, filter) in [
        (None, None, "1 2 3", "1 2 3"),
        (Some(2), None, "2 3", "2 3"),
        (None, Some(2), "1", "1 2"),
        (Some(2), Some(2), "", "2"),
        (Some(3), Some(1), "", ""),
    ] {
        let mut request = json!({"logGroupName": "g"});
        for (name, time) in [("startTime", start), ("endTime", end)] {
            if let Some(time) = time {
                request[name] = json!(NOW + time);
            }
        }
        let filtered = call!(fixture, filter_log_events, request).expect("valid");
        assert_eq!(
            names(&filtered, "events", "message").join(" "),
            filter,
            "{request}"
        );
        request["logStreamName"] = json!("s");
        let got = call!(fixture, get_log_events, request).expect("valid");
        assert_eq!(names(&got, "events", "message").join(" "), get, "{request}");
    }
}

#[tokio::test]
async fn filters_choose_streams_and_messages() {
    let fixture = Fixture::with_streams().await;
    fixture
        .put("s", &[(1, "ERROR one"), (3, "info three")])
        .await;
    fixture
        .put("t", &[(2, "ERROR two"), (4, "{\"level\": \"ERROR\"}")])
        .await;
    for (name, request, want) in [
        ("all", json!({}), "1 2 3 4"),
        ("term", json!({"filterPattern": "ERROR"}), "1 2 4"),
        (
            "json",
            json!({"filterPattern": "{ $.level = \"ERROR\" }"}),
            "4",
        ),
        ("stream", json!({"logStreamNames": ["t"]}), "2 4"),
        (
            "streams, one twice",
            json!({"logStreamNames": ["t", "s", "t"]}),
            "1 2 3 4",
        ),
        ("prefix", json!({"logStreamNamePrefix": "s"}), "1 3"),
        ("no such prefix", json!({"logStreamNamePrefix": "x"}), ""),
        (
            "newest first",
            json!({"startFromHead": false, "startTime": NOW}),
            "4 3 2 1",
        ),
        (
            "interleaved is ignored",
            json!({"interleaved": false}),
            "1 2 3 4",
        ),
    ] {
        for limit in [1, 3, 10_000] {
            let mut request = request.clone();
            request["logGroupName"] = json!("g");
            request["limit"] = json!(limit);
            let mut seen: Vec<String> = Vec::new();
            let mut ids = std::collections::BTreeSet::new();
            loop {
                let answer = call!(fixture, filter_log_events, request).expect("valid");
                assert_eq!(answer["searchedLogStreams"], json!([]));
                for event in answer["events"].as_array().expect("a list") {
                    let time = event["timestamp"].as_i64().expect("a number") - NOW;
                    seen.push(time.to_string());
                    let id = event["eventId"].as_str().expect("a text");
                    assert!(id.len() == 56 && ids.insert(id.to_owned()), "{name}: {id}");
                }
                match answer.get("nextToken") {
                    Some(token) => request["nextToken"] = token.clone(),
                    None => break,
                }
            }
            assert_eq!(seen.join(" "), want, "{name}, {limit} a page");
        }
    }
}

#[tokio::test]
async fn wrong_filters_are_refused() {
    let fixture = Fixture::with_streams().await;
    for (name, request, want) in [
        (
            "both stream choices",
            json!({"logGroupName": "g", "logStreamNames": ["s"], "logStreamNamePrefix": "s"}),
            "InvalidParameterException: LogStreamNamePrefix and LogStreamNames are mutually exclusive parameters.",
        ),
        (
            "unknown stream",
            json!({"logGroupName": "g", "logStreamNames": ["x"]}),
            "ResourceNotFoundException: The specified log stream does not exist.",
        ),
        (
            "unknown group",
            json!({"logGroupName": "x"}),
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
        (
            "no group",
            json!({}),
            "InvalidParameterException: Either logGroupName or logGroupIdentifier must be specified.",
        ),
        (
            "wrong pattern",
            json!({"logGroupName": "g", "filterPattern": "{ $.a = "}),
            "InvalidParameterException: Invalid filter pattern",
        ),
        (
            "foreign token",
            json!({"logGroupName": "g", "nextToken": "x"}),
            "InvalidParameterException: The specified nextToken is invalid.",
        ),
        (
            "newest first of old times",
            json!({"logGroupName": "g", "startFromHead": false, "startTime": 0}),
            "InvalidParameterException: startFromHead can be false only with a startTime on or after 2024-01-01T00:00:00Z.",
        ),
    ] {
        let answer = call!(fixture, filter_log_events, request);
        assert_eq!(outcome(&answer), want, "{name}");
    }
    let token = json!({"logGroupName": "g", "logStreamName": "s", "nextToken": "f/1/s"});
    let answer = call!(fixture, get_log_events, token);
    assert_eq!(
        outcome(&answer),
        "InvalidParameterException: The specified nextToken is invalid."
    );
}

/// As `aws logs tail --follow` does: filter from the last timestamp on, again and again, and leave out the ids it knows.
#[tokio::test]
async fn a_tail_sees_every_event_once() {
    let fixture = Fixture::with_streams().await;
    let mut known = std::collections::BTreeSet::new();
    let mut request = json!({"logGroupName": "g", "startTime": NOW, "interleaved": true});
    let mut seen = Vec::new();
    for round in 0..4 {
        // Several at one time, in two streams, some of them after the tail has been there.
        fixture
            .put("s", &[(round / 2, "s1"), (round / 2, "s2")])
            .await;
        fixture.put("t", &[(round / 2, "t1")]).await;
        let answer = call!(fixture, filter_log_events, request).expect("valid");
        for event in answer["events"].as_array().expect("a list") {
            if known.insert(event["eventId"].as_str().expect("a text").to_owned()) {
                seen.push(event["message"].as_str().expect("a text").to_owned());
            }
            request["startTime"] = event["timestamp"].clone();
        }
    }
    seen.sort();
    assert_eq!(seen.join(" "), "s1 s1 s1 s1 s2 s2 s2 s2 t1 t1 t1 t1");
}

#[tokio::test]
async fn patterns_can_be_tried() {
    let fixture = Fixture::new();
    let messages = json!(["127.0.0.1 200 5", "127.0.0.1 404 7", "x"]);
    let request =
        json!({"filterPattern": "[ip, status = 4*, bytes]", "logEventMessages": messages});
    let answer = call!(fixture, test_metric_filter, request).expect("valid");
    let want = json!([{
        "eventNumber": 2, "eventMessage": "127.0.0.1 404 7",
        "extractedValues": {"$ip": "127.0.0.1", "$status": "404", "$bytes": "7"},
    }]);
    assert_eq!(answer["matches"], want);
    let wrong =
        call!(fixture, test_metric_filter, {"filterPattern": "[", "logEventMessages": ["x"]});
    assert_eq!(
        outcome(&wrong),
        "InvalidParameterException: Invalid filter pattern"
    );
}
