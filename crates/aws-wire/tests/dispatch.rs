//! Which service and operation a request reaches, and what happens to those that reach none.

mod common;

use common::router;
use http::Request;
use http_body_util::{BodyExt as _, Full};

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";
const JSON: &str = "application/x-amz-json-1.1";

/// Headers, one `name: value` a line.
fn request(method: &str, uri: &str, headers: &str, body: &str) -> Request<Full<bytes::Bytes>> {
    let mut request = Request::builder().method(method).uri(uri);
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").expect("name: value");
        request = request.header(name.trim(), value);
    }
    request
        .body(Full::new(body.to_owned().into()))
        .expect("a valid request")
}

fn signed(service: &str) -> String {
    format!(
        "authorization: AWS4-HMAC-SHA256 Credential=111122223333/20261123/eu-north-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=00"
    )
}

#[tokio::test]
async fn requests_reach_their_operation() {
    let (router, log) = router(|config| config);
    let cbor = "smithy-protocol: rpc-v2-cbor";
    let form = format!("content-type: {FORM}");
    for (name, method, uri, headers, body, want) in [
        (
            "target",
            "POST",
            "/",
            "x-amz-target: coral.Echo".to_owned(),
            "{}",
            "coral.Echo",
        ),
        (
            "target, no body",
            "POST",
            "/",
            "x-amz-target: coral.Nothing".to_owned(),
            "",
            "coral.Nothing",
        ),
        (
            "target below a path prefix",
            "POST",
            "/aws/",
            "x-amz-target: ecs.Echo".to_owned(),
            "{}",
            "ecs.Echo",
        ),
        (
            "target, signed",
            "POST",
            "/",
            format!("x-amz-target: ecs.Echo\n{}", signed("ecs")),
            "{}",
            "ecs.Echo",
        ),
        (
            "cbor",
            "POST",
            "/service/coral/operation/Echo",
            cbor.to_owned(),
            "",
            "coral.Echo",
        ),
        (
            "cbor with namespace",
            "POST",
            "/x/service/com.a.coral/operation/Echo",
            cbor.to_owned(),
            "",
            "coral.Echo",
        ),
        (
            "action, unsigned",
            "POST",
            "/",
            form.clone(),
            "Action=Echo&Version=2020-01-01",
            "sts.Echo",
        ),
        (
            "action, other version",
            "POST",
            "/",
            form.clone(),
            "Action=Echo&Version=2015-12-01",
            "stsv2.Echo",
        ),
        (
            "action, ec2's version",
            "POST",
            "/",
            form.clone(),
            "Version=2016-11-15&Action=Echo",
            "ec2.Echo",
        ),
        (
            "action, signed",
            "POST",
            "/",
            format!("{form}\n{}", signed("ec2")),
            "Action=Echo",
            "ec2.Echo",
        ),
        (
            "action, signed, shared name",
            "POST",
            "/",
            format!("{form}\n{}", signed("sts")),
            "Action=Echo&Version=2015-12-01",
            "stsv2.Echo",
        ),
        (
            "action in a GET",
            "GET",
            "/?Action=Nothing&Version=2020-01-01",
            String::new(),
            "",
            "sts.Nothing",
        ),
        (
            "presigned",
            "GET",
            "/?Action=Nothing&Version=2020-01-01&X-Amz-Credential=a%2F20261123%2Fus-east-1%2Fsts%2Faws4_request",
            String::new(),
            "",
            "sts.Nothing",
        ),
        (
            "rest",
            "PUT",
            "/things/abc",
            String::new(),
            "",
            "things.PutThing",
        ),
        (
            "rest, signed",
            "GET",
            "/things",
            signed("things"),
            "",
            "things.ListThings",
        ),
    ] {
        *log.lock().unwrap() = None;
        let response = router.handle(request(method, uri, &headers, body)).await;
        let seen = log.lock().unwrap().take();
        let reached = seen.map(|seen| format!("{}.{}", seen.service, seen.operation));
        assert_eq!(reached.as_deref(), Some(want), "{name}");
        assert_eq!(response.status(), 200, "{name}");
        assert_eq!(response.headers()["x-amzn-requestid"].len(), 36, "{name}");
    }
}

