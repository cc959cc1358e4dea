"""Load balancers: what a call makes, answers and refuses, and the interfaces that come and go with them."""

import re

import pytest

from harness.elb import Balancing, forward, ids, refused
from harness.tasks import unique


@pytest.fixture(scope="module")
def b(api_server):
    return Balancing(api_server)


def test_an_application_load_balancer(b):
    lb = b.balancer("Web-1", Tags=[{"Key": "k", "Value": "v"}])
    assert re.fullmatch(rf"arn:aws:elasticloadbalancing:us-east-1:{b.account}:loadbalancer/app/Web-1/[0-9a-f]{{16}}", lb["LoadBalancerArn"])
    assert re.fullmatch(r"Web-1-\d+\.us-east-1\.elb\.localhost", lb["DNSName"])
    assert lb["CanonicalHostedZoneId"] == "Z35SXDOTRQ7X7K"
    assert (lb["Scheme"], lb["Type"], lb["IpAddressType"], lb["VpcId"]) == ("internet-facing", "application", "ipv4", b.vpc)
    assert {(zone["ZoneName"], zone["SubnetId"]) for zone in lb["AvailabilityZones"]} == set(zip(b.zones[:2], b.subnets[:2]))
    default = b.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"][0]["GroupId"]
    assert lb["SecurityGroups"] == [default], "the VPC's default group if none is named"
    b.elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[lb["LoadBalancerArn"]])
    found, = b.elb.describe_load_balancers(Names=["Web-1"])["LoadBalancers"]
    assert found["State"]["Code"] == "active" and found["CreatedTime"] == lb["CreatedTime"]


def test_its_interfaces_are_load_balancings_own(b):
    lb = b.balancer()
    name = lb["LoadBalancerArn"].split("loadbalancer/")[1]
    by_description = {"Filters": [{"Name": "description", "Values": [f"ELB {name}"]}]}
    interfaces = b.ec2.describe_network_interfaces(**by_description)["NetworkInterfaces"]
    assert sorted(ids(interfaces, "SubnetId")) == sorted(b.subnets[:2])
    assert all(i["RequesterManaged"] and i["RequesterId"] == "amazon-elb" and i["Status"] == "in-use" for i in interfaces)
    refused("OperationNotPermitted", "", b.ec2.delete_network_interface, NetworkInterfaceId=interfaces[0]["NetworkInterfaceId"])
    group = b.security_group()
    assert b.elb.set_security_groups(LoadBalancerArn=lb["LoadBalancerArn"], SecurityGroups=[group])["SecurityGroupIds"] == [group]
    interfaces = b.ec2.describe_network_interfaces(**by_description)["NetworkInterfaces"]
    assert all(ids(i["Groups"], "GroupId") == [group] for i in interfaces)
    refused("DependencyViolation", "", b.ec2.delete_security_group, GroupId=group)
    b.elb.delete_load_balancer(LoadBalancerArn=lb["LoadBalancerArn"])
    assert b.ec2.describe_network_interfaces(**by_description)["NetworkInterfaces"] == []
    b.ec2.delete_security_group(GroupId=group)


def test_a_network_load_balancer(b):
    lb = b.network(name="net", Subnets=b.subnets[:1])
    assert re.search(r":loadbalancer/net/net/[0-9a-f]{16}$", lb["LoadBalancerArn"])
    assert lb["DNSName"] == f"net-{lb['LoadBalancerArn'][-16:]}.us-east-1.elb.localhost"
    assert lb["CanonicalHostedZoneId"] == "Z26RNL4JYFTOTI" and "SecurityGroups" not in lb
    refused("InvalidConfigurationRequest", "without security groups", b.elb.set_security_groups,
            LoadBalancerArn=lb["LoadBalancerArn"], SecurityGroups=[b.security_group()])


def test_an_internal_network_load_balancer_has_the_address_that_was_asked_for(b):
    address = f"{b.prefix}.77"
    mapping = {"SubnetId": b.subnets[0], "PrivateIPv4Address": address}
    lb = b.elb.create_load_balancer(Name="given", Type="network", Scheme="internal", SubnetMappings=[mapping])["LoadBalancers"][0]
    assert lb["AvailabilityZones"][0]["LoadBalancerAddresses"] == [{"PrivateIPv4Address": address}]
    refused("InvalidSubnet", "in use", b.elb.create_load_balancer, Name="again", Type="network", Scheme="internal", SubnetMappings=[mapping])
    b.elb.delete_load_balancer(LoadBalancerArn=lb["LoadBalancerArn"])
    assert b.elb.create_load_balancer(Name="again", Type="network", Scheme="internal", SubnetMappings=[mapping])


