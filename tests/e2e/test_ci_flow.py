"""The example's GitHub Actions workflow against a real server: its own files, its own scripts, the actions' own calls."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness import hello, images
from harness.server import ACCOUNT, REGION, ROOT, Server
from harness.waiting import wait_until
from harness.web import Load

EXAMPLE = ROOT / "examples" / "github-actions"
RUNNER = ROOT / "tests" / "github_actions"
WORKFLOW = Path(".github/workflows/deploy.yml")
# Five minutes of a canary, and five until blue is ended, are ten seconds each.
SCALE = 30
RATE = 200


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Path:
    """The image that `docker build` would make of the example application."""
    return hello.write_layout(tmp_path_factory.mktemp("hello") / "image")


class Repository:
    """A user's repository: the example application with the workflow's files beside it."""

    def __init__(self, directory: Path, endpoint: str, layout: Path):
        self.directory = directory / "repository"
        shutil.copytree(hello.EXAMPLE, self.directory)
        shutil.copytree(EXAMPLE, self.directory, dirs_exist_ok=True)
        self.edit(WORKFLOW, "http://127.0.0.1:4566", endpoint)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("AWS_")
        } | {
            "PATH": f"{RUNNER}:{Path(sys.executable).parent}:{os.environ['PATH']}", "BUILT": str(layout),
            "REGISTRY_AUTH_FILE": str(directory / "docker.json"), "POLL_SECONDS": "1",
        }

    def edit(self, file: Path, old: str, new: str) -> None:
        path = self.directory / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def push(self, sha: str) -> subprocess.CompletedProcess:
        """Runs the workflow for a commit."""
        command = [ROOT / "scripts" / "node", RUNNER / "run.cjs", self.directory, self.directory / WORKFLOW, sha]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("old, new, complaint", [
    ("container-name:", "container:", "amazon-ecs-render-task-definition@v1 has no input container"),
    ("image: ${{ steps.image.outputs.image }}", "", "amazon-ecs-render-task-definition@v1 needs the input image"),
    ("amazon-ecr-login@v2", "amazon-ecr-log-in@v2", "aws-actions/amazon-ecr-log-in@v2 is not known here"),
    ("        run: |", "        runs: |", "not a step"),
    ("    steps:", "   steps:", "BAD_INDENT"),
])
def test_a_wrong_workflow_is_refused_before_anything_runs(tmp_path, layout, old, new, complaint):
    repository = Repository(tmp_path, "http://127.0.0.1:1", layout)
    repository.edit(WORKFLOW, old, new)
    done = repository.push("0" * 40)
    assert done.returncode != 0 and done.stdout == ""
    assert complaint.lower() in done.stderr.lower(), done.stderr


class Site:
    def __init__(self, directory: Path, layout: Path):
        self.server = Server(directory / "data", "--time-scale", str(SCALE))
        self.repository = Repository(directory, self.server.endpoint, layout)
        self.ecr, self.ecs, self.elb, self.deploy = (
            self.server.client(service) for service in ("ecr", "ecs", "elbv2", "codedeploy"))
        self.ecr.create_repository(repositoryName="hello")
        image = f"localhost:{self.server.address.rpartition(':')[2]}/hello:first"
        images.push(layout, *image.split("/"))
        self.output = subprocess.run(
            [self.repository.directory / "set-up.sh", image], env=self.repository.environment | self.server.environment(),
            capture_output=True, text=True, timeout=300)
        assert self.output.returncode == 0, self.output.stderr
        self.balancer, = self.elb.describe_load_balancers()["LoadBalancers"]
        wait_until("the first version serves", self.healthy)

    def healthy(self) -> bool:
        group, = self.elb.describe_target_groups(Names=["hello-1"])["TargetGroups"]
        health = self.elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
        return [target["TargetHealth"]["State"] for target in health] == ["healthy"] * 2

    def weights(self) -> dict[str, int]:
        """Of the listener that users come in by."""
        names = {group["TargetGroupArn"]: group["TargetGroupName"] for group in self.elb.describe_target_groups()["TargetGroups"]}
        listeners = self.elb.describe_listeners(LoadBalancerArn=self.balancer["LoadBalancerArn"])["Listeners"]
        action, = next(listener["DefaultActions"] for listener in listeners if listener["Port"] == 8080)
        return {names[group["TargetGroupArn"]]: group["Weight"] for group in action["ForwardConfig"]["TargetGroups"]}


@pytest.fixture
def site(world, tmp_path, layout):
    site = Site(tmp_path, layout)
    yield site
    site.server.stop()


def test_each_push_replaces_the_running_version_without_failing_a_request(site):
    first, second = "1" * 40, "2" * 40
    with Load(site.balancer, 8080, rate=RATE, websockets=0, streams=0) as load:
        for sha in (first, second):
            done = site.repository.push(sha)
            assert done.returncode == 0, done.stderr
            outputs = [json.loads(line)["outputs"] for line in done.stdout.splitlines()]
            arn = outputs[-1]["task-definition-arn"]
            deployment = site.deploy.get_deployment(deploymentId=outputs[-1]["codedeploy-deployment-id"])["deploymentInfo"]
            assert deployment["status"] == "Succeeded" and deployment["description"] == sha

            service, = site.ecs.describe_services(services=["hello"])["services"]
            task_set, = service["taskSets"]
            assert service["taskDefinition"] == task_set["taskDefinition"] == arn
            container, = site.ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"]["containerDefinitions"]
            assert container["image"].endswith(f"/hello:{sha}")
            assert {"name": "VERSION", "value": sha} in container["environment"]
    assert load.result["failed"] == 0, load.result["failures"]
    assert set(load.result["by_version"]) == {"1.0.0", first, second}
    assert load.last_versions() == {second}
    # Two deployments later the first group is in use again.
    weights = site.weights()
    assert weights["hello-1"] > 0 and weights.get("hello-2", 0) == 0, weights


def test_the_address_of_the_registry_is_one_that_docker_reaches(site):
    """Docker takes `localhost` without TLS, and tasks are started from images that are named so."""
    data = site.ecr.get_authorization_token()["authorizationData"][0]
    user, password = base64.b64decode(data["authorizationToken"]).decode().split(":", 1)
    registry = data["proxyEndpoint"].removeprefix("http://")
    assert registry.startswith("localhost:")
    tags = subprocess.run(
        ["skopeo", "list-tags", "--tls-verify=false", f"--creds={user}:{password}", f"docker://{registry}/hello"],
        capture_output=True, text=True, check=True)
    assert json.loads(tags.stdout)["Tags"] == ["first"]
    service, = site.ecs.describe_services(services=["hello"])["services"]
    assert service["runningCount"] == 2 and ACCOUNT in service["serviceArn"] and REGION in service["serviceArn"]
