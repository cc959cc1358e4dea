"""Task definitions and tasks, as short as tests need them."""

import itertools
import time

FARGATE = {"cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"]}
ROLE = "arn:aws:iam::000000000000:role/execution"
# On a busy machine; a task that hangs fails here.
WAIT_SECONDS = 90
POLL_SECONDS = 0.1

_numbers = itertools.count(1)


def unique(prefix: str) -> str:
    return f"{prefix}-{next(_numbers)}"


class Tasks:
    """Runs tasks of one account."""

    def __init__(self, server, account: str, image: str):
        self.image = image
        self.ecs = server.client("ecs", account)
        self.ec2 = server.client("ec2", account)
        self.logs = server.client("logs", account)
        self.ecs.create_cluster()
        subnets = self.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
        self.subnets = sorted(subnet["SubnetId"] for subnet in subnets)
        vpcs = self.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
        self.vpc = vpcs[0]["VpcId"]

    def network(self, groups: list[str] = (), public: bool = False) -> dict:
        configuration = {"subnets": self.subnets[:1], "assignPublicIp": "ENABLED" if public else "DISABLED"}
        if groups:
            configuration["securityGroups"] = list(groups)
        return {"awsvpcConfiguration": configuration}

    def container(self, script: str = "", **fields) -> dict:
        """A container that runs a shell script and logs to group /e2e, stream `<family>/<name>/<task id>`."""
        container = {"name": "app", "image": self.image}
        if script:
            container["command"] = ["sh", "-c", script]
        return container | fields

    def register(self, *containers: dict, family: str = "", logged: bool = True, **fields) -> str:
        """Registers a definition of these containers and answers its ARN."""
        family = family or unique("task")
        containers = [dict(container) for container in containers]
        for container in containers:
            container.setdefault("image", self.image)
            if logged:
                options = {"awslogs-group": "/e2e", "awslogs-region": "us-east-1",
                           "awslogs-stream-prefix": family, "awslogs-create-group": "true"}
                container.setdefault("logConfiguration", {"logDriver": "awslogs", "options": options})
        definition = FARGATE | {"family": family, "containerDefinitions": containers, "executionRoleArn": ROLE} | fields
        return self.ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]

    def start(self, definition: str, **request) -> str:
        """Runs a task and answers its ARN."""
        request = {"launchType": "FARGATE", "networkConfiguration": self.network()} | request
        answer = self.ecs.run_task(taskDefinition=definition, **request)
        assert answer["failures"] == [], answer["failures"]
        return answer["tasks"][0]["taskArn"]

    def describe(self, task: str) -> dict:
        return self.ecs.describe_tasks(tasks=[task])["tasks"][0]

    def wait(self, task: str, status: str = "STOPPED", until=None) -> dict:
        """Waits until the task has the status, or `until` holds of it."""
        done = until or (lambda found: found["lastStatus"] == status)
        end = time.monotonic() + WAIT_SECONDS
        while True:
            found = self.describe(task)
            if done(found):
                return found
            assert found["lastStatus"] != "STOPPED", f"stopped early: {summary(found)}"
            assert time.monotonic() < end, f"not in time: {summary(found)}"
            time.sleep(POLL_SECONDS)

    def run(self, *containers: dict, request: dict | None = None, **fields) -> dict:
        """Registers, runs, waits until it has stopped."""
        return self.wait(self.start(self.register(*containers, **fields), **(request or {})))

    def stop(self, task: str) -> None:
        self.ecs.stop_task(task=task)

    def lines(self, task: dict, container: str = "app") -> list[str]:
        """What a container of a stopped task logged."""
        family = task["taskDefinitionArn"].rpartition("/")[2].rpartition(":")[0]
        stream = f"{family}/{container}/{task_id(task)}"
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName="/e2e", logStreamNames=[stream])
        return [event["message"] for page in pages for event in page["events"]]


def task_id(task: dict) -> str:
    return task["taskArn"].rpartition("/")[2]


def container_of(task: dict, name: str = "app") -> dict:
    return next(container for container in task["containers"] if container["name"] == name)


def address(task: dict) -> str:
    return container_of(task, task["containers"][0]["name"])["networkInterfaces"][0]["privateIpv4Address"]


def detail(task: dict, name: str) -> str | None:
    details = task["attachments"][0]["details"]
    return next((entry["value"] for entry in details if entry["name"] == name), None)


def summary(task: dict) -> str:
    containers = [(c["name"], c["lastStatus"], c.get("exitCode"), c.get("reason")) for c in task["containers"]]
    return f"{task['lastStatus']} {task.get('stopCode')} {task.get('stoppedReason')} {containers}"
