"""Rules: conditions, priorities, transforms, the default rule."""

import re

import pytest

from harness.elb import OK, Balancing, forward, ids, path, refused, weighted


@pytest.fixture(scope="module")
def b(api_server):
    return Balancing(api_server)


@pytest.fixture
def listener(b):
    return b.listener(b.balancer()["LoadBalancerArn"], OK)["ListenerArn"]


def rule(b, listener, priority, *conditions, actions=(OK,), **fields):
    return b.elb.create_rule(ListenerArn=listener, Priority=priority, Conditions=list(conditions) or [path("/x")],
                             Actions=list(actions), **fields)["Rules"][0]


def test_a_rule(b, listener):
    group = b.group_arn()
    created = rule(b, listener, 10, path("/a", "/b/*"), actions=[forward(group)])
    tail = listener.split("listener/")[1]
    assert re.fullmatch(rf"arn:aws:elasticloadbalancing:us-east-1:{b.account}:listener-rule/{tail}/[0-9a-f]{{16}}", created["RuleArn"])
    assert (created["Priority"], created["IsDefault"]) == ("10", False)
    assert created["Conditions"] == [path("/a", "/b/*") | {"PathPatternConfig": {"Values": ["/a", "/b/*"]}}]
    assert created["Actions"][0]["TargetGroupArn"] == group
    rule(b, listener, 5)
    rules = b.elb.describe_rules(ListenerArn=listener)["Rules"]
    assert ids(rules, "Priority") == ["5", "10", "default"] and rules[1] == created
    assert rules[2]["IsDefault"] and rules[2]["Conditions"] == [] and rules[2]["Actions"] == [OK]
    assert b.elb.describe_rules(RuleArns=[created["RuleArn"]])["Rules"] == [created]
    refused("PriorityInUse", "Priority '10' is currently in use", rule, b=b, listener=listener, priority=10)


CONDITIONS = {
    "host": {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}},
    "header": {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["*b*"]}},
    "method": {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["GET", "HEAD"]}},
    "query": {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}, {"Value": "*x*"}]}},
    "source": {"Field": "source-ip", "SourceIpConfig": {"Values": ["192.0.2.0/24"]}},
    "regex": {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/v[0-9]+/"]}},
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_are_echoed(b, listener, name):
    condition = CONDITIONS[name]
    shown, = rule(b, listener, 1, condition)["Conditions"]
    assert {key: shown[key] for key in condition} == condition
    if name == "host":
        assert shown["Values"] == ["*.example.com"]


@pytest.mark.parametrize(("conditions", "text"), [
    ([{"Field": "cookie", "Values": ["x"]}], "Condition field 'cookie' must be one of 'http-header,http-request-method,host-header,query-string,path-pattern,source-ip'"),
    ([{"Field": "host-header", "Values": ["a." + "b" * 127]}], "Condition value for 'host-header' cannot contain more than 128 characters"),
    ([{"Field": "path-pattern"}], "For conditions of type 'path-pattern', you must specify the following fields: 'Values or RegexValues or PathPatternConfig'"),
    ([{"Field": "host-header", "HostHeaderConfig": {"Values": []}}], "You must provide exactly one of the following: ['Values' 'RegexValues'] for config of type 'HostHeaderConfig'"),
    ([path("/1", "/2", "/3", "/4", "/5", "/6")], "A rule can only have '5' condition values and regex values"),
    ([path("/1", "/2", "/3"), {"Field": "host-header", "Values": ["a.b", "c.d", "e.f"]}], "A rule can only have '5' condition values"),
    ([path("*******")], "'6' condition wildcards"),
    ([path("/a"), path("/b")], "A rule can only have one 'path-pattern' condition"),
    ([{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["x"]}}], "You cannot specify 'host' as an HTTP header name"),
    ([{"Field": "source-ip", "SourceIpConfig": {"Values": ["255.255.255.255/32"]}}], "The specified value '255.255.255.255/32' is not a valid CIDR block"),
    ([{"Field": "path-pattern", "RegexValues": ["("]}], "not a valid regular expression"),
], ids=lambda value: str(value)[:40])
def test_conditions_that_are_refused(b, listener, conditions, text):
    refused("ValidationError", text, b.elb.create_rule, ListenerArn=listener, Priority=1, Conditions=conditions, Actions=[OK])


def test_transforms(b, listener):
    host = {"Type": "host-header-rewrite", "HostHeaderRewriteConfig": {"Rewrites": [{"Regex": "^(.*)$", "Replace": "a-$1"}]}}
    url = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a", "Replace": "/b"}]}}
    created = rule(b, listener, 1, Transforms=[host, url])
    assert created["Transforms"] == [host, url]
    refused("ValidationError", "at most one", rule, b=b, listener=listener, priority=2, Transforms=[url, url])
    refused("ValidationError", "not valid", rule, b=b, listener=listener, priority=2, Transforms=[
        {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "(?=x)", "Replace": ""}]}}])
    refused("ValidationError", "", rule, b=b, listener=listener, priority=2, Transforms=[
        {"Type": "host-header-rewrite", "UrlRewriteConfig": url["UrlRewriteConfig"]}])
    modified, = b.elb.modify_rule(RuleArn=created["RuleArn"], Transforms=[url])["Rules"]
    assert modified["Transforms"] == [url]
    reset, = b.elb.modify_rule(RuleArn=created["RuleArn"], ResetTransforms=True)["Rules"]
    assert reset["Transforms"] == []


