"""Services behind load balancers: targets come and go with the tasks, and no request fails."""

import http.client
import threading
import time

import pytest

from harness import images
from harness.server import Server, fresh_account
from harness.services import Services, ids, is_stable, messages
from harness.tasks import Tasks, address, task_id, unique

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1"
SCALE = ("--time-scale", "20")
# Answers its address; ends when it is told to. `ready` and `broken` are what tests play with.
APP = """trap 'exit 0' TERM; mkdir -p /www/up; hostname -i > /www/index.html; echo ok > /www/up/index.html
httpd -f -p 8080 -h /www & while true; do sleep 0.1; done"""


class Balancer:
    """An application load balancer with one listener and one target group, and a client of it."""

    def __init__(self, server, services: Services, port: int, delay: int = 40, **health):
        elb = self.elb = server.client("elbv2", services.tasks.ecs.describe_clusters()["clusters"][0]["clusterArn"].split(":")[4])
        made = elb.create_load_balancer(Name=unique("lb"), Subnets=services.tasks.subnets[:2])["LoadBalancers"][0]
        self.arn, self.name, self.port = made["LoadBalancerArn"], made["DNSName"], port
        health = {"HealthCheckPath": "/up/", "HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 2,
                  "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2} | health
        group = elb.create_target_group(
            Name=unique("group"), Protocol="HTTP", Port=80, VpcId=services.tasks.vpc, TargetType="ip", **health)
        self.group = group["TargetGroups"][0]["TargetGroupArn"]
        elb.modify_target_group_attributes(TargetGroupArn=self.group, Attributes=[
            {"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}])
        self.listener = elb.create_listener(
            LoadBalancerArn=self.arn, Protocol="HTTP", Port=port,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.group}])["Listeners"][0]["ListenerArn"]
        elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[self.arn], WaiterConfig={"Delay": 1})
        self.of_service = {"loadBalancers": [{"targetGroupArn": self.group, "containerName": "app", "containerPort": 8080}]}

    def states(self) -> dict[str, str]:
        targets = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {target["Target"]["Id"]: target["TargetHealth"]["State"] for target in targets}

    def get(self, path: str = "/") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": self.name})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


class Load:
    """Requests without pause, each on a connection of its own, until the block ends."""

    def __init__(self, balancer: Balancer, threads: int = 4):
        self.balancer, self.failures, self.count = balancer, [], 0
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self.ending.is_set():
            try:
                status, body = self.balancer.get()
                if status != 200:
                    self.failures.append((status, body))
            except OSError as error:
                self.failures.append(error)
            self.count += 1

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.ending.set()
        for thread in self.threads:
            thread.join()


def open_group(services: Services) -> list[str]:
    """A security group that lets everything in."""
    group = services.tasks.ec2.create_security_group(GroupName=unique("open"), Description="open", VpcId=services.tasks.vpc)["GroupId"]
    services.tasks.ec2.authorize_security_group_ingress(
        GroupId=group, IpPermissions=[{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    return [group]


def balanced(services: Services, balancer: Balancer, count: int, definition: str = "", **request) -> str:
    network = {"awsvpcConfiguration": {"subnets": services.tasks.subnets[:2], "securityGroups": open_group(services)}}
    definition = definition or services.definition(APP)
    request = {"networkConfiguration": network, "healthCheckGracePeriodSeconds": 5} | balancer.of_service | request
    return services.create(definition, count, **request)["serviceName"]


def test_tasks_are_targets_while_they_run(scaled, services):
    balancer = Balancer(scaled, services, 18081)
    name = balanced(services, balancer, 2)
    stable = services.stable(name)
    assert stable["healthCheckGracePeriodSeconds"] == 5
    tasks = services.running(name)
    assert balancer.states() == {address(task): "healthy" for task in tasks}
    answers = {balancer.get()[1].strip() for _ in range(20)}
    assert answers == {address(task) for task in tasks}, "both answer"
    text = messages(stable)
    registered = [m for m in text if "registered" in m and "deregistered" not in m]
    assert sum(int(m.split("registered ")[1].split()[0]) for m in registered) == 2
    assert registered[0].endswith(f"in (target-group {balancer.group})")

    with Load(balancer) as load:
        second = services.definition(APP + " # 2", family=stable["taskDefinition"].rpartition("/")[2].rpartition(":")[0])
        services.ecs.update_service(service=name, taskDefinition=second)
        done = services.wait(name, lambda s: is_stable(s) and s["taskDefinition"] == second)
        assert len(services.running(name)) == 2
        services.ecs.update_service(service=name, desiredCount=4)
        services.wait(name, lambda s: s["runningCount"] == 4 and list(balancer.states().values()).count("healthy") == 4)
        services.ecs.update_service(service=name, desiredCount=1)
        services.wait(name, lambda s: s["runningCount"] == 1 and len(balancer.states()) == 1)
    assert load.failures == [] and load.count > 100, (load.count, load.failures[:5])
    text = "\n".join(messages(done))
    assert f"(service {name}) has stopped" in text
    assert f"deregistered 2 targets in (target-group {balancer.group})" in text or "deregistered 1 targets" in text
    assert f"(service {name}, taskSet {stable['deployments'][0]['id']}) has begun draining connections on" in text
    services.delete(name)
    assert balancer.states() == {}


def test_a_task_drains_before_it_stops(scaled, services):
    balancer = Balancer(scaled, services, 18082, delay=60)
    name = balanced(services, balancer, 2)
    services.stable(name)
    victim = services.running(name)[0]
    with Load(balancer) as load:
        services.tasks.stop(victim["taskArn"])
        found = services.tasks.describe(victim["taskArn"])
        assert (found["lastStatus"], found["desiredStatus"]) == ("DEACTIVATING", "STOPPED")
        services.wait(name, lambda _: balancer.states().get(address(victim)) == "draining")
        assert services.tasks.describe(victim["taskArn"])["lastStatus"] == "DEACTIVATING", "its delay is 3 s"
        services.tasks.wait(victim["taskArn"])
        services.wait(name, lambda s: s["runningCount"] == 2 and list(balancer.states().values()).count("healthy") == 2)
    assert load.failures == [], load.failures[:5]
    services.delete(name)


def test_an_unhealthy_target_is_replaced(scaled, services):
    balancer = Balancer(scaled, services, 18083)
    script = APP.replace("while true; do sleep 0.1; done", "sleep 9; rm /www/up/index.html; while true; do sleep 0.1; done")
    name = balanced(services, balancer, 1, services.definition(script), healthCheckGracePeriodSeconds=0)
    services.wait(name, lambda s: services.stopped(name))
    stopped = services.stopped(name)[0]
    assert (stopped["stopCode"], stopped["stoppedReason"]) == (
        "ServiceSchedulerInitiated", f"Task failed ELB health checks in (target-group {balancer.group})")
    said = next(m for m in messages(services.describe(name)) if "is unhealthy in" in m)
    assert said == (f"(service {name}) (task {task_id(stopped)}) (port 8080) is unhealthy in (target-group {balancer.group}) "
                    "due to (reason Health checks failed with these codes: [404])")
    services.delete(name)


def test_a_slow_start_has_its_grace(scaled, services):
    balancer = Balancer(scaled, services, 18084)
    name = balanced(services, balancer, 1, services.definition("sleep 5; " + APP), healthCheckGracePeriodSeconds=30)
    services.stable(name)
    assert len(services.running(name)) == 1 and services.stopped(name) == [], "nothing was killed"
    services.delete(name)


def test_what_starts_slowly_starts_at_every_time_scale(world, layout, tmp_path, pool):
    """Without a grace period: its load balancer's and its container's checks just let it come up when time is real."""

    def comes_up(place: int, scale: int) -> None:
        server = Server(tmp_path / f"scale-{scale}", "--create-repositories-on-push", "--time-scale", str(scale))
        images.push(layout, server.address, "base:1")
        services = Services(Tasks(server, fresh_account(), IMAGE))
        # Checked at 0, 5, 10 and 15 s: unhealthy, if it is, with the fourth.
        balancer = Balancer(server, services, 18190 + place, HealthCheckIntervalSeconds=5, UnhealthyThresholdCount=4)
        slow = services.definition("sleep 12; " + APP)
        behind = balanced(services, balancer, 1, slow, healthCheckGracePeriodSeconds=0)
        # The same of the container's: checked at 5, 10 and 15 s.
        check = {"command": ["CMD", "test", "-e", "/www/up/index.html"], "interval": 5, "retries": 3}
        checked = services.create(services.definition("sleep 12; " + APP, healthCheck=check), 1)["serviceName"]
        for name in (behind, checked):
            service = services.stable(name)
            started = [m for m in messages(service) if "has started" in m]
            assert len(started) == 1 and services.stopped(name) == [], (scale, messages(service))
        assert server.stop() == 0

    list(pool.map(comes_up, range(3), (1, 10, 60)))


def test_a_version_that_fails_its_checks_rolls_back_without_a_failed_request(scaled, services):
    balancer = Balancer(scaled, services, 18085)
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    good = services.definition(APP, family="balanced-breaker")
    name = balanced(services, balancer, 2, good, deploymentConfiguration=breaker, healthCheckGracePeriodSeconds=0)
    services.stable(name)
    before = services.running(name)
    with Load(balancer) as load:
        services.definition(APP.replace("echo ok > /www/up/index.html", "true"), family="balanced-breaker")
        services.ecs.update_service(service=name, taskDefinition="balanced-breaker")
        services.wait(name, lambda s: is_stable(s) and s["taskDefinition"] == good)
    assert load.failures == [], load.failures[:5]
    assert ids(services.running(name)) == ids(before)
    services.delete(name)


def test_a_task_is_in_several_target_groups(scaled, services):
    first, second = Balancer(scaled, services, 18088), Balancer(scaled, services, 18089)
    both = {"loadBalancers": [*first.of_service["loadBalancers"], *second.of_service["loadBalancers"]]}
    name = balanced(services, first, 1, **both)
    services.stable(name)
    task = services.running(name)[0]
    assert first.states() == second.states() == {address(task): "healthy"}
    assert first.get() == second.get() == (200, f"{address(task)}\n")
    services.delete(name)
    assert first.states() == second.states() == {}


def test_wrong_target_groups_are_refused(scaled, services):
    balancer = Balancer(scaled, services, 18086)
    lone = balancer.elb.create_target_group(
        Name=unique("lone"), Protocol="HTTP", Port=80, VpcId=services.tasks.vpc, TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
    instances = balancer.elb.create_target_group(
        Name=unique("instances"), Protocol="HTTP", Port=80, VpcId=services.tasks.vpc)["TargetGroups"][0]["TargetGroupArn"]
    for group, message in [
        (lone, f"The target group with targetGroupArn {lone} does not have an associated load balancer."),
        (instances, f"The provided target group {instances} has target type instance, which is incompatible with the "
                    "awsvpc network mode specified in the task definition."),
        (lone[:-4] + "0000", f"The specified target group does not exist: {lone[:-4]}0000"),
    ]:
        with pytest.raises(services.ecs.exceptions.InvalidParameterException) as refused:
            services.create(services.definition(APP), 1, loadBalancers=[
                {"targetGroupArn": group, "containerName": "app", "containerPort": 8080}])
        assert refused.value.response["Error"]["Message"] == message
    codedeploy = services.create(
        services.definition(APP), 0, deploymentController={"type": "CODE_DEPLOY"}, **balancer.of_service)
    assert codedeploy["deployments"] == [] and [s["status"] for s in codedeploy["taskSets"]] == ["PRIMARY"]
    with pytest.raises(services.ecs.exceptions.InvalidParameterException) as refused:
        services.ecs.update_service(service=codedeploy["serviceName"], taskDefinition="x")
    assert refused.value.response["Error"]["Message"] == (
        "Unable to update task definition on services with a CODE_DEPLOY deployment controller. "
        "Use AWS CodeDeploy to trigger a new deployment.")
    services.delete(codedeploy["serviceName"])


def test_a_killed_server_loses_no_request(layout, tmp_path):
    data_dir, account = tmp_path / "data", fresh_account()
    options = ("--create-repositories-on-push", *SCALE)
    server = Server(data_dir, *options)
    images.push(layout, server.address, "base:1")
    services = Services(Tasks(server, account, IMAGE))
    balancer = Balancer(server, services, 18087)
    name = balanced(services, balancer, 2, services.definition(APP, family="survives"))
    services.stable(name)
    with Load(balancer) as load:
        second = services.definition(APP + " # 2", family="survives")
        services.ecs.update_service(service=name, taskDefinition=second)
        for pause in (0.3, 1.0):
            time.sleep(pause)
            server.process.kill()
            server.process.wait()
            time.sleep(0.5)
            server = Server(data_dir, *options)
        services = Services(Tasks(server, account, IMAGE))
        services.wait(name, lambda s: is_stable(s) and s["taskDefinition"] == second)
    assert load.failures == [], load.failures[:5]
    assert server.stop() == 0
