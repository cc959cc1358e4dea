"""Blue and green behind one HTTPS listener, and what traffic does while one replaces the other."""

import hashlib
import json
import math
import threading
import time
from itertools import pairwise
from pathlib import Path

from . import web
from .server import Server, fresh_account
from .tasks import unique
from .waiting import wait_until
from .web import PORT, Load, Web

# Three times the longest request of the load, whatever the time scale.
DRAIN_SECONDS = 6
# Tolerated difference between a share of traffic and its weight, in percentage points.
TOLERANCE = 2.0
# Over so many requests.
SAMPLE = 1000
# A request that was sent so long ago has been answered.
LATENCY_MS = 1000
ALL_AT_ONCE = "CodeDeployDefault.ECSAllAtOnce"
CONTAINER = {"ContainerName": "web", "ContainerPort": PORT}


class Site:
    """Two target groups on one listener's rule; `scale` makes AWS's minutes short."""

    def __init__(self, directory: Path, scale: int, listen: int, *options: str):
        self.data_dir, self.scale, self.listen, self.options = directory / "data", scale, listen, options
        self.account = fresh_account()
        self.start()
        web.push_image(self.server, directory)
        self.balancer = self.web.balancer()
        self.blue_group, self.green_group = self.target_group(), self.target_group()
        self.listener = self.web.https_listener(self.balancer, listen, self.blue_group)
        self.set_weights(100, 0)

    def start(self) -> None:
        """Also again after it was killed."""
        self.server = Server(
            self.data_dir, "--create-repositories-on-push", "--time-scale", str(self.scale), *self.options)
        if hasattr(self, "web"):
            self.web.connect(self.server)
        else:
            self.web = Web(self.server, self.account)

    def target_group(self) -> str:
        return self.web.target_group(drain_seconds=min(3600, DRAIN_SECONDS * self.scale))

    def minutes(self, seconds: float) -> int:
        """AWS's minutes that take about so many seconds here, at least one."""
        return max(1, round(seconds * self.scale / 60))

    def set_weights(self, blue: int, green: int) -> None:
        groups = [{"TargetGroupArn": self.blue_group, "Weight": blue}, {"TargetGroupArn": self.green_group, "Weight": green}]
        self.web.elb.modify_listener(ListenerArn=self.listener, DefaultActions=[
            {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])

    def weights(self) -> dict[str, float]:
        """Percent by target group."""
        listener = self.web.elb.describe_listeners(ListenerArns=[self.listener])["Listeners"][0]
        groups = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        total = sum(group["Weight"] for group in groups)
        return {group["TargetGroupArn"]: 100 * group["Weight"] / total for group in groups}

    def green_percent(self) -> float:
        return self.weights().get(self.green_group, 0.0)

    def load(self, **options) -> Load:
        """All kinds of clients on the one listener."""
        return Load(self.balancer, self.listen, self.listen, url=f"https://{self.balancer['DNSName']}:{self.listen}/", **options)

    def versions(self, service: str) -> list[str]:
        """The families of its running tasks, in order."""
        arns = self.web.tasks(service)
        tasks = self.web.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
        return sorted(task["taskDefinitionArn"].rsplit("/", 1)[1].split(":")[0] for task in tasks)

    def stop(self) -> None:
        if self.server.process.poll() is None:
            assert self.server.stop() == 0


class CodeDeploySite(Site):
    """A service of two tasks that CodeDeploy deploys."""

    def __init__(self, directory: Path, scale: int, listen: int, *options: str, count: int = 2, **group):
        super().__init__(directory, scale, listen, *options)
        self.service = self.web.service(
            self.web.definition("blue", family="blue"), count, self.blue_group, deploymentController={"type": "CODE_DEPLOY"})
        self.web.wait_healthy(self.blue_group, count)
        self.deploys.create_application(applicationName="app", computePlatform="ECS")
        names = [arn.split("/")[1] for arn in (self.blue_group, self.green_group)]
        request = {
            "applicationName": "app", "deploymentGroupName": "group",
            "serviceRoleArn": f"arn:aws:iam::{self.account}:role/codedeploy",
            "deploymentConfigName": ALL_AT_ONCE,
            "deploymentStyle": {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
            "ecsServices": [{"clusterName": "default", "serviceName": self.service}],
            "loadBalancerInfo": {"targetGroupPairInfoList": [{
                "targetGroups": [{"name": name} for name in names],
                "prodTrafficRoute": {"listenerArns": [self.listener]}}]},
            "blueGreenDeploymentConfiguration": {
                "terminateBlueInstancesOnDeploymentSuccess": {
                    "action": "TERMINATE", "terminationWaitTimeInMinutes": self.minutes(3)},
                "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0}},
            "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_REQUEST"]},
        } | group
        self.deploys.create_deployment_group(**request)

    @property
    def deploys(self):
        return self.server.client("codedeploy", self.account)

    def deploy(self, definition: str, hooks: dict[str, str] | None = None, config: str = ALL_AT_ONCE, **properties) -> str:
        """With more properties of the AppSpec's service."""
        properties = {"TaskDefinition": definition, "LoadBalancerInfo": CONTAINER} | properties
        spec = {"version": 0.0, "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}]}
        if hooks:
            spec["Hooks"] = [{event: function} for event, function in hooks.items()]
        content = json.dumps(spec)
        revision = {"revisionType": "AppSpecContent", "appSpecContent": {
            "content": content, "sha256": hashlib.sha256(content.encode()).hexdigest()}}
        answer = self.deploys.create_deployment(
            applicationName="app", deploymentGroupName="group", revision=revision, deploymentConfigName=config)
        return answer["deploymentId"]

    def deployment(self, id_: str) -> dict:
        return self.deploys.get_deployment(deploymentId=id_)["deploymentInfo"]

    def target(self, id_: str) -> dict:
        answer = self.deploys.get_deployment_target(deploymentId=id_, targetId=f"default:{self.service}")
        return answer["deploymentTarget"]["ecsTarget"]

    def events(self, id_: str) -> dict[str, str]:
        return {event["lifecycleEventName"]: event["status"] for event in self.target(id_)["lifecycleEvents"]}

    def wait_ended(self, id_: str, seconds: float = 180) -> dict:
        def ended():
            found = self.deployment(id_)
            return found if found["status"] in ("Succeeded", "Failed", "Stopped") else None

        try:
            return wait_until(f"{id_} ends", ended, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.deployment(id_)}\n{self.target(id_)}") from None


class NativeSite(Site):
    """A service of two tasks that ECS itself deploys side by side."""

    def __init__(self, directory: Path, scale: int, listen: int, *options: str, count: int = 2, **configuration):
        super().__init__(directory, scale, listen, *options)
        listener = self.web.elb.describe_rules(ListenerArn=self.listener)["Rules"]
        [rule] = [rule["RuleArn"] for rule in listener if rule["IsDefault"]]
        balanced = [{
            "targetGroupArn": self.blue_group, "containerName": "web", "containerPort": PORT,
            "advancedConfiguration": {
                "alternateTargetGroupArn": self.green_group, "productionListenerRule": rule,
                "roleArn": f"arn:aws:iam::{self.account}:role/ecs"}}]
        self.service = self.web.service(
            self.web.definition("blue", family="blue"), count, None, loadBalancers=balanced,
            deploymentConfiguration=configuration)
        self.web.wait_stable(self.service)
        self.web.wait_healthy(self.blue_group, count)

    def deploy(self, definition: str, **request) -> str:
        """Answers the ARN of the service deployment."""
        answer = self.web.ecs.update_service(service=self.service, taskDefinition=definition, **request)
        return answer["service"]["currentServiceDeployment"]

    def deployment(self, arn: str) -> dict:
        return self.web.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]

    def wait_ended(self, arn: str, seconds: float = 180) -> dict:
        open_states = ("PENDING", "IN_PROGRESS", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")

        def ended():
            found = self.deployment(arn)
            return found if found["status"] not in open_states else None

        try:
            return wait_until(f"{arn} ends", ended, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.deployment(arn)}\n{self.web.events(self.service)}") from None


class Weights:
    """Green's weight as it changes, by polling, from the `with` to its end."""

    def __init__(self, site: Site):
        self.site, self.ending = site, threading.Event()
        # Percent, and the unix milliseconds between which the listener became so.
        self.changes: list[tuple[float, float, float]] = []
        self.thread = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        asked_before = time.time() * 1000
        while not self.ending.is_set():
            asked = time.time() * 1000
            percent = self.site.green_percent()
            if not self.changes or self.changes[-1][0] != percent:
                self.changes.append((percent, asked_before, time.time() * 1000))
            asked_before = asked
            time.sleep(0.02)

    def __enter__(self) -> "Weights":
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.ending.set()
        self.thread.join()

    def steps(self) -> list[float]:
        return [percent for percent, _, _ in self.changes]

    def _at(self, begin: float, end: float) -> float | None:
        """The percent of all requests that were answered in this time; `None` if it changed."""
        for (percent, _, since), (_, until, _) in pairwise([*self.changes, (0.0, math.inf, math.inf)]):
            if since + LATENCY_MS <= begin and end <= until:
                return percent
        return None

    def assert_followed(self, load: Load, versions: tuple[str, str] = ("blue", "green")) -> None:
        """The load's shares are the weights, over at least so many requests of each step that lasted long enough."""
        seen: dict[float, dict[str, int]] = {}
        for second in load.seconds:
            percent = self._at(second["unix_ms"] - 1000, second["unix_ms"])
            if percent is not None:
                counts = seen.setdefault(percent, dict.fromkeys(versions, 0))
                for version, count in second["by_version"].items():
                    counts[version] += count
        assert set(seen) == set(self.steps()), f"no whole second of some steps: {self.steps()}, {seen}"
        for percent, counts in seen.items():
            total = sum(counts.values())
            assert total >= SAMPLE, (percent, counts)
            share = 100 * counts[versions[1]] / total
            assert abs(share - percent) <= TOLERANCE, f"{share:.2f} % instead of {percent} %: {counts}"


def definition(site: Site, version: str, **environment: str) -> str:
    """A task definition whose family is its version."""
    return site.web.definition(version, family=version, **environment)


def hook(directory: Path, name: str, answer: str) -> tuple[str, Path]:
    """A command for a functions file that notes each call in a log and then answers CodeDeploy, or does not."""
    script, log = directory / unique(name), directory / f"{name}.log"
    script.write_text(f"""#!/usr/bin/env python3
import json, os, sys, urllib.request
call = json.load(sys.stdin)
with open({str(log)!r}, "a") as log:
    print(json.dumps(call), file=log)
if {answer!r} in ("Succeeded", "Failed"):
    body = {{"deploymentId": call["DeploymentId"], "lifecycleEventHookExecutionId": call["LifecycleEventHookExecutionId"],
            "status": {answer!r}}}
    key = os.environ["AWS_ACCESS_KEY_ID"]
    urllib.request.urlopen(urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], json.dumps(body).encode(), {{
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": "CodeDeploy_20141006.PutLifecycleEventHookExecutionStatus",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={{key}}/20260101/us-east-1/codedeploy/aws4_request, "
                         "SignedHeaders=host, Signature=0"}}))
""")
    script.chmod(0o755)
    return str(script), log
