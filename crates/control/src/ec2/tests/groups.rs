use serde_json::json;

use super::*;

/// A group in the default VPC.
async fn new_group(fixture: &Fixture, name: &str) -> String {
    let made = call!(fixture, create_security_group, {"GroupName": name, "Description": "test"});
    text(&made, "/GroupId")
}

fn tcp(port: u16, cidr: &str) -> Value {
    json!({"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr}]})
}

#[tokio::test]
async fn rules_are_single_and_shown_merged() {
    let fixture = Fixture::new();
    let id = new_group(&fixture, "web").await;
    let permission = json!({
        "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
        "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "inside"}, {"CidrIp": "192.168.0.0/16"}],
        "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
    });
    let answer = call!(fixture, authorize_security_group_ingress, {"GroupId": id, "IpPermissions": [permission]});
    assert_eq!(answer["Return"], true);
    assert_eq!(count(&answer, "/SecurityGroupRules"), 3);
    call!(fixture, authorize_security_group_ingress, {
        "GroupId": id, "IpPermissions": [tcp(80, "172.16.0.0/12"), tcp(443, "0.0.0.0/0")],
    });
    let described = call!(fixture, describe_security_groups, {"GroupIds": [id]});
    let permissions = &described["SecurityGroups"][0]["IpPermissions"];
    assert_eq!(
        permissions.as_array().map(Vec::len),
        Some(2),
        "ports 80 and 443"
    );
    assert_eq!(permissions[0]["FromPort"], 80);
    assert_eq!(count(permissions, "/0/IpRanges"), 3);
    assert_eq!(count(permissions, "/0/Ipv6Ranges"), 1);
    assert_eq!(text(permissions, "/0/IpRanges/0/Description"), "inside");
    let all = call!(fixture, describe_security_group_rules, {"Filters": [{"Name": "group-id", "Values": [id]}]});
    assert_eq!(count(&all, "/SecurityGroupRules"), 6, "5 in, 1 out");
}

#[tokio::test]
async fn filters_look_into_the_rules() {
    let fixture = Fixture::new();
    let id = new_group(&fixture, "web").await;
    call!(fixture, authorize_security_group_ingress, {"GroupId": id, "IpPermissions": [tcp(8080, "10.0.0.0/8")]});
    for (name, value, want) in [
        ("ip-permission.from-port", "8080", 1),
        ("ip-permission.cidr", "10.*", 1),
        ("ip-permission.protocol", "udp", 0),
        ("egress.ip-permission.protocol", "-1", 2),
        ("group-name", "we?", 1),
        ("description", "default VPC security group", 1),
    ] {
        let groups = call!(fixture, describe_security_groups, {"Filters": [{"Name": name, "Values": [value]}]});
        assert_eq!(count(&groups, "/SecurityGroups"), want, "{name}");
    }
    let unknown = json!([{"Name": "nope", "Values": ["x"]}]);
    assert_eq!(
        code!(fixture, describe_security_groups, {"Filters": unknown}),
        "InvalidParameterValue"
    );
}

/// Terraform first takes the rule away that allows everything out, with ports that mean nothing, then its IPv6 twin,
/// which a VPC without IPv6 does not have.
#[tokio::test]
async fn terraform_can_take_away_the_egress_rule() {
    let fixture = Fixture::new();
    let id = new_group(&fixture, "web").await;
    let all = json!({"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]});
    let answer =
        call!(fixture, revoke_security_group_egress, {"GroupId": id, "IpPermissions": [all]});
    assert_eq!(
        text(&answer, "/RevokedSecurityGroupRules/0/CidrIpv4"),
        "0.0.0.0/0"
    );
    let all_v6 = json!({"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]});
    let request = json!({"GroupId": id, "IpPermissions": [all_v6]});
    assert_eq!(
        code!(fixture, revoke_security_group_egress, request),
        "InvalidPermission.NotFound"
    );
    let described = call!(fixture, describe_security_groups, {"GroupIds": [id]});
    assert_eq!(
        count(&described, "/SecurityGroups/0/IpPermissionsEgress"),
        0
    );
}

#[tokio::test]
async fn wrong_rules_get_aws_errors_and_change_nothing() {
    let fixture = Fixture::new();
    let id = new_group(&fixture, "web").await;
    let vpc = call!(fixture, create_vpc, {"CidrBlock": "10.0.0.0/16"});
    let foreign = call!(fixture, create_security_group, {
        "GroupName": "web", "Description": "the same name elsewhere", "VpcId": text(&vpc, "/Vpc/VpcId"),
    });
    let foreign = text(&foreign, "/GroupId");
    call!(fixture, authorize_security_group_ingress, {"GroupId": id, "IpPermissions": [tcp(80, "0.0.0.0/0")]});
    let from = |group: &str| json!([{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": group}]}]);
    let many: Vec<Value> = (1000..1060).map(|port| tcp(port, "0.0.0.0/0")).collect();
    for (name, permissions, want) in [
        (
            "there already",
            json!([tcp(81, "0.0.0.0/0"), tcp(80, "0.0.0.0/0")]),
            "InvalidPermission.Duplicate",
        ),
        (
            "twice",
            json!([tcp(81, "0.0.0.0/0"), tcp(81, "0.0.0.0/0")]),
            "InvalidParameterValue",
        ),
        ("unknown group", from("sg-0"), "InvalidGroup.NotFound"),
        ("malformed group", from("web"), "InvalidGroupId.Malformed"),
        (
            "group of another VPC",
            from(&foreign),
            "InvalidGroup.NotFound",
        ),
        (
            "too many",
            json!(many),
            "RulesPerSecurityGroupLimitExceeded",
        ),
        (
            "no peer",
            json!([{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}]),
            "MissingParameter",
        ),
        ("nothing", json!([]), "MissingParameter"),
    ] {
        let request = json!({"GroupId": id, "IpPermissions": permissions});
        assert_eq!(
            code!(fixture, authorize_security_group_ingress, request),
            want,
            "{name}"
        );
    }
    let described = call!(fixture, describe_security_groups, {"GroupIds": [id]});
    assert_eq!(count(&described, "/SecurityGroups/0/IpPermissions"), 1);
}

#[tokio::test]
async fn wrong_groups_get_aws_errors() {
    let fixture = Fixture::new();
    let web = new_group(&fixture, "web").await;
    let db = new_group(&fixture, "db").await;
    let from_web = json!([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": web}]}]);
    call!(fixture, authorize_security_group_ingress, {"GroupId": db, "IpPermissions": from_web});
    for (name, group_name, description, want) in [
        ("taken", "web", "d", "InvalidGroup.Duplicate"),
        ("reserved", "default", "d", "InvalidGroup.Reserved"),
        ("like an id", "sg-web", "d", "InvalidParameterValue"),
        ("letters", "wéb", "d", "InvalidParameterValue"),
        ("description", "other", "<b>", "InvalidParameterValue"),
    ] {
        let request = json!({"GroupName": group_name, "Description": description});
        assert_eq!(
            code!(fixture, create_security_group, request),
            want,
            "{name}"
        );
    }
    let default = call!(fixture, describe_security_groups, {"GroupNames": ["default"]});
    let default = text(&default, "/SecurityGroups/0/GroupId");
    for (name, id, want) in [
        ("default group", default.as_str(), "CannotDelete"),
        ("referred to", web.as_str(), "DependencyViolation"),
        ("unknown", "sg-0", "InvalidGroup.NotFound"),
    ] {
        assert_eq!(
            code!(fixture, delete_security_group, {"GroupId": id}),
            want,
            "{name}"
        );
    }
    call!(fixture, delete_security_group, {"GroupId": db});
    call!(fixture, delete_security_group, {"GroupName": "web"});
    assert_eq!(
        code!(fixture, describe_security_groups, {"GroupIds": [web]}),
        "InvalidGroup.NotFound"
    );
}

#[tokio::test]
async fn rules_can_be_changed_by_their_ids() {
    let fixture = Fixture::new();
    let id = new_group(&fixture, "web").await;
    let made = call!(fixture, authorize_security_group_ingress, {
        "GroupId": id, "IpPermissions": [tcp(80, "0.0.0.0/0"), tcp(81, "0.0.0.0/0")],
    });
    let rule = text(&made, "/SecurityGroupRules/0/SecurityGroupRuleId");
    let wanted = |port: u16| {
        json!({"GroupId": id, "SecurityGroupRules": [{"SecurityGroupRuleId": rule, "SecurityGroupRule": {
            "IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIpv4": "0.0.0.0/0", "Description": "new",
        }}]})
    };
    let (taken, free) = (wanted(81), wanted(8080));
    assert_eq!(
        code!(fixture, modify_security_group_rules, taken),
        "InvalidPermission.Duplicate"
    );
    call!(fixture, modify_security_group_rules, free);
    let shown = call!(fixture, describe_security_group_rules, {"SecurityGroupRuleIds": [rule]});
    assert_eq!(shown["SecurityGroupRules"][0]["FromPort"], 8080);

    call!(fixture, update_security_group_rule_descriptions_ingress, {
        "GroupId": id, "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": rule, "Description": "newer"}],
    });
    let described = call!(fixture, describe_security_group_rules, {"SecurityGroupRuleIds": [rule]});
    assert_eq!(
        text(&described, "/SecurityGroupRules/0/Description"),
        "newer"
    );
    let wrong_direction = json!({"GroupId": id, "SecurityGroupRuleIds": [rule]});
    assert_eq!(
        code!(fixture, revoke_security_group_egress, wrong_direction),
        "InvalidSecurityGroupRuleId.NotFound"
    );
    call!(fixture, revoke_security_group_ingress, {"GroupId": id, "SecurityGroupRuleIds": [rule]});
    assert_eq!(
        code!(fixture, describe_security_group_rules, {"SecurityGroupRuleIds": [rule]}),
        "InvalidSecurityGroupRuleId.NotFound"
    );
}
