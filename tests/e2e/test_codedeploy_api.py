"""CodeDeploy's API without deployments: applications, configurations, groups, revisions, tags. No task runs."""

import hashlib
import json
from datetime import datetime

import pytest
from botocore.exceptions import ClientError

from harness.elb import Balancing, forward, refused, weighted
from harness.tasks import unique

ROLE = "arn:aws:iam::000000000000:role/ecsCodeDeployRole"
STYLE = {"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"}
AT_ONCE = {
    "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT"},
    "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 5},
}
CANARY = "CodeDeployDefault.ECSCanary10Percent5Minutes"
PREDEFINED = {f"CodeDeployDefault.{name}" for name in (
    "OneAtATime", "HalfAtATime", "AllAtOnce",
    "LambdaAllAtOnce", "LambdaCanary10Percent5Minutes", "LambdaCanary10Percent10Minutes", "LambdaCanary10Percent15Minutes",
    "LambdaCanary10Percent30Minutes", "LambdaLinear10PercentEvery1Minute", "LambdaLinear10PercentEvery2Minutes",
    "LambdaLinear10PercentEvery3Minutes", "LambdaLinear10PercentEvery10Minutes",
    "ECSAllAtOnce", "ECSLinear10PercentEvery1Minutes", "ECSLinear10PercentEvery3Minutes", "ECSCanary10Percent5Minutes",
    "ECSCanary10Percent15Minutes",
)}


class Deploying:
    """CodeDeploy, services and load balancers of one account."""

    def __init__(self, server):
        self.balancing = Balancing(server)
        self.account, self.elb = self.balancing.account, self.balancing.elb
        self.ecs = server.client("ecs", self.account)
        self.api = server.client("codedeploy", self.account)
        self.ecs.create_cluster(clusterName="default")
        self.ecs.register_task_definition(
            family="web", networkMode="awsvpc", requiresCompatibilities=["FARGATE"], cpu="256", memory="512",
            containerDefinitions=[{"name": "app", "image": "app:1", "portMappings": [{"containerPort": 8080}]}])

    def application(self, name: str = "", platform: str = "ECS", **fields) -> str:
        name = name or unique("app")
        self.api.create_application(applicationName=name, computePlatform=platform, **fields)
        return name

    def service(self, controller: str = "CODE_DEPLOY", network: bool = False) -> dict:
        """A service behind a listener, with a second target group and a second listener."""
        name = unique("service")
        b = self.balancing
        protocol = {"Protocol": "TCP"} if network else {}
        balancer = (b.network if network else b.balancer)()["LoadBalancerArn"]
        groups = [b.group(f"{name}-{number}", **protocol)["TargetGroupArn"] for number in (1, 2)]
        listeners = [b.listener(balancer, forward(groups[0]), Port=port, **protocol)["ListenerArn"] for port in (80, 8080)]
        self.ecs.create_service(
            serviceName=name, taskDefinition="web", desiredCount=0, launchType="FARGATE",
            deploymentController={"type": controller},
            networkConfiguration={"awsvpcConfiguration": {"subnets": b.subnets[:1]}},
            loadBalancers=[{"targetGroupArn": groups[0], "containerName": "app", "containerPort": 8080}])
        return {"name": name, "balancer": balancer, "groups": groups, "listeners": listeners}

    def request(self, application: str, service: dict, name: str = "", **fields) -> dict:
        request = {
            "applicationName": application, "deploymentGroupName": name or unique("group"), "serviceRoleArn": ROLE,
            "deploymentStyle": STYLE, "blueGreenDeploymentConfiguration": AT_ONCE,
            "ecsServices": [{"clusterName": "default", "serviceName": service["name"]}],
            "loadBalancerInfo": pair(service),
        } | fields
        return {key: value for key, value in request.items() if value is not None}

    def group(self, application: str, service: dict, name: str = "", **fields) -> str:
        request = self.request(application, service, name, **fields)
        self.api.create_deployment_group(**request)
        return request["deploymentGroupName"]

    def shown(self, application: str, group: str) -> dict:
        return self.api.get_deployment_group(applicationName=application, deploymentGroupName=group)["deploymentGroupInfo"]


def pair(service: dict, groups: tuple = ("1", "2"), production: int | None = 0, test: int | None = None) -> dict:
    names = [{"name": f"{service['name']}-{number}"} for number in groups]
    info = {"targetGroups": names}
    if production is not None:
        info["prodTrafficRoute"] = {"listenerArns": [service["listeners"][production]]}
    if test is not None:
        info["testTrafficRoute"] = {"listenerArns": [service["listeners"][test]]}
    return {"targetGroupPairInfoList": [info]}


