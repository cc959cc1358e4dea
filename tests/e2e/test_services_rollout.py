"""Services on real tasks: they come up, are replaced, scale, roll out, roll back, and go."""

import random
import signal
import time
import urllib.request
from collections import Counter

import pytest

from harness import images
from harness.server import Server, fresh_account
from harness.services import FOREVER, Services, ids, is_stable, messages
from harness.tasks import ROLE, Tasks, container_of, task_id

IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/base:1"
# 40 s of stability become 2 s.
SCALE = ("--time-scale", "20")
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}


def test_a_service_comes_up_scales_and_goes(services):
    created = services.create(services.definition(), 2, name="web")
    assert (created["status"], created["desiredCount"], created["runningCount"], created["pendingCount"]) == ("ACTIVE", 2, 0, 0)
    assert [d["status"] for d in created["deployments"]] == ["PRIMARY"]
    deployment = created["deployments"][0]
    assert (deployment["rolloutState"], deployment["rolloutStateReason"]) == (
        "IN_PROGRESS", f"ECS deployment {deployment['id']} in progress.")

    services.ecs.get_waiter("services_stable").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    web = services.stable("web")
    assert web["deployments"][0]["id"] == deployment["id"]
    assert web["deployments"][0]["rolloutStateReason"] == f"ECS deployment {deployment['id']} completed."
    tasks = services.running("web")
    assert len(tasks) == 2
    for task in tasks:
        assert (task["group"], task["startedBy"], task["lastStatus"]) == ("service:web", deployment["id"], "RUNNING")
    assert services.ecs.list_tasks(startedBy=deployment["id"])["taskArns"]
    started, *_ , completed, steady = messages(web)
    assert started.startswith("(service web) has started 2 tasks: (task ")
    assert all(f"(task {task_id(task)})" in started for task in tasks)
    assert completed == f"(service web) (deployment {deployment['id']}) deployment completed."
    assert steady == "(service web) has reached a steady state."

    services.ecs.update_service(service="web", desiredCount=4)
    grown = services.wait("web", lambda s: s["runningCount"] == 4)
    assert [d["id"] for d in grown["deployments"]] == [deployment["id"]], "scaling is no deployment"
    services.ecs.update_service(service="web", desiredCount=1)
    services.wait("web", lambda s: s["runningCount"] == 1)
    gone = services.stopped("web")
    assert {(t["stopCode"], t["stoppedReason"]) for t in gone} == {
        ("ServiceSchedulerInitiated", f"Scaling activity initiated by (deployment {deployment['id']})")}

    with pytest.raises(services.ecs.exceptions.InvalidParameterException) as refused:
        services.ecs.delete_service(service="web")
    assert refused.value.response["Error"]["Message"] == "The service cannot be stopped while it is scaled above 0."
    with pytest.raises(services.ecs.exceptions.ClusterContainsServicesException):
        services.ecs.delete_cluster(cluster="default")
    assert services.ecs.delete_service(service="web", force=True)["service"]["status"] == "DRAINING"
    ended = services.wait("web", lambda s: s["status"] == "INACTIVE")
    assert (ended["runningCount"], ended["pendingCount"], ended["desiredCount"], ended["deployments"]) == (0, 0, 0, [])
    assert services.running("web") == []
    assert ended["serviceArn"] not in services.ecs.list_services()["serviceArns"]
    services.ecs.get_waiter("services_inactive").wait(services=["web"], WaiterConfig={"Delay": 1, "MaxAttempts": 1})
    with pytest.raises(services.ecs.exceptions.ServiceNotActiveException):
        services.ecs.update_service(service="web", desiredCount=1)
    # The name is free again.
    again = services.create(services.definition(), 0, name="web")
    assert again["status"] == "ACTIVE" and again["events"] == []
    services.delete("web")


