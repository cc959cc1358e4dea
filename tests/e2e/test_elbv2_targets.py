"""Targets: registering, health without a data plane, draining on the control clock."""

import pytest

from harness.elb import OK, Balancing, eventually, forward, path, refused, weighted


@pytest.fixture(scope="module")
def b(api_server):
    return Balancing(api_server)


@pytest.fixture
def group(b):
    """A group that a listener sends to."""
    arn = b.group_arn()
    b.listener(b.balancer()["LoadBalancerArn"], forward(arn))
    return arn


def states(b, group, **fields):
    return [(h["Target"]["Id"], h["Target"]["Port"], h["TargetHealth"]["State"], h["TargetHealth"].get("Reason")) for h in b.health(group, **fields)]


def test_registered_targets(b, group):
    address = f"{b.prefix}.200"
    for _ in range(2):
        b.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address}, {"Id": address, "Port": 8080}])
    assert states(b, group) == [
        (address, 80, "initial", "Elb.RegistrationInProgress"), (address, 8080, "initial", "Elb.RegistrationInProgress")]
    first = b.health(group)[0]
    assert first["HealthCheckPort"] == "80" and first["Target"]["AvailabilityZone"] == b.zones[0]
    assert first["TargetHealth"]["Description"] == "Target registration is in progress"
    named = states(b, group, Targets=[{"Id": address, "Port": 8080}, {"Id": f"{b.prefix}.201"}])
    assert named == [(address, 8080, "initial", "Elb.RegistrationInProgress"), (f"{b.prefix}.201", 80, "unused", "Target.NotRegistered")]
    assert "AnomalyDetection" not in first
    assert b.health(group, Include=["All"])[0]["AnomalyDetection"] == {"Result": "normal", "MitigationInEffect": "no"}


def test_a_group_that_nobody_uses(b):
    arn = b.group_arn()
    b.elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": f"{b.prefix}.200"}])
    health, = b.health(arn)
    assert health["TargetHealth"] == {"State": "unused", "Reason": "Target.NotInUse",
                                      "Description": "Target group is not configured to receive traffic from the load balancer"}


def test_targets_that_the_load_balancer_cannot_use(b, group):
    subnet = b.ec2.describe_subnets(SubnetIds=[b.subnets[-1]])["Subnets"][0]["CidrBlock"]
    far = subnet.rsplit(".", 1)[0] + ".200"
    own = b.ec2.describe_network_interfaces(Filters=[{"Name": "description", "Values": ["ELB app/*"]}])["NetworkInterfaces"]
    balancer = b.elb.describe_target_groups(TargetGroupArns=[group])["TargetGroups"][0]["LoadBalancerArns"][0]
    own = next(i["PrivateIpAddress"] for i in own if balancer.endswith(i["Description"].removeprefix("ELB ")))
    b.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": far}, {"Id": own}])
    found = {health["Target"]["Id"]: health["TargetHealth"] for health in b.health(group)}
    assert found[far] == {"State": "unused", "Reason": "Target.NotInUse",
                          "Description": "Target is in an Availability Zone that is not enabled for the load balancer"}
    assert (found[own]["State"], found[own]["Reason"]) == ("unused", "Target.IpUnusable")


@pytest.mark.parametrize(("target", "code"), [
    ({"Id": "8.8.8.8"}, "ValidationError"),
    ({"Id": "10.1.2.3"}, "ValidationError"),
    ({"Id": "rubbish"}, "ValidationError"),
    ({"Id": "2001:db8::1"}, "ValidationError"),
    ({"Id": "../x"}, "ValidationError"),
    ({"Id": "a b"}, "InvalidTarget"),
    ({"Id": "i-0123456789abcdef0"}, "ValidationError"),
])
def test_addresses_that_are_no_targets(b, group, target, code):
    refused(code, "", b.elb.register_targets, TargetGroupArn=group, Targets=[target])
    assert b.health(group) == []


def test_an_address_outside_the_vpc_is_for_all_zones(b, group):
    b.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.1.2.3", "AvailabilityZone": "all"}])
    health, = b.health(group)
    assert health["Target"]["AvailabilityZone"] == "all" and health["TargetHealth"]["State"] == "initial"


def test_instances_do_not_exist(b):
    arn = b.group_arn(TargetType="instance")
    refused("InvalidTarget", "The following targets are not in a running state and cannot be registered: 'i-0123456789abcdef0'",
            b.elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": "i-0123456789abcdef0"}])


def test_draining_takes_the_delay_of_the_group(b, group):
    """Ten minutes pass in a second here."""
    address = f"{b.prefix}.200"
    b.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "3600"}])
    b.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address}, {"Id": address, "Port": 8080}])
    b.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": address}])
    b.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": address}, {"Id": f"{b.prefix}.1"}])
    assert states(b, group) == [
        (address, 80, "draining", "Target.DeregistrationInProgress"), (address, 8080, "initial", "Elb.RegistrationInProgress")]
    b.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "300"}])
    eventually(lambda: states(b, group), [(address, 8080, "initial", "Elb.RegistrationInProgress")])
    b.elb.get_waiter("target_deregistered").wait(TargetGroupArn=group, Targets=[{"Id": address}])
    assert states(b, group, Targets=[{"Id": address}]) == [(address, 80, "unused", "Target.NotRegistered")]


