"""The calls that Terraform's AWS provider and CDK's templates make for networks, with their waiters: created, read again
as it was given, changed, deleted. `scripts/terraform` does it with the real provider."""

import itertools
import urllib.parse
import urllib.request

import pytest
from botocore.exceptions import ClientError

from harness.errors import refused
from harness.server import REGION, fresh_account
from harness.waiting import wait_until

ANYWHERE = "0.0.0.0/0"


@pytest.fixture(scope="module")
def account() -> str:
    return fresh_account()


@pytest.fixture(scope="module")
def ec2(api_server, account):
    return api_server.client("ec2", account)


@pytest.fixture(scope="module")
def elbv2(api_server, account):
    return api_server.client("elbv2", account)


@pytest.fixture(scope="module")
def ecs(api_server, account):
    return api_server.client("ecs", account)


def where(**filters: str) -> list[dict]:
    return [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]


def tagged(kind: str, name: str) -> list[dict]:
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, {"Key": "Empty", "Value": ""}]}]


class Network:
    """A VPC with a public and a private subnet and a way out."""

    def __init__(self, ec2):
        self.ec2 = ec2
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=tagged("vpc", "mine"))["Vpc"]["VpcId"]
        for attribute in ("EnableDnsHostnames", "EnableDnsSupport"):
            ec2.modify_vpc_attribute(VpcId=self.vpc, **{attribute: {"Value": True}})
        self.public, self.private = (
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"]["SubnetId"]
            for number, zone in ((0, "a"), (1, "b")))
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)

    def acl_of(self, subnet: str) -> dict:
        return self.ec2.describe_network_acls(Filters=where(**{"association.subnet-id": subnet}))["NetworkAcls"][0]

    def default_acl(self) -> str:
        acl, = self.ec2.describe_network_acls(Filters=where(vpc_id=self.vpc, default="true"))["NetworkAcls"]
        return acl["NetworkAclId"]

    def delete(self) -> None:
        self.ec2.detach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.ec2.delete_internet_gateway(InternetGatewayId=self.gateway)
        for subnet in (self.public, self.private):
            self.ec2.delete_subnet(SubnetId=subnet)
        self.ec2.delete_vpc(VpcId=self.vpc)


@pytest.fixture
def network(ec2):
    network = Network(ec2)
    yield network
    network.delete()


def form(server, account: str, **parameters: str) -> str:
    """A query as a client writes it that sends whatever is unset as empty text; boto3 does not."""
    request = urllib.request.Request(server.endpoint, urllib.parse.urlencode(parameters).encode(), {
        "Content-Type": "application/x-www-form-urlencoded",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={account}/20260101/{REGION}/elasticloadbalancing/aws4_request, SignedHeaders=host, Signature=0",
    })
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def test_a_target_group_with_empty_members(api_server, account, elbv2, ec2):
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    form(api_server, account, Action="CreateTargetGroup", Version="2015-12-01", Name="empty", Protocol="HTTP", Port="80", VpcId=vpc,
         TargetType="ip", ProtocolVersion="", IpAddressType="", HealthCheckPath="", HealthCheckEnabled="", HealthCheckTimeoutSeconds="",
         **{"Matcher.HttpCode": "", "Tags.member.1.Key": "Empty", "Tags.member.1.Value": ""})
    group, = elbv2.describe_target_groups(Names=["empty"])["TargetGroups"]
    assert (group["ProtocolVersion"], group["IpAddressType"], group["HealthCheckPath"], group["Matcher"]) == ("HTTP1", "ipv4", "/", {"HttpCode": "200"})
    arn = group["TargetGroupArn"]
    assert elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"] == [{"Key": "Empty", "Value": ""}]
    elbv2.delete_target_group(TargetGroupArn=arn)


