"""The services API: AWS's texts, defaults, idempotency, pages, filters, states. No task runs."""

import json

import pytest

from harness.errors import refusal
from harness.services import Services
from harness.tasks import unique

DEFAULTS = {"maximumPercent": 200, "minimumHealthyPercent": 100, "strategy": "ROLLING", "bakeTimeInMinutes": 0,
            "deploymentCircuitBreaker": {"enable": False, "rollback": False}}


@pytest.fixture(scope="module")
def services(tasks) -> Services:
    return Services(tasks)


@pytest.fixture(scope="module")
def definition(services) -> str:
    return services.definition(family="api")


def test_what_is_created_is_shown_with_its_defaults(services, definition):
    created = services.create(definition, 0, name="shown", clientToken="t-1")
    region = "arn:aws:ecs:us-east-1:" + created["serviceArn"].split(":")[4]
    assert created["serviceArn"] == f"{region}:service/default/shown"
    assert created["clusterArn"] == f"{region}:cluster/default"
    assert created["deploymentConfiguration"] == DEFAULTS
    shown = {key: created[key] for key in (
        "launchType", "platformVersion", "platformFamily", "schedulingStrategy", "deploymentController", "propagateTags",
        "enableECSManagedTags", "enableExecuteCommand", "loadBalancers", "serviceRegistries", "placementConstraints",
        "placementStrategy", "availabilityZoneRebalancing", "taskDefinition", "events", "pendingCount", "runningCount")}
    assert shown == {
        "launchType": "FARGATE", "platformVersion": "LATEST", "platformFamily": "Linux", "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"}, "propagateTags": "NONE", "enableECSManagedTags": False,
        "enableExecuteCommand": False, "loadBalancers": [], "serviceRegistries": [], "placementConstraints": [],
        "placementStrategy": [], "availabilityZoneRebalancing": "ENABLED", "taskDefinition": definition, "events": [],
        "pendingCount": 0, "runningCount": 0}
    assert "healthCheckGracePeriodSeconds" not in created, "there is no load balancer"
    assert created["roleArn"].endswith(":role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS")
    deployment = created["deployments"][0]
    assert (deployment["status"], deployment["platformVersion"], deployment["launchType"]) == ("PRIMARY", "1.4.0", "FARGATE")
    assert deployment["id"].startswith("ecs-svc/") and deployment["taskDefinition"] == definition
    network = created["networkConfiguration"]["awsvpcConfiguration"]
    assert (network["assignPublicIp"], network["securityGroups"]) == ("DISABLED", [])

    again = services.create(definition, 0, name="shown", clientToken="t-2")
    assert again["deployments"][0]["id"] == deployment["id"], "identical parameters mean the same service"
    assert refusal(services.create, definition, 1, name="shown") == (
        "InvalidParameterException", "Creation of service was not idempotent.")
    by_arn = services.ecs.describe_services(services=[created["serviceArn"]], include=["TAGS"])["services"][0]
    assert by_arn["serviceName"] == "shown" and by_arn["tags"] == []
    assert "tags" not in services.describe("shown")


def test_a_client_token_stands_for_one_request(services, definition):
    refused = ("InvalidParameterException", "Creation of service was not idempotent.")
    first = services.create(definition, 0, name="tokened", clientToken="once")
    again = services.create(definition, 0, name="tokened", clientToken="once")
    assert again["deployments"][0]["id"] == first["deployments"][0]["id"]
    assert refusal(services.create, definition, 0, name="tokened", clientToken="once", enableECSManagedTags=True) == refused
    assert refusal(services.create, definition, 0, name="another", clientToken="once") == refused
    assert services.ecs.describe_services(services=["another"])["services"] == [], "nothing was created"
    # In another cluster it is another token; without its service it stands for nothing.
    services.ecs.create_cluster(clusterName="tokens")
    services.create(definition, 0, name="another", clientToken="once", cluster="tokens")
    services.delete("tokened")
    assert services.create(definition, 0, name="another", clientToken="once")["status"] == "ACTIVE"
    assert refusal(services.create, definition, 0, name="tokened", clientToken="once") == refused


