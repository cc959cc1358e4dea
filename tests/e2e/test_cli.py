"""The `aws` command line, unmodified: output and waiters. With version 1 (PyPI) and version 2 (Debian)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.tasks import FARGATE, ROLE

VERSIONS = {"v1": Path(sys.executable).parent / "aws", "v2": Path("/usr/bin/aws")}


@pytest.fixture(params=VERSIONS)
def aws(request, server, account):
    """Calls the command line and answers what it printed."""
    def call(*words: str, fails: bool = False):
        # Version 2.9 is older than AWS_ENDPOINT_URL.
        command = [VERSIONS[request.param], "--endpoint-url", server.endpoint, "--output", "json", *words]
        done = subprocess.run(command, env=server.environment(account), capture_output=True, text=True, timeout=120)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else json.loads(done.stdout) if done.stdout.strip() else None
    return call


def test_a_task_from_registration_to_its_end(aws, tasks):
    definition = FARGATE | {"family": "cli", "executionRoleArn": ROLE, "containerDefinitions": [
        tasks.container("trap 'exit 3' TERM; while :; do sleep 0.1; done")]}
    arn = aws("ecs", "register-task-definition", "--cli-input-json", json.dumps(definition))["taskDefinition"]["taskDefinitionArn"]
    network = f"awsvpcConfiguration={{subnets=[{tasks.subnets[0]}],assignPublicIp=DISABLED}}"
    task = aws("ecs", "run-task", "--task-definition", arn, "--launch-type", "FARGATE", "--network-configuration", network)["tasks"][0]["taskArn"]
    assert aws("ecs", "wait", "tasks-running", "--tasks", task) is None
    assert task in aws("ecs", "list-tasks", "--family", "cli")["taskArns"]
    aws("ecs", "stop-task", "--task", task, "--reason", "done")
    assert aws("ecs", "wait", "tasks-stopped", "--tasks", task) is None
    stopped = aws("ecs", "describe-tasks", "--tasks", task)["tasks"][0]
    assert stopped["containers"][0]["exitCode"] == 3 and stopped["stoppedReason"] == "done"


def test_an_error(aws):
    assert "(ClusterNotFoundException)" in aws("ecs", "list-tasks", "--cluster", "absent", fails=True)


def test_who_calls(aws, account):
    assert aws("sts", "get-caller-identity")["Account"] == account


def test_endpoint_from_the_environment(server, account):
    done = subprocess.run([VERSIONS["v1"], "sts", "get-caller-identity"], env=server.environment(account) | {"HOME": os.environ.get("HOME", "/")},
                          capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["Account"] == account