#[tokio::test]
async fn requests_that_reach_nothing_say_why() {
    let (router, log) = router(|config| config);
    let form = format!("content-type: {FORM}");
    let json = format!("content-type: {JSON}");
    for (name, method, uri, headers, body, status, text) in [
        (
            "unknown operation",
            "POST",
            "/",
            format!("{json}\nx-amz-target: ecs.Nope"),
            "{}",
            400,
            "{\"__type\":\"UnknownOperationException\"",
        ),
        (
            "unknown target",
            "POST",
            "/",
            "x-amz-target: Nope.Echo".to_owned(),
            "{}",
            400,
            "UnknownOperationException",
        ),
        (
            "target of a service that is elsewhere",
            "POST",
            "/",
            "content-type: application/x-amz-json-1.0\nx-amz-target: AmazonSQS.SendMessage"
                .to_owned(),
            "{}",
            501,
            "\"message\":\"Amazon SQS is not part of Neargate; docs/",
        ),
        (
            "prefix must match as a whole",
            "POST",
            "/",
            "x-amz-target: ecsv2.Echo".to_owned(),
            "{}",
            400,
            "UnknownOperationException",
        ),
        (
            "target without a dot",
            "POST",
            "/",
            "x-amz-target: Echo".to_owned(),
            "{}",
            400,
            "UnknownOperationException",
        ),
        (
            "no target",
            "POST",
            "/",
            json.clone(),
            "{}",
            400,
            "UnknownOperationException",
        ),
        (
            "target in a GET",
            "GET",
            "/",
            "x-amz-target: ecs.Echo".to_owned(),
            "",
            400,
            "UnknownOperationException",
        ),
        (
            "scope of another service",
            "POST",
            "/",
            format!("x-amz-target: ecs.Echo\n{}", signed("ecr")),
            "{}",
            403,
            "Credential should be scoped to correct service: 'ecs'.",
        ),
        (
            "bad json",
            "POST",
            "/",
            "x-amz-target: ecs.Echo".to_owned(),
            "{",
            400,
            "{\"__type\":\"SerializationException\"",
        ),
        (
            "json of another type",
            "POST",
            "/",
            "x-amz-target: ecs.Echo".to_owned(),
            "[]",
            400,
            "SerializationException",
        ),
        (
            "text after the json",
            "POST",
            "/",
            "x-amz-target: ecs.Echo".to_owned(),
            "{} {}",
            400,
            "SerializationException",
        ),
        (
            "cbor and target",
            "POST",
            "/service/coral/operation/Echo",
            "smithy-protocol: rpc-v2-cbor\nx-amz-target: coral.Echo".to_owned(),
            "",
            400,
            "UnknownOperationException",
        ),
        (
            "cbor of a json service",
            "POST",
            "/service/ecs/operation/Echo",
            "smithy-protocol: rpc-v2-cbor".to_owned(),
            "",
            400,
            "UnknownOperationException",
        ),
        (
            "unknown smithy protocol",
            "POST",
            "/service/coral/operation/Echo",
            "smithy-protocol: rpc-v2-json".to_owned(),
            "",
            400,
            "UnknownOperationException",
        ),
        (
            "no action",
            "POST",
            "/",
            form.clone(),
            "Version=2020-01-01",
            400,
            "<Code>MissingAction</Code>",
        ),
        (
            "unknown action",
            "POST",
            "/",
            format!("{form}\n{}", signed("sts")),
            "Action=Nope&Version=2020-01-01",
            400,
            "<Code>InvalidAction</Code><Message>The action Nope is not valid for this web service.</Message>",
        ),
        (
            "unknown version",
            "POST",
            "/",
            format!("{form}\n{}", signed("sts")),
            "Action=Echo&Version=1999-01-01",
            400,
            "<Code>InvalidAction</Code><Message>Could not find operation Echo for version 1999-01-01</Message>",
        ),
        (
            "unknown action of ec2, in its form",
            "POST",
            "/",
            format!("{form}\n{}", signed("ec2")),
            "Action=Nope",
            400,
            "<Response><Errors><Error><Code>InvalidAction</Code>",
        ),
        (
            "unknown version, unsigned",
            "POST",
            "/",
            form.clone(),
            "Action=Echo&Version=1",
            400,
            "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code>",
        ),
        (
            "form is not text",
            "POST",
            "/",
            form.clone(),
            "Action=%ff",
            400,
            "<Code>MalformedQueryString</Code>",
        ),
        (
            "unknown path",
            "GET",
            "/nothing",
            String::new(),
            "",
            404,
            "{\"message\":",
        ),
        (
            "path of another method",
            "DELETE",
            "/things",
            String::new(),
            "",
            405,
            "{\"message\":",
        ),
        (
            "foreign credentials",
            "POST",
            "/",
            "x-amz-target: ecs.Echo\nauthorization: Basic eDp5".to_owned(),
            "{}",
            400,
            "{\"__type\":\"IncompleteSignatureException\"",
        ),
        (
            "foreign credentials, query",
            "POST",
            "/",
            format!("{form}\nauthorization: Basic eDp5"),
            "Action=Echo&Version=2020-01-01",
            400,
            "<Code>IncompleteSignature</Code>",
        ),
    ] {
        let response = router.handle(request(method, uri, &headers, body)).await;
        let got = response.status().as_u16();
        assert!(
            response.headers().contains_key("x-amzn-requestid"),
            "{name}"
        );
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8_lossy(&body);
        assert_eq!(got, status, "{name}: {body}");
        assert!(body.contains(text), "{name}: {body}");
        assert!(log.lock().unwrap().is_none(), "{name} reached an operation");
    }
}

