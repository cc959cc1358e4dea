"""CodeDeploy deployments of ECS services, with real tasks behind a real load balancer, driven as AWS's tools drive them."""

import hashlib
import json
import subprocess
import threading
import time
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from harness.blue_green import CONTAINER, CodeDeploySite, Weights, definition, hook
from harness.tasks import unique
from harness.waiting import wait_until
from test_cli import VERSIONS

# An hour of AWS is a minute, a minute a second.
SCALE = 60
EVENTS = ["BeforeInstall", "Install", "AfterInstall", "BeforeAllowTraffic", "AllowTraffic", "AfterAllowTraffic"]
TEST_EVENTS = ["AllowTestTraffic", "AfterAllowTestTraffic"]


@pytest.fixture(scope="module")
def site(world, tmp_path_factory):
    """One service for all tests, whose deployments follow each other: neither target group stays green."""
    directory = tmp_path_factory.mktemp("codedeploy")
    logs, functions = {}, {}
    for name, answer in [("passes", "Succeeded"), ("fails", "Failed"), ("holds", "")]:
        script, logs[name] = hook(directory, name, answer)
        functions[name] = {"command": [script]}
    (directory / "functions.json").write_text(json.dumps({"functions": functions}))
    site = CodeDeploySite(directory, SCALE, 8443, "--functions", str(directory / "functions.json"))
    site.logs = logs
    yield site
    site.stop()


def calls(site, name: str) -> list[dict]:
    log = site.logs[name]
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def primary(site) -> dict:
    return site.web.describe(site.service)["taskSets"][0]


def new_definition(site) -> str:
    """Another version, whose family nobody has yet."""
    return definition(site, unique("version"))


def family(arn: str) -> str:
    return arn.rsplit("/", 1)[1].split(":")[0]


def deploy(site, arn: str, hooks: dict[str, str] | None = None, **request) -> str:
    """With what CreateDeployment takes besides; the group's deployment configuration if none is named."""
    properties = {"TaskDefinition": arn, "LoadBalancerInfo": CONTAINER}
    spec = {"version": 0.0, "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}],
            "Hooks": [{event: function} for event, function in (hooks or {}).items()]}
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(spec)}}
    answer = site.deploys.create_deployment(
        applicationName="app", deploymentGroupName="group", revision=revision, **request)
    return answer["deploymentId"]


def group(site) -> dict:
    answer = site.deploys.get_deployment_group(applicationName="app", deploymentGroupName="group")
    return answer["deploymentGroupInfo"]


def update_group(site, **change) -> None:
    site.deploys.update_deployment_group(applicationName="app", currentDeploymentGroupName="group", **change)


def is_after_event(site, deployment: str, event: str) -> bool:
    return site.events(deployment).get(event) == "Succeeded"


def only_is_left(site, version: str) -> None:
    wait_until(f"only {version}'s tasks are left", lambda: set(site.versions(site.service)) == {version})
    assert len(site.versions(site.service)) == site.web.describe(site.service)["desiredCount"]