def test_a_new_definition_is_rolled_out(services):
    first = services.definition(family="roll")
    name = services.create(first, 2)["serviceName"]
    services.stable(name)
    old = services.running(name)

    second = services.definition(FOREVER + " # 2", family="roll")
    updated = services.ecs.update_service(service=name, taskDefinition="roll")["service"]
    assert updated["taskDefinition"] == second
    assert [d["status"] for d in updated["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert updated["deployments"][1]["runningCount"] == 2
    fewest = 2
    while not is_stable(found := services.describe(name)):
        fewest = min(fewest, found["runningCount"])
        time.sleep(0.05)
    assert fewest == 2, "never fewer than minimumHealthyPercent"
    new = services.running(name)
    assert {task["taskDefinitionArn"] for task in new} == {second}
    assert not ids(old) & ids(new)
    done = services.describe(name)["deployments"]
    assert [d["taskDefinition"] for d in done] == [second]

    # Nothing new: no deployment. Forced: one.
    same = services.ecs.update_service(service=name, taskDefinition=second)["service"]
    assert len(same["deployments"]) == 1
    forced = services.ecs.update_service(service=name, forceNewDeployment=True)["service"]
    assert len(forced["deployments"]) == 2
    services.stable(name)
    assert not ids(services.running(name)) & ids(new)
    services.delete(name)


def test_what_does_nothing_yet_is_an_event_once_per_deployment(services):
    container = services.tasks.container(FOREVER, secrets=[{"name": "KEY", "valueFrom": "key"}])
    definition = services.tasks.register(container, logged=False, taskRoleArn=ROLE)
    first = services.create(definition, 1, name="silent")["deployments"][0]["id"]
    services.stable("silent")
    # Another start of the same deployment says nothing anew.
    services.ecs.update_service(service="silent", desiredCount=2)
    services.wait("silent", lambda s: s["runningCount"] == 2)

    def said() -> list[str]:
        return [message for message in messages(services.describe("silent")) if "Neargate" in message]

    def notice(deployment: str) -> str:
        return (f"(service silent) (deployment {deployment}) goes on without what its tasks ask for: "
                "(container app) secrets: Neargate does not read secrets yet; the variables are not set. "
                "taskRoleArn: Neargate does not serve the task role's credentials yet; the AWS SDKs in the task find none.")

    assert said() == [notice(first)]
    second = services.ecs.update_service(service="silent", forceNewDeployment=True)["service"]["deployments"][0]["id"]
    services.wait("silent", lambda s: len(s["deployments"]) == 1 and is_stable(s))
    assert said() == [notice(first), notice(second)]
    services.delete("silent")


def test_a_killed_task_is_replaced(services):
    name = services.create(services.definition(), 2)["serviceName"]
    services.stable(name)
    victim, survivor = services.running(name)
    services.tasks.stop(victim["taskArn"])
    services.wait(name, lambda s: s["runningCount"] == 2 and task_id(victim) not in ids(services.running(name)))
    assert task_id(survivor) in ids(services.running(name))
    assert services.tasks.wait(victim["taskArn"])["stopCode"] == "UserInitiated"

    # One that ends by itself.
    services.delete(name)
    name = services.create(services.definition("sleep 2; exit 3"), 1)["serviceName"]
    ended = services.wait(name, lambda s: services.stopped(name)) and services.stopped(name)[0]
    assert container_of(services.tasks.wait(ended["taskArn"]))["exitCode"] == 3
    services.wait(name, lambda s: len(services.stopped(name)) > 1)
    services.delete(name)


def test_the_circuit_breaker_rolls_back(services):
    good = services.definition(family="breaker")
    name = services.create(good, 2, deploymentConfiguration=BREAKER)["serviceName"]
    before = services.stable(name)
    old = services.running(name)

    services.definition("exit 1", family="breaker", image=IMAGE.replace("base:1", "base:missing"))
    bad = services.ecs.update_service(service=name, taskDefinition="breaker")["service"]["deployments"][0]
    # What a deploy script sees that looks every ten seconds: a new PRIMARY, and the failed one beside it.
    services.wait(name, lambda s: s["deployments"][0]["id"] != bad["id"])
    time.sleep(10)
    primary, failed = services.describe(name)["deployments"]
    assert (primary["status"], primary["rolloutState"], primary["taskDefinition"]) == ("PRIMARY", "IN_PROGRESS", good)
    assert primary["rolloutStateReason"] == (
        f"ECS deployment circuit breaker: rolling back to deploymentId {primary['id']}.")
    assert primary["id"] != before["deployments"][0]["id"]
    assert primary["createdAt"] > bad["createdAt"]
    assert (failed["id"], failed["status"], failed["rolloutState"]) == (bad["id"], "DRAINING", "FAILED")
    assert failed["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    assert ids(services.running(name)) == ids(old)
    assert {task["startedBy"] for task in services.running(name)} == {primary["id"]}

    rolled = services.wait(name, lambda s: is_stable(s) and s["taskDefinition"] == good)
    assert rolled["deployments"][0]["id"] == primary["id"]
    assert rolled["deployments"][0]["rolloutStateReason"] == f"ECS deployment {primary['id']} completed."
    assert ids(services.running(name)) == ids(old), "the tasks that worked are left alone"
    text = messages(rolled)
    failed = next(m for m in text if m.endswith("deployment failed: tasks failed to start."))
    back = next(m for m in text if "rolling back to deployment" in m)
    assert back == f"(service {name}) rolling back to deployment {primary['id']}."
    assert text.index(failed) < text.index(back)
    assert {t["stopCode"] for t in services.stopped(name)} <= {"TaskFailedToStart", "ServiceSchedulerInitiated"}

    brief = services.ecs.list_service_deployments(service=name)["serviceDeployments"]
    assert [d["status"] for d in brief] == ["ROLLBACK_SUCCESSFUL", "SUCCESSFUL"]
    deployment = services.ecs.describe_service_deployments(
        serviceDeploymentArns=[brief[0]["serviceDeploymentArn"]])["serviceDeployments"][0]
    assert deployment["statusReason"] == "Service deployment rolled back because the circuit breaker threshold was exceeded."
    assert deployment["deploymentCircuitBreaker"] == {"status": "TRIGGERED", "failureCount": 3, "threshold": 3}
    assert deployment["rollback"]["serviceRevisionArn"] == brief[1]["targetServiceRevisionArn"]
    revisions = services.ecs.describe_service_revisions(
        serviceRevisionArns=[d["targetServiceRevisionArn"] for d in brief])["serviceRevisions"]
    assert sorted(r["taskDefinition"] for r in revisions) == sorted([good, good[:-1] + str(int(good[-1]) + 1)])
    services.delete(name)


@pytest.mark.parametrize("check", [None, {"command": ["CMD", "true"], "interval": 300}], ids=["no check", "UNKNOWN"])
def test_a_bad_push_just_after_a_good_one_stops_nothing_that_runs(services, check):
    checked = {"healthCheck": check} if check else {}
    family = "pushes" + ("-checked" if check else "")
    name = services.create(services.definition(family=family, **checked), 2)["serviceName"]
    services.wait(name, lambda s: s["runningCount"] == 2)
    good = services.running(name)
    services.definition("exit 1", family=family, **checked)
    services.ecs.update_service(service=name, taskDefinition=family)
    # It has tried, and failed, more than once.
    services.wait(name, lambda s: s["deployments"][0]["failedTasks"] >= 3)
    found = services.describe(name)
    assert found["runningCount"] >= 2
    assert ids(good) <= ids(services.running(name)), "what ran still runs"
    services.delete(name)


def test_a_first_deployment_that_failed_goes_on_when_its_tasks_become_healthy(services):
    # Slower to start than its health check allows for.
    check = {"command": ["CMD", "test", "-e", "/up"], "interval": 5, "retries": 1}
    script = "trap 'exit 0' TERM; (sleep 30; touch /up) & while true; do sleep 0.1; done"
    name = services.create(
        services.definition(script, healthCheck=check), 1, deploymentConfiguration=BREAKER)["serviceName"]
    failed = services.wait(name, lambda s: s["deployments"][0]["rolloutState"] == "FAILED")
    assert failed["deployments"][0]["rolloutStateReason"] == "ECS deployment circuit breaker: tasks failed to start."
    recovered = services.stable(name)
    assert recovered["deployments"][0]["id"] == failed["deployments"][0]["id"]
    services.delete(name)


def test_a_deployment_is_stopped_by_hand(services):
    good = services.definition(family="stopped")
    name = services.create(good, 1)["serviceName"]
    services.stable(name)
    services.definition("sleep 1000", family="stopped", healthCheck={"command": ["CMD", "false"], "interval": 5})
    services.ecs.update_service(service=name, taskDefinition="stopped")
    arn = services.describe(name)["currentServiceDeployment"]
    assert services.ecs.stop_service_deployment(serviceDeploymentArn=arn)["serviceDeploymentArn"] == arn
    services.wait(name, lambda s: is_stable(s) and s["taskDefinition"] == good)
    found = services.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"][0]
    assert found["status"] == "ROLLBACK_SUCCESSFUL"
    with pytest.raises(services.ecs.exceptions.ConflictException):
        services.ecs.stop_service_deployment(serviceDeploymentArn=arn)
    services.delete(name)


def test_an_unhealthy_task_is_replaced(services):
    # Healthy until its file goes.
    check = {"command": ["CMD-SHELL", "test ! -e /tmp/broken"], "interval": 5, "retries": 1, "timeout": 2}
    script = 'trap "exit 0" TERM; i=0; while true; do sleep 0.1; i=$((i+1)); [ $i = 120 ] && touch /tmp/broken; done'
    name = services.create(services.definition(script, healthCheck=check), 1)["serviceName"]
    services.wait(name, lambda s: services.stopped(name))
    stopped = services.stopped(name)[0]
    assert (stopped["stopCode"], stopped["stoppedReason"]) == (
        "ServiceSchedulerInitiated", "Task failed container health checks")
    services.delete(name)


def test_protected_tasks_stay(services):
    name = services.create(services.definition(), 3)["serviceName"]
    services.stable(name)
    tasks = services.running(name)
    kept = tasks[1]["taskArn"]
    answer = services.ecs.update_task_protection(cluster="default", tasks=[kept], protectionEnabled=True, expiresInMinutes=60)
    assert answer["protectedTasks"][0]["protectionEnabled"] and answer["protectedTasks"][0]["expirationDate"]
    services.ecs.update_service(service=name, desiredCount=1)
    services.wait(name, lambda s: s["runningCount"] == 1)
    assert [task["taskArn"] for task in services.running(name)] == [kept]
    services.ecs.update_task_protection(cluster="default", tasks=[kept], protectionEnabled=False)
    found = services.ecs.get_task_protection(cluster="default", tasks=[kept])["protectedTasks"]
    assert found == [{"taskArn": kept, "protectionEnabled": False}]
    services.delete(name)


def test_tags_reach_the_tasks(services):
    name = services.create(
        services.definition(), 1, tags=[{"key": "team", "value": "web"}], propagateTags="SERVICE", enableECSManagedTags=True,
    )["serviceName"]
    services.stable(name)
    task = services.ecs.describe_tasks(tasks=[services.running(name)[0]["taskArn"]], include=["TAGS"])["tasks"][0]
    assert {t["key"]: t["value"] for t in task["tags"]} == {
        "team": "web", "aws:ecs:clusterName": "default", "aws:ecs:serviceName": name}
    services.delete(name)


def test_capacity_providers_share_by_base_and_weight(services):
    services.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=[])
    strategy = [{"capacityProvider": "FARGATE", "base": 1, "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 3}]
    created = services.create(services.definition(), 5, launchType=None, capacityProviderStrategy=strategy)
    assert "launchType" not in created
    assert created["capacityProviderStrategy"][1] == {"capacityProvider": "FARGATE_SPOT", "weight": 3, "base": 0}
    services.stable(created["serviceName"])
    used = Counter(task["capacityProviderName"] for task in services.running(created["serviceName"]))
    assert used == {"FARGATE": 2, "FARGATE_SPOT": 3}
    services.delete(created["serviceName"])


def test_tasks_spread_over_zones(services):
    network = {"awsvpcConfiguration": {"subnets": services.tasks.subnets[:3]}}
    name = services.create(services.definition(), 6, networkConfiguration=network)["serviceName"]
    services.stable(name)
    zones = Counter(task["availabilityZone"] for task in services.running(name))
    assert sorted(zones.values()) == [2, 2, 2], zones
    services.delete(name)


def test_a_killed_server_goes_on_with_the_deployment(layout, tmp_path):
    data_dir, account = tmp_path / "data", fresh_account()
    options = ("--create-repositories-on-push", *SCALE)
    server = Server(data_dir, *options)
    images.push(layout, server.address, "base:1")
    services = Services(Tasks(server, account, IMAGE))
    name = services.create(services.definition(family="killed"), 3)["serviceName"]
    services.stable(name)
    second = services.definition(FOREVER + " # 2", family="killed")
    services.ecs.update_service(service=name, taskDefinition=second)
    seen = set()
    for pause in (0.0, 0.2, 0.7, 1.5):
        time.sleep(pause)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        server = Server(data_dir, *options)
        services = Services(Tasks(server, account, IMAGE))
        seen |= ids(services.running(name))
    stable = services.stable(name)
    assert {task["taskDefinitionArn"] for task in services.running(name)} == {second}
    started = [m for m in messages(stable) if "has started" in m]
    assert sum(int(m.split("has started ")[1].split()[0]) for m in started) == 6, "no task too many"
    assert server.stop() == 0


def test_services_come_back_after_a_stop_and_go_with_a_reset(layout, tmp_path):
    data_dir, account = tmp_path / "data", fresh_account()
    options = ("--create-repositories-on-push", *SCALE)
    server = Server(data_dir, *options)
    images.push(layout, server.address, "base:1")
    services = Services(Tasks(server, account, IMAGE))
    name = services.create(services.definition(), 2)["serviceName"]
    services.stable(name)
    before = services.running(name)
    assert server.stop() == 0, "stopped tasks are not replaced on the way out"

    server = Server(data_dir, *options)
    services = Services(Tasks(server, account, IMAGE))
    services.stable(name)
    after = services.running(name)
    assert len(after) == 2 and not ids(after) & ids(before)
    urllib.request.urlopen(urllib.request.Request(f"{server.endpoint}/_neargate/reset", method="POST", headers={"X-Neargate-Reset": "yes"}), timeout=150).read()
    assert services.ecs.list_clusters()["clusterArns"] == []
    services = Services(Tasks(server, account, IMAGE))
    images.push(layout, server.address, "base:1")
    assert services.ecs.list_services()["serviceArns"] == []
    again = services.create(services.definition(), 1)["serviceName"]
    services.stable(again)
    assert server.stop() == 0


def test_a_server_killed_at_any_instant_starts_no_task_too_many(layout, tmp_path):
    data_dir, account = tmp_path / "data", fresh_account()
    options = ("--create-repositories-on-push", *SCALE)
    server = Server(data_dir, *options)
    images.push(layout, server.address, "base:1")
    services = Services(Tasks(server, account, IMAGE))
    chance = random.Random(3)
    name = services.create(services.definition(family="instants"), 1)["serviceName"]
    # The node has the image then: a pull from a server that is dead would fail the task.
    services.stable(name)
    for desired in (3, 1, 4, 2):
        services.ecs.update_service(service=name, desiredCount=desired)
        time.sleep(chance.uniform(0, 0.1))
        server.process.kill()
        server.process.wait()
        server = Server(data_dir, *options)
        services = Services(Tasks(server, account, IMAGE))
        found = services.wait(name, lambda s: s["runningCount"] == desired and s["pendingCount"] == 0)
        assert len(services.running(name)) == desired, found["events"]
    started = sum(int(m.split("has started ")[1].split()[0]) for m in messages(services.describe(name)) if "has started" in m)
    failed = [t for t in services.stopped(name) if t["stopCode"] != "ServiceSchedulerInitiated"]
    assert failed == [] and started == 1 + 2 + 3, ("each task was started once", failed, messages(services.describe(name)))
    assert server.stop() == 0