#[tokio::test]
async fn context_comes_from_the_request() {
    let (router, log) = router(|config| config);
    let headers = format!(
        "host: ecs.localhost:4566\nx-amz-target: ecs.Echo\n{}",
        signed("ecs")
    );
    router
        .handle_as(request("POST", "/", &headers, "{}"), "id-1".to_owned())
        .await;
    let context = log.lock().unwrap().take().expect("it was called").context;
    let got = (
        context.request_id.as_str(),
        context.account.as_str(),
        context.region.as_str(),
        context.access_key_id.as_deref(),
        context.host.as_str(),
    );
    let want = (
        "id-1",
        "111122223333",
        "eu-north-1",
        Some("111122223333"),
        "ecs.localhost:4566",
    );
    assert_eq!(got, want);
}

#[tokio::test]
async fn bodies_have_limits() {
    const LIMIT: usize = 64;
    let (router, _) = router(|mut config| {
        config.max_body_bytes = LIMIT;
        config.with_operation_limit("ecr", "Echo", 2 * LIMIT)
    });
    let padded = |length: usize| format!("{:1$}", "{}", length);
    let form = format!("Action=Nothing&Version=2020-01-01&Pad={:030}", 0);
    for (name, headers, body, status) in [
        ("at the limit", "x-amz-target: ecs.Echo", padded(LIMIT), 200),
        (
            "over the limit",
            "x-amz-target: ecs.Echo",
            padded(LIMIT + 1),
            413,
        ),
        (
            "announced over the limit",
            "x-amz-target: ecs.Echo\ncontent-length: 65",
            padded(2),
            413,
        ),
        (
            "own limit",
            "x-amz-target: ecr.Echo",
            padded(2 * LIMIT),
            200,
        ),
        (
            "over its own limit",
            "x-amz-target: ecr.Echo",
            padded(2 * LIMIT + 1),
            413,
        ),
        (
            "form",
            "content-type: application/x-www-form-urlencoded",
            form,
            413,
        ),
    ] {
        let response = router.handle(request("POST", "/", headers, &body)).await;
        assert_eq!(response.status(), status, "{name}");
    }
}
