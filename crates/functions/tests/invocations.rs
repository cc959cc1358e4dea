//! Real commands and a real HTTP server, invoked through the seam that the control plane uses.

mod support;

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use neargate_control::functions::{Functions as _, InvokeError};
use support::{Registered, shell, wait_until};

fn failed(function: &str, reason: &str) -> Result<String, InvokeError> {
    Err(InvokeError::Failed {
        function: function.to_owned(),
        reason: reason.to_owned(),
    })
}

fn reason_of(outcome: Result<String, InvokeError>) -> String {
    match outcome {
        Err(InvokeError::Failed { reason, .. } | InvokeError::NotStarted { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_command_gets_the_payload_and_its_output_is_the_answer() {
    let functions = Registered::new(&[("echo", shell("cat"))]);
    let answer = functions.invoke("echo", r#"{"a": 1}"#).await;
    assert_eq!(answer, Ok(r#"{"a": 1}"#.to_owned()));
}

#[tokio::test]
async fn a_function_is_found_by_each_of_its_names() {
    let functions = Registered::new(&[("echo", shell("cat"))]);
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:echo:live";
    assert!(functions.all.knows(arn));
    assert_eq!(functions.invoke(arn, "x").await, Ok("x".to_owned()));
    assert!(!functions.all.knows("other"));
    assert_eq!(
        functions.invoke("other", "x").await,
        Err(InvokeError::Unknown("other".to_owned()))
    );
}

#[tokio::test]
async fn a_command_is_told_where_and_who_it_is() {
    let functions = Registered::new(&[("where", shell("env; pwd"))]);
    let answer = functions.invoke("where:live", "").await.unwrap();
    let lines: Vec<&str> = answer.lines().collect();
    let directory = functions.directory.path().to_string_lossy().into_owned();
    for want in [
        "AWS_ENDPOINT_URL=http://127.0.0.1:4566",
        "AWS_REGION=eu-west-1",
        "AWS_DEFAULT_REGION=eu-west-1",
        "AWS_ACCESS_KEY_ID=123456789012",
        "AWS_SECRET_ACCESS_KEY=neargate",
        "AWS_LAMBDA_FUNCTION_NAME=where",
        &directory,
    ] {
        assert!(lines.contains(&want), "{want} is not in\n{answer}");
    }
    let aws = lines.iter().filter(|line| line.starts_with("AWS_"));
    assert_eq!(aws.count(), 6, "{answer}");
}

#[tokio::test]
async fn a_program_with_a_slash_is_looked_for_beside_the_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let functions = Registered::new(&[("check", r#"{"command": ["./check"]}"#.to_owned())]);
    let program = functions.directory.path().join("check");
    let outcome = functions.invoke("check", "").await;
    assert!(outcome.unwrap_err().is_retryable(), "it is not there");
    std::fs::write(&program, "#!/bin/sh\necho found\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        functions.invoke("check", "").await,
        Ok("found\n".to_owned())
    );
}

#[tokio::test]
async fn a_command_that_fails_tells_the_end_of_what_it_said() {
    let functions = Registered::new(&[
        ("says", shell("echo answer; echo no such page >&2; exit 3")),
        ("silent", shell("exit 1")),
        ("killed", shell("kill -9 $$")),
        ("binary", shell("printf '\\\\377'")),
    ]);
    for (function, want) in [
        ("says", "it ended with exit status: 3: no such page"),
        (
            "silent",
            "it ended with exit status: 1; it said nothing on standard error",
        ),
        (
            "killed",
            "it ended with signal: 9 (SIGKILL); it said nothing on standard error",
        ),
        ("binary", "its answer is not UTF-8"),
    ] {
        assert_eq!(functions.invoke(function, "").await, failed(function, want));
    }
}

#[tokio::test]
async fn a_command_need_not_read_its_payload() {
    let functions = Registered::new(&[("deaf", shell("exec <&-; echo ok"))]);
    let payload = "x".repeat(1 << 20);
    assert_eq!(
        functions.invoke("deaf", &payload).await,
        Ok("ok\n".to_owned())
    );
}

#[tokio::test]
async fn a_command_may_close_its_output_before_it_ends() {
    let functions = Registered::new(&[("early", shell("exec >&- 2>&-; sleep 0.2; exit 4"))]);
    let outcome = functions.invoke("early", "").await;
    assert!(reason_of(outcome).contains("exit status: 4"));
}

#[tokio::test]
async fn too_long_an_answer_fails() {
    let functions = Registered::new(&[
        ("long", shell("yes")),
        ("longest", shell("head -c 6291456 /dev/zero")),
    ]);
    assert_eq!(
        functions.invoke("long", "").await,
        failed("long", "its answer has more than 6291456 bytes")
    );
    assert_eq!(
        functions.invoke("longest", "").await.unwrap().len(),
        6 << 20
    );
}

#[tokio::test]
async fn a_slow_command_is_killed_with_all_that_it_started() {
    let mark = support::mark();
    let script = format!("sleep {mark} & sleep {mark}");
    let functions = Registered::new(&[("slow", shell(&script))]);
    let outcome = functions
        .invoke_within("slow", "", Duration::from_millis(300))
        .await;
    assert_eq!(outcome, failed("slow", "it did not answer in 0.3 seconds"));
    wait_until(|| support::running(&mark) == 0).await;
}

#[tokio::test]
async fn the_file_can_give_less_time_than_the_caller() {
    let functions = Registered::new(&[(
        "slow",
        r#"{"command": ["sleep", "60"], "timeoutSeconds": 1}"#.to_owned(),
    )]);
    assert_eq!(
        functions.invoke("slow", "").await,
        failed("slow", "it did not answer in 1 seconds")
    );
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let mark = support::mark();
    let functions = Registered::new(&[("leaves", shell(&format!("sleep {mark} & echo done")))]);
    assert_eq!(
        functions.invoke("leaves", "").await,
        Ok("done\n".to_owned())
    );
    wait_until(|| support::running(&mark) == 0).await;
}

#[tokio::test]
async fn a_process_that_left_the_group_must_not_hold_the_output() {
    let mark = support::mark();
    let functions = Registered::new(&[
        ("holds", shell(&format!("setsid sleep {mark} & sleep 0.3"))),
        (
            "redirects",
            shell(&format!(
                "setsid sleep {mark} >/dev/null 2>&1 & sleep 0.3; echo ok"
            )),
        ),
    ]);
    let reason = reason_of(functions.invoke("holds", "").await);
    assert!(reason.contains("redirect"), "{reason}");
    assert_eq!(
        functions.invoke("redirects", "").await,
        Ok("ok\n".to_owned())
    );
    support::kill(&mark);
}

#[tokio::test]
async fn an_invocation_that_nobody_waits_for_ends() {
    let mark = support::mark();
    let functions = Registered::new(&[("slow", shell(&format!("sleep {mark}; true")))]);
    let invocation = functions.invoke("slow", "");
    tokio::select! {
        outcome = invocation => panic!("{outcome:?}"),
        () = wait_until(|| support::running(&mark) > 0) => {}
    }
    wait_until(|| support::running(&mark) == 0).await;
}

#[tokio::test]
async fn at_the_end_all_commands_are_killed_and_none_answers() {
    let mark = support::mark();
    let functions = Registered::new(&[
        ("slow", shell(&format!("sleep {mark}; true"))),
        ("echo", shell("cat")),
    ]);
    let end = async {
        wait_until(|| support::running(&mark) > 0).await;
        functions.all.end();
        wait_until(|| support::running(&mark) == 0).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    tokio::select! {
        outcome = functions.invoke("slow", "") => panic!("{outcome:?}"),
        () = end => {}
    }
    tokio::select! {
        outcome = functions.invoke("echo", "") => panic!("{outcome:?}"),
        () = tokio::time::sleep(Duration::from_millis(200)) => {}
    }
}

#[tokio::test]
async fn only_so_many_run_at_a_time() {
    let mark = support::mark();
    let functions = Registered::new(&[
        ("slow", shell(&format!("sleep {mark}; true"))),
        ("echo", shell("cat")),
    ]);
    let many = support::all((0..64).map(|_| functions.invoke("slow", "")));
    let one_more = async {
        wait_until(|| support::running(&mark) == 64).await;
        functions.invoke("slow", "").await.unwrap_err()
    };
    tokio::select! {
        _ = many => panic!("they sleep for a minute"),
        error = one_more => assert!(error.is_retryable(), "{error}"),
    }
    // The places of those that nobody waits for are free again.
    let echo = functions.invoke("echo", "x").await;
    assert_eq!(echo, Ok("x".to_owned()));
}

#[tokio::test]
async fn a_url_is_posted_to_and_answers() {
    let address = support::serve(|headers: HeaderMap, body: String| {
        let header = |name| headers[name].to_str().unwrap_or_default().to_owned();
        let said = [
            header("content-type"),
            header("x-neargate-function"),
            header("x-neargate-account"),
            header("x-neargate-region"),
            body,
        ];
        (StatusCode::OK, HeaderMap::new(), said.join(" "))
    })
    .await;
    let functions = Registered::new(&[("web", support::url(&address))]);
    assert_eq!(
        functions.invoke("web:live", r#"{"a": 1}"#).await,
        Ok(r#"application/json web:live 123456789012 eu-west-1 {"a": 1}"#.to_owned())
    );
}

#[tokio::test]
async fn what_a_url_answers_tells_whether_a_retry_may_help() {
    let address = support::serve(|_, body: String| {
        let mut headers = HeaderMap::new();
        let status = match body.as_str() {
            "error" => {
                headers.insert("x-amz-function-error", "Unhandled".parse().unwrap());
                StatusCode::OK
            }
            status => status.parse().unwrap(),
        };
        (status, headers, "because".to_owned())
    })
    .await;
    let functions = Registered::new(&[("web", support::url(&address))]);
    for (payload, retryable, want) in [
        ("500", false, "500 Internal Server Error: because"),
        ("404", false, "404 Not Found: because"),
        ("302", false, "302 Found: because"),
        ("429", true, "429 Too Many Requests: because"),
        ("503", true, "503 Service Unavailable: because"),
        ("error", false, "200 OK: because"),
    ] {
        let error = functions.invoke("web", payload).await.unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{payload}");
        assert_eq!(
            reason_of(Err(error)),
            format!("http://{address}/ answered {want}"),
        );
    }
}

#[tokio::test]
async fn a_url_where_nobody_listens_may_be_tried_again() {
    let address = support::closed_address().await;
    let functions = Registered::new(&[("web", support::url(&address))]);
    let error = functions.invoke("web", "").await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn a_url_that_breaks_off_or_is_silent_fails() {
    let breaks = support::accept_and(drop).await;
    let silent = support::accept_and(std::mem::forget).await;
    let functions = Registered::new(&[
        ("breaks", support::url(&breaks)),
        ("silent", support::url(&silent)),
    ]);
    let error = functions.invoke("breaks", "").await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    let outcome = functions
        .invoke_within("silent", "", Duration::from_millis(300))
        .await;
    assert_eq!(
        outcome,
        failed("silent", "it did not answer in 0.3 seconds")
    );
}

#[tokio::test]
async fn too_long_an_answer_of_a_url_fails() {
    let address = support::serve(|_, body: String| {
        let length = body.parse().unwrap();
        (StatusCode::OK, HeaderMap::new(), "x".repeat(length))
    })
    .await;
    let functions = Registered::new(&[("web", support::url(&address))]);
    assert_eq!(
        functions.invoke("web", "6291456").await.unwrap().len(),
        6 << 20
    );
    assert_eq!(
        functions.invoke("web", "6291457").await,
        failed("web", "its answer has more than 6291456 bytes")
    );
}
