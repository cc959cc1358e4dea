"""The slice of EC2 that tasks need: what is there from the start, creation and deletion, filters, AWS's error codes."""

import pytest
from botocore.exceptions import ClientError

from harness.errors import refused
from harness.server import fresh_account


@pytest.fixture(scope="module")
def ec2(server):
    return server.client("ec2", fresh_account())


@pytest.fixture(scope="module")
def vpc(ec2) -> str:
    return ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]


def by(name: str, *values: str) -> dict:
    return {"Filters": [{"Name": name, "Values": list(values)}]}


def test_the_default_vpc_of_a_new_account(server):
    ec2 = server.client("ec2", fresh_account(), region="eu-central-1")
    vpc, = ec2.describe_vpcs()["Vpcs"]
    assert vpc["IsDefault"] and vpc["CidrBlock"] == "172.31.0.0/16" and vpc["State"] == "available"
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert {zone["RegionName"] for zone in zones} == {"eu-central-1"} and zones[0]["ZoneName"] == "eu-central-1a"
    subnets = ec2.describe_subnets()["Subnets"]
    assert len(subnets) == len(zones)
    assert sorted(subnet["CidrBlock"] for subnet in subnets)[0] == "172.31.0.0/20"
    assert all(subnet["DefaultForAz"] and subnet["MapPublicIpOnLaunch"] and subnet["AvailableIpAddressCount"] == 4091 for subnet in subnets)
    group, = ec2.describe_security_groups()["SecurityGroups"]
    assert (group["GroupName"], group["Description"]) == ("default", "default VPC security group")
    assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]
    assert group["IpPermissionsEgress"][0]["IpRanges"][0]["CidrIp"] == "0.0.0.0/0"
    gateway, = ec2.describe_internet_gateways()["InternetGateways"]
    assert gateway["Attachments"][0]["VpcId"] == vpc["VpcId"]
    table, = ec2.describe_route_tables()["RouteTables"]
    assert {route["DestinationCidrBlock"]: route["GatewayId"] for route in table["Routes"]} == {
        "172.31.0.0/16": "local", "0.0.0.0/0": gateway["InternetGatewayId"]}
    assert table["Associations"][0]["Main"]
    assert ec2.describe_network_acls(Filters=[{"Name": "default", "Values": ["true"]}])["NetworkAcls"]
    for name, want in [("enableDnsSupport", True), ("enableDnsHostnames", True)]:
        attribute = ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)
        assert attribute[name[0].upper() + name[1:]]["Value"] == want
    refused(ec2.create_default_vpc, "DefaultVpcAlreadyExists")


def test_a_vpc_and_what_comes_with_it(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16", TagSpecifications=[
        {"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "mine"}]}])["Vpc"]["VpcId"]
    assert ec2.describe_vpcs(**by("tag:Name", "mi*"))["Vpcs"][0]["VpcId"] == vpc
    assert not ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"]
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]["Value"]
    assert ec2.describe_route_tables(Filters=by("vpc-id", vpc)["Filters"] + by("association.main", "true")["Filters"])["RouteTables"]
    assert ec2.describe_security_groups(Filters=by("vpc-id", vpc)["Filters"] + by("group-name", "default")["Filters"])["SecurityGroups"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.1.0/24")["Subnet"]["SubnetId"]
    refused(lambda: ec2.delete_vpc(VpcId=vpc), "DependencyViolation", f"The vpc '{vpc}' has dependencies and cannot be deleted.")
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)
    refused(lambda: ec2.describe_vpcs(VpcIds=[vpc]), "InvalidVpcID.NotFound")
    assert ec2.describe_vpcs(**by("vpc-id", vpc))["Vpcs"] == []


def test_subnets(ec2, vpc):
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]
    assert subnet["AvailableIpAddressCount"] == 251 and not subnet["MapPublicIpOnLaunch"]
    for name, value in [("cidr-block", "10.0.1.0/24"), ("availability-zone", "us-east-1b"), ("state", "available"), ("subnet-id", subnet["SubnetId"])]:
        found = ec2.describe_subnets(Filters=by("vpc-id", vpc)["Filters"] + by(name, value)["Filters"])["Subnets"]
        assert subnet["SubnetId"] in [s["SubnetId"] for s in found], name
    ec2.modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": True})
    assert ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0]["MapPublicIpOnLaunch"]
    ec2.create_tags(Resources=[subnet["SubnetId"]], Tags=[{"Key": "k", "Value": "v"}])
    assert ec2.describe_subnets(**by("tag-key", "k"))["Subnets"]
    ec2.delete_tags(Resources=[subnet["SubnetId"]], Tags=[{"Key": "k"}])
    assert not ec2.describe_subnets(**by("tag-key", "k"))["Subnets"]


