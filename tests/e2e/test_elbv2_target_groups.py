"""Target groups: defaults, echoes, attributes and what does not fit together."""

import re

import pytest

from harness.elb import OK, Balancing, forward, refused


@pytest.fixture(scope="module")
def b(api_server):
    return Balancing(api_server)


def test_defaults_of_each_kind(b):
    group = b.group("web")
    assert re.fullmatch(rf"arn:aws:elasticloadbalancing:us-east-1:{b.account}:targetgroup/web/[0-9a-f]{{16}}", group.pop("TargetGroupArn"))
    assert group == {
        "TargetGroupName": "web", "Protocol": "HTTP", "ProtocolVersion": "HTTP1", "Port": 80, "VpcId": b.vpc, "TargetType": "ip",
        "IpAddressType": "ipv4", "LoadBalancerArns": [], "Matcher": {"HttpCode": "200"}, "HealthCheckEnabled": True,
        "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckPath": "/", "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2,
    }
    assert b.group(Protocol="HTTPS")["HealthCheckProtocol"] == "HTTP"
    grpc = b.group(ProtocolVersion="GRPC")
    assert (grpc["HealthCheckPath"], grpc["Matcher"]) == ("/AWS.ALB/healthcheck", {"GrpcCode": "12"})
    tcp = b.group(Protocol="TCP")
    assert (tcp["HealthCheckProtocol"], tcp["HealthCheckTimeoutSeconds"]) == ("TCP", 10)
    assert not {"ProtocolVersion", "HealthCheckPath", "Matcher"} & set(tcp)
    assert b.group(Protocol="TCP", HealthCheckProtocol="HTTP")["Matcher"] == {"HttpCode": "200-399"}
    assert b.group(TargetType="instance")["TargetType"] == "instance"


def test_the_same_call_again_answers_the_same_group(b):
    first = b.group("same")
    assert b.group("same")["TargetGroupArn"] == first["TargetGroupArn"]
    for fields in ({"Port": 81}, {"Protocol": "HTTPS"}, {"HealthCheckPath": "/h"}, {"TargetType": "instance"}):
        refused("DuplicateTargetGroupName", "A target group with the same name 'same' exists, but with different settings",
                b.group, name="same", **fields)


@pytest.mark.parametrize(("fields", "code", "text"), [
    ({"name": "a" * 33}, "ValidationError", "Target group name '" + "a" * 33 + "' cannot be longer than '32' characters"),
    ({"name": "-a"}, "ValidationError", "cannot begin or end with '-'"),
    ({"name": "a.b"}, "ValidationError", "alphanumeric characters or hyphens(-)"),
    ({"VpcId": "vpc-0123456789abcdef0"}, "ValidationError", "vpc-0123456789abcdef0"),
    ({"TargetType": "lambda"}, "InvalidConfigurationRequest", "not built in Neargate"),
    ({"Protocol": "GENEVE"}, "InvalidConfigurationRequest", "not built in Neargate"),
    ({"IpAddressType": "ipv6"}, "InvalidConfigurationRequest", "not built in Neargate"),
    ({"TargetType": "alb"}, "ValidationError", "must be 'TCP'"),
    ({"ProtocolVersion": "HTTP3"}, "ValidationError", "HTTP1, HTTP2, GRPC"),
    ({"Protocol": "TCP", "ProtocolVersion": "HTTP1"}, "InvalidConfigurationRequest", "Protocol version"),
    ({"HealthCheckTimeoutSeconds": 30}, "ValidationError", "Health check timeout '30' must be smaller than the interval '30'"),
    ({"HealthCheckProtocol": "TCP"}, "ValidationError", "HTTP, HTTPS"),
    ({"HealthCheckEnabled": False}, "InvalidConfigurationRequest", "Health check enabled must be true"),
    ({"HealthCheckPort": "0"}, "ValidationError", "traffic-port"),
    ({"Matcher": {"HttpCode": "500"}}, "ValidationError", "must be within '200-499' inclusive"),
    ({"ProtocolVersion": "GRPC", "Matcher": {"GrpcCode": "200"}}, "ValidationError", "Health check matcher GRPC code '200' must be within '0-99' inclusive"),
], ids=lambda value: str(value)[:30])
def test_what_cannot_be_created(b, fields, code, text):
    refused(code, text, b.group, **fields)


