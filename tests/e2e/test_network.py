"""Who reaches whom: security groups, public addresses, names. Enforced in the kernel, so tried with real connections."""

import urllib.error
import urllib.request

import pytest

from harness.machine import WORLD
from harness.server import fresh_account
from harness.tasks import Tasks, address, container_of, detail, summary

PROBE_SECONDS = 2
PORT = 8080


def probe(host: str, port: int = PORT) -> str:
    """A script that prints `yes` if a web server answered, else `no`."""
    request = r"printf 'GET / HTTP/1.0\r\n\r\n'"
    return f"{request} | nc -w {PROBE_SECONDS} {host} {port} 2> /dev/null | grep -q '^HTTP/1' && echo yes || echo no"


@pytest.fixture(scope="module")
def net(tasks, ec2, pool):
    return Net(tasks, ec2, pool)


class Net:
    def __init__(self, tasks, ec2, pool):
        self.tasks, self.ec2, self.pool = tasks, ec2, pool
        self.web = tasks.register({"name": "app", "stopTimeout": 2}, family="web")

    def group(self, name: str, *ingress: dict, egress: bool = True) -> str:
        group = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.tasks.vpc)["GroupId"]
        if ingress:
            self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=list(ingress))
        if not egress:
            self.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[everything("0.0.0.0/0")])
        return group

    def serve(self, *groups: str, **network) -> dict:
        arn = self.tasks.start(self.web, networkConfiguration=self.tasks.network(groups, **network))
        return self.tasks.wait(arn, "RUNNING")

    def try_from(self, groups, script: str, **network):
        """Runs a script in a task of these groups; a future of its lines."""
        def run():
            task = self.tasks.run(self.tasks.container(script), request={
                "networkConfiguration": self.tasks.network(groups, **network)})
            assert container_of(task).get("exitCode") == 0, summary(task)
            return self.tasks.lines(task)
        return self.pool.submit(run)


def everything(cidr: str) -> dict:
    return {"IpProtocol": "-1", "IpRanges": [{"CidrIp": cidr}]}


def tcp(port: int, **peer) -> dict:
    ranges = {"cidr": ("IpRanges", "CidrIp"), "group": ("UserIdGroupPairs", "GroupId")}
    (kind, value), = peer.items()
    outer, inner = ranges[kind]
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, outer: [{inner: value}]}


def get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None


def test_groups_between_tasks(net):
    friends = net.group("friends")
    strangers = net.group("strangers")
    mute = net.group("mute", egress=False)
    closed = net.group("closed")
    by_group = net.group("by-group", tcp(PORT, group=friends))
    by_range = net.group("by-range", tcp(PORT, cidr="172.31.0.0/16"))
    other_port = net.group("other-port", tcp(9090, cidr="0.0.0.0/0"))
    of_itself = net.group("of-itself")
    net.ec2.authorize_security_group_ingress(GroupId=of_itself, IpPermissions=[tcp(PORT, group=of_itself)])
    servers = dict(zip(
        ("closed", "by group", "by range", "other port", "of itself", "two groups"),
        net.pool.map(lambda groups: net.serve(*groups),
                     [[closed], [by_group], [by_range], [other_port], [of_itself], [closed, by_range]])))
    rows = [
        ("nothing is allowed by default", "closed", [friends], "no"),
        ("a reference to a group lets its members in", "by group", [friends], "yes"),
        ("and nobody else", "by group", [strangers], "no"),
        ("one of several groups is enough for the sender", "by group", [strangers, friends], "yes"),
        ("a range", "by range", [strangers], "yes"),
        ("another port", "other port", [strangers], "no"),
        ("a group that refers to itself", "of itself", [of_itself], "yes"),
        ("not for others", "of itself", [strangers], "no"),
        ("one of several groups is enough for the receiver", "two groups", [strangers], "yes"),
        ("egress", "by range", [mute], "no"),
    ]
    tries = [net.try_from(groups, probe(address(servers[server]))) for _, server, groups, _ in rows]
    got = {name: outcome.result() for (name, *_), outcome in zip(rows, tries)}
    assert got == {name: [want] for name, *_, want in rows}
    for server in servers.values():
        net.tasks.stop(server["taskArn"])


def test_the_default_group_lets_its_own_in(net):
    server = net.serve()
    assert net.try_from([], probe(address(server))).result() == ["yes"]
    assert net.try_from([net.group("outsiders")], probe(address(server))).result() == ["no"]
    net.tasks.stop(server["taskArn"])


def test_a_rule_counts_at_once(net):
    group = net.group("changing")
    server = net.serve(group)
    target = probe(address(server))
    client = net.group("changing-clients")
    assert net.try_from([client], target).result() == ["no"]
    net.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(PORT, group=client)])
    assert net.try_from([client], target).result() == ["yes"]
    net.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(PORT, group=client)])
    assert net.try_from([client], target).result() == ["no"]
    net.tasks.stop(server["taskArn"])


def test_public_addresses_decide_about_the_world(net):
    group = net.group("talkers")
    with_one = net.try_from([group], probe(WORLD, 80), public=True)
    without = net.try_from([group], probe(WORLD, 80))
    silent = net.try_from([net.group("silent", egress=False)], probe(WORLD, 80), public=True)
    assert (with_one.result(), without.result(), silent.result()) == (["yes"], ["no"], ["no"])


def test_a_public_address_is_told_by_its_interface(net):
    server = net.serve(net.group("told"), public=True)
    interface = net.ec2.describe_network_interfaces(
        NetworkInterfaceIds=[detail(server, "networkInterfaceId")])["NetworkInterfaces"][0]
    assert interface["Association"]["PublicIp"]
    assert [group["GroupName"] for group in interface["Groups"]] == ["told"]
    net.tasks.stop(server["taskArn"])


