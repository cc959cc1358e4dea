//! The HTTP/2 front against h2spec, the field's conformance suite, on a real TLS listener.
//!
//! The suite is a Go program: it is built once into `target/h2spec` by the Go tool, of the versions in `h2spec/go.sum`.

mod support;

use neargate_lb::table::Transport;
use neargate_lb_api as api;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use support::targets;
use support::{Lb, P256, certificate, forward_to, group, load_balancer};

const PACKAGE: &str = "github.com/summerwind/h2spec/cmd/h2spec";

/// Cases that do not pass, by the suite's words, each with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

fn h2spec() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in target");
    let directory = target.join("h2spec");
    let program = directory.join("h2spec");
    if !program.exists() {
        let built = Command::new("go")
            .arg("-C")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/h2spec"))
            .args(["build", "-mod=readonly", "-o"])
            .arg(&program)
            .arg(PACKAGE)
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "h2spec cannot be built: install Go, or put the program at {}",
            program.display()
        );
    }
    program
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_front_conforms() {
    let target = targets::http1(Arc::default()).await;
    let lb = Lb::start(Transport::Tcp, |port| api::Table {
        version: 1,
        load_balancers: vec![load_balancer(
            api::LoadBalancerType::Application,
            api::Listener {
                arn: "arn:listener".to_owned(),
                port: port.into(),
                protocol: api::Protocol::Https.into(),
                certificate_arns: vec!["arn:certificate".to_owned()],
                rules: vec![forward_to("arn:group")],
                ..Default::default()
            },
            true,
        )],
        target_groups: vec![group(
            "arn:group",
            api::Protocol::Http,
            api::ProtocolVersion::Http1,
            &[target],
        )],
        certificates: vec![certificate("arn:certificate", &["lb.test"], P256, 5)],
    })
    .await;
    let report = tempfile::NamedTempFile::new().expect("a file");
    let output = tokio::process::Command::new(h2spec())
        // "/" is answered with a body: the suite keeps streams open by taking none of it.
        .args(["-t", "-k", "-S", "-h", "127.0.0.1", "-P", "/", "-o", "5"])
        .args(["-p", &lb.address.port().to_string()])
        .arg("-j")
        .arg(report.path())
        .output()
        .await
        .expect("h2spec runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let report = std::fs::read_to_string(report.path()).expect("a report");
    let failed = failures(&report);
    let tests = report.matches("<testcase ").count();
    assert!(tests > 140, "{tests} cases ran:\n{text}");
    let mut excepted: Vec<&str> = EXCEPTIONS.iter().map(|(case, _)| *case).collect();
    excepted.sort_unstable();
    assert_eq!(failed, excepted, "{text}");
}

/// `package: case` of each failed case, sorted.
fn failures(report: &str) -> Vec<String> {
    let mut failed: Vec<String> = report
        .split("<testcase ")
        .skip(1)
        .filter(|case| case.contains("<failure") || case.contains("<error"))
        .map(|case| {
            format!(
                "{}: {}",
                attribute(case, "package"),
                attribute(case, "classname")
            )
        })
        .collect();
    failed.sort_unstable();
    failed
}

fn attribute<'a>(case: &'a str, name: &str) -> &'a str {
    let start = case
        .split_once(&format!("{name}=\""))
        .map_or("", |(_, rest)| rest);
    start.split('"').next().unwrap_or_default()
}
