"""Services behind a load balancer under steady mixed load: whatever is done to them, no request fails."""

import os
import time
from pathlib import Path

import pytest

from harness import web
from harness.processes import kill, lock_holder
from harness.server import Server, fresh_account
from harness.waiting import wait_until
from harness.web import Load, Web

# Deregistration delays of 300 s take 10 s, which is longer than any request of the load.
SCALE = 30
PORT, HTTPS_PORT = 8080, 8443


class Site:
    """A four-task service behind an ALB with an HTTP and an HTTPS listener, on a Neargate of its own."""

    def __init__(self, directory, **service):
        self.data_dir = directory / "data"
        self.start()
        web.push_image(self.server, directory)
        self.account = fresh_account()
        self.connect()
        self.balancer = self.web.balancer()
        self.target_group = self.web.target_group()
        self.web.listener(self.balancer, PORT, self.target_group)
        self.web.https_listener(self.balancer, HTTPS_PORT, self.target_group)
        self.service = self.web.service(self.web.definition("blue"), 4, self.target_group, **service)
        self.web.wait_stable(self.service)
        self.web.wait_healthy(self.target_group, 4)

    def start(self) -> None:
        self.server = Server(self.data_dir, "--create-repositories-on-push", "--time-scale", str(SCALE))

    def connect(self) -> None:
        self.web = Web(self.server, self.account)

    def load(self, **options) -> Load:
        return Load(self.balancer, PORT, HTTPS_PORT, **options)

    def update(self, **request) -> None:
        self.web.ecs.update_service(service=self.service, **request)


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    if site.server.process.poll() is None:
        site.server.stop()


def test_a_rolling_update_fails_no_request(site):
    with site.load() as load:
        time.sleep(2)
        site.update(taskDefinition=site.web.definition("green"))
        site.web.wait_stable(site.service)
        time.sleep(2)
    load.assert_nothing_failed()
    assert set(load.result["by_version"]) == {"blue", "green"}
    assert load.last_versions() == {"green"}, load.seconds[-1]


def test_scaling_out_and_in_fails_no_request(site):
    with site.load() as load:
        for count in (2, 8, 2):
            site.update(desiredCount=count)
            site.web.wait_stable(site.service)
            site.web.wait_healthy(site.target_group, count)
        time.sleep(2)
    load.assert_nothing_failed()
    assert len(load.result["by_task"]) >= 8


def main_process(task: str) -> int:
    """The pid of the task's service, by the network namespace that only its processes are in."""
    name = task.rpartition("/")[2]
    inside = next(os.stat(path).st_ino for path in Path("/run/neargate").glob(f"*/netns/{name}"))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.stat(process / "ns/net").st_ino == inside and (process / "cmdline").read_bytes().startswith(b"/webapp"):
                return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"{task} has no process")


@pytest.mark.parametrize("how", ["StopTask", "kill -9"])
def test_an_ended_task_fails_no_later_request(site, how):
    """Stopped by the API, it is drained first. Killed, it fails what it was answering, and nothing after that."""
    with site.load() as load:
        time.sleep(1)
        victim = site.web.tasks(site.service)[0]
        if how == "StopTask":
            site.web.ecs.stop_task(task=victim)
        else:
            kill(main_process(victim))
        wait_until("it is replaced", lambda: victim not in site.web.tasks(site.service) and len(site.web.tasks(site.service)) == 4)
        site.web.wait_stable(site.service)
        time.sleep(2)
    if how == "StopTask":
        return load.assert_nothing_failed()
    # A quarter of the WebSockets and streams, and of the short requests that were under way.
    failing = [second["second"] for second in load.seconds if second["failed"]]
    assert load.result["failed"] <= 12, load.result["failures"]
    assert not failing or failing[-1] - failing[0] <= 1, load.result["failures"]


def test_the_server_may_be_killed(site):
    with site.load() as load:
        time.sleep(1)
        site.server.process.kill()
        site.server.process.wait()
        time.sleep(3)
        site.start()
        site.connect()
        site.web.wait_healthy(site.target_group, 4)
        # And in the middle of an update.
        site.update(taskDefinition=site.web.definition("green"))
        time.sleep(1)
        site.server.process.kill()
        site.server.process.wait()
        site.start()
        site.connect()
        site.web.wait_stable(site.service)
        time.sleep(2)
    load.assert_nothing_failed()
    assert load.last_versions() == {"green"}


def test_a_killed_load_balancer_is_back_in_a_second(site):
    """Its connections are gone with it, but a second later everything works, also while the server is away."""
    lb = lock_holder(site.data_dir, "lb")
    with site.load(websockets=0, streams=0) as load:
        time.sleep(2)
        kill(lb)
        time.sleep(4)
    failing = [second["second"] for second in load.seconds if second["failed"]]
    assert failing and len(failing) <= 2, load.seconds
    assert load.last_versions() == {"blue"}
    assert load.seconds[-1]["failed"] == 0


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("it crashes", {"STARTUP_DELAY_MS": "3600000", "CRASH_AFTER_MS": "300"}),
        ("it never listens", {"STARTUP_DELAY_MS": "3600000"}),
        ("its health check fails", {"HEALTH_STATUS": "500"}),
        ("it cannot be pulled", None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_image_is_rolled_back(site, name, change):
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    site.update(deploymentConfiguration=breaker)
    blue = site.web.describe(site.service)["taskDefinition"]
    with site.load() as load:
        # A missing image is noticed so soon that it would all be over before each kind of client has been served.
        time.sleep(2)
        if change is None:
            definition = site.web.ecs.describe_task_definition(taskDefinition=blue)["taskDefinition"]
            container = definition["containerDefinitions"][0] | {"image": web.IMAGE.replace(":1", ":none")}
            kept = {key: definition[key] for key in ("family", "cpu", "memory", "networkMode", "requiresCompatibilities", "executionRoleArn")}
            bad = site.web.ecs.register_task_definition(**kept, containerDefinitions=[container])["taskDefinition"]["taskDefinitionArn"]
        else:
            bad = site.web.definition("bad", **change)
        site.update(taskDefinition=bad)

        def rolled_back():
            found = site.web.describe(site.service)
            return found["taskDefinition"] == blue and len(found["deployments"]) == 1

        wait_until(f"rolled back because {name}", rolled_back, 240)
        site.web.wait_stable(site.service)
    load.assert_nothing_failed()
    assert set(load.result["by_version"]) == {"blue"}
    events = site.web.events(site.service)
    assert "deployment failed: tasks failed to start." in events, events
    assert "rolling back to deployment ecs-svc/" in events, events


def test_a_slow_starter_comes_up_within_its_grace_period(tmp_path):
    """45 s to listen and 60 s of grace, as a Spring Boot application: 4.5 s and 60 s at a scale of ten."""
    server = Server(tmp_path / "data", "--create-repositories-on-push", "--time-scale", "10")
    web.push_image(server, tmp_path)
    site = Web(server, fresh_account())
    target_group = site.target_group()
    site.listener(site.balancer(), PORT, target_group)
    slow = site.definition("slow", STARTUP_DELAY_MS="4500")
    service = site.service(slow, 1, target_group, healthCheckGracePeriodSeconds=60)
    started = wait_until("a task is there", lambda: site.tasks(service))
    site.wait_healthy(target_group, 1)
    site.wait_stable(service)
    assert site.tasks(service) == started, site.events(service)
    server.stop()