@pytest.mark.parametrize("request_, message", [
    ({"serviceName": "no spaces"}, "Invalid service name: it has up to 255 letters, digits, hyphens and underscores."),
    ({"clientToken": "t" * 37}, "idempotency token longer than 36."),
    ({"desiredCount": None}, "DesiredCount is missing"),
    ({"desiredCount": -1}, "DesiredCount can not be lesser than 0"),
    ({"taskDefinition": None}, "TaskDefinition can not be blank."),
    ({"launchType": "EC2", "platformVersion": "1.4.0"},
     "The platform version must be null when specifying an EC2 launch type"),
    ({"launchType": "EC2"}, "No Container Instances were found in your cluster."),
    ({"launchType": "FARGATE", "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
     "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."),
    ({"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]},
     "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. Associate the capacity provider with the cluster or specify a valid capacity provider and try again."),
    ({"networkConfiguration": None},
     "Network Configuration must be provided when networkMode 'awsvpc' is specified."),
    ({"placementStrategy": [{"type": "random"}]},
     "Placement strategies are not supported with FARGATE launch type."),
    ({"deploymentConfiguration": {"minimumHealthyPercent": 101}}, "minimumHealthyPercent must be at most 100"),
    ({"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}},
     "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."),
    ({"deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 100},
      "availabilityZoneRebalancing": "ENABLED"},
     "Availability Zone Rebalancing does not support maximumPercent <= 100 % as deployment configuration."),
    ({"schedulingStrategy": "DAEMON"},
     "The daemon scheduling strategy does not support a desired count for services. Remove the desired count value and try again"),
    ({"schedulingStrategy": "DAEMON", "desiredCount": None, "deploymentConfiguration": {"maximumPercent": 150}},
     "The daemon scheduling strategy does not support values above 100 for maximumPercent on a deployment configuration. Change the maximumPercent value to 100, and try again"),
    ({"schedulingStrategy": "DAEMON", "desiredCount": None},
     "The daemon scheduling strategy does not support the FARGATE launch type. Change the launch type and try again"),
    ({"role": "ecsServiceRole"}, "IAM roles are only valid for services configured to use load balancers."),
    ({"loadBalancers": [{"loadBalancerName": "classic", "containerName": "app", "containerPort": 8080}]},
     "Classic Load Balancers are not supported with Fargate."),
    ({"loadBalancers": [{"loadBalancerName": "x", "targetGroupArn": "y", "containerName": "app", "containerPort": 8080}]},
     "loadBalancerName and targetGroupArn cannot both be specified. You must specify either a loadBalancerName or a targetGroupArn in all loadBalancer entries."),
    ({"loadBalancers": [{"targetGroupArn": "y", "containerPort": 8080}]}, "Container Name can not be blank."),
    ({"loadBalancers": [{"targetGroupArn": "y", "containerName": "web", "containerPort": 8080}]},
     "The container web does not exist in the task definition."),
    ({"loadBalancers": [{"targetGroupArn": "y", "containerName": "app", "containerPort": 81}]},
     "The container app did not have a container port 81 defined."),
    ({"loadBalancers": [{"targetGroupArn": "y", "containerName": "app", "containerPort": 8080}]},
     "The specified target group does not exist: y"),
    ({"serviceRegistries": [{"registryArn": "a"}, {"registryArn": "b"}]}, "service registries can have at most 1 items."),
    ({"serviceConnectConfiguration": {"enabled": True}}, "Namespace is missing"),
    ({"serviceConnectConfiguration": {"enabled": True, "namespace": "n", "services": [{"portName": "p"}]}},
     "portName(p) does not refer to any named PortMapping in the container definitions"),
    ({"volumeConfigurations": [{"name": "v", "managedEBSVolume": {"roleArn": "arn:aws:iam::000000000000:role/x"}}]},
     "The volume name 'v' in your request does not have a matching volume in your Task Definition that is configurable at launch."),
    ({"deploymentController": {"type": "CODE_DEPLOY"}},
     "When specifying the CODE_DEPLOY deployment controller type, the service requires an Application Load Balancer or Network Load Balancer."),
    ({"deploymentController": {"type": "EXTERNAL"}}, "TaskDefinition must be blank."),
], ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:60])
def test_bad_parameters_get_awss_texts(services, definition, request_, message):
    assert refusal(services.create, definition, 0, **request_) == ("InvalidParameterException", message)


@pytest.mark.parametrize("request_", [
    {"deploymentConfiguration": {"earlySuccessCriteria": {"enable": True, "healthyPercent": 100}}},
    {"serviceRegistries": [{"registryArn": "arn:aws:servicediscovery:us-east-1:000000000000:service/srv-x"}]},
    {"vpcLatticeConfigurations": [{"roleArn": "r", "targetGroupArn": "t", "portName": "p"}]},
], ids=lambda value: next(iter(value)))
def test_what_is_not_built_is_refused_as_such(services, definition, request_):
    code, message = refusal(services.create, definition, 0, **request_)
    assert code == "UnsupportedFeatureException" and message.startswith("Neargate does not have")


def test_unknown_names(services, definition):
    assert refusal(services.create, "nothing:1")[0] == "ClientException"
    assert refusal(services.create, definition, cluster="nowhere") == ("ClusterNotFoundException", "Cluster not found.")
    for call in (services.ecs.update_service, services.ecs.delete_service):
        assert refusal(call, service="nobody") == ("ServiceNotFoundException", "Service not found.")
    answer = services.ecs.describe_services(services=["nobody"])
    assert [(f["reason"], f["arn"].rpartition(":")[2]) for f in answer["failures"]] == [("MISSING", "service/default/nobody")]
    assert answer["services"] == []
    assert refusal(services.ecs.describe_services, services=[]) == ("InvalidParameterException", "Services cannot be empty.")
    assert refusal(services.ecs.describe_services, services=["s"] * 11)[0] == "InvalidParameterException"
    network = {"awsvpcConfiguration": {"subnets": ["subnet-00000000"]}}
    code, message = refusal(services.create, definition, networkConfiguration=network)
    assert code == "InvalidParameterException" and "InvalidSubnetID.NotFound" in message


def test_inactive_definitions_are_for_those_who_have_them(services):
    used = services.definition(family="retired")
    name = services.create(used, 0)["serviceName"]
    services.ecs.deregister_task_definition(taskDefinition=used)
    assert refusal(services.create, used) == ("ClientException", "TaskDefinition is inactive")
    assert refusal(services.ecs.update_service, service=name, taskDefinition=used) == (
        "ClientException", "TaskDefinition is inactive")
    kept = services.ecs.update_service(service=name, forceNewDeployment=True)["service"]
    assert kept["taskDefinition"] == used


def test_updates_take_effect_and_say_which_need_a_deployment(services, definition):
    name = services.create(definition, 0)["serviceName"]
    first = services.describe(name)["deployments"][0]["id"]
    for request, needs in [
        ({"desiredCount": 0}, False),
        ({"deploymentConfiguration": {"maximumPercent": 150}}, False),
        ({"healthCheckGracePeriodSeconds": 30}, False),
        ({"propagateTags": "SERVICE", "enableECSManagedTags": True, "enableExecuteCommand": True}, False),
        ({"availabilityZoneRebalancing": "DISABLED"}, False),
        ({"taskDefinition": definition}, False),
        ({"platformVersion": "LATEST"}, False),
        ({"networkConfiguration": services.tasks.network()}, False),
        ({"platformVersion": "1.4.0"}, True),
        ({"networkConfiguration": services.tasks.network(public=True)}, True),
        ({"forceNewDeployment": True}, True),
    ]:
        service = services.ecs.update_service(service=name, **request)["service"]
        now = service["deployments"][0]["id"]
        assert (now != first) == needs, request
        first = now
    assert (service["healthCheckGracePeriodSeconds"], service["propagateTags"]) == (30, "SERVICE")
    assert service["deploymentConfiguration"] == DEFAULTS | {"maximumPercent": 150}
    assert service["enableECSManagedTags"] and service["enableExecuteCommand"]
    assert service["availabilityZoneRebalancing"] == "DISABLED"
    assert refusal(services.ecs.update_service, service=name, desiredCount=-1)[1] == "DesiredCount can not be lesser than 0"


def test_the_clusters_strategy_is_what_a_service_gets_without_its_own(services, definition):
    strategy = [{"capacityProvider": "FARGATE_SPOT", "weight": 1, "base": 0}]
    services.ecs.create_cluster(
        clusterName="spot", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=strategy)
    created = services.create(definition, 0, launchType=None, cluster="spot")
    assert created["capacityProviderStrategy"] == strategy and "launchType" not in created
    assert created["deployments"][0]["capacityProviderStrategy"] == strategy
    with pytest.raises(services.ecs.exceptions.ResourceInUseException):
        services.ecs.put_cluster_capacity_providers(
            cluster="spot", capacityProviders=["FARGATE"], defaultCapacityProviderStrategy=[])


def test_lists_have_pages_and_filters(services, definition):
    services.ecs.create_cluster(clusterName="many")
    names = sorted(services.create(definition, 0, name=f"s-{n:02}", cluster="many")["serviceName"] for n in range(12))
    pages = list(services.ecs.get_paginator("list_services").paginate(cluster="many"))
    assert [len(page["serviceArns"]) for page in pages] == [10, 2], "ten by default"
    assert [arn.rpartition("/")[2] for page in pages for arn in page["serviceArns"]] == names

    def count(**request) -> int:
        return len(services.ecs.list_services(cluster="many", maxResults=100, **request)["serviceArns"])

    assert (count(launchType="FARGATE"), count(launchType="EC2")) == (12, 0)
    assert (count(schedulingStrategy="REPLICA"), count(schedulingStrategy="DAEMON")) == (12, 0)
    assert refusal(services.ecs.list_services, cluster="many", nextToken="%%")[0] == "InvalidParameterException"
    cluster = services.ecs.describe_clusters(clusters=["many"], include=["STATISTICS"])["clusters"][0]
    assert cluster["activeServicesCount"] == 12
    assert {"name": "activeFargateServiceCount", "value": "12"} in cluster["statistics"]
    assert services.ecs.list_services_by_namespace(namespace="n")["serviceArns"] == []
    assert refusal(services.ecs.delete_cluster, cluster="many") == (
        "ClusterContainsServicesException", "The Cluster cannot be deleted while Services are active.")


def test_tags(services, definition):
    created = services.create(definition, 0, tags=[{"key": "a", "value": "1"}])
    arn = created["serviceArn"]
    assert created["tags"] == [{"key": "a", "value": "1"}]
    services.ecs.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    services.ecs.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert services.ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "2"}]
    assert refusal(services.ecs.tag_resource, resourceArn=arn + "x", tags=[{"key": "k", "value": "v"}])[0] == (
        "InvalidParameterException")


