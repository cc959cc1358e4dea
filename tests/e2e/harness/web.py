"""A web service behind a load balancer, and the load on it."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

from . import images
from .server import ROOT
from .tasks import FARGATE, ROLE, unique
from .waiting import WAIT_SECONDS, wait_until

SOURCE = ROOT / "tests" / "app" / "main.rs"
LOAD = Path(os.environ.get("NEARGATE_LOAD", ROOT / "target" / "debug" / "neargate-load"))
REPOSITORY = "webapp"
IMAGE = f"000000000000.dkr.ecr.us-east-1.amazonaws.com/{REPOSITORY}:1"
PORT = 8080


@cache
def program() -> bytes:
    """The static program of tests/app."""
    built = ROOT / "target" / "app" / "webapp"
    newest = max(path.stat().st_mtime for path in SOURCE.parent.iterdir())
    if not built.exists() or built.stat().st_mtime < newest:
        built.parent.mkdir(parents=True, exist_ok=True)
        # Test files run at the same time: none must see another's half-written program.
        own = built.with_suffix(f".{os.getpid()}")
        subprocess.run(
            ["rustc", "--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", SOURCE, "-o", own],
            check=True,
        )
        own.replace(built)
    return built.read_bytes()


def push_image(server, directory: Path) -> None:
    layer = images.Layer()
    layer.file("webapp", program(), 0o755)
    layout = directory / "webapp"
    if not layout.exists():
        images.write_layout(layout, layer.finish(), Entrypoint=["/webapp"], Cmd=[])
    images.push(layout, server.address, f"{REPOSITORY}:1")


class Web:
    """Load balancer, target group and services of one account, in its default VPC."""

    def __init__(self, server, account: str):
        self.account = account
        self.connect(server)
        self.ecs.create_cluster()
        subnets = self.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        self.vpc = subnets[0]["VpcId"]
        self.subnets = sorted(subnet["SubnetId"] for subnet in subnets)[:2]
        self.group = self._security_group()

    def connect(self, server) -> None:
        """Also to one that was started again."""
        self.server = server
        self.ecs, self.ec2, self.elb, self.acm = (
            server.client(service, self.account) for service in ("ecs", "ec2", "elbv2", "acm"))

    def _security_group(self) -> str:
        name = unique("web")
        group = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
        everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
        self.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=everything)
        return group

    def balancer(self, **request) -> dict:
        request = {"Name": unique("lb"), "Subnets": self.subnets, "SecurityGroups": [self.group]} | request
        balancer = self.elb.create_load_balancer(**request)["LoadBalancers"][0]
        arn = balancer["LoadBalancerArn"]
        wait_until("the load balancer is active", lambda: self._balancer(arn)["State"]["Code"] == "active")
        return self._balancer(arn)

    def _balancer(self, arn: str) -> dict:
        return self.elb.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]

    def target_group(self, drain_seconds: int = 300, **request) -> str:
        request = {
            "Name": unique("tg"), "Protocol": "HTTP", "Port": PORT, "VpcId": self.vpc, "TargetType": "ip",
            "HealthCheckPath": "/health", "HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2,
            "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2,
        } | request
        arn = self.elb.create_target_group(**request)["TargetGroups"][0]["TargetGroupArn"]
        attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": str(drain_seconds)}
        self.elb.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[attribute])
        return arn

    def listener(self, balancer: dict, port: int, target_group: str, **request) -> str:
        request = {"Protocol": "HTTP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": target_group}]} | request
        answer = self.elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Port=port, **request)
        return answer["Listeners"][0]["ListenerArn"]

    def https_listener(self, balancer: dict, port: int, target_group: str) -> str:
        certificate = self.acm.request_certificate(DomainName=balancer["DNSName"])["CertificateArn"]
        return self.listener(balancer, port, target_group, Protocol="HTTPS", Certificates=[{"CertificateArn": certificate}])

    def definition(self, version: str, family: str = "web", **environment: str) -> str:
        environment = {"VERSION": version} | environment
        container = {
            "name": "web", "image": IMAGE, "portMappings": [{"containerPort": PORT}],
            "environment": [{"name": name, "value": value} for name, value in environment.items()],
        }
        definition = FARGATE | {"family": family, "containerDefinitions": [container], "executionRoleArn": ROLE}
        return self.ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]

    def service(self, definition: str, count: int, target_group: str | None, **request) -> str:
        request = {"serviceName": unique("web"), "launchType": "FARGATE"} | request
        if target_group:
            balancers = [{"targetGroupArn": target_group, "containerName": "web", "containerPort": PORT}]
            request.setdefault("loadBalancers", balancers)
        network = {"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.group]}}
        answer = self.ecs.create_service(taskDefinition=definition, desiredCount=count, networkConfiguration=network, **request)
        return answer["service"]["serviceName"]

    def describe(self, service: str) -> dict:
        return self.ecs.describe_services(services=[service])["services"][0]

    def events(self, service: str) -> str:
        return "\n".join(event["message"] for event in self.describe(service)["events"])

    def wait_stable(self, service: str, seconds: float = WAIT_SECONDS) -> dict:
        def stable():
            found = self.describe(service)
            counts = found["runningCount"] == found["desiredCount"] and found["pendingCount"] == 0
            return found if counts and len(found["deployments"]) == 1 and found["deployments"][0]["rolloutState"] == "COMPLETED" else None

        try:
            return wait_until(f"{service} is stable", stable, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.events(service)}\n{self.describe(service)['deployments']}") from None

    def wait_healthy(self, target_group: str, count: int) -> None:
        def healthy():
            states = [target["TargetHealth"]["State"] for target in self.health(target_group)]
            return states.count("healthy") == count

        wait_until(f"{count} healthy targets", healthy)

    def health(self, target_group: str) -> list[dict]:
        return self.elb.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]

    def tasks(self, service: str) -> list[str]:
        return self.ecs.list_tasks(serviceName=service)["taskArns"]


class Load:
    """The load generator, from the `with` to its end; `result` is its summary."""

    def __init__(self, balancer: dict, port: int, https_port: int | None = None, **options):
        options.setdefault("url", f"http://{balancer['DNSName']}:{port}/")
        self.command = [LOAD]
        if https_port:
            self.command += ["--https-url", f"https://{balancer['DNSName']}:{https_port}/"]
        for name, value in options.items():
            self.command += [f"--{name.replace('_', '-')}", str(value)]
        self.result: dict = {}

    def __enter__(self) -> "Load":
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_) -> None:
        output, _ = self.process.communicate()
        lines = [json.loads(line) for line in output.splitlines()]
        self.seconds, self.result = lines[:-1], lines[-1]

    def last_versions(self) -> set[str]:
        """Who answered in the last second in which anybody asked."""
        return set(next(second["by_version"] for second in reversed(self.seconds) if second["by_version"]))

    def assert_nothing_failed(self, rate: int = 1000) -> None:
        assert self.result["failed"] == 0, json.dumps(self.result["failures"], indent=1)
        kinds = self.result["by_kind"]
        assert all(of_kind["served"] > 0 for of_kind in kinds.values()), kinds
        assert set(kinds) >= {"keep_alive", "new_connection", "web_socket", "stream"}, kinds
        # Much less would mean that the load was not what the test says. Half is for machines that build beside it.
        assert self.result["served"] >= 0.5 * rate * (len(self.seconds) - 1), self.result