def test_the_same_call_again_answers_the_same_load_balancer(b):
    first = b.balancer("same")
    assert b.balancer("same", Subnets=b.subnets[1::-1])["LoadBalancerArn"] == first["LoadBalancerArn"]
    for fields in ({"Scheme": "internal"}, {"Subnets": b.subnets[1:3]}, {"Type": "network"}, {"SecurityGroups": [b.security_group()]}):
        refused("DuplicateLoadBalancerName", "A load balancer with the same name 'same' exists, but with different settings",
                b.balancer, name="same", **fields)


def test_subnets_can_be_moved(b):
    lb = b.balancer()
    arn = lb["LoadBalancerArn"]
    zones = b.elb.set_subnets(LoadBalancerArn=arn, Subnets=b.subnets[1:3])["AvailabilityZones"]
    assert ids(zones, "SubnetId") == b.subnets[1:3]
    assert ids(b.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["AvailabilityZones"], "SubnetId") == b.subnets[1:3]
    refused("ValidationError", "At least two subnets in two different Availability Zones must be specified",
            b.elb.set_subnets, LoadBalancerArn=arn, Subnets=b.subnets[:1])
    assert b.elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"
    refused("InvalidConfigurationRequest", "You must specify subnets with an associated IPv6 CIDR block.",
            b.elb.set_ip_address_type, LoadBalancerArn=arn, IpAddressType="dualstack")


@pytest.mark.parametrize(("fields", "code", "text"), [
    ({"Name": "a" * 33}, "ValidationError", "cannot be longer than '32' characters"),
    ({"Name": "internal-x"}, "ValidationError", "The load balancer name 'internal-x' cannot begin with 'internal-'"),
    ({"Name": "x-"}, "ValidationError", "cannot end with a hyphen(-)"),
    ({"Name": "a_b"}, "ValidationError", "can only contain characters that are alphanumeric characters and hyphens(-)"),
    ({"Subnets": []}, "ValidationError", "subnet"),
    ({"Subnets": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]}, "SubnetNotFound", "The subnet ID 'subnet-0123456789abcdef0' does not exist"),
    ({"SecurityGroups": ["sg-0123456789abcdef0"]}, "InvalidSecurityGroup", "Security group sg-0123456789abcdef0 does not exist"),
    ({"Type": "gateway"}, "InvalidConfigurationRequest", "not built in Neargate"),
    ({"IpAddressType": "dualstack"}, "InvalidConfigurationRequest", "IPv6 CIDR block"),
    ({"Scheme": "public"}, "ValidationError", "internet-facing, internal"),
    ({"Tags": [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]}, "DuplicateTagKeys", "Tag key was specified more than once: k"),
    ({"Tags": [{"Key": f"k{n}", "Value": "v"} for n in range(51)]}, "TooManyTags", ""),
], ids=lambda value: str(value)[:30])
def test_what_cannot_be_created(b, fields, code, text):
    refused(code, text, b.balancer, **{"name": fields.pop("Name", "")} | fields)


def test_subnets_must_fit_together(b):
    zone = b.zones[0]
    vpc, subnets = b.other_vpc()
    twin = b.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.9.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
    refused("ValidationError", "At least two subnets in two different Availability Zones must be specified", b.balancer, Subnets=b.subnets[:1])
    refused("InvalidConfigurationRequest", "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
            b.balancer, Subnets=[subnets[0], twin])
    refused("InvalidConfigurationRequest", "same VPC", b.balancer, Subnets=[b.subnets[2], subnets[0]])
    refused("InvalidSubnet", f"VPC {vpc} has no internet gateway", b.balancer, Subnets=subnets)
    refused("InvalidSecurityGroup", "", b.balancer, SecurityGroups=[b.security_group(vpc)])
    assert b.balancer(Subnets=subnets, Scheme="internal")["DNSName"].startswith("internal-")


def test_a_subnet_without_free_addresses(b):
    vpc, subnets = b.other_vpc()
    small = b.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.99.0/28", AvailabilityZone=b.zones[0])["Subnet"]["SubnetId"]
    for _ in range(11):
        b.ec2.create_network_interface(SubnetId=small)
    refused("InvalidSubnet", f"Not enough IP space available in {small}.", b.balancer, Subnets=[small, subnets[1]], Scheme="internal")