def test_network_acls(ec2, network):
    default = network.default_acl()
    assert network.acl_of(network.public)["NetworkAclId"] == default
    acl = ec2.create_network_acl(VpcId=network.vpc, TagSpecifications=tagged("network-acl", "public"))["NetworkAcl"]
    made = acl["NetworkAclId"]
    assert not acl["IsDefault"] and acl["Associations"] == []
    # Nothing passes one without rules.
    assert [(e["RuleNumber"], e["RuleAction"]) for e in acl["Entries"]] == [(32767, "deny")] * 2

    # As aws_network_acl takes a subnet: the association that it has is replaced.
    before = network.acl_of(network.public)
    association, = (a for a in before["Associations"] if a["SubnetId"] == network.public)
    new = ec2.replace_network_acl_association(
        AssociationId=association["NetworkAclAssociationId"], NetworkAclId=made)["NewAssociationId"]
    assert network.acl_of(network.public)["Associations"] == [
        {"NetworkAclAssociationId": new, "NetworkAclId": made, "SubnetId": network.public}]
    refused(lambda: ec2.replace_network_acl_association(AssociationId=association["NetworkAclAssociationId"], NetworkAclId=made),
            "InvalidAssociationID.NotFound")

    rule = {"NetworkAclId": made, "RuleNumber": 100, "Egress": False, "RuleAction": "allow"}
    ec2.create_network_acl_entry(**rule, Protocol="6", CidrBlock="10.0.0.7/8", PortRange={"From": 80, "To": 81})
    refused(lambda: ec2.create_network_acl_entry(**rule, Protocol="-1", CidrBlock=ANYWHERE), "NetworkAclEntryAlreadyExists")
    ec2.create_network_acl_entry(**rule | {"RuleNumber": 90, "RuleAction": "deny"}, Protocol="58", Ipv6CidrBlock="::/0", IcmpTypeCode={"Type": -1, "Code": -1})
    ec2.create_network_acl_entry(**rule | {"Egress": True}, Protocol="-1", CidrBlock=ANYWHERE)
    read = {(e["Egress"], e["RuleNumber"]): e for e in network.acl_of(network.public)["Entries"]}
    assert read[False, 100] == {"Egress": False, "RuleNumber": 100, "RuleAction": "allow", "Protocol": "6",
                                "CidrBlock": "10.0.0.0/8", "PortRange": {"From": 80, "To": 81}}
    assert read[False, 90] == {"Egress": False, "RuleNumber": 90, "RuleAction": "deny", "Protocol": "58",
                               "Ipv6CidrBlock": "::/0", "IcmpTypeCode": {"Type": -1, "Code": -1}}
    assert set(read) == {(False, 90), (False, 100), (False, 32767), (True, 100), (True, 32767)}
    ec2.replace_network_acl_entry(**rule, Protocol="17", CidrBlock=ANYWHERE, PortRange={"From": 53, "To": 53})
    ec2.delete_network_acl_entry(NetworkAclId=made, RuleNumber=90, Egress=False)
    refused(lambda: ec2.delete_network_acl_entry(NetworkAclId=made, RuleNumber=90, Egress=False), "InvalidNetworkAclEntry.NotFound")
    read = {(e["Egress"], e["RuleNumber"]): e["Protocol"] for e in network.acl_of(network.public)["Entries"]}
    assert read == {(False, 100): "17", (False, 32767): "-1", (True, 100): "-1", (True, 32767): "-1"}

    refused(lambda: ec2.delete_network_acl(NetworkAclId=made), "DependencyViolation")
    refused(lambda: ec2.delete_network_acl(NetworkAclId=default), "InvalidParameterValue", "default")
    refused(lambda: ec2.delete_vpc(VpcId=network.vpc), "DependencyViolation")
    # As the resource gives its subnets back.
    ec2.replace_network_acl_association(AssociationId=new, NetworkAclId=default)
    ec2.delete_network_acl(NetworkAclId=made)
    refused(lambda: ec2.describe_network_acls(NetworkAclIds=[made]), "InvalidNetworkAclID.NotFound")


def test_the_default_network_acl_as_the_module_manages_it(ec2, network):
    default = network.default_acl()
    for egress in (False, True):
        ec2.delete_network_acl_entry(NetworkAclId=default, RuleNumber=100, Egress=egress)
        for number, cidr in ((100, {"CidrBlock": ANYWHERE}), (101, {"Ipv6CidrBlock": "::/0"})):
            ec2.create_network_acl_entry(NetworkAclId=default, RuleNumber=number, Egress=egress, RuleAction="allow", Protocol="-1", **cidr)
    acl, = ec2.describe_network_acls(NetworkAclIds=[default])["NetworkAcls"]
    assert sorted((e["Egress"], e["RuleNumber"]) for e in acl["Entries"]) == sorted(itertools.product((False, True), (100, 101, 32767)))


