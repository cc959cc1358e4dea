"""RunTask, DescribeTasks, ListTasks, StopTask as API: what is answered, what is refused, what is listed."""

import time
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import ClientError

from harness.errors import refused
from harness.tasks import ROLE, address, container_of, detail, summary, task_id, unique

FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
ABSENT_TASK = "0" * 32
ABSENT_SUBNET = "subnet-0123456789abcdef0"
ABSENT_GROUP = "sg-0123456789abcdef0"


@pytest.fixture(scope="module")
def idle(tasks) -> str:
    """A definition of a task that runs until it is stopped."""
    return tasks.register(tasks.container(FOREVER), tags=[{"key": "team", "value": "blue"}], family="idle")


@pytest.fixture
def started(tasks):
    """Starts tasks and ends them."""
    arns = []

    def start(definition, **request) -> str:
        arns.append(tasks.start(definition, **request))
        return arns[-1]

    yield start
    for arn in arns:
        tasks.stop(arn)


@dataclass
class Refusal:
    code: str
    text: str
    request: dict = field(default_factory=dict)
    network: dict = field(default_factory=dict)
    without: str = ""


REFUSALS = {
    "no launch type": Refusal("InvalidParameterException", "No Container Instances were found in your cluster.", without="launchType"),
    "EC2": Refusal("InvalidParameterException", "No Container Instances were found in your cluster.", {"launchType": "EC2"}),
    "no network": Refusal("InvalidParameterException", "Network Configuration must be provided when networkMode 'awsvpc' is specified.", without="networkConfiguration"),
    "unknown subnet": Refusal(
        "InvalidParameterException",
        f"Error retrieving subnet information for [{ABSENT_SUBNET}]: The subnet ID '{ABSENT_SUBNET}' does not exist (ErrorCode: InvalidSubnetID.NotFound)",
        network={"subnets": [ABSENT_SUBNET]}),
    "unknown group": Refusal(
        "InvalidParameterException",
        f"Error retrieving security group information for [{ABSENT_GROUP}]: The security group '{ABSENT_GROUP}' does not exist (ErrorCode: InvalidGroup.NotFound)",
        network={"securityGroups": [ABSENT_GROUP]}),
    "unknown cluster": Refusal("ClusterNotFoundException", "Cluster not found.", {"cluster": "absent"}),
    "unknown definition": Refusal("ClientException", "TaskDefinition not found.", {"taskDefinition": "absent:1"}),
    "count too high": Refusal("InvalidParameterException", "", {"count": 11}),
    "count zero": Refusal("InvalidParameterException", "", {"count": 0}),
    "tags of a service": Refusal("InvalidParameterException", "", {"propagateTags": "SERVICE"}),
    "launch type and strategy": Refusal(
        "InvalidParameterException", "Specifying both a launch type and capacity provider strategy is not supported",
        {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}),
    "a strategy that the cluster does not have": Refusal(
        "InvalidParameterException", "", {"capacityProviderStrategy": [{"capacityProvider": "FARGATE"}]}, without="launchType"),
    "unknown platform": Refusal("PlatformUnknownException", "", {"platformVersion": "9.9.9"}),
    "overrides of an unknown container": Refusal(
        "InvalidParameterException", "", {"overrides": {"containerOverrides": [{"name": "absent"}]}}),
    "overrides to an odd size": Refusal("ClientException", "No Fargate configuration exists", {"overrides": {"cpu": "256", "memory": "4096"}}),
    "overrides that are too long": Refusal(
        "InvalidParameterException", "Container Overrides length must be at most 8192",
        {"overrides": {"containerOverrides": [{"name": "app", "environment": [{"name": "A", "value": "x" * 8192}]}]}}),
    "a variable without a name": Refusal(
        "ClientException", "Environment variable name cannot be null or blank.",
        {"overrides": {"containerOverrides": [{"name": "app", "environment": [{"name": "", "value": "x"}]}]}}),
    "a role that is none": Refusal("ClientException", "Role is not valid", {"overrides": {"taskRoleArn": "REPLACE_ME"}}),
    "a volume": Refusal(
        "UnsupportedFeatureException", "volumeConfigurations", {"volumeConfigurations": [{"name": "v"}]}),
    "placement": Refusal("InvalidParameterException", "", {"placementStrategy": [{"type": "random"}]}),
    "token too long": Refusal("InvalidParameterException", "", {"clientToken": "x" * 65}),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name, tasks, ecs, idle):
    refusal = REFUSALS[name]
    network = tasks.network()
    network["awsvpcConfiguration"] |= refusal.network
    request = {"taskDefinition": idle, "launchType": "FARGATE", "networkConfiguration": network} | refusal.request
    request.pop(refusal.without, None)
    refused(lambda: ecs.run_task(**request), refusal.code, refusal.text)


