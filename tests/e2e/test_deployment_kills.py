"""`kill -9` of the server at any instant of a deployment: it goes on to the same end, and each lifecycle event happened
once. `NEARGATE_DEPLOYMENT_KILLS` runs more of them, `NEARGATE_KILL_SEED` others; a failure names the seed."""

import json
import os
import random
import time

import pytest

from harness.blue_green import CodeDeploySite, definition, hook
from harness.waiting import wait_until
from test_survival import kill_server

KILLS = int(os.environ.get("NEARGATE_DEPLOYMENT_KILLS", "4"))
SEED = int(os.environ.get("NEARGATE_KILL_SEED", "1"))
# A deployment takes about so long here without a kill.
LATEST_KILL_SECONDS = 9
HOOKS = ["BeforeInstall", "AfterInstall", "BeforeAllowTraffic", "AfterAllowTraffic"]
STEPS = [0.0, 40.0, 80.0, 100.0]


class Hooks:
    """A function for each event that takes one, and which executions it was called for."""

    def __init__(self, directory):
        self.logs, functions = {}, {}
        for event in HOOKS:
            command, self.logs[event] = hook(directory, event, "Succeeded")
            functions[event] = {"command": [command]}
        self.file = directory / "functions.json"
        self.file.write_text(json.dumps({"functions": functions}))

    def calls(self, event: str, deployment: str) -> list[dict]:
        lines = self.logs[event].read_text().splitlines() if self.logs[event].exists() else []
        calls = [json.loads(line) for line in lines]
        return [call for call in calls if call["DeploymentId"] == deployment]


class Machine:
    """One site for all kills: what is green in one deployment is blue in the next."""

    def __init__(self, directory):
        self.hooks = Hooks(directory)
        self.site = CodeDeploySite(directory, 60, 8443, "--functions", str(self.hooks.file))
        linear = {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 40, "linearInterval": 1}}
        self.site.deploys.create_deployment_config(
            deploymentConfigName="own", computePlatform="ECS", trafficRoutingConfig=linear)
        self.number = 0

    def groups(self) -> tuple[str, str]:
        """That of what serves, and the other."""
        groups = self.site.blue_group, self.site.green_group
        return groups if self.number % 2 == 0 else groups[::-1]


@pytest.fixture(scope="module")
def machine(world, tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("kills"))
    yield machine
    machine.site.stop()


@pytest.mark.parametrize("seed", range(SEED, SEED + KILLS))
def test_a_deployment_survives_a_killed_server(machine, seed):
    site, chance = machine.site, random.Random(seed)
    old, new = machine.groups()
    version = f"v{seed}"
    new_definition = definition(site, version)
    with site.load(rate=200) as load:
        deployment = site.deploy(new_definition, {event: event for event in HOOKS}, "own")
        instant = chance.uniform(0, LATEST_KILL_SECONDS)
        time.sleep(instant)
        before = site.weights()
        kill_server(site.server)
        site.start()
        after = site.weights()
        ended = site.wait_ended(deployment)
    assert ended["status"] == "Succeeded", (instant, ended)
    load.assert_nothing_failed(200)
    # A step may fall due while nobody is there to take it; none is skipped and none is taken back.
    assert after[new] >= before[new], (instant, before, after)
    assert before[new] in STEPS and after[new] in STEPS, (instant, before, after)
    events = site.target(deployment)["lifecycleEvents"]
    assert [event["status"] for event in events] == ["Succeeded"] * 6, (instant, events)
    times = [moment for event in events for moment in (event["startTime"], event["endTime"])]
    assert times == sorted(times), (instant, events)
    for event in HOOKS:
        executions = {call["LifecycleEventHookExecutionId"] for call in machine.hooks.calls(event, deployment)}
        assert len(executions) == 1, (instant, event, executions)
    assert site.weights()[new] == 100, instant
    wait_until("one version is left", lambda: site.versions(site.service) == [version] * 2)
    assert len(site.web.describe(site.service)["taskSets"]) == 1
    machine.number += 1
