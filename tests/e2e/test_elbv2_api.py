"""What is common to all of load balancing's API: tags, policies, limits, and what is not there."""

import pytest
from botocore.exceptions import ClientError

from harness import wire
from harness.elb import OK, Balancing, forward, path, refused
from harness.server import fresh_account


@pytest.fixture(scope="module")
def b(api_server):
    return Balancing(api_server)


@pytest.fixture(scope="module")
def resources(b):
    """One of each kind with a tag, by kind."""
    tags = [{"Key": "made", "Value": "at creation"}]
    group = b.group(Tags=tags)["TargetGroupArn"]
    balancer = b.balancer(Tags=tags)["LoadBalancerArn"]
    listener = b.listener(balancer, forward(group), Tags=tags)["ListenerArn"]
    rule = b.elb.create_rule(ListenerArn=listener, Priority=1, Conditions=[path("/x")], Actions=[OK], Tags=tags)["Rules"][0]["RuleArn"]
    return {"balancer": balancer, "group": group, "listener": listener, "rule": rule}


@pytest.mark.parametrize("kind", ["balancer", "group", "listener", "rule"])
def test_tags(b, resources, kind):
    arn = resources[kind]

    def tags():
        description, = b.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"]
        assert description["ResourceArn"] == arn
        return {tag["Key"]: tag["Value"] for tag in description["Tags"]}
    assert tags() == {"made": "at creation"}
    b.elb.add_tags(ResourceArns=[arn], Tags=[{"Key": "made", "Value": "anew"}, {"Key": "empty"}])
    assert tags() == {"made": "anew", "empty": ""}
    b.elb.remove_tags(ResourceArns=[arn], TagKeys=["empty", "none"])
    assert tags() == {"made": "anew"}
    refused("TooManyTags", "", b.elb.add_tags, ResourceArns=[arn], Tags=[{"Key": f"k{n}"} for n in range(50)])
    refused("DuplicateTagKeys", "Tag key was specified more than once: k", b.elb.add_tags, ResourceArns=[arn], Tags=[{"Key": "k"}, {"Key": "k"}])
    refused("ValidationError", "aws:", b.elb.add_tags, ResourceArns=[arn], Tags=[{"Key": "aws:k"}])
    assert tags() == {"made": "anew"}


def test_tags_of_several_resources_are_added_to_all_or_none(b, resources):
    arns = list(resources.values())
    descriptions = b.elb.describe_tags(ResourceArns=arns)["TagDescriptions"]
    assert [d["ResourceArn"] for d in descriptions] == arns
    for resource, code in [("targetgroup/none/1", "TargetGroupNotFound"), ("loadbalancer/app/none/1", "LoadBalancerNotFound"),
                           ("listener/app/none/1/2", "ListenerNotFound"), ("listener-rule/app/none/1/2/3", "RuleNotFound"),
                           ("truststore/none/1", "TrustStoreNotFound")]:
        refused(code, "", b.elb.add_tags, ResourceArns=[arns[0], b.arn(resource)], Tags=[{"Key": "both"}])
    assert all(tag["Key"] != "both" for tag in b.elb.describe_tags(ResourceArns=arns[:1])["TagDescriptions"][0]["Tags"])
    refused("ValidationError", "", b.elb.describe_tags, ResourceArns=["rubbish"])
    refused("ValidationError", "20", b.elb.describe_tags, ResourceArns=arns[:1] * 21)


def test_ssl_policies(b):
    policies = b.elb.describe_ssl_policies()["SslPolicies"]
    by_name = {policy["Name"]: policy for policy in policies}
    assert len(by_name) == 17 and by_name["ELBSecurityPolicy-TLS13-1-3-2021-06"]["SslProtocols"] == ["TLSv1.3"]
    one, = b.elb.describe_ssl_policies(Names=["ELBSecurityPolicy-2016-08"])["SslPolicies"]
    assert one["SslProtocols"] == ["TLSv1", "TLSv1.1", "TLSv1.2"] and one["SupportedLoadBalancerTypes"] == ["application", "network"]
    assert [cipher["Priority"] for cipher in one["Ciphers"]] == list(range(1, len(one["Ciphers"]) + 1))
    refused("SSLPolicyNotFound", "none", b.elb.describe_ssl_policies, Names=["none"])
    assert len(b.elb.describe_ssl_policies(PageSize=5)["SslPolicies"]) == 5