def test_the_machine_is_part_of_the_world(net, pool):
    """The machine reaches tasks if their groups let everybody in. Its own routes know the first VPC that had a task."""
    open_group = net.group("open", tcp(PORT, cidr="0.0.0.0/0"))
    closed = net.group("shut")
    opened, shut = pool.map(lambda group: net.serve(group), [open_group, closed])
    assert get(f"http://{address(opened)}:{PORT}/") == "hello from neargate\n"
    assert get(f"http://{address(shut)}:{PORT}/") is None
    for task in (opened, shut):
        net.tasks.stop(task["taskArn"])


def test_names(net):
    server = net.serve()
    name = detail(server, "privateDnsName")
    lines = net.try_from([], "\n".join([
        "cat /etc/resolv.conf", probe(name), probe("no.such.name.invalid"),
        f"nslookup {name} 169.254.169.253 > /dev/null 2>&1 && echo yes || echo no"])).result()
    assert lines[-3:] == ["yes", "no", "yes"], lines
    net.tasks.stop(server["taskArn"])


def test_addresses_cannot_be_spoofed_and_metadata_of_the_machine_is_closed(net):
    lines = net.try_from([net.group("curious")], probe("169.254.169.254", 80), public=True).result()
    assert lines == ["no"]


def test_equal_addresses_of_two_accounts_do_not_meet(net, server):
    other = Tasks(server, fresh_account(), net.tasks.image)
    target = net.serve(net.group("any", everything("0.0.0.0/0")))
    task = other.run(other.container(probe(address(target))))
    # The other account's task may have the very same address: then it would be asking itself, where nothing listens.
    assert other.lines(task) == ["no"]
    net.tasks.stop(target["taskArn"])


def in_subnet(subnet: str, group: str) -> dict:
    return {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet], "securityGroups": [group]}}}


def run_in(net, subnet: str, group: str, script: str) -> list[str]:
    task = net.tasks.run(net.tasks.container(script), request=in_subnet(subnet, group))
    assert container_of(task).get("exitCode") == 0, summary(task)
    return net.tasks.lines(task)


def test_network_acls_hold_at_the_border_of_a_subnet(net):
    group = net.group("behind-an-acl", everything("0.0.0.0/0"))
    guarded, other = net.tasks.subnets[:2]
    cidr = net.ec2.describe_subnets(SubnetIds=[other])["Subnets"][0]["CidrBlock"]
    started = net.tasks.start(net.web, **in_subnet(guarded, group))
    target = probe(address(net.tasks.wait(started, "RUNNING")))
    acl = net.ec2.create_network_acl(VpcId=net.tasks.vpc)["NetworkAcl"]["NetworkAclId"]
    before, = (a for acls in net.ec2.describe_network_acls()["NetworkAcls"] for a in acls["Associations"] if a["SubnetId"] == guarded)
    association = net.ec2.replace_network_acl_association(
        AssociationId=before["NetworkAclAssociationId"], NetworkAclId=acl)["NewAssociationId"]

    def rule(number: int, egress: bool, action: str, cidr: str, first: int, last: int) -> None:
        net.ec2.create_network_acl_entry(NetworkAclId=acl, RuleNumber=number, Egress=egress, RuleAction=action, Protocol="6",
                                         CidrBlock=cidr, PortRange={"From": first, "To": last})
    got = {"no rules, from outside": run_in(net, other, group, target), "no rules, within": run_in(net, guarded, group, target)}
    rule(100, False, "allow", "0.0.0.0/0", PORT, PORT)
    got["only the way in"] = run_in(net, other, group, target)
    rule(100, True, "allow", "0.0.0.0/0", 1024, 65535)
    got["both ways"] = run_in(net, other, group, target)
    rule(90, False, "deny", cidr, 1, 65535)
    got["a lower number first"] = run_in(net, other, group, target)
    net.ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=before["NetworkAclId"])
    net.ec2.delete_network_acl(NetworkAclId=acl)
    got["another ACL"] = run_in(net, other, group, target)
    assert got == {
        "no rules, from outside": ["no"], "no rules, within": ["yes"], "only the way in": ["no"], "both ways": ["yes"],
        "a lower number first": ["no"], "another ACL": ["yes"],
    }
    net.tasks.stop(started)


def test_a_nat_gateway_is_a_way_out(net):
    group = net.group("behind-nat")
    subnet = net.ec2.create_subnet(VpcId=net.tasks.vpc, CidrBlock="172.31.240.0/24")["Subnet"]["SubnetId"]
    address = net.ec2.allocate_address()["AllocationId"]
    gateway = net.ec2.create_nat_gateway(SubnetId=net.tasks.subnets[0], AllocationId=address)["NatGateway"]["NatGatewayId"]
    table = net.ec2.create_route_table(VpcId=net.tasks.vpc)["RouteTable"]["RouteTableId"]
    association = net.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)["AssociationId"]
    assert run_in(net, subnet, group, probe(WORLD, 80)) == ["no"]
    net.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway)
    assert run_in(net, subnet, group, probe(WORLD, 80)) == ["yes"]
    net.ec2.delete_nat_gateway(NatGatewayId=gateway)
    assert run_in(net, subnet, group, probe(WORLD, 80)) == ["no"]
    net.ec2.disassociate_route_table(AssociationId=association)
    net.ec2.delete_route_table(RouteTableId=table)
    net.ec2.release_address(AllocationId=address)
    net.ec2.delete_subnet(SubnetId=subnet)
