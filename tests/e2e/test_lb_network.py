"""The way to a load balancer and from it to its targets: addresses, names, security groups, and what outlives whom.

The target is a task that is registered by hand. Requests go by real sockets, from the machine and from other tasks.
"""

import itertools
import json
import re
import subprocess

import pytest

from harness import images
from harness.processes import kill, lock_holder, runs
from harness.server import Server, fresh_account
from harness.tasks import Tasks, address, container_of, summary, unique
from harness.waiting import wait_until

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1"
PORT = 8080
# A second is the promise; the rest is for a debug build on a machine that is busy with other tests.
BACK_SECONDS = 5
# Loopback has one set of ports for all load balancers.
_ports = itertools.count(20_080)


def curl(url: str, *options: str) -> tuple[int, str]:
    """Status and body; 0 where no answer came."""
    done = subprocess.run(["curl", "-sS", "-m", "3", "-w", "\n%{http_code}", *options, url], capture_output=True, text=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status or 0), body


class Balanced:
    """A task behind an application load balancer, each in a security group of its own."""

    def __init__(self, server: Server, account: str, image: str = IMAGE):
        self.server = server
        self.tasks = Tasks(server, account, image)
        self.ec2, self.elb = self.tasks.ec2, server.client("elbv2", account)
        self.acm = server.client("acm", account)
        self.front = self.security_group("front")
        self.back = self.security_group("back")
        self.allow(self.front, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
        self.allow(self.back, UserIdGroupPairs=[{"GroupId": self.front}])

    def security_group(self, name: str) -> str:
        name = unique(name)
        return self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.tasks.vpc)["GroupId"]

    def allow(self, group: str, **peer) -> None:
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", **peer}])

    def forbid(self, group: str, **peer) -> None:
        self.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", **peer}])

    def start(self, **balancer) -> "Balanced":
        web = self.tasks.register({"name": "app", "stopTimeout": 2}, family="web")
        self.task = self.tasks.wait(
            self.tasks.start(web, networkConfiguration=self.tasks.network([self.back])), "RUNNING")
        request = {"Name": unique("lb"), "Subnets": self.tasks.subnets[:2], "SecurityGroups": [self.front]} | balancer
        self.balancer = self.elb.create_load_balancer(**request)["LoadBalancers"][0]
        self.arn, self.name = self.balancer["LoadBalancerArn"], self.balancer["DNSName"]
        self.group = self.elb.create_target_group(
            Name=unique("tg"), Protocol="HTTP", Port=PORT, VpcId=self.tasks.vpc, TargetType="ip",
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, UnhealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        self.elb.register_targets(TargetGroupArn=self.group, Targets=[{"Id": address(self.task)}])
        self.port = self.listen()
        self.elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[self.arn], WaiterConfig={"Delay": 1})
        self.wait_state("healthy")
        return self

    def listen(self, **listener) -> int:
        port = next(_ports)
        request = {"Protocol": "HTTP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": self.group}]} | listener
        self.elb.create_listener(LoadBalancerArn=self.arn, Port=port, **request)
        return port

    def state(self) -> dict:
        return self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"][0]["TargetHealth"]

    def wait_state(self, state: str) -> None:
        wait_until(f"the target is {state}", lambda: self.state()["State"] == state)

    def addresses(self) -> list[str]:
        """Its private addresses, as EC2 shows them."""
        _, _, full_name = self.arn.partition(":loadbalancer/")
        found = self.ec2.describe_network_interfaces(
            Filters=[{"Name": "description", "Values": [f"ELB {full_name}"]}])["NetworkInterfaces"]
        return sorted(interface["PrivateIpAddress"] for interface in found)

    def run(self, script: str, *groups: str) -> list[str]:
        """What a script printed in a task of this VPC."""
        task = self.tasks.run(self.tasks.container(script), request={"networkConfiguration": self.tasks.network(groups)})
        assert container_of(task).get("exitCode") == 0, summary(task)
        return self.tasks.lines(task)


@pytest.fixture(scope="module")
def balanced(server):
    return Balanced(server, fresh_account()).start()


def fetch(host: str, port: int) -> str:
    """A script that prints `yes` if the target's page came, else `no`. A name is resolved first: the image's static
    busybox has a resolver in nslookup only."""
    resolved = host if host[0].isdigit() else f"$(nslookup -type=a {host} | sed -n 's/^Address: //p' | head -n 1)"
    # Who closes its side before the answer has gone, to a load balancer.
    request = r"(printf 'GET / HTTP/1.0\r\n\r\n'; sleep 1)"
    return f"{request} | nc -w 2 {resolved} {port} 2> /dev/null | grep -q '^HTTP/1.* 200' && echo yes || echo no"


def test_a_name_of_localhost_leads_to_the_target(balanced):
    status, body = curl(f"http://{balanced.name}:{balanced.port}/")
    assert status == 200 and body


