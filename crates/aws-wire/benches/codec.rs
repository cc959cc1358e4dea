//! JSON of a request and an answer about as big as DescribeTasks of ten tasks: the hot path of the API.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;

use bytes::Bytes;
use common::{NODES, TIME, list, member, required, router, structure};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use http::Request;
use http_body_util::Full;
use neargate_aws_wire::json::{from_json, to_json};
use neargate_aws_wire::schema::Shape;
use neargate_aws_wire::value::{ShapeMismatch, Shaped, Value};

static CONTAINERS: Shape = list("Containers", &CONTAINER, None);
static CONTAINER: Shape = structure(
    "Container",
    &[
        member("containerArn", &common::TEXT),
        member("taskArn", &common::TEXT),
        member("name", &common::TEXT),
        member("image", &common::TEXT),
        member("lastStatus", &common::TEXT),
        member("cpu", &common::TEXT),
        member("exitCode", &common::LONG),
    ],
);
static TASK: Shape = structure(
    "Task",
    &[
        required("taskArn", &common::TEXT),
        member("clusterArn", &common::TEXT),
        member("taskDefinitionArn", &common::TEXT),
        member("containers", &CONTAINERS),
        member("lastStatus", &common::TEXT),
        member("desiredStatus", &common::TEXT),
        member("createdAt", &TIME),
        member("startedAt", &TIME),
        member("version", &common::LONG),
        member("enableExecuteCommand", &common::FLAG),
        member("attachments", &NODES),
    ],
);
static TASKS: Shape = list("Tasks", &TASK, None);
static DESCRIBED: Shape = structure("Described", &[member("tasks", &TASKS)]);

/// The value as it is, so that only the codec is measured and no generated conversion.
#[derive(Clone)]
struct Described(Value);

impl Shaped for Described {
    fn shape() -> &'static Shape {
        &DESCRIBED
    }

    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        Ok(Self(value))
    }

    fn into_value(self) -> Value {
        self.0
    }
}

fn described(tasks: usize) -> Vec<u8> {
    let container = r#"{"containerArn":"arn:aws:ecs:us-east-1:000000000000:container/default/0123456789abcdef0123456789abcdef/7b3c9d8e-0f1a-4b2c-8d3e-4f5a6b7c8d9e","taskArn":"arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef0123456789abcdef","name":"web","image":"000000000000.dkr.ecr.us-east-1.amazonaws.com/web:latest","lastStatus":"RUNNING","cpu":"0","exitCode":0}"#;
    let task = format!(
        r#"{{"taskArn":"arn:aws:ecs:us-east-1:000000000000:task/default/0123456789abcdef0123456789abcdef","clusterArn":"arn:aws:ecs:us-east-1:000000000000:cluster/default","taskDefinitionArn":"arn:aws:ecs:us-east-1:000000000000:task-definition/web:12","containers":[{container},{container}],"lastStatus":"RUNNING","desiredStatus":"RUNNING","createdAt":1783015901.417,"startedAt":1783015903.002,"version":4,"enableExecuteCommand":false,"attachments":[{{"Name":"ElasticNetworkInterface"}}]}}"#
    );
    let tasks = vec![task; tasks].join(",");
    format!("{{\"tasks\":[{tasks}]}}").into_bytes()
}

fn codec(c: &mut Criterion) {
    let text = described(10);
    let value: Described = from_json(&text).expect("it is one");
    let mut group = c.benchmark_group("json");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("decode", |b| {
        b.iter(|| from_json::<Described>(black_box(&text)).map(|d| d.0));
    });
    // The copy that encoding consumes is measured apart, to be subtracted.
    group.bench_function("copy", |b| b.iter(|| black_box(&value).clone()));
    group.bench_function("copy and encode", |b| {
        b.iter(|| to_json(black_box(&value).clone()))
    });
    group.finish();
}

fn whole_request(c: &mut Criterion) {
    let (router, _) = router(|config| config);
    let body = Bytes::from_static(br#"{"Text":"a","Slugs":["ab","cd"],"Node":{"Name":"n"}}"#);
    c.bench_function("request through the router", |b| {
        b.iter(|| {
            let request = Request::builder()
                .method("POST")
                .uri("/")
                .header("x-amz-target", "coral.Echo")
                .header("content-type", "application/x-amz-json-1.1")
                .header(
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=test/20261123/us-east-1/coral/aws4_request, SignedHeaders=host, Signature=00",
                )
                .body(Full::new(body.clone()))
                .expect("a valid request");
            router.handle(request).now_or_never().map(|response| response.status())
        });
    });
}

criterion_group!(benches, codec, whole_request);
criterion_main!(benches);
