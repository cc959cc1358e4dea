"""Task sets: versions of a service that stand side by side, under a deployment controller of the caller's own."""

import pytest

from harness import web
from harness.errors import refusal
from harness.server import Server, fresh_account
from harness.tasks import unique
from harness.waiting import wait_until
from harness.web import PORT, Web

EXTERNAL = {"type": "EXTERNAL"}


@pytest.fixture(scope="module")
def site(world, tmp_path_factory):
    """An account on a server on which a deregistration delay of 300 s is 10 s."""
    base = tmp_path_factory.mktemp("sets")
    server = Server(base / "data", "--create-repositories-on-push", "--time-scale", "30")
    web.push_image(server, base)
    yield Web(server, fresh_account())
    assert server.process.poll() is None, server.errors.read_text()
    assert server.stop() == 0


class External:
    """A service with the EXTERNAL controller."""

    def __init__(self, site: Web, count: int):
        self.site, self.ecs, self.name = site, site.ecs, unique("external")
        self.ecs.create_service(serviceName=self.name, desiredCount=count, deploymentController=EXTERNAL)
        self.at = {"cluster": "default", "service": self.name}

    def create(self, version: str, target_group: str | None = None, **request) -> dict:
        network = {"awsvpcConfiguration": {"subnets": self.site.subnets, "securityGroups": [self.site.group]}}
        request = {"launchType": "FARGATE", "networkConfiguration": network, "scale": {"value": 100.0}} | request
        if target_group:
            request["loadBalancers"] = [{"targetGroupArn": target_group, "containerName": "web", "containerPort": PORT}]
        definition = request.pop("taskDefinition", None) or self.site.definition(version)
        return self.ecs.create_task_set(taskDefinition=definition, **self.at, **request)["taskSet"]

    def sets(self, *ids: str) -> list[dict]:
        return self.ecs.describe_task_sets(**self.at, taskSets=list(ids), include=["TAGS"])["taskSets"]

    def steady(self, id_: str, count: int) -> dict:
        def look():
            found = self.sets(id_)[0]
            steady = found["stabilityStatus"] == "STEADY_STATE" and found["runningCount"] == count
            return found if steady and found["pendingCount"] == 0 else None

        return wait_until(f"{id_} is steady with {count}", look)

    def service(self) -> dict:
        return self.site.describe(self.name)

    def delete(self) -> None:
        self.ecs.delete_service(service=self.name, force=True)
        wait_until("it is gone", lambda: self.service()["status"] == "INACTIVE")


def test_a_version_replaces_another_by_hand(site):
    blue_group, green_group = site.target_group(), site.target_group()
    balancer = site.balancer()
    listener = site.listener(balancer, 18301, blue_group)

    def forward(blue: int, green: int) -> None:
        groups = [{"TargetGroupArn": blue_group, "Weight": blue}, {"TargetGroupArn": green_group, "Weight": green}]
        site.elb.modify_listener(ListenerArn=listener, DefaultActions=[
            {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}])

    forward(100, 0)
    external = External(site, 2)
    created = external.create("1", blue_group, externalId="first", tags=[{"key": "team", "value": "web"}])
    assert (created["status"], created["stabilityStatus"]) == ("ACTIVE", "STABILIZING")
    assert created["computedDesiredCount"] == 2 and created["scale"] == {"value": 100.0, "unit": "PERCENT"}
    blue = external.steady(created["id"], 2)
    assert (blue["externalId"], blue["tags"]) == ("first", [{"key": "team", "value": "web"}])
    site.wait_healthy(blue_group, 2)
    assert "taskDefinition" not in external.service(), "no task set is the primary one yet"

    primary = site.ecs.update_service_primary_task_set(**external.at, primaryTaskSet=blue["taskSetArn"])["taskSet"]
    assert primary["status"] == "PRIMARY"
    shown = external.service()
    assert (shown["taskDefinition"], shown["deployments"]) == (blue["taskDefinition"], [])
    assert shown["loadBalancers"] == blue["loadBalancers"]

    green = external.steady(external.create("2", green_group)["id"], 2)
    site.wait_healthy(green_group, 2)
    assert external.service()["runningCount"] == 4
    tasks = site.ecs.list_tasks(startedBy=green["id"])["taskArns"]
    assert len(tasks) == 2
    assert {task["group"] for task in site.ecs.describe_tasks(tasks=tasks)["tasks"]} == {f"service:{external.name}"}

    forward(0, 100)
    site.ecs.update_service_primary_task_set(**external.at, primaryTaskSet=green["id"])
    shown = external.service()
    assert [(s["id"], s["status"]) for s in shown["taskSets"]] == [(green["id"], "PRIMARY"), (blue["id"], "ACTIVE")]
    assert shown["taskDefinition"] == green["taskDefinition"]

    assert refusal(site.ecs.delete_task_set, **external.at, taskSet=blue["id"])[0] == "InvalidParameterException"
    gone = site.ecs.delete_task_set(**external.at, taskSet=blue["id"], force=True)["taskSet"]
    assert (gone["status"], gone["computedDesiredCount"]) == ("DRAINING", 0)
    assert refusal(site.ecs.update_task_set, **external.at, taskSet=blue["id"], scale={"value": 50.0})[0] == (
        "InvalidParameterException")
    wait_until("blue is gone", lambda: [s["id"] for s in external.sets()] == [green["id"]])
    assert refusal(site.ecs.delete_task_set, **external.at, taskSet=blue["id"]) == (
        "TaskSetNotFoundException", "The specified task set could not be found.")
    external.delete()


