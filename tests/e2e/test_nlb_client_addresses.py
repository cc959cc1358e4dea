"""Client addresses that network load balancers preserve, on real sockets in the tasks' own namespaces.

Targets and clients are programs of this test, put into the namespaces of tasks that sleep: a target answers with the
address and port that it sees.
"""

import itertools
import json
import re
import subprocess
import sys

import pytest

from harness.server import fresh_account
from harness.tasks import Tasks, address, task_id, unique
from harness.waiting import wait_until

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1"
TCP_PORT, UDP_PORT = 9000, 9001
_ports = itertools.count(21_080)

TARGET = f"""
import socket, threading
def serve(stream, peer):
    stream.sendall(f"{{peer[0]}} {{peer[1]}}".encode())
    while data := stream.recv(64):
        stream.sendall(data)
def tcp():
    listener = socket.create_server(("0.0.0.0", {TCP_PORT}))
    while True:
        threading.Thread(target=serve, args=listener.accept(), daemon=True).start()
threading.Thread(target=tcp, daemon=True).start()
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("0.0.0.0", {UDP_PORT}))
print("ready", flush=True)
while True:
    _, peer = sock.recvfrom(64)
    sock.sendto(f"{{peer[0]}} {{peer[1]}}".encode(), peer)
"""
# What the target says it sees, and this side's own address; nothing where no answer came in time.
CLIENT = """
import json, socket, sys
kind, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
sock.settimeout(2)
try:
    sock.connect((host, port))
    if kind == "udp":
        sock.send(b"?")
    said = sock.recv(64).decode()
except OSError:
    said = ""
ip, own = sock.getsockname()
print(json.dumps([said, f"{ip} {own}"]))
"""
EVERYBODY = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def namespace(task: dict) -> str:
    mounts = open("/proc/self/mounts").read()
    return re.search(rf"\S*/run/neargate/\S*/netns/{task_id(task)}", mounts).group()


def inside(task: dict | None, *command: str) -> list[str]:
    return ["nsenter", f"--net={namespace(task)}", *command] if task else list(command)


def ask(task: dict | None, host: str, port: int, kind: str = "tcp") -> list[str]:
    """As a client in a task, or on the machine."""
    command = inside(task, sys.executable, "-c", CLIENT, kind, host, str(port))
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Front:
    """Two targets and a client behind a network load balancer with security groups."""

    def __init__(self, server):
        account = fresh_account()
        self.tasks = Tasks(server, account, IMAGE)
        self.ec2, self.elb = self.tasks.ec2, server.client("elbv2", account)
        self.front, self.back, self.outer = (self.security_group(name) for name in ("front", "back", "outer"))
        self.allow(self.front, **EVERYBODY)
        sleep = self.tasks.register(self.tasks.container("exec sleep 1000", stopTimeout=2), logged=False)
        started = [self.tasks.start(sleep, networkConfiguration=self.tasks.network([group]))
                   for group in (self.back, self.back, self.outer)]
        self.first, self.second, self.client = (self.tasks.wait(task, "RUNNING") for task in started)
        self.targets = [subprocess.Popen(inside(task, sys.executable, "-c", TARGET), stdout=subprocess.PIPE, text=True)
                        for task in (self.first, self.second)]
        for target in self.targets:
            assert target.stdout.readline() == "ready\n"
        balancer = self.elb.create_load_balancer(
            Name=unique("nlb"), Type="network", Subnets=self.tasks.subnets[:2], SecurityGroups=[self.front])["LoadBalancers"][0]
        self.arn = balancer["LoadBalancerArn"]
        across = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
        self.elb.modify_load_balancer_attributes(LoadBalancerArn=self.arn, Attributes=across)
        _, _, full_name = self.arn.partition(":loadbalancer/")
        found = self.ec2.describe_network_interfaces(
            Filters=[{"Name": "description", "Values": [f"ELB {full_name}"]}])["NetworkInterfaces"]
        self.addresses = sorted(interface["PrivateIpAddress"] for interface in found)
        # Health checks come from here, whatever the clients' addresses.
        for host in self.addresses:
            self.allow(self.back, IpRanges=[{"CidrIp": f"{host}/32"}])

    def security_group(self, name: str) -> str:
        name = unique(name)
        return self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.tasks.vpc)["GroupId"]

    def allow(self, group: str, **peer) -> None:
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", **peer}])

    def forbid(self, group: str, **peer) -> None:
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", **peer}])

    def serve(self, *tasks: dict, protocol: str = "TCP", preserve: bool | None = None) -> tuple[int, str]:
        """A listener with these targets; its port and its group."""
        port = next(_ports)
        group = self.elb.create_target_group(
            Name=unique("tg"), Protocol=protocol, Port=UDP_PORT if protocol == "UDP" else TCP_PORT, VpcId=self.tasks.vpc,
            TargetType="ip", HealthCheckProtocol="TCP", HealthCheckPort=str(TCP_PORT), HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        if preserve is not None:
            said = [{"Key": "preserve_client_ip.enabled", "Value": str(preserve).lower()}]
            self.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=said)
        self.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address(task)} for task in tasks])
        action = [{"Type": "forward", "TargetGroupArn": group}]
        self.elb.create_listener(LoadBalancerArn=self.arn, Port=port, Protocol=protocol, DefaultActions=action)
        self.elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[self.arn], WaiterConfig={"Delay": 1})

        def states() -> set[str]:
            found = self.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
            return {target["TargetHealth"]["State"] for target in found}
        wait_until("the targets are healthy", lambda: states() == {"healthy"})
        return port, group

    def clients_may(self) -> None:
        self.allow(self.back, IpRanges=[{"CidrIp": f"{address(self.client)}/32"}])

    def clients_may_not(self) -> None:
        self.forbid(self.back, IpRanges=[{"CidrIp": f"{address(self.client)}/32"}])


