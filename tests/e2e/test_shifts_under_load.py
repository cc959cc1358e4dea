"""Blue/green, canary and linear deployments under steady mixed load: no request fails, shares of traffic are what the
weights say, a deployment that fails leaves blue serving, and at the end only one version's tasks are left."""

import json
import time

import pytest

from harness.blue_green import CodeDeploySite, NativeSite, Weights, definition, hook
from harness.waiting import wait_until

RATE = 1500
# Long enough for whole seconds of the first and of the last weight.
LULL_SECONDS = 4


def only_green_is_left(site) -> None:
    wait_until("only green's tasks are left", lambda: site.versions(site.service) == ["green", "green"])


@pytest.mark.parametrize("config, scale, steps", [
    ("CodeDeployDefault.ECSAllAtOnce", 30, [0, 100]),
    ("CodeDeployDefault.ECSCanary10Percent15Minutes", 180, [0, 10, 100]),
    ("CodeDeployDefault.ECSLinear10PercentEvery1Minutes", 12, [*range(0, 101, 10)]),
    ("own", 60, [0, 33, 100]),
], ids=lambda value: value.split(".")[-1] if isinstance(value, str) else "")
def test_codedeploy_shifts_traffic_without_a_failed_request(tmp_path, config, scale, steps):
    site = CodeDeploySite(tmp_path, scale, 8443)
    if config == "own":
        canary = {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 33, "canaryInterval": 5}}
        site.deploys.create_deployment_config(
            deploymentConfigName=config, computePlatform="ECS", trafficRoutingConfig=canary)
    with site.load(rate=RATE) as load, Weights(site) as weights:
        time.sleep(LULL_SECONDS)
        deployment = site.deploy(definition(site, "green"), config=config)
        ended = site.wait_ended(deployment)
        time.sleep(LULL_SECONDS)
    assert ended["status"] == "Succeeded", ended
    load.assert_nothing_failed()
    assert load.result["by_kind"]["http2"]["served"] > 0
    assert weights.steps() == steps
    weights.assert_followed(load)
    only_green_is_left(site)
    site.stop()


@pytest.mark.parametrize("configuration, steps", [
    ({"strategy": "BLUE_GREEN"}, [0, 100]),
    ({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 25.0, "stepBakeTimeInMinutes": 2}}, [*range(0, 101, 25)]),
    ({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 2}}, [0, 10, 100]),
], ids=["BLUE_GREEN", "LINEAR", "CANARY"])
def test_ecs_shifts_traffic_without_a_failed_request(tmp_path, configuration, steps):
    site = NativeSite(tmp_path, 30, 8443, **configuration, bakeTimeInMinutes=1)
    with site.load(rate=RATE) as load, Weights(site) as weights:
        time.sleep(LULL_SECONDS)
        ended = site.wait_ended(site.deploy(definition(site, "green")))
        time.sleep(LULL_SECONDS)
    assert ended["status"] == "SUCCESSFUL", ended
    load.assert_nothing_failed()
    assert weights.steps() == steps
    weights.assert_followed(load)
    only_green_is_left(site)
    site.stop()


@pytest.fixture(scope="module")
def bad(world, tmp_path_factory):
    """A site on which an hour is 20 s, with functions for hooks."""
    directory = tmp_path_factory.mktemp("bad")
    functions = {name: {"command": [hook(directory, name, answer)[0]]}
                 for name, answer in [("passes", "Succeeded"), ("fails", "Failed"), ("is-silent", "")]}
    (directory / "functions.json").write_text(json.dumps({"functions": functions}))
    site = CodeDeploySite(directory, 180, 8443, "--functions", str(directory / "functions.json"))
    yield site
    site.stop()


def stop_it(site, deployment):
    wait_until("the canary has its share", lambda: site.green_percent() == 10)
    site.deploys.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)


def change_the_listener(site, deployment):
    wait_until("the canary has its share", lambda: site.green_percent() == 10)
    site.set_weights(70, 30)


