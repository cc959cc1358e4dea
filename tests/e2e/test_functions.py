"""The functions file: what a wrong one says, and what runs at the end. What hooks make of the functions is in the
deployments' tests."""

import json
import subprocess

import pytest

from harness.processes import runs
from harness.server import PROGRAM, Server, fresh_account
from harness.waiting import wait_until


@pytest.mark.parametrize("text, complaint", [
    (None, "cannot be read: No such file or directory"),
    ('{"functions": {\n"check": {"command": "check"}}}', 'invalid type: string "check", expected a sequence at line 2 column'),
    ('{"functions": {"check": {}}}', "check: a function has either `url` or `command` at line 1 column"),
])
def test_a_wrong_functions_file_ends_the_start(world, tmp_path, text, complaint):
    file = tmp_path / "functions.json"
    if text:
        file.write_text(text)
    command = [PROGRAM, "dev", "--no-node", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--functions", file]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"the functions file {file}" in done.stderr and complaint in done.stderr, done.stderr


def test_the_servers_end_ends_the_functions_that_run(world, tmp_path):
    """Each is a process group, and nobody would wait for it any more."""
    pids = tmp_path / "pids"
    script = f"sleep 600 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait"
    file = tmp_path / "functions.json"
    file.write_text(json.dumps({"functions": {"check": {"command": ["sh", "-c", script]}}}))
    server = Server(tmp_path / "data", "--no-node", "--functions", file)
    ecs, ec2 = (server.client(service, account) for account in [fresh_account()] for service in ("ecs", "ec2"))
    ecs.create_cluster()
    ecs.register_task_definition(
        family="web", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
        containerDefinitions=[{"name": "app", "image": "app:1"}])
    hook = {"hookTargetArn": "arn:aws:lambda:us-east-1:000000000000:function:check", "roleArn": "arn:aws:iam::000000000000:role/hook",
            "lifecycleStages": ["PRE_SCALE_UP"]}
    ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE",
        deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": [hook]},
        networkConfiguration={"awsvpcConfiguration": {"subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]]}})
    wait_until("the hook is invoked", pids.exists)
    started = [int(pid) for pid in pids.read_text().split()]
    assert all(map(runs, started))
    assert server.stop() == 0
    wait_until("the command and its child have ended", lambda: not any(map(runs, started)))
