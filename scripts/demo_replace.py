"""The demo's end: replaces a running version under load, by a blue/green deployment and by stopping and starting.

usage: demo_replace.py LOAD BLUE_GREEN_URL LISTENER PLAIN_URL

Expects what scripts/demo has made: the services `hello-blue-green` (CodeDeploy) and `hello` (rolling updates), each
behind its listener. Every second it prints how users are served; what clients saw is counted by LOAD.
"""

import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import boto3

RATE = 500
QUIET_SECONDS = 2
APPLICATION, GROUP = "AppECS-default-hello-blue-green", "DgpECS-default-hello-blue-green"
SERVICE, PLAIN_SERVICE = "hello-blue-green", "hello"
# As scripts/demo sets it.
DELAY_SECONDS = "60"
TARGET_GROUPS = ("hello-1", "hello-2")
ENDED = ("Succeeded", "Failed", "Stopped")
HEADING = """
           new requests to   healthy targets   served in the second
   second  {old:>7} {new:>7}   {old:>7} {new:>7}   {old:>9} {new:>9}     failed   deployment"""
ROW = ("{second:9}  {old_weight:6.0f}% {new_weight:6.0f}%   {old_healthy:7} {new_healthy:7}   {old_served:9} {new_served:9}"
       "   {failed:8}   {at}")

ecs, elb, codedeploy = (boto3.client(service) for service in ("ecs", "elbv2", "codedeploy"))


def show(command: list[str]) -> None:
    print("\n$ " + shlex.join(command))