@pytest.mark.parametrize("environment, request_, act, status, code", [
    ({"HEALTH_STATUS": "500"}, {}, None, "Failed", "TIMEOUT"),
    ({}, {"hooks": {"AfterInstall": "fails"}}, None, "Failed", "HOOK_EXECUTION_FAILURE"),
    ({}, {"hooks": {"BeforeAllowTraffic": "is-silent"}}, None, "Failed", "TIMEOUT"),
    ({}, {"hooks": {"BeforeAllowTraffic": "nobody"}}, None, "Failed", "INVALID_LAMBDA_FUNCTION"),
    ({}, {"hooks": {"AfterAllowTraffic": "fails"}}, None, "Failed", "HOOK_EXECUTION_FAILURE"),
    ({}, {}, stop_it, "Stopped", "MANUAL_STOP"),
    ({}, {}, change_the_listener, "Failed", "ELASTIC_LOAD_BALANCING_INVALID"),
], ids=["green is never healthy", "hook fails", "hook is silent", "no such hook", "hook fails after the shift", "stopped",
        "listener changed by hand"])
def test_a_deployment_that_fails_leaves_blue_serving(bad, environment, request_, act, status, code):
    with bad.load(rate=1000) as load:
        time.sleep(1)
        deployment = bad.deploy(
            definition(bad, "green", **environment), config="CodeDeployDefault.ECSCanary10Percent15Minutes", **request_)
        if act:
            act(bad, deployment)
        ended = bad.wait_ended(deployment)
        back = bad.wait_ended(ended["rollbackInfo"]["rollbackDeploymentId"])
        time.sleep(2)
    assert (ended["status"], ended["errorInformation"]["code"]) == (status, code), ended
    assert (back["status"], back["creator"]) == ("Succeeded", "codeDeployRollback"), back
    assert back["rollbackInfo"]["rollbackTriggeringDeploymentId"] == deployment
    load.assert_nothing_failed()
    assert load.last_versions() == {"blue"}
    assert bad.green_percent() == 0
    wait_until("only blue's tasks are left", lambda: bad.versions(bad.service) == ["blue", "blue"])


def test_a_deployment_without_capacity_leaves_blue_serving(bad):
    """Green's subnet has no address left."""
    subnet = bad.web.ec2.create_subnet(VpcId=bad.web.vpc, CidrBlock="172.31.240.0/28")["Subnet"]
    for _ in range(subnet["AvailableIpAddressCount"]):
        bad.web.ec2.create_network_interface(SubnetId=subnet["SubnetId"])
    network = {"AwsvpcConfiguration": {
        "Subnets": [subnet["SubnetId"]], "SecurityGroups": [bad.web.group], "AssignPublicIp": "DISABLED"}}
    with bad.load(rate=1000) as load:
        ended = bad.wait_ended(bad.deploy(definition(bad, "green"), NetworkConfiguration=network))
        bad.wait_ended(ended["rollbackInfo"]["rollbackDeploymentId"])
    assert (ended["status"], ended["errorInformation"]["code"]) == ("Failed", "TIMEOUT")
    load.assert_nothing_failed()
    assert "was unable to place a task" in bad.web.events(bad.service)
    assert set(load.result["by_version"]) == {"blue"} and bad.green_percent() == 0


@pytest.mark.parametrize("environment, act, reason", [
    ({"STARTUP_DELAY_MS": "60000", "CRASH_AFTER_MS": "300"}, False, "circuit breaker"),
    ({}, True, "stopped by the user"),
], ids=["green crashes", "stopped"])
def test_a_deployment_of_ecs_that_fails_leaves_blue_serving(tmp_path, environment, act, reason):
    site = NativeSite(
        tmp_path, 30, 8443, strategy="CANARY", bakeTimeInMinutes=1,
        canaryConfiguration={"canaryPercent": 20.0, "canaryBakeTimeInMinutes": 60},
        deploymentCircuitBreaker={"enable": True, "rollback": True})
    with site.load(rate=1000) as load:
        time.sleep(1)
        deployment = site.deploy(definition(site, "green", **environment))
        if act:
            wait_until("the canary has its share", lambda: site.green_percent() == 20)
            site.web.ecs.stop_service_deployment(serviceDeploymentArn=deployment, stopType="ROLLBACK")
        ended = site.wait_ended(deployment)
        time.sleep(2)
    assert ended["status"] == "ROLLBACK_SUCCESSFUL", ended
    assert reason in ended["statusReason"], ended
    load.assert_nothing_failed()
    assert load.last_versions() == {"blue"} and site.green_percent() == 0
    wait_until("only blue's tasks are left", lambda: site.versions(site.service) == ["blue", "blue"])
    site.stop()
