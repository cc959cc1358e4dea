//! How each protocol words an error, as stored text.

mod common;

use common::router;
use http::Request;
use http_body_util::{BodyExt as _, Full};

struct Call {
    protocol: &'static str,
    headers: &'static [(&'static str, &'static str)],
    uri: fn(&str) -> String,
    body: fn(&str) -> String,
}

const CALLS: [Call; 5] = [
    Call {
        protocol: "json",
        headers: &[("content-type", "application/x-amz-json-1.1")],
        uri: |_| "/".to_owned(),
        body: |_| "{\"Name\":\"n\"}".to_owned(),
    },
    Call {
        protocol: "json 1.0, query-compatible",
        headers: &[("content-type", "application/x-amz-json-1.0")],
        uri: |_| "/".to_owned(),
        body: |_| "{\"Name\":\"n\"}".to_owned(),
    },
    Call {
        protocol: "query",
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        uri: |_| "/".to_owned(),
        body: |operation| format!("Action={operation}&Version=2020-01-01&Name=n"),
    },
    Call {
        protocol: "ec2",
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        uri: |_| "/".to_owned(),
        body: |operation| format!("Action={operation}&Version=2016-11-15&Name=n"),
    },
    Call {
        protocol: "cbor",
        headers: &[
            ("smithy-protocol", "rpc-v2-cbor"),
            ("content-type", "application/cbor"),
        ],
        uri: |operation| format!("/service/coral/operation/{operation}"),
        // {"Name": "n"}
        body: |_| "\u{0}".to_owned(),
    },
];

async fn answer(call: &Call, operation: &str) -> (u16, http::HeaderMap, Vec<u8>) {
    let (router, _) = router(|config| config);
    let mut request = Request::builder().method("POST").uri((call.uri)(operation));
    for (name, value) in call.headers {
        request = request.header(*name, *value);
    }
    let target = match call.protocol {
        "json" => Some("ecs"),
        "json 1.0, query-compatible" => Some("queue"),
        _ => None,
    };
    if let Some(target) = target {
        request = request.header("x-amz-target", format!("{target}.{operation}"));
    }
    let body = match call.protocol {
        "cbor" => b"\xa1\x64Name\x61n".to_vec(),
        _ => (call.body)(operation).into_bytes(),
    };
    let request = request
        .body(Full::new(bytes::Bytes::from(body)))
        .expect("a valid request");
    let response = router.handle_as(request, "id-1".to_owned()).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("in memory").to_bytes();
    (parts.status.as_u16(), parts.headers, body.to_vec())
}

/// CBOR as JSON, for comparison with text.
fn readable(call: &Call, body: &[u8]) -> String {
    if call.protocol == "cbor" {
        let value: std::collections::BTreeMap<String, String> =
            ciborium::from_reader(body).expect("a map of texts");
        return serde_json::to_string(&value).expect("texts");
    }
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test]
async fn errors_in_each_protocol() {
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    for (operation, want) in [
        (
            "Fail",
            [
                (404, "{\"__type\":\"ThingNotFoundException\",\"message\":\"No such <thing>.\",\"Thing\":\"t-1\"}".to_owned()),
                (404, "{\"__type\":\"ThingNotFoundException\",\"message\":\"No such <thing>.\",\"Thing\":\"t-1\"}".to_owned()),
                (
                    404,
                    "<ErrorResponse xmlns=\"http://example.com/doc/\"><Error><Type>Sender</Type>\
                     <Code>ThingNotFound</Code><Message>No such &lt;thing&gt;.</Message><Thing>t-1</Thing></Error>\
                     <RequestId>id-1</RequestId></ErrorResponse>"
                        .to_owned(),
                ),
                (
                    404,
                    format!(
                        "{xml}<Response><Errors><Error><Code>ThingNotFound</Code>\
                         <Message>No such &lt;thing&gt;.</Message><Thing>t-1</Thing></Error></Errors>\
                         <RequestID>id-1</RequestID></Response>"
                    ),
                ),
                (404, "{\"Thing\":\"t-1\",\"__type\":\"ThingNotFoundException\",\"message\":\"No such <thing>.\"}".to_owned()),
            ],
        ),
        (
            "Panic",
            [
                (500, "{\"__type\":\"InternalFailure\",\"message\":\"MESSAGE\"}".to_owned()),
                (500, "{\"__type\":\"InternalFailure\",\"message\":\"MESSAGE\"}".to_owned()),
                (
                    500,
                    "<ErrorResponse xmlns=\"http://example.com/doc/\"><Error><Type>Receiver</Type>\
                     <Code>InternalFailure</Code><Message>MESSAGE</Message></Error>\
                     <RequestId>id-1</RequestId></ErrorResponse>"
                        .to_owned(),
                ),
                (
                    500,
                    format!(
                        "{xml}<Response><Errors><Error><Code>InternalFailure</Code><Message>MESSAGE</Message>\
                         </Error></Errors><RequestID>id-1</RequestID></Response>"
                    ),
                ),
                (500, "{\"__type\":\"InternalFailure\",\"message\":\"MESSAGE\"}".to_owned()),
            ],
        ),
    ] {
        let internal = neargate_aws_wire::error::ApiError::internal().message;
        for (call, (status, text)) in CALLS.iter().zip(want) {
            let (got_status, headers, body) = answer(call, operation).await;
            let name = format!("{operation} in {}", call.protocol);
            assert_eq!(readable(call, &body), text.replace("MESSAGE", &internal), "{name}");
            assert_eq!(got_status, status, "{name}");
            assert_eq!(headers["x-amzn-requestid"], "id-1", "{name}");
            let query_error = headers.get("x-amzn-query-error").map(|v| v.to_str().unwrap());
            let want = match (call.protocol, operation) {
                ("json 1.0, query-compatible", "Fail") => Some("ThingNotFound;Sender"),
                ("json 1.0, query-compatible", _) => Some("InternalFailure;Receiver"),
                _ => None,
            };
            assert_eq!(query_error, want, "{name}");
        }
    }
}