def test_modifying(b, listener):
    group = b.group_arn()
    arn = rule(b, listener, 1)["RuleArn"]
    modified, = b.elb.modify_rule(RuleArn=arn, Actions=[forward(group)])["Rules"]
    assert modified["Actions"][0]["TargetGroupArn"] == group and modified["Conditions"][0]["Values"] == ["/x"]
    modified, = b.elb.modify_rule(RuleArn=arn, Conditions=[path("/y")])["Rules"]
    assert modified["Actions"][0]["TargetGroupArn"] == group and modified["Conditions"][0]["Values"] == ["/y"]
    refused("ValidationError", "Either conditions or actions must be specified", b.elb.modify_rule, RuleArn=arn)
    refused("ResourceInUse", "", b.elb.delete_target_group, TargetGroupArn=group)
    b.elb.delete_rule(RuleArn=arn)
    b.elb.delete_target_group(TargetGroupArn=group)
    refused("RuleNotFound", "", b.elb.delete_rule, RuleArn=arn)


def test_the_default_rule(b, listener):
    arn = b.elb.describe_rules(ListenerArn=listener)["Rules"][0]["RuleArn"]
    group = b.group_arn()
    modified, = b.elb.modify_rule(RuleArn=arn, Actions=[forward(group)])["Rules"]
    shown, = b.elb.describe_listeners(ListenerArns=[listener])["Listeners"]
    assert shown["DefaultActions"] == modified["Actions"] and modified["IsDefault"]
    refused("OperationNotPermitted", "", b.elb.delete_rule, RuleArn=arn)
    refused("OperationNotPermitted", "", b.elb.modify_rule, RuleArn=arn, Conditions=[path("/x")])
    refused("OperationNotPermitted", "", b.elb.set_rule_priorities, RulePriorities=[{"RuleArn": arn, "Priority": 1}])


def test_priorities(b, listener):
    first, second, third = (rule(b, listener, n)["RuleArn"] for n in (1, 2, 3))

    def order():
        return [(r["RuleArn"], r["Priority"]) for r in b.elb.describe_rules(ListenerArn=listener)["Rules"][:-1]]
    swapped = b.elb.set_rule_priorities(RulePriorities=[{"RuleArn": first, "Priority": 2}, {"RuleArn": second, "Priority": 1}])["Rules"]
    assert [(r["RuleArn"], r["Priority"]) for r in swapped] == [(first, "2"), (second, "1")]
    assert order() == [(second, "1"), (first, "2"), (third, "3")]
    for pairs, code, text in [
        ([(first, 7), (second, 7)], "ValidationError", "Priority '7' was provided multiple times"),
        ([(first, 7), (second, 3)], "PriorityInUse", ""),
        ([(first, 7), (b.arn("listener-rule/app/none/1/2/3"), 8)], "RuleNotFound", ""),
    ]:
        refused(code, text, b.elb.set_rule_priorities, RulePriorities=[{"RuleArn": arn, "Priority": priority} for arn, priority in pairs])
    assert order() == [(second, "1"), (first, "2"), (third, "3")], "all or nothing"


def test_describing(b, listener):
    for priority in range(1, 6):
        rule(b, listener, priority)
    pages = list(b.elb.get_paginator("describe_rules").paginate(ListenerArn=listener, PaginationConfig={"PageSize": 4}))
    assert [ids(page["Rules"], "Priority") for page in pages] == [["1", "2", "3", "4"], ["5", "default"]]
    some = pages[0]["Rules"][0]["RuleArn"]
    refused("ValidationError", "You must specify either listener rule ARNs or a listener ARN", b.elb.describe_rules)
    refused("ValidationError", "Listener rule ARNs and a listener ARN cannot be specified at the same time",
            b.elb.describe_rules, ListenerArn=listener, RuleArns=[some])
    refused("RuleNotFound", "One or more rules not found", b.elb.describe_rules, RuleArns=[some, b.arn("listener-rule/app/none/1/2/3")])


def test_a_rules_actions_are_held_to_the_same_rules(b, listener):
    tcp = b.group_arn(Protocol="TCP")
    refused("IncompatibleProtocols", "", rule, b=b, listener=listener, priority=1, actions=[forward(tcp)])
    refused("ListenerNotFound", "", rule, b=b, listener=b.arn("listener/app/none/1/2"), priority=1)
    sticky, other = b.group_arn(), b.group_arn()
    b.elb.modify_target_group_attributes(TargetGroupArn=sticky, Attributes=[{"Key": "stickiness.enabled", "Value": "true"}])
    refused("InvalidLoadBalancerAction", "stickiness", rule, b=b, listener=listener, priority=1, actions=[weighted((sticky, 1), (other, 1))])
    assert rule(b, listener, 1, actions=[weighted((sticky, 1), (other, 1), sticky=60)])


def test_a_network_load_balancer_has_no_rules_but_the_default_one(b):
    listener = b.listener(b.network()["LoadBalancerArn"], forward(b.group_arn(Protocol="TCP")), Protocol="TCP")["ListenerArn"]
    refused("InvalidConfigurationRequest", "Network Load Balancers", rule, b=b, listener=listener, priority=1)
    assert len(b.elb.describe_rules(ListenerArn=listener)["Rules"]) == 1


def test_the_quotas_of_rules_and_groups(b, listener):
    groups = [b.group_arn() for _ in range(101)]
    for priority, group in enumerate(groups[:100], 1):
        rule(b, listener, priority, actions=[forward(group)])
    refused("TooManyRules", "[100]", rule, b=b, listener=listener, priority=200)
    refused("TooManyUniqueTargetGroupsPerLoadBalancer",
            "You have reached the maximum number of unique target groups that you can associate with a load balancer of type 'application': [100]",
            b.elb.modify_listener, ListenerArn=listener, DefaultActions=[forward(groups[100])])
    # One for another is no group more.
    last = b.elb.describe_rules(ListenerArn=listener)["Rules"][99]["RuleArn"]
    b.elb.modify_rule(RuleArn=last, Actions=[forward(groups[100])])