def test_deletion(b):
    lb, group = b.balancer(), b.group()
    arn = lb["LoadBalancerArn"]
    b.listener(arn, forward(group["TargetGroupArn"]))
    b.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "true"}])
    refused("OperationNotPermitted", "deletion protection", b.elb.delete_load_balancer, LoadBalancerArn=arn)
    b.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "deletion_protection.enabled", "Value": "false"}])
    b.elb.delete_load_balancer(LoadBalancerArn=arn)
    b.elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn])
    b.elb.delete_load_balancer(LoadBalancerArn=arn)
    assert b.elb.describe_target_groups(TargetGroupArns=[group["TargetGroupArn"]])["TargetGroups"][0]["LoadBalancerArns"] == []
    b.elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])


def test_unknown_and_malformed(b):
    unknown = b.arn("loadbalancer/app/none/0123456789abcdef")
    for call in (b.elb.describe_load_balancer_attributes, b.elb.describe_capacity_reservation, b.elb.describe_listeners):
        refused("LoadBalancerNotFound", "", call, LoadBalancerArn=unknown)
        refused("ValidationError", "'rubbish' is not a valid load balancer ARN", call, LoadBalancerArn="rubbish")
    lb = b.balancer()["LoadBalancerArn"]
    refused("LoadBalancerNotFound", "", b.elb.describe_load_balancers, LoadBalancerArns=[lb, unknown])
    refused("LoadBalancerNotFound", "Load balancers '[none]' not found", b.elb.describe_load_balancers, Names=["none"])


def test_pages(api_server):
    b = Balancing(api_server)
    names = sorted(b.network(Subnets=b.subnets[:1])["LoadBalancerName"] for _ in range(5))
    pages = list(b.elb.get_paginator("describe_load_balancers").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(page["LoadBalancers"]) for page in pages] == [2, 2, 1]
    assert [lb["LoadBalancerName"] for page in pages for lb in page["LoadBalancers"]] == names
    assert "NextMarker" not in pages[-1]
    refused("ValidationError", "marker", b.elb.describe_load_balancers, Marker="%%%")


def test_attributes(b):
    arn = b.balancer()["LoadBalancerArn"]
    def attributes(of=arn):
        return {a["Key"]: a["Value"] for a in b.elb.describe_load_balancer_attributes(LoadBalancerArn=of)["Attributes"]}
    before = attributes()
    assert before["idle_timeout.timeout_seconds"] == "60" and before["client_keep_alive.seconds"] == "3600"
    assert before["routing.http.desync_mitigation_mode"] == "defensive" and before["routing.http2.enabled"] == "true"
    assert before["load_balancing.cross_zone.enabled"] == "true" and before["routing.http.xff_header_processing.mode"] == "append"
    changed = b.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "4000"}])
    assert {a["Key"]: a["Value"] for a in changed["Attributes"]} == before | {"idle_timeout.timeout_seconds": "4000"} == attributes()
    for key, value, code, text in [
        ("idle_timeout.timeout_seconds", "4001", "ValidationError", "The value of 'idle_timeout.timeout_seconds' cannot be greater than 4000 characters"),
        ("no.such.key", "1", "ValidationError", "Load balancer attribute key 'no.such.key' is not recognized"),
        ("load_balancing.cross_zone.enabled", "false", "ValidationError",
         "The value for 'load_balancing.cross_zone.enabled' must always be 'true' for an Application Load Balancer"),
        ("access_logs.s3.enabled", "true", "InvalidConfigurationRequest", "The key 'access_logs.s3.bucket' must set in order to enable access logs"),
        ("dns_record.client_routing_policy", "any_availability_zone", "ValidationError", "is not recognized"),
    ]:
        refused(code, text, b.elb.modify_load_balancer_attributes, LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}])
    network = attributes(b.network(name=unique("n"))["LoadBalancerArn"])
    assert network["load_balancing.cross_zone.enabled"] == "false" and "idle_timeout.timeout_seconds" not in network
    assert network["dns_record.client_routing_policy"] == "any_availability_zone"


def test_the_quota_of_load_balancers(api_server):
    b = Balancing(api_server)
    for _ in range(50):
        b.network(Subnets=b.subnets[:1])
    refused("TooManyLoadBalancers", "[50]", b.network, Subnets=b.subnets[:1])
    assert b.balancer(), "each type has a quota of its own"
