//! The Logs API on a real store and a real log store. Requests and answers are JSON with the model's names.

mod events;
mod groups;
mod shipping;
mod streams;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use neargate_aws_api::logs::Logs;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::json::{from_json, to_json};
use neargate_aws_wire::service::RequestContext;
use neargate_aws_wire::value::Shaped;
use neargate_domain::{Scope, Timestamp};
use neargate_log_store::LogStore;
use neargate_store::EmbeddedStore;
use serde_json::{Value, json};

use super::LogsService;
use crate::clock::Clock;
use crate::state::State;

/// The time of all tests, unless one moves it.
const NOW: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 86_400_000;

struct TestClock(AtomicI64);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn began(&self) -> Timestamp {
        Timestamp(NOW)
    }

    async fn wait(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

struct Fixture {
    service: LogsService,
    state: State,
    logs: LogStore,
    clock: Arc<TestClock>,
    scope: Scope,
    context: RequestContext,
    _directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).expect("opens");
        let logs = LogStore::open(&directory.path().join("logs")).expect("opens");
        let clock = Arc::new(TestClock(AtomicI64::new(NOW)));
        let state = State::new(Arc::new(store), clock.clone());
        let scope = Scope::new("123456789012", "eu-west-1");
        Self {
            service: LogsService::new(state.clone(), logs.clone()),
            state,
            logs,
            clock,
            context: context(&scope),
            scope,
            _directory: directory,
        }
    }

    /// With the group `g` and the streams `s` and `t` in it.
    async fn with_streams() -> Self {
        let fixture = Self::new();
        run!(fixture, create_log_group, {"logGroupName": "g"}).expect("new");
        for stream in ["s", "t"] {
            let request = json!({"logGroupName": "g", "logStreamName": stream});
            run!(fixture, create_log_stream, request).expect("new");
        }
        fixture
    }

    fn set_now(&self, now: i64) {
        self.clock.0.store(now, Ordering::Relaxed);
    }

    /// Writes events at these times, counted from [`NOW`], each with a message.
    async fn put(&self, stream: &str, events: &[(i64, &str)]) {
        let events: Vec<Value> = events
            .iter()
            .map(|(time, message)| json!({"timestamp": NOW + time, "message": message}))
            .collect();
        let request = json!({"logGroupName": "g", "logStreamName": stream, "logEvents": events});
        call!(self, put_log_events, request).expect("the stream is there");
    }
}

fn context(scope: &Scope) -> RequestContext {
    RequestContext {
        request_id: "r".into(),
        account: scope.account.clone(),
        region: scope.region.clone(),
        access_key_id: None,
        host: "localhost".into(),
    }
}

/// A request from its JSON.
fn request<T: Shaped>(value: &Value) -> T {
    let bytes = serde_json::to_vec(value).expect("JSON");
    from_json(&bytes).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// An answer as JSON.
fn shown<T: Shaped>(answer: T) -> Value {
    serde_json::from_slice(&to_json(answer).expect("JSON")).expect("JSON")
}

/// What an operation answers, as JSON.
macro_rules! call {
    ($fixture:expr, $operation:ident, {$($request:tt)*}) => {
        call!($fixture, $operation, serde_json::json!({$($request)*}))
    };
    ($fixture:expr, $operation:ident, $request:expr) => {{
        let input = crate::logs::tests::request(&$request);
        let fixture = &$fixture;
        let answer = fixture.service.$operation(&fixture.context, input).await;
        answer.map(crate::logs::tests::shown)
    }};
}
use call;

/// The same for operations without an output.
macro_rules! run {
    ($fixture:expr, $operation:ident, {$($request:tt)*}) => {
        run!($fixture, $operation, serde_json::json!({$($request)*}))
    };
    ($fixture:expr, $operation:ident, $request:expr) => {{
        let input = crate::logs::tests::request(&$request);
        let fixture = &$fixture;
        let answer = fixture.service.$operation(&fixture.context, input).await;
        answer.map(|()| serde_json::Value::Null)
    }};
}
use run;

/// Code and message of an error, `ok` for an answer.
fn outcome(answer: &Result<Value, ApiError>) -> String {
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{}: {}", error.code, error.message),
    }
}

/// The texts under `name` in each item of a list.
fn names(answer: &Value, list: &str, name: &str) -> Vec<String> {
    let items = answer[list].as_array().expect("a list");
    let text = |item: &Value| item[name].as_str().expect("a text").to_owned();
    items.iter().map(text).collect()
}

#[tokio::test]
async fn what_is_not_written_is_not_implemented() {
    let fixture = Fixture::new();
    let error = call!(fixture, describe_destinations, {}).expect_err("not written");
    assert_eq!((error.code.as_ref(), error.status), ("NotImplemented", 501));
}