WRONG_ENTRIES = {
    "number 0": ({"RuleNumber": 0}, "InvalidParameterValue"),
    "number of AWS": ({"RuleNumber": 32767}, "InvalidParameterValue"),
    "no ports": ({"Protocol": "6"}, "MissingParameter"),
    "ports backwards": ({"Protocol": "6", "PortRange": {"From": 2, "To": 1}}, "InvalidParameterValue"),
    "unknown protocol": ({"Protocol": "tcpp"}, "InvalidParameterValue"),
    "no range": ({"CidrBlock": None}, "MissingParameter"),
    "two ranges": ({"Ipv6CidrBlock": "::/0"}, "InvalidParameterCombination"),
    "no CIDR": ({"CidrBlock": "10.0.0.0"}, "InvalidParameterValue"),
    "unknown": ({"NetworkAclId": "acl-0123456789abcdef0"}, "InvalidNetworkAclID.NotFound"),
}


def test_wrong_network_acl_entries(ec2):
    default = ec2.describe_network_acls(Filters=where(default="true"))["NetworkAcls"][0]["NetworkAclId"]
    right = {"NetworkAclId": default, "RuleNumber": 200, "Egress": False, "RuleAction": "allow", "Protocol": "-1", "CidrBlock": ANYWHERE}
    for name, (wrong, code) in WRONG_ENTRIES.items():
        request = {key: value for key, value in (right | wrong).items() if value is not None}
        with pytest.raises(ClientError) as error:
            ec2.create_network_acl_entry(**request)
        assert error.value.response["Error"]["Code"] == code, name


def test_elastic_ips(ec2, network):
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", "nat"))
    allocation, public = address["AllocationId"], address["PublicIp"]
    assert address["Domain"] == "vpc"
    read, = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert read["PublicIp"] == public and "AssociationId" not in read
    assert {tag["Key"]: tag["Value"] for tag in read["Tags"]} == {"Name": "nat", "Empty": ""}
    assert ec2.describe_addresses(Filters=where(public_ip=public))["Addresses"] == [read]
    assert ec2.describe_addresses_attribute(AllocationIds=[allocation], Attribute="domain-name")["Addresses"] == [
        {"AllocationId": allocation, "PublicIp": public}]
    ec2.modify_address_attribute(AllocationId=allocation, DomainName="mail.example.com")
    assert ec2.describe_addresses_attribute(AllocationIds=[allocation], Attribute="domain-name")["Addresses"][0]["PtrRecord"] == "mail.example.com."
    ec2.reset_address_attribute(AllocationId=allocation, Attribute="domain-name")

    interface = ec2.create_network_interface(SubnetId=network.public)["NetworkInterface"]["NetworkInterfaceId"]
    association = ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=interface)["AssociationId"]
    read, = ec2.describe_addresses(Filters=where(association_id=association))["Addresses"]
    assert (read["AllocationId"], read["NetworkInterfaceId"]) == (allocation, interface)
    shown = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface])["NetworkInterfaces"][0]["Association"]
    assert (shown["PublicIp"], shown["AllocationId"], shown["AssociationId"]) == (public, allocation, association)
    refused(lambda: ec2.release_address(AllocationId=allocation), "InvalidIPAddress.InUse")
    refused(lambda: ec2.detach_internet_gateway(InternetGatewayId=network.gateway, VpcId=network.vpc), "DependencyViolation", "mapped public address")
    # It moves, unless that is forbidden.
    second = ec2.create_network_interface(SubnetId=network.public)["NetworkInterface"]["NetworkInterfaceId"]
    refused(lambda: ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=second, AllowReassociation=False), "Resource.AlreadyAssociated")
    moved = ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=second)["AssociationId"]
    refused(lambda: ec2.disassociate_address(AssociationId=association), "InvalidAssociationID.NotFound")
    ec2.disassociate_address(AssociationId=moved)
    # An interface that goes gives its address back.
    ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=interface)
    for each in (interface, second):
        ec2.delete_network_interface(NetworkInterfaceId=each)
    ec2.release_address(AllocationId=allocation)
    refused(lambda: ec2.describe_addresses(AllocationIds=[allocation]), "InvalidAllocationID.NotFound")
    refused(lambda: ec2.describe_addresses(PublicIps=[public]), "InvalidAddress.NotFound", f"Address '{public}' not found.")
    refused(lambda: ec2.associate_address(AllocationId=allocation, InstanceId="i-0123456789abcdef0"), "InvalidInstanceID.NotFound")


