"""Wrong input anywhere gets AWS's error, and the server lives on."""

import socket

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session

from harness import generate, wire
from harness.errors import refused
from harness.server import fresh_account
from harness.tasks import FARGATE

SUBNET = "subnet-0123456789abcdef0"
DEFINITION = FARGATE | {
    "family": "bad",
    "containerDefinitions": [{"name": "app", "image": "i"}],
}
RUN = {
    "taskDefinition": "bad", "launchType": "FARGATE",
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": [SUBNET]}},
}
# From a start that is valid so far, each member is made wrong in each way.
STARTS = {
    ("ecs", "RegisterTaskDefinition"): DEFINITION,
    ("ecs", "RunTask"): RUN,
    ("ecs", "CreateCluster"): {},
    ("ecs", "PutClusterCapacityProviders"): {"cluster": "default", "capacityProviders": [], "defaultCapacityProviderStrategy": []},
    ("ecs", "UpdateCluster"): {"cluster": "default"},
    ("ecs", "ListTasks"): {},
    ("ecs", "DescribeTasks"): {"tasks": ["0" * 32]},
    ("ecs", "StopTask"): {"task": "0" * 32},
    ("ecs", "ListTaskDefinitions"): {},
    ("ecs", "TagResource"): {"resourceArn": "arn:aws:ecs:us-east-1:000000000000:cluster/default", "tags": []},
    ("ecs", "PutAttributes"): {"attributes": []},
    ("ecs", "PutAccountSetting"): {"name": "containerInsights", "value": "enabled"},
    ("ecr", "CreateRepository"): {"repositoryName": "bad"},
    ("ecr", "PutImage"): {"repositoryName": "bad", "imageManifest": "{}"},
    ("ecr", "PutLifecyclePolicy"): {"repositoryName": "bad", "lifecyclePolicyText": "{}"},
    ("ecr", "UploadLayerPart"): {"repositoryName": "bad", "uploadId": "x", "partFirstByte": 0, "partLastByte": 1, "layerPartBlob": "eA=="},
    ("logs", "CreateLogGroup"): {"logGroupName": "bad"},
    ("logs", "PutLogEvents"): {"logGroupName": "bad", "logStreamName": "s", "logEvents": []},
    ("logs", "FilterLogEvents"): {"logGroupName": "bad"},
    ("logs", "GetLogEvents"): {"logGroupName": "bad", "logStreamName": "s"},
    ("logs", "PutRetentionPolicy"): {"logGroupName": "bad", "retentionInDays": 1},
}


@pytest.fixture(scope="module")
def caller(server):
    account = fresh_account()
    server.client("ecs", account).create_cluster()
    server.client("logs", account).create_log_group(logGroupName="bad")
    server.client("logs", account).create_log_stream(logGroupName="bad", logStreamName="s")
    return wire.Caller(server.address, account)


@pytest.mark.parametrize(("service", "name"), STARTS, ids=lambda part: part)
def test_each_member_made_wrong(service, name, caller):
    operation = get_session().get_service_model(service).operation_model(name)
    broken, count = [], 0
    for what, parameters, wrong_type in generate.mutations(operation.input_shape, STARTS[service, name]):
        answer = caller.call(operation, parameters)
        count += 1
        # A value may turn out to be allowed; a value of another type never is.
        good = (400, 413, 501) if wrong_type else (200, 400, 413, 501)
        if answer.status not in good or (answer.status != 200 and not answer.code(operation)):
            broken.append(f"{what}: {answer}")
    assert count >= len(operation.input_shape.members)
    assert not broken, "\n".join(broken[:20])