def test_account_limits(b):
    limits = {limit["Name"]: limit["Max"] for limit in b.elb.describe_account_limits()["Limits"]}
    assert limits["application-load-balancers"] == "50" and limits["rules-per-application-load-balancer"] == "100"
    assert limits["target-groups"] == "3000"
    paged = b.elb.get_paginator("describe_account_limits").paginate(PaginationConfig={"PageSize": 7}).build_full_result()
    assert len(paged["Limits"]) == len(limits)


def test_what_terraform_asks_at_each_refresh(b, resources):
    balancer, group, listener = (resources[kind] for kind in ("balancer", "group", "listener"))
    capacity = b.elb.describe_capacity_reservation(LoadBalancerArn=balancer)
    assert capacity["CapacityReservationState"] == [] and "MinimumLoadBalancerCapacity" not in capacity
    assert b.elb.describe_load_balancer_attributes(LoadBalancerArn=balancer)["Attributes"]
    assert b.elb.describe_target_group_attributes(TargetGroupArn=group)["Attributes"]
    assert b.elb.describe_listener_attributes(ListenerArn=listener)["Attributes"]
    assert b.elb.describe_listener_certificates(ListenerArn=listener)["Certificates"] == []
    assert b.elb.describe_rules(ListenerArn=listener)["Rules"] and b.elb.describe_tags(ResourceArns=[balancer])["TagDescriptions"]


def test_nobody_sees_what_others_have(api_server, b, resources):
    stranger = Balancing(api_server)
    assert stranger.elb.describe_load_balancers()["LoadBalancers"] == [] == stranger.elb.describe_target_groups()["TargetGroups"]
    refused("LoadBalancerNotFound", "", stranger.elb.describe_load_balancers, LoadBalancerArns=[resources["balancer"]])
    elsewhere = api_server.client("elbv2", b.account, region="eu-west-1")
    assert elsewhere.describe_load_balancers()["LoadBalancers"] == []


def test_classic_load_balancers_are_another_api(api_server):
    """Same endpoint and signing name, another version."""
    caller = wire.Caller(api_server.address, fresh_account())
    answer = caller.form("elasticloadbalancing", {"Action": "DescribeLoadBalancers", "Version": "2012-06-01"})
    assert answer.status == 501 and b"Elastic Load Balancing is not part of Neargate" in answer.body
    answer = caller.form("elasticloadbalancing", {"Action": "DescribeLoadBalancers", "Version": "2015-12-01"})
    assert answer.status == 200 and b"<LoadBalancers" in answer.body, "an empty list is an empty element"


def test_what_is_not_built_says_so(b):
    arn = b.arn("truststore/x/1")
    for call, fields in [(b.elb.describe_trust_stores, {}), (b.elb.get_resource_policy, {"ResourceArn": arn}),
                         (b.elb.delete_trust_store, {"TrustStoreArn": arn})]:
        with pytest.raises(ClientError) as caught:
            call(**fields)
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_everything_is_there_after_a_kill(tmp_path):
    """And what was draining goes on draining."""
    from harness.elb import eventually
    from harness.server import Server
    options = ("--no-node", "--time-scale", "600")
    server = Server(tmp_path / "data", *options)
    b = Balancing(server)
    group = b.group_arn()
    balancer = b.balancer()["LoadBalancerArn"]
    listener = b.listener(balancer, forward(group))["ListenerArn"]
    target = [{"Id": f"{b.prefix}.200"}]
    b.elb.register_targets(TargetGroupArn=group, Targets=target)
    b.elb.deregister_targets(TargetGroupArn=group, Targets=target)
    server.process.kill()
    server.process.wait()
    server = Server(tmp_path / "data", *options)
    again = Balancing(server, b.account)
    assert again.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"][0]["ListenerArn"] == listener
    eventually(lambda: again.health(group), [])
    server.stop()