@pytest.fixture(scope="module")
def d(api_server) -> Deploying:
    return Deploying(api_server)


@pytest.fixture(scope="module")
def web(d) -> dict:
    return d.service()


@pytest.fixture(scope="module")
def app(d) -> str:
    return d.application()


def pages(call, key: str, **request) -> list[list]:
    found = [call(**request)]
    while token := found[-1].get("nextToken"):
        found.append(call(nextToken=token, **request))
    return [page[key] for page in found]


# Applications

def test_an_application_lives(d):
    answer = d.api.create_application(applicationName="My_App+=,.@-1")
    found = d.api.get_application(applicationName="My_App+=,.@-1")["application"]
    assert isinstance(found.pop("createTime"), datetime)
    assert found == {"applicationId": answer["applicationId"], "applicationName": "My_App+=,.@-1", "computePlatform": "Server",
                     "linkedToGitHub": False}
    refused("ApplicationAlreadyExistsException", "My_App", d.api.create_application, applicationName="My_App+=,.@-1")
    other = d.application()
    refused("ApplicationAlreadyExistsException", other, d.api.update_application,
            applicationName="My_App+=,.@-1", newApplicationName=other)
    d.api.update_application(applicationName="My_App+=,.@-1", newApplicationName="renamed")
    assert d.api.get_application(applicationName="renamed")["application"]["applicationId"] == answer["applicationId"]
    refused("ApplicationDoesNotExistException", "No application found for name: My_App+=,.@-1", d.api.get_application,
            applicationName="My_App+=,.@-1")
    for _ in range(2):
        d.api.delete_application(applicationName="renamed")
    refused("ApplicationDoesNotExistException", "No application found for name: renamed", d.api.update_application,
            applicationName="renamed", newApplicationName="x")


def test_applications_are_listed_in_pages_and_asked_for_by_the_hundred(api_server):
    d = Deploying(api_server)
    names = sorted(d.application(f"app-{number:03}") for number in range(103))
    found = pages(d.api.list_applications, "applications")
    assert [len(page) for page in found] == [100, 3]
    assert sum(found, []) == names
    infos = d.api.batch_get_applications(applicationNames=names[:100])["applicationsInfo"]
    assert [info["applicationName"] for info in infos] == names[:100]
    refused("BatchLimitExceededException", "101", d.api.batch_get_applications, applicationNames=names[:101])
    refused("ApplicationDoesNotExistException", "nope", d.api.batch_get_applications, applicationNames=[names[0], "nope"])
    refused("ApplicationNameRequiredException", "", d.api.batch_get_applications, applicationNames=[])
    refused("InvalidNextTokenException", "", d.api.list_applications, nextToken="%")


@pytest.mark.parametrize("platform", ["Server", "Lambda"])
def test_other_platforms_can_be_named_and_not_deployed_to(d, web, platform):
    name = d.application(platform=platform)
    assert d.api.get_application(applicationName=name)["application"]["computePlatform"] == platform
    refused("InvalidInputException", f"compute platform {platform}", d.api.create_deployment_group, **d.request(name, web))


# Deployment configurations

def test_the_predefined_configurations_are_there(d):
    listed = sum(pages(d.api.list_deployment_configs, "deploymentConfigsList"), [])
    assert PREDEFINED <= set(listed) and listed == sorted(listed)
    ids = set()
    for name in PREDEFINED:
        info = d.api.get_deployment_config(deploymentConfigName=name)["deploymentConfigInfo"]
        ids.add(info["deploymentConfigId"])
        platform = next((p for p in ("ECS", "Lambda") if name.startswith(f"CodeDeployDefault.{p}")), "Server")
        assert info["computePlatform"] == platform
        assert ("trafficRoutingConfig" in info, "minimumHealthyHosts" in info) == (platform != "Server", platform == "Server")
        refused("InvalidOperationException", name, d.api.delete_deployment_config, deploymentConfigName=name)
    assert len(ids) == len(PREDEFINED)


@pytest.mark.parametrize(("name", "want"), [
    ("ECSAllAtOnce", {"type": "AllAtOnce"}),
    ("ECSLinear10PercentEvery3Minutes",
     {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 10, "linearInterval": 3}}),
    ("ECSCanary10Percent15Minutes",
     {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 10, "canaryInterval": 15}}),
])
def test_how_the_predefined_ones_shift_traffic(d, name, want):
    info = d.api.get_deployment_config(deploymentConfigName=f"CodeDeployDefault.{name}")["deploymentConfigInfo"]
    assert info["trafficRoutingConfig"] == want