UNKNOWN_CLUSTER = {
    "create_service": {"serviceName": "s", "taskDefinition": "bad", "desiredCount": 1},
    "create_task_set": {"service": "s", "externalId": "x", "taskDefinition": "bad"},
    "delete_cluster": {},
    "delete_service": {"service": "s"},
    "describe_services": {"services": ["s"]},
    "describe_task_sets": {"service": "s"},
    "describe_tasks": {"tasks": ["0" * 32]},
    "get_task_protection": {},
    "list_container_instances": {},
    "list_services": {},
    "list_tasks": {},
    "put_cluster_capacity_providers": {"capacityProviders": [], "defaultCapacityProviderStrategy": []},
    "run_task": {"taskDefinition": "bad"},
    "start_task": {"taskDefinition": "bad", "containerInstances": ["x"]},
    "stop_task": {"task": "0" * 32},
    "update_cluster": {},
    "update_cluster_settings": {"settings": []},
    "update_service": {"service": "s"},
    "update_task_protection": {"tasks": ["x"], "protectionEnabled": True},
}


@pytest.mark.parametrize("cluster", ["absent", "arn:aws:ecs:us-east-1:{account}:cluster/absent", "not a name"])
@pytest.mark.parametrize("operation", UNKNOWN_CLUSTER)
def test_an_unknown_cluster_is_not_found(operation, cluster, server, caller):
    ecs = server.client("ecs", caller.account)
    call = getattr(ecs, operation)
    refused(lambda: call(cluster=cluster.format(account=caller.account), **UNKNOWN_CLUSTER[operation]),
            "ClusterNotFoundException", "Cluster not found.")


def test_a_cluster_is_looked_for_before_what_is_in_it(server, caller):
    ecs = server.client("ecs", caller.account)
    refused(lambda: ecs.describe_tasks(cluster="absent", tasks=[]), "ClusterNotFoundException")
    refused(lambda: ecs.describe_services(cluster="absent", services=[]), "ClusterNotFoundException")
    refused(lambda: ecs.describe_tasks(tasks=[]), "InvalidParameterException", "Tasks cannot be empty.")


@pytest.mark.parametrize("resource", ["service/web", f"task/{'0' * 32}", f"container-instance/{'0' * 32}"])
def test_tags_need_the_long_arn(resource, server, caller):
    ecs = server.client("ecs", caller.account)
    arn = f"arn:aws:ecs:us-east-1:{caller.account}:{resource}"
    text = "Long arn format must be used for tagging operations"
    refused(lambda: ecs.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "b"}]), "InvalidParameterException", text)
    refused(lambda: ecs.list_tags_for_resource(resourceArn=arn), "InvalidParameterException", text)


NO_WEIGHT = "There are no capacity providers in the capacity provider strategy with a weight value greater than zero. Specify a weight"
NO_DEFAULT = "There are no capacity providers with a weight value greater than zero defined in the default capacity provider strategy."


def test_a_strategy_needs_a_weight(server):
    account = fresh_account()
    ecs = server.client("ecs", account)
    ecs.register_task_definition(**DEFINITION)
    subnets = server.client("ec2", account).describe_subnets()["Subnets"]
    network = {"awsvpcConfiguration": {"subnets": [subnets[0]["SubnetId"]]}}
    idle = [{"capacityProvider": "FARGATE"}, {"capacityProvider": "FARGATE_SPOT", "weight": 0}]
    # AWS takes a default strategy without a weight, and refuses those who use it.
    ecs.create_cluster(
        clusterName="idle", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=idle)
    request = {"cluster": "idle", "taskDefinition": "bad", "networkConfiguration": network}
    service = request | {"serviceName": "s", "desiredCount": 0}
    for strategy in (idle, idle[:1]):
        for call, with_strategy in [(ecs.run_task, request), (ecs.create_service, service)]:
            refused(lambda: call(capacityProviderStrategy=strategy, **with_strategy), "InvalidParameterException", NO_WEIGHT)
    refused(lambda: ecs.run_task(**request), "InvalidParameterException", NO_DEFAULT)
    refused(lambda: ecs.create_service(**service), "InvalidParameterException", NO_DEFAULT)