def test_sizes_follow_the_scale_and_the_desired_count(site):
    external = External(site, 3)
    made = external.create("1", scale={"value": 50.0, "unit": "PERCENT"})
    assert made["computedDesiredCount"] == 2, "half of 3, rounded up"
    external.steady(made["id"], 2)
    nothing = site.ecs.create_task_set(
        **external.at, taskDefinition=made["taskDefinition"], launchType="FARGATE",
        networkConfiguration=made["networkConfiguration"])["taskSet"]
    assert (nothing["computedDesiredCount"], nothing["scale"]["value"]) == (0, 0.0)
    external.steady(nothing["id"], 0)

    updated = site.ecs.update_task_set(**external.at, taskSet=made["id"], scale={"value": 100.0, "unit": "PERCENT"})
    assert updated["taskSet"]["computedDesiredCount"] == 3
    external.steady(made["id"], 3)
    site.ecs.update_service(service=external.name, desiredCount=1)
    external.steady(made["id"], 1)
    # A task that ends is made again in its own task set.
    [task] = site.ecs.list_tasks(startedBy=made["id"])["taskArns"]
    site.ecs.stop_task(task=task)
    wait_until("it is made again", lambda: site.ecs.list_tasks(startedBy=made["id"])["taskArns"] not in ([], [task]))
    external.steady(made["id"], 1)
    site.ecs.update_task_set(**external.at, taskSet=made["id"], scale={"value": 0.0})
    external.steady(made["id"], 0)
    site.ecs.delete_task_set(**external.at, taskSet=made["id"])
    wait_until("it is gone", lambda: [s["id"] for s in external.sets()] == [nothing["id"]])
    external.delete()


def test_a_repeated_call_makes_one_task_set(site):
    external = External(site, 1)
    definition = site.definition("1")
    first = external.create("1", taskDefinition=definition, clientToken="again", scale={"value": 0.0})
    assert external.create("1", taskDefinition=definition, clientToken="again", scale={"value": 0.0})["id"] == first["id"]
    with pytest.raises(site.ecs.exceptions.InvalidParameterException) as refused:
        external.create("1", taskDefinition=definition, clientToken="again", scale={"value": 1.0})
    assert refused.value.response["Error"]["Message"] == "Creation of task set was not idempotent."
    assert len(external.sets()) == 1
    external.delete()


def test_what_is_wrong_gets_awss_errors(site):
    external = External(site, 0)
    group = site.target_group()
    site.listener(site.balancer(), 18302, group)
    external.create("1", group)
    network = {"awsvpcConfiguration": {"subnets": site.subnets}}
    good = external.at | {"taskDefinition": "web", "networkConfiguration": network, "launchType": "FARGATE"}
    balanced = [{"targetGroupArn": group, "containerName": "web", "containerPort": PORT}]
    for change, code, message in [
        ({"service": "nobody"}, "ServiceNotFoundException", "Service not found."),
        ({"cluster": "nobody"}, "ClusterNotFoundException", "Cluster not found."),
        ({"taskDefinition": "nobody:1"}, "ClientException", "TaskDefinition not found."),
        ({"scale": {"value": 101.0}}, "InvalidParameterException", "The scale value must be between 0 and 100."),
        ({"loadBalancers": balanced}, "InvalidParameterException",
         f"The target group {group} is used by another task set of the service."),
        ({"loadBalancers": balanced * 2}, "InvalidParameterException", "load balancers can have at most 1 items."),
        ({"clientToken": "x" * 37}, "InvalidParameterException", "idempotency token longer than 36."),
    ]:
        assert refusal(site.ecs.create_task_set, **(good | change)) == (code, message), change
    for _ in range(4):
        external.create("1")
    assert refusal(site.ecs.create_task_set, **good) == (
        "InvalidParameterException",
        "5 deployments exist on the service. Unable to create new TaskSet since this exceeds the maximum limit.")
    answer = site.ecs.describe_task_sets(**external.at, taskSets=["ecs-svc/1"])
    assert [f["reason"] for f in answer["failures"]] == ["MISSING"]
    missing = external.at | {"taskSet": "ecs-svc/1"}
    assert refusal(site.ecs.update_task_set, **missing, scale={"value": 1.0})[0] == "TaskSetNotFoundException"
    assert refusal(site.ecs.update_service_primary_task_set, **external.at, primaryTaskSet="x")[0] == "TaskSetNotFoundException"

    own = site.service(site.definition("1"), 0, None)
    of_ecs = {"cluster": "default", "service": own}
    message = ("Amazon ECS only supports task set management on services configured to use external deployment "
               "controllers.")
    for call, request in [
        (site.ecs.create_task_set, good | of_ecs),
        (site.ecs.update_task_set, of_ecs | {"taskSet": "x", "scale": {"value": 1.0}}),
        (site.ecs.delete_task_set, of_ecs | {"taskSet": "x"}),
        (site.ecs.update_service_primary_task_set, of_ecs | {"primaryTaskSet": "x"}),
    ]:
        assert refusal(call, **request) == ("InvalidParameterException", message)
    site.ecs.delete_service(service=own)
    for name, value in [
        ("platformVersion", "1.4.0"), ("networkConfiguration", network), ("loadBalancers", balanced),
        ("deploymentConfiguration", {"maximumPercent": 150}), ("forceNewDeployment", True),
    ]:
        assert refusal(site.ecs.update_service, service=external.name, **{name: value})[0] == "InvalidParameterException", name
    external.delete()
    assert refusal(site.ecs.describe_task_sets, **external.at) == ("ServiceNotActiveException", "Service was not ACTIVE.")