def test_a_group_of_another_vpc_is_refused(tasks, ecs, ec2, idle):
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    group = ec2.create_security_group(GroupName="other", Description="d", VpcId=vpc)["GroupId"]
    refused(lambda: tasks.start(idle, networkConfiguration=tasks.network([group])), "InvalidParameterException",
            f"Security group {group} does not appear to belong to the same VPC as the input subnets.")


def test_an_inactive_definition_is_refused(tasks, ecs):
    definition = tasks.register(tasks.container("true"))
    ecs.deregister_task_definition(taskDefinition=definition)
    refused(lambda: tasks.start(definition), "InvalidParameterException", "TaskDefinition is inactive")


def test_the_answer_of_run_task(tasks, ecs, idle, started):
    answer = ecs.run_task(
        taskDefinition=idle, launchType="FARGATE", networkConfiguration=tasks.network(), startedBy="tests",
        enableECSManagedTags=True, propagateTags="TASK_DEFINITION", tags=[{"key": "stage", "value": "e2e"}], group="mine")
    task = answer["tasks"][0]
    tasks.stop(task["taskArn"])
    assert task["lastStatus"] == "PROVISIONING" and task["desiredStatus"] == "RUNNING"
    assert task["startedBy"] == "tests" and task["group"] == "mine"
    assert (task["cpu"], task["memory"]) == ("256", "512")
    assert (task["launchType"], task["platformVersion"], task["platformFamily"]) == ("FARGATE", "1.4.0", "Linux")
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {
        "stage": "e2e", "team": "blue", "aws:ecs:clusterName": "default"}
    assert task["overrides"] == {"containerOverrides": [{"name": "app"}], "inferenceAcceleratorOverrides": []}
    assert task["attachments"][0]["type"] == "ElasticNetworkInterface"
    assert task["attachments"][0]["status"] == "PRECREATED"
    assert detail(task, "subnetId") == tasks.subnets[0]
    assert task["containers"][0]["lastStatus"] == "PENDING"
    assert {"name": "ecs.cpu-architecture", "value": "x86_64"} in task["attributes"]
    assert task["ephemeralStorage"] == {"sizeInGiB": 20}


def test_tags_are_described_when_asked_for(tasks, ecs, idle, started):
    arn = started(idle, tags=[{"key": "a", "value": "b"}])
    assert ecs.describe_tasks(tasks=[arn])["tasks"][0]["tags"] == []
    assert ecs.describe_tasks(tasks=[arn], include=["TAGS"])["tasks"][0]["tags"] == [{"key": "a", "value": "b"}]
    assert ecs.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "b"}]


def test_a_running_task(tasks, ec2, idle, started):
    task = tasks.wait(started(idle), "RUNNING")
    assert task["connectivity"] == "CONNECTED"
    assert task["attachments"][0]["status"] == "ATTACHED"
    container = task["containers"][0]
    assert container["lastStatus"] == "RUNNING" and container["imageDigest"].startswith("sha256:")
    assert container["runtimeId"].startswith(task_id(task) + "-")
    assert container["networkInterfaces"][0]["attachmentId"] == task["attachments"][0]["id"]
    assert detail(task, "privateIPv4Address") == address(task)
    interface = ec2.describe_network_interfaces(NetworkInterfaceIds=[detail(task, "networkInterfaceId")])["NetworkInterfaces"][0]
    assert interface["PrivateIpAddress"] == address(task) and interface["MacAddress"] == detail(task, "macAddress")
    assert interface["Status"] == "in-use" and interface["RequesterManaged"]
    assert task["attachments"][0]["id"] in interface["Description"]
    assert interface["PrivateDnsName"] == detail(task, "privateDnsName")
    with pytest.raises(ClientError):
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])


