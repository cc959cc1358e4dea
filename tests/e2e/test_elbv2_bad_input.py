"""Each member of a valid call made wrong in each way: load balancing refuses or works, and never breaks."""

import pytest
from botocore.session import get_session

from harness import generate, wire
from harness.elb import Balancing, forward, path, refused, weighted

MODEL = get_session().get_service_model("elbv2")


def form_of(value, name: str = "") -> dict[str, str]:
    """What is written for a value whatever the model says: botocore's writer gives up on wrong types."""
    if isinstance(value, dict):
        parts = [form_of(inner, f"{name}.{key}" if name else str(key)) for key, inner in value.items()]
    elif isinstance(value, list):
        parts = [form_of(inner, f"{name}.member.{number}") for number, inner in enumerate(value, 1)]
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return {} if value is None else {name: text}
    return {key: text for part in parts for key, text in part.items()}


@pytest.fixture(scope="module")
def starts(api_server):
    b = Balancing(api_server)
    balancer, group = b.balancer()["LoadBalancerArn"], b.group_arn()
    listener = b.listener(balancer, forward(group))["ListenerArn"]
    action = forward(group)
    rule = b.elb.create_rule(ListenerArn=listener, Priority=1, Conditions=[path("/x")], Actions=[action])["Rules"][0]["RuleArn"]
    return wire.Caller(api_server.address, b.account), {
        "CreateLoadBalancer": {"Name": "bad", "Subnets": b.subnets[:2]},
        "SetSubnets": {"LoadBalancerArn": balancer, "Subnets": b.subnets[:2]},
        "ModifyLoadBalancerAttributes": {"LoadBalancerArn": balancer, "Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "5"}]},
        "CreateTargetGroup": {"Name": "bad", "Protocol": "HTTP", "Port": 80, "VpcId": b.vpc, "TargetType": "ip"},
        "ModifyTargetGroup": {"TargetGroupArn": group},
        "ModifyTargetGroupAttributes": {"TargetGroupArn": group, "Attributes": [{"Key": "stickiness.enabled", "Value": "false"}]},
        "CreateListener": {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 99, "DefaultActions": [action]},
        "ModifyListener": {"ListenerArn": listener, "DefaultActions": [action]},
        "CreateRule": {"ListenerArn": listener, "Priority": 2, "Conditions": [path("/y")], "Actions": [action]},
        "ModifyRule": {"RuleArn": rule, "Conditions": [path("/y")], "Actions": [action]},
        "SetRulePriorities": {"RulePriorities": [{"RuleArn": rule, "Priority": 3}]},
        "RegisterTargets": {"TargetGroupArn": group, "Targets": [{"Id": f"{b.prefix}.200"}]},
        "DeregisterTargets": {"TargetGroupArn": group, "Targets": [{"Id": f"{b.prefix}.200"}]},
        "DescribeTargetHealth": {"TargetGroupArn": group, "Targets": [{"Id": f"{b.prefix}.200"}]},
        "AddTags": {"ResourceArns": [group], "Tags": [{"Key": "k", "Value": "v"}]},
        "DescribeLoadBalancers": {},
        "DescribeTargetGroups": {},
        "DescribeListeners": {"LoadBalancerArn": balancer},
        "DescribeRules": {"ListenerArn": listener},
    }


@pytest.mark.parametrize("name", [
    "CreateLoadBalancer", "SetSubnets", "ModifyLoadBalancerAttributes", "CreateTargetGroup", "ModifyTargetGroup",
    "ModifyTargetGroupAttributes", "CreateListener", "ModifyListener", "CreateRule", "ModifyRule", "SetRulePriorities",
    "RegisterTargets", "DeregisterTargets", "DescribeTargetHealth", "AddTags", "DescribeLoadBalancers", "DescribeTargetGroups",
    "DescribeListeners", "DescribeRules",
])
def test_each_member_made_wrong(starts, name):
    caller, starts = starts
    operation = MODEL.operation_model(name)
    broken, count = [], 0
    for what, parameters, _ in generate.mutations(operation.input_shape, starts[name]):
        answer = caller.form(MODEL.signing_name, form_of(parameters) | {"Action": name, "Version": MODEL.api_version})
        count += 1
        if answer.status not in (200, 400, 413) or (answer.status != 200 and not answer.code(operation)):
            broken.append(f"{what}: {answer}")
    assert count >= len(operation.input_shape.members)
    assert not broken, "\n".join(broken[:20])


@pytest.fixture(scope="module")
def b(api_server):
    return Balancing(api_server)


@pytest.mark.parametrize("resource", ["listener/app/none/1/2", "listener/gwy/none/1/2", "listener/app/none", "listener/x"])
def test_unknown_listeners(b, resource):
    arn = b.arn(resource)
    for call in (b.elb.delete_listener, b.elb.describe_rules, b.elb.describe_listener_attributes):
        refused("ListenerNotFound", "", call, ListenerArn=arn)
    refused("ListenerNotFound", "One or more listeners not found", b.elb.describe_listeners, ListenerArns=[arn])
    refused("ListenerNotFound", "", b.elb.modify_listener, ListenerArn=arn, Port=1)


@pytest.mark.parametrize("resource", ["listener-rule/app/none/1/2/3", "listener-rule/gwy/none/1/2/3", "listener-rule/app/none/1"])
def test_unknown_rules(b, resource):
    arn = b.arn(resource)
    refused("RuleNotFound", "", b.elb.delete_rule, RuleArn=arn)
    refused("RuleNotFound", "One or more rules not found", b.elb.describe_rules, RuleArns=[arn])
    refused("RuleNotFound", "", b.elb.modify_rule, RuleArn=arn, Conditions=[path("/x")])
    refused("RuleNotFound", "", b.elb.set_rule_priorities, RulePriorities=[{"RuleArn": arn, "Priority": 1}])


def test_what_is_no_arn_of_the_kind_is_malformed(b):
    for arn in ("rubbish", b.arn("listener-rule/app/none/1/2/3")):
        refused("ValidationError", f"'{arn}' is not a valid listener ARN", b.elb.delete_listener, ListenerArn=arn)


def sticky(b, group: str, enabled: str = "true") -> dict:
    return {"TargetGroupArn": group, "Attributes": [{"Key": "stickiness.enabled", "Value": enabled}]}


def test_target_stickiness_needs_group_stickiness_from_both_sides(b):
    first, second = b.group_arn(), b.group_arn()
    without, with_it = weighted((first, 1), (second, 1)), weighted((first, 1), (second, 1), sticky=60)
    listener = b.listener(b.balancer()["LoadBalancerArn"], without)["ListenerArn"]
    default, = b.elb.describe_rules(ListenerArn=listener)["Rules"]
    text = (f"This target group appears behind a rule with group stickiness disabled ({default['RuleArn']}). "
            "You must enable group stickiness before enabling target stickiness")
    refused("InvalidConfigurationRequest", text, b.elb.modify_target_group_attributes, **sticky(b, first))
    b.elb.modify_listener(ListenerArn=listener, DefaultActions=[with_it])
    b.elb.modify_target_group_attributes(**sticky(b, first))
    refused("InvalidLoadBalancerAction", "stickiness", b.elb.modify_listener, ListenerArn=listener, DefaultActions=[without])
    b.elb.modify_target_group_attributes(**sticky(b, first, "false"))
    b.elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(first)])
    rule, = b.elb.create_rule(ListenerArn=listener, Priority=1, Conditions=[path("/x")], Actions=[without])["Rules"]
    refused("InvalidConfigurationRequest", rule["RuleArn"], b.elb.modify_target_group_attributes, **sticky(b, second))
    b.elb.delete_rule(RuleArn=rule["RuleArn"])
    b.elb.modify_target_group_attributes(**sticky(b, second))
    # A rule with one group needs no group stickiness.
    b.elb.modify_target_group_attributes(**sticky(b, first))
