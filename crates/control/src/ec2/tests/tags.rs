use serde_json::json;

use super::*;

#[tokio::test]
async fn every_kind_of_resource_can_be_tagged() {
    let fixture = Fixture::new();
    let vpcs = call!(fixture, describe_vpcs, {});
    let subnets = call!(fixture, describe_subnets, {});
    let groups = call!(fixture, describe_security_groups, {});
    let rules = call!(fixture, describe_security_group_rules, {});
    let tables = call!(fixture, describe_route_tables, {});
    let gateways = call!(fixture, describe_internet_gateways, {});
    let acls = call!(fixture, describe_network_acls, {});
    let options = call!(fixture, describe_dhcp_options, {});
    let ids = [
        text(&vpcs, "/Vpcs/0/VpcId"),
        text(&subnets, "/Subnets/0/SubnetId"),
        text(&groups, "/SecurityGroups/0/GroupId"),
        text(&rules, "/SecurityGroupRules/0/SecurityGroupRuleId"),
        text(&tables, "/RouteTables/0/RouteTableId"),
        text(&gateways, "/InternetGateways/0/InternetGatewayId"),
        text(&acls, "/NetworkAcls/0/NetworkAclId"),
        text(&options, "/DhcpOptions/0/DhcpOptionsId"),
    ];
    let tags = json!([{"Key": "env", "Value": "test"}, {"Key": "Name", "Value": "n"}]);
    try_call!(fixture, create_tags, {"Resources": ids, "Tags": tags}).unwrap();
    let seen = call!(fixture, describe_tags, {"Filters": [{"Name": "key", "Values": ["env"]}]});
    assert_eq!(count(&seen, "/Tags"), ids.len());
    let rule = call!(fixture, describe_tags, {"Filters": [
        {"Name": "resource-type", "Values": ["security-group-rule"]}, {"Name": "value", "Values": ["test"]},
    ]});
    assert_eq!(text(&rule, "/Tags/0/ResourceId"), ids[3]);
    let found =
        call!(fixture, describe_subnets, {"Filters": [{"Name": "tag:env", "Values": ["t*"]}]});
    assert_eq!(text(&found, "/Subnets/0/SubnetId"), ids[1]);

    // Only the tag with that value goes.
    let other_value = json!([{"Key": "env", "Value": "prod"}]);
    try_call!(fixture, delete_tags, {"Resources": ids, "Tags": other_value}).unwrap();
    assert_eq!(
        count(&call!(fixture, describe_tags, {}), "/Tags"),
        2 * ids.len()
    );
    let by_key = json!([{"Key": "env"}]);
    try_call!(fixture, delete_tags, {"Resources": ids, "Tags": by_key}).unwrap();
    assert_eq!(
        count(&call!(fixture, describe_tags, {}), "/Tags"),
        ids.len()
    );
    try_call!(fixture, delete_tags, {"Resources": ids}).unwrap();
    assert_eq!(count(&call!(fixture, describe_tags, {}), "/Tags"), 0);
}

#[tokio::test]
async fn wrong_tags_get_aws_errors_and_change_nothing() {
    let fixture = Fixture::new();
    let vpcs = call!(fixture, describe_vpcs, {});
    let vpc = text(&vpcs, "/Vpcs/0/VpcId");
    let many: Vec<Value> = (0..51)
        .map(|i| json!({"Key": format!("k{i}"), "Value": ""}))
        .collect();
    let good = json!([{"Key": "k", "Value": "v"}]);
    for (name, resources, tags, want) in [
        (
            "unknown",
            json!([vpc, "subnet-0"]),
            good.clone(),
            "InvalidSubnetID.NotFound",
        ),
        (
            "unknown rule",
            json!([vpc, "sgr-0"]),
            good.clone(),
            "InvalidSecurityGroupRuleId.NotFound",
        ),
        ("no kind", json!([vpc, "x"]), good.clone(), "InvalidID"),
        (
            "reserved key",
            json!([vpc]),
            json!([{"Key": "aws:x", "Value": "v"}]),
            "InvalidParameterValue",
        ),
        (
            "empty key",
            json!([vpc]),
            json!([{"Key": "", "Value": "v"}]),
            "InvalidParameterValue",
        ),
        (
            "long value",
            json!([vpc]),
            json!([{"Key": "k", "Value": "v".repeat(257)}]),
            "InvalidParameterValue",
        ),
        ("too many", json!([vpc]), json!(many), "TagLimitExceeded"),
    ] {
        let request = json!({"Resources": resources, "Tags": tags});
        assert_eq!(code!(fixture, create_tags, request), want, "{name}");
    }
    assert_eq!(count(&call!(fixture, describe_tags, {}), "/Tags"), 0);
}

#[tokio::test]
async fn resources_are_born_with_their_tags() {
    let fixture = Fixture::new();
    let specification =
        |kind: &str| json!([{"ResourceType": kind, "Tags": [{"Key": "k", "Value": "v"}]}]);
    let made = specification("vpc");
    let vpc = call!(fixture, create_vpc, {"CidrBlock": "10.0.0.0/16", "TagSpecifications": made});
    assert_eq!(text(&vpc, "/Vpc/Tags/0/Value"), "v");
    let wrong = specification("subnet");
    let request = json!({"CidrBlock": "10.0.0.0/16", "TagSpecifications": wrong});
    assert_eq!(code!(fixture, create_vpc, request), "InvalidParameterValue");
}