@pytest.fixture(scope="module")
def front(server):
    front = Front(server)
    yield front
    for target in front.targets:
        target.kill()
        target.wait()


def test_targets_see_the_client_where_the_group_says_so(front):
    front.clients_may()
    try:
        for protocol, preserve, seen in [("TCP", True, True), ("TCP", None, False), ("TCP", False, False), ("UDP", None, True)]:
            port, _ = front.serve(front.first, front.second, protocol=protocol, preserve=preserve)
            for host in front.addresses:
                said, own = ask(front.client, host, port, protocol.lower())
                case = f"{protocol} {preserve} {host}: {said!r} for {own!r}"
                assert (said == own) == seen, case
                assert seen or said.split()[0] == host, case
            for host in ["127.0.0.1", *front.addresses]:
                said, _ = ask(None, host, port, protocol.lower())
                assert said.split()[0] in front.addresses, "the machine is no client"
    finally:
        front.clients_may_not()


def test_every_target_answers_the_client_through_the_load_balancer(front):
    front.clients_may()
    try:
        for protocol in ("TCP", "UDP"):
            port, group = front.serve(front.first, front.second, protocol=protocol, preserve=True)
            for asked in range(12):
                said, own = ask(front.client, front.addresses[asked % 2], port, protocol.lower())
                assert said == own, protocol
            # Draining and gone: the other one has all.
            front.elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": address(front.first)}])
            wait_until("it drains", lambda: len(front.elb.describe_target_health(
                TargetGroupArn=group, Targets=[{"Id": address(front.first), "Port": TCP_PORT if protocol == "TCP" else UDP_PORT}],
            )["TargetHealthDescriptions"]) == 1)
            for asked in range(4):
                said, own = ask(front.client, front.addresses[asked % 2], port, protocol.lower())
                assert said == own, protocol
    finally:
        front.clients_may_not()


def test_the_targets_groups_judge_the_client_and_know_the_load_balancer(front):
    port, _ = front.serve(front.first, preserve=True)
    host = front.addresses[0]
    assert ask(front.client, host, port)[0] == "", "its address is not let in"
    front.clients_may()
    try:
        said, own = ask(front.client, host, port)
        assert said == own
    finally:
        front.clients_may_not()
    # AWS: a client's group is none of these packets', the load balancer's is.
    for group, passes in [(front.outer, False), (front.front, True)]:
        peer = {"UserIdGroupPairs": [{"GroupId": group}]}
        front.allow(front.back, **peer)
        try:
            said, own = ask(front.client, host, port)
            assert said == (own if passes else ""), group
        finally:
            front.forbid(front.back, **peer)


def test_a_target_cannot_be_its_own_client(front):
    """As on AWS: a packet that comes from its receiver's address is none that the receiver takes."""
    front.allow(front.back, **EVERYBODY)
    try:
        port, _ = front.serve(front.first, preserve=True)
        assert ask(front.first, front.addresses[0], port)[0] == ""
        said, own = ask(front.second, front.addresses[0], port)
        assert said == own, "another target may"
        port, _ = front.serve(front.first, preserve=False)
        assert ask(front.first, front.addresses[0], port)[0].startswith(front.addresses[0])
    finally:
        front.forbid(front.back, **EVERYBODY)