#[tokio::test]
async fn what_is_not_built_says_so() {
    for call in &CALLS {
        let (status, _, body) = answer(call, "Unknown").await;
        assert_eq!(status, 501, "{}", call.protocol);
        let body = readable(call, &body);
        assert!(body.contains("NotImplemented"), "{}: {body}", call.protocol);
    }
}

#[tokio::test]
async fn answers_without_output() {
    let ec2 = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <NothingResponse xmlns=\"http://example.com/doc/\"><requestId>id-1</requestId><return>true</return>\
        </NothingResponse>";
    let query = "<NothingResponse xmlns=\"http://example.com/doc/\"><ResponseMetadata><RequestId>id-1</RequestId>\
        </ResponseMetadata></NothingResponse>";
    for (call, (content_type, want)) in CALLS.iter().zip([
        (Some("application/x-amz-json-1.1"), ""),
        (Some("application/x-amz-json-1.0"), ""),
        (Some("text/xml"), query),
        (Some("text/xml;charset=UTF-8"), ec2),
        (None, ""),
    ]) {
        let (status, headers, body) = answer(call, "Nothing").await;
        assert_eq!(status, 200, "{}", call.protocol);
        assert_eq!(String::from_utf8_lossy(&body), want, "{}", call.protocol);
        let got = headers.get("content-type").map(|v| v.to_str().unwrap());
        assert_eq!(got, content_type, "{}", call.protocol);
        assert_eq!(
            headers["content-length"],
            want.len().to_string().as_str(),
            "{}",
            call.protocol
        );
    }
}

#[tokio::test]
async fn rest_errors_name_their_type_in_a_header() {
    let (router, _) = router(|config| config);
    for (name, uri, content_type, body, status, code) in [
        (
            "constraint",
            "/things/A",
            "application/json",
            "{}",
            400,
            "ValidationException",
        ),
        (
            "malformed",
            "/things/ab?count=x",
            "application/json",
            "{}",
            400,
            "SerializationException",
        ),
        (
            "not json",
            "/things/ab",
            "application/json",
            "{",
            400,
            "SerializationException",
        ),
        (
            "content type",
            "/things/ab",
            "text/plain",
            "{}",
            415,
            "UnsupportedMediaTypeException",
        ),
    ] {
        let request = Request::builder()
            .method("PUT")
            .uri(uri)
            .header("content-type", content_type)
            .body(Full::new(bytes::Bytes::from(body)))
            .unwrap();
        let response = router.handle(request).await;
        assert_eq!(response.status(), status, "{name}");
        assert_eq!(response.headers()["x-amzn-errortype"], code, "{name}");
    }
}