@pytest.mark.parametrize(("missing", "text"), [("VpcId", "A VPC ID must be specified"), ("Port", "A port must be specified"),
                                               ("Protocol", "A protocol must be specified")])
def test_what_must_be_given(b, missing, text):
    fields = {"Name": "x", "Protocol": "HTTP", "Port": 80, "VpcId": b.vpc}
    del fields[missing]
    refused("ValidationError", text, b.elb.create_target_group, **fields)


def test_health_checks_can_be_modified(b):
    arn = b.group_arn()
    changed, = b.elb.modify_target_group(TargetGroupArn=arn, HealthCheckPath="/h", HealthCheckPort="8080", HealthyThresholdCount=2,
                                         Matcher={"HttpCode": "200-299"})["TargetGroups"]
    assert (changed["HealthCheckPath"], changed["HealthCheckPort"], changed["HealthyThresholdCount"]) == ("/h", "8080", 2)
    assert changed["Matcher"] == {"HttpCode": "200-299"} and changed["HealthCheckIntervalSeconds"] == 30
    assert b.elb.describe_target_groups(TargetGroupArns=[arn])["TargetGroups"] == [changed]
    refused("ValidationError", "must be smaller than the interval '5'", b.elb.modify_target_group, TargetGroupArn=arn, HealthCheckIntervalSeconds=5)
    refused("TargetGroupNotFound", "", b.elb.modify_target_group, TargetGroupArn=b.arn("targetgroup/none/0123456789abcdef"), HealthCheckPath="/")


def test_attributes(b):
    def attributes(arn):
        return {a["Key"]: a["Value"] for a in b.elb.describe_target_group_attributes(TargetGroupArn=arn)["Attributes"]}

    def modify(arn, **pairs):
        return b.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[
            {"Key": key.replace("__", "."), "Value": value} for key, value in pairs.items()])

    http, tcp, udp = b.group_arn(), b.group_arn(Protocol="TCP"), b.group_arn(Protocol="UDP")
    assert attributes(http) == {
        "deregistration_delay.timeout_seconds": "300", "stickiness.enabled": "false", "stickiness.type": "lb_cookie",
        "stickiness.lb_cookie.duration_seconds": "86400", "stickiness.app_cookie.duration_seconds": "86400",
        "stickiness.app_cookie.cookie_name": "", "slow_start.duration_seconds": "0", "load_balancing.algorithm.type": "round_robin",
        "load_balancing.algorithm.anomaly_mitigation": "off", "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
        "target_group_health.dns_failover.minimum_healthy_targets.count": "1",
        "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1",
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
    }
    assert attributes(tcp)["stickiness.type"] == "source_ip" and attributes(tcp)["preserve_client_ip.enabled"] == "false"
    assert attributes(udp)["preserve_client_ip.enabled"] == "true"
    assert attributes(udp)["deregistration_delay.connection_termination.enabled"] == "true"
    changed = modify(http, deregistration_delay__timeout_seconds="0", stickiness__enabled="true")["Attributes"]
    assert {a["Key"]: a["Value"] for a in changed} == attributes(http)
    assert attributes(http)["deregistration_delay.timeout_seconds"] == "0"
    other = b.group_arn()
    for arn, pairs, code, text in [
        (http, {"deregistration_delay__timeout_seconds": "3601"}, "ValidationError",
         "'deregistration_delay.timeout_seconds' value '3601' must be between '0-3600' inclusive"),
        (http, {"proxy_protocol_v2__enabled": "true"}, "InvalidConfigurationRequest",
         "A target group with HTTP protocol does not support the attribute proxy_protocol_v2.enabled"),
        (http, {"stickiness__type": "app_cookie"}, "InvalidConfigurationRequest",
         "You must set an application cookie name to enable stickiness of type 'app_cookie'"),
        (http, {"load_balancing__algorithm__type": "weighted_random"}, "InvalidConfigurationRequest", "stickiness"),
        (http, {"load_balancing__cross_zone__enabled": "false"}, "InvalidConfigurationRequest", "cross-zone"),
        (other, {"stickiness__app_cookie__cookie_name": "AWSALB"}, "InvalidConfigurationRequest", "reserved"),
        (other, {"slow_start__duration_seconds": "29"}, "ValidationError", "30-900"),
        (other, {"slow_start__duration_seconds": "30", "load_balancing__algorithm__type": "least_outstanding_requests"},
         "InvalidConfigurationRequest", "slow start"),
        (other, {"load_balancing__algorithm__anomaly_mitigation": "on"}, "InvalidConfigurationRequest",
         "You cannot enable both anomaly mitigation and round robin algorithm on a target group"),
        (tcp, {"stickiness__type": "lb_cookie"}, "InvalidConfigurationRequest",
         "Stickiness type 'lb_cookie' is not supported for target groups with the TCP protocol"),
        (udp, {"preserve_client_ip__enabled": "false"}, "ValidationError",
         "preserve_client_ip.enabled cannot be false if the target group protocol is UDP or TCP_UDP."),
        (tcp, {"slow_start__duration_seconds": "30"}, "InvalidConfigurationRequest",
         "A target group with TCP protocol does not support the attribute slow_start.duration_seconds"),
        (tcp, {"stickiness__duration_seconds": "1"}, "ValidationError", "Target group attribute key 'stickiness.duration_seconds' is not recognized"),
        (tcp, {"stickiness__enabled": "1"}, "ValidationError", "The value of 'stickiness.enabled' must be 'true' or 'false', but was '1'"),
        (b.group_arn(Protocol="TLS"), {"stickiness__enabled": "true"}, "InvalidConfigurationRequest",
         "You cannot enable stickiness on target groups with the TLS protocol"),
    ]:
        refused(code, text, modify, arn=arn, **pairs)