@pytest.mark.parametrize("config, minutes, shares", [
    ("CodeDeployDefault.ECSAllAtOnce", 0, [100]),
    ("CodeDeployDefault.ECSCanary10Percent5Minutes", 5, [10, 100]),
    ("CodeDeployDefault.ECSCanary10Percent15Minutes", 15, [10, 100]),
    ("CodeDeployDefault.ECSLinear10PercentEvery1Minutes", 1, [*range(10, 101, 10)]),
    ("CodeDeployDefault.ECSLinear10PercentEvery3Minutes", 3, [*range(10, 101, 10)]),
    ("linear", 2, [40, 80, 100]),
    ("canary", 3, [33, 100]),
])
def test_traffic_moves_as_the_configuration_says(site, config, minutes, shares):
    own = {
        "linear": {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 40, "linearInterval": 2}},
        "canary": {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 33, "canaryInterval": 3}},
    }
    if config in own:
        site.deploys.create_deployment_config(
            deploymentConfigName=config, computePlatform="ECS", trafficRoutingConfig=own[config])
    begin = site.green_percent()
    assert begin in (0, 100)
    before = primary(site)
    arn = new_definition(site)
    with Weights(site) as weights:
        deployment = deploy(site, arn, deploymentConfigName=config)
        with pytest.raises(ClientError) as refused:
            deploy(site, arn)
        ended = site.wait_ended(deployment)
    assert refused.value.response["Error"]["Code"] == "DeploymentLimitExceededException"
    assert refused.value.response["Error"]["Message"] == (
        f"The Deployment Group 'group' already has an active Deployment '{deployment}'")
    assert ended["status"] == "Succeeded", ended

    # The target groups take turns: of one of them the shares fall.
    assert weights.steps() == [begin, *(share if begin == 0 else 100 - share for share in shares)]
    target = site.target(deployment)
    assert target["status"] == "Succeeded"
    assert [event["lifecycleEventName"] for event in target["lifecycleEvents"]] == EVENTS
    assert all(event["status"] == "Succeeded" for event in target["lifecycleEvents"])
    moments = [event[key] for event in target["lifecycleEvents"] for key in ("startTime", "endTime")]
    assert moments == sorted(moments) and moments[-1] <= ended["completeTime"]
    shift = target["lifecycleEvents"][EVENTS.index("AllowTraffic")]
    whole = timedelta(minutes=minutes * (len(shares) - 1)) / SCALE
    assert shift["endTime"] - shift["startTime"] >= whole
    # Blue had its time after that.
    assert ended["completeTime"] - moments[-1] >= timedelta(minutes=site.minutes(3)) / SCALE

    service = site.web.describe(site.service)
    assert service["taskDefinition"] == arn and service["deployments"] == []
    [only] = service["taskSets"]
    assert (only["status"], only["startedBy"], only["externalId"]) == ("PRIMARY", "CODE_DEPLOY", deployment)
    assert only["loadBalancers"][0]["targetGroupArn"] != before["loadBalancers"][0]["targetGroupArn"]
    assert service["loadBalancers"] == only["loadBalancers"]
    only_is_left(site, family(arn))
    assert group(site)["lastSuccessfulDeployment"]["deploymentId"] == deployment


