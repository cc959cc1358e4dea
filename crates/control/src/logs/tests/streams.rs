use super::*;

#[tokio::test]
async fn streams_are_made_in_groups_once() {
    let fixture = Fixture::with_streams().await;
    for (group, stream, want) in [
        ("g", "app/app/0123", "ok"),
        (
            "g",
            "s",
            "ResourceAlreadyExistsException: The specified log stream already exists",
        ),
        (
            "x",
            "s",
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
    ] {
        let answer =
            run!(fixture, create_log_stream, {"logGroupName": group, "logStreamName": stream});
        assert_eq!(outcome(&answer), want, "{group} {stream}");
    }
    for (group, stream, want) in [
        ("g", "s", "ok"),
        (
            "g",
            "s",
            "ResourceNotFoundException: The specified log stream does not exist.",
        ),
        (
            "x",
            "s",
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
    ] {
        let answer =
            run!(fixture, delete_log_stream, {"logGroupName": group, "logStreamName": stream});
        assert_eq!(outcome(&answer), want, "{group} {stream}");
    }
}

#[tokio::test]
async fn streams_are_listed_by_name_or_by_their_last_event() {
    let fixture = Fixture::with_streams().await;
    run!(fixture, create_log_stream, {"logGroupName": "g", "logStreamName": "a/1"}).expect("new");
    fixture.put("t", &[(1, "x")]).await;
    fixture.put("s", &[(2, "x")]).await;
    let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:g";
    for (name, request, want) in [
        (
            "by name",
            json!({"logGroupName": "g"}),
            vec!["a/1", "s", "t"],
        ),
        (
            "by ARN",
            json!({"logGroupIdentifier": arn}),
            vec!["a/1", "s", "t"],
        ),
        (
            "downwards",
            json!({"logGroupName": "g", "descending": true}),
            vec!["t", "s", "a/1"],
        ),
        (
            "by time",
            json!({"logGroupName": "g", "orderBy": "LastEventTime"}),
            vec!["a/1", "t", "s"],
        ),
        (
            "newest first",
            json!({"logGroupName": "g", "orderBy": "LastEventTime", "descending": true}),
            vec!["s", "t", "a/1"],
        ),
        (
            "prefix",
            json!({"logGroupName": "g", "logStreamNamePrefix": "a/"}),
            vec!["a/1"],
        ),
    ] {
        let mut seen = Vec::new();
        let mut request = request.clone();
        request["limit"] = json!(2);
        loop {
            let answer = call!(fixture, describe_log_streams, request).expect("valid");
            seen.extend(names(&answer, "logStreams", "logStreamName"));
            match answer.get("nextToken") {
                Some(token) => request["nextToken"] = token.clone(),
                None => break,
            }
        }
        assert_eq!(seen, want, "{name}");
    }
    for (name, request, want) in [
        (
            "prefix by time",
            json!({"logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "a"}),
            "InvalidParameterException: Cannot order by LastEventTime with a logStreamNamePrefix.",
        ),
        (
            "no group",
            json!({}),
            "InvalidParameterException: Either logGroupName or logGroupIdentifier must be specified.",
        ),
        (
            "two groups",
            json!({"logGroupName": "g", "logGroupIdentifier": "g"}),
            "InvalidParameterException: LogGroup name and LogGroup ARN are mutually exclusive parameters.",
        ),
        (
            "unknown group",
            json!({"logGroupName": "x"}),
            "ResourceNotFoundException: The specified log group does not exist.",
        ),
        (
            "foreign token",
            json!({"logGroupName": "g", "nextToken": "x"}),
            "InvalidParameterException: The specified nextToken is invalid.",
        ),
    ] {
        let answer = call!(fixture, describe_log_streams, request);
        assert_eq!(outcome(&answer), want, "{name}");
    }
}

#[tokio::test]
async fn a_described_stream_has_all_its_parts() {
    let fixture = Fixture::with_streams().await;
    fixture.put("s", &[(-5, "x"), (7, "y")]).await;
    let answer = call!(fixture, describe_log_streams, {"logGroupName": "g"}).expect("valid");
    let mut written = answer["logStreams"][0].clone();
    assert!(written["uploadSequenceToken"].take().is_string());
    let arn = "arn:aws:logs:eu-west-1:123456789012:log-group:g:log-stream";
    let want = json!({
        "arn": format!("{arn}:s"), "logStreamName": "s", "creationTime": NOW, "storedBytes": 0,
        "firstEventTimestamp": NOW - 5, "lastEventTimestamp": NOW + 7, "lastIngestionTime": NOW,
        "uploadSequenceToken": null,
    });
    assert_eq!(written, want);
    let want = json!({
        "arn": format!("{arn}:t"), "logStreamName": "t", "creationTime": NOW, "storedBytes": 0,
    });
    assert_eq!(answer["logStreams"][1], want, "nothing was written");
}