def test_the_times_of_a_task_are_in_order(tasks):
    task = tasks.run(tasks.container("sleep 0.2"))
    names = ["createdAt", "connectivityAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "executionStoppedAt", "stoppedAt"]
    times = [task[name] for name in names]
    order = ["createdAt", "pullStartedAt", "pullStoppedAt", "startedAt", "stoppingAt", "stoppedAt"]
    assert [task[name] for name in order] == sorted(task[name] for name in order), times
    assert task["startedAt"] <= task["executionStoppedAt"] <= task["stoppedAt"]
    assert task["createdAt"] <= task["connectivityAt"] <= task["startedAt"]
    assert task["attachments"][0]["status"] == "DELETED" and task["desiredStatus"] == "STOPPED"
    assert task["version"] >= 3


def test_the_interface_is_gone_with_its_task(tasks, ec2):
    task = tasks.run(tasks.container("true"))
    found = ec2.describe_network_interfaces(Filters=[{"Name": "private-ip-address", "Values": [address(task)]}])
    assert found["NetworkInterfaces"] == []


def test_several_tasks_of_one_call(tasks, ecs, idle):
    answer = ecs.run_task(taskDefinition=idle, launchType="FARGATE", networkConfiguration=tasks.network(), count=3)
    arns = [task["taskArn"] for task in answer["tasks"]]
    assert len(set(arns)) == 3
    addresses = {address(tasks.wait(arn, "RUNNING")) for arn in arns}
    assert len(addresses) == 3
    for arn in arns:
        tasks.stop(arn)


def test_a_client_token_replays_its_answer(tasks, ecs, idle):
    request = {"taskDefinition": idle, "launchType": "FARGATE", "networkConfiguration": tasks.network(), "clientToken": "once"}
    first = ecs.run_task(**request)["tasks"]
    again = ecs.run_task(**request)["tasks"]
    assert [task["taskArn"] for task in again] == [task["taskArn"] for task in first]
    with pytest.raises(ecs.exceptions.ConflictException) as caught:
        ecs.run_task(**request | {"count": 2})
    assert caught.value.response["resourceIds"] == [task["taskArn"] for task in first]
    tasks.stop(first[0]["taskArn"])


@pytest.mark.parametrize(("script", "stop_timeout", "code", "least"), [
    ("trap 'exit 17' TERM; while :; do sleep 0.1; done", 30, 17, 0),
    ("trap '' TERM; while :; do sleep 0.1; done", 2, 137, 2),
    ("exec sleep 100", 2, 137, 2),
], ids=["SIGTERM is caught", "SIGTERM is ignored", "process 1 has no handler"])
def test_stopping(tasks, script, stop_timeout, code, least):
    arn = tasks.start(tasks.register(tasks.container(script, stopTimeout=stop_timeout)))
    tasks.wait(arn, "RUNNING")
    # The shell must have set its trap.
    time.sleep(0.5)
    answer = tasks.ecs.stop_task(task=arn, reason="enough")["task"]
    assert (answer["desiredStatus"], answer["stoppedReason"], answer["stopCode"]) == ("STOPPED", "enough", "UserInitiated")
    began = time.monotonic()
    task = tasks.wait(arn)
    assert container_of(task)["exitCode"] == code, summary(task)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert time.monotonic() - began >= least - 0.5
    tasks.ecs.stop_task(task=arn, reason="again")
    assert tasks.describe(arn)["stoppedReason"] == "enough"


def test_a_task_that_is_not_there(ecs, account):
    refused(lambda: ecs.stop_task(task=ABSENT_TASK), "InvalidParameterException", "The referenced task was not found.")
    answer = ecs.describe_tasks(tasks=[ABSENT_TASK])
    assert answer["tasks"] == []
    assert answer["failures"] == [{"arn": f"arn:aws:ecs:us-east-1:{account}:task/default/{ABSENT_TASK}", "reason": "MISSING"}]
    refused(lambda: ecs.describe_tasks(tasks=[]), "InvalidParameterException", "")


def test_list_tasks_by_every_filter(tasks, ecs, started):
    ecs.create_cluster(clusterName="lists")
    definitions = {family: tasks.register(tasks.container(FOREVER), family=family) for family in ("list-a", "list-b")}
    arn_a = started(definitions["list-a"], startedBy="one")
    arn_b = started(definitions["list-b"], startedBy="two")
    ended = tasks.run(tasks.container("true"), family="list-c")["taskArn"]
    for name, request, want in [
        ("family", {"family": "list-a"}, {arn_a}),
        ("started by", {"startedBy": "two"}, {arn_b}),
        ("launch type", {"launchType": "EC2"}, set()),
        ("stopped", {"family": "list-c", "desiredStatus": "STOPPED"}, {ended}),
        ("stopped are not running", {"family": "list-c"}, set()),
        ("pending never matches", {"family": "list-a", "desiredStatus": "PENDING"}, set()),
        ("both, by launch type", {"launchType": "FARGATE", "family": "list-b"}, {arn_b}),
        ("another cluster", {"cluster": "lists"}, set()),
    ]:
        assert set(ecs.list_tasks(**request)["taskArns"]) == want, name
    refused(lambda: ecs.list_tasks(startedBy="one", family="list-a"), "InvalidParameterException", "")
    refused(lambda: ecs.list_tasks(cluster="absent"), "ClusterNotFoundException", "Cluster not found.")
    tasks.stop(arn_a), tasks.stop(arn_b)


def test_list_tasks_in_pages(tasks, ecs):
    ecs.create_cluster(clusterName="pages")
    definition = tasks.register(tasks.container(FOREVER))
    want = set()
    for count in (10, 3):
        answer = ecs.run_task(cluster="pages", taskDefinition=definition, launchType="FARGATE", count=count,
                              networkConfiguration=tasks.network())
        want |= {task["taskArn"] for task in answer["tasks"]}
    for arn in want:
        ecs.stop_task(cluster="pages", task=arn)
    pages = [page["taskArns"] for page in ecs.get_paginator("list_tasks").paginate(
        cluster="pages", desiredStatus="STOPPED", PaginationConfig={"PageSize": 5})]
    assert [len(page) for page in pages] == [5, 5, 3]
    assert {arn for page in pages for arn in page} == want
    refused(lambda: ecs.list_tasks(cluster="pages", maxResults=101), "InvalidParameterException", "")
    refused(lambda: ecs.list_tasks(cluster="pages", nextToken="rubbish"), "InvalidParameterException", "")


def test_fargate_spot_by_strategy(tasks, ecs, idle):
    ecs.create_cluster(clusterName="spot", capacityProviders=["FARGATE", "FARGATE_SPOT"],
                       defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}])
    task = ecs.run_task(cluster="spot", taskDefinition=idle, networkConfiguration=tasks.network())["tasks"][0]
    assert task["capacityProviderName"] == "FARGATE_SPOT"
    ecs.stop_task(cluster="spot", task=task["taskArn"])