@pytest.mark.parametrize("fields", [
    {"computePlatform": "ECS", "trafficRoutingConfig": {"type": "AllAtOnce"}},
    {"computePlatform": "ECS", "trafficRoutingConfig": {
        "type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 99, "canaryInterval": 2880}}},
    {"computePlatform": "ECS", "trafficRoutingConfig": {
        "type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 25, "linearInterval": 960}}},
    {"computePlatform": "Lambda", "trafficRoutingConfig": {"type": "AllAtOnce"}},
    {"computePlatform": "Server", "minimumHealthyHosts": {"type": "HOST_COUNT", "value": 2}},
    {"computePlatform": "Server", "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 75}},
], ids=lambda fields: json.dumps(fields)[:70])
def test_an_own_configuration_lives(d, fields):
    name = unique("config")
    answer = d.api.create_deployment_config(deploymentConfigName=name, **fields)
    info = d.api.get_deployment_config(deploymentConfigName=name)["deploymentConfigInfo"]
    assert isinstance(info.pop("createTime"), datetime)
    assert info == {"deploymentConfigId": answer["deploymentConfigId"], "deploymentConfigName": name} | fields
    assert name in sum(pages(d.api.list_deployment_configs, "deploymentConfigsList"), [])
    refused("DeploymentConfigAlreadyExistsException", name, d.api.create_deployment_config, deploymentConfigName=name, **fields)
    for _ in range(2):
        d.api.delete_deployment_config(deploymentConfigName=name)
    refused("DeploymentConfigDoesNotExistException", name, d.api.get_deployment_config, deploymentConfigName=name)


def canary(percent: int = 10, interval: int = 5) -> dict:
    return {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": percent, "canaryInterval": interval}}


def linear(percent: int = 10, interval: int = 5) -> dict:
    return {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": percent, "linearInterval": interval}}


ROUTING = "InvalidTrafficRoutingConfigurationException"
HOSTS = "InvalidMinimumHealthyHostValueException"


@pytest.mark.parametrize(("fields", "code", "text"), [
    ({"deploymentConfigName": "CodeDeployDefault.Own"}, "InvalidDeploymentConfigNameException", "CodeDeployDefault."),
    ({"trafficRoutingConfig": None}, ROUTING, "trafficRoutingConfig is required"),
    ({"trafficRoutingConfig": {}}, ROUTING, "The type of trafficRoutingConfig"),
    ({"trafficRoutingConfig": {"type": "TimeBasedCanary"}}, ROUTING, "The type of trafficRoutingConfig"),
    ({"trafficRoutingConfig": canary() | linear()}, ROUTING, "The type of trafficRoutingConfig"),
    ({"trafficRoutingConfig": canary(percent=0)}, ROUTING, "canaryPercentage must be a number from 1 to 99"),
    ({"trafficRoutingConfig": canary(percent=100)}, ROUTING, "canaryPercentage must be a number from 1 to 99"),
    ({"trafficRoutingConfig": canary(interval=0)}, ROUTING, "canaryInterval must be a number of minutes from 1 to 2880"),
    ({"trafficRoutingConfig": canary(interval=2881)}, ROUTING, "canaryInterval must be a number of minutes from 1 to 2880"),
    ({"trafficRoutingConfig": linear(percent=100)}, ROUTING, "linearPercentage must be a number from 1 to 99"),
    ({"trafficRoutingConfig": linear(percent=25, interval=961)}, ROUTING, "in 2883 minutes"),
    ({"minimumHealthyHosts": {"type": "HOST_COUNT", "value": 1}}, HOSTS, "Server only"),
    ({"computePlatform": "Server"}, ROUTING, "for the compute platforms ECS and Lambda"),
    ({"computePlatform": "Server", "trafficRoutingConfig": None}, HOSTS, "minimumHealthyHosts must have"),
    ({"computePlatform": "Server", "trafficRoutingConfig": None, "minimumHealthyHosts": {"type": "FLEET_PERCENT", "value": 101}},
     HOSTS, "from 0 to 100"),
    ({"zonalConfig": {"monitorDurationInSeconds": 1}}, "InvalidZonalDeploymentConfigurationException", "zonalConfig"),
], ids=lambda value: json.dumps(value)[:70] if isinstance(value, dict) else "")
def test_what_cannot_be_configured(d, fields, code, text):
    request = {"deploymentConfigName": unique("config"), "computePlatform": "ECS", "trafficRoutingConfig": canary()} | fields
    request = {key: value for key, value in request.items() if value is not None}
    refused(code, text, d.api.create_deployment_config, **request)


# Deployment groups

def test_a_group_is_shown_as_tools_need_it(d, app, web):
    """`aws ecs deploy` and the GitHub Action check the platform and the service, and add both waits."""
    answer = d.api.create_deployment_group(**d.request(app, web, "shown", blueGreenDeploymentConfiguration={}))
    shown = d.shown(app, "shown")
    assert shown == {
        "applicationName": app, "deploymentGroupId": answer["deploymentGroupId"], "deploymentGroupName": "shown",
        "deploymentConfigName": "CodeDeployDefault.ECSAllAtOnce", "computePlatform": "ECS", "serviceRoleArn": ROLE,
        "deploymentStyle": STYLE,
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": {"actionOnTimeout": "CONTINUE_DEPLOYMENT", "waitTimeInMinutes": 0},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 0}},
        "ecsServices": [{"clusterName": "default", "serviceName": web["name"]}],
        "loadBalancerInfo": pair(web),
        "autoRollbackConfiguration": {"enabled": False, "events": []},
        "alarmConfiguration": {"enabled": False, "ignorePollAlarmFailure": False, "alarms": []},
        "triggerConfigurations": [], "ec2TagFilters": [], "onPremisesInstanceTagFilters": [], "autoScalingGroups": [],
        "terminationHookEnabled": False,
    }
    refused("DeploymentGroupAlreadyExistsException", "shown", d.group, application=app, service=web, name="shown")
    refused("ECSServiceMappingLimitExceededException", "associated with only one deployment group", d.group, application=app, service=web)
    for _ in range(2):
        answer = d.api.delete_deployment_group(applicationName=app, deploymentGroupName="shown")
        assert answer["hooksNotCleanedUp"] == []
    refused("DeploymentGroupDoesNotExistException", "No Deployment Group found for name: shown", d.shown,
            application=app, group="shown")


def test_a_group_with_everything_is_shown_as_it_was_given(d, app, web):
    trigger = {"triggerName": "t", "triggerTargetArn": "arn:aws:sns:us-east-1:000000000000:topic",
               "triggerEvents": ["DeploymentStart", "DeploymentFailure"]}
    cluster = f"arn:aws:ecs:us-east-1:{d.account}:cluster/default"
    service = f"arn:aws:ecs:us-east-1:{d.account}:service/default/{web['name']}"
    given = {
        "deploymentConfigName": CANARY,
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 2880},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 2880}},
        "ecsServices": [{"clusterName": cluster, "serviceName": service}],
        "loadBalancerInfo": pair(web, groups=("2", "1"), test=1),
        "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]},
        "alarmConfiguration": {"enabled": True, "ignorePollAlarmFailure": True, "alarms": [{"name": "5xx"}]},
        "triggerConfigurations": [trigger], "outdatedInstancesStrategy": "UPDATE",
    }
    group = d.group(app, web, tags=[{"Key": "a", "Value": "b"}], terminationHookEnabled=False, ec2TagFilters=[], **given)
    shown = d.shown(app, group)
    assert {key: shown[key] for key in given} == given
    d.api.delete_deployment_group(applicationName=app, deploymentGroupName=group)


STYLES = "InvalidDeploymentStyleException"
BLUE_GREEN = "InvalidBlueGreenDeploymentConfigurationException"
PAIR = "InvalidTargetGroupPairException"
BALANCER = "InvalidLoadBalancerInfoException"
SERVICE = "InvalidECSServiceException"
NEEDS_PAIR = ("A deployment group associated with an application that uses the ECS compute platform must contain a valid pair of "
              "target groups that identify a load balancer.")


def ready(action: str, **fields) -> dict:
    return {"blueGreenDeploymentConfiguration": {"deploymentReadyOption": {"actionOnTimeout": action} | fields}}


def termination(**fields) -> dict:
    return {"blueGreenDeploymentConfiguration": {"terminateBlueInstancesOnDeploymentSuccess": fields}}


def trigger(**fields) -> dict:
    complete = {"triggerName": "t", "triggerEvents": ["DeploymentStart"], "triggerTargetArn": "arn:aws:sns:us-east-1:0:t"}
    return {key: value for key, value in (complete | fields).items() if value is not None}


@pytest.mark.parametrize(("fields", "code", "text"), [
    ({"applicationName": "nope"}, "ApplicationDoesNotExistException", "No application found for name: nope"),
    ({"deploymentConfigName": "nope"}, "DeploymentConfigDoesNotExistException", "nope"),
    ({"deploymentConfigName": "CodeDeployDefault.OneAtATime"}, "InvalidDeploymentConfigNameException", "Server compute platform"),
    ({"serviceRoleArn": ""}, "RoleRequiredException", "serviceRoleArn"),
    ({"serviceRoleArn": "ecsCodeDeployRole"}, "InvalidRoleException", "ecsCodeDeployRole"),
    ({"serviceRoleArn": "arn:aws:iam::000000000000:user/x"}, "InvalidRoleException", "user/x"),
    ({"deploymentStyle": None}, STYLES, "BLUE_GREEN"),
    ({"deploymentStyle": STYLE | {"deploymentType": "IN_PLACE"}}, STYLES, "BLUE_GREEN"),
    ({"deploymentStyle": STYLE | {"deploymentOption": "WITHOUT_TRAFFIC_CONTROL"}}, STYLES, "WITH_TRAFFIC_CONTROL"),
    ({"blueGreenDeploymentConfiguration": None}, BLUE_GREEN, "is required"),
    (termination(action="KEEP_ALIVE"), BLUE_GREEN, "KEEP_ALIVE"),
    (termination(terminationWaitTimeInMinutes=2881), BLUE_GREEN, "terminationWaitTimeInMinutes"),
    (termination(terminationWaitTimeInMinutes=-1), BLUE_GREEN, "terminationWaitTimeInMinutes"),
    (ready("STOP_DEPLOYMENT"), BLUE_GREEN, "waitTimeInMinutes of at least 1"),
    (ready("STOP_DEPLOYMENT", waitTimeInMinutes=2881), BLUE_GREEN, "waitTimeInMinutes"),
    ({"blueGreenDeploymentConfiguration": {"greenFleetProvisioningOption": {"action": "DISCOVER_EXISTING"}}}, BLUE_GREEN,
     "greenFleetProvisioningOption"),
    ({"loadBalancerInfo": None}, BALANCER, NEEDS_PAIR),
    ({"loadBalancerInfo": {"targetGroupInfoList": [{"name": "x"}]}}, BALANCER, NEEDS_PAIR),
    ({"loadBalancerInfo": {"targetGroupPairInfoList": []}}, BALANCER, NEEDS_PAIR),
    ({"loadBalancerInfo": {"groups": ("1",)}}, BALANCER, "the names of two target groups"),
    ({"loadBalancerInfo": {"groups": ("1", "1")}}, BALANCER, "two different target groups"),
    ({"loadBalancerInfo": {"groups": ("1", "3")}}, PAIR, "-3 does not exist"),
    ({"loadBalancerInfo": {"production": None}}, PAIR, "prodTrafficRoute must have exactly one listener"),
    ({"loadBalancerInfo": {"test": 0}}, PAIR, "The test listener is the production listener"),
    ({"ecsServices": None}, SERVICE, "exactly one ECS service"),
    ({"ecsServices": [{"clusterName": "default", "serviceName": "a"}, {"clusterName": "default", "serviceName": "b"}]}, SERVICE,
     "exactly one ECS service"),
    ({"ecsServices": [{"clusterName": "default"}]}, SERVICE, "serviceName"),
    ({"ecsServices": [{"clusterName": "default", "serviceName": "nope"}]}, SERVICE, "serviceName:nope"),
    ({"ecsServices": [{"clusterName": "nope", "serviceName": "nope"}]}, SERVICE, "clusterName:nope"),
    ({"autoRollbackConfiguration": {"enabled": True}}, "InvalidAutoRollbackConfigException", "DEPLOYMENT_FAILURE"),
    ({"alarmConfiguration": {"enabled": True}}, "InvalidAlarmConfigException", "Name at least one"),
    ({"alarmConfiguration": {"alarms": [{}]}}, "InvalidAlarmConfigException", "1 to 255"),
    ({"alarmConfiguration": {"alarms": [{"name": "a"}, {"name": "a"}]}}, "InvalidAlarmConfigException", "twice"),
    ({"alarmConfiguration": {"alarms": [{"name": str(n)} for n in range(11)]}}, "AlarmsLimitExceededException", "11 alarms"),
    ({"triggerConfigurations": [trigger(triggerName=None)]}, "InvalidTriggerConfigException", "triggerName"),
    ({"triggerConfigurations": [trigger(triggerEvents=[])]}, "InvalidTriggerConfigException", "triggerEvents"),
    ({"triggerConfigurations": [trigger(triggerTargetArn="x")]}, "InvalidTriggerConfigException", "SNS topic"),
    ({"triggerConfigurations": [trigger(), trigger()]}, "InvalidTriggerConfigException", "same triggerName"),
    ({"triggerConfigurations": [trigger(triggerName=str(n)) for n in range(11)]}, "TriggerTargetsLimitExceededException", "11"),
    ({"autoScalingGroups": ["asg"]}, "InvalidInputException", "autoScalingGroups"),
    ({"ec2TagFilters": [{"Key": "a", "Type": "KEY_ONLY"}]}, "InvalidInputException", "ec2TagFilters"),
    ({"tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidTagsToAddException", "reserved"),
], ids=lambda value: json.dumps(value)[:80] if isinstance(value, dict) else "")
def test_what_is_no_group(d, app, web, fields, code, text):
    if set(balancer := fields.get("loadBalancerInfo") or {}) & {"groups", "production", "test"}:
        fields = {"loadBalancerInfo": pair(web, **balancer)}
    refused(code, text, d.api.create_deployment_group, **d.request(app, web, **fields))


def test_the_route_must_fit_the_service(d, app, web):
    other = d.service()
    mixed = pair(web)
    mixed["targetGroupPairInfoList"][0]["targetGroups"][1] = {"name": f"{other['name']}-1"}
    unknown = pair(web)
    unknown["targetGroupPairInfoList"][0]["prodTrafficRoute"]["listenerArns"] = [web["listeners"][0][:-4] + "0000"]
    no_listener = pair(web)
    no_listener["targetGroupPairInfoList"][0]["prodTrafficRoute"]["listenerArns"] = [web["balancer"]]
    elsewhere = pair(web)
    elsewhere["targetGroupPairInfoList"][0]["testTrafficRoute"] = {"listenerArns": [other["listeners"][1]]}
    for info, text in [
        (mixed, "in use by another load balancer"), (unknown, "does not exist"), (no_listener, "not the ARN of a listener"),
        (elsewhere, "on another load balancer"), (pair(other), "in none of the target groups"),
    ]:
        refused(PAIR, text, d.api.create_deployment_group, **d.request(app, web, loadBalancerInfo=info))
    spare = d.balancing.group()
    d.elb.modify_listener(ListenerArn=other["listeners"][0], DefaultActions=[forward(spare["TargetGroupArn"])])
    refused(PAIR, "forwards to none of the target groups", d.group, application=app, service=other)
    d.elb.modify_listener(ListenerArn=other["listeners"][0], DefaultActions=[weighted((other["groups"][0], 0), (other["groups"][1], 1))])
    d.group(app, other)


def test_the_service_must_be_codedeploys(d, app):
    rolling = d.service(controller="ECS")
    refused(SERVICE, "Deployment group's ECS service must be configured for a CODE_DEPLOY deployment controller.",
            d.group, application=app, service=rolling)
    gone = d.service()
    d.ecs.delete_service(service=gone["name"], force=True)
    refused(SERVICE, f"serviceName:{gone['name']}", d.group, application=app, service=gone)


def test_network_load_balancers_shift_at_once_only(d, app):
    service = d.service(network=True)
    text = ("Only ALB supports gradual traffic routing, use AllAtOnce Traffic routing instead when you create/update Deployment "
            "group.")
    refused("InvalidTrafficRoutingConfigurationException", text, d.group, application=app, service=service, deploymentConfigName=CANARY)
    group = d.group(app, service)
    refused("InvalidTrafficRoutingConfigurationException", text, d.api.update_deployment_group, applicationName=app,
            currentDeploymentGroupName=group, deploymentConfigName=CANARY)
    assert d.shown(app, group)["deploymentConfigName"] == "CodeDeployDefault.ECSAllAtOnce"


def test_an_update_replaces_what_is_given_and_leaves_the_rest(d, app, web):
    group = d.group(app, web, alarmConfiguration={"enabled": True, "alarms": [{"name": "a"}, {"name": "b"}]})
    before = d.shown(app, group)

    def update(**fields) -> dict:
        answer = d.api.update_deployment_group(applicationName=app, currentDeploymentGroupName=group, **fields)
        assert answer["hooksNotCleanedUp"] == []
        return d.shown(app, fields.get("newDeploymentGroupName", group))

    assert update() == before
    for field, value in {
        "deploymentConfigName": CANARY,
        "alarmConfiguration": {"enabled": False, "ignorePollAlarmFailure": False, "alarms": [{"name": "c"}]},
        "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
        "triggerConfigurations": [trigger()],
        "serviceRoleArn": ROLE + "2",
        "blueGreenDeploymentConfiguration": {
            "deploymentReadyOption": {"actionOnTimeout": "STOP_DEPLOYMENT", "waitTimeInMinutes": 1},
            "terminateBlueInstancesOnDeploymentSuccess": {"action": "TERMINATE", "terminationWaitTimeInMinutes": 0}},
        "loadBalancerInfo": pair(web, test=1),
    }.items():
        want = before | {field: value}
        assert update(**{field: value}) == want, field
        before = want
    assert update(triggerConfigurations=[], autoRollbackConfiguration={"enabled": False}) == before | {
        "triggerConfigurations": [], "autoRollbackConfiguration": {"enabled": False, "events": []}}
    refused("InvalidBlueGreenDeploymentConfigurationException", "KEEP_ALIVE", update, **termination(action="KEEP_ALIVE"))
    refused(STYLES, "BLUE_GREEN", update, deploymentStyle=STYLE | {"deploymentType": "IN_PLACE"})
    other = d.group(app, d.service())
    refused("DeploymentGroupAlreadyExistsException", other, update, newDeploymentGroupName=other)
    refused("ECSServiceMappingLimitExceededException", "", update,
            ecsServices=d.shown(app, other)["ecsServices"], loadBalancerInfo=d.shown(app, other)["loadBalancerInfo"])
    assert update(newDeploymentGroupName="new-name")["deploymentGroupId"] == before["deploymentGroupId"]
    refused("DeploymentGroupDoesNotExistException", group, update)
    d.api.delete_deployment_group(applicationName=app, deploymentGroupName="new-name")


def test_a_configuration_in_use_stays(d, app, web):
    config = unique("config")
    d.api.create_deployment_config(deploymentConfigName=config, computePlatform="ECS", trafficRoutingConfig=linear())
    group = d.group(app, web, deploymentConfigName=config)
    refused("DeploymentConfigInUseException", group, d.api.delete_deployment_config, deploymentConfigName=config)
    d.api.update_deployment_group(applicationName=app, currentDeploymentGroupName=group, deploymentConfigName=CANARY)
    d.api.delete_deployment_config(deploymentConfigName=config)
    d.api.delete_deployment_group(applicationName=app, deploymentGroupName=group)


def test_groups_are_found_as_ecspresso_does(d):
    """All applications of the platform ECS, their groups, the one that names the service."""
    app, services = d.application(), [d.service() for _ in range(2)]
    groups = [d.group(app, service) for service in services]
    answer = d.api.list_deployment_groups(applicationName=app)
    assert (answer["applicationName"], sorted(answer["deploymentGroups"])) == (app, sorted(groups))
    answer = d.api.batch_get_deployment_groups(applicationName=app, deploymentGroupNames=[*groups, "nope"])
    named = [info["ecsServices"][0] for info in answer["deploymentGroupsInfo"]]
    assert named == [{"clusterName": "default", "serviceName": service["name"]} for service in services]
    assert "nope" in answer["errorMessage"]
    refused("ApplicationDoesNotExistException", "nope", d.api.list_deployment_groups, applicationName="nope")
    refused("BatchLimitExceededException", "101", d.api.batch_get_deployment_groups, applicationName=app,
            deploymentGroupNames=["x"] * 101)
    refused("DeploymentGroupNameRequiredException", "", d.api.batch_get_deployment_groups, applicationName=app,
            deploymentGroupNames=[])


def test_deleting_an_application_frees_its_services(d, web):
    app = d.application()
    d.group(app, web, "group")
    d.api.delete_application(applicationName=app)
    refused("ApplicationDoesNotExistException", app, d.shown, application=app, group="group")
    app = d.application()
    refused("DeploymentGroupDoesNotExistException", "group", d.shown, application=app, group="group")
    d.group(app, web, "group")
    d.api.delete_application(applicationName=app)


# Revisions

def revision(text: str | None = None, **fields) -> dict:
    content = fields if text is None else {"content": text} | fields
    return {"revisionType": "AppSpecContent", "appSpecContent": content}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_revision_is_kept_and_found_by_its_digest(d):
    app = d.application()
    texts = [f"version: 0.0\n# {number}\n" for number in range(3)]
    for text in texts:
        d.api.register_application_revision(applicationName=app, revision=revision(text, sha256=digest(text)), description="mine")
    for given in (revision(sha256=digest(texts[1])), revision(texts[1]), revision(sha256=digest(texts[1]).upper())):
        found = d.api.get_application_revision(applicationName=app, revision=given)
        assert found["revision"] == revision(texts[1], sha256=digest(texts[1]))
        info = found["revisionInfo"]
        assert (info["description"], info["deploymentGroups"]) == ("mine", [])
        assert isinstance(info["registerTime"], datetime) and "firstUsedTime" not in info
    listed = d.api.list_application_revisions(applicationName=app, sortBy="registerTime", sortOrder="ascending")["revisions"]
    assert listed == [revision(sha256=digest(text)) for text in texts]
    reverse = d.api.list_application_revisions(applicationName=app, sortBy="registerTime", sortOrder="descending")["revisions"]
    assert reverse == listed[::-1]
    assert d.api.list_application_revisions(applicationName=app, deployed="include")["revisions"] == []
    unknown = revision(sha256=digest("unknown"))
    refused("RevisionDoesNotExistException", digest("unknown"), d.api.get_application_revision,
            applicationName=app, revision=unknown)
    answer = d.api.batch_get_application_revisions(applicationName=app, revisions=[listed[0], unknown])
    assert [found["revisionLocation"] for found in answer["revisions"]] == [revision(texts[0], sha256=digest(texts[0]))]
    assert digest("unknown") in answer["errorMessage"]
    refused("BatchLimitExceededException", "26", d.api.batch_get_application_revisions, applicationName=app,
            revisions=[unknown] * 26)
    refused("RevisionRequiredException", "RevisionLocation must be specified", d.api.batch_get_application_revisions,
            applicationName=app, revisions=[])
    refused("BucketNameFilterRequiredException", "s3Bucket", d.api.list_application_revisions, applicationName=app,
            s3KeyPrefix="x")


@pytest.mark.parametrize(("given", "text"), [
    (revision("text", sha256="0" * 64), digest("text")),
    (revision(""), "empty"),
    (revision("#" * (64 * 1024 + 1)), "65536"),
    ({"revisionType": "AppSpecContent"}, "must have appSpecContent"),
    ({"appSpecContent": {"content": "text"}}, "revisionType is missing"),
    ({"revisionType": "S3", "s3Location": {"bucket": "b", "key": "k", "bundleType": "YAML"}}, "Neargate has no S3"),
    ({"revisionType": "GitHub", "gitHubLocation": {"repository": "r", "commitId": "c"}}, "GitHub is not for ECS"),
    ({"revisionType": "String", "string": {"content": "text"}}, "String is not for ECS"),
], ids=lambda value: value[:30] if isinstance(value, str) else "")
def test_what_is_no_revision(d, app, given, text):
    refused("InvalidRevisionException", text, d.api.register_application_revision, applicationName=app, revision=given)


def test_descriptions_have_a_length(d, app):
    refused("DescriptionTooLongException", "513", d.api.register_application_revision, applicationName=app,
            revision=revision("text"), description="x" * 513)
    d.api.register_application_revision(applicationName=app, revision=revision("text"), description="x" * 512)


# Tags

def test_tags_of_what_terraform_names(d, web):
    """It composes the ARNs itself."""
    app = d.application(tags=[{"Key": "a", "Value": "1"}])
    group = d.group(app, web, tags=[{"Key": "b", "Value": "2"}])
    head = f"arn:aws:codedeploy:us-east-1:{d.account}"
    for arn, first in ((f"{head}:application:{app}", "a"), (f"{head}:deploymentgroup:{app}/{group}", "b")):
        d.api.tag_resource(ResourceArn=arn, Tags=[{"Key": "c", "Value": "3"}, {"Key": first, "Value": "9"}])
        tags = d.api.list_tags_for_resource(ResourceArn=arn)["Tags"]
        assert tags == [{"Key": first, "Value": "9"}, {"Key": "c", "Value": "3"}]
        d.api.untag_resource(ResourceArn=arn, TagKeys=[first, "none"])
        assert d.api.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "c", "Value": "3"}]
        refused("TagRequiredException", "", d.api.tag_resource, ResourceArn=arn, Tags=[])
        many = [{"Key": str(number), "Value": ""} for number in range(50)]
        refused("InvalidTagsToAddException", "at most 50", d.api.tag_resource, ResourceArn=arn, Tags=many)
    for arn, code, code_of_list in [
        (f"{head}:application:nope", "ApplicationDoesNotExistException", "InvalidArnException"),
        (f"{head}:deploymentgroup:{app}/nope", "DeploymentGroupDoesNotExistException", "InvalidArnException"),
        (f"{head}:deploymentconfig:{CANARY}", "ArnNotSupportedException", "ArnNotSupportedException"),
        (f"{head}:application", "InvalidArnException", "InvalidArnException"),
        (f"{head.replace('us-east-1', 'eu-west-1')}:application:{app}", "InvalidArnException", "InvalidArnException"),
        ("x", "InvalidArnException", "InvalidArnException"),
    ]:
        refused(code, "", d.api.untag_resource, ResourceArn=arn, TagKeys=["a"])
        refused(code_of_list, "", d.api.list_tags_for_resource, ResourceArn=arn)
    d.api.delete_application(applicationName=app)


def test_accounts_do_not_see_each_other(api_server, d, app):
    other = api_server.client("codedeploy", "222222222222")
    with pytest.raises(ClientError, match="ApplicationDoesNotExistException"):
        other.get_application(applicationName=app)
    assert other.list_applications()["applications"] == []
