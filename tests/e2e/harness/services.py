"""Services, as short as tests need them."""

import time

from .tasks import POLL_SECONDS, Tasks, task_id, unique

# On a busy machine; a service that hangs fails here.
WAIT_SECONDS = 120
FOREVER = 'trap "exit 0" TERM; while true; do sleep 0.1; done'


class Services:
    """Services of one account, on a server whose time is scaled."""

    def __init__(self, tasks: Tasks):
        self.tasks, self.ecs = tasks, tasks.ecs

    def definition(self, script: str = FOREVER, family: str = "", **fields) -> str:
        """A definition of one container `app` with port 8080."""
        container = self.tasks.container(script, portMappings=[{"containerPort": 8080}], **fields)
        return self.tasks.register(container, family=family, logged=False)

    def create(self, definition: str, count: int = 1, name: str = "", **request) -> dict:
        request = {
            "serviceName": name or unique("service"), "taskDefinition": definition, "desiredCount": count,
            "launchType": "FARGATE", "networkConfiguration": self.tasks.network(),
        } | request
        return self.ecs.create_service(**{k: v for k, v in request.items() if v is not None})["service"]

    def describe(self, name: str) -> dict:
        answer = self.ecs.describe_services(services=[name])
        assert answer["failures"] == [], answer["failures"]
        return answer["services"][0]

    def wait(self, name: str, until, seconds: float = WAIT_SECONDS) -> dict:
        """Waits until `until` holds of the service."""
        end = time.monotonic() + seconds
        while True:
            found = self.describe(name)
            if until(found):
                return found
            assert time.monotonic() < end, f"not in time: {summary(found)}"
            time.sleep(POLL_SECONDS)

    def stable(self, name: str) -> dict:
        return self.wait(name, is_stable)

    def running(self, name: str) -> list[dict]:
        """Its tasks that are meant to run."""
        arns = self.ecs.list_tasks(serviceName=name)["taskArns"]
        return self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []

    def stopped(self, name: str) -> list[dict]:
        arns = self.ecs.list_tasks(serviceName=name, desiredStatus="STOPPED")["taskArns"]
        return self.ecs.describe_tasks(tasks=arns)["tasks"] if arns else []

    def delete(self, name: str) -> None:
        """Deletes it and waits until it is gone."""
        self.ecs.delete_service(service=name, force=True)
        self.wait(name, lambda s: s["status"] == "INACTIVE")


def is_stable(service: dict) -> bool:
    """What the waiter services-stable looks for, and that the deployment knows it."""
    deployments = service["deployments"]
    return (len(deployments) == 1 and service["runningCount"] == service["desiredCount"]
            and deployments[0]["rolloutState"] == "COMPLETED" and service["pendingCount"] == 0)


def messages(service: dict) -> list[str]:
    """Its events, the oldest first."""
    return [event["message"] for event in reversed(service["events"])]


def ids(tasks: list[dict]) -> set[str]:
    return {task_id(task) for task in tasks}


def summary(service: dict) -> str:
    deployments = [
        (d["status"], d["taskDefinition"].rsplit("/", 1)[1], d["rolloutState"], d["desiredCount"], d["pendingCount"],
         d["runningCount"], d["failedTasks"]) for d in service["deployments"]
    ]
    counts = service["desiredCount"], service["pendingCount"], service["runningCount"]
    return f"{service['status']} {counts} {deployments} {messages(service)}"