def test_health_status(tasks):
    def check(command: str) -> dict:
        return {"command": ["CMD-SHELL", command], "interval": 5, "timeout": 2, "retries": 1}
    arn = tasks.start(tasks.register(
        tasks.container(FOREVER, healthCheck=check("true")),
        {"name": "sick", "command": ["sh", "-c", FOREVER], "essential": False, "healthCheck": check("exit 1")},
        {"name": "unchecked", "command": ["sh", "-c", FOREVER]}))
    task = tasks.wait(arn, until=lambda task: container_of(task, "sick").get("healthStatus") == "UNHEALTHY"
                      and container_of(task).get("healthStatus") == "HEALTHY")
    assert task["healthStatus"] == "HEALTHY", "only essential containers count"
    assert container_of(task, "unchecked")["healthStatus"] == "UNKNOWN"
    assert task["lastStatus"] == "RUNNING", "a standalone task goes on"
    tasks.stop(arn)


def test_an_execution_role_that_is_named_but_not_there_passes_in_dev_mode(tasks):
    task = tasks.run(tasks.container("true"), executionRoleArn=ROLE, taskRoleArn=ROLE)
    assert container_of(task)["exitCode"] == 0, summary(task)


def test_what_does_nothing_yet_is_said_in_the_log_before_the_containers_own_lines(tasks):
    files = [{"type": "s3", "value": "arn:aws:s3:::bucket/app.env"}]
    task = tasks.run(
        tasks.container("echo mine", secrets=[{"name": "KEY", "valueFrom": "key"}], environmentFiles=files),
        {"name": "plain", "command": ["sh", "-c", "echo mine"], "essential": False}, taskRoleArn=ROLE)
    assert container_of(task)["exitCode"] == 0, summary(task)
    assert "reason" not in container_of(task) and task["stopCode"] == "EssentialContainerExited"
    *said, own = tasks.lines(task)
    assert own == "mine"
    assert [line.split(": ")[0] for line in said] == ["[neargate] environmentFiles", "[neargate] secrets", "[neargate] taskRoleArn"]
    assert all("Neargate does not" in line for line in said)
    assert [line.split(": ")[0] for line in tasks.lines(task, "plain")] == ["[neargate] taskRoleArn", "mine"]


def test_the_same_names_in_another_region(server, account):
    other = server.client("ecs", account, region="eu-west-1")
    assert other.list_clusters()["clusterArns"] == []
    arn = other.create_cluster(clusterName=unique("far"))["cluster"]["clusterArn"]
    assert arn.startswith(f"arn:aws:ecs:eu-west-1:{account}:cluster/")
