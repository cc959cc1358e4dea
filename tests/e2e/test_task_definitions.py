"""Task definitions: what is echoed, listed and refused."""

import pytest

from harness.errors import refused
from harness.server import fresh_account
from harness.tasks import FARGATE, ROLE

AWSLOGS = {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}


@pytest.fixture
def ecs(server):
    return server.client("ecs", fresh_account())


def container(**fields) -> dict:
    return {"name": "app", "image": "nginx"} | fields


def register(ecs, *containers: dict, family: str = "f", **fields) -> dict:
    request = FARGATE | {"family": family, "containerDefinitions": list(containers) or [container()]} | fields
    return ecs.register_task_definition(**{name: value for name, value in request.items() if value is not None})["taskDefinition"]


def test_what_is_echoed(ecs):
    definition = register(ecs, container(portMappings=[{"containerPort": 80}]))
    arn = definition.pop("taskDefinitionArn")
    assert arn.endswith(":task-definition/f:1")
    assert definition.pop("registeredAt") and definition.pop("registeredBy").startswith("arn:aws:")
    assert {a["name"] for a in definition.pop("requiresAttributes")} >= {"ecs.capability.task-eni"}
    assert definition == {
        "family": "f", "revision": 1, "status": "ACTIVE", "cpu": "256", "memory": "512", "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"], "compatibilities": ["EC2", "FARGATE"], "volumes": [], "placementConstraints": [],
        "containerDefinitions": [{
            "name": "app", "image": "nginx", "cpu": 0, "essential": True, "environment": [], "mountPoints": [], "volumesFrom": [],
            "systemControls": [], "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
        }],
    }


@pytest.mark.parametrize(("cpu", "memory", "want"), [
    ("256", "512", ("256", "512")),
    ("1 vCPU", "2GB", ("1024", "2048")),
    (".25 vcpu", ".5 gb", ("256", "512")),
    ("0.5VCPU", "3 GB", ("512", "3072")),
    ("16 vCPU", "120 GB", ("16384", "122880")),
])
def test_sizes_become_numbers(ecs, cpu, memory, want):
    definition = register(ecs, cpu=cpu, memory=memory)
    assert (definition["cpu"], definition["memory"]) == want


def test_compatibilities_are_echoed_only_if_given(ecs):
    definition = register(ecs, container(memory=64), requiresCompatibilities=None, networkMode="bridge", cpu=None, memory=None)
    assert "requiresCompatibilities" not in definition and "FARGATE" not in definition["compatibilities"]


def test_revisions_go_up_and_never_come_back(ecs):
    first = register(ecs)["taskDefinitionArn"]
    assert register(ecs)["revision"] == 2
    gone = ecs.deregister_task_definition(taskDefinition=first)["taskDefinition"]
    assert gone["status"] == "INACTIVE" and gone["deregisteredAt"]
    assert ecs.deregister_task_definition(taskDefinition=first)["taskDefinition"]["status"] == "INACTIVE"
    assert ecs.describe_task_definition(taskDefinition="f:1")["taskDefinition"]["status"] == "INACTIVE"
    assert ecs.describe_task_definition(taskDefinition="f")["taskDefinition"]["revision"] == 2
    answer = ecs.delete_task_definitions(taskDefinitions=["f:1", "f:2", "absent:1"])
    assert [d["status"] for d in answer["taskDefinitions"]] == ["DELETE_IN_PROGRESS"]
    assert len(answer["failures"]) == 2
    ecs.deregister_task_definition(taskDefinition="f:2")
    ecs.delete_task_definitions(taskDefinitions=["f:2"])
    assert register(ecs)["revision"] == 3


def test_unknown_ones(ecs):
    refused(lambda: ecs.describe_task_definition(taskDefinition="absent"), "ClientException", "Unable to describe task definition.")
    refused(lambda: ecs.deregister_task_definition(taskDefinition="f"), "ClientException")
    refused(lambda: ecs.deregister_task_definition(taskDefinition="absent:1"), "ClientException")


def test_tags_stand_beside_the_definition(ecs):
    register(ecs, tags=[{"key": "k", "value": "v"}])
    assert ecs.describe_task_definition(taskDefinition="f", include=["TAGS"])["tags"] == [{"key": "k", "value": "v"}]
    assert "tags" not in ecs.describe_task_definition(taskDefinition="f") or ecs.describe_task_definition(taskDefinition="f")["tags"] == []