def test_a_service_changes_its_strategy_by_a_deployment_only(server):
    account = fresh_account()
    ecs = server.client("ecs", account)
    ecs.register_task_definition(**DEFINITION)
    subnets = server.client("ec2", account).describe_subnets()["Subnets"]
    ecs.create_cluster(capacityProviders=["FARGATE", "FARGATE_SPOT"])
    ecs.create_service(
        serviceName="s", taskDefinition="bad", desiredCount=0, launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": [subnets[0]["SubnetId"]]}})
    text = "When switching from launch type to capacity provider strategy on an existing service"
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    both = spot + [{"capacityProvider": "FARGATE", "weight": 1}]

    def update(**request) -> dict:
        return ecs.update_service(service="s", **request)["service"]

    refused(lambda: update(capacityProviderStrategy=spot), "InvalidParameterException", text)
    refused(lambda: update(capacityProviderStrategy=[{"capacityProvider": "FARGATE"}], forceNewDeployment=True),
            "InvalidParameterException", NO_WEIGHT)
    changed = update(capacityProviderStrategy=spot, forceNewDeployment=True)
    assert changed["capacityProviderStrategy"] == [spot[0] | {"base": 0}]
    refused(lambda: update(capacityProviderStrategy=both), "InvalidParameterException", text)
    refused(lambda: update(capacityProviderStrategy=[]), "InvalidParameterException", text)
    assert update(capacityProviderStrategy=spot, desiredCount=0)["status"] == "ACTIVE", "the same one is no change"


def test_what_neargate_does_not_have_keeps_a_definition_from_running(server):
    account = fresh_account()
    ecs = server.client("ecs", account)
    ecs.create_cluster()
    subnets = server.client("ec2", account).describe_subnets()["Subnets"]
    network = {"awsvpcConfiguration": {"subnets": [subnets[0]["SubnetId"]]}}
    volume = {"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}
    kept = ecs.register_task_definition(**DEFINITION, volumes=[volume])["taskDefinition"]
    assert kept["volumes"] == [volume], "it is kept and returned"
    request = {"taskDefinition": "bad", "launchType": "FARGATE", "networkConfiguration": network}
    text = "Neargate does not have Amazon EFS volumes yet"
    refused(lambda: ecs.run_task(**request), "UnsupportedFeatureException", text)
    refused(lambda: ecs.create_service(serviceName="s", desiredCount=0, **request), "UnsupportedFeatureException", text)


ECS = {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113.ListClusters", "Content-Type": "application/x-amz-json-1.1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(("headers", "service", "body"), [
    (ECS, "ecs", b""),
    (ECS, "ecs", b"{"),
    (ECS, "ecs", b"[]"),
    (ECS, "ecs", b"null"),
    (ECS, "ecs", b"\xff\xfe\x00"),
    (ECS, "ecs", b'{"maxResults": 1e999}'),
    (ECS, "ecs", b'{"nextToken": "\\ud800"}'),
    (ECS, "ecs", b"[" * 100_000),
    (ECS, "ecs", b'{"a":' * 50_000),
    (ECS | {"Content-Encoding": "gzip"}, "ecs", b"not gzip"),
    (ECS | {"Content-Encoding": "br"}, "ecs", b"{}"),
    (ECS | {"X-Amz-Target": "AmazonEC2ContainerServiceV20141113"}, "ecs", b"{}"),
    (ECS | {"X-Amz-Target": "Nothing.Known"}, "ecs", b"{}"),
    (ECS | {"Authorization": "rubbish"}, "ecs", b"{}"),
    (ECS | {"Authorization": "AWS4-HMAC-SHA256 Credential=/////, SignedHeaders=, Signature="}, "ecs", b"{}"),
    (FORM, "sts", b""),
    (FORM, "sts", b"Action="),
    (FORM, "sts", b"Action=GetCallerIdentity&Action=AssumeRole"),
    (FORM, "sts", b"Action=%ff%fe&Version=2011-06-15"),
    (FORM, "ec2", b"Action=DescribeVpcs&Version=2016-11-15&Filter.99999999999.Name=x"),
    (FORM, "ec2", b"Action=DescribeVpcs&Version=2016-11-15&Filter.1.Name.2.3=x"),
    (FORM, "ec2", b"Action=DescribeVpcs&Version=2016-11-15&VpcId.1000000=vpc-1"),
    (FORM, "ec2", b"&" * 100_000),
    ({}, "ecs", b"\x00" * 1000),
    ({"Content-Type": "application/cbor", "Smithy-Protocol": "rpc-v2-cbor"}, "monitoring", b"\x9f" * 1000),
], ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else "")
def test_rubbish_on_the_wire(headers, service, body, caller):
    answer = caller.send(body, service, headers)
    assert answer.status < 500 or answer.status == 501, answer


@pytest.mark.parametrize("raw", [
    b"\x00\x01\x02\r\n\r\n",
    b"GET\r\n\r\n",
    b"POST / HTTP/9.9\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n",
    b"GET /v2/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /v2/%2e%2e%2f/manifests/x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"PUT /v2/a/blobs/uploads/x?digest=sha256:zz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n",
    b"G" * 1_000_000,
], ids=lambda raw: raw[:24].decode("latin-1"))
def test_rubbish_below_http(raw, server, caller):
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(100)
        except OSError:
            answer = b""  # Closed while it was still being sent.
    assert not answer.startswith((b"HTTP/1.1 5", b"HTTP/1.0 5")), answer
    assert caller.send(b"{}", "ecs", ECS).status == 200


def test_a_body_over_the_limit_is_refused(caller):
    try:
        answer = caller.send(b'{"nextToken":"' + b"x" * (64 << 20) + b'"}', "ecs", ECS)
    except (ConnectionResetError, BrokenPipeError):
        return
    assert answer.status == 413, answer.status


# What a definition may say wrong about a container. AWS refuses some of it at registration; what gets further is named as
# the container's trouble.
WRONG_CONTAINERS = {
    "a health check without a command": {"healthCheck": {"command": ["CMD"]}},
    "a health check without a script": {"healthCheck": {"command": ["CMD-SHELL"]}},
    "a NUL in the command": {"command": ["a\0b"]},
    "an empty entry point": {"entryPoint": [""]},
    "a directory that is not absolute": {"workingDirectory": "not/absolute"},
    "a NUL in the directory": {"workingDirectory": "/a\0b"},
    "a user that the image lacks": {"user": "nobody-at-all"},
    "a user without a name": {"user": ":"},
    "a user beyond all numbers": {"user": "99999999999"},
    "a mount option that there is none of": {
        "linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 1, "mountOptions": ["nonsense"]}]}},
    "a tmpfs that is nowhere": {"linuxParameters": {"tmpfs": [{"containerPath": "", "size": 1}]}},
    "a mount over all": {"mountPoints": [{"sourceVolume": "v", "containerPath": "/"}]},
    "a mount over /proc/self": {"mountPoints": [{"sourceVolume": "v", "containerPath": "/proc/self"}]},
    "a mount that climbs": {"mountPoints": [{"sourceVolume": "v", "containerPath": "/../../x"}]},
    "a kernel parameter that there is none of": {"systemControls": [{"namespace": "net.no.such", "value": "1"}]},
    "a kernel parameter's value": {"systemControls": [{"namespace": "net.ipv4.ip_local_port_range", "value": "x"}]},
    "a limit beyond all": {"ulimits": [{"name": "nofile", "softLimit": 2**31 - 1, "hardLimit": 2**31 - 1}]},
    "an image that cannot be": {"image": "Not::an-image"},
    "a log of no region": {"logConfiguration": {"logDriver": "awslogs", "options": {
        "awslogs-group": "g", "awslogs-region": "no/region", "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}}},
    "a log of no name": {"logConfiguration": {"logDriver": "awslogs", "options": {
        "awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p:*", "awslogs-create-group": "true"}}},
}


def test_what_a_definition_says_wrong_is_not_the_machines_fault(tasks):
    started = {}
    for what, fields in WRONG_CONTAINERS.items():
        try:
            definition = tasks.register(tasks.container("exit 0", **fields), volumes=[{"name": "v"}])
        except ClientError as error:
            assert error.response["Error"]["Code"] in ("ClientException", "InvalidParameterException"), (what, error)
        else:
            started[what] = tasks.start(definition)
    reasons = {what: tasks.wait(arn).get("stoppedReason", "") for what, arn in started.items()}
    wrong = {what: reason for what, reason in reasons.items() if "InternalError" in reason or "shim.json" in reason}
    assert not wrong, wrong