def test_without_delay_a_target_goes_at_once(b, group):
    b.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}])
    b.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": f"{b.prefix}.200"}])
    b.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": f"{b.prefix}.200"}])
    assert b.health(group) == []


def test_a_draining_target_can_be_registered_anew(b, group):
    target = [{"Id": f"{b.prefix}.200"}]
    b.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "3600"}])
    b.elb.register_targets(TargetGroupArn=group, Targets=target)
    b.elb.deregister_targets(TargetGroupArn=group, Targets=target)
    b.elb.register_targets(TargetGroupArn=group, Targets=target)
    assert b.health(group)[0]["TargetHealth"]["State"] == "initial"


def test_the_quota_of_targets(b):
    arn = b.group_arn()
    targets = [{"Id": f"{b.prefix}.200", "Port": port} for port in range(1, 1001)]
    b.elb.register_targets(TargetGroupArn=arn, Targets=targets)
    assert len(b.health(arn)) == 1000
    refused("TooManyTargets", "[1000]", b.elb.register_targets, TargetGroupArn=arn, Targets=[{"Id": f"{b.prefix}.200", "Port": 1001}])


def ports(b, first: int, last: int) -> list[dict]:
    return [{"Id": f"{b.prefix}.200", "Port": port} for port in range(first, last + 1)]


def test_the_quota_of_targets_of_a_load_balancer(b):
    full, rest, unused = b.group_arn(), b.group_arn(), b.group_arn()
    balancer = b.balancer()["LoadBalancerArn"]
    listener = b.listener(balancer, weighted((full, 1), (rest, 1)))["ListenerArn"]
    said = f"The maximum number of targets per load balancer '1000' has been reached on load balancer '{balancer}'"
    b.elb.register_targets(TargetGroupArn=full, Targets=ports(b, 1, 600))
    b.elb.register_targets(TargetGroupArn=rest, Targets=ports(b, 1, 400))
    refused("TooManyTargets", said, b.elb.register_targets, TargetGroupArn=rest, Targets=ports(b, 401, 401))
    assert len(b.health(rest)) == 400
    b.elb.register_targets(TargetGroupArn=rest, Targets=ports(b, 1, 400))
    # A group that the load balancer begins to use brings its targets along.
    b.elb.register_targets(TargetGroupArn=unused, Targets=ports(b, 1, 401))
    refused("TooManyTargets", said, b.elb.create_rule, ListenerArn=listener, Priority=1, Conditions=[path("/x")], Actions=[forward(unused)])
    refused("TooManyTargets", said, b.elb.modify_listener, ListenerArn=listener, DefaultActions=[weighted((full, 1), (unused, 1))])
    refused("TooManyTargets", said, b.listener, balancer=balancer, action=forward(unused), Port=81)
    # Instead of another one it fits.
    b.elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(unused)])


def test_the_quota_of_targets_of_a_zone(b):
    groups = [b.group_arn(Protocol="TCP") for _ in range(2)]
    balancer = b.network()["LoadBalancerArn"]
    b.listener(balancer, weighted(*((group, 1) for group in groups)), Protocol="TCP")
    b.elb.register_targets(TargetGroupArn=groups[0], Targets=ports(b, 1, 500))
    refused("TooManyTargets", f"availability zone per load balancer '500' has been reached on load balancer '{balancer}'",
            b.elb.register_targets, TargetGroupArn=groups[1], Targets=ports(b, 1, 1))
    other = b.ec2.describe_subnets(SubnetIds=[b.subnets[1]])["Subnets"][0]["CidrBlock"].rsplit(".", 1)[0]
    b.elb.register_targets(TargetGroupArn=groups[1], Targets=[{"Id": f"{other}.200"}])


def test_an_application_load_balancer_as_target(b):
    group = b.group_arn(Protocol="TCP", TargetType="alb")
    alb = b.balancer()["LoadBalancerArn"]
    refused("InvalidTarget", "does not have a listener with a port matching", b.elb.register_targets, TargetGroupArn=group, Targets=[{"Id": alb}])
    b.listener(alb, OK)
    b.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": alb}])
    assert b.health(group)[0]["Target"] == {"Id": alb, "Port": 80}
    refused("ResourceInUse", "", b.elb.delete_load_balancer, LoadBalancerArn=alb)
    b.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}])
    b.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": alb}])
    b.elb.delete_load_balancer(LoadBalancerArn=alb)
    network = b.network()["LoadBalancerArn"]
    refused("InvalidTarget", "does not exist or is not in the same VPC", b.elb.register_targets, TargetGroupArn=group, Targets=[{"Id": network}])