def test_an_empty_service_is_gone_at_once(services, definition):
    name = services.create(definition, 0)["serviceName"]
    services.ecs.delete_service(service=name)
    services.wait(name, lambda s: s["status"] == "INACTIVE")
    assert refusal(services.ecs.delete_service, service=name)[0] == "ServiceNotFoundException"
    assert refusal(services.ecs.update_service, service=name) == ("ServiceNotActiveException", "Service was not ACTIVE.")
    waiter = services.ecs.get_waiter("services_inactive")
    waiter.wait(services=[name], WaiterConfig={"Delay": 1, "MaxAttempts": 1})


def test_deployments_and_revisions(services, definition):
    name = services.create(definition, 0)["serviceName"]
    services.ecs.update_service(service=name, forceNewDeployment=True)
    services.wait(name, lambda s: s["deployments"][0]["rolloutState"] == "COMPLETED")
    listed = services.ecs.list_service_deployments(service=name)["serviceDeployments"]
    assert len(listed) == 2 and listed[0]["createdAt"] >= listed[1]["createdAt"], "the newest first"
    assert {d["status"] for d in listed} <= {"SUCCESSFUL", "STOPPED"}
    first_page = services.ecs.list_service_deployments(service=name, maxResults=1)
    assert first_page["serviceDeployments"] == listed[:1] and first_page["nextToken"]
    assert services.ecs.list_service_deployments(service=name, status=["ROLLBACK_FAILED"])["serviceDeployments"] == []
    after = {"after": listed[0]["createdAt"]}
    assert services.ecs.list_service_deployments(service=name, createdAt=after)["serviceDeployments"] == listed[:1]

    arns = [d["serviceDeploymentArn"] for d in listed]
    assert all(len(arn.rpartition("/")[2]) == 21 for arn in arns)
    answer = services.ecs.describe_service_deployments(serviceDeploymentArns=[*arns, arns[0][:-1] + "!"])
    assert [d["serviceDeploymentArn"] for d in answer["serviceDeployments"]] == arns
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    newest = answer["serviceDeployments"][0]
    assert newest["targetServiceRevision"]["arn"] == listed[0]["targetServiceRevisionArn"]
    assert newest["sourceServiceRevisions"][0]["arn"] == listed[1]["targetServiceRevisionArn"]
    assert newest["deploymentCircuitBreaker"]["status"] == "DISABLED"
    assert services.describe(name)["currentServiceDeployment"] == arns[0]
    revision = services.ecs.describe_service_revisions(
        serviceRevisionArns=[listed[0]["targetServiceRevisionArn"]])["serviceRevisions"][0]
    assert (revision["taskDefinition"], revision["launchType"], revision["platformVersion"]) == (definition, "FARGATE", "1.4.0")
    assert [image["containerName"] for image in revision["containerImages"]] == ["app"]
    assert refusal(services.ecs.stop_service_deployment, serviceDeploymentArn=arns[0])[0] == "ConflictException"
    assert refusal(services.ecs.stop_service_deployment, serviceDeploymentArn=arns[0][:-1] + "!")[0] == (
        "ServiceDeploymentNotFoundException")
    assert refusal(services.ecs.describe_service_revisions, serviceRevisionArns=["x"])[0] == "InvalidParameterException"