def state_of(ec2, gateway: str) -> str:
    return ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"][0]["State"]


def test_nat_gateways_and_routes_to_them(ec2, network):
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    request = {"AllocationId": allocation, "SubnetId": network.public, "ClientToken": "once", "TagSpecifications": tagged("natgateway", "nat")}
    gateway = ec2.create_nat_gateway(**request)["NatGateway"]["NatGatewayId"]
    assert ec2.create_nat_gateway(**request)["NatGateway"]["NatGatewayId"] == gateway
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[gateway], WaiterConfig={"Delay": 1})
    read, = ec2.describe_nat_gateways(Filter=where(subnet_id=network.public, state="available"))["NatGateways"]
    address, = read["NatGatewayAddresses"]
    owned, = ec2.describe_addresses(AllocationIds=[allocation])["Addresses"]
    assert (address["AllocationId"], address["PublicIp"]) == (allocation, owned["PublicIp"])
    assert (address["AssociationId"], address["NetworkInterfaceId"]) == (owned["AssociationId"], owned["NetworkInterfaceId"])
    interface, = ec2.describe_network_interfaces(NetworkInterfaceIds=[address["NetworkInterfaceId"]])["NetworkInterfaces"]
    assert interface["InterfaceType"] == "natGateway" and interface["PrivateIpAddress"] == address["PrivateIp"]
    refused(lambda: ec2.disassociate_address(AssociationId=owned["AssociationId"]), "AuthFailure")
    refused(lambda: ec2.delete_subnet(SubnetId=network.public), "DependencyViolation")

    table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": ANYWHERE}
    refused(lambda: ec2.create_route(**route, NatGatewayId="nat-0123456789abcdef0"), "InvalidNatGatewayID.NotFound")
    ec2.create_route(**route, NatGatewayId=gateway)

    def target() -> dict:
        found, = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
        return next(r for r in found["Routes"] if r["DestinationCidrBlock"] == ANYWHERE)
    assert (target()["NatGatewayId"], target()["State"]) == (gateway, "active")
    assert ec2.describe_route_tables(Filters=where(**{"route.nat-gateway-id": gateway}))["RouteTables"]

    ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert target()["State"] == "blackhole"
    wait_until("deleted", lambda: state_of(ec2, gateway) == "deleted")
    assert ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"][0]["DeleteTime"]
    ec2.release_address(AllocationId=allocation)
    private = ec2.create_nat_gateway(SubnetId=network.private, ConnectivityType="private")["NatGateway"]
    assert "PublicIp" not in private["NatGatewayAddresses"][0]
    ec2.replace_route(**route, NatGatewayId=private["NatGatewayId"])
    assert target()["State"] == "active"
    ec2.delete_nat_gateway(NatGatewayId=private["NatGatewayId"])
    ec2.delete_route(**route)
    ec2.delete_route_table(RouteTableId=table)
    refused(lambda: ec2.describe_nat_gateways(NatGatewayIds=["nat-0123456789abcdef0"]), "NatGatewayNotFound")
    refused(lambda: ec2.create_nat_gateway(SubnetId=network.public), "MissingParameter", "AllocationId")


def test_a_nat_gateway_without_a_way_out_fails(ec2):
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/24")["Subnet"]["SubnetId"]
    allocation = ec2.allocate_address()["AllocationId"]
    gateway = ec2.create_nat_gateway(AllocationId=allocation, SubnetId=subnet)["NatGateway"]["NatGatewayId"]
    wait_until("failed", lambda: state_of(ec2, gateway) == "failed")
    failed, = ec2.describe_nat_gateways(NatGatewayIds=[gateway])["NatGateways"]
    assert failed["FailureCode"] == "Gateway.NotAttached"
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    ec2.release_address(AllocationId=allocation)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


