//! Smithy's protocol tests (`smithy-aws-protocol-tests`, `smithy-protocol-tests`, pinned in `smithy/pom.xml`) as far as
//! they concern a server. What the vendor of the protocols publishes as right is lost without this test.

mod smithy;

use std::collections::BTreeMap;

use neargate_aws_wire::schema::Protocol;
use smithy::cases::{Direction, cases};
use smithy::exclusions::EXCLUSIONS;
use smithy::loader::Model;
use smithy::runner::Runner;

/// Service, protocol, and how many cases pass at least, so that the test cannot pass on an empty model.
const SERVICES: &[(&str, &str, Protocol, usize)] = &[
    (
        "aws.protocoltests.json10#JsonRpc10",
        "aws.protocols#awsJson1_0",
        Protocol::AwsJson1_0,
        48,
    ),
    (
        "aws.protocoltests.json#JsonProtocol",
        "aws.protocols#awsJson1_1",
        Protocol::AwsJson1_1,
        101,
    ),
    (
        "aws.protocoltests.query#AwsQuery",
        "aws.protocols#awsQuery",
        Protocol::AwsQuery,
        64,
    ),
    (
        "aws.protocoltests.ec2#AwsEc2",
        "aws.protocols#ec2Query",
        Protocol::Ec2Query,
        48,
    ),
    (
        "aws.protocoltests.restjson#RestJson",
        "aws.protocols#restJson1",
        Protocol::RestJson1,
        304,
    ),
    (
        "aws.protocoltests.restjson.validation#RestJsonValidation",
        "aws.protocols#restJson1",
        Protocol::RestJson1,
        70,
    ),
    (
        "smithy.protocoltests.rpcv2Cbor#RpcV2Protocol",
        "smithy.protocols#rpcv2Cbor",
        Protocol::RpcV2Cbor,
        65,
    ),
];

#[tokio::test]
async fn smithys_protocol_tests_pass() {
    let model = Model::new(smithy::fetch::model());
    let mut problems = Vec::new();
    let mut seen_exclusions = vec![false; EXCLUSIONS.len()];
    for (service, protocol_id, protocol, at_least) in SERVICES {
        let runner = Runner::new(&model, service, *protocol);
        let mut passed: BTreeMap<Direction, usize> = BTreeMap::new();
        let mut excluded = 0;
        for case in cases(&model, service, protocol_id) {
            let exclusion = EXCLUSIONS
                .iter()
                .position(|(direction, id, _)| *direction == case.direction && *id == case.id);
            let result = runner.run(&case).await;
            match (result, exclusion) {
                (Ok(()), None) => *passed.entry(case.direction).or_default() += 1,
                (Err(_), Some(at)) => {
                    seen_exclusions[at] = true;
                    excluded += 1;
                }
                (Ok(()), Some(_)) => {
                    problems.push(format!(
                        "{} {:?} passes; take it off the exclusions",
                        case.id, case.direction
                    ));
                    seen_exclusions[exclusion.unwrap_or_default()] = true;
                }
                (Err(failure), None) => {
                    problems.push(format!("{} {:?}: {failure}", case.id, case.direction));
                }
            }
        }
        let total: usize = passed.values().sum();
        println!("{service}: {total} passed {passed:?}, {excluded} excluded");
        if total < *at_least {
            problems.push(format!(
                "{service}: only {total} cases passed, {at_least} expected"
            ));
        }
    }
    for ((_, id, _), seen) in EXCLUSIONS.iter().zip(seen_exclusions) {
        if !seen {
            problems.push(format!("{id} is excluded, but there is no such case"));
        }
    }
    assert!(
        problems.is_empty(),
        "{} problems\n{}",
        problems.len(),
        problems.join("\n")
    );
}