def test_the_external_controller_waits_for_task_sets(services):
    controller = {"type": "EXTERNAL"}
    name = unique("external")
    created = services.ecs.create_service(serviceName=name, desiredCount=2, deploymentController=controller)["service"]
    assert (created["deployments"], created["taskSets"], created["runningCount"]) == ([], [], 0)
    assert "taskDefinition" not in created and "launchType" not in created
    assert refusal(services.ecs.update_service, service=name, taskDefinition="x")[1] == (
        "Unable to update task definition on services with a EXTERNAL deployment controller.")
    services.delete(name)


def test_protection_is_for_tasks_of_services(services):
    task = "0" * 32
    answer = services.ecs.update_task_protection(cluster="default", tasks=[task], protectionEnabled=True)
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    for minutes in (0, 2881):
        assert refusal(services.ecs.update_task_protection, cluster="default", tasks=[task], protectionEnabled=True,
                       expiresInMinutes=minutes)[0] == "InvalidParameterException"
    assert refusal(services.ecs.update_task_protection, cluster="default", tasks=[task] * 11, protectionEnabled=True)[0] == (
        "InvalidParameterException")
    lone = services.tasks.start(services.definition())
    answer = services.ecs.get_task_protection(cluster="default", tasks=[lone])
    assert [f["reason"] for f in answer["failures"]] == ["TASK_NOT_VALID"]
    assert services.ecs.get_task_protection(cluster="default")["protectedTasks"] == []
    services.tasks.stop(lone)