def names(arns: list[str]) -> list[str]:
    return [arn.rpartition("/")[2] for arn in arns]


def test_lists(ecs):
    for family in ("web", "web-2", "job"):
        register(ecs, family=family)
    for _ in range(10):
        register(ecs, family="web")
    ecs.deregister_task_definition(taskDefinition="web:1")
    ecs.deregister_task_definition(taskDefinition="job:1")

    def definitions(**request) -> list[str]:
        return names(ecs.list_task_definitions(**request)["taskDefinitionArns"])

    assert definitions(familyPrefix="web") == [f"web:{n}" for n in range(2, 12)], "the whole family name, in order of number"
    assert definitions(familyPrefix="web", sort="DESC")[:2] == ["web:11", "web:10"]
    assert sorted(definitions(status="INACTIVE")) == ["job:1", "web:1"]
    pages = [names(page["taskDefinitionArns"]) for page in ecs.get_paginator("list_task_definitions").paginate(
        familyPrefix="web", PaginationConfig={"PageSize": 4})]
    assert [len(page) for page in pages] == [4, 4, 2] and sum(pages, []) == definitions(familyPrefix="web")
    families = lambda **request: ecs.list_task_definition_families(**request)["families"]
    assert families() == ["job", "web", "web-2"]
    assert families(familyPrefix="web") == ["web", "web-2"]
    assert families(status="ACTIVE") == ["web", "web-2"]
    assert families(status="INACTIVE") == ["job"]


CHECKED = {"healthCheck": {"command": ["CMD", "true"]}}