def test_dhcp_options(ec2, network):
    before = ec2.describe_vpcs(VpcIds=[network.vpc])["Vpcs"][0]["DhcpOptionsId"]
    options = ec2.create_dhcp_options(DhcpConfigurations=[
        {"Key": "domain-name", "Values": ["example.internal"]},
        {"Key": "domain-name-servers", "Values": ["10.0.0.5", "AmazonProvidedDNS"]},
    ], TagSpecifications=tagged("dhcp-options", "d"))["DhcpOptions"]
    made = options["DhcpOptionsId"]
    assert options["DhcpConfigurations"] == [
        {"Key": "domain-name", "Values": [{"Value": "example.internal"}]},
        {"Key": "domain-name-servers", "Values": [{"Value": "10.0.0.5"}, {"Value": "AmazonProvidedDNS"}]},
    ]
    assert ec2.describe_dhcp_options(Filters=where(value="example.internal"))["DhcpOptions"] == [options]
    ec2.associate_dhcp_options(DhcpOptionsId=made, VpcId=network.vpc)
    refused(lambda: ec2.delete_dhcp_options(DhcpOptionsId=made), "DependencyViolation")
    # The provider puts "default" in its place, and then deletes.
    ec2.associate_dhcp_options(DhcpOptionsId="default", VpcId=network.vpc)
    ec2.delete_dhcp_options(DhcpOptionsId=made)
    refused(lambda: ec2.describe_dhcp_options(DhcpOptionsIds=[made]), "InvalidDhcpOptionsID.NotFound")
    refused(lambda: ec2.delete_dhcp_options(DhcpOptionsId=before), "DependencyViolation")
    refused(lambda: ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "no-such", "Values": ["x"]}]), "InvalidParameterValue", "no-such")


def endpoint_of(ec2, endpoint: str) -> dict:
    return ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"][0]


def test_gateway_endpoints(ec2, network):
    name = f"com.amazonaws.{REGION}.s3"
    services = ec2.describe_vpc_endpoint_services(ServiceNames=[name], Filters=where(service_type="Gateway"))
    assert [service["ServiceName"] for service in services["ServiceDetails"]] == [name]
    table, other = (ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"] for _ in range(2))
    made = ec2.create_vpc_endpoint(VpcId=network.vpc, ServiceName=name, VpcEndpointType="Gateway", RouteTableIds=[table],
                                   TagSpecifications=tagged("vpc-endpoint", "s3"))["VpcEndpoint"]
    endpoint = made["VpcEndpointId"]
    assert made["State"] == "available" and made["RouteTableIds"] == [table] and '"Allow"' in made["PolicyDocument"]
    # The provider reads the service's addresses from its prefix list.
    prefixes, = ec2.describe_prefix_lists(Filters=where(prefix_list_name=name))["PrefixLists"]
    managed, = ec2.describe_managed_prefix_lists(Filters=where(prefix_list_name=name))["PrefixLists"]
    assert prefixes["PrefixListId"] == managed["PrefixListId"] and prefixes["Cidrs"]
    assert [e["Cidr"] for e in ec2.get_managed_prefix_list_entries(PrefixListId=managed["PrefixListId"])["Entries"]] == prefixes["Cidrs"]

    def route(table: str) -> list[str]:
        routes = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
        return [r["GatewayId"] for r in routes if r.get("DestinationPrefixListId") == prefixes["PrefixListId"]]
    assert (route(table), route(other)) == ([endpoint], [])
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddRouteTableIds=[other], RemoveRouteTableIds=[table], PolicyDocument='{"Statement":[]}')
    assert (route(table), route(other)) == ([], [endpoint])
    assert endpoint_of(ec2, endpoint)["PolicyDocument"] == '{"Statement":[]}'
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, ResetPolicy=True)
    assert endpoint_of(ec2, endpoint)["PolicyDocument"] == made["PolicyDocument"]
    refused(lambda: ec2.create_vpc_endpoint(VpcId=network.vpc, ServiceName=name, RouteTableIds=[other]), "RouteAlreadyExists")
    refused(lambda: ec2.delete_vpc(VpcId=network.vpc), "DependencyViolation")
    assert ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])["Unsuccessful"] == []
    assert route(other) == []
    refused(lambda: endpoint_of(ec2, endpoint), "InvalidVpcEndpointId.NotFound", f"The Vpc Endpoint Id '{endpoint}' does not exist")
    failed, = ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])["Unsuccessful"]
    assert failed["Error"]["Code"] == "InvalidVpcEndpointId.NotFound"
    for each in (table, other):
        ec2.delete_route_table(RouteTableId=each)