def test_a_service_changes_hands_and_its_tasks_stay(site):
    external = External(site, 1)
    first = external.steady(external.create("1")["id"], 1)
    to_ecs = {"service": external.name, "deploymentController": {"type": "ECS"}}
    refused = ("InvalidParameterException", "The deployment controller can be changed only while the service has one "
               "version and no deployment is in progress.")
    assert refusal(site.ecs.update_service, **to_ecs) == refused, "no task set is the primary one"
    site.ecs.update_service_primary_task_set(**external.at, primaryTaskSet=first["id"])
    other = external.create("2", scale={"value": 0.0})
    assert refusal(site.ecs.update_service, **to_ecs) == refused
    site.ecs.delete_task_set(**external.at, taskSet=other["id"])
    wait_until("it is gone", lambda: len(external.sets()) == 1)
    assert refusal(site.ecs.update_service, **(to_ecs | {"deploymentController": {"type": "CODE_DEPLOY"}})) == (
        "InvalidParameterException",
        "A service's deployment controller cannot be changed to CODE_DEPLOY. Create the service again.")

    tasks = site.tasks(external.name)
    shown = site.ecs.update_service(**to_ecs)["service"]
    assert shown["deploymentController"] == {"type": "ECS"} and "taskSets" not in shown
    assert [(d["id"], d["rolloutState"]) for d in shown["deployments"]] == [(first["id"], "COMPLETED")]
    assert shown["deploymentConfiguration"]["strategy"] == "ROLLING"
    deployment = site.ecs.describe_service_deployments(serviceDeploymentArns=[shown["currentServiceDeployment"]])
    [deployment] = deployment["serviceDeployments"]
    assert deployment["status"] == "SUCCESSFUL"
    revision = deployment["targetServiceRevision"]["arn"]
    [revision] = site.ecs.describe_service_revisions(serviceRevisionArns=[revision])["serviceRevisions"]
    assert revision["taskDefinition"] == first["taskDefinition"]
    site.wait_stable(external.name)
    assert site.tasks(external.name) == tasks

    site.ecs.update_service(service=external.name, taskDefinition=site.definition("2"))
    assert refusal(site.ecs.update_service, service=external.name, deploymentController=EXTERNAL) == refused
    site.wait_stable(external.name)
    tasks = site.tasks(external.name)
    site.ecs.update_service(service=external.name, deploymentConfiguration={
        "deploymentCircuitBreaker": {"enable": True, "rollback": True}})
    assert refusal(site.ecs.update_service, service=external.name, deploymentController=EXTERNAL)[1].startswith("Disable the")
    site.ecs.update_service(service=external.name, deploymentConfiguration={
        "deploymentCircuitBreaker": {"enable": False, "rollback": False}})
    site.ecs.update_service(service=external.name, deploymentController=EXTERNAL)
    [again] = external.sets()
    assert (again["status"], again["scale"]["value"]) == ("PRIMARY", 100.0)
    external.steady(again["id"], 1)
    assert site.tasks(external.name) == tasks
    external.delete()


def test_a_service_of_codedeploy_moves_to_ecs(site):
    group = site.target_group()
    site.listener(site.balancer(), 18303, group)
    name = site.service(site.definition("1"), 1, group, deploymentController={"type": "CODE_DEPLOY"})
    site.wait_healthy(group, 1)
    before = site.tasks(name)
    site.ecs.update_service(service=name, deploymentController={"type": "ECS"}, taskDefinition=site.definition("2"))
    shown = site.wait_stable(name)
    assert shown["taskDefinition"].rsplit("/", 1)[1].startswith("web:") and site.tasks(name) != before
    site.ecs.delete_service(service=name, force=True)
