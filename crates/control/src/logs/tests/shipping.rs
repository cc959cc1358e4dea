use neargate_node_api::{LogBatch, LogEvent};

use super::*;
use crate::logs::{ensure_stream, ship};

#[tokio::test]
async fn a_task_gets_its_stream() {
    let fixture = Fixture::with_streams().await;
    for (name, group, stream, create_group, want) in [
        ("new stream", "g", "app/app/1", false, "ok"),
        ("again", "g", "app/app/1", false, "ok"),
        (
            "no group",
            "x",
            "app/app/1",
            false,
            "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
        ),
        ("new group", "x", "app/app/1", true, "ok"),
        ("group is there", "x", "app/app/2", true, "ok"),
        (
            "wrong group",
            "a b",
            "s",
            true,
            "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: InvalidParameterException: a b is not a name for a log group or stream",
        ),
        (
            "wrong stream",
            "g",
            "a:b",
            false,
            "failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: InvalidParameterException: a:b is not a name for a log group or stream",
        ),
    ] {
        let made = ensure_stream(&fixture.state, &fixture.scope, group, stream, create_group).await;
        let got = made.map_or_else(|error| error.to_string(), |()| "ok".to_owned());
        assert_eq!(got, want, "{name}");
    }
    let answer = call!(fixture, describe_log_streams, {"logGroupName": "x"}).expect("made");
    assert_eq!(
        names(&answer, "logStreams", "logStreamName"),
        ["app/app/1", "app/app/2"]
    );
}

#[tokio::test]
async fn two_hundred_tasks_at_once_get_their_group_and_streams() {
    let fixture = Fixture::new();
    let tasks: Vec<_> = (0..200)
        .map(|task| {
            let (state, scope) = (fixture.state.clone(), fixture.scope.clone());
            tokio::spawn(async move {
                ensure_stream(&state, &scope, "new", &format!("app/app/{task}"), true).await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("made");
    }
    let scope = &fixture.scope;
    let streams = fixture
        .state
        .list::<Value>(&crate::logs::keys::streams(scope, "new"))
        .await;
    assert_eq!(streams.expect("readable").len(), 200);
}

#[tokio::test]
async fn shipped_lines_are_stored_once() {
    let fixture = Fixture::with_streams().await;
    let batch = |stream: &str, first: u64, lines: &[&str]| LogBatch {
        account: fixture.scope.account.clone(),
        region: fixture.scope.region.clone(),
        log_group: "g".into(),
        log_stream: stream.into(),
        source: "container".into(),
        first_sequence: first,
        events: (0..)
            .zip(lines)
            .map(|(n, line)| LogEvent {
                timestamp: NOW + first as i64 + n,
                message: (*line).to_owned(),
            })
            .collect(),
    };
    for (name, batch, next) in [
        ("first", batch("s", 0, &["a", "b"]), 2),
        ("again", batch("s", 0, &["a", "b"]), 2),
        ("overlapping", batch("s", 1, &["b", "c"]), 3),
        ("a stream that is gone", batch("gone", 5, &["x", "y"]), 7),
    ] {
        let answer = ship(&fixture.state, &fixture.logs, batch).await;
        assert_eq!(answer, Ok(next), "{name}");
    }
    let answer = call!(fixture, filter_log_events, {"logGroupName": "g"}).expect("there");
    assert_eq!(names(&answer, "events", "message"), ["a", "b", "c"]);
}
