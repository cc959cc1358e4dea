"""Load balancers of one account, as short as tests need them."""

import time

from .errors import refusal
from .server import fresh_account
from .tasks import unique

WAIT_SECONDS = 60
POLL_SECONDS = 0.05
UNKNOWN = "arn:aws:elasticloadbalancing:us-east-1:{account}:{resource}"


def refused(code: str, text: str, call, **parameters) -> None:
    found, message = refusal(call, **parameters)
    assert (found, text in message) == (code, True), (found, message)


def eventually(what, want):
    """Asks until the answer is the wanted one."""
    end = time.monotonic() + WAIT_SECONDS
    while (got := what()) != want:
        assert time.monotonic() < end, f"{got!r}, not {want!r}"
        time.sleep(POLL_SECONDS)


def ids(items: list[dict], key: str) -> list[str]:
    return [item[key] for item in items]


class Balancing:
    def __init__(self, server, account: str = ""):
        self.account = account or fresh_account()
        self.elb = server.client("elbv2", self.account)
        self.ec2 = server.client("ec2", self.account)
        self.vpc = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
        found = self.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["Subnets"]
        found.sort(key=lambda subnet: subnet["AvailabilityZone"])
        self.subnets = ids(found, "SubnetId")
        self.zones = ids(found, "AvailabilityZone")
        # The first address that a load balancer or task may have in the first subnet, and the next ones.
        self.prefix = found[0]["CidrBlock"].rsplit(".", 1)[0]

    def arn(self, resource: str) -> str:
        """Of something that need not exist."""
        return UNKNOWN.format(account=self.account, resource=resource)

    def balancer(self, name: str = "", **fields) -> dict:
        fields = {"Name": name or unique("lb"), "Subnets": self.subnets[:2]} | fields
        return self.elb.create_load_balancer(**fields)["LoadBalancers"][0]

    def network(self, **fields) -> dict:
        return self.balancer(Type="network", **fields)

    def group(self, name: str = "", **fields) -> dict:
        fields = {"Name": name or unique("tg"), "Protocol": "HTTP", "Port": 80, "VpcId": self.vpc, "TargetType": "ip"} | fields
        return self.elb.create_target_group(**fields)["TargetGroups"][0]

    def group_arn(self, **fields) -> str:
        return self.group(**fields)["TargetGroupArn"]

    def listener(self, balancer: str, action: dict, **fields) -> dict:
        fields = {"LoadBalancerArn": balancer, "Protocol": "HTTP", "Port": 80, "DefaultActions": [action]} | fields
        return self.elb.create_listener(**fields)["Listeners"][0]

    def health(self, group: str, **fields) -> list[dict]:
        return self.elb.describe_target_health(TargetGroupArn=group, **fields)["TargetHealthDescriptions"]

    def security_group(self, vpc: str = "") -> str:
        return self.ec2.create_security_group(GroupName=unique("group"), Description="d", VpcId=vpc or self.vpc)["GroupId"]

    def other_vpc(self) -> tuple[str, list[str]]:
        """A VPC without internet gateway, with two subnets in two zones."""
        vpc = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnets = [self.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
                   for n, zone in enumerate(self.zones[:2])]
        return vpc, subnets


def forward(arn: str) -> dict:
    return {"Type": "forward", "TargetGroupArn": arn}


def weighted(*groups: tuple[str, int], sticky: int = 0) -> dict:
    config = {"TargetGroups": [{"TargetGroupArn": arn, "Weight": weight} for arn, weight in groups]}
    if sticky:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": sticky}
    return {"Type": "forward", "ForwardConfig": config}


OK = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": "ok"}}
TO_HTTPS = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}


def path(*values: str) -> dict:
    return {"Field": "path-pattern", "Values": list(values)}
