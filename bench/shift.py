"""How long after a shift of traffic was written the last new request still follows the old weights.

Two tasks behind an application load balancer; clients send request after request on kept connections while ModifyListener
moves all traffic from one to the other and back. A request counts from the instant at which it was sent, and the shift
from the instant at which ModifyListener answered: it was on disk then.
"""

import http.client
import pathlib
import statistics
import subprocess
import threading
import time

SHIFTS = 60
CLIENTS = 4
# Between shifts: far longer than any of them takes.
PAUSE_SECONDS = 0.25
PORT = 8080
ROOT = pathlib.Path(__file__).resolve().parent.parent


def build_image(work, xtask):
    program = work / "webapp"
    subprocess.run(
        ["rustc", "--edition", "2024", "-O", "-C", "target-feature=+crt-static", ROOT / "tests/app/main.rs", "-o", program],
        check=True,
    )
    subprocess.run([xtask, "image", program, work / "web-oci", "1"], check=True, stdout=subprocess.DEVNULL)


def push(layout, port, repository):
    target = f"docker://localhost:{port}/{repository}:1"
    subprocess.run(["skopeo", "copy", "--quiet", "--dest-tls-verify=false", "--dest-creds=AWS:any", f"oci:{layout}:1", target], check=True)


class Site:
    """Target groups `blue` and `green` with a task each, behind one listener."""

    def __init__(self, client, port, listen):
        self.ecs, self.ec2, self.elb = client("ecs", port), client("ec2", port), client("elbv2", port)
        self.ecs.create_cluster()
        subnets = self.ec2.describe_subnets()["Subnets"]
        self.vpc, self.subnets = subnets[0]["VpcId"], [subnet["SubnetId"] for subnet in subnets[:2]]
        self.security = self.ec2.create_security_group(GroupName="open", Description="open", VpcId=self.vpc)["GroupId"]
        everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self.ec2.authorize_security_group_ingress(GroupId=self.security, IpPermissions=everything)
        balancer = self.elb.create_load_balancer(Name="shift", Subnets=self.subnets, SecurityGroups=[self.security])
        balancer = balancer["LoadBalancers"][0]
        self.host, self.listen = balancer["DNSName"], listen
        groups = [self.target_group(version) for version in ("blue", "green")]
        self.groups = dict(zip(("blue", "green"), groups, strict=True))
        self.listener = self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=listen, DefaultActions=self.actions("blue")
        )["Listeners"][0]["ListenerArn"]
        for version in self.groups:
            self.start(version, port)
        waiter = self.elb.get_waiter("target_in_service")
        for group in self.groups.values():
            waiter.wait(TargetGroupArn=group, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def target_group(self, version):
        return self.elb.create_target_group(
            Name=version, Protocol="HTTP", Port=PORT, VpcId=self.vpc, TargetType="ip", HealthCheckPath="/health",
            HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]

    def actions(self, version):
        groups = [{"TargetGroupArn": arn, "Weight": 100 * (name == version)} for name, arn in self.groups.items()]
        return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]

    def start(self, version, port):
        self.ecs.register_task_definition(
            family=version, networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            executionRoleArn="arn:aws:iam::000000000000:role/x",
            containerDefinitions=[{
                "name": "web", "image": f"localhost:{port}/webapp:1", "portMappings": [{"containerPort": PORT}],
                "environment": [{"name": "VERSION", "value": version}],
            }],
        )
        network = {"awsvpcConfiguration": {"subnets": self.subnets[:1], "securityGroups": [self.security]}}
        task = self.ecs.run_task(taskDefinition=version, launchType="FARGATE", networkConfiguration=network)
        arn = task["tasks"][0]["taskArn"]
        while (found := self.ecs.describe_tasks(tasks=[arn])["tasks"][0])["lastStatus"] != "RUNNING":
            time.sleep(0.05)
        address = next(d["value"] for d in found["attachments"][0]["details"] if d["name"] == "privateIPv4Address")
        self.elb.register_targets(TargetGroupArn=self.groups[version], Targets=[{"Id": address, "Port": PORT}])

    def shift(self, version):
        """Answers when it was written."""
        self.elb.modify_listener(ListenerArn=self.listener, DefaultActions=self.actions(version))
        return time.monotonic()


class Clients:
    """Threads that send request after request, and note when each was sent and which version answered."""

    def __init__(self, site):
        self.site, self.seen, self.ending = site, [], threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(CLIENTS)]

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.site.listen)
        while not self.ending.is_set():
            sent = time.monotonic()
            connection.request("GET", "/", headers={"Host": self.site.host})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            self.seen.append((sent, answer.headers["X-Version"]))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()


def shift(client, port, listen, report):
    site = Site(client, port, listen)
    site.shift("blue")
    written = []
    with Clients(site) as clients:
        time.sleep(PAUSE_SECONDS)
        for number in range(SHIFTS):
            version = ("green", "blue")[number % 2]
            written.append((site.shift(version), version))
            time.sleep(PAUSE_SECONDS)
    late = []
    for at, version in written:
        old = [sent - at for sent, by in clients.seen if at <= sent < at + PAUSE_SECONDS / 2 and by != version]
        late.append(max(old, default=0.0) * 1000)
    report("requests sent while traffic was shifted", len(clients.seen))
    report("shift written -> last request that followed the old weights, median ms", statistics.median(late))
    report("the same, worst of all shifts, ms (goal <= 50)", max(late))