# AWS's texts: facts, ECS §1.5. (containers, other fields, text)
RULES = {
    "bad size pair": ([container()], {"cpu": "1024", "memory": "1024"}, "No Fargate configuration exists for given values: 1024 CPU, 1024 memory. See the Amazon ECS documentation for the valid values."),
    "network mode": ([container()], {"networkMode": "bridge"}, "Fargate only supports network mode ‘awsvpc’."),
    "no cpu": ([container()], {"cpu": None}, "Fargate requires that 'cpu' be defined at the task level."),
    "no memory": ([container(memory=64)], {"memory": None}, "Fargate requires that 'memory' be defined at the task level."),
    "unparsable cpu": ([container()], {"cpu": "many"}, "Invalid 'cpu' setting for task."),
    "host port": ([container(portMappings=[{"containerPort": 80, "hostPort": 81}])], {}, "When networkMode=awsvpc, the host ports and container ports in port mappings must match."),
    "port": ([container(portMappings=[{"containerPort": 70000}])], {}, "Invalid 'containerPort' setting for container 'app'."),
    "port range": ([container(portMappings=[{"containerPortRange": "9-1"}])], {}, "Invalid 'containerPortRange' setting"),
    "port and range": ([container(portMappings=[{"containerPort": 1, "containerPortRange": "1-2"}])], {}, "Invalid port mapping for container 'app', cannot specify both single port and port range."),
    "port twice": ([container(portMappings=[{"containerPort": 80}]), container(name="b", portMappings=[{"containerPort": 80}])], {}, "TCP container port '80' is used multiple times in task when networkMode=awsvpc."),
    "port name twice": ([container(portMappings=[{"containerPort": 80, "name": "p"}, {"containerPort": 81, "name": "p"}])], {}, "When networkMode=awsvpc, port mapping name is already used"),
    "cpu sum": ([container(cpu=200), container(name="b", cpu=100)], {}, "The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'."),
    "no memory anywhere": ([container()], {"requiresCompatibilities": None, "networkMode": "bridge", "memory": None, "cpu": None}, "Invalid setting for container 'app'. At least one of 'memory' or 'memoryReservation' must be specified."),
    "memory above the task's": ([container(memory=1024)], {}, "The 'memory' setting for container 'app' is greater than for the task"),
    "memory below reservation": ([container(memory=64, memoryReservation=128)], {}, "'memory' must be greater than or equal to 'memoryReservation'"),
    "none essential": ([container(essential=False)], {}, "Task definition doesn't have any essential container"),
    "names": ([container(), container()], {}, "Container names must be unique within a task definition"),
    "too many": ([container(name=f"c{n}") for n in range(11)], {}, "Too many containers"),
    "SUCCESS of an essential one": ([container(dependsOn=[{"containerName": "b", "condition": "SUCCESS"}]), container(name="b")], {}, "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"),
    "COMPLETE of an essential one": ([container(dependsOn=[{"containerName": "b", "condition": "COMPLETE"}]), container(name="b")], {}, "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"),
    "HEALTHY without check": ([container(dependsOn=[{"containerName": "b", "condition": "HEALTHY"}]), container(name="b")], {}, "A dependency container with HEALTHY condition must have health check configured"),
    "unknown dependency": ([container(dependsOn=[{"containerName": "x", "condition": "START"}])], {}, "Cannot depend on container + 'x' because it does not exist"),
    "cycle": ([container(dependsOn=[{"containerName": "b", "condition": "START"}]), container(name="b", dependsOn=[{"containerName": "app", "condition": "START"}])], {}, "cycle"),
    "devices": ([container(linuxParameters={"devices": [{"hostPath": "/dev/kvm"}]})], {}, "Fargate compatible task definitions do not support devices"),
    "sharedMemorySize": ([container(linuxParameters={"sharedMemorySize": 64})], {}, "Fargate compatible task definitions do not support sharedMemorySize"),
    "maxSwap": ([container(linuxParameters={"maxSwap": 64})], {}, "Fargate compatible task definitions do not support maxSwap"),
    "sourcePath": ([container()], {"volumes": [{"name": "v", "host": {"sourcePath": "/etc"}}]}, "Fargate compatible task definitions do not support sourcePath"),
    "docker volume": ([container()], {"volumes": [{"name": "v", "dockerVolumeConfiguration": {"scope": "task"}}]}, "Fargate compatible task definitions do not support dockerVolumeConfiguration"),
    "dockerSecurityOptions": ([container(dockerSecurityOptions=["no-new-privileges"])], {}, "Fargate compatible task definitions do not support dockerSecurityOptions"),
    "ipcMode": ([container()], {"ipcMode": "host"}, "Fargate compatible task definitions do not support ipcMode"),
    "constraints": ([container()], {"placementConstraints": [{"type": "memberOf", "expression": "x"}]}, "Fargate compatible task definitions do not support constraints"),
    "capability": ([container(linuxParameters={"capabilities": {"add": ["SYS_ADMIN"]}})], {}, "SYS_ADMIN is not allowed on Fargate."),
    "privileged": ([container(privileged=True)], {}, "Fargate requires that the 'privileged' setting be 'false'"),
    "pidMode": ([container()], {"pidMode": "host"}, "Tasks using the Fargate launch type do not support pidMode 'host'"),
    "gpu": ([container(resourceRequirements=[{"type": "GPU", "value": "1"}])], {}, "Tasks using the Fargate launch type do not support GPU resource requirements"),
    "links": ([container(links=["b"]), container(name="b")], {}, "Links are not supported when networkMode=awsvpc"),
    "hostname": ([container(hostname="h")], {}, "hostname is not supported on container when networkMode=awsvpc"),
    "extraHosts": ([container(extraHosts=[{"hostname": "h", "ipAddress": "1.2.3.4"}])], {}, "Extra hosts are not supported on container when networkMode=awsvpc"),
    "dnsServers": ([container(dnsServers=["1.1.1.1"])], {}, "DNS servers are not supported on container when networkMode=awsvpc"),
    "disableNetworking": ([container(disableNetworking=True)], {}, "Disable Networking is not supported on container when networkMode=awsvpc"),
    "little storage": ([container()], {"ephemeralStorage": {"sizeInGiB": 20}}, "EphemeralStorage size should be at least 21"),
    "much storage": ([container()], {"ephemeralStorage": {"sizeInGiB": 201}}, ""),
    "storage on EC2": ([container(memory=64)], {"ephemeralStorage": {"sizeInGiB": 30}, "requiresCompatibilities": ["EC2"], "networkMode": "bridge"}, "Tasks using the EC2 launch type do not support EphemeralStorage"),
    "role for logs": ([container(logConfiguration={"logDriver": "awslogs", "options": AWSLOGS})], {}, "Fargate requires task definition to have execution role ARN to support log driver awslogs."),
    "role for ECR": ([container(image="000000000000.dkr.ecr.us-east-1.amazonaws.com/r:1")], {}, "Fargate requires task definition to have execution role ARN to support ECR images."),
    "role for secrets": ([container(secrets=[{"name": "S", "valueFrom": "p"}])], {}, "When you are specifying container secrets, you must also specify a value for 'executionRoleArn'."),
    "log options": ([container(logConfiguration={"logDriver": "awslogs", "options": {"awslogs-region": "r", "awslogs-stream-prefix": "p"}})], {"executionRoleArn": ROLE}, "Log driver awslogs requires options: awslogs-group"),
    "stream prefix": ([container(logConfiguration={"logDriver": "awslogs", "options": {"awslogs-region": "r", "awslogs-group": "g"}})], {"executionRoleArn": ROLE}, "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver awslogs."),
    "firelens": ([container(logConfiguration={"logDriver": "awsfirelens"})], {"executionRoleArn": ROLE}, "When awsfirelens log driver is specified in log configuration, a firelens configuration object must be configured in one of the containers."),
    "log driver": ([container(logConfiguration={"logDriver": "syslog"})], {"executionRoleArn": ROLE}, "syslog is not a valid log driver. Must be one of [awslogs,splunk,awsfirelens]"),
    "volume": ([container(mountPoints=[{"sourceVolume": "v", "containerPath": "/v"}])], {}, "Unknown volume 'v'"),
    "efs iam": ([container()], {"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "authorizationConfig": {"iam": "ENABLED"}}}]}, "EFS IAM authorization requires TransitEncryption to be enabled"),
    "efs port": ([container()], {"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "transitEncryptionPort": 2049}}]}, "TransitEncryptionPort requires that TransitEncryption is enabled"),
    "efs access point": ([container()], {"volumes": [{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "fs-1", "rootDirectory": "/x", "transitEncryption": "ENABLED", "authorizationConfig": {"accessPointId": "fsap-1"}}}]}, "When using an EFS access point, the root directory must either be set to \"/\" or be omitted"),
    "env files": ([container(environmentFiles=[{"type": "s3", "value": "arn:aws:s3:::b/x.env"}] * 11)], {"executionRoleArn": ROLE}, "The maximum number of environment files was exceeded. Specify ten or less and try again"),
    "env file ARN": ([container(environmentFiles=[{"type": "s3", "value": "b/x.env"}])], {"executionRoleArn": ROLE}, "Invalid arn syntax"),
    "restart period": ([container(restartPolicy={"enabled": True, "restartAttemptPeriod": 10})], {}, "The 'restartAttemptPeriod' setting for container 'app' must be between 60 and 1800"),
    "proxy": ([container(memory=64)], {"networkMode": "bridge", "requiresCompatibilities": ["EC2"], "proxyConfiguration": {"type": "APPMESH", "containerName": "app"}}, "APPMESH proxy configuration is only supported in networkMode=awsvpc"),
    "proxy container": ([container()], {"proxyConfiguration": {"type": "APPMESH", "containerName": "x"}}, "Proxy container [x] does not exist"),
    "accelerators": ([container()], {"inferenceAccelerators": [{"deviceName": "d", "deviceType": "t"}]}, "Unsupported field 'inferenceAccelerators'"),
    "stopTimeout": ([container(stopTimeout=121)], {}, ""),
    "health interval": ([container(healthCheck={"command": ["CMD", "x"], "interval": 1})], {}, "Health check interval must be greater than or equal to the minimum allowed value 5 for container 'app'"),
    "family": ([container()], {"family": "a b"}, "Family contains invalid characters."),
    "image placeholder": ([container(image="<IMAGE1_NAME>")], {}, "Container.image contains invalid characters."),
    "image variable": ([container(image="$REG/app:$TAG")], {}, "Container.image contains invalid characters."),
    "long image": ([container(image="a" * 256)], {}, "Container.image should be 255 characters or less."),
    "container name": ([container(name="a b")], {}, "Container.name contains invalid characters."),
    "no role": ([container()], {"taskRoleArn": "REPLACE_ME"}, "Role is not valid"),
    "blank variable": ([container(environment=[{"name": "", "value": "x"}])], {}, "Environment variable name cannot be null or blank."),
    "variable and secret": ([container(environment=[{"name": "X", "value": "x"}], secrets=[{"name": "X", "valueFrom": "s"}])], {"executionRoleArn": ROLE}, "The secret name must be unique and not shared with any new or existing environment variables set on the container, such as 'X'."),
    "secret twice": ([container(secrets=[{"name": "X", "valueFrom": "s"}] * 2)], {"executionRoleArn": ROLE}, "Duplicate secret names found: X. Each secret name must be unique."),
    "role for a registry": ([container(repositoryCredentials={"credentialsParameter": "arn:aws:secretsmanager:us-east-1:000000000000:secret:x"})], {}, "Private repository authentication requires that the task definition specify a value for executionRoleArn."),
    "unknown log option": ([container(logConfiguration={"logDriver": "awslogs", "options": AWSLOGS | {"tag": "x"}})], {"executionRoleArn": ROLE}, "Log driver awslogs disallows options: tag"),
    "too large": ([container(environment=[{"name": "X", "value": "x" * 65536}])], {}, "Max allowed length is '65536' bytes."),
}


@pytest.fixture(scope="module")
def strict(server):
    return server.client("ecs", fresh_account())


@pytest.mark.parametrize("name", RULES)
def test_rules(name, strict):
    containers, fields, text = RULES[name]
    refused(lambda: register(strict, *containers, **fields), "ClientException", text)


SIZES = {256: [512, 1024, 2048], 512: range(1024, 4097, 1024), 1024: range(2048, 8193, 1024), 2048: range(4096, 16385, 1024),
         4096: range(8192, 30721, 1024), 8192: range(16384, 61441, 4096), 16384: range(32768, 122881, 8192)}


@pytest.mark.parametrize("cpu", SIZES)
def test_fargate_sizes(cpu, strict):
    steps = list(SIZES[cpu])
    for memory in (steps[0], steps[len(steps) // 2], steps[-1]):
        assert register(strict, cpu=str(cpu), memory=str(memory))["memory"] == str(memory)
    for memory in (steps[0] - 256, steps[-1] + 1024, steps[0] + 1):
        refused(lambda: register(strict, cpu=str(cpu), memory=str(memory)), "ClientException",
                f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")


def test_everything_comes_back_as_given(ecs):
    """Terraform plans a replacement for each difference."""
    given = {
        "name": "app", "image": "i", "cpu": 64, "memory": 256, "memoryReservation": 128, "essential": True,
        "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp", "name": "http", "appProtocol": "http"}],
        "entryPoint": ["sh"], "command": ["-c", "true"], "environment": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
        "mountPoints": [{"sourceVolume": "v", "containerPath": "/v", "readOnly": True}],
        "volumesFrom": [{"sourceContainer": "b", "readOnly": False}], "dependsOn": [{"containerName": "b", "condition": "HEALTHY"}],
        "startTimeout": 10, "stopTimeout": 20, "user": "1", "workingDirectory": "/", "readonlyRootFilesystem": True,
        "dockerLabels": {"l": "1"}, "ulimits": [{"name": "nofile", "softLimit": 1, "hardLimit": 2}],
        "linuxParameters": {"initProcessEnabled": True, "capabilities": {"drop": ["ALL"]}}, "interactive": True, "pseudoTerminal": False,
        "logConfiguration": {"logDriver": "awslogs", "options": AWSLOGS}, "systemControls": [],
        "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3},
        "restartPolicy": {"enabled": True, "ignoredExitCodes": [1], "restartAttemptPeriod": 60},
    }
    fields = {
        "executionRoleArn": ROLE, "taskRoleArn": ROLE, "volumes": [{"name": "v", "host": {}}], "pidMode": "task",
        "ephemeralStorage": {"sizeInGiB": 21}, "runtimePlatform": {"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
    }
    definition = register(ecs, given, container(name="b", **CHECKED), **fields)
    assert definition["containerDefinitions"][0] == given
    assert {name: definition[name] for name in fields} == fields
    assert ecs.describe_task_definition(taskDefinition="f")["taskDefinition"] == definition