def test_the_private_addresses_answer_the_machine(balanced):
    addresses = balanced.addresses()
    assert len(addresses) == 2
    for host in addresses:
        assert curl(f"http://{host}:{balanced.port}/")[0] == 200, host


def test_tasks_find_it_by_its_names(balanced):
    aws_name = balanced.name.replace(".elb.localhost", ".elb.amazonaws.com")
    script = "; ".join([
        fetch(balanced.name, balanced.port),
        fetch(balanced.name.upper(), balanced.port),
        fetch(aws_name, balanced.port),
        f"nslookup -type=a {balanced.name} | tr '\\n' ' '",
        "echo",
        "nslookup -type=a nobody-1.us-east-1.elb.localhost 2>&1 | grep -c NXDOMAIN",
    ])
    lines = balanced.run(script, balanced.front)
    assert lines[:3] == ["yes", "yes", "yes"], lines
    assert all(found in lines[3] for found in balanced.addresses()), lines
    assert int(lines[4]) > 0, lines


def test_security_groups_hold_for_the_load_balancer(balanced):
    """Who may reach it is its own groups' word; whom it may reach is its targets'."""
    everybody = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    friends = balanced.security_group("friends")
    strangers = balanced.security_group("strangers")
    inside = balanced.addresses()[0]
    balanced.forbid(balanced.front, **everybody)
    balanced.allow(balanced.front, UserIdGroupPairs=[{"GroupId": friends}])
    try:
        wait_until("the machine is shut out", lambda: curl(f"http://{inside}:{balanced.port}/")[0] == 0)
        assert balanced.run(fetch(inside, balanced.port), friends) == ["yes"]
        assert balanced.run(fetch(inside, balanced.port), strangers) == ["no"]
        assert curl(f"http://{balanced.name}:{balanced.port}/")[0] == 200, "loopback is the developer's own"
    finally:
        balanced.allow(balanced.front, **everybody)
    by_front = {"UserIdGroupPairs": [{"GroupId": balanced.front}]}
    balanced.forbid(balanced.back, **by_front)
    try:
        balanced.wait_state("unhealthy")
        assert balanced.state()["Reason"] in ("Target.Timeout", "Target.FailedHealthChecks")
    finally:
        balanced.allow(balanced.back, **by_front)
    balanced.wait_state("healthy")


def test_https_with_a_certificate_of_our_authority(balanced, server, tmp_path):
    certificate = balanced.acm.request_certificate(DomainName=balanced.name)["CertificateArn"]
    port = balanced.listen(Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])
    curl_ca = tmp_path / "ca.pem"
    curl_ca.write_text(curl(f"{server.endpoint}/_neargate/ca.pem")[1])
    url = f"https://{balanced.name}:{port}/"
    wait_until("the listener is open", lambda: curl(url, "--cacert", str(curl_ca))[0] == 200)
    assert curl(url)[0] == 0, "nobody else trusts it"
    assert balanced.acm.describe_certificate(CertificateArn=certificate)["Certificate"]["InUseBy"] == [balanced.arn]
    with pytest.raises(balanced.acm.exceptions.ResourceInUseException):
        balanced.acm.delete_certificate(CertificateArn=certificate)


def test_an_internal_one_and_the_next_have_addresses_of_their_own(balanced):
    """Two load balancers on one port of loopback are told apart by their names."""
    request = {"Name": unique("inner"), "Subnets": balanced.tasks.subnets[:2], "SecurityGroups": [balanced.front]}
    inner = balanced.elb.create_load_balancer(Scheme="internal", **request)["LoadBalancers"][0]
    answer = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "MessageBody": "inner"}}]
    balanced.elb.create_listener(LoadBalancerArn=inner["LoadBalancerArn"], Port=balanced.port, Protocol="HTTP", DefaultActions=answer)
    assert inner["DNSName"].startswith("internal-")
    wait_until("it answers", lambda: curl(f"http://{inner['DNSName']}:{balanced.port}/") == (200, "inner"))
    assert curl(f"http://{balanced.name}:{balanced.port}/")[1] != "inner"
    balanced.elb.delete_load_balancer(LoadBalancerArn=inner["LoadBalancerArn"])
    balanced.elb.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[inner["LoadBalancerArn"]], WaiterConfig={"Delay": 1})