def test_interface_endpoints(ec2, network):
    group, second = (ec2.create_security_group(GroupName=name, Description="d", VpcId=network.vpc)["GroupId"] for name in ("one", "two"))
    made = ec2.create_vpc_endpoint(
        VpcId=network.vpc, ServiceName=f"com.amazonaws.{REGION}.ecr.api", VpcEndpointType="Interface", PrivateDnsEnabled=True,
        SubnetIds=[network.public, network.private], SecurityGroupIds=[group])["VpcEndpoint"]
    endpoint = made["VpcEndpointId"]
    assert made["State"] in ("pending", "available") and made["PrivateDnsEnabled"]
    wait_until("available", lambda: endpoint_of(ec2, endpoint)["State"] == "available")
    interfaces = ec2.describe_network_interfaces(NetworkInterfaceIds=made["NetworkInterfaceIds"])["NetworkInterfaces"]
    assert {i["SubnetId"] for i in interfaces} == {network.public, network.private}
    assert {i["InterfaceType"] for i in interfaces} == {"vpc_endpoint"}
    assert f"api.ecr.{REGION}.amazonaws.com" in [entry["DnsName"] for entry in made["DnsEntries"]]
    refused(lambda: ec2.delete_security_group(GroupId=group), "DependencyViolation")
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, RemoveSubnetIds=[network.private], AddSecurityGroupIds=[second],
                            RemoveSecurityGroupIds=[group], PrivateDnsEnabled=False)
    read = endpoint_of(ec2, endpoint)
    assert (read["SubnetIds"], [g["GroupId"] for g in read["Groups"]], read["PrivateDnsEnabled"]) == ([network.public], [second], False)
    interface, = ec2.describe_network_interfaces(NetworkInterfaceIds=read["NetworkInterfaceIds"])["NetworkInterfaces"]
    assert [g["GroupId"] for g in interface["Groups"]] == [second]
    ec2.modify_vpc_endpoint(VpcEndpointId=endpoint, AddSubnetIds=[network.private])
    assert set(endpoint_of(ec2, endpoint)["SubnetIds"]) == {network.public, network.private}
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    for each in (group, second):
        ec2.delete_security_group(GroupId=each)
    refused(lambda: ec2.create_vpc_endpoint(VpcId=network.vpc, ServiceName="com.amazonaws.elsewhere.s3"), "InvalidServiceName")


def test_tags_of_what_is_new(ec2):
    made = {
        "elastic-ip": ec2.allocate_address()["AllocationId"],
        "dhcp-options": ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["a.b"]}])["DhcpOptions"]["DhcpOptionsId"],
    }
    for kind, id in made.items():
        ec2.create_tags(Resources=[id], Tags=[{"Key": "k", "Value": ""}])
        tag, = ec2.describe_tags(Filters=where(resource_id=id))["Tags"]
        assert (tag["ResourceType"], tag["Key"], tag["Value"]) == (kind, "k", "")
        ec2.delete_tags(Resources=[id], Tags=[{"Key": "k", "Value": "other"}])
        assert ec2.describe_tags(Filters=where(resource_id=id))["Tags"]
        ec2.delete_tags(Resources=[id], Tags=[{"Key": "k", "Value": ""}])
        assert not ec2.describe_tags(Filters=where(resource_id=id))["Tags"]
    ec2.release_address(AllocationId=made["elastic-ip"])
    ec2.delete_dhcp_options(DhcpOptionsId=made["dhcp-options"])


def test_strategies_are_shown_with_weight_and_base_everywhere(ecs):
    given = [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "FARGATE_SPOT"}]
    shown = [{"capacityProvider": "FARGATE", "weight": 1, "base": 0}, {"capacityProvider": "FARGATE_SPOT", "weight": 0, "base": 0}]
    request = {"capacityProviders": ["FARGATE", "FARGATE_SPOT"], "defaultCapacityProviderStrategy": given}
    answers = {
        "CreateCluster": ecs.create_cluster(clusterName="strategy", **request)["cluster"],
        "PutClusterCapacityProviders": ecs.put_cluster_capacity_providers(cluster="strategy", **request)["cluster"],
        "UpdateClusterSettings": ecs.update_cluster_settings(
            cluster="strategy", settings=[{"name": "containerInsights", "value": "disabled"}])["cluster"],
        "UpdateCluster": ecs.update_cluster(cluster="strategy")["cluster"],
        "DescribeClusters": ecs.describe_clusters(clusters=["strategy"])["clusters"][0],
        "DeleteCluster": ecs.delete_cluster(cluster="strategy")["cluster"],
    }
    for name, cluster in answers.items():
        assert cluster["defaultCapacityProviderStrategy"] == shown, name
