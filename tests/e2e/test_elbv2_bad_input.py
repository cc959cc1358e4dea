"""Each member of a valid call made wrong in each way: load balancing refuses or works, and never breaks."""

import pytest
from botocore.session import get_session

from harness import generate, wire
from harness.elb import Balancing, forward, path

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
