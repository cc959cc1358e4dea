//! The words of each service family for input that breaks the model's constraints.

mod common;

use common::router;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value as Json;

/// Code and message for a body sent to an operation.
async fn error_of(target: &str, body: &str) -> (String, String) {
    let (router, _) = router(|config| config);
    let request = Request::builder()
        .method("POST")
        .uri("/")
        .header("x-amz-target", target)
        .body(Full::new(bytes::Bytes::from(body.to_owned())))
        .expect("a valid request");
    let body = router
        .handle(request)
        .await
        .into_body()
        .collect()
        .await
        .expect("in memory");
    let error: Json = serde_json::from_slice(&body.to_bytes()).expect("JSON");
    let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
    (text("__type"), text("message"))
}

#[tokio::test]
async fn coral_texts() {
    let one = "1 validation error detected: ";
    for (name, body, want) in [
        (
            "short",
            "{\"Slug\":\"a\"}",
            "Value 'a' at 'slug' failed to satisfy constraint: Member must have length greater than or equal to 2",
        ),
        (
            "long",
            "{\"Slug\":\"abcdef\"}",
            "Value 'abcdef' at 'slug' failed to satisfy constraint: Member must have length less than or equal to 5",
        ),
        (
            "pattern",
            "{\"Slug\":\"a1\"}",
            "Value 'a1' at 'slug' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]*",
        ),
        (
            "enum",
            "{\"Color\":\"BLUE\"}",
            "Value 'BLUE' at 'color' failed to satisfy constraint: Member must satisfy enum value set: [RED, GREEN]",
        ),
        (
            "secret",
            "{\"Secret\":\"abcd\"}",
            "Value at 'secret' failed to satisfy constraint: Member must have length less than or equal to 3",
        ),
        (
            "minimum",
            "{\"Count\":0}",
            "Value '0' at 'count' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "maximum",
            "{\"Count\":101}",
            "Value '101' at 'count' failed to satisfy constraint: Member must have value less than or equal to 100",
        ),
        (
            "list",
            "{\"Slugs\":[\"aa\",\"bb\",\"cc\",\"dd\"]}",
            "Value '[aa, bb, cc, dd]' at 'slugs' failed to satisfy constraint: Member must have length less than or equal to 3",
        ),
        (
            "list item",
            "{\"Slugs\":[\"aa\",\"b\"]}",
            "Value 'b' at 'slugs.2.member' failed to satisfy constraint: Member must have length greater than or equal to 2",
        ),
        (
            "map value",
            "{\"Labels\":{\"aa\":0}}",
            "Value '0' at 'labels.aa.member' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "union",
            "{\"Choice\":{\"Count\":0}}",
            "Value '0' at 'choice.count' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        (
            "required below",
            "{\"Nodes\":[{}]}",
            "Value null at 'nodes.1.member.name' failed to satisfy constraint: Member must not be null",
        ),
    ] {
        let (code, message) = error_of("coral.Echo", body).await;
        assert_eq!(message, format!("{one}{want}"), "{name}");
        assert_eq!(code, "ValidationException", "{name}");
    }
    let (_, message) = error_of("coral.Echo", "{\"Count\":0,\"Color\":\"x\"}").await;
    assert_eq!(
        message,
        "2 validation errors detected: Value '0' at 'count' failed to satisfy constraint: Member must have value \
         greater than or equal to 1; Value 'x' at 'color' failed to satisfy constraint: Member must satisfy enum \
         value set: [RED, GREEN]"
    );
}

#[tokio::test]
async fn each_family_has_its_own_words() {
    for (name, target, body, code, message) in [
        (
            "logs",
            "logs.Name",
            "{}",
            "InvalidParameterException",
            "1 validation error detected: Value null at 'name' failed to satisfy constraint: Member must not be null",
        ),
        (
            "ecr pattern",
            "ecr.Echo",
            "{\"Slug\":\"A1\"}",
            "InvalidParameterException",
            "Invalid parameter at 'slug' failed to satisfy constraint: 'must satisfy regular expression '[a-z]*''",
        ),
        (
            "ecr range",
            "ecr.Echo",
            "{\"Count\":101}",
            "InvalidParameterException",
            "Invalid parameter at 'count' failed to satisfy constraint: 'Member must have value less than or equal to 100'",
        ),
        (
            "ecs missing",
            "ecs.Name",
            "{}",
            "InvalidParameterException",
            "Name can not be blank.",
        ),
        (
            "ecs missing below",
            "ecs.Name",
            "{\"Name\":\"n\",\"Node\":{}}",
            "ClientException",
            "Node.Name should not be null or empty.",
        ),
        (
            "ecs enum",
            "ecs.Echo",
            "{\"Color\":\"x\"}",
            "ClientException",
            "1 validation error detected: Value 'x' at 'color' failed to satisfy constraint: Member must satisfy enum \
             value set: [RED, GREEN]",
        ),
    ] {
        assert_eq!(
            error_of(target, body).await,
            (code.to_owned(), message.to_owned()),
            "{name}"
        );
    }
}

#[tokio::test]
async fn query_services_have_their_own_words() {
    let (router, _) = router(|config| config);
    for (name, form, want) in [
        (
            "sts",
            "Action=Name&Version=2020-01-01",
            "<Code>ValidationError</Code><Message>1 validation error detected: Value null at &apos;name&apos; failed to \
             satisfy constraint: Member must not be null</Message>",
        ),
        (
            "ec2 missing",
            "Action=Name&Version=2016-11-15",
            "<Code>MissingParameter</Code><Message>The request must contain the parameter Name</Message>",
        ),
        (
            "ec2 range",
            "Action=Echo&Version=2016-11-15&Count=101",
            "<Code>InvalidParameterValue</Code><Message>Value ( 101 ) for parameter Count is invalid. Expecting a value \
             less than or equal to 100.</Message>",
        ),
        (
            "ec2 not a number",
            "Action=Echo&Version=2016-11-15&Count=x",
            "<Code>InvalidParameterValue</Code><Message>Invalid value for parameter Count: it must be an integer</Message>",
        ),
        (
            "sts not a number",
            "Action=Echo&Version=2020-01-01&Node.Child=x",
            "<Code>MalformedInput</Code><Message>Parameter Node.Child must be a structure</Message>",
        ),
    ] {
        let request = Request::builder()
            .method("POST")
            .uri("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(bytes::Bytes::from(form)))
            .expect("a valid request");
        let body = router
            .handle(request)
            .await
            .into_body()
            .collect()
            .await
            .expect("in memory");
        let body = String::from_utf8(body.to_bytes().to_vec()).expect("text");
        assert!(body.contains(want), "{name}: {body}");
    }
}

#[tokio::test]
async fn an_answer_reports_a_bounded_number_of_errors() {
    let many = ["\"x\""; 3].join(",");
    let slugs = format!(
        "{{\"Slugs\":[{many}],\"Labels\":{{{}}}}}",
        (0..1000)
            .map(|i| format!("\"{i}\":0"))
            .collect::<Vec<_>>()
            .join(",")
    );
    let (_, message) = error_of("coral.Echo", &slugs).await;
    assert!(
        message.starts_with("16 validation errors detected: "),
        "{message}"
    );
    let long = format!("{{\"Color\":\"{}\"}}", "x".repeat(1 << 20));
    let (_, message) = error_of("coral.Echo", &long).await;
    assert!(
        message.len() < 2000,
        "a value of 1 MiB made a message of {} bytes",
        message.len()
    );
}