def test_security_groups(ec2, vpc):
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    web = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "in"}]}
    rule = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[web])["SecurityGroupRules"][0]
    assert rule["SecurityGroupRuleId"].startswith("sgr-") and not rule["IsEgress"]
    assert ec2.describe_security_group_rules(**by("group-id", group))["SecurityGroupRules"]
    assert ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"][0]["IpRanges"] == web["IpRanges"]
    refused(lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[web]), "InvalidPermission.Duplicate")
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    # As Terraform revokes the rule that a new group comes with: ports are ignored.
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[
        {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert found["IpPermissions"] == [] and found["IpPermissionsEgress"] == []
    user = ec2.create_security_group(GroupName="user", Description="d", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=user, IpPermissions=[
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}])
    refused(lambda: ec2.delete_security_group(GroupId=group), "DependencyViolation")
    ec2.delete_security_group(GroupId=user)
    ec2.delete_security_group(GroupId=group)


def test_routes_and_gateways(ec2, vpc):
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    assert ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)["Return"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.9.0/24")["Subnet"]["SubnetId"]
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
    assert ec2.describe_route_tables(**by("association.subnet-id", subnet))["RouteTables"][0]["RouteTableId"] == table
    refused(lambda: ec2.delete_route_table(RouteTableId=table), "DependencyViolation")
    ec2.disassociate_route_table(AssociationId=association)
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    ec2.delete_route_table(RouteTableId=table)
    refused(lambda: ec2.delete_internet_gateway(InternetGatewayId=gateway), "DependencyViolation")
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_subnet(SubnetId=subnet)


def test_network_interfaces(ec2, vpc):
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.20.0/28")["Subnet"]["SubnetId"]
    interface = ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress="10.0.20.9", Description="mine")["NetworkInterface"]
    assert interface["Status"] in ("available", "pending") and interface["PrivateIpAddress"] == "10.0.20.9"
    for name, value in [("subnet-id", subnet), ("vpc-id", vpc), ("description", "mine"), ("private-ip-address", "10.0.20.9")]:
        found = ec2.describe_network_interfaces(**by(name, value))["NetworkInterfaces"]
        assert interface["NetworkInterfaceId"] in [i["NetworkInterfaceId"] for i in found], name
    assert ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"] == 16 - 5 - 1
    refused(lambda: ec2.delete_subnet(SubnetId=subnet), "DependencyViolation")
    ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    ec2.delete_subnet(SubnetId=subnet)


ERRORS = {
    "subnet": ("describe_subnets", {"SubnetIds": ["subnet-0123456789abcdef0"]}, "InvalidSubnetID.NotFound", "The subnet ID 'subnet-0123456789abcdef0' does not exist"),
    "group": ("describe_security_groups", {"GroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound", "The security group 'sg-0123456789abcdef0' does not exist"),
    "malformed group": ("describe_security_groups", {"GroupIds": ["rubbish"]}, "InvalidGroupId.Malformed", ""),
    "vpc": ("describe_vpcs", {"VpcIds": ["vpc-0123456789abcdef0"]}, "InvalidVpcID.NotFound", "The vpc ID 'vpc-0123456789abcdef0' does not exist"),
    "interface": ("describe_network_interfaces", {"NetworkInterfaceIds": ["eni-0123456789abcdef0"]}, "InvalidNetworkInterfaceID.NotFound", ""),
    "table": ("describe_route_tables", {"RouteTableIds": ["rtb-0123456789abcdef0"]}, "InvalidRouteTableID.NotFound", ""),
    "gateway": ("describe_internet_gateways", {"InternetGatewayIds": ["igw-0123456789abcdef0"]}, "InvalidInternetGatewayID.NotFound", ""),
    "filter": ("describe_vpcs", by("no-such-filter", "x"), "InvalidParameterValue", "The filter 'no-such-filter' is invalid"),
    "large vpc": ("create_vpc", {"CidrBlock": "10.0.0.0/8"}, "InvalidVpc.Range", ""),
    "no cidr": ("create_vpc", {"CidrBlock": "rubbish"}, "InvalidParameterValue", ""),
    "dry run": ("create_vpc", {"CidrBlock": "10.3.0.0/16", "DryRun": True}, "DryRunOperation", ""),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name, ec2):
    method, request, code, text = ERRORS[name]
    refused(lambda: getattr(ec2, method)(**request), code, text)


def test_errors_within_a_vpc(ec2, vpc):
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.50.0/24")
    refused(lambda: ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.50.128/25"), "InvalidSubnet.Conflict")
    refused(lambda: ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/24"), "InvalidSubnet.Range")
    ec2.create_security_group(GroupName="twice", Description="d", VpcId=vpc)
    refused(lambda: ec2.create_security_group(GroupName="twice", Description="d", VpcId=vpc), "InvalidGroup.Duplicate",
            f"The security group 'twice' already exists for VPC '{vpc}'")
    default = ec2.describe_security_groups(Filters=by("vpc-id", vpc)["Filters"] + by("group-name", "default")["Filters"])["SecurityGroups"][0]
    refused(lambda: ec2.delete_security_group(GroupId=default["GroupId"]), "CannotDelete")


def test_what_ec2_does_not_have_here_is_not_implemented(server):
    ec2 = server.client("ec2", fresh_account())
    for call in (ec2.describe_instances, ec2.describe_images):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