def test_a_deployment_with_everything(site):
    """Test listener, hooks, a wait to be continued, and the wait for blue's end."""
    blue = primary(site)["loadBalancers"][0]["targetGroupArn"]
    test_listener = site.web.listener(site.balancer, 8081, blue)
    pair = group(site)["loadBalancerInfo"]["targetGroupPairInfoList"][0]
    before = {"loadBalancerInfo": {"targetGroupPairInfoList": [pair]},
              "blueGreenDeploymentConfiguration": group(site)["blueGreenDeploymentConfiguration"]}
    update_group(site, loadBalancerInfo={"targetGroupPairInfoList": [
        pair | {"testTrafficRoute": {"listenerArns": [test_listener]}}]}, blueGreenDeploymentConfiguration={
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 60},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 60}})
    hooks = dict.fromkeys(("BeforeInstall", "AfterInstall", "BeforeAllowTraffic", "AfterAllowTraffic"), "passes")
    hooks["AfterAllowTestTraffic"] = "holds"
    deployment = deploy(site, new_definition(site), hooks, description="everything")
    api = site.deploys

    def of_deployment(name: str) -> list[dict]:
        return [call for call in calls(site, name) if call["DeploymentId"] == deployment]

    def test_groups() -> dict[str, int]:
        listener = site.web.elb.describe_listeners(ListenerArns=[test_listener])["Listeners"][0]
        groups = listener["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
        return {group["TargetGroupArn"]: group["Weight"] for group in groups if group["Weight"]}

    [held] = wait_until("the test traffic is there to be looked at", lambda: of_deployment("holds"))
    assert list(test_groups()) != [blue] and len(test_groups()) == 1
    assert site.weights()[blue] == 100, "production traffic stays"
    assert site.events(deployment)["AfterAllowTestTraffic"] == "InProgress"
    with pytest.raises(api.exceptions.DeploymentIsNotInReadyStateException):
        api.continue_deployment(deploymentId=deployment, deploymentWaitType="READY_WAIT")
    execution = {"deploymentId": deployment, "lifecycleEventHookExecutionId": held["LifecycleEventHookExecutionId"]}
    answered = api.put_lifecycle_event_hook_execution_status(**execution, status="Succeeded")
    assert answered["lifecycleEventHookExecutionId"] == held["LifecycleEventHookExecutionId"]
    with pytest.raises(api.exceptions.LifecycleEventAlreadyCompletedException):
        api.put_lifecycle_event_hook_execution_status(**execution, status="Failed")

    wait_until("it is ready", lambda: site.deployment(deployment)["status"] == "Ready")
    assert site.target(deployment)["status"] == "Ready"
    assert site.deployment(deployment)["deploymentOverview"]["Ready"] == 1
    api.continue_deployment(deploymentId=deployment, deploymentWaitType="READY_WAIT")
    wait_until("all events are over", lambda: is_after_event(site, deployment, "AfterAllowTraffic"))
    waiting = site.deployment(deployment)
    assert (waiting["status"], waiting["instanceTerminationWaitTimeStarted"]) == ("InProgress", True)
    target = site.target(deployment)
    assert target["status"] == "Succeeded"
    assert [(s["taskSetLabel"], s["status"], s["trafficWeight"], s["runningCount"]) for s in target["taskSetsInfo"]] == [
        ("Blue", "ACTIVE", 0.0, 2), ("Green", "PRIMARY", 100.0, 2)]
    assert [event["lifecycleEventName"] for event in target["lifecycleEvents"]] == [*EVENTS[:3], *TEST_EVENTS, *EVENTS[3:]]
    api.continue_deployment(deploymentId=deployment, deploymentWaitType="TERMINATION_WAIT")
    ended = site.wait_ended(deployment)
    assert ended["status"] == "Succeeded" and ended["description"] == "everything"
    assert len(of_deployment("passes")) == 4, "each hook was called once"
    assert len({call["LifecycleEventHookExecutionId"] for call in of_deployment("passes")}) == 4
    site.web.elb.delete_listener(ListenerArn=test_listener)
    update_group(site, **before)


def test_a_stop_leaves_everything_and_the_next_deployment_begins_anew(site):
    old = primary(site)
    blue = old["loadBalancers"][0]["targetGroupArn"]
    deployment = deploy(
        site, new_definition(site), deploymentConfigName="CodeDeployDefault.ECSCanary10Percent15Minutes",
        autoRollbackConfiguration={"enabled": False, "events": []})
    wait_until("the canary has its share", lambda: site.weights()[blue] == 90)
    site.deploys.stop_deployment(deploymentId=deployment, autoRollbackEnabled=False)
    ended = site.wait_ended(deployment)
    assert (ended["status"], ended["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    assert "rollbackInfo" not in ended
    assert site.weights()[blue] == 90
    sets = site.web.describe(site.service)["taskSets"]
    assert [(s["id"] == old["id"], s["status"]) for s in sets] == [(True, "PRIMARY"), (False, "ACTIVE")]

    arn = new_definition(site)
    again = site.wait_ended(deploy(site, arn))
    assert again["status"] == "Succeeded", again
    only_is_left(site, family(arn))
    assert len(site.web.describe(site.service)["taskSets"]) == 1


def test_a_stop_with_rollback_gives_blue_its_traffic_back(site):
    old = primary(site)
    blue = old["loadBalancers"][0]["targetGroupArn"]
    service = site.web.describe(site.service)
    deployment = deploy(
        site, new_definition(site), deploymentConfigName="CodeDeployDefault.ECSCanary10Percent15Minutes",
        autoRollbackConfiguration={"enabled": False, "events": []})
    wait_until("the canary has its share", lambda: site.weights()[blue] == 90)
    site.deploys.stop_deployment(deploymentId=deployment, autoRollbackEnabled=True)
    ended = site.wait_ended(deployment)
    assert ended["status"] == "Stopped"
    rollback = site.wait_ended(ended["rollbackInfo"]["rollbackDeploymentId"])
    assert (rollback["status"], rollback["creator"]) == ("Succeeded", "codeDeployRollback")
    assert rollback["rollbackInfo"]["rollbackTriggeringDeploymentId"] == deployment
    assert rollback["revision"] == ended["previousRevision"]
    assert site.weights()[blue] == 100
    after = site.web.describe(site.service)
    assert [s["id"] for s in after["taskSets"]] == [old["id"]]
    assert after["taskDefinition"] == service["taskDefinition"]
    listed = site.deploys.list_deployments(applicationName="app", deploymentGroupName="group")["deployments"]
    assert listed[:2] == [rollback["deploymentId"], deployment], "the newest first"


def test_a_hook_that_fails_after_the_shift_brings_blue_back(site):
    old = primary(site)
    blue = old["loadBalancers"][0]["targetGroupArn"]
    deployment = deploy(site, new_definition(site), {"AfterAllowTraffic": "fails"})
    ended = site.wait_ended(deployment)
    assert (ended["status"], ended["errorInformation"]) == ("Failed", {
        "code": "HOOK_EXECUTION_FAILURE",
        "message": "The deployment failed because one or more of the lifecycle event validation functions failed."})
    site.wait_ended(ended["rollbackInfo"]["rollbackDeploymentId"])
    assert primary(site)["id"] == old["id"] and site.weights()[blue] == 100
    failed = [e for e in site.target(deployment)["lifecycleEvents"] if e["status"] == "Failed"]
    assert [e["lifecycleEventName"] for e in failed] == ["AfterAllowTraffic"]


def test_a_wrong_app_spec_fails_the_deployment(site):
    for content in ("version: 0.0", "{]"):
        answer = site.deploys.create_deployment(
            applicationName="app", deploymentGroupName="group",
            revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": content}})
        ended = site.wait_ended(answer["deploymentId"])
        assert (ended["status"], ended["errorInformation"]["code"]) == ("Failed", "INVALID_REVISION")
        assert ended["errorInformation"]["message"].startswith("The deployment failed because the AppSpec file")
        # As ecspresso asks for it.
        found = site.deploys.get_application_revision(applicationName="app", revision=ended["revision"])
        assert found["revision"]["appSpecContent"]["content"] == content
        assert found["revision"]["appSpecContent"]["sha256"] == hashlib.sha256(content.encode()).hexdigest()


def test_desired_counts_change_both_task_sets_during_a_deployment(site):
    blue = primary(site)["loadBalancers"][0]["targetGroupArn"]
    deployment = deploy(
        site, new_definition(site), deploymentConfigName="CodeDeployDefault.ECSCanary10Percent15Minutes")
    wait_until("the canary has its share", lambda: site.weights()[blue] == 90)
    site.web.ecs.update_service(service=site.service, desiredCount=3)
    wait_until("both have three tasks", lambda: [
        s["runningCount"] for s in site.target(deployment)["taskSetsInfo"]] == [3, 3])
    site.web.ecs.update_service(service=site.service, desiredCount=2)
    assert site.wait_ended(deployment)["status"] == "Succeeded"
    wait_until("two are left", lambda: len(site.versions(site.service)) == 2)


def test_rules_of_the_production_listener_are_shifted(site):
    blue = primary(site)["loadBalancers"][0]["targetGroupArn"]
    rule = site.web.elb.create_rule(
        ListenerArn=site.listener, Priority=1, Conditions=[{"Field": "path-pattern", "Values": ["/api/*"]}],
        Actions=[{"Type": "forward", "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": blue, "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60}}}])["Rules"][0]["RuleArn"]
    ended = site.wait_ended(deploy(site, new_definition(site)))
    assert ended["status"] == "Succeeded", ended
    forward = site.web.elb.describe_rules(RuleArns=[rule])["Rules"][0]["Actions"][0]["ForwardConfig"]
    weights = {group["TargetGroupArn"]: group["Weight"] for group in forward["TargetGroups"]}
    assert weights[blue] == 0 and sorted(weights.values()) == [0, 100] and site.weights()[blue] == 0
    assert forward["TargetGroupStickinessConfig"] == {"Enabled": True, "DurationSeconds": 60}
    site.web.elb.delete_rule(RuleArn=rule)


def test_the_command_line_deploys_and_waits(site, tmp_path):
    """`aws ecs deploy` finds application and group, registers the definition, deploys, and waits for the end.

    Version 2.9 would go to AWS: it has an endpoint for the ECS half of it only."""
    name = unique("version")
    described = site.web.ecs.describe_task_definition(taskDefinition=new_definition(site))["taskDefinition"]
    wanted = ("containerDefinitions", "cpu", "memory", "networkMode", "requiresCompatibilities", "executionRoleArn")
    (tmp_path / "definition.json").write_text(json.dumps({"family": name} | {key: described[key] for key in wanted}))
    properties = {"taskDefinition": "any", "loadBalancerInfo": {"containerName": "web", "containerPort": CONTAINER["ContainerPort"]}}
    spec = {"version": 0.0, "resources": [{"targetService": {"type": "AWS::ECS::Service", "properties": properties}}]}
    (tmp_path / "appspec.json").write_text(json.dumps(spec))
    command = [VERSIONS["v1"], "--endpoint-url", site.server.endpoint]
    environment = site.server.environment(site.account)
    done = subprocess.run(
        [*command, "ecs", "deploy", "--service", site.service, "--cluster", "default",
         "--codedeploy-application", "app", "--codedeploy-deployment-group", "group",
         "--task-definition", tmp_path / "definition.json", "--codedeploy-appspec", tmp_path / "appspec.json"],
        env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith("Successfully deployed ") and last.endswith(f"/{name}:1 to service '{site.service}'"), done.stdout
    latest = group(site)["lastSuccessfulDeployment"]["deploymentId"]
    waited = subprocess.run(
        [*command, "deploy", "wait", "deployment-successful", "--deployment-id", latest],
        env=environment, capture_output=True, text=True, timeout=60)
    assert waited.returncode == 0, waited.stderr
    only_is_left(site, name)


def test_new_requests_follow_a_shift_at_once(site):
    """From the weights' being readable to every new request's following them: what the issue calls 50 ms."""
    arn = new_definition(site)
    deployment = deploy(site, arn)
    wait_until("all traffic has moved", lambda: is_after_event(site, deployment, "AllowTraffic"))
    time.sleep(0.05)
    answers: list[str] = []

    def ask():
        done = subprocess.run(
            ["curl", "-sk", "--resolve", f"{site.balancer['DNSName']}:{site.listen}:127.0.0.1",
             f"https://{site.balancer['DNSName']}:{site.listen}/"], capture_output=True, text=True, timeout=30)
        answers.append(done.stdout)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 20 and all(family(arn) in answer for answer in answers), answers
    assert site.wait_ended(deployment)["status"] == "Succeeded"


def test_a_service_behind_a_network_load_balancer_moves_at_once(site):
    web, api = site.web, site.deploys
    balancer = web.balancer(Type="network")
    blue, green = [web.target_group(Protocol="TCP", HealthCheckProtocol="HTTP") for _ in range(2)]
    listener = web.listener(balancer, 8090, blue, Protocol="TCP")
    service = web.service(web.definition("one"), 1, blue, deploymentController={"type": "CODE_DEPLOY"})
    api.create_application(applicationName="network", computePlatform="ECS")
    wanted = ("serviceRoleArn", "deploymentStyle", "deploymentConfigName", "blueGreenDeploymentConfiguration")
    api.create_deployment_group(
        **{name: group(site)[name] for name in wanted}, applicationName="network", deploymentGroupName="network",
        ecsServices=[{"clusterName": "default", "serviceName": service}], loadBalancerInfo={"targetGroupPairInfoList": [{
            "targetGroups": [{"name": arn.split("/")[1]} for arn in (blue, green)],
            "prodTrafficRoute": {"listenerArns": [listener]}}]})
    properties = {"TaskDefinition": web.definition("two"), "LoadBalancerInfo": CONTAINER}
    spec = {"version": 0.0, "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": properties}}]}
    request = {"applicationName": "network", "deploymentGroupName": "network", "revision": {
        "revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(spec)}}}
    with pytest.raises(ClientError) as refused:
        api.create_deployment(**request, deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes")
    assert refused.value.response["Error"]["Message"].startswith("Only ALB supports gradual traffic routing")

    def answer() -> str:
        done = subprocess.run(["curl", "-s", "http://127.0.0.1:8090/"], capture_output=True, text=True, timeout=30)
        return done.stdout

    wait_until("the first version answers", lambda: "one" in answer())
    ended = site.wait_ended(api.create_deployment(**request)["deploymentId"])
    assert ended["status"] == "Succeeded", ended
    groups = web.elb.describe_listeners(ListenerArns=[listener])["Listeners"][0]["DefaultActions"][0]["ForwardConfig"]["TargetGroups"]
    assert {g["TargetGroupArn"]: g["Weight"] for g in groups} == {blue: 0, green: 100}
    assert "two" in answer()


def test_a_service_deleted_meanwhile_fails_the_deployment(site):
    """The last test: it takes the service away."""
    deployment = deploy(
        site, new_definition(site), deploymentConfigName="CodeDeployDefault.ECSCanary10Percent15Minutes")
    wait_until("the canary begins", lambda: site.events(deployment)["AllowTraffic"] == "InProgress")
    site.web.ecs.delete_service(service=site.service, force=True)
    ended = site.wait_ended(deployment)
    assert (ended["status"], ended["errorInformation"]["code"]) == ("Failed", "INVALID_ECS_SERVICE")
    wait_until("it is gone", lambda: site.web.describe(site.service)["status"] == "INACTIVE")
    ended = site.wait_ended(deploy(site, new_definition(site)))
    assert (ended["status"], ended["errorInformation"]["code"]) == ("Failed", "INVALID_ECS_SERVICE")