def test_describing(b):
    balancer, group = b.balancer()["LoadBalancerArn"], b.group()
    arn = group["TargetGroupArn"]
    b.listener(balancer, forward(arn))
    b.listener(balancer, OK, Port=81)
    found, = b.elb.describe_target_groups(LoadBalancerArn=balancer)["TargetGroups"]
    assert (found["TargetGroupArn"], found["LoadBalancerArns"]) == (arn, [balancer])
    assert b.elb.describe_target_groups(Names=[group["TargetGroupName"]])["TargetGroups"] == [found]
    refused("TargetGroupNotFound", "One or more target groups not found", b.elb.describe_target_groups, Names=["none"])
    refused("TargetGroupNotFound", "One or more target groups not found", b.elb.describe_target_groups,
            TargetGroupArns=[arn, b.arn("targetgroup/none/0123456789abcdef")])
    refused("ValidationError", "Target group names, target group ARNs, and a load balancer ARN cannot be specified at the same time",
            b.elb.describe_target_groups, Names=["x"], LoadBalancerArn=balancer)
    pages = list(b.elb.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 3}))
    assert len(pages) > 1 and all(len(page["TargetGroups"]) == 3 for page in pages[:-1])


def test_a_group_in_use_cannot_be_deleted(b):
    balancer, arn = b.balancer()["LoadBalancerArn"], b.group_arn()
    listener = b.listener(balancer, {"Type": "forward", "ForwardConfig": {"TargetGroups": [
        {"TargetGroupArn": arn, "Weight": 0}, {"TargetGroupArn": b.group_arn(), "Weight": 1}]}})["ListenerArn"]
    refused("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule", b.elb.delete_target_group, TargetGroupArn=arn)
    b.elb.delete_listener(ListenerArn=listener)
    b.elb.delete_target_group(TargetGroupArn=arn)
    b.elb.delete_target_group(TargetGroupArn=arn)
    refused("TargetGroupNotFound", "", b.elb.describe_target_health, TargetGroupArn=arn)


def test_a_group_has_one_load_balancer(b):
    arn = b.group_arn()
    first, second = (b.balancer()["LoadBalancerArn"] for _ in range(2))
    b.listener(first, forward(arn))
    b.listener(first, forward(arn), Port=81)
    text = f"The following target groups cannot be associated with more than one load balancer: {arn}"
    refused("TargetGroupAssociationLimit", text, b.listener, balancer=second, action=forward(arn))
    b.elb.delete_load_balancer(LoadBalancerArn=first)
    b.listener(second, forward(arn))