def test_a_network_load_balancer_without_groups_lets_everything_through(balanced):
    """Its targets see its address, so their groups may name it."""
    name, port = unique("nlb"), next(_ports)
    balancer = balanced.elb.create_load_balancer(Name=name, Type="network", Subnets=balanced.tasks.subnets[:2])["LoadBalancers"][0]
    arn = balancer["LoadBalancerArn"]
    group = balanced.elb.create_target_group(
        Name=unique("tg"), Protocol="TCP", Port=PORT, VpcId=balanced.tasks.vpc, TargetType="ip", HealthCheckIntervalSeconds=10,
    )["TargetGroups"][0]["TargetGroupArn"]
    found = balanced.ec2.describe_network_interfaces(
        Filters=[{"Name": "description", "Values": [f"ELB net/{name}/*"]}])["NetworkInterfaces"]
    assert len(found) == 2 and all(interface["Groups"] == [] for interface in found), found
    ranges = {"IpRanges": [{"CidrIp": f"{interface['PrivateIpAddress']}/32"} for interface in found]}
    balanced.allow(balanced.back, **ranges)
    try:
        balanced.elb.register_targets(TargetGroupArn=group, Targets=[{"Id": address(balanced.task)}])
        action = [{"Type": "forward", "TargetGroupArn": group}]
        balanced.elb.create_listener(LoadBalancerArn=arn, Port=port, Protocol="TCP", DefaultActions=action)
        for host in [balancer["DNSName"], *(interface["PrivateIpAddress"] for interface in found)]:
            wait_until(f"{host} answers", lambda: curl(f"http://{host}:{port}/")[0] == 200)
    finally:
        balanced.forbid(balanced.back, **ranges)
        balanced.elb.delete_load_balancer(LoadBalancerArn=arn)


def namespaces() -> set[str]:
    return {line.split()[1] for line in open("/proc/self/mounts") if re.search(r"/run/neargate/.*/netns/eni-", line)}


def test_nothing_cuts_it_off_for_long_and_nothing_is_left(layout, tmp_path):
    data_dir, account = tmp_path / "data", fresh_account()
    before = namespaces()
    server = Server(data_dir, "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    balanced = Balanced(server, account).start()
    url = f"http://{balanced.name}:{balanced.port}/"
    inside = f"http://{balanced.addresses()[0]}:{balanced.port}/"
    assert len(namespaces() - before) == 2

    # Without the server it goes on; the next server finds the load balancer that runs.
    lb = lock_holder(data_dir, "lb")
    server.process.kill()
    server.process.wait()
    for _ in range(20):
        assert curl(url)[0] == curl(inside)[0] == 200
    # Without the server and the node too.
    kill(lock_holder(data_dir, "node"))
    assert curl(url)[0] == curl(inside)[0] == 200
    server = Server(data_dir, "--create-repositories-on-push")
    assert lock_holder(data_dir, "lb") == lb
    balanced.elb = server.client("elbv2", account)
    assert balanced.state()["State"] == "healthy"
    assert curl(url)[0] == curl(inside)[0] == 200
    assert len(namespaces() - before) == 2

    # Killed itself, it is back soon, with the same configuration: with a server, and without one.
    kill(lb)
    wait_until("it is back", lambda: curl(url)[0] == 200, BACK_SECONDS)
    second = lock_holder(data_dir, "lb")
    assert second != lb
    assert curl(inside)[0] == 200
    server.process.kill()
    server.process.wait()
    kill(second)
    wait_until("it is back without the server", lambda: curl(url)[0] == curl(inside)[0] == 200, BACK_SECONDS)
    third = lock_holder(data_dir, "lb")
    assert third != second
    server = Server(data_dir, "--create-repositories-on-push")
    balanced.elb = server.client("elbv2", account)
    assert lock_holder(data_dir, "lb") == third
    assert curl(url)[0] == curl(inside)[0] == 200

    # A load balancer that is deleted leaves no namespace.
    balanced.elb.delete_load_balancer(LoadBalancerArn=balanced.arn)
    try:
        wait_until("its addresses are gone", lambda: namespaces() <= before)
    except AssertionError as error:
        log = (data_dir / "node" / "node.log").read_text()[-2000:]
        raise AssertionError(f"{error}: {namespaces() - before}\n{log}") from None
    wait_until("its port is closed", lambda: curl(url)[0] == 0)
    node = lock_holder(data_dir, "node")
    assert server.stop() == 0
    # A stop is not a death: nobody starts one again.
    wait_until("both have ended", lambda: not runs(third) and not runs(node))
    assert [(data_dir / role / "lock").read_text() for role in ("lb", "node")] == ["", ""]


def test_a_reset_leaves_no_load_balancer(layout, tmp_path):
    before = namespaces()
    server = Server(tmp_path / "data", "--create-repositories-on-push")
    images.push(layout, server.address, "base:1")
    balanced = Balanced(server, fresh_account()).start()
    health = json.loads(curl(f"{server.endpoint}/_neargate/health")[1])
    assert len(health["load_balancers"]) == 1, health
    authority = curl(f"{server.endpoint}/_neargate/ca.pem")[1]
    assert curl(f"{server.endpoint}/_neargate/reset", "-X", "POST", "-H", "X-Neargate-Reset: yes", "-m", "60")[0] == 200
    wait_until("its port is closed", lambda: curl(f"http://{balanced.name}:{balanced.port}/")[0] == 0)
    wait_until("its addresses are gone", lambda: namespaces() <= before)
    assert balanced.elb.describe_load_balancers()["LoadBalancers"] == []
    assert curl(f"{server.endpoint}/_neargate/ca.pem")[1] == authority, "clients that trust it go on"
    assert server.stop() == 0