def run(command: list[str]) -> str:
    return subprocess.run([*command, "--output", "text"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Load:
    """Users: `neargate-load` for as long as the `with` lasts. Iterating gives what they saw, second by second."""

    def __init__(self, program: str, url: str):
        # The example speaks neither WebSockets nor streams.
        self.command = [program, "--url", url, "--rate", str(RATE), "--websockets", "0", "--streams", "0"]

    def __enter__(self) -> "Load":
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seconds: list[dict] = []
        return self

    def __iter__(self):
        for line in self.process.stdout:
            self.seconds.append(json.loads(line))
            yield self.seconds[-1]

    def __exit__(self, *_) -> None:
        rest, _ = self.process.communicate()
        *seconds, self.result = [json.loads(line) for line in rest.splitlines()]
        self.seconds += seconds

    def downtime(self) -> float:
        """For how many seconds everybody would have been turned away, for as many failures."""
        return self.result["failed"] / RATE


class Route:
    """What the production listener does with requests, and how those who may get them are."""

    def __init__(self, listener: str):
        self.listener = listener
        groups = elb.describe_target_groups(Names=TARGET_GROUPS)["TargetGroups"]
        self.arns = {group["TargetGroupName"]: group["TargetGroupArn"] for group in groups}

    def weights(self) -> dict[str, float]:
        """Per cent of new requests, by target group."""
        action = elb.describe_listeners(ListenerArns=[self.listener])["Listeners"][0]["DefaultActions"][0]
        weights = {group["TargetGroupArn"]: group.get("Weight", 1) for group in action["ForwardConfig"]["TargetGroups"]}
        total = sum(weights.values())
        return {name: 100 * weights.get(arn, 0) / total for name, arn in self.arns.items()}

    def healthy(self) -> dict[str, int]:
        health = {name: elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"] for name, arn in self.arns.items()}
        return {name: [t["TargetHealth"]["State"] for t in targets].count("healthy") for name, targets in health.items()}

    def serving(self) -> str:
        weights = self.weights()
        return max(weights, key=weights.get)


def next_version(service: str) -> tuple[str, str, str]:
    """Registers the same application as another version: (running, next, next's task definition)."""
    arn = ecs.describe_services(services=[service])["services"][0]["taskDefinition"]
    definition = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]
    container, = definition["containerDefinitions"]
    environment = {variable["name"]: variable["value"] for variable in container["environment"]}
    running = environment.get("VERSION", "blue")
    following = "green" if running == "blue" else "blue"
    container["environment"] = [{"name": name, "value": value} for name, value in (environment | {"VERSION": following}).items()]
    keys = ("family", "requiresCompatibilities", "networkMode", "cpu", "memory", "executionRoleArn", "containerDefinitions")
    registered = ecs.register_task_definition(**{key: definition[key] for key in keys})
    return running, following, registered["taskDefinition"]["taskDefinitionArn"]


def deployment_of(definition: str) -> list[str]:
    """The command that begins it."""
    properties = {"TaskDefinition": definition, "LoadBalancerInfo": {"ContainerName": "hello", "ContainerPort": 8080}}
    resource = {"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}
    content = json.dumps({"version": 0.0, "Resources": [resource]})
    revision = json.dumps({"revisionType": "AppSpecContent", "appSpecContent": {"content": content}})
    return ["aws", "deploy", "create-deployment", "--application-name", APPLICATION, "--deployment-group-name", GROUP,
            "--revision", revision, "--query", "deploymentId"]


def blue_green(program: str, url: str, listener: str) -> Load:
    route = Route(listener)
    old = route.serving()
    new = next(name for name in TARGET_GROUPS if name != old)
    running, following, definition = next_version(SERVICE)
    command = deployment_of(definition)
    deployment = end = None
    # The aws CLI takes a while, and the seconds go on.
    with ThreadPoolExecutor(1) as beside, Load(program, url) as load:
        for second in load:
            if deployment is None and second["second"] >= QUIET_SECONDS:
                show(command)
                deployment = beside.submit(run, command)
                print(HEADING.format(old=running, new=following))
            status, at = state(deployment.result()) if deployment and deployment.done() else ("", "")
            weights, healthy, served = route.weights(), route.healthy(), second["by_version"]
            if deployment:
                print(ROW.format(
                    second=second["second"], old_weight=weights[old], new_weight=weights[new], old_healthy=healthy[old],
                    new_healthy=healthy[new], old_served=served.get(running, 0), new_served=served.get(following, 0),
                    failed=second["failed"], at=at), flush=True)
            if status in ENDED:
                end = end or second["second"] + QUIET_SECONDS
                if second["second"] >= end:
                    break
    if status != "Succeeded":
        sys.exit(f"The deployment has {status.lower()}: {info(deployment.result()).get('errorInformation')}")
    return load


def info(deployment: str) -> dict:
    return codedeploy.get_deployment(deploymentId=deployment)["deploymentInfo"]


def state(deployment: str) -> tuple[str, str]:
    """The deployment's status, and what it is at."""
    status = info(deployment)["status"]
    if status != "InProgress":
        return status, status
    target = codedeploy.get_deployment_target(deploymentId=deployment, targetId=f"default:{SERVICE}")["deploymentTarget"]
    running = [e["lifecycleEventName"] for e in target["ecsTarget"]["lifecycleEvents"] if e["status"] == "InProgress"]
    return status, running[0] if running else "waits, drains and ends the old version"


def stop_then_start(program: str, url: str) -> Load:
    """All old tasks are stopped, then the new ones started: what a deployment is where nobody keeps two versions."""
    _, following, definition = next_version(PLAIN_SERVICE)
    # Nobody waits for what is under way either: the shortest that stopping first can be.
    keep_draining(False)
    command = ["aws", "ecs", "update-service", "--service", PLAIN_SERVICE, "--task-definition", definition,
               "--deployment-configuration", "minimumHealthyPercent=0,maximumPercent=100",
               "--availability-zone-rebalancing", "DISABLED", "--query", "service.status"]
    updated = stable = None
    with Load(program, url) as load:
        for second in load:
            if updated is None and second["second"] >= QUIET_SECONDS:
                show(command)
                run(command)
                updated = second["second"]
                print(f"\n{'second':>9}  {'served':>9}  {'failed':>8}")
            elif updated is not None:
                print(f"{second['second']:9}  {second['served']:9}  {second['failed']:8}", flush=True)
                # The new version alone serves, and nobody is turned away any more.
                if set(second["by_version"]) == {following} and second["failed"] == 0:
                    stable = stable or second["second"]
                    if second["second"] >= stable + QUIET_SECONDS:
                        break
    ecs.update_service(service=PLAIN_SERVICE, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200})
    keep_draining(True)
    return load


def keep_draining(wanted: bool) -> None:
    group, = elb.describe_target_groups(Names=[PLAIN_SERVICE])["TargetGroups"]
    attribute = {"Key": "deregistration_delay.timeout_seconds", "Value": DELAY_SECONDS if wanted else "0"}
    elb.modify_target_group_attributes(TargetGroupArn=group["TargetGroupArn"], Attributes=[attribute])


def main(program: str, blue_green_url: str, listener: str, plain_url: str) -> None:
    print("\nUsers ask", RATE, "times a second while CodeDeploy replaces the version.")
    replaced = blue_green(program, blue_green_url, listener)
    print("\nThe same load on a service that stops the old version before it starts the new one.")
    restarted = stop_then_start(program, plain_url)
    print(f"\n{'':24}{'served':>10}  {'failed':>8}  {'downtime':>9}")
    for name, load in (("blue/green", replaced), ("stop, then start", restarted)):
        print(f"  {name:22}{load.result['served']:10}  {load.result['failed']:8}  {load.downtime():7.1f} s")
    print("This program starts at once. One that takes 20 seconds to start is away for 20 seconds more.")
    if replaced.result["failed"]:
        sys.exit(f"Requests have failed in the blue/green deployment: {replaced.result['failures']}")


if __name__ == "__main__":
    main(*sys.argv[1:])
